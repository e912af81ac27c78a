"""`QueryIndex`: the numbers of a table by kernel key, for programs that ask millions of times.

A key is 128 bits, written as 32 hex digits. Packed to bytes once, keys of whole batches are answered without a
Python object each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from . import _native
from .measurement import Measurement
from .quality import QualityFlag
from .table import Table

NOISY: Final = "noisy"
OTHER: Final = "other"
FLAGS: Final = (NOISY, *(flag.value for flag in QualityFlag), OTHER)
"""Names of the bits of a row's flags, lowest first: its status, the quality flags, and any flag of an extension."""

_KEY_DIGITS: Final = 32


@dataclass(frozen=True)
class Rows:
    """What an index says about n keys, in their order.

    Attributes:
        latency_ns: float64 [n]; NaN where there is no row.
        rel_halfwidth: float32 [n]; NaN where it is not known.
        flags: uint16 [n], bits named by `FLAGS`.
        found: bool [n]: whether there is a row.
    """

    latency_ns: NDArray[np.float64]
    rel_halfwidth: NDArray[np.float32]
    flags: NDArray[np.uint16]
    found: NDArray[np.bool_]


class QueryIndex:
    """Latencies by key. Never changes once built; safe to ask from several threads.

    Args:
        keys: n keys, packed (`pack_keys`) or as texts.
        latency_ns: [n], finite and not negative.
        rel_halfwidth: [n]; NaN where it is not known. Omitted: known for none.
        flags: [n], bits named by `FLAGS`. Omitted: none are set.

    Raises:
        UsageError: a text that is not a key, a latency that is none, lengths that differ, or two rows for one key.
    """

    def __init__(
        self,
        keys: NDArray[np.uint8] | Iterable[str],
        latency_ns: NDArray[Any] | Sequence[float],
        rel_halfwidth: NDArray[Any] | None = None,
        flags: NDArray[Any] | None = None,
    ) -> None:
        packed = _packed(keys)
        latencies = np.asarray(latency_ns, np.float64)
        wrong = ~(np.isfinite(latencies) & (latencies >= 0))
        if wrong.any():
            where = int(np.argmax(wrong))
            raise UsageError(
                f"the latency of row {where} is {latencies.flat[where]} ns",
                hint="leave out what was not measured; latencies are finite and not negative",
            )
        halfwidths = np.full(len(packed), np.nan) if rel_halfwidth is None else rel_halfwidth
        bits = np.zeros(len(packed), np.uint16) if flags is None else flags
        try:
            self._index = _native.QueryIndex(packed, latencies, halfwidths, bits)
        except ValueError as error:
            raise UsageError(str(error), hint="give one row for each key") from None

    @classmethod
    def of(cls, table: Table, kind: str = "kernel") -> Self:
        """The rows of one subject kind that have a number.

        Raises:
            UsageError: keys of that kind are not 32 hex digits.
        """
        rows = [row for row in table.rows(kind) if row.status != "failed"]
        halfwidths = [np.nan if row.rel_halfwidth is None else row.rel_halfwidth for row in rows]
        return cls(
            [row.subject_key for row in rows],
            [row.latency_ns for row in rows],
            np.array(halfwidths, np.float32),
            np.array([_bits(row) for row in rows], np.uint16),
        )

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Memory that the rows take."""
        return self._index.nbytes

    def get(self, key: str) -> float | None:
        """The latency of a key in ns; None where there is no row.

        Raises:
            UsageError: not a key.
        """
        try:
            return self._index.get(key)
        except (ValueError, TypeError):
            raise _no_key(key) from None

    def lookup(self, keys: NDArray[np.uint8] | Iterable[str]) -> Rows:
        """The rows of many keys, packed or as texts; packed ones are far quicker.

        Raises:
            UsageError: a text that is not a key.
        """
        return Rows(*self._index.lookup(_packed(keys)))

    def sums(self, keys: NDArray[np.uint8] | Iterable[str], offsets: NDArray[Any] | Sequence[int]) -> NDArray[Any]:
        """Sums of latencies over networks of different lengths.

        Args:
            keys: of all networks' kernels, one network behind the other.
            offsets: [m + 1], rising from 0 to the number of keys: network i has the keys offsets[i] to
                offsets[i + 1].

        Returns:
            float64 [m] in ns; NaN for a network with a kernel that has no row.

        Raises:
            UsageError: a text that is not a key, or offsets that do not rise from 0 to the number of keys.
        """
        packed = _packed(keys)
        bounds = np.asarray(offsets)
        if bounds.dtype.kind not in "iu":
            raise UsageError(f"offsets are {bounds.dtype}, not integers", hint="give the first key of each network")
        try:
            return self._index.sums(packed, bounds)
        except ValueError as error:
            raise UsageError(str(error), hint="begin with 0 and end with the number of keys") from None


def pack_keys(keys: Iterable[str]) -> NDArray[np.uint8]:
    """Keys of 32 hex digits as bytes, uint8 [n, 16].

    Raises:
        UsageError: one of them is not a key.
    """
    texts = list(keys)
    try:
        return _native.pack_keys(texts)
    except (ValueError, TypeError, RuntimeError):
        wrong = next(text for text in texts if not _is_key(text))
        raise _no_key(wrong) from None


def names_of(flags: int) -> tuple[str, ...]:
    """What the bits of a row's flags mean."""
    return tuple(name for bit, name in enumerate(FLAGS) if flags >> bit & 1)


def _packed(keys: NDArray[np.uint8] | Iterable[str]) -> NDArray[np.uint8]:
    if not isinstance(keys, np.ndarray):
        return pack_keys(keys)
    if keys.dtype.kind in "UO":
        return pack_keys(keys.tolist())
    if keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != _KEY_DIGITS // 2:
        raise UsageError(
            f"packed keys are uint8 of shape [n, {_KEY_DIGITS // 2}], not {keys.dtype} {list(keys.shape)}",
            hint="pack texts with pack_keys",
        )
    return keys


def _is_key(text: object) -> bool:
    return isinstance(text, str) and len(text) == _KEY_DIGITS and set(text) <= set("0123456789abcdefABCDEF")


def _no_key(text: object) -> UsageError:
    return UsageError(f"{text!r} is not a kernel's key", hint=f"give Kernel.key: {_KEY_DIGITS} hex digits")


def _bits(row: Measurement) -> int:
    names = {flag if flag in FLAGS else OTHER for flag in row.flags} | ({NOISY} if row.status == NOISY else set())
    return sum(1 << FLAGS.index(name) for name in names)
