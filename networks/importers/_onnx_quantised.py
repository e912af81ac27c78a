"""ONNX handlers of quantised models (QDQ): the network that was quantised is read, without the rounding in between.

A network in Lutra's terms says what is computed; in how many bits is the device's affair. So pairs of QuantizeLinear
and DequantizeLinear between ops are left out, and 8-bit weights that are dequantised count as the weights they stand
for: multiply-accumulates and parameters are those of the model before it was quantised.
"""

import numpy as np

from ._draft import Stored
from ._onnx_graph import Call, handles


@handles("QuantizeLinear")
def _quantize(call: Call) -> None:
    call.known(1, "scales")
    call.drop()


@handles("DequantizeLinear")
def _dequantize(call: Call) -> None:
    tensor = call.stored(0)
    if tensor is not None:
        call.give(_dequantized(call, tensor))
    elif call.dtype_of(call.value(0)).startswith("float"):  # the rounding before it was left out
        call.drop()
    else:
        call.result("cast", call.live(0), to="float32")


def _dequantized(call: Call, tensor: Stored) -> Stored:
    """A stored tensor in real numbers; its elements where they and the scales are known."""
    scale, zero = call.stored(1), call.stored(2)
    known = tensor.values is not None and scale is not None and scale.values is not None
    values = None
    if known and not (call.has(2) and (zero is None or zero.values is None)):
        assert tensor.values is not None and scale is not None and scale.values is not None  # noqa: PT018
        shape = [1] * len(tensor.shape)
        if scale.values.size > 1:
            shape[call.attr("axis", 1)] = scale.values.size
        offset = 0 if zero is None or zero.values is None else zero.values.astype(np.float32).reshape(shape)
        values = (tensor.values.astype(np.float32) - offset) * scale.values.reshape(shape)
    learned = int(np.prod(tensor.shape)) > 1
    return Stored(tensor.shape, "float32", learned=learned, values=values)
