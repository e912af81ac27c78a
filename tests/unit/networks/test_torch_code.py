"""Networks as source code of torch modules: run without Lutra, they compute what `to_torch` computes."""

import ast
import sys

import pytest

from lutra.networks import Network, NetworkBuilder, catalogue, zoo
from lutra.networks.errors import UsageError
from lutra.networks.exporters import to_torch, to_torch_code

torch = pytest.importorskip("torch")

OPS = [pytest.param(op, id=f"{spec.kind}-{i}") for spec in catalogue() for i, op in enumerate(spec.examples())]


def network_of(op) -> Network:
    b = NetworkBuilder("one op")
    inputs = [b.input(type_.shape, type_.dtype, name=f"x{i}") for i, type_ in enumerate(op.inputs)]
    return b.build(*b.ops(op.kind, *inputs, name="type", **dict(op.attrs)))


def built(network: Network, **options):
    """The module that the source makes; nothing of Lutra is in sight of it."""
    source = to_torch_code(network, **options)
    assert "lutra" not in {name for node in ast.walk(ast.parse(source)) for name in imported(node)}
    scope: dict[str, object] = {}
    exec(compile(source, "<written>", "exec"), scope)
    return scope[options.get("name", "Architecture")]()


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {node.module or ""} if isinstance(node, ast.ImportFrom) else set()


def agree(network: Network, **options) -> None:
    """Both modules hold equal weights, under names that differ by dots alone, and compute the same."""
    module, written = to_torch(network).eval(), built(network, **options).eval()
    weights = {renamed(network, key): value for key, value in module.state_dict().items()}
    assert set(written.state_dict()) <= set(weights)
    written.load_state_dict({key: weights[key] for key in written.state_dict()})
    generator = torch.Generator().manual_seed(1)
    inputs = [example(type_, generator) for _, type_ in network.inputs]
    with torch.no_grad():
        expected, found = module(*inputs), written(*inputs)
    several = isinstance(expected, tuple)
    for one, other in zip(expected if several else [expected], found if several else [found], strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def renamed(network: Network, key: str) -> str:
    """What the written module calls a weight of `to_torch`'s; the tensor of a source node is called as the node is."""
    from lutra.networks.exporters._torch_source import _identifiers

    attributes = _identifiers((node.name for node in network), dir(torch.nn.Module()))
    name, _, weight = key.rpartition(".")
    node = next(node for node in network if node.name == name)
    return attributes[name] if node.op.spec.is_source else f"{attributes[name]}.{weight}"


def example(type_, generator):
    if type_.dtype.startswith("int"):
        return torch.randint(0, 4, type_.shape, generator=generator, dtype=getattr(torch, type_.dtype))
    return torch.rand(type_.shape, generator=generator).to(getattr(torch, type_.dtype)) + 0.1


@pytest.mark.parametrize("op", OPS)
def test_every_op_of_the_catalogue_can_be_written(op):
    agree(network_of(op))


def test_shared_weights_stay_shared():
    b = NetworkBuilder("two heads")
    x = b.input((2, 8))
    first = b.op("linear", x, name="shared", out_features=8)
    second = b.op("linear", b.op("relu", first), name="again", out_features=8, weights_from="shared")
    parts = b.ops("split", second, sizes=(3, 5))
    network = b.build(*parts)
    agree(network)
    assert sum(parameter.numel() for parameter in built(network).parameters()) == network.params


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "mcunet_in0"])
def test_networks_of_the_zoo_are_written_whole(name):
    agree(zoo.build(name), name="Mine")


def test_names_that_python_or_torch_have_are_left_to_them():
    b = NetworkBuilder('a "quoted"\n\\name')
    x = b.input((1, 4), name="self")
    for name in ("class", "0", "forward", "torch", "a.b", "a_b"):
        x = b.op("linear", x, name=name, out_features=4)
    agree(b.build(x))
    with pytest.raises(UsageError, match="no name of a class"):
        to_torch_code(b.build(x), name="class")


def test_without_torch_the_extra_is_named(monkeypatch):
    from lutra.networks.errors import MissingDependencyError

    monkeypatch.delitem(sys.modules, "lutra.networks.exporters._torch_source", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="torch"):
        to_torch_code(zoo.build("mcunet_in0"))
