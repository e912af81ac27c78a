"""Every estimator of accuracy passes the contract."""

import pytest

from lutra.nas import spaces
from lutra.nas.accuracy import AccuracyEstimator, estimator_class
from lutra.nas.testing import ClassifierSpace, EstimatorContract
from lutra.networks import Network

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


class TestFromScratch(EstimatorContract):
    def make(self, seed: int = 0) -> AccuracyEstimator:
        from lutra.nas.accuracy.augmentation import NO_AUGMENTATION
        from lutra.nas.accuracy.data import digits
        from lutra.nas.accuracy.from_scratch import FromScratch
        from lutra.nas.accuracy.recipe import Recipe

        recipe = Recipe(epochs=1, batch=64, augmentation=NO_AUGMENTATION)
        return FromScratch(images=digits(16).subset(range(200)), recipe=recipe, seed=seed)


class TestInherited(EstimatorContract):
    remembers = True

    def make(self, seed: int = 0) -> AccuracyEstimator:
        from lutra.nas.accuracy.augmentation import NO_AUGMENTATION
        from lutra.nas.accuracy.data import digits
        from lutra.nas.accuracy.inherit.estimator import Inherited
        from lutra.nas.accuracy.recipe import Recipe

        recipe = Recipe(epochs=2, batch=64, augmentation=NO_AUGMENTATION)
        return Inherited(images=digits(16).subset(range(200)), recipe=recipe, seed=seed)


class TestOnceForAll(EstimatorContract):
    def make(self, seed: int = 0) -> AccuracyEstimator:
        from lutra.nas.accuracy.data import digits
        from lutra.nas.accuracy.once_for_all import Calibration, ElasticSupernet, OnceForAll

        images = digits(24).subset(range(100))
        net = ElasticSupernet(spaces.build("ofa-small"), seed=seed)
        return OnceForAll(net, Calibration(images, images.channel_statistics()), images, seed=seed)

    def networks(self) -> list[Network]:
        space = spaces.build("ofa-small")
        return [space.decode([0, depth, 0, *[4] * 6]) for depth in range(3)]


class TestHypernetwork(EstimatorContract):
    def make(self, seed: int = 0) -> AccuracyEstimator:
        from lutra.nas.accuracy.augmentation import NO_AUGMENTATION
        from lutra.nas.accuracy.data import digits
        from lutra.nas.accuracy.hypernetwork import Hypernetwork, Size
        from lutra.nas.accuracy.recipe import Recipe

        recipe = Recipe(epochs=1, batch=64, learning_rate=1e-3, augmentation=NO_AUGMENTATION)
        size = Size(width=8, hidden=8, tile=8, meta_batch=1)
        images = digits(16).subset(range(200))
        return Hypernetwork(space=ClassifierSpace(), images=images, recipe=recipe, size=size, seed=seed)
