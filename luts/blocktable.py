"""Tables of building blocks, as the field exchanges them: what a block of a search space costs on a device.

A row of such a table is a mean that somebody else measured; it has no raw samples, and what it was measured with is
rarely told. So these rows stand under a fingerprint of kind ``"imported"``, with the flag of that name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import NotCoveredError, UsageError
from ._json import plain_dict
from .fingerprint import Fingerprint
from .measurement import Measurement
from .quality import QualityFlag

BLOCK: Final = "block"
"""Subject kind of the rows of building blocks."""

MAX_LATENCY_NS: Final = 1e15
"""Longest latency that a block may have: eleven days; more is a wrong unit."""

_EXACT_NS: Final = 1 << 52  # total of a row's executions up to which a double counts single nanoseconds
_CANDIDATES: Final = 2000  # keys that a missing one is compared with


@dataclass(frozen=True, kw_only=True)
class Block:
    """What one building block costs.

    Args:
        key: what its table calls it.
        latency_ns: mean latency, ns; 0 for a block that does nothing.
        std_ns: standard deviation of one execution, ns; None where it is not known.
        count: executions behind the mean; None where it is not known.
        image_size: side of the network's input that the row belongs to, in tables that have the same key at several;
            None elsewhere.
        attributes: what the key says, plain JSON data: ``op``, ``input`` and ``output`` (height, width, channels),
            ``expand`` (a ratio) or ``mid`` (channels), ``kernel``, ``stride``, ``idskip``, ``se``, ``hs``, ...

    Raises:
        UsageError: an empty key, or a number that is none.
    """

    key: str
    latency_ns: float
    std_ns: float | None = None
    count: int | None = None
    image_size: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not self.key:
            raise UsageError(f"a block's key is {self.key!r}", hint="give a non-empty text")
        object.__setattr__(self, "latency_ns", _duration(self.latency_ns, f"the latency of {self.key}"))
        if self.std_ns is not None:
            object.__setattr__(self, "std_ns", _duration(self.std_ns, f"the deviation of {self.key}"))
        for name in ("count", "image_size"):
            _check_count(getattr(self, name), f"the {name} of {self.key}")
        object.__setattr__(self, "attributes", plain_dict(self.attributes, "attributes"))

    @property
    def subject_key(self) -> str:
        """The key in a store: with ``@`` and the image size where it has one."""
        return self.key if self.image_size is None else f"{self.key}@{self.image_size}"

    def to_row(self, conditions: Mapping[str, Any] | None = None) -> Measurement:
        """Return the block as a row: one sample, of as many executions as are behind the mean.

        The row's latency is rounded to ns per sample; the exact numbers stand in its ``spec``.
        """
        count = self.count if self.count and self.latency_ns * self.count < _EXACT_NS else 1
        return Measurement(
            subject_kind=BLOCK,
            subject_key=self.subject_key,
            label=self.subject_key,
            samples_ns=np.asarray([round(self.latency_ns * count)], np.int64),
            executions_per_sample=count,
            flags=(QualityFlag.IMPORTED,),
            conditions=conditions or {},
            spec={
                "key": self.key,
                "image_size": self.image_size,
                "mean_ns": self.latency_ns,
                "std_ns": self.std_ns,
                "count": self.count,
                "attributes": self.attributes,
            },
        )

    @classmethod
    def from_row(cls, row: Measurement) -> Self:
        """Read what ``to_row`` gave.

        Raises:
            UsageError: the row is of another kind, or lacks something.
        """
        spec = row.spec
        wanted = {"key", "image_size", "mean_ns", "std_ns", "count", "attributes"}
        if row.subject_kind != BLOCK or not wanted <= set(spec):
            raise UsageError(
                f"{row.subject_kind} {row.subject_key} is no row of a block", hint="import the table again"
            )
        numbers = {name: spec[name] for name in ("std_ns", "count", "image_size", "attributes")}
        return cls(key=spec["key"], latency_ns=spec["mean_ns"], **numbers)


class BlockTable:
    """The building blocks of one device.

    Args:
        source: the device's name, as the file gives it.
        blocks: at most one for a key and image size.

    Raises:
        UsageError: two blocks with one key and image size that disagree (equal ones count once), or no source.
    """

    def __init__(self, source: str, blocks: Iterable[Block] = ()) -> None:
        if not isinstance(source, str) or not source.strip():
            raise UsageError(f"a block table's source is {source!r}", hint="give the device a name")
        self.source = source
        self._blocks: dict[tuple[str, int | None], Block] = {}
        for block in blocks:
            if self._blocks.setdefault((block.key, block.image_size), block) != block:
                raise UsageError(f"two blocks {block.subject_key} disagree", hint="keep one of them")

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockTable):
            return NotImplemented
        return self.source == other.source and self._blocks == other._blocks

    __hash__ = None  # type: ignore[assignment]  # compared by content, which may be large

    def __repr__(self) -> str:
        return f"BlockTable({self.source!r}, {len(self)} blocks)"

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The image sizes that occur, ascending; empty in a table that does not tell them apart."""
        return tuple(sorted({size for _, size in self._blocks if size is not None}))

    def at(self, image_size: int) -> "BlockTable":
        """Return the blocks of one image size, which they then no longer name.

        Raises:
            UsageError: there are none; names the sizes that there are.
        """
        found = [block for block in self if block.image_size == image_size]
        if not found:
            known = ", ".join(map(str, self.image_sizes)) or "none is told apart"
            raise UsageError(f"{self.source} has no blocks at image size {image_size}", hint=f"known: {known}")
        return self._where(found, lambda _: None)

    def placed(self, image_size: int) -> "BlockTable":
        """Return the same blocks, said to belong to an image size.

        Raises:
            UsageError: they name image sizes already.
        """
        if self.image_sizes:
            raise UsageError(f"{self.source} names its image sizes itself", hint="leave the image size out")
        return self._where(self, lambda _: image_size)

    def _where(self, blocks: Iterable[Block], size: Callable[[Block], int | None]) -> "BlockTable":
        values = ({**vars(block), "image_size": size(block)} for block in blocks)
        return BlockTable(self.source, (Block(**value) for value in values))

    def get(self, key: str, image_size: int | None = None) -> Block | None:
        """Return a block, or None.

        Args:
            key: its key.
            image_size: which one in a table of several; may be omitted where there is one at most.

        Raises:
            UsageError: the table has several image sizes, and none is given.
        """
        sizes = self.image_sizes
        if image_size is None and len(sizes) > 1:
            raise UsageError(
                f"{self.source} has blocks at several image sizes", hint=f"choose one of {', '.join(map(str, sizes))}"
            )
        size = sizes[0] if image_size is None and sizes else image_size
        return self._blocks.get((key, size), self._blocks.get((key, None)))

    def latencies_ns(self, keys: Sequence[str | None], image_size: int | None = None) -> NDArray[np.float64]:
        """Return what blocks cost, shape [n] for n keys, ns; None stands for no block and costs 0.

        Raises:
            NotCoveredError: keys without a row, all of them, and the nearest there are.
            UsageError: as for `get`.
        """
        found = {key: self.get(key, image_size) for key in dict.fromkeys(keys) if key is not None}
        missing = [key for key, block in found.items() if block is None]
        if missing:
            self._refuse(missing)
        blocks = (None if key is None else found[key] for key in keys)
        return np.asarray([0.0 if block is None else block.latency_ns for block in blocks], np.float64)

    def sum_ns(self, keys: Sequence[str | None], image_size: int | None = None) -> float:
        """Return the latency of a network as the sum over its blocks, ns. Raises as `latencies_ns` does."""
        return float(self.latencies_ns(keys, image_size).sum())

    def _refuse(self, missing: list[str]) -> None:
        first = missing[0]
        kin = [key for key, _ in self._blocks if key[:1] == first[:1]][:_CANDIDATES]
        near = get_close_matches(first, dict.fromkeys(kin), n=3, cutoff=0.5)
        raise NotCoveredError(
            f"{self.source} has no block {first}" + (f", and {len(missing) - 1} others" if len(missing) > 1 else ""),
            missing,
            hint=f"nearest: {'; '.join(near)}" if near else "measure it, or take a table of the same search space",
        )

    # -- as rows ------------------------------------------------------------------------------------------

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint under which the rows are kept: the source's name, and that nothing else is known."""
        return Fingerprint.imported(self.source)

    def rows(self, conditions: Mapping[str, Any] | None = None) -> Iterator[Measurement]:
        """Iterate over the blocks as rows of a store; ``conditions`` go into each, such as the file's name."""
        return (block.to_row(conditions) for block in self)

    @classmethod
    def from_rows(cls, source: str, rows: Iterable[Measurement]) -> Self:
        """Read the rows of kind ``"block"``; others are left out.

        Raises:
            UsageError: there is none, or one lacks something.
        """
        table = cls(source, (Block.from_row(row) for row in rows if row.subject_kind == BLOCK))
        if not len(table):
            raise UsageError(
                f"{source} has no rows of building blocks", hint="export to .parquet, .csv or .json, which take any row"
            )
        return table


def _duration(value: Any, what: str) -> float:
    usable = isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)
    if not usable or not 0 <= value <= MAX_LATENCY_NS:
        raise UsageError(f"{what} is {value!r} ns", hint="give a time in ns, 0 or more")
    return float(value)


def _check_count(value: Any, what: str) -> None:
    usable = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 31
    if value is not None and not usable:
        raise UsageError(f"{what} is {value!r}", hint="give an integer, 1 or more, or nothing")
