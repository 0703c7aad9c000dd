"""What commands and pages make of answers is the same over a folder and over ClickHouse's engine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.clickhouse import Double, why_not
from tests.unit.web.asgi import Client

from lastack.app.compare import Period, compare
from lastack.app.grouped import Source, open_source
from lastack.app.options import TrackOptions
from lastack.app.overview import Keep, survey_inputs
from lastack.app.push import push_dataset
from lastack.app.recommend import recommend
from lastack.app.report import gather
from lastack.app.series import distribution, level_chart, time_chart
from lastack.app.show import Wish, show_session
from lastack.app.timers import search_timers
from lastack.app.whatif import run_whatif, scenario, swept
from lastack.model.errors import UsageError
from lastack.query.keys import parse_keys
from lastack.query.levels import LEVELS
from lastack.query.metrics import METRICS
from lastack.query.parse import parse_filter
from lastack.query.question_text import parse_question
from lastack.view.compare import render_json as compared_json
from lastack.web.server import make_app

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
ROOT = Path(__file__).resolve().parents[3]
#: A network that did everything, and small ones of the kinds that what-ifs and searches look for.
CAPTURES = (
    "samples/closes.pcapng",
    *(
        f"tests/captures/{name}.pcap"
        for name in ("half_closed_waiting", "nat_half_closed_reset", "peer_rebooted", "reconnect_after_crash")
    ),
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the folder of a dataset, and the URL of a database with the same sessions."""
    folder = tmp_path_factory.mktemp("app")
    double = Double(folder / "engine")
    double.start()
    try:
        path = folder / "kept"
        survey_inputs(
            [str(ROOT / name) for name in CAPTURES], keep=Keep(path), options=TrackOptions(threads=1)
        )
        push_dataset(str(path), double.url("kept"))
        yield str(path), double.url("kept")
    finally:
        double.kill()


@pytest.fixture(scope="module")
def sources(places: tuple[str, str]) -> Iterator[tuple[Source, Source]]:
    with open_source([places[0]]) as folder, open_source([places[1]]) as database:
        yield folder, database


def plain(value: Any) -> Any:
    """Return a value as one that can be compared: arrays as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def outcome(answer: Any) -> Any:
    """Return what a box did, without the object that more is computed from."""
    return {name: value for name, value in plain(answer.outcome).items() if name != "spans"}


def near(ours: Any, theirs: Any) -> bool:
    """Return whether values are the same; sums of seconds are of doubles, in the order in which the rows come."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(near(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(near, ours, theirs))
    if isinstance(ours, float):
        return bool(math.isclose(ours, theirs, rel_tol=1e-13, abs_tol=1e-13))
    return type(ours) is type(theirs) and bool(ours == theirs)


def test_run__what_was_read_is_known_from_the_database_too(sources: tuple[Source, Source]) -> None:
    assert sources[1].run == sources[0].run
    assert sources[1].run.packets > 2000


@pytest.mark.parametrize(
    ("metrics", "by"), [("sessions,rst", ""), ("p99(ct),harmed_share", "app"), ("bytes", "server")]
)
def test_chart__over_time_is_the_same(sources: tuple[Source, Source], metrics: str, by: str) -> None:
    question = parse_question(metrics, by, "packets > 1", top=3)
    ours, theirs = (plain(time_chart(source, question)) for source in sources)
    assert theirs == ours
    assert ours["series"]


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_level__is_the_same(sources: tuple[Source, Source], name: str) -> None:
    ours, theirs = (plain(level_chart(source, LEVELS[name])) for source in sources)
    assert theirs == ours


@pytest.mark.parametrize("name", ["ct", "half_closed", "bytes"])
def test_distribution__is_the_same(sources: tuple[Source, Source], name: str) -> None:
    key = parse_keys("cause")[0]
    ours, theirs = (distribution(source, METRICS[name], None, key, top=99) for source in sources)
    assert theirs.edges == ours.edges
    assert dict(theirs.counts) == dict(ours.counts)


def test_overview__is_the_same(places: tuple[str, str]) -> None:
    ours, theirs = (survey_inputs([place]).to_json() for place in places)
    assert theirs == ours
    assert ours["ledger"]["attempts"] > 200


def test_comparison__is_the_same(sources: tuple[Source, Source]) -> None:
    first, last = sources[0].run.first_ns, sources[0].run.last_ns
    assert first is not None
    assert last is not None
    middle = first + 20 * 10**9
    found = []
    for source in sources:
        early, late = parse_filter(f"start < {middle}"), parse_filter(f"start >= {middle}")
        found.append(
            compared_json(compare(Period("a", source, early, 20.0), Period("b", source, late, 20.0)))
        )
    assert found[1] == found[0]


@pytest.mark.parametrize("profile", ["panos", "linux_conntrack"])
def test_whatif__and_what_follows_are_the_same(sources: tuple[Source, Source], profile: str) -> None:
    base = scenario(profile)
    sweep = swept(base, "half_closed", [10**9, 10**10, 10**11])
    outcomes = []
    for source in sources:
        answer = run_whatif(source, [base, sweep])
        outcomes.append([outcome(one) for one in answer.answers] + [plain(answer.odd)])
    assert near(outcomes[1], outcomes[0])
    advice = [recommend(source, base, 0.01) for source in sources]
    assert near(plain(advice[1].point), plain(advice[0].point))
    assert advice[1].sessions == advice[0].sessions > 200


def test_search_for_timers__finds_the_same(sources: tuple[Source, Source]) -> None:
    ours, theirs = (search_timers(source) for source in sources)
    assert (theirs.deaths, theirs.watched) == (ours.deaths, ours.watched)
    assert plain([found for found, _ in theirs.found]) == plain([found for found, _ in ours.found])


def test_report__has_the_same_tables_and_causes(
    places: tuple[str, str], sources: tuple[Source, Source]
) -> None:
    ours, theirs = (gather(source, [place]) for source, place in zip(sources, places, strict=True))
    assert plain(theirs.tables) == plain(ours.tables)
    assert [(c.cause, c.sessions, c.harmed, len(c.examples)) for c in theirs.causes] == [
        (c.cause, c.sessions, c.harmed, len(c.examples)) for c in ours.causes
    ]


def test_show__has_the_same_record_verdict_and_packets(places: tuple[str, str]) -> None:
    wish = Wish(parse_filter("ending = half_closed"))
    ours, theirs = (show_session([place], wish, TrackOptions(threads=1)) for place in places)
    assert ours is not None
    assert theirs is not None
    assert (theirs.row, plain(theirs.verdict)) == (ours.row, plain(ours.verdict))
    assert theirs.found is not None
    assert len(theirs.matches) == len(ours.matches)


def test_inputs__beside_a_database_are_refused(places: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="asked alone"), open_source([*places]):
        pass


API = (
    "/overview", "/times", "/findings", "/overview?filter=rst>0", "/half-closed", "/half-closed?by=port",
    "/table?by=service&metrics=rst.srv/connection,sessions", "/table?by=client&metrics=distinct(server.ip)&top=2",
    "/table?by=cause&metrics=p99(ct)&having=sessions>3", "/series?metrics=sessions", "/level?name=open_now",
    "/series?metrics=rst&by=app", "/distribution?metric=ct", "/distribution?metric=half_closed&by=cause",
    "/sessions?sort=start&limit=20", "/sessions?sort=-start&offset=10&limit=5&filter=fin>0",
    "/sessions/all?sort=session_id&format=csv", "/whatif?profile=panos", "/profiles", "/vocabulary",
)  # fmt: skip


@pytest.fixture(scope="module")
def clients(places: tuple[str, str]) -> tuple[Client, Client]:
    return Client(make_app([places[0]])), Client(make_app([places[1]]))


@pytest.mark.parametrize("path", API)
def test_api__answers_the_same(clients: tuple[Client, Client], path: str) -> None:
    ours, theirs = (client.get(f"/api/v1{path}") for client in clients)
    assert (ours.status_code, theirs.status_code) == (200, 200), theirs.text
    if "csv" in path:
        assert theirs.text == ours.text
        return
    mine, other = ours.json(), theirs.json()
    for answer in (mine, other):
        for name in ("version", "seconds"):
            answer.pop(name, None)
    assert near(other, mine) if "whatif" in path else other == mine


def test_api__tells_what_is_served(clients: tuple[Client, Client]) -> None:
    ours, theirs = (client.get("/api/v1/status").json() for client in clients)
    (mine,), (other,) = ours["datasets"], theirs["datasets"]
    assert (other["name"], other["sessions"], other["state"]) == ("kept", mine["sessions"], "complete")
    assert {**theirs, "datasets": 0, "version": 0} == {**ours, "datasets": 0, "version": 0}


def test_api__a_session_by_its_id_with_its_packets(clients: tuple[Client, Client]) -> None:
    row = clients[0].get("/api/v1/sessions?limit=1").json()["rows"][0]
    for path in (f"/sessions/{row['session_id']}", f"/sessions/{row['session_id']}/ladder"):
        ours, theirs = (client.get(f"/api/v1{path}").json() for client in clients)
        assert theirs == ours, path


def test_pages__do_not_tell_the_password(places: tuple[str, str]) -> None:
    url = places[1].replace("://", "://default:secret@")
    client = Client(make_app([url]))
    for path in ("/", "/api/v1/status", "/sessions"):
        assert "secret" not in client.get(path).text
    assert json.loads(client.get("/api/v1/status").text)["datasets"][0]["name"] == "kept"


def test_pages__follow_a_database_and_never_wait_for_it(places: tuple[str, str], tmp_path: Path) -> None:
    from lastack.web import library

    url = places[1].replace("/kept", "/grows")
    first = str(ROOT / "tests/captures/refused.pcap")
    survey_inputs([first], keep=Keep(tmp_path / "a"), options=TrackOptions(threads=1))
    push_dataset(str(tmp_path / "a"), url)
    shelf = library.Library([url])
    before = shelf.snapshot()
    push_dataset(places[0], url)
    shelf._asked -= library._ASK_AGAIN_S
    assert shelf.snapshot() is before, "what is new is asked beside"
    with shelf._refreshing:  # the asking is over
        after = shelf.snapshot()
    assert after.version != before.version
    assert after.rows > before.rows
    shelf._asked -= library._ASK_AGAIN_S
    shelf.snapshot()
    with shelf._refreshing:
        assert shelf.snapshot() is after, "nothing is new"


def test_question__at_work_can_be_stopped_and_one_that_is_over_is_left_alone(places: tuple[str, str]) -> None:
    from lastack.store.guard import Stoppable, guarded

    announced: list[Stoppable] = []
    with open_source([places[1]]) as source, guarded(lambda _: None, announced.append):
        source.grouped(parse_question("sessions", "cause"))
    assert len(announced) > 4
    for question in announced:
        question.interrupt()
    assert all(question.over for question in announced)
