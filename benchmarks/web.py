"""Times the API and the first paint of the overview on a generated dataset.

    python -m benchmarks.web                       20 million sessions (needs 2 GB of disk)
    python -m benchmarks.web --sessions 1000000
    python -m benchmarks.web --dataset FOLDER      one that is there

Each address is asked once, then with another filter each time, so that no answer comes from the cache; median, p95
and the server's processor time are over those. First paint is what Chromium reports, where it and playwright are
installed, of the server's first visitor and of later ones.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from benchmarks import machine
from benchmarks.dataset import write_dataset
from benchmarks.live import cpu_s
from lastack.web.warm import ADDRESSES as ADDRESSES_PREPARED

ADDRESSES = {
    "overview": "overview?",
    "series by ending": "series?by=ending&",
    "top services": "table?by=service&metrics=sessions,attempts,failed_share,cut_share,syn/attempt,"
    "rst.clt/connection,rst.srv/connection,harmed,bytes&sort=sessions&top=10&",
    "percentiles": "times?",
    "percentiles by port": "table?by=port&metrics=sessions,p50(ct),p99(ct)&top=10&",
    "findings": "findings?",
    "newest 200 sessions": "sessions?limit=200&sort=-end&",
    "half-closed": "half-closed?",
}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


def main() -> int:
    """Print the figures; speed never makes it fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20_000_000)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print("  ".join(f"{key}: {value}" for key, value in machine.facts().items()))
    with tempfile.TemporaryDirectory(prefix="lastack-bench-web-") as folder:
        path = options.dataset or Path(folder) / "day"
        if options.dataset is None:
            write_dataset(path, options.sessions)
        command = [sys.executable, "-m", "lastack.cli.main", "serve", str(path), "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            match = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            if match is None:
                print("the server did not start", file=sys.stderr)
                return 1
            _prepared(match.group())
            _paint(match.group())
            _api(match.group(), options.rounds, process.pid)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    return 0


def _prepared(base: str) -> None:
    """Wait for the answers that a server prepares for its first visitor."""
    begin = time.perf_counter()
    for address in ADDRESSES_PREPARED:
        _ask(f"{base}/api/v1{address}")
    print(f"prepared {time.perf_counter() - begin:.1f} s after the start")


def _api(base: str, rounds: int, server: int) -> None:
    print(f"\n{'API':<22}{'first':>10}{'median':>10}{'p95':>10}{'CPU':>10}{'cached':>10}   ms")
    for name, address in ADDRESSES.items():
        first = _ask(f"{base}/api/v1/{address}")
        cached = _ask(f"{base}/api/v1/{address}")
        times = []
        before = cpu_s(server)
        for number in range(rounds):
            where = urllib.parse.quote(f"server.port != {60_000 + number}")
            times.append(_ask(f"{base}/api/v1/{address}filter={where}"))
        p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
        cpu = (cpu_s(server) - before) * 1000 / max(rounds, 1)
        median = statistics.median(times)
        print(f"{name:<22}{first:>10.0f}{median:>10.0f}{p95:>10.0f}{cpu:>10.0f}{cached:>10.1f}", flush=True)


def _ask(url: str) -> float:
    begin = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return (time.perf_counter() - begin) * 1000


def _paint(base: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("\nfirst paint: not measured, as chromium or playwright is not installed")
        return
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        for round_ in ("first", "second", "third"):
            page = browser.new_page()
            begin = time.perf_counter()
            page.goto(base + "/")
            page.wait_for_selector("#chart canvas")
            chart = (time.perf_counter() - begin) * 1000
            page.wait_for_selector("html[data-ready]", state="attached")
            whole = (time.perf_counter() - begin) * 1000
            entries = "performance.getEntriesByType('paint').map((entry) => [entry.name, entry.startTime])"
            paint = dict(page.evaluate(f"() => {entries}")).get("first-contentful-paint", float("nan"))
            print(
                f"overview, {round_} visit: first paint {paint:.0f} ms, chart {chart:.0f} ms, all {whole:.0f} ms"
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
