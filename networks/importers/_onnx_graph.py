"""Walks the nodes of an ONNX graph and hands each to the handler of its op."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CorruptModelError, DynamicShapeError, ShapeError, UnsupportedDtypeError, UnsupportedOpError
from ..ops import BITS, TensorType
from ._draft import Draft, Stored, UnsupportedError, readable
from ._fuse import Fuser
from ._onnx_fold import fold
from ._onnx_read import Model, stored
from ._step import Step, Value
from .result import Imported

if TYPE_CHECKING:
    import onnx

Handler = Callable[["Call"], None]

HANDLERS: dict[str, Handler] = {}
"""By op type; those of other domains than ONNX's own as ``domain.op_type``."""

_MALFORMED = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


def handles(*op_types: str) -> Callable[[Handler], Handler]:
    """Registers a function that translates nodes of these types."""

    def register(handler: Handler) -> Handler:
        for op_type in op_types:
            HANDLERS[op_type] = handler
        return handler

    return register


class Call(Step):
    """One ONNX node while it is translated."""

    def __init__(
        self, node: "onnx.NodeProto", inputs: list[Value | None], draft: Draft, opset: int, index: int
    ) -> None:
        super().__init__(draft, readable(node.name) or f"{node.op_type.lower()}_{index}")
        self.node, self.inputs, self.opset = node, inputs, opset

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Plain attributes by name: numbers, strings, lists and tensors."""
        from onnx import helper

        return {attribute.name: helper.get_attribute_value(attribute) for attribute in self.node.attribute}

    def attr(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        if isinstance(value, float):  # stored in single precision: 1e-3 comes back as 0.0010000000474974513
            return float(f"{value:.7g}")
        return value.decode() if isinstance(value, bytes) else value

    def has(self, index: int) -> bool:
        """Whether input ``index`` is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise CorruptModelError(f"node {self.name!r} ({self.node.op_type}) lacks its input {index}")
        return value

    def live(self, index: int) -> str:
        """Input ``index`` as a value that ops can read."""
        return self.hold(self.value(index))

    def shape(self, index: int) -> tuple[int, ...]:
        return self.shape_of(self.value(index))

    def stored(self, index: int) -> Stored | None:
        """Input ``index`` where it is a stored tensor."""
        value = self.inputs[index] if self.has(index) else None
        return value if isinstance(value, Stored) else None

    def weight(self, index: int) -> Stored:
        """Input ``index``, which must be a stored tensor."""
        tensor = self.stored(index)
        if tensor is None:
            self.value(index)  # one that is missing is another mistake
            raise UnsupportedError("weights that are computed")
        return tensor

    def known(self, index: int, what: str) -> np.ndarray[Any, Any]:
        """Elements of input ``index``, which must be known before the network runs."""
        tensor = self.stored(index)
        if tensor is None or tensor.values is None:
            raise UnsupportedError(f"{what} known only at run time")
        return tensor.values

    def ints(self, index: int, what: str) -> list[int]:
        return [int(v) for v in self.known(index, what).ravel()]

    def drop(self) -> None:
        """The node does nothing: its output is its input."""
        self.draft.dropped[self.node.op_type] += 1
        self.give(self.value(0))


class GraphImporter:
    """Turns one parsed model into a network."""

    def __init__(self, model: Model, name: str, input_shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.model = model
        self.draft = Draft(name)
        self.unknown: Counter[str] = Counter()
        self.values: dict[str, Value | None] = {"": None}
        self._poisoned: dict[str, str] = {}  # values that could not be made, and what to count where one is read
        self._input_shapes = dict(input_shapes)

    def run(self) -> Imported:
        """The network.

        Raises:
            UnsupportedOpError: some ops have no place in the catalogue; lists all of them.
            LutraError: see `from_onnx`.
        """
        graph = self.model.graph
        for position, tensor in enumerate(graph.initializer):
            left_behind = self.model.left_behind.get(position, 0)
            self.values[tensor.name] = stored(tensor, tensor.name, left_behind=left_behind, learned=True)
        if graph.sparse_initializer:
            self.unknown["sparse initializer"] = len(graph.sparse_initializer)
        self._declare_inputs(graph)
        for index, node in enumerate(graph.node):
            self._node(node, index)
        self._read_poisoned(value.name for value in graph.output)
        if self.unknown:
            hint = "replace them in the model, or remove them; `lutra ops` lists what is supported"
            raise UnsupportedOpError(f"model {self.draft.name!r}", self.unknown, hint=hint)
        outputs = tuple(self._output(value.name) for value in graph.output)
        if not outputs:
            raise CorruptModelError("the ONNX graph has no outputs")
        Fuser(self.draft, outputs).run()
        return self.draft.finish(outputs)

    def _declare_inputs(self, graph: "onnx.GraphProto") -> None:
        inputs = [value for value in graph.input if value.name not in self.values]
        strangers = set(self._input_shapes) - {value.name for value in inputs}
        if strangers:
            known = ", ".join(value.name for value in inputs)
            raise ShapeError(f"the model has no input {sorted(strangers)[0]!r}", hint=f"its inputs: {known}")
        for value in inputs:
            self.values[value.name] = self.draft.input(value.name, self._input_type(value))

    def _input_type(self, value: "onnx.ValueInfoProto") -> TensorType:
        from onnx import TensorProto

        if not value.type.HasField("tensor_type"):
            raise UnsupportedDtypeError(f"input {value.name!r} is not a tensor", hint="use tensors as inputs only")
        tensor = value.type.tensor_type
        names = {v: k for k, v in TensorProto.DataType.items()}
        element = names.get(tensor.elem_type, "UNDEFINED")
        dtype = {"FLOAT": "float32", "DOUBLE": "float64"}.get(element, element.lower())
        if dtype not in BITS:
            hint = "export the model in float32"
            raise UnsupportedDtypeError(f"input {value.name!r} has the unsupported element type {dtype}", hint=hint)
        return TensorType(self._static_shape(value.name, tensor), dtype)

    def _static_shape(self, name: str, tensor: Any) -> tuple[int, ...]:
        declared: list[Any] = [
            d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in tensor.shape.dim
        ]
        pinned = self._input_shapes.get(name)
        if pinned is not None:
            fits = len(pinned) == len(declared) or not tensor.HasField("shape")
            clashes = [
                (a, b) for a, b in zip(declared, pinned, strict=False) if isinstance(a, int) and a > 0 and a != b
            ]
            if not fits or clashes:
                raise ShapeError(f"input {name!r} is declared as {declared}; it cannot take the shape {pinned}")
            return tuple(pinned)
        if not tensor.HasField("shape"):
            raise _dynamic(name, "any number of dimensions", (1, 3, 224, 224))
        for axis, dim in enumerate(declared):
            if not isinstance(dim, int) or dim < 1:
                suggestion = tuple(d if isinstance(d, int) and d > 0 else 1 for d in declared)
                raise _dynamic(name, f"dimension {axis} open ({dim})", suggestion)
        return tuple(declared)

    def _node(self, node: "onnx.NodeProto", index: int) -> None:
        """Translates one node. One that cannot be poisons its outputs, so that all such nodes get counted."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        op_type = f"{domain}.{node.op_type}" if domain else node.op_type
        missing = [name for name in node.input if name not in self.values and name not in self._poisoned]
        if missing:
            raise CorruptModelError(f"node {node.name!r} ({op_type}) reads {missing[0]!r}, which nothing makes")
        handler = HANDLERS.get(op_type)
        outputs: list[Value] = []
        if self._read_poisoned(node.input):
            if handler is None:
                self.unknown[op_type] += 1
        else:
            inputs = [self.values[name] for name in node.input]
            call = Call(node, inputs, self.draft, self.model.opsets.get(domain, 1), index)
            try:
                outputs = self._translate(call, handler)
            except UnsupportedError as problem:
                self.unknown[f"{op_type} with {problem}" if str(problem) else op_type] += 1
        self.values.update((name, value) for name, value in zip(node.output, outputs, strict=False) if name)
        for i, name in enumerate(node.output):
            if name and i >= len(outputs):
                self._poisoned[name] = f"{op_type} with output {i} in use" if outputs else ""

    def _read_poisoned(self, names: Iterable[str]) -> bool:
        """Whether any of these values could not be made; counts what has not been counted yet."""
        found = [self._poisoned[name] for name in names if name in self._poisoned]
        self.unknown.update(reason for reason in found if reason)
        return bool(found)

    def _translate(self, call: Call, handler: Handler | None) -> list[Value]:
        where = f"node {call.node.name!r} ({call.node.op_type})"
        try:
            folded = None if call.node.domain not in ("", "ai.onnx") else fold(call)
            if folded is not None:
                return list(folded)
            if handler is None:
                raise UnsupportedError
            handler(call)
        except ShapeError as error:
            raise CorruptModelError(f"the model is inconsistent at {where}: {error.message}") from None
        except _MALFORMED as error:
            raise CorruptModelError(f"the model is malformed at {where}: {error!r}") from None
        return call.outputs

    def _output(self, name: str) -> str:
        value = self.values.get(name)
        if value is None:
            raise CorruptModelError(f"nothing makes the graph's output {name!r}")
        return value if isinstance(value, str) else self.draft.hold(value, readable(name) or "output")


def _dynamic(name: str, problem: str, suggestion: tuple[int, ...]) -> DynamicShapeError:
    dims = "x".join(map(str, suggestion))
    return DynamicShapeError(
        f"input {name!r} leaves {problem}; every size must be fixed",
        hint=f"export the model with fixed shapes, or pass input_shapes={{{name!r}: {suggestion}}} "
        f"(--input-shape {name}={dims})",
    )


__all__ = ["HANDLERS", "Call", "GraphImporter", "handles"]
