"""Calls of torch's operators as kernel nodes, and back: what is dispatched, written down so that it can be repeated.

A node's ``domain`` and ``op`` are the operator's namespace and name with overload ("aten", "conv2d.default"). Its
attributes are

* ``arguments``: JSON of positional and keyword arguments, where ``{"tensor": i}`` stands for the node's input i;
* ``strides``: one text per input, such as "768,1,64"; "" for a contiguous tensor.

Torch is imported only where a call is really read or repeated.
"""

import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedDtypeError, UnsupportedOpError
from ..ops import TensorType
from ..ops._base import BITS
from .kernel import KernelNode, freeze_attrs

if TYPE_CHECKING:
    import torch

_NAMED = ("dtype", "layout", "memory_format")
"""Arguments of these torch types are written by the name that torch gives them."""


def torch_version() -> str:
    """Version of the installed torch; "" where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


class CallWriter:
    """Turns calls into nodes, giving names to tensors as they come up.

    Args:
        names: of tensors that are known from the start, by ``id``.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = dict(names)
        self._kept: list[object] = []

    def node(self, operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> KernelNode:
        """The node of one call. Tensors are told apart by identity, and kept so that no identity is used again."""
        read: list[torch.Tensor] = []
        arguments = json.dumps([_written(list(args), read), _written(dict(kwargs), read)])
        made = tuple(tensors_in(result))
        self._kept += [*read, *made]
        attrs = {"arguments": arguments, "strides": tuple(map(strides_text, read))}
        namespace, _, name = str(operator).partition(".")
        return KernelNode(
            name, namespace, freeze_attrs(attrs), tuple(map(self.name, read)), tuple(map(self.name, made))
        )

    def name(self, tensor: "torch.Tensor") -> str:
        """Name of a tensor, a new one where it has none yet."""
        return self._names.setdefault(id(tensor), f"t{len(self._names)}")


def operator_of(node: KernelNode) -> Callable[..., Any]:
    """The operator that ``node`` calls.

    Raises:
        UnsupportedOpError: the installed torch has no such operator.
    """
    import torch

    found: Any = getattr(torch.ops, node.domain)
    try:
        for part in node.op.split("."):
            found = getattr(found, part)
    except (AttributeError, RuntimeError):
        raise UnsupportedOpError("the installed torch", {f"{node.domain}::{node.op}": 1}) from None
    return found  # type: ignore[no-any-return]  # an OpOverload, found by name


def arguments_of(node: KernelNode, tensors: "Sequence[torch.Tensor]") -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of ``node`` with ``tensors`` as its inputs."""
    text = dict(node.attrs)["arguments"]
    assert isinstance(text, str)
    args, kwargs = _read(json.loads(text), tensors)
    return args, kwargs


def strides_of(node: KernelNode) -> tuple[tuple[int, ...] | None, ...]:
    """Strides of each input of ``node``, in elements; None for a contiguous one."""
    texts = dict(node.attrs)["strides"]
    assert isinstance(texts, tuple)
    return tuple(tuple(map(int, text.split(","))) if text else None for text in map(str, texts))


def strides_text(tensor: "torch.Tensor") -> str:
    """Strides as the attribute ``strides`` holds them."""
    return "" if tensor.is_contiguous() else ",".join(map(str, tensor.stride()))


def type_of(tensor: "torch.Tensor") -> TensorType:
    """Shape and element type in Lutra's terms.

    Raises:
        UnsupportedDtypeError: an element type outside Lutra's vocabulary.
    """
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in BITS:
        raise UnsupportedDtypeError(f"torch computes a tensor of {dtype}", hint=f"use one of {', '.join(BITS)}")
    return TensorType(tuple(tensor.shape), dtype)


def tensors_in(value: Any) -> "Iterator[torch.Tensor]":
    """Tensors in nested lists and tuples, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def _written(value: Any, read: "list[torch.Tensor]") -> Any:
    """``value`` for JSON; the tensors in it go to ``read``."""
    import torch

    if isinstance(value, torch.Tensor):
        read.append(value)
        return {"tensor": len(read) - 1}
    if isinstance(value, list | tuple):
        return [_written(item, read) for item in value]
    if isinstance(value, dict):
        return {name: _written(item, read) for name, item in value.items()}
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        kind = next(name for name in _NAMED if isinstance(value, getattr(torch, name)))
        return {kind: str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    return value


def _read(value: Any, tensors: "Sequence[torch.Tensor]") -> Any:
    import torch

    if isinstance(value, list):
        return [_read(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind in _NAMED and isinstance(content, str):
            return getattr(torch, content)
        if kind == "device" and isinstance(content, str):
            return torch.device(content)
    return {name: _read(item, tensors) for name, item in value.items()}
