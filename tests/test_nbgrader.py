"""A round trip through stock nbgrader: its own commands and preprocessors, our notebook, four learners."""

import csv
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.exercises import EXERCISES
from autograder.grading.chapters import write_chapters
from specimen import ROOT, SOURCES

CHAPTER = "01-descent"
POINTS = {name: e.points for name, e in EXERCISES.items() if e.chapter == CHAPTER}

PARTLY_RIGHT = {  # right but for the bias's gradient, right, and the sign that published tutorials get wrong
    "linear_mse_grads": "def linear_mse_grads(X, y, w, b):\n"
    "    d = 2 * (X @ w + b - y) / len(y)\n    return X.T @ d, float(d.mean())",
    "mse": "def mse(Y_hat, Y):\n    return float(np.mean((Y_hat - Y) ** 2))",
    "mse_grad": "def mse_grad(Y_hat, Y):\n    return 2 * (Y - Y_hat) / Y.size",
}
WRONG = {name: f"def {name}(*args):\n    return args[0] * 0" for name in POINTS}


def nbgrader(course, *arguments):
    activated = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic by its name
    environment = os.environ | {"PATH": activated, "JUPYTER_CONFIG_DIR": str(course / "no_config")}
    done = subprocess.run(["nbgrader", *arguments], cwd=course, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def answer(nb, answers):
    """The notebook as a learner hands it in, who wrote these functions."""
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removesuffix("-answer")
        if name in answers and cell.metadata.nbgrader.solution:
            cell.source = answers[name]
    return nb


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A graded course: the chapter released, handed in by four learners, graded, with feedback and marks."""
    course = tmp_path_factory.mktemp("course")
    write_chapters(ROOT / "solutions", course / "solved", solved=True)
    (course / "source" / "ps1").mkdir(parents=True)
    shutil.copy(course / "solved" / f"{CHAPTER}.ipynb", course / "source" / "ps1")
    nbgrader(course, "generate_assignment", "ps1")

    released = course / "release" / "ps1" / f"{CHAPTER}.ipynb"
    solved = nbformat.read(course / "source" / "ps1" / f"{CHAPTER}.ipynb", as_version=4)
    solutions = {
        cell.metadata.nbgrader.grade_id.removesuffix("-answer"): cell.source
        for cell in solved.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for learner, answers in {"perfect": solutions, "partly": PARTLY_RIGHT, "wrong": WRONG, "blank": {}}.items():
        folder = course / "submitted" / learner / "ps1"
        folder.mkdir(parents=True)
        nbformat.write(answer(nbformat.read(released, as_version=4), answers), folder / f"{CHAPTER}.ipynb")

    hand_in_the_other_chapters(course)
    nbgrader(course, "autograde", "ps1")
    nbgrader(course, "autograde", "ps2")
    nbgrader(course, "generate_feedback", "ps1")
    nbgrader(course, "export", "--to", "marks.csv")
    return course


def hand_in_the_other_chapters(course):
    """A second assignment: the other chapters, solved."""
    source = course / "source" / "ps2"
    source.mkdir()
    for path in (course / "solved").glob("*.ipynb"):
        if path.stem != CHAPTER:
            shutil.copy(path, source)
    nbgrader(course, "generate_assignment", "ps2")
    shutil.copytree(source, course / "submitted" / "perfect" / "ps2")


def marks(course, learner, assignment="ps1"):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        submission = gradebook.find_submission(assignment, learner)
        return {grade.name: grade.score for notebook in submission.notebooks for grade in notebook.grades}


def test_release_holds_no_solution_and_every_point(course):
    released = (course / "release" / "ps1" / f"{CHAPTER}.ipynb").read_text()
    assert "SOLUTION" not in released
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_assignment("ps1").max_score == sum(POINTS.values())


def test_perfect_wrong_and_blank_answers(course):
    assert marks(course, "perfect") == POINTS
    assert marks(course, "wrong") == dict.fromkeys(POINTS, 0)
    assert marks(course, "blank") == dict.fromkeys(POINTS, 0)


def test_every_other_chapter_is_graded_too(course):
    written = {path.stem for path in SOURCES} - {CHAPTER}
    others = {name: e.points for name, e in EXERCISES.items() if e.chapter in written}
    assert marks(course, "perfect", "ps2") == others


def test_partly_right_answer_earns_partial_credit(course):
    expected = dict.fromkeys(POINTS, 0.0) | {"mse": 2.0}
    got = marks(course, "partly")
    assert 0 < got.pop("linear_mse_grads") < POINTS["linear_mse_grads"]
    assert got == {name: points for name, points in expected.items() if name != "linear_mse_grads"}


def test_feedback_shows_the_card_with_its_cause(course):
    (page,) = (course / "feedback" / "partly" / "ps1").glob("*.html")
    text = re.sub(r"<[^>]*>", "", page.read_text())
    assert "mse_grad: not right yet, 0 of 4 points" in text
    assert "linear_mse_grads: partly right" in text
    assert "Consistent with" in text


def test_exported_marks_are_those_of_the_gradebook(course):
    with open(course / "marks.csv", newline="") as file:
        rows = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file) if row["assignment"] == "ps1"}
    assert rows == {learner: sum(marks(course, learner).values()) for learner in rows}
    assert rows.keys() == {"perfect", "partly", "wrong", "blank"}
    assert rows["perfect"] == sum(POINTS.values())
