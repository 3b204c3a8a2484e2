"""The website: what its tooling refuses, on a specimen; then the real book, its files and what a browser sees."""

import functools
import http.server
import os
import re
import shutil
import threading
from collections import defaultdict
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from playwright.sync_api import expect, sync_playwright

import autograder.grading.book as grading_book
from autograder.grading.book import BookError, build_book, leaks, stage
from autograder.grading.chapters import learner_version, read_source, write_chapters
from specimen import CONTRACTS, ROOT, SOURCES, SPECIMEN

BOOK = ROOT / "book"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

CHAPTER = SPECIMEN.replace("### Exercise", "## Exercise").replace(
    "fig, ax =", "import sys\n\nprint('a progress bar', file=sys.stderr)\nfig, ax ="
)
INDEX = "# A specimen\n\n[The chapter](99-specimen.md)\n"
SECRET = "float(np.mean((Y_hat - Y) ** 2))"
HIGHLIGHTED = '<span>float</span><span>(</span>np<b>.</b>mean((Y_hat <span class="o">-</span> Y) ** <i>2</i>))'


def small_book(folder, index):
    """The real book's configuration and looks, with one page of front matter and one chapter."""
    book = shutil.copytree(BOOK, folder / "book", ignore=shutil.ignore_patterns("*.md", "_toc.yml", "references.bib"))
    (book / "references.bib").touch()
    (book / "index.md").write_text(index)
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": "99-specimen"}]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    return book


def build_specimen(folder, withhold=False, chapter=CHAPTER, index=INDEX):
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    (sources / "99-specimen.md").write_text(chapter)
    return build_book(folder / "site", withhold, small_book(folder, index), sources, folder / "work", CONTRACTS).parent


# The tooling, on a specimen


@pytest.fixture(scope="module", params=["folded", "withheld"])
def specimen_site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return build_specimen(folder, withhold=request.param == "withheld")


def test_solutions_are_folded_away_or_nowhere(specimen_site):
    sources, book = specimen_site.parent / "sources", specimen_site.parent / "book"
    found = leaks(specimen_site, sources, book)
    page = (specimen_site / "99-specimen.html").read_text()
    assert page.count("# Your code here") == 2
    assert "SOLUTION" not in page
    if specimen_site.parent.name.startswith("withheld"):
        assert not found
        assert "Show the solution" not in page
        assert page.count("not written yet") == 4  # two cards, each with its label
    else:
        assert {line.partition(": ")[2] for line in found} >= {f"return {SECRET}"}
        assert {line.partition(": ")[0] for line in found} == {"99-specimen.html"}
        folds = re.findall(
            r"<details([^>]*)>\s*<summary[^>]*>\s*<p[^>]*>Show the solution</p>(.*?)</details>", page, re.S
        )
        assert len(folds) == 2
        assert all("open" not in attributes and "return" in body for attributes, body in folds)
        assert page.count(": right, ") == 4


def test_notebook_to_download_is_the_learners(specimen_site):
    text = (specimen_site / "notebooks" / "99-specimen.ipynb").read_text()
    assert "raise NotImplementedError" in text
    assert "np.mean" not in text
    assert 'href="notebooks/99-specimen.ipynb" download' in (specimen_site / "99-specimen.html").read_text()


def test_progress_bars_are_not_on_pages(specimen_site):
    page = (specimen_site / "99-specimen.html").read_text()
    assert page.count("a progress bar") == 1  # in the code


BAD = {
    "link to nothing": ("# A\n\n[Nothing](98-nothing.md) and [the chapter](99-specimen.md)\n", CHAPTER),
    "page not in the contents": ("# A\n", CHAPTER),
    "cell that raises": ("# A\n", CHAPTER.replace("ax.plot([0, 1])", "ax.plot([0, 1] / 0)")),
}


@pytest.mark.parametrize("name", BAD)
def test_warnings_and_errors_end_the_build(tmp_path, capfd, name):
    index, chapter = BAD[name]
    if name == "page not in the contents":
        (tmp_path / "sources").mkdir()
        (tmp_path / "sources" / "98-orphan.md").write_text("# An orphan\n")
    with pytest.raises(BookError, match="jupyter-book failed or warned"):
        build_specimen(tmp_path, chapter=chapter, index=index)
    assert not (tmp_path / "site").exists()
    said = "".join(capfd.readouterr())
    assert {"link": "98-nothing.md", "page": "toctree", "cell": "unsupported operand"}[name.split()[0]] in said


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_hidden_cells_in_a_row_have_one_fold_and_nothing_is_lost(source):
    nb = read_source(source)
    shown = grading_book.page(nb, withhold=True).cells
    hidden = [cell.metadata.get("tags") == ["hide-input"] for cell in shown]
    assert any(hidden)
    assert (True, True) not in pairwise(hidden)
    assert code_of(shown) == code_of(learner_version(nb).cells)


def code_of(cells):
    return "\n\n\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize(
    ("file", "text"),
    {
        "page.html": f"<pre>    return {HIGHLIGHTED}</pre>",
        "notebooks/a.ipynb": f'["    return  {SECRET}\\n"]',
        "_sources/a.md.txt": f"return {SECRET}",
        "searchindex.js": '"return dZ @ W.T, X.T @ dZ, dZ.sum(axis=0)"',
    }.items(),
)
def test_a_leak_is_found_and_not_published(tmp_path, monkeypatch, file, text):
    def leaky(source, work):
        path = work / "_build" / "html" / file
        path.parent.mkdir(parents=True)
        path.write_text(text)

    monkeypatch.setattr(grading_book, "_jupyter_book", leaky)
    with pytest.raises(BookError, match=f"withheld solutions are in the site:\n{file}: return "):
        build_specimen(tmp_path, withhold=True)
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_not_a_site_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BookError, match="name another folder"):
        build_book(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


# The real book


def test_every_solution_of_the_book_is_withheld(tmp_path):
    stage(BOOK, ROOT / "solutions", tmp_path / "withheld", withhold=True, cache=tmp_path)
    stage(BOOK, ROOT / "solutions", tmp_path / "folded", withhold=False, cache=tmp_path)
    assert leaks(tmp_path / "withheld", ROOT / "solutions", BOOK) == []
    told = "\n".join(leaks(tmp_path / "folded", ROOT / "solutions", BOOK))
    for path in SOURCES:  # the search would have found every one of them
        for region in grading_book.REGION.finditer(path.read_text()):
            assert region[1].strip() in told


def test_every_chapter_is_in_the_contents():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert [name for name in listed if name[:2].isdigit()] == [path.stem for path in SOURCES]


def test_chapter_6_shows_the_ratios_that_the_page_on_speed_has():
    page, chapter = (BOOK / "speed.md").read_text(), (ROOT / "solutions" / "06-network.md").read_text()
    tables = re.findall(r"\| ([\d-]+), batch of (\d+) \| a step .*\n((?:\|.*\n)+)", page)
    assert len(tables) == 3
    for network, batch, body in tables:
        lines = [line for line in body.splitlines() if "(" in line]
        eager, compiled, _, function, bare = (re.search(r"\d+\.\d+(?= \(| times)", line)[0] for line in lines)
        assert f"| {network}, {batch} | {eager} | {compiled} | {function} | {bare} |" in chapter
    day = re.search(r"\d+ \w+ \d{4}(?=, 2 cores)", page)[0]
    assert f"of {day}, on two cores" in chapter


def test_every_source_is_in_the_bibliography():
    entries = re.findall(r"@\w+\{\w+,(.*?)\n\}", (BOOK / "references.bib").read_text(), re.DOTALL)
    known = {(re.search(r"author = \{+(.*?)[,}]", e)[1], re.search(r"year = \{(\d+)\}", e)[1]) for e in entries}
    for path in SOURCES:
        _, _, sources = path.read_text().partition("## Sources")
        for item in re.findall(r"^- .*?(?=^- |\Z)", sources, re.DOTALL | re.MULTILINE):
            for year in re.findall(r"\((\d{4})\)", item):
                assert any(year == y and author in item for author, y in known), f"not in references.bib: {item}"


class Links(HTMLParser):
    """All addresses on a page, by what they are for, and all anchors."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.anchors = defaultdict(set), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id") or attributes.get("name"))
        for key in ("href", "src", "data", "poster", "srcset", "xlink:href"):
            if attributes.get(key):
                self.addresses["link" if tag == "a" else "load"].add(attributes[key])


@pytest.fixture(scope="module")
def site():
    """The whole book, built as `make book` does it; outputs of earlier builds are used while they hold."""
    return build_book(ROOT / ".build" / "book", False, BOOK, ROOT / "solutions", ROOT / ".build" / "staging").parent


@pytest.fixture(scope="module")
def pages(site):
    return {path: Links(path.read_text()) for path in sorted(site.glob("*.html"))}


def test_every_link_within_the_site_leads_somewhere(site, pages):
    for path, page in pages.items():
        for address in page.addresses["link"] | page.addresses["load"]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_relative_to(site), f"{path.name}: {address}"
            assert target.is_file(), f"{path.name}: {address}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.name}: {address}"


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        foreign = {address for address in page.addresses["load"] if urlsplit(address).scheme not in ("", "data")}
        assert not foreign, path.name
        assert all(urlsplit(a).scheme in ("", "https", "mailto") for a in page.addresses["link"]), path.name
    for path in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", path.read_text())
        assert not [a for a in addresses if urlsplit(a).scheme not in ("", "data")], path.name


def test_mathjax_comes_with_the_site(site):
    assert (site / "mathjax" / "tex-chtml.js").is_file()
    assert (site / "mathjax" / "LICENSE").is_file()
    assert len(list(site.glob("mathjax/output/chtml/fonts/woff-v2/*.woff"))) == 23
    assert sum(path.stat().st_size for path in (site / "mathjax").rglob("*.*")) < 3e6


def test_the_site_holds_pages_and_nothing_of_how_it_was_made(site, tmp_path):
    names = {path.name for path in site.iterdir()}
    assert not names & {"_sources", "reports", ".doctrees", ".buildinfo", ".jupyter_cache", "jupyter_execute"}
    for path in write_chapters(ROOT / "solutions", tmp_path):
        assert (site / "notebooks" / path.name).read_text() == path.read_text()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    """The site on a plain server, under a sub-path."""
    handler = functools.partial(Quiet, directory=str(site.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium here: install it, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_in_a_browser_every_page_is_whole_and_asks_nobody_else(browser, address, pages):
    trouble = []
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or trouble.append(r.url))
    context.on("response", lambda r: r.ok or r.status == 304 or trouble.append(f"{r.status} {r.url}"))
    context.on("console", lambda m: m.type == "error" and trouble.append(m.text))
    context.on("weberror", lambda e: trouble.append(str(e.error)))
    page = context.new_page()
    for path in pages:
        page.goto(address + path.name)
        equations = page.locator("span.math, div.math").count()
        if equations:
            page.evaluate("MathJax.startup.promise.then(() => document.fonts.ready).then(() => true)")
        assert page.locator("mjx-container").count() == equations, path.name
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0, path.name
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
    context.close()
    assert trouble == []


def test_in_a_browser_a_solution_opens_by_keyboard(browser, address):
    page = browser.new_page()
    page.goto(f"{address}05-layers.html")
    fold = page.locator("details.hide", has_text="Show the solution").first
    expect(fold.locator("pre")).to_be_hidden()
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(fold.locator("pre")).to_be_visible()
    page.close()
