"""What ``lutra fit`` does between its options and its output: the same for the command line and for jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import newdevice

if TYPE_CHECKING:
    from ..luts import Store, Table
    from ..predictors import Comparison, LatencyPredictor, TransferPredictor
    from ..profiler import CampaignResult, Device, Plan
    from .offers import Offer, Offered
    from .samples import Measured


@dataclass(frozen=True)
class Fitted:
    """Predictors that were compared, and the best of them, fitted to all samples.

    Attributes:
        comparison: of all of them.
        measured: the samples.
    """

    comparison: "Comparison"
    measured: "Measured"

    @property
    def name(self) -> str:
        """The kind of the best."""
        return self.comparison.best.name

    @property
    def predictor(self) -> "LatencyPredictor":
        """The best."""
        return self.comparison.best.predictor

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return self.comparison.to_dict() | {"best": self.name, "encoding": self.measured.encoding}

    def __str__(self) -> str:
        kept = f"kept {self.name}, fitted to all {len(self.measured.latencies_ms)} samples"
        return f"{self.comparison}\n{kept}"


def fit_best(
    measured: "Measured",
    device: str,
    table: "Table | None",
    *,
    kinds: Sequence[str],
    test_share: float,
    coverage: float,
    seed: int,
) -> Fitted:
    """Compare predictors on samples that none has seen, and fit the best to all.

    Args:
        measured: the samples.
        device: what to call the device.
        table: rows that join in; None where there are none.
        kinds: which to compare; all that can if empty.
        test_share: share of the samples that they are judged by.
        coverage: probability that the intervals are to hold.
        seed: of the split and of the training.

    Raises:
        UnknownNameError: one cannot learn from such samples.
        UsageError: too few samples, or shares that make no sense.
    """
    from ..networks.errors import UnknownNameError
    from ..predictors import candidates, compare

    able = candidates(device, encodings=bool(measured.encoding), table=table, seed=seed)
    for kind in kinds:
        if kind not in able:
            raise UnknownNameError("model for such samples", kind, able)
    entered = {kind: able[kind] for kind in kinds or able}
    comparison = compare(
        measured.inputs, measured.latencies_ms, entered, test_share=test_share, coverage=coverage, seed=seed
    )
    comparison.best.predictor.fit(measured.inputs, measured.latencies_ms)
    return Fitted(comparison, measured)


@dataclass(frozen=True)
class NewDevice:
    """A device of which a few whole networks are to be measured.

    Attributes:
        plan: measures them.
        predictor: knows what other devices say, and learns from them.
        known: all networks that could be measured.
        rows: those that are, by their number among ``known``; shape ``[n]``.
    """

    plan: "Plan"
    predictor: "TransferPredictor"
    known: "Offered"
    rows: NDArray[np.int64]

    @classmethod
    def choose(cls, device: "Device", offer: "Offer", samples: int, store: "Store | None", *, seed: int) -> "NewDevice":
        """Choose the networks that would tell most.

        Args:
            device: what is measured.
            offer: what could be.
            samples: how many are.
            store: holds the tables of other devices; None where there is none yet.
            seed: of what is drawn.

        Raises:
            LutraError: as `candidates_of` and `prior_of` raise.
        """
        from ..predictors import TransferPredictor
        from .offers import candidates_of

        known = candidates_of(offer, device, store, seed=seed)
        prior = newdevice.prior_of(known, samples)
        predictor = TransferPredictor(prior, device.name, fingerprint=device.fingerprint, seed=seed)
        rows = predictor.choose(known.codes, samples)
        return cls(newdevice.plan_of_chosen(device, known, rows.tolist()), predictor, known, rows)

    def learn(self, result: "CampaignResult") -> newdevice.Learned:
        """Fit to what was measured.

        Raises:
            UsageError: fewer than three networks could be measured.
        """
        latencies_ms = newdevice.measured_ms(self.plan, result)
        return newdevice.learned(self.predictor, self.plan, self.known.codes[self.rows], latencies_ms)


def samples_of(
    file: str | Path | None,
    table: "Table | None",
    *,
    latency: str | None,
    networks: str | None,
    encoding: Sequence[str],
) -> "Measured":
    """Samples from a file, else the whole networks of a table.

    Raises:
        UsageError: neither is there.
        LutraError: as `read_samples` and `table_samples` raise.
    """
    from ..networks.errors import UsageError
    from .samples import read_samples, table_samples

    if file is not None:
        return read_samples(str(file), latency=latency, networks=networks, encoding=encoding)
    if table is None:
        raise UsageError("nothing to learn from", hint="give a file of samples, or the --table of a device")
    return table_samples(table)
