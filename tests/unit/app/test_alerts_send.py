"""Alerts arrive: at a receiver on loopback, in a program, in a log; and nothing that fails stops a watch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lastack.app.alerts import Alert, AlertState
from lastack.app.alerts_send import Sender
from lastack.app.watch_options import load_settings
from lastack.lab.waiting import wait_until
from lastack.store.manifest import read_manifest

SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"
STATE = AlertState(firing=True, value=0.5, sessions=94, since_ns=1)


class Receiver:
    """An HTTP server that keeps what it gets and answers what it is told to; 0 breaks the connection off."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.kinds: list[str] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.kinds.append(str(self.headers["Content-Type"]))
                receiver.got.append(json.loads(body))
                answer = receiver.answers.pop(0) if receiver.answers else 204
                if answer:
                    self.send_response(answer)
                    self.end_headers()
                else:
                    self.wfile.write(b"this is no HTTP\r\n")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


def rule(tmp_path: Path, **more: Any) -> Alert:
    path = tmp_path / "rule.toml"
    path.write_text('[[alert]]\nname="resets"\nmetric="rst.srv/connection"\nabove=0.2\nclear=0.1\n')
    _, (one,) = load_settings(str(path))
    return replace(one, **more)


def sent(one: Alert, again_s: tuple[float, ...] = (0.01, 0.01), program_s: float = 20.0) -> list[str]:
    """Send one change and return what was said."""
    said: list[str] = []
    sender = Sender(said.append, again_s, program_s)
    sender.send(one, STATE)
    sender.finish(20.0)
    return said


def test_webhook__gets_the_change_as_json(tmp_path: Path, receiver: Receiver) -> None:
    said = sent(rule(tmp_path, webhook=receiver.url))
    assert said == ["alert firing: resets: rst.srv/connection = 0.5 (94 sessions)"]
    assert receiver.kinds == ["application/json"]
    (got,) = receiver.got
    assert (got["alert"], got["state"], got["value"], got["threshold"], got["clear"], got["sessions"]) == (
        "resets", "firing", 0.5, 0.2, 0.1, 94,
    )  # fmt: skip


def test_webhook__is_tried_again_while_the_receiver_is_in_trouble(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [503, 0]
    said = sent(rule(tmp_path, webhook=receiver.url))
    assert len(receiver.got) == 3
    assert len(said) == 1, said


@pytest.mark.parametrize(("answers", "tries"), [([404], 1), ([500, 500, 500], 3), ([0, 0, 0], 3)])
def test_webhook__that_fails_for_good_is_told(
    tmp_path: Path, receiver: Receiver, answers: list[int], tries: int
) -> None:
    receiver.answers = list(answers)
    said = sent(rule(tmp_path, webhook=receiver.url))
    assert len(receiver.got) == tries
    assert said[1].startswith("alert resets: webhook: ")


def test_webhook__nobody_listens(tmp_path: Path, receiver: Receiver) -> None:
    receiver.server.socket.close()
    said = sent(rule(tmp_path, webhook="http://127.0.0.1:9/"), again_s=())
    assert "refused" in said[1]


def test_program__has_the_change_in_its_environment(tmp_path: Path) -> None:
    script = 'printf "%s %s %s" "$LASTACK_ALERT" "$LASTACK_STATE" "$LASTACK_VALUE" > "$0.out"'
    said = sent(rule(tmp_path, command=("sh", "-c", script, str(tmp_path / "page"))))
    assert (tmp_path / "page.out").read_text() == "resets firing 0.5"
    assert len(said) == 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("no-such-program",), "no-such-program: No such file"),
        (("sh", "-c", "exit 7"), "sh: exit code 7"),
        (("sleep", "60"), "sleep: killed after 0.2 s"),
    ],
)
def test_program__that_fails_is_told(tmp_path: Path, command: tuple[str, ...], says: str) -> None:
    assert says in sent(rule(tmp_path, command=command), program_s=0.2)[1]


def test_log__gets_a_line_for_each_change(tmp_path: Path) -> None:
    one = rule(tmp_path, log=str(tmp_path / "alerts.jsonl"))
    for _ in range(2):
        assert len(sent(one)) == 1
    lines = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [line["alert"] for line in lines] == ["resets", "resets"]
    assert "No such file" in sent(rule(tmp_path, log=str(tmp_path / "no/where.jsonl")))[1]


def test_sender__leaves_out_what_is_too_much(tmp_path: Path, receiver: Receiver) -> None:
    gate = threading.Event()
    said: list[str] = []
    sender = Sender(said.append, (), 20.0)
    waits: Callable[..., None] = lambda *_: gate.wait(20)  # noqa: E731
    sender._post = waits  # type: ignore[method-assign]
    for _ in range(20):
        sender.send(rule(tmp_path, webhook=receiver.url), STATE)
    gate.set()
    sender.finish(20)
    assert sum("left out" in line for line in said) == 4


SETTINGS = """
[watch]
roll = "100ms"
alert_every = "100ms"
closed_linger = "1ms"
[[alert]]
name = "one server resets"
metric = "rst.srv/connection"
filter = "server.ip = 192.0.2.10 and server.port = 443"
above = 0.05
window = "1d"
minimum = 50
webhook = "{url}"
log = "{folder}/alerts.jsonl"
exec = ["sh", "-c", "echo $LASTACK_SESSIONS > {folder}/paged"]
[[alert]]
name = "too few to say"
metric = "rst.srv/connection"
filter = "server.port = 25"
above = 0
window = "1d"
minimum = 5000
webhook = "{url}"
[[alert]]
name = "nobody hears it"
metric = "sessions"
above = 1
minimum = 1
window = "1d"
webhook = "http://127.0.0.1:9/"
log = "{folder}/no/where.jsonl"
exec = ["{folder}/no-such-program"]
"""


def test_watch__sends_its_alerts_and_goes_on_when_receivers_fail(tmp_path: Path, receiver: Receiver) -> None:
    settings = tmp_path / "watch.toml"
    settings.write_text(SETTINGS.format(url=receiver.url, folder=tmp_path), encoding="utf-8")
    command = [sys.executable, "-m", "lastack.cli.main", "watch", "-", "-o", str(tmp_path / "ds")]
    command += ["--settings", str(settings)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(SAMPLE.read_bytes())
    process.stdin.flush()
    wait_until(lambda: bool(receiver.got), "the webhook is called", 30, 0.02)
    wait_until((tmp_path / "paged").exists, "the program runs", 10, 0.02)
    _, said = process.communicate(timeout=30)  # closes the pipe: the end of the input
    assert process.returncode == 0, said
    text = said.decode()
    (got,) = receiver.got
    assert (got["alert"], got["state"]) == ("one server resets", "firing")
    assert got["sessions"] >= 50
    assert json.loads((tmp_path / "alerts.jsonl").read_text())["alert"] == "one server resets"
    assert int((tmp_path / "paged").read_text()) >= 50
    assert "alert firing: nobody hears it" in text
    assert "no-such-program: No such file" in text
    assert "where.jsonl: No such file" in text
    assert "too few to say" not in text
    assert read_manifest(tmp_path / "ds").rows == 218
