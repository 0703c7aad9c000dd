"""Whether raw segments reach the responder at all: a firewall may let its first port through and not the second."""

from __future__ import annotations

from lastack.prober.loop import Loop
from lastack.prober.raw_flows import RawClient
from lastack.prober.trial import Before, EndReport, Raw, Side, Step, Trial, Via

_TRIES = 3
#: Far from the numbers of a plan.
_FIRST = 1 << 40


def unreachable(loop: Loop, client: RawClient) -> str:
    """Return why the responder's raw port cannot be used, empty if it answers; takes a second, or three.

    Args:
        loop: The loop, which runs meanwhile.
        client: This end's raw trials, none begun yet.
    """
    reports: list[EndReport] = []
    after = client.over

    def over(report: EndReport) -> None:
        reports.append(report)
        if not report.error or len(reports) == _TRIES:
            loop.stop()

    client.over = over
    raw = Raw(Before.opening, Step.ack)
    client.start([Trial(_FIRST + n, "check", Side.client, None, 0, 0, Via.raw, raw) for n in range(_TRIES)])
    loop.run()
    client.over = after
    if any(not report.error for report in reports):
        return ""
    return (
        f"the responder's raw port does not answer ({reports[0].error}): let it through where a firewall stands, "
        "or choose another with `probe responder --raw-port`"
    )
