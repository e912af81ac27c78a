"""What an op is: `TensorType`, `Op`, and `OpSpec`, of which each op kind declares exactly one.

Everything that varies by op kind hangs on its `OpSpec`: shapes, weights, MACs, the torch twin, the ONNX form,
tolerance and examples. Tests, docs, importers, exporters and the profiler iterate over the registry, so that adding
an op is adding one declaration.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from ..errors import ShapeError, UnknownNameError, UnsupportedDtypeError

if TYPE_CHECKING:
    from torch import nn

AttrValue = bool | int | float | str | tuple[int, ...] | tuple[float, ...]

BITS: dict[str, int] = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "float8": 8,
    "int8": 8,
    "uint8": 8,
    "int4": 4,
    "int32": 32,
    "int64": 64,
    "bool": 8,
}
"""Bits per element of every element type Lutra knows; float8 is e4m3."""

MAX_NUMEL = 1 << 40
"""Largest tensor that is accepted: a terabyte of int8; more is a malformed model, not a network."""


def bits_of(dtype: str) -> int:
    """Bits per element of ``dtype``.

    Raises:
        UnsupportedDtypeError: nobody here computes with it.
    """
    if dtype not in BITS:
        raise UnsupportedDtypeError(f"element type {dtype!r} is not supported", hint=f"use one of {', '.join(BITS)}")
    return BITS[dtype]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and element type of one tensor. Images are N x C x H x W; token sequences N x T x C."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        bits_of(self.dtype)
        if any(not isinstance(d, int) or isinstance(d, bool) or d < 1 for d in self.shape):
            raise ShapeError(f"shape {self.shape} has a dimension that is not a positive integer")
        if self.numel > MAX_NUMEL:
            raise ShapeError(f"a tensor of shape {self.shape} has over {MAX_NUMEL} elements", hint="use smaller sizes")

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return (self.numel * BITS[self.dtype] + 7) // 8

    @property
    def rank(self) -> int:
        return len(self.shape)

    def with_shape(self, *shape: int) -> "TensorType":
        """The same element type in another shape."""
        return TensorType(tuple(shape), self.dtype)

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape)) or 'scalar'}:{self.dtype}"


_REQUIRED: Any = object()


@dataclass(frozen=True)
class Attr:
    """Declares one attribute of an op kind.

    ``type`` "ints" takes a tuple of integers; with ``length`` a lone integer is repeated to that length.
    """

    type: Literal["int", "float", "bool", "str", "ints", "floats"]
    doc: str
    default: AttrValue = field(default=_REQUIRED)
    length: int | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED

    def normalise(self, where: str, value: Any) -> AttrValue:
        """``value`` in canonical form.

        Raises:
            ShapeError: the value is not of the declared type or range.
        """
        try:
            result = self._convert(value)
        except (TypeError, ValueError, OverflowError):
            raise ShapeError(f"{where} must be {self.type}, not {value!r}") from None
        if self.choices and result not in self.choices:
            raise ShapeError(f"{where} must be one of {', '.join(self.choices)}, not {value!r}")
        integers = result if isinstance(result, tuple) else (result,)
        if self.minimum is not None and any(isinstance(v, int) and v < self.minimum for v in integers):
            raise ShapeError(f"{where} must be at least {self.minimum}, not {value!r}")
        return result

    def _convert(self, value: Any) -> AttrValue:
        match self.type:
            case "ints":
                values = (value,) * (self.length or 1) if isinstance(value, int) else tuple(value)
                if self.length == 4 and len(values) == 2:  # (vertical, horizontal) to (top, left, bottom, right)
                    values *= 2
                if self.length is not None and len(values) != self.length:
                    raise ValueError
                return tuple(_as_int(v) for v in values)
            case "floats":
                return tuple(float(v) for v in value)
            case "int":
                return _as_int(value)
            case "float":
                return float(value)
            case "bool":
                return bool(value)
            case _:
                if not isinstance(value, str):
                    raise TypeError
                return value


def _as_int(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise ValueError
    return int(value)


class OnnxEmitter(Protocol):
    """What an op declaration sees of the ONNX exporter while it writes itself down (opset 17)."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def node(self, op_type: str, inputs: tuple[str, ...], outputs: tuple[str, ...] | None = None, **attrs: Any) -> str:
        """Append a node; without ``outputs`` a fresh name is made. Returns the first output's name."""

    def constant(self, values: Any, dtype: str = "float32") -> str:
        """An initializer holding ``values``."""

    def weight(self, name: str, *, perm: tuple[int, ...] | None = None) -> str:
        """The initializer of one of the op's own weights or buffers, its axes permuted by ``perm``."""


class OpSpec(ABC):
    """The single declaration of one op kind.

    Class attributes:
        kind: the name in the catalogue.
        family: the group it is listed under.
        summary: one line for the docs.
        attributes: its attributes by name.
        arity: least and most number of inputs (``None``: no limit).
        tolerance: largest normalised mean squared error of a float32 kernel against the torch reference.
        is_view: the output shares the input's memory in every runtime (no bytes move).
        in_place: the output may overwrite an input of the same type that dies here.
        is_source: holds a learned or constant tensor; its output is not an activation.
    """

    kind: ClassVar[str]
    family: ClassVar[str]
    summary: ClassVar[str]
    attributes: ClassVar[Mapping[str, Attr]] = {}
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    tolerance: ClassVar[float] = 1e-10
    is_view: ClassVar[bool] = False
    in_place: ClassVar[bool] = False
    is_source: ClassVar[bool] = False

    def infer(self, op: "Op") -> tuple[TensorType, ...]:
        """Output types. Raises `ShapeError` where inputs and attributes do not fit."""
        return (op.inputs[0],)

    def weights(self, op: "Op") -> dict[str, tuple[int, ...]]:
        """Shapes of the trained tensors by name, in torch's layout."""
        del op
        return {}

    def buffers(self, op: "Op") -> dict[str, tuple[int, ...]]:
        """Shapes of stored but untrained tensors by name (running statistics)."""
        del op
        return {}

    def macs(self, op: "Op") -> int:
        """Multiply-accumulates; 0 for everything that is not a convolution or a matrix product."""
        del op
        return 0

    def bytes_moved(self, op: "Op") -> int:
        """Bytes read and written once each: inputs, weights and outputs."""
        if self.is_view or self.is_source:
            return 0
        tensors = sum(t.nbytes for t in (*op.inputs, *op.outputs))
        stored = sum(map(math.prod, (*self.weights(op).values(), *self.buffers(op).values())))
        return tensors + stored * bits_of(op.dtype) // 8

    @abstractmethod
    def module(self, op: "Op") -> "nn.Module":
        """The torch reference: a module that takes the op's inputs and owns its weights."""

    @abstractmethod
    def onnx(self, op: "Op", emit: OnnxEmitter) -> None:
        """Write the op as ONNX nodes (opset 17)."""

    @abstractmethod
    def examples(self) -> "tuple[Op, ...]":
        """A few small, different instances, for tests, docs and self-checks."""

    def example_input(self, op: "Op", index: int, rng: "np.random.Generator") -> "np.ndarray[Any, Any]":
        """A valid value of input ``index``, drawn from ``rng``: standard normal, or small integers."""
        type_ = op.inputs[index]
        if type_.dtype.startswith("float"):
            return rng.standard_normal(type_.shape, dtype=np.float32).astype(type_.dtype)
        return rng.integers(0, 2, size=type_.shape).astype(type_.dtype)


_REGISTRY: dict[str, OpSpec] = {}


def register(cls: type[OpSpec]) -> type[OpSpec]:
    """Class decorator: puts an op declaration into the catalogue."""
    if cls.kind in _REGISTRY:
        raise ValueError(f"op {cls.kind!r} is declared twice")
    _REGISTRY[cls.kind] = cls()
    return cls


def spec_of(kind: str) -> OpSpec:
    """The declaration of ``kind``.

    Raises:
        UnknownNameError: no such op.
    """
    try:
        return _REGISTRY[kind]
    except KeyError:
        raise UnknownNameError("op", kind, _REGISTRY) from None


def catalogue() -> Iterator[OpSpec]:
    """All declarations, in the order they were made."""
    return iter(tuple(_REGISTRY.values()))


@dataclass(frozen=True)
class Op:
    """One primitive operation: kind, attributes, input types. Make one with `make_op`.

    ``attrs`` holds every declared attribute in canonical form, sorted by name, so that equal ops are equal objects.
    """

    kind: str
    inputs: tuple[TensorType, ...]
    attrs: tuple[tuple[str, AttrValue], ...]

    @property
    def spec(self) -> OpSpec:
        return spec_of(self.kind)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        return dict(self.attrs)

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]

    @property
    def dtype(self) -> str:
        """Element type the op computes in: that of its last output."""
        return self.outputs[-1].dtype

    @cached_property
    def outputs(self) -> tuple[TensorType, ...]:
        return self.spec.infer(self)

    @cached_property
    def weights(self) -> dict[str, tuple[int, ...]]:
        return self.spec.weights(self)

    @cached_property
    def buffers(self) -> dict[str, tuple[int, ...]]:
        return self.spec.buffers(self)

    @cached_property
    def params(self) -> int:
        return sum(map(math.prod, self.weights.values()))

    @cached_property
    def macs(self) -> int:
        return self.spec.macs(self)

    @cached_property
    def bytes_moved(self) -> int:
        return self.spec.bytes_moved(self)

    @cached_property
    def key(self) -> str:
        """Canonical text: ``conv2d(1x3x8x8:float32){bias=1,...}``."""
        ins = ",".join(map(str, self.inputs))
        attrs = ",".join(f"{name}={_attr_text(value)}" for name, value in self.attrs)
        return f"{self.kind}({ins}){{{attrs}}}"

    def features(self) -> dict[str, float]:
        """Named numbers for regressors: costs, intensity, first input's and output's dims, numeric attributes."""
        out, first = self.outputs[0], self.inputs[0] if self.inputs else self.outputs[0]
        result: dict[str, float] = {
            "macs": self.macs,
            "params": self.params,
            "input_bytes": sum(t.nbytes for t in self.inputs),
            "output_bytes": sum(t.nbytes for t in self.outputs),
            "bytes_moved": self.bytes_moved,
            "macs_per_byte": self.macs / self.bytes_moved if self.bytes_moved else 0.0,
        }
        result |= {f"in{i}": d for i, d in enumerate(first.shape)}
        result |= {f"out{i}": d for i, d in enumerate(out.shape)}
        for name, value in self.attrs:
            if isinstance(value, tuple):
                result |= {f"{name}{i}": float(v) for i, v in enumerate(value)}
            elif not isinstance(value, str):
                result[name] = float(value)
        return result


def _attr_text(value: AttrValue) -> str:
    if isinstance(value, tuple):
        return "x".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def make_op(kind: str, *inputs: TensorType, **attrs: Any) -> Op:
    """An op of ``kind`` on tensors of the given types; shapes are checked and inferred at once.

    Equal calls return the same object, so that totals of repeated layers are computed once.

    Raises:
        UnknownNameError: no such op kind.
        ShapeError: missing, unknown or ill-typed attributes, wrong number of inputs, or shapes that do not fit.
    """
    spec = spec_of(kind)
    for name in attrs:
        if name not in spec.attributes:
            known = ", ".join(spec.attributes) or "none"
            raise ShapeError(f"{kind} has no attribute {name!r}", hint=f"its attributes: {known}")
    full: list[tuple[str, AttrValue]] = []
    for name, attr in sorted(spec.attributes.items()):
        if name in attrs:
            full.append((name, attr.normalise(f"{kind}.{name}", attrs[name])))
        elif attr.required:
            raise ShapeError(f"{kind} needs attribute {name!r}: {attr.doc}")
        else:
            full.append((name, attr.default))
    return _intern(kind, inputs, tuple(full))


@lru_cache(maxsize=65536, typed=True)
def _intern(kind: str, inputs: tuple[TensorType, ...], attrs: tuple[tuple[str, AttrValue], ...]) -> Op:
    op = Op(kind, inputs, attrs)
    least, most = op.spec.arity
    if len(inputs) < least or (most is not None and len(inputs) > most):
        wanted = str(least) if most == least else f"{least} to {most or 'any number of'}"
        raise ShapeError(f"{kind} takes {wanted} inputs, not {len(inputs)}")
    _ = op.outputs  # infers now, so that an impossible op never exists
    return op
