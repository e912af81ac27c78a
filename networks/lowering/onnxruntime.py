"""Lowering by ONNX Runtime's own optimiser: its optimised graph, dumped, typed and cut into segments."""

import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CorruptModelError, LutraError, MissingDependencyError, UnsupportedOpError
from ..ops import TensorType
from .kernel import Kernel, KernelNode, LoweredNetwork
from .labels import onnx_label
from .onnx_costs import NCHWC, SourceConvs, node_macs
from .onnx_graph import OnnxGraph, dtype_name, input_type, parse, read
from .segments import cut, execution_order, segment_kernel, segment_readers

if TYPE_CHECKING:
    import onnx

RUNTIME = "onnxruntime"

OPSET = 17
"""Kernels are written in this version of the default op set wherever their ops mean the same in it."""

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Ops whose output shares the memory of their input inside a graph."""

_INLINE_BYTES = 1024
_THIN_BYTES = 1 << 16
_PAGE_BYTES = 4096
_POOL_FILE = "pool.bin"
_POOL_NUMBERS = (1 << 18) - 5  # odd, so that the rows of a matrix differ


def runtime_version() -> str:
    """Version of the installed ONNX Runtime.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return str(_runtime().__version__)


def lower_onnx(model: bytes, fingerprint: str) -> LoweredNetwork:
    """What ONNX Runtime really runs for ``model`` on this machine's CPU with default optimisation.

    Args:
        model: a serialised ONNX model with fixed shapes.
        fingerprint: of the network, handed through.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        CorruptModelError: not a model, or one that ONNX Runtime refuses.
        UnsupportedOpError: ONNX Runtime has no kernel for an op, or the graph has control flow.
        DynamicShapeError, UnsupportedDtypeError, ExternalDataError: as their names say.
    """
    _runtime()
    return lower_model(parse(model), fingerprint)


def lower_model(source: "onnx.ModelProto", fingerprint: str) -> LoweredNetwork:
    """`lower_onnx` of a model that has been parsed; the same errors."""
    _check_inputs(source)
    with tempfile.TemporaryDirectory(prefix="lutra-") as folder:
        optimised, types = _optimise(source, Path(folder))
    graph = read(optimised)
    types |= dict(graph.inputs) | {name: constant.type for name, constant in graph.constants.items()}
    nodes = execution_order(graph.nodes, graph.outputs)
    macs = _macs(nodes, graph, SourceConvs(source), types)
    main_input = graph.inputs[0][0] if graph.inputs else ""
    segments = cut(nodes, main_input, VIEWS, {name: type_.nbytes for name, type_ in types.items()})
    readers = segment_readers(segments)
    kernels = (_kernel(i, segment, graph, types, macs, readers) for i, segment in enumerate(segments))
    return LoweredNetwork(RUNTIME, fingerprint, tuple(kernels))


def _check_inputs(model: "onnx.ModelProto") -> None:
    """Refuse inputs without a fixed shape before the runtime meets them."""
    stored = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in stored:
            input_type(value)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError("onnxruntime", "ort", "lowering for ONNX Runtime") from None
    return onnxruntime


def _optimise(source: "onnx.ModelProto", folder: Path) -> "tuple[onnx.ModelProto, dict[str, TensorType]]":
    """The optimised graph, its weights left on disk, and the types of all tensors that its nodes make."""
    import onnx

    path = folder / "optimised.onnx"
    options = _options()
    options.graph_optimization_level = _runtime().GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(path)
    # The weights are not read back: only their shapes matter here.
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(_INLINE_BYTES)
    )
    with _reported():
        _session(str(_write_thin(source, folder)), options)
        optimised = onnx.load(str(path), load_external_data=False)
        return optimised, _types(optimised, path)


def _write_thin(source: "onnx.ModelProto", folder: Path) -> Path:
    """The model as a file whose large weights all read the same few random numbers.

    What the optimiser does depends on shapes and on small constants, never on the contents of a large weight, and
    most of the time would go into handing hundreds of megabytes around.
    """
    import onnx

    graph, pool_bytes = source.graph, 0
    initializers: list[onnx.TensorProto] = []
    for tensor in graph.initializer:
        size = 4 * math.prod(tensor.dims)
        # What does not hold what its shape promises is left to the runtime to refuse.
        whole = size in (len(tensor.raw_data), 4 * len(tensor.float_data))
        if tensor.data_type == onnx.TensorProto.FLOAT and whole and size >= _THIN_BYTES:
            # Every tensor begins at a page of its own, so that no two are equal.
            offset = _PAGE_BYTES * len(initializers)
            pool_bytes = max(pool_bytes, offset + size)
            tensor = _external(tensor, offset, size)
        initializers.append(tensor)
    parts = {"node": graph.node, "input": graph.input, "output": graph.output, "value_info": graph.value_info}
    sparse = graph.sparse_initializer
    thin = onnx.ModelProto(
        ir_version=source.ir_version,
        opset_import=source.opset_import,
        functions=source.functions,
        graph=onnx.GraphProto(name=graph.name, initializer=initializers, sparse_initializer=sparse, **parts),
    )
    path = folder / "model.onnx"
    path.write_bytes(thin.SerializeToString())
    block = np.random.default_rng(0).standard_normal(_POOL_NUMBERS, dtype=np.float32).tobytes()
    with (folder / _POOL_FILE).open("wb") as pool:
        for _ in range(-(-pool_bytes // len(block))):
            pool.write(block)
    return path


def _external(tensor: "onnx.TensorProto", offset: int, size: int) -> "onnx.TensorProto":
    """A tensor of the same name, shape and type that reads ``size`` bytes of the pool."""
    import onnx

    entries = {"location": _POOL_FILE, "offset": offset, "length": size}
    return onnx.TensorProto(
        name=tensor.name,
        dims=tensor.dims,
        data_type=tensor.data_type,
        data_location=onnx.TensorProto.EXTERNAL,
        external_data=[onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in entries.items()],
    )


def _options() -> Any:
    options = _runtime().SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Packed weights are for running; without them a session of a big model is made three times faster.
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def _session(model: bytes | str, options: Any) -> Any:
    return _runtime().InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _types(optimised: "onnx.ModelProto", path: Path) -> dict[str, TensorType]:
    """Types of the tensors that the nodes make, by the runtime's own shape inference, which knows its own ops.

    A session is made of the graph with every tensor as an output and every large weight as an input: that takes
    milliseconds and no memory. Where some shape is only known by running, the graph runs once as it is.
    """
    import onnx

    made = [name for node in optimised.graph.node for name in node.output if name]
    if not made:
        return {}
    probe = onnx.ModelProto(ir_version=optimised.ir_version, opset_import=optimised.opset_import)
    probe.graph.name = "types"
    probe.graph.node.extend(optimised.graph.node)
    probe.graph.input.extend(optimised.graph.input)
    given = {value.name for value in optimised.graph.input}
    for tensor in optimised.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            probe.graph.initializer.append(tensor)
        elif tensor.name not in given:
            dims = list(tensor.dims)
            probe.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in made)
    options = _options()
    options.graph_optimization_level = _runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = _session(probe.SerializeToString(), options)
    except _failures():
        return _types_by_running(optimised, path, made)
    shapes = {value.name: (value.shape, value.type) for value in session.get_outputs()}
    unknown = [name for name, (shape, _) in shapes.items() if any(not isinstance(dim, int) for dim in shape)]
    known = {
        name: TensorType(tuple(shape), _python_dtype(type_))
        for name, (shape, type_) in shapes.items()
        if name not in unknown
    }
    return known | (_types_by_running(optimised, path, unknown) if unknown else {})


def _types_by_running(optimised: "onnx.ModelProto", path: Path, names: list[str]) -> dict[str, TensorType]:
    """Types of the tensors called ``names``, from one run on zeros."""
    import onnx

    exposed = onnx.ModelProto()
    exposed.CopyFrom(optimised)
    present = {value.name for value in exposed.graph.output}
    exposed.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in present)
    probe = path.with_name("exposed.onnx")  # beside the weights that it points at
    probe.write_bytes(exposed.SerializeToString())
    options = _options()
    options.graph_optimization_level = _runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(str(probe), options)
    feeds = {value.name: np.zeros(value.shape, np.dtype(_python_dtype(value.type))) for value in session.get_inputs()}
    results = session.run(names, feeds)
    return {name: TensorType(value.shape, value.dtype.name) for name, value in zip(names, results, strict=True)}


def _python_dtype(text: str) -> str:
    """Lutra's name of the type that the runtime writes as ``tensor(float)``."""
    import onnx

    onnx_name = text.removeprefix("tensor(").removesuffix(")").upper()
    values = dict(onnx.TensorProto.DataType.items())
    return dtype_name(values.get(onnx_name, 0))


def _macs(
    nodes: list[KernelNode], graph: OnnxGraph, source: SourceConvs, types: Mapping[str, TensorType]
) -> dict[KernelNode, int]:
    """Multiply-accumulates of each node of ``nodes``."""
    names = dict(zip(graph.nodes, graph.names, strict=True))
    for node in nodes:
        source.announce(node, names[node])
    blocked = {node for node in nodes if node.domain == NCHWC and node.op == "Conv"}
    return {n: source.macs(n, names[n], types) if n in blocked else node_macs(n, types) for n in nodes}


def _kernel(
    index: int,
    segment: list[KernelNode],
    graph: OnnxGraph,
    types: Mapping[str, TensorType],
    macs: Mapping[KernelNode, int],
    readers: Mapping[str, set[int]],
) -> Kernel:
    """The kernel of segment ``index``."""
    return segment_kernel(
        RUNTIME,
        index,
        segment,
        readers,
        outputs=graph.outputs,
        types=types,
        constants=graph.constants,
        macs=sum(macs[node] for node in segment),
        label=onnx_label(segment, types),
        opset=OPSET if all(_means_the_same(node, graph.opset) for node in segment) else graph.opset,
    )


@cache
def _means_the_same_op(op: str, version: int) -> bool:
    import onnx

    try:
        theirs, ours = onnx.defs.get_schema(op, version, ""), onnx.defs.get_schema(op, OPSET, "")
    except onnx.defs.SchemaError:
        return False
    if theirs.since_version == ours.since_version:
        return True
    # Since version 13, new versions of an op with an unchanged signature only add element types.
    return min(theirs.since_version, ours.since_version) >= 13 and _signature(theirs) == _signature(ours)


def _means_the_same(node: KernelNode, version: int) -> bool:
    return bool(node.domain) or _means_the_same_op(node.op, version)


def _signature(schema: Any) -> list[Any]:
    attributes = sorted((name, str(a.type), str(a.default_value)) for name, a in schema.attributes.items())
    return [attributes, [i.name for i in schema.inputs], [o.name for o in schema.outputs]]


def _failures() -> tuple[type[Exception], ...]:
    """Everything that ONNX Runtime raises."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(c for c in vars(state).values() if isinstance(c, type) and issubclass(c, Exception))


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what ONNX Runtime raises into Lutra's errors, with its own reason in one line."""
    try:
        yield
    except LutraError:
        raise
    except _failures() as error:
        reason = " ".join(str(error).split()).removeprefix("[ONNXRuntimeError] : ")
        missing = re.search(
            r"Could not find an implementation for (\S+?)\(|Fatal error: (\S+?)\(\S*\) is not a registered", reason
        )
        if missing:
            name = next(group for group in missing.groups() if group)
            raise UnsupportedOpError(f"ONNX Runtime refuses the model ({reason}); it", {name: 1}) from None
        raise CorruptModelError(f"ONNX Runtime refuses the model: {reason}") from None
