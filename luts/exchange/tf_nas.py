"""TF-NAS's tables: for each block the latency at every width of its middle, ms; and ``base``, what is not searched.

Upstream (https://github.com/AberHu/TF-NAS, MIT) they are pickles, which are never read here: convert one with
``json.dump``. Then it is an object ``{key: {width: ms}, "base": ms}``. The Parquet form has a row for each block and
width: ``device``, ``key``, ``mid_ch``, ``latency_ms``.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ...networks.errors import TableFileError
from ..blockkeys import BASE, parse_tf_nas
from ..blocktable import Block, BlockTable
from .collect import Collector
from .files import Repeated, placed, read_json
from .parquet import batches, opened, write_columns
from .registry import BlockFile, BlockFormat, BlockOptions, register
from .units import column_with_unit

_HINT: Final = "give {key: {width: latency}, base: latency}"


@register
class TfNas(BlockFormat):
    """Tables of TF-NAS, as JSON or Parquet by the file's suffix."""

    name = "tf-nas"
    suffixes = ()
    summary = "TF-NAS: the latency of a block at every width of its middle; .json or .parquet"

    def write(self, path: Path, table: BlockTable) -> int:
        """Write the blocks, in ms."""
        pairs = [(block, *_parts(path, block)) for block in table]
        if _is_parquet(path):
            columns: dict[str, list[Any]] = {
                "device": [table.source] * len(pairs),
                "key": [key for _, key, _ in pairs],
                "mid_ch": [width or 0 for _, _, width in pairs],
                "latency_ms": [block.latency_ns / 1e6 for block, _, _ in pairs],
            }
            write_columns(path, columns)
            return len(pairs)
        document: dict[str, Any] = {}
        for block, key, width in pairs:
            latency_ms = block.latency_ns / 1e6
            if width is None:
                document[key] = latency_ms
            else:
                document.setdefault(key, {})[str(width)] = latency_ms
        path.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
        return len(pairs)

    def read(self, path: Path, options: BlockOptions) -> BlockFile:
        """Read the blocks under keys ``NAME_SIZE_IN_SE_OUT_kK_sS_ACT/WIDTH``."""
        if _is_parquet(path):
            return _read_parquet(path, options)
        collector = Collector(path, options, implied="ms")
        for key, width, latency in _entries(path, read_json(path)):
            _add(collector, path, key, width, latency, row=None)
        return collector.finish()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _parts(path: Path, block: Block) -> tuple[str, int | None]:
    key, _, width = block.key.partition("/")
    with placed(path, column=block.key[:100]):
        parse_tf_nas(key)
        if block.image_size is not None or (width.isdecimal() and width.isascii()) == (key == BASE):
            raise TableFileError(path, f"has no place for {block.subject_key}", hint="its keys are NAME_.../width")
    return key, int(width) if width else None


def _entries(path: Path, document: Any) -> Iterator[tuple[str, int | None, Any]]:
    if not isinstance(document, Repeated):
        raise TableFileError(path, "is no object", hint=_HINT)
    for key, widths in (*document.items(), *document.others):
        if key == BASE:
            yield key, None, widths
            continue
        if not isinstance(widths, Repeated):
            raise TableFileError(path, "has no latencies by width", column=key[:100], hint=_HINT)
        for width, latency in (*widths.items(), *widths.others):
            yield key, _width(path, key, width), latency


def _width(path: Path, key: str, text: Any) -> int:
    if not str(text).isascii() or not str(text).isdecimal() or len(str(text)) > 6:
        raise TableFileError(path, f"{str(text)[:40]!r} is no width", column=key[:100], hint=_HINT)
    return int(text)


def _add(
    collector: Collector,
    path: Path,
    key: str,
    width: int | None,
    latency: Any,
    *,
    row: int | None,
    scale: float | None = None,
    source: str | None = None,
) -> None:
    with placed(path, row, key[:100]):
        attributes = {**parse_tf_nas(key)} | ({} if width is None else {"mid": width})
    name = key if width is None else f"{key}/{width}"
    column = name if row is None else "latency"
    collector.add(name, latency, attributes=attributes, row=row, column=column, scale=scale, source=source)


def _read_parquet(path: Path, options: BlockOptions) -> BlockFile:
    collector = Collector(path, options)
    with opened(path) as file:
        names = tuple(file.schema_arrow.names)
        latency = column_with_unit(names, "latency", path, options.unit)
        lacking = [name for name in ("key", "mid_ch") if name not in names] + ["latency_ms"] * (latency is None)
        if latency is None or lacking:
            raise TableFileError(
                path, f"has no column {lacking[0]}", column=lacking[0], hint="give key, mid_ch, latency_ms"
            )
        column, scale = latency
        wanted = [name for name in ("device", "key", "mid_ch", column) if name in names]
        for first, columns in batches(path, file, wanted):
            devices = columns.get("device", [None] * len(columns["key"]))
            lines = zip(devices, columns["key"], columns["mid_ch"], columns[column], strict=True)
            for row, (device, key, mid, value) in enumerate(lines, first):
                if not isinstance(key, str) or not isinstance(device, str | None):
                    raise TableFileError(path, "is no text", row=row, column="key", hint=_HINT)
                width = None if key == BASE else _width(path, key, mid)
                _add(collector, path, key, width, value, row=row, scale=scale, source=device)
    return collector.finish()
