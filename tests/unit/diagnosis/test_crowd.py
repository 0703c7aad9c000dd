"""Crowds of half-open attempts: how many, how many clients, which share, and whatever the order."""

from __future__ import annotations

import numpy as np
import pytest

from lastack.diagnosis.crowd import CLIENTS, CROWD, MINUTE_NS, Crowd
from lastack.tracking.attempt import Attempts

START_NS = 1_700_000_000_000_000_000 // MINUTE_NS * MINUTE_NS


def attempts(
    count: int, *, clients: int, step_ns: int = 1_000_000, server: int = 1, start: int = START_NS
) -> Attempts:
    addresses = np.array([bytes(15) + bytes([1 + i % clients]) for i in range(count)], "S16")
    return Attempts(
        np.full(count, bytes(15) + bytes([200 + server]), "S16"),
        np.full(count, 80, np.uint16),
        addresses,
        start + np.arange(count, dtype=np.int64) * step_ns,
    )


def joined(*some: Attempts) -> Attempts:
    return Attempts(
        *(
            np.concatenate([getattr(part, name) for part in some])
            for name in ("server_ip", "server_port", "client_ip", "start_ns")
        )
    )


@pytest.mark.parametrize(
    ("count", "clients", "crowded"),
    [(CROWD, CLIENTS, True), (CROWD - 1, CLIENTS, False), (CROWD, CLIENTS - 1, False), (5 * CROWD, 1, False)],
)
def test_crowd__needs_many_attempts_of_many_clients(count: int, clients: int, crowded: bool) -> None:
    some = attempts(count, clients=clients)
    assert set(Crowd(some, lambda _: some).holds(some).tolist()) == {crowded}


def test_crowd__across_a_full_minute_is_one() -> None:
    some = attempts(CROWD, clients=CLIENTS, start=START_NS + MINUTE_NS - CROWD // 2 * 1_000_000)
    assert Crowd(some, lambda _: some).holds(some).all()


def test_crowd__spread_over_an_hour_is_none() -> None:
    some = attempts(CROWD, clients=CLIENTS, step_ns=3 * MINUTE_NS)
    assert not Crowd(some, lambda _: some).holds(some).any()


def test_crowd__is_none_where_it_is_a_small_share_of_the_attempts() -> None:
    some = attempts(CROWD, clients=CLIENTS)
    busy = joined(some, attempts(20 * CROWD, clients=50, step_ns=1000))
    assert not Crowd(some, lambda _: busy).holds(some).any()


def test_crowd__is_of_one_server() -> None:
    one, two = attempts(CROWD, clients=CLIENTS), attempts(CROWD // 2, clients=CLIENTS, server=2)
    both = joined(one, two)
    held = Crowd(both, lambda _: both).holds(both)
    assert held[:CROWD].all()
    assert not held[CROWD:].any()


def test_crowd__does_not_depend_on_the_order() -> None:
    some = joined(attempts(CROWD, clients=CLIENTS), attempts(CROWD - 1, clients=CLIENTS, server=2))
    order = np.random.default_rng(7).permutation(len(some))
    mixed = Attempts(
        *(getattr(some, name)[order] for name in ("server_ip", "server_port", "client_ip", "start_ns"))
    )
    assert (Crowd(mixed, lambda _: mixed).holds(some) == Crowd(some, lambda _: some).holds(some)).all()
