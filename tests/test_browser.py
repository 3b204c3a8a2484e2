"""A learner's first minutes, in a real browser: `make learn`, Run All, a right and a wrong answer, both cards."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

from specimen import ROOT

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SCREENSHOTS = ROOT / ".build" / "screenshots"
CHAPTER = "06-network.ipynb"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: install it, or set CHROMIUM to its path")

RIGHT = """def relu_backward(dA, Z):
    return dA * (Z > 0)

check(relu_backward)"""
WRONG = """def relu_backward(dA, Z):
    return dA * (dA > 0)

check(relu_backward)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab started by `make learn` on a copy of the chapters, and the copy's folder."""
    home = tmp_path_factory.mktemp("home")
    folder = shutil.copytree(ROOT / "chapters", home / "chapters", ignore=shutil.ignore_patterns(".*"))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    ready = f"{sys.prefix}/ready"
    command = ["make", "-o", ready, "learn", f"VENV={sys.prefix}", f"CHAPTERS={folder}", f"PORT={port}", "HEADLESS=1"]
    log = home / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | settings, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield _wait_for_address(log, server), folder
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _wait_for_address(log, server):
    for _ in range(240):
        found = re.search(r"http://localhost:\d+/lab\?token=\w+", log.read_text())
        if found:
            return found[0]
        assert server.poll() is None, log.read_text()
        time.sleep(0.5)
    pytest.fail(f"no address after two minutes: {log.read_text()}")


@pytest.fixture(scope="module")
def page(lab):
    address, _ = lab
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address.replace("/lab?", f"/lab/tree/{CHAPTER}?"))
        expect(page.locator(".jp-Notebook")).to_be_visible(timeout=60_000)
        yield page
        browser.close()


def kernel(page, state):
    return page.get_by_text(f"Python 3 (ipykernel) | {state}")


def run_in_new_cell(page, code):
    """Type code into a new cell below the selected one, run it, and return its output, once it is there."""
    page.get_by_role("button", name="Insert a cell below").first.click()
    cell = page.locator(".jp-Notebook .jp-Cell.jp-mod-active")
    cell.locator(".cm-content").click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Control+Enter")
    output = cell.locator(".jp-OutputArea-output")
    expect(output).to_be_visible(timeout=120_000)
    return output


def save(page, path, last_cell):
    """Save the notebook, and read its code cells from the file."""
    page.keyboard.press("Control+s")
    for _ in range(60):
        code_cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        if code_cells[-1].source == last_cell:
            return code_cells
        time.sleep(0.5)
    pytest.fail(f"{path} was not saved")


def test_run_all_and_a_right_and_a_wrong_answer(lab, page):
    expect(kernel(page, "Idle")).to_be_visible(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(kernel(page, "Busy")).to_be_visible(timeout=60_000)

    card = run_in_new_cell(page, RIGHT)  # after all others
    expect(card).to_contain_text("relu_backward: right, 2 of 2 points")
    card.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "check-right.png")

    card = run_in_new_cell(page, WRONG)
    expect(card).to_contain_text("relu_backward: ")
    expect(card).not_to_contain_text("2 of 2 points")
    expect(card).to_contain_text("Next:")
    card.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "check-wrong.png")

    code_cells = save(page, lab[1] / CHAPTER, last_cell=WRONG)
    assert [cell.source for cell in code_cells if not cell.execution_count] == []
    assert [o.evalue for cell in code_cells for o in cell.outputs if o.output_type == "error"] == []


def test_page_asks_no_other_host(page, lab):
    """Offline works: the page of a chapter loads from this machine alone."""
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    expect(page.locator(".jp-Notebook")).to_be_visible(timeout=60_000)
    page.wait_for_load_state("networkidle")
    assert requests
    assert [url for url in requests if not re.match(r"(http://localhost:|data:|blob:)", url)] == []
    page.locator("svg[role=img]").first.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "chapter.png")
