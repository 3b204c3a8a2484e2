"""From the sources in ``solutions/`` to the notebooks that learners open, with off-the-shelf converters."""

import hashlib
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import CheckCellMetadata, ClearOutput, ClearSolutions, ComputeChecksums, LockCells

from autograder.exercises import EXERCISES
from autograder.grading.sources import SourceError, problems, where

STUB = "# Your code here\nraise NotImplementedError"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def read_source(path: str | Path, exercises: Mapping = EXERCISES) -> NotebookNode:
    """A chapter's source as a notebook: solutions in it, no outputs, and the same bytes at every reading.

    Raises
    ------
    SourceError
        if the source breaks a rule of :mod:`autograder.grading.sources`.
    """
    found = problems(path, exercises)
    if found:
        raise SourceError("\n".join(found))
    nb = jupytext.read(path)
    nb.metadata = nbformat.from_dict(METADATA)
    _set_stable_ids(nb)
    return nb


def learner_version(nb: NotebookNode) -> NotebookNode:
    """A copy whose solutions are stubs, and whose checks are locked, as ``nbgrader generate_assignment`` does it.

    Raises
    ------
    SourceError
        if anything of a solution's markers is left.
    """
    nb = deepcopy(nb)
    for step in (
        LockCells(),
        ClearSolutions(code_stub={"python": STUB}),
        ClearOutput(),
        ComputeChecksums(),
        CheckCellMetadata(),
    ):
        nb, _ = step.preprocess(nb, {})
    for i, cell in enumerate(nb.cells):
        if re.search(r"(begin|end)[ _]*solution", cell.source, re.IGNORECASE):
            raise SourceError(f"learner's version, {where(i, cell)}: a solution marker is left")
    return nb


def link_notebooks(nb: NotebookNode) -> NotebookNode:
    """A copy whose links to other chapters, ``(05-layers.md)`` in the sources, point to notebooks."""
    nb = deepcopy(nb)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((\d\d-[\w-]+)\.md(#[\w-]*)?\)", r"](\1.ipynb\2)", cell.source)
    return nb


def write_chapters(sources: Path, target: Path, solved: bool = False, exercises: Mapping = EXERCISES) -> list[Path]:
    """Write one notebook into ``target`` for each ``NN-name.md`` in ``sources``.

    Parameters
    ----------
    solved : keep the solutions, for testing and for nbgrader's source folder.

    Raises
    ------
    FileNotFoundError
        if there are no sources.
    SourceError
        if a source breaks a rule; nothing is written then.
    FileExistsError
        if a notebook to be replaced has been run: it may hold someone's answers.
    """
    paths = sorted(Path(sources).glob("[0-9][0-9]-*.md"))
    if not paths:
        raise FileNotFoundError(f"no chapters (NN-name.md) in {sources}/; run this from the repository's root")
    written = {}
    for path in paths:
        nb = link_notebooks(read_source(path, exercises))
        written[Path(target) / f"{path.stem}.ipynb"] = nb if solved else learner_version(nb)
    for path in written:
        if path.exists() and _has_been_run(path):
            raise FileExistsError(f"{path} has been run and may hold someone's answers: move it away first")
    Path(target).mkdir(parents=True, exist_ok=True)
    for path, nb in written.items():
        path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
    return list(written)


def _set_stable_ids(nb: NotebookNode) -> None:
    """Ids from what the cells say: the exercise's name, or a digest of the text."""
    used = set()
    for cell in nb.cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:12]
        name = cell.metadata.get("nbgrader", {}).get("grade_id", digest)
        candidates = [name] + [f"{name}-{n}" for n in range(2, len(nb.cells) + 2)]
        cell.id = next(c for c in candidates if c not in used)
        used.add(cell.id)


def _has_been_run(path: Path) -> bool:
    nb = nbformat.read(path, as_version=4)
    return any(cell.get("execution_count") for cell in nb.cells)
