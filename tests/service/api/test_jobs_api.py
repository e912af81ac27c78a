"""Jobs over HTTP."""

import json
import threading
from pathlib import Path

import httpx2
import pytest

from lutra.service.jobs.job import Worker

from .conftest import OWNER, SPACE, Api, Live

REQUEST = {"kind": "profile", "request": {"networks": ["resnet18"], "device": "null"}}


def test_a_job_is_taken_once(api: Api) -> None:
    client = api.client("profile")
    key = {"idempotency-key": "k-1"}
    made = client.post("/v1/jobs", json=REQUEST, headers=key)
    assert made.status_code == 202
    job = made.json()
    assert made.headers["location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["device"]) == ("queued", "null")
    assert client.post("/v1/jobs", json=REQUEST, headers=key).json()["id"] == job["id"]
    other = REQUEST | {"priority": 5}
    different = {"kind": "profile", "request": {"networks": ["resnet34"], "device": "null"}}
    assert client.post("/v1/jobs", json=different, headers=key).json()["code"] == "LUTRA-E905"
    assert client.post("/v1/jobs", json=other).json()["priority"] == 5
    assert client.get("/v1/jobs?kind=profile&state=queued&device=null").json()["items"][1]["id"] == job["id"]
    assert client.get("/v1/jobs?kind=fit").json()["items"] == []
    assert "authorization" not in client.get(f"/v1/jobs/{job['id']}").text.lower()


def test_what_is_no_job(api: Api) -> None:
    client = api.client("profile")
    for body, status, code in [
        ({"kind": "profil", "request": {}}, 404, "LUTRA-E101"),
        ({"kind": "profile", "request": {}}, 422, "LUTRA-E902"),
        ({"kind": "profile", "request": {"networks": ["resnet18"], "unknown": 1}}, 422, "LUTRA-E902"),
        ({"kind": "profile"}, 422, "LUTRA-E915"),
        (REQUEST | {"limit_s": -1}, 422, "LUTRA-E915"),
    ]:
        answer = client.post("/v1/jobs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert client.get("/v1/jobs/unknown").json()["code"] == "LUTRA-E901"
    assert client.get("/v1/jobs?state=nonsense").status_code == 422
    assert [kind["kind"] for kind in client.get("/v1/job-kinds").json()][:1]


def test_the_course_of_a_job(api: Api) -> None:
    client = api.client("profile")
    job = client.post("/v1/jobs", json=REQUEST).json()
    path = job["links"]["self"]
    assert client.get(f"{path}/result").json()["code"] == "LUTRA-E903"
    assert client.delete(path).json()["code"] == "LUTRA-E903"
    cancelled = client.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    events = client.get(f"{path}/events").json()
    assert [event["state"] for event in events["items"]] == ["created", "queued", "cancelled"]
    assert client.get(events["next"]).json()["items"] == []
    assert client.get(f"{path}/log").text == ""
    assert client.get(f"{path}/files").json() == []
    assert client.get(f"{path}/files/none").json()["code"] == "LUTRA-E901"
    clone = client.post(f"{path}/clone")
    assert (clone.status_code, clone.json()["cloned_from"]) == (202, job["id"])
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_events_come_as_they_happen(live: Live) -> None:
    with httpx2.Client(base_url=live.url, headers={"authorization": f"Bearer {OWNER}"}, timeout=60) as client:
        path = client.post("/v1/jobs", json=REQUEST).json()["links"]["self"]
        seen: list[tuple[str, str]] = []
        begun = threading.Event()

        def follow() -> None:
            with client.stream("GET", f"{path}/events", headers={"accept": "text/event-stream"}) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                for line in answer.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "data":
                        seen.append((field, value))
                        begun.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert begun.wait(60)
        assert client.post(f"{path}/cancel").status_code == 202
        thread.join(60)
        assert not thread.is_alive()  # the stream ends with the job
        states = [json.loads(value).get("state") for _, value in seen]
        assert states == ["created", "queued", "cancelled", "cancelled"]
        later = client.get(f"{path}/events", headers={"accept": "text/event-stream", "last-event-id": "2"}).text
        assert "id: 3\n" in later
        assert "id: 2\n" not in later
        assert client.get(f"{path}/events", headers={"last-event-id": "x"}).status_code == 422


@pytest.mark.parametrize("name", ["../../rows.db", "%2e%2e%2frows.db", "/etc/passwd"])
def test_files_of_jobs_are_no_paths(api: Api, name: str, store_path: Path) -> None:
    path = api.owner.post("/v1/jobs", json=REQUEST).json()["links"]["self"]
    assert api.owner.get(f"{path}/files/{name}").status_code in (404, 422)
    assert store_path.exists()


def test_two_searches_beside_each_other(api: Api) -> None:
    queue = api.service.jobs
    ids = []
    for max_ms in (1.0, 2.0):
        row = {"name": "a", "accuracy": 1.0, "latency_ms": max_ms, "macs": 1, "params": 1, "chosen": True}
        row |= {"interval_ms": None, "measured_ms": None}
        result = {"accuracy": {"label": "macs"}, "device": {"name": "null", "simulated": True}, "front": [row]}
        result |= {"evaluated": 1, "bounds": {}}
        queue.submit("search", {"space": SPACE, "device": "null", "max_ms": max_ms})
        claim = queue.claim(Worker.here(), {"search"})
        queue.put_file(claim.job.id, claim.token, "result.json", json.dumps(result).encode())
        queue.finish(claim.job.id, claim.token, "succeeded", result=result)
        ids.append(claim.job.id)
        alone = api.owner.get("/compare/searches.json").json()
        assert (alone["left"] is None) == (len(ids) < 2)
    found = api.owner.get(f"/compare/searches.json?left={ids[0]}").json()
    assert (found["left"]["id"], found["right"]["id"], found["comparable"]) == (ids[0], ids[1], True)
    assert found["differences"] == [{"name": "max_ms", "left": 1.0, "right": 2.0}]
    assert api.owner.get("/compare/searches.json?left=unknown").status_code == 404
    profile = api.owner.post("/v1/jobs", json=REQUEST).json()["id"]
    assert api.owner.get(f"/compare/searches.json?left={profile}").status_code == 422
    assert api.owner.get(f"/searches/{ids[0]}").text.count(f"/compare/searches?left={ids[0]}") == 1
