"""`from_onnx`: an ONNX model as a network."""

from collections.abc import Mapping
from pathlib import Path

from ..errors import CorruptModelError
from .result import Imported


def from_onnx(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    trusted: bool = False,
) -> Imported:
    """The network in an ONNX file, or in the bytes of one.

    Shapes must be fixed. Only the graph is read; weights stay where they are. Ops that exporters write as several
    smaller ones (GELU, SiLU, layer norm, bias of a linear layer) are put together again. Of a model in int8 (QDQ) the
    network that was quantised is read.

    Args:
        source: path of the file, or its content.
        name: of the network; by default that of the file, or of the graph.
        input_shapes: shapes of inputs whose sizes the model leaves open, by name.
        trusted: parse in this process. Otherwise a child process with limits on memory, CPU and wall time does it, as
            is right for files from strangers.

    Raises:
        CorruptModelError: no such file, not ONNX, truncated, or inconsistent.
        DynamicShapeError: an input leaves a size open, and ``input_shapes`` does not say it.
        ExternalDataError: weights lie in other files.
        ModelTooLargeError: over the caps on bytes, nodes, memory or time.
        NotSupportedError: an ONNX version from before 2018.
        ShapeError: ``input_shapes`` does not fit the model's inputs.
        UnsupportedDtypeError: an element type nobody here computes with.
        UnsupportedOpError: ops that the catalogue does not have, all of them, with counts.
    """
    shapes = {key: tuple(shape) for key, shape in (input_shapes or {}).items()}
    if not trusted:
        from ._sandbox import import_in_child

        return import_in_child(source, name=name, input_shapes=shapes)
    return parse(source, name=name, input_shapes=shapes)


def parse(source: str | Path | bytes, *, name: str | None, input_shapes: Mapping[str, tuple[int, ...]]) -> Imported:
    """What `from_onnx` does, in this process."""
    from . import (  # noqa: F401  (register their handlers and rules)
        _onnx_compute,
        _onnx_plain,
        _onnx_quantised,
        _onnx_shape,
        _patterns,
    )
    from ._onnx_graph import GraphImporter
    from ._onnx_read import read

    model = read(source)
    default = model.graph.name if isinstance(source, bytes) else Path(source).stem
    try:
        return GraphImporter(model, name or default or "onnx", input_shapes).run()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Damaged files have contradictions in more places than can be listed; the cause stays attached.
        raise CorruptModelError(f"the ONNX model is malformed: {error!r}", hint="check what wrote it") from error
