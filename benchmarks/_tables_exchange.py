"""The field's own tables: the sums that are known of them, after they went through a file, a store and back."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lutra.luts import Store
from lutra.luts.blockkeys import conv_key, expanded_conv_key, network_keys
from lutra.luts.blocktable import BLOCK, BlockTable
from lutra.luts.exchange import read_blocks
from lutra.luts.exchange.stores import export_device, import_file

from ._results import Figure
from .facts import SHARED

NOTE10_MS: Final = 29.965
"""Sum of the network that once-for-all publishes for 30 ms on a Samsung Note 10."""
PROXYLESS_MS: Final = {"min": 29.61, "uniform": 113.99, "max": 191.03}
"""Cheapest, expected and dearest network of ProxylessNAS's space on a Pixel 1."""

_NOTE10, _PIXEL1 = "ofa_note10", "proxylessnas_mobile_trim"
_NOTE10_SIZE: Final = 224
_NETWORK: Final = "note10_lat@30ms_top1@78.4_finetune@75"
_STAGES: Final = ((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))  # channels, blocks, stride
_OPS: Final = tuple((kernel, expand) for kernel in (3, 5, 7) for expand in (3, 6))


def measure() -> dict[str, Any]:
    """Import the tables, export each as YAML, import that, and add up; takes seconds.

    Raises:
        FileNotFoundError: the measured data are not here.
    """
    if not SHARED.is_dir():
        raise FileNotFoundError(f"measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
    networks = json.loads((SHARED / "ofa" / "arch_configs.json").read_text(encoding="utf-8"))["ofa_specialized"]
    with tempfile.TemporaryDirectory() as place:
        note10, pixel1 = _through_store_and_file(Path(place))
    note10_ms = note10.sum_ns(network_keys(networks[_NETWORK])) / 1e6
    return {"note10_30ms_ms": note10_ms, "blocks": len(note10) + len(pixel1), "proxyless_ms": _space_ms(pixel1)}


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The distances to the published sums."""
    errors = [abs(found["proxyless_ms"][name] - known) for name, known in PROXYLESS_MS.items()]
    protocol = (
        "The field's tables from a CSV of blocks into a store, out as ProxylessNAS/once-for-all YAML, read again, and "
        "added up block by block; the largest distance to the known sums, which are given to so many digits."
    )
    return [
        Figure(
            figure="note10_30ms_sum_error_ms",
            value=abs(found["note10_30ms_ms"] - NOTE10_MS),
            unit="ms",
            goal=0.001,
            better="lower",
            peer="once-for-all's latency table: 29.965 ms",
            protocol=protocol,
            command=command,
        ),
        Figure(
            figure="proxyless_sums_max_error_ms",
            value=max(errors),
            unit="ms",
            goal=0.005,
            better="lower",
            peer="ProxylessNAS's latency table: " + ", ".join(f"{name} {ms} ms" for name, ms in PROXYLESS_MS.items()),
            protocol=protocol,
            command=command,
        ),
    ]


def _through_store_and_file(place: Path) -> tuple[BlockTable, BlockTable]:
    """Both tables after a store and a YAML file each: Note 10 at 224 pixels, and Pixel 1."""
    with Store.open(place / "store.db") as store:
        import_file(store, SHARED / "luts" / "note10_and_pixel1_blocks.csv", format="blocks-csv")
        assert {row.flags for row in store.measurements(_PIXEL1, BLOCK)} == {("imported",)}
        tables: list[BlockTable] = []
        for device in (_NOTE10, _PIXEL1):
            path = place / f"{device}.yaml"
            export_device(store, device, path, image_size=_NOTE10_SIZE)
            tables += read_blocks(path).tables
    note10, pixel1 = tables
    return note10, pixel1


def _space_ms(table: BlockTable) -> dict[str, float]:
    """Cheapest, dearest and expected latency of the space, all candidates of a block being equally likely."""
    fixed, choices = proxyless_keys()
    fixed_ns = table.sum_ns(fixed)
    costs = [table.latencies_ns(keys) for keys in choices]
    totals_ns = {
        "min": sum(float(cost.min()) for cost in costs),
        "uniform": sum(float(cost.mean()) for cost in costs),
        "max": sum(float(cost.max()) for cost in costs),
    }
    return {name: (fixed_ns + total_ns) / 1e6 for name, total_ns in totals_ns.items()}


def proxyless_keys() -> tuple[list[str], list[list[str | None]]]:
    """Keys of what is fixed, and of the candidates of each of the 21 blocks; None where a block may be skipped."""
    size, channels = 112, 16
    fixed = [
        conv_key("Conv", (224, 224, 3), (size, size, 32)),
        _block((size, size, 32), (size, size, channels), 3, 1, 1, skip=0),
    ]
    choices: list[list[str | None]] = []
    for width, blocks, stride in _STAGES:
        for number in range(blocks):
            step = stride if number == 0 else 1
            before, size = (size, size, channels), size // step
            after, skip = (size, size, width), int(number > 0)
            keys = [_block(before, after, kernel, expand, step, skip=skip) for kernel, expand in _OPS]
            choices.append([*keys, *([None] * skip)])
            channels = width
    tail = [
        conv_key("Conv_1", (size, size, channels), (size, size, 1280)),
        conv_key("Logits", (size, size, 1280), (1000,)),
    ]
    return fixed + tail, choices


def _block(before: Sequence[int], after: Sequence[int], kernel: int, expand: int, stride: int, *, skip: int) -> str:
    return expanded_conv_key(before, after, expand=expand, tail={"kernel": kernel, "stride": stride, "idskip": skip})
