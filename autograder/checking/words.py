"""How findings speak of cases, of lists of things, and of the entry that differs most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autograder.checking.exercise import Record


def difference(name: str, record: Record) -> str:
    """The worst entry of an output, with both numbers, or the two shapes."""
    r = record.expected[name]
    a = record.answer.get(name)
    if a is None:
        return f"In the case “{record.case.name}” `{name}` is missing."
    if a.shape != r.shape:
        return f"In the case “{record.case.name}” `{name}` should have shape {r.shape} and has {a.shape}."
    with np.errstate(all="ignore"):
        gap = np.where(np.isfinite(a), np.abs(a - r), np.inf)
    index = np.unravel_index(int(np.argmax(gap)), r.shape)
    entry = f"[{', '.join(map(str, index))}]" if r.ndim else ""
    right, mine = float(r[index]) + 0.0, float(a[index]) + 0.0
    digits = 6 if f"{right:.6g}" != f"{mine:.6g}" else 16
    return f"In the case “{record.case.name}” `{name}{entry}` should be {right:.{digits}g} and is {mine:.{digits}g}."


def cases(records: list[Record]) -> str:
    """ "the case “N = 1”", "the cases “7 × 5” and “square”"; at most three are named."""
    names = listing([f"“{record.case.name}”" for record in records[:3]])
    return f"the case{'s' if len(records) > 1 else ''} {names}" + (" and others" if len(records) > 3 else "")


def listing(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
