"""Every cell of every chapter, as a learner gets it and solved, is a test of nbval's; here, that such a test can fail.

What is looked at besides errors: `conftest.py`.
"""

import subprocess
import sys

import nbformat
import pytest

from autograder.grading.chapters import write_chapters
from specimen import CONTRACTS, ROOT


def run_cells(notebook):
    """What pytest prints about the cells of a notebook."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", f"--rootdir={ROOT}", f"--confcutdir={ROOT}"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "--color=no", "-p", "conftest", str(notebook)]
    return subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True).stdout


def write(path, *cells):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(nb, path)
    return path


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; print('beware', file=sys.stderr)", "on stderr: beware"),
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
        ("import matplotlib.pyplot as plt; plt.plot([1]);", "a figure that did not go through show"),
    ],
)
def test_fault_in_a_notebook_is_found(tmp_path, code, fault):
    said = run_cells(write(tmp_path / "faulty.ipynb", "2 + 2", code))
    assert "1 failed, 1 passed" in said
    assert fault in said


def test_progress_bar_is_no_fault(tmp_path):
    code = "from tqdm import tqdm\nfor _ in tqdm(range(3), desc='training'): pass\nfor _ in tqdm(iter('ab')): pass"
    assert "1 passed" in run_cells(write(tmp_path / "bars.ipynb", code))


def test_untouched_chapter_must_earn_nothing_and_a_solved_one_everything(specimen, tmp_path):
    (untouched,) = write_chapters(specimen.parent, tmp_path / "chapters", exercises=CONTRACTS)
    (solved,) = write_chapters(specimen.parent, tmp_path / "solved", True, CONTRACTS)
    for notebook in (untouched, solved):
        cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
        assert f"= {len(cells)} passed" in run_cells(notebook)

    swapped = untouched.read_text(), solved.read_text()
    solved.write_text(swapped[0])
    untouched.write_text(swapped[1])
    assert "2 failed" in run_cells(untouched)
    said = run_cells(solved)
    assert "2 failed" in said
    assert "points expected, and the check showed ['0.0']" in said
