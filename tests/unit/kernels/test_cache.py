"""The name of the cache's folder: it says which compiler made what is in it."""

from __future__ import annotations

import importlib.util
from importlib import metadata

import pytest

from lastack.kernels import provenance


def test_versions__are_those_of_the_installed_packages():
    for name in ("numba", "llvmlite", "numpy"):
        (said,) = provenance._versions(name)
        assert f"-{metadata.version(name)}." in said


def test_versions__are_asked_for_where_no_folder_tells_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert provenance._versions("numpy") == [metadata.version("numpy")]


def test_compiler_that_is_not_there__is_an_error():
    with pytest.raises(metadata.PackageNotFoundError):
        provenance._versions("no_such_package")
