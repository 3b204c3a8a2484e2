"""How far a learner has come: a small file of their own, and the table that :func:`progress` makes of it.

The file is ``progress.json`` in the user's data folder, on this computer alone: nothing is sent anywhere. It holds, for
each exercise, the best points so far, how many tries there were, and how many failed since the last pass.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from autograder.checking.score import Score
from autograder.exercises import EXERCISES

SECONDS_TO_WAIT = 0.2  # for another kernel that is writing; it takes a millisecond
GRADING = "NBGRADER_EXECUTION"  # set by nbgrader while it grades or validates

Entry = dict[str, Any]
_unwritten: dict[str, Entry] = {}  # of this session, where the file can't be written


@dataclass(frozen=True)
class Row:
    """One exercise: its best points so far, of how many, and the tries it took."""

    exercise: str
    chapter: str
    best: float
    out_of: float
    tries: int

    @property
    def state(self) -> tuple[str, str]:
        """A mark and a word."""
        if self.best >= self.out_of:
            return "✓", "solved"
        return ("◐", "partly solved") if self.best else ("✗", "not right yet") if self.tries else ("○", "not tried")


@dataclass(frozen=True)
class Progress:
    """The state of the whole book: a card in a notebook, a table as text.

    Attributes
    ----------
    rows : one for each exercise, in the book's order.
    where : the file that it was read from.
    remarks : what was wrong with the file, if anything was.
    """

    rows: list[Row]
    where: str
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        return sum(row.best for row in self.rows)

    @property
    def out_of(self) -> float:
        return sum(row.out_of for row in self.rows)

    @property
    def next(self) -> Row | None:
        """The first exercise, in the book's order, that is not solved."""
        return next((row for row in self.rows if row.best < row.out_of), None)

    def _chapters(self) -> Iterator[tuple[str, list[Row]]]:
        for name, rows in groupby(self.rows, key=lambda row: row.chapter):
            yield chapter_title(name), list(rows)

    def _head(self) -> str:
        solved = sum(row.best >= row.out_of for row in self.rows)
        return f"{self.points:g} of {self.out_of:g} points, {solved} of {len(self.rows)} exercises solved"

    def _foot(self) -> list[str]:
        if self.next is None:
            step = "Every exercise is solved."
        else:
            step = f"Next: `{self.next.exercise}`, in {chapter_title(self.next.chapter, short=True)}."
        return [step, *self.remarks, f"Kept in {self.where}, on this computer only; nothing is sent anywhere."]

    def __str__(self) -> str:
        lines = [f"Your progress: {self._head()}"]
        width = max((len(row.exercise) for row in self.rows), default=0)
        for title, rows in self._chapters():
            lines += ["", f"{title}: {_sum(rows)}"]
            for row in rows:
                mark, _ = row.state
                tries = f"{row.tries} {'try' if row.tries == 1 else 'tries'}" if row.tries else ""
                points = f"{row.best:g} of {row.out_of:g}"
                lines.append(f"  {mark} {row.exercise:<{width}}  {points:>10}  {tries}".rstrip())
        return "\n".join([*lines, "", *self._foot()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = "".join(self._chapter_html(title, rows) for title, rows in self._chapters())
        first, *others = (_inline(line) for line in self._foot())
        foot = "".join(f'<p style="margin: 0.4em 0 0; font-size: 0.85em">{line}</p>' for line in others)
        return (
            '<section aria-label="Your progress" style="border-left: 5px solid #0072b2; '
            "background: rgba(128, 128, 128, 0.1); color: inherit; padding: 0.6em 1em; margin: 0.4em 0; "
            'border-radius: 4px; line-height: 1.5; max-width: 46em; overflow-wrap: anywhere">'
            f'<p style="margin: 0; font-weight: bold">Your progress: {self._head()}</p>'
            f'<p style="margin: 0.2em 0 0.6em">{first}</p>{body}{foot}</section>'
        )

    def _chapter_html(self, title: str, rows: list[Row]) -> str:
        opened = " open" if self.next in rows else ""
        return (
            f'<details{opened} style="margin: 0.2em 0"><summary>{escape(title)}: {_sum(rows)}</summary>'
            '<table style="margin: 0.3em 0 0.6em 1.2em; font-size: 0.95em; color: inherit; background: none">'
            f'<caption style="{_HIDDEN}">{escape(title)}</caption><thead><tr>'
            + "".join(f'<th scope="col" style="{_CELL}">{name}</th>' for name in ("Exercise", "Best", "Tries", "State"))
            + "</tr></thead><tbody>"
            + "".join(_row_html(row) for row in rows)
            + "</tbody></table></details>"
        )


_CELL = "text-align: left; padding: 0.1em 1.4em 0.1em 0; background: none"
_HIDDEN = (
    "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"  # not from screen readers
)


def _row_html(row: Row) -> str:
    mark, word = row.state
    return (
        f'<tr style="background: none"><th scope="row" style="{_CELL}; font-weight: normal">'
        f"<code>{escape(row.exercise)}</code>"
        f'</th><td style="{_CELL}">{row.best:g} of {row.out_of:g}</td><td style="{_CELL}">{row.tries or "–"}</td>'
        f'<td style="{_CELL}"><span aria-hidden="true">{mark}</span> {word}</td></tr>'
    )


def _inline(text: str) -> str:
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


def _sum(rows: list[Row]) -> str:
    return f"{sum(row.best for row in rows):g} of {sum(row.out_of for row in rows):g} points"


def chapter_title(chapter: str, short: bool = False) -> str:
    """ "05-layers" as "Chapter 5, layers", or "chapter 5"."""
    number, _, name = chapter.partition("-")
    return f"chapter {int(number)}" if short else f"Chapter {int(number)}, {name.replace('-', ' ')}"


def progress() -> Progress:
    """What has been solved so far, in every chapter, and what comes next; in a notebook it shows as a card.

    Each ``check`` notes its points in a file of yours; nothing is sent anywhere. A later check with fewer points takes
    nothing away.

    Returns
    -------
    Progress
        with ``points`` of ``out_of``, ``rows`` for the exercises, and ``next``, the first that is not solved.
    """
    path = _path()
    remarks = []
    entries: dict[str, Entry] = {}
    if path is None:
        remarks.append("There is no home folder to keep it in: it holds until this session ends.")
    else:
        try:
            with _locked(path):
                entries = _read(path)
        except OSError:
            entries = _read_only(path)
        aside = sorted(path.parent.glob(f"{path.name}.damaged*")) if path.parent.is_dir() else []
        if aside:
            remarks.append(
                f"The file was damaged once and was moved aside, to {aside[-1]}: what it held is not counted here. "
                "Delete it, and this line goes."
            )
        if _unwritten:
            remarks.append(f"{path} can't be written: what was checked in this session is not kept.")
    entries |= {name: _later(entries.get(name), entry) for name, entry in _unwritten.items()}
    rows = [_row(name, entries.get(name, {})) for name in sorted(EXERCISES, key=lambda name: EXERCISES[name].chapter)]
    return Progress(rows, "memory" if path is None else str(path), remarks)


def _row(name: str, entry: Entry) -> Row:
    exercise = EXERCISES[name]
    share = min(1.0, entry.get("best", 0.0) / (entry.get("out_of") or exercise.points))
    return Row(name, exercise.chapter, round(share * exercise.points, 2), float(exercise.points), entry.get("tries", 0))


def remember(score: Score, replayed: bool = False) -> int:
    """Note the result of a check, and say how many tries have failed since the last pass.

    A replayed run is no try of its own, but its points count. A stub is neither tried nor failed. While nbgrader
    grades, nothing is noted: the file is the learner's, not the grader's.
    """
    if os.environ.get(GRADING):
        return 1
    path, name = _path(), score.exercise
    try:
        if path is None:
            raise OSError("no home folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            entries = _read(path)
            before = _later(entries.get(name), _unwritten.get(name))
            after = _after(before, score, replayed)
            if after and after != entries.get(name):
                _write(path, entries | {name: after})
        _unwritten.pop(name, None)
    except OSError:
        before = _unwritten.get(name) or (_read_only(path).get(name) if path else None)
        after = _after(before, score, replayed)
        if after and after != before:
            _unwritten[name] = after
    return after.get("failed_in_a_row", 0)


def _after(entry: Entry | None, score: Score, replayed: bool) -> Entry:
    """An exercise's entry after one more check."""
    entry = dict(entry or {})
    if not score.written:
        return entry
    points, share = float(score.points), score.points / score.out_of if score.out_of else 1.0
    if "best" not in entry or share > entry["best"] / (entry["out_of"] or 1.0):
        entry |= {"best": points, "out_of": float(score.out_of)}
    entry["tries"] = entry.get("tries", 0) + (not replayed)
    if score.passed:
        entry["failed_in_a_row"] = 0
    else:
        entry["failed_in_a_row"] = entry.get("failed_in_a_row", 0) + (not replayed)
    return entry


def _later(a: Entry | None, b: Entry | None) -> Entry | None:
    """Of two entries for one exercise the one with more tries."""
    return max((entry for entry in (a, b) if entry is not None), key=lambda entry: entry.get("tries", 0), default=None)


# The file


def _path() -> Path | None:
    """Where the file is, or would be; None without a home folder."""
    path = user_data_path("gradients-by-hand") / "progress.json"
    return path if path.is_absolute() else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else writes meanwhile. Raises OSError where no lock can be had."""
    try:
        with FileLock(f"{path}.lock", timeout=SECONDS_TO_WAIT, poll_interval=0.002):
            yield
    except (Timeout, NotImplementedError) as error:  # another process hangs; a file system without locks
        raise OSError(str(error)) from error


def _read(path: Path) -> dict[str, Entry]:
    """The entries by exercise. A damaged file is moved aside first."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    entries = _entries(text)
    if entries is None:
        aside = path.with_name(f"{path.name}.damaged")
        others = (path.with_name(f"{aside.name}-{n}") for n in range(2, 1000))
        os.replace(path, next(p for p in (aside, *others) if not p.exists()))
        return {}
    return entries


def _read_only(path: Path) -> dict[str, Entry]:
    """The entries of a file that can't be locked or written."""
    try:
        return _entries(path.read_bytes()) or {}
    except OSError:
        return {}


def _entries(text: bytes) -> dict[str, Entry] | None:
    """What a file says, or None if it is damaged. Entries of exercises that are not in this book are kept."""
    try:
        entries = json.loads(text)["exercises"]
        for name in entries.keys() & EXERCISES.keys():
            numbers = [entries[name][key] for key in ("best", "out_of", "tries", "failed_in_a_row")]
            if not all(isinstance(n, int | float) and n >= 0 for n in numbers):
                return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return entries


def _write(path: Path, entries: dict[str, Entry]) -> None:
    """The whole file or nothing: a reader sees it as it was before, or as it is afterwards."""
    text = json.dumps({"about": "Gradients by Hand: your progress", "exercises": entries}, indent=1)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
