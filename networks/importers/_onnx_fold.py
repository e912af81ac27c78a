"""Works out nodes whose inputs are all known: the arithmetic on shapes that exporters leave in the graph."""

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._draft import Stored

if TYPE_CHECKING:
    from ._onnx_graph import Call

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

LIMIT = 4096
"""Elements of the largest tensor that is worked out."""

_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": lambda a, b: np.divide(a, b) if a.dtype.kind == "f" else _divided(a, b),
    "Equal": np.equal,
    "Where": np.where,
}
"""The commonest functions; the reference evaluator takes a third of a second to load."""

_BROADCAST = frozenset({*_FUNCTIONS, "And", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod"})
_BROADCAST |= {"Or", "Pow", "Xor"}

_EVALUATED = frozenset({*_BROADCAST, "Abs", "ArgMax", "ArgMin", "Ceil", "Clip", "Cos", "CumSum", "Exp", "Floor"})
_EVALUATED |= {"GatherElements", "Log", "Neg", "Not", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin"}
_EVALUATED |= {"ReduceProd", "ReduceSum", "Round", "ScatterElements", "ScatterND", "Sigmoid", "Sign", "Sin", "Slice"}
_EVALUATED |= {"Split", "Sqrt", "Tanh", "Tile", "Trilu"}
"""What the reference evaluator may do: what makes no more than it reads, or is checked in `_too_large`."""


def fold(call: "Call") -> list[Stored] | None:
    """The node's outputs, or None where they are not known before the network runs.

    Learned tensors are left alone: they keep their place as parameters.
    """
    op_type = call.node.op_type
    if not call.node.input or not (op_type in _EVALUATED or op_type in _SHAPED):
        return None
    tensors = [value for value in call.inputs if isinstance(value, Stored)]
    given = sum(value is not None for value in call.inputs)
    if len(tensors) < given or any(t.values is None or t.learned or t.values.size > LIMIT for t in tensors):
        return None
    arrays = [value.values if isinstance(value, Stored) else None for value in call.inputs]
    if op_type in _SHAPED:
        results = _SHAPED[op_type](call, arrays)
    elif _too_large(op_type, arrays):
        return None
    elif op_type in _FUNCTIONS:
        with np.errstate(all="ignore"):
            results = [_FUNCTIONS[op_type](*arrays)]
    else:
        results = _evaluate(call, arrays)
    return None if results is None else [Stored.of(result) for result in results]


def _divided(a: Array, b: Array) -> Array:
    """Integer division towards zero, as ONNX divides."""
    return np.trunc(np.divide(a.astype(np.float64), b)).astype(a.dtype)


def _gather(call: "Call", arrays: list[Any]) -> list[Array] | None:
    if arrays[0].size * arrays[1].size > LIMIT * LIMIT // 16:
        return None
    return [np.take(arrays[0], arrays[1].astype(np.int64), axis=call.attr("axis", 0))]


def _concat(call: "Call", arrays: list[Any]) -> list[Array]:
    return [np.concatenate(arrays, axis=call.attr("axis"))]


def _cast(call: "Call", arrays: list[Any]) -> list[Array]:
    from onnx import helper

    return [arrays[0].astype(helper.tensor_dtype_to_np_dtype(call.attr("to")))]


def _constant_of_shape(call: "Call", arrays: list[Any]) -> list[Array] | None:
    from onnx import numpy_helper

    shape = tuple(int(d) for d in arrays[0].ravel())
    if np.prod(shape, dtype=np.float64) > LIMIT:
        return None
    tensor = call.attr("value")
    fill = np.zeros(1, np.float32) if tensor is None else numpy_helper.to_array(tensor).ravel()
    return [np.full(shape, fill[0], fill.dtype)]


def _expand(_call: "Call", arrays: list[Any]) -> list[Array] | None:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(int(d) for d in arrays[1].ravel()))
    return [np.broadcast_to(arrays[0], shape)] if np.prod(shape, dtype=np.float64) <= LIMIT else None


_SHAPED: dict[str, Callable[["Call", list[Any]], list[Array] | None]] = {
    "Gather": _gather,
    "Concat": _concat,
    "Cast": _cast,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
}


def _too_large(op_type: str, arrays: list[Any]) -> bool:
    """Whether the result would outgrow `LIMIT`."""
    if op_type == "Range":
        start, limit, delta = (float(a.ravel()[0]) for a in arrays)
        return not delta or (limit - start) / delta > LIMIT
    if op_type == "Tile":
        return bool(np.prod(arrays[1], dtype=np.float64) * arrays[0].size > LIMIT)
    if op_type in _BROADCAST:
        return math.prod(np.broadcast_shapes(*(a.shape for a in arrays if a is not None))) > LIMIT
    return False


def _evaluate(call: "Call", arrays: list[Any]) -> list[Array] | None:
    """The outputs by ONNX's own reference implementation; None where that fails."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    anything = helper.make_tensor_type_proto(0, None)
    feed = {name: array for name, array in zip(call.node.input, arrays, strict=True) if array is not None}
    outputs = [helper.make_value_info(name, anything) for name in call.node.output if name]
    graph = helper.make_graph([call.node], "node", [helper.make_value_info(name, anything) for name in feed], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", call.opset)])
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feed)]
    except Exception:  # it raises whatever numpy raises; the node is then treated as any other
        logger.debug("cannot work out %s %r", call.node.op_type, call.node.name, exc_info=True)
        return None
