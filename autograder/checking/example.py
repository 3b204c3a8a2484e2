"""A worked example: the smallest case that failed, with what went in, what was expected, and what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograder.checking.score import Finding

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise, Record

MOST_ENTRIES = 12  # of an array, before its middle is left out
MOST_ROWS = 10
LONGEST = 60


def worked_example(exercise: Exercise, records: list[Record]) -> Finding | None:
    """The smallest case that failed, as a table; None if none did, or if its arguments can't be written down."""
    wrong = exercise._wrong(records)
    failed = [
        record
        for record in records
        if record.expected
        and (record.call.error is not None or any(record.case.name in cases for cases in wrong.values()))
    ]
    if not failed:
        return None
    record = min(failed, key=_size)
    if exercise.adapt is not None and any(_describes(arg) for arg in record.case.args):
        return None
    inputs = _rows(exercise.parameters, record.case.args)
    if not any(informative for *_, informative in inputs) or len(inputs) > MOST_ROWS:
        return None
    table = [("in this case", "is"), *((name, text) for name, text, _ in inputs)]
    error = record.call.error
    names = [name for name in record.expected if error is not None or record.case.name in wrong[name]]
    told = ""
    for name in names[: max(1, MOST_ROWS - len(inputs)) if error is None else 1]:
        expected, answered = _compared(record.expected[name], _answered(record, name))
        table.append((f"`{name}`, expected", expected))
        sentence = _without(name, answered) if name in record.faults else ""
        if error is None and not (sentence and sentence == told):  # what is wrong with all is said once
            table.append((f"`{name}`, yours", answered))
        told = sentence
    if error is not None:
        table.append(("your function", f"raised `{type(error).__name__}`"))
    return Finding(f"A small example, the case “{record.case.name}”:", note=True, table=tuple(table))


def _describes(arg: Any) -> bool:
    """Whether an argument is no more than a description of what the function gets, such as a graph."""
    return isinstance(arg, dict) and not all(isinstance(value, np.ndarray) for value in arg.values())


def _size(record: Record) -> int:
    arrays = [a for _, a in _leaves("", record.case.args)] + list(record.expected.values())
    return sum(int(np.size(a)) for a in arrays)


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    """What an argument consists of, with names such as ``params['W1']``."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(f"{name}[{key!r}]", item)]
    if isinstance(value, tuple | list) and any(isinstance(item, np.ndarray | tuple | list) for item in value):
        return [leaf for i, item in enumerate(value) for leaf in _leaves(f"{name}[{i}]", item)]
    return [(name, value)]


def _rows(names: tuple[str, ...], args: tuple) -> list[tuple[str, str, bool]]:
    """Name and text of each part of the arguments, and whether the text says what it is."""
    leaves = [leaf for name, value in zip(names, args, strict=False) for leaf in _leaves(name, value)]
    return [(f"`{name}`", *_described(value)) for name, value in leaves]


def _described(value: Any) -> tuple[str, bool]:
    if isinstance(value, np.ndarray | np.number | float):
        return _written(np.asarray(value), 4), True
    if isinstance(value, bool | int | str | tuple | list | None) and len(repr(value)) <= LONGEST:
        return repr(value), True
    name = getattr(value, "__name__", "")
    if callable(value) and str(name).isidentifier():
        return f"the function `{name}`", False
    return "a function" if callable(value) else f"a `{type(value).__name__}`", False


def _answered(record: Record, name: str) -> np.ndarray | str:
    return str(record.faults[name]) if name in record.faults else record.answer.get(name, "missing")


def _without(name: str, sentence: str) -> str:
    return sentence.replace(f"`{name}`", "")


def _compared(expected: np.ndarray, answered: np.ndarray | str) -> tuple[str, str]:
    """Both as text, with as many digits as it takes to tell them apart."""
    if isinstance(answered, str):
        return _written(expected, 4), answered
    for digits in (4, 8):
        texts = _written(expected, digits), _written(answered, digits)
        if texts[0] != texts[1]:
            return texts
    return _written(expected, 16), _written(answered, 16)


def _written(a: np.ndarray, digits: int) -> str:
    if a.size > 100 * MOST_ENTRIES or a.dtype.kind not in "fiub":
        return f"an array of shape {a.shape}"
    text = np.array2string(
        a,
        separator=", ",
        threshold=MOST_ENTRIES,
        edgeitems=2,
        max_line_width=10**6,
        formatter={"float_kind": lambda x: f"{x + 0.0:.{digits}g}"},
    )
    return " ".join(text.split())
