"""What an attacker could hand in, or ask for, and what happens then."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lutra.networks.exporters import to_onnx
from lutra.service.api.gate import POLICY

from .conftest import OWNER, Api, small_network

PUBLIC = {"/healthz", "/readyz", "/login"}


# -- who may --------------------------------------------------------------------------------------------------


def routes(api: Api) -> list[tuple[str, str]]:
    """Every method and path of the contract."""
    document = api.owner.get("/v1/openapi.json").json()
    return [(method.upper(), path) for path, item in document["paths"].items() for method in item]


def test_every_route_but_health_needs_a_token(api: Api) -> None:
    nobody, wrong = api.client(None), api.client(None)
    wrong.headers["Authorization"] = "Bearer lutra_000000000000_" + "A" * 43
    found = routes(api)
    assert len(found) > 40
    for method, path in found:
        if path not in PUBLIC:
            address = re.sub(r"\{[^}]+\}", "x", path)
            assert nobody.request(method, address).status_code == 401, (method, path)
            assert wrong.request(method, address).status_code in (401, 429), (method, path)


def test_scopes_include_each_other(serving: Callable[..., Api]) -> None:
    api = serving()
    read, profile, admin = (api.client(scope) for scope in ("read", "profile", "admin"))
    writes = [
        ("POST", "/v1/devices", {"name": "x", "fingerprint": {"kind": "real", "runtime": {}, "settings": {}}}),
        ("POST", "/v1/devices/null/heartbeat", {}),
        ("POST", "/v1/devices/null/lease", {}),
        ("POST", "/v1/jobs", {"kind": "profile", "request": {}}),
        ("POST", "/v1/uploads", None),
        ("POST", "/v1/tables/import?format=json", None),
    ]
    for method, path, document in writes:
        assert read.request(method, path, json=document).status_code == 403, path
        assert profile.request(method, path, json=document).status_code not in (401, 403), path
        assert admin.request(method, path, json=document).status_code not in (401, 403), path
    for path in ("/v1/tokens", "/v1/tokens?limit=1"):
        assert [client.get(path).status_code for client in (read, profile, admin)] == [403, 403, 200]
    assert profile.delete("/v1/tables/null").status_code == 403
    assert admin.delete("/v1/tables/null").status_code == 204


def test_the_problem_of_a_missing_token(api: Api) -> None:
    answer = api.client(None).get("/v1/devices")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "LUTRA-E911"


def test_a_revoked_token_is_refused_at_once(api: Api) -> None:
    made = api.owner.post("/v1/tokens", json={"name": "short", "scope": "read"}).json()
    client = api.client(None)
    client.headers["Authorization"] = f"Bearer {made['token']}"
    assert client.get("/v1/devices").status_code == 200
    assert api.owner.delete(f"/v1/tokens/{made['id']}").json()["valid"] is False
    assert client.get("/v1/devices").status_code == 401


def test_no_answer_holds_a_token_or_its_hash(api: Api) -> None:
    made = api.owner.post("/v1/tokens", json={"name": "n"}).json()
    listed = api.owner.get("/v1/tokens").text
    secret = made["token"].split("_", 2)[2]
    digest = api.tokens().find(made["id"]).digest  # type: ignore[union-attr]
    assert made["id"] in listed
    assert secret not in listed
    assert digest not in listed + json.dumps(made)


def test_guessing_is_slowed_down(serving: Callable[..., Api]) -> None:
    api = serving(failures_per_s=0.1)
    assert api.owner.get("/v1/devices").status_code == 200
    client = api.client(None)
    statuses = []
    for guess in range(5):
        client.headers["Authorization"] = f"Bearer guess-{guess}"
        answer = client.get("/v1/devices")
        statuses.append(answer.status_code)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert api.owner.get("/v1/devices").status_code == 200  # who is known is not held up


def test_requests_are_limited_by_client(serving: Callable[..., Api]) -> None:
    api = serving(requests_per_s=0.01)
    first, second = api.client("read"), api.client("read")
    assert first.get("/v1/ops").status_code == 429  # a burst of two hundredths is less than one request
    assert second.get("/v1/ops").json()["code"] == "LUTRA-E918"
    api = serving(heavy_per_s=0.2)
    client = api.client("profile")
    statuses = [client.post("/v1/uploads", content=b"x").status_code for _ in range(4)]
    assert statuses == [422, 422, 429, 429]
    assert client.get("/v1/uploads").status_code == 200


# -- headers, hosts, other sites ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/login", "/healthz", "/v1/devices", "/nothing", "/static/style.css"])
def test_headers_of_every_answer(api: Api, path: str) -> None:
    for client in (api.owner, api.client(None)):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"  # forms need their origin; other sites learn nothing
        assert "server" not in headers


def test_the_policy_has_no_way_for_inline_scripts_or_other_sites() -> None:
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert "http" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(api: Api) -> None:
    for path in ("/", "/login"):
        page = api.owner.get(path).text
        assert "<html" in page
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son\w+=|javascript:", page)
        assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", page)


def test_another_host_name_is_refused(serving: Callable[..., Api]) -> None:
    api = serving(host_names=("127.0.0.1", "localhost", "::1"))
    for host, status in [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("LOCALHOST", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost:8000@evil.example", 403),
        ("", 403),
    ]:
        assert api.owner.get("/healthz", headers={"host": host}).status_code == status, host


def log_in(api: Api) -> tuple[object, str]:
    """A browser that has logged in, and the token of its forms."""
    browser = api.client(None)
    answer = browser.get(f"/login?code={api.service.access.new_code()}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    page = browser.get("/")
    assert page.status_code == 200
    found = re.search(r'name="csrf" value="([^"]{20,})"', page.text)
    assert found
    return browser, found[1]


def test_a_login_link_works_once(api: Api) -> None:
    code = api.service.access.new_code()
    assert api.client(None).get(f"/login?code={code}").status_code == 303
    again = api.client(None).get(f"/login?code={code}")
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


def test_a_cookie_lets_look_but_not_act_without_the_pages_token(api: Api) -> None:
    browser, csrf = log_in(api)
    assert browser.get("/v1/devices").status_code == 200  # type: ignore[attr-defined]
    heartbeat = "/v1/devices/null/heartbeat"
    origin = {"origin": "http://localhost"}
    post = browser.post  # type: ignore[attr-defined]
    assert post(heartbeat, json={}, headers=origin).status_code == 403
    assert post(heartbeat, json={}, headers={"x-csrf-token": csrf, "origin": "http://evil.example"}).status_code == 403
    assert post(heartbeat, json={}, headers={"x-csrf-token": "x" * 43} | origin).status_code == 403
    cross = {"x-csrf-token": csrf, "sec-fetch-site": "cross-site"}
    assert post(heartbeat, json={}, headers=cross).status_code == 403
    assert post(heartbeat, json={}, headers={"x-csrf-token": csrf} | origin).status_code == 200
    assert post("/logout", data={"csrf": "wrong"}).status_code == 403
    assert post("/logout", data={"csrf": csrf}).status_code == 303
    assert browser.get("/v1/devices").status_code == 401  # type: ignore[attr-defined]


def test_a_file_is_handed_in_by_the_pages_own_form_alone(serving: Callable[..., Api]) -> None:
    api = serving(max_upload_bytes=100_000)
    browser, csrf = log_in(api)
    post = browser.post  # type: ignore[attr-defined]
    file = {"file": ("../../x.onnx", to_onnx(small_network()).SerializeToString())}
    place = "/networks/file"
    assert post(place, data={"csrf": "wrong"}, files=file).status_code == 403
    assert post(place, files=file).status_code == 403
    assert post(place, data={"csrf": csrf}, files=file, headers={"origin": "http://evil.example"}).status_code == 403
    assert api.client(None).post(place, data={"csrf": csrf}, files=file).headers["location"] == "/login"
    assert not api.service.uploads.list()
    assert post(place, data={"csrf": csrf}).status_code == 422
    assert post(place, data={"csrf": csrf}, files={"file": ("x.onnx", b"none")}).status_code == 422
    assert post(place, data={"csrf": csrf}, files={"file": ("x.onnx", bytes(200_000))}).status_code == 413
    assert post(place, content=b"x", headers={"content-type": "multipart/form-data"}).status_code in (400, 403)
    done = post(place, data={"csrf": csrf, "device": "null"}, files=file)
    (kept,) = api.service.uploads.list()
    assert (done.status_code, done.headers["location"]) == (303, f"/networks?upload={kept.id}&device=null")
    shown = browser.get(done.headers["location"])  # type: ignore[attr-defined]
    assert (shown.status_code, "small" in shown.text) == (200, True)


def test_a_session_ends_with_its_token(api: Api) -> None:
    made = api.owner.post("/v1/tokens", json={"name": "n", "scope": "read"}).json()
    browser = api.client(None)
    assert browser.post("/login", data={"token": made["token"]}).status_code == 303
    assert browser.get("/").status_code == 200
    api.owner.delete(f"/v1/tokens/{made['id']}")
    assert browser.get("/").status_code == 303
    assert browser.get("/v1/devices").status_code == 401


def test_a_form_from_another_site_does_not_log_in(api: Api) -> None:
    answer = api.client(None).post("/login", data={"token": OWNER}, headers={"sec-fetch-site": "cross-site"})
    assert "set-cookie" not in answer.headers
    assert api.client(None).post("/login", data={"token": "wrong"}).status_code == 401


# -- paths ----------------------------------------------------------------------------------------------------

CLIMBING = ("..%2f..%2f..%2fetc%2fpasswd", "%2e%2e", "..%5c..", "%2fetc%2fpasswd", "a%00b", "....//", "%252e%252e%252f")


@pytest.mark.parametrize("climb", CLIMBING)
def test_no_path_leads_out(api: Api, climb: str) -> None:
    outside = api.service.models.parent / "outside"
    outside.mkdir()
    (outside / "predictor.json").write_text("{}")
    for path in (
        "/v1/models/{}",
        "/v1/uploads/{}",
        "/v1/devices/{}",
        "/v1/tables/{}/export",
        "/v1/jobs/{}",
        "/v1/jobs/x/files/{}",
        "/static/{}",
        "/v1/models/..%2foutside",
    ):
        answer = api.owner.get(path.format(climb))
        assert answer.status_code in (404, 422), (path, answer.status_code, answer.text[:200])
        assert "root:" not in answer.text
    for name in ("model", "device"):
        question = {name: "../outside", "network": small_network().to_json()}
        assert api.owner.post("/v1/predictions", json=question).status_code == 422
    for name in ("..", "outside/../outside", ".hidden"):
        assert api.owner.post("/v1/predictions", json={"model": name, "network": "resnet18"}).status_code in (404, 422)


def test_a_saved_predictor_is_no_device(api: Api, tmp_path: Path) -> None:
    for device in (str(tmp_path), "./x", "x/y", "~/x"):
        question = {"device": device, "network": small_network().to_json()}
        assert api.owner.post("/v1/predictions", json=question).status_code == 422
    assert api.owner.get("/v1/spaces/x.py").status_code == 404  # files of code are never run


# -- uploads --------------------------------------------------------------------------------------------------


def upload(api: Api, content: bytes, **more: str) -> tuple[int, str]:
    answer = api.owner.post("/v1/uploads", content=content, headers=more)
    return answer.status_code, answer.json()["code"]


def test_uploads_that_are_no_network(api: Api) -> None:
    assert upload(api, b"") == (422, "LUTRA-E301")
    assert upload(api, b"not a network") == (422, "LUTRA-E301")
    assert upload(api, b"{}") == (422, "LUTRA-E301")
    assert upload(api, b"\x80\x04\x95cposix\nsystem\n.") == (422, "LUTRA-E301")  # a pickle
    assert upload(api, b"[" * 100_000)[0] == 422
    assert upload(api, b'{"format":' + b"[" * 100_000) == (422, "LUTRA-E301")
    assert upload(api, b"x", **{"content-type": "multipart/form-data; boundary=x"}) == (415, "LUTRA-E917")
    assert upload(api, b"x", **{"content-encoding": "gzip"}) == (415, "LUTRA-E917")
    assert not list(api.service.uploads.folder.iterdir())


def test_an_upload_that_points_at_other_files(api: Api) -> None:
    model = to_onnx(small_network())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    assert upload(api, model.SerializeToString()) == (422, "LUTRA-E303")


def test_oversized_dimensions(api: Api) -> None:
    model = to_onnx(small_network())
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40
    status, code = upload(api, model.SerializeToString())
    assert (status, code) in [(413, "LUTRA-E304"), (422, "LUTRA-E301"), (422, "LUTRA-E302"), (422, "LUTRA-E102")]
    document = small_network().to_json()
    for size in (2**31, 2**63, 10**30, -1, 0):
        document["inputs"][0]["shape"][2] = size
        answer = api.owner.post("/v1/predictions", json={"device": "null", "network": document})
        assert answer.status_code in (413, 422), answer.text


def test_a_network_over_the_limits(serving: Callable[..., Api]) -> None:
    api = serving(max_network_bytes=1000, max_network_nodes=3)
    question = {"device": "null", "network": small_network().to_json()}
    answer = api.owner.post("/v1/predictions", json=question)
    assert (answer.status_code, answer.json()["code"]) == (413, "LUTRA-E304")
    api = serving(max_network_nodes=2)
    answer = api.owner.post("/v1/predictions", json=question)
    assert (answer.status_code, answer.json()["code"]) == (413, "LUTRA-E304")


def test_too_many_bytes(serving: Callable[..., Api]) -> None:
    api = serving(max_upload_bytes=2000, max_body_bytes=1000)

    def chunks() -> object:
        for _ in range(10):
            yield b"x" * 500

    for content in (b"x" * 2001, chunks()):  # with its length said before, and without
        answer = api.owner.post("/v1/uploads", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "LUTRA-E916")
    answer = api.owner.post("/v1/predictions", content=b" " * 1001)
    assert (answer.status_code, answer.json()["code"]) == (413, "LUTRA-E916")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not [path for path in api.service.uploads.folder.glob("*") if path.suffix == ".part"]


def test_a_full_folder_of_uploads(serving: Callable[..., Api]) -> None:
    api = serving(max_uploads_bytes=100)
    answer = api.owner.post("/v1/uploads", content=to_onnx(small_network()).SerializeToString())
    assert (answer.status_code, answer.json()["code"]) == (422, "LUTRA-E100")


def test_old_uploads_are_deleted(serving: Callable[..., Api]) -> None:
    api = serving(upload_days=0.0)
    assert api.owner.post("/v1/uploads", content=to_onnx(small_network()).SerializeToString()).status_code == 201
    assert api.service.uploads.expire() == 1
    assert api.owner.get("/v1/uploads").json()["total"] == 0
    assert not list(api.service.uploads.folder.iterdir())


# -- imports --------------------------------------------------------------------------------------------------


def test_imports_that_are_no_table(api: Api) -> None:
    for form, content in [("parquet", b"PAR1" * 5), ("csv", b"a,b\n1,2\n"), ("json", b"{}"), ("json", b"")]:
        answer = api.owner.post(f"/v1/tables/import?format={form}", content=content)
        assert answer.status_code == 422, (form, content, answer.text)
        assert str(api.service.uploads.folder) not in answer.text
    assert api.owner.post("/v1/tables/import?format=fbnet-json", content=b"{}").status_code == 422


def test_a_table_that_unpacks_to_far_more_than_it_is(api: Api) -> None:
    buffer = io.BytesIO()
    longest = pa.array(["x" * 100_000_000])
    bomb = pa.table({"label": pa.DictionaryArray.from_arrays(pa.array([0] * 80, pa.int32()), longest)})
    pq.write_table(bomb, buffer, compression="zstd")
    assert len(buffer.getvalue()) < 1 << 20  # of 8 GB
    answer = api.owner.post("/v1/tables/import?format=parquet", content=buffer.getvalue())
    assert (answer.status_code, answer.json()["code"]) == (422, "LUTRA-E104")
    assert api.owner.get("/healthz").status_code == 200


# -- logs -----------------------------------------------------------------------------------------------------


def test_logs_hold_no_secrets(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="lutra")
    code = api.service.access.new_code()
    api.client(None).get(f"/login?code={code}")
    made = api.owner.post("/v1/tokens", json={"name": "n"}).json()
    browser, csrf = log_in(api)
    browser.get("/v1/devices?token=secret-in-a-query")  # type: ignore[attr-defined]
    api.owner.get("/v1/nothing%0a2026 forged line")
    text = caplog.text
    assert "/v1/tokens" in text  # requests are in it
    assert made["id"] not in text
    cookie = browser.cookies["lutra_session"]  # type: ignore[attr-defined]
    for secret in (OWNER, code, made["token"], csrf, cookie, "secret-in-a-query"):
        assert secret not in text
    assert not [line for line in text.splitlines() if line.startswith("2026 forged")]


def test_faults_show_no_traceback(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("inner working")

    monkeypatch.setattr(api.service, "summaries", broken)
    answer = api.owner.get("/v1/devices")
    assert (answer.status_code, answer.json()["code"]) == (500, "LUTRA-E919")
    assert answer.json()["request"] == answer.headers["x-request-id"]
    assert "inner working" not in answer.text
    assert "Traceback" not in answer.text


def test_pages_of_lists_are_capped(serving: Callable[..., Api]) -> None:
    api = serving(max_page=5)
    first = api.owner.get("/v1/ops?limit=1000").json()
    assert len(first["items"]) == 5
    names, following = [], first
    while True:
        names += [item["op"] for item in following["items"]]
        if following["next"] is None:
            break
        following = api.owner.get(following["next"]).json()
    assert len(names) == len(set(names)) == first["total"]
    assert api.owner.get("/v1/ops?limit=1001").status_code == 422


def test_a_batch_is_capped(serving: Callable[..., Api]) -> None:
    api = serving(max_batch=2)
    code = np.zeros(9, int).tolist()
    answer = api.owner.post("/v1/predictions/batch", json={"device": "null", "space": "ofa-small", "codes": [code] * 3})
    assert (answer.status_code, answer.json()["code"]) == (422, "LUTRA-E100")


def test_every_route_of_the_contract_says_what_can_go_wrong(api: Api) -> None:
    document = api.owner.get("/v1/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path not in PUBLIC:
                assert {"401", "403", "422", "429"} <= set(operation["responses"]), (method, path)
                assert operation["security"] == [{"HTTPBearer": []}], (method, path)
            assert operation["summary"], (method, path)
