"""Plans for search spaces: every kernel of the space once, the checked networks' first, then the most used."""

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts import Store
from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck
from lutra.networks.errors import NotSupportedError
from lutra.networks.lowering import lower
from lutra.networks.lowering.blocks import Block, BlockSpace
from lutra.profiler import make_plan, make_space_plan, resolve_device, run_campaign
from lutra.profiler.estimate import NETWORK_S, pace_of


def mb(kernel: int, ratio: int) -> Block:
    return lambda b, x: inverted_bottleneck(b, x, 16, mid_channels=b.channels(x) * ratio, kernel_size=kernel)


def nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16, stride=2)


def classifier(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


CANDIDATES = (mb(3, 3), mb(5, 3), mb(3, 6), nothing)


def chain(positions: list[list[int]], side: int = 16) -> BlockSpace:
    """A chain whose positions choose from some of `CANDIDATES`."""
    candidates = tuple(tuple(CANDIDATES[i] for i in position) for position in positions)
    return BlockSpace(f"chain@{side}", TensorType((1, 3, side, side)), stem, candidates, classifier)


POSITIONS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=10, deadline=None)
@given(positions=POSITIONS)
def test_usage_is_the_share_of_all_networks(positions: list[list[int]]) -> None:
    space = chain(positions)
    plan = make_space_plan(resolve_device("null"), [space])
    everything = [lower(space.network(choices), "null") for choices in product(*map(range, map(len, positions)))]
    counts = Counter(key for lowered in everything for key in lowered.distinct)
    assert plan.usage == pytest.approx({key: count / len(everything) for key, count in counts.items()})
    assert list(plan.kernels) == list(plan.extra)
    shares = [plan.usage[key] for key in plan.kernels]
    assert shares == sorted(shares, reverse=True)


def test_checked_networks_come_first_and_nothing_comes_twice() -> None:
    device, space = resolve_device("null"), chain([[0, 1, 2, 3]] * 2)
    checked = [space.network([1, 3]), space.network([1, 2])]
    plan = make_space_plan(device, [space], check_networks=checked)
    first = make_plan(device, checked)
    assert plan.check
    assert [subject.network for subject in plan.subjects] == checked
    assert list(plan.kernels)[: len(first.kernels)] == list(first.kernels)
    assert not set(plan.extra) & set(first.kernels)
    assert set(plan.kernels) == set(plan.usage) == set(make_space_plan(device, [space]).kernels)


def test_resolutions_count_alike() -> None:
    device = resolve_device("null")
    spaces = [chain([[0, 1]], side) for side in (16, 32)]
    plan = make_space_plan(device, spaces)
    alone = [make_space_plan(device, [space]).usage for space in spaces]
    expected = Counter({key: share / 2 for key, share in alone[0].items()})
    expected.update({key: share / 2 for key, share in alone[1].items()})
    assert plan.usage == pytest.approx(expected)


def test_covering_networks_give_their_kernels_alone() -> None:
    device, space = resolve_device("null"), chain([[0, 1, 2, 3]])
    networks = [space.network([i]) for i in range(4)]
    plan = make_space_plan(device, [], networks=networks)
    assert not plan.subjects
    assert set(plan.kernels) == set(make_space_plan(device, [space]).kernels)
    assert next(iter(plan.usage.values())) <= 1
    assert plan.usage == pytest.approx(make_space_plan(device, [space]).usage)


def test_runtimes_that_time_networks_in_order_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="in the order of their network"):
        make_space_plan(resolve_device("host", runtime="torch"), [chain([[0]])])


def test_uses_count_what_blocks_share() -> None:
    device, space = resolve_device("null"), chain([[0, 1], [0, 1]])
    blocks, networks = make_space_plan(device, [space]), [space.network([0, 1])]
    assert blocks.uses > len(blocks.kernels)
    checked = make_space_plan(device, [space], check_networks=networks)
    assert checked.uses == blocks.uses + len(checked.subjects[0].lowered.kernels)
    assert make_plan(device, networks).uses == len(checked.subjects[0].lowered.kernels)


def test_the_estimate_follows_what_was_measured(tmp_path: Path) -> None:
    plan = make_space_plan(resolve_device("null"), [chain([[0, 1]])], check_networks=[chain([[0]]).network([0])])
    assert plan.estimate_s(0) == NETWORK_S
    assert plan.estimate_s(10) > plan.estimate_s(5) > NETWORK_S
    assert plan.estimate_s(10, pace=100.0) > 1.1 * plan.estimate_s(10)
    assert pace_of([]) == 1.0
    with Store.open(tmp_path / "rows.db") as store:
        table = run_campaign(plan, store).table
        assert table is not None
        rows = list(table.rows("kernel"))
    slower = [replace(row, samples_ns=3 * row.samples_ns) for row in rows]
    assert pace_of(slower) == pytest.approx(3 * pace_of(rows))
    assert pace_of(table.rows("network")) == 1.0
