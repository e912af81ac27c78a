"""Devices, tables, vocabulary, health over HTTP."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lutra.luts import Store, Table
from lutra.luts.exchange import read
from lutra.networks import catalogue, zoo

from .conftest import Api


def test_health_needs_nothing(api: Api) -> None:
    client = api.client(None)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}


def test_not_ready_without_the_store(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from lutra.networks.errors import StoreLockedError

    def locked() -> str:
        raise StoreLockedError("held by another")

    monkeypatch.setattr(api.service.store, "change_mark", locked)
    answer = api.client(None).get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "LUTRA-E603")
    assert api.client(None).get("/healthz").status_code == 200


def test_devices(api: Api, store_path: Path) -> None:
    listed = api.client("read").get("/v1/devices").json()
    assert listed["total"] == 1
    (device,) = listed["items"]
    assert (device["name"], device["kind"], device["seen_at"]) == ("null", "null", None)
    with Store.open(store_path, read_only=True) as store:
        record = store.device("null")
    assert api.owner.get(f"/v1/devices/{record.digest[:8]}").json() == device
    fingerprint = api.owner.get("/v1/devices/null/fingerprint").json()
    assert fingerprint == record.fingerprint.to_dict()
    other = fingerprint | {"hardware": {"model": "board"}}
    made = api.client("profile").post("/v1/devices", json={"name": "board", "fingerprint": other})
    assert made.status_code == 201
    assert api.owner.get(made.headers["location"]).json() == made.json()
    assert made.json()["counts"] == {}
    assert api.owner.get("/v1/devices").json()["total"] == 2
    broken = fingerprint | {"runtime": {}}
    assert api.owner.post("/v1/devices", json={"name": "b", "fingerprint": broken}).status_code == 422


def test_a_sign_of_life(api: Api) -> None:
    sent = api.client("profile").post(
        "/v1/devices/null/heartbeat", json={"agent": "pi", "state": {"temperature_c": 51}}
    )
    assert sent.json()["state"] == {"temperature_c": 51}
    assert api.owner.get("/v1/devices/null").json()["seen_at"] == sent.json()["seen_at"]
    assert api.owner.post("/v1/devices/nobody/heartbeat", json={}).status_code == 404


def test_one_holds_a_device_at_a_time(api: Api) -> None:
    client = api.client("profile")
    lease = client.post("/v1/devices/null/lease", json={"seconds": 30})
    assert lease.status_code == 201
    again = client.post("/v1/devices/null/lease", json={})
    assert (again.status_code, again.json()["code"]) == (409, "LUTRA-E603")
    address = f"/v1/devices/null/lease/{lease.json()['id']}"
    assert client.put(address).json() == lease.json()
    assert client.delete(address).status_code == 204
    assert client.put(address).status_code == 412
    assert client.post("/v1/devices/null/lease", json={}).status_code == 201


def test_a_lease_that_nobody_renews_ends(api: Api) -> None:
    client = api.client("profile")
    lease = client.post("/v1/devices/null/lease", json={"seconds": 30}).json()
    for held in api.service.leases._held.values():
        held.ends = 0.0
    assert client.put(f"/v1/devices/null/lease/{lease['id']}").status_code == 412
    assert client.post("/v1/devices/null/lease", json={}).status_code == 201


def test_a_table_has_a_version(api: Api) -> None:
    first = api.client("read").get("/v1/tables/null")
    version = first.headers["etag"]
    assert first.json()["etag"] == version
    assert api.owner.get("/v1/tables/null", headers={"if-none-match": version}).status_code == 304
    assert api.owner.get("/v1/tables/null", headers={"if-none-match": f'"other", W/{version}'}).status_code == 304
    assert api.owner.get("/v1/tables/null", headers={"if-none-match": '"other"'}).status_code == 200
    assert api.owner.delete("/v1/tables/null", headers={"if-match": '"other"'}).status_code == 412
    assert api.owner.delete("/v1/tables/null", headers={"if-match": version}).status_code == 204
    assert api.owner.get("/v1/tables/null").status_code == 404


def test_rows_come_page_by_page(api: Api, store_path: Path) -> None:
    with Store.open(store_path, read_only=True) as store:
        expected = [row.subject_key for row in store.numbers("null", "kernel")]
        row = store.get("null", "kernel", expected[0])
        assert row is not None
    keys, address = [], "/v1/tables/null/rows?kind=kernel&limit=7"
    while address:
        page = api.owner.get(address).json()
        assert len(page["items"]) <= 7
        keys += [item["subject_key"] for item in page["items"]]
        address = page["next"]
    assert keys == expected
    one = api.owner.get("/v1/tables/null/row", params={"kind": "kernel", "key": expected[0]})
    assert one.json() == row.to_dict()
    assert api.owner.get("/v1/tables/null/row?kind=kernel&key=none").status_code == 404


@pytest.mark.parametrize("form", ["parquet", "json"])
def test_a_table_goes_out_and_in_again(
    api: Api, serving: Callable[..., Api], store_path: Path, tmp_path: Path, form: str
) -> None:
    out = api.client("read").get(f"/v1/tables/null/export?format={form}")
    assert out.status_code == 200
    assert (
        api.owner.get(
            f"/v1/tables/null/export?format={form}", headers={"if-none-match": out.headers["etag"]}
        ).status_code
        == 304
    )
    path = tmp_path / f"out.{form}"
    path.write_bytes(out.content)
    with Store.open(store_path, read_only=True) as store:
        table = store.table("null")
    found = read(path)
    assert Table(found.fingerprint, found.rows, name=found.name, documents=found.documents) == table
    empty = serving(store=str(tmp_path / "empty.db"))
    into = empty.client("profile").post(f"/v1/tables/import?format={form}&name=copy", content=out.content)
    assert into.status_code == 201, into.text
    (report,) = into.json()
    assert report == {"name": "copy", "digest": table.fingerprint.digest, "rows": len(table), "written": len(table)}
    with Store.open(tmp_path / "empty.db", read_only=True) as store:
        assert list(store.measurements("copy")) == list(table)
    assert not list(api.service.uploads.folder.iterdir())
    again = empty.owner.post(f"/v1/tables/import?format={form}", content=out.content)
    assert again.json()[0]["written"] == 0


def test_csv_holds_the_numbers(api: Api) -> None:
    out = api.owner.get("/v1/tables/null/export?format=csv")
    assert out.headers["content-type"].startswith("text/csv")
    assert len(out.text.splitlines()) > 10


def test_tables_beside_each_other(api: Api) -> None:
    found = api.client("read").get("/v1/tables/diff?left=null&right=null").json()
    assert found["device"] == found["beyond"] == found["only_left"] == []
    assert found["compared"] > 0
    assert found["ratio"] == {"p10": 1.0, "p50": 1.0, "p90": 1.0}
    assert api.owner.get("/v1/tables/diff?left=null&right=/etc/passwd").status_code == 422


def test_the_vocabulary(api: Api) -> None:
    client = api.client("read")
    assert client.get("/v1/ops").json()["total"] == len(list(catalogue()))
    assert client.get("/v1/ops/conv2d").json()["attributes"]["groups"]["required"] is False
    assert client.get("/v1/ops/conv3000d").status_code == 404
    assert [n["name"] for n in client.get("/v1/networks?limit=500").json()["items"]] == list(zoo.names())
    space = client.get("/v1/spaces/ofa-small").json()
    assert (len(space["decisions"]), int(space["size"])) == (9, 2_012_283)
    assert "ofa-small" in [s["name"] for s in client.get("/v1/spaces?limit=100").json()["items"]]


def test_what_prometheus_reads(api: Api) -> None:
    api.owner.get("/v1/devices/null")
    text = api.client("read").get("/metrics").text
    assert 'lutra_http_requests_total{method="GET",path="/v1/devices/{device}",status="200"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_nothing_here(api: Api) -> None:
    for method, path, status in [("GET", "/v1/nothing", 404), ("PUT", "/v1/devices", 405), ("GET", "/v2/devices", 404)]:
        answer = api.owner.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, "LUTRA-E913")
