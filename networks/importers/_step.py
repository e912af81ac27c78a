"""One node of the source model while it is translated; what the ONNX and the torch importer share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._draft import Draft, Stored

Value = str | Stored
"""A value of the draft by name, or a tensor that the model stores."""


class Step:
    """Appends to a draft what one node does.

    Attributes:
        draft: the network so far.
        name: of the node; ops on the way to its result get it as a prefix.
        outputs: what the node makes, once `result` or `give` has said it.
    """

    def __init__(self, draft: Draft, name: str) -> None:
        self.draft, self.name = draft, name
        self.outputs: list[Value] = []

    def hold(self, value: Value) -> str:
        """``value`` as one that ops can read."""
        return value if isinstance(value, str) else self.draft.hold(value, f"{self.name}.constant")

    def shape_of(self, value: Value) -> tuple[int, ...]:
        return value.shape if isinstance(value, Stored) else self.draft.types[value].shape

    def dtype_of(self, value: Value) -> str:
        return value.dtype if isinstance(value, Stored) else self.draft.types[value].dtype

    def scalar(self, value: float, like: Value) -> str:
        """A constant of the element type of ``like``."""
        return self.hold(Stored((), self.dtype_of(like), values=np.asarray(value, np.float64)))

    def op(self, kind: str, *inputs: str, sources: Mapping[str, Stored] | None = None, **attrs: Any) -> str:
        """Appends an op on the way to the result; returns its value."""
        return self.draft.add(kind, *inputs, name=f"{self.name}.{kind}", sources=sources, **attrs)[0]

    def result(self, kind: str, *inputs: str, sources: Mapping[str, Stored] | None = None, **attrs: Any) -> None:
        """Appends the op whose outputs are those of the node."""
        self.give(*self.draft.add(kind, *inputs, name=self.name, sources=sources, **attrs))

    def give(self, *values: Value) -> None:
        """Makes ``values`` the outputs of the node."""
        self.outputs = list(values)

    def reshaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        """``value`` in another shape, stored or live."""
        if isinstance(value, Stored):
            return value.reshaped(*shape)
        return value if self.draft.types[value].shape == shape else self.op("reshape", value, shape=shape)

    def bounded(self, x: str, low: float, high: float) -> None:
        """The result is ``x`` between two numbers: relu, relu6 or clip."""
        if low == 0 and high in (6, np.inf):
            self.result("relu6" if high == 6 else "relu", x)
        else:
            self.result("clip", x, low=low, high=high)

    def take(self, x: str, axis: int, picked: list[int], most: int = 64) -> str | None:
        """The elements ``picked`` of one axis: one slice, or several joined; None for over ``most`` scattered ones."""
        step = picked[1] - picked[0] if len(picked) > 1 else 1
        if step >= 1 and picked == list(range(picked[0], picked[-1] + 1, step)):
            whole = (picked[0], len(picked), step) == (0, self.shape_of(x)[axis], 1)
            return x if whole else self.op("slice", x, axis=axis, start=picked[0], end=picked[-1] + 1, step=step)
        if len(picked) > most:
            return None
        return self.op("concat", *(self.op("slice", x, axis=axis, start=i, end=i + 1) for i in picked), axis=axis)
