"""Every kind of predictor passes the contract."""

from lutra.networks.lowering import lower
from lutra.predictors import LatencyPredictor, TablePredictor, predictor_kinds
from lutra.predictors.testing import PredictorContract, small_networks, synthetic_fingerprint, synthetic_table


class TestTablePredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        lowered = [lower(network, "null") for network in small_networks()]
        return TablePredictor(synthetic_table(lowered, synthetic_fingerprint()), "bench", prior_error=0.04)


def test_every_kind_runs_the_contract() -> None:
    tested = {contract().make().kind for contract in PredictorContract.__subclasses__()}
    assert tested == set(predictor_kinds())
