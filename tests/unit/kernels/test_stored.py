"""Stored kernels: compiled by one process, run by others that do not even import Numba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lastack.kernels import cache
from lastack.kernels._jit import kernel, load_le64, store_u64
from lastack.kernels.stored import Kernel, file_of, kind_of, symbol_of

pytestmark = pytest.mark.skipif(
    cache.mode() != cache.STORED, reason="nothing is compiled for other processes"
)

SAMPLE = "samples/closes.pcapng"
RECORD = np.dtype([("a", np.int32), ("b", np.uint64)])


@kernel
def weigh(address, numbers, record, sign, small):
    total = record.a * small
    for i in range(len(numbers)):
        total += numbers[i]
    store_u64(np.uint64(address), np.uint64(load_le64(np.uint64(address)) + np.uint64(1)))
    record.b = record.b + np.uint64(5)
    return -total if sign else total


@kernel
def divide(a, b):
    return a // b


def test_stored_kernel__reads_and_writes_what_its_arguments_say():
    word, record = np.zeros(1, np.uint64), np.zeros(1, RECORD).view(np.recarray)
    record.a = -7
    numbers = np.arange(10, dtype=np.int64)
    address = int(word.ctypes.data)
    assert isinstance(weigh, Kernel)
    assert weigh(address, numbers, record[0], False, 3) == 45 - 21
    assert weigh(address, numbers[3:5], record[0], True, np.int64(1)) == -(7 - 7)
    assert word[0] == 2
    assert record.b[0] == 10


def test_stored_kernel__compiles_anew_for_arrays_of_another_kind():
    address, record = int(np.zeros(1, np.uint64).ctypes.data), np.zeros(1, RECORD).view(np.recarray)[0]
    assert weigh(address, np.arange(4, dtype=np.uint8), record, False, 0) == 6


def test_stored_kernel__tells_that_its_code_failed():
    assert divide(7, 2) == 3
    with pytest.raises(RuntimeError, match="divide failed inside compiled code"):
        divide(7, 0)
    assert divide(-7, 2) == -4


@pytest.mark.parametrize("argument", [1.5, "a", None, np.zeros((2, 2)), np.zeros(8)[::2]], ids=repr)
def test_stored_kernel__refuses_what_has_no_place_in_words(argument):
    with pytest.raises(TypeError, match="kernels take"):
        kind_of(argument)


def run(script: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "LASTACK_CACHE": str(folder),
        "LASTACK_KERNELS": cache.LOCAL,  # what is shipped would hide what is compiled here
        **more,
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )


ONE = """
import sys
import lastack.app, numpy as np
from lastack.kernels import cache
from lastack.kernels.sharding import SHARDS, scatter
scatter(np.uint64(0), np.zeros(1, np.int64), 0, np.zeros(SHARDS, np.uint64), np.zeros(SHARDS, np.int64))
print(cache.mode(), 'numba' in sys.modules)
"""


def modes(folder: Path) -> list[str]:
    done = run(ONE, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_kernel_that_is_not_there__is_made_once_and_a_damaged_one_again(tmp_path):
    assert modes(tmp_path) == ["stored", "False"]
    (path,) = tmp_path.glob("*/*.kernel")
    made = path.stat().st_mtime_ns
    assert modes(tmp_path) == ["stored", "False"]
    assert path.stat().st_mtime_ns == made
    path.write_bytes(path.read_bytes()[:100])
    assert modes(tmp_path) == ["stored", "False"]
    assert path.stat().st_size > 100


def test_kernels__are_called_by_numba_where_storing_did_not_work(tmp_path):
    run("from lastack.kernels import cache; cache.mark(cache.BROKEN)", tmp_path)
    assert modes(tmp_path) == ["numba", "True"]


OTHER_NUMBA = (
    "import numba.core.codegen; del numba.core.codegen.JITCodeLibrary"
    + ONE
    + "from lastack.kernels import compiling; print(compiling._Library)"
)


def test_kernel__is_made_the_long_way_where_numba_is_another(tmp_path):
    done = run(OTHER_NUMBA, tmp_path, LASTACK_KERNELS="compiling", NUMBA_OPT="2")
    assert done.stdout.split() == ["compiling", "True", "None"], done.stderr
    assert modes(tmp_path) == ["stored", "False"]


def test_analysis__does_not_import_numba():
    script = (
        "import sys; from lastack.cli.main import run; code = run(['analyze', sys.argv[1]]);"
        "sys.exit(code or ('numba' in sys.modules and 'Numba was imported') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, SAMPLE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_kernels_of_other_packages__are_not_kept():
    assert file_of(symbol_of("tests.unit.anything", ("int64",))) is None
    assert file_of(symbol_of("lastack.kernels.track.track_pieces", ("int64",))) is not None
