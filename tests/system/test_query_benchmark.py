"""The dataset that questions are timed on is what it says, and the SQL by hand asks the same as LastACK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

pytest.importorskip("numba")
from benchmarks import queries
from benchmarks.dataset import write_dataset

from lastack.store.dataset import Dataset

ROWS = 30_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("queries") / "d"
    write_dataset(path, ROWS)
    return path


def files(path: Path) -> str:
    return f"read_parquet({[str(file) for file in sorted(path.glob('*.parquet'))]})"


def rows(text: str, path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(text.replace("{files}", files(path))).fetchall()


def test_dataset__is_the_same_each_time(made: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "again", ROWS)
    sums = "SELECT count(*), sum(hash(COLUMNS(* EXCLUDE (sensor)))) FROM {files}"
    assert rows(sums, made) == rows(sums, tmp_path / "again")


def test_dataset__fits_the_space_that_is_asked_for(made: Path) -> None:
    assert Dataset.open(made).rows == ROWS
    size = sum(file.stat().st_size for file in made.glob("*.parquet"))
    assert size < ROWS * queries.BYTES_PER_ROW


def test_dataset__times_fit_together(made: Path) -> None:
    wrong = "SELECT count(*) FROM {files} WHERE end_ns < start_ns OR first_fin_ns < start_ns OR half_closed_ns < 0"
    assert rows(wrong, made) == [(0,)]


@pytest.mark.parametrize("question", queries.QUESTIONS, ids=lambda question: question.name)
def test_question__by_hand_gives_the_same_numbers(question: queries.Question, made: Path) -> None:
    answer, by_hand = queries._engine(question, made, 1)(), rows(question.sql, made)
    assert by_hand
    if hasattr(answer, "question"):
        names = [measure.name for measure in answer.question.measures]
        assert numbers([[row.values[name] for name in names] for row in answer.rows]) == numbers(
            [list(row[len(answer.question.keys) :]) for row in by_hand]
        )
    elif hasattr(answer, "counts"):
        counts = [count for count in answer.counts["sessions"] if count]
        assert counts == [count for count in by_hand[0][0].values() if count]
    else:
        assert answer.rows == len(by_hand)


def numbers(lines: list[list[Any]]) -> list[list[float]]:
    return sorted([float(value) for value in line] for line in lines)
