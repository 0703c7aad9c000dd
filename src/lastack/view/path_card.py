"""The card of a path test: how long a silence each kind of connection survives, and what that means."""

from __future__ import annotations

from lastack.model.units import format_duration
from lastack.prober.answer import PathAnswer, percentile, translated
from lastack.prober.findings import Expiry, Finding, Kind
from lastack.prober.question import Topic
from lastack.prober.trial import Via
from lastack.view.cells import plural
from lastack.view.page import Page

#: RFC 5382, REQ-5: how long a NAT keeps an established session (one FIN leaves it established), in ns.
RFC5382_ESTABLISHED_NS = 7_440 * 10**9
#: The same for sessions that are opening or closing.
RFC5382_TRANSITORY_NS = 240 * 10**9
_THEN = {
    Expiry.none: "",
    Expiry.silent: "data is swallowed",
    Expiry.reset_sender: "data is answered by RST",
    Expiry.reset_both: "RST to both ends",
    Expiry.reset_at_expiry: "RST when the time is over",
    Expiry.one_way: "data arrives, its ACK does not",
    Expiry.answered: "acknowledged, never delivered",
    Expiry.mixed: "differs",
}
_THEN_RAW = {
    Expiry.none: "",
    Expiry.silent: "it is dropped",
    Expiry.reset_sender: "it is answered by RST",
    Expiry.reset_both: "RST to both ends",
    Expiry.reset_at_expiry: "RST when the time is over",
    Expiry.one_way: "differs",
    Expiry.answered: "differs",
    Expiry.mixed: "differs",
}
_TIMER = {
    Kind.none: "none found",
    Kind.idle: "idle",
    Kind.absolute: "absolute",
    Kind.unknown: "unknown kind",
}
_SHOWN_MATCHES = 6
#: Share by which two bounds may differ and count as the same: bounds are as narrow as there were connections.
_SAME = 0.1


def render_path(answer: PathAnswer, width: int | None = None, colour: bool | None = None) -> str:
    """Return the card.

    Args:
        answer: What the test found.
        width: Characters of a line.
        colour: Show colours.
    """
    page = Page(width, colour)
    facts = answer.facts
    page.heading(
        f"Path to {answer.target}", f"{format_duration(facts.elapsed_ns)}, {facts.most} connections at once"
    )
    if not answer.whole:
        page.say("Stopped before it was done: this is what was known by then.", style="notice")
    _ends(page, answer)
    page.line()
    by_via = {via: [one for one in answer.findings if one.via is via] for via in Via}
    columns = ("question", "silence kept", "broken from", "timer", "then", "trials")
    if by_via[Via.connect]:
        page.grid([_row(finding) for finding in by_via[Via.connect]], "lrrllr", columns)
    if by_via[Via.reverse]:
        page.heading("Opened by the other end, which is the client here")
        page.grid([_row(finding) for finding in by_via[Via.reverse]], "lrrllr", columns)
    if timed := [one for one in by_via[Via.raw] if one.topic is not Topic.odd]:
        page.heading("Opening, and after the end")
        words = ("question", "passes after", "not from", "then", "trials")
        page.grid([_raw_row(finding) for finding in timed], "lrrlr", words)
    if odd := [one for one in by_via[Via.raw] if one.topic is Topic.odd]:
        page.heading("What else it lets through")
        page.grid(
            [_odd_row(finding) for finding in odd], "lllr", ("question", "RST", "data after it", "trials")
        )
    for one in answer.facts.untested:
        page.say(f"Not tested: {one.what}. Why: {one.why}.", style="notice")
    page.heading("What it means")
    different = [one for one in by_via[Via.reverse] if not _same(one, by_via[Via.connect])]
    for finding in by_via[Via.connect] + different:
        page.say(meaning(finding), indent="  • ", hang="    ")
    if by_via[Via.reverse] and not different:
        page.say("Opened by the other end, it is the same.", indent="  • ", hang="    ")
    _reuse(page, answer)
    _reference(page, answer)
    _matches(page, answer)
    if answer.required:
        page.heading("Required")
        for requirement, held in answer.required:
            word, style = {
                True: ("holds", "good"),
                False: ("BROKEN", "bad"),
                None: ("not decided", "notice"),
            }[held]
            page.line(f"  {requirement}: {word}", style)
    return page.text()


def _ends(page: Page, answer: PathAnswer) -> None:
    facts = answer.facts
    moved = translated(facts)
    if moved is not None:
        seen = facts.seen_as[0].removeprefix("::ffff:")
        page.say(
            f"{facts.local[0]} is seen as {seen}: an address translator is on the path."
            if moved
            else f"{facts.local[0]} is seen under its own address: no address translator on the path."
        )
    times = sorted(facts.connect_ns)
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    if p50 is not None and p99 is not None:
        page.say(
            f"{plural(len(times), 'handshake')}: median {format_duration(p50)}, 99th percentile {format_duration(p99)}."
        )
    for reason, number in facts.failures.items():
        page.say(f"{plural(number, 'connection')} could not be opened: {reason}.", style="notice")


def _row(finding: Finding) -> tuple[str, ...]:
    bound = finding.bound
    return (
        finding.title,
        format_precise(bound.kept_ns),
        format_precise(bound.broken_ns),
        _TIMER[finding.kind] if finding.conclusive else "not decided",
        _THEN[finding.expiry],
        f"{finding.samples}",
    )


def _same(finding: Finding, forward: list[Finding]) -> bool:
    """Whether it makes no difference that the other end opened."""
    twin = next((one for one in forward if f"reverse_{one.name}" == finding.name), None)
    if twin is None or (twin.kind, twin.expiry) != (finding.kind, finding.expiry):
        return False
    mine, theirs = finding.bound, twin.bound
    if mine.broken_ns is None or theirs.broken_ns is None:
        return mine.broken_ns is theirs.broken_ns
    return abs(mine.broken_ns - theirs.broken_ns) <= max(mine.broken_ns, theirs.broken_ns) * _SAME


def _raw_row(finding: Finding) -> tuple[str, ...]:
    bound = finding.bound
    kept = "never" if bound.kept_ns is None and bound.broken_ns is not None else format_precise(bound.kept_ns)
    return (
        finding.title,
        kept,
        format_precise(bound.broken_ns),
        _THEN_RAW[finding.expiry] if finding.conclusive else "not decided",
        f"{finding.samples}",
    )


def _odd_row(finding: Finding) -> tuple[str, ...]:
    def share(number: int) -> str:
        if not finding.conclusive:
            return "not decided"
        if number in (0, finding.samples):
            return "passes" if number else "dropped"
        return f"{number} of {finding.samples} pass"

    resets = "" if finding.name == "crossing_fins" else share(finding.rst_seen)
    return finding.title, resets, share(finding.bound.kept), f"{finding.samples}"


def format_precise(ns: int | None) -> str:
    """Return a duration to the millisecond below a minute, or a dash."""
    if ns is None:
        return "–"
    return f"{ns / 1e9:.3f} s" if ns < 60 * 10**9 else f"{ns / 1e9:,.1f} s"


def meaning(finding: Finding) -> str:
    """Return what a finding means for an application, as a sentence."""
    half = finding.topic is Topic.half_close
    end = finding.name.rpartition("_")[2]
    what = (
        f"After the {end}'s FIN the other direction"
        if half
        else f"An open connection on which the {end} speaks next"
    )
    if finding.via is Via.reverse:
        what = f"Opened by the other end: {what[0].lower()}{what[1:]}"
    bound = finding.bound
    bad = (
        ""
        if not finding.bad
        else f" {plural(sum(finding.bad.values()), 'trial')} proved nothing ({next(iter(finding.bad))})."
    )
    if not finding.conclusive:
        return f"{what}: not decided; {finding.samples} trials counted, {bound.doubtful} contradict the others.{bad}"
    if bound.broken_ns is None:
        return f"{what} survived {format_precise(bound.kept_ns)} of silence, the longest that was tried.{bad}"
    if bound.kept_ns is None:
        return f"{what} is already broken after {format_precise(bound.broken_ns)} of silence.{bad}"
    kind = {
        Kind.idle: "; it is an idle timer: traffic keeps the connection",
        Kind.absolute: "; it is an absolute timer: traffic does not help",
    }.get(finding.kind, "")
    return f"{what} lasts {format_precise(bound.kept_ns)}{kind}. {_consequence(finding, half)}{bad}"


def _consequence(finding: Finding, half: bool) -> str:
    match finding.expiry:
        case Expiry.silent:
            tail = " and the end that sent FIN waits for ever" if half else ""
            return f"Then data is swallowed: the sender repeats it until it gives up{tail}."
        case Expiry.reset_sender:
            return f"Then data is answered by RST{_who_resets(finding)}; the other end hears nothing."
        case Expiry.reset_both:
            return "Then data is answered by RST, and the other end gets one too."
        case Expiry.reset_at_expiry:
            return "A RST comes when the time is over, without any data."
        case Expiry.one_way:
            return "Then data still arrives but its acknowledgments do not come back."
        case Expiry.answered:
            return "Then something on the path acknowledges data that never arrives."
        case _:
            return "What happens then differs from trial to trial."


def _who_resets(finding: Finding) -> str:
    """Return a careful word on where the RST came from, by its time against a round trip."""
    if finding.reset_latency_ns is None or not finding.rtt_ns or finding.rtt_ns < 5_000_000:
        return ""
    if finding.reset_latency_ns * 2 < finding.rtt_ns:
        return " (sooner than the far end could: consistent with a box on the path)"
    return " (after about a round trip: a box near the far end, or the far end, which does not know the new tuple)"


def _reuse(page: Page, answer: PathAnswer) -> None:
    for way, text in (("fin", "both FINs"), ("rst", "a RST")):
        mine = sorted((one for one in answer.facts.reuse if one.way == way), key=lambda one: one.wait_ns)
        mine = [one for one in mine if one.outcome != "failed"]
        if not mine:
            continue
        bad = [one for one in mine if one.outcome != "works"]
        if not bad:
            said = "the same ports could be used again at once"
        else:
            last = max(one.wait_ns for one in bad)
            fine = [one.wait_ns for one in mine if one.outcome == "works" and one.wait_ns > last]
            until = f", from {format_duration(fine[0])} on they work" if fine else ""
            said = f"a SYN on the same ports was {bad[-1].outcome} up to {format_duration(last)} later{until}"
        page.say(f"After {text}, {said}.", indent="  • ", hang="    ")


#: Topic -> its line, the shortest time of RFC 5382, and how that is written. One FIN leaves a session established;
#: handshakes, and sessions with both FINs, are transitory.
_LINES = {
    Topic.half_close: ("one FIN", RFC5382_ESTABLISHED_NS, "2 h 4 min"),
    Topic.idle: ("idle", RFC5382_ESTABLISHED_NS, "2 h 4 min"),
    Topic.opening: ("opening", RFC5382_TRANSITORY_NS, "4 min"),
    Topic.closed: ("both FINs", RFC5382_TRANSITORY_NS, "4 min"),
}


def _reference(page: Page, answer: PathAnswer) -> None:
    page.heading("RFC 5382, REQ-5 (a line of reference, for NATs)")
    for topic, (title, least, said) in _LINES.items():
        mine = [one.bound for one in answer.findings if one.topic is topic and one.conclusive]
        if not mine:
            continue
        broken = min((one.broken_ns for one in mine if one.broken_ns is not None), default=None)
        kept = min(one.kept_ns or 0 for one in mine)
        if broken is not None and broken < least:
            word = f"shorter: {format_precise(broken)}"
        elif kept >= least:
            word = "met"
        else:
            word = f"not tested that long ({format_precise(kept)} kept)"
        page.line(f"  {title}, {said}: {word}")


def _matches(page: Page, answer: PathAnswer) -> None:
    if not any(finding.bound.broken_ns for finding in answer.findings):
        return
    page.heading("Systems with such timers")
    if not answer.matches:
        page.say("None of those that LastACK knows has these values by default; timers can be configured.")
        return
    for match in answer.matches[:_SHOWN_MATCHES]:
        page.say(
            f"{match.known.title} ({match.known.name}): {', '.join(match.fits)}", indent="  • ", hang="    "
        )
    if len(answer.matches) > _SHOWN_MATCHES:
        page.say(f"and {len(answer.matches) - _SHOWN_MATCHES} more")
    page.say("Defaults only: consistent with, not proof of.", style="dim")
