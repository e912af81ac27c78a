"""The measuring thread's priority: raised only where that is safe, and always given back."""

import os
from pathlib import Path

import pytest

from lutra.profiler import priority
from lutra.profiler.priority import may_be_realtime, measuring_priority


def throttling(folder: Path, runtime_us: str) -> Path:
    file = folder / "proc/sys/kernel/sched_rt_runtime_us"
    file.parent.mkdir(parents=True)
    file.write_text(runtime_us)
    return folder


def test_normal_changes_nothing() -> None:
    before = os.sched_getscheduler(0), os.sched_getaffinity(0)
    with measuring_priority("normal", 1) as got:
        assert got == "normal"
        assert (os.sched_getscheduler(0), os.sched_getaffinity(0)) == before


def fail_at(wanted: str) -> None:
    with measuring_priority(wanted, 1) as got:
        if got == "fifo":
            assert os.sched_getscheduler(0) & os.SCHED_FIFO
            assert len(os.sched_getaffinity(0)) == 1
        raise ZeroDivisionError


def test_the_priority_is_given_back_even_after_an_error() -> None:
    before = os.sched_getscheduler(0), os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError):
        fail_at("auto")
    assert (os.sched_getscheduler(0), os.sched_getaffinity(0)) == before


def test_a_refusal_leaves_the_thread_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(priority, "may_be_realtime", lambda: True)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with measuring_priority("auto", 1) as got:
        assert got == "normal"


def test_several_threads_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "may_be_realtime", lambda: True)
    monkeypatch.setattr(os, "sched_setscheduler", lambda *_: pytest.fail("one thread was put above the others"))
    with measuring_priority("auto", 2) as got:
        assert got == "normal"


def test_never_without_throttling_or_on_the_only_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "logical_cores", lambda: 2)
    assert may_be_realtime(throttling(tmp_path / "safe", "950000"))
    assert not may_be_realtime(throttling(tmp_path / "endless", "-1"))
    assert not may_be_realtime(tmp_path)
    monkeypatch.setattr(priority, "logical_cores", lambda: 1)
    assert not may_be_realtime(tmp_path / "safe")
