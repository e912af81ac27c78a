"""A device from a handful of whole networks: what is known before, measuring them, and what they tell."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from .options import subject_of

if TYPE_CHECKING:
    from ..predictors import DevicePrior, TransferPredictor
    from ..profiler import CampaignResult, Device, Plan
    from .offers import Offered

Floats: TypeAlias = NDArray[np.float64]

_TOLD: Final = 5  # sources and costs that explain most
_LEAST_SAMPLES: Final = 3  # of a predictor


def prior_of(candidates: "Offered", samples: int) -> "DevicePrior":
    """What is known of the new device before it is measured.

    Raises:
        UsageError: no other device is known, and fewer samples than an additive model has features; or numbers that
            make no sense.
    """
    from ..predictors import DevicePrior

    features = 1 + sum(len(np.unique(column)) - 1 for column in candidates.codes.T)
    if not candidates.latencies_ms and samples < features:
        raise UsageError(
            f"{samples} samples for {features} features, and no source device that says how they hang together",
            hint=f"profile the space on another device, name columns of a file with --sources, or take {features} "
            "samples or more",
        )
    return DevicePrior.learn(candidates.codes, candidates.latencies_ms, candidates.costs)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A predictor of a new device, and what it rests on. Letters: n networks.

    Attributes:
        predictor: fitted to them.
        names: of the networks that were measured.
        codes: theirs, shape ``[n, m]``.
        latencies_ms: as measured, shape ``[n]``.
        errors: of each, relative, where the other n - 1 predict it; shape ``[n]``. None where those are too few.
    """

    predictor: "TransferPredictor"
    names: tuple[str, ...]
    codes: Floats
    latencies_ms: Floats
    errors: Floats | None

    @property
    def shares(self) -> dict[str, float]:
        """What explains the latencies, by name, the most first."""
        assert self.predictor.fitted_ is not None
        return dict(sorted(self.predictor.fitted_.shares.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        errors_pct = [None] * len(self.names) if self.errors is None else (100 * self.errors).tolist()
        numbers = zip(self.names, self.codes.tolist(), self.latencies_ms.tolist(), errors_pct, strict=True)
        measured = [
            {"network": name, "code": code, "latency_ms": latency_ms, "left_out_error_pct": error_pct}
            for name, code, latency_ms, error_pct in numbers
        ]
        return {"device": self.predictor.device, "shares": self.shares, "measured": measured}

    def __str__(self) -> str:
        width = max(map(len, self.names))
        lines = [f"{'network':{width}}  measured ms"]
        lines += [f"{name:{width}}  {ms:11.4g}" for name, ms in zip(self.names, self.latencies_ms, strict=True)]
        if self.errors is not None:
            ends = ["  left out", *(f"  {100 * error:+7.1f}%" for error in self.errors)]
            lines = [line + end for line, end in zip(lines, ends, strict=True)]
            off = 100 * np.abs(self.errors)
            lines.append(
                f"each predicted from the others: {np.median(off):.1f} % off (median), {off.max():.1f} % at most"
            )
        like = ", ".join(f"{name} {100 * share:.0f} %" for name, share in [*self.shares.items()][:_TOLD])
        return "\n".join([*lines, f"like {like}"])


def plan_of_chosen(device: "Device", candidates: "Offered", rows: Sequence[int]) -> "Plan":
    """The plan that measures the whole networks of some rows, and nothing else."""
    from ..profiler import make_plan

    sys.stderr.write(f"choosing {len(rows)} of {len(candidates.codes)} networks to measure\n")
    return make_plan(device, (subject_of(candidates.network(row)) for row in rows), whole=True)


def measured_ms(plan: "Plan", result: "CampaignResult") -> Floats:
    """Latencies of the plan's networks in its order, in ms; NaN where one could not be measured."""
    assert result.table is not None
    rows = {row.subject_key: row for row in result.table.rows("network") if row.status != "failed"}
    found = [rows.get(subject.network.fingerprint) for subject in plan.subjects]
    return np.array([np.nan if row is None else row.latency_ns / 1e6 for row in found])


def learned(predictor: "TransferPredictor", plan: "Plan", codes: Floats, latencies_ms: Floats) -> Learned:
    """Fit to the networks of a plan that have a latency, and find how well they foretell each other.

    Raises:
        UsageError: fewer than three could be measured.
    """
    there = ~np.isnan(latencies_ms)
    names = tuple(subject.network.name for subject, good in zip(plan.subjects, there, strict=True) if good)
    codes, latencies_ms = codes[there], latencies_ms[there]
    errors = _left_out_errors(predictor, codes, latencies_ms) if len(codes) > _LEAST_SAMPLES else None
    predictor.fit(codes, latencies_ms)
    return Learned(predictor=predictor, names=names, codes=codes, latencies_ms=latencies_ms, errors=errors)


def _left_out_errors(predictor: "TransferPredictor", codes: Floats, latencies_ms: Floats) -> Floats:
    """Relative error on each of n samples after fitting to the others, shape ``[n]``."""
    errors = np.empty(len(codes))
    for one in range(len(codes)):
        rest = np.arange(len(codes)) != one
        predictor.fit(codes[rest], latencies_ms[rest])
        errors[one] = predictor.predict_batch(codes[[one]])[0] / latencies_ms[one] - 1
    return errors
