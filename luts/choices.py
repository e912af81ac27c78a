"""`ChoiceCosts`: latencies as sums of one number for each choice, for millions of architectures a second."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from . import _native
from .dense import as_codes


class ChoiceCosts:
    """What each choice of a search space adds to a latency, whoever says so; P decisions of up to C choices.

    Args:
        costs_ms: [P, C]; NaN for a choice that is not known.
        start_ms: what every architecture takes besides.
    """

    def __init__(self, costs_ms: NDArray[Any], *, start_ms: float = 0.0) -> None:
        costs = np.ascontiguousarray(costs_ms, np.float32)
        self._decisions, choices = costs.shape
        self._start_ms = start_ms
        self._sum = _native.DenseCosts(costs, np.full(self._decisions, choices, np.uint32), reduce="sum")

    def latencies_ms(self, codes: Any, *, threads: int = 1) -> NDArray[np.float32]:
        """The latencies of encoded architectures in ms.

        Args:
            codes: integers [n, P]; bytes in Fortran order are the fastest.
            threads: how many to compute with; the result does not depend on it.

        Returns:
            float32 [n]; NaN for an architecture with a choice that is not known.

        Raises:
            UsageError: codes of another type or shape, or with a choice beyond C.
        """
        if threads < 1:
            raise UsageError(f"{threads} threads", hint="give at least 1")
        try:
            return self._sum.evaluate(as_codes(codes, self._decisions), start=self._start_ms, threads=threads)
        except IndexError as error:
            raise UsageError(str(error), hint="choices count from 0") from None
