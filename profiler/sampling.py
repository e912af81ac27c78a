"""`AdaptiveSampler`: which kernels of many to measure next, and when enough are measured to interpolate the rest."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType
from typing import Final

import numpy as np

from ..luts import Measurement
from ..luts.families import LEAST_ROWS, FamilyModel
from ..luts.features import KernelShape, describe_family, shape_of
from ..luts.interpolation import kernel_of, noise_of
from ..luts.kriging import Floats, correlations
from ..networks.errors import UsageError
from ..networks.lowering import Kernel

_WHOLLY: Final = 6  # shapes; a family with no more is measured as a whole
_SEEDS: Final = 4
_SEEDS_OF_A_KIND: Final = 2
_WINDOW: Final = 24  # held-out errors of a family that its error is judged by
_LEAST_ERRORS: Final = 8
_TAIL: Final = 4.0  # times the target, that the 90 % quantile of held-out errors may be
_FAIR: Final = 4  # every so many kernels one is drawn at random
_USED_BY_ALL: Final[Mapping[str, float]] = MappingProxyType({})
_MEDIAN_OF_NORMAL: Final = 0.6745  # median of |z| of a standard normal z


@dataclass(frozen=True)
class HeldOutError:
    """Errors of kernels that were predicted before their rows were used, as |predicted / measured - 1|.

    Attributes:
        median: the middle one.
        p90: exceeded by every tenth.
        rows: how many there are.
    """

    median: float
    p90: float
    rows: int


@dataclass(frozen=True)
class KindReport:
    """How far one family of kernels is known.

    Attributes:
        kind: what people see of it.
        shapes: how many kernels were asked for.
        measured: how many of them have a row.
        failed: how many could not be measured.
        held_out: error of the last rows, each predicted before it was used; None as long as there are none.
        done: nothing more is to be measured of it.
    """

    kind: str
    shapes: int
    measured: int
    failed: int
    held_out: HeldOutError | None
    done: bool


@dataclass
class _Group:
    """The candidates of one family, and what is known of it."""

    label: str
    shapes: dict[str, KernelShape] = field(default_factory=dict)
    rows: dict[str, tuple[KernelShape, float, float]] = field(default_factory=dict)  # with ln(ns) and its deviation
    failed: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    errors: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    model: FamilyModel | None = None
    predicted: tuple[list[str], Floats, Floats] | None = None  # of what is open: keys, ln(ns), deviations

    @property
    def open(self) -> list[str]:
        """Candidates that nothing is known of and nobody is measuring."""
        return [key for key in self.shapes if not (key in self.rows or key in self.failed or key in self.asked)]

    @property
    def unknown(self) -> int:
        return sum(key not in self.rows and key not in self.failed for key in self.shapes)

    def fit(self) -> None:
        """Learn from all rows; a family with too few of them has no model."""
        rows = [self.rows[key] for key in sorted(self.rows)]
        shapes = [shape for shape, _, _ in rows]
        log_ns, noise = (np.array([row[column] for row in rows]) for column in (1, 2))
        self.model = FamilyModel(shapes, log_ns, noise) if len(rows) >= LEAST_ROWS else None
        self.predicted = None

    def predict(self) -> tuple[list[str], Floats, Floats]:
        """What the model says of the candidates without a row."""
        assert self.model is not None
        if self.predicted is None:
            keys = [key for key in self.shapes if key not in self.rows and key not in self.failed]
            found = self.model.predict([self.shapes[key] for key in keys])
            self.predicted = keys, found.log_ns, found.deviation
        return self.predicted


class AdaptiveSampler:
    """Chooses which kernels to measure, so that the others can be interpolated.

    ::

        sampler = AdaptiveSampler(kernels, seed=0)
        sampler.tell(rows that are there already)
        while keys := sampler.ask(24):
            sampler.tell(measure(keys))

    First comes a seed set: of each family of kernels (`lutra.luts.features`) the extremes and a spread between them,
    with some of each kind; families with few shapes wholly. Then comes what is least certain, weighted with the root
    of what it costs a network on average, its latency times the share of networks that run it (the root is between
    relative and absolute error), and every fourth kernel at random, so that a model that is wrong without knowing it is
    found out. Rows that are told are predicted before they are used, which gives the
    held-out error; it is on the cautious side, because the rows were chosen as those that are hard to predict. A
    family is done when the median of its last errors, and of what its model expects of the kernels that are left, are
    under the target and the 90 % quantile of those errors under four times that; or when all of it is measured.

    Args:
        candidates: the kernels that a table is to cover, by key.
        target_error: relative error, in (0, 1), under which the median of a family's held-out errors is to come.
        batch: how many kernels `ask` gives if not told.
        seed: of the random choices.
        usage: share of the space's networks that run a kernel, by key, in (0, 1]; 1 for kernels that are not in it.

    Raises:
        UsageError: a target or a batch that makes no sense.
    """

    def __init__(
        self,
        candidates: Mapping[str, Kernel],
        *,
        target_error: float = 0.03,
        batch: int = 24,
        seed: int = 0,
        usage: Mapping[str, float] = _USED_BY_ALL,
    ) -> None:
        if not 0 < target_error < 1:
            raise UsageError(f"the target error is {target_error!r}", hint="give a ratio such as 0.03")
        if batch < 1:
            raise UsageError(f"the batch is {batch!r}", hint="give 1 or more")
        self.target_error, self.batch = target_error, batch
        self._rng = np.random.default_rng(seed)
        self._usage = usage
        self._groups: dict[str, _Group] = {}
        self._group_of: dict[str, _Group] = {}
        self._picks = 0
        for key, kernel in candidates.items():
            shape = shape_of(kernel)
            group = self._groups.setdefault(shape.family, _Group(describe_family(kernel)))
            group.shapes[key] = shape
            self._group_of[key] = group
        self._seeds = _interleaved(_seeds(group) for group in self._groups.values())

    @property
    def done(self) -> bool:
        """Whether nothing more is to be measured."""
        return all(self._is_done(group) for group in self._groups.values())

    @property
    def held_out_error(self) -> HeldOutError | None:
        """Error of the last rows of the families that have kernels left to interpolate; None as long as there is none.

        A family that was measured as a whole, because it could not be interpolated, has no say.
        """
        return _error([error for group in self._groups.values() if group.unknown for error in group.errors])

    def tell(self, rows: Iterable[Measurement]) -> None:
        """Take in rows, of candidates or of other kernels of their families.

        Rows of weights in the last cache, of whole networks and of constants are passed over. A failed row means that
        its kernel is not asked for again.

        Raises:
            CorruptModelError: a row says of its kernel what cannot be read.
        """
        told: dict[str, list[tuple[str, KernelShape, Measurement]]] = {}
        for row in rows:
            if row.subject_kind != "kernel":
                continue
            shape = self._shape_of(row)
            if shape is not None and shape.family in self._groups:
                told.setdefault(shape.family, []).append((row.subject_key, shape, row))
        for family, news in told.items():
            self._learn(self._groups[family], news)

    def ask(self, n: int | None = None) -> list[str]:
        """The keys of the kernels to measure next, at most ``n`` (``batch`` if omitted); none when done.

        What was given is not given again; what is never told is left out for good.
        """
        wanted = self.batch if n is None else n
        keys: list[str] = []
        while self._seeds and len(keys) < wanted:
            key = self._seeds.popleft()
            if key in self._group_of[key].open:
                self._group_of[key].asked.add(key)
                keys.append(key)
        if len(keys) < wanted:
            keys += self._least_certain(wanted - len(keys))
        return keys

    def report(self) -> list[KindReport]:
        """How far each family is known, largest first."""
        groups = sorted(self._groups.values(), key=lambda group: (-len(group.shapes), group.label))
        return [
            KindReport(
                kind=group.label,
                shapes=len(group.shapes),
                measured=sum(key in group.rows for key in group.shapes),
                failed=len(group.failed),
                held_out=_error(group.errors),
                done=self._is_done(group),
            )
            for group in groups
        ]

    def _shape_of(self, row: Measurement) -> KernelShape | None:
        if row.subject_key in self._group_of:
            return self._group_of[row.subject_key].shapes[row.subject_key]
        kernel = kernel_of(row)
        return None if kernel is None else shape_of(kernel)

    def _learn(self, group: _Group, news: list[tuple[str, KernelShape, Measurement]]) -> None:
        good = []
        for key, shape, row in news:
            group.asked.discard(key)
            if row.status != "failed" and row.latency_ns > 0:
                good.append((key, shape, row))
                group.failed.discard(key)
            elif key in group.shapes:
                group.failed.add(key)
        fresh = [(shape, row) for key, shape, row in good if key not in group.rows]
        if group.model is not None and fresh:
            found = group.model.predict([shape for shape, _ in fresh])
            measured = np.array([row.latency_ns for _, row in fresh])
            group.errors.extend(np.abs(np.exp(found.log_ns) / measured - 1).tolist())
        noise = noise_of([row for _, _, row in good])
        for (key, shape, row), deviation in zip(good, noise, strict=True):
            group.rows[key] = (shape, math.log(row.latency_ns), float(deviation))
        group.fit()

    def _is_done(self, group: _Group) -> bool:
        if not group.unknown:
            return True
        error = _error(group.errors)
        if group.model is None or error is None or error.rows < _LEAST_ERRORS:
            return False
        if error.median > self.target_error or error.p90 > _TAIL * self.target_error:
            return False
        return float(np.median(group.predict()[2])) * _MEDIAN_OF_NORMAL <= self.target_error

    def _least_certain(self, n: int) -> list[str]:
        """Up to n kernels of the families that are not done, one after the other, and marked as asked for."""
        unfinished = [group for group in self._groups.values() if not self._is_done(group) and group.open]
        choices = [_Choice(group, self._usage) for group in unfinished]
        keys: list[str] = []
        while len(keys) < n and (left := [choice for choice in choices if choice.keys]):
            self._picks += 1
            if self._picks % _FAIR == 0:
                number = int(self._rng.integers(sum(len(choice.keys) for choice in left)))
                keys.append(_drawn(left, number))
            else:
                best = max(left, key=lambda choice: float(choice.scores.max()))
                keys.append(best.take(int(np.argmax(best.scores))))
        return keys


class _Choice:
    """The open candidates of a family with what measuring each is worth, as some are taken."""

    def __init__(self, group: _Group, usage: Mapping[str, float]) -> None:
        self._group = group
        self.keys = group.open
        self.scores: Floats = np.sqrt(np.array([usage.get(key, 1.0) for key in self.keys]))
        if group.model is None:  # its seeds failed, or are still being measured
            return
        keys, log_ns, deviations = group.predict()
        places = {key: place for place, key in enumerate(keys)}
        index = np.array([places[key] for key in self.keys])
        self.scores *= deviations[index] * np.exp(log_ns[index] / 2)

    def take(self, place: int) -> str:
        """Take one; those that are closely related to it are worth less from now on."""
        key = self.keys[place]
        if self._group.model is not None:
            points = self._group.model.points([self._group.shapes[key] for key in self.keys])
            related = correlations(points, points.take(np.array([place])), self._group.model.kriging.parameters)[:, 0]
            self.scores = self.scores * np.sqrt(np.maximum(1 - related**2, 0.0))
        self._group.asked.add(key)
        del self.keys[place]
        self.scores = np.delete(self.scores, place)
        return key


def _drawn(choices: list[_Choice], number: int) -> str:
    """Take the candidate of that number, counted through all families."""
    for choice in choices:
        if number < len(choice.keys):
            return choice.take(number)
        number -= len(choice.keys)
    raise AssertionError(number)


def _seeds(group: _Group) -> list[str]:
    """What is to be measured first of a family: the farthest from the middle, then always the farthest from those.

    Kinds count as far apart. Of a kind with few shapes no more than there are; of a small family all.
    """
    keys = list(group.shapes)
    if len(keys) <= _WHOLLY:
        return keys
    shapes = [group.shapes[key] for key in keys]
    sizes = np.log(np.maximum(np.array([(s.macs, s.activation_bytes, s.weight_bytes) for s in shapes], float), 1.0))
    dims = np.log(np.maximum(np.array([s.sizes for s in shapes], float), 1.0))
    kinds, kind_of = np.unique([s.kind for s in shapes], return_inverse=True)
    coordinates = np.column_stack([_spread(dims), _spread(sizes), np.eye(len(kinds))[kind_of]])
    chosen: list[int] = []
    farness = ((coordinates - coordinates.mean(axis=0)) ** 2).sum(axis=1)
    closest = np.full(len(keys), np.inf)
    for _ in range(min(len(keys), _SEEDS + _SEEDS_OF_A_KIND * len(kinds))):
        place = int(np.argmax(farness if not chosen else closest))
        chosen.append(place)
        closest = np.minimum(closest, ((coordinates - coordinates[place]) ** 2).sum(axis=1))
    return [keys[place] for place in chosen]


def _spread(columns: Floats) -> Floats:
    """Columns that differ, each from 0 to 1."""
    spans = np.ptp(columns, axis=0)
    used = np.asarray(columns[:, spans > 0], np.float64)
    return np.asarray((used - used.min(axis=0)) / spans[spans > 0], np.float64) if used.size else used


def _interleaved(lists: Iterable[list[str]]) -> deque[str]:
    """The first of each list, then the second of each, and so on."""
    turns: Iterator[tuple[str | None, ...]] = zip_longest(*lists)
    return deque(key for turn in turns for key in turn if key is not None)


def _error(errors: Iterable[float]) -> HeldOutError | None:
    values = np.array(list(errors))
    if not len(values):
        return None
    return HeldOutError(float(np.median(values)), float(np.quantile(values, 0.9)), len(values))
