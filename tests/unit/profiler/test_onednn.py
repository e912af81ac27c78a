"""oneDNN's primitives, and rows of them, compute what the catalogue's torch twins compute."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts.host import runtime_version
from lutra.networks import Network, NetworkBuilder
from lutra.networks.blocks import transformer_block
from lutra.networks.exporters import to_torch
from lutra.networks.graph import Node
from lutra.networks.lowering import lower_onednn, plan_onednn
from lutra.networks.ops import Op, TensorType, catalogue, make_op
from lutra.profiler.runtimes.onednn import OneDnnRuntime

torch = pytest.importorskip("torch", reason="the reference needs torch")
if not runtime_version("onednn"):
    pytest.skip("onednn-cpu-gomp is not installed", allow_module_level=True)

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread() -> Iterator[None]:
    """Operands are tiny: on a busy machine torch's threads would wait for each other far longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runtime() -> OneDnnRuntime:
    return OneDnnRuntime(1)


def error(result: Array, expected: Array) -> float:
    """Normalised mean squared error."""
    assert result.shape == expected.shape
    difference = result.astype(np.float64) - expected
    return float((difference**2).sum() / max(float((expected.astype(np.float64) ** 2).sum()), 1e-30))


def errors(runtime: OneDnnRuntime, network: Network, inputs: list[Array]) -> list[float]:
    """How far each output of ``network`` is from what torch computes with the same random weights."""
    module = to_torch(network).eval()
    program: Any = runtime.prepare_network(network, None, seed=0).runnable
    plan = plan_onednn(network)
    wanted = {name for kernel in plan.kernels for name, _ in kernel.constants}
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            low, high = (0.5, 1.5) if tensor.ndim < 2 else (-1.0, 1.0)
            torch.nn.init.uniform_(tensor, low, high, generator=generator)
        # A stored tensor goes by the name of its node, the weight of an op by its own.
        for constant in wanted.intersection((name, name.removesuffix(".weight"))):
            program.set_constant(constant, tensor.numpy())
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, inputs))
    expected = [expected] if torch.is_tensor(expected) else list(expected)
    for (name, _), values in zip(network.inputs, inputs, strict=True):
        program.set_input(name, values)
    program.run()
    return [
        error(program.output(name), reference.numpy()) for name, reference in zip(plan.outputs, expected, strict=True)
    ]


def network_of(op: Op) -> Network:
    inputs = tuple((f"x{i}", type_) for i, type_ in enumerate(op.inputs))
    node = Node("op", op, tuple(name for name, _ in inputs))
    return Network(op.kind, inputs, (node,), node.outputs)


def can_run(op: Op) -> bool:
    """Whether the op is work for oneDNN: neither a tensor or a view, nor something that it lacks."""
    lowered = lower_onednn(network_of(op))
    return bool(op.inputs and lowered.kernels and not lowered.lacks)


RUN = [pytest.param(op, id=op.key) for spec in catalogue() for op in spec.examples() if can_run(op)]


def test_most_of_the_catalogue_runs() -> None:
    kinds = {param.values[0].kind for param in RUN}
    refused = {spec.kind for spec in catalogue()} - kinds
    views_and_tensors = {"reshape", "flatten", "constant", "parameter"}
    assert refused == views_and_tensors | {"cast", "embedding", "erf", "expand", "group_norm", "pow", "rms_norm"}


@pytest.mark.parametrize("op", RUN)
def test_catalogue_example_agrees_with_torch(runtime: OneDnnRuntime, op: Op) -> None:
    rng = np.random.default_rng(0)
    inputs = [op.spec.example_input(op, i, rng) for i in range(len(op.inputs))]
    assert max(errors(runtime, network_of(op), inputs)) <= op.spec.tolerance


def mobile(b: NetworkBuilder, x: str) -> str:
    x = b.op("relu6", b.op("conv2d", x, out_channels=20, kernel_size=3, stride=2, padding=1))
    y = b.op("relu6", b.op("conv2d", x, out_channels=44, kernel_size=1))
    y = b.op("hard_swish", b.op("conv2d", y, out_channels=44, kernel_size=5, padding=2, groups=44))
    scale = b.op("relu", b.op("conv2d", b.op("global_avg_pool2d", y), out_channels=12, kernel_size=1))
    scale = b.op("hard_sigmoid", b.op("conv2d", scale, out_channels=44, kernel_size=1))
    y = b.op("conv2d", b.op("mul", scale, y), out_channels=20, kernel_size=1)
    x = b.op("add", x, y)
    return b.op("linear", b.op("flatten", b.op("mean", x, axes=(2, 3))), out_features=7)


def residual(b: NetworkBuilder, x: str) -> str:
    x = b.op("conv2d", x, out_channels=16, kernel_size=7, stride=2, padding=3)
    x = b.op("max_pool2d", b.op("relu", x), kernel_size=3, stride=2, padding=1)
    y = b.op("conv2d", b.op("relu", b.op("conv2d", x, out_channels=16, kernel_size=1)), out_channels=16, kernel_size=1)
    x = b.op("relu", b.op("add", y, x))
    x = b.op("relu", b.op("add", b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1), x))
    return b.op("add", x, b.op("relu", b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1, groups=2)))


def shuffled(b: NetworkBuilder, x: str) -> str:
    x = b.op("conv2d", x, out_channels=24, kernel_size=3, padding=1)
    left, right = b.ops("split", x, sizes=(10, 14))
    joined = b.op("concat", b.op("relu", left), b.op("conv2d", right, out_channels=14, kernel_size=1))
    return b.op("channel_shuffle", b.op("concat", x, joined), groups=4)


def attention(b: NetworkBuilder, x: str) -> str:
    x = b.op("conv2d", x, out_channels=32, kernel_size=8, stride=8)
    x = b.op("transpose", b.op("reshape", x, shape=(1, 32, 16)), perm=(0, 2, 1))
    return transformer_block(b, b.op("add", x, b.op("parameter", shape=(1, 16, 32))), heads=4)


def grouped(b: NetworkBuilder, x: str) -> str:
    x = b.op("conv2d", x, out_channels=48, kernel_size=3, padding=1)
    for groups in (12, 6, 3):
        x = b.op("sigmoid", b.op("conv2d", x, out_channels=48, kernel_size=3, padding=1, groups=groups))
    padded = b.op("pad", x, pads=(0, 0, 1, 1, 0, 0, 0, 0))
    return b.op("avg_pool2d", b.op("upsample", padded, size=(66, 66)), kernel_size=2, stride=2)


BODIES = [mobile, residual, shuffled, attention, grouped]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_whole_networks_agree_with_torch(runtime: OneDnnRuntime, body: Callable[[NetworkBuilder, str], str]) -> None:
    b = NetworkBuilder(body.__name__)
    network = b.build(body(b, b.input((1, 3, 32, 32))))
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)
    (found,) = errors(runtime, network, [x])
    assert found < 1e-8


@st.composite
def convolutions(draw: st.DrawFn) -> Op:
    """Odd channels, ragged groups, windows that hardly fit, steps wider than the window."""
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    padding = tuple(draw(st.integers(0, 3)) for _ in range(4))
    dilation = draw(st.integers(1, 2))
    smallest = [max(1, (k - 1) * dilation + 1 - padding[i] - padding[i + 2]) for i, k in enumerate(kernel)]
    groups = draw(st.sampled_from([1, 1, 2, 3, 8]))
    channels, filters = (groups * draw(st.sampled_from([1, 2, 3, 5, 8, 16])) for _ in range(2))
    size = (low + draw(st.integers(0, 12)) for low in smallest)
    return make_op(
        "conv2d",
        TensorType((draw(st.integers(1, 2)), channels, *size)),
        out_channels=filters,
        kernel_size=kernel,
        stride=(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@settings(max_examples=60, deadline=None)
@given(op=convolutions())
def test_convolutions_of_odd_shapes_agree_with_torch(op: Op) -> None:
    inputs = [op.spec.example_input(op, 0, np.random.default_rng(0))]
    assert max(errors(OneDnnRuntime(1), network_of(op), inputs)) <= op.spec.tolerance


def test_rows_are_told_what_runs(runtime: OneDnnRuntime) -> None:
    op = make_op("conv2d", TensorType((1, 16, 14, 14)), out_channels=16, kernel_size=3, padding=1)
    product = max(lower_onednn(network_of(op)).kernels, key=lambda kernel: kernel.macs)
    prepared = runtime.prepare(product, 2, seed=0)
    assert prepared.implementation
    assert "ref" not in prepared.implementation
