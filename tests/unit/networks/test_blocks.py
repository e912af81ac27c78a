"""Building blocks: shapes, the cost identities of their papers, and what they compute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks import Network, NetworkBuilder, TensorType, blocks, make_op
from lutra.networks.blocks.cells import nasbench201_string
from lutra.networks.errors import ShapeError, UsageError

torch = pytest.importorskip("torch", reason="torch is not installed (extra: learn)")


def only(channels: int, size: int, block, *args, **kwargs) -> Network:
    """A network of one block on 1 x channels x size x size."""
    b = NetworkBuilder("block")
    x = b.input((1, channels, size, size))
    return b.build(block(b, x, *args, **kwargs))


def conv_params(network: Network) -> int:
    return sum(node.op.params for node in network if node.op.kind == "conv2d")


def shape_of(network: Network) -> tuple[int, ...]:
    return network.types[network.outputs[0]].shape


# --- identities of the papers


def test_bottleneck_is_8_47_times_cheaper_than_one_3x3():
    """C = 2048: 9 C^2 / (2 C C/4 + 9 (C/4)^2) = 8.4706."""
    inner = only(2048, 7, blocks.bottleneck, 512)
    dense = only(2048, 7, blocks.conv_norm_act, 2048)
    assert dense.macs / inner.macs == pytest.approx(8.4706, abs=5e-5)


@pytest.mark.parametrize("groups", [1, 2, 8, 32])
def test_grouped_convolution_costs_one_over_groups(groups):
    network = only(128, 14, blocks.conv_norm_act, 256, 3, groups=groups)
    assert network.macs == 9 * 128 * 256 // groups * 14 * 14


def test_resnext_bottleneck_is_grouped_in_the_middle():
    network = only(256, 8, blocks.bottleneck, 64, groups=32, width_per_group=4)
    middle = next(node.op for node in network if node.name == "conv2")
    assert (middle["groups"], middle["out_channels"], shape_of(network)) == (32, 128, (1, 256, 8, 8))


def test_resnet_strides_in_the_3x3():
    network = only(256, 8, blocks.bottleneck, 128, stride=2)
    strides = {node.name: node.op["stride"] for node in network if node.op.kind == "conv2d"}
    assert strides == {"conv1": (1, 1), "conv2": (2, 2), "conv3": (1, 1), "downsample.0": (2, 2)}
    assert shape_of(network) == (1, 512, 4, 4)


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from([3, 5, 7]), st.sampled_from([1, 2]), st.integers(7, 20))
def test_depthwise_separable_costs_one_over_channels_plus_one_over_window(channels, out, kernel, stride, size):
    separable = only(channels, size, blocks.depthwise_separable, out, kernel, stride=stride)
    dense = only(channels, size, blocks.conv_norm_act, out, kernel, stride=stride)
    height = shape_of(separable)[2]
    assert separable.macs == height * height * channels * (kernel * kernel + out)
    assert separable.macs / dense.macs == pytest.approx(1 / out + 1 / kernel**2)


def test_inverted_bottleneck_has_1_37_times_the_weights_of_a_3x3():
    network = only(160, 7, blocks.inverted_bottleneck, 160, mid_channels=6 * 160)
    assert conv_params(network) == 315_840
    assert conv_params(network) / (9 * 160 * 160) == pytest.approx(1.3708, abs=5e-5)


@given(st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(1, 40))
def test_attention_costs_the_same_for_any_number_of_heads(heads, tokens):
    features = 48
    b = NetworkBuilder("attention")
    network = b.build(blocks.multi_head_attention(b, b.input((1, tokens, features)), heads))
    assert network.macs == 4 * tokens * features**2 + 2 * tokens**2 * features


def test_heads_must_divide_the_features():
    b = NetworkBuilder("attention")
    with pytest.raises(ShapeError, match="5 heads"):
        blocks.multi_head_attention(b, b.input((1, 4, 48)), 5)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_shuffling_by_groups_then_by_the_rest_is_the_identity(groups, per_group, size):
    type_ = TensorType((2, groups * per_group, size, size))
    x = torch.arange(type_.numel, dtype=torch.float32).reshape(type_.shape)
    first = make_op("channel_shuffle", type_, groups=groups)
    second = make_op("channel_shuffle", type_, groups=per_group)
    assert first.macs == 0
    assert torch.equal(second.spec.module(second)(first.spec.module(first)(x)), x)


# --- what blocks compute


def run(network: Network, x):
    """Evaluates a network op by op with freshly made torch modules."""
    torch.manual_seed(0)
    values = {network.inputs[0][0]: x}
    for node in network:
        module = node.op.spec.module(node.op).eval()
        made = module(*(values[v] for v in node.inputs))
        values.update(zip(node.outputs, made if isinstance(made, tuple | list) else (made,), strict=True))
    return values[network.outputs[0]]


def test_attention_is_torch_multi_head_attention():
    b = NetworkBuilder("attention")
    network = b.build(blocks.multi_head_attention(b, b.input((2, 5, 12)), 3))
    torch.manual_seed(1)
    reference = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    torch.nn.init.normal_(reference.in_proj_bias)
    x = torch.randn(2, 5, 12)
    values = {"input": x}
    for node in network:
        module = node.op.spec.module(node.op)
        if node.name == "in_proj":
            module.weight, module.bias = reference.in_proj_weight, reference.in_proj_bias
        if node.name == "out_proj":
            module.weight, module.bias = reference.out_proj.weight, reference.out_proj.bias
        made = module(*(values[v] for v in node.inputs))
        values.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True))
    wanted, _ = reference(x, x, x, need_weights=False)
    torch.testing.assert_close(values[network.outputs[0]], wanted)


@pytest.mark.parametrize("size", [14, 10])
@pytest.mark.parametrize("shift", [0, 3])
def test_window_attention_keeps_the_shape_whatever_the_window_divides(size, shift):
    b = NetworkBuilder("swin")
    x = b.input((2, size, size, 24))
    index = b.op("constant", name="index", shape=(7**4,), dtype="int64")
    network = b.build(blocks.window_attention(b, x, 3, window=7, shift=shift, bias_index=index))
    assert run(network, torch.randn(2, size, size, 24)).shape == (2, size, size, 24)


def test_transformer_block_has_twelve_d_squared_weights():
    b = NetworkBuilder("transformer")
    network = b.build(blocks.transformer_block(b, b.input((1, 10, 64)), 4))
    assert network.params == 12 * 64**2 + 13 * 64  # 4 D biases of attention, 5 D of the perceptron, 4 D of the norms


def test_squeeze_excite_scales_channels():
    network = only(8, 5, blocks.squeeze_excite, 2)
    x = torch.randn(1, 8, 5, 5)
    ratio = run(network, x) / x
    torch.testing.assert_close(ratio, ratio[..., :1, :1].expand_as(ratio))
    assert network.macs == 2 * 8 * 2
    assert network.params == 2 * 8 * 2 + 8 + 2


def test_residual_of_dead_convolutions_is_the_identity():
    network = only(16, 6, blocks.basic_block, 16)
    x = torch.rand(1, 16, 6, 6)
    values = {"input": x}
    for node in network:
        module = node.op.spec.module(node.op).eval()
        if node.op.kind == "conv2d":
            torch.nn.init.zeros_(module.weight)
        values[node.name] = module(*(values[v] for v in node.inputs))
    assert torch.equal(values[network.outputs[0]], x)


# --- inverted bottlenecks


def test_shortcut_where_shapes_agree_unless_told_otherwise():
    def adds(**options) -> bool:
        network = only(16, 8, blocks.inverted_bottleneck, options.pop("out", 16), mid_channels=48, **options)
        return any(node.op.kind == "add" for node in network)

    assert adds()
    assert not adds(skip=False)
    assert not adds(stride=2)
    assert not adds(out=24)


def test_shortcut_between_different_shapes_is_refused():
    with pytest.raises(ShapeError, match="no shortcut from 16 to 24"):
        only(16, 8, blocks.inverted_bottleneck, 24, mid_channels=48, skip=True)


def test_channels_change_only_through_an_expansion():
    with pytest.raises(ShapeError, match="only through an expansion"):
        only(16, 8, blocks.inverted_bottleneck, 24, mid_channels=48, expand=False)


@pytest.mark.parametrize("style", ["plain", "mobilenet_v2", "nested", "flat"])
def test_styles_differ_in_names_alone(style):
    network = only(16, 8, blocks.inverted_bottleneck, 16, mid_channels=48, squeeze_channels=8, style=style)
    plain = only(16, 8, blocks.inverted_bottleneck, 16, mid_channels=48, squeeze_channels=8)
    assert network.fingerprint == plain.fingerprint


@given(st.floats(1, 4096), st.sampled_from([1, 4, 8, 16]))
def test_make_divisible(value, divisor):
    result = blocks.make_divisible(value, divisor)
    assert result % divisor == 0
    assert result >= 0.9 * value
    assert result <= max(divisor, value + divisor)


# --- ShuffleNet


@pytest.mark.parametrize("stride", [1, 2])
def test_shuffle_unit_v1(stride):
    channels = 240 if stride == 1 else 24
    network = only(channels, 8, blocks.shuffle_unit_v1, 240, groups=3, stride=stride)
    kinds = network.op_counts()
    assert shape_of(network) == (1, 240, 8 // stride, 8 // stride)
    assert ("add" in kinds, "concat" in kinds, "avg_pool2d" in kinds) == (stride == 1, stride == 2, stride == 2)
    groups = {node.name: node.op["groups"] for node in network if node.op.kind == "conv2d"}
    assert groups == {"conv1": 3, "conv2": 60, "conv3": 3}


def test_first_shuffle_unit_has_a_dense_pointwise():
    network = only(24, 8, blocks.shuffle_unit_v1, 240, groups=3, stride=2, group_first=False)
    assert next(node.op for node in network if node.name == "conv1")["groups"] == 1


@pytest.mark.parametrize("stride", [1, 2])
def test_shuffle_unit_v2(stride):
    network = only(116, 8, blocks.shuffle_unit_v2, 116, stride=stride)
    assert shape_of(network) == (1, 116, 8 // stride, 8 // stride)
    assert ("split" in network.op_counts()) == (stride == 1)


@pytest.mark.parametrize(
    ("unit", "out", "options"),
    [
        (blocks.shuffle_unit_v1, 48, {"groups": 2}),
        (blocks.shuffle_unit_v1, 24, {"groups": 2, "stride": 2}),
        (blocks.shuffle_unit_v2, 48, {}),
        (blocks.shuffle_unit_v2, 25, {"stride": 2}),
    ],
)
def test_shuffle_units_refuse_impossible_channels(unit, out, options):
    with pytest.raises(ShapeError, match="cannot turn 24 channels"):
        only(24, 8, unit, out, **options)


# --- DenseNet


def test_dense_layers_grow_and_transitions_halve():
    b = NetworkBuilder("dense")
    features = [b.input((1, 24, 8, 8))]
    for i in range(3):
        with b.scope(f"layer{i}"):
            features.append(blocks.dense_layer(b, features, 12))
    assert [b.channels(v) for v in features] == [24, 12, 12, 12]
    joined = b.op("concat", *features)
    assert b.shape(blocks.transition(b, joined, 30)) == (1, 30, 4, 4)


# --- NAS-Bench-201 cells

ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|"
cells = st.tuples(*[st.sampled_from(blocks.NASBENCH201_OPS)] * 6)


def test_architecture_string_is_read():
    ops = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "none", "avg_pool_3x3", "nor_conv_1x1")
    assert blocks.parse_nasbench201(ARCH) == ops


@given(cells)
def test_architecture_strings_round_trip(ops):
    assert blocks.parse_nasbench201(nasbench201_string(ops)) == ops


@pytest.mark.parametrize(
    "arch",
    [
        "",
        "6111x",
        ARCH[:-1],
        ARCH[1:],
        ARCH.replace("nor_conv_3x3", "nor_conv_9x9"),
        ARCH.replace("~2", "~1"),
        ARCH * 2,
    ],
)
def test_what_is_no_architecture_string_is_refused(arch):
    with pytest.raises(UsageError, match="is not a NAS-Bench-201 cell"):
        blocks.parse_nasbench201(arch)


@given(cells)
def test_every_edge_costs_what_it_is(ops):
    """Convolutions cost 9 or 1 times C^2 H W, dead or not; everything else is free."""
    network = only(4, 6, blocks.nasbench201_cell, ops)
    weights = sum({"nor_conv_3x3": 9, "nor_conv_1x1": 1}.get(op, 0) for op in ops)
    assert network.macs == weights * 4 * 4 * 6 * 6
    assert shape_of(network) == (1, 4, 6, 6)


def cell_reference(x, ops, modules):
    """The cell as its definition reads: `none` multiplies by zero, everything runs."""
    nodes, edges = [x], iter(range(6))
    for node in range(1, 4):
        total = torch.zeros_like(x)
        for source in range(node):
            edge = next(edges)
            total = total + modules(edge, ops[edge], nodes[source])
        nodes.append(total)
    return nodes[3]


@given(cells)
def test_cell_computes_its_definition(ops):
    """With all weights 1/10, norms at rest and the norms' shift 1/2, so that dead convolutions matter."""
    network = only(2, 4, blocks.nasbench201_cell, ops)
    x = torch.linspace(-1, 1, 32).reshape(1, 2, 4, 4)

    def prepared(module):
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 0.1)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.bias, 0.5)
        return module.eval()

    values = {"input": x}
    for node in network:
        values[node.name] = prepared(node.op.spec.module(node.op))(*(values[v] for v in node.inputs))

    def edge(_, op, value):
        if op == "none":
            return value * 0
        if op == "skip_connect":
            return value
        if op == "avg_pool_3x3":
            return torch.nn.functional.avg_pool2d(value, 3, 1, 1, count_include_pad=False)
        kernel = int(op[-1])
        conv = torch.nn.Conv2d(2, 2, kernel, padding=kernel // 2, bias=False)
        return prepared(torch.nn.BatchNorm2d(2))(prepared(conv)(value.relu()))

    with torch.no_grad():
        torch.testing.assert_close(values[network.outputs[0]], cell_reference(x, ops, edge))


# --- NASNet-style cells


def nasnet(cell_blocks, *, reduction=False, before=(1, 24, 8, 8), last=(1, 16, 8, 8)) -> Network:
    b = NetworkBuilder("cell")
    h0, h1 = b.input(before, name="before"), b.input(last, name="last")
    return b.build(blocks.nasnet_cell(b, h0, h1, cell_blocks, 8, reduction=reduction))


nasnet_blocks = st.integers(1, 5).flatmap(
    lambda count: st.tuples(
        *(
            st.builds(
                blocks.CellBlock,
                st.integers(0, i + 1),
                st.integers(0, i + 1),
                st.sampled_from(blocks.NASNET_OPS),
                st.sampled_from(blocks.NASNET_OPS),
                st.sampled_from(["add", "concat"]),
            )
            for i in range(count)
        )
    )
)


@given(nasnet_blocks, st.booleans(), st.booleans())
def test_unused_states_are_concatenated(cell_blocks, reduction, twice_as_large):
    size = 16 if twice_as_large else 8
    network = nasnet(cell_blocks, reduction=reduction, before=(1, 24, size, size))
    widths = [8, 8] + [16 if block.combine == "concat" else 8 for block in cell_blocks]
    used = {i for block in cell_blocks for i in (block.first, block.second)}
    loose = sum(width for i, width in enumerate(widths) if i not in used)
    side = 4 if reduction else 8
    assert shape_of(network) == (1, loose, side, side)


def test_a_cell_of_identities_and_pools_has_no_weights():
    block = blocks.CellBlock(0, 1, "identity", "max_pool_3x3")
    assert nasnet([block], before=(1, 8, 8, 8), last=(1, 8, 8, 8)).params == 0


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (blocks.CellBlock(0, 2, "identity", "identity"), "reads state 2"),
        (blocks.CellBlock(0, -1, "identity", "identity"), "reads state -1"),
        (blocks.CellBlock(0, 1, "identity", "conv_11x11"), "is no operation"),
    ],
)
def test_cells_that_do_not_exist_are_refused(block, message):
    with pytest.raises(UsageError, match=message):
        nasnet([block])


# --- DARTS' cell


def darts(nodes, *, reduction=False, before=(1, 24, 8, 8), last=(1, 16, 8, 8)) -> Network:
    b = NetworkBuilder("cell")
    h0, h1 = b.input(before, name="before"), b.input(last, name="last")
    return b.build(blocks.darts_cell(b, h0, h1, nodes, 8, reduction=reduction))


darts_nodes = st.tuples(
    *(
        st.tuples(
            *(st.builds(blocks.DartsEdge, st.integers(0, i + 1), st.sampled_from(blocks.DARTS_OPS)) for _ in range(2))
        )
        for i in range(4)
    )
)


@given(darts_nodes, st.booleans(), st.booleans())
def test_all_nodes_of_a_darts_cell_are_concatenated(nodes, reduction, twice_as_large):
    size = 16 if twice_as_large else 8
    network = darts(nodes, reduction=reduction, before=(1, 24, size, size))
    side = 4 if reduction else 8
    assert shape_of(network) == (1, 4 * 8, side, side)
    strides = {node.op["stride"] for node in network if node.op.kind in ("conv2d", "max_pool2d", "avg_pool2d")}
    assert ((2, 2) in strides) == (twice_as_large or (reduction and any(e.source < 2 for n in nodes for e in n)))


def test_a_darts_edge_costs_what_its_convolutions_do():
    """At C channels and H x W: a separable convolution twice H W (k^2 C + C^2), one with gaps half of that."""
    costs = {op: only(8, 16, blocks.darts_op, op, 1).macs for op in blocks.DARTS_OPS}
    for op, kernel, times in (("sep_conv_3x3", 3, 2), ("sep_conv_5x5", 5, 2), ("dil_conv_3x3", 3, 1)):
        assert costs[op] == times * 16 * 16 * (kernel**2 * 8 + 8 * 8)
    assert costs["skip_connect"] == costs["max_pool_3x3"] == costs["avg_pool_3x3"] == 0
    halving = only(8, 16, blocks.darts_op, "skip_connect", 2)
    assert halving.macs == 8 * 8 * 8 * 8
    assert halving.params == 8 * 8 + 2 * 8


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (blocks.DartsEdge(2, "skip_connect"), "reads state 2"),
        (blocks.DartsEdge(-1, "skip_connect"), "reads state -1"),
        (blocks.DartsEdge(0, "none"), "'none' is no operation"),
    ],
)
def test_darts_cells_that_do_not_exist_are_refused(edge, message):
    with pytest.raises(UsageError, match=message):
        darts([(edge, blocks.DartsEdge(1, "skip_connect"))])


def test_an_odd_image_cannot_be_halved_by_a_darts_cell():
    with pytest.raises(ShapeError, match="cannot be halved evenly"):
        only(8, 15, blocks.darts_op, "skip_connect", 2)
