"""Every search space passes the contract."""

import importlib.util
import re
from pathlib import Path

from lutra.nas import spaces
from lutra.nas.spaces import DartsSpace, NasNetSpace, SearchSpace
from lutra.nas.testing import SpaceContract

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class TestProxyless(SpaceContract):
    runtimes = ("null", "onnxruntime")

    def make(self) -> SearchSpace:
        return spaces.build("proxyless")


class TestProxyless24(SpaceContract):
    def make(self) -> SearchSpace:
        return spaces.build("proxyless-24@96,160")


class TestFbnet(SpaceContract):
    runtimes = ("null", "onnxruntime")

    def make(self) -> SearchSpace:
        return spaces.build("fbnet@96")


class TestOfa(SpaceContract):
    def make(self) -> SearchSpace:
        return spaces.build("ofa-mbv3")


class TestOfaAtOneResolution(SpaceContract):
    runtimes = ("null", "onnxruntime")

    def make(self) -> SearchSpace:
        return spaces.build("ofa-mbv3@128")


class TestNasBench201(SpaceContract):
    runtimes = ("null", "native")

    def make(self) -> SearchSpace:
        return spaces.build("nasbench201")


class TestAutoDeepLab(SpaceContract):
    runtimes = ("null", "native")

    def make(self) -> SearchSpace:
        return spaces.build("autodeeplab@129")


class TestOfaSmall(SpaceContract):
    runtimes = ("null", "native")

    def make(self) -> SearchSpace:
        return spaces.build("ofa-small")


class TestOfaResNet(SpaceContract):
    def make(self) -> SearchSpace:
        return spaces.build("ofa-resnet50@64,96")


class TestHat(SpaceContract):
    runtimes = ("null", "native")

    def make(self) -> SearchSpace:
        return spaces.build("hat-wmt")


class TestHatForShortSentences(SpaceContract):
    def make(self) -> SearchSpace:
        return spaces.build("hat-iwslt@5")


class TestNasNet(SpaceContract):
    """Smaller than the registered one, in channels and cells alone."""

    def make(self) -> SearchSpace:
        return NasNetSpace(32, repeats=1, channels=8)


class TestDarts(SpaceContract):
    """Smaller than the registered one, in channels and cells alone."""

    runtimes = ("null", "native", "onednn")

    def make(self) -> SearchSpace:
        return DartsSpace(32, cells=8, channels=8)


class TestTinyNas(SpaceContract):
    """Spaces of other widths differ in their numbers of channels alone."""

    def make(self) -> SearchSpace:
        return spaces.build("tinynas-w0.3@48,96")


class TestExample(SpaceContract):
    runtimes = ("null", "native", "onnxruntime")

    def make(self) -> SearchSpace:
        spec = importlib.util.spec_from_file_location("my_space", EXAMPLES / "my_space.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert isinstance(module.space, SearchSpace)
        return module.space


def test_every_space_runs_the_contract() -> None:
    tested = {_without_width(contract().make().name.partition("@")[0]) for contract in SpaceContract.__subclasses__()}
    assert set(map(_without_width, spaces.names())) <= tested


def _without_width(name: str) -> str:
    return re.sub(r"-w[0-9.]+$", "", name)
