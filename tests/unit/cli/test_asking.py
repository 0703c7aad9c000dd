"""The commands that ask: top, table, graph, compare, report, on the sample capture and on datasets."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.unit.query.rows import random_rows, rows

from lastack.cli.main import run
from lastack.store.manifest import Run
from lastack.store.writer import DatasetWriter

SAMPLE = str(Path(__file__).resolve().parents[3] / "samples" / "closes.pcapng")


def dataset(path: Path, batch: Any) -> str:
    starts = batch.column("start_ns").to_pylist()
    with DatasetWriter(path) as writer:
        writer.write(batch)
        writer.finish(
            Run(("x.pcap",), min(starts, default=None), max(starts, default=0) + 10**9, batch.num_rows)
        )
    return str(path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the sample as a dataset, tracked once for all."""
    path = tmp_path_factory.mktemp("asking") / "closes"
    assert run(["analyze", SAMPLE, "-o", str(path), "-q"]) == 0
    return str(path)


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str], kept: str) -> None:
    capsys.readouterr()


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_story__three_commands_lead_from_servers_to_the_reason(
    capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    first = output(
        capsys, "top", "servers", kept, "--by", "rst.srv", "--per", "connection", "--format", "json"
    )
    server = json.loads(first)["rows"][0]["server.ip"]
    assert server == "192.0.2.50"
    second = output(capsys, "top", "conversations", kept, "-f", f"server.ip = {server}", "--format", "json")
    row = json.loads(second)["rows"][0]
    assert (row["server.port"], row["attempts"], row["connections"]) == (25, 10, 0)
    third = output(capsys, "show", str(row["example"]), "-i", kept)
    assert "efused" in third


def test_capture_and_its_dataset__give_the_same_table(capsys: pytest.CaptureFixture[str], kept: str) -> None:
    asked = ["--by", "service", "--format", "json", "-q"]
    metrics = "sessions,rst.srv/connection,p99(ct)"
    assert output(capsys, "table", metrics, kept, *asked) == output(capsys, "table", metrics, SAMPLE, *asked)


def test_table__of_the_others_and_the_total_adds_up(capsys: pytest.CaptureFixture[str], kept: str) -> None:
    text = output(capsys, "table", "sessions,bytes", kept, "--by", "client", "--top", "3", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["row"] for line in lines] == ["group"] * 3 + ["others", "total"]
    for name in ("sessions", "bytes"):
        assert sum(int(line[name]) for line in lines[:-1]) == int(lines[-1][name])


def test_table__written_to_a_file_takes_its_form_from_the_name(kept: str, tmp_path: Path) -> None:
    target = tmp_path / "t.json"
    assert run(["table", "sessions", kept, "-o", str(target)]) == 0
    assert json.loads(target.read_text())["total"] == {"sessions": 218}


def test_top__zones_that_nobody_configured_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = dataset(tmp_path / "d", rows({}, {}))
    assert run(["top", "zones", path]) == 0
    assert "no session has a zone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["table", "sesions", "x"], "did you mean sessions?"),
        (["table", "sessions", "x", "--by", "sevrer"], "did you mean server?"),
        (["table", "sessions", "x", "--having", "rts > 1"], "did you mean rst?"),
        (["table", "sessions", "x", "--by", "time"], "--every 10s"),
        (["table", "sessions", "x", "--sort", "sesions"], "did you mean sessions?"),
        (["top", "servers", "x", "--by", "refused_share", "--per", "connection"], "quotient already"),
        (["graph", "cause", "x"], "distinct(cause)"),
        (["graph", "cause", "x", "--histogram"], "no duration, size or number"),
        (["compare", "a"], "two inputs"),
        (["compare", "a", "b", "--before", "0s..1s", "--after", "1s..2s"], "two inputs"),
        (["graph", "rst", "x", "--format", "png"], "name a file with -o"),
    ],
)
def test_mistake__is_wrong_usage_and_names_the_remedy(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert part in capsys.readouterr().err


def test_graph__draws_a_line_for_each_group_and_the_others(
    capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    text = output(capsys, "graph", "sessions", kept, "--by", "ending", "-n", "2", "--every", "5s")
    assert "closed" in text
    assert "others" in text
    assert "\x1b" not in text, "no colour in a pipe"


def test_graph__lines_add_up_to_the_whole(capsys: pytest.CaptureFixture[str], kept: str) -> None:
    arguments = ["graph", "sessions", kept, "--every", "5s", "--format", "json"]
    whole = json.loads(output(capsys, *arguments))
    parts = json.loads(output(capsys, *arguments, "--by", "service", "-n", "3"))
    assert [line["name"] for line in parts["series"]][-1] == "others"
    sums = [sum(column) for column in zip(*(line["values"] for line in parts["series"]), strict=True)]
    assert sums == whole["series"][0]["values"]
    assert sum(sums) == 218


def test_graph__a_ratio_without_sessions_is_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = 1_700_000_000_000_000_000
    given = rows(
        {"opening": "established", "start_ns": start}, {"opening": "refused", "start_ns": start + 3 * 10**9}
    )
    path = dataset(tmp_path / "d", given)
    text = output(capsys, "graph", "refused_share,refused", path, "--every", "1s", "--format", "json")
    shares, counts = (line["values"] for line in json.loads(text)["series"])
    assert shares == [0.0, None, None, 1.0]
    assert counts == [0, 0, 0, 1]


def test_graph__too_many_buckets_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = dataset(tmp_path / "d", rows({"start_ns": 0}, {}))
    assert "larger --every" in output(capsys, "graph", "rst", path, "--every", "1s", code=2)


@pytest.mark.parametrize(("form", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_graph__writes_images(form: str, magic: bytes, kept: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for place, arguments in enumerate(
        (["sessions", "--by", "cause"], ["ct", "--histogram"], ["p99(ct),p50(ct)"])
    ):
        target = tmp_path / f"{place}.{form}"
        assert run(["graph", arguments[0], kept, *arguments[1:], "-o", str(target)]) == 0
        assert target.read_bytes().startswith(magic)


def test_graph__without_matplotlib_names_the_extra(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "lastack[plot]" in output(capsys, "graph", "rst", kept, "-o", str(tmp_path / "x.png"), code=2)
    assert not (tmp_path / "x.png").exists()


def test_histogram__counts_every_known_value_once(capsys: pytest.CaptureFixture[str], kept: str) -> None:
    text = output(capsys, "graph", "ct", kept, "--histogram", "--format", "csv", "--by", "cause")
    lines = list(csv.reader(io.StringIO(text)))[1:]
    assert sum(int(cell) for line in lines for cell in line[1:]) == 197


def test_compare__finds_what_was_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = [{"opening": "established", "server_port": 80 + i % 3} for i in range(300)]
    bad = [dict(row) for row in good]
    for row in bad:
        if row["server_port"] == 81:
            row |= {"opening": "refused", "ending": "never_opened", "rst_srv": 1, "cause": "refused"}
    before, after = dataset(tmp_path / "a", rows(*good)), dataset(tmp_path / "b", rows(*bad))
    found = json.loads(output(capsys, "compare", before, after, "--format", "json"))
    by_service = next(
        c for c in found["changes"] if c["what"] == "refused" and c["where"].get("server.port") == 81
    )
    assert (by_service["before"], by_service["after"], by_service["ratio"]) == (0, 100, "Infinity")
    assert by_service["sessions"] > 50
    assert not [c for c in found["changes"] if c["where"].get("server.port") in (80, 82)]
    text = output(capsys, "compare", before, after)
    assert "server 192.0.2.1:81" in text
    assert "new" in text


def test_compare__periods_of_one_input(capsys: pytest.CaptureFixture[str], kept: str) -> None:
    text = output(capsys, "compare", kept, "--before", "0s..20s", "--after", "20s..40s", "--format", "json")
    found = json.loads(text)
    assert found["before"]["sessions"] + found["after"]["sessions"] == 218


class Page(HTMLParser):
    """Collects what a page would fetch or run, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "line", "rect", "br", "link", "img"):
            self.open.append(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")
        ]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page_of(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_report__needs_nothing_but_itself(kept: str, tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    assert run(["report", kept, "-o", str(target)]) == 0
    page = page_of(target)
    assert page.fetched == []
    assert "script" not in page.tags
    assert page.open == []
    assert not re.search(r"url\(|@import|https?://", target.read_text())


def test_report__has_ledger_causes_examples_and_charts(kept: str, tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    assert run(["report", kept, "-o", str(target), "--title", "closes <b>"]) == 0
    text = target.read_text()
    assert "closes &lt;b&gt;" in text
    for part in (
        "218 attempts",
        "197 sessions established",
        "Refused",
        "cause = refused",
        "192.0.2.50:25",
        "session 6157585430581411570",
    ):
        assert part in text, part
    assert text.count("<svg") == 7


def test_report__of_hostile_rows_is_whole(tmp_path: Path) -> None:
    batch = random_rows(400, 5, extreme=False)
    target = tmp_path / "r.html"
    assert run(["report", dataset(tmp_path / "d", batch), "-o", str(target), "-q"]) == 0
    assert page_of(target).open == []


def test_report__of_nothing_says_so(tmp_path: Path, kept: str) -> None:
    target = tmp_path / "r.html"
    assert run(["report", kept, "-o", str(target), "-f", "rst > 1000"]) == 0
    assert "0 attempts" in target.read_text()
    assert "rst &gt; 1000" in target.read_text()


def test_report__leaves_no_file_behind_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output(capsys, "report", str(tmp_path / "missing"), "-o", str(tmp_path / "r.html"), code=3)
    assert list(tmp_path.iterdir()) == []


def level(path: str, name: str, capsys: pytest.CaptureFixture[str]) -> list[int]:
    text = output(capsys, "graph", name, path, "--every", "1s", "--format", "json")
    found: list[int] = json.loads(text)["series"][0]["values"]
    return found


def test_level__counts_what_lasts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, second = 1_700_000_000_000_000_000, 10**9
    closed = {"opening": "established", "ending": "closed", "start_ns": start, "end_ns": start + 4 * second}
    waits = {**closed, "ending": "half_closed", "end_ns": start + 3 * second}
    path = dataset(
        tmp_path / "d",
        rows(
            {**closed, "first_fin_ns": start + second, "half_closed_ns": 2 * second},
            {**waits, "first_fin_ns": start + 2 * second, "half_closed_ns": second},
            {"opening": "refused", "ending": "never_opened", "start_ns": start, "end_ns": start},
        ),
    )
    assert level(path, "half_closed_now", capsys) == [1, 2, 1]
    assert level(path, "open_now", capsys) == [2, 2, 2, 2, 1]


def test_level__of_the_sample_ends_with_those_that_wait(
    capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    assert level(kept, "half_closed_now", capsys)[-1] == 1
    assert level(kept, "open_now", capsys)[-1] == 7
