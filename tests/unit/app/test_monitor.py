"""A monitor's configuration is checked place by place; its HTTP endpoint speaks Prometheus."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lastack.app.monitor import MonitorRun
from lastack.app.monitor_config import load_monitor
from lastack.cli.main import run
from lastack.model.errors import InputError

GOOD = """
[monitor]
listen = "127.0.0.1:0"
[defaults]
interval = "20ms"
down_after = 1
module = "connect"
[module.banner]
send = "hello\\n"
expect = "^220 "
half_close = true
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[target]]\nport = 80", "target 1.host: is missing"),
        ('[[target]]\nhost = "a"', "target 1.port: must be a port"),
        ('[[target]]\nhost = "a"\nport = 70000', "target 1.port: must be a port"),
        (
            '[[target]]\nhost = "a"\nport = 1\nintervall = "1s"',
            "target 1.intervall: not known: did you mean interval",
        ),
        (
            '[[target]]\nhost = "a"\nport = 1\ninterval = 5',
            'target 1.interval: must be a duration such as "5s"',
        ),
        (
            '[[target]]\nhost = "a"\nport = 1\nmodule = "sin"',
            "target 1.module: no module 'sin': did you mean syn",
        ),
        ('[[target]]\nhost = "a"\nport = 1\n[[target]]\nhost = "a"\nport = 1', "'a:1' is there twice"),
        ('[module.x]\nexpect = "("', "module.x.expect: no regular expression"),
        ('[module.x]\nquery_response = [{ expect = "(" }]', "query_response 1.expect: no regular expression"),
        ("[module.x]\nquery_response = [{ starttls = true }]", "query_response 1.starttls: not known"),
        ('[module.x]\nquery_response = "x"', "query_response: must be a list"),
        ('[module.x]\nsend = "x"\nquery_response = [{ send = "y" }]', "query_response: stands for itself"),
        ('[monitor]\nallow = ["10.0.0.0/33"]', "monitor.allow 1"),
        ('[[target]]\nhost = "a"\nport = 1\nsource = "eth0"', "target 1.source: 'eth0' does not appear"),
        ("[[target]", "line 1"),
        ("target = 3", r"target: write each target as \[\[target\]\]"),
    ],
)
def test_config__mistakes_have_their_place(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_monitor(str(path))


def test_config__hosts_times_ports(tmp_path: Path) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text(GOOD + '[[target]]\nname = "w"\nhosts = ["a", "::1"]\nports = [80, 443]\n')
    names = [target.name for target in load_monitor(str(path)).targets]
    assert names == ["w a:80", "w a:443", "w [::1]:80", "w [::1]:443"]
    assert run(["monitor", str(path), "--check"]) == 0


@contextmanager
def serving(path: Path) -> Iterator[tuple[str, list[str]]]:
    lines: list[str] = []
    changed = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        changed.set()

    one = MonitorRun(load_monitor(str(path)), say, lambda line: None)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        assert changed.wait(10)
        yield f"http://127.0.0.1:{one.port}", lines
    finally:
        one.stop()
        thread.join(10)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_endpoint__metrics_targets_and_probe(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        port = listener.getsockname()[1]
        path = tmp_path / "monitor.toml"
        path.write_text(GOOD + f'[[target]]\nname = "web"\nhost = "127.0.0.1"\nport = {port}\ngroup = "g"\n')
        with serving(path) as (url, lines):
            first = json.loads(lines[0])
            assert (first["target"], first["after"], first["result"]) == ("web", "up", "up")
            metrics = get(f"{url}/metrics")
            assert 'lastack_target_up{group="g",module="connect",target="web"} 1.0' in metrics
            assert json.loads(get(f"{url}/targets"))[0]["state"] == "up"
            probe = get(f"{url}/probe?target=127.0.0.1:{port}&module=tcp_connect")
            assert "probe_success 1.0" in probe
            assert "probe_duration_seconds" in probe
            assert "probe_failed_due_to_regex 0.0" in probe
            assert "probe_ip_addr_hash 3.668918509e+09" in probe, "as blackbox_exporter 0.23 has it"
            for query, code in [
                ("target=127.0.0.1:1", 403),
                ("target=127.0.0.1", 400),
                ("", 400),
                (f"target=127.0.0.1:{port}&module=none", 400),
            ]:
                with pytest.raises(urllib.error.HTTPError) as caught:
                    get(f"{url}/probe?{query}")
                assert caught.value.code == code
                if "module=none" in query:
                    assert caught.value.read() == b'Unknown module "none"\n'
                caught.value.close()
