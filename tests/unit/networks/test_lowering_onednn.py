"""Lowering for oneDNN: what fuses, which layouts, where reorders stand; the stored rules are those of the library."""

import ctypes
import math
from collections.abc import Callable

import pytest

from lutra.luts.host import runtime_version
from lutra.networks import Network, NetworkBuilder, zoo
from lutra.networks.errors import UnsupportedOpError
from lutra.networks.lowering import Kernel, LoweredNetwork, lower_onednn, plan_onednn, require_supported
from lutra.networks.lowering.onednn_layouts import Isa, convolution_layouts, host_isa
from lutra.networks.ops import Op, TensorType, make_op


def built(body: Callable[[NetworkBuilder, str], str], shape: tuple[int, ...] = (1, 16, 8, 8)) -> Network:
    b = NetworkBuilder("net")
    return b.build(body(b, b.input(shape)))


def kernels(body: Callable[[NetworkBuilder, str], str], isa: Isa = "avx2") -> tuple[Kernel, ...]:
    return plan_onednn(built(body), isa).kernels


def primitives(found: tuple[Kernel, ...]) -> list[str]:
    return [node.op for kernel in found for node in kernel.nodes]


def attrs(kernel: Kernel) -> dict[str, object]:
    (node,) = kernel.nodes
    return dict(node.attrs)


def conv(b: NetworkBuilder, x: str, channels: int = 16, **more: int) -> str:
    return b.op("conv2d", x, out_channels=channels, kernel_size=3, padding=1, **more)


def test_batch_norm_residual_and_activation_fuse_in_this_order() -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        x = b.op("relu", conv(b, x))
        y = b.op("batch_norm", b.op("conv2d", b.op("relu", conv(b, x)), out_channels=16, kernel_size=1, bias=False))
        return b.op("hard_swish", b.op("add", x, y))

    found = kernels(body)
    assert primitives(found) == ["reorder", "convolution", "convolution", "convolution", "reorder"]
    last = attrs(found[3])
    assert (last["bias"], last["residual"], last["activation"]) == (1, "sum", "hardswish")


@pytest.mark.parametrize("kept", [False, True])
def test_a_residual_that_is_still_read_is_not_written_over(kept: bool) -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        x = b.op("relu", conv(b, x))
        y = b.op("add", x, conv(b, b.op("relu", conv(b, x))))
        return b.op("concat", x, y) if kept else y

    (product,) = [k for k in kernels(body) if "residual" in attrs(k)]
    assert attrs(product)["residual"] == ("binary" if kept else "sum")


def test_what_a_convolution_reads_is_not_written_over() -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        x = b.op("relu", conv(b, x))
        return b.op("add", x, conv(b, x))

    (product,) = [k for k in kernels(body) if "residual" in attrs(k)]
    assert attrs(product)["residual"] == "binary"


def test_the_layout_stays_until_rows_are_needed() -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        x = b.op("max_pool2d", b.op("sigmoid", conv(b, x)), kernel_size=2, stride=2)
        return b.op("softmax", x)

    found = kernels(body)
    assert primitives(found) == ["reorder", "convolution", "pooling", "reorder", "softmax"]
    assert attrs(found[2])["layouts"] == ("channels_last", "channels_last")
    assert attrs(found[3])["layouts"] == ("channels_last", "plain")


def test_single_pixels_need_no_reorder() -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", conv(b, x))), out_features=4)

    found = kernels(body)
    assert primitives(found) == ["reorder", "convolution", "pooling", "inner_product"]


def test_a_value_is_reordered_once() -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        x = b.op("relu", x)
        return b.op("add", conv(b, x), b.op("relu", conv(b, x)))

    found = kernels(body)
    assert primitives(found).count("reorder") == 2  # the input of both, and the output


@pytest.mark.parametrize(
    ("isa", "layout"), [("avx512", "channels_last"), ("avx2", "channels_last"), ("older", "blocked8")]
)
def test_layouts_follow_the_instruction_set(isa: Isa, layout: str) -> None:
    found = kernels(conv, isa)
    assert attrs(found[1])["layouts"] == (layout, "plain", "plain", layout)


def test_equal_layers_have_equal_keys() -> None:
    lowered: LoweredNetwork = lower_onednn(zoo.build("resnet18"))
    assert lowered.macs == zoo.build("resnet18").macs
    assert len(lowered.distinct) < len(lowered.kernels)


def test_stored_kernels_come_back() -> None:
    for kernel in lower_onednn(zoo.build("mobilenet_v2")).distinct.values():
        assert Kernel.from_json(kernel.to_json()).key == kernel.key


def test_what_onednn_lacks_is_listed() -> None:
    def body(b: NetworkBuilder, x: str) -> str:
        return b.op("erf", b.op("group_norm", b.op("group_norm", x, groups=2), groups=4))

    assert lower_onednn(built(body)).lacks == ("group_norm", "group_norm", "erf")
    with pytest.raises(UnsupportedOpError) as caught:
        require_supported(kernels(body))
    assert caught.value.counts == {"group_norm": 2, "erf": 1}


def test_kernels_around_an_unsupported_op_are_those_of_any_network() -> None:
    def with_(*ops: str) -> list[Kernel]:
        def body(b: NetworkBuilder, x: str) -> str:
            x = b.op("conv2d", x, out_channels=16, kernel_size=3)
            for op in ops:
                x = b.op(op, x)
            return b.op("global_avg_pool2d", x)

        return list(kernels(body))

    usual, between = with_("relu"), with_("erf", "relu")
    lacking = next(kernel for kernel in between if kernel.lacks)
    assert lacking.lacks == ("erf",)
    assert Kernel.from_json(lacking.to_json()) == lacking
    assert {k.label.partition(" ")[0] for k in usual} <= {k.label.partition(" ")[0] for k in between}


def test_a_power_that_is_no_number_is_not_supported() -> None:
    b = NetworkBuilder("net")
    x = b.input((1, 4))
    assert lower_onednn(b.build(b.op("pow", x, b.input((1, 4))))).lacks == ("pow by a tensor",)


def test_integers_are_not_supported() -> None:
    b = NetworkBuilder("net")
    found = lower_onednn(b.build(b.op("embedding", b.input((1, 4), "int64"), num_embeddings=3, embedding_dim=8)))
    assert found.lacks == ("embedding of int64",)


# --- the stored rules against the library ---

Dims = ctypes.c_int64 * 12
_F32, _ANY, _DIRECT, _INFERENCE = 3, 1, 1, 96
_EXEC_ARG, _BLOCKS, _INNER, _STRIDES = 255, 263, 264, 14


class Library:
    """As much of oneDNN's C interface as tells which layouts a convolution prefers."""

    def __init__(self, path: str) -> None:
        self._dnnl = ctypes.CDLL(path)
        self._dnnl.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
        self._engine, self._attr = ctypes.c_void_p(), ctypes.c_void_p()
        assert self._dnnl.dnnl_engine_create(ctypes.byref(self._engine), 1, ctypes.c_size_t(0)) == 0
        assert self._dnnl.dnnl_primitive_attr_create(ctypes.byref(self._attr)) == 0

    def preferred(self, op: Op) -> tuple[str, str]:
        x, y, groups, rank = op.inputs[0].shape, op.outputs[0].shape, op["groups"], len(op["kernel_size"])
        weight = op.weights["weight"]
        shape = (groups, weight[0] // groups, *weight[1:]) if groups > 1 else weight
        pads, primitive = op["padding"], ctypes.c_void_p()
        status = self._dnnl.dnnl_convolution_forward_primitive_desc_create(
            *(ctypes.byref(primitive), self._engine, _INFERENCE, _DIRECT),
            *map(self._any, (x, shape, (y[1],), y)),
            *(Dims(*op["stride"]), Dims(*(gap - 1 for gap in op["dilation"]))),
            *(Dims(*pads[:rank]), Dims(*pads[rank:]), self._attr),
        )
        assert status == 0
        src, dst = (self._dnnl.dnnl_primitive_desc_query_md(primitive, _EXEC_ARG, argument) for argument in (1, 17))
        return self._layout(src, x), self._layout(dst, y)

    def _any(self, shape: tuple[int, ...]) -> ctypes.c_void_p:
        desc = ctypes.c_void_p()
        tag = _ANY if len(shape) > 1 else 2
        create = self._dnnl.dnnl_memory_desc_create_with_tag
        assert create(ctypes.byref(desc), len(shape), Dims(*shape), _F32, tag) == 0
        return desc

    def _layout(self, desc: int, shape: tuple[int, ...]) -> str:
        blocks, found = ctypes.c_int(), ctypes.POINTER(ctypes.c_int64)()
        self._dnnl.dnnl_memory_desc_query(ctypes.c_void_p(desc), _BLOCKS, ctypes.byref(blocks))
        what = _INNER if blocks.value else _STRIDES
        self._dnnl.dnnl_memory_desc_query(ctypes.c_void_p(desc), what, ctypes.byref(found))
        if blocks.value:
            return f"blocked{found[0]}"
        pixels = math.prod(shape[2:])
        return "channels_last" if found[1] == 1 and (pixels > 1 or found[2] == shape[1]) else "plain"


@pytest.fixture(scope="module")
def library() -> Library:
    if not runtime_version("onednn"):
        pytest.skip("onednn-cpu-gomp is not installed")
    if host_isa() == "older":
        pytest.skip("the rules for instruction sets before AVX2 are not known from the library")
    from lutra.profiler.runtimes.onednn import library_path

    return Library(str(library_path()))


NETWORKS = ("mobilenet_v3_small", "resnext50_32x4d", "shufflenet_v1_g3", "vit_tiny", "densenet121", "mcunet_in1")
GRID = [
    make_op("conv2d", TensorType((1, channels, 28, 28)), out_channels=filters, kernel_size=k, padding=k // 2, **more)
    for channels in (1, 3, 4, 5, 8, 24)
    for filters in (24, 48)
    for k in (1, 3, 5)
    for more in ({}, {"stride": 2}, {"groups": channels} if filters % channels == 0 else {"dilation": 2})
]


def differing(library: Library, ops: set[Op]) -> list[str]:
    answers = {op: library.preferred(op) for op in ops}
    # Blocks of four are the one answer that the rules do not follow.
    return [
        op.key
        for op, answer in answers.items()
        if answer != ("blocked4", "blocked4") and answer != convolution_layouts(op, host_isa())
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_rules_are_the_library_s_in_networks(library: Library, name: str) -> None:
    assert not differing(library, {node.op for node in zoo.build(name) if node.op.kind == "conv2d"})


def test_rules_are_the_library_s_on_a_grid(library: Library) -> None:
    assert not differing(library, set(GRID))
