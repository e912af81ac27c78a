"""The YAML tables of ProxylessNAS and once-for-all: a key a block, with ``mean``, ``std`` or ``var``, ``count``; ms.

ProxylessNAS: https://github.com/mit-han-lab/proxylessnas; once-for-all: https://github.com/mit-han-lab/once-for-all
(both MIT). Read event by event, so that a hostile file can neither nest nor refer to itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ...networks.errors import TableFileError
from ..blockkeys import parse_ofa
from ..blocktable import Block, BlockTable
from .collect import Collector, deviation_ns
from .files import integer, number, placed, read_text
from .registry import BlockFile, BlockFormat, BlockOptions, register

_FIELDS: Final = ("mean", "std", "var", "count")
_HINT: Final = "each key has its mean, std or var, and count below it"


@register
class OfaYaml(BlockFormat):
    """Tables of ProxylessNAS and once-for-all."""

    name = "ofa-yaml"
    suffixes = (".yaml", ".yml")
    summary = "ProxylessNAS and once-for-all: a key a block, with mean, std or var, count"

    def write(self, path: Path, table: BlockTable) -> int:
        """Write one image size; the form has no place for more."""
        import yaml

        if table.image_sizes:
            sizes = ", ".join(map(str, table.image_sizes))
            raise TableFileError(path, f"has no place for image sizes {sizes}", hint="choose one with --image-size")
        for block in table:
            with placed(path):
                parse_ofa(block.key)
        entries = {block.key: _entry(block) for block in table}
        text = yaml.dump(
            entries, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), default_flow_style=False, width=1000
        )
        path.write_text(text, encoding="utf-8")
        return len(table)

    def read(self, path: Path, options: BlockOptions) -> BlockFile:
        """Read the blocks; the device is called as the file is."""
        collector = Collector(path, options, implied="ms")
        for row, key, fields in _entries(path, read_text(path)):
            with placed(path, row):
                attributes = parse_ofa(key)
            if "mean" not in fields or {"std", "var"} <= set(fields):
                wrong = "no mean" if "mean" not in fields else "both std and var"
                raise TableFileError(path, f"{key} has {wrong}", row=row, column="mean", hint=_HINT)
            collector.add(
                key,
                fields["mean"],
                attributes=attributes,
                row=row,
                column="mean",
                std_ns=_deviation(fields, collector.scale, path, row),
                count=integer(fields["count"], path, row, "count") if "count" in fields else None,
            )
        return collector.finish()


def _entry(block: Block) -> dict[str, Any]:
    entry: dict[str, Any] = {"mean": block.latency_ns / 1e6}
    if block.std_ns is not None:
        entry["std"] = block.std_ns / 1e6
    if block.count is not None:
        entry["count"] = block.count
    return entry


def _deviation(fields: dict[str, str], scale: float, path: Path, row: int) -> float | None:
    for name, power in (("std", 1), ("var", 2)):
        if name in fields:
            spread = number(fields[name], path, row, name) * scale**power
            return deviation_ns(spread, power == 2, path, row, name)
    return None


def _entries(path: Path, text: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield the line, key and fields of each block."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events = yaml.parse(text, Loader=loader)
        try:
            yield from _blocks(path, events, yaml)
        except TableFileError:
            for _ in events:  # what is no YAML further down is said to be that
                pass
            raise
    except yaml.MarkedYAMLError as error:
        row = error.problem_mark.line + 1 if error.problem_mark else None
        raise TableFileError(path, f"is not YAML: {error.problem}", row=row, hint="export it again") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TableFileError(path, f"is not YAML: {str(error)[:200]}", hint="export it again") from error


def _blocks(path: Path, events: Iterator[Any], yaml: Any) -> Iterator[tuple[int, str, dict[str, str]]]:
    kinds = (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent)
    for kind in kinds:
        _expect(path, next(events), kind)
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        _expect(path, event, yaml.ScalarEvent)
        _expect(path, next(events), yaml.MappingStartEvent)
        yield event.start_mark.line + 1, event.value, _fields(path, events, yaml)
    for kind in (yaml.DocumentEndEvent, yaml.StreamEndEvent):
        _expect(path, next(events), kind)


def _fields(path: Path, events: Iterator[Any], yaml: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        _expect(path, event, yaml.ScalarEvent)
        row, name, value = event.start_mark.line + 1, event.value, next(events)
        _expect(path, value, yaml.ScalarEvent)
        if name not in _FIELDS or fields.get(name, value.value) != value.value:
            problem = f"unknown field {name[:40]!r}" if name not in _FIELDS else f"{name} stands there twice"
            raise TableFileError(path, problem, row=row, column=name[:40], hint=_HINT)
        fields[name] = value.value
    return fields


def _expect(path: Path, event: Any, kind: type) -> None:
    if not isinstance(event, kind):
        mark = event.start_mark
        row = mark.line + 1 if mark else None
        found = type(event).__name__.removesuffix("Event")
        raise TableFileError(
            path, f"is no table of blocks: a {found} where a {kind.__name__[:-5]} belongs", row=row, hint=_HINT
        )
