"""Fits the constants that ship: which parameters of which class, on which GPUs.

fp32 classes are fitted on `FIT` alone, apart for the libraries' kernels of Pascal and those from Volta on; tensor cores
on bf16 products of four GPUs. The forms of the model were chosen on the same GPUs.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet

from lutra.profiler.gpu_sim.constants import SHIPPED, VERSION, read_constants
from lutra.profiler.gpu_sim.ops import CLASSES, SIZES, OpClass

from .._results import note
from ._data import FIT, GPU, Floats, Integers, Measured, read_ops
from ._fitting import GDDR_EFFICIENCY, Parameter, Task, device, estimate, fit, floors
from ._start import SIMT_TILES, start

GENERATIONS: Final = {6.0: ("p4", "p100_pcie_16gb"), 7.0: ("v100_pcie_32gb", "t4", "a100_pcie_40gb")}
"""From which compute capability on, and which GPUs tell of it."""

BF16: Final = ("a100_sxm", "l40s", "h100_sxm", "b200_sxm")
_ROWS: Final = 500  # of a class on a GPU that constants are fitted to
_TREE_LEAVES: Final = 40

_SHARED_PARAMETERS: Final = (
    ("prologue_steps", 0.7),
    ("epilogue_cycles", 0.7),
    ("warps_half", 0.4),
    ("dram_efficiency", 0.08),
    ("l2_bytes_per_clock", 0.3),
)
_ROW_PARAMETERS: Final = (
    ("dram_efficiency", 0.08),
    ("l2_bytes_per_clock", 0.4),
    ("warm_share", 0.7),
    ("rereads", 0.1),
    ("kept_share", 0.2),
    ("loss_width", 0.3),
    ("row_ns", 0.7),
    ("vector_round_ns", 0.7),
    ("scalar_round_ns", 0.7),
)


def _named(path: tuple[str | int, ...], named: Sequence[tuple[str, float]]) -> list[Parameter]:
    return [Parameter(((*path, name),), spread) for name, spread in named]


def _unhidden(path: tuple[str | int, ...], launch: str = "eager") -> Parameter:
    return Parameter(((*path, "hosts", launch, "unhidden"),), 0.5, "logit")


def _tile_parameters(path: tuple[str | int, ...], count: int, spread: float) -> list[Parameter]:
    return [Parameter(((*path, "tiles", number, "efficiency"),), spread) for number in range(count)]


def _drift_parameters(path: tuple[str | int, ...]) -> list[Parameter]:
    """Of linear layers on Pascal, which take up to three times as long from rows of 64 kB on, and no longer on Volta.

    The kernels read pieces of rows, but for those of the first tile, which are of transposed operands ("NT").
    """
    pieces = tuple((*path, "tiles", number, "overfetch") for number in range(1, len(SIMT_TILES)))
    return [Parameter(((*path, "drift"),), 1.0), Parameter(pieces, 0.3)]


def _power_parameters(paths: Sequence[tuple[str | int, ...]]) -> list[Parameter]:
    named = (("pj_per_flop", 0.5), ("node_exponent", 0.2), ("pj_per_l2_byte", 1.0))
    pause = Parameter(tuple((*path, "hosts", "eager", "pause_ns") for path in paths), 1.0)
    return [Parameter(tuple((*path, "power", name) for path in paths), spread) for name, spread in named] + [pause]


Ops = Mapping[tuple[OpClass, str], Measured]


def fit_products(parts: Mapping[str, Any], ops: Ops, gpus: Sequence[str]) -> dict[str, Any]:
    """Batched products and linear layers, which share what power takes; the tiles that ran are known."""
    made = copy.deepcopy(dict(parts))
    tasks, parameters = [], []
    drifting = set(gpus) <= set(GENERATIONS[6.0])
    for name in ("gemm", "linear"):
        measured = [found.take(found.tiles[:, 0] > 0) for found in _of(ops, name, gpus)]
        tasks.append(_task(measured, f"{name}.simt", known_tiles=True))
        path: tuple[str | int, ...] = (f"{name}.simt",)
        parameters += _named(path, (*_SHARED_PARAMETERS, ("retained_share", 0.5), ("warm_share", 0.5)))
        parameters += [*_tile_parameters(path, 9, 0.15), _unhidden(path)]
        if name == "linear" and drifting:
            made[f"{name}.simt"]["drift"] = 0.02
            parameters += _drift_parameters(path)
    parameters += [Parameter((("linear.simt", "split_ns"),), 0.5)]
    parameters += _power_parameters([("gemm.simt",), ("linear.simt",)])
    return fit(made, tasks, parameters, most=25)


_CONV_PARAMETERS: Final = (
    ("prologue_steps", 0.7),
    ("epilogue_cycles", 0.7),
    ("warps_half", 0.02),
    ("dram_efficiency", 0.03),
    ("l2_bytes_per_clock", 0.3),
)
"""As of products, but how many warps keep a multiprocessor busy and what DRAM reaches are the same for any class: left
free, they took the blame for which algorithm a library chose, and held for no other release of it."""

_WINOGRAD_PARAMETERS: Final = (
    ("winograd_bandwidth", 0.05),
    ("winograd_ns", 0.2),
    ("fused_winograd_efficiency", 0.2),
)


def fit_conv(parts: Mapping[str, Any], ops: Ops, gpus: Sequence[str], most: int = 25) -> dict[str, Any]:
    """Convolutions: implicit products and Winograd's."""
    path: tuple[str | int, ...] = ("conv.simt", "product")
    parameters = [
        *_named(path, _CONV_PARAMETERS),
        *_tile_parameters(path, 3, 0.1),
        *(Parameter((("conv.simt", "winograd_tiles", number, "efficiency"),), 0.1) for number in range(4)),
        *_named(("conv.simt",), _WINOGRAD_PARAMETERS),
        *_named((*path, "power"), (("pj_per_flop", 0.4),)),
        *_named((*path, "hosts", "eager"), (("pause_ns", 0.7),)),
        _unhidden(path),
    ]
    return fit(parts, [_task(_of(ops, "conv", gpus), "conv.simt")], parameters, most=most)


def fit_memory(parts: Mapping[str, Any], ops: Ops, gpus: Sequence[str]) -> dict[str, Any]:
    """Element-wise kernels, softmax and norms, each by itself."""
    made = copy.deepcopy(dict(parts))
    stream = (("dram_efficiency", 0.1), ("l2_bytes_per_clock", 0.4), ("warm_share", 0.7), ("ramp_ns", 0.5))
    for name, named in (("elementwise", stream), ("softmax", _ROW_PARAMETERS), ("norm", _ROW_PARAMETERS)):
        # Volta reads the rows of a norm from DRAM twice, however few; GPUs before and after it do not.
        chosen = [gpu for gpu in gpus if (name, gpu) != ("norm", "v100_pcie_32gb")]
        parameters = [*_named((name,), named), _unhidden((name,))]
        made = fit(made, [_task(_of(ops, name, chosen), name)], parameters, most=30)
    for name in ("pooling", "movement"):
        for key in ("dram_efficiency", "l2_bytes_per_clock", "warm_share"):
            made[name][key] = made["elementwise"][key]
    return made


def tensor_parameters(name: str = "linear.tensor") -> list[Parameter]:
    """What is fitted of products on tensor cores."""
    path: tuple[str | int, ...] = (name,)
    named = (
        *_SHARED_PARAMETERS,
        ("step_latency_ns", 0.7),
        ("warm_share", 0.5),
        ("split_ns", 0.7),
    )
    return [
        *_named(path, named),
        *_named((*path, "power"), (("pj_per_flop", 0.5),)),
        *_tile_parameters(path, 13, 0.1),
        _unhidden(path, "graph"),
    ]


def fit_tensor(parts: Mapping[str, Any], measured: Sequence[Measured], rows: int = 250) -> dict[str, Any]:
    """Products on tensor cores, timed in CUDA graphs."""
    tasks = [Task([one.sample(rows) for one in measured], "linear.tensor", launch="graph")]
    return fit(parts, tasks, tensor_parameters(), most=14)


def _of(ops: Ops, name: Any, gpus: Sequence[str]) -> list[Measured]:
    return [ops[name, gpu] for gpu in gpus if (name, gpu) in ops]


def _task(measured: Sequence[Measured], part: str, *, known_tiles: bool = False) -> Task:
    quantile = 0.001 if part == "conv.simt" else 0.03
    return Task(
        [one.balanced(_ROWS) for one in measured],
        part,
        known_tiles=known_tiles,
        floors_ns=floors(measured, quantile),
    )


def trees(ops: Ops, name: Any, gpus: Sequence[str]) -> list[dict[str, Any]]:
    """Which tile the library takes, one tree a GPU, by rising compute capability."""
    made = []
    for measured in _of(ops, name, gpus):
        known = measured.take(measured.tiles[:, 0] > 0)
        gpu = device(known.gpu)
        made.append({"capability": float(gpu.compute_capability), **_tree(known, gpu.sm_count)})
    return sorted(made, key=lambda one: one["capability"])


def _tree(measured: Measured, sm_count: int) -> dict[str, Any]:
    from sklearn.tree import DecisionTreeClassifier

    batch, m, n, k = measured.rows[:, 2:6].astype(np.float64).T
    sizes = np.log2(np.column_stack([batch, m, n, k, batch * m * n / (128 * 128 * sm_count)]))
    features = np.column_stack([sizes, k % 32 == 0])
    found = DecisionTreeClassifier(max_leaf_nodes=_TREE_LEAVES, min_samples_leaf=15, random_state=0).fit(
        features, measured.tiles[:, 0]
    )
    tree = found.tree_
    leaf = tree.children_left < 0
    return {
        "feature": np.where(leaf, -1, tree.feature).tolist(),
        "threshold": np.where(leaf, 0.0, tree.threshold).round(5).tolist(),
        "left": np.where(leaf, 0, tree.children_left).tolist(),
        "right": np.where(leaf, 0, tree.children_right).tolist(),
        "tile": np.where(leaf, found.classes_[tree.value[:, 0].argmax(axis=1)], 0).tolist(),
    }


@cache
def bf16_products(framework: str = "vllm") -> dict[str, Measured]:
    """bf16 products of activations and weights by GPU, timed in CUDA graphs (aiconfigurator)."""
    table = pyarrow.parquet.read_table(GPU / "aiconfigurator_gemm_bf16.parquet")
    table = table.filter(pc.equal(pc.cast(table["framework"], "string"), framework))
    gpus = np.array(pc.cast(table["gpu"], "string").to_pylist())
    m, n, k, latency = (table[name].to_numpy().astype(np.float64) for name in ("m", "n", "k", "latency_ms"))
    found = {}
    for gpu in sorted(set(gpus.tolist())):
        chosen = gpus == gpu
        rows: Integers = np.zeros((int(chosen.sum()), 2 + SIZES), np.int64)
        rows[:, 0], rows[:, 1], rows[:, 2] = CLASSES.index("linear"), 3, 1
        rows[:, 3:6] = np.column_stack([m[chosen], n[chosen], k[chosen]])
        found[gpu] = Measured(
            op_class="linear",
            gpu=gpu,
            rows=rows,
            latency_ns=latency[chosen] * 1e6,
            tiles=np.zeros((len(rows), 2), np.int64),
            split=np.full(len(rows), ""),
            names=np.full(len(rows), "linear"),
        )
    return found


_SIMT: Final[tuple[OpClass, ...]] = ("gemm", "linear", "conv")
_MEMORY: Final[tuple[OpClass, ...]] = ("elementwise", "softmax", "norm")


def _fit_simt(conv: Mapping[str, Any], ops: Ops, gpus: Sequence[str]) -> dict[str, Any]:
    """Products on the plain lanes of one generation, beside convolutions that are fitted on all."""
    parts = fit_products(conv, ops, gpus)
    note(f"  products of {', '.join(gpus)} are fitted")
    for name in ("gemm", "linear"):
        parts[f"{name}.simt"]["trees"] = trees(ops, name, gpus)
    _complete(parts, _SIMT, ops, gpus)
    return parts


def _complete(parts: dict[str, Any], classes: Sequence[OpClass], ops: Ops, gpus: Sequence[str]) -> None:
    """Set floors and bands."""
    for name in classes:
        part = f"{name}.simt" if name in _SIMT else name
        measured = _of(ops, name, gpus) or _of(ops, name, FIT)
        _set_floor(parts[part], measured, 0.001 if name == "conv" else 0.03)
        parts[part]["band"] = _band(parts, part, measured)


def _set_floor(part: dict[str, Any], measured: Sequence[Measured], quantile: float) -> None:
    """A new GPU's host is taken to be as quick as the middle one of those that are known."""
    part.get("product", part)["hosts"]["eager"]["floor_ns"] = float(
        np.median(list(floors(measured, quantile).values()))
    )


def _band(parts: dict[str, Any], part: str, measured: Sequence[Measured], **how: Any) -> list[float]:
    """10 % and 90 % quantiles of measured over estimated, GPUs taken together."""
    ratios: list[Floats] = []
    for one in measured:
        drawn = one.sample(1000)
        ratios.append(drawn.latency_ns / estimate(parts, part, drawn, **how))
    return [round(float(value), 3) for value in np.quantile(np.concatenate(ratios), [0.1, 0.9])]


def write_constants() -> None:
    """Fit everything and write what ships (some minutes)."""
    ops = read_ops(gpus=FIT)
    products = bf16_products()
    tensor = fit_tensor(start(), [products[gpu] for gpu in BF16])
    band = _band(tensor, "linear.tensor", [products[gpu] for gpu in BF16], launch="graph")
    note("  tensor cores are fitted")
    conv = fit_conv(start(), ops, FIT)
    generations = []
    for capability, gpus in GENERATIONS.items():
        parts = fit_memory(_fit_simt(conv, ops, gpus), ops, gpus)
        _complete(parts, _MEMORY, ops, gpus)
        _copy_tensor(parts, tensor["linear.tensor"], band)
        generations.append({"capability": capability, "gddr_efficiency": GDDR_EFFICIENCY, "parts": parts})
    _write(
        {
            "version": VERSION,
            "fitted": f"fp32: {', '.join(FIT)} (NeuSight); bf16: {', '.join(BF16)} (aiconfigurator, vLLM)",
            "generations": generations,
        }
    )


def write_simt() -> None:
    """Fit products and convolutions on plain lanes, and write what ships with all else as it is."""
    ops = read_ops(gpus=FIT)
    content = read_constants()
    conv = fit_conv(start(), ops, FIT)
    for generation, gpus in zip(content["generations"], GENERATIONS.values(), strict=True):
        parts, fitted = generation["parts"], _fit_simt(conv, ops, gpus)
        parts |= {f"{name}.simt": fitted[f"{name}.simt"] for name in _SIMT}
        _copy_tensor(parts, parts["linear.tensor"], parts["linear.tensor"]["band"])
    _write(content)


def _write(content: dict[str, Any]) -> None:
    SHIPPED.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")
    note(f"wrote {SHIPPED}")


def _copy_tensor(parts: dict[str, Any], fitted: Mapping[str, Any], band: list[float]) -> None:
    """Other classes on tensor cores are taken to be like linear layers: nothing public tells more."""
    for name in ("gemm", "linear"):
        eager = parts[f"{name}.simt"]["hosts"]["eager"]
        parts[f"{name}.tensor"] = {
            **copy.deepcopy(dict(fitted)),
            "hosts": {"graph": dict(fitted["hosts"]["graph"]), "eager": dict(eager)},
            "band": band,
        }
    product = parts["conv.tensor"]["product"]
    hosts = {"graph": dict(fitted["hosts"]["graph"]), "eager": dict(parts["conv.simt"]["product"]["hosts"]["eager"])}
    product.update(copy.deepcopy({key: value for key, value in fitted.items() if key not in ("hosts", "band")}))
    product["hosts"] = hosts


def _rounded(content: Any) -> Any:
    if isinstance(content, float):
        return float(f"{content:.5g}")
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return [_rounded(value) for value in content] if isinstance(content, list | tuple) else content
