"""The website: chapters staged with their solutions folded away or left out, then built by Jupyter Book."""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from autograder.exercises import EXERCISES
from autograder.grading.chapters import learner_version, link_notebooks, read_source
from autograder.grading.sources import REGION

FOLD = {
    "tags": ["hide-input"],
    "mystnb": {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"},
}
SHORTEST_SECRET = 12  # characters without blanks; a shorter line of a solution may stand anywhere


class BookError(RuntimeError):
    """The book can't be built, or must not be published."""


def build_book(
    output: Path,
    withhold: bool = False,
    book: Path = Path("book"),
    sources: Path = Path("solutions"),
    work: Path = Path(".build/staging"),
    exercises: Mapping = EXERCISES,
) -> Path:
    """Build the website from ``book/`` and the chapters, and return its front page.

    Parameters
    ----------
    output : folder of the finished site; a site that is there is replaced.
    withhold : leave the solutions out, instead of folding them away.
    book : configuration, table of contents, front matter, and what is copied to the site unchanged.
    sources : folder of ``NN-name.md``.
    work : where chapters are staged and executed. Outputs are kept there, for as long as neither the cells nor
        the code that they import change.

    Raises
    ------
    BookError
        if Jupyter Book fails or warns, if solutions that are withheld are in the site all the same, or if
        ``output`` holds something else than a site.
    """
    output, work = Path(output), Path(work).resolve() / ("withheld" if withhold else "folded")
    if output.exists() and any(output.iterdir()) and not (output / "searchindex.js").exists():
        raise BookError(f"{output} is not empty, and holds no earlier build of the book: name another folder")
    stage(book, sources, work / "source", withhold, _cache(work), exercises)
    shutil.rmtree(work / "_build", ignore_errors=True)  # pages of earlier builds would stay
    _jupyter_book(work / "source", work)
    site = work / "_build" / "html"
    if withhold and (found := leaks(site, sources, book)):
        raise BookError("withheld solutions are in the site:\n" + "\n".join(found))
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(site, output, ignore=shutil.ignore_patterns("*.map", ".buildinfo"))
    return output / "index.html"


def stage(book: Path, sources: Path, target: Path, withhold: bool, cache: Path, exercises: Mapping = EXERCISES) -> None:
    """Write the source tree that Jupyter Book reads: ``book/``, the chapters, and their notebooks to download."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(book, target)
    config = target / "_config.yml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["execute"]["cache"] = str(cache)
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    notebooks = target / "extra" / "notebooks"
    notebooks.mkdir(parents=True)
    for path in _chapters(sources):
        nb = read_source(path, exercises)
        text = jupytext.writes(page(nb, withhold), fmt="md:myst")
        (target / path.name).write_text(text, encoding="utf-8")
        text = nbformat.writes(link_notebooks(learner_version(nb))) + "\n"
        (notebooks / f"{path.stem}.ipynb").write_text(text, encoding="utf-8")


def page(nb: NotebookNode, withhold: bool = False) -> NotebookNode:
    """A chapter as the site shows it: what a learner sees and, folded away below each stub, its solution.

    Hidden cells in a row are one, so that they have one fold.
    """
    shown = learner_version(nb)
    cells = []
    for solved, cell in zip(nb.cells, shown.cells, strict=True):
        cell.metadata.pop("nbgrader", None)
        if cells and _is_hidden(cell) and _is_hidden(cells[-1]):
            cells[-1].source += "\n\n\n" + cell.source
            continue
        cells.append(cell)
        if not withhold and REGION.search(solved.source):
            solution = REGION.sub(lambda region: region[2].rstrip("\n"), solved.source)
            cells.append(new_code_cell(solution, metadata=FOLD))
    shown.cells = cells
    return shown


def _is_hidden(cell: NotebookNode) -> bool:
    return cell.metadata.get("tags") == ["hide-input"] and "mystnb" not in cell.metadata  # no solution


def leaks(site: Path, sources: Path, book: Path) -> list[str]:
    """Solutions, and lines of them, that stand in any file of ``site``: what to tell for each, empty if none do.

    Lines that readers may see are not counted: those in the text of ``book``, or in a chapter outside its solutions.
    """
    secrets = {_squash(text): text.strip() for path in _chapters(sources) for text in _solutions(path)}
    public = [REGION.sub("", path.read_text(encoding="utf-8")) for path in _chapters(sources)]
    public += [path.read_text(encoding="utf-8") for path in Path(book).rglob("*.md")]
    visible = _squash("\n".join(public))
    secrets = {key: text for key, text in secrets.items() if len(key) >= SHORTEST_SECRET and key not in visible}
    found = []
    for path in sorted(path for path in Path(site).rglob("*") if path.is_file()):
        raw = path.read_text(encoding="utf-8", errors="ignore")
        text = _squash(raw)
        if path.suffix in {".html", ".js"}:  # highlighting puts tags inside a line
            text += "\n" + _squash(unescape(re.sub(r"<[^>]*>", "", raw)))
        found += [f"{path.relative_to(site)}: {secret}" for key, secret in secrets.items() if key in text]
    return found


def _chapters(sources: Path) -> list[Path]:
    return sorted(Path(sources).glob("[0-9][0-9]-*.md"))


def _solutions(path: Path) -> Iterator[str]:
    """Every solution of a chapter, whole and line by line."""
    for region in REGION.finditer(path.read_text(encoding="utf-8")):
        yield region[2]
        yield from region[2].splitlines()


def _squash(text: str) -> str:
    """Without blanks, quotes and backslashes, so that a line is found again in JSON and scripts, too."""
    return re.sub(r"[\s\"'\\]", "", text)


def _cache(work: Path) -> Path:
    """Folder for the chapters' outputs, named after the code that they come from; earlier ones are removed."""
    import backprop

    packages = [Path(backprop.__file__).parent, *(Path(__file__).parents[1] / p for p in ("checking", "exercises"))]
    state = hashlib.sha256()
    for path in sorted(path for package in packages for path in package.rglob("*.py")):
        state.update(path.read_bytes())
    for installed in sorted(f"{d.name} {d.version}" for d in importlib.metadata.distributions()):
        state.update(installed.encode())
    cache = work / f"outputs-{state.hexdigest()[:12]}"
    for old in set(work.glob("outputs-*")) - {cache}:
        shutil.rmtree(old)
    return cache


def _jupyter_book(source: Path, work: Path) -> None:
    start = "import sys; from jupyter_book.cli.main import main; sys.tracebacklimit = 0; main(prog_name='jupyter-book')"
    arguments = ["build", "-W", "--keep-going", str(source), "--path-output", str(work)]
    # Solved chapters are no tries of the publisher's own: they are not noted down for autograder.progress().
    environment = os.environ | {"PYTHONHASHSEED": "0", "NBGRADER_EXECUTION": "validate"}
    done = subprocess.run([sys.executable, "-c", start, *arguments], env=environment, check=False)
    if done.returncode:
        raise BookError("jupyter-book failed or warned, and warnings are errors: see above")
