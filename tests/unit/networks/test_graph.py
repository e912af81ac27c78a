"""`Network`: checks, totals, fingerprint, JSON, pruning."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lutra.networks import Network, NetworkBuilder, Node, TensorType, make_op, prune
from lutra.networks.errors import CorruptModelError, FormatVersionError, ShapeError

SHAPE = (1, 4, 5, 5)


@st.composite
def networks(draw: Callable[..., Any], least: int = 1) -> Network:
    """Random small graphs in which every value has one shape: branches, shared weights, several outputs, dead ends."""
    b = NetworkBuilder("random")
    values = [b.input(SHAPE)]
    owners: dict[str, int] = {}
    for i in range(draw(st.integers(least, 8))):
        x, y = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        match draw(st.sampled_from(["relu", "sigmoid", "conv", "shared", "add", "split"])):
            case "conv":
                groups = draw(st.sampled_from([1, 2, 4]))
                values.append(b.op("conv2d", x, name=f"n{i}", out_channels=4, kernel_size=1, groups=groups, bias=False))
                owners[values[-1]] = groups
            case "shared" if owners:
                owner = draw(st.sampled_from(sorted(owners)))
                attrs = {"out_channels": 4, "kernel_size": 1, "groups": owners[owner], "bias": False}
                values.append(b.op("conv2d", x, name=f"n{i}", weights_from=owner, **attrs))
            case "add":
                values.append(b.op("add", x, y, name=f"n{i}"))
            case "split":
                left, right = b.ops("split", x, name=f"n{i}", sizes=(1, 3))
                values.append(b.op("concat", right, left, name=f"n{i}.concat"))
            case "sigmoid":
                values.append(b.op("sigmoid", x, name=f"n{i}"))
            case _:
                values.append(b.op("relu", x, name=f"n{i}"))
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))
    return b.build(*outputs)


def renamed(network: Network, names: dict[str, str]) -> Network:
    """The network with nodes (and their values) and inputs under other names."""

    def value(name: str) -> str:
        node, colon, index = name.partition(":")
        return names[node] + colon + index

    nodes = tuple(
        Node(names[n.name], n.op, tuple(map(value, n.inputs)), names[n.weights_from] if n.weights_from else "")
        for n in network.nodes
    )
    inputs = tuple((names[name], type_) for name, type_ in network.inputs)
    return Network("other", inputs, nodes, tuple(map(value, network.outputs)))


def reordered(network: Network, pick: Callable[[list[Node]], Node]) -> Network:
    """The network with its nodes in another valid order; ``pick`` chooses among those that are ready."""
    made = {name for name, _ in network.inputs}
    left, order = list(network.nodes), []
    while left:
        ready = [n for n in left if made.issuperset(n.inputs) and (not n.weights_from or n.weights_from in made)]
        node = pick(ready)
        made.update((node.name, *node.outputs))
        left.remove(node)
        order.append(node)
    return replace(network, nodes=tuple(order))


# --- fingerprint


@given(networks(), st.data())
def test_fingerprint_ignores_names_and_order(network, data):
    old = [name for name, _ in network.inputs] + [node.name for node in network]
    new = data.draw(st.permutations([f"v{i}" for i in range(len(old))]))
    other = reordered(
        renamed(network, dict(zip(old, new, strict=True))), lambda ready: data.draw(st.sampled_from(ready))
    )
    assert other.fingerprint == network.fingerprint


@given(networks(), st.data())
def test_fingerprint_changes_with_any_op(network, data):
    node = data.draw(st.sampled_from(network.nodes))
    swap = {"relu": "sigmoid", "sigmoid": "relu", "add": "mul"}
    match node.op.kind:
        case kind if kind in swap:
            op = make_op(swap[kind], *node.op.inputs)
        case "conv2d":
            assume(not node.weights_from and all(n.weights_from != node.name for n in network))
            op = make_op("conv2d", *node.op.inputs, **dict(node.op.attrs) | {"bias": True})
        case _:  # the readers of a split or a concatenation would have to change as well
            assume(False)
    changed = tuple(replace(n, op=op) if n is node else n for n in network.nodes)
    assert replace(network, nodes=changed).fingerprint != network.fingerprint


@given(networks(), st.sampled_from(["batch", "size"]))
def test_fingerprint_changes_with_the_input(network, what):
    shape = (2, *SHAPE[1:]) if what == "batch" else (1, 4, 6, 5)
    document = network.to_json()
    document["inputs"][0]["shape"] = list(shape)
    assert Network.from_json(document).fingerprint != network.fingerprint


@given(networks(least=2), st.data())
def test_fingerprint_changes_when_something_is_added(network, data):
    value = data.draw(st.sampled_from([v for v, t in network.types.items() if t.shape == SHAPE]))
    extra = Node("extra", make_op("tanh", TensorType(SHAPE)), (value,))
    longer = replace(network, nodes=(*network.nodes, extra))
    assert longer.fingerprint != network.fingerprint
    assert replace(longer, outputs=(*network.outputs, "extra")).fingerprint != longer.fingerprint


def twins(read: tuple[str, str], shared_with: str = "") -> Network:
    """Two convolutions of the input that differ in their weights alone, and readers of one or both."""
    b = NetworkBuilder("twins")
    x = b.input(SHAPE)
    attrs = {"out_channels": 4, "kernel_size": 1}
    a, c = b.op("conv2d", x, name="a", **attrs), b.op("conv2d", x, name="c", **attrs)
    y = b.op("mul", {"a": a, "c": c}[read[0]], b.op("relu", {"a": a, "c": c}[read[1]]))
    return b.build(b.op("conv2d", y, weights_from=shared_with, **attrs))


def test_fingerprint_tells_twins_apart_by_their_readers():
    assert twins(("a", "a")).fingerprint != twins(("a", "c")).fingerprint
    assert twins(("a", "a")).fingerprint == twins(("c", "c")).fingerprint
    assert twins(("a", "c")).fingerprint == twins(("c", "a")).fingerprint


def test_fingerprint_sees_shared_weights():
    prints = {twins(("a", "c"), owner).fingerprint for owner in ("", "a", "c")}
    assert len(prints) == 3  # sharing with the factor is not sharing with the one behind the relu


def test_fingerprint_sees_the_order_of_operands_and_outputs():
    def network(first: int, second: int, flip: bool) -> Network:
        b = NetworkBuilder("order")
        x = b.input(SHAPE)
        values = (b.op("relu", x), b.op("sigmoid", x))
        y = b.op("sub", values[first], values[second])
        return b.build(*((x, y) if flip else (y, x)))

    prints = {network(i, 1 - i, flip).fingerprint for i in (0, 1) for flip in (False, True)}
    assert len(prints) == 4


def test_fingerprint_does_not_change_between_versions():
    """Tables store it: a change here makes every stored row of a network unreachable."""
    b = NetworkBuilder("stored")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=2, kernel_size=3, padding=1)
    assert b.build(b.op("relu", x)).fingerprint == "74220e1b03b45a5c66783204248d9484"


# --- totals


@given(networks())
def test_totals_are_sums_over_nodes(network):
    assert network.macs == sum(node.op.macs for node in network)
    own = [node for node in network if not node.weights_from]
    assert network.params == sum(math.prod(shape) for node in own for shape in node.op.weights.values())
    assert network.weight_bytes == 4 * network.params
    assert network.bytes_moved == sum(node.op.bytes_moved for node in network)
    assert sum(network.op_counts().values()) == len(network)


@given(networks(), st.data())
def test_totals_ignore_order(network, data):
    other = reordered(network, lambda ready: data.draw(st.sampled_from(ready)))
    assert (other.macs, other.params, other.bytes_moved) == (network.macs, network.params, network.bytes_moved)


def test_shared_weights_count_once_and_work_twice():
    b = NetworkBuilder("shared")
    attrs = {"out_features": 8, "bias": False}
    x = b.op("linear", b.input((1, 8)), name="own", **attrs)
    network = b.build(b.op("linear", x, weights_from="own", **attrs))
    assert (network.params, network.macs, network.weight_bytes) == (64, 128, 256)


def test_consumers_are_listed_once_each():
    b = NetworkBuilder("square")
    x = b.input(SHAPE)
    network = b.build(b.op("mul", x, x))
    assert [node.name for node in network.consumers()["input"]] == ["mul"]
    assert network.consumers()["mul"] == []


def test_text_says_what_it_is():
    b = NetworkBuilder("tiny")
    network = b.build(b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=2, kernel_size=1))
    assert str(network) == "tiny: 1x3x8x8:float32 -> 1x2x8x8:float32, 1 ops, 384 MACs, 8 params"


# --- builder


def test_names_are_scoped_and_unique():
    b = NetworkBuilder("names")
    x = b.input(SHAPE)
    with b.scope("outer"), b.scope("inner"):
        x = b.op("relu", b.op("relu", x))
    network = b.build(b.op("relu", x, name="last"))
    assert [node.name for node in network] == ["outer.inner.relu", "outer.inner.relu_1", "last"]


def test_errors_name_the_node():
    b = NetworkBuilder("wrong")
    x = b.input(SHAPE)
    with b.scope("layer1"), pytest.raises(ShapeError, match=r"layer1\.conv1: conv2d: 3 groups do not divide 4 -> 6"):
        b.op("conv2d", x, name="conv1", out_channels=6, kernel_size=1, groups=3)


# --- what is no network

RELU = make_op("relu", TensorType(SHAPE))
CONV = make_op("conv2d", TensorType(SHAPE), out_channels=4, kernel_size=1)


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ([Node("a", RELU, ("b",)), Node("b", RELU, ("x",))], ("a",), r"reads \['b'\] before"),
        ([Node("a", RELU, ("x",)), Node("a", RELU, ("x",))], ("a",), "two nodes named 'a'"),
        ([Node("x", RELU, ("x",))], ("x",), "'x' is made twice"),
        ([Node("a", make_op("relu", TensorType((3,))), ("x",))], ("a",), "expects"),
        ([Node("a", RELU, ("x", "x"))], ("a",), "expects"),
        ([Node("a", RELU, ("x",))], ("b",), "returns 'b', which nothing makes"),
        ([Node("a", RELU, ("x",))], (), "returns nothing"),
        (
            [Node("a", CONV, ("x",), "later"), Node("later", CONV, ("x",))],
            ("a",),
            "cannot share the weights of 'later'",
        ),
        ([Node("r", RELU, ("x",)), Node("a", CONV, ("x",), "r")], ("a",), "cannot share the weights of 'r'"),
    ],
)
def test_inconsistent_graphs_are_refused(nodes, outputs, message):
    with pytest.raises(ShapeError, match=message):
        Network("wrong", (("x", TensorType(SHAPE)),), tuple(nodes), outputs)


def test_inputs_need_different_names():
    with pytest.raises(ShapeError, match="two inputs of one name"):
        Network("wrong", (("x", TensorType(SHAPE)),) * 2, (Node("a", RELU, ("x",)),), ("a",))


# --- pruning


def test_prune_drops_what_no_output_needs():
    b = NetworkBuilder("dead")
    x = b.input(SHAPE)
    b.op("sigmoid", b.op("relu", x, name="dead"))
    left, _ = b.ops("split", x, sizes=(1, 3))
    network = b.build(b.op("tanh", left))
    assert [node.op.kind for node in prune(network)] == ["split", "tanh"]


@given(networks())
def test_pruned_networks_compute_the_same_with_nothing_to_spare(network):
    pruned = prune(network)
    read = {value for node in pruned for value in node.inputs} | set(pruned.outputs)
    owners = {node.weights_from for node in pruned}
    assert pruned.outputs == network.outputs
    assert all(read.intersection(node.outputs) or node.name in owners for node in pruned)
    assert prune(pruned) == pruned


# --- JSON


@given(networks())
def test_json_round_trip(network):
    again = Network.from_json(json.loads(json.dumps(network.to_json())))
    assert again == network
    assert again.fingerprint == network.fingerprint


def stored() -> dict[str, Any]:
    """A document with everything that can be in one."""
    b = NetworkBuilder("stored")
    x = b.input(SHAPE)
    left, right = b.ops("split", x, sizes=(2, 2))
    attrs = {"out_channels": 4, "kernel_size": 3, "padding": 1}
    x = b.op("conv2d", b.op("concat", left, right), name="own", **attrs)
    x = b.op("conv2d", x, weights_from="own", **attrs)
    x = b.op("mul", x, b.op("constant", values=(0.5,)))
    document: dict[str, Any] = json.loads(json.dumps(b.build(b.op("gelu", x, approximate="tanh")).to_json()))
    return document


def test_save_and_load(tmp_path):
    network = Network.from_json(stored())
    network.save(tmp_path / "n.json")
    assert Network.load(tmp_path / "n.json") == network


@pytest.mark.parametrize("version", [2, 3, 1000])
def test_newer_versions_are_refused_by_name(version):
    with pytest.raises(FormatVersionError, match=f"format version {version}") as caught:
        Network.from_json(stored() | {"version": version})
    assert "upgrade" in (caught.value.hint or "")


@pytest.mark.parametrize("version", [0, -1, None, "1", 1.5, []])
def test_versions_that_never_were(version):
    with pytest.raises(CorruptModelError, match="format version"):
        Network.from_json(stored() | {"version": version})


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"format": "onnx", "version": 1}])
def test_other_documents_are_not_networks(document):
    with pytest.raises(CorruptModelError, match="not a network"):
        Network.from_json(document)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every entry of a JSON document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(inner, (*path, key))


def edited(path: tuple[Any, ...], edit: Callable[[Any, Any], None]) -> dict[str, Any]:
    document = stored()
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    edit(place, path[-1])
    return document


@pytest.mark.parametrize("path", [p for p in paths(stored()) if "attrs" not in p[:-1]], ids=str)
def test_missing_entries(path):
    """Whatever is cut out is missed, except shared weights, which then are a node's own."""

    def cut(place: Any, key: Any) -> None:
        del place[key]

    document = edited(path, cut)
    if path[-1] == "weights_from":
        assert Network.from_json(document).params == 2 * Network.from_json(stored()).params
        return
    with pytest.raises(CorruptModelError):
        Network.from_json(document)


WRONG = [None, -1, 0, 2.5, 1e400, "x", [], {}, ["x"], [None], [-3], [10**30], True, {"name": "x"}]


@pytest.mark.parametrize("path", list(paths(stored())), ids=str)
def test_wrong_values_never_raise_anything_else(path):
    """Replaced by nonsense, an entry is refused as damage, or still makes a consistent network."""
    for wrong in WRONG:

        def put(place: Any, key: Any, wrong: Any = wrong) -> None:
            place[key] = wrong

        try:
            network = Network.from_json(edited(path, put))
        except (CorruptModelError, FormatVersionError):
            continue
        assert Network.from_json(json.loads(json.dumps(network.to_json()))).fingerprint == network.fingerprint


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        (("nodes", 0, "op"), "conv9d", "unknown op 'conv9d'"),
        (("nodes", 0, "inputs"), ["nothing"], "'nothing' is missing"),
        (("nodes", 0, "attrs"), {"sizes": [2, 3]}, "do not add up"),
        (("nodes", 0, "attrs"), {"shape": [2, 2]}, "no attribute 'shape'"),
        (("nodes", 6, "name"), "mul", "two nodes named 'mul'"),
        (("inputs", 0, "dtype"), "float7", "float7"),
        (("inputs", 0, "shape"), [1, 0, 5, 5], "not a positive integer"),
        (("outputs",), ["nobody"], "nobody"),
    ],
)
def test_damage_is_named(path, wrong, message):
    def put(place: Any, key: Any) -> None:
        place[key] = wrong

    with pytest.raises(CorruptModelError, match=message):
        Network.from_json(edited(path, put))


@given(st.integers(min_value=0))
def test_truncated_files(tmp_path_factory, cut):
    text = json.dumps(stored())
    path = tmp_path_factory.mktemp("networks") / "cut.json"
    path.write_text(text[: cut % len(text)])
    with pytest.raises(CorruptModelError, match="cannot be read as a network"):
        Network.load(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00", b"\xff\xfe", b"[" * 100_000, b"{} {}"])
def test_files_of_other_kinds(tmp_path, content):
    path = tmp_path / "network.json"
    path.write_bytes(content)
    with pytest.raises(CorruptModelError):
        Network.load(path)


def test_missing_files(tmp_path):
    with pytest.raises(CorruptModelError, match=r"absent\.json"):
        Network.load(tmp_path / "absent.json")
