"""The end reasons of others."""

from __future__ import annotations

from enum import IntEnum

import pytest

from lastack.model.endreasons import EndAsa, EndFortigate, EndIpfix, EndPanos, spelled
from lastack.model.fields import FIELDS

VOCABULARIES = (EndPanos, EndAsa, EndFortigate, EndIpfix)


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (EndPanos.tcp_rst_from_client, "tcp-rst-from-client"),
        (EndPanos.n_a, "n/a"),
        (EndAsa.tcp_reset_i, "TCP Reset-I"),
        (EndAsa.conn_timeout, "Conn-timeout"),
        (EndFortigate.client_rst, "client-rst"),
        (EndIpfix.end_of_flow, "end of Flow detected"),
    ],
)
def test_spelled__is_what_the_product_writes(member: IntEnum, text: str) -> None:
    assert spelled(member) == text


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_spelled__tells_members_apart(vocabulary: type[IntEnum]) -> None:
    assert len({spelled(member) for member in vocabulary}) == len(vocabulary)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_endreasons__numbers_are_in_a_row_from_unknown(vocabulary: type[IntEnum]) -> None:
    assert [member.value for member in vocabulary] == list(range(len(vocabulary)))
    assert vocabulary(0).name == "unknown"


def test_ipfix__numbers_are_those_of_rfc_5102() -> None:
    names = ["idle_timeout", "active_timeout", "end_of_flow", "forced_end", "lack_of_resources"]
    assert [EndIpfix(number).name for number in range(1, 6)] == names


def test_fields__each_vocabulary_has_its_column() -> None:
    assert {field.enum for field in FIELDS if field.name.startswith("end_") and field.enum} == set(
        VOCABULARIES
    )
