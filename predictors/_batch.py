"""`Batch`: what users hand in to be learned from or predicted, read and checked once: networks or encodings."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ..networks.errors import UsageError
from .base import Input, Inputs, InputShapes, NetworkLike, listed

_SHOWN: Final = 24  # numbers of an encoding that its name shows


@dataclass(frozen=True, eq=False)
class Batch:
    """n networks, or n encodings of d numbers. Exactly one of the two is there.

    Attributes:
        networks: the networks; None for encodings.
        encodings: float64 ``[n, d]``, finite; None for networks.
    """

    networks: tuple[Network, ...] | None = None
    encodings: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, inputs: Inputs, input_shapes: InputShapes | None = None) -> Self:
        """Read networks and check encodings.

        Raises:
            UsageError: one network alone, or encodings that are not a table of finite numbers.
            ModelFileError: a file cannot be read.
            UnsupportedOpError: a network has ops that the catalogue does not have.
        """
        if isinstance(inputs, np.ndarray):
            return cls(encodings=_checked_encodings(listed(inputs)))
        return cls(networks=tuple(_loaded(network, input_shapes) for network in listed(inputs)))

    @classmethod
    def of_one(cls, given: Input, input_shapes: InputShapes | None = None) -> Self:
        """Read one network, or check one encoding of shape ``[d]``; raises as `of`."""
        if isinstance(given, np.ndarray):
            return cls.of(given[None, :])
        return cls.of([given], input_shapes)

    def __len__(self) -> int:
        return len(self.networks if self.networks is not None else self._rows)

    @property
    def _rows(self) -> NDArray[np.float64]:
        assert self.encodings is not None
        return self.encodings

    @property
    def form(self) -> str:
        """What it holds, as errors call it."""
        return "networks" if self.networks is not None else f"encodings of {self._rows.shape[1]} numbers"

    @property
    def inputs(self) -> Inputs:
        """What `of` makes this batch of."""
        return self._rows if self.networks is None else list(self.networks)

    @cached_property
    def keys(self) -> list[bytes]:
        """One for each input; equal for equal architectures."""
        if self.networks is not None:
            return [network.fingerprint.encode() for network in self.networks]
        return [row.tobytes() for row in np.ascontiguousarray(self._rows)]

    def name(self, index: int) -> str:
        """What people call one of them."""
        if self.networks is not None:
            return self.networks[index].name
        row = self._rows[index]
        return "-".join(f"{value:g}" for value in row[:_SHOWN]) + "-..." * (len(row) > _SHOWN)

    def take(self, index: NDArray[np.intp]) -> "Batch":
        """Some of them, in the order of ``index``."""
        if self.networks is not None:
            return Batch(networks=tuple(self.networks[i] for i in index))
        return Batch(encodings=self._rows[index])

    def fingerprint(self, latencies_ms: NDArray[np.float64]) -> str:
        """Hex digest of the inputs with their latencies."""
        digest = hashlib.sha256(np.ascontiguousarray(latencies_ms, np.float64).tobytes())
        for key in self.keys:
            digest.update(key)
        return digest.hexdigest()


def _loaded(source: NetworkLike, input_shapes: InputShapes | None) -> Network:
    if isinstance(source, Network):
        return source
    from ..networks import load_network  # brings onnx

    return load_network(source, input_shapes=input_shapes)


def _checked_encodings(inputs: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    given = np.asarray(inputs)
    if given.dtype.kind not in "biuf" or given.ndim != 2 or not given.shape[1]:
        raise UsageError(
            f"encodings are {given.dtype} of shape {given.shape}", hint="give numbers of shape [n, d], one row each"
        )
    encodings = given.astype(np.float64)
    bad = np.argwhere(~np.isfinite(encodings))
    if len(bad):
        row, column = bad[0]
        raise UsageError(
            f"encoding {row} has {encodings[row, column]} in column {column}", hint="leave out what is not known"
        )
    return encodings
