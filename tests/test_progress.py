"""Hints that grow with the tries, and the file that keeps a learner's progress."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autograder
import autograder.exercises
from autograder import check
from autograder.exercises import EXERCISES

progress_module = sys.modules["autograder.progress"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder of one test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(progress_module, "_unwritten", {})
    return tmp_path / "gradients-by-hand"


def kept(home):
    return json.loads((home / "progress.json").read_text())["exercises"]


def row(name):
    return next(row for row in autograder.progress().rows if row.exercise == name)


def mse(Y_hat, Y):
    return float(np.mean((Y_hat - Y) ** 2))


def wrong(Y_hat, Y):
    return float(np.sum((Y_hat - Y) ** 2))


def partly_right(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return X.T @ d, float(d.mean())


def stub(*args):
    raise NotImplementedError


# Hints


def levels(score):
    """Which hints a score has: a worked example, something to read, the formula."""
    text = [str(hint) for hint in score.hints]
    return [
        next(k for k, word in enumerate(("small example", "To read again", "in one line")) if word in t) for t in text
    ]


def test_hints_grow_with_the_tries_and_the_formula_comes_last():
    found = [levels(check(wrong, "mse")) for _ in range(5)]
    assert found == [[], [0], [0, 1], [0, 1, 2], [0, 1, 2]]


def test_a_pass_starts_the_hints_anew():
    for _ in range(3):
        check(wrong, "mse")
    assert check(mse).hints == ()
    assert check(wrong, "mse").hints == ()


def test_each_exercise_counts_its_own_tries():
    for _ in range(3):
        check(wrong, "mse")
    assert check(lambda a, b: a, "mse_grad").hints == ()


def test_neither_a_stub_nor_a_replayed_run_is_a_try():
    for _ in range(4):
        assert check(stub, "mse").hints == ()
        assert check(wrong, "mse", seed=1).hints == ()
    first = check(wrong, "mse")
    assert first.hints == ()
    second = check(wrong, "mse")
    assert levels(second) == [0]
    assert str(check(wrong, "mse", seed=second.seed)) == str(second)


def test_the_worked_example_shows_both_sides_of_the_smallest_case():
    check(wrong, "mse")
    text = str(check(wrong, "mse", seed=None))
    assert re.search(r"case “N = 1”:\nin this case +is\n`Y_hat` +\[\[[-\d., e]+\]\]\n`Y` +\[\[", text)
    expected, yours = (float(re.search(rf"`loss`, {word} +(\S+)", text)[1]) for word in ("expected", "yours"))
    assert yours == pytest.approx(5 * expected, rel=1e-2)


def test_the_worked_example_of_a_function_that_raises():
    check(lambda a, b: 1 / 0, "mse")
    assert re.search(r"your function +raised `ZeroDivisionError`", str(check(lambda a, b: 1 / 0, "mse")))


def test_what_differs_in_the_ninth_digit_is_shown_with_nine_digits():
    score = autograder.exercises.check(lambda a, b: mse(a, b) * (1 + 1e-7), "mse", 3)
    rows = dict(score.example.table)
    assert rows["`loss`, expected"] != rows["`loss`, yours"]


def test_the_section_to_read_again_stands_before_the_exercise():
    for _ in range(2):
        check(lambda dA, Z: dA, "relu_backward")
    text = str(check(lambda dA, Z: dA, "relu_backward"))
    assert "To read again: chapter 5, “Activations: upstream times local slope”." in text


def test_without_the_notebooks_the_chapter_is_named(monkeypatch):
    monkeypatch.setattr("autograder.practice.CHAPTERS", Path("/nowhere"))
    for _ in range(2):
        check(wrong, "mse")
    assert "To read again: chapter 1, the section before this exercise." in str(check(wrong, "mse"))


def test_the_formula_is_shown_as_code_and_escaped(monkeypatch):
    monkeypatch.setattr(EXERCISES["mse"], "formula", "np.mean(<b>Y</b>)")
    for _ in range(3):
        check(wrong, "mse")
    score = check(wrong, "mse")
    assert "What is asked for, in one line: `np.mean(<b>Y</b>)`" in str(score)
    assert "<code>np.mean(&lt;b&gt;Y&lt;/b&gt;)</code>" in score._repr_html_()


def test_every_wrong_answer_has_its_example_unless_it_cannot_be_written():
    without = [
        name for name, e in EXERCISES.items() if e.chaffs and e.check(e.chaffs[0].function, seed=2).example is None
    ]
    derivations = {name for name, e in EXERCISES.items() if "SymPy" in (type(e).__doc__ or "")}
    graphs = {name for name, e in EXERCISES.items() if e.chapter == "04-chain-rule"}
    conduct = {name for name, e in EXERCISES.items() if e.chaffs and e.chaffs[0].cause == "argument-changed"}
    own_table = {"max_gap"}  # its pairs
    assert set(without) <= derivations | graphs | conduct | own_table


# Progress


def test_before_anything_was_checked(home):
    progress = autograder.progress()
    assert progress.points == 0
    assert progress.out_of == sum(exercise.points for exercise in EXERCISES.values())
    assert [row.exercise for row in progress.rows][:2] == list(EXERCISES)[:2]
    assert progress.next == progress.rows[0]
    assert len(progress.rows) == len(EXERCISES)
    assert not (home / "progress.json").exists()


def test_best_points_and_tries_are_kept(home):
    check(stub, "linear_mse_grads")
    assert not (home / "progress.json").exists()
    check(partly_right, "linear_mse_grads")
    assert row("linear_mse_grads").best == 3.6
    check(lambda X, y, w, b: (X[0], 0.0), "linear_mse_grads")
    assert (row("linear_mse_grads").best, row("linear_mse_grads").tries) == (3.6, 2)
    check(mse)
    check(wrong, "mse")
    assert (row("mse").best, row("mse").tries, row("mse").state) == (2, 2, ("✓", "solved"))
    assert autograder.progress().points == 5.6


def test_points_of_a_replayed_run_count(home):
    check(mse, seed=5)
    assert (row("mse").best, row("mse").tries) == (2, 0)


def test_points_follow_when_an_exercise_is_worth_more_later(monkeypatch):
    check(mse)
    monkeypatch.setattr(EXERCISES["mse"], "points", 5)
    assert (row("mse").best, row("mse").out_of) == (5, 5)


def test_while_nbgrader_grades_nothing_is_noted_and_no_hint_is_given(home, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    for _ in range(5):
        assert check(wrong, "mse").hints == ()
    assert check(mse).passed
    assert not home.exists()


def test_the_pure_check_notes_nothing(home):
    assert autograder.exercises.check(mse).passed
    assert not home.exists()


def test_a_file_that_cannot_be_written_costs_only_the_memory(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "a file"))
    assert levels(check(wrong, "mse")) == []
    assert levels(check(wrong, "mse")) == [0]
    assert check(mse).passed
    assert (row("mse").best, row("mse").tries) == (2, 3)
    assert "can't be written" in str(autograder.progress())


def test_what_could_not_be_written_is_written_later(home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(progress_module, "_write", lambda *_: (_ for _ in ()).throw(PermissionError))
        check(wrong, "mse")
    check(wrong, "mse")
    assert kept(home)["mse"]["tries"] == 2
    assert "can't be written" not in str(autograder.progress())


def test_without_a_home_folder(monkeypatch):
    monkeypatch.setattr(progress_module, "user_data_path", lambda name: Path("~") / name)
    assert check(mse).passed
    assert row("mse").best == 2
    assert "no home folder" in str(autograder.progress())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"exercises": [1]}', '{"exercises": {"mse": 3}}', '{"exercises": {"mse": {"best": "2"}}}', "\0"],
)
def test_a_damaged_file_is_moved_aside_and_that_is_said(home, text):
    home.mkdir()
    (home / "progress.json").write_text(text)
    said = autograder.progress()
    assert (home / "progress.json.damaged").read_text() == text
    assert f"{home / 'progress.json.damaged'}" in str(said)
    assert "damaged" in said._repr_html_()
    check(mse)
    assert row("mse").best == 2


def test_a_second_damage_does_not_hide_the_first(home):
    home.mkdir()
    for text in ("first", "second"):
        (home / "progress.json").write_text(text)
        check(mse)
    assert (home / "progress.json.damaged").read_text() == "first"
    assert (home / "progress.json.damaged-2").read_text() == "second"


def test_exercises_that_are_not_in_this_book_are_kept(home):
    home.mkdir()
    theirs = {"from_another_edition": {"best": 1, "colour": "blue"}}
    (home / "progress.json").write_text(json.dumps({"exercises": theirs}))
    check(mse)
    assert kept(home).items() >= theirs.items()
    assert "from_another_edition" not in str(autograder.progress())


def test_a_write_that_fails_leaves_the_file_as_it_was(home, monkeypatch):
    check(mse)
    before = (home / "progress.json").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    check(wrong, "mse")
    assert (home / "progress.json").read_bytes() == before
    assert {path.name for path in home.iterdir()} == {"progress.json", "progress.json.lock"}


def test_two_kernels_lose_nothing_of_each_other(home):
    code = (
        "import sys\nfrom autograder.checking.score import Score\nfrom autograder.progress import remember\n"
        "for k in range(150): remember(Score(sys.argv[1], 1.0, 2.0, 0, ''))"
    )
    names = list(EXERCISES)[:3]
    kernels = [subprocess.Popen([sys.executable, "-c", code, name]) for name in names]
    assert [kernel.wait(timeout=120) for kernel in kernels] == [0, 0, 0]
    assert {name: entry["tries"] for name, entry in kept(home).items()} == dict.fromkeys(names, 150)


def test_a_writer_that_hangs_is_not_waited_for(home, monkeypatch):
    check(wrong, "mse")
    monkeypatch.setattr(progress_module, "SECONDS_TO_WAIT", 0.01)
    with progress_module._locked(home / "progress.json"):
        assert levels(check(wrong, "mse")) == [0]
        assert row("mse").tries == 2
    check(wrong, "mse")
    assert kept(home)["mse"]["tries"] == 3


def test_the_card_is_a_table_for_a_screen_reader():
    check(mse)
    check(wrong, "mse_grad")
    html = autograder.progress()._repr_html_()
    chapters = {exercise.chapter for exercise in EXERCISES.values()}
    assert html.count("<caption") == html.count("<table") == html.count("<details") == len(chapters)
    assert html.count('<th scope="row"') == len(EXERCISES)
    assert html.count("<details open") == 1
    assert "Next: <code>mse_slope</code>, in chapter 1." in html
    assert "nothing is sent anywhere" in html
    assert "2 of 2</td>" in html


def test_the_text_has_a_line_for_each_exercise():
    check(mse)
    text = str(autograder.progress())
    assert repr(autograder.progress()) == text
    assert re.search(r"✓ mse +2 of 2 +1 try\n", text)
    assert re.search(rf"2 of \d+ points, 1 of {len(EXERCISES)} exercises solved", text)


def test_a_finished_book_has_no_next_exercise(home):
    home.mkdir()
    done = {n: {"best": e.points, "out_of": e.points, "tries": 1, "failed_in_a_row": 0} for n, e in EXERCISES.items()}
    (home / "progress.json").write_text(json.dumps({"exercises": done}))
    assert autograder.progress().next is None
    assert "Every exercise is solved" in str(autograder.progress())
