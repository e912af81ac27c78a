"""A machine that changed is refused, before its rows mix with others or while it is measured."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from lutra.luts import Fingerprint, Store
from lutra.luts.host import frequency_settings
from lutra.networks import NetworkBuilder
from lutra.networks.errors import FingerprintMismatchError
from lutra.networks.lowering import lower
from lutra.profiler import Device, Plan, Settings, Subject, run_campaign
from lutra.profiler.continuity import Watch, require_same_machine
from lutra.profiler.environment import read_environment


def fingerprint(
    version: str = "1.0", governor: str = "performance", threads: int = 1, kind: str = "null"
) -> Fingerprint:
    return Fingerprint.of(
        kind,
        hardware={"model": "sample"},
        runtime={"name": "null" if kind == "null" else "native", "version": version},
        settings={"precision": "float32", "threads": threads, "governor": governor},
    )


def plan_for(device: Device) -> Plan:
    b = NetworkBuilder("small")
    network = b.build(b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=1))
    return Plan(device, (Subject(network, None, lower(network, device.runtime)),), check=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


def test_a_changed_machine_is_refused_and_told_what_changed(store: Store) -> None:
    run_campaign(plan_for(Device("board", fingerprint())), store)
    changed = plan_for(Device("board", fingerprint("1.1", "powersave")))
    with pytest.raises(FingerprintMismatchError, match="'board' has changed") as caught:
        run_campaign(changed, store)
    assert caught.value.differences == ("version: 1.0 -> 1.1", "governor: performance -> powersave")
    assert "--new-table" in caught.value.hint
    assert [record.fingerprint for record in store.devices()] == [fingerprint()]  # nothing was written


def test_a_new_table_begins_beside_the_old_one(store: Store) -> None:
    old, new = (plan_for(Device("board", fingerprint(version))) for version in ("1.0", "1.1"))
    before = run_campaign(old, store).table
    assert run_campaign(new, store, new_table=True).measured == len(new.kernels)
    assert len(store.devices()) == 2
    assert store.table(old.device.fingerprint) == before
    for plan in (old, new):  # each goes on with its own from now on
        assert run_campaign(plan, store).skipped == len(plan.kernels)


@pytest.mark.parametrize(
    "other",
    [
        Device("board", fingerprint("1.1", threads=2)),
        Device("other", fingerprint("1.1")),
        Device("board", fingerprint("1.1", kind="real")),
    ],
)
def test_what_was_chosen_is_no_change(store: Store, other: Device) -> None:
    store.register_device(fingerprint(), "board")
    require_same_machine(store, other)


def test_the_table_used_last_is_the_one_compared_with(store: Store) -> None:
    store.register_device(fingerprint("1.0"), "board")
    store.register_device(fingerprint("1.1"), "board")
    with pytest.raises(FingerprintMismatchError) as caught:
        require_same_machine(store, Device("board", fingerprint("1.2")))
    assert caught.value.differences[0].startswith("version: 1.")
    assert caught.value.differences[0].endswith("-> 1.2")


def test_a_governor_that_changes_in_between_stops_the_campaign(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    governors = iter(("performance", "powersave"))
    monkeypatch.setattr(
        "lutra.profiler.continuity.frequency_settings", lambda: {"governor": next(governors), "turbo": "on"}
    )
    plan = plan_for(Device("board", fingerprint(kind="real")))
    with pytest.raises(
        FingerprintMismatchError, match=r"changed while it was measured: governor: perf\w+ -> powersave"
    ):
        run_campaign(plan, store, settings=Settings(patience_s=0.0, max_rounds=8))
    assert store.keys(plan.device.fingerprint, "kernel") == set()


def test_fewer_cores_are_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    watch = Watch(Device("board", fingerprint(kind="real")))
    watch.require_unchanged()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1}, raising=False)
    with pytest.raises(FingerprintMismatchError, match="cores: 0,1 -> 1"):
        watch.require_unchanged()
    Watch(Device("board", fingerprint())).require_unchanged()


def system(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, {}),
        ({"cpu0__cpufreq__scaling_governor": "schedutil"}, {"governor": "schedutil"}),
        ({"cpufreq__boost": "0"}, {"turbo": "off"}),
        ({"intel_pstate__no_turbo": "1"}, {"turbo": "off"}),
        ({"intel_pstate__no_turbo": "0"}, {"turbo": "on"}),
        ({"intel_pstate__no_turbo": "?"}, {}),
    ],
)
def test_frequency_settings_are_what_the_system_tells(
    tmp_path: Path, files: dict[str, str], expected: dict[str, str]
) -> None:
    assert frequency_settings(system(tmp_path, **files)) == expected


def test_frequency_limits_stand_beside_rows_and_raise_a_flag_when_they_change(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    system(folder, scaling_min_freq="800000", scaling_max_freq="3600000")
    first = read_environment(tmp_path)
    assert first.limits_mhz == (800, 3600)
    system(folder, scaling_max_freq="1200000")
    seen = chain((first,), repeat(read_environment(tmp_path)))
    monkeypatch.setattr("lutra.profiler.groups.read_environment", lambda: next(seen))
    plan = plan_for(Device("board", fingerprint(kind="real")))
    table = run_campaign(plan, store, settings=Settings(patience_s=0.0, max_rounds=8)).table
    (row, *_) = table.rows("kernel")
    assert row.conditions["limits_mhz"] == [800, 1200]
    assert row.conditions["limits_before_mhz"] == [800, 3600]
    assert "frequency-drift" in row.flags
