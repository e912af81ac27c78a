"""What is known of the machine's state."""

from dataclasses import replace

import pytest

from lutra.luts.host import host_fingerprint, logical_cores
from lutra.networks.errors import UsageError
from lutra.profiler import examine_machine
from lutra.profiler.machine import MachineState, conditions_between


def test_other_programs_are_told_from_our_own_work() -> None:
    start = MachineState(at_s=0.0, busy_s=10.0, steal_s=0.0, process_s=5.0, load1=1.0)
    cores = logical_cores()
    ours = replace(start, at_s=10.0, busy_s=20.0, process_s=15.0)
    theirs = replace(start, at_s=10.0, busy_s=10.0 + 10.0 * cores)
    assert conditions_between(start, ours)["others_share"] == 0
    assert conditions_between(start, theirs)["others_share"] == pytest.approx(1.0)


def test_steal_is_a_share_of_all_cores() -> None:
    start = MachineState(at_s=0.0, busy_s=0.0, steal_s=0.0, process_s=0.0, load1=0.0)
    after = replace(start, at_s=10.0, steal_s=1.0 * logical_cores())
    assert conditions_between(start, after)["steal_share"] == pytest.approx(0.1)


def test_every_finding_that_is_bad_names_a_cure() -> None:
    findings = examine_machine(watch_s=0.05)
    assert {finding.topic for finding in findings} >= {"other work", "steal", "frequency", "memory"}
    assert all(finding.cure for finding in findings if finding.severity != "ok")


def test_the_host_has_one_identity_per_setting() -> None:
    one = host_fingerprint("native")
    assert one == host_fingerprint("native")
    assert one.kind == "real"
    assert one.differences(host_fingerprint("null"))
    if logical_cores() > 1:
        assert one.differences(host_fingerprint("native", threads=2)) == ["threads: 1 -> 2"]


@pytest.mark.parametrize("threads", [0, -1, 10_000])
def test_a_wrong_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(UsageError, match="logical cores"):
        host_fingerprint("native", threads=threads)
