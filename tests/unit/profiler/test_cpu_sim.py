"""Simulated CPUs: files, the compiled model beside its plain twin, kernels as work, and what answers say."""

import math

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks import NetworkBuilder, catalogue, spec_of, zoo
from lutra.networks.errors import UnsupportedDtypeError, UsageError
from lutra.networks.lowering import lower
from lutra.profiler import resolve_device
from lutra.profiler.cpu_sim import reference
from lutra.profiler.cpu_sim.device import CPUS, read_cpu
from lutra.profiler.cpu_sim.model import chip_of, estimate, shipped
from lutra.profiler.cpu_sim.work import CpuWork, Kind, work_of
from lutra.profiler.simulation import simulated_row, simulated_table

GOOD = yaml.safe_load((CPUS.folder / "raspberry_pi_5.yaml").read_text())
CONSTANTS = shipped().constants
CALIBRATION = {"compute": 1.0, "memory": 1.0, "op_us": 1.0, "samples": 5, "error": 0.1, "source": "x"}
ONE = {"kind": Kind.PRODUCT, "flops": 1.0, "activation_bytes": 1.0, "weight_bytes": 1.0}

positive = st.floats(0, 1e12)
counts = st.integers(1, 1 << 20)
works = st.builds(
    CpuWork,
    kind=st.sampled_from(Kind),
    flops=positive,
    activation_bytes=positive,
    weight_bytes=positive,
    depth=counts,
    outputs=counts,
    rows=counts,
    winograd=st.booleans(),
)
chips = st.builds(
    chip_of,
    st.sampled_from(sorted(CPUS.all().values(), key=lambda device: device.name)),
    st.sampled_from(["fp32", "int8"]),
    st.just(1),
)


def changed(**changes):
    return {name: value for name, value in (GOOD | changes).items() if value is not ...}


def refusal(tmp_path, document):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError) as caught:
        read_cpu(path)
    return caught.value.message


def test_shipped_cpus():
    assert set(CPUS.all()) == {"raspberry_pi_4", "raspberry_pi_5", "phone_big_core", "xeon_gold_6226"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cores": ...}, "cores"),
        ({"cores": 0}, "cores"),
        ({"ghz": -2.4}, "ghz"),
        ({"ghz": float("nan")}, "ghz"),
        ({"dram_gb_s": float("inf")}, "dram_gb_s"),
        ({"simd_bits": 100}, "simd_bits"),
        ({"cache": 3}, "cache"),
        ({"flops_per_cycle": {"fp32": 64}}, "it is of one core, not of all"),
        ({"flops_per_cycle": {"int8": 64}}, "no fp32"),
        ({"flops_per_cycle": {"fp32": -1}}, "positive"),
        ({"flops_per_cycle": {"fp32": 16, "fp8": 64}}, "fp8"),
        ({"core_dram_gb_s": 50.0}, "more than dram_gb_s"),
        ({"uarch_efficiency": 1.5}, "uarch_efficiency"),
        ({"microarchitecture": "fast"}, "microarchitecture"),
        ({"sources": []}, "sources"),
        (
            {"calibration": {"compute": 1.0, "memory": 1.0, "op_us": 1.0, "samples": 4, "error": 0.1, "source": "x"}},
            "5",
        ),
    ],
)
def test_impossible_cpus_are_refused(tmp_path, changes, problem):
    assert problem in refusal(tmp_path, changed(**changes))


@given(st.lists(works, max_size=8), chips)
def test_the_compiled_model_is_its_plain_twin(given_works, chip):
    latencies_ns, bounds = estimate(given_works, chip, CONSTANTS)
    expected = [reference.estimate(work, chip, CONSTANTS) for work in given_works]
    np.testing.assert_allclose(latencies_ns, [ns for ns, _ in expected], rtol=1e-12)
    assert list(bounds) == [bound for _, bound in expected]


@given(works, chips, st.floats(1, 10))
def test_more_work_never_takes_less(work, chip, factor):
    more = CpuWork(**(vars(work) | {"flops": work.flops * factor, "weight_bytes": work.weight_bytes * factor}))
    (less_ns, more_ns), _ = estimate([work, more], chip, CONSTANTS)
    assert more_ns >= less_ns * (1 - 1e-12)


@given(works, chips)
def test_nothing_beats_the_roofline(work, chip):
    (latency_ns,), _ = estimate([work], chip, CONSTANTS)
    gain = CONSTANTS.winograd if work.winograd else 1.0
    assert latency_ns >= work.flops / gain / (chip.ghz * chip.flops_per_cycle)
    assert latency_ns >= work.weight_bytes / chip.dram_gb_s


@pytest.mark.parametrize("bad", [{"flops": math.nan}, {"flops": -1.0}, {"rows": 0}, {"depth": 0}])
def test_impossible_work_is_refused(bad):
    chip = chip_of(CPUS.of("raspberry_pi_4"))
    with pytest.raises(ValueError, match=r"work|depth"):
        estimate([CpuWork(**(ONE | bad))], chip, CONSTANTS)


def test_work_of_convolutions():
    lowered = lower(zoo.build("mobilenet_v2"), "sim-cpu")
    first, depthwise, pointwise = (work_of(kernel) for kernel in lowered.kernels[:3])
    assert (first.kind, first.depth, first.outputs, first.rows) == (Kind.PRODUCT, 27, 32, 112 * 112)
    assert not first.winograd  # strided
    assert (depthwise.kind, depthwise.outputs, depthwise.rows) == (Kind.DEPTHWISE, 32, 112 * 112)
    assert (pointwise.kind, pointwise.depth, pointwise.outputs) == (Kind.PRODUCT, 32, 16)
    assert sum(work_of(kernel).flops for kernel in lowered.kernels) >= 2 * lowered.macs
    resnet = lower(zoo.build("resnet18"), "sim-cpu")
    assert sum(work_of(kernel).winograd for kernel in resnet.kernels) == 13


@pytest.mark.parametrize("kind", [spec.kind for spec in catalogue()])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_every_op_of_the_catalogue_is_simulated(kind, precision):
    for op in spec_of(kind).examples():
        builder = NetworkBuilder(kind)
        values = [builder.input(type_.shape, type_.dtype) for type_ in op.inputs]
        outputs = builder.ops(kind, *values, **op.attributes)
        device = resolve_device("raspberry_pi_5", precision=precision)
        network = builder.build(*outputs)
        for kernel in lower(network, device.runtime, precision=precision).kernels:
            row = simulated_row(device.simulator, kernel)
            assert row.status == "ok", row.reason
            assert "simulated" in row.flags
            assert row.conditions["bound"] in reference.BOUNDS
            assert row.conditions["band"] == shipped().error


def test_a_network_is_the_sum_of_its_kernels_and_says_so():
    device = resolve_device("raspberry_pi_4")
    lowered = lower(zoo.build("mobilenet_v2"), device.runtime)
    table = simulated_table(device, lowered.distinct.values())
    assert table.fingerprint.kind == "simulated"
    rows = [table.get("kernel", kernel.key) for kernel in lowered.kernels]
    assert all(row.rel_halfwidth == pytest.approx(1.96 * shipped().error) for row in rows)
    assert 20 < sum(row.latency_ns for row in rows) / 1e6 < 500


def test_lower_precision_and_more_cores_are_quicker():
    def total(**setting):
        device = resolve_device("raspberry_pi_5", **setting)
        kernels = lower(zoo.build("resnet18"), device.runtime, precision=device.precision).kernels
        return sum(device.simulator.estimate(kernel).latency_ns for kernel in kernels)

    assert total(precision="int8") < total(precision="float16") < total()
    assert total(threads=4) < total(threads=2) < total()


def test_what_a_cpu_lacks_is_refused():
    with pytest.raises(UnsupportedDtypeError, match="does not compute in float16") as caught:
        resolve_device("raspberry_pi_4", precision="float16")
    assert "float32, int8" in caught.value.hint
    with pytest.raises(UsageError, match=r"has 4 core"):
        resolve_device("raspberry_pi_4", threads=5)
    with pytest.raises(UsageError, match="no engines"):
        resolve_device("raspberry_pi_4", engine="lean")
    with pytest.raises(UsageError, match="is simulated"):
        resolve_device("raspberry_pi_4", runtime="onnxruntime")


def test_devices_of_other_numbers_are_other_devices(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed(name="mine", ghz=2.0)))
    (tmp_path / "yours.yaml").write_text(yaml.safe_dump(changed(name="mine", ghz=2.4)))
    assert resolve_device(str(path)).fingerprint != resolve_device(str(tmp_path / "yours.yaml")).fingerprint
    assert resolve_device("raspberry_pi_5").fingerprint == resolve_device("raspberry_pi_5").fingerprint
