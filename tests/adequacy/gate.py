"""The gate of every exercise: what its check must accept, reject and name, and how long that takes.

Each check is one task, and tasks go to several processes: a check stops endless answers by a timer, which works
only in the main thread of a process.
"""

import inspect
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from unittest import mock

import numpy as np
from tqdm import tqdm

from adequacy.equivalents import Equivalent, entry_for
from autograder.checking.derivation import Derivation
from autograder.checking.exercise import Exercise
from autograder.checking.mutants import Mutant, mutants
from autograder.checking.score import Finding
from autograder.exercises import EXERCISES

FIRST_SEED = 100
FEWEST_WHEATS, FEWEST_CHAFFS = 6, 8
SLOW = 0.5  # seconds
DIAGNOSED_MUTANTS = 20  # of each exercise, evenly spread; of the others only the verdict is asked
PROCESSES = 2


@dataclass(frozen=True)
class Task:
    """One check to make. ``kind`` is wheat, chaff, stub, mutant, or left-out: a chaff that is struck off the list."""

    exercise: str
    kind: str
    index: int = 0
    seed: int = FIRST_SEED
    diagnosed: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a task: ``named`` if a finding has the, or a, cause; ``error`` if the check itself raised."""

    task: Task
    passed: bool
    named: bool
    written: bool
    seconds: float
    findings: str
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether it is as the gate demands."""
        if self.error:
            return False
        match self.task.kind:
            case "wheat":
                return self.passed
            case "chaff":
                return not self.passed and self.named
            case "stub":
                return not self.passed and not self.written
        return not self.passed


def stub(*args: object) -> None:
    raise NotImplementedError


def reference_of(exercise: Exercise | Derivation) -> Callable:
    return exercise.expected if isinstance(exercise, Derivation) else exercise.reference


def stub_of(exercise: Exercise | Derivation) -> Callable:
    """What a learner has before writing: a function that raises, or a class whose methods do."""
    reference = reference_of(exercise)
    if not inspect.isclass(reference):
        return stub
    methods = {name: _unwritten(member) for name, member in vars(reference).items() if inspect.isroutine(member)}
    return type(reference.__name__, reference.__bases__, methods)


def _unwritten(member: Callable) -> Callable | staticmethod:
    """A method that is still to be written, with its signature, into which Keras looks."""

    def method(*args: object, **options: object) -> None:
        raise NotImplementedError

    method.__signature__ = inspect.signature(member)
    return staticmethod(method) if isinstance(member, staticmethod) else method


@cache
def mutants_of(name: str) -> list[Mutant]:
    return list(mutants(reference_of(EXERCISES[name])))


def twin(name: str, names: Iterable[str]) -> str:
    """The first of some exercises with the same reference and the same cases: what holds of its mutants holds here."""
    exercise = EXERCISES[name]
    return next(
        other
        for other in names
        if (reference_of(EXERCISES[other]), EXERCISES[other].make_cases)
        == (reference_of(exercise), exercise.make_cases)
    )


def tasks(names: list[str], seeds: int, mutant_seeds: int) -> list[Task]:
    """All checks of some exercises."""
    found = []
    for name in names:
        exercise = EXERCISES[name]
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            found.append(Task(name, "stub", 0, seed))
            found += [Task(name, "wheat", i, seed) for i in range(len(exercise.wheats))]
            found += [Task(name, "chaff", i, seed) for i in range(len(exercise.chaffs))]
        found += [Task(name, "left-out", i) for i in range(len(exercise.chaffs))]
    return found + mutant_tasks(names, mutant_seeds, DIAGNOSED_MUTANTS)


def mutant_tasks(names: list[str], seeds: int = 1, diagnosed: int = 0) -> list[Task]:
    """Checks of every variant of every reference; of so many of each exercise, once, with a diagnosis."""
    found = []
    for name in names:
        if twin(name, names) == name:
            count = len(mutants_of(name))
            chosen = {i * count // diagnosed for i in range(diagnosed)}
            found += [
                Task(name, "mutant", i, seed, diagnosed=seed == FIRST_SEED and i in chosen)
                for seed in range(FIRST_SEED, FIRST_SEED + seeds)
                for i in range(count)
            ]
    return found


def answer_of(task: Task) -> Callable:
    exercise = EXERCISES[task.exercise]
    match task.kind:
        case "wheat":
            return exercise.wheats[task.index]
        case "chaff" | "left-out":
            return exercise.chaffs[task.index].function
        case "mutant":
            return mutants_of(task.exercise)[task.index].function
    return stub_of(exercise)


def judge(task: Task) -> Outcome:
    """Make one check. The time is that of the processor, so that a busy machine doesn't count."""
    exercise, answer = EXERCISES[task.exercise], answer_of(task)
    cause = exercise.chaffs[task.index].cause if task.kind == "chaff" else None
    if task.kind == "left-out":
        others = exercise.chaffs[: task.index] + exercise.chaffs[task.index + 1 :]
        exercise = replace(exercise, chaffs=others)
    if not task.diagnosed and isinstance(exercise, Exercise):
        exercise = replace(exercise, make_cases=_remembered(exercise.make_cases))
    with nullcontext() if task.diagnosed else _verdict_only():
        start = time.process_time()
        try:
            score = exercise.check(answer, task.seed)
        except Exception as error:  # it must not
            return Outcome(task, False, False, False, 0.0, "", error="".join(traceback.format_exception(error)[-3:]))
        seconds = time.process_time() - start
    causes = [finding.cause for finding in score.findings if finding.cause and not finding.note]
    return Outcome(
        task,
        passed=score.passed,
        named=cause in causes if cause else bool(causes),
        written=score.written,
        seconds=seconds,
        findings="" if score.passed else str(score),
    )


@cache
def _remembered(make_cases: Callable) -> Callable:
    """Cases from the same seed are made once: for deep networks that takes longer than the verdict."""
    made: dict[str, list] = {}

    def remember(rng: np.random.Generator) -> list:
        state = str(rng.bit_generator.state)
        if state not in made:
            made[state] = make_cases(rng)
        return list(made[state])

    return remember


@contextmanager
def _verdict_only() -> Iterator[None]:
    """Leave the search for the cause out, which takes most of the time."""
    with (
        mock.patch("autograder.checking.diagnose.diagnose", return_value=[Finding("")]),
        mock.patch.object(Derivation, "_diagnose", return_value=Finding("")),
    ):
        yield


def run(f: Callable, tasks: Iterable, what: str) -> list:
    """``f`` of every task, on several processes, with a progress bar; in the order of the tasks."""
    tasks = list(tasks)
    os.environ["OMP_NUM_THREADS"] = "1"  # two processes with as many threads as cores would be in each other's way
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        chunk = max(1, min(8, len(tasks) // (4 * PROCESSES)))
        outcomes = pool.map(f, tasks, chunksize=chunk)
        return list(tqdm(outcomes, what, len(tasks), unit=" checks", smoothing=0, disable=None))


@dataclass
class Row:
    """The gate's figures for one exercise."""

    name: str
    chapter: str
    seeds: int
    shares_mutants: bool = False
    wheats: int = 0
    accepted: int = 0
    chaffs: int = 0
    rejected: int = 0
    named: int = 0
    left_out_named: int = 0
    mutants: int = 0
    mutants_rejected: int = 0
    equivalents: int = 0
    flakes: int = 0
    seconds: list[float] = field(default_factory=list)


def rows(names: list[str], outcomes: list[Outcome], seeds: int) -> list[Row]:
    """The figures of every exercise."""
    return [_row(name, twin(name, names), outcomes, seeds) for name in names]


def _row(name: str, first: str, outcomes: list[Outcome], seeds: int) -> Row:
    exercise = EXERCISES[name]
    own = [o for o in outcomes if o.task.exercise == name and o.task.kind != "mutant"]
    variants = [o for o in outcomes if o.task.exercise == first and o.task.kind == "mutant"]
    answers = _by_answer([*own, *variants])

    def on_all_draws(kind: str, holds: Callable[[Outcome], bool]) -> int:
        return sum(all(map(holds, draws)) for draws in answers if draws[0].task.kind == kind)

    return Row(
        name,
        exercise.chapter,
        seeds,
        shares_mutants=first != name,
        wheats=len(exercise.wheats),
        accepted=on_all_draws("wheat", lambda o: o.passed),
        chaffs=len(exercise.chaffs),
        rejected=on_all_draws("chaff", lambda o: not o.passed and not o.error),
        named=on_all_draws("chaff", lambda o: o.named),
        left_out_named=on_all_draws("left-out", lambda o: o.named),
        mutants=sum(draws[0].task.kind == "mutant" for draws in answers),
        mutants_rejected=on_all_draws("mutant", lambda o: o.good),
        equivalents=sum(any(o.passed and excuse(o.task) is not None for o in draws) for draws in _by_answer(variants)),
        flakes=sum(len({o.good for o in draws}) > 1 for draws in _by_answer(own)),
        seconds=sorted(o.seconds for o in [*own, *variants] if o.task.diagnosed and o.task.kind != "stub"),
    )


def _by_answer(outcomes: list[Outcome]) -> list[list[Outcome]]:
    """The outcomes on all draws of one answer, together."""
    draws: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        draws.setdefault((outcome.task.kind, outcome.task.index), []).append(outcome)
    return list(draws.values())


def total_of(rows: list[Row]) -> Row:
    """All rows added up; variants that several exercises share count once."""
    total = Row("total", "", seeds=rows[0].seeds)
    for row in rows:
        for name in ("wheats", "accepted", "chaffs", "rejected", "named", "left_out_named", "flakes", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        if not row.shares_mutants:
            for name in ("mutants", "mutants_rejected", "equivalents"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
    return total


def excuse(task: Task) -> Equivalent | None:
    """The entry that says why a mutant is no mistake, if there is one."""
    return entry_for(twin(task.exercise, EXERCISES), mutants_of(task.exercise)[task.index])


def faults(outcomes: list[Outcome], names: list[str]) -> list[str]:
    """What keeps the gate shut, in words."""
    found = []
    for name in names:
        exercise = EXERCISES[name]
        if len(exercise.wheats) < FEWEST_WHEATS:
            found.append(f"{name}: {len(exercise.wheats)} wheats; there should be {FEWEST_WHEATS} or more")
        if len(exercise.chaffs) < FEWEST_CHAFFS:
            found.append(f"{name}: {len(exercise.chaffs)} chaffs; there should be {FEWEST_CHAFFS} or more")
    seen: set[tuple[str, str, int]] = set()
    for outcome in outcomes:
        task = outcome.task
        answer = task.exercise, task.kind, task.index
        if answer in seen:
            continue  # one draw is enough
        if outcome.error:
            what = "the check itself fails"
        elif outcome.good or task.kind == "left-out" or (task.kind == "mutant" and excuse(task)):
            continue
        else:
            what = {
                "wheat": "a right answer is refused",
                "chaff": "a wrong answer is accepted" if outcome.passed else "a wrong answer is not named",
                "stub": "the stub is not recognised",
                "mutant": "a variant of the reference is accepted, and no entry says that it is equivalent",
            }[task.kind]
        seen.add(answer)
        found.append(f"{describe(task)}: {what}\n{_indented(outcome.error or outcome.findings)}".rstrip())
    return found


def slow(outcomes: list[Outcome]) -> list[str]:
    """Checks that take longer than half a second."""
    late = sorted((o for o in outcomes if o.task.diagnosed and o.seconds > SLOW), key=lambda o: -o.seconds)
    return [f"{o.seconds:.2f} s: {describe(o.task)}" for o in late]


def describe(task: Task) -> str:
    exercise = EXERCISES[task.exercise]
    match task.kind:
        case "wheat":
            answer = f"wheat {exercise.wheats[task.index].__name__}"
        case "chaff" | "left-out":
            answer = f"chaff {task.index}, {exercise.chaffs[task.index].cause}"
        case "mutant":
            mutant = mutants_of(task.exercise)[task.index]
            answer = f"mutant, {mutant.operator}: `{mutant.line}` ({mutant.words})"
        case _:
            answer = "the stub"
    return f"{task.exercise}, {answer}, seed {task.seed}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[:8])
