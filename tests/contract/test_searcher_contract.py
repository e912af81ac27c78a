"""Every strategy passes the contract."""

from lutra.nas.testing import SearcherContract


class TestRandom(SearcherContract):
    strategy = "random"
    exhausts = True


class TestGrid(SearcherContract):
    strategy = "grid"
    exhausts = True
    follows_seed = False
