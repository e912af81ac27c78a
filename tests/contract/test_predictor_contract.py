"""Every kind of predictor passes the contract."""

from functools import cache

import numpy as np

from lutra.networks.lowering import lower
from lutra.predictors import (
    AdditivePredictor,
    DevicePrior,
    GnnPredictor,
    KernelPredictor,
    LatencyPredictor,
    MlpPredictor,
    QuadraticPredictor,
    TablePredictor,
    TransferPredictor,
    predictor_kinds,
)
from lutra.predictors.testing import (
    EncodingContract,
    PredictorContract,
    small_networks,
    synthetic_fingerprint,
    synthetic_table,
)


class TestTablePredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        lowered = [lower(network, "null") for network in small_networks()]
        return TablePredictor(synthetic_table(lowered, synthetic_fingerprint()), "bench", prior_error=0.04)


class TestKernelPredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        lowered = [lower(network, "null") for network in small_networks()[:6]]  # the widest have no rows
        table = synthetic_table(lowered, synthetic_fingerprint(), with_kernels=True)
        return KernelPredictor(table, "bench", rounds=10, depth=2)


class TestAdditivePredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        return AdditivePredictor("bench")


class TestAdditivePredictorOfEncodings(EncodingContract):
    def make(self) -> LatencyPredictor:
        return AdditivePredictor("bench", fingerprint=synthetic_fingerprint())


class TestMlpPredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        return MlpPredictor("bench", width=16, steps=60, members=2)


class TestMlpPredictorOfEncodings(EncodingContract):
    def make(self) -> LatencyPredictor:
        return MlpPredictor("bench", width=16, steps=60, members=2)


class TestGnnPredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        return GnnPredictor("bench", width=16, layers=1, steps=60, learning_rate=2e-2)


class TestGnnPredictorWithTable(PredictorContract):
    def make(self) -> LatencyPredictor:
        lowered = [lower(network, "null") for network in small_networks()]
        table = synthetic_table(lowered, synthetic_fingerprint())
        return GnnPredictor("bench", width=8, layers=1, steps=20, table=table)


class TestQuadraticPredictor(PredictorContract):
    def make(self) -> LatencyPredictor:
        return QuadraticPredictor("bench")


class TestQuadraticPredictorOfEncodings(EncodingContract):
    def make(self) -> LatencyPredictor:
        return QuadraticPredictor("bench")


class TestTransferPredictor(EncodingContract):
    def make(self) -> LatencyPredictor:
        source = {"older": 3 * np.array(self.latencies_ms()), "other": self.networks()[:, 1] + 1}
        prior = DevicePrior.learn(self.networks(), source, {"work": self.networks()[:, 5]})
        return TransferPredictor(prior, "bench", fingerprint=synthetic_fingerprint())


class TestTransferPredictorWithoutSources(EncodingContract):
    def make(self) -> LatencyPredictor:
        return TransferPredictor(None, "bench")


@cache
def prior_with_mlp_head() -> DevicePrior:
    contract = TestTransferPredictorWithoutSources()
    sources = {"older": 3 * np.array(contract.latencies_ms()), "other": contract.networks()[:, 1] + 1}
    return DevicePrior.learn(contract.networks(), sources, head="mlp")


class TestTransferPredictorWithMlpHead(EncodingContract):
    def make(self) -> LatencyPredictor:
        return TransferPredictor(prior_with_mlp_head(), "bench")


class TestTransferPredictorOfNetworks(PredictorContract):
    def make(self) -> LatencyPredictor:
        networks = small_networks()
        sources = {"older": 3 * np.array(self.latencies_ms()), "flat": [1.0 + len(network) for network in networks]}
        costs = {"macs": [network.macs for network in networks]}
        return TransferPredictor(DevicePrior.learn(networks, sources, costs), "bench")


def test_every_kind_runs_the_contract() -> None:
    contracts = {*PredictorContract.__subclasses__(), *EncodingContract.__subclasses__()} - {EncodingContract}
    tested = {contract().make().kind for contract in contracts}
    assert tested == set(predictor_kinds())
