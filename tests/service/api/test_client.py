"""The client gives what the store, the predictor and the queue of the server's own machine give."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lutra.luts import Store
from lutra.nas import spaces
from lutra.nas_bridge import make_oracle
from lutra.networks.errors import (
    BadRequestError,
    ForbiddenError,
    JobStateError,
    NotCoveredError,
    StoreLockedError,
    UnauthenticatedError,
    UnknownJobError,
    UnknownNameError,
    UnreachableServerError,
    UsageError,
)
from lutra.networks.exporters import to_onnx
from lutra.predictors import load_predictor
from lutra.predictors.prediction import Prediction
from lutra.service import Client

from .conftest import OWNER, SPACE, Live, serve_copy, small_network


@pytest.fixture
def live(filled: Path, tmp_path: Path) -> object:
    """A server of one's own: tests here change its store."""
    with serve_copy(filled, tmp_path) as running:
        yield running


@pytest.fixture
def client(live: Live) -> object:
    with Client(live.url, token=OWNER) as client:
        yield client


def test_devices_and_rows(client: Client, tmp_path: Path) -> None:
    with Store.open(tmp_path / "rows.db", read_only=True) as store:
        assert client.devices() == store.devices()
        assert client.summaries() == store.summaries()
        assert client.table("null") == store.table("null")
        assert list(client.numbers("null", "kernel")) == list(store.numbers("null", "kernel"))
        row = next(iter(store.measurements("null", "kernel")))
        assert client.get("null", row.subject_kind, row.subject_key) == row
    with pytest.raises(UnknownNameError) as error:
        client.device("nul")
    assert (error.value.what, error.value.known) == ("device", ("host", "null")) or error.value.known == ("null",)


def test_predictions(client: Client, tmp_path: Path) -> None:
    network, path = small_network(), tmp_path / "small.onnx"
    path.write_bytes(to_onnx(network).SerializeToString())
    (tmp_path / "small.json").write_text(json.dumps(network.to_json()))
    remote = client.load_predictor("null")
    with Store.open(tmp_path / "rows.db", read_only=True) as store:
        local = load_predictor("null", store=store)
        expected = local.explain(network, coverage=0.8)
        assert remote.explain(network, coverage=0.8) == expected
        assert str(remote.predict(network)) == str(local.predict(network))
        assert remote.predict([network, network]).tolist() == local.predict([network, network]).tolist()
        assert remote.predict_interval([network], 0.8).tolist() == local.predict_interval([network], 0.8).tolist()
    assert remote.explain(path, coverage=0.8).latency_ms == expected.latency_ms
    assert remote.explain(tmp_path / "small.json", coverage=0.8) == expected
    with pytest.raises(NotCoveredError):
        client.load_predictor("null").predict("resnet18")
    with pytest.raises(UsageError):
        remote.explain(network, coverage=2.0)


def test_an_oracle(client: Client, tmp_path: Path) -> None:
    space = spaces.build(SPACE)
    codes = space.sample(20, np.random.default_rng(1))
    remote = client.oracle(space, "null")
    with Store.open(tmp_path / "rows.db", read_only=True) as store:
        local = make_oracle(store.table("null"), space)
        assert remote.latencies_ms(codes).tolist() == local.latencies_ms(codes).tolist()
        assert remote.intervals_ms(codes, 0.8).tolist() == local.intervals_ms(codes, 0.8).tolist()
    assert remote.simulated
    assert remote.latencies_ms(codes[:0]).shape == (0,)


def test_tables_out_and_in(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    path.write_bytes(client.export("null", "parquet"))
    (report,) = client.import_file(path)
    assert report["written"] == 0
    assert client.diff("null", "null")["beyond"] == []
    client.delete_device("null")
    (report,) = client.import_file(path, name="again")
    assert report["written"] == report["rows"]
    assert [record.name for record in client.devices()] == ["again"]


def test_a_lease(client: Client) -> None:
    with client.lease("null"), pytest.raises(StoreLockedError), client.lease("null"):
        pass
    with client.lease("null"):
        client.heartbeat("null", agent="test", state={"x": 1})


def test_jobs(client: Client) -> None:
    request = {"networks": ["resnet18"], "device": "null"}
    job = client.jobs.submit("profile", request, idempotency_key="once")
    assert client.jobs.submit("profile", request, idempotency_key="once") == job
    assert client.jobs.get(job.id) == job
    others = [client.jobs.submit("profile", request).id for _ in range(3)]
    first = client.jobs.list(limit=2)
    second = client.jobs.list(limit=2, after=first.after)
    assert [job.id for job in (*first.jobs, *second.jobs)] == [*reversed(others), job.id]
    assert client.jobs.list(state="running").jobs == ()
    with pytest.raises(JobStateError):
        client.jobs.result(job.id)
    assert client.jobs.cancel(job.id).state == "cancelled"
    followed = list(client.jobs.follow(job.id))
    assert followed == list(client.jobs.events(job.id))
    assert [event["number"] for event in followed] == list(range(1, len(followed) + 1))
    assert list(client.jobs.follow(job.id, after=1)) == followed[1:]
    assert client.jobs.wait(job.id).state == "cancelled"
    assert client.jobs.log(job.id) == ""
    copy = client.jobs.clone(job.id)
    assert copy.cloned_from == job.id
    client.jobs.delete(job.id)
    with pytest.raises(UnknownJobError):
        client.jobs.get(job.id)


def test_what_went_wrong_is_the_error_that_it_was(live: Live, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnauthenticatedError), Client(live.url, token="wrong") as unknown:
        unknown.devices()
    with pytest.raises(BadRequestError) as error:
        client.jobs.list(limit=0)
    assert "query.limit" in error.value.fields
    text = client._transport.json("POST", "/v1/tokens", document={"name": "n", "scope": "read"})["token"]
    with pytest.raises(ForbiddenError, match="profile"), Client(live.url, token=text) as reader:
        reader.jobs.submit("profile", {})
    monkeypatch.delenv("LUTRA_TOKEN", raising=False)
    with pytest.raises(UnauthenticatedError, match="no token"):
        Client(live.url)
    monkeypatch.setenv("LUTRA_TOKEN", text)
    monkeypatch.setenv("LUTRA_SERVER", live.url)
    with Client() as found:
        assert len(found.devices()) == 1
        assert text not in repr(found)
    monkeypatch.setattr("lutra.service.client.transport._AGAIN_AFTER_S", 0.0)
    with pytest.raises(UnreachableServerError), Client("http://127.0.0.1:1") as nobody:
        nobody.devices()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "file:///etc/passwd", "http://user:word@host", "http://"])
def test_what_is_no_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUTRA_SERVER", raising=False)
    with pytest.raises(UsageError) as error:
        Client(url, token="x")
    assert "word" not in str(error.value)


def test_the_command_line_asks_a_server(
    live: Live, lutra: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    monkeypatch.setenv("LUTRA_STORE", str(tmp_path / "another.db"))
    (tmp_path / "small.json").write_text(json.dumps(small_network().to_json()))
    server = ("--server", live.url)
    stored = lutra("devices", "--json", *server).document["stored"]  # type: ignore[attr-defined]
    assert [device["name"] for device in stored] == ["null"]
    assert lutra("table", "list", "--json", *server).document[0]["name"] == "null"  # type: ignore[attr-defined]
    assert lutra("table", "show", "null", "--json", *server).document["rows"]  # type: ignore[attr-defined]
    found = lutra("predict", "small.json", "--device", "null", "--json", *server)
    assert Prediction.from_dict(found.document[0]).latency_ms > 0  # type: ignore[attr-defined]
    assert lutra("table", "export", "null", "out.parquet", *server).code == 0  # type: ignore[attr-defined]
    assert lutra("table", "import", "out.parquet", *server).code == 0  # type: ignore[attr-defined]
    diff = lutra("table", "diff", "null", "out.parquet", "--json", *server)
    assert diff.document["beyond"] == []  # type: ignore[attr-defined]
    both = lutra("devices", "--store", "x.db", *server)
    assert (both.code, "give one of the two" in both.err) == (2, True)  # type: ignore[attr-defined]
    assert not (tmp_path / "another.db").exists()
