"""Torch modules imported directly and by way of their ONNX export: the same function, the same counts."""

import io
import math
import warnings

import numpy as np
import pytest

from lutra.networks.exporters import to_onnx, to_torch
from lutra.networks.importers import Imported, from_onnx, from_torch

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402


class Residual(nn.Module):
    """Convolutions, batch norm, relu6 in place, a shortcut, a classifier with dropout."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.head = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(8, 5))

    def forward(self, x):
        x = self.stem(x)
        y = self.pointwise(functional.leaky_relu(self.depthwise(x), 0.1))
        y += x
        y = functional.max_pool2d(y, 3, 2, 1)
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(y, 1), 1))


class SqueezeExcite(nn.Module):
    """Gates by a bottleneck, hard-swish and hard-sigmoid, SiLU written out."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Conv2d(4, 8, 1)
        self.reduce, self.restore = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

    def forward(self, x):
        x = functional.hardswish(self.expand(x))
        gate = self.reduce(x.mean((2, 3), keepdim=True)).relu()
        x = x * functional.hardsigmoid(self.restore(gate))
        return x * torch.sigmoid(x), functional.silu(x)


class Shuffle(nn.Module):
    """ShuffleNet's unit: chunk, two branches, concat, channel shuffle by view and transpose."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, self.branch(right)), dim=1)
        n, c, h, w = x.size()
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class Encoder(nn.Module):
    """Patches, class token, positions, torch's own attention, GELU."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 17, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(8, eps=1e-6), nn.Linear(8, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.layer(x))[:, 0])


class Attention(nn.Module):
    """Attention by hand: one projection, unbind, softmax of scaled products."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24, bias=False), nn.Linear(8, 8)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4).unbind(0)
        attention = (q @ k.transpose(-2, -1) * (d // 2) ** -0.5).softmax(dim=-1)
        return x + self.out((attention @ v).transpose(1, 2).reshape(n, t, d))


class Windows(nn.Module):
    """Swin's ways: rolled windows, a mask built by writing into parts, a table of biases looked up by position."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(7, 1))
        self.register_buffer("index", (torch.arange(4)[:, None] - torch.arange(4)[None, :] + 3).reshape(-1))
        self.mix = nn.Linear(6, 6)

    def forward(self, x):
        x = torch.roll(x, shifts=(-1, -1), dims=(1, 2))
        n, h, w, c = x.shape
        windows = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        mask = x.new_zeros(windows.shape[0], 4, 4)
        mask[1:, :2, 2:] = -100.0
        bias = self.table[self.index].view(4, 4)
        scores = windows @ windows.transpose(1, 2) + bias + mask
        return self.mix(functional.softmax(scores, dim=-1) @ windows)


class UNet(nn.Module):
    """Down and up again: strided and transposed convolutions, both interpolations, group norm, padding."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(3, 6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.last = nn.Conv2d(12, 2, 3)

    def forward(self, x):
        low = functional.gelu(self.norm(self.down(x)), approximate="tanh")
        nearest = functional.interpolate(self.up(low), size=x.shape[2:], mode="nearest")
        smooth = functional.interpolate(low, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = torch.cat([x, nearest, smooth], dim=1)
        return self.last(functional.pad(x, (1, 1, 1, 1)))


class Oddments(nn.Module):
    """Smaller things: one-dimensional layers, instance norm, pixel shuffle, scalars on both sides, reductions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 16, 3, padding="same", bias=False)
        self.instance = nn.InstanceNorm2d(4, affine=True)
        self.scale = nn.Parameter(torch.rand(16, 1) + 0.5)

    def forward(self, x):
        y = functional.avg_pool1d(self.conv(x) * self.scale, 2)
        image = self.instance(functional.pixel_shuffle(y.reshape(1, 16, 4, 4), 2))
        a = 1.0 - image / 2 + 3 * image.abs().sqrt()
        b = torch.stack([image.clamp(-0.5, 0.25), image.exp()], dim=1).amax(dim=(1, 3))
        return a.sum(dim=1), b, functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)


class Tied(nn.Module):
    """A layer that is used twice, and another that shares its parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight, self.second.bias = self.first.weight, self.first.bias

    def forward(self, x):
        return self.first(torch.tanh(self.second(torch.tanh(self.first(x)))))


class LanguageModel(nn.Module):
    """A table of embeddings that is also the classifier."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, x):
        return self.head(functional.rms_norm(self.table(x), (6,)))


CASES = [
    pytest.param(Residual, (2, 3, 16, 16), id="residual"),
    pytest.param(SqueezeExcite, (2, 4, 6, 6), id="squeeze-excite"),
    pytest.param(Shuffle, (2, 8, 5, 5), id="shuffle"),
    pytest.param(Encoder, (2, 3, 16, 16), id="encoder"),
    pytest.param(Attention, (2, 7, 8), id="attention"),
    pytest.param(Windows, (1, 4, 4, 6), id="windows"),
    pytest.param(UNet, (1, 2, 8, 10), id="unet"),
    pytest.param(Oddments, (1, 4, 32), id="oddments"),
    pytest.param(Tied, (3, 4), id="tied"),
]


def seeded(cls):
    """A module in evaluation mode, whose norms do something."""
    torch.manual_seed(0)
    module = cls().eval()
    with torch.no_grad():
        for name, tensor in module.named_buffers():
            if "running" in name:
                tensor.uniform_(0.5, 1.5)
        for tensor in module.parameters():
            tensor.add_(0.05 * torch.randn(tensor.shape))
    return module


def tensors_of(module):
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor.detach().numpy() for name, tensor in named}


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def assert_same_function(imported: Imported, tensors, module, x):
    """The imported network with the model's weights computes what the module does."""
    network = imported.network
    twin = to_torch(network).eval()
    weights = {name: torch.as_tensor(value.copy()) for name, value in imported.weights(tensors).items()}
    twin.load_state_dict(weights, strict=False)
    unset = {key for key, tensor in twin.state_dict().items() if key not in weights and "num_batches" not in key}
    shared = {f"{node.name}." for node in network if node.weights_from}
    with_values = {f"{node.name}." for node in network if node.op.kind == "constant" and node.op["values"]}
    assert not {key for key in unset if not key.startswith((*shared, *with_values))}
    with torch.no_grad():
        expected, measured = as_tuple(module(x)), as_tuple(twin(x))
    for a, b in zip(measured, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=2e-5)


def exported(module, x, *, keep_norms: bool = False) -> bytes:
    """The module as an ONNX file, by torch's own exporter, which folds batch norms into convolutions unless told."""
    pytest.importorskip("onnx")
    buffer = io.BytesIO()
    modes = torch.onnx.TrainingMode
    mode = modes.PRESERVE if keep_norms else modes.EVAL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), buffer, dynamo=False, opset_version=17, training=mode)
    return buffer.getvalue()


def onnx_tensors(model: bytes):
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(model).graph
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


@pytest.mark.parametrize(("cls", "shape"), CASES)
def test_torch_module(cls, shape):
    module, x = seeded(cls), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    imported = from_torch(module, [x])
    assert imported.network.params == sum(p.numel() for p in module.parameters())
    assert [type_.shape for _, type_ in imported.network.inputs] == [shape]
    assert_same_function(imported, tensors_of(module), module, x)


@pytest.mark.parametrize(("cls", "shape"), CASES)
def test_onnx_export_of_a_torch_module(cls, shape):
    module, x = seeded(cls), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    model = exported(module, x)
    imported = from_onnx(model, trusted=True)
    assert_same_function(imported, onnx_tensors(model), module, x)


@pytest.mark.parametrize(("cls", "shape"), CASES)
def test_both_ways_count_the_same(cls, shape):
    module, x = seeded(cls), torch.zeros(shape)
    direct = from_torch(module, x).network
    by_file = from_onnx(exported(module, x, keep_norms=True), trusted=True).network
    assert direct.macs == by_file.macs
    if cls is not Windows:  # its file holds a bias that was looked up at export instead of the table
        assert direct.params == by_file.params


@pytest.mark.parametrize(("cls", "shape"), CASES)
def test_import_of_our_own_export(cls, shape):
    network = from_torch(seeded(cls), input_shapes=shape).network
    again = from_onnx(to_onnx(network).SerializeToString(), trusted=True).network
    assert (again.macs, again.params) == (network.macs, network.params)


def test_ops_are_put_together_again():
    counts = {}
    for cls, shape in (
        (SqueezeExcite, (2, 4, 6, 6)),
        (Shuffle, (2, 8, 5, 5)),
        (Encoder, (2, 3, 16, 16)),
        (UNet, (1, 2, 8, 8)),
    ):
        counts |= from_onnx(exported(seeded(cls), torch.zeros(shape)), trusted=True).network.op_counts()
    assert {"hard_swish", "hard_sigmoid", "silu", "channel_shuffle", "layer_norm", "gelu", "group_norm"} <= set(counts)
    assert not {"erf", "tanh", "sqrt", "pow"} & set(counts)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("fast_path", [True, False])
def test_attention_counts_the_same_whatever_the_mode(grad, fast_path):
    tokens, width, hidden = 9, 8, 16
    layer = nn.TransformerEncoderLayer(width, 2, hidden, batch_first=True).train()
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast_path)
    try:
        with torch.set_grad_enabled(grad):
            network = from_torch(layer, input_shapes=(1, tokens, width)).network
        assert torch.backends.mha.get_fastpath_enabled() is fast_path
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    assert network.macs == attention + 2 * tokens * width * hidden
    assert all(module.training for module in layer.modules())


def test_nodes_are_named_after_the_modules():
    network = from_torch(seeded(Residual), input_shapes=(1, 3, 16, 16)).network
    names = {node.name for node in network}
    assert {"stem.0", "stem.1", "stem.2", "depthwise", "pointwise", "head.1"} <= names
    assert network.name == "Residual"


def test_shared_parameters_are_told():
    imported = from_torch(seeded(Tied), input_shapes=(1, 4))
    owners = {node.weights_from for node in imported.network if node.op.kind == "linear"}
    assert owners == {"", "first"}
    assert set(map(str, imported.parameter_sources.values())) == {"first.weight", "first.bias"}


def test_a_table_that_is_also_the_classifier():
    module, tokens = seeded(LanguageModel), torch.tensor([[1, 5, 0], [10, 2, 2]])
    imported = from_torch(module, [tokens])
    assert imported.network.params == 11 * 6
    assert_same_function(imported, tensors_of(module), module, tokens)


def test_several_inputs_by_name():
    class Pair(nn.Module):
        def forward(self, image, text):
            return image.flatten(1) @ text, image

    network = from_torch(Pair(), input_shapes={"image": (2, 3, 4), "text": (12, 5)}, name="pair").network
    assert [(name, type_.shape) for name, type_ in network.inputs] == [("image", (2, 3, 4)), ("text", (12, 5))]
    assert network.name == "pair"
    assert network.macs == 2 * 12 * 5


def test_dropped_ops_are_reported():
    imported = from_torch(seeded(Residual), input_shapes=(1, 3, 16, 16))
    assert imported.report.dropped == {"dropout": 1}
    assert imported.report.unknown == {}


def test_einsum():
    class Products(nn.Module):
        def forward(self, a, b):
            return torch.einsum("nhqd,nkhd->nhqk", a, b), torch.einsum("nhqd,nkhd->qk", a, b)

    class First(nn.Module):
        def forward(self, a, b):
            return torch.einsum("nhqd,nkhd->nqhk", a, b)

    from lutra.networks.errors import UnsupportedOpError

    shapes = ((2, 3, 4, 5), (2, 6, 3, 5))
    imported = from_torch(First(), input_shapes=shapes)
    assert imported.network.macs == 2 * 3 * 4 * 6 * 5
    a, b = (torch.randn(shape) for shape in shapes)
    torch.testing.assert_close(to_torch(imported.network)(a, b), First()(a, b))
    assert math.prod(imported.network.types[imported.network.outputs[0]].shape) == 2 * 4 * 3 * 6
    assert from_torch(Products(), input_shapes=shapes).network.macs == 2 * 2 * 3 * 4 * 6 * 5
    with pytest.raises(UnsupportedOpError, match="einsum"):
        from_torch(Trace(), input_shapes=((2, 3, 3),))


class Trace(nn.Module):
    def forward(self, a):
        return torch.einsum("nii->n", a)
