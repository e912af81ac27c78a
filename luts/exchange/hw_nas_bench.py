"""HW-NAS-Bench's tables of ops: ``{key: ms}``, or one such object a metric (``edgegpu_latency``, ``pixel3_latency``).

Upstream (https://github.com/GATECH-EIC/HW-NAS-Bench, MIT) they are part of a pickle, which is never read here: convert
what its ``get_op_lookup_tables()`` returns with ``json.dump``. Keys are like
``ConvBlock_H112_W112_Cin16_Cout24_exp6_kernel3_stride2_group1``. Metrics of energy hold no latencies:
they are left out, and counted.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ...networks.errors import TableFileError
from ..blockkeys import parse_hw_nas_bench
from ..blocktable import BlockTable
from .collect import Collector
from .files import Repeated, placed, read_json
from .registry import BlockFile, BlockFormat, BlockOptions, register

_LATENCY: Final = "_latency"
_ENERGY: Final = "_energy"
_HINT: Final = "give {key: latency}, or {metric: {key: latency}} with metrics DEVICE_latency"


@register
class HwNasBench(BlockFormat):
    """Tables of HW-NAS-Bench."""

    name = "hw-nas-bench"
    suffixes = ()
    summary = "HW-NAS-Bench: an object of keys, or one such object a metric"

    def write(self, path: Path, table: BlockTable) -> int:
        """Write one metric, named after the device, in ms."""
        latencies: dict[str, float] = {}
        for block in table:
            with placed(path):
                parse_hw_nas_bench(block.key)
            if block.image_size is not None:
                raise TableFileError(path, f"has no place for {block.subject_key}", hint="choose one image size")
            latencies[block.key] = block.latency_ns / 1e6
        document = {f"{table.source}{_LATENCY}": latencies}
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return len(table)

    def read(self, path: Path, options: BlockOptions) -> BlockFile:
        """Read the blocks, one table a metric of latency."""
        collector, energies = Collector(path, options, implied="ms"), 0
        for metric, latencies in _metrics(path, read_json(path)):
            if metric is not None and metric.endswith(_ENERGY):
                energies += len(latencies)
                continue
            for key, latency in (*latencies.items(), *latencies.others):
                with placed(path, column=key[:100]):
                    attributes = parse_hw_nas_bench(key)
                source = metric and metric.removesuffix(_LATENCY)
                collector.add(key, latency, attributes=attributes, row=None, column=key, source=source)
        found = collector.finish()
        return replace(found, dropped={**found.dropped, "energy": energies}) if energies else found


def _metrics(path: Path, document: Any) -> Iterator[tuple[str | None, Repeated]]:
    if not isinstance(document, Repeated) or (document.others and isinstance(document.others[0][1], Repeated)):
        raise TableFileError(path, "is no object, or names a metric twice", hint=_HINT)
    nested = [name for name, value in document.items() if isinstance(value, Repeated)]
    if not nested:
        yield None, document
        return
    for name, value in document.items():
        if not isinstance(value, Repeated) or not name.endswith((_LATENCY, _ENERGY)) or name.startswith("_"):
            raise TableFileError(path, "is no metric of latency or energy", column=name[:100], hint=_HINT)
        yield name, value
