from __future__ import annotations

import pytest
from tests.unit.query.rows import rows

from lastack.model.errors import UsageError
from lastack.query.mask import mask_rows
from lastack.query.parse import MAX_DEPTH, parse_filter


def passing(text: str, *given: dict[str, object]) -> list[bool]:
    return mask_rows(parse_filter(text), rows(*given)).tolist()


def complaint(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    return str(caught.value)


def test_design__rst_without_fin() -> None:
    given = ({"rst_srv": 1}, {"rst_srv": 1, "fin_clt": 1}, {})
    assert passing("rst.count > 0 and fin.count = 0", *given) == [True, False, False]


def test_design__rst_without_handshake() -> None:
    given = ({"rst_srv": 1, "ct_count": 1}, {"rst_clt": 1})
    assert passing("rst.count > 0 and ct.count = 0", *given) == [False, True]


def test_side__clt_reads_the_client_only() -> None:
    assert passing("rst.count.clt > 0", {"rst_srv": 1}, {"rst_clt": 1}) == [False, True]


def test_side__none_is_the_sum_of_both() -> None:
    assert passing("packets = 9", {"packets_clt": 4, "packets_srv": 5}, {"packets_clt": 9}) == [True, False]


def test_set__ranges_and_values() -> None:
    given = [{"server_port": port} for port in (80, 443, 8000, 8800, 8801)]
    assert passing("server.port in {80, 443, 8000..8800}", *given) == [True, True, True, True, False]


def test_address__cidr() -> None:
    assert passing("client.ip in 10.0.0.0/8", {"client_ip": "10.9.9.9"}, {"client_ip": "11.0.0.1"}) == [
        True,
        False,
    ]


def test_address__v4_block_excludes_v6() -> None:
    assert passing("client.ip in 0.0.0.0/0", {"client_ip": "2001:db8::1"}, {}) == [False, True]


def test_address__in_a_set_of_blocks() -> None:
    text = "client.ip in {10.0.0.0/24, 2001:db8::/32}"
    assert passing(text, {"client_ip": "2001:db8::9"}, {"client_ip": "10.0.1.1"}) == [True, False]


def test_duration__has_a_unit() -> None:
    given = ({"half_closed_ns": 31_000_000_000}, {"half_closed_ns": 29_000_000_000}, {})
    assert passing("half_closed > 30s", *given) == [True, False, False]


def test_duration__span_of_the_session() -> None:
    assert passing("duration = 1500ms", {}) == [True]


def test_size__has_a_unit() -> None:
    assert passing("bytes.srv >= 1kB", {"bytes_srv": 1000}, {"bytes_srv": 999}) == [True, False]


def test_time__iso_with_offset() -> None:
    assert passing("start >= 2023-11-14T23:13:20+01:00 and start < 2023-11-15", {}) == [True]


def test_null__comparison_is_false_and_not_is_its_complement() -> None:
    given = ({"ct_ns": None}, {"ct_ns": 5})
    assert passing("ct > 1ns", *given) == [False, True]
    assert passing("not ct > 1ns", *given) == [True, False]
    assert passing("ct != 5ns", *given) == [False, False]


def test_null__can_be_asked_for() -> None:
    given = ({"ct_ns": None}, {"ct_ns": 5})
    assert passing("ct is null", *given) == passing("ct = null", *given) == [True, False]
    assert passing("ct is not null", *given) == [False, True]


def test_enum__case_and_dashes_do_not_matter() -> None:
    assert passing("ending = Half-Closed and conn_state = sf", {"ending": "half_closed"}) == [True]


def test_enum__glob() -> None:
    assert passing("cause ~ aborted_*", {"cause": "aborted_by_client"}, {}) == [True, False]


def test_text__unquoted_star_is_a_glob_and_quoted_is_not() -> None:
    given = ({"history": "ShAF"}, {"history": "Sh*"})
    assert passing("history = Sh*", *given) == [True, True]
    assert passing('history = "Sh*"', *given) == [False, True]


def test_precedence__and_binds_before_or() -> None:
    given = ({"syn_clt": 1}, {"fin_clt": 1}, {"fin_clt": 1, "rst_clt": 1})
    assert passing("syn = 1 or fin = 1 and rst = 1", *given) == [True, False, True]


def test_empty__passes_every_row() -> None:
    assert passing("  ", {}, {}) == [True, True]


def test_error__wrong_name_has_a_caret_and_the_nearest_name() -> None:
    assert complaint("packets > 3 and rst.cuont > 0") == (
        "filter: no field is called 'rst.cuont': did you mean rst.count?\n"
        "  packets > 3 and rst.cuont > 0\n"
        "                  ^^^^^^^^^"
    )


def test_error__wrong_enum_value_has_the_nearest_member() -> None:
    assert "did you mean half_closed?" in complaint("ending = halfclosed")


def test_error__wrong_operator_lists_those_that_apply() -> None:
    assert complaint("ending > open").splitlines()[0] == (
        "filter: > does not apply to ending, which is one of a vocabulary: "
        "use = != ~ !~ in not in is null is not null"
    )


def test_error__wrong_operator_is_pointed_at() -> None:
    assert complaint("packets ~ 3").splitlines()[-1] == "          ^"


def test_error__duration_without_unit() -> None:
    assert "give a unit, such as 30s" in complaint("half_closed > 30")


def test_error__wrong_unit_is_quoted() -> None:
    assert "'30sec' is not a duration" in complaint("half_closed > 30sec")


def test_error__side_is_missing() -> None:
    assert "state.clt and state.srv" in complaint("state = CLOSED")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("packets >", "a value was expected"),
        ("packets", "an operator was expected"),
        ("(packets > 1", "not closed"),
        ("packets > 1)", "nothing was expected here"),
        ("packets in {1, 2", "set is not closed"),
        ("packets in {}", "a value was expected"),
        ('history = "S', "quote is not closed"),
        ("packets > 1 packets > 2", "join two comparisons"),
        ("packets = 5..1", "range is empty"),
        ("packets > 99999999999999999999999", "larger than any value"),
        ("packets > 1.5", "whole number"),
        ("start > tomorrow", "not a time"),
        ("start > 2026-13-01", "month"),
        ("client.ip = 10.0.0.256", "not an address"),
        ("bytes > 5XB", "not a size"),
        ("and packets > 1", "a name was expected"),
        ("packets is 5", "`null` was expected"),
        ("packets > ;", "has no place here"),
        ("half_closed > " + "9" * 400 + ".5d", "filter: "),
        ("start > 0001-01-01T00:00+14:00", "beyond any value"),
    ],
)
def test_error__says_what_was_expected(text: str, part: str) -> None:
    assert part in complaint(text)


def test_error__hostile_nesting_is_refused() -> None:
    assert f"more than {MAX_DEPTH} levels" in complaint("(" * 50_000 + "packets > 1")


def test_long_chain__is_not_nesting() -> None:
    assert passing(" or ".join(["packets > 1"] * 3000), {}) == [True]
