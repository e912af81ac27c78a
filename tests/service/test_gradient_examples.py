"""The scripts in ``examples/`` that search by gradient run as they are, and say what they found."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def said(monkeypatch, capsys):
    """What a script printed, run in this process."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(name: str) -> str:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(("name", "most_ms"), [("search_proxyless", 0.2), ("search_fbnet", 3.0)])
def test_a_network_within_the_target_is_found(said, name, most_ms):
    found = re.search(r"found: mine/[0-4]{3}, ([\d.]+) ms, \d+ % with the supernet's weights", said(name))
    assert found
    assert 0 < float(found[1]) <= most_ms


def test_a_device_without_gradient_is_enough(said):
    assert re.search(r"epoch 3: .*\nfound: mine/[0-4]{3}, [\d.]+ ms", said("search_proxyless_r"))


def test_both_orders_of_darts_find_a_network(said):
    assert re.findall(r"order (\d): mine/[0-4]{3}, ", said("search_darts")) == ["1", "2"]
