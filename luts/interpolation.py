"""`Interpolator`: what kernels without a row cost, judged by the rows of their like, and how sure that is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from .families import LEAST_ROWS, Estimates, FamilyModel
from .features import KernelShape, describe_family, shape_of
from .measurement import Measurement
from .residency import RESIDENT
from .table import Answer, Nearest, Source, Table

if TYPE_CHECKING:
    from ..networks.lowering import Kernel

MAX_HALFWIDTH: Final = 0.3
"""Relative half-width of a 95 % interval beyond which an estimate is not given: the kernel is not covered then."""

UNKNOWN_HALFWIDTH: Final = 0.10
"""Relative half-width that a row counts with when its own is not known."""

_Z95: Final = NormalDist().inv_cdf(0.975)
_Z90: Final = NormalDist().inv_cdf(0.95)
_LEAST_NOISE: Final = 0.002
_NEAREST: Final = 3
_UNLIKE: Final = 4.0  # distance between kernels that share no op, as logarithms of sizes count


@dataclass(frozen=True)
class FamilyCheck:
    """How well the rows of one family are predicted from each other, a fifth being left out at a time.

    Attributes:
        family: what people see of it.
        kinds: how many kinds it has.
        rows: how many rows.
        median_error: median of |ln(predicted / measured)|; None where there are too few rows to leave any out.
        p90_error: its 90 % quantile.
        coverage: share of the rows that lie within the 90 % interval stated for them.
    """

    family: str
    kinds: int
    rows: int
    median_error: float | None
    p90_error: float | None
    coverage: float | None


@dataclass
class _Family:
    """Rows of one family: shapes with what was measured. `model` is None with too few of them."""

    label: str
    shapes: list[KernelShape] = field(default_factory=list)
    rows: list[Measurement] = field(default_factory=list)

    @cached_property
    def model(self) -> FamilyModel | None:
        if len(self.rows) < LEAST_ROWS:
            return None
        return FamilyModel(self.shapes, np.array([math.log(row.latency_ns) for row in self.rows]), noise_of(self.rows))


class Interpolator:
    """Answers for kernels without a row, from the rows of a table; measured rows are answered as they are.

    Rows are sorted into families (`KernelShape`), each with a `FamilyModel` of its own, fitted when it is first asked.
    Weights in the last cache are a model of their own, of the ratio between the two rows of a kernel.

    Args:
        table: the rows of one device.
        max_halfwidth: relative half-width (95 %) beyond which an estimate is withheld.
    """

    def __init__(self, table: Table, *, max_halfwidth: float = MAX_HALFWIDTH) -> None:
        self.table, self.max_halfwidth = table, max_halfwidth
        self._families = _sorted_rows(table.rows("kernel"))
        self._ratios: dict[str, FamilyModel | None] = {}

    @classmethod
    def fit(cls, table: Table, *, max_halfwidth: float = MAX_HALFWIDTH) -> Self:
        """The interpolator of a table, with all its families fitted: what else is done at first use.

        Raises:
            CorruptModelError: a row says of its kernel what cannot be read.
        """
        interpolator = cls(table, max_halfwidth=max_halfwidth)
        for family in interpolator._families.values():
            if family.model is not None:
                family.model.scale  # noqa: B018 - computed once, then kept
        return interpolator

    def answer(self, kernel: "Kernel", *, cold_share: float = 1.0) -> Answer:
        """Say what one kernel costs; see `answers`."""
        return self.answers([kernel], cold_share=cold_share)[0]

    def answers(self, kernels: "Sequence[Kernel]", *, cold_share: float = 1.0) -> list[Answer]:
        """Say what kernels cost: by their row, else by the rows of their family, else "not covered".

        Whatever is not measured comes with the nearest rows. A kernel whose measurement failed stays not covered.

        Args:
            kernels: which.
            cold_share: share of the weights that come from memory (`Table.lookup`).
        """
        answers = [self.table.lookup(kernel.key, cold_share=cold_share) for kernel in kernels]
        wanted: dict[str, list[tuple[int, KernelShape]]] = {}
        for number, (kernel, answer) in enumerate(zip(kernels, answers, strict=True)):
            if not answer.covered:
                shape = shape_of(kernel)
                wanted.setdefault(shape.family, []).append((number, shape))
        for name, asked in wanted.items():
            shapes = [shape for _, shape in asked]
            estimates = self._estimates(name, shapes, cold_share)
            nearest = self._nearest(name, shapes)
            for place, (number, _) in enumerate(asked):
                answers[number] = self._judged(answers[number], estimates, place, nearest[place])
        return answers

    def nearest(self, kernel: "Kernel") -> tuple[Nearest, ...]:
        """The measured rows that are most like a kernel, best first."""
        shape = shape_of(kernel)
        return self._nearest(shape.family, [shape])[0]

    def check(self) -> list[FamilyCheck]:
        """How well each family's rows are predicted from each other, largest families first."""
        families = sorted(self._families.values(), key=lambda family: (-len(family.rows), family.label))
        return [_checked(family) for family in families]

    def _judged(self, exact: Answer, estimates: Estimates | None, place: int, nearest: tuple[Nearest, ...]) -> Answer:
        """The answer that an estimate makes of "not covered"; that still, where the estimate is too unsure."""
        exact = replace(exact, nearest=nearest)
        if estimates is None or exact.row is not None:
            return exact
        halfwidth = math.expm1(_Z95 * float(estimates.deviation[place]))
        if not halfwidth <= self.max_halfwidth:
            return exact
        source: Source = "interpolated" if estimates.inside[place] else "extrapolated"
        latency_ns = math.exp(float(estimates.log_ns[place]))
        return replace(exact, source=source, latency_ns=latency_ns, rel_halfwidth=halfwidth)

    def _estimates(self, name: str, shapes: Sequence[KernelShape], cold_share: float) -> Estimates | None:
        family = self._families.get(name)
        if family is None or family.model is None:
            return None
        cold = family.model.predict(shapes)
        ratio = self._ratio(name) if cold_share < 1.0 else None
        if ratio is None:
            return cold
        mixed = ratio.predict(shapes)
        has_two = np.array([shape.weight_bytes for shape in shapes]) >= min(s.weight_bytes for s in ratio.shapes)
        resident = (1 - cold_share) * np.exp(mixed.log_ns)
        share = resident / (cold_share + resident)
        return Estimates(
            cold.log_ns + np.where(has_two, np.log(cold_share + resident), 0.0),
            np.where(has_two, np.hypot(cold.deviation, share * mixed.deviation), cold.deviation),
            cold.inside,
        )

    def _ratio(self, name: str) -> FamilyModel | None:
        """Model of ln(latency with weights in the last cache / ordinary latency); None with too few kernels of both."""
        if name not in self._ratios:
            self._ratios[name] = self._fitted_ratio(name)
        return self._ratios[name]

    def _fitted_ratio(self, name: str) -> FamilyModel | None:
        family = self._families[name]
        both = []
        for shape, row in zip(family.shapes, family.rows, strict=True):
            resident = self.table.get(RESIDENT, row.subject_key)
            if resident is not None and resident.status != "failed" and resident.latency_ns > 0:
                both.append((shape, row, resident))
        if len(both) < LEAST_ROWS:
            return None
        logs = np.array([math.log(resident.latency_ns / row.latency_ns) for _, row, resident in both])
        noise = np.hypot(noise_of([row for _, row, _ in both]), noise_of([resident for *_, resident in both]))
        return FamilyModel([shape for shape, _, _ in both], logs, noise, trend=False)

    def _nearest(self, name: str, shapes: Sequence[KernelShape]) -> list[tuple[Nearest, ...]]:
        family = self._families.get(name)
        if family is None or family.model is None:
            return [self._nearest_of_all(shape) for shape in shapes]
        index = family.model.kriging.nearest(family.model.points(shapes), _NEAREST)
        return [tuple(_near(family.rows[number]) for number in numbers) for numbers in index]

    def _nearest_of_all(self, shape: KernelShape) -> tuple[Nearest, ...]:
        """Over all families: those that share ops, and are about as large."""
        rows: list[tuple[float, str, Measurement]] = []
        for family in self._families.values():
            apart = _UNLIKE * (1 - _likeness(shape.ops, family.shapes[0].ops))
            for other, row in zip(family.shapes, family.rows, strict=True):
                distance = _log_ratio(shape.macs, other.macs) + _log_ratio(shape.bytes_moved, other.bytes_moved)
                rows.append((apart + distance, row.subject_key, row))
        return tuple(_near(row) for _, _, row in sorted(rows, key=lambda item: item[:2])[:_NEAREST])


def halfwidth_of(answer: Answer) -> float:
    """Half the 95 % interval of an answer relative to it; `UNKNOWN_HALFWIDTH` where that is not known."""
    return UNKNOWN_HALFWIDTH if answer.rel_halfwidth is None else answer.rel_halfwidth


def noise_of(rows: Sequence[Measurement]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Relative standard deviation of each row's latency, shape ``[n]``."""
    halfwidths = [UNKNOWN_HALFWIDTH if row.rel_halfwidth is None else row.rel_halfwidth for row in rows]
    return np.maximum(np.array(halfwidths, np.float64) / _Z95, _LEAST_NOISE)


def kernel_of(row: Measurement) -> "Kernel | None":
    """The kernel that a row was measured on; None where the row does not say, as one from elsewhere may not.

    Raises:
        CorruptModelError: it says what cannot be read.
    """
    from ..networks.lowering import Kernel  # brings all lowerings

    return Kernel.from_json(row.spec) if "nodes" in row.spec else None


def _sorted_rows(rows: Iterable[Measurement]) -> dict[str, _Family]:
    """Rows with a number by family, in order of their keys, so that the order of the table does not matter."""
    families: dict[str, _Family] = {}
    for row in sorted(rows, key=lambda row: row.subject_key):
        if row.status == "failed" or row.latency_ns <= 0:
            continue
        kernel = kernel_of(row)
        if kernel is not None:
            shape = shape_of(kernel)
            family = families.setdefault(shape.family, _Family(describe_family(kernel)))
            family.shapes.append(shape)
            family.rows.append(row)
    return families


def _checked(family: _Family) -> FamilyCheck:
    kinds = len({shape.kind for shape in family.shapes})
    if family.model is None or not len(family.model.held_out.errors):
        return FamilyCheck(family.label, kinds, len(family.rows), None, None, None)
    errors = np.abs(family.model.held_out.errors)
    inside = np.abs(family.model.held_out.scores) <= _Z90 * family.model.scale
    median, p90 = (float(np.quantile(errors, share)) for share in (0.5, 0.9))
    return FamilyCheck(family.label, kinds, len(family.rows), median, p90, float(inside.mean()))


def _near(row: Measurement) -> Nearest:
    return Nearest(row.subject_key, row.label, row.latency_ns)


def _likeness(mine: tuple[str, ...], others: tuple[str, ...]) -> float:
    """Share of the ops of two kernels that both have, in [0, 1]."""
    one, two = set(mine), set(others)
    return len(one & two) / max(len(one | two), 1)


def _log_ratio(a: int, b: int) -> float:
    return abs(math.log(max(a, 1) / max(b, 1)))
