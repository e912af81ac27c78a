"""Sums over positions: beside `compose`, beside all architectures of small spaces, and what the field's tables give."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")
pytest.importorskip("torch")

import torch

from lutra.luts import Table
from lutra.luts.blocktable import BlockTable
from lutra.luts.chain import StateCosts
from lutra.luts.exchange import read_blocks
from lutra.nas import spaces
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import BlockOracle, TableOracle
from lutra.nas_bridge._positions import Position, positions_of
from lutra.nas_bridge._terms import Terms
from lutra.nas_bridge._walk import Walk
from lutra.nas_bridge.testing import blocks_of, table_of
from lutra.networks.errors import NotCoveredError, NotSupportedError
from lutra.predictors import TablePredictor

# -- walks against all architectures ------------------------------------------------------------------------


@st.composite
def walks(draw: st.DrawFn) -> tuple[list[Position], list[int], StateCosts]:
    """Positions that depend on up to three decisions, and costs in up to three states that they leave."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    states, most = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    positions = []
    for _ in range(draw(st.integers(1, 5))):
        decisions = draw(st.lists(st.integers(0, len(counts) - 1), max_size=3, unique=True).map(sorted))
        shape = tuple(counts[decision] for decision in decisions)
        positions.append(Position(tuple(decisions), rng.integers(0, most, shape)))
    shape3 = (len(positions), states, most)
    costs = StateCosts(float(rng.random()), rng.random(shape3), rng.integers(0, states, shape3), rng.random(states))
    return positions, counts, costs


def one_by_one(positions: list[Position], costs: StateCosts, code: Any) -> float:
    total, state = costs.fixed, 0
    for k, position in enumerate(positions):
        choice = int(position.choices[tuple(code[list(position.decisions)])])
        total += costs.costs[k, state, choice]
        state = int(costs.behind[k, state, choice])
    return float(total + costs.ends[state])


@how(max_examples=60)
@given(walks())
def test_walks_agree_with_all_architectures(made: tuple[list[Position], list[int], StateCosts]) -> None:
    positions, counts, costs = made
    every = np.indices(counts).reshape(len(counts), -1).T
    sums = np.array([one_by_one(positions, costs, code) for code in every])
    walk = Walk(positions, counts, costs)
    np.testing.assert_allclose(walk.of(every), sums, rtol=1e-12)
    code, least = walk.least()
    assert least == pytest.approx(sums.min(), rel=1e-12)
    assert one_by_one(positions, costs, code) == pytest.approx(least, rel=1e-12)
    random = torch.Generator().manual_seed(0)
    given_ = [torch.rand(count, dtype=torch.float64, generator=random).softmax(0) for count in counts]
    weights = np.prod([p.numpy()[column] for p, column in zip(given_, every.T, strict=True)], axis=0)
    assert float(walk.expected(given_)) == pytest.approx(weights @ sums, rel=1e-12)


@how(max_examples=60)
@given(walks(), st.booleans())
def test_terms_agree_with_walks_where_there_are_any(
    made: tuple[list[Position], list[int], StateCosts], several: bool
) -> None:
    positions, counts, costs = made
    terms = Terms.of(positions, counts, costs, several=several)
    if terms is None:
        return
    every = np.indices(counts).reshape(len(counts), -1).T
    found = terms.latencies_ms(every)
    assert found is not None
    np.testing.assert_allclose(found, Walk(positions, counts, costs).of(every), rtol=1e-5)


def test_a_choice_without_a_number_is_avoided_or_told() -> None:
    costs = StateCosts(0.0, np.array([[[1.0, np.nan]], [[np.nan, 2.0]]]), np.zeros((2, 1, 2), np.int64), np.zeros(1))
    positions = [Position((number,), np.arange(2)) for number in range(2)]
    walk = Walk(positions, (2, 2), costs)
    assert not walk.covered
    assert walk.least()[0].tolist() == [0, 1]
    with pytest.raises(NotCoveredError):
        walk.expected([torch.full((2,), 0.5, dtype=torch.float64)] * 2)
    nowhere = StateCosts(0.0, np.full((2, 1, 2), np.nan), np.zeros((2, 1, 2), np.int64), np.zeros(1))
    with pytest.raises(NotCoveredError):
        Walk(positions, (2, 2), nowhere).least()


# -- positions ----------------------------------------------------------------------------------------------


def test_a_stage_depends_on_its_depth_and_its_blocks() -> None:
    positions = positions_of(spaces.build("ofa-mbv3@128,160"))
    assert len(positions) == 21
    assert positions[0].decisions == (0,)
    assert [len(position.decisions) for position in positions[1:5]] == [1, 1, 2, 2]
    assert positions[3].decisions[0] == 1
    assert positions[4].choices[0].tolist() == [9] * 9  # depth 2 has no fourth block


def test_a_space_without_chains_is_told(space: ChainSpace) -> None:
    cell = spaces.build("nasbench201")
    with pytest.raises(NotSupportedError, match="no chain of blocks"):
        TableOracle(cell, table_of(space))
    with pytest.raises(NotSupportedError, match="no chain of blocks"):
        BlockOracle(cell, blocks_of(space))


# -- tables of kernels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(32,), (32, 48)])
@pytest.mark.parametrize("cache_kib", [None, 96])
def test_a_table_gives_what_its_predictor_gives(
    make_space: Callable[..., ChainSpace], sizes: tuple[int, ...], cache_kib: int | None
) -> None:
    space = make_space(*sizes)
    table = table_of(space, cache_kib=cache_kib)
    codes = space.sample(8, np.random.default_rng(0))
    networks = [space.decode(code) for code in codes]
    predictor, oracle = TablePredictor(table), TableOracle(space, table)
    predictions = [predictor.predict(network) for network in networks]
    np.testing.assert_allclose(oracle.latencies_ms(codes), [p.latency_ms for p in predictions], rtol=1e-6)
    intervals_ms = [(p.low_ms, p.high_ms) for p in predictions]
    # With a cache, the rows' intervals are those with all weights from memory.
    np.testing.assert_allclose(oracle.intervals_ms(codes), intervals_ms, rtol=1e-6 if cache_kib is None else 0.02)
    assert oracle.simulated


def test_a_table_learns_a_factor_and_a_constant(space: ChainSpace) -> None:
    oracle = TableOracle(space, table_of(space))
    codes = space.sample(20, np.random.default_rng(0))
    before, expected = oracle.latencies_ms(codes), oracle.cheapest().latency_ms
    oracle.refit(codes, 1.5 * before + 0.2)
    np.testing.assert_allclose(oracle.latencies_ms(codes), 1.5 * before + 0.2, rtol=1e-5)
    assert oracle.cheapest().latency_ms == pytest.approx(1.5 * expected + 0.2, rel=1e-5)
    even = [torch.full((5,), 0.2, dtype=torch.float64) for _ in range(4)]
    matrix = oracle.cost_matrix()
    mean_ms = matrix.fixed_ms + float(matrix.costs_ms.mean(axis=1).sum())
    assert float(oracle.expected_ms(even)) == pytest.approx(mean_ms)


def test_a_cheapest_beside_a_cache_has_a_bound(space: ChainSpace) -> None:
    oracle = TableOracle(space, table_of(space, cache_kib=96))
    every = np.indices((5,) * 4).reshape(4, -1).T
    found = oracle.cheapest()
    least_ms = oracle.latencies_ms(every).min()
    assert found.bound_ms is not None
    assert found.bound_ms <= least_ms <= found.latency_ms * (1 + 1e-6)


def test_a_kernel_without_a_row_is_named(space: ChainSpace) -> None:
    whole = table_of(space)
    rows = list(whole.rows("kernel"))[:-2] + list(whole.rows("constant"))
    oracle = TableOracle(space, Table(whole.fingerprint, rows, name="holes"), interpolate=False)
    assert len(oracle.missing) == 2
    codes = space.sample(200, np.random.default_rng(0))
    with pytest.raises(NotCoveredError, match=r"the table of holes has no number for \d+ of 200 architectures"):
        oracle.latencies_ms(codes)
    with pytest.raises(NotCoveredError) as info:
        oracle.expected_ms([torch.full((5,), 0.2) for _ in range(4)])
    assert info.value.missing == oracle.missing


# -- tables of blocks ---------------------------------------------------------------------------------------


def test_blocks_of_another_width_are_named() -> None:
    table = blocks_of(spaces.build("proxyless-24"))
    oracle = BlockOracle(spaces.build("proxyless"), table)
    assert any("56x56x32" in key for key in oracle.missing)
    with pytest.raises(NotCoveredError, match="the table of made up has no number for 3 of 3 architectures"):
        oracle.latencies_ms(oracle.space.sample(3, np.random.default_rng(0)))


def test_blocks_that_such_tables_do_not_name() -> None:
    with pytest.raises(NotSupportedError, match="no name for channel_shuffle"):
        BlockOracle(spaces.build("fbnet"), blocks_of(spaces.build("proxyless-24")))


def test_a_table_of_sizes_is_asked_for_those_of_the_space() -> None:
    table = blocks_of(spaces.build("ofa-mbv3@128,160"), channels=True, sizes=True)
    oracle = BlockOracle(spaces.build("ofa-mbv3@128,192"), table)
    assert oracle.missing
    assert all(key.endswith("@192") for key in oracle.missing)
    codes = oracle.space.sample(50, np.random.default_rng(0))
    small = codes[codes[:, 0] == 0]
    assert (oracle.latencies_ms(small) > 0).all()
    with pytest.raises(NotCoveredError):
        oracle.latencies_ms(codes)


def tables_of(shared_data: Path) -> dict[str, BlockTable]:
    tables = read_blocks(shared_data / "luts" / "note10_and_pixel1_blocks.csv", "blocks-csv").tables
    return {table.source: table for table in tables}


def test_the_pixel_1_on_the_space_of_proxylessnas(shared_data: Path) -> None:
    oracle = BlockOracle(spaces.build("proxyless-24"), tables_of(shared_data)["proxylessnas_mobile_trim"])
    assert not oracle.missing
    assert oracle.cheapest().latency_ms == pytest.approx(29.61, abs=0.005)
    matrix = oracle.cost_matrix()
    assert matrix.fixed_ms + np.nanmax(matrix.costs_ms, axis=1).sum() == pytest.approx(191.03, abs=0.005)
    logits = [torch.zeros(len(d.choices), dtype=torch.float64, requires_grad=True) for d in oracle.space.decisions]
    probabilities = [given.softmax(0) for given in logits]
    expected = oracle.expected_ms(probabilities)
    assert float(expected.detach()) == pytest.approx(113.99, abs=0.005)
    expected.backward()
    for alpha, row in zip(logits, matrix.costs_ms, strict=True):
        costs = row[: len(alpha)]
        assert alpha.grad is not None
        np.testing.assert_allclose(alpha.grad.numpy(), (costs - costs.mean()) / len(costs), atol=1e-9)


def test_the_note_10_on_the_space_of_once_for_all(shared_data: Path) -> None:
    space = spaces.build("ofa-mbv3-w1.2")
    oracle = BlockOracle(space, tables_of(shared_data)["ofa_note10"])
    assert not oracle.missing
    assert oracle.cheapest().latency_ms == pytest.approx(9.89, abs=0.005)
    largest = np.array([[4, *[2] * 5, *[8] * 20]])
    assert oracle.latencies_ms(largest)[0] == pytest.approx(92.40, abs=0.005)


def test_the_released_network_of_the_note_10(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3]))
    monkeypatch.setenv("LUTRA_SHARED_DATA", str(shared_data))
    part = importlib.import_module("benchmarks.search._oracle")
    oracle = BlockOracle(spaces.build("ofa-mbv3-w1.2"), part.block_tables(shared_data)["ofa_note10"])
    configs = json.loads((shared_data / "ofa" / "arch_configs.json").read_text())["ofa_specialized"]
    network = next(config for name, config in configs.items() if name.startswith("note10_lat@30ms"))
    assert oracle.latency_ms(part.ofa_code(network, oracle)) == pytest.approx(29.965, abs=0.001)
