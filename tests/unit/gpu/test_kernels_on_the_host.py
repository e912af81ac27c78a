"""Every op that a GPU runs, computed by our kernels and by plain loops in the place of NVIDIA's, against torch.

The kernels are the very text that is compiled for GPUs; only the threads are the processor's (`fake_gpu`).
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.networks import Network, NetworkBuilder
from lutra.networks.exporters import to_torch
from lutra.networks.lowering import Kernel, lower_cuda
from lutra.networks.lowering.cuda import PRECISIONS
from lutra.networks.lowering.cuda_eight import EIGHT_BITS
from lutra.networks.ops import Op, catalogue
from lutra.profiler.runtimes import Runtime, runtime_class

TOLERANCE = {"float32": 2e-4, "tf32": 2e-4, "float16": 1e-2, "bfloat16": 6e-2, "int8": 6e-2, "float8": 1e-2}
"""Largest difference over the largest output; halves are rounded at every step, and int8 to a 16th."""

DEEP = {"int8": 0.2, "float8": 8e-2}
"""The same where what is multiplied was rounded before."""

HELD = {"int8": (16, 128), "float8": (4, 16)}
"""Parts of 1 that activations and weights come in, so that 8 bits hold them exactly."""

Case = tuple[str, Network]


def network_of(op: Op) -> Network:
    """A network of one op."""
    b = NetworkBuilder("one")
    inputs = [b.input(type_.shape, type_.dtype) for type_ in op.inputs]
    made = b.ops(op.kind, *inputs, **dict(op.attrs))
    return b.build(*made)


def examples() -> list[Case]:
    """Every example in the catalogue that a GPU has kernels for."""
    cases = []
    for spec in catalogue():
        for number, op in enumerate(spec.examples()):
            if spec.is_source or spec.is_view:
                continue
            network = network_of(op)
            if not lower_cuda(network).lacks:
                cases.append((f"{spec.kind} {number}", network))
    return cases


def fused(build: Callable[[NetworkBuilder, str], str], shape: tuple[int, ...]) -> Network:
    b = NetworkBuilder("fused")
    return b.build(build(b, b.input(shape)))


def conv(b: NetworkBuilder, x: str, **attrs: Any) -> str:
    return b.op("conv2d", x, **({"kernel_size": 3, "padding": 1} | attrs))


def block(b: NetworkBuilder, x: str) -> str:
    """Convolutions with everything that fuses, in images and behind them."""
    y = b.op("relu", b.op("batch_norm", conv(b, x, out_channels=8, bias=False)))
    y = b.op("hard_swish", conv(b, y, out_channels=8, groups=8))
    y = b.op("relu", b.op("add", conv(b, y, out_channels=8, kernel_size=1, padding=0), x))
    y = b.op("channel_shuffle", conv(b, y, out_channels=16, groups=2, stride=2), groups=2)
    y = b.op("flatten", b.op("global_avg_pool2d", y))
    return b.op("linear", b.op("relu", b.op("linear", y, out_features=16)), out_features=5)


def attention(b: NetworkBuilder, x: str) -> str:
    """A convolution, tokens, attention, and a layer with gelu."""
    y = conv(b, x, out_channels=8, kernel_size=2, stride=2, padding=0)
    y = b.op("transpose", b.op("reshape", y, shape=(2, 8, 9)), perm=(0, 2, 1))
    y = b.op("layer_norm", y)
    heads = b.op("transpose", b.op("reshape", y, shape=(2, 9, 2, 4)), perm=(0, 2, 1, 3))
    z = b.op("transpose", b.op("sdpa", heads, heads, heads), perm=(0, 2, 1, 3))
    z = b.op("add", b.op("linear", b.op("reshape", z, shape=(2, 9, 8)), out_features=8), y)
    return b.op("gelu", b.op("linear", z, out_features=24))


def large(b: NetworkBuilder, x: str) -> str:
    """More elements than threads in one go, in both layouts, with widths that no vector divides."""
    y = b.op("hard_swish", conv(b, x, out_channels=9, groups=9))
    y = b.op("upsample", b.op("max_pool2d", y, kernel_size=3, stride=2, padding=1), size=(37, 37), mode="bilinear")
    y = b.op("concat", b.op("sigmoid", y), b.op("relu6", b.op("add", y, x)))
    return b.op("transpose", b.op("mul", y, b.op("mean", y, axes=(2, 3))), perm=(0, 2, 3, 1))


FUSED: list[Case] = [
    ("large", fused(large, (1, 9, 37, 37))),
    ("block", fused(block, (2, 8, 6, 6))),
    ("attention", fused(attention, (2, 3, 6, 6))),
    ("padded", fused(lambda b, x: conv(b, x, out_channels=4, stride=2, padding=(0, 0, 1, 1)), (1, 3, 8, 8))),
    ("tanh gelu", fused(lambda b, x: b.op("gelu", b.op("linear", x, out_features=16), approximate="tanh"), (3, 8))),
    ("long rows", fused(lambda b, x: b.op("softmax", b.op("layer_norm", x)), (3, 1500))),
    ("wide sums", fused(lambda b, x: b.op("max", x, axes=(1,)), (2, 33, 40))),
]


def stored(kernels: tuple[Kernel, ...]) -> dict[str, tuple[int, ...]]:
    return {name: c.type.shape for k in kernels for name, c in k.constants if c.values is None}


def reference(
    network: Network, seed: int, held: tuple[int, int] | None
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Outputs of torch for random inputs and weights, and those by their names in the lowered network.

    Args:
        network: what is computed.
        seed: of the numbers.
        held: parts of 1 that activations and matrices of weights come in (`HELD`); None for any numbers.
    """

    def rounded(values: np.ndarray, parts: int) -> np.ndarray:
        most = 127 if held == HELD["int8"] else 8
        return np.clip(np.rint(values * parts), -most, most) / parts

    import torch

    module: Any = to_torch(network).eval()
    generator = np.random.default_rng(seed)
    contents: dict[str, np.ndarray] = {}
    for node, step in zip(network, module.steps, strict=True):
        state = dict(step.module.state_dict()) if node.op.weights or node.op.buffers else {}
        for name in (*node.op.weights, *node.op.buffers):
            drawn = generator.uniform(0.5, 1.0, state[name].shape) if state[name].ndim < 2 else None
            if drawn is None:
                drawn = generator.standard_normal(state[name].shape) / np.sqrt(max(state[name][0].numel(), 1))
                drawn = rounded(drawn, held[1]) if held else drawn
            state[name].copy_(torch.from_numpy(np.asarray(drawn, np.float32)))
            contents[f"{node.weights_from or node.name}.{name}"] = state[name].numpy()
    inputs = []
    for name, type_ in network.inputs:
        whole = type_.dtype == "int64"
        drawn = generator.integers(0, 4, type_.shape) if whole else generator.standard_normal(type_.shape)
        if any(node.op.kind in ("sqrt", "pow", "div") for node in network):
            drawn = np.abs(drawn) + 0.5
        drawn = rounded(drawn, held[0]) if held and not whole else drawn
        contents[name] = np.asarray(drawn, np.int64 if whole else np.float32)
        inputs.append(torch.from_numpy(contents[name]))
    with torch.no_grad():
        result = module(*inputs)
    return [t.numpy() for t in (result if isinstance(result, tuple) else (result,))], contents


def fold(network: Network, contents: dict[str, np.ndarray]) -> None:
    """Batch norms go into the weights of the layers before them, as whoever deploys a network does."""
    makers = {node.name: node for node in network}
    for node in network:
        host = node.inputs[0] if node.inputs else ""
        if node.op.kind != "batch_norm" or host not in makers:
            continue
        scale = contents[f"{node.name}.weight"] / np.sqrt(contents[f"{node.name}.running_var"] + node.op["eps"])
        contents[f"{host}.weight"] = contents[f"{host}.weight"] * scale[:, None, None, None]
        contents[f"{host}.bias"] = contents[f"{node.name}.bias"] - contents[f"{node.name}.running_mean"] * scale


@pytest.fixture(scope="module")
def runtimes(fake_gpu_folder: object) -> dict[str, Runtime]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUTRA_CUDA_PATH", str(fake_gpu_folder))
        return {precision: runtime_class("cuda")(1, precision) for precision in PRECISIONS}


@pytest.fixture(autouse=True)
def _computing(fake_gpu_folder: Path) -> None:
    """Other tests of this process may have told the stand-in not to compute."""
    ctypes.CDLL(str(fake_gpu_folder / "libcuda.so.1")).lutra_fake_set(b"compute=1,fail_after=-1,hang=0")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("label", "network"), [*examples(), *FUSED], ids=lambda v: v if isinstance(v, str) else "")
def test_what_a_gpu_computes_is_what_torch_does(
    label: str, network: Network, precision: str, runtimes: dict[str, Runtime]
) -> None:
    del label
    runtime: Any = runtimes[precision]
    wanted, contents = reference(network, seed=1, held=HELD.get(precision))
    fold(network, contents)
    program, outputs = runtime.program_of(network)
    for name, shape in stored(lower_cuda(network, precision).kernels).items():
        program.set_constant(name, contents[name].reshape(shape))
    for name, type_ in network.inputs:
        if type_.dtype == "int64":
            program.set_indices(name, contents[name])
        else:
            program.set_input(name, contents[name])
    program.run()
    for name, expected in zip(outputs, wanted, strict=True):
        found = program.content(name)
        assert found.shape == expected.shape
        tolerance = DEEP[precision] if precision in EIGHT_BITS and len(network) > 1 else TOLERANCE[precision]
        assert np.abs(found - expected).max() <= tolerance * max(np.abs(expected).max(), 1.0)
