"""Every strategy passes the contract."""

from typing import ClassVar

from lutra.nas.testing import SearcherContract


class TestRandom(SearcherContract):
    strategy = "random"
    exhausts = True


class TestGrid(SearcherContract):
    strategy = "grid"
    exhausts = True
    follows_seed = False


class TestReinforce(SearcherContract):
    strategy = "reinforce"
    parameters: ClassVar = {"hidden": 8}


class TestSurrogate(SearcherContract):
    strategy = "surrogate"
    parameters: ClassVar = {"initial": 8}
    exhausts = True
