"""`Encoding`: what an integer-coded architecture is to an additive model."""

from dataclasses import dataclass
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

_MOST_CHOICES: Final = 256  # more values are a measured quantity, not choices
_WIDEST: Final = 2048  # features; covariances have the square of that


@dataclass(frozen=True)
class Encoding:
    """One-hot features of architectures that are rows of choices.

    All decisions share one vocabulary of choices, so that a choice (a 5x5 convolution) can be recognised at another
    decision (a later stage). The features of an architecture are a matrix ``[decisions, choices]`` of zeros with a one
    in each row, flattened.

    Attributes:
        decisions: m, how many choices describe an architecture.
        vocabulary: the values that codes take, in order.
    """

    decisions: int
    vocabulary: tuple[float, ...]

    @classmethod
    def of(cls, codes: ArrayLike) -> Self:
        """The encoding of a table of architectures.

        Args:
            codes: one architecture a row, shape ``[n, m]``.

        Raises:
            UsageError: not a table of numbers, empty, or with columns that are not choices.
        """
        table = checked_codes(codes)
        if not table.size:
            raise UsageError("there are no architectures", hint="give at least one row of codes")
        vocabulary = np.unique(table)
        if len(vocabulary) > _MOST_CHOICES or len(vocabulary) * table.shape[1] > _WIDEST:
            raise UsageError(
                f"{table.shape[1]} columns take {len(vocabulary)} different values",
                hint=f"give columns of choices: {_MOST_CHOICES} values at most, and {_WIDEST} by all columns",
            )
        return cls(table.shape[1], tuple(vocabulary.tolist()))

    @property
    def choices(self) -> int:
        """k, how many values the vocabulary has."""
        return len(self.vocabulary)

    @property
    def width(self) -> int:
        """Features of one architecture: ``decisions * choices``."""
        return self.decisions * self.choices

    def known(self, codes: ArrayLike) -> NDArray[np.bool_]:
        """Which architectures consist of choices of the vocabulary alone, shape ``[n]``."""
        table = self._table(codes)
        return np.asarray(np.isin(table, self.vocabulary).all(axis=1), np.bool_)

    def features(self, codes: ArrayLike) -> Floats:
        """One-hot features, shape ``[n, width]``; a choice outside the vocabulary has no one in its row.

        Raises:
            UsageError: the wrong number of columns, or values that are not finite numbers.
        """
        table = self._table(codes)
        index = np.searchsorted(self.vocabulary, table).clip(max=self.choices - 1)
        known = np.asarray(self.vocabulary)[index] == table
        features = np.zeros((len(table), self.decisions, self.choices))
        np.put_along_axis(features, index[:, :, None], known[:, :, None].astype(np.float64), axis=2)
        return features.reshape(len(table), self.width)

    def _table(self, codes: ArrayLike) -> Floats:
        table = checked_codes(codes)
        if table.shape[1] != self.decisions:
            raise UsageError(
                f"architectures have {table.shape[1]} decisions, not {self.decisions}",
                hint="give the columns that the encoding was made of, in their order",
            )
        return table


def checked_codes(codes: ArrayLike) -> Floats:
    """Codes as an array of shape ``[n, m]``.

    Raises:
        UsageError: not two-dimensional, or with values that are not finite numbers.
    """
    try:
        table = np.asarray(codes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"codes are not numbers: {error}", hint="give one row of numbers an architecture") from None
    if table.ndim != 2:
        raise UsageError(f"codes have shape {table.shape}", hint="give one row an architecture, one column a decision")
    if not np.isfinite(table).all():
        raise UsageError("codes hold NaN or infinity", hint="leave out architectures that are not described")
    return table
