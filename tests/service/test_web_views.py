"""Views and pictures: every page is whole and safe, its data is plain JSON, and its marks lie where the numbers are."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("jinja2")

from lutra.luts import Store
from lutra.luts.testing import make_fingerprint, make_measurement
from lutra.networks import zoo
from lutra.networks.errors import UnknownNameError
from lutra.service.drawing import Axis
from lutra.service.drawing.architecture import architecture_svg
from lutra.service.drawing.axes import log_ticks
from lutra.service.drawing.heatmap import LEVELS, Cell, heatmap_svg
from lutra.service.drawing.points import Point, Points, Series, points_svg
from lutra.service.web.page import SiteLinks
from lutra.service.web.rendering import asset, to_file, to_html
from lutra.service.web.views.comparing import compare_page
from lutra.service.web.views.devices import device_page, devices_page
from lutra.service.web.views.families import Labelled, by_size
from lutra.service.web.views.jobs import job_page, jobs_page
from lutra.service.web.views.measured import measured_page, work_page
from lutra.service.web.views.network import network_page
from lutra.service.web.views.runs import runs_page
from lutra.service.web.views.searches import asked_of, search_page
from lutra.service.web.views.table import row_page, table_page

LINKS = SiteLinks()
EVIL = "<script>alert('x')</script>"
VOID = {"meta", "circle", "line", "polyline", "polygon", "rect", "path", "input", "link", "br", "option"}


class Checker(HTMLParser):
    """Every tag is closed in order; notes all attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert not [name for _, name, _ in checker.attributes if name.startswith("on") or name == "style"]
    return checker


@pytest.fixture
def store(tmp_path):
    """Two devices with kernels of several families and sizes, a failed and a malicious one, and whole networks."""
    with Store.open(tmp_path / "rows.db") as opened:
        for threads, slower in ((1, 1.0), (2, 1.3)):
            device = opened.register_device(make_fingerprint(threads=threads), "host")
            rows = [
                kernel(f"{size}-{filters}", f"Conv 1x1 16->{filters} + Relu @{size}", slower * size * filters)
                for size in (7, 14, 112)
                for filters in (16, 64)
            ]
            rows += [
                kernel("evil", EVIL, 5.0),
                make_measurement(
                    "broken", label="MaxPool @7", status="failed", reason="it hung", samples_ns=[], rounds=[]
                ),
                network("small", 1000 * slower, 1_100_000.0, 50_000_000),
                network(EVIL, 4000 * slower, 3_900_000.0, 300_000_000),
            ]
            opened.record_many(device, rows)
        yield opened


def kernel(key, label, us):
    samples = (np.linspace(1.0, 1.1, 24) * us * 1000).astype(np.int64)
    return make_measurement(key, label=label, samples_ns=samples, executions_per_sample=1, overhead_ns=0.0)


def network(name, us, predicted_ns, macs):
    row = kernel(name, name, us)
    return make_measurement(
        name,
        subject_kind="network",
        label=name,
        samples_ns=row.samples_ns,
        executions_per_sample=1,
        overhead_ns=0.0,
        spec={"macs": macs, "predicted_ns": predicted_ns},
    )


def one_thread(store):
    return next(d for d in store.devices() if d.fingerprint.threads == 1).digest


def predicted(name="mobilenet_v2"):
    from lutra.predictors.prediction import Part, Prediction

    parts = (
        Part(label="Conv 3x3 3->32 @112", count=1, latency_us=600.0, share=0.6, source="measured", rel_halfwidth=0.01),
        Part(label=EVIL, count=2, latency_us=150.0, share=0.3, source="interpolated"),
    )
    return Prediction(
        network=name, device="host", runtime="null", threads=1, latency_ms=1.0, low_ms=0.9, high_ms=1.1, parts=parts,
        overhead_us=100.0, notes=("a doubt",),
    )  # fmt: skip


JOB = {
    "id": "j-1", "kind": "profile", "request": {"networks": ["a", EVIL]}, "device": "host", "state": "running",
    "created_at": "2026-01-31T12:00:00.000Z", "started_at": "2026-01-31T12:00:01.000Z", "finished_at": None,
    "attempts": 1, "worker": "here:1", "error": None,
}  # fmt: skip
EVENTS = [
    {"event": "started", "total": 10, "estimate_s": 60.0},
    {"event": "row", "kind": "kernel", "label": EVIL, "status": "noisy", "latency_ms": 0.5, "rel_halfwidth": 0.02,
     "flags": ["wide"], "done": 3, "total": 10, "eta_s": 40.0},
    {"event": "failed", "kind": "kernel", "label": "b", "reason": "it hung", "done": 4, "total": 10, "eta_s": 30.0},
]  # fmt: skip
FRONT = [
    {"name": "fast", "accuracy": 70.0, "latency_ms": 5.0, "interval_ms": [4.5, 5.5], "measured_ms": 5.2, "macs": 10**8,
     "params": 10**6, "chosen": False},
    {"name": EVIL, "accuracy": 75.0, "latency_ms": 9.0, "interval_ms": None, "measured_ms": None, "macs": 3 * 10**8,
     "params": 4 * 10**6, "chosen": True},
]  # fmt: skip
RESULT = {
    "space": {"name": "fbnet"}, "device": {"name": "host", "simulated": False}, "strategy": {"name": "evolution"},
    "accuracy": {"label": "accuracy, %"}, "bounds": {"latency_ms": 10.0}, "front": FRONT,
}  # fmt: skip
TRIED = [{"name": f"n{i}", "accuracy": 60.0 + i, "latency_ms": 20.0 - i} for i in range(5)]
ASKED = {"space": "fbnet", "device": "host", "strategy": "evolution", "accuracy": "macs", "max_ms": 9.0}
RUN = {"id": "j-2", "request": ASKED, "result": RESULT | {"evaluated": 5}}

PAGES = {
    "devices": lambda store: devices_page(store, LINKS),
    "device": lambda store: device_page(store, one_thread(store), LINKS),
    "table": lambda store: table_page(store, one_thread(store), LINKS),
    "family": lambda store: table_page(store, one_thread(store), LINKS, family="Conv 1x1 + Relu"),
    "row": lambda store: row_page(store, one_thread(store), "kernel", "evil"),
    "failed row": lambda store: row_page(store, one_thread(store), "kernel", "broken"),
    "measured": lambda store: measured_page(store, one_thread(store), LINKS),
    "work": lambda store: work_page(store, LINKS),
    "compare": lambda store: compare_page(store, *(d.digest for d in store.devices()), LINKS),
    "network": lambda _: network_page(zoo.build("mobilenet_v2"), [predicted()]),
    "search": lambda _: search_page(RESULT, TRIED, zoo.build("mobilenet_v2")),
    "live search": lambda _: search_page(
        asked_of(ASKED, [{"simulated": True}]), TRIED, live={"id": "j-2", "state": "running"}
    ),
    "two searches": lambda _: runs_page(RUN, RUN | {"id": "j-3", "request": ASKED | {"max_ms": 12.0}}, [RUN]),
    "no two searches": lambda _: runs_page(None, None, []),
    "jobs": lambda _: jobs_page([JOB], after="next"),
    "no jobs": lambda _: jobs_page([]),
    "job": lambda _: job_page(JOB, EVENTS, log="a line", files=["best.onnx"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_whole_safe_and_have_a_json_twin(store, name):
    page = PAGES[name](store)
    assert json.loads(json.dumps(page.data, allow_nan=False)) == page.data
    html = to_html(page, twin="/x.json", csrf="token", signed_in=True)
    found = checked(html)
    assert "<script>alert" not in html
    scripts = {value for tag, attribute, value in found.attributes if tag == "script" and attribute == "src"}
    assert scripts == {"/static/page.js"}
    outside = [value for _, attribute, value in found.attributes if attribute in ("href", "src") and "//" in value]
    assert outside == []


def test_an_empty_store_says_what_to_do(tmp_path):
    with Store.open(tmp_path / "empty.db") as store:
        assert "lutra profile" in to_html(devices_page(store, LINKS))
        assert "lutra profile" in to_html(work_page(store, LINKS))


def test_a_device_without_rows_has_pages(tmp_path):
    with Store.open(tmp_path / "empty.db") as store:
        digest = store.register_device(make_fingerprint(), "new").digest
        for page in (table_page(store, digest, LINKS), measured_page(store, digest, LINKS)):
            checked(to_html(page))


def test_cells_lead_to_families_and_then_to_rows(store):
    digest = one_thread(store)
    overview = table_page(store, digest, LINKS).charts["heat"]
    assert f'href="/tables/{digest[:12]}?family=Conv+1x1+%2B+Relu"' in overview
    family = table_page(store, digest, LINKS, family="Conv 1x1 + Relu").charts["heat"]
    assert f'href="/tables/{digest[:12]}/rows/kernel/112-64"' in family
    assert len(re.findall('class="cell', family)) == 6


def test_unknown_names_are_refused_with_the_known(store):
    with pytest.raises(UnknownNameError, match="Conv 1x1"):
        table_page(store, one_thread(store), LINKS, family="Conv 1x1 + Rel")
    with pytest.raises(UnknownNameError, match="row"):
        row_page(store, one_thread(store), "kernel", "none")
    with pytest.raises(UnknownNameError, match="device"):
        device_page(store, "nobody", LINKS)


def test_errors_of_predictions_are_those_of_the_rows(store):
    page = measured_page(store, one_thread(store), LINKS)
    small = next(row for row in page.data["networks"] if row["network"] == "small")
    assert small["error_pct"] == pytest.approx(
        100 * (small["predicted_ms"] - small["measured_ms"]) / small["measured_ms"]
    )
    assert page.data["summary"]["networks"] == 2


def test_a_job_tells_progress_noise_and_failures():
    data = job_page(JOB, EVENTS).data
    assert data["progress"] == {"done": 4, "total": 10, "eta_s": 30.0}
    assert (data["noisy"], data["failed"]) == (1, 1)
    assert job_page(JOB, EVENTS[:1]).data["progress"] == {"done": 0, "total": 10, "eta_s": 60.0}
    assert job_page(JOB, []).data["progress"] is None


def test_a_running_search_draws_the_front_of_what_was_tried():
    tried = [{"name": n, "accuracy": a, "latency_ms": x} for n, a, x in (("a", 1, 1), ("b", 3, 2), ("c", 2, 3))]
    svg = search_page({}, tried).charts["front"]
    assert len(re.findall('circle class="front"', svg)) == 2
    assert len(re.findall('circle class="tried"', svg)) == 1


def test_two_searches_say_what_differs_and_whether_they_can_be_compared():
    other = RUN | {"id": "j-3", "request": ASKED | {"max_ms": 12.0}}
    page = runs_page(RUN, other, [RUN, other])
    assert page.data["differences"] == [{"name": "max_ms", "left": 9.0, "right": 12.0}]
    assert page.data["comparable"]
    assert page.charts["fronts"].count("<circle") >= 2 * len(FRONT)
    elsewhere = RUN | {"result": RUN["result"] | {"accuracy": {"label": "macs"}}}
    assert "not alike" in to_html(runs_page(RUN, elsewhere, [RUN, other]))


def test_a_file_runs_and_fetches_nothing_and_its_links_lead_somewhere():
    network = zoo.build("mobilenet_v2")
    pages = {f"n{i}": network_page(network, [predicted()], anchor=f"n{i}-kernel") for i in (1, 2)}
    html = to_file(pages, "A <report>", "lead")
    found = checked(html)
    assert "<script" not in html
    assert "A &lt;report&gt;" in html
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    leads = {value for _, name, value in found.attributes if name == "href"}
    assert {f"#{name}" for name in ids} >= leads
    assert f"n2-kernel-{len(predicted().parts) - 1}" in ids


def test_the_style_sheet_has_every_class_that_pictures_use(store):
    style = asset("style.css").decode()
    drawn = " ".join(svg for name in PAGES for svg in PAGES[name](store).charts.values())
    classes = {each for text in re.findall('class="([^"]*)"', drawn) for each in text.split()}
    missing = {each for each in classes if f".{each}" not in style} - {"op", "cell", "measured", "key"}
    assert missing == set()
    with pytest.raises(KeyError):
        asset("../page.py")


# -- pictures ---------------------------------------------------------------------------------------------


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e9))
def test_logarithmic_ticks_are_few_and_inside(low, factor):
    high = low * factor
    found = log_ticks(low, high)
    assert 1 <= len(found) <= 13
    assert all(low * (1 - 1e-9) <= tick <= high * (1 + 1e-9) for tick in found)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=20), st.booleans())
def test_values_lie_inside_their_axis(values, log):
    axis = Axis.over("x", values, log=log)
    shares = [axis.share(value) for value in values]
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in shares)
    assert [values[i] for i in np.argsort(shares, kind="stable")] == sorted(values) or len(set(values)) < len(values)


@given(st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.floats(1e-3, 1e6), min_size=1))
def test_longer_latencies_are_never_lighter(values):
    cells = {place: Cell(value, "", repr(value)) for place, value in values.items()}
    svg = heatmap_svg("abcd", "abcd", cells, "test")
    found = re.findall(r'<title>([^<]*)</title><rect class="cell l(\d)', svg)
    levels = [int(level) for _, level in sorted(found, key=lambda pair: float(pair[0]))]
    assert levels == sorted(levels)
    assert max(levels) < LEVELS


def test_a_point_on_the_line_of_equality_is_drawn_there():
    svg = points_svg(
        Points("x", "y", [Series("", [Point(1, 1, "a"), Point(10, 10, "b"), Point(3, 3.3, "c")])], band=0.1)
    )
    line = re.search(r'class="equal" points="([^"]*)"', svg)[1]
    (x0, y0), *_, (x1, y1) = (tuple(map(float, pair.split(","))) for pair in line.split())
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)[:2]:
        assert float(y) == pytest.approx(y0 + (y1 - y0) * (float(x) - x0) / (x1 - x0), abs=0.2)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "vit_tiny", "shufflenet_v2_x1_0", "mlperf_tiny_ad"])
def test_networks_are_drawn_with_what_skips_over_ops(name):
    network = zoo.build(name)
    svg = architecture_svg(network)
    blocks = re.findall(r'<rect class="op (\w+)"', svg)
    assert len(blocks) >= sum(1 for node in network.nodes if node.op.macs)
    joins = [node for node in network.nodes if node.op.kind in ("add", "concat") and len(set(node.inputs)) > 1]
    assert bool(re.findall('class="skip"', svg)) == bool(joins)
    assert ("depthwise" in blocks) == (name in ("mobilenet_v2", "shufflenet_v2_x1_0"))


@pytest.mark.parametrize(
    ("label", "family", "channels", "size"),
    [
        ("Conv 3x3/2 3->32 + Clip @112", "Conv 3x3/2 + Clip", "3->32", "112"),
        ("DWConv 3x3 960 + Clip @3", "DWConv 3x3 + Clip", "960", "3"),
        ("Gemm 1x1024x1000 @1x1000", "Gemm", "1x1024x1000", "1x1000"),
        ("Conv 3x3 64->64 g8 @28", "Conv 3x3", "64->64 g8", "28"),
        ("Conv 1x1 8->2 + Conv 1x1 2->8 @6 (squeeze-excite)", "Conv 1x1 + Conv 1x1 (squeeze-excite)", "8->2 2->8", "6"),
        ("ReorderInput", "ReorderInput", "", ""),
        ("", "", "", ""),
    ],
)
def test_labels_are_taken_apart(label, family, channels, size):
    assert Labelled.of(label) == Labelled(family, channels, size)


@given(st.text(max_size=40))
def test_any_label_has_a_family(label):
    found = Labelled.of(label)
    assert bool(found.family) == bool(label) or not label.strip()
    by_size(found.size)


def test_links_name_devices_shortly_and_quote():
    assert LINKS.table("ab" * 32, "Conv 1x1 + Relu") == "/tables/abababababab?family=Conv+1x1+%2B+Relu"
    assert LINKS.row("ab" * 32, "kernel", "a/b?c") == "/tables/abababababab/rows/kernel/a%2Fb%3Fc"
    assert LINKS.network("mobilenet_v2") == "/networks?network=mobilenet_v2"


# -- lutra report -----------------------------------------------------------------------------------------


def test_report_writes_one_file_and_does_not_replace_it(lutra, tmp_path):
    from lutra.networks import NetworkBuilder

    build = NetworkBuilder("tiny")
    x = build.op("conv2d", build.input((1, 3, 16, 16)), out_channels=8, kernel_size=3)
    build.build(x).save(tmp_path / "tiny.json")
    assert lutra("profile", "tiny.json", "-d", "null").code == 0
    outcome = lutra("report", "tiny.json", "-d", "null", "-o", "r.html")
    assert (outcome.code, outcome.out) == (0, "wrote r.html\n")
    html = (tmp_path / "r.html").read_text()
    checked(html)
    assert "tiny" in html
    again = lutra("report", "-d", "null", "-o", "r.html")
    assert again.code == 2
    assert "--force" in again.err
    assert lutra("report", "-d", "null", "-o", "r.html", "--force").code == 0
    assert lutra("report", "-d", "nobody", "-o", "s.html").code == 2
    assert not (tmp_path / "s.html").exists()
