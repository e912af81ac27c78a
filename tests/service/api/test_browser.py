"""The pages in a real browser: their policy refuses nothing, nothing is cut off, the keyboard reaches everything."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.networks import zoo
from lutra.networks.exporters import to_onnx
from lutra.service.jobs.job import Worker
from lutra.service.jobs.queue import JobQueue

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser's driver is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")

NETWORK = "mcunet_vww0"
PATHS = ["/", "/networks", f"/networks?network={NETWORK}", "/work", "/tables/null", "/tables/null/networks", "/jobs",
         "/compare/searches"]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """A server of its own process with a network on the null device: its one-time link, its token, and its store."""
    store = tmp_path_factory.mktemp("browsed") / "rows.db"
    lutra = [sys.executable, "-m", "lutra.service.cli"]
    subprocess.run([*lutra, "profile", NETWORK, "-d", "null", "--store", store], check=True, capture_output=True)
    with subprocess.Popen(
        [*lutra, "serve", "--port", "0", "--store", store], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        while "LUTRA_TOKEN=" not in said:
            said += process.stdout.readline()
        yield re.search(r"http://\S+/login\?code=\S+", said)[0], re.search(r"LUTRA_TOKEN=(\S+)", said)[1], store
        process.terminate()


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide and light", "narrow and dark"])
def browser(request, chromium, served):
    """A page that is logged in, what its console said, and the server's address."""
    width, scheme = request.param
    link, token, _ = served
    base = link.partition("/login")[0]
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{base}/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{base}/")
    yield page, complaints, base
    context.close()


def test_the_link_logs_in_once(chromium, served):
    link, *_ = served
    for status, path in ((200, "/"), (401, "/login")):
        page = chromium.new_context().new_page()
        answer = page.goto(link)
        assert (answer.status, page.url.partition("?")[0].endswith(path)) == (status, True)


def test_every_page_is_shown_as_its_policy_allows_and_fits(browser):
    page, complaints, base = browser
    for path in PATHS:
        answer = page.goto(base + path)
        assert answer.status == 200, path
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} is {overflow} px too wide"
        ink, paper = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
        assert contrast(ink, paper) > 7
    assert complaints == []


def test_a_cell_leads_to_a_row_by_the_keyboard_alone(browser):
    page, complaints, base = browser
    page.goto(f"{base}/tables/null")
    while "/rows/" not in page.url:  # families, perhaps several kernels in one cell, then one kernel
        page.locator("svg a").last.focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
    assert page.locator("svg circle").count() > 5
    assert page.get_by_text(re.compile(r"samples in \d+ rounds")).is_visible()
    assert complaints == []


def test_the_form_of_networks_keeps_its_state_in_the_address(browser):
    page, complaints, base = browser
    page.goto(f"{base}/networks")
    page.get_by_label("Network").fill(NETWORK)
    page.get_by_role("button", name="Predict").click()
    page.wait_for_url(re.compile(f"network={NETWORK}"))
    assert page.get_by_label("Network").input_value() == NETWORK
    assert page.locator("rect.op").count() > 20
    assert complaints == []


def test_a_file_that_is_handed_in_is_shown(browser, tmp_path):
    page, complaints, base = browser
    (tmp_path / "mine.onnx").write_bytes(to_onnx(zoo.build(NETWORK)).SerializeToString())
    page.goto(f"{base}/networks")
    page.get_by_label("Your own file").set_input_files(tmp_path / "mine.onnx")
    page.get_by_role("button", name="Hand in").click()
    page.wait_for_url(re.compile("upload=[0-9a-f]{64}"))
    assert page.locator("rect.op").count() > 20
    assert page.locator("[data-linked] a").count() > 5
    assert complaints == []


def test_a_search_is_followed_while_it_runs(browser, served):
    page, complaints, base = browser
    with Store.open(served[2]) as store:
        queue = JobQueue(store)
        job = queue.submit("search", {"space": "ofa-small", "device": "null", "max_ms": 1.0})
        claim = queue.claim(Worker.here(), {"search"})

        def tell(done):
            items = [{"name": f"n{done}", "accuracy": float(done), "latency_ms": 1.0 / done}]
            told = {"event": "tried", "items": items, "done": done, "total": 9, "eta_s": 5.0, "simulated": True}
            queue.append_events(job.id, claim.token, [told])

        page.goto(f"{base}/searches/{job.id}")
        assert page.get_by_text("Nothing has been tried yet").is_visible()
        for done in (1, 2):
            tell(done)
            page.locator("figure svg circle").nth(done - 1).wait_for(state="attached")
            page.get_by_text(f"{done} of 9, about 5 s to go").wait_for()
        assert page.get_by_text("simulated").is_visible()
        queue.finish(job.id, claim.token, "cancelled")
        page.get_by_text("cancelled").wait_for()
    assert complaints == []


def test_a_bar_marks_its_line_and_the_twin_says_the_same(browser):
    page, complaints, base = browser
    page.goto(f"{base}/networks?network={NETWORK}")
    twin = page.request.get(page.get_by_role("link", name="JSON").evaluate("a => a.href")).json()
    assert twin["network"]["name"] == NETWORK
    bars = page.locator("[data-linked] a")
    assert bars.count() == len(twin["split"]["parts"]) > 5
    bars.first.hover()
    assert page.locator("tr.marked").get_attribute("id") == "kernel-0"
    bars.nth(3).focus()
    assert page.locator("tr.marked").get_attribute("id") == "kernel-3"
    assert complaints == []


def test_logging_out_ends_the_session(browser):
    page, _, base = browser
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{base}/login")
    page.goto(f"{base}/work")
    assert page.url == f"{base}/login"


def contrast(ink: str, paper: str) -> float:
    """Ratio of two colours (Web Content Accessibility Guidelines 2.1, 1.4.6 wants 7)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
