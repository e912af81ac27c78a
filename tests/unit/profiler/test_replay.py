"""Kernels timed in place, beside their rows; on the null device both are exact."""

import pytest

from lutra.luts import Store, Table
from lutra.networks import zoo
from lutra.networks.errors import NotCoveredError
from lutra.profiler import InPlace, make_plan, replay, resolve_device, run_campaign


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    plan = make_plan(resolve_device("null"), [zoo.build("resnet18", resolution=64)])
    with Store.open(tmp_path_factory.mktemp("replay") / "lutra.db") as store:
        return plan.subjects[0], run_campaign(plan, store).table


def test_in_place_equals_the_rows_of_the_null_device(profiled):
    subject, table = profiled
    kernels = replay(subject, table)
    assert len(kernels) == len(subject.lowered.distinct)
    assert sum(kernel.count for kernel in kernels) == len(subject.lowered.kernels)
    for kernel in kernels:
        assert kernel.in_place_us == pytest.approx(kernel.row_us)


def test_a_network_without_rows_is_refused(profiled):
    subject, table = profiled
    with pytest.raises(NotCoveredError, match="resnet18"):
        replay(subject, Table(table.fingerprint))


def test_what_is_missing_counts_every_execution():
    assert InPlace("Conv", 3, row_us=10.0, in_place_us=12.5).missing_us == pytest.approx(7.5)
