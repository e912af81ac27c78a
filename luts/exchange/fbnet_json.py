"""FBNet-style JSON: a list of layers, in each the latency of every candidate op.

A layer is an object of op names, a list (the candidates in the order of the search space), or null where nothing is
searched. The list may stand alone, as common generators write it, or under ``layers`` of an object that also gives
``unit``, ``device`` and the names of ``ops``. Generators disagree on the unit, so it must be given.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ...networks.errors import TableFileError
from ..blocktable import BlockTable
from .collect import Collector
from .files import Repeated, placed, read_json
from .registry import BlockFile, BlockFormat, BlockOptions, register
from .units import check_unit

_KEY: Final = re.compile(r"(?P<layer>[0-9]{1,4})/(?P<op>.+)", re.DOTALL)
_OP: Final = {
    name: re.compile(rf"(?:^|_){name[0]}([0-9]{{1,3}})(?:_|$)") for name in ("kernel", "expand", "stride", "groups")
}
_MAX_LAYERS: Final = 10_000
_HINT: Final = "give a list of layers, each an object {op: latency} or a list of latencies"


@register
class FbnetJson(BlockFormat):
    """Tables of FBNet's kind."""

    name = "fbnet-json"
    suffixes = ()
    summary = "FBNet: a list of layers, in each the latency of every candidate op"

    def write(self, path: Path, table: BlockTable) -> int:
        """Write an object with ``unit``, ``device`` and ``layers``, in ms."""
        layers: dict[int, dict[str, float]] = {}
        for block in table:
            found = _KEY.fullmatch(block.key)
            if found is None or block.image_size is not None:
                raise TableFileError(path, f"has no place for {block.subject_key}", hint="its keys are layer/op")
            layers.setdefault(int(found["layer"]), {})[found["op"]] = block.latency_ns / 1e6
        count = max(layers, default=-1) + 1
        document = {"unit": "ms", "device": table.source, "layers": [layers.get(layer) for layer in range(count)]}
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return len(table)

    def read(self, path: Path, options: BlockOptions) -> BlockFile:
        """Read the blocks under keys ``layer/op``, layers counted from 0 as in the list."""
        document = read_json(path)
        whole = document if isinstance(document, Repeated) else Repeated([("layers", document)])
        layers, ops = whole.get("layers"), whole.get("ops")
        if not isinstance(layers, list) or len(layers) > _MAX_LAYERS:
            raise TableFileError(path, "has no list of layers", column="layers", hint=_HINT)
        collector = Collector(path, _with_unit(path, whole, options), default_source=_device(path, whole))
        for layer, found in enumerate(layers):
            for op, latency in _candidates(path, layer, found, ops):
                attributes = {"layer": layer, "op": op} | _attributes(op)
                collector.add(f"{layer}/{op}", latency, attributes=attributes, row=layer + 1, column=op)
        return collector.finish()


def _with_unit(path: Path, whole: Repeated, options: BlockOptions) -> BlockOptions:
    said = whole.get("unit")
    if said is None:
        return options
    with placed(path, column="unit"):
        check_unit(str(said))
    if options.unit not in (None, said):
        raise TableFileError(path, f"is in {said}, not in {options.unit}", column="unit", hint="leave --unit out")
    return replace(options, unit=said)


def _device(path: Path, whole: Repeated) -> str | None:
    device = whole.get("device")
    if device is not None and (not isinstance(device, str) or not device.strip()):
        raise TableFileError(path, "the device is no name", column="device", hint="give a text")
    return device


def _candidates(path: Path, layer: int, found: Any, ops: Any) -> Iterator[tuple[str, Any]]:
    if found is None:
        return
    if isinstance(found, Repeated):
        yield from (*found.items(), *found.others)
        return
    if not isinstance(found, list):
        raise TableFileError(path, "is no layer", row=layer + 1, hint=_HINT)
    names = ops if ops is not None else [f"op{number}" for number in range(len(found))]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise TableFileError(path, "the names of the ops are no list of texts", column="ops", hint=_HINT)
    if len(found) > len(names) or len(set(names)) != len(names):
        raise TableFileError(
            path, f"{len(found)} latencies for {len(names)} ops", row=layer + 1, hint="name each candidate once in ops"
        )
    yield from zip(names, found, strict=False)  # the last op, skip, is absent where the shape changes


def _attributes(op: str) -> dict[str, int]:
    """What an op's name says: ``ir_k3_e6_s2`` has kernel 3, expansion 6, stride 2."""
    found = {name: pattern.search(op) for name, pattern in _OP.items()}
    return {name: int(match[1]) for name, match in found.items() if match}
