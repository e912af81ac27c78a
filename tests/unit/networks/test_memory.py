"""Peak activation memory: small networks whose peak can be worked out on paper, and laws that hold for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks import Network, NetworkBuilder, blocks, zoo
from lutra.networks.errors import UnsupportedDtypeError


def conv(b: NetworkBuilder, x: str, channels: int, **options) -> str:
    return b.op("conv2d", x, out_channels=channels, **({"kernel_size": 1} | options))


def image(channels: int = 4, size: int = 8) -> tuple[NetworkBuilder, str]:
    """A builder and an input of ``channels`` x ``size`` x ``size``: 256 elements."""
    b = NetworkBuilder("memory")
    return b, b.input((1, channels, size, size))


def test_a_convolution_holds_input_and_output():
    b, x = image()
    assert b.build(conv(b, x, 6)).peak_activation_bytes("int8") == (4 + 6) * 64


def test_a_chain_holds_its_largest_pair():
    b, x = image()
    for channels in (2, 10, 3, 8):
        x = conv(b, x, channels)
    assert b.build(x).peak_activation_bytes("int8") == (10 + 3) * 64


def test_element_wise_ops_overwrite_an_input_that_dies():
    b, x = image()
    for kind in ("batch_norm", "relu", "softmax", "sigmoid"):
        x = b.op(kind, x)
    assert b.build(x).peak_activation_bytes("int8") == 4 * 64


def test_element_wise_ops_cannot_overwrite_what_is_read_later():
    b, x = image()
    y = b.op("relu", x)
    assert b.build(b.op("mul", x, y)).peak_activation_bytes("int8") == 2 * 4 * 64


def test_a_shortcut_stays_beside_the_branch():
    """While the branch's 12 channels are made from 10, the 4 of the shortcut wait: 26 channels."""
    b, x = image()
    y = conv(b, conv(b, conv(b, x, 10), 12), 4)
    assert b.build(b.op("add", x, y)).peak_activation_bytes("int8") == (4 + 10 + 12) * 64


def test_the_sum_overwrites_one_of_its_terms():
    b, x = image()
    assert b.build(b.op("add", x, conv(b, x, 4))).peak_activation_bytes("int8") == 2 * 4 * 64


def test_reshapes_share_memory_and_keep_it_alive():
    b, x = image()
    flat = b.op("flatten", x)
    y = conv(b, x, 2)
    y = b.op("flatten", y)
    joined = b.op("concat", flat, y)
    assert b.build(joined).peak_activation_bytes("int8") == (4 + 2 + 6) * 64


def test_concatenation_holds_all_parts_and_the_whole():
    b, x = image()
    assert b.build(b.op("concat", x, conv(b, x, 2))).peak_activation_bytes("int8") == (6 + 6) * 64


def test_split_parts_die_one_by_one():
    b, x = image(8)
    left, right = b.ops("split", x, sizes=(4, 4))
    y = conv(b, left, 2)
    assert b.build(b.op("concat", y, right)).peak_activation_bytes("int8") == (8 + 8) * 64


def test_outputs_stay_alive():
    b, x = image()
    y = conv(b, x, 6)
    z = conv(b, y, 20)
    assert b.build(y, z).peak_activation_bytes("int8") == (6 + 20) * 64
    assert b.build(z, x).peak_activation_bytes("int8") == (4 + 6 + 20) * 64


def test_what_nobody_reads_is_freed_at_once():
    b, x = image()
    conv(b, x, 50)
    assert b.build(conv(b, x, 6)).peak_activation_bytes("int8") == (4 + 50) * 64


def test_stored_tensors_are_not_activations():
    b = NetworkBuilder("memory")
    x = b.input((1, 16, 8))
    stored = b.op("reshape", b.op("parameter", shape=(16, 8)), shape=(1, 16, 8))
    assert b.build(b.op("add", x, stored)).peak_activation_bytes("int8") == 16 * 8


def test_depthwise_in_place_takes_one_more_channel():
    b, x = image(8)
    network = b.build(conv(b, x, 8, kernel_size=3, padding=1, groups=8))
    assert network.peak_activation_bytes("int8") == 16 * 64
    assert network.peak_activation_bytes("int8", inplace_depthwise=True) == 9 * 64


def test_strided_depthwise_in_place_takes_one_smaller_channel_more():
    b, x = image(8)
    network = b.build(conv(b, x, 8, kernel_size=3, padding=1, groups=8, stride=2))
    assert network.peak_activation_bytes("int8", inplace_depthwise=True) == 8 * 64 + 16


def test_depthwise_cannot_overwrite_what_is_read_later():
    b, x = image(8)
    network = b.build(b.op("add", x, conv(b, x, 8, kernel_size=3, padding=1, groups=8)))
    assert network.peak_activation_bytes("int8", inplace_depthwise=True) == 16 * 64


def test_grouped_convolutions_are_not_depthwise():
    b, x = image(8)
    network = b.build(conv(b, x, 8, kernel_size=3, padding=1, groups=4))
    assert network.peak_activation_bytes("int8", inplace_depthwise=True) == 16 * 64


def test_own_element_types_are_kept_by_default():
    b, x = image()
    network = b.build(conv(b, x, 6))
    assert network.peak_activation_bytes() == network.peak_activation_bytes("float32") == 10 * 64 * 4
    assert network.peak_activation_bytes("float16") == 10 * 64 * 2
    assert network.peak_activation_bytes("int4") == 10 * 64 // 2


def test_integer_activations_are_not_recounted():
    b = NetworkBuilder("tokens")
    x = b.input((1, 10), "int64")
    network = b.build(b.op("embedding", x, num_embeddings=5, embedding_dim=4))
    assert network.peak_activation_bytes("int8") == 10 * 8 + 10 * 4


def test_unknown_element_types_are_refused():
    b, x = image()
    with pytest.raises(UnsupportedDtypeError, match="int3"):
        b.build(conv(b, x, 6)).peak_activation_bytes("int3")


@given(st.integers(1, 16), st.integers(2, 6), st.sampled_from([3, 5]), st.sampled_from([1, 2]))
def test_inverted_bottleneck_on_paper(channels, expansion, kernel, stride):
    """With a shortcut, input + middle + middle; else the larger of input + middle and middle + smaller middle."""
    b, x = image(channels)
    mid = channels * expansion
    network: Network = b.build(
        blocks.inverted_bottleneck(b, x, channels, mid_channels=mid, kernel_size=kernel, stride=stride)
    )
    area, small = 64, 64 // stride**2
    waiting = channels * area if stride == 1 else 0
    wanted = max(channels * area + mid * area, waiting + mid * area + mid * small, waiting + (mid + channels) * small)
    assert network.peak_activation_bytes("int8") == wanted
    in_place = max(channels * area + mid * area, waiting + mid * area + small, waiting + mid * area + channels * small)
    assert network.peak_activation_bytes("int8", inplace_depthwise=True) == in_place


@pytest.mark.parametrize("name", zoo.names("m*") + zoo.names("shufflenet*") + ("resnet50", "densenet121", "swin_t"))
def test_laws_of_the_whole_zoo(name):
    """Bytes are proportional to the element's size, in place is never worse, and every op's own tensors fit."""
    network = zoo.build(name)
    plain = network.peak_activation_bytes("int8")
    assert network.peak_activation_bytes("float32") == pytest.approx(4 * plain, rel=0.05)  # int64 indices do not shrink
    assert network.peak_activation_bytes("int8", inplace_depthwise=True) <= plain
    assert plain >= max(t.numel for t in network.types.values() if t.dtype == "float32")
    assert zoo.build(name, batch=2).peak_activation_bytes("int8") >= 1.99 * plain - 4096
