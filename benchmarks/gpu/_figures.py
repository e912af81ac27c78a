"""The figures of the area ``gpu`` that need no GPU."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from .._results import Better, Figure
from ._whole import CALIBRATION_KERNELS

COMMAND: Final = "make bench-gpu"
_HELD_OUT: Final = (
    "fp32 constants are fitted on P4, P100, V100, T4 and A100-40 alone, by `python -m benchmarks.gpu fit`; the form of "
    "the model was chosen on those; A100-80 and H100 were looked at only to score them, three times in all"
)

# class of the model: name of the figure, goal, NeuSight's error, roofline's in the goal's text
_CLASSES: Final = {
    "gemm": ("sim_bmm_mape_pct", 18.0, 13.8),
    "linear": ("sim_fc_mape_pct", 15.0, 13.9),
    "elementwise": ("sim_elementwise_mape_pct", 6.0, 19.3),
    "softmax": ("sim_softmax_mape_pct", 9.0, 13.9),
    "norm": ("sim_layernorm_mape_pct", 15.0, 56.7),
}


def mean(values: Iterable[float]) -> float:
    """Mean of them."""
    return float(np.mean(list(values)))


def _figure(name: str, value: float, unit: str, goal: float | None, better: Better, peer: str, how: str) -> Figure:
    return Figure(
        figure=name, value=value, unit=unit, goal=goal, better=better, peer=peer, protocol=how, command=COMMAND
    )


def _new(found: Mapping[str, Any]) -> Iterator[Figure]:
    for op_class, (name, goal, neusight) in _CLASSES.items():
        errors = found[op_class]
        roofline = mean(one["roofline_pct"] for one in errors.values())
        gpus = ", ".join(f"{gpu} {one['mape_pct']:.1f} ({one['rows']:.0f} rows)" for gpu, one in errors.items())
        how = f"{_HELD_OUT}. Mean over the GPUs that the data have of the class: {gpus}; sizes of the part 'test'."
        peer = f"NeuSight {neusight}, roofline {roofline:.1f}"
        yield _figure(name, mean(one["mape_pct"] for one in errors.values()), "%", goal, "lower", peer, how)


def _conv(found: Mapping[str, Any]) -> Iterator[Figure]:
    gpus = ", ".join(f"{gpu} {one['mape_pct']:.1f}" for gpu, one in found.items())
    peer = f"roofline {mean(one['roofline_pct'] for one in found.values()):.1f}"
    how = f"fp32 3x3 convolutions of each GPU by constants fitted on the other four, host's floor included: {gpus}."
    yield _figure(
        "sim_conv_logo_mape_pct", mean(one["mape_pct"] for one in found.values()), "%", 20.0, "lower", peer, how
    )


def _tensor(found: Mapping[str, Any]) -> Iterator[Figure]:
    def told(key: str) -> str:
        return ", ".join(f"{gpu} {one[key]:.1f}" for gpu, one in found.items())

    base = "bf16 products, vLLM's rows of aiconfigurator, constants fitted on the three other architectures"
    peer = f"roofline {mean(one['roofline_pct'] for one in found.values()):.1f}"
    yield _figure(
        "sim_bf16_gemm_blind_mape_pct",
        mean(one["blind_pct"] for one in found.values()),
        "%",
        14.0,
        "lower",
        peer,
        f"{base}; scored on 5,000 random rows of the GPU left out: {told('blind_pct')}.",
    )
    yield _figure(
        "sim_bf16_gemm_500_mape_pct",
        mean(one["calibrated_pct"] for one in found.values()),
        "%",
        7.0,
        "lower",
        peer,
        f"{base}, then `calibrate` with 500 other rows of the GPU left out: {told('calibrated_pct')}. Trees and their "
        "inputs chosen by cross-validation within the 500 rows; the scored rows looked at once since.",
    )
    yield _figure(
        "sim_bf16_band_80_holds_pct",
        mean(one["band_holds_pct"] for one in found.values()),
        "%",
        None,
        "higher",
        "",
        f"As with 500 rows: share of measurements inside the 80 % band of the answers: {told('band_holds_pct')}.",
    )


_AGAIN: Final = {
    "gemm": " Scored twice (29.1 at first); DeepBench had no part in what changed between.",
    "conv": " Scored three times (60.1 and 31.4 at first); DeepBench had no part in what changed between.",
}


def _deepbench(found: Mapping[str, Any]) -> Iterator[Figure]:
    for kind, errors in found.items():
        gpus = ", ".join(f"{gpu} {one['mape_pct']:.1f}" for gpu, one in errors.items())
        how = f"DeepBench, fp32, forward, ten GPUs; constants as they ship, fitted on other stacks: {gpus}."
        how += _AGAIN[kind]
        peer = f"roofline {mean(one['roofline_pct'] for one in errors.values()):.1f}"
        value = mean(one["mape_pct"] for one in errors.values())
        yield _figure(f"sim_deepbench_{kind}_mape_pct", value, "%", 24.0, "lower", peer, how)


def _networks(found: Mapping[str, Any]) -> Iterator[Figure]:
    def error(rows: Iterable[Mapping[str, Any]]) -> float:
        return mean(abs(row["error_pct"]) for row in rows if row["gpu"] == "h100_sxm")

    how = f"{_HELD_OUT}. Ten runs of BERT, GPT-2, GPT-3 and OPT on an H100 (NeuSight's, eager fp32, no fused kernels)"
    yield _figure(
        "sim_h100_e2e_mape_pct", error(found["blind"]), "%", 5.0, "lower", "NeuSight 6.1", f"{how}; sums of kernels."
    )
    for count in CALIBRATION_KERNELS:
        yield _figure(
            f"sim_h100_e2e_{count}_mape_pct",
            error(found[f"calibrated_{count}"]),
            "%",
            5.0,
            "lower",
            "NeuSight 6.1",
            f"{how}; after `calibrate` with {count} batched products and {count} linear layers measured on an H100, "
            "none of the sizes in these networks.",
        )


def _speed(found: Mapping[str, Any]) -> Iterator[Figure]:
    classes = ", ".join(f"{name} {rate:.2f}" for name, rate in found.items() if name != "mixed")
    how = f"Equal shares of seven classes, one thread, thread CPU time, median of 5; millions a second: {classes}."
    yield _figure("sim_ops_per_s", 1e6 * found["mixed"], "1/s", 1e6, "higher", "", how)


FIGURES: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[Figure]]]] = {
    "new": _new,
    "conv": _conv,
    "tensor": _tensor,
    "deepbench": _deepbench,
    "networks": _networks,
    "speed": _speed,
}
