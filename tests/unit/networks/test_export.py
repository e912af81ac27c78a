"""Networks written as ONNX models and as torch modules."""

import numpy as np
import pytest

from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import ModelTooLargeError, ShapeError, UnsupportedDtypeError
from lutra.networks.exporters import to_onnx, to_torch


def small_cnn() -> Network:
    """Convolutions, batch norm, a residual, attention, and two linear layers that share their weights."""
    b = NetworkBuilder("small")
    x = b.input((2, 3, 16, 16))
    with b.scope("stem"):
        x = b.op("conv2d", x, name="conv", out_channels=8, kernel_size=3, stride=2, padding=1, bias=False)
        x = b.op("relu6", b.op("batch_norm", x, name="norm"))
    y = b.op("conv2d", x, name="depthwise", out_channels=8, kernel_size=3, padding=1, groups=8)
    x = b.op("add", x, b.op("hard_swish", y))
    tokens = b.op("transpose", b.op("reshape", x, shape=(2, 8, 64)), perm=(0, 2, 1))
    tokens = b.op("layer_norm", tokens, name="norm")
    tokens = b.op("linear", b.op("sdpa", tokens, tokens, tokens), name="shared", out_features=8)
    flat = b.op("mean", tokens, axes=(1,), keepdims=False)
    flat = b.op("linear", flat, name="again", out_features=8, weights_from="shared")
    first, second = b.ops("split", b.op("linear", flat, name="head", out_features=10), sizes=(4, 6))
    return b.build(first, second)


def random_input(network: Network):
    return np.random.default_rng(3).standard_normal(network.inputs[0][1].shape, dtype=np.float32)


def run_onnx(model, x):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def test_onnx_and_torch_compute_the_same():
    torch = pytest.importorskip("torch")
    network = small_cnn()
    module = to_torch(network).eval()
    x = random_input(network)
    with torch.no_grad():
        expected = module(torch.as_tensor(x))
    model = to_onnx(network, weights={key: t.numpy() for key, t in module.state_dict().items()})
    for measured, reference in zip(run_onnx(model, x), expected, strict=True):
        np.testing.assert_allclose(measured, reference.numpy(), rtol=1e-4, atol=1e-5)


def test_onnx_model_is_valid_and_named_after_the_network():
    onnx = pytest.importorskip("onnx")
    network = small_cnn()
    model = to_onnx(network)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17
    assert [value.name for value in model.graph.input] == ["input"]
    assert [value.name for value in model.graph.output] == list(network.outputs)
    stored = {t.name: tuple(t.dims) for t in model.graph.initializer}
    assert stored["stem.conv.weight"] == (8, 3, 3, 3)
    assert {node.name for node in network} <= {node.name for node in model.graph.node}


def test_shared_weights_are_stored_once():
    network = small_cnn()
    stored = [t.name for t in to_onnx(network).graph.initializer]
    assert len(stored) == len(set(stored))
    assert not any(name.startswith("again.") for name in stored)
    assert stored.count("shared.bias") == 1


def test_random_weights_give_finite_numbers_and_follow_the_seed():
    network = small_cnn()
    model = to_onnx(network, seed=1)
    assert all(np.isfinite(y).all() and np.abs(y).max() > 1e-6 for y in run_onnx(model, random_input(network)))
    assert to_onnx(network, seed=1).SerializeToString() == model.SerializeToString()
    assert to_onnx(network, seed=2).SerializeToString() != model.SerializeToString()


def test_an_input_and_a_repeated_value_can_be_returned():
    onnx = pytest.importorskip("onnx")
    b = NetworkBuilder("echo")
    x = b.input((2, 3))
    y = b.op("relu", x)
    model = to_onnx(b.build(x, y, y))
    onnx.checker.check_model(model, full_check=True)
    value = np.array([[-1, 2, 3], [4, -5, 6]], np.float32)
    for measured, expected in zip(run_onnx(model, value), (value, value.clip(0), value.clip(0)), strict=True):
        np.testing.assert_array_equal(measured, expected)


def test_over_two_gigabytes_is_refused_before_anything_is_drawn():
    b = NetworkBuilder("huge")
    x = b.input((1, 30_000))
    with pytest.raises(ModelTooLargeError, match=r"3\.35 GiB"):
        to_onnx(b.build(b.op("linear", x, out_features=30_000)))


def test_bad_weights_are_refused():
    network = small_cnn()
    with pytest.raises(ShapeError, match=r"no node for the weights nobody\.weight"):
        to_onnx(network, weights={"nobody.weight": np.zeros(3)})
    with pytest.raises(ShapeError, match=r"'head\.bias' has shape \(3,\)"):
        to_onnx(network, weights={"head.bias": np.zeros(3)})


def test_an_element_type_without_an_onnx_form_is_refused():
    b = NetworkBuilder("nibbles")
    with pytest.raises(UnsupportedDtypeError, match="int4"):
        to_onnx(b.build(b.op("relu", b.input((4,), "int4"))))


def test_half_precision_has_half_the_weights():
    b = NetworkBuilder("half")
    network = b.build(b.op("linear", b.input((2, 8), "float16"), name="fc", out_features=4))
    model = to_onnx(network)
    assert sum(len(t.raw_data) for t in model.graph.initializer) == 2 * network.params
    (y,) = run_onnx(model, np.ones((2, 8), np.float16))
    assert y.dtype == np.float16
    torch = pytest.importorskip("torch")
    assert to_torch(network)(torch.ones(2, 8, dtype=torch.float16)).dtype == torch.float16


def test_state_dict_is_named_after_the_nodes():
    pytest.importorskip("torch")
    network = small_cnn()
    keys = set(to_torch(network).state_dict())
    expected = {f"{node.name}.{name}" for node in network for name in (*node.op.weights, *node.op.buffers)}
    assert keys - {"stem.norm.num_batches_tracked"} == expected


def test_names_that_nest_or_clash_with_methods_work():
    torch = pytest.importorskip("torch")
    b = NetworkBuilder("names")
    x = b.input((1, 4))
    for name in ("head.norm.inner", "head", "train.forward", "head.norm", "type"):
        x = b.op("linear", x, name=name, out_features=4)
    module = to_torch(b.build(x))
    assert set(module.state_dict()) == {
        f"{name}.{part}"
        for name in ("head.norm.inner", "head", "train.forward", "head.norm", "type")
        for part in ("weight", "bias")
    }
    assert module.eval()(torch.ones(1, 4)).shape == (1, 4)


def test_shared_weights_stay_shared():
    torch = pytest.importorskip("torch")
    module = to_torch(small_cnn())
    assert sum(p.numel() for p in module.parameters()) == small_cnn().params
    parameters = dict(module.named_parameters(remove_duplicate=False))
    assert parameters["again.weight"] is parameters["shared.weight"]
    module.double()
    first, _ = module(torch.zeros(2, 3, 16, 16, dtype=torch.float64))
    assert first.dtype == torch.float64


def test_the_torch_module_trains():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = to_torch(small_cnn()).train()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    x, wanted = torch.randn(2, 3, 16, 16), torch.randn(2, 10)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.mse_loss(torch.cat(module(x), dim=1), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert module.state_dict()["stem.norm.num_batches_tracked"] == 20


def test_the_wrong_number_of_inputs_is_refused():
    torch = pytest.importorskip("torch")
    x = torch.zeros(2, 3, 16, 16)
    with pytest.raises(ShapeError, match="takes 1 inputs, not 2"):
        to_torch(small_cnn())(x, x)
