"""XNNPACK computes what the catalogue's torch references compute, through the lowering's own graph."""

import importlib.util
from typing import Any

import numpy as np
import pytest

from lutra.networks import Network, NetworkBuilder, catalogue, prune, zoo
from lutra.networks.exporters import to_torch
from lutra.networks.graph import Node
from lutra.networks.lowering import lower
from lutra.networks.lowering.xnnpack import write_network
from lutra.networks.lowering.xnnpack_graph import XnnGraph
from lutra.networks.lowering.xnnpack_rules import lacking
from lutra.networks.ops import Op
from lutra.profiler import _native
from lutra.profiler.testing import small_network

if importlib.util.find_spec("executorch") is None:
    pytest.skip("executorch, which brings XNNPACK, is not installed", allow_module_level=True)
torch = pytest.importorskip("torch")

from lutra.profiler.runtimes.xnnpack import XnnpackRuntime, library_path  # noqa: E402

Array = np.ndarray[Any, Any]

SUPPORTED = [op for spec in catalogue() for op in spec.examples() if not spec.is_source and not lacking(op)]


@pytest.fixture(scope="module")
def library() -> _native.XnnLibrary:
    return _native.XnnLibrary(str(library_path()))


@pytest.fixture(scope="module")
def environment(library: _native.XnnLibrary) -> _native.XnnEnvironment:
    return _native.XnnEnvironment(library, 1)


def network_of(op: Op) -> Network:
    b = NetworkBuilder("one op")
    inputs = [b.input(type_.shape) for type_ in op.inputs]
    return b.build(*b.ops(op.kind, *inputs, **dict(op.attrs)))


def errors(environment: _native.XnnEnvironment, network: Network, seed: int = 0) -> list[float]:
    """Normalised mean squared error of each output against torch."""
    torch.manual_seed(seed)
    network = prune(network)
    module = to_torch(network).eval()
    for name, buffer in module.named_buffers():  # fresh running statistics would fold to nothing
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    rng = np.random.default_rng(seed)
    firsts = {value: (node.op, i) for node in reversed(network.nodes) for i, value in enumerate(node.inputs)}
    fed = [firsts[name][0].spec.example_input(*firsts[name], rng) for name, _ in network.inputs]
    with torch.no_grad():
        wanted = module(*map(torch.from_numpy, fed))
    graph = write_network(network)
    feeds = {name: in_order(x, graph.stored(name).order) for (name, _), x in zip(network.inputs, fed, strict=True)}
    session = session_of(environment, graph, network, feeds | weights_of(graph, network, module.state_dict()))
    outputs = session.outputs()
    results = []
    for value, expected in zip(network.outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        place = graph.stored(value)
        results.append(distance(outputs[place.name], in_order(expected.numpy(), place.order)))
    return results


def session_of(
    environment: _native.XnnEnvironment, graph: XnnGraph, network: Network, contents: dict[str, Array]
) -> _native.XnnSession:
    outputs = {graph.stored(value).name for value in network.outputs}
    inputs = {name for name, _ in network.inputs}

    def role(name: str) -> str:
        if name in graph.constants:
            return "constant"
        return "input" if name in inputs else "output" if name in outputs else "internal"

    values = [(name, type_.shape, role(name)) for name, type_ in graph.types.items()]
    nodes = [(node.op, node.inputs, node.outputs, dict(node.attrs)) for node in graph.nodes]
    return environment.session(values, nodes, contents=contents)


def weights_of(graph: XnnGraph, network: Network, state: dict[str, Any]) -> dict[str, Array]:
    """XNNPACK's stored tensors from torch's, batch norms folded."""
    trained = {name: tensor.numpy() for name, tensor in state.items()}
    nodes = {node.name: node for node in network}
    found: dict[str, Array] = {}
    for name, constant in graph.constants.items():
        owner, _, part = name.rpartition(".")
        if constant.values is not None:
            content = np.asarray(constant.values, np.float32)
        elif name.endswith("~mask"):
            content = np.triu(np.full(constant.type.shape, -1e9, np.float32), 1)
        elif owner in nodes:
            content = weight(nodes[owner], part, network, trained)
        else:
            content = trained[f"{name.partition('~')[0]}.weight"]
        found[name] = np.ascontiguousarray(content, np.float32).reshape(constant.type.shape)
    return found


def weight(node: Node, part: str, network: Network, trained: dict[str, Array]) -> Array:
    if node.op.kind == "batch_norm":
        return dict(zip(("scale", "shift"), norm_of(node.name, trained, node.op), strict=True))[part]
    (reader, *_), op = network.consumers()[node.outputs[0]] or [node], node.op
    folded = reader.op.kind == "batch_norm" and "out_" in str(op.attrs)
    scale, shift = norm_of(reader.name, trained, reader.op) if folded else (np.float32(1), np.float32(0))
    if part == "bias":
        return trained.get(f"{node.name}.bias", np.float32(0)) * scale + shift
    content = trained[f"{node.name}.{part}"]
    if folded:
        content = content * scale.reshape(-1, *[1] * (content.ndim - 1))
    if op.kind == "conv2d":
        depthwise = op["groups"] == op.inputs[0].shape[1] > 1
        return content.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    if op.kind == "conv_transpose2d":
        i, o, h, w = content.shape
        grouped = content.reshape(op["groups"], i // op["groups"], o, h, w)
        return grouped.transpose(0, 2, 3, 4, 1)
    return content


def norm_of(name: str, trained: dict[str, Array], op: Op) -> tuple[Array, Array]:
    scale = trained.get(f"{name}.weight", np.float32(1)) / np.sqrt(trained[f"{name}.running_var"] + op["eps"])
    return scale, trained.get(f"{name}.bias", np.float32(0)) - trained[f"{name}.running_mean"] * scale


def in_order(x: Array, order: tuple[int, ...]) -> Array:
    return np.ascontiguousarray(x.transpose(order))


def distance(got: Array, wanted: Array) -> float:
    assert got.shape == wanted.shape
    return float(((got - wanted) ** 2).mean() / max(float((wanted**2).mean()), 1e-12))


@pytest.mark.parametrize("op", [op for op in SUPPORTED if op.kind != "transpose"], ids=lambda op: op.key)
def test_every_op_gives_what_its_torch_reference_gives(environment: _native.XnnEnvironment, op: Op) -> None:
    assert max(errors(environment, network_of(op))) <= max(op.spec.tolerance, 1e-9)


def test_batch_norms_and_clamps_fold_into_what_is_before_them(environment: _native.XnnEnvironment) -> None:
    b = NetworkBuilder("folded")
    x = b.op("conv2d", b.input((2, 4, 9, 9)), out_channels=8, kernel_size=3, bias=False)
    x = b.op("relu6", b.op("batch_norm", x))
    x = b.op("batch_norm", b.op("conv2d", x, out_channels=8, kernel_size=3, groups=8, stride=2))
    x = b.op("relu", b.op("add", x, x))
    x = b.op("batch_norm", b.op("linear", b.op("flatten", x), out_features=5))
    network = b.build(b.op("clip", x, low=-1.0, high=0.5))
    assert max(errors(environment, network)) < 1e-9
    turned = ["static_transpose", "static_reshape"]  # the classifier wants C x H x W
    written = [node.op for node in write_network(network).nodes]
    assert written == ["convolution_2d", "depthwise_convolution_2d", "add2", *turned, "fully_connected"]


def test_turned_tensors_are_joined_cut_and_multiplied_right(environment: _native.XnnEnvironment) -> None:
    b = NetworkBuilder("tokens")
    x = b.op("conv2d", b.input((2, 3, 8, 8)), out_channels=6, kernel_size=2, stride=2)
    tokens = b.op("transpose", b.op("reshape", x, shape=(2, 6, 16)), perm=(0, 2, 1))
    left, right = b.ops("split", b.op("reshape", tokens, shape=(2, 16, 3, 2)), sizes=(1, 2), axis=2)
    left = b.op("reshape", left, shape=(2, 16, 2))
    product = b.op("matmul", left, b.op("transpose", left, perm=(0, 2, 1)))
    soft = b.op("softmax", product, axis=1)
    back = b.op("transpose", b.op("reshape", right, shape=(2, 16, 4)), perm=(0, 2, 1))
    y = b.op("mul", b.op("transpose", back, perm=(0, 2, 1)), b.op("slice", soft, axis=2, end=4))
    squeezed = b.op("reshape", x, shape=(2, 2, 48))  # C and H joined: needs row-major memory
    assert max(errors(environment, b.build(y, squeezed))) < 1e-9


def test_squeeze_and_excite_broadcasts_over_the_image(environment: _native.XnnEnvironment) -> None:
    b = NetworkBuilder("excite")
    x = b.input((2, 6, 5, 7))
    gate = b.op("hard_sigmoid", b.op("conv2d", b.op("global_avg_pool2d", x), out_channels=6, kernel_size=1))
    flat = b.op("sigmoid", b.op("mean", x, axes=(2, 3), keepdims=False))
    y = b.op("mul", b.op("mul", gate, x), b.op("reshape", flat, shape=(2, 6, 1, 1)))
    assert max(errors(environment, b.build(y))) < 1e-9


@pytest.mark.parametrize("pool", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("size", [9, 10])
def test_windows_that_stick_out_of_the_image(environment: _native.XnnEnvironment, pool: str, size: int) -> None:
    b = NetworkBuilder("pool")
    x = b.op(pool, b.input((1, 4, size, size + 1)), kernel_size=3, stride=2, padding=1, ceil_mode=True)
    assert max(errors(environment, b.build(x))) < 1e-9


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "vit_tiny"])
def test_whole_networks_give_what_torch_gives(environment: _native.XnnEnvironment, name: str) -> None:
    size = 224 if name.startswith("vit") else 64
    assert max(errors(environment, zoo.build(name, resolution=size))) < 1e-6


def test_copies_are_all_computed() -> None:
    runtime = XnnpackRuntime(1)
    for kernel in lower(small_network(), "xnnpack").distinct.values():
        prepared = runtime.prepare(kernel, 3, seed=1)
        outputs = prepared.runnable.outputs()  # type: ignore[attr-defined]
        assert len(outputs) == 3 * len(kernel.outputs)
        for name, type_ in kernel.outputs:
            assert outputs[f"{name}#0"].shape == type_.shape


def test_kernels_survive_storage() -> None:
    from lutra.networks.lowering import Kernel

    for kernel in lower(small_network(), "xnnpack").kernels:
        again = Kernel.from_json(kernel.to_json())
        assert again == kernel
        assert again.key == kernel.key


def test_two_threads_compute_the_same(library: _native.XnnLibrary) -> None:
    pool = _native.XnnEnvironment(library, 2)
    assert pool.threads == 2
    assert max(errors(pool, small_network())) < 1e-9


def test_what_is_wrong_is_said(library: _native.XnnLibrary, environment: _native.XnnEnvironment) -> None:
    x = np.zeros((1, 4), np.float32)
    values = [("x", (1, 4), "input"), ("y", (1, 4), "output")]
    with pytest.raises(ValueError, match="no operator is called 'fft'"):
        environment.session(values, [("fft", ("x",), ("y",), {})], contents={"x": x})
    with pytest.raises(ValueError, match="no value is called 'z'"):
        environment.session(values, [("abs", ("z",), ("y",), {})], contents={"x": x})
    with pytest.raises(ValueError, match="'x' needs its content"):
        environment.session(values, [("abs", ("x",), ("y",), {})], contents={})
    with pytest.raises(ValueError, match="has 4 elements, not 3"):
        environment.session(values, [("abs", ("x",), ("y",), {})], contents={"x": x[0, :3]})
    with pytest.raises(ValueError, match="needs integers called 'perm'"):
        environment.session(values, [("static_transpose", ("x",), ("y",), {})], contents={"x": x})
    with pytest.raises(RuntimeError, match="xnn_define_static_transpose: invalid parameter"):
        environment.session(values, [("static_transpose", ("x",), ("y",), {"perm": (0, 0)})], contents={"x": x})
    wrong = [("x", (1, 4), "input"), ("y", (2, 4), "output")]
    with pytest.raises(ValueError, match=r"output 'y' is \[2, 4\], but XNNPACK makes it \[1, 4\]"):
        environment.session(wrong, [("abs", ("x",), ("y",), {})], contents={"x": x})
    with pytest.raises(ValueError, match="threads must be at least 1"):
        _native.XnnEnvironment(library, 0)


def test_a_file_that_is_no_xnnpack_is_refused() -> None:
    with pytest.raises(RuntimeError, match="cannot load XNNPACK"):
        _native.XnnLibrary("/nowhere/libxnnpack.so")
    with pytest.raises(RuntimeError, match="has no xnn_initialize"):
        _native.XnnLibrary(str(library_path().with_name("libexecutorch_threadpool.so")))


def test_every_operator_that_the_lowering_writes_is_known() -> None:
    known = set(_native.xnn_operators())
    for op in SUPPORTED:
        assert {node.op for node in write_network(network_of(op)).nodes} <= known
