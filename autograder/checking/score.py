"""What a check answers: a :class:`Score` with its findings, as a card for people and a number for nbgrader."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes
    ----------
    what : what differs: which output, which entry, both numbers.
    cause : a short slug such as ``"sign-flipped"``, or None when nothing reproduces the answer.
    likely : the cause in words, or an empty string.
    next_step : one thing to look at or try next.
    replay : the line that repeats this very run.
    note : True for a remark that costs no points.
    table : rows of cells to show below ``what``, the first one the heading.
    """

    what: str
    cause: str | None = None
    likely: str = ""
    next_step: str = ""
    replay: str = ""
    note: bool = False
    table: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        lines = [self.what]
        widths = [max(map(len, column)) for column in zip(*self.table, strict=True)]
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in self.table]
        if self.likely:
            lines.append(f"Consistent with: {self.likely}")
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Score:
    """The result of a check. Its ``repr`` is the bare points, which is what nbgrader records.

    Attributes
    ----------
    example : the smallest case that failed, with its numbers; one of the hints, if it comes to them.
    hints : what is shown after the findings when an exercise has failed several times in a row.
    """

    exercise: str
    points: float
    out_of: float
    seed: int
    summary: str
    findings: list[Finding] = field(default_factory=list)
    example: Finding | None = None
    hints: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        return self.points == self.out_of and all(finding.note for finding in self.findings)

    @property
    def written(self) -> bool:
        """False for an exercise that still is the stub."""
        return not any(finding.cause == "not-written" for finding in self.findings)

    @property
    def _verdict(self) -> tuple[str, str, str]:
        if self.passed:
            return "✓", "right", "#009e73"
        if not self.written:
            return "○", "not written yet", "#808080"
        return "✗", "partly right" if self.points else "not right yet", "#d55e00"

    @property
    def _result(self) -> str:
        """The verdict in words, with what it earns."""
        return f"{self._verdict[1]}, {self.points:g} of {self.out_of:g} points"

    def __repr__(self) -> str:
        return repr(float(self.points))

    def __str__(self) -> str:
        head = f"{self._verdict[0]} {self.exercise}: {self._result}"
        blocks = [head, *(str(finding) for finding in [*self.findings, *self.hints])]
        if self.summary:
            blocks.append(self.summary)
        replay = next((f.replay for f in self.findings if f.replay), "")
        if replay and not self.passed:
            blocks.append(f"Replay: {replay}")
        return "\n\n".join(blocks)

    def _repr_html_(self) -> str:
        mark, _, colour = self._verdict
        replay = next((f.replay for f in self.findings if f.replay), "")
        body = "".join(_finding_html(finding) for finding in [*self.findings, *self.hints])
        label = escape(f"Check of {self.exercise}: {self._result}")
        foot = escape(self.summary)
        if replay and not self.passed:
            foot += f"{'<br>' if foot else ''}Replay: <code>{escape(replay)}</code>"
        return (
            f'<section aria-label="{label}" style="border-left: 5px solid {colour}; '
            "background: rgba(128, 128, 128, 0.1); color: inherit; padding: 0.6em 1em; margin: 0.4em 0; "
            'border-radius: 4px; line-height: 1.5; max-width: 46em; overflow-wrap: anywhere">'
            f'<p style="margin: 0; font-weight: bold"><span aria-hidden="true">{mark}</span> '
            f"<code>{escape(self.exercise)}</code>: {escape(self._result)}</p>"
            f"{body}"
            f'<p style="margin: 0.6em 0 0; font-size: 0.85em">{foot}</p></section>'
        )


def _finding_html(finding: Finding) -> str:
    rows = [f'<p style="margin: 0.6em 0 0">{_inline(finding.what)}</p>', _table_html(finding.table)]
    for label, text in (("Consistent with", finding.likely), ("Next", finding.next_step)):
        if text:
            rows.append(f'<p style="margin: 0.2em 0 0"><b>{label}:</b> {_inline(text)}</p>')
    return "".join(rows)


def _table_html(table: tuple[tuple[str, ...], ...]) -> str:
    if not table:
        return ""
    style = "text-align: left; padding: 0.1em 1em 0.1em 0; vertical-align: top"
    first, *others = [[_inline(cell) for cell in row] for row in table]
    rows = ["".join(f'<th scope="col" style="{style}">{cell}</th>' for cell in first)]
    rows += ["".join(f'<td style="{style}">{cell}</td>' for cell in row) for row in others]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table style="margin: 0.4em 0; color: inherit; background: none; font-size: 0.95em">{body}</table>'


def _inline(text: str) -> str:
    """Escape text; turn `code` into code, *words* into emphasis and new lines into breaks."""
    pieces = escape(text, quote=False).split("`")
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"<code>{piece}</code>"
        else:
            pieces[i] = re.sub(r"(?<!\w)\*(\w[^*]*)\*(?!\w)", r"<em>\1</em>", piece)
    return "".join(pieces).replace("\n", "<br>")


def replay_line(f: Callable, exercise: str, seed: int) -> str:
    """The line that repeats a check."""
    name = name_of(f) if name_of(f).isidentifier() else "f"
    return f"check({name}, seed={seed})" if name == exercise else f'check({name}, "{exercise}", seed={seed})'


def name_of(f: Callable) -> str:
    """The name of a function; empty for a callable that has none, or won't tell."""
    try:
        return str(f.__name__)
    except Exception:
        return ""
