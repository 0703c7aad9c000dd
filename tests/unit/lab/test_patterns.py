"""The patterns as they stand in the book, without playing them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from lastack.app.lab import check_labels, read_labels
from lastack.lab.closes import FAMILIES, PATTERNS, Label, from_toml, to_toml
from lastack.lab.closes.verdicts import RIGHT
from lastack.lab.netns import LabError
from lastack.model.enums import Cause
from lastack.model.errors import InputError
from lastack.model.fields import BY_NAME

CAPTURES = Path(__file__).resolve().parents[2] / "captures"


def test_patterns__have_names_of_their_own() -> None:
    assert len(PATTERNS) == sum(len(family) for family in FAMILIES.values())


def test_patterns__each_has_right_verdicts() -> None:
    assert set(RIGHT) == {name for name in PATTERNS if PATTERNS[name] not in FAMILIES["wrapped"]}
    assert {cause for causes in RIGHT.values() for cause in causes} <= {cause.name for cause in Cause}


def test_patterns__claim_fields_that_exist() -> None:
    for pattern in PATTERNS.values():
        for session in pattern.sessions:
            assert set(session) <= set(BY_NAME), pattern.name


def test_labels__come_back_as_they_were_written() -> None:
    labels = {"odd": Label('a "quoted" \\ word', 3, [{"client_port": 4, "ending": "rst"}], ("refused",))}
    assert from_toml(tomllib.loads(to_toml(labels, "a note\nof two lines"))) == labels


@pytest.mark.parametrize("document", [{"a": 3}, {"a": {"about": "x"}}])
def test_labels__of_another_kind_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(LabError, match="not a file of labels"):
        from_toml(document)


def test_check__agrees_with_a_capture_of_ours() -> None:
    label = {"refused": read_labels("", str(CAPTURES / "labels.toml"))["refused"]}
    checked = check_labels(str(CAPTURES / "refused.pcap"), label)
    assert (checked.differences, checked.sessions, checked.patterns) == ([], 1, 1)
    assert checked.values > 20


def test_check__finds_what_is_otherwise_what_is_missing_and_what_is_too_much() -> None:
    label = read_labels("", str(CAPTURES / "labels.toml"))["refused"]
    session = label.sessions[0] | {"rst_srv": 2}
    absent = label.sessions[0] | {"client_port": 9}
    wrong = Label("", label.tcp_packets + 1, [session, absent], ("probe",))
    found = {
        (each.field, each.found, each.expected)
        for each in check_labels(str(CAPTURES / "refused.pcap"), {"wrong": wrong}).differences
    }
    assert ("rst_srv", 1, 2) in found
    assert ("cause", "refused", "probe") in found
    assert ("tcp_packets", 2, 3) in found
    assert any(field == "session" and what == "not found" for field, what, _ in found)
    everything = check_labels(str(CAPTURES / "refused.pcap"), {}).differences
    assert [each.expected for each in everything] == ["not there"]


def test_check__without_labels_says_where_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lastack lab close"):
        read_labels(str(tmp_path / "x.pcapng"))
