"""A search's file: going on from it, after a kill too, and what is refused."""

import json
import signal
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from lutra.nas import Constraint, Objective, Problem, make_searcher, search
from lutra.nas.testing import ToySpace, toy_cost, toy_gain
from lutra.networks.errors import SearchStateError, UsageError

SPACE = ToySpace(8, 5)


class Counted:
    """An objective for one architecture that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, code):
        self.calls += 1
        return np.nan if code[1] == 2 else toy_gain(code[None])[0]


def run(journal=None, *, measure=None, space=SPACE, most=20.0, name="gain", strategy="random", seed=3, evaluations=24):
    objective = Objective(name, measure or Counted(), maximise=True, batched=False)
    problem = Problem(space, [objective], [Constraint("cost", toy_cost, most)])
    searcher = make_searcher(problem, strategy, seed=seed)
    return search(problem, searcher, evaluations=evaluations, batch=5, journal=journal)


def same(one, other):
    assert one.codes.tolist() == other.codes.tolist()
    assert one.evaluations.failures == other.evaluations.failures
    np.testing.assert_array_equal(one.evaluations.losses, other.evaluations.losses)


def test_nothing_is_evaluated_twice(tmp_path):
    first, second = Counted(), Counted()
    whole = run(tmp_path / "j", measure=first)
    same(run(tmp_path / "j", measure=second), whole)
    assert (first.calls, second.calls) == (24, 0)
    more = run(tmp_path / "j", measure=second, evaluations=40)
    assert (len(more), second.calls) == (40, 16)
    same(run(tmp_path / "j", measure=second, evaluations=40), more)
    assert second.calls == 16


def test_wherever_the_file_was_cut_off_the_search_goes_on(tmp_path):
    path = tmp_path / "j"
    whole = run(path)
    content = path.read_bytes()
    for size in (*range(0, len(content), 97), len(content) - 1):
        path.write_bytes(content[:size])
        same(run(path), whole)
        same(run(path), whole)


SCRIPT = """
import sys, time
from pathlib import Path
from lutra.nas import Constraint, Objective, Problem, make_searcher, search
from lutra.nas.testing import ToySpace, toy_cost, toy_gain
def gain(code):
    time.sleep(0.03)
    return float("nan") if code[1] == 2 else toy_gain(code[None])[0]
problem = Problem(ToySpace(8, 5), [Objective("gain", gain, maximise=True, batched=False)],
                  [Constraint("cost", toy_cost, 20.0)])
search(problem, make_searcher(problem, "random", seed=3), evaluations=300, batch=5, journal=Path(sys.argv[1]))
"""


def test_a_killed_search_goes_on(tmp_path):
    path = tmp_path / "j"
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)])
    try:
        waited_until = time.monotonic() + 120
        while not (path.exists() and path.read_bytes().count(b"\n") > 20):
            assert child.poll() is None
            assert time.monotonic() < waited_until
            time.sleep(0.05)
        with pytest.raises(SearchStateError, match="in use by another search"):
            run(path)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = path.read_bytes().count(b'"code"')
    counted = Counted()
    same(run(path, measure=counted, evaluations=60), run(evaluations=60))
    assert 15 < done < 60
    assert counted.calls == 60 - done


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"space": ToySpace(8, 4)}, "its choices is"),
        ({"strategy": "grid"}, "its strategy is 'random', not 'grid'"),
        ({"seed": 4}, "its seed is 3, not 4"),
        ({"most": 21.0}, r"its constraints is \[\['cost', 20.0\]\], not \[\['cost', 21.0\]\]"),
        ({"name": "loss"}, r"its objectives is \[\['gain', 'most'\]\], not \[\['loss', 'most'\]\]"),
    ],
)
def test_the_file_of_another_search_is_refused(tmp_path, other, difference):
    run(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(SearchStateError, match=difference):
        run(tmp_path / "j", **other)
    assert (tmp_path / "j").read_bytes() == before


def sealed(record):
    record.pop("crc", None)
    return json.dumps(record | {"crc": zlib.crc32(json.dumps(record).encode())}).encode()


def test_another_version_is_refused(tmp_path):
    run(tmp_path / "j")
    header, *rest = (tmp_path / "j").read_bytes().splitlines()
    newer = sealed(json.loads(header) | {"lutra_search": 2})
    (tmp_path / "j").write_bytes(b"\n".join([newer, *rest, b""]))
    with pytest.raises(SearchStateError, match="has the format 2; this version of Lutra goes on from format 1"):
        run(tmp_path / "j")


def test_answers_that_nobody_asks_for_are_refused(tmp_path):
    """A version of a package that draws other random numbers."""
    run(tmp_path / "j")
    header, *rest = (tmp_path / "j").read_bytes().splitlines()
    older = sealed(json.loads(header) | {"numpy": "1.0"})
    record = next(json.loads(line) for line in rest if b'"code"' in line)
    record["code"] = [7, *[4] * 8]
    (tmp_path / "j").write_bytes(b"\n".join([older, *rest, sealed(record), b""]))
    with pytest.raises(SearchStateError, match=r"does not ask for: it was written by lutra .*, numpy 1\.0; this is"):
        run(tmp_path / "j", evaluations=40)


@pytest.mark.parametrize("change", ["cut", "flip", "swap", "foreign", "short"])
def test_a_damaged_middle_is_refused(tmp_path, change):
    run(tmp_path / "j")
    lines = (tmp_path / "j").read_bytes().splitlines()
    position = next(i for i, line in enumerate(lines) if b'"code"' in line)
    record = json.loads(lines[position])
    lines[position] = {
        "cut": lines[position][:20],
        "flip": lines[position].replace(b'"code": [', b'"code": [1'),
        "swap": b"\x00\xff\x00",
        "foreign": sealed({"word": 1}),
        "short": sealed(record | {"code": record["code"][1:]}),
    }[change]
    damaged = b"\n".join([*lines, b""])
    (tmp_path / "j").write_bytes(damaged)
    with pytest.raises(SearchStateError, match=f"damaged: line {position + 1} is not what was written"):
        run(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == damaged
    (tmp_path / "j").write_bytes(b"\n".join([*lines[:position], b""]))  # what the error tells to do
    same(run(tmp_path / "j"), run())


@pytest.mark.parametrize("content", [b"import antigravity\n", b"no newline", b"{}\n", b"\n", b"\x00" * 300])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(SearchStateError, match="no journal of a search"):
        run(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content


def test_a_file_that_cannot_be_used(tmp_path):
    with pytest.raises(UsageError, match="cannot be used: Is a directory"):
        run(tmp_path)
    with pytest.raises(UsageError, match="cannot be used: No such file"):
        run(tmp_path / "no" / "folder")
