"""Order of execution and the points where a graph is cut."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.lowering import KernelNode
from lutra.networks.lowering.segments import cut, execution_order, live_sets


def node(op: str, inputs: str, outputs: str) -> KernelNode:
    return KernelNode(op, "", (), tuple(inputs.split()), tuple(outputs.split()))


def lengths(nodes: list[KernelNode], **options: int) -> list[int]:
    sizes = {name: 4 for n in nodes for name in (*n.inputs, *n.outputs)}
    return [len(segment) for segment in cut(nodes, "x", {"View"}, sizes, **options)]


CHAIN = [node("A", "x", "a"), node("B", "a", "b"), node("C", "b", "c")]
RESIDUAL = [node("A", "x", "a"), node("B", "a", "b"), node("C", "b", "c"), node("Add", "c a", "d"), node("E", "d", "e")]


def test_a_chain_is_cut_behind_every_node() -> None:
    assert lengths(CHAIN) == [1, 1, 1]


def test_a_residual_block_is_one_segment() -> None:
    assert lengths(RESIDUAL) == [1, 3, 1]


def test_the_input_of_the_network_holds_a_segment_open() -> None:
    assert lengths([node("A", "x", "a"), node("B", "a", "b"), node("Add", "b x", "c"), node("C", "c", "d")]) == [3, 1]


def test_a_second_input_that_is_read_everywhere_does_not() -> None:
    nodes = [node("A", "x mask", "a"), node("B", "a mask", "b"), node("C", "b mask", "c")]
    assert lengths(nodes) == [1, 1, 1]


def test_views_join_what_makes_their_input() -> None:
    assert lengths([node("A", "x", "a"), node("View", "a", "b"), node("C", "b", "c")]) == [2, 1]


def test_views_at_the_beginning_join_what_follows() -> None:
    assert lengths([node("View", "x", "a"), node("B", "a", "b"), node("C", "b", "c")]) == [2, 1]


def test_a_graph_without_nodes_has_no_segments() -> None:
    assert lengths([]) == []


def dense(layers: int) -> list[KernelNode]:
    """A block whose every layer reads the outputs of all layers before it."""
    nodes = []
    for i in range(layers):
        features = " ".join(["x", *(f"f{j}" for j in range(i))])
        nodes += [node("Concat", features, f"c{i}"), node("Conv", f"c{i}", f"t{i}"), node("Conv", f"t{i}", f"f{i}")]
    everything = " ".join(["x", *(f"f{j}" for j in range(layers))])
    return [*nodes, node("Concat", everything, "y")]


def test_what_never_closes_is_cut_where_least_is_live() -> None:
    nodes = dense(12)
    sizes = {name: 100 if name[0] in "ct" else 4 for n in nodes for name in (*n.inputs, *n.outputs)}
    segments = cut(nodes, "x", set(), sizes, max_nodes=8)
    assert [n for segment in segments for n in segment] == nodes
    assert max(map(len, segments)) <= 8
    assert all(segment[-1].outputs[0][0] in "fy" for segment in segments)  # behind whole layers, not inside them


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_the_order_depends_on_structure_alone(seed: int, count: int) -> None:
    chance = random.Random(seed)
    nodes = [
        KernelNode("Op", "", (), tuple(f"v{chance.randrange(i)}" for _ in range(2)) if i else ("x",), (f"v{i}",))
        for i in range(count)
    ]
    order = execution_order(nodes, [f"v{count - 1}"])
    shuffled = chance.sample(nodes, len(nodes))
    assert execution_order(shuffled, [f"v{count - 1}"]) == order
    made = {"x"}
    for n in order:
        assert made.issuperset(n.inputs)
        made.update(n.outputs)


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 10))
def test_segments_are_the_nodes_in_order_and_within_the_bound(seed: int, count: int, most: int) -> None:
    chance = random.Random(seed)
    nodes = [
        KernelNode("Op", "", (), (f"v{i - 1 - chance.randrange(min(i, 5))}" if i else "x",), (f"v{i}",))
        for i in range(count)
    ]
    sizes = {"x": 1} | {f"v{i}": chance.randrange(1, 9) for i in range(count)}
    segments = cut(nodes, "x", set(), sizes, most)
    assert [n for segment in segments for n in segment] == nodes
    assert all(1 <= len(segment) <= most for segment in segments)


def test_live_activations_are_counted_with_their_bytes() -> None:
    sizes = {"x": 1, "a": 2, "b": 4, "c": 8, "d": 16, "e": 32}
    assert live_sets(RESIDUAL, "x", sizes) == [(1, 2), (2, 6), (2, 10), (1, 16), (0, 0)]


def test_a_deep_chain_does_not_exhaust_the_stack() -> None:
    nodes = [KernelNode("Op", "", (), (f"v{i}",), (f"v{i + 1}",)) for i in range(5000)]
    assert len(execution_order(nodes, ["v5000"])) == 5000


@pytest.mark.parametrize("outputs", [["d"], ["a", "d"]])
def test_nodes_that_no_output_needs_are_left_out(outputs: list[str]) -> None:
    assert [n.op for n in execution_order(RESIDUAL, outputs)] == ["A", "B", "C", "Add"]
