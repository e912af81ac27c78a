"""`Encoding`: what an integer-coded architecture is to an additive model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

_MOST_CHOICES: Final = 256  # more values are a measured quantity, not choices
_WIDEST: Final = 2048  # features; covariances have the square of that
_UNSEEN: Final = 4.0  # an architecture with a choice that was never seen has an interval so many times wider
_SHRINKAGE: Final = 0.2  # of the structure towards independence: there are fewer sources than entries
_SWEEPS: Final = 10


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

    def centred(self, codes: ArrayLike, offsets: Floats) -> Floats:
        """Features less ``offsets``, shape ``[n, width]``; a choice outside the vocabulary counts as an average one."""
        one_hot = self.features(codes)
        known = one_hot.reshape(len(one_hot), -1, self.choices).any(axis=2)
        return np.where(np.repeat(known, self.choices, axis=1), one_hot - offsets, 0.0)

    def widening(self, codes: ArrayLike) -> Floats:
        """How many times wider an interval is to be, shape ``[n]``: 1 for architectures of known choices."""
        return np.where(self.known(codes), 1.0, _UNSEEN)

    def reasons(self, codes: ArrayLike) -> list[str]:
        """In what one architecture, shape ``[1, m]``, is unlike any that was seen; empty where it is not."""
        return [] if self.known(codes)[0] else ["it has a choice that was never seen"]

    def covariances(self, weights: list[Floats]) -> dict[str, Floats]:
        """How weights of a device may go together, given those of some; each of shape ``[width, width]``.

        Returns:
            "structure", a matrix-normal distribution over (decision, choice), and "choices", the same weight for a
            choice wherever it is made.
        """
        return {
            "structure": _structure(self.decisions, self.choices, weights),
            "choices": np.tile(np.eye(self.choices), (self.decisions, self.decisions)),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; `from_json` reads it."""
        return {"decisions": self.decisions, "vocabulary": list(self.vocabulary)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        return cls(int(document["decisions"]), tuple(map(float, document["vocabulary"])))

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


def _structure(m: int, k: int, weights: list[Floats]) -> Floats:
    """Covariance of a matrix-normal distribution of (decision, choice), from samples of it.

    By turns, each of the two covariances is estimated given the other (Dutilleul, "The MLE algorithm for the matrix
    normal distribution", 1999), shrunk towards a multiple of the identity. Without samples it is the identity.
    """
    across, among = np.eye(m), np.eye(k)
    if not weights:
        return np.eye(m * k)
    samples = np.stack(weights).reshape(-1, m, k)
    samples = samples - samples.mean(axis=2, keepdims=True)
    samples /= samples.std() or 1.0
    for _ in range(_SWEEPS):
        inverse = np.linalg.inv(among)
        across = _shrunk(np.einsum("sik,kl,sjl->ij", samples, inverse, samples) / (len(samples) * k))
        inverse = np.linalg.inv(across)
        among = _shrunk(np.einsum("sik,ij,sjl->kl", samples, inverse, samples) / (len(samples) * m))
    return np.asarray(np.kron(across, among), np.float64)


def _shrunk(covariance: Floats) -> Floats:
    size = len(covariance)
    shrunk: Floats = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    return shrunk * size / float(np.trace(shrunk))
