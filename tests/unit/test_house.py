"""The rules of the house that no linter knows: sizes, doors, claims, and what must never be committed."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/lastack"
MODULES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

LONGEST_MODULE = 400  # lines; beyond it a module has two topics
MEDIAN_MODULE = 200  # lines
LARGEST_FILE = 600_000  # bytes; a repository that people clone to try is small


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def kept_files() -> list[Path]:
    """Return the files that are, or are about to be, committed; all files where git cannot say."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
    except (OSError, subprocess.CalledProcessError):
        ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]
        return [
            path
            for path in ROOT.rglob("*")
            if path.is_file()
            and not any(
                fnmatch(part, name) for part in path.relative_to(ROOT).parts for name in [".git", *ignored]
            )
        ]
    return [ROOT / line for line in listed if line and (ROOT / line).is_file()]


def public_things(module: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the name and docstring of each public function, class and method."""
    for node in tree_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node)
            for member in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", ast.get_docstring(member)


def imported_packages(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


# --- size and shape ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES + TESTS, ids=name_of)
def test_module__has_one_topic(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_MODULE, f"{name_of(path)} has {lines} lines: split it by topic"


def test_modules__are_short_as_a_rule() -> None:
    sizes = [path.read_text(encoding="utf-8").count("\n") for path in MODULES if path.name != "__init__.py"]
    assert statistics.median(sizes) <= MEDIAN_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module__opens_with_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path))
    assert docstring, f"{name_of(path)} has no docstring"
    assert docstring.split("\n")[0].endswith((".", ":")), f"{name_of(path)}: the first line is no sentence"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_docstring__starts_with_a_claim(path: Path) -> None:
    empty_words = {"this", "function", "method", "class", "helper", "todo", "the function", "utility"}
    for name, docstring in public_things(path):
        assert docstring, f"{name_of(path)}: {name} has no docstring"
        first = docstring.split("\n")[0]
        assert first.split()[0].lower() not in empty_words, (
            f"{name_of(path)}: {name}: {first!r} claims nothing"
        )
        assert len(first.split()) >= 2, f"{name_of(path)}: {name}: {first!r} only repeats a name"


def test_every_folder_of_the_package__is_a_package() -> None:
    folders = {path.parent for path in MODULES}
    assert not [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()]


# --- doors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_numba__has_one_door(path: Path) -> None:
    if path == SOURCE / "kernels/_jit.py":
        return
    below = {"numba"} if path.parent == SOURCE / "kernels" else {"numba", "llvmlite"}
    assert not imported_packages(path) & below, f"{name_of(path)}: use lastack.kernels._jit"


@pytest.mark.parametrize("path", sorted(SOURCE.glob("kernels/*.py")), ids=name_of)
def test_kernels__know_no_arrow(path: Path) -> None:
    assert not imported_packages(path) & {"pyarrow", "duckdb"}, f"{name_of(path)}: tables are built above"


def test_imports__are_declared_dependencies() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for group in project.get("optional-dependencies", {}).values() for name in group]
    declared = {
        requirement.split(">")[0].split("=")[0].split("<")[0].strip().replace("-", "_")
        for requirement in [*project["dependencies"], *extras]
    }
    known = {
        *sys.stdlib_module_names,
        *declared,
        "lastack",
        "llvmlite",
        "markupsafe",
    }  # parts of numba and jinja2
    for path in MODULES:
        assert not imported_packages(path) - known, (
            f"{name_of(path)} imports what pyproject.toml does not declare"
        )


def test_public_names__exist_and_are_described() -> None:
    import lastack

    names = getattr(lastack, "__all__", [])
    for name in names:
        thing = getattr(lastack, name)
        assert not callable(thing) or thing.__doc__, f"lastack.{name} has no docstring"
    assert sorted(names, key=str.lower) == list(names) or sorted(names) == list(names), "__all__ is sorted"


# --- tests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests__do_not_sleep(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        sleeping = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"
        )
        assert not sleeping, f"{name_of(path)}:{node.lineno}: wait for what you need, not for a time"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests__have_names_of_their_own(path: Path) -> None:
    names = [node.name for node in tree_of(path).body if isinstance(node, ast.FunctionDef)]
    assert len(names) == len(set(names)), f"{name_of(path)}: a test hides another of the same name"


# --- what must never be committed -------------------------------------------------------------------------

#: Spelt in halves, so that this file does not contain what it looks for.
FORBIDDEN_TEXT = {
    "a host of a package registry": [
        *("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "yarn" + "pkg.com"),
        *("crates" + ".io", "deb" + ".debian.org", "proxy" + ".golang.org", "anaconda" + ".org"),
    ],
    "a path of one machine": ["/" + "work/", "/" + "root/", "/" + "tmp/", "/" + "home/", "py" + "env/shims"],
}
FORBIDDEN_FILES = {"uv" + ".lock", "pylock" + ".toml", "poetry" + ".lock", "package-lock" + ".json"}


def test_tests_that_need_a_system__are_where_check_looks_for_them() -> None:
    marks = tuple(f"pytest.mark.{mark}" for mark in ("system", "browser", "untimed"))
    with_marks = [path for path in TESTS if any(mark in path.read_text(encoding="utf-8") for mark in marks)]
    elsewhere = [name_of(path) for path in with_marks if path.parent.name != "system"]
    assert elsewhere == []


def test_files__name_no_registry_and_no_machine() -> None:
    found = []
    for path in kept_files():
        data = path.read_bytes()
        for what, words in FORBIDDEN_TEXT.items():
            found += [f"{name_of(path)}: {word!r} is {what}" for word in words if word.encode() in data]
    assert not found


def test_files__are_small_and_ours() -> None:
    for path in kept_files():
        assert path.name not in FORBIDDEN_FILES, f"{name_of(path)} records registry hosts: it stays out"
        assert path.stat().st_size <= LARGEST_FILE, f"{name_of(path)} is {path.stat().st_size} bytes"
