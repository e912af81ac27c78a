"""Latencies over HTTP are those that Python gives, for networks of every kind, one and many."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts import Store
from lutra.nas import spaces
from lutra.nas_bridge import make_oracle
from lutra.networks.exporters import to_onnx
from lutra.predictors import load_predictor

from .conftest import SPACE, Api, small_network


def test_a_prediction_is_that_of_python(api: Api, store_path: Path) -> None:
    answer = api.client("read").post(
        "/v1/predictions", json={"device": "null", "network": small_network().to_json(), "coverage": 0.8}
    )
    assert answer.status_code == 200
    with Store.open(store_path) as store:
        expected = load_predictor("null", store=store).explain(small_network(), coverage=0.8).to_dict()
        expected["table"] = store.content_mark("null")
    assert answer.json() == json.loads(json.dumps(expected))
    assert answer.json()["measured_share"] == 1.0
    assert [part["source"] for part in answer.json()["parts"]] == ["measured"] * len(expected["parts"])


@pytest.mark.parametrize("again", [False, True])
def test_the_same_question_has_the_same_answer(api: Api, again: bool) -> None:
    client, document = api.client("read"), {"device": "null", "network": small_network().to_json()}
    first = client.post("/v1/predictions", json=document)
    if again:  # written in another order, it is the same network
        document["network"] = dict(reversed(list(small_network().to_json().items())))
    assert client.post("/v1/predictions", json=document).content == first.content


def test_an_onnx_file_is_predicted_and_not_kept(api: Api) -> None:
    content = to_onnx(small_network()).SerializeToString()
    answer = api.client("read").post("/v1/predictions/onnx?device=null", content=content)
    assert answer.status_code == 200
    by_json = api.owner.post("/v1/predictions", json={"device": "null", "network": small_network().to_json()})
    assert answer.json()["latency_ms"] == by_json.json()["latency_ms"]
    assert not list(api.service.uploads.folder.iterdir())


def test_an_upload_is_predicted_until_it_is_deleted(api: Api) -> None:
    client = api.client("profile")
    made = client.post("/v1/uploads?name=mine", content=to_onnx(small_network()).SerializeToString())
    assert made.status_code == 201
    upload = made.json()
    assert (upload["kind"], upload["name"], made.headers["location"]) == ("onnx", "mine", f"/v1/uploads/{upload['id']}")
    question = {"device": "null", "upload": upload["id"]}
    assert client.post("/v1/predictions", json=question).status_code == 200
    assert client.get("/v1/uploads").json()["items"] == [upload]
    assert client.delete(made.headers["location"]).status_code == 204
    assert client.post("/v1/predictions", json=question).status_code == 404
    assert client.get(made.headers["location"]).status_code == 404


def test_codes_are_those_of_the_oracle(api: Api, store_path: Path) -> None:
    space = spaces.build(SPACE)
    codes = space.sample(50, np.random.default_rng(0))
    with Store.open(store_path) as store:
        oracle = make_oracle(store.table("null"), space)
        latencies_ms, ends_ms = oracle.latencies_ms(codes), oracle.intervals_ms(codes, 0.9)
    client = api.client("read")
    many = client.post("/v1/predictions/batch", json={"device": "null", "space": SPACE, "codes": codes.tolist()})
    assert many.status_code == 200
    assert many.json()["latencies_ms"] == latencies_ms.tolist()
    assert many.json()["low_ms"] == ends_ms[:, 0].tolist()
    assert many.json()["high_ms"] == ends_ms[:, 1].tolist()
    assert many.json()["simulated"] is True
    for code, latency_ms in zip(codes[:5].tolist(), latencies_ms, strict=False):
        question = {"device": "null", "space": SPACE, "code": code, "detail": False}
        for _ in range(2):  # asked in a thread the first time, at once the second
            one = client.post("/v1/predictions", json=question)
            assert one.json()["latency_ms"] == pytest.approx(latency_ms, rel=1e-12)
        whole = client.post("/v1/predictions", json=question | {"detail": True})
        assert whole.json()["latency_ms"] == pytest.approx(latency_ms, rel=1e-5)
        assert whole.json()["parts"]


def test_what_is_answered_at_once_is_what_the_usual_way_gives(api: Api) -> None:
    client = api.client("read")
    rows = spaces.build(SPACE).sample(3, np.random.default_rng(1)).tolist()
    usual = {"content-type": "application/json; charset=utf-8"}  # whatever is not quite ordinary
    for row in [*rows, [0], [9999] * len(rows[0])]:
        question = json.dumps({"device": "null", "space": SPACE, "code": row, "detail": False})
        answers = [
            client.post("/v1/predictions", content=question, headers={"content-type": "application/json"}),
            client.post("/v1/predictions", content=question, headers={"content-type": "application/json"}),
            client.post("/v1/predictions", content=question, headers=usual),
        ]
        assert len({(answer.status_code, _untold(answer)) for answer in answers}) == 1
    assert 'lutra_predictions_total{how="single"} 9.0' in api.owner.get("/metrics").text
    for headers in (
        {"authorization": "Bearer lutra_x_y"},
        {"authorization": f"Basic {client.headers['authorization'][7:]}"},
    ):
        assert client.post("/v1/predictions", content=question, headers=headers).status_code == 401


def _untold(answer: Any) -> str:
    """What an answer says, without the number of its request."""
    found = answer.json()
    found.pop("request", None)
    return json.dumps(found)


def test_networks_in_a_batch(api: Api) -> None:
    networks = [{"network": small_network().to_json()}] * 2
    answer = api.client("read").post("/v1/predictions/batch", json={"device": "null", "networks": networks})
    assert answer.status_code == 200
    assert len(set(answer.json()["latencies_ms"])) == 1
    bad = [*networks, {"network": "no_such_network"}]
    answer = api.client("read").post("/v1/predictions/batch", json={"device": "null", "networks": bad})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("network 2: ")


def test_a_changed_table_changes_the_answer(api: Api, store_path: Path) -> None:
    question = {"device": "null", "network": small_network().to_json(), "detail": False}
    before = api.owner.post("/v1/predictions", json=question).json()
    with Store.open(store_path) as store:  # as another process would
        for row in list(store.measurements("null", "kernel")):
            slower = row.to_dict() | {"normalisation": None, "latency_ms": None}
            slower["samples_ns"] = [2 * value for value in slower["samples_ns"]]
            store.record("null", type(row).from_dict(slower), replace=True)
    api.service.notice()
    after = api.owner.post("/v1/predictions", json=question).json()
    assert after["table"] != before["table"]
    assert after["latency_ms"] > before["latency_ms"]


@settings(max_examples=25)
@given(st.lists(st.integers(-3, 20), max_size=12))
def test_what_is_no_code_is_refused(running: Api, code: list[int]) -> None:
    question = {"device": "null", "space": SPACE, "code": code, "detail": False}
    answer = running.owner.post("/v1/predictions", json=question)
    space = spaces.build(SPACE)
    try:
        space.validate([code])
        good = True
    except Exception:
        good = False
    assert (answer.status_code == 200) == good
    if not good:
        assert answer.status_code == 422
        assert answer.json()["code"] in ("LUTRA-E100", "LUTRA-E915")


def test_what_is_wrong_is_said(api: Api) -> None:
    client = api.client("read")
    network = small_network().to_json()
    for question, status, code in [
        ({"device": "nul", "network": network}, 404, "LUTRA-E101"),
        ({"device": "null"}, 422, "LUTRA-E915"),
        ({"device": "null", "network": network, "code": [1], "space": SPACE}, 422, "LUTRA-E915"),
        ({"device": "null", "network": network, "coverage": 1.5}, 422, "LUTRA-E915"),
        ({"device": "null", "network": network, "coverrage": 0.5}, 422, "LUTRA-E915"),
        ({"device": "null", "network": "mobilnet_v2"}, 404, "LUTRA-E101"),
        ({"device": "null", "network": network | {"nodes": [{}]}}, 422, "LUTRA-E301"),
        ({"device": "null", "network": network | {"version": 99}}, 422, "LUTRA-E400"),
        ({"device": "null", "space": "no-space", "code": [0]}, 404, "LUTRA-E101"),
        ({"device": "null", "model": "nothing", "network": network}, 404, "LUTRA-E101"),
        ({"device": "null", "runtime": "xnnpack", "network": network}, 422, "LUTRA-E100"),
        ({"device": "null", "upload": "0" * 64}, 404, "LUTRA-E101"),
        ({"device": "null", "network": small_network(width=9).to_json(), "exact": True}, 422, "LUTRA-E204"),
    ]:
        answer = client.post("/v1/predictions", json=question)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request"] == answer.headers["x-request-id"]


def test_a_saved_predictor_is_asked_by_its_name(api: Api, store_path: Path) -> None:
    with Store.open(store_path) as store:
        load_predictor("null", store=store).save(api.service.models / "mine")
    client = api.client("read")
    assert [model["name"] for model in client.get("/v1/models").json()["items"]] == ["mine"]
    assert client.get("/v1/models/mine").json()["kind"] == "table"
    document = {"network": small_network().to_json()}
    by_model = client.post("/v1/predictions", json=document | {"model": "mine"})
    by_table = client.post("/v1/predictions", json=document | {"device": "null"})
    assert by_model.json()["latency_ms"] == by_table.json()["latency_ms"]
    assert client.delete("/v1/models/mine").status_code == 403
    assert api.owner.delete("/v1/models/mine").status_code == 204
    assert client.post("/v1/predictions", json=document | {"model": "mine"}).status_code == 404
