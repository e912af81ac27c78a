"""`PooledOps`: what a network is to an additive model, where no encoding describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ..networks.errors import UsageError
from ._batch import Batch
from ._domain import Domain
from ._features import POOLED, pooled

Floats = NDArray[np.float64]

_FAR: Final = 10.0  # an interval is at most so many times wider


@dataclass(frozen=True)
class PooledOps:
    """Features of networks of any family: ops, MACs and bytes of each op kind, in units of their spread.

    Attributes:
        domain: the networks that were seen.
        scales: unit of each feature, shape ``[width]``.
    """

    domain: Domain
    scales: Floats

    @classmethod
    def of(cls, networks: Sequence[Network]) -> Self:
        """The description of networks like these.

        Raises:
            UsageError: none.
        """
        if not networks:
            raise UsageError("there are no architectures", hint="give at least one network")
        domain = Domain.of(Batch(networks=tuple(networks)))
        spread = pooled(networks, domain.kinds).std(axis=0)
        return cls(domain, np.where(spread > 0, spread, 1.0))

    @property
    def width(self) -> int:
        """Features of one network."""
        return POOLED * len(self.domain.kinds)

    def features(self, networks: Sequence[Network]) -> Floats:
        """Shape ``[n, width]``."""
        return pooled(networks, self.domain.kinds) / self.scales

    def centred(self, networks: Sequence[Network], offsets: Floats) -> Floats:
        """Features less ``offsets``, shape ``[n, width]``."""
        return self.features(networks) - offsets

    def widening(self, networks: Sequence[Network]) -> Floats:
        """How many times wider an interval is to be, shape ``[n]``: 1 for networks like those that were seen."""
        departures = self.domain.departures(Batch(networks=tuple(networks)))
        return np.minimum(departures.factor * np.exp(departures.excess), _FAR)

    def reasons(self, networks: Sequence[Network]) -> list[str]:
        """In what one network is unlike any that was seen; empty where it is not."""
        return self.domain.reasons(Batch(networks=tuple(networks)), 0)

    def covariances(self, weights: list[Floats]) -> dict[str, Floats]:
        """How weights of a device may go together: "choices", each for itself."""
        del weights
        return {"choices": np.eye(self.width)}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; `from_json` reads it."""
        return {"domain": self.domain.to_json(), "scales": self.scales.tolist()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        return cls(Domain.from_json(document["domain"]), np.array(document["scales"], np.float64))
