"""Where our own runtime keeps images in blocks of channels, and where it changes the layout."""

from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.lowering import Kernel, LoweredNetwork, lower, plain_name
from lutra.networks.lowering.blocked import blocked_type


def image(channels: int = 16) -> tuple[NetworkBuilder, str]:
    b = NetworkBuilder("net")
    return b, b.input((1, channels, 10, 10))


def conv(b: NetworkBuilder, x: str, channels: int = 16, groups: int = 1) -> str:
    return b.op("conv2d", x, out_channels=channels, kernel_size=3, padding=1, groups=groups)


def kinds(lowered: LoweredNetwork) -> list[str]:
    return [kernel.nodes[0].op for kernel in lowered.kernels]


def attrs(kernel: Kernel) -> dict[str, object]:
    return dict(kernel.nodes[0].attrs)


def test_layout_changes_once_on_the_way_in_and_once_on_the_way_out() -> None:
    b, x = image()
    y = b.op("max_pool2d", conv(b, conv(b, x, groups=16)), kernel_size=2, stride=2)
    lowered = lower(b.build(y), "native")
    assert kinds(lowered) == ["reorder", "conv2d", "conv2d", "max_pool2d", "reorder"]
    first, *_, last = lowered.kernels
    assert attrs(first) == {"channels": 16, "layout": "nchw8c"}
    assert first.label == "Reorder to NCHW8C 16 @10"
    assert attrs(last) == {"channels": 16, "layout": "nchw"}
    assert last.outputs == ((plain_name(y), TensorType((1, 16, 5, 5))),)


def test_kernels_tell_their_layout() -> None:
    b, x = image(12)
    kernel = lower(b.build(conv(b, x, 20)), "native").kernels[1]
    assert attrs(kernel)["layout"] == "nchw8c"
    assert dict(kernel.inputs).popitem()[1] == TensorType((1, 2, 10, 10, 8))
    assert kernel.outputs[0][1] == blocked_type(TensorType((1, 20, 10, 10))) == TensorType((1, 3, 10, 10, 8))


def test_a_convolution_reads_a_plain_image() -> None:
    b, x = image(3)
    lowered = lower(b.build(conv(b, x)), "native")
    assert kinds(lowered) == ["conv2d", "reorder"]
    assert lowered.kernels[0].inputs == ((x, TensorType((1, 3, 10, 10))),)


def test_groups_of_broken_blocks_stay_plain() -> None:
    b, x = image(24)
    assert kinds(lower(b.build(conv(b, x, 24, groups=2)), "native")) == ["conv2d"]
    b, x = image(16)
    assert kinds(lower(b.build(conv(b, x, 16, groups=2)), "native")) == ["reorder", "conv2d", "reorder"]


def test_sums_and_gates_follow() -> None:
    b, x = image()
    y = conv(b, x)
    gate = b.op("conv2d", b.op("global_avg_pool2d", y), out_channels=16, kernel_size=1)
    lowered = lower(b.build(b.op("mul", y, gate)), "native")
    assert kinds(lowered) == ["reorder", "conv2d", "global_avg_pool2d", "conv2d", "mul", "reorder"]


def test_whole_blocks_are_joined_and_cut_in_blocks() -> None:
    b, x = image()
    parts = b.ops("split", b.op("concat", conv(b, x), conv(b, x, 8)), sizes=(8, 16))
    lowered = lower(b.build(*parts), "native")
    assert kinds(lowered) == ["reorder", "conv2d", "conv2d", "concat", "split", "reorder", "reorder"]
    assert attrs(lowered.kernels[4])["sizes"] == (1, 2)
    b, x = image()
    lowered = lower(b.build(b.op("concat", conv(b, x), conv(b, x, 12))), "native")
    assert kinds(lowered) == ["reorder", "conv2d", "conv2d", "reorder", "reorder", "concat"]


def test_both_layouts_of_one_value_are_made_once() -> None:
    b, x = image()
    y = conv(b, x)
    z = b.op("softmax", b.op("softmax", y, axis=2), axis=3)
    lowered = lower(b.build(b.op("concat", z, b.op("softmax", y)), conv(b, y)), "native")
    assert kinds(lowered).count("reorder") == 3


def test_an_average_over_whole_images_needs_no_change_of_layout() -> None:
    b, x = image()
    pooled = b.op("adaptive_avg_pool2d", conv(b, x), output_size=1)
    lowered = lower(b.build(b.op("linear", b.op("flatten", pooled), out_features=4)), "native")
    assert kinds(lowered) == ["reorder", "conv2d", "global_avg_pool2d", "linear"]
