"""What a search leaves to be looked at: the picture in SVG and PNG, the page, and its settings in a file."""

import json
import re
import sys
import xml.dom.minidom
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import FormatVersionError, MissingDependencyError, SearchStateError
from lutra.service.drawing import ticks
from lutra.service.drawing.scatter import Scatter, to_png, to_svg
from lutra.service.searching.page import Grid, to_html
from lutra.service.searching.settings import FILE, Settings


def scatter(n: int = 50, **changes) -> Scatter:
    rng = np.random.default_rng(0)
    x = rng.uniform(10, 30, n)
    y = 70 + 0.1 * x + rng.normal(0, 0.1, n)
    front = np.array([int(x.argmin()), int(y.argmax())])
    made = Scatter("latency (ms)", "accuracy (%)", x, y, [f"net <{i}>" for i in range(n)], front, chosen=int(front[1]))
    return replace(made, **changes)


def drawn(svg: str) -> xml.dom.minidom.Document:
    return xml.dom.minidom.parseString(svg)


def of_class(svg: str, kind: str) -> list[xml.dom.minidom.Element]:
    every = drawn(svg).getElementsByTagName("*")
    return [element for element in every if element.getAttribute("class") == kind]


def test_the_svg_has_every_network_under_its_name():
    svg = to_svg(scatter())
    titles = {title.firstChild.data.splitlines()[0] for title in drawn(svg).getElementsByTagName("title")}
    assert titles == {f"net <{i}>" for i in range(50)}
    assert len(of_class(svg, "tried")) == 48
    assert len(of_class(svg, "front")) == 2 + 1  # and the line between them
    assert len(of_class(svg, "chosen")) == 1
    assert not of_class(svg, "budget")


def test_a_budget_far_off_is_not_drawn():
    assert len(of_class(to_svg(scatter(budget=30.0)), "budget")) == 2
    assert not of_class(to_svg(scatter(budget=3000.0)), "budget")


def test_measured_networks_are_joined_to_what_was_predicted():
    svg = to_svg(scatter(measured=[(3, 31.0)]))
    assert len(of_class(svg, "measured")) == 2
    assert "net &lt;3&gt;: measured 31" in svg


def test_ten_thousand_networks_stay_a_small_picture():
    svg = to_svg(scatter(10_000))
    assert len(of_class(svg, "tried")) <= 3000
    assert len(svg) < 600_000


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low, width):
    high = low + width
    found = ticks(low, high)
    assert 2 <= len(found) <= 9
    assert all(low - 1e-6 * width <= tick <= high + 1e-6 * width for tick in found)


@pytest.mark.parametrize("n", [1, 2])
def test_a_single_network_can_be_drawn(n):
    one = scatter(n)
    one = replace(one, front=np.array([0]), chosen=0, x=np.full(n, 5.0), y=np.full(n, 2.0), budget=5.0)
    assert len(of_class(to_svg(one), "chosen")) == 1


def test_the_png_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    to_png(scatter(budget=30.0, measured=[(3, 31.0)]), tmp_path / "plot.png", "title")
    content = (tmp_path / "plot.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(MissingDependencyError, match="matplotlib") as raised:
        to_png(scatter(), tmp_path / "plot.png", "title")
    assert raised.value.hint == "pip install 'lutra[plots]'"


class Checker(HTMLParser):
    """Every tag is closed in order; notes what is fetched or run."""

    void = frozenset({"meta", "circle", "line", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing():
    grid = Grid("Front", ["network", "ms"], [["<b>", "1"], ["c", "2"]], {0: "front/001.json"}, 1, "a & b")
    page = to_html("A <search>", "lead", to_svg(scatter()), "legend", [grid])
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert "script" not in {tag for tag, _ in checker.seen}
    assert {value for _, attrs in checker.seen for name, value in attrs.items() if name in ("href", "src")} == {
        "front/001.json"
    }
    assert not [name for _, attrs in checker.seen for name in attrs if name.startswith("on")]
    assert "https://" not in page
    assert "A &lt;search&gt;" in page
    assert re.search(r'<tr class="chosen"><td>c</td><td>2</td></tr>', page)


# -- settings ---------------------------------------------------------------------------------------------

SETTINGS = Settings(
    space="fbnet",
    device="host",
    model=None,
    runtime=None,
    threads=1,
    precision=None,
    engine=None,
    store=None,
    strategy="random",
    parameters={"population": 10},
    accuracy="macs",
    data=None,
    trade=("params",),
    bounds={"latency_ms": 30.0},
    also={"phone": 3.0},
    margin=0.95,
    evaluations=10,
    batch=None,
    seed=3,
    probe_ms=(1.0, 2.5),
)


def test_settings_come_back(tmp_path):
    SETTINGS.save(tmp_path)
    assert Settings.load(tmp_path) == SETTINGS


def test_no_search_is_no_search(tmp_path):
    with pytest.raises(SearchStateError, match="holds no search"):
        Settings.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, "not a search"),
        ({"version": "1"}, "version"),
        ({"space": 3}, "space is 3"),
        ({"seed": None}, "seed is None"),
        ({"seed": True}, "seed is True"),
        ({"bounds": {"latency_ms": "30"}}, "bounds is"),
        ({"also": {"phone": None}}, "also is"),
        ({"bounds": None}, "bounds is"),
        ({"parameters": None}, "parameters is None"),
        ({"trade": [1]}, "trade is"),
        ({"probe_ms": "1"}, "probe_ms is"),
        ({"margin": []}, "margin is"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=str,
)
def test_damaged_settings_are_refused(tmp_path, change, message):
    SETTINGS.save(tmp_path)
    document = json.loads((tmp_path / FILE).read_text()) | change
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(SearchStateError, match=message):
        Settings.load(tmp_path)


def test_newer_or_cut_off_settings_are_refused(tmp_path):
    SETTINGS.save(tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text[:50])
    with pytest.raises(SearchStateError, match="damaged"):
        Settings.load(tmp_path)
    (tmp_path / FILE).write_text(json.dumps(json.loads(text) | {"version": 2}))
    with pytest.raises(FormatVersionError, match="version 2"):
        Settings.load(tmp_path)
