"""Networks in int8 for ONNX Runtime: written, lowered, read back."""

from collections import Counter

import numpy as np
import pytest

from lutra.networks import Network, NetworkBuilder, zoo
from lutra.networks.blocks import inverted_bottleneck
from lutra.networks.errors import UsageError
from lutra.networks.exporters import to_onnx, to_onnx_int8
from lutra.networks.exporters._fold import fold_batch_norms
from lutra.networks.importers import from_onnx
from lutra.networks.lowering import lower, lower_given

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def mobile() -> Network:
    """A stem, two inverted residuals, a pooled classifier."""
    b = NetworkBuilder("mobile")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=8, kernel_size=3, padding=1))
    for _ in range(2):
        x = inverted_bottleneck(b, x, 8, mid_channels=32)
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10))


def transformer() -> Network:
    """Half a transformer block: a layer norm, a linear layer over tokens, a gelu, a residual."""
    b = NetworkBuilder("transformer")
    x = b.input((1, 12, 32))
    y = b.op("linear", b.op("layer_norm", x), out_features=32)
    return b.build(b.op("add", x, b.op("softmax", b.op("gelu", y))))


def gated() -> Network:
    """What mobile networks multiply by: squeeze-excite, hard-swish, silu; and a concatenation."""
    b = NetworkBuilder("gated")
    x = b.op("hard_swish", b.op("conv2d", b.input((1, 4, 8, 8)), out_channels=8, kernel_size=3, padding=1))
    gate = b.op("sigmoid", b.op("conv2d", b.op("global_avg_pool2d", x), out_channels=8, kernel_size=1))
    y = b.op("silu", b.op("mul", x, gate))
    return b.build(b.op("concat", y, b.op("max_pool2d", x, kernel_size=3, stride=1, padding=1), axis=1))


NETWORKS = [mobile(), transformer(), gated()]


def run(model: "onnx.ModelProto", seed: int = 0) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    feeds = {value.name: rng.standard_normal(value.shape, dtype=np.float32) for value in session.get_inputs()}
    return session.run(None, feeds)[0]


def ops_of(network: Network) -> Counter[str]:
    return Counter(
        node.op for kernel in lower(network, "onnxruntime", precision="int8").kernels for node in kernel.nodes
    )


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_int8_computes_about_the_same(network: Network) -> None:
    expected, got = run(to_onnx(fold_batch_norms(network))), run(to_onnx_int8(network))
    assert got.shape == expected.shape
    assert np.corrcoef(expected.ravel(), got.ravel())[0, 1] > 0.95


def test_a_mobile_network_runs_in_8_bits_throughout() -> None:
    assert ops_of(mobile()) == {
        "QuantizeLinear": 1,
        "Transpose": 2,
        "QLinearConv": 7,
        "QLinearAdd": 2,
        "QLinearGlobalAveragePool": 1,
        "Flatten": 1,
        "QGemm": 1,
        "DequantizeLinear": 1,
    }


def test_pairs_stand_where_the_runtimes_own_quantiser_puts_them(tmp_path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    network = zoo.build("mobilenet_v3_small", resolution=64)
    source, target = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    quantization.quant_pre_process(to_onnx(network), source, skip_symbolic_shape=True)

    class Once(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.left = [{name: rng.standard_normal(t.shape, dtype=np.float32) for name, t in network.inputs}]

        def get_next(self):
            return self.left.pop() if self.left else None

    quantization.quantize_static(
        source,
        target,
        Once(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    content = target.read_bytes()
    imported = from_onnx(content, trusted=True).network
    lowered, model = lower_given(imported, content, "onnxruntime", precision="int8")
    assert model == content
    ours = lower(network, "onnxruntime", precision="int8")
    assert [kernel.label for kernel in lowered.kernels] == [kernel.label for kernel in ours.kernels]
    assert imported.macs == lowered.macs == ours.macs == network.macs
    assert {k.key for k in lowered.kernels} == {k.key for k in ours.kernels}


@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet_v2_x1_0", "vit_tiny", "densenet121"])
def test_nothing_is_lost_of_the_work(name: str) -> None:
    network = zoo.build(name, resolution=64) if name != "vit_tiny" else zoo.build(name)
    assert lower(network, "onnxruntime", precision="int8").macs == network.macs


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("batch", [4, 16])
def test_a_batch_is_work_for_each_image(batch: int, precision: str) -> None:
    one, many = (zoo.build("resnet18", resolution=64, batch=count) for count in (1, batch))
    lowered = lower(many, "onnxruntime", precision=precision)
    assert lowered.macs == batch * one.macs
    assert len(lowered.kernels) == len(lower(one, "onnxruntime", precision=precision).kernels)
    assert any(kernel.label.endswith(f"MaxPool @{batch}x16") for kernel in lowered.kernels)


def test_equal_blocks_are_one_kernel() -> None:
    labels = Counter(kernel.label for kernel in lower(mobile(), "onnxruntime", precision="int8").kernels)
    lowered = lower(mobile(), "onnxruntime", precision="int8")
    assert len(lowered.distinct) == len(labels)
    assert labels["QConv 1x1 8->32 + QDWConv 3x3 32 + QConv 1x1 32->8 + QLinearAdd @16"] == 2


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_quantised_file_is_read_as_what_was_quantised(network: Network) -> None:
    read = from_onnx(to_onnx_int8(network).SerializeToString(), trusted=True)
    folded = fold_batch_norms(network)
    assert (read.network.macs, read.network.params) == (folded.macs, folded.params)
    assert read.network.types[read.network.outputs[0]] == folded.types[folded.outputs[0]]
    assert read.report.dropped["QuantizeLinear"]


def test_a_file_that_is_quantised_is_lowered_as_it_is_and_only_in_int8() -> None:
    network = mobile()
    quantised, plain = (write(network).SerializeToString() for write in (to_onnx_int8, to_onnx))
    assert lower_given(network, quantised, "onnxruntime", precision="int8")[1] == quantised
    assert lower_given(network, plain, "onnxruntime", precision="float32")[1] == plain
    lowered, model = lower_given(network, plain, "onnxruntime", precision="int8")
    assert model is None
    assert lowered is lower(network, "onnxruntime", precision="int8")
    assert lower_given(network, quantised, "native") == (lower(network, "native"), None)
    with pytest.raises(UsageError, match="is quantised") as caught:
        lower_given(network, quantised, "onnxruntime")
    assert caught.value.hint == "give --precision int8"


def test_batch_norms_fold_only_where_nobody_else_reads() -> None:
    def built(shared: bool) -> Network:
        b = NetworkBuilder("norm")
        y = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=1, bias=False)
        z = b.op("batch_norm", y)
        return b.build(b.op("add", y, z) if shared else b.op("relu", z))

    assert fold_batch_norms(built(shared=True)) == built(shared=True)
    folded = fold_batch_norms(built(shared=False))
    assert folded.op_counts() == {"conv2d": 1, "relu": 1}
    assert folded.params == 3 * 4 + 4
