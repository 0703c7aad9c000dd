"""Generated flows, in labs: the founding story, who may open, and what a serving end refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from tests.system.lab_tools import needs_lab

from lastack.lab import Lab, LabError
from lastack.lab.traffic import Agent, FlowReport, Limits, Runner, deal
from lastack.lab.traffic.control import control_preamble, present, streams
from lastack.model.errors import AccessError

pytestmark = [pytest.mark.system, needs_lab]
S = 10**9


def play(
    lab: Lab,
    plans: Sequence[Any],
    *,
    serve: dict[str, Any] | None = None,
    version: int = 4,
    **options: Any,
) -> list[FlowReport]:
    """Run flows from the client with an agent on the server."""

    async def both() -> list[FlowReport]:
        agent = Agent(open_socket=lab.server.socket, **(serve or {}))
        port = await agent.listen("", 0)
        try:
            runner = Runner(plans, open_socket=lab.client.socket, **{"stall_ns": S, **options})
            return await runner.run(lab.server.address(version), port)
        finally:
            await agent.close()

    return asyncio.run(both())


def outcomes(reports: Sequence[FlowReport], close: str) -> set[str]:
    return {report.finding().outcome for report in reports if report.plan.close == close}


def test_story__behind_a_nat_that_frees_a_session_after_its_first_fin_only_half_closed_flows_stop() -> None:
    plans = deal(8, sizes=(120_000,), rates_bps=(800_000,), closes=("half-close", "when-finished"))
    with Lab("nat", half_closed_life_ms=600) as lab:
        reports = play(lab, plans)
    assert outcomes(reports, "half-close") == {"stopped"}
    assert outcomes(reports, "when-finished") == {"done"}
    ages = [report.finding().after_fin_ns for report in reports if report.plan.close == "half-close"]
    assert all(age is not None and 0.45 * S < age < 0.75 * S for age in ages), ages


def test_story__behind_a_nat_with_an_idle_timer_pauses_longer_than_it_stop_half_closed_flows() -> None:
    # bursts 1.4 s apart, through Linux's own conntrack with 1 s for half-closed sessions
    plans = deal(
        6,
        sizes=(30_000,),
        rates_bps=(86_000,),
        every_ns=round(1.4 * S),
        closes=("half-close", "when-finished"),
    )
    with Lab("nat", timers={"half_closed": 1}) as lab:
        reports = play(lab, plans, stall_ns=S // 2)
    assert outcomes(reports, "half-close") == {"stopped"}
    assert outcomes(reports, "when-finished") == {"done"}
    first_burst = round(86_000 * 1.4 / 8)
    assert {report.near.received for report in reports if report.plan.close == "half-close"} == {first_burst}


def test_flows__all_lives_end_as_planned_on_a_good_path() -> None:
    plans = deal(
        54,
        sizes=(0, 1, 50_000),
        directions=("up", "down", "both"),
        closes=("half-close", "when-finished", "rst"),
    )
    with Lab("direct") as lab:
        reports = play(
            lab, plans + deal(4, sizes=(10,), directions=("both",), think_ns=S // 10, hold_ns=S // 10)
        )
    assert {report.finding().outcome for report in reports} == {"done"}, reports
    for report in reports:
        assert (report.far.received, report.near.received) == (report.plan.up_bytes, report.plan.down_bytes)
        assert report.near.closed_ns is not None
    late = reports[-1]
    assert late.far.first_sent_ns - late.far.last_received_ns > 0.09 * S  # type: ignore[operator]
    assert late.near.fin_sent_ns - late.near.last_received_ns > 0.09 * S  # type: ignore[operator]


@pytest.mark.parametrize("version", [4, 6])
def test_flows__the_far_end_opens_them_through_a_forwarded_port(version: int) -> None:
    plans = deal(4, sizes=(1000,), directions=("up", "down"), opener="far")
    with Lab("nat", forwards=(5253,)) as lab:
        reports = play(lab, plans, version=version, data_port=5253)
    assert {report.finding().outcome for report in reports} == {"done"}


def test_flows__that_cannot_be_opened_are_told_apart() -> None:
    with Lab("direct") as lab:
        lab.client.nft("chain c {\n type filter hook input priority 0;\n tcp dport 5253 drop\n}")
        plans = deal(2, sizes=(10,), opener="far")
        assert {r.finding().outcome for r in play(lab, plans, data_port=5253, stall_ns=S // 4)} == {
            "unanswered"
        }
        lab.client.nft(
            "chain c {\n type filter hook input priority 0;\n tcp dport 5253 reject with tcp reset\n}"
        )
        reports = play(lab, plans, data_port=5253, stall_ns=S // 4)
    assert {report.far.outcome for report in reports} == {"refused"}


def test_flows__an_end_inside_a_nat_dials_out_to_the_run_that_waits_outside() -> None:
    async def both(lab: Lab) -> list[FlowReport]:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        runner = Runner(deal(3, sizes=(500,), opener="far"), open_socket=lab.server.socket, stall_ns=S)
        running = asyncio.ensure_future(runner.run_when_called("", 0, ready.set_result, 5))
        agent = Agent(open_socket=lab.client.socket)
        try:
            await agent.dial_out(lab.server.address(), await ready)
            return await running
        finally:
            await agent.close()

    with Lab("nat") as lab:
        reports = asyncio.run(both(lab))
    assert {report.finding().outcome for report in reports} == {"done"}
    assert {report.far_address.rsplit(":", 1)[0] for report in reports} == {"192.0.2.1"}


def test_flows__a_reset_on_the_way_is_told_with_its_time() -> None:
    plans = deal(2, sizes=(200_000,), rates_bps=(800_000,), closes=("half-close",))
    with Lab("nat", half_closed_life_ms=400, expired="reset") as lab:
        reports = play(lab, plans)
    for report in reports:
        found = report.finding()
        assert found.outcome == "reset"
        assert found.after_fin_ns is not None
        assert 0.25 * S < found.after_fin_ns < 0.6 * S


@pytest.mark.parametrize(
    ("serve", "options", "error", "message"),
    [
        ({"token": "right"}, {"token": "wrong"}, AccessError, "refuses: wrong token"),
        ({"token": "right"}, {}, AccessError, "refuses: wrong token"),
        ({"limits": Limits(flows=1)}, {}, AccessError, "a test may have 1 flows here"),
        ({"limits": Limits(flow_bytes=5)}, {}, AccessError, "a flow may carry 5 bytes here"),
        ({"limits": Limits(sessions=0)}, {}, AccessError, "0 tests run already"),
    ],
)
def test_agent__lends_only_what_it_was_told_to(
    serve: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with Lab("direct") as lab, pytest.raises(error, match=message):
        play(lab, deal(3, sizes=(10,)), serve=serve, **options)


def test_agent__ends_a_test_whose_time_is_over() -> None:
    with Lab("direct") as lab:
        reports = play(
            lab,
            deal(1, sizes=(100_000,), rates_bps=(80_000,)),
            serve={"limits": Limits(session_s=0.3)},
            stall_ns=S // 4,
        )
    assert reports[0].finding().outcome != "done"


def test_agent__strangers_get_nothing() -> None:
    async def strange(lab: Lab, words: bytes) -> bytes:
        agent = Agent(open_socket=lab.server.socket)
        port = await agent.listen("", 0)
        try:
            with lab.client.socket() as sock:
                sock.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(sock, (lab.server.address(), port))
                await loop.sock_sendall(sock, words)
                try:
                    return await asyncio.wait_for(loop.sock_recv(sock, 100), 3)
                except ConnectionResetError:
                    return b""
        finally:
            await agent.close()

    with Lab("direct") as lab:
        for words in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"LTD1" + bytes(20), bytes(24)):
            assert asyncio.run(strange(lab, words)) == b"", words


def test_run__a_host_that_serves_nothing_is_told() -> None:
    async def run(lab: Lab) -> None:
        await Runner(deal(1), open_socket=lab.client.socket).run(lab.server.address(), 7, timeout_s=0.2)

    with (
        Lab("direct") as lab,
        pytest.raises(LabError, match="Connection refused; start `lastack lab traffic serve`"),
    ):
        asyncio.run(run(lab))


BAD_MESSAGES = [
    b"\n", b"[]\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"type": 3}\n', b"x" * 400_000 + b"\n",
    b'{"type": "plan"}\n', b'{"type": "plan", "flows": [3], "first": 1, "stall_ns": 1}\n',
    b'{"type": "plan", "flows": [{"up_bytes": -1}], "first": 1, "stall_ns": 1}\n',
    b'{"type": "plan", "flows": [{}], "first": 1e99, "stall_ns": 1}\n',
    b'{"type": "open", "flow": [], "port": 5}\n', b'{"type": "open", "flow": {}, "port": {}}\n',
    b'{"type": "open", "flow": 1, "port": 99999999}\n', b'{"type": "nonsense"}\n', b'{"type": "bye"',
]  # fmt: skip


def test_agent__serves_on_whatever_it_is_told() -> None:
    async def annoy(lab: Lab) -> list[FlowReport]:
        agent = Agent(open_socket=lab.server.socket)
        port = await agent.listen("", 0)
        try:
            for message in BAD_MESSAGES:
                with lab.client.socket() as sock:
                    sock.setblocking(False)
                    loop = asyncio.get_running_loop()
                    await loop.sock_connect(sock, (lab.server.address(), port))
                    await loop.sock_sendall(sock, control_preamble())
                    control = await streams(sock.dup())
                    await present(control, "")
                    await control.expect("ready")
                    await loop.sock_sendall(sock, message)
                    sock.shutdown(1)
                    with contextlib.suppress(LabError):
                        while True:
                            await control.hear(3)
                    await control.close()
            runner = Runner(deal(2, sizes=(10,)), open_socket=lab.client.socket, stall_ns=S)
            return await runner.run(lab.server.address(), port)
        finally:
            await agent.close()

    with Lab("direct") as lab:
        reports = asyncio.run(annoy(lab))
    assert {report.finding().outcome for report in reports} == {"done"}
