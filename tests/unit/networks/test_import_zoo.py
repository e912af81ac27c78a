"""Networks of the zoo out and in again, and `load_network`, which takes whatever means a network."""

from pathlib import Path

import pytest

from lutra.networks import Network, NetworkBuilder, zoo
from lutra.networks.errors import CorruptModelError, UnknownNameError, UsageError
from lutra.networks.exporters import to_onnx, to_torch
from lutra.networks.importers import from_onnx, from_torch
from lutra.networks.load import load_network

SAME = (
    "densenet121",
    "efficientnet_b0",
    "mcunet_in4",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "nasbench201/6111",
    "ofa_mobilenet_v3",
    "proxyless_cpu",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v1_g3",
    "shufflenet_v2_x1_0",
)
COUNTED = ("swin_t", "vit_tiny")


@pytest.mark.parametrize("name", SAME)
def test_onnx_and_back_is_the_same_network(name):
    network = zoo.build(name)
    imported = from_onnx(to_onnx(network).SerializeToString(), trusted=True)
    assert imported.network.fingerprint == network.fingerprint
    assert imported.network.params == network.params
    assert set(imported.parameter_sources) >= {(n.name, w) for n in network for w in n.op.weights if not n.weights_from}


@pytest.mark.parametrize("name", COUNTED)
def test_onnx_and_back_counts_the_same(name):
    """ONNX writes some ops of these in other ways, which compute and count the same."""
    network = zoo.build(name)
    again = from_onnx(to_onnx(network).SerializeToString(), trusted=True).network
    assert (again.macs, again.params) == (network.macs, network.params)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "vit_tiny", "swin_t"])
def test_torch_and_back_counts_the_same(name):
    pytest.importorskip("torch")
    network = zoo.build(name)
    again = from_torch(to_torch(network), input_shapes=network.inputs[0][1].shape).network
    assert (again.macs, again.params) == (network.macs, network.params)


def tiny() -> Network:
    b = NetworkBuilder("tiny")
    return b.build(b.op("linear", b.input((1, 4)), name="fc", out_features=3))


def test_load_by_name():
    assert load_network("mobilenet_v2").fingerprint == zoo.build("mobilenet_v2").fingerprint


def test_load_network_itself():
    network = tiny()
    assert load_network(network) is network


def test_load_saved_network(tmp_path):
    path = tmp_path / "tiny.json"
    tiny().save(path)
    assert load_network(path) == tiny()
    assert load_network(str(path)) == tiny()


@pytest.mark.parametrize("trusted", [True, False])
def test_load_onnx(tmp_path, trusted):
    path = tmp_path / "tiny.ONNX"
    path.write_bytes(to_onnx(tiny()).SerializeToString())
    assert load_network(str(path), trusted=trusted).fingerprint == tiny().fingerprint


def test_load_torch_module():
    torch = pytest.importorskip("torch")
    network = load_network(torch.nn.Linear(4, 3), input_shapes=(1, 4))
    assert network.fingerprint == tiny().fingerprint
    with pytest.raises(UsageError, match="input_shapes"):
        load_network(torch.nn.Linear(4, 3))


def test_load_misspelt_name():
    with pytest.raises(UnknownNameError, match="mobilenet_v2"):
        load_network("mobilenet_v22")
    with pytest.raises(UnknownNameError):
        load_network("mobilenet_v2.5")


@pytest.mark.parametrize("source", ["./model", "model.pt", "models/net.tflite", Path("anything")])
def test_load_path_that_is_not_there(source):
    with pytest.raises(CorruptModelError, match="does not exist") as caught:
        load_network(source)
    assert ".onnx" in caught.value.hint


def test_load_file_of_another_kind(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"PK")
    with pytest.raises(CorruptModelError, match="is no model file"):
        load_network(str(path))
    for name in ("missing.onnx", "missing.json"):
        with pytest.raises(CorruptModelError, match=name):
            load_network(tmp_path / name, trusted=True)


@pytest.mark.parametrize("source", [3, None, ["mobilenet_v2"]])
def test_load_what_is_no_network(source):
    with pytest.raises(UsageError, match="is not a network"):
        load_network(source)


def test_load_with_shapes_that_nothing_takes(tmp_path):
    with pytest.raises(UsageError, match="fixed input shapes"):
        load_network("mobilenet_v2", input_shapes={"input": (1, 3, 96, 96)})
    with pytest.raises(UsageError, match="fixed input shapes"):
        load_network(tiny(), input_shapes=(1, 4))
    with pytest.raises(UsageError, match="by name"):
        load_network(tmp_path / "a.onnx", input_shapes=(1, 4))
