"""Transformers as the kernels that PyTorch runs for them in eager mode, and how long those take in sequence.

The networks are those of NeuSight's end-to-end measurements: Hugging Face's implementations with eager attention, fp32,
no gradients. Kernels follow each other without gaps, since launching is quicker than what is launched.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lutra.profiler.gpu_sim.calibration import Calibration
from lutra.profiler.gpu_sim.device import GpuDevice
from lutra.profiler.gpu_sim.model import GpuModel
from lutra.profiler.gpu_sim.ops import GpuOp

from ._data import GPU


@dataclass(frozen=True)
class Transformer:
    """Sizes of a network: layers, width, heads, width of the hidden layer, vocabulary (0: no head)."""

    kind: str
    layers: int
    width: int
    heads: int
    hidden: int
    vocabulary: int


TRANSFORMERS: Final = {
    "bert_large": Transformer("bert", 24, 1024, 16, 4096, 0),
    "gpt2_large": Transformer("gpt2", 36, 1280, 20, 5120, 50257),
    "gpt3_xl": Transformer("gpt2", 24, 3072, 24, 12288, 50257),
    "gpt3_27": Transformer("gpt2", 32, 2560, 32, 10240, 50257),
    "opt_13": Transformer("opt", 24, 2048, 32, 8192, 50272),
}

GPUS: Final = {
    "NVIDIA_H100_80GB_HBM3": "h100_sxm",
    "NVIDIA_A100-PCIE-40GB": "a100_pcie_40gb",
    "NVIDIA_A100_80GB_PCIe": "a100_pcie_80gb",
    "Tesla_V100-PCIE-32GB": "v100_pcie_32gb",
    "Tesla_P100-PCIE-16GB": "p100_pcie_16gb",
    "Tesla_T4": "t4",
    "Tesla_P4": "p4",
}


def kernels(network: Transformer, batch: int, length: int) -> list[GpuOp]:
    """The kernels of one run."""
    tokens = batch * length
    layer = [*_attention(network, batch, length), *_feed_forward(network, tokens)]
    ends = [GpuOp.elementwise(tokens * network.width, reads=2) for _ in range(2)]
    ends.append(GpuOp.norm(tokens, network.width))
    head = [GpuOp.linear(tokens, network.vocabulary, network.width)] if network.vocabulary else []
    return [*ends, *(layer * network.layers), *head]


def _attention(network: Transformer, batch: int, length: int) -> Iterator[GpuOp]:
    tokens, width = batch * length, network.width
    pairs, depth = batch * network.heads, width // network.heads
    scores = pairs * length * length
    if network.kind == "gpt2":
        yield GpuOp.linear(tokens, 3 * width, width)
    else:
        yield from [GpuOp.linear(tokens, width, width)] * 3
    if network.kind == "opt":
        yield GpuOp.elementwise(tokens * width)  # queries are scaled
    yield from [GpuOp.elementwise(tokens * width)] * 3  # heads are brought together
    yield GpuOp.gemm(length, length, depth, batch=pairs)
    yield from [GpuOp.elementwise(scores)] * 2  # the scale and the mask; a mask and a bound in OPT
    yield GpuOp.softmax(pairs * length, length)
    yield GpuOp.gemm(length, depth, length, batch=pairs)
    yield GpuOp.elementwise(tokens * width)
    yield GpuOp.linear(tokens, width, width)
    yield GpuOp.elementwise(tokens * width, reads=2)
    yield GpuOp.norm(tokens, width)


def _feed_forward(network: Transformer, tokens: int) -> Iterator[GpuOp]:
    inner = tokens * network.hidden
    yield GpuOp.linear(tokens, network.hidden, network.width)
    # "gelu_new" is eight kernels: pow, mul, add, mul, tanh, add, mul, mul.
    unary, binary = (6, 2) if network.kind == "gpt2" else (1, 0)
    yield from [GpuOp.elementwise(inner)] * unary
    yield from [GpuOp.elementwise(inner, reads=2)] * binary
    yield GpuOp.linear(tokens, network.width, network.hidden)
    yield GpuOp.elementwise(tokens * network.width, reads=2)
    yield GpuOp.norm(tokens, network.width)


def measured_networks() -> Iterator[tuple[str, str, int, int, float]]:
    """GPU, network, batch, length and measured ms of each run of inference without fused kernels."""
    with (GPU / "neusight_networks.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["mode"] == "inf" and not row["extra"] and row["model"] in TRANSFORMERS:
                yield GPUS[row["gpu"]], row["model"], int(row["batch"]), int(row["seqlen"]), float(row["e2e_latency"])


def network_errors(
    devices: Mapping[str, GpuDevice], names: Sequence[str], calibration: Calibration | None = None
) -> list[dict[str, Any]]:
    """Simulated beside measured latencies of the networks on some GPUs."""
    made = []
    for gpu, network, batch, length, measured_ms in measured_networks():
        if gpu not in names:
            continue
        answers = GpuModel(devices[gpu], calibration=calibration).estimate(
            kernels(TRANSFORMERS[network], batch, length)
        )
        simulated_ms = float(answers.latency_ns.sum()) / 1e6
        made.append(
            {
                "gpu": gpu,
                "network": network,
                "batch": batch,
                "length": length,
                "measured_ms": measured_ms,
                "simulated_ms": simulated_ms,
                "error_pct": 100 * (simulated_ms / measured_ms - 1),
            }
        )
    return made
