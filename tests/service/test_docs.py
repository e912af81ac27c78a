"""Pages say what is true: their commands run and print what stands there, their links lead somewhere, and those
that are made from code are current.

In a ``console`` block, lines that start with ``$ lutra`` are run, page by page, each page in one temporary folder with
an empty store, a small ``model.onnx`` and the examples ``my_space.py``, ``my_accuracy.py`` and
``made_up_latencies.csv``. Lines below a
command are its output, ``...`` standing for anything; a command without such lines may print whatever it likes.
``# exit N`` (``# exit N or M``) at its end says with which exit code it is to end.
``python`` blocks run in the same folder. ``$ make`` lines are not run here, but must name a target.
"""

import importlib
import importlib.util
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lutra.networks import NetworkBuilder, errors
from lutra.networks.errors import LutraError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
COMMANDS = (
    "agent",
    "calibrate",
    "design-spaces",
    "devices",
    "doctor",
    "fit",
    "fleet",
    "jobs",
    "ops",
    "predict",
    "profile",
    "report",
    "search",
    "serve",
    "spaces",
    "supernet",
    "table",
    "token",
    "transfer",
    "validate",
    "validate-mcu",
    "worker",
)
RUN_LUTRA = "from lutra.service.cli import main; main()"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Example:
    """One command of a page, with what it is expected to do."""

    command: str
    exit_codes: tuple[int, ...]
    output: str


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(text) if found == language]


def examples(block: str) -> list[Example]:
    found: list[Example] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        command, _, comment = line.partition("  #")
        expected = re.fullmatch(r" exit (\d+(?: or \d+)*)", comment)
        codes = tuple(map(int, expected[1].split(" or "))) if expected else (0,)
        found.append(Example(command.strip(), codes, output.strip("\n")))
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether the output is what the page shows; ``...`` stands for anything, and blanks at line ends do not count."""
    pattern = ".*".join(re.escape(piece) for piece in re.split(r"\.\.\.", _trimmed(expected)))
    return re.fullmatch(pattern, _trimmed(printed), flags=re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


ALL_EXAMPLES = {page: [e for block in blocks(page.read_text(), "console") for e in examples(block)] for page in PAGES}
PAGES_THAT_RUN = [
    page
    for page, found in ALL_EXAMPLES.items()
    if any(example.command.startswith("lutra") for example in found) or blocks(page.read_text(), "python")
]
PAGES_THAT_TRAIN = ("docs/accuracy-estimation.md", "docs/commands/supernet.md")  # for long enough to be slow tests


@pytest.fixture
def page_folder(tmp_path):
    """A folder with a small model in it, and the environment in which a page's commands run."""
    from lutra.networks.exporters import to_onnx

    b = NetworkBuilder("model")
    x = b.input((1, 3, 32, 32))
    for channels in (8, 16):
        x = b.op("conv2d", x, out_channels=channels, kernel_size=3, stride=2, padding=1)
        x = b.op("relu", x)
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    network = b.build(b.op("linear", x, out_features=10))
    work = tmp_path / "work"
    work.mkdir()
    (work / "model.onnx").write_bytes(to_onnx(network).SerializeToString())
    for example in ("my_space.py", "my_accuracy.py", "made_up_latencies.csv"):
        shutil.copy(ROOT / "examples" / example, work)
    hidden = {"LUTRA_STORE", "COLUMNS", "FORCE_COLOR", "XDG_DATA_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "120"}
    return work, environment


def run(arguments, page_folder):
    folder, environment = page_folder
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] * (relative(p) in PAGES_THAT_TRAIN)) for p in PAGES_THAT_RUN],
    ids=map(relative, PAGES_THAT_RUN),
)
def test_what_a_page_shows_runs(page, page_folder):
    for example in ALL_EXAMPLES[page]:
        words = shlex.split(example.command)
        if words[0] != "lutra":
            continue
        done = run(["-c", RUN_LUTRA, *words[1:]], page_folder)
        assert done.returncode in example.exit_codes, f"$ {example.command}\n{done.stdout}{done.stderr}"
        printed = done.stdout if done.returncode == 0 else done.stdout + done.stderr
        if example.output:
            assert matches(example.output, printed), f"$ {example.command}\n{printed}"
        if "--json" in words:
            json.loads(done.stdout)
    for code in blocks(page.read_text(), "python"):
        done = run(["-c", code], page_folder)
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        assert done.stdout


def test_every_command_of_a_page_is_known():
    programs = {example.command.split()[0] for found in ALL_EXAMPLES.values() for example in found}
    assert programs <= {"lutra", "make"}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_make_targets_of_a_page_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        word
        for example in ALL_EXAMPLES[page]
        if example.command.startswith("make ")
        for word in [example.command.split()[1]]
    }
    named |= set(re.findall(r"`make ([a-z-]+)`", page.read_text()))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if heading:
            assert heading in anchors(path.read_text()), target


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reachable_from_the_index():
    seen: set[Path] = set()
    queue = [DOCS / "index.md"]
    while queue:
        page = queue.pop()
        if page in seen:
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
        queue += [target for link in links if (target := (page.parent / link).resolve()).suffix == ".md"]
    assert set(DOCS.rglob("*.md")) <= seen


def registered_commands() -> dict[str, object]:
    import typer.main

    from lutra.service.cli import app

    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]


def test_every_command_has_a_page():
    assert set(registered_commands()) == set(COMMANDS) == {page.stem for page in (DOCS / "commands").glob("*.md")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_every_option_and_runs_its_command(name):
    page = DOCS / "commands" / f"{name}.md"
    command = registered_commands()[name]
    parts = list(getattr(command, "commands", {"": command}).items())
    for verb, part in parts:
        assert any(example.command.startswith(f"lutra {name} {verb}".strip()) for example in ALL_EXAMPLES[page])
        for parameter in part.params:
            long = [option for option in parameter.opts if option.startswith("--") and option != "--help"]
            for option in long:
                assert f"`{option}" in page.read_text(), f"{name} {verb}: {option}"


def load_generator():
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["api.md", "errors.md", "ops.md"])
def test_generated_pages_are_current(name):
    assert (DOCS / name).read_text(encoding="utf-8") == load_generator().PAGES[name](), "run 'make docs'"


def test_every_generated_page_is_checked():
    assert set(load_generator().PAGES) == {"api.md", "errors.md", "ops.md"}


def test_every_error_code_has_a_heading_and_a_remedy():
    headings = re.findall(r"^## (.+)$", (DOCS / "errors.md").read_text(), flags=re.MULTILINE)
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, LutraError)]
    codes = {cls.code for cls in classes}
    assert len(headings) == len(codes)
    assert set(headings) == codes == set(load_generator().REMEDIES)


def test_the_scoreboard_is_current():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoreboard", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def scoreboard(monkeypatch):
    """The benchmarks' modules, which are run from the root and never installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.scoreboard"), importlib.import_module("benchmarks._results")


def result_document(**changes):
    figure = {
        "figure": "a|b",
        "value": 3.5,
        "unit": "ms",
        "goal": 5,
        "better": "lower",
        "peer": "",
        "protocol": "Once.",
        "command": "make x",
    }
    whole = {name: value for name, value in changes.items() if name in ("figures", "machine", "measured_at")}
    session = {"figures": [figure | changes], "machine": {"model": "m"}, "measured_at": "2026-01-02T03:04:05+00:00"}
    return {"sessions": [session | whole]}


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({}, "✓ met"),
        ({"value": 5.01}, "✗ missed"),
        ({"better": "higher"}, "✗ missed"),
        ({"better": "higher", "value": 5}, "✓ met"),
        ({"goal": None}, "no goal"),
    ],
)
def test_the_scoreboard_says_which_goals_are_met(scoreboard, tmp_path, changes, mark):
    (tmp_path / "area.json").write_text(json.dumps(result_document(**changes)))
    page = scoreboard[0].render(scoreboard[0].areas(tmp_path))
    row = next(line for line in page.splitlines() if "a\\|b |" in line)
    assert row.startswith(f"| {mark} |")


@pytest.mark.parametrize(
    "changes",
    [
        {"value": "fast"},
        {"value": True},
        {"value": float("nan")},
        {"goal": float("inf")},
        {"better": "smaller"},
        {"protocol": " "},
        {"figure": 3},
        {"surprise": 1},
        {"figures": []},
        {"figures": [{"figure": "a"}]},
        {"figures": result_document()["sessions"][0]["figures"] * 2},
        {"machine": {}},
        {"measured_at": "yesterday"},
    ],
    ids=str,
)
def test_results_of_another_form_are_refused(scoreboard, tmp_path, changes):
    path = tmp_path / "area.json"
    path.write_text(json.dumps(result_document()))
    scoreboard[1].read(path)
    path.write_text(json.dumps(result_document(**changes)))
    with pytest.raises(scoreboard[1].ResultsError, match=r"area\.json"):
        scoreboard[1].read(path)


def test_results_are_written_whole_or_not_at_all(scoreboard, tmp_path):
    results = scoreboard[1]
    good = results.Figure(**result_document()["sessions"][0]["figures"][0])
    path = results.write("area", [good], folder=tmp_path)
    before = path.read_bytes()
    assert results.read(path).figures == (good,)
    with pytest.raises(results.ResultsError, match="one name"):
        results.write("area", [good, good], folder=tmp_path)
    with pytest.raises(ValueError, match="inf"):
        results.write("area", [replace(good, value=math.inf)], folder=tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_figures_that_are_not_measured_anew_keep_their_date(scoreboard, tmp_path):
    path = tmp_path / "area.json"
    path.write_text(json.dumps(result_document()))
    page, results = scoreboard
    (old,) = results.read(path).sessions
    (first,) = old.figures
    second = replace(first, figure="b", value=7.0)
    results.write("area", [second], folder=tmp_path)
    results.write("area", [first, second], folder=tmp_path)
    kept, new = results.read(path).sessions
    assert kept == old
    assert new.figures == (second,)
    assert new.measured_at > old.measured_at
    changed = replace(first, value=4.0)
    results.write("area", [changed], folder=tmp_path)
    assert [session.figures for session in results.read(path).sessions] == [(second,), (changed,)]
    rendered = page.render(page.areas(tmp_path))
    assert rendered.count("Measured 20") == 2
    assert "2 figures: 1 goals met, 1 missed" in rendered


def test_the_matcher_can_fail():
    assert matches("a ... c\nd", "a b\nb c  \nd\n")
    assert not matches("a ... c", "a b")
    assert not matches("a", "a\nb")
    assert examples("$ lutra x  # exit 2 or 3\nboom\n$ make y\n") == [
        Example("lutra x", (2, 3), "boom"),
        Example("make y", (0,), ""),
    ]
