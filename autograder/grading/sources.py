"""The rules that a chapter's source must keep, each a small function that yields what breaks it."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from autograder.exercises import EXERCISES

MAX_LINES = 25
REGION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION$", re.DOTALL | re.MULTILINE)
WITH_ALT = {"show": 2, "step_through": 2, "play": 3}  # what displays a drawing: which argument is its text alternative

Problems = Iterator[tuple[str, str]]  # where, what


class SourceError(ValueError):
    """A chapter's source breaks a rule; the message names file, cell and remedy, one line for each problem."""


def problems(path: str | Path, exercises: Mapping = EXERCISES) -> list[str]:
    """All that is wrong with a chapter's source, a line each; empty when nothing is."""
    path = Path(path)
    contracts = {name: e for name, e in exercises.items() if e.chapter == path.stem}
    found = list(fences(path.read_text(encoding="utf-8")))
    if not found:  # otherwise the cells are not what they seem
        nb = jupytext.read(path)
        found = list(syntax(nb))
    if not found:
        for rule in (directives, long_cells, figures, answers):
            found += rule(nb)
        found += links(nb, folder=path.parent)
        found += equations(nb, number=int(path.stem[:2]))
        found += checks(nb, contracts)
    return [f"{path}, {place}: {what}" for place, what in found]


def where(index: int, cell: NotebookNode) -> str:
    """How a cell is named in a message."""
    label = _nbgrader(cell).get("grade_id") or (cell.source.strip().splitlines() or ["empty"])[0][:40]
    return f"cell {index + 1} ({label})"


def fences(text: str) -> Problems:
    """Every fence opens and closes, and a code cell opens in exactly one way."""
    opened = None
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.match(r"\s*(```+|~~~+)(.*)", line)
        if not fence:
            continue
        if opened:
            if fence[2].strip():
                yield f"line {number}", f"a fence opens inside the one of line {opened}: that one is not closed"
            opened = None
        else:
            opened = number
            if "code-cell" in line and line != "```{code-cell} ipython3":
                yield f"line {number}", f"malformed fence {line!r}: expected '```{{code-cell}} ipython3'"
    if opened:
        yield f"line {opened}", "this fence is never closed"


def syntax(nb: NotebookNode) -> Problems:
    for i, cell in _cells(nb, "code"):
        try:
            _parse(cell.source)
        except SyntaxError as error:
            yield where(i, cell), f"this is not Python: {error}"


def directives(nb: NotebookNode) -> Problems:
    """Plain Markdown only: directives, roles and targets of MyST show raw in JupyterLab."""
    for i, cell in _cells(nb, "markdown"):
        text = re.sub(r"`[^`\n]+`", "`", cell.source)  # a role's name stays, what inline code says goes
        for pattern in (r"^\s*(?:```+|~~~+|:::+)\s*\{.*", r"\{[a-z][\w:.-]*\}`", r"^\([\w:-]+\)=$", r"^\s*:::+.*"):
            for match in re.finditer(pattern, text, re.MULTILINE):
                yield where(i, cell), f"MyST syntax {match[0].strip()!r} shows raw in JupyterLab: use plain Markdown"


def long_cells(nb: NotebookNode) -> Problems:
    for i, cell in _cells(nb, "code"):
        lines = [line for line in cell.source.splitlines() if line.strip() and "SOLUTION" not in line]
        if len(lines) > MAX_LINES:
            yield where(i, cell), f"{len(lines)} lines of code: at most {MAX_LINES}; split it or move it to backprop"


def links(nb: NotebookNode, folder: Path) -> Problems:
    for i, cell in _cells(nb, "markdown"):
        for target in re.findall(r"\]\(([\w-]+\.(?:md|ipynb))", cell.source):
            if not (folder / target).exists():
                yield where(i, cell), f"link to {target}: there is no such source; chapters link to NN-name.md"


def equations(nb: NotebookNode, number: int) -> Problems:
    """Tags are unique and of this chapter, and a reference such as (5.3) has its tag."""
    tags: set[str] = set()
    for i, cell in _cells(nb, "markdown"):
        for tag in re.findall(r"\\tag\{(.*?)\}", cell.source):
            if tag in tags:
                yield where(i, cell), f"\\tag{{{tag}}} is given twice"
            if not re.fullmatch(rf"{number}\.\d+", tag):
                yield where(i, cell), f"\\tag{{{tag}}}: expected {number}.1, {number}.2, …"
            tags.add(tag)
    for i, cell in enumerate(nb.cells):
        for reference in re.findall(rf"\(({number}\.\d+)\)", _prose(cell)):
            if reference not in tags:
                yield where(i, cell), f"equation reference ({reference}) without its \\tag{{{reference}}}"


def figures(nb: NotebookNode) -> Problems:
    """A cell that draws ends with ``show(fig, "what the figure shows")``, or with ``play(fig, captions, "…")``."""
    for i, cell in _cells(nb, "code"):
        calls = [node for node in ast.walk(_parse(cell.source)) if isinstance(node, ast.Call)]
        names = [ast.unparse(call.func) for call in calls]
        if "plt.show" in names:
            yield where(i, cell), "plt.show() has no alt text: use show(fig, alt) of backprop.plotting"
        shown = [(call, WITH_ALT[name]) for call, name in zip(calls, names, strict=True) if name in WITH_ALT]
        if any(len(call.args) < place and "alt" not in {k.arg for k in call.keywords} for call, place in shown):
            yield where(i, cell), "figure without alt text: show(fig, alt) says what the figure shows"
        elif not shown and {"plt.subplots", "plt.figure", "plt.subplot_mosaic", "plt.plot"} & set(names):
            yield where(i, cell), "a figure is drawn, and not shown with show(fig, alt)"


def answers(nb: NotebookNode) -> Problems:
    """A solution stands inside a function, so that its stub runs and fails only when called.

    A function's cell has one region of it; that of a class may have one in each of its methods.
    """
    for i, cell in enumerate(nb.cells):
        begins, ends = cell.source.count("### BEGIN SOLUTION"), cell.source.count("### END SOLUTION")
        if not _nbgrader(cell).get("solution"):
            if re.search(r"(begin|end)[ _]*solution", cell.source, re.IGNORECASE):
                yield where(i, cell), "a solution marker outside a solution cell"
            continue
        if not begins or len(REGION.findall(cell.source)) != begins or begins != ends:
            yield where(i, cell), f"expected pairs of ### BEGIN SOLUTION and ### END SOLUTION, got {begins} and {ends}"
            continue
        stub = REGION.sub(r"\1raise NotImplementedError", cell.source)
        name = _nbgrader(cell)["grade_id"].removesuffix("-answer")
        try:
            top = _parse(stub).body
        except SyntaxError as error:
            yield where(i, cell), f"without its solution, the cell is not Python: {error}"
            continue
        defined = [node for node in top if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
        if not defined:
            yield where(i, cell), f"without its solution, the cell must still define the function or class {name}"
        elif any(isinstance(node, ast.Raise) for node in [*top, *_inside_classes(top)]):
            yield where(i, cell), f"the solution must stand inside {name}, if that is a class inside its methods"
        elif begins > 1 and isinstance(defined[0], ast.FunctionDef):
            yield where(i, cell), f"expected one solution for the function {name}, got {begins}"


def _inside_classes(top: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in top:
        if isinstance(node, ast.ClassDef):
            yield from node.body


def checks(nb: NotebookNode, contracts: Mapping) -> Problems:
    """The check cells are the chapter's contracts: names, points, and the one line ``check(name)``."""
    ids = [_nbgrader(cell).get("grade_id") for cell in nb.cells]
    seen = set()
    for i, cell in enumerate(nb.cells):
        name = _nbgrader(cell).get("grade_id")
        if name in seen:
            yield where(i, cell), f"grade_id {name!r} is given twice"
        seen.add(name or i)
        if not _nbgrader(cell).get("grade"):
            continue
        if name not in contracts:
            yield where(i, cell), f"exercise {name!r} has no contract in autograder.exercises for this chapter"
        elif _nbgrader(cell)["points"] != contracts[name].points:
            yield where(i, cell), f"{_nbgrader(cell)['points']} points here, {contracts[name].points} in its contract"
        if cell.source.strip() != f"check({name})" or not _nbgrader(cell)["locked"]:
            yield where(i, cell), f"a check cell is locked and says check({name}), nothing else"
        if f"{name}-answer" not in ids[:i]:
            yield where(i, cell), f"no answer cell (grade_id {name}-answer) above it"
    for name in contracts.keys() - set(ids):
        yield "all cells", f"the contract of {name!r} has no check cell"


def _cells(nb: NotebookNode, kind: str) -> Iterator[tuple[int, NotebookNode]]:
    return ((i, cell) for i, cell in enumerate(nb.cells) if cell.cell_type == kind)


def _nbgrader(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def _prose(cell: NotebookNode) -> str:
    """Text without maths and inline code; of a code cell, its comments."""
    if cell.cell_type == "code":
        return "\n".join(line.partition("#")[2] for line in cell.source.splitlines())
    return re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", " ", cell.source, flags=re.DOTALL)


def _parse(source: str) -> ast.Module:
    """The syntax tree, without lines that speak to IPython (``%time``, ``!ls``)."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))
