"""Made-up requests for every operation of the API, and how many of them the server fails on."""

import json
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from lutra.luts import Store
from lutra.nas import spaces
from lutra.networks import zoo
from lutra.profiler import resolve_device, run_campaign
from lutra.service.api.app import contract, make_app
from lutra.service.api.gate import UPLOADING
from lutra.service.api.settings import Settings
from lutra.service.api.testing import SPACE, naming_what_is_there
from lutra.service.plans import plan_of
from lutra.service.tokens import digest_of

from .._results import Figure, note

EXAMPLES: Final = 50
FILES: Final = 10  # for operations that take a file: each starts a process
_TOKEN: Final = "of-the-benchmark"


@dataclass
class Tally:
    """What came of the requests.

    Attributes:
        statuses: answers by status.
        faults: operations that the server failed on, with what it answered.
        asked: requests.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    asked: int = 0


def measure(examples: int = EXAMPLES) -> dict[str, Any]:
    """Ask every operation ``examples`` times."""
    folder = Path(tempfile.mkdtemp(prefix="lutra-fuzz-"))
    tally = Tally()
    try:
        with Store.open(folder / "rows.db") as store:
            plan, _ = plan_of(resolve_device("null"), [], [spaces.build(SPACE)], check=True, check_networks=1)
            run_campaign(plan, store)
        chosen = Settings(store=str(folder / "rows.db"), heavy_per_s=1e6, failures_per_s=1e6)
        listening = socket.create_server(("127.0.0.1", 0))
        app = make_app(chosen, own_digest=digest_of(_TOKEN))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        operations = list(schemathesis.openapi.from_dict(contract()).get_all_operations())
        for number, found in enumerate(operations, 1):
            assert isinstance(found, Ok)  # the contract is sound
            operation = found.ok()
            note(f"{number} of {len(operations)}: {operation.label}")
            _ask(operation, url, FILES if operation.path in UPLOADING else examples, tally, _things(url))
        server.should_exit = True
        thread.join()
    finally:
        shutil.rmtree(folder)
    return {
        "operations": len(operations),
        "examples": examples,
        "files": FILES,
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "faults": tally.faults,
    }


def _ask(operation: Any, url: str, examples: int, tally: Tally, others: dict[str, str]) -> None:
    """Ask one operation; every second request names things that are there."""

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        tally.asked += 1
        if tally.asked % 2:
            case = naming_what_is_there(case, others)
        answer = case.call(base_url=url, headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=120)
        tally.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            tally.faults.append(f"{operation.label}: {answer.status_code} {answer.text[:200]}")
        with suppress(FailureGroup):
            case.validate_response(answer, checks=[not_a_server_error])

    run()


def _things(url: str) -> dict[str, str]:
    """Ids of a job, a token and an upload that are there now."""
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=120) as client:
        request = {"kind": "profile", "request": {"networks": ["resnet18"], "device": "null"}}
        job = client.post("/v1/jobs", json=request)
        token = client.post("/v1/tokens", json={"name": "made up"})
        network = json.dumps(zoo.build("resnet18").to_json()).encode()
        upload = client.post("/v1/uploads", content=network)
    found = {"job": job, "token": token, "upload": upload}
    return {name: answer.json()["id"] for name, answer in found.items() if answer.is_success}


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figure of what `measure` found."""
    asked = sum(found["statuses"].values())
    statuses = ", ".join(f"{count} x {status}" for status, count in found["statuses"].items())
    return [
        Figure(
            figure="schemathesis_server_errors",
            value=len(found["faults"]),
            unit="count",
            goal=0,
            better="lower",
            peer="",
            protocol=f"Requests that schemathesis makes up from the OpenAPI document, {found['examples']} for each of "
            f"{found['operations']} operations ({found['files']} for those that take a file), with a token of "
            f"full scope; every second one names things that are there: {asked:,} answers, {statuses}.",
            command=command,
        )
    ]
