"""The op catalogue: one declaration per op kind, one module per family."""

from . import activation, conv, elementwise, linear, norm, pooling, shape, tensor
from ._base import (
    BITS,
    Attr,
    AttrValue,
    OnnxEmitter,
    Op,
    OpSpec,
    TensorType,
    bits_of,
    catalogue,
    make_op,
    register,
    spec_of,
)

__all__ = [
    "BITS",
    "Attr",
    "AttrValue",
    "OnnxEmitter",
    "Op",
    "OpSpec",
    "TensorType",
    "activation",
    "bits_of",
    "catalogue",
    "conv",
    "elementwise",
    "linear",
    "make_op",
    "norm",
    "pooling",
    "register",
    "shape",
    "spec_of",
    "tensor",
]
