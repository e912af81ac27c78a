"""Many made-up requests for every operation of the API: none is answered with a fault of the server.

The short run, which also compares answers with the contract, is `tests/service/api/test_contract.py`.
"""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_server_fails_on_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    found = importlib.import_module("benchmarks.service._fuzz").measure(examples=200)
    assert found["faults"] == []
    asked = {int(status): count for status, count in found["statuses"].items()}
    assert sum(asked.values()) > 100 * found["operations"]
    assert sum(count for status, count in asked.items() if status < 300) > sum(asked.values()) / 10  # not all refused
