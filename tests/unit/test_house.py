"""Rules of the house that a reader of one file cannot see: checked over the whole source tree."""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from lutra.networks import errors
from lutra.networks.errors import LutraError

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = tuple(sorted(path.parent.name for path in ROOT.glob("*/py.typed")))
MODULES = tuple(sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")))
SCRIPTS = tuple(sorted(path for folder in ("benchmarks", "docs", "examples") for path in (ROOT / folder).rglob("*.py")))

BANNED_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
LOADERS_OF_CODE = {("torch", "load"), ("numpy", "load"), ("np", "load")}
MACHINE_PATH = re.compile(r"(?<![\w.<{}/])/(?:work|root|home|Users|tmp|opt|mnt|srv)/[\w.-]+")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def modules(folder: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(ROOT).parts[0] == folder]


def dotted(node: ast.expr) -> tuple[str, ...]:
    """Names of ``a.b.c``; empty for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return (*inner, node.attr) if inner else ()
    return ()


def imported(tree: ast.Module) -> set[str]:
    """First component of every absolute import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def unsafe_calls(tree: ast.Module) -> list[str]:
    """Calls that run code from data."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        allow = keywords.get("allow_pickle")
        if len(name) == 1 and name[0] in BANNED_CALLS:
            found.append(f"{name[0]} at line {node.lineno}")
        if name in LOADERS_OF_CODE and not (isinstance(allow, ast.Constant) and allow.value is False):
            found.append(f"{'.'.join(name)} at line {node.lineno}")
    return found


def test_the_folders_are_found():
    assert {"networks", "luts", "profiler", "predictors", "service"} <= set(FOLDERS)
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=relative)
def test_nothing_runs_code_from_data(path):
    assert not imported(tree_of(path)) & BANNED_MODULES
    assert not unsafe_calls(tree_of(path))


@pytest.mark.parametrize(
    "source",
    ["eval('1')", "import torch\ntorch.load('f')", "np.load('f')", "np.load('f', allow_pickle=True)"],
)
def test_unsafe_calls_are_seen(source):
    assert unsafe_calls(ast.parse(source))


def test_safe_calls_are_let_through():
    assert not unsafe_calls(ast.parse("np.load('f', allow_pickle=False); re.compile('x'); model.eval()"))


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=relative)
def test_no_path_of_one_machine(path):
    strings = (n for n in ast.walk(tree_of(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    assert [(n.lineno, n.value) for n in strings if MACHINE_PATH.search(n.value)] == []


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=relative)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", [path for path in MODULES if "service" not in path.parts], ids=relative)
def test_the_library_does_not_print(path):
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert [node.lineno for node in calls if dotted(node.func) in {("print",), ("sys", "stdout", "write")}] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_cannot_be_imported_under_its_own_name(folder):
    """A user's `profiler.py` must not be shadowed, nor one module live under two names."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert f"import lutra.{folder}, not {folder}" in done.stderr


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_lists_what_is_exported(folder):
    """`__all__` is sorted, and is exactly the public names that the folder brings in from its own modules."""
    tree = tree_of(ROOT / folder / "__init__.py")
    module = importlib.import_module(f"lutra.{folder}")
    listed = getattr(module, "__all__", [])
    assert listed == sorted(listed)
    assert len(set(listed)) == len(listed)
    for name in listed:
        assert hasattr(module, name), name
    brought_in = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert {name for name in brought_in if not name.startswith("_")} <= set(listed)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_between_folders_are_relative(folder):
    absolute = {relative(path) for path in modules(folder) if "lutra" in imported(tree_of(path))}
    assert absolute <= {"luts/migrations/env.py"}  # alembic runs that file by path, outside any package


def error_classes() -> list[type[LutraError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [cls for cls in found if issubclass(cls, LutraError)]


def test_error_codes_are_unique():
    counts = Counter(cls.code for cls in error_classes())
    assert [code for code, count in counts.items() if count > 1] == []
    assert all(re.fullmatch(r"LUTRA-E\d{3}", code) for code in counts)


def test_every_error_stands_in_the_drawn_tree():
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__))
    assert {cls.__name__ for cls in error_classes()} == drawn


def test_errors_are_declared_in_one_file():
    names = {cls.__name__ for cls in error_classes()}
    elsewhere = [
        f"{relative(path)}: {node.name}"
        for path in MODULES
        if path != ROOT / "networks" / "errors.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and any(dotted(base)[-1:] and dotted(base)[-1] in names for base in node.bases)
    ]
    assert elsewhere == []


def test_exit_codes_are_the_documented_ones():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    assert {cls.exit_code for cls in error_classes()} <= documented


def test_the_changelog_collects_what_is_new():
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"


def test_light_folders_do_not_load_torch():
    """A device is profiled, and its table read, without torch in memory."""
    code = "import sys, lutra.networks, lutra.luts, lutra.profiler; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
