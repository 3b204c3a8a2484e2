"""The learner's :func:`check`: the verdict, hints that grow with the tries, and a note of how far one has come."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from autograder.checking.score import Finding, Score
from autograder.exercises import EXERCISES
from autograder.exercises import check as judge
from autograder.progress import chapter_title, remember

CHAPTERS = Path(__file__).parent.parent / "chapters"


def check(f: Callable, exercise: str | None = None, seed: int | None = None) -> Score:
    """Judge an answer to an exercise; in a notebook the result shows as a card.

    The card says what differs, what would explain it, and what to look at next. From the second try in a row that fails
    it also works through a small example, from the third it says what to read again, and from the fourth what is asked
    for. The best points are kept in a small file on your computer, for :func:`autograder.progress`.

    Parameters
    ----------
    f : the function to judge.
    exercise : its exercise; by default the one that has the function's name.
    seed : of the random inputs; a fresh one by default. The card shows it, and it replays the run. A replayed run does
        not count as another try.

    Returns
    -------
    Score
        ``passed``, ``points`` out of ``out_of``, ``findings`` and ``hints``. Nothing that ``f`` does raises.

    Raises
    ------
    TypeError
        if ``f`` can't be called.
    ValueError
        if there is no such exercise (the message lists near names), or the seed is none.
    """
    score = judge(f, exercise, seed)
    failed = remember(score, replayed=seed is not None)
    return score if score.passed or not score.written else replace(score, hints=hints(score, failed))


def hints(score: Score, failed: int) -> tuple[Finding, ...]:
    """What a card shows besides its findings, after so many failed tries in a row."""
    exercise = EXERCISES[score.exercise]
    found = []
    if failed >= 2 and score.example is not None:
        found.append(score.example)
    if failed >= 3:
        found.append(Finding(f"To read again: {_section(exercise.name, exercise.chapter)}.", note=True))
    if failed >= 4 and (formula := getattr(exercise, "formula", "")):
        in_code = formula if "`" in formula else f"`{formula}`"
        found.append(Finding(f"What is asked for, in one line: {in_code}", note=True))
    return tuple(found)


def _section(exercise: str, chapter: str) -> str:
    """The section before an exercise, by its heading in the chapter's notebook, if that is here."""
    where = chapter_title(chapter, short=True)
    try:
        cells = json.loads((CHAPTERS / f"{chapter}.ipynb").read_bytes())["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        before, found, _ = text.partition(f"Exercise: `{exercise}`")
        headings = re.findall(r"^##+ (?!Exercise)(.+)$", before, re.MULTILINE)
        if found and headings:
            return f"{where}, “{headings[-1].strip()}”"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return f"{where}, the section before this exercise"
