"""The command line in this process: what it prints, and its exit code."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON; nothing else may be there."""
        return json.loads(self.out)


@pytest.fixture
def lutra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs ``lutra ARGUMENTS...`` in an empty folder with a store of its own, ``rows.db``."""
    from lutra.service.cli import main

    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LUTRA_STORE", str(tmp_path / "rows.db"))
    path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    monkeypatch.setenv("PYTHONPATH", path)  # child processes find the package from another folder too
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["lutra", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, out, err)

    return run
