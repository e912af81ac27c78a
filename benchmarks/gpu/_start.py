"""What the constants are before anything is fitted: priors from how GPUs and their libraries are built.

Tiles are those that kernels of cuBLAS name themselves by (``volta_sgemm_128x64_tn``); how many warps and results a
thread of theirs has follows from the block they are launched with, which the measured data have.
"""

from collections.abc import Mapping
from typing import Any, Final

# name of the kernel's tile: n, m, warps, blocks that a multiprocessor holds, results of a thread
SIMT_TILES: Final = {
    "128x128": (128, 128, 8, 2, 64),
    "128x64": (128, 64, 4, 4, 64),
    "64x64": (64, 64, 2, 8, 64),
    "32x128": (32, 128, 8, 4, 16),
    "128x32": (128, 32, 8, 4, 16),
    "32x32s": (32, 32, 4, 6, 32),
    "64x32s": (64, 32, 8, 3, 32),
    "128x32s": (128, 32, 8, 2, 64),
    "32x32": (32, 32, 4, 6, 8),
}
CONV_TILES: Final = {
    "128x128": (128, 128, 8, 2, 64),
    "64x128": (64, 128, 4, 4, 64),
    "32x128": (32, 128, 2, 8, 64),
}
"""Of cuDNN's implicit products (``volta_scudnn_128x64``): 128 positions by so many filters."""

WINOGRAD_TILES: Final = {
    "64x64": (64, 64, 2, 8, 64),
    "64x128": (64, 128, 4, 4, 64),
    "128x32": (128, 32, 8, 4, 16),
    "32x128": (32, 128, 8, 4, 16),
}
"""Of the products within cuDNN's Winograd: filters by transformed tiles."""

TENSOR_TILES: Final = {
    "256x128": (256, 128, 8, 1, 128),
    "128x256": (128, 256, 8, 1, 128),
    "128x128": (128, 128, 8, 2, 64),
    "256x64": (256, 64, 8, 2, 64),
    "64x256": (64, 256, 8, 2, 64),
    "128x64": (128, 64, 4, 2, 64),
    "64x128": (64, 128, 4, 2, 64),
    "64x64": (64, 64, 4, 4, 32),
    "64x32": (64, 32, 4, 4, 32),
    "32x64": (32, 64, 4, 4, 32),
    "128x16": (128, 16, 4, 4, 32),
    "16x128": (16, 128, 4, 4, 32),
    "64x16": (64, 16, 4, 6, 32),
}
_TILE_NAMES: Final = ("a", "b", "warps", "residency", "outputs")


def tiles(named: Mapping[str, tuple[int, ...]], efficiency: float) -> list[dict[str, Any]]:
    """Tiles as constants."""
    return [
        {"name": name, **dict(zip(_TILE_NAMES, sizes, strict=True)), "efficiency": efficiency, "overfetch": 1.0}
        for name, sizes in named.items()
    ]


def hosts(floor_ns: float, unhidden: float) -> dict[str, Any]:
    """How a class is launched: in a graph, and by a host that waits."""
    return {
        "graph": {"floor_ns": 0.0, "unhidden": 0.6, "copies": 6.0, "pause_ns": 0.0},
        "eager": {"floor_ns": floor_ns, "unhidden": unhidden, "copies": 1.0, "pause_ns": 100e3},
    }


def _product(named: Mapping[str, tuple[int, ...]], *, tensor: bool, floor_ns: float) -> dict[str, Any]:
    return {
        "step": 32 if tensor else 8,
        "prologue_steps": 60.0 if tensor else 8.0,
        "epilogue_cycles": 6.0,
        "step_latency_ns": 0.3 if tensor else 0.0,
        "warps_half": 2.0 if tensor else 4.0,
        "dram_efficiency": 0.8,
        "l2_bytes_per_clock": 60.0 if tensor else 32.0,
        "retained_share": 0.5,
        "warm_share": 1.0,
        "drift": 0.0,
        "split_ns": 1500.0,
        "power": {
            "pj_per_flop": 0.15 if tensor else 2.9,
            "node_exponent": 0.68,
            "pj_per_byte": 40.0,
            "pj_per_l2_byte": 2.0 if tensor else 8.0,
            "idle_share": 0.2,
        },
        "tiles": tiles(named, 0.8 if tensor else 0.9),
        "trees": [],
        "hosts": hosts(floor_ns, 0.6),
        "band": [0.8, 1.25],
    }


def _conv(*, tensor: bool) -> dict[str, Any]:
    implicit = TENSOR_TILES if tensor else CONV_TILES
    return {
        "product": _product(implicit, tensor=tensor, floor_ns=60e3),
        "winograd_tiles": tiles(WINOGRAD_TILES, 0.8),
        "winograd_bandwidth": 0.75,
        "winograd_ns": 10e3,
        "fused_winograd_efficiency": 0.8,
        "depthwise_efficiency": 0.15,
        "depthwise_bandwidth": 0.6,
        "band": [0.75, 1.35],
    }


def _stream(window_cycles: float) -> dict[str, Any]:
    return {
        "dram_efficiency": 0.85,
        "l2_bytes_per_clock": 40.0,
        "warm_share": 0.5,
        "ramp_ns": 1500.0,
        "element_cycles": 4.0,
        "window_cycles": window_cycles,
        "hosts": hosts(30e3, 0.5),
        "band": [0.9, 1.12],
    }


def _rows(floor_ns: float, *, warp_width: int, block_threads: int, rereads: float) -> dict[str, Any]:
    return {
        "dram_efficiency": 0.85,
        "l2_bytes_per_clock": 40.0,
        "warm_share": 0.3,
        "warp_width": warp_width,
        "block_threads": block_threads,
        "rereads": rereads,
        "kept_share": 0.4,
        "loss_width": 0.35,
        "row_ns": 5000.0,
        "vector_round_ns": 1000.0,
        "scalar_round_ns": 1500.0,
        "hosts": hosts(floor_ns, 0.5),
        "band": [0.85, 1.2],
    }


def start() -> dict[str, Any]:
    """Constants of every class, unfitted."""
    return {
        "gemm.simt": _product(SIMT_TILES, tensor=False, floor_ns=35e3),
        "gemm.tensor": _product(TENSOR_TILES, tensor=True, floor_ns=35e3),
        "linear.simt": _product(SIMT_TILES, tensor=False, floor_ns=65e3),
        "linear.tensor": _product(TENSOR_TILES, tensor=True, floor_ns=65e3),
        "conv.simt": _conv(tensor=False),
        "conv.tensor": _conv(tensor=True),
        "elementwise": _stream(0.0),
        "pooling": _stream(2.0),
        "movement": _stream(0.0),
        "softmax": _rows(35e3, warp_width=1024, block_threads=0, rereads=2.0),
        "norm": _rows(50e3, warp_width=0, block_threads=128, rereads=1.0),
    }
