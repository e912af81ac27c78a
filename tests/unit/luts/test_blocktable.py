"""Tables of building blocks add up, tell image sizes apart, and keep to what their source says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.luts.blockkeys import network_keys, parse_hw_nas_bench, parse_ofa, parse_tf_nas
from lutra.luts.blocktable import Block, BlockTable
from lutra.luts.testing import make_measurement
from lutra.networks.errors import LutraError, NotCoveredError, UsageError

KEY = "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:3-stride:2-idskip:0"


def table(*sizes: int) -> BlockTable:
    return BlockTable("phone", [Block(key="Conv", latency_ns=1000.0 * size, image_size=size) for size in sizes])


def test_sum_and_nothing() -> None:
    blocks = BlockTable("phone", [Block(key="a", latency_ns=1.5), Block(key="b", latency_ns=2.5)])
    assert blocks.latencies_ns(["a", None, "b", "a"]).tolist() == [1.5, 0.0, 2.5, 1.5]
    assert blocks.sum_ns(["a", "b", None]) == 4.0
    assert blocks.latencies_ns([]).dtype == np.float64


def test_missing_blocks_are_all_named_with_the_nearest() -> None:
    with pytest.raises(NotCoveredError, match="and 1 others") as caught:
        BlockTable("phone", [Block(key=KEY, latency_ns=1)]).sum_ns([KEY.replace("x24", "x25"), "absent", KEY])
    assert len(caught.value.missing) == 2
    assert caught.value.hint == f"nearest: {KEY}"


def test_image_sizes_are_told_apart() -> None:
    both = table(160, 224)
    assert both.image_sizes == (160, 224)
    assert both.sum_ns(["Conv"], 224) == 224_000
    with pytest.raises(UsageError, match="several image sizes"):
        both.get("Conv")
    assert both.get("Conv", 200) is None
    one = both.at(160)
    assert (one.image_sizes, one.sum_ns(["Conv"])) == ((), 160_000)
    assert one.placed(160) == table(160)
    assert table(160).sum_ns(["Conv"]) == 160_000
    with pytest.raises(UsageError, match="no blocks at image size 99"):
        both.at(99)
    with pytest.raises(UsageError, match="names its image sizes itself"):
        both.placed(192)


def test_blocks_that_disagree() -> None:
    BlockTable("phone", [Block(key="a", latency_ns=1)] * 2)
    with pytest.raises(UsageError, match="two blocks a disagree"):
        BlockTable("phone", [Block(key="a", latency_ns=1), Block(key="a", latency_ns=2)])


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ""},
        {"latency_ns": -1.0},
        {"latency_ns": float("nan")},
        {"latency_ns": float("inf")},
        {"latency_ns": True},
        {"std_ns": -1.0},
        {"count": 0},
        {"count": 1.5},
        {"image_size": -224},
        {"attributes": {"x": float("nan")}},
    ],
    ids=str,
)
def test_what_no_block_is(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Block(**({"key": "a", "latency_ns": 1.0} | changes))  # type: ignore[arg-type]


numbers = st.floats(0, 1e12)


@given(numbers, st.none() | numbers, st.none() | st.integers(1, 10**6), st.none() | st.integers(1, 1024))
def test_a_block_comes_back_from_its_row(
    latency_ns: float, std_ns: float | None, count: int | None, image_size: int | None
) -> None:
    block = Block(
        key="k",
        latency_ns=latency_ns,
        std_ns=std_ns,
        count=count,
        image_size=image_size,
        attributes={"op": "x", "n": [1]},
    )
    row = block.to_row({"file": "f"})
    assert Block.from_row(row) == block
    assert row.flags == ("imported",)
    assert abs(row.latency_ns - latency_ns) <= 0.5 / row.executions_per_sample + 1e-9 * latency_ns


def test_rows_of_a_table_stand_under_an_imported_device() -> None:
    blocks = table(160, 224)
    fingerprint = blocks.fingerprint()
    assert (fingerprint.kind, fingerprint.threads, fingerprint.precision) == ("imported", 0, "unknown")
    assert BlockTable.from_rows("phone", [*blocks.rows(), make_measurement()]) == blocks
    with pytest.raises(UsageError, match="no rows of building blocks"):
        BlockTable.from_rows("host", [make_measurement()])
    with pytest.raises(UsageError, match="no row of a block"):
        BlockTable.from_rows("host", [make_measurement(subject_kind="block")])


def test_keys_of_proxylessnas_and_once_for_all() -> None:
    narrow = parse_ofa(KEY)
    assert narrow["input"] == [112, 112, 16]
    assert (narrow["op"], narrow["expand"], narrow["idskip"]) == ("expanded_conv", 3, 0)
    wide = parse_ofa(KEY + "-se:1-hs:0")
    assert (wide["mid"], wide["se"], "expand" in wide) == (3, 1, False)
    assert parse_ofa("Logits-input:7x7x1280-output:1000")["output"] == [1000]


def test_keys_of_tf_nas_and_hw_nas_bench() -> None:
    found = parse_tf_nas("MBInvertedResBlock_112_16_32_24_k5_s2_relu")
    assert (found["output"], found["se_channels"], found["act"]) == ([56, 56, 24], 32, "relu")
    found = parse_hw_nas_bench("ConvBlock_H112_W112_Cin16_Cout24_exp6_kernel3_stride2_group1")
    assert (found["in_channels"], found["expand"], found["groups"]) == (16, 6, 1)


@pytest.mark.parametrize(
    ("parse", "key"),
    [
        (parse_ofa, "Conv-input:224x224x3"),
        (parse_ofa, "Conv-input:224x224x3x4-output:1"),
        (parse_ofa, KEY.replace("kernel:3-stride:2", "stride:2-kernel:3")),
        (parse_ofa, KEY + "-se:2"),
        (parse_ofa, KEY.replace("112", "٣")),
        (parse_tf_nas, "Block_112_16_0_24_k3_s0_relu"),
        (parse_tf_nas, "Block_112_16_0_24"),
        (parse_hw_nas_bench, "ConvBlock"),
        (parse_hw_nas_bench, "ConvBlock_H1_H2"),
        (parse_hw_nas_bench, "ConvBlock_Z1"),
    ],
)
def test_malformed_keys(parse: object, key: str) -> None:
    with pytest.raises(UsageError, match="malformed key"):
        parse(key)  # type: ignore[operator]


@given(st.sampled_from([parse_ofa, parse_tf_nas, parse_hw_nas_bench]), st.text(max_size=60))
def test_any_text_is_a_key_or_refused(parse: object, key: str) -> None:
    try:
        parse(key)  # type: ignore[operator]
    except LutraError as error:
        assert error.hint  # noqa: PT017  # either is right


def test_networks_of_another_family_are_refused() -> None:
    with pytest.raises(UsageError, match="family is 'ResNet'"):
        network_keys({"family": "ResNet"})
    with pytest.raises(UsageError, match="lacks 'image_size'"):
        network_keys({"family": "MobileNetV3"})
