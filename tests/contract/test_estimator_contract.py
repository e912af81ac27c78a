"""Every estimator of accuracy passes the contract."""

import pytest

from lutra.nas.accuracy import AccuracyEstimator, estimator_class
from lutra.nas.testing import EstimatorContract

pytest.importorskip("torch")


class _ByName(EstimatorContract):
    kind: str

    def make(self, seed: int = 0) -> AccuracyEstimator:
        return estimator_class(self.kind)(seed=seed)


class TestParams(_ByName):
    kind = "params"


class TestMacs(_ByName):
    kind = "macs"


class TestSynflow(_ByName):
    kind = "synflow"


class TestZen(_ByName):
    kind = "zen"


class TestNaswot(_ByName):
    kind = "naswot"


class TestGradSign(_ByName):
    kind = "gradsign"


class TestGradNorm(_ByName):
    kind = "grad_norm"


class TestSnip(_ByName):
    kind = "snip"


class TestGrasp(_ByName):
    kind = "grasp"


class TestFisher(_ByName):
    kind = "fisher"


class TestJacov(_ByName):
    kind = "jacov"


class TestAzNas(_ByName):
    kind = "az-nas"
    relative = True
