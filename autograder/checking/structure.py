"""From what a function returned to a flat table of named arrays, and what is wrong with it if it can't be."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Flat = dict[str, np.ndarray]
MOST_ENTRIES = 10**6  # no exercise comes near


class WrongStructure(Exception):
    """The answer hasn't the expected structure. ``cause`` is a slug, the message is for the learner."""

    def __init__(self, cause: str, message: str, next_step: str = ""):
        super().__init__(message)
        self.cause, self.next_step = cause, next_step


def flatten(reference: Any, names: tuple[str, ...]) -> Flat:
    """Name the arrays of a reference answer: one array, a tuple (with lists in it), a dict, or a list of pairs."""
    if isinstance(reference, dict):
        return {key: np.asarray(value) for key, value in reference.items()}
    if isinstance(reference, list):
        return {
            f"{name}[{i}]": np.asarray(value)
            for i, pair in enumerate(reference)
            for name, value in zip(names, pair, strict=True)
        }
    if isinstance(reference, tuple):  # with fewer results than names, the first names
        flat: Flat = {}
        for name, value in zip(names, reference, strict=False):
            items = {f"{name}[{i}]": item for i, item in enumerate(value)} if isinstance(value, list) else {name: value}
            flat |= {key: np.asarray(item) for key, item in items.items()}
        return flat
    return {names[0]: np.asarray(reference)}


def read(answer: Any, reference: Any, names: tuple[str, ...]) -> tuple[Flat, dict[str, WrongStructure]]:
    """Read an answer in the structure of the reference.

    Returns
    -------
    The arrays that could be read, and for the others, by name, what is wrong with them.

    Raises
    ------
    WrongStructure
        if the answer as a whole has another structure.
    """
    if isinstance(answer, Iterator):
        answer = list(itertools.islice(answer, 1000))
    raw = _unpack(answer, reference, names)
    flat: Flat = {}
    faults: dict[str, WrongStructure] = {}
    for name, value in raw.items():
        try:
            flat[name] = _array(name, value)
        except WrongStructure as fault:
            faults[name] = fault
    return flat, faults


def _unpack(answer: Any, reference: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if answer is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    if isinstance(reference, dict):
        keys = ", ".join(f"`{key}`" for key in reference)
        if not isinstance(answer, Mapping):
            raise WrongStructure(
                "wrong-type",
                f"Expected a dict with the keys {keys}; got {_kind(answer)}.",
                f"Return a dict: `{{{', '.join(f'{key!r}: …' for key in reference)}}}`.",
            )
        missing = [key for key in reference if key not in answer]
        extra = [str(key) for key in answer if key not in reference]
        if extra:
            raise WrongStructure(
                "wrong-keys",
                f"Expected exactly the keys {keys}; got {', '.join(map(repr, answer))}.",
                "Use the same keys as `params`: the gradient of `W1` goes under `W1`.",
            )
        return {key: answer.get(key, _MISSING) for key in reference} if missing else dict(answer)
    if isinstance(reference, list):
        _expect_sequence(answer, len(reference), f"a list of {len(reference)} pairs ({', '.join(names)})")
        for i, pair in enumerate(answer):
            _expect_sequence(pair, len(names), f"a pair ({', '.join(names)}) as entry {i} of the list")
        return {f"{name}[{i}]": value for i, pair in enumerate(answer) for name, value in zip(names, pair, strict=True)}
    if isinstance(reference, tuple):
        names = names[: len(reference)]
        results = f"{len(names)} results" if len(names) > 1 else "a tuple of one result"
        _expect_sequence(answer, len(names), f"{results} ({', '.join(names)})")
        raw = {}
        for name, value, right in zip(names, answer, reference, strict=True):
            if isinstance(right, list):
                _expect_sequence(value, len(right), f"`{name}` to be a list of {len(right)} arrays")
                raw |= {f"{name}[{i}]": item for i, item in enumerate(value)}
            else:
                raw[name] = value
        return raw
    if isinstance(answer, tuple):
        raise WrongStructure("wrong-type", f"Expected `{names[0]}` alone; got {_kind(answer)}.")
    return {names[0]: answer}


_MISSING = object()


def _expect_sequence(value: Any, length: int, expected: str) -> None:
    if not isinstance(value, tuple | list):
        raise WrongStructure("wrong-type", f"Expected {expected}; got {_kind(value)}.")
    if len(value) != length:
        raise WrongStructure(
            "wrong-count", f"Expected {expected}; got {len(value)}.", "Does the `return` list them all, in this order?"
        )


_TENSORS = {"torch": "a tensor of PyTorch", "tensorflow": "a tensor of TensorFlow"}
_TO_NUMPY = {
    "torch": "`.numpy()` makes an array of it; as long as it is part of a graph, `.detach().numpy()`.",
    "tensorflow": "`.numpy()` makes an array of it.",
}


def _array(name: str, value: Any) -> np.ndarray:
    if value is _MISSING:
        raise WrongStructure("missing-output", f"`{name}` is missing from the answer.")
    if value is None:
        raise WrongStructure("returned-none", f"`{name}` is `None`.", "Was it computed, and is it returned?")
    if isinstance(value, str | bytes) or callable(value):
        raise WrongStructure("wrong-type", f"`{name}`: expected numbers, got {_kind(value)}.")
    home = type(value).__module__.partition(".")[0]
    if home in _TENSORS:
        raise WrongStructure("tensor", f"`{name}`: expected a NumPy array, got {_TENSORS[home]}.", _TO_NUMPY[home])
    try:
        a = np.asarray(value)
    except Exception:
        raise WrongStructure("wrong-type", f"`{name}`: expected an array, got {_kind(value)}.") from None
    if isinstance(value, np.matrix):
        raise WrongStructure(
            "wrong-type", f"`{name}` is an `np.matrix`.", "Return an `np.ndarray`; `np.matrix` keeps everything 2-D."
        )
    if a.size > MOST_ENTRIES:
        raise WrongStructure("wrong-shape", f"`{name}` has shape {a.shape}: {a.size:,} entries are far too many.")
    if a.dtype.kind == "c":
        raise WrongStructure("complex", f"`{name}` is complex.", "Return its real part, if the rest is rounding.")
    if a.dtype.kind not in "fiub":
        raise WrongStructure(
            "wrong-type", f"`{name}`: expected an array of numbers, got {_kind(value)} of dtype `{a.dtype}`."
        )
    if a.dtype.kind == "f" and a.dtype.itemsize > 8:
        a = a.astype(np.float64)
    return a


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a `{type(value).__name__}`"


def named_arrays(args: Any, names: tuple[str, ...]) -> list[tuple[str, np.ndarray]]:
    """All arrays among the arguments, with names such as ``X``, ``params['W1']``, ``params[0][1]``."""
    found: list[tuple[str, np.ndarray]] = []

    def walk(name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            found.append((name, value))
        elif isinstance(value, dict):
            found.append((f"{name}.keys()", np.array(list(map(str, value)))))
            for key, item in value.items():
                walk(f"{name}[{key!r}]", item)
        elif isinstance(value, tuple | list):
            for i, item in enumerate(value):
                walk(f"{name}[{i}]", item)

    for name, value in zip(names, args, strict=False):
        walk(name, value)
    return found
