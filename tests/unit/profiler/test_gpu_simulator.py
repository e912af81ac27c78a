"""Simulated GPUs: kernels as ops of the model, rows with what bounds them, and what is refused."""

import dataclasses
import math

import pytest

from lutra.networks import NetworkBuilder, catalogue, spec_of, zoo
from lutra.networks.errors import UnsupportedDtypeError, UnsupportedOpError, UsageError
from lutra.networks.lowering import lower
from lutra.profiler import resolve_device
from lutra.profiler.gpu_sim.describe import ops_of
from lutra.profiler.gpu_sim.device import GPUS
from lutra.profiler.gpu_sim.model import BOUNDS, GpuModel
from lutra.profiler.gpu_sim.ops import GpuOp
from lutra.profiler.gpu_sim.simulator import DTYPE_OF, runnable
from lutra.profiler.simulation import simulated_row, simulated_table


def kernels_of(kind, *shapes, precision="float32", **attrs):
    b = NetworkBuilder(kind)
    outputs = b.ops(kind, *(b.input(shape) for shape in shapes), **attrs)
    return lower(b.build(*outputs), "cuda", precision=precision).kernels


def total_ms(name, precision="float32", network="resnet50", batch=1):
    device = resolve_device(name, precision=precision)
    kernels = lower(zoo.build(network, batch=batch), device.runtime, precision=precision).kernels
    return sum(device.simulator.estimate(kernel).latency_ns for kernel in kernels) / 1e6


@pytest.mark.parametrize("name", sorted(GPUS.all()))
def test_every_shipped_gpu_runs_a_network_in_every_precision(name):
    able = [precision for precision, dtype in DTYPE_OF.items() if dtype in runnable(GPUS.of(name))]
    assert "float32" in able
    for precision in able:
        assert 0.05 < total_ms(name, precision, "mobilenet_v2") < 100


def test_kernels_as_ops():
    (conv,) = kernels_of("conv2d", (2, 8, 14, 14), out_channels=16, kernel_size=3, stride=2, padding=1)
    expected = GpuOp.conv2d(2, 8, 14, 14, 16, kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    assert ops_of(conv) == [expected]
    (linear,) = kernels_of("linear", (4, 7, 32), out_features=10)
    assert ops_of(linear) == [GpuOp.linear(28, 10, 32)]
    (product,) = kernels_of("matmul", (3, 5, 8), (3, 8, 6))
    assert ops_of(product) == [GpuOp.gemm(5, 6, 8, batch=3)]
    (softmax,) = kernels_of("softmax", (3, 5, 8), axis=-1)
    assert ops_of(softmax) == [GpuOp.softmax(15, 8)]
    (total,) = kernels_of("add", (1, 8, 4, 4), (1, 8, 4, 4))
    assert ops_of(total) == [GpuOp.elementwise(128, reads=2)]
    attention = kernels_of("sdpa", (1, 12, 197, 64), (1, 12, 197, 64), (1, 12, 197, 64))
    assert [op.op_class for op in ops_of(attention[0])] == ["gemm", "softmax", "gemm"]


def test_the_math_mode_is_that_of_the_op():
    for precision, dtype in DTYPE_OF.items():
        kernels = kernels_of("conv2d", (1, 8, 14, 14), out_channels=16, kernel_size=1, precision=precision)
        expected = "fp16" if precision == "float8" else dtype  # which is for linear layers
        assert [op.dtype for k in kernels for op in ops_of(k) if op.op_class == "conv"] == [expected]
        kernels = kernels_of("linear", (8, 64), out_features=32, precision=precision)
        assert [op.dtype for k in kernels for op in ops_of(k) if op.op_class == "linear"] == [dtype]


def test_a_layer_in_eight_bits_is_all_that_runs_for_it():
    layer = kernels_of("linear", (8, 64), out_features=32, precision="int8")
    assert [k.nodes[0].op for k in layer] == ["quantise", "linear", "dequantise"]
    assert [ops_of(kernel) for kernel in layer] == [
        [GpuOp.movement(2 * 8 * 64, 8 * 64)],
        [GpuOp.linear(8, 32, 64, dtype="int8"), GpuOp.movement(4 * 8 * 32, 8 * 32)],
        [GpuOp.movement(8 * 32, 2 * 8 * 32)],
    ]
    layer = kernels_of("linear", (8, 64), out_features=32, precision="float8")
    assert [ops_of(kernel) for kernel in layer] == [
        [GpuOp.movement(2 * 8 * 64, 8 * 64)],
        [GpuOp.linear(8, 32, 64, dtype="fp8")],
    ]


@pytest.mark.parametrize(("precision", "dtype"), [("int8", "int8"), ("float8", "fp8")])
def test_products_in_eight_bits_are_said_to_be_unmeasured(precision, dtype):
    gpu = GPUS.of("h100_sxm")
    model = GpuModel(gpu)
    eight, half = model.estimate([GpuOp.linear(4096, 4096, 4096, dtype=d) for d in (dtype, "fp16")]), 1
    assert eight.latency_ns[0] < eight.latency_ns[half]  # twice the peak
    spread = [math.log(eight.high_ns[i] / eight.low_ns[i]) for i in (0, half)]
    assert spread[0] == pytest.approx(2 * spread[1])
    assert (
        f"no product in {precision} was ever compared" in resolve_device("h100_sxm", precision=precision).simulator.note
    )
    assert "compared" not in resolve_device("h100_sxm", precision="float16").simulator.note


def test_eight_bits_need_sixteen_around_them():
    with pytest.raises(UnsupportedDtypeError, match="p4 does not compute in int8"):
        resolve_device("p4", precision="int8")
    with pytest.raises(UnsupportedDtypeError, match="a100_sxm does not compute in float8") as caught:
        resolve_device("a100_sxm", precision="float8")
    assert caught.value.hint.endswith("int8")


@pytest.mark.parametrize("kind", [spec.kind for spec in catalogue()])
@pytest.mark.parametrize("precision", sorted(DTYPE_OF))
def test_every_op_that_runs_on_a_gpu_is_simulated(kind, precision):
    device = resolve_device("h100_sxm", precision=precision)
    for op in spec_of(kind).examples():
        b = NetworkBuilder(kind)
        outputs = b.ops(kind, *(b.input(type_.shape, type_.dtype) for type_ in op.inputs), **op.attributes)
        for kernel in lower(b.build(*outputs), "cuda", precision=precision).kernels:
            row = simulated_row(device.simulator, kernel)
            assert "simulated" in row.flags
            if kernel.lacks:
                assert row.status == "failed"
                continue
            assert row.status == "ok", row.reason
            assert row.conditions["bound"] in BOUNDS
            assert 0 < row.conditions["band"] < 1
            assert row.rel_halfwidth == pytest.approx(1.96 * row.conditions["band"], rel=1e-3)


def test_tensor_cores_and_newer_gpus_are_quicker():
    assert total_ms("a100_sxm", "float16", batch=64) < total_ms("a100_sxm", "tf32", batch=64)
    assert total_ms("a100_sxm", "tf32", batch=64) < total_ms("a100_sxm", batch=64)
    assert total_ms("h100_sxm", batch=64) < total_ms("a100_sxm", batch=64) < total_ms("t4", batch=64)


def test_rows_are_of_the_runtime_of_real_gpus():
    device = resolve_device("h100_sxm", precision="bfloat16")
    assert (device.runtime, device.precision, device.kind) == ("cuda", "bfloat16", "simulated")
    lowered = lower(zoo.build("mobilenet_v2"), "cuda", precision="bfloat16")
    table = simulated_table(device, lowered.distinct.values())
    assert all(table.lookup(key).covered for key in lowered.distinct)


def test_what_a_gpu_lacks_is_refused_with_a_list():
    with pytest.raises(UnsupportedDtypeError, match="t4 does not compute in bfloat16") as caught:
        resolve_device("t4", precision="bfloat16")
    assert "float32, float16" in caught.value.hint
    with pytest.raises(UnsupportedDtypeError, match="fp4") as caught:
        resolve_device("h100_sxm", precision="fp4")
    assert "float32, tf32, float16, bfloat16" in caught.value.hint
    with pytest.raises(UsageError, match="no threads"):
        resolve_device("h100_sxm", threads=2)


def test_what_does_not_fit_its_memory_fails_with_the_size():
    device = resolve_device("p4")
    (kernel,) = kernels_of("relu", (64, 1024, 256, 256))
    row = simulated_row(device.simulator, kernel)
    assert row.status == "failed"
    assert "34.4 GB" in row.reason
    assert "8 GB" in row.reason


def test_unknown_math_is_refused():
    (kernel,) = kernels_of("linear", (4, 32), out_features=10)
    node = dataclasses.replace(kernel.nodes[0], attrs=(("math", "fp4"),))
    with pytest.raises(UnsupportedOpError, match="fp4"):
        ops_of(dataclasses.replace(kernel, nodes=(node,)))


def test_fingerprints_tell_devices_and_precisions_apart():
    prints = {resolve_device(name, precision=p).fingerprint for name in ("h100_sxm", "h200_sxm") for p in DTYPE_OF}
    assert len(prints) == 2 * len(DTYPE_OF)
