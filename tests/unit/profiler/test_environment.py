"""What the probe makes of a system, on systems made of files."""

from pathlib import Path

import pytest

from lutra.profiler.environment import cpu_pressure_s, read_environment

QUIET = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "proc/sys/kernel/sched_autogroup_enabled": "0",
    "proc/sys/kernel/sched_rt_runtime_us": "950000",
    "proc/pressure/cpu": "some avg10=1.50 avg60=0.10 avg300=0.00 total=2500000\nfull avg10=0.00 total=0",
    "sys/fs/cgroup/cpu.max": "max 100000",
}


def system(folder: Path, **changes: str) -> Path:
    """A root folder with the files of a quiet system, some replaced (named by the end of their path)."""
    for path, content in QUIET.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(changes.get(file.name.replace(".", "_"), content) + "\n")
    return folder


def cures(root: Path, variables: dict[str, str] | None = None) -> dict[str, str]:
    findings = read_environment(root, variables or {}).findings()
    return {finding.topic: finding.cure for finding in findings if finding.severity != "ok"}


def test_a_quiet_system_needs_no_cure(tmp_path: Path) -> None:
    environment = read_environment(system(tmp_path), {})
    assert cures(system(tmp_path)) == {}
    assert environment.conditions() == {
        "governor": "performance",
        "clock_source": "tsc",
        "huge_pages": "madvise",
        "autogroup": False,
        "throttled": True,
    }


def test_a_system_that_tells_nothing_is_unknown_and_not_wrong(tmp_path: Path) -> None:
    assert read_environment(tmp_path, {}).conditions() == {}
    assert cures(tmp_path) == {}
    assert cpu_pressure_s(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "topic", "cure"),
    [
        ({"scaling_governor": "powersave"}, "frequency", "cpupower"),
        ({"current_clocksource": "hpet"}, "clock", "clocksource=tsc"),
        ({"cpu_max": "50000 100000"}, "processor quota", "cpuset"),
    ],
)
def test_each_setting_that_disturbs_names_its_cure(
    tmp_path: Path, changes: dict[str, str], topic: str, cure: str
) -> None:
    assert cure in cures(system(tmp_path, **changes))[topic]


@pytest.mark.parametrize(
    ("variables", "topic"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "thread pools"),
        ({"KMP_BLOCKTIME": "infinite"}, "thread pools"),
        ({"LD_PRELOAD": "libjemalloc.so"}, "allocator"),
    ],
)
def test_variables_that_disturb_are_found(tmp_path: Path, variables: dict[str, str], topic: str) -> None:
    assert topic in cures(system(tmp_path), variables)


def test_a_pinned_allocator_is_recorded(tmp_path: Path) -> None:
    environment = read_environment(system(tmp_path), {"MALLOC_TOP_PAD_": "1", "OMP_WAIT_POLICY": "passive"})
    assert environment.conditions()["allocator"] == {"MALLOC_TOP_PAD_": "1"}
    assert "spinning" not in environment.conditions()


def test_pressure_is_the_time_in_which_some_task_waited(tmp_path: Path) -> None:
    assert cpu_pressure_s(system(tmp_path)) == 2.5
    assert cpu_pressure_s(system(tmp_path, cpu="nonsense\nsome total=x")) is None


def test_a_share_of_a_core_is_a_quota(tmp_path: Path) -> None:
    assert read_environment(system(tmp_path, cpu_max="150000 100000"), {}).quota_cores == 1.5
    assert read_environment(system(tmp_path, cpu_max="1 0"), {}).quota_cores is None
