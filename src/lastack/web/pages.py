"""The pages: where each is, what it is called, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One view.

    Attributes:
        path: Its address.
        name: Name of its template and of its module.
        title: What the navigation calls it.
        key: Letter that goes there after `g`.
        about: One sentence under its title.
        explains: What its numbers mean, as term and text.
        listed: It stands in the navigation.
    """

    path: str
    name: str
    title: str
    key: str
    about: str
    explains: tuple[tuple[str, str], ...] = ()
    listed: bool = True


_HARM = (
    "Took harm",
    "A session took harm if it could not open, lost data, lost its close, or stalled. A RST alone is no harm: most "
    "come after both ends had closed, or end what nobody needed any more.",
)

PAGES: tuple[Page, ...] = (
    Page(
        "/",
        "overview",
        "Overview",
        "o",
        "How TCP sessions opened and how they ended, each counted once.",
        (
            (
                "Attempt",
                "A session whose first SYN was seen. Attempts = established + all ways to fail; what does not add up "
                "is shown as a residual, never hidden.",
            ),
            (
                "Ending",
                "What was seen of the end. The colours go from the normal end (a FIN from each end) to the odd ones.",
            ),
            _HARM,
            (
                "Time",
                "A session stands at its last packet. So a firewall that forgets thousands of sessions at once is "
                "one spike, however old they were.",
            ),
        ),
    ),
    Page(
        "/events",
        "events",
        "TCP events",
        "e",
        "SYN, handshakes, FIN and RST of each client → server pair, both directions side by side.",
        (
            ("SYN per connection", "1 is normal. Above 1, opens are repeated or fail."),
            (
                "RST per connection",
                "RSTs that one side sent, for each connection. High on the server's side alone: a server or what is "
                "before it ends connections. High on the client's side: often browsers that abort, or monitors.",
            ),
            ("FIN per connection", "2 is normal: one from each end."),
        ),
    ),
    Page(
        "/sessions",
        "sessions",
        "Sessions",
        "s",
        "One row for each session. Click a cell to filter by it, a row to see all about it.",
        (
            (
                "close order",
                "The order of the first FIN and RST of each end: F R the client's, f r the server's. `Ff` is the "
                "normal close by the client; `Fr` a server that answered the client's FIN by a RST.",
            ),
            _HARM,
        ),
    ),
    Page("/session", "session", "Session", "", "", listed=False),
    Page(
        "/resets",
        "resets",
        "Resets",
        "r",
        "Who sent RSTs, when in a session, and whether they cost anything.",
        (
            (
                "When",
                "A RST that refuses a SYN says that nobody listens. One after both FINs is harmless. One in "
                "mid-session is what users feel.",
            ),
            (
                "Who",
                "The end that the packet says it is from. One capture point cannot prove that: where a RST does not "
                "fit its sender (TTL, IP-ID, sequence numbers), the verdict says so, with its evidence.",
            ),
            _HARM,
        ),
    ),
    Page(
        "/half-closed",
        "half_closed",
        "Half-closed",
        "h",
        "One end has sent its FIN, the other has not: how long that lasts, and which boxes would have forgotten it.",
        (
            (
                "The curve",
                "The share of half-closed sessions that lasted longer than a time (CCDF, both axes logarithmic). A "
                "step down at a vendor's line is a timer at work.",
            ),
            (
                "Lines",
                "How long boxes of known vendors keep a half-closed session by default. What lies right of a line "
                "would not survive there if it is silent for so long.",
            ),
        ),
    ),
    Page(
        "/opening",
        "opening",
        "Opening",
        "p",
        "Attempts that did not become a connection: refused, unanswered, half-open, aborted.",
        (
            ("Refused", "Answered by a RST or an ICMP error: nobody listens, or a firewall rejects."),
            ("Unanswered", "No answer at all: the host is down, or a firewall drops."),
            (
                "Half-open",
                "The server answered, the client never completed: a SYN flood if from many addresses, a scan or a "
                "monitor if from one.",
            ),
        ),
    ),
    Page(
        "/whatif",
        "whatif",
        "What if",
        "w",
        "What a firewall's timers would have broken, and what its table would have held.",
        (
            (
                "Broken",
                "Sessions that go on after the box has forgotten them, so that something is lost: computed for every "
                "session from the silences that its record keeps, not sampled.",
            ),
            ("Least and most", "Where the record leaves something open, both bounds are drawn."),
            ("Table entries", "Sessions that the box holds at a time: mean over the capture."),
        ),
    ),
    Page(
        "/compare",
        "compare",
        "Compare",
        "c",
        "What changed between two periods by more than chance explains.",
        (
            (
                "Surely",
                "The end of the 95 % interval that is nearest to no change, corrected for the number of comparisons.",
            ),
            (
                "Sessions",
                "How many more, or fewer, there are at least than the other period's rate explains.",
            ),
        ),
    ),
    Page(
        "/graphs",
        "graphs",
        "Graphs",
        "m",
        "Any metric by any key, over time or spread; kept in this browser.",
        (
            (
                "Metrics",
                "Counts, sums, percentiles, quotients: `refused_share`, `p99(ct)`, `rst.srv/connection`.",
            ),
        ),
    ),
)
