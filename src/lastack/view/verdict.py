"""The verdict of a session as one sentence: what happened, how sure it is, and what it cost."""

from __future__ import annotations

from typing import Any

from lastack.model.units import format_duration

#: What each cause says of a session; `{closer}` is who sent the first FIN or RST.
SENTENCES: dict[str, str] = {
    "unknown": "why it ended cannot be told from what was seen",
    "clean_close": "closed cleanly: a FIN from each end, {closer} first",
    "reset_after_close": "closed cleanly, and a RST came after both FINs",
    "stopped_reading": "{closer} stopped while data was still coming, as a cancelled download does",
    "reset_close": "{closer} ended it by a RST instead of a FIN, with nothing outstanding",
    "aborted_by_client": "the client reset it in mid-session",
    "aborted_by_server": "the server reset it in mid-session",
    "closed_with_unread_data": "{closer} closed with unread data in its buffer, which made its host send a RST",
    "data_after_close": "data reached an end that had fully closed, and a RST answered it",
    "refused": "refused: a RST answered the SYN, so nobody listens there or a firewall rejects",
    "refused_icmp": "refused: an ICMP error answered the SYN",
    "unanswered": "unanswered: no reply to the SYN, so the host is down or a firewall drops",
    "half_open_client_gone": "half-open: the server answered and the client never completed the handshake",
    "syn_flood": "half-open, one of many: a SYN flood",
    "probe": "a probe: SYN, SYN-ACK, RST, as scans and half-open monitors do",
    "peer_lost_state": "one end had forgotten the session (a crash, a reboot) and answered with a RST",
    "peer_vanished": "one end no longer answered, and the other sent again and again",
    "keepalive_death": "keepalives were no longer answered",
    "zero_window_death": "one end kept its window shut until the other gave up",
    "middlebox_half_closed_timeout": "cut while half-closed, as a firewall's Half Closed timer does",
    "middlebox_idle_timeout": "cut after a silence, as a firewall's or NAT's idle timer does",
    "injected_reset": "the RST does not fit its alleged sender, as one that somebody between them forged",
    "port_reuse_conflict": "the port was used again too early: the earlier session was in the way",
    "still_open": "still open when the capture ends",
    "half_closed_waiting": "half-closed when the capture ends: {closer} has closed, the other end has not",
    "observer_limit": "how it ended was not seen: the observer stopped following it",
}
_HARM = {
    "none": "It did no harm.",
    "open_failed": "The connection did not come about.",
    "data_lost": "Data may be lost.",
    "close_lost": "An end may still hold the connection.",
    "stalled": "The application stalled.",
}
_SEEN = {
    "one_way": "only one direction was seen",
    "lossy": "packets are missing from the capture",
    "start_missing": "its beginning was not seen",
    "evicted": "it left the table early",
}
#: Causes that accuse somebody in the path: from one place they can only be consistent with what was seen.
_ACCUSING = frozenset(
    {"injected_reset", "middlebox_half_closed_timeout", "middlebox_idle_timeout", "syn_flood"}
)
_CLOSER = {"client": "the client", "server": "the server", "both": "both at once", "none": "nobody"}


def verdict(row: dict[str, Any]) -> str:
    """Return one or two sentences on a session row."""
    cause = row["cause"]
    text = SENTENCES[cause].format(closer=_CLOSER[row["first_closer"]])
    if cause in _ACCUSING:
        text = f"consistent with: {text}"
    sentences = [f"{text[0].upper()}{text[1:]}{_sureness(row)}."]
    if row["half_closed_ns"] and row["half_closed_bytes"]:
        sentences.append(
            f"It was half-closed for {format_duration(row['half_closed_ns'])}, "
            f"and {row['half_closed_bytes']:,} bytes went the other way meanwhile."
        )
    if row["harm"] in _HARM:
        sentences.append(_HARM[row["harm"]])
    return " ".join(sentences)


def _sureness(row: dict[str, Any]) -> str:
    notes = []
    confidence = row["cause_confidence"]
    if row["cause"] != "unknown" and 0 < confidence < 0.995:
        notes.append(f"confidence {100 * confidence:.0f} %")
    if row["observed"] in _SEEN:
        notes.append(_SEEN[row["observed"]])
    return f" ({'; '.join(notes)})" if notes else ""
