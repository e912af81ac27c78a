"""Ctrl-C: the campaign ends after what is measured, says how to go on, and goes on there."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.networks import NetworkBuilder
from lutra.networks.errors import LutraError

RUN = [sys.executable, "-c", "from lutra.service.cli import main; main()"]
LAYERS = 1200  # of the null device a few milliseconds each: enough to be interrupted in the middle
KERNELS = LAYERS + 1  # the last brings the image back to the plain layout


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A network of so many layers, each a kernel of its own, as a file."""
    b = NetworkBuilder("chain")
    x = b.input((1, 1, 8, 8))
    for channels in range(1, LAYERS + 1):
        x = b.op("conv2d", x, out_channels=channels, kernel_size=1)
    b.build(x).save(tmp_path / "chain.json")
    return tmp_path / "chain.json"


@contextmanager
def started(*words: object) -> Iterator["subprocess.Popen[str]"]:
    """``lutra WORDS...`` in a process group of its own, as a terminal starts it."""
    command = [*RUN, *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        with process:
            yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def rows_in(path: Path) -> int:
    try:
        with Store.open(path, create=False, read_only=True) as store:
            return len(store.keys("null", "kernel"))
    except LutraError:  # not made yet
        return 0


def test_an_interrupted_profile_goes_on_where_it_stopped(lutra, chain, tmp_path):
    words = ("profile", chain, "-d", "null", "--no-check")
    with started(*words) as process:
        while not (seen := rows_in(tmp_path / "rows.db")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (5, "")
    assert "Traceback" not in err
    assert "press Ctrl-C again" in err
    measured = int(re.search(r"(\d+) kernels measured", err)[1])
    assert seen <= measured == rows_in(tmp_path / "rows.db") < KERNELS
    resume = shlex.split(re.search(r"go on with: lutra (.*)$", err, re.MULTILINE)[1])
    assert resume == [str(word) for word in words]
    rest = lutra(*resume, "--json").document
    assert (rest["skipped"], rest["measured"], rest["interrupted"]) == (measured, KERNELS - measured, False)


def test_going_on_does_not_start_over(monkeypatch):
    from lutra.service import campaigns

    monkeypatch.setattr(sys, "argv", ["lutra", "profile", "my net.onnx", "--fresh", "--json"])
    assert campaigns.resume_command() == "lutra profile 'my net.onnx' --json"


def test_a_measurement_under_way_is_cut_short(lutra, chain):
    """On a real device, where the native core is in the middle of minutes of timing."""
    with started("profile", chain, "-r", "native", "--no-check") as process:
        assert process.stderr.readline().startswith(f"0/{KERNELS} kernels")
        time.sleep(1)  # whatever it is doing then, it ends soon and in order
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (5, "")
    assert "go on with: lutra profile" in err
    assert "Traceback" not in err
    assert lutra("table", "check").code == 0
    pending = lutra("profile", chain, "-r", "native", "--no-check", "--dry-run", "--json").document["pending"]
    assert 0 < len(pending) <= KERNELS


def test_ctrl_c_before_anything_is_measured(lutra, monkeypatch):
    from lutra import profiler

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(profiler, "make_plan", interrupted)
    outcome = lutra("profile", "resnet18", "-d", "null")
    assert (outcome.code, outcome.out, outcome.err) == (5, "", "interrupted\n")


def test_the_worker_does_not_get_the_terminals_ctrl_c():
    """It is in another process group: even while it starts, Ctrl-C is the profiler's alone to handle."""
    from lutra.profiler.client import WorkerClient

    with WorkerClient("null", 1) as worker:
        assert os.getpgid(worker.pid) != os.getpgid(0)


def test_the_second_ctrl_c_ends_at_once():
    from lutra.service.campaigns import cancel_on_interrupt

    before = signal.getsignal(signal.SIGINT)
    with cancel_on_interrupt() as cancel:
        signal.raise_signal(signal.SIGINT)
        assert cancel.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
