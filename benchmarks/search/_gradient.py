"""Gradient searches: the memory of a step, and whether ProxylessNAS lands on its latency target on CIFAR-10.

The supernet is ProxylessNAS's space at a quarter of its widths, on images of 32 x 32; its 21 positions and their
choices are those of the space itself, which the published table of a Pixel 1 prices. Ten minutes on one core.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from lutra.luts.exchange import read_blocks
from lutra.nas import spaces
from lutra.nas.accuracy.augmentation import NO_AUGMENTATION
from lutra.nas.accuracy.data import ImageSet
from lutra.nas.accuracy.data_sources import load_images
from lutra.nas.gradient import (
    Darts,
    FBNet,
    GradientSearch,
    LatencyTerm,
    Proxyless,
    Training,
    peak_activation_bytes,
)
from lutra.nas.spaces import ChainSpace, Codes
from lutra.nas_bridge import BlockOracle
from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck
from lutra.networks.lowering.blocks import Block, BlockSpace

from .._results import Figure, note
from ..facts import SHARED

PRICED: Final = "proxyless-24"
TARGETS_MS: Final = (50.0, 80.0, 110.0)

_ONE: Final = "one path, weights"
_PROXYLESS: Final = ("ProxylessNAS, two paths, choices", "ProxylessNAS, all gates, choices")
_DARTS: Final = "DARTS of first order, choices"

_TABLE: Final = "proxylessnas_mobile_trim"
_WIDTHS: Final = (8, 16, 24, 24, 48, 80)
_STRIDES: Final = (1, 2, 1, 1, 2, 1)
_DEPTHS: Final = (4, 4, 4, 4, 4, 1)
_CHOICES: Final = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6))
_WEIGHTS, _CHOOSING, _TEST = 4800, 2400, 2000  # images
_WARM_UP, _SEARCH = 7, 3  # epochs
_BATCH: Final = 32
_RATE: Final = 0.05
_CHOICES_RATE: Final = 0.1
_STEPS: Final = 12  # measured for the memory of one
_RANDOM: Final = 20  # architectures beside each one that was found
_BAND: Final = 0.05


def space() -> ChainSpace:
    """ProxylessNAS's positions and choices in a network for CIFAR-10."""
    positions: list[tuple[Block, ...]] = []
    for width, stride, depth in zip(_WIDTHS, _STRIDES, _DEPTHS, strict=True):
        for number in range(depth):
            step = stride if number == 0 else 1
            blocks: list[Block] = [
                partial(_block, out=width, stride=step, kernel=kernel, expansion=expansion)
                for kernel, expansion in _CHOICES
            ]
            positions.append(tuple(blocks) if number == 0 else (*blocks, _nothing))
    chain = BlockSpace("proxyless-cifar", TensorType((1, 3, 32, 32)), _stem, tuple(positions), _head)
    names = [decision.choices for decision in spaces.build(PRICED).decisions]
    return ChainSpace("proxyless-cifar", [chain], names)


def _stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 8, 3, stride=2, activation="relu6")


def _block(b: NetworkBuilder, x: str, *, out: int, stride: int, kernel: int, expansion: int) -> str:
    mid = b.channels(x) * expansion
    return inverted_bottleneck(b, x, out, mid_channels=mid, kernel_size=kernel, stride=stride)


def _nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def _head(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


def oracle() -> BlockOracle:
    """ProxylessNAS's own table, which prices the space itself."""
    tables = read_blocks(SHARED / "luts" / "note10_and_pixel1_blocks.csv", format="blocks-csv").tables
    return BlockOracle(spaces.build(PRICED), next(t for t in tables if t.source == _TABLE), device="pixel1")


def images() -> tuple[ImageSet, ImageSet, ImageSet]:
    """What weights learn from, what choices learn from, and what neither sees."""
    learned = load_images(SHARED / "images" / "cifar10-train.parquet")
    order = np.random.default_rng(0).permutation(len(learned))[: _WEIGHTS + _CHOOSING]
    test = load_images(SHARED / "images" / "cifar10-test.parquet")
    chosen = np.random.default_rng(1).permutation(len(test))[:_TEST]
    return learned.subset(order[:_WEIGHTS]), learned.subset(order[_WEIGHTS:]), test.subset(chosen)


def measure() -> dict[str, Any]:
    """Memory and searches, as plain JSON data."""
    weights, choosing, test = images()
    return {"memory": memory(weights), "search": searches(weights, choosing, test)}


# -- memory -----------------------------------------------------------------------------------------------


def memory(weights: ImageSet) -> dict[str, float]:
    """Peak activation bytes of steps, mean over random paths."""
    training = Training(batch=_BATCH)
    proxyless, full = Proxyless(space(), training=training), Proxyless(space(), training=training, update="full")
    darts, second, fbnet = Darts(space(), training=training, order=1), Darts(space(), training=training), FBNet(space())
    batch = next(iter(proxyless.batches(weights, weights, NO_AUGMENTATION).epoch(0)))
    steps: dict[str, tuple[Callable[[], object], int]] = {
        _ONE: (lambda: proxyless.weights_step(batch), _STEPS),
        _PROXYLESS[0]: (lambda: proxyless.choices_step(batch, batch), _STEPS),
        _PROXYLESS[1]: (lambda: full.choices_step(batch, batch), _STEPS),
        "DARTS, weights": (lambda: darts.weights_step(batch), 1),
        _DARTS: (lambda: darts.choices_step(batch, batch), 1),
        "DARTS of second order, choices": (lambda: second.choices_step(batch, batch), 1),
        "FBNet, choices": (lambda: fbnet.choices_step(batch, batch), 1),
    }
    found = {}
    for name, (step, count) in steps.items():
        step()  # optimisers make their state
        found[name] = float(np.mean([peak_activation_bytes(step) for _ in range(count)]))
        note(f"{name}: {found[name] / 2**20:.0f} MiB")
    return found


# -- searches ---------------------------------------------------------------------------------------------


def searches(weights: ImageSet, choosing: ImageSet, test: ImageSet) -> list[dict[str, Any]]:
    """One search for each target, all from the weights of one warm-up."""
    prices, begun_s = oracle(), time.process_time()
    training = Training(epochs=_WARM_UP, warm_up=_WARM_UP, batch=_BATCH, weights_rate=_RATE)
    warm = Proxyless(space(), training=training)
    warm.run(weights, choosing, on_epoch=lambda report: note(f"warm-up {report}"))
    warm_s = time.process_time() - begun_s
    return [_searched(target, warm, prices, weights, choosing, test) | {"warm_up_s": warm_s} for target in TARGETS_MS]


def _searched(
    target_ms: float, warm: GradientSearch, prices: BlockOracle, weights: ImageSet, choosing: ImageSet, test: ImageSet
) -> dict[str, Any]:
    begun_s = time.process_time()
    search = Proxyless(
        space(),
        latency=LatencyTerm(prices, target_ms),
        training=Training(epochs=_SEARCH, batch=_BATCH, weights_rate=_RATE / 2),
        choices_rate=_CHOICES_RATE,
    )
    search.net.load_state_dict(warm.net.state_dict())
    code = search.run(weights, choosing, on_epoch=lambda report: note(f"{target_ms} ms: {report}"))
    likeliest = np.array([int(np.argmax(p)) for p in search.probabilities])
    taken_s = time.process_time() - begun_s
    others = _random_codes(prices, target_ms)
    return {
        "target_ms": target_ms,
        "code": code.tolist(),
        "latency_ms": prices.latency_ms(code),
        "likeliest_ms": prices.latency_ms(likeliest),
        "expected_ms": search.expected_ms,
        "certainty": search.certainty,
        "weight": search.reports[-1].latency_weight,
        "accuracy_pct": search.inherited_accuracy_pct(code, test, weights),
        "random_accuracy_pct": [search.inherited_accuracy_pct(other, test, weights) for other in others],
        "search_s": taken_s,
    }


def _random_codes(prices: BlockOracle, target_ms: float) -> Codes:
    """Random architectures whose latency is the target's within 5 %, below it."""
    rng = np.random.default_rng(0)
    codes = prices.space.sample(200_000, rng)
    left_out = rng.random(codes.shape) < rng.random((len(codes), 1))
    optional = np.array([len(decision.choices) > len(_CHOICES) for decision in prices.space.decisions])
    codes = np.where(left_out & optional, len(_CHOICES), codes)
    latencies = prices.latencies_ms(codes)
    return codes[(latencies <= target_ms) & (latencies > (1 - _BAND) * target_ms)][:_RANDOM]


def figures(found: Mapping[str, Any], command: str) -> list[Figure]:
    """Memory of a step beside that of one path, and the distance to the targets."""
    memory_bytes, runs = found["memory"], found["search"]
    one = memory_bytes[_ONE]
    errors = [_error_pct(run) for run in runs]
    return [
        Figure(
            figure="proxyless_memory_ratio",
            value=max(memory_bytes[name] for name in _PROXYLESS) / one,
            unit="ratio",
            goal=1.3,
            better="lower",
            peer=f"DARTS and FBNet, all candidates at once: {memory_bytes[_DARTS] / one:.1f}",
            protocol=(
                "Peak memory of the tensors that a step on the choices makes, each storage until it is freed, over "
                "that of a step on the weights of one path: ProxylessNAS's two-path and full updates, the larger; 21 "
                f"positions of six or seven candidates, batch {_BATCH}, mean of {_STEPS} random paths each."
            ),
            command=command,
        ),
        Figure(
            figure="proxyless_target_max_error_pct",
            value=max(errors),
            unit="%",
            goal=5.0,
            better="lower",
            peer="",
            protocol=(
                f"ProxylessNAS on CIFAR-10 ({_WEIGHTS} images for weights, {_CHOOSING} for choices), its space at a "
                "quarter of the widths, latencies from its own table of a Pixel 1; latency of the derived architecture "
                "(the most probable one that uses 95 to 100 % of the budget) against targets of "
                f"{', '.join(f'{t:g}' for t in TARGETS_MS)} ms."
            ),
            command=command,
        ),
        Figure(
            figure="proxyless_expected_max_error_pct",
            value=max(100 * abs(run["expected_ms"] / run["target_ms"] - 1) for run in runs),
            unit="%",
            goal=None,
            better="lower",
            peer="",
            protocol="The same searches: the latency expected of the probabilities at their end, against the targets.",
            command=command,
        ),
    ]


def _error_pct(run: Mapping[str, Any]) -> float:
    error: float = 100 * abs(run["latency_ms"] / run["target_ms"] - 1)
    return error


def table(found: Mapping[str, Any]) -> str:
    """Both parts as Markdown."""
    one = found["memory"][_ONE]
    lines = [
        "## Searching by gradient",
        "",
        "Peak memory of the tensors that a step makes (`peak_activation_bytes`), ProxylessNAS's space at a quarter of",
        f"its widths on images of 32 x 32, batch {_BATCH}; mean of {_STEPS} random paths where one is drawn.",
        "",
        "| step | MiB | of one path |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {size / 2**20:.0f} | {size / one:.2f} |" for name, size in found["memory"].items()),
        "",
        "ProxylessNAS on CIFAR-10 for three targets on a Pixel 1, whose published table prices the space. Accuracies",
        f"are of {_TEST} held-out images with the supernet's weights after {_WARM_UP + _SEARCH} short epochs: they",
        f"compare architectures, and are no accuracies of trained networks. Beside each are {_RANDOM} random ones that",
        "take as long.",
        "",
        "| target ms | expected ms | likeliest ms | derived ms | error | accuracy | random, mean and best |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *map(_row, found["search"]),
    ]
    return "\n".join(lines) + "\n"


def _row(run: Mapping[str, Any]) -> str:
    others = run["random_accuracy_pct"]
    return (
        f"| {run['target_ms']:g} | {run['expected_ms']:.1f} | {run['likeliest_ms']:.1f} | {run['latency_ms']:.1f} "
        f"| {_error_pct(run):.1f} % | {run['accuracy_pct']:.1f} % | {np.mean(others):.1f} %, {max(others):.1f} % |"
    )
