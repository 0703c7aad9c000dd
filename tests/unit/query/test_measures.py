"""Lists of metrics and keys as people write them, and what is said when they slip."""

from __future__ import annotations

import pytest
from tests.unit.query.rows import random_rows

from lastack.model.errors import UsageError
from lastack.query.keys import parse_keys
from lastack.query.mask import mask_rows
from lastack.query.measure_text import parse_measures, split_list
from lastack.query.measures import Fold
from lastack.query.metrics import Kind
from lastack.query.parse import parse_filter
from lastack.query.questions import log_edges, parse_having, parse_sort
from lastack.query.vocabulary import COUNTS, RATES, SHARES, counted, shared


def names(text: str) -> list[str]:
    return [measure.name for measure in parse_measures(text)]


def complaint(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_measures(text)
    return str(caught.value)


def test_list__keeps_order_and_drops_repeats() -> None:
    assert names("rst, sessions ,rst") == ["rst", "sessions"]


def test_list__commas_in_calls_belong_to_the_call() -> None:
    assert names("count(server.port in {80, 443}),sessions") == [
        "count(server.port in {80, 443})",
        "sessions",
    ]
    assert names('count(history = "a,)b"),sessions') == ['count(history = "a,)b")', "sessions"]


def test_split__tells_the_column_of_each_part() -> None:
    assert split_list("a,  b ,c") == [(0, "a"), (4, "b"), (7, "c")]


def test_name__of_a_filter_means_a_sum() -> None:
    (measure,) = parse_measures("rst.count.srv")
    assert (measure.above.fold, measure.adds_up, measure.kind) == (Fold.sum, True, Kind.number)


def test_quotient__of_a_word_and_of_any_measure() -> None:
    by_word, by_name = parse_measures("rst.srv/connection,rst.srv/connections")
    assert (by_word.above, by_word.below) == (by_name.above, by_name.below)
    assert by_word.name == "rst.srv/connection"
    (calls,) = parse_measures("count(rst > 0)/count(fin > 0)")
    assert calls.name == "count(rst > 0)/count(fin > 0)"


@pytest.mark.parametrize("text", [*COUNTS, *SHARES, *RATES])
def test_declared__can_be_asked_for(text: str) -> None:
    assert names(text) == [text]


def test_ledger__attempts_are_connections_and_failures() -> None:
    batch = random_rows(500, 3)
    masks = {
        name: mask_rows(parse_filter(COUNTS[name][0]), batch)
        for name in ("attempts", "connections", "failed")
    }
    assert (masks["attempts"] == (masks["connections"] | masks["failed"])).all()
    assert not (masks["connections"] & masks["failed"]).any()


@pytest.mark.parametrize("name", SHARES)
def test_share__never_exceeds_one(name: str) -> None:
    batch, measure = random_rows(800, 4), shared(name)
    assert measure is not None
    assert measure.below is not None
    above, below = (mask_rows(atom.where, batch) for atom in measure.atoms)
    # Random rows join openings and endings that never meet: only the combinations that exist are held to it.
    possible = mask_rows(
        parse_filter("opening in {established, simultaneous, midstream} or ending = never_opened"), batch
    )
    assert not (above & ~below & possible).any()


def test_counted__unknown_name_is_none() -> None:
    assert counted("sesions") is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sesions", "did you mean sessions?"),
        ("rts.srv", "did you mean rst.srv?"),
        ("p99(ctt)", "did you mean ct?"),
        ("p0(ct)", "no percentile"),
        ("p99(cause)", "ask for distinct(cause)"),
        ("avrg(ct)", "did you mean avg(…)?"),
        ("server.port", "ask for distinct(server.port)"),
        ("end", "ask for p50(end)"),
        ("sum(start)", "does not add up"),
        ("count()", "takes a filter"),
        ("count(rts > 0)", "did you mean rst"),
        ("refused_share/connection", "quotient already"),
        ("distinct(client.ip)/p50(end)", "no amount"),
        ("sessions,,rst", "a metric was expected"),
    ],
)
def test_error__names_what_was_meant(text: str, part: str) -> None:
    assert part in complaint(text)


@pytest.mark.parametrize(
    ("text", "share"), [("p99.9", 0.999), ("p0.007", 0.00007), ("p50", 0.5), ("p99.999", 0.99999)]
)
def test_percentile__has_the_share_that_it_says_to_the_last_digit(text: str, share: float) -> None:
    (measure,) = parse_measures(f"{text}(ct)")
    assert measure.above.share == share


def test_error__points_at_the_place() -> None:
    assert complaint("sessions,rts.srv").splitlines()[1:] == ["  sessions,rts.srv", "           ^^^^^^^"]


def test_keys__short_names() -> None:
    assert [key.name for key in parse_keys("service,client")] == ["server.ip", "server.port", "client.ip"]
    assert parse_keys("") == ()


def test_keys__time_has_a_width() -> None:
    (key,) = parse_keys("time", 10**9)
    assert (key.name, key.width_ns) == ("time", 10**9)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sorver", "did you mean server?"),
        ("time", "--every 10s"),
        ("ct", "an amount, not a name"),
        ("start", "group by `time`"),
        ("duration", "an amount"),
        ("app,,cause", "a key was expected"),
    ],
)
def test_keys__errors(text: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_keys(text)
    assert part in str(caught.value)


def test_having__knows_calls_quotients_and_keys() -> None:
    measures, keys = parse_measures("sessions"), parse_keys("port")
    text = "count(rst > 0 and (fin = 0))/sessions > 5% and p99.9(ct) > 5ms and server.port != 80 and sessions > 3"
    _, more = parse_having(text, measures, keys)
    assert [measure.name for measure in more] == ["count(rst > 0 and (fin = 0))/sessions", "p99.9(ct)"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sesions > 3", "did you mean sessions?"),
        ("p99(ct) > 5", "give a unit"),
        ("client.ip = 10.0.0.1", "ask for distinct(client.ip)"),
        ("count(rst > 0 > 5", "not closed"),
        ("refused_share > lots", "a number such as 0.5 or 5%"),
    ],
)
def test_having__errors_point_at_the_place(text: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_having(text, parse_measures("sessions"), parse_keys("port"))
    assert str(caught.value).startswith("having: ")
    assert part in str(caught.value)
    assert "^" in str(caught.value)


def test_sort__measures_fall_and_keys_rise() -> None:
    measures, keys = parse_measures("sessions"), parse_keys("port")
    assert parse_sort("sessions", measures, keys)[0].ascending is False
    assert parse_sort("+sessions", measures, keys)[0].ascending is True
    assert parse_sort("server.port", measures, keys)[0].ascending is True
    assert [m.name for m in parse_sort("-p50(ct)", measures, keys)[1]] == ["p50(ct)"]
    with pytest.raises(UsageError, match=r"did you mean sessions\?"):
        parse_sort("sesions", measures, keys)


def test_edges__are_one_two_five() -> None:
    assert log_edges(15, 1000) == (20, 50, 100, 200, 500, 1000)
