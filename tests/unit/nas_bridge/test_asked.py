"""Known latencies and live devices: what is not known, what fails, and what outlives the process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("torch")

from lutra.nas import spaces
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import FunctionOracle, KnownOracle, NetworkOracle
from lutra.networks.errors import MeasurementError, NotCoveredError, SearchStateError, UsageError
from lutra.predictors import GnnPredictor

CODES = [[0, 1, 2, 3], [4, 4, 4, 4], [0, 0, 0, 0], [0, 1, 2, 3]]


class Board:
    """Takes longer for larger networks, and cannot run the one without any block."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, network: Any) -> float:
        self.runs += 1
        if network.name.endswith("4444"):
            raise RuntimeError("out of memory")
        if network.name.endswith("0000"):
            return float("nan")
        return 0.1 + float(network.macs) / 1e6


def test_a_failure_is_kept_and_the_rest_is_timed(space: ChainSpace) -> None:
    board = Board()
    oracle = FunctionOracle(space, board, device="board")
    with pytest.raises(MeasurementError, match=r"2 of 4 .* on board, .* \[4, 4, 4, 4\]: RuntimeError: out of memory"):
        oracle.latencies_ms(CODES)
    assert board.runs == 3
    found = oracle.attempts_ms(CODES)
    assert np.isnan(found).tolist() == [False, True, True, False]
    assert oracle.failures == {(4, 4, 4, 4): "RuntimeError: out of memory", (0, 0, 0, 0): "the timer gave nan ms"}
    assert board.runs == 3
    oracle.forget()
    oracle.attempts_ms(CODES)
    assert board.runs == 5


def test_a_stop_by_the_user_is_no_failure(space: ChainSpace) -> None:
    oracle = FunctionOracle(space, Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        oracle.latencies_ms(CODES)
    assert not oracle.failures


def test_timings_outlive_the_process(space: ChainSpace, tmp_path: Path) -> None:
    path, first, second = tmp_path / "board.jsonl", Board(), Board()
    found = FunctionOracle(space, first, device="board", journal=path).attempts_ms(CODES)
    with path.open("ab") as stream:
        stream.write(b'{"code": [1, 1')  # killed while it wrote
    again = FunctionOracle(space, second, device="board", journal=path)
    np.testing.assert_array_equal(again.attempts_ms(CODES), found)
    assert second.runs == 0
    assert len(again.failures) == 2
    again.latencies_ms([[1, 1, 1, 1]])
    assert len(path.read_bytes().splitlines()) == 5
    assert FunctionOracle(space, second, device="board", journal=path).latency_ms([1, 1, 1, 1]) > 0
    assert second.runs == 1


def test_timings_of_others_are_refused(space: ChainSpace, tmp_path: Path) -> None:
    path = tmp_path / "board.jsonl"
    FunctionOracle(space, Board(), device="board", journal=path)
    with pytest.raises(SearchStateError, match="no timings of this space on this device"):
        FunctionOracle(space, Board(), device="other", journal=path)
    path.write_text(path.read_text() + '{"code": [1, 1, 1, 1], "latency_ms": "x"}\n')
    with pytest.raises(SearchStateError, match="line 2 is no timing"):
        FunctionOracle(space, Board(), device="board", journal=path)
    (tmp_path / "notes.txt").write_text("milk")
    for text in ("milk", "milk\n", "[]\n"):
        (tmp_path / "notes.txt").write_text(text)
        with pytest.raises(SearchStateError, match="no timings"):
            FunctionOracle(space, Board(), journal=tmp_path / "notes.txt")
        assert (tmp_path / "notes.txt").read_text() == text
    with pytest.raises(UsageError, match="cannot be used"):
        FunctionOracle(space, Board(), journal=tmp_path / "absent" / "x")


def test_a_single_sample_is_no_estimate(space: ChainSpace) -> None:
    with pytest.raises(UsageError, match="1 samples"):
        FunctionOracle(space, Board(), samples=1)


def test_estimates_follow_the_seed(space: ChainSpace, timer: Any) -> None:
    torch = pytest.importorskip("torch")
    even = [torch.full((5,), 0.2) for _ in range(4)]
    one, same, other = (FunctionOracle(space, timer, seed=seed) for seed in (1, 1, 2))
    first = [float(oracle.expected_ms(even)) for oracle in (one, same, other)]
    assert first[0] == first[1] != first[2]
    assert float(one.expected_ms(even)) != first[0]


# -- known ones ---------------------------------------------------------------------------------------------


def test_what_is_not_known_is_named(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    codes = space.sample(100, np.random.default_rng(0))
    oracle = KnownOracle(space, codes, latency_of(codes), device="board")
    np.testing.assert_array_equal(oracle.latencies_ms(codes), latency_of(codes))
    with pytest.raises(NotCoveredError, match=r"1 architectures .* \[4, 4, 4, 4\]") as info:
        oracle.latencies_ms([codes[0].tolist(), [4, 4, 4, 4]])
    assert info.value.missing == ("[4, 4, 4, 4]",)
    with pytest.raises(NotCoveredError, match="no latency on board is known"):
        oracle.expected_ms([torch.full((5,), 0.2) for _ in range(4)])


def test_known_ones_of_a_space_too_large_to_list() -> None:
    space = spaces.build("ofa-mbv3@128")
    codes = space.sample(50, np.random.default_rng(0))
    oracle = KnownOracle(space, codes, np.arange(1.0, 51))
    assert oracle.latencies_ms(codes[::-1]).tolist() == list(range(50, 0, -1))
    assert oracle.cheapest().bound_ms is None
    with pytest.raises(NotCoveredError):
        oracle.latencies_ms(space.sample(5, np.random.default_rng(1)))
    torch = pytest.importorskip("torch")
    with pytest.raises(NotCoveredError, match="fit a predictor"):
        oracle.expected_ms([torch.full((len(d.choices),), 1 / len(d.choices)) for d in space.decisions])


@pytest.mark.parametrize(
    ("codes", "latencies_ms", "words"),
    [
        ([[0, 0, 0, 0]], [1.0, 2.0], "give one for each"),
        ([], [], "latencies of|codes"),
        ([[0, 0, 0, 0]], [-1.0], "not a positive number"),
        ([[0, 0, 0, 0]], [float("nan")], "not a positive number"),
        ([[0, 0, 0, 0], [0, 0, 0, 0]], [1.0, 2.0], "two latencies of the architecture"),
    ],
)
def test_known_numbers_that_are_none(space: ChainSpace, codes: Any, latencies_ms: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        KnownOracle(space, codes, latencies_ms)


# -- networks -----------------------------------------------------------------------------------------------


def test_networks_are_predicted_once_and_in_batches(space: ChainSpace, timer: Any) -> None:
    codes = space.sample(12, np.random.default_rng(0))
    networks = [space.decode(code) for code in codes]
    predictor = GnnPredictor(steps=5, width=4, layers=1).fit(networks, [timer(network) for network in networks])
    batches: list[int] = []
    predict = predictor.predict_batch
    predictor.predict_batch = lambda asked: (batches.append(len(asked)), predict(asked))[1]  # type: ignore[method-assign]
    oracle = NetworkOracle(space, predictor)
    many = np.concatenate([codes, codes, space.sample(5, np.random.default_rng(1))])
    first = oracle.latencies_ms(many)
    distinct = len(np.unique(many, axis=0))
    np.testing.assert_array_equal(oracle.latencies_ms(many), first)
    assert batches == [distinct]
    oracle.refit(codes, 2 * np.array([timer(network) for network in networks]))
    assert (oracle.latencies_ms(many) > 1.2 * first).all()
    assert batches == [distinct, distinct]
