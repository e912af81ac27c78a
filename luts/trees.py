"""Sums of regression trees, boosted or averaged, kept as plain arrays; scikit-learn grows them, numpy asks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import MissingDependencyError

Floats = NDArray[np.float64]

_CHUNK: Final = 4096  # inputs at once


@dataclass(frozen=True)
class BoostedTrees:
    """A sum of trees. Letters: t trees, k nodes of the largest.

    A node sends an input left when ``input[feature] <= threshold``. Leaves send to themselves.

    Attributes:
        start: what the sum begins with.
        depth: of the deepest tree.
        feature: shape ``[t, k]``.
        threshold: shape ``[t, k]``.
        left: shape ``[t, k]``.
        right: shape ``[t, k]``.
        value: what a leaf adds, shape ``[t, k]``.
    """

    start: float
    depth: int
    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats

    @classmethod
    def grown(
        cls,
        matrix: Floats,
        targets: Floats,
        *,
        rising: NDArray[np.bool_],
        rounds: int,
        depth: int,
        learning_rate: float,
        seed: int,
    ) -> Self:
        """Gradient boosting for squared errors (Friedman, Annals of Statistics 29, 2001, algorithm 2).

        Args:
            matrix: n inputs, shape ``[n, f]``.
            targets: shape ``[n]``.
            rising: which inputs may only raise the prediction as they grow, shape ``[f]``.
            rounds: t, how many trees.
            depth: of each, at most.
            learning_rate: share of each tree that counts.
            seed: of the order in which splits of equal worth are tried.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
        """
        try:
            from sklearn.tree import DecisionTreeRegressor
        except ImportError:
            raise MissingDependencyError("scikit-learn", "learn", "growing regression trees") from None
        start = float(targets.mean())
        left_over, trees = targets - start, []
        for number in range(rounds):
            tree = DecisionTreeRegressor(
                max_depth=depth, min_samples_leaf=2, monotonic_cst=rising.astype(int), random_state=seed + number
            ).fit(matrix, left_over)
            left_over = left_over - learning_rate * tree.predict(matrix)
            trees.append(tree.tree_)
        return cls._of(trees, start=start, share=learning_rate)

    @classmethod
    def averaged(cls, matrix: Floats, targets: Floats, *, count: int, least_leaf: int, seed: int) -> Self:
        """Extremely randomised trees (Geurts, Ernst and Wehenkel, Machine Learning 63, 2006), each with a mean share.

        Args:
            matrix: n inputs, shape ``[n, f]``.
            targets: shape ``[n]``.
            count: t, how many trees.
            least_leaf: inputs that a leaf stands for, at least.
            seed: of the thresholds that are tried.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
        """
        try:
            from sklearn.ensemble import ExtraTreesRegressor
        except ImportError:
            raise MissingDependencyError("scikit-learn", "learn", "growing regression trees") from None
        forest = ExtraTreesRegressor(count, min_samples_leaf=least_leaf, random_state=seed).fit(matrix, targets)
        return cls._of([tree.tree_ for tree in forest.estimators_], start=0.0, share=1 / count)

    @classmethod
    def _of(cls, trees: list[Any], *, start: float, share: float) -> Self:
        """Trees of scikit-learn, each of which counts by its share."""
        most = max(tree.node_count for tree in trees)
        left, right = (_padded([getattr(t, f"children_{side}") for t in trees], most) for side in ("left", "right"))
        leaf, own = left < 0, np.arange(most)
        return cls(
            start=start,
            depth=max(int(tree.max_depth) for tree in trees),
            feature=np.where(leaf, 0, _padded([tree.feature for tree in trees], most)).astype(np.int32),
            threshold=np.where(leaf, 0.0, _padded([tree.threshold for tree in trees], most)),
            left=np.where(leaf, own, left).astype(np.int32),
            right=np.where(leaf, own, right).astype(np.int32),
            value=share * np.where(leaf, _padded([tree.value[:, 0, 0] for tree in trees], most), 0.0),
        )

    def predict(self, matrix: Floats) -> Floats:
        """What the trees say of n inputs, shape ``[n]``."""
        single = matrix.astype(np.float32).astype(np.float64)  # the precision in which the thresholds were chosen
        parts = [self._sums(single[start : start + _CHUNK]) for start in range(0, len(single), _CHUNK)]
        return np.concatenate([*parts, np.empty(0)])

    def _sums(self, matrix: Floats) -> Floats:
        trees, rows = np.arange(len(self.value)), np.arange(len(matrix))[:, None]
        node = np.zeros((len(matrix), len(trees)), np.int32)
        for _ in range(self.depth):
            goes_left = matrix[rows, self.feature[trees, node]] <= self.threshold[trees, node]
            node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
        return np.asarray(self.start + self.value[trees, node].sum(axis=1), np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, as arrays; `from_arrays` reads them."""
        trees = {name: getattr(self, name) for name in ("feature", "threshold", "left", "right", "value")}
        return {"scalars": np.array([self.start, self.depth]), **trees}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave; raises `KeyError` or `ValueError` for anything else."""
        start, depth = arrays["scalars"]
        trees = {name: arrays[name] for name in ("feature", "threshold", "left", "right", "value")}
        return cls(start=float(start), depth=int(depth), **trees)


def _padded(parts: list[NDArray[Any]], length: int) -> NDArray[Any]:
    """Arrays of different lengths as rows, filled up with -1."""
    rows = np.full((len(parts), length), -1, parts[0].dtype)
    for row, part in zip(rows, parts, strict=True):
        row[: len(part)] = part
    return rows
