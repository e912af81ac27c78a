"""`load_network`: whatever a person calls a network, as a `Network`."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CorruptModelError, UnknownNameError, UsageError
from .graph import Network

if TYPE_CHECKING:
    from torch import nn

_PATH = re.compile(r"^[./~]|\\|\.[A-Za-z]\w*$")
"""Looks like a path rather than a name: how it begins, or what it ends in."""


def load_network(
    source: "str | os.PathLike[str] | Network | nn.Module",
    *,
    input_shapes: Mapping[str, Sequence[int]] | Sequence[Any] | None = None,
    trusted: bool = False,
) -> Network:
    """The network that ``source`` means.

    Args:
        source: a name of the zoo ("mobilenet_v2"), the path of an ``.onnx`` file or of a ``.json`` file that
            `Network.save` wrote, a torch module, or a network, which comes back as it is.
        input_shapes: for torch modules the shapes of their inputs (see `from_torch`); for ONNX files, by name, those
            of inputs whose sizes the file leaves open. Other sources have their shapes already.
        trusted: read ONNX files in this process; see `from_onnx`.

    Raises:
        UnknownNameError: neither a name of the zoo nor a path.
        ModelFileError: the file is missing or cannot be read; see `from_onnx` for which.
        UsageError: ``input_shapes`` for a source that takes none, or none for a torch module.
        NotSupportedError: the model has ops or element types that are not supported.
    """
    if isinstance(source, str | os.PathLike):
        return _named(source, input_shapes, trusted)
    if isinstance(source, Network):
        _no_shapes(input_shapes, "a Network")
        return source
    if not _is_module(source):
        raise UsageError(
            f"{type(source).__name__} is not a network",
            hint="pass a name of the zoo, a path to an .onnx or .json file, a torch module, or a Network",
        )
    from .importers import from_torch

    if input_shapes is None:
        raise UsageError("a torch module does not know the shapes of its inputs", hint="pass input_shapes")
    return from_torch(source, input_shapes=input_shapes).network


def _named(source: str | os.PathLike[str], input_shapes: Any, trusted: bool) -> Network:
    path = Path(source)
    if path.suffix.lower() == ".onnx":
        from .importers import from_onnx

        if input_shapes is not None and not isinstance(input_shapes, Mapping):
            raise UsageError("input_shapes of an ONNX file go by name", hint="pass {'input': (1, 3, 224, 224)}")
        return from_onnx(path, input_shapes=input_shapes, trusted=trusted).network
    if path.suffix.lower() == ".json":
        _no_shapes(input_shapes, "a saved network")
        return Network.load(path)
    from . import zoo

    try:
        network = zoo.build(str(source))
    except UnknownNameError:
        exists = os.path.exists(source)  # False, unlike Path.exists, for what is too long to be a path
        if isinstance(source, str) and not exists and not _PATH.search(source):
            raise
        what = "is no model file" if exists else "does not exist"
        hint = "give an .onnx file, a .json file that Network.save wrote, or a name of the zoo"
        raise CorruptModelError(f"{source} {what}", hint=hint) from None
    _no_shapes(input_shapes, "a network of the zoo")
    return network


def _no_shapes(input_shapes: Any, what: str) -> None:
    if input_shapes is not None:
        raise UsageError(f"{what} has fixed input shapes", hint="leave input_shapes out")


def _is_module(source: Any) -> bool:
    """Whether ``source`` is a torch module, without importing torch to find out."""
    return any(cls.__module__.partition(".")[0] == "torch" and cls.__name__ == "Module" for cls in type(source).__mro__)
