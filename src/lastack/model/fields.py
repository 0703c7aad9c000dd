"""The session record: every column declared once, read by kernels, exports, filters, pages and docs.

Order here is the order of columns everywhere. Names ending in `_clt` and `_srv` are the two ends of one
quantity; the filter language writes them `name.clt` and `name.srv`, and `name` for their sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lastack.model import endreasons, enums

SCHEMA_VERSION = 2

_Vocabulary = type[IntEnum]


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the session record.

    Attributes:
        name: Column name in every output.
        type: `uint8 uint16 uint32 uint64 int16 int32 int64 float32 bool address string enum list`.
        unit: `ns`, `ns since epoch`, `bytes`, `packets`, `hops` or empty.
        help: One sentence for people.
        nullable: Whether the value can be absent.
        enum: The vocabulary when `type` is `enum`.
        members: What one entry holds when `type` is `list`, in order.
    """

    name: str
    type: str
    unit: str
    help: str
    nullable: bool = False
    enum: _Vocabulary | None = None
    members: tuple[Field, ...] = ()


def _both(name: str, type_: str, unit: str, help_: str, nullable: bool = False) -> tuple[Field, Field]:
    return (
        Field(f"{name}_clt", type_, unit, f"{help_} (client)", nullable),
        Field(f"{name}_srv", type_, unit, f"{help_} (server)", nullable),
    )


def _enum(name: str, vocabulary: type[IntEnum], help_: str) -> Field:
    return Field(name, "enum", "", help_, enum=vocabulary)


#: One entry of `gaps`: what is needed to know when an idle timer would have expired, and what it cost.
GAP_MEMBERS: tuple[Field, ...] = (
    _enum("phase", enums.TimerPhase, "timer phase of the silence"),
    Field("start_ns", "int64", "ns since epoch", "packet before the silence"),
    Field("gap_ns", "int64", "ns", "length of the silence"),
    *_both("bytes", "uint64", "bytes", "payload sent before it"),
    *_both("packets", "uint64", "packets", "packets sent before it"),
    Field("longest", "bool", "", "it is longer than every earlier one of its phase"),
    Field("unacked", "bool", "", "something that an end had sent was not acknowledged"),
    Field(
        "stalled", "bool", "", "the last packet said a window of 0, or three packets or more only repeated"
    ),
    Field("fin_again", "bool", "", "a FIN had come more than once"),
    _enum("next", enums.PacketKind, "what ended it"),
    _enum("next_by", enums.Closer, "who ended it"),
)

#: One entry of `marks`: a silence of a half-closed session and what had been sent before it, for timers that nothing
#: renews.
MARK_MEMBERS: tuple[Field, ...] = (
    Field("since_ns", "int64", "ns", "time since the first FIN at which the silence began"),
    Field("age_ns", "int64", "ns", "time since the first FIN at which it ended"),
    *_both("bytes", "uint64", "bytes", "payload sent before it"),
    *_both("packets", "uint64", "packets", "packets sent before it"),
)

#: One entry of `retries`: a packet of an opening that was not over, other than the first packet and the
#: first SYN-ACK.
RETRY_MEMBERS: tuple[Field, ...] = (
    Field("ns", "int64", "ns since epoch", "when it came"),
    _enum("by", enums.Closer, "who sent it"),
    _enum("kind", enums.PacketKind, "what it was"),
    Field("answered", "bool", "", "a SYN-ACK had come before"),
)

#: The one entry of `evidence`; packets are named by their number in the capture, 0 without one.
EVIDENCE_MEMBERS: tuple[Field, ...] = (
    Field("rst_packet", "uint64", "", "first RST"),
    _enum("rst_by", enums.Closer, "end that the first RST says it is from"),
    Field("rst_ns", "int64", "ns since epoch", "time of the first RST", True),
    Field("rst_flags", "uint8", "", "TCP flags of the first RST: CWR ECE URG ACK PSH RST SYN FIN"),
    Field("rst_seq", "uint32", "", "its sequence number"),
    Field("rst_ack", "uint32", "", "its acknowledgment number"),
    Field("rst_window", "uint16", "", "its window as sent"),
    Field("rst_ttl", "uint8", "hops", "its TTL or hop limit"),
    Field("rst_ipid", "uint16", "", "its IP-ID, 0 in IPv6"),
    Field("rst_payload", "uint32", "bytes", "its payload (a diagnostic, never data)"),
    Field("rst_seq_step", "int64", "bytes", "its seq minus the highest end its sender had sent", True),
    Field("rst_expected_step", "int64", "bytes", "its seq minus the highest ack its receiver had sent", True),
    Field("rst_ack_step", "int64", "bytes", "its ack minus the highest end its receiver had sent", True),
    Field("rst_sender_silent", "bool", "", "its sender had sent nothing before"),
    *_both("ttl_low", "uint8", "hops", "lowest TTL before any RST, 0 without a packet"),
    *_both("ttl_high", "uint8", "hops", "highest TTL before any RST, 0 without a packet"),
    _enum("ipid_kind_clt", enums.IpidKind, "how the client numbered its IPv4 packets before any RST"),
    _enum("ipid_kind_srv", enums.IpidKind, "how the server numbered its IPv4 packets before any RST"),
    Field("before_rst_packet", "uint64", "", "packet just before the first RST"),
    _enum("before_rst_by", enums.Closer, "who sent the packet just before the first RST"),
    Field("before_rst_ns", "int64", "ns since epoch", "latest time before the first RST", True),
    *_both("in_flight", "int64", "bytes", "sent and not acknowledged when the first RST came", True),
    Field("fin_clt_packet", "uint64", "", "first FIN of the client"),
    Field("fin_srv_packet", "uint64", "", "first FIN of the server"),
    Field("synack_packet", "uint64", "", "first SYN-ACK"),
    *_both("after_rst", "uint32", "packets", "packets after the first RST"),
    *_both("after_rst_new", "uint64", "bytes", "new payload after the first RST"),
    Field("race_packet", "uint64", "", "first packet without RST from the RST's sender after it"),
    Field("race_seq_step", "int64", "bytes", "its seq minus that of the first RST", True),
    Field("race_payload", "uint32", "bytes", "its payload"),
    Field("race_ttl", "uint8", "hops", "its TTL or hop limit"),
    Field("race_ns", "int64", "ns since epoch", "its time", True),
    Field("rst_more", "uint32", "packets", "further RSTs of the same sender with another seq"),
    Field("rst2_packet", "uint64", "", "first of those"),
    Field("rst2_seq_step", "int64", "bytes", "its seq minus that of the first RST", True),
    Field("rst2_ns", "int64", "ns since epoch", "its time", True),
    Field("rst_other_packet", "uint64", "", "first RST of the other end"),
    Field(
        "tail_packets",
        "uint32",
        "packets",
        "last packets of the session, RSTs aside, that one end only repeats",
    ),
    _enum("tail_by", enums.Closer, "who repeats"),
    _enum("tail_kind", enums.TailKind, "what is repeated last"),
    Field("tail_packet", "uint64", "", "first of them"),
    Field("tail_start_ns", "int64", "ns since epoch", "time of the first of them", True),
    Field("tail_progress_ns", "int64", "ns since epoch", "latest time before them", True),
    *_both("last_window", "uint32", "bytes", "last window, scaled if its scale is known"),
    *_both("zero_window", "uint32", "packets", "packets that announce a window of 0, RSTs aside"),
    Field("challenge_packet", "uint64", "", "first bare ACK that answers a SYN or RST which does not fit"),
    Field("syn_in_session", "uint32", "packets", "SYNs that came while it was established and not over"),
    Field("icmp_type", "uint8", "", "type of the first ICMP error that quotes a segment"),
    Field("icmp_code", "uint8", "", "its code"),
    Field("icmp_packet", "uint64", "", "its packet"),
    Field("icmp_ns", "int64", "ns since epoch", "its time", True),
    _enum("icmp_by", enums.Closer, "whose segment it quotes"),
    Field("icmp_count", "uint32", "packets", "ICMP errors that quote a segment"),
)

FIELDS: tuple[Field, ...] = (
    Field("session_id", "uint64", "", "stable id: the same input gives the same id on every run and engine"),
    Field("sensor", "string", "", "capture point (file name or interface) that saw the first packet"),
    Field("client_ip", "address", "", "address of the client, the active opener"),
    Field("client_port", "uint16", "", "port of the client"),
    Field("server_ip", "address", "", "address of the server"),
    Field("server_port", "uint16", "", "port of the server"),
    _enum("client_by", enums.ClientBy, "how the client was decided"),
    _enum("encap", enums.Encap, "what carried the TCP segment (innermost wrapping, first packet)"),
    Field("vlan", "uint16", "", "innermost VLAN id of the first packet, 0 without a tag"),
    Field("client_zone", "string", "", "zone of the client, from the zones configuration", nullable=True),
    Field("server_zone", "string", "", "zone of the server, from the zones configuration", nullable=True),
    Field("app", "string", "", "application, from the applications configuration, else `unclassified`"),
    Field("start_ns", "int64", "ns since epoch", "time of the first packet"),
    Field("end_ns", "int64", "ns since epoch", "time of the last packet"),
    *_both("packets", "uint64", "packets", "packets sent"),
    *_both(
        "bytes",
        "uint64",
        "bytes",
        "payload sent, from the IP length, never more than the frame held, retransmissions included",
    ),
    *_both("new_bytes", "uint64", "bytes", "payload sent, each sequence number counted once"),
    *_both("retx_packets", "uint64", "packets", "packets that carry only sequence numbers already seen"),
    *_both("syn", "uint32", "packets", "SYN without ACK sent"),
    *_both("synack", "uint32", "packets", "SYN with ACK sent"),
    *_both("fin", "uint32", "packets", "FIN sent, repeats included"),
    *_both("rst", "uint32", "packets", "RST sent, repeats included"),
    Field("fin_clt_uniq", "uint32", "", "distinct sequence positions of the client's FINs"),
    Field("fin_srv_uniq", "uint32", "", "distinct sequence positions of the server's FINs"),
    Field("ct_count", "uint8", "handshakes", "1 when the three-way handshake was seen to complete, else 0"),
    Field("ct_ns", "int64", "ns", "connection time: first SYN to the ACK that completes the handshake", True),
    Field("syn_to_synack_ns", "int64", "ns", "first SYN to first SYN-ACK", True),
    Field("synack_to_ack_ns", "int64", "ns", "first SYN-ACK to the ACK that completes the handshake", True),
    _enum("opening", enums.Opening, "how the session opened"),
    _enum("first_closer", enums.Closer, "who sent the first FIN or RST"),
    Field("close_order", "string", "", "order of the first FIN and RST of each end: F R client, f r server"),
    Field("first_fin_ns", "int64", "ns since epoch", "first FIN of either end", True),
    Field("second_fin_ns", "int64", "ns since epoch", "first FIN of the other end", True),
    Field("closed_ns", "int64", "ns since epoch", "ACK of the second FIN", True),
    Field("first_rst_ns", "int64", "ns since epoch", "first RST of either end", True),
    _enum("ending", enums.Ending, "what was seen of the end"),
    _enum("half_closed_by", enums.Closer, "who sent the first FIN while nobody had reset"),
    Field("half_closed_ns", "int64", "ns", "first FIN to second FIN, first RST or last packet", True),
    Field("half_closed_bytes", "uint64", "bytes", "new payload in segments that acknowledge the first FIN"),
    Field("half_closed_max_gap_ns", "int64", "ns", "longest silence while half-closed", True),
    *_both("bytes_after_fin", "uint64", "bytes", "payload beyond the sender's own FIN, a violation"),
    Field("packets_after_rst", "uint32", "packets", "sent by either end after the first RST"),
    *_both("unacked_bytes", "uint64", "bytes", "sent and not acknowledged when the session ended"),
    Field("max_idle_ns", "int64", "ns", "longest silence while established"),
    Field("idle_before_close_ns", "int64", "ns", "silence just before the first FIN or RST", True),
    *_both("keepalives", "uint32", "packets", "keepalive probes sent"),
    _enum("rst_seq", enums.RstSeq, "place of the first RST in the receiver's window"),
    Field("rst_ttl_delta", "int16", "hops", "TTL of the first RST minus the sender's usual TTL", True),
    Field("rst_ipid_jump", "int32", "", "IP-ID step to the first RST, where its sender counts", True),
    _enum("state_clt", enums.EndpointState, "state of the client at the end (RFC 9293)"),
    _enum("state_srv", enums.EndpointState, "state of the server at the end (RFC 9293)"),
    _enum("conn_state", enums.ConnState, "Zeek's conn_state"),
    Field("history", "string", "", "Zeek's history letters: S H A D F R I Q, upper case for the client"),
    Field("completeness", "uint8", "", "Wireshark's tcp.completeness bits"),
    Field("previous_id", "uint64", "", "the earlier session on the same four-tuple", True),
    _enum("end_panos", endreasons.EndPanos, "session end reason that PAN-OS would log"),
    _enum("end_asa", endreasons.EndAsa, "teardown reason that Cisco ASA would log (message 302014)"),
    _enum("end_fortigate", endreasons.EndFortigate, "action that FortiGate would log"),
    _enum("end_ipfix", endreasons.EndIpfix, "IPFIX flowEndReason that an exporter would give"),
    _enum("cause", enums.Cause, "the verdict: why it ended"),
    Field("cause_confidence", "float32", "0..1", "how sure the verdict is"),
    _enum("actor", enums.Actor, "who ended it"),
    _enum("phase", enums.Phase, "phase in which it ended"),
    _enum("harm", enums.Harm, "what the ending cost"),
    _enum("observed", enums.Observed, "how much of it the observer saw"),
    Field("first_packet", "uint64", "", "number of the first packet in its capture, from 1"),
    Field(
        "gaps",
        "list",
        "",
        "left-to-right maxima of the silences in each timer phase and state, from 1 s on (5 s while established)",
        members=GAP_MEMBERS,
    ),
    Field(
        "marks",
        "list",
        "",
        "what had been sent before the silences of a half-closed session",
        members=MARK_MEMBERS,
    ),
    Field(
        "retries",
        "list",
        "",
        "packets of an opening that was not over, other than the first packet and the first SYN-ACK",
        members=RETRY_MEMBERS,
    ),
    Field(
        "evidence",
        "list",
        "",
        "what proves a verdict: one entry with a RST, unanswered repeats, an ICMP error or a SYN in mid-session",
        members=EVIDENCE_MEMBERS,
    ),
)

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}


def sides(name: str) -> tuple[str, str] | None:
    """Return the client's and the server's column of a two-sided quantity, or None if there is no such pair."""
    for pattern in ("{}_{}", "{}_{}_uniq"):
        stem = name.removesuffix("_uniq") if pattern.endswith("_uniq") else name
        pair = (pattern.format(stem, "clt"), pattern.format(stem, "srv"))
        if (
            pair[0] in BY_NAME
            and pair[1] in BY_NAME
            and (not pattern.endswith("_uniq") or name.endswith("_uniq"))
        ):
            return pair
    return None
