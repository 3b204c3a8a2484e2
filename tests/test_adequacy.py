"""The checks against variants of the references that a program makes, and the book's page on the gate."""

import re
from dataclasses import replace

import pytest

from adequacy import comparison, gate, page
from adequacy.equivalents import EQUIVALENTS
from autograder.checking.mutants import OPERATORS
from autograder.checking.score import Finding, Score
from autograder.exercises import EXERCISES


@pytest.fixture(scope="module")
def outcomes():
    """The verdicts on all variants of all references."""
    return gate.run(gate.judge, gate.mutant_tasks(list(EXERCISES)), "variants")


def test_every_variant_that_is_a_mistake_is_rejected(outcomes):
    assert gate.faults(outcomes, []) == []


def test_there_are_hundreds_of_variants_of_many_kinds(outcomes):
    made = {gate.mutants_of(o.task.exercise)[o.task.index].operator for o in outcomes}
    assert len(outcomes) > 1000
    assert len(made) > 12
    assert made <= set(OPERATORS)


@pytest.mark.parametrize("entry", EQUIVALENTS, ids=lambda entry: entry.reason)
def test_no_entry_of_equivalent_variants_is_stale(entry, outcomes):
    covered = [
        (gate.twin(o.task.exercise, EXERCISES), gate.mutants_of(o.task.exercise)[o.task.index])
        for o in outcomes
        if o.passed and gate.excuse(o.task) is entry
    ]
    assert {entry.covers(name, mutant) for name, mutant in covered} == set(entry.texts)
    assert entry.exercises == "…" or {name for name, _ in covered} == set(entry.exercises.split())
    assert entry.operator in {"…", *OPERATORS}
    assert entry.reason.endswith(".")


def outcome(kind, **judged):
    task = gate.Task("mse", kind)
    return replace(gate.Outcome(task, passed=False, named=True, written=True, seconds=0.1, findings=""), **judged)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (outcome("wheat"), "a right answer is refused"),
        (outcome("chaff", passed=True), "a wrong answer is accepted"),
        (outcome("chaff", named=False), "a wrong answer is not named"),
        (outcome("stub"), "the stub is not recognised"),
        (outcome("mutant", passed=True), "no entry says that it is equivalent"),
    ],
)
def test_the_gate_shuts(wrong, words):
    assert [words in fault for fault in gate.faults([wrong], [])] == [True]


def test_the_gate_opens():
    good = [outcome("wheat", passed=True), outcome("chaff"), outcome("stub", written=False), outcome("mutant")]
    assert gate.faults([*good, outcome("left-out", named=False)], []) == []


def test_the_gate_counts_answers(monkeypatch):
    few = replace(EXERCISES["mse"], wheats=EXERCISES["mse"].wheats[:5], chaffs=EXERCISES["mse"].chaffs[:7])
    monkeypatch.setitem(EXERCISES, "mse", few)
    assert [fault.split(";")[0] for fault in gate.faults([], ["mse"])] == ["mse: 5 wheats", "mse: 7 chaffs"]


def test_a_verdict_that_changes_with_the_draw_is_a_flake():
    draws = [outcome("wheat", passed=True), replace(outcome("wheat"), task=gate.Task("mse", "wheat", seed=101))]
    (row,) = gate.rows(["mse"], draws, seeds=2)
    assert (row.flakes, row.accepted) == (1, 0)


def test_a_left_out_chaff_is_not_on_the_list(monkeypatch):
    asked = []

    def check(exercise, f, seed):
        asked.append((len(exercise.chaffs), f in [chaff.function for chaff in exercise.chaffs]))
        return Score("mse", 0.0, 2.0, seed, "", [Finding("", "special-case")])

    monkeypatch.setattr(type(EXERCISES["mse"]), "check", check)
    assert gate.judge(gate.Task("mse", "left-out", 3)).named
    assert asked == [(len(EXERCISES["mse"].chaffs) - 1, False)]


# The comparison


def verdicts(name):
    return {comparison.SMALL_CHECKS[v.check].title: v for v in comparison.compare(name)}


def causes(verdict):
    return {EXERCISES[verdict.exercise].chaffs[k].cause for k in verdict.chaffs_accepted}


def test_small_checks_miss_what_their_habit_misses():
    relu, mse = verdicts("relu_backward"), verdicts("mse_grad")
    assert not causes(relu["none of these habits"]) & {"upstream-forgotten", "leaky"}
    assert "upstream-forgotten" in causes(relu["the upstream gradient is all ones"])
    assert "leaky" in causes(relu["the same, on small slopes"])
    assert "sum-not-mean" not in causes(mse["none of these habits"])
    assert "sum-not-mean" in causes(mse["numeric gradient of the learner's own forward pass"])
    assert "bias-gradient-kept-its-axis" in causes(verdicts("linear_backward")["shapes need only broadcast"])
    assert comparison.missed_in_one_direction(200) > 0.8


def test_only_checks_that_miss_nothing_find_incomplete_answers():
    incomplete = comparison.incomplete_answers()
    assert incomplete.ours == 0
    assert incomplete.empty == incomplete.shortened == incomplete.exercises > 3


# The page


def test_the_page_has_the_figures_of_the_registry():
    text = page.PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+)/(\d+) \| (\d+)/(\d+) \| (\d+)/(\d+) \|", text, re.MULTILINE)
    written = {name: [*map(int, numbers)] for name, *numbers in rows}
    right = {n: [*[len(e.wheats)] * 2, *[len(e.chaffs)] * 4] for n, e in EXERCISES.items()}
    assert written == right, "the page is out of date; write it anew with: make adequacy WRITE=1"
    assert f"| exercises | {len(EXERCISES)} |" in text
    for what, count in (("right answers accepted", "wheats"), ("wrong answers rejected", "chaffs")):
        total = sum(len(getattr(e, count)) for e in EXERCISES.values())
        assert f"| {what} | {total} of {total} |" in text


def test_the_page_lists_the_operators_and_the_reasons():
    text = page.PAGE.read_text(encoding="utf-8")
    assert all(f"`{operator}`" in text for operator in OPERATORS)
    assert all(entry.reason in text for entry in EQUIVALENTS)
