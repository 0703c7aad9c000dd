"""What drivers share: the loop's jobs, the box's clock, the virtio-net header of a longer frame."""

from __future__ import annotations

import json
import socket
import struct
import threading
from pathlib import Path

import pytest

from lastack.app.boxes import BoxWords, make_box
from lastack.emulator.af_packet import _shift
from lastack.emulator.clock import BoxClock
from lastack.emulator.control import Control, ask
from lastack.emulator.engine import Engine
from lastack.emulator.loop import Loop
from lastack.model.errors import InputError, UsageError


def loop() -> Loop:
    box, _, _ = make_box(BoxWords(profile="panos", config="none"))
    return Loop(Engine(box), BoxClock())


def test_shift__moves_the_checksum_and_the_header_of_gso_frames() -> None:
    frame = bytearray(struct.pack("=BBHHHH", 1, 1, 66, 1448, 34, 16))
    _shift(memoryview(frame), 4)
    assert struct.unpack("=BBHHHH", frame) == (1, 1, 70, 1448, 38, 16)
    plain = bytearray(10)
    _shift(memoryview(plain), 4)
    assert plain == bytes(10)


def test_soon__does_jobs_in_the_loop_and_stop_ends_it() -> None:
    running = loop()
    done: list[str] = []
    running.soon(lambda: done.append(threading.current_thread().name))
    running.soon(running.stop)
    thread = threading.Thread(target=running.run, args=(60, lambda: None), name="box")
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert done == ["box"]
    running.close()


def test_clock__runs_at_its_speed() -> None:
    slow, fast = BoxClock(1), BoxClock(1000)
    start = slow.now(), fast.now()
    while slow.now() - start[0] < 1_000_000:
        pass
    ratio = (fast.now() - start[1]) / (slow.now() - start[0])
    assert 500 < ratio < 2000
    assert 0 < fast.real_until(fast.now() + 1_000_000_000) <= 1_000_000


def test_control__answers_many_refuses_nonsense_and_is_not_stalled_by_who_does_not_read(
    tmp_path: Path,
) -> None:
    running = loop()
    path = str(tmp_path / "box.sock")

    def refuse(request: object) -> None:
        raise UsageError("no")

    verbs = {
        "big": lambda request: "x" * 4_000_000,
        "add": lambda request: request["a"] + 1,
        "refuse": refuse,
    }
    control = Control(path, running, verbs)
    thread = threading.Thread(target=running.run, args=(60, lambda: None), daemon=True)
    thread.start()
    with socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.connect(path)
        sleeper.sendall(b'{"op": "big"}\n')
        assert ask(path, "add", a=1) == 2
        assert len(ask(path, "big")) == 4_000_000
    with pytest.raises(UsageError, match="no"):
        ask(path, "refuse")
    for members in ({}, {"a": []}, {"a": None}):
        with pytest.raises(UsageError, match="is missing, or no number"):
            ask(path, "add", **members)
    for nonsense in (b"{}\n", b"[[[[\n", b"\xff\xff\n", b'{"op": "nothing"}\n', b"[" * 70_000):
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(path)
            asker.sendall(nonsense)
            asker.shutdown(socket.SHUT_WR)
            assert "op is one of big, add, refuse" in json.loads(asker.makefile().readline())["error"]
    running.stop()
    thread.join(5)
    assert Path(path).stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="another box answers there"):
        Control(path, running, {})
    control.close()
    running.close()
    with pytest.raises(InputError, match="is a box with --control"):
        ask(path, "add")
