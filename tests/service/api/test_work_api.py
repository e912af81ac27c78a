"""``/v1/work`` and rows over HTTP: who may tell what of which job, and what is not taken."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lutra.luts.table import ALIASES_DOCUMENT
from lutra.luts.testing import make_fingerprint, make_measurement
from lutra.service.api.app import make_app
from lutra.service.api.settings import Settings
from lutra.service.tokens import digest_of

from .conftest import OWNER, Api

MINE, OTHER, SOURCE = "1" * 32, "2" * 32, "a" * 32
REQUEST = {"networks": ["resnet18"], "device": "pi"}
EVENT: dict[str, Any] = {
    "number": 1,
    "event": "row",
    "at": "2026-01-01T00:00:00Z",
    "kind": "kernel",
    "label": "conv",
    "status": "ok",
    "latency_ms": 1.5,
    "flags": [],
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    settings = Settings(store=str(tmp_path / "rows.db"), heavy_per_s=1e6, failures_per_s=1e6)
    app = make_app(settings, own_digest=digest_of(OWNER))
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        yield Api(client)


@pytest.fixture
def agent(api: Api) -> TestClient:
    return api.client("profile")


def claim(agent: TestClient, token: str = MINE, **others: Any) -> Any:
    asked = {"agent": "pi", "token": token, "kinds": ["profile"], "devices": ["pi"]} | others
    return agent.post("/v1/work/claims", json=asked)


def claimed(api: Api, agent: TestClient) -> str:
    """The id of a job that the agent has."""
    job = api.owner.post("/v1/jobs", json={"kind": "profile", "request": REQUEST}).json()["id"]
    assert claim(agent).json()["job"]["id"] == job
    return str(job)


def test_a_job_from_its_claim_to_its_end(api: Api, agent: TestClient) -> None:
    assert claim(agent).json() == {"job": None}
    job, mine = claimed(api, agent), {"Lutra-Claim": MINE}
    assert claim(agent).json()["job"]["attempts"] == 1  # the answer was lost
    told = {"source": SOURCE, "events": [EVENT], "log": "said\n"}
    for _ in range(2):
        standing = agent.post(f"/v1/work/{job}/report", json=told, headers=mine)
        assert standing.json() == {"state": "running", "events": 1, "log_characters": 5}
    assert agent.put(f"/v1/work/{job}/files/a/b.json", content=b"{}", headers=mine).status_code == 204
    assert api.owner.get(f"/v1/jobs/{job}/files/a/b.json").content == b"{}"
    page = api.owner.get(f"/jobs/{job}")
    assert page.status_code == 200
    for _ in range(2):
        ended = agent.post(f"/v1/work/{job}/end", json={"state": "succeeded", "result": {"x": 1}}, headers=mine)
        assert ended.json()["state"] == "succeeded"
    assert agent.post(f"/v1/work/{job}/report", json=told, headers=mine).status_code == 409
    assert api.owner.get(f"/v1/jobs/{job}/log").text == "said\n"


def test_nobody_tells_of_a_job_that_another_has(api: Api, agent: TestClient) -> None:
    job = claimed(api, agent)
    asks = [
        ("POST", "report", {"source": SOURCE}),
        ("POST", "end", {"state": "succeeded"}),
        ("POST", "return", {"reason": "tired"}),
        ("PUT", "files/x", None),
    ]
    for method, what, document in asks:
        for headers, status in (({"Lutra-Claim": OTHER}, 409), ({}, 422), ({"Lutra-Claim": "x"}, 422)):
            given = {"content": b"x"} if document is None else {"json": document}
            answer = agent.request(method, f"/v1/work/{job}/{what}", headers=headers, **given)  # type: ignore[arg-type]
            assert answer.status_code == status, (what, headers)
        assert api.client("read").request(method, f"/v1/work/{job}/{what}", json=document).status_code == 403
        assert api.client(None).request(method, f"/v1/work/{job}/{what}", json=document).status_code == 401
    assert api.owner.get(f"/v1/jobs/{job}").json()["state"] == "running"
    returned = agent.post(f"/v1/work/{job}/return", json={"reason": "tired"}, headers={"Lutra-Claim": MINE})
    assert returned.json()["state"] == "queued"


def test_agents_get_nothing_that_needs_more_than_a_device(api: Api, agent: TestClient) -> None:
    refused = claim(agent, kinds=["profile", "search", "fit"])
    assert (refused.status_code, "fit, search" in refused.json()["detail"]) == (422, True)
    assert claim(agent, token="short").status_code == 422
    assert claim(api.client("read")).status_code == 403
    job = api.owner.post("/v1/jobs", json={"kind": "profile", "request": REQUEST}).json()["id"]
    assert claim(agent, job=OTHER).json() == {"job": None}
    assert claim(agent, devices=["another"]).json() == {"job": None}
    assert claim(agent, job=job).json()["job"]["id"] == job


@pytest.mark.parametrize(
    "changed",
    [
        {"event": "state"},
        {"event": "failed"},
        {"event": "tried"},
        {"latency_ms": 1e308},
        {"event": "Row\n"},
        {"state": "succeeded"},
        {"number": 0},
        {"latency_ms": "slow"},
        {"flags": 3},
        {"done": None},
        {"rel_halfwidth": [1]},
    ],
)
def test_events_that_pages_could_not_show_are_refused(api: Api, agent: TestClient, changed: dict[str, Any]) -> None:
    job = claimed(api, agent)
    told = {"source": SOURCE, "events": [EVENT | changed]}
    assert agent.post(f"/v1/work/{job}/report", json=told, headers={"Lutra-Claim": MINE}).status_code == 422
    twice = {"source": SOURCE, "events": [EVENT, EVENT]}
    assert agent.post(f"/v1/work/{job}/report", json=twice, headers={"Lutra-Claim": MINE}).status_code == 422


def test_rows_come_in_all_or_none_and_take_their_own_places(api: Api, agent: TestClient) -> None:
    fingerprint = make_fingerprint()
    path = f"/v1/tables/{fingerprint.digest}/rows"
    rows = [make_measurement(key) for key in "ab"]
    documents = [row.to_dict() for row in rows]
    assert agent.post(path, json={"rows": documents}).json()["data"]["what"] == "device"
    agent.post("/v1/devices", json={"name": "pi", "fingerprint": fingerprint.to_dict()})
    for bad in ({}, {"label": 3}, {"samples_ns": {"a": 1}}, {"normalisation": 5}, {"spec": None}, {"versions": []}):
        answer = agent.post(path, json={"rows": [documents[0], documents[1] | bad if bad else {}]})
        assert answer.status_code == 422, answer.text
    assert api.service.store.keys(fingerprint, "kernel") == set()
    for _ in range(2):
        assert agent.post(path, json={"rows": documents}).json() == {"taken": 2}
    assert list(api.service.store.measurements(fingerprint)) == rows
    assert api.client("read").post(path, json={"rows": documents}).status_code == 403
    assert agent.post(path, json={"rows": documents * 200}).status_code == 422


def test_equal_boards_each_add_what_they_know_of_names(api: Api, agent: TestClient) -> None:
    fingerprint = make_fingerprint()
    agent.post("/v1/devices", json={"name": "pi", "fingerprint": fingerprint.to_dict()})
    path = f"/v1/tables/{fingerprint.digest}/rows"
    for units in ({"|a": ["x"]}, {"|b": ["y"]}):
        given = {"documents": {ALIASES_DOCUMENT: {"units": units}, "fusion": units}}
        assert agent.post(path, json=given).status_code == 200
    assert api.service.store.documents(fingerprint) == {
        ALIASES_DOCUMENT: {"units": {"|a": ["x"], "|b": ["y"]}},
        "fusion": {"|b": ["y"]},
    }
    assert agent.post(path, json={"documents": {ALIASES_DOCUMENT: {"units": 3}}}).status_code == 422
