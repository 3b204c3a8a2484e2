"""Hypotheses about a whole answer: the right function of the wrong inputs, or an example left out.

Each gives what the reference would return if the learner had made the mistake; the ladder compares.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import backprop
from autograder.checking.compare import same
from autograder.checking.structure import Flat

Args = tuple
Change = Callable[[Args], Args | None]


def _clip(bound: float, a: np.ndarray) -> np.ndarray:
    return np.clip(a, -bound, bound)


_FLOAT_CHANGES: list[tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = [
    ("left-out", "`{}` is left out (as if it were 0)", np.zeros_like),
    ("counted-twice", "`{}` is counted twice", lambda a: 2 * a),
    ("input-halved", "`{}` is halved", lambda a: a / 2),
    ("sign-of-input", "`{}` has the wrong sign", lambda a: -a),
    ("input-taken-absolute", "the absolute value of `{}` is taken", np.abs),
    ("input-squared", "`{}` is squared", np.square),
    ("input-rounded", "`{}` is rounded to whole numbers", np.round),
    ("input-centred", "the mean of each column is subtracted from `{}`", lambda a: a - a.mean(axis=0)),
    ("input-centred", "the mean of all entries is subtracted from `{}`", lambda a: a - a.mean()),
    ("softmax-of-input", "a softmax is applied to `{}`", backprop.softmax),
    ("sigmoid-of-input", "a sigmoid is applied to `{}`", backprop.sigmoid),
    *(
        ("input-clipped", f"`{{}}` is clipped to values between −{bound} and {bound}", partial(_clip, bound))
        for bound in (1, 5, 10, 20, 30, 50, 100, 500, 700)
    ),
    ("rows-reversed", "the rows of `{}` are in reverse order", lambda a: a[::-1].copy()),
]
_OF_ARRAYS = {
    "input-rounded",
    "input-centred",
    "softmax-of-input",
    "sigmoid-of-input",
    "rows-reversed",
    "input-clipped",
}
_LABEL_CHANGES: list[tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = [
    ("labels-shifted", "the labels in `{}` are one too small: counted from 1, or decremented", lambda y: y - 1),
    ("labels-shifted", "the labels in `{}` are one too large", lambda y: y + 1),
    ("first-label-for-all", "the label of the first example is used for all", lambda y: np.full_like(y, y[0])),
]


def wrong_inputs(args: Args, names: tuple[str, ...]) -> Iterator[tuple[str, str, Change]]:
    """Slug, words, and a change of the arguments, for each way in which an input may be mistaken."""
    leaves = list(_leaves(args[: len(names)]))
    for path, value in leaves:
        label = _label(path, names)
        table = _LABEL_CHANGES if value.dtype.kind == "i" else _FLOAT_CHANGES
        for cause, words, change in table:
            if value.ndim == 0 and cause in _OF_ARRAYS:
                continue
            yield cause, words.replace("{}", label), _at(path, change)
    for i, (path, value) in enumerate(leaves):
        for other, second in leaves[i + 1 :]:
            if value.shape == second.shape and value.dtype == second.dtype and value.ndim:
                words = f"`{_label(path, names)}` and `{_label(other, names)}` have changed places"
                yield "inputs-swapped", words, _swap(path, other)


def without_example(args: Args, N: int) -> Iterator[tuple[str, Args]]:
    """The arguments without the first, and without the last example of the batch."""
    for word, part in (("first", slice(1, None)), ("last", slice(None, -1))):
        shorter = tuple(a[part] if isinstance(a, np.ndarray) and a.ndim and len(a) == N else a for a in args)
        yield word, shorter


def one_example(args: Args, N: int, n: int) -> Args:
    """The arguments with example ``n`` alone."""
    return tuple(a[n : n + 1] if isinstance(a, np.ndarray) and a.ndim and len(a) == N else a for a in args)


def example_weights(batch: Flat, singles: list[Flat], answer: Flat, names: list[str]) -> np.ndarray | None:
    """How much each example counts in an answer, 1 being right, if the answer is such a sum over the batch.

    Parameters
    ----------
    batch : the right answer.
    singles : the right answers for each example alone.
    answer : the learner's.
    names : of the outputs to look at.
    """
    names = [name for name in names if name in batch and name in answer and answer[name].shape == batch[name].shape]
    names = [name for name in names if all(s[name].shape == batch[name].shape for s in singles)]
    if not names:
        return None

    def stacked(flat: Flat) -> np.ndarray:
        return np.concatenate([np.asarray(flat[name], float).ravel() for name in names])

    G, r, a = np.stack([stacked(single) for single in singles], axis=1), stacked(batch), stacked(answer)
    if not np.isfinite(a).all() or np.linalg.matrix_rank(G) < len(singles):
        return None
    right, mine = (np.linalg.lstsq(G, total, rcond=None)[0] for total in (r, a))
    if not (same(G @ right, r, 1e-7) and same(G @ mine, a, 1e-7)) or np.ptp(right) > 1e-7 * np.abs(right).max():
        return None
    return mine / right


def _leaves(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, np.ndarray]]:
    """Arrays, and floats as arrays, with the way to them."""
    if isinstance(value, np.ndarray | float):
        yield path, np.asarray(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from _leaves(item, (*path, i))


def _label(path: tuple, names: tuple[str, ...]) -> str:
    return names[path[0]] + "".join(f"[{key!r}]" for key in path[1:])


def _get(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: tuple, new: Any) -> Any:
    """A copy of a nested structure with one leaf replaced."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: _put(item, path[1:], new) if key == path[0] else item for key, item in value.items()}
    return type(value)(_put(item, path[1:], new) if i == path[0] else item for i, item in enumerate(value))


def _at(path: tuple, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def changed(args: Args) -> Args | None:
        try:
            return _put(args, path, change(np.asarray(_get(args, path))))
        except (IndexError, KeyError, TypeError, ValueError):  # a case with other structure, or an array without rows
            return None

    return changed


def _swap(path: tuple, other: tuple) -> Change:
    def swapped(args: Args) -> Args | None:
        try:
            first, second = _get(args, path), _get(args, other)
            return _put(_put(args, path, second), other, first)
        except (IndexError, KeyError, TypeError):
            return None

    return swapped
