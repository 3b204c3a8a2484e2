"""Every chapter is run from top to bottom, as a learner gets it and solved, and what it shows is looked at."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.exercises import EXERCISES
from autograder.grading.chapters import learner_version, read_source
from specimen import SOURCES

PROGRESS_BAR = re.compile(r"\s*(.*\d+%\|.*\||.*\d+\w* \[\d\d:\d\d).*")


def outputs(nb):
    return [output for cell in nb.cells if cell.cell_type == "code" for output in cell.outputs]


def checks(nb):
    """The name and the result of every check cell."""
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if cell.metadata.get("nbgrader", {}).get("grade"):
            (result,) = cell.outputs
            yield name, result.data


def faults(nb):
    """What must not stand in an executed chapter."""
    for output in outputs(nb):
        if output.output_type == "error":
            yield f"{output.ename}: {output.evalue}"
        elif output.output_type == "stream" and output.name == "stderr":
            pieces = [piece for piece in re.split(r"[\r\n]", output.text) if piece.strip()]
            yield from (piece for piece in pieces if not PROGRESS_BAR.fullmatch(piece))
        elif "image/png" in output.get("data", {}):
            yield "a figure that did not go through show(fig, alt)"


def run(nb, folder):
    NotebookClient(nb, allow_errors=True, timeout=300, resources={"metadata": {"path": folder}}).execute()
    return nb


@pytest.fixture(scope="module", params=SOURCES, ids=lambda path: path.stem)
def source(request):
    return read_source(request.param)


@pytest.fixture(scope="module")
def untouched(source, tmp_path_factory):
    return run(learner_version(source), tmp_path_factory.mktemp("untouched"))


@pytest.fixture(scope="module")
def solved(source, tmp_path_factory):
    return run(source, tmp_path_factory.mktemp("solved"))


def test_run_all_goes_through_on_an_untouched_chapter(untouched):
    assert list(faults(untouched)) == []
    verdicts = {name: (data["text/plain"], "not written yet" in data["text/html"]) for name, data in checks(untouched)}
    assert verdicts
    assert verdicts == dict.fromkeys(verdicts, ("0.0", True))


def test_solved_chapter_earns_every_point(solved):
    assert list(faults(solved)) == []
    points = {name: float(data["text/plain"]) for name, data in checks(solved)}
    assert points
    assert points == {name: EXERCISES[name].points for name in points}


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; print('beware', file=sys.stderr)", "beware"),
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
        ("import matplotlib.pyplot as plt; plt.plot([1]);", "a figure that did not go through show"),
    ],
)
def test_fault_in_a_notebook_is_found(tmp_path, code, fault):
    nb = run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path)
    assert any(fault in found for found in faults(nb))


def test_progress_bar_is_no_fault(tmp_path):
    code = "from tqdm import tqdm\nfor _ in tqdm(range(3), desc='training'): pass\nfor _ in tqdm(iter('ab')): pass"
    nb = run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path)
    assert "training" in outputs(nb)[0].text
    assert list(faults(nb)) == []
