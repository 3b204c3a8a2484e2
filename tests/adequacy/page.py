"""The book's page on the gate, written from one run of it."""

import datetime
import os
import platform
import re
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import median

from adequacy.comparison import SMALL_CHECKS, Incomplete, Verdicts, missed_in_one_direction
from adequacy.equivalents import EQUIVALENTS, Equivalent
from adequacy.gate import FEWEST_CHAFFS, FEWEST_WHEATS, SLOW, Outcome, Row, excuse, total_of
from autograder.checking.mutants import OPERATORS
from autograder.exercises import EXERCISES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "book" / "adequacy.md"
HEADINGS = ["exercise", "right", "wrong", "named", "unlisted", "variants", "ms"]


def write_page(rows: list[Row], outcomes: list[Outcome], verdicts: list[Verdicts], incomplete: Incomplete) -> None:
    """Write the book's page."""
    template = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    text = template.format(
        fewest_wheats=FEWEST_WHEATS,
        fewest_chaffs=FEWEST_CHAFFS,
        slow=SLOW,
        machine=_machine(rows),
        totals=_totals(rows),
        chapters=_chapters(rows),
        comparison=_comparison(rows, verdicts),
        slipped=_slipped(verdicts),
        incomplete=_incomplete(incomplete),
        missed=f"{missed_in_one_direction():.0%}".replace("%", " %"),
        operators=_table(["variant", "what is changed"], [[f"`{slug}`", text] for slug, text in OPERATORS.items()]),
        equivalents=_equivalents(outcomes),
    )
    PAGE.write_text(text, encoding="utf-8")


def _machine(rows: list[Row]) -> str:
    draws = rows[0].seeds
    return (
        f"Measured on {datetime.date.today():%-d %B %Y} on {os.cpu_count()} processor cores, with Python "
        f"{platform.python_version()} and NumPy {version('numpy')}; {draws} draw{'s' if draws > 1 else ''} of every "
        "answer. Times are processor times."
    )


def _totals(rows: list[Row]) -> str:
    total = total_of(rows)
    return _table(
        ["", ""],
        [
            ["exercises", str(len(rows))],
            ["right answers accepted", f"{total.accepted} of {total.wheats}"],
            ["wrong answers rejected", f"{total.rejected} of {total.chaffs}"],
            ["wrong answers named", f"{total.named} of {total.chaffs}"],
            ["unlisted, and a cause named all the same", _share(total.left_out_named, total.chaffs)],
            ["variants rejected", f"{total.mutants_rejected} of {total.mutants - total.equivalents}"],
            ["variants that are no mistakes", str(total.equivalents)],
            ["verdicts that changed with the draw", str(total.flakes)],
            ["time of a check, median and longest", f"{_ms(median(total.seconds))} and {_ms(max(total.seconds))} ms"],
        ],
    )


def _chapters(rows: list[Row]) -> str:
    parts = []
    for chapter, group in groupby(sorted(rows, key=lambda row: row.chapter), key=lambda row: row.chapter):
        parts.append(f"### {_title(chapter)}\n\n" + _table(HEADINGS, [_cells(row) for row in group]))
    return "\n\n".join(parts)


def _title(chapter: str) -> str:
    source = ROOT / "solutions" / f"{chapter}.md"
    found = re.search(r"^# (.+)$", source.read_text(encoding="utf-8"), re.M) if source.exists() else None
    return found[1] if found else f"{int(chapter[:2])}. {chapter[3:].replace('-', ' ').capitalize()}"


def _cells(row: Row) -> list[str]:
    return [
        f"`{row.name}`",
        f"{row.accepted}/{row.wheats}",
        f"{row.rejected}/{row.chaffs}",
        f"{row.named}/{row.chaffs}",
        _share(row.left_out_named, row.chaffs),
        f"{row.mutants_rejected}/{row.mutants - row.equivalents}" if row.mutants else "",
        f"{_ms(median(row.seconds))};&nbsp;{_ms(max(row.seconds))}",
    ]


def _equivalents(outcomes: list[Outcome]) -> str:
    found: dict[Equivalent, set[tuple[str, int]]] = {}
    for outcome in outcomes:
        if outcome.task.kind == "mutant" and outcome.passed and (entry := excuse(outcome.task)) is not None:
            found.setdefault(entry, set()).add((outcome.task.exercise, outcome.task.index))
    cells = []
    for entry in EQUIVALENTS:
        variants = found.get(entry, set())
        names = [name for name in EXERCISES if name in {name for name, _ in variants}]
        cells.append([_code(names), str(len(variants)), entry.reason])
    return _table(["exercises", "variants", "why they are right"], cells)


def _comparison(rows: list[Row], verdicts: list[Verdicts]) -> str:
    cells = []
    baseline = {v.exercise: set(v.chaffs_accepted) for v in verdicts if v.check == 0}
    compared = [row for row in rows if row.name in baseline]
    for i, check in enumerate(SMALL_CHECKS):
        own = [v for v in verdicts if v.check == i]
        exercises = [EXERCISES[v.exercise] for v in own]
        extra = sum(len(set(v.chaffs_accepted) - baseline[v.exercise]) for v in own)
        cells.append(
            [
                check.title,
                check.manner,
                str(len(own)),
                f"{sum(len(v.chaffs_accepted) for v in own)} of {sum(len(e.chaffs) for e in exercises)}",
                str(extra) if i else "",
                f"{sum(len(v.wheats_refused) for v in own)} of {sum(len(e.wheats) for e in exercises)}",
            ]
        )
    cells.append(
        [
            "this book's checks",
            "",
            str(len(compared)),
            f"{sum(row.chaffs - row.rejected for row in compared)} of {sum(row.chaffs for row in compared)}",
            "",
            f"{sum(row.wheats - row.accepted for row in compared)} of {sum(row.wheats for row in compared)}",
        ]
    )
    return _table(["habit", "as in", "exercises", "wrong accepted", "by the habit", "right refused"], cells)


def _slipped(verdicts: list[Verdicts]) -> str:
    """For each habit that costs something, one example from each of the first exercises."""
    baseline = {v.exercise: v for v in verdicts if v.check == 0}
    cells = []
    for i, check in enumerate(SMALL_CHECKS):
        examples = []
        for v in (v for v in verdicts if v.check == i):
            extra = sorted(set(v.chaffs_accepted) - set(baseline[v.exercise].chaffs_accepted))
            causes = list(dict.fromkeys(EXERCISES[v.exercise].chaffs[k].cause for k in extra))[:2]
            if causes:
                examples.append(f"`{v.exercise}`: {', '.join(causes)}")
        if examples:
            cells.append([check.title, "; ".join(examples[:4])])
    return _table(["habit", "accepts"], cells)


def _incomplete(incomplete: Incomplete) -> str:
    return (
        "A check that compares only what the learner returned does not miss what is missing: of "
        f"{incomplete.exercises} exercises with several results it accepts an empty answer in {incomplete.empty}, and "
        f"one without its last result in {incomplete.shortened}. This book's checks accept {incomplete.ours} of them."
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
