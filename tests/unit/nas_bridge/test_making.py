"""Which oracle a source gets, and what is no source."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")
pytest.importorskip("torch")

from lutra.nas import spaces
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import (
    BlockOracle,
    EncodingOracle,
    FunctionOracle,
    KnownOracle,
    NetworkOracle,
    TableOracle,
    make_oracle,
)
from lutra.nas_bridge.testing import blocks_of, table_of
from lutra.networks.errors import NotSupportedError, UsageError
from lutra.predictors import AdditivePredictor, GnnPredictor, MlpPredictor, TablePredictor, TransferPredictor


def test_tables_and_their_predictors(space: ChainSpace) -> None:
    table = table_of(space)
    for source in (table, TablePredictor(table)):
        oracle = make_oracle(source, space, device="mine")
        assert isinstance(oracle, TableOracle)
        assert (oracle.device, oracle.simulated) == ("mine", True)
    assert make_oracle(table, space).device == "synthetic"
    named = spaces.build("proxyless-24@32")
    assert isinstance(make_oracle(blocks_of(named), named), BlockOracle)


def test_a_space_without_chains_is_decoded(space: ChainSpace) -> None:
    oracle = make_oracle(table_of(space), spaces.build("nasbench201"))
    assert isinstance(oracle, NetworkOracle)
    assert oracle.simulated


def test_predictors_by_what_they_were_fitted_to(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    codes = space.sample(20, np.random.default_rng(0))
    latencies_ms = latency_of(codes)
    for predictor in (AdditivePredictor(), TransferPredictor()):
        oracle = make_oracle(predictor.fit(codes, latencies_ms), space)
        assert isinstance(oracle, EncodingOracle)
        np.testing.assert_allclose(oracle.latencies_ms(codes), predictor.predict(codes))
    networks = [space.decode(code) for code in codes]
    for of_networks in (AdditivePredictor(device="board"), TransferPredictor(device="board")):
        oracle = make_oracle(of_networks.fit(networks, latencies_ms), space)
        assert isinstance(oracle, NetworkOracle)
        assert oracle.device == "board"
        np.testing.assert_allclose(oracle.latencies_ms(codes), of_networks.predict(networks))
    with pytest.raises(UsageError, match="encode is for predictors"):
        make_oracle(of_networks, space, encode=lambda codes: codes)


def test_encodings_of_ones_own(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    def encode(codes: Any) -> Any:
        return np.stack([(codes == choice).sum(axis=1) for choice in range(5)], axis=1)

    codes = space.sample(30, np.random.default_rng(0))
    predictor = AdditivePredictor().fit(encode(codes), latency_of(codes))
    oracle = make_oracle(predictor, space, encode=encode)
    np.testing.assert_allclose(oracle.latencies_ms(codes), predictor.predict(encode(codes)))
    with pytest.raises(NotSupportedError, match="no sum over decisions"):  # it is one over counts
        oracle.cost_matrix()


def test_functions_and_oracles(space: ChainSpace, make_space: Callable[..., ChainSpace], timer: Any) -> None:
    oracle = make_oracle(timer, space, device="board")
    assert isinstance(oracle, FunctionOracle)
    assert make_oracle(oracle, space) is oracle
    assert make_oracle(oracle, space, device="board") is oracle
    with pytest.raises(UsageError, match="was given for another"):
        make_oracle(oracle, make_space())
    with pytest.raises(UsageError, match="was given for another"):
        make_oracle(oracle, space, device="other")


@pytest.mark.parametrize("source", ["note10.json", 3, None, [1.0]])
def test_what_is_no_source(space: ChainSpace, source: Any) -> None:
    with pytest.raises(UsageError, match="cannot be known from a"):
        make_oracle(source, space)


@pytest.mark.parametrize("predictor", [MlpPredictor(), GnnPredictor(), TransferPredictor()])
def test_a_predictor_without_a_fit(space: ChainSpace, predictor: Any) -> None:
    with pytest.raises(UsageError, match="has learned nothing yet"):
        make_oracle(predictor, space)


def test_an_encoding_oracle_learns(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    codes = space.sample(40, np.random.default_rng(0))
    oracle = EncodingOracle(space, AdditivePredictor().fit(codes, latency_of(codes)))
    before = oracle.cost_matrix()
    oracle.refit(codes, 3 * latency_of(codes))
    np.testing.assert_allclose(oracle.cost_matrix().costs_ms, 3 * before.costs_ms, rtol=1e-6)
    with pytest.raises(UsageError):
        oracle.refit(codes[:2], [1.0, 2.0])
    np.testing.assert_allclose(oracle.cost_matrix().costs_ms, 3 * before.costs_ms, rtol=1e-6)


def test_oracles_that_do_not_learn_say_so(space: ChainSpace) -> None:
    oracle = KnownOracle(space, [[0, 0, 0, 0]], [1.0], device="board")
    with pytest.raises(NotSupportedError, match="KnownOracle of board does not learn"):
        oracle.refit([[0, 0, 0, 0]], [2.0])
