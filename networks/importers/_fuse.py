"""Finds ops that exporters write as several smaller ones, and puts them together again.

A pattern is what a value is made of: a tuple ``(kind, operand, ...)`` for an op, a string for any value (the same
string is the same value), a float for a constant scalar, `Scalar` for any constant scalar, `Learned` for a parameter.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

from ..errors import ShapeError
from ..ops import make_op
from ._draft import Draft, DraftNode

Pattern = Any
_COMMUTATIVE = ("add", "mul")


@dataclass(frozen=True)
class Scalar:
    """Any constant scalar, bound to ``name``."""

    name: str


@dataclass(frozen=True)
class Learned:
    """A parameter that only the pattern reads, bound to ``name``."""

    name: str


@dataclass(frozen=True)
class Match:
    """What a pattern stands for in the graph."""

    values: dict[str, str] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    learned: dict[str, DraftNode] = field(default_factory=dict)
    ops: tuple[DraftNode, ...] = ()

    def op(self, kind: str) -> DraftNode:
        """The outermost matched op of ``kind``."""
        return next(node for node in reversed(self.ops) if node.op.kind == kind)


class Fuser:
    """One pass over a draft."""

    def __init__(self, draft: Draft, outputs: tuple[str, ...]) -> None:
        self.draft = draft
        self._reads = Counter(value for node in draft.nodes for value in node.inputs)
        self._reads.update(outputs)
        self._dead: set[str] = set()

    def run(self) -> None:
        """Tries every rule on every node, in execution order, until none applies; then takes out what is not needed."""
        for node in self.draft.nodes:
            while any(self._apply(node, *rule) for rule in _RULES.get(node.op.kind, ())):
                pass
        self.draft.nodes = [node for node in self.draft.nodes if node.name not in self._dead]

    def _apply(self, root: DraftNode, pattern: Pattern, build: "Build") -> bool:
        for match in self._node(root, pattern, Match()):
            if not self._private(root, match):
                continue
            try:
                fused = build(self.draft, root, match)
            except ShapeError:  # the pieces look right but do not fit together
                continue
            if fused is not None and fused.op.outputs == root.op.outputs:
                self._replace(root, fused)
                return True
        return False

    def _private(self, root: DraftNode, match: Match) -> bool:
        """Whether nobody outside of the match reads what it makes inside."""
        inside = Counter(value for node in match.ops for value in node.inputs)
        made = [*(node.name for node in match.ops if node is not root), *(node.name for node in match.learned.values())]
        return all(self._reads[value] == inside[value] for value in made)

    def _replace(self, root: DraftNode, fused: DraftNode) -> None:
        old = root.inputs
        root.op, root.inputs, root.sources = fused.op, fused.inputs, fused.sources
        self._reads.update(root.inputs)
        for value in old:
            self._release(value)

    def _release(self, value: str) -> None:
        self._reads[value] -= 1
        node = self.draft.producers.get(value)
        if node is not None and not any(self._reads[made] for made in node.outputs):
            self._dead.add(node.name)
            for read in node.inputs:
                self._release(read)

    def _value(self, value: str, pattern: Pattern, match: Match) -> Iterator[Match]:
        node = self.draft.producers.get(value)
        match pattern:
            case str():
                if match.values.get(pattern, value) == value:
                    yield replace(match, values=match.values | {pattern: value})
            case float():
                number = scalar(node)
                if number is not None and abs(number - pattern) <= 1e-3 * abs(pattern):
                    yield match
            case Scalar(name):
                number = scalar(node)
                if number is not None:
                    yield replace(match, scalars=match.scalars | {name: number})
            case Learned(name):
                if node is not None and node.op.kind == "parameter":
                    yield replace(match, learned=match.learned | {name: node})
            case _:
                if node is not None:
                    yield from self._node(node, pattern, match)

    def _node(self, node: DraftNode, pattern: Pattern, match: Match) -> Iterator[Match]:
        kind, *operands = pattern
        if node.op.kind != kind or len(node.inputs) != len(operands):
            return
        seen = replace(match, ops=(node, *match.ops))
        orders = permutations(node.inputs) if kind in _COMMUTATIVE else (node.inputs,)
        for order in orders:
            yield from self._operands(tuple(order), tuple(operands), seen)

    def _operands(self, values: tuple[str, ...], patterns: tuple[Pattern, ...], match: Match) -> Iterator[Match]:
        if not values:
            yield match
            return
        for first in self._value(values[0], patterns[0], match):
            yield from self._operands(values[1:], patterns[1:], first)


def scalar(node: DraftNode | None) -> float | None:
    """The number that ``node`` is, where it is one."""
    if node is None or node.op.kind != "constant" or len(node.op["values"]) != 1:
        return None
    return float(node.op["values"][0])


Build = Callable[[Draft, DraftNode, Match], DraftNode | None]
_RULES: dict[str, list[tuple[Pattern, Build]]] = {}


def rule(*patterns: Pattern) -> Callable[[Build], Build]:
    """Registers a function that makes the fused node of a match (or None where it does not apply)."""

    def register(build: Build) -> Build:
        for pattern in patterns:
            _RULES.setdefault(pattern[0], []).append((pattern, build))
        return build

    return register


def fused(draft: Draft, root: DraftNode, kind: str, *inputs: str, **attrs: Any) -> DraftNode:
    """A node to put in the place of ``root``, as yet without weights."""
    op = make_op(kind, *(draft.types[value] for value in inputs), **attrs)
    return DraftNode(root.name, op, inputs, {})
