"""Chapter 11: weights between three libraries, and how far two sets of gradients are apart.

What needs a framework to be said: `three_ways_answers.py`.
"""

import copy
import itertools
import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise, Record
from autograder.checking.score import Finding, Score
from autograder.checking.structure import WrongStructure
from autograder.exercises.checking_gradients import InWords, moderate
from backprop.frameworks import quietly

CHAPTER = "11-three-ways"
ANSWERS = "autograder.exercises.three_ways_answers"


def _kind(value: Any) -> str:
    if value is None or isinstance(value, type):
        return f"`{getattr(value, '__name__', value)}`"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a `{type(value).__name__}`"


def _returned_none() -> WrongStructure:
    return WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")


def _networks(rng: np.random.Generator) -> list[Case]:
    """Networks of several depths, as `[(W, b), …]`; biases are not 0."""

    def case(name: str, *sizes: int, dtype: type = np.float64) -> Case:
        layers = pairwise(sizes)
        params = [(normal(rng, D, M).astype(dtype), normal(rng, M).astype(dtype)) for D, M in layers]
        return Case(name, (params,), dict(zip("DHC", sizes, strict=False)))

    return [
        case("7 → 5 → 3", 7, 5, 3),
        case("three layers, 2 → 3 → 5 → 7", 2, 3, 5, 7),
        case("square, 3 → 3 → 3", 3, 3, 3),
        case("five layers, one of them a single unit", 3, 2, 1, 5, 2, 3),
        case("float32, 5 → 2 → 7", 5, 2, 7, dtype=np.float32),
    ]


def _dtype_kept(f: Callable, seed: int) -> Finding | None:
    """Whether arrays of either precision keep it."""
    for dtype in ("float64", "float32"):
        answer = call(f, ([(np.ones((2, 3), dtype), np.ones(3, dtype))],)).value
        if answer is None:
            return None
        items = answer.items() if isinstance(answer, Mapping) else enumerate(answer)
        for key, array in items:
            found = str(array.dtype).removeprefix("torch.")
            if found != dtype:
                return Finding(
                    f"Of arrays of dtype `{dtype}` your function makes `{found}`, for example in `[{key!r}]`.",
                    "dtype-changed",
                    "the precision is changed on the way: by a `dtype=…`, an `astype`, or a function that always makes "
                    "float32.",
                    "What do `torch.Tensor(a)` and `torch.tensor(a)` make of an array of float64?",
                )
    return None


# to_torch


def _state(f: Callable) -> Callable:
    """The tensors of a state as arrays, under their names, once it is clear that it is a state."""
    import torch

    def run(params):
        own = list(params)  # whatever becomes of the list
        state = f(params)
        if state is None:
            raise _returned_none()
        if isinstance(state, torch.nn.Module):
            raise WrongStructure(
                "module-returned",
                f"Expected a state_dict, which is a dict; got a module, {_kind(state)}.",
                "Of a module, which method gives its tensors by name? And is a module needed at all?",
            )
        if not isinstance(state, Mapping):
            raise WrongStructure(
                "no-dict",
                f"Expected a dict with the names of a state_dict; got {_kind(state)}.",
                "Print `model.state_dict()` of a small `nn.Sequential`: which type is it, and what are its keys?",
            )
        _refuse_keys([*state], len(own))
        return {key: _numbers_of(key, state[key]) for key in _keys(len(own))}

    return run


def _keys(layers: int) -> list[str]:
    return [f"{2 * i}.{name}" for i in range(layers) for name in ("weight", "bias")]


def _refuse_keys(found: list, layers: int) -> None:
    """Say what is wrong with the names of a state, if anything is."""
    expected = _keys(layers)
    if {*found} == {*expected}:
        return
    numbers = [str(key).partition(".")[0] for key in found]
    suffixes = {str(key).rpartition(".")[2] for key in found}
    if {*found} == {f"{i}.{name}" for i in range(layers) for name in ("weight", "bias")}:
        cause, step = "relu-not-counted", "Which places in the `nn.Sequential` do the ReLUs take?"
    elif not all(isinstance(key, str) for key in found):
        cause, step = "keys-not-strings", "Of which type are the keys of `model.state_dict()`?"
    elif suffixes == {"weight", "bias"} and len(found) == len(expected) and all(map(str.isdigit, numbers)):
        cause, step = "counted-otherwise", "With which number does `nn.Sequential` begin, and what lies in between?"
    elif suffixes == {"weight", "bias"} and len(found) == len(expected):
        cause, step = "another-modules-names", "Has a plain `nn.Sequential` names for its layers, or numbers?"
    elif {*found} < {*expected}:
        left_out = ", ".join(f"`{key}`" for key in expected if key not in found)
        raise WrongStructure(
            "biases-missing" if suffixes == {"weight"} else "layers-missing",
            f"Keys are missing: {left_out}.",
            "How many layers has `params`, and how many tensors each?",
        )
    elif {*found} > {*expected}:
        cause, step = "extra-keys", "Has a ReLU anything to store?"
    else:
        cause, step = "other-names", "What does `nn.Linear` call its two tensors?"
    raise WrongStructure(
        cause,
        f"For {layers} layers the keys should be {', '.join(map(repr, expected))}; yours are "
        f"{', '.join(map(repr, found))}.",
        step,
    )


def _numbers_of(key: str, tensor: Any) -> np.ndarray:
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise WrongStructure(
            "no-tensor",
            f"`{key}` should be a tensor of PyTorch; it is {_kind(tensor)}.",
            "`load_state_dict` wants tensors. Which functions make one of an array?",
        )
    return tensor.detach().numpy()


class _KeepsDtype(Exercise):
    """The dtype comes before the memory: who changes the one on the way may share the other where nothing changes."""

    def _conduct(self, f: Callable, records: list[Record], wrong: dict, seed: int) -> list[Finding]:
        findings = super()._conduct(f, records, wrong, seed)
        if self._all_wrong(records, wrong) or (found := _dtype_kept(f, seed)) is None:
            return findings
        others = [finding for finding in findings if finding.cause != "shared-memory"]
        if len(others) < len(findings):
            also = "Besides, an array that has this dtype already is not copied: the tensor shares its memory."
            found = replace(found, likely=f"{found.likely} {also}")
        return [found, *others]


to_torch = _KeepsDtype(
    "to_torch",
    CHAPTER,
    1,
    "to_torch(params)",
    ("state",),
    reference=None,
    make_cases=_networks,
    adapt=_state,
    formula='`state[f"{2 * i}.weight"] = torch.tensor(W.T)` and `state[f"{2 * i}.bias"] = torch.tensor(b)` for layer i',
    answers=ANSWERS,
)


# to_keras


def _weights(f: Callable) -> Callable:
    """The arrays of a list of weights, under names, once it is clear that it is such a list."""

    def run(params):
        own = list(params)  # whatever becomes of the list
        weights = f(params)
        if weights is None:
            raise _returned_none()
        if not isinstance(weights, tuple | list):
            raise WrongStructure(
                "no-list",
                f"Expected a list of arrays, as `get_weights()` returns it; got {_kind(weights)}.",
                "Print `[w.shape for w in model.get_weights()]` of a small model.",
            )
        if any(isinstance(w, tuple | list) for w in weights):
            raise WrongStructure(
                "pairs-kept",
                "There are lists or tuples in the list; `set_weights` takes one flat list of arrays.",
                "`append` and `extend` do different things with a pair. Which of them makes a flat list?",
            )
        if len(weights) != 2 * len(own):
            raise WrongStructure(
                "wrong-count",
                f"For {len(own)} layers there should be {2 * len(own)} arrays; there are {len(weights)}.",
                "How many arrays does a `Dense` layer have? Does the `return` come after the loop?",
            )
        return {f"weights[{i}]": w for i, w in enumerate(weights)}

    return run


def _to_keras(params):
    return [p for pair in params for p in pair]


to_keras = Exercise(
    "to_keras",
    CHAPTER,
    1,
    "to_keras(params)",
    ("weights",),
    reference=_to_keras,
    make_cases=_networks,
    adapt=_weights,
    properties=(_dtype_kept,),
    may_alias=True,
    formula="`[p for pair in params for p in pair]`",
)


@to_keras.wheat
def with_extend(params):
    weights = []
    for pair in params:
        weights.extend(pair)
    return weights


@to_keras.wheat
def with_copies(params):
    weights = []
    for W, b in params:
        weights += [W.copy(), b.copy()]
    return weights


@to_keras.wheat
def as_a_tuple(params):
    return sum((tuple(pair) for pair in params), ())


@to_keras.wheat
def by_index(params):
    return [params[i // 2][i % 2] for i in range(2 * len(params))]


@to_keras.wheat
def chained(params):
    import itertools

    return list(itertools.chain.from_iterable(params))


@to_keras.wheat
def in_fortran_order(params):
    weights = [None] * (2 * len(params))
    weights[::2] = [np.asfortranarray(W) for W, _ in params]
    weights[1::2] = [np.array(b) for _, b in params]
    return weights


@to_keras.wheat
def as_lists_of_numbers(params):
    return [np.array(p.tolist(), dtype=p.dtype) for W, b in params for p in (W, b)]


for _cause, _text, _hint, _function in (
    ("pairs-kept", "the pairs are kept; `set_weights` takes one flat list.",
     "`append` and `extend` do different things with a pair. Which of them makes a flat list?",
     lambda params: [[W, b] for W, b in params]),
    ("transposed", "the weights are transposed, as PyTorch stores them.",
     "What is the shape of `Dense(4).kernel` for inputs of 3 features?",
     lambda params: [p for W, b in params for p in (W.T, b)]),
    ("reshaped", "the weights have the shape of the transpose, and their entries stay in the order they had.",
     "Does Keras' layout differ from ours at all? Print a shape.",
     lambda params: [p for W, b in params for p in (W.reshape(W.shape[::-1]), b)]),
    ("bias-first", "each layer's bias comes before its weights.",
     "Print `[w.shape for w in model.get_weights()]`: which comes first?",
     lambda params: [p for W, b in params for p in (b, W)]),
    ("weights-then-biases", "all weights come first, then all biases; Keras goes layer by layer.",
     "Print `[w.shape for w in model.get_weights()]`: which comes second?",
     lambda params: [W for W, _ in params] + [b for _, b in params]),
    ("last-layer-first", "the layers come in reverse order.",
     "In which order does data pass through a Sequential?",
     lambda params: [p for pair in reversed(params) for p in pair]),
    ("wrong-count", "the biases are left out.", "How many arrays does a `Dense` layer have?",
     lambda params: [W for W, _ in params]),
    ("wrong-count", "the last layer is left out.", "Over what does your loop run?",
     lambda params: [p for pair in params[:-1] for p in pair]),
    ("bias-as-row", "the biases have become rows, of shape (1, M).",
     "What is the shape of `Dense(4).bias`?",
     lambda params: [p for W, b in params for p in (W, b[None])]),
    ("biases-zero", "the biases are zeros, as in a new layer.",
     "Where do the numbers of `b` go?",
     lambda params: [p for W, b in params for p in (W, np.zeros_like(b))]),
    ("no-list", "all numbers are put into one long array; `set_weights` wants one array for each variable.",
     "Print `[w.shape for w in model.get_weights()]` of a small model.",
     lambda params: np.concatenate([p.ravel() for pair in params for p in pair])),
    ("no-list", "this is a dict of names, as PyTorch has it; Keras' weights have places, not names.",
     "Of which type is `model.get_weights()`?",
     lambda params: {f"{i}.{k}": p for i, pair in enumerate(params) for k, p in enumerate(pair)}),
    ("dtype-changed", "all arrays are made float32.",
     "What would a model in float64 lose by it?",
     lambda params: [p.astype("float16" if p.dtype == "float32" else "float32") for pair in params for p in pair]),
):  # fmt: skip
    to_keras.chaff(_cause, _text, _hint)(_function)


@to_keras.chaff(
    "wrong-count",
    "the function returns in the first round of its loop.",
    "How far is the `return` indented?",
)
def returns_in_the_loop(params):
    weights = []
    for pair in params:
        weights += pair
        return weights


@to_keras.chaff(
    "argument-changed",
    "the list `params` itself is used up; it belongs to the caller.",
    "Which methods of a list change it, and which only read it?",
)
def pops(params):
    weights = []
    while params:
        weights += params.pop(0)
    return weights


# max_gap
#
# The cases hold two nested sets of arrays; what the function gets is made of them: arrays, tensors of either
# framework. An answer is one number: the gap; or one of the two below, which are no gaps.

NOT_FINITE = -1.0
REFUSED = -2.0


@dataclass(frozen=True)
class Nested:
    """One side of a comparison: the arrays, and of which library the leaves are that the function gets."""

    value: Any
    library: str = "numpy"

    def made(self) -> Any:
        """What the function gets: new arrays or tensors every time."""
        return _mapped(self.value, _MAKERS[self.library])


def _mapped(value: Any, make: Callable) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, make) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, make) for item in value)
    return make(value)


def _in_torch(a: np.ndarray, learnt: bool = False) -> Any:
    import torch

    return torch.tensor(a, requires_grad=learnt)


def _in_tensorflow(a: np.ndarray, learnt: bool = False) -> Any:
    import tensorflow as tf

    return tf.Variable(a) if learnt else tf.constant(a)


_MAKERS = {
    "numpy": copy.copy,
    "PyTorch": _in_torch,
    "PyTorch, learnt": lambda a: _in_torch(a, learnt=True),
    "TensorFlow": _in_tensorflow,
    "TensorFlow, learnt": lambda a: _in_tensorflow(a, learnt=True),
}


def _measured(f: Callable) -> Callable:
    """The function's answer as one number."""
    if not {"tensorflow", "torch"} <= sys.modules.keys():  # now, not while the function's time is running
        with quietly():
            import tensorflow  # noqa: F401
            import torch  # noqa: F401

    def run(a: Nested, b: Nested) -> np.ndarray:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():  # nan, inf and 0/0 are in the pairs on purpose
                warnings.simplefilter("ignore", DeprecationWarning)
                gap = f(a.made(), b.made())
        except ValueError:
            return np.array(REFUSED)
        if isinstance(gap, np.ndarray | np.number) and gap.ndim == 0:
            gap = gap[()]
        if isinstance(gap, bool | np.bool_) or not isinstance(gap, int | float | np.number):
            raise _no_gap(gap)
        return np.array(float(gap) if math.isfinite(gap) else NOT_FINITE)

    return run


def _no_gap(answer: Any) -> WrongStructure:
    if answer is None:
        step = "Is there a `return` on every path: for dicts, for lists, for arrays?"
        return WrongStructure("returned-none", "Your function returned `None`.", step)
    if isinstance(answer, bool | np.bool_):
        what = f"Your function returned `{answer}`; it should say how large the gap is."
        return WrongStructure("verdict-returned", what, "A verdict needs a tolerance. Who should choose it?")
    if type(answer).__module__.partition(".")[0] in ("torch", "tensorflow"):
        what = f"Your function returned a tensor, {_kind(answer)}; the contract asks for a float."
        return WrongStructure("tensor", what, "How does one get the number out of a tensor?")
    if isinstance(answer, list | tuple | dict | np.ndarray):
        what = f"Your function returned {_kind(answer)}; it should give one number."
        return WrongStructure("several-gaps", what, "Which of several gaps answers the question?")
    return WrongStructure("wrong-type", f"Your function returned {_kind(answer)}; it should give a float.")


def _near(rng: np.random.Generator, a: np.ndarray, gap: float, at: int = 0) -> np.ndarray:
    """A copy of which one entry is off by this share of the largest one; it does not become the largest itself."""
    b, largest = a.copy(), np.abs(a).max()
    b.flat[at] -= np.sign(a.flat[at]) * gap * largest
    return b


@dataclass(frozen=True)
class Pair(Case):
    """Two sets to compare; ``kind`` is the idea that it takes to be right about them."""

    kind: str = "values"


# Ideas that earn their points together.
_GROUPS = {
    "nan": "not finite",
    "inf": "not finite",
    "lengths": "structures",
    "keys": "structures",
    "kinds": "structures",
    "order": "layout",
    "sequences": "layout",
    "empty": "layout",
    "tensors": "leaves",
    "numbers": "leaves",
}


def _pairs(rng: np.random.Generator) -> list[Case]:
    """Pairs whose gap is known by the way they are made, and pairs that can't be compared."""

    def layers(*sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(moderate(rng, D, M), moderate(rng, M)) for D, M in pairwise(sizes)]

    def off(arrays: list, gaps: list[float], sign: int = 1) -> list:
        """The arrays, each with all its entries off, one of them by the share given and the others by less."""
        return [a * (1 + sign * gap * rng.uniform(0.5, 1.0, a.shape)) for a, gap in zip(arrays, gaps, strict=True)]

    def case(name: str, a: Any, b: Any, kind: str = "values", libraries: tuple[str, str] = ("numpy", "numpy")) -> Case:
        args = Nested(a, libraries[0]), Nested(b, libraries[1])
        return Pair(name, args, group=_GROUPS.get(kind, kind), kind=kind)

    def small() -> float:
        return float(10 ** rng.uniform(-5, -2))

    def instead(a: np.ndarray, value: float) -> np.ndarray:
        """A copy with that value in one place."""
        return np.where(np.arange(a.size).reshape(a.shape) == rng.integers(a.size), value, a)

    x, y, z, w = moderate(rng, 5), moderate(rng, 2, 3), moderate(rng, 7), moderate(rng, 3, 2)
    low, high = np.sort(rng.choice(np.arange(3, 10), 2, replace=False)) / 10
    two = np.array([low, -high])
    bulk = np.append(moderate(rng, 6), 50 * moderate(rng, 1))
    pairs, other = layers(3, 5, 2), layers(3, 5, 2)
    named = {"W1": moderate(rng, 3, 5), "b1": moderate(rng, 5), "W2": moderate(rng, 5, 2), "b2": moderate(rng, 2)}
    moved = dict(zip(named, off([*named.values()], [small(), 0.003, 0.04, small()]), strict=True))
    deep = {"layers": pairs, "norm": {"gamma": moderate(rng, 5), "beta": moderate(rng, 5)}}
    beta = _near(rng, deep["norm"]["beta"], 0.2)
    negative = -np.abs(moderate(rng, 5)) * 3
    negative[0] = 0.5
    with_nan, with_inf = instead(x, np.nan), instead(x, np.inf)

    tiny = 1e-13 * np.append(moderate(rng, 4), -2.0)
    mixed = [(x, y), (moderate(rng, 2, 5), tiny), (z, w)]
    moved_a_little = [tuple(off([W, b], [0.01, 0.02])) for W, b in mixed]
    moved_a_little[1] = (moved_a_little[1][0], tiny + 0.3 * np.eye(5)[rng.integers(4)] * np.abs(tiny).max())

    values = [
        case("gaps in many places", mixed, moved_a_little),
        case("two networks that have nothing in common", pairs, [(3 * W, b) for W, b in other]),
        case("two numbers each", np.array([high, -low]), np.array([high, low])),
        case("two numbers each, the second set larger", two, 2 * two),
        case("two numbers each, the first set larger", 2 * two, np.array([2 * low, -high])),
        case("two arrays", x, off([x], [0.01])[0]),
        case("a list of pairs (W, b)", pairs, [tuple(off([*pair], [small(), 0.05])) for pair in pairs]),
        case("a dict of arrays", named, moved),
        case("dicts with lists and dicts in them", deep, deep | {"norm": deep["norm"] | {"beta": beta}}),
        case("the worst array comes first", [x, y, z], off([x, y, z], [0.3, 0.02, 0.001])),
        case("the worst array in the middle", [x, y, z], off([x, y, z], [0.01, 0.2, 0.001])),
        case("the worst array comes last", [x, y, z], off([x, y, z], [0.01, 0.002, 0.1])),
        case("the first set is larger", [x, y], [x / 3, y / 5]),
        case("the second set is larger", [x, y], [3 * x, 7 * y]),
        case("opposite signs", [x, y], [-x, y]),
        case("the largest number is negative", negative, _near(rng, negative, 0.07)),
        case("one entry far larger than the others", bulk, _near(rng, bulk, 0.01)),
        case("sizes 1e-9 and 1e9", [1e-9 * x, 1e9 * y], [*off([1e-9 * x], [0.05]), *off([1e9 * y], [0.001])]),
        case("size 1e-30", 1e-30 * x, off([1e-30 * x], [0.2])[0]),
        case("equal sets", pairs, pairs),
    ]
    zeros = [
        case("zeros in both, beside others", [np.zeros(3), two], [np.zeros(3), *off([two], [0.1])], "zeros"),
        case("nothing but zeros", {"W": np.zeros((2, 3))}, {"W": np.zeros((2, 3))}, "zeros"),
        case("zeros in the first set only", [np.zeros(2), two], [1e-7 * two, two], "zeros"),
        case("zeros in the second set only", [two, 1e-7 * two], [two, np.zeros(2)], "zeros"),
    ]
    layout = [
        case("dicts in another order", {"b": two, "W": 3 * two}, {"W": 3 * two, "b": 2 * two}, "order"),
        case("a list of tuples, a tuple of lists", pairs, tuple(list(pair) for pair in other), "sequences"),
        case("an empty list inside each", [two, []], [np.array([low, high]), []], "empty"),
        case("an empty dict inside each", {"a": {}, "b": two}, {"a": {}, "b": np.array([low, high])}, "empty"),
    ]
    nans = [
        case("nan, then ordinary gaps", [with_nan, y], [1.5 * x, 1.1 * y], "nan"),
        case("nan after ordinary gaps", [x, y, z], [1.1 * x, y, instead(z, np.nan)], "nan"),
        case("nan in the same place", [y, with_nan], [1.1 * y, with_nan], "nan"),
        case("nan beside zeros", [two, np.zeros(2)], [2 * two, np.array([0.0, np.nan])], "nan"),
        case("inf in one, then ordinary gaps", [1.5 * x, y], [with_inf, 1.1 * y], "inf"),
        case("inf after ordinary gaps", [x, y, instead(z, np.inf)], [1.1 * x, y, z], "inf"),
        case("inf in both, in the same place", [y, with_inf], [1.1 * y, with_inf], "inf"),
        case("−inf beside zeros", [two, np.array([0.0, -np.inf])], [2 * two, np.zeros(2)], "inf"),
    ]
    shapes = [
        case("shapes (3,) and (3, 1)", [w[:, 0]], [w[:, :1].copy()], "shapes"),
        case("shapes (2, 3) and (3, 2)", [y, z], [y.reshape(3, 2), z], "shapes"),
        case("shapes (2,) and ()", [two], [two[0]], "shapes"),
    ]
    structures = [
        case("the first list is longer", [*pairs, (y, z)], pairs, "lengths"),
        case("the second tuple is longer", [(two, two)], [(two, two, two)], "lengths"),
        case("a key is missing in the second dict", named, {k: named[k] for k in ("W1", "b1", "W2")}, "keys"),
        case("a key is missing in the first dict", {"b": two}, {"W": y, "b": two}, "keys"),
        case("a pair where the other has an array", [(two, two)], [np.stack([two, two])], "kinds"),
        case("a dict where the other has a list", {"W": two, "b": two}, [two, two], "kinds"),
        case("an array where the other has a pair", [np.stack([two, two])], [(two, two)], "kinds"),
        case("a list where the other has a dict", [two, two], {"W": two, "b": two}, "kinds"),
    ]
    leaves = [
        case("arrays and tensors of PyTorch", pairs, other, "tensors", ("numpy", "PyTorch")),
        case("arrays and parameters of PyTorch", named, moved, "tensors", ("numpy", "PyTorch, learnt")),
        case("tensors of TensorFlow and arrays", pairs, other, "tensors", ("TensorFlow", "numpy")),
        case("PyTorch and variables of TensorFlow", named, moved, "tensors", ("PyTorch", "TensorFlow, learnt")),
        case("numbers", [2.0, 0.5], [2.5, 0.5], "numbers"),
    ]
    return [*values[:2], *nans, *shapes, *structures, *leaves, *values[2:], *layout, *zeros]  # mistakes soon differ


def _leaves_alone(f: Callable, seed: int) -> Finding | None:
    """Whether the arrays that are compared stay as they are."""
    rng = np.random.default_rng(seed)
    a = [(normal(rng, 3, 2), normal(rng, 2)), (normal(rng, 2, 5), normal(rng, 5))]
    b = copy.deepcopy(a[::-1]), copy.deepcopy(a)
    gradients, others = copy.deepcopy(a), copy.deepcopy(b[1])
    others[0][0][0, 0] += 1.0
    kept = copy.deepcopy([gradients, others])
    call(f, (gradients, others))
    if [np.array(p).tobytes() for p in _flat([gradients, others])] == [p.tobytes() for p in _flat(kept)]:
        return None
    return Finding(
        "Your function changed what it was to compare.",
        "argument-changed",
        "an operation in place (`-=`, `/=`, `pop`) on arrays or lists that belong to the caller.",
        "Make new arrays (`d = p - q`); after a measurement, all must be as it was before.",
    )


def _flat(value: Any) -> list:
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, tuple | list) else [value]


# What is said of a wrong answer: about which pairs it is wrong, one of them with its numbers, and what explains it.

_KINDS = {
    "values": "of ordinary numbers",
    "nan": "with nan",
    "inf": "with inf",
    "zeros": "with zeros",
    "shapes": "of different shapes",
    "lengths": "of different lengths",
    "keys": "with different keys",
    "kinds": "of different structure",
    "order": "with dicts in another order",
    "sequences": "of lists beside tuples",
    "empty": "with something empty",
    "tensors": "with tensors",
    "numbers": "of single numbers",
}

# Why an answer is wrong about the pairs of one kind: slug, words, next step.
_BY_KIND = {
    "nan": (
        "nan-lost",
        "a nan does not reach the result: it is skipped, or loses a comparison on its way.",
        "What are `max(0.3, np.nan)` and `max(np.nan, 0.3)` in Python, and what is `np.max([0.3, np.nan])`?",
    ),
    "inf": (
        "inf-lost",
        "an infinite number does not show in the result: it is replaced or left out, or the nan that `inf / inf` gives "
        "loses a comparison on its way.",
        "What are `np.inf - np.inf` and `np.inf / np.inf`, and what becomes of them in your lines?",
    ),
    "shapes": (
        "shapes-not-compared",
        "arrays of different shapes are compared all the same: broadcast, flattened, or cut.",
        "What is the shape of `np.ones(3) - np.ones((3, 1))`?",
    ),
    "lengths": (
        "structures-not-compared",
        "where one list is longer than the other, it goes unnoticed, or fails in its own way.",
        "What does `zip` do with lists of different lengths?",
    ),
    "keys": (
        "structures-not-compared",
        "where one dict has a key that the other has not, it goes unnoticed, or fails in its own way.",
        "Whose keys does your code look at: those of `a`, of `b`, or both?",
    ),
    "kinds": (
        "kinds-not-compared",
        "where one side has a list or a dict and the other has something else, it goes unnoticed, or fails in its own "
        "way.",
        "Which types does your code ask for: that of `a`, that of `b`, or both? What if only one of them is a list?",
    ),
    "order": (
        "order-of-keys",
        "two dicts whose keys come in another order are refused, or their values are paired as they come.",
        "Are `{'W': 1, 'b': 2}` and `{'b': 2, 'W': 1}` equal?",
    ),
    "sequences": (
        "lists-apart-from-tuples",
        "a list beside a tuple is refused; the contract lets them stand together.",
        "What does `type(a) == type(b)` say of `[1]` and `(1,)`?",
    ),
    "empty": (
        "empty-refused",
        "an empty list or dict has no largest gap, and the contract gives it the gap 0.",
        "What does your code do with a list of no gaps? Look up `initial` of `np.max`, or `default` of `max`.",
    ),
    "tensors": (
        "tensors-not-read",
        "arrays are compared well; tensors of a framework are not.",
        "`np.asarray` reads most tensors. Which ones of PyTorch does it refuse, and what does the error advise?",
    ),
    "numbers": (
        "numbers-not-read",
        "arrays are compared well; a number that stands alone is not read: a float has no `shape` and no `max`.",
        "What is `np.asarray(2.5).shape`?",
    ),
    "zeros": (
        "zero-over-zero",
        "zeros are not handled: 0/0 is nan, and a gap beside zeros is a gap.",
        "By what do you divide if all numbers of one array are 0? And if those of both are?",
    ),
}

Told = tuple[str, str, str]  # slug, words, next step
_SWAP = "What do you get for `max_gap(a, b)` and `max_gap(b, a)`?"

# Other ways to measure two arrays: what is taken of the difference, and by what it is divided.
_DIFFERENCES: list[tuple[Callable, Told]] = [
    (lambda d, p, q: np.abs(d).max(), ("", "", "")),
    (lambda d, p, q: d.max(), (
        "no-absolute-value", "the difference keeps its sign: where the second set is larger, nothing is found",
        "Is −5 a small difference?")),
    (lambda d, p, q: abs(d.max()), (
        "absolute-value-too-late", "the absolute value is taken of the largest difference: large negative ones are "
        "lost before", "Differences −5 and 1: which is the largest, and which the largest in size?")),
    (lambda d, p, q: np.linalg.norm(d), (
        "lengths-compared", "the norm of the difference is taken: it adds up all entries, and the largest one is asked "
        "for", "Differences 3 and 4: what is their norm, and which is the largest?")),
    (lambda d, p, q: np.abs(d).mean(), (
        "errors-averaged", "the differences within an array are averaged: one that is large drowns",
        "One entry of a thousand is off by 5 %. What is the mean difference?")),
    (lambda d, p, q: np.sqrt(np.mean(d**2)), (
        "errors-averaged", "the root of the mean square difference is taken: one that is large drowns",
        "One entry of a thousand is off by 5 %. What does a mean make of it?")),
    (lambda d, p, q: np.abs(d).sum(), (
        "errors-added", "the differences within an array are added up; the largest one is asked for",
        "Differences 3 and 4: what is their sum, and which is the largest?")),
    (lambda d, p, q: np.abs(np.abs(p) - np.abs(q)).max(), (
        "sign-lost", "sizes are compared: a number and its negative count as equal",
        "Of what do you take the absolute value: of each number, or of their difference?")),
]  # fmt: skip
_SIGNED = "What is the largest number of −3, −2 and 0.5, and what is the largest in size?"
_SCALES: list[tuple[Callable, Told]] = [
    (lambda p, q: np.maximum(np.abs(p).max(), np.abs(q).max()), ("", "", "")),
    (lambda p, q: np.abs(p).max(), (
        "relative-to-the-first", "differences are relative to the first set alone: swap the sets, and the gap changes",
        _SWAP)),
    (lambda p, q: np.abs(q).max(), (
        "relative-to-the-second", "differences are relative to the second set alone: swap the sets, and the gap "
        "changes", _SWAP)),
    (lambda p, q: np.maximum(p.max(), q.max()), (
        "scale-without-absolute-value", "the scale is the largest number, not the largest in size: negative ones do "
        "not count", _SIGNED)),
    (lambda p, q: p.max(), (
        "scale-without-absolute-value", "the scale is the largest number of the first set alone, and not the largest "
        "in size", _SIGNED)),
    (lambda p, q: q.max(), (
        "scale-without-absolute-value", "the scale is the largest number of the second set alone, and not the largest "
        "in size", _SIGNED)),
    (lambda p, q: 1.0, (
        "not-relative", "the gap is absolute: it knows nothing of the sizes of the numbers",
        "Is a difference of 1e-6 small? Beside 1e6, and beside 1e-6?")),
    (lambda p, q: np.abs(p).max() + np.abs(q).max(), (
        "sum-as-scale", "the scale is the sum of both largest numbers: the gap comes out about half",
        "Twice as large on one side: how large is the gap by the contract?")),
    (lambda p, q: (np.abs(p).max() + np.abs(q).max()) / 2, (
        "mean-as-scale", "the scale is the mean of the two largest numbers, not the larger one",
        "Twice as large on one side: how large is the gap by the contract?")),
    (lambda p, q: np.sqrt(np.abs(p).max() * np.abs(q).max()), (
        "mean-as-scale", "the scale is a mean of the two largest numbers, the root of their product",
        "Twice as large on one side: how large is the gap by the contract?")),
    (lambda p, q: np.minimum(np.abs(p).max(), np.abs(q).max()), (
        "smaller-as-scale", "the scale is the smaller one of the two largest numbers",
        "If one array is zeros, what do you divide by?")),
    (lambda p, q: np.maximum(np.abs(p).mean(), np.abs(q).mean()), (
        "mean-as-scale", "the scale is the mean size of the numbers, not the largest",
        "Which word does the contract use for the scale?")),
    (lambda p, q: np.maximum(np.linalg.norm(p), np.linalg.norm(q)), (
        "lengths-compared", "the scale is a norm, which adds up all entries",
        "Numbers 3 and 4: what is their norm, and which is the largest?")),
    (lambda p, q: np.linalg.norm(p), (
        "lengths-compared", "the scale is the norm of the first set alone; the largest number of both is asked for",
        _SWAP)),
    (lambda p, q: np.linalg.norm(q), (
        "lengths-compared", "the scale is the norm of the second set alone; the largest number of both is asked for",
        _SWAP)),
    (lambda p, q: np.linalg.norm(p) + np.linalg.norm(q), (
        "lengths-compared", "the scale is the sum of two norms; the largest number of both is asked for",
        "Numbers 3 and 4: what is their norm, and which is the largest?")),
]  # fmt: skip
_JOINED: list[tuple[Callable, Told]] = [
    (np.max, ("", "", "")),
    (lambda gaps: np.max([0.0, *gaps]), ("", "", "")),
    (lambda gaps: gaps[-1], (
        "last-array-only", "only the last array counts", "Follow the gap of the first array through your lines.")),
    (lambda gaps: gaps[0], (
        "first-array-only", "only the first array counts", "How far is your `return` indented?")),
    (lambda gaps: sum(gaps) / len(gaps), (
        "gaps-averaged", "the gaps of the arrays are averaged: one that is wrong hides among many that are right",
        "Ten arrays agree, one does not. What should the answer be?")),
    (sum, ("gaps-added", "the gaps of the arrays are added up", "How do you get the largest of several numbers?")),
]  # fmt: skip
_ADDED: list[tuple[float, Told]] = [(0.0, ("", "", ""))] + [
    (constant, (
        "constant-in-the-scale", f"{constant:g} is added to the scale, which hides gaps between small numbers",
        "Two gradients of size 1e-30, one twice the other: what is their gap?"))
    for constant in (1e-16, 1e-15, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6)
]  # fmt: skip


def _leaf_gap(p: Any, q: Any, difference: Callable, scale: Callable, added: float) -> float:
    p, q = np.asarray(p, float), np.asarray(q, float)
    taken, by = float(difference(p - q, p, q)), float(scale(p, q)) + added
    return taken / by if by else math.nan if taken else 0.0


def _gap_by(a: Any, b: Any, difference: Callable, scale: Callable, join: Callable, added: float) -> float:
    """The gap of two sets of equal structure, measured otherwise."""
    if not isinstance(a, dict | list | tuple):
        return _leaf_gap(a, b, difference, scale, added)
    both = [(a[key], b[key]) for key in a] if isinstance(a, dict) else list(zip(a, b, strict=True))
    return float(join([_gap_by(p, q, difference, scale, join, added) for p, q in both] or [0.0]))


def _close(a: float, b: float, rtol: float = 1e-9) -> bool:
    return math.isclose(a, b, rel_tol=rtol, abs_tol=1e-300) or (math.isnan(a) and b == NOT_FINITE)


@dataclass(frozen=True)
class _Row:
    """What the learner's function makes of one pair: a number, or the error that it raised."""

    case: Pair
    right: float
    yours: float | None
    error: BaseException | None

    @property
    def values(self) -> tuple[Any, Any]:
        a, b = (side.value for side in self.case.args)
        return a, b

    @property
    def wrong(self) -> bool:
        return self.yours is None or not _close(self.yours, self.right)

    def predicted(self, rule: tuple) -> bool:
        """Whether a way to measure gives what the function gave."""
        if self.yours is None or self.right == REFUSED:
            return False
        with np.errstate(all="ignore"):
            return _close(_gap_by(*self.values, *rule), self.yours)

    @property
    def in_words(self) -> tuple[str, str]:
        """What the gap should be and what the function gave, with digits enough to tell them apart."""
        for digits in (4, 8, 12, 17):
            right, yours = (_in_words(number, digits) for number in (self.right, self.yours))
            if right != yours:
                break
        return right, yours if self.error is None else f"`{type(self.error).__name__}`"


def _in_words(number: float | None, digits: int = 4) -> str:
    if number is None:
        return "no answer"
    return {NOT_FINITE: "nan or inf", REFUSED: "`ValueError`"}.get(number, f"{number:.{digits}g}")


def _judged(f: Callable, case: Pair) -> _Row:
    raised: list[BaseException] = []

    def noted(a: Any, b: Any) -> Any:
        try:
            return f(a, b)
        except Exception as error:
            raised.append(error)
            raise

    outcome = call(max_gap.adapted(noted), copy.deepcopy(case.args))
    yours = None if outcome.error is not None else float(outcome.value)
    return _Row(case, float(max_gap.right(case.args)), yours, raised[0] if raised else None)


def _measured_otherwise(rows: list[_Row]) -> tuple[tuple | None, Told] | None:
    """A way to measure that gives all of the learner's answers to ordinary pairs, in words."""
    told = [row for row in rows if row.case.kind == "values" and row.yours is not None]
    alone = [row for row in told if isinstance(row.case.args[0].value, np.ndarray) and row.case.name != "size 1e-30"]
    if not any(row.wrong for row in told) or len(alone) < 4:
        return None
    with np.errstate(all="ignore"):
        fitting = [
            (difference, scale)
            for difference, scale in itertools.product(_DIFFERENCES, _SCALES)
            if all(_close(_leaf_gap(*row.values, difference[0], scale[0], 0.0), row.yours, 1e-4) for row in alone)
        ]
        for (difference, scale), added, join in itertools.product(fitting, _ADDED, _JOINED):
            rule = difference[0], scale[0], join[0], added[0]
            if all(row.predicted(rule) for row in told):
                parts = [part[1] for part in (difference, scale, join, added) if part[1][0]]
                words = "; and ".join(part[1] for part in parts)
                return rule, (parts[0][0], f"{words}.", parts[0][2])
    factors = [row.yours / row.right for row in told if row.right > 0]
    if np.ptp(factors) < 1e-9 * abs(factors[0]):
        return None, ("constant-factor", f"every gap is {factors[0]:.4g} × what it should be.", _CONSTANT)
    return None


_CONSTANT = "Which number in your code has no place in the contract?"


def _failing(rows: list[_Row]) -> Told | None:
    """Why the function raises where there is a gap: it meets lists or dicts with what only arrays can do."""
    said = " ".join(str(row.error) for row in rows if row.error is not None)
    if "inhomogeneous" in said:
        return (
            "nested-not-walked",
            "NumPy is asked to make one array of a nested list; its arrays have several shapes, and do not fit into "
            "one.",
            "What should your function do with two lists, before any arithmetic? A function may call itself.",
        )
    if any(f"'{kind}'" in said for kind in ("dict", "list", "tuple")):
        return (
            "nested-not-walked",
            "a list, a tuple or a dict gets into a line that can do with arrays only.",
            "What should your function do with two dicts, before any arithmetic, and what with two lists? A function "
            "may call itself.",
        )
    return None


def _reasons(findings: list[Finding], rows: list[_Row]) -> list[Told]:
    """What explains the wrong answers, the likeliest first: a known mistake, a way to measure, then kind by kind."""
    wrong = [row for row in rows if row.wrong]
    known = {chaff.misconception: chaff for chaff in max_gap.chaffs}
    named = next((finding for finding in findings if finding.likely in known), None)
    if named is not None:
        raised = [row for row in wrong if row.yours is None] if named is not findings[0] else []
        return [(named.cause, named.likely, named.next_step), *_kind_by_kind(raised)]
    found = _measured_otherwise(rows)
    if found is None:
        return _kind_by_kind(wrong)
    rule, told = found
    if rule is None:
        return [told]
    elsewhere = [row for row in wrong if row.case.kind not in ("values", "zeros") and not row.predicted(rule)]
    return [told, *_kind_by_kind(elsewhere)]


def _kind_by_kind(rows: list[_Row]) -> list[Told]:
    by_kind: dict[str, list[_Row]] = {}
    for row in rows:
        by_kind.setdefault(row.case.kind, []).append(row)
    reasons = []
    if ordinary := by_kind.pop("values", []):
        if (told := _failing(ordinary)) is None:
            return []  # the other kinds may be wrong for the same reason, whatever it is
        return [told]
    for kind, some in by_kind.items():
        cause, words, step = _BY_KIND[kind]
        errors = {type(row.error).__name__ for row in some if row.yours is None}
        if (
            kind in ("shapes", "lengths", "keys", "kinds")
            and len(errors) == 1
            and all(row.yours is None for row in some)
        ):
            words = f"{words.rstrip('.')}: with `{errors.pop()}`, where the contract asks for a `ValueError`."
            words = words.replace("it goes unnoticed, or fails", "the function fails")
        reasons.append((cause, words, step))
    return reasons


def _written(value: Any) -> str:
    """A nested set as one would type it, with few digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_written, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, float):
        return f"{value + 0.0:.4g}"
    text = np.array2string(value, separator=", ", formatter={"float_kind": lambda number: f"{number + 0.0:.4g}"})
    return f"array({' '.join(text.split())})"


def _small_example(rows: list[_Row]) -> str:
    """The smallest of some pairs, with its numbers and both gaps; nothing where even that is large."""
    plain = [row for row in rows if all(side.library == "numpy" for side in row.case.args)]
    written = [([_written(side.value) for side in row.case.args], row) for row in plain]
    (a, b), row = min(written, key=lambda pair: sum(map(len, pair[0])), default=(("", ""), None))
    if row is None or len(a) + len(b) > 160:
        return ""
    right, yours = row.in_words
    expected = f"it should raise {right}" if row.right == REFUSED else f"the gap should be {right}"
    got = f"raised {yours}" if row.error is not None else f"gave {yours}"
    return f"A small one, “{row.case.name}”: of `{a}` and `{b}` {expected}; your function {got}."


_BY_HAND = "Compute that gap by hand, then follow the numbers through your lines: where do the two part?"


def _table(rows: list[_Row]) -> tuple[tuple[str, ...], ...]:
    """One pair of every kind first, then others, eight at most."""
    seen = Counter()
    order = []
    for row in rows:
        order.append((seen[row.case.kind], len(order)))
        seen[row.case.kind] += 1
    chosen = [rows[i] for _, i in sorted(order)[:8]]
    return ("pair", "should be", "yours"), *((row.case.name, *row.in_words) for row in chosen)


def _told(f: Callable, cases: list[Case], findings: list[Finding]) -> list[Finding]:
    """The pairs that the learner's function is wrong about, as a table, and why it is."""
    first = findings[0]
    if not (max_gap.speaks_of_values(first) or "your function raised" in first.what):
        return findings
    rows = [_judged(f, case) for case in cases]
    wrong = [row for row in rows if row.wrong]
    if not wrong:
        return findings
    reasons = _reasons(findings, rows)
    explained = next((row for row in wrong if reasons and _BY_KIND.get(row.case.kind, [""])[0] == reasons[0][0]), None)
    like = [row for row in wrong if explained is not None and row.case.kind == explained.case.kind]
    example = _small_example(like or [row for row in wrong if row.case.kind == "values"] or wrong)
    cause, likely, step = reasons[0] if reasons else (None, "", _BY_HAND)
    if len(reasons) > 1:
        likely = f"{likely} Besides, {reasons[1][1]}"
    if len(reasons) > 2:
        likely += " There is more; mend this first."
    what = f"Your function is wrong about {len(wrong)} of {len(cases)} pairs. {example}".strip()
    told = Finding(what, cause, likely, step, table=_table(wrong))
    others = [
        finding
        for finding in findings[1:]
        if not (max_gap.speaks_of_values(finding) or "your function raised" in finding.what)
    ]
    return [told, *others]


class _OfPairs(InWords):
    """It says how many pairs there are of each kind, not the names of all."""

    def check(self, f: Callable, seed: int) -> Score:
        score = super().check(f, seed)
        if not score.summary:
            return score
        counts = Counter(case.kind for case in self.make_cases(np.random.default_rng(seed)))
        listed = ", ".join(f"{counts[kind]} {words}" for kind, words in _KINDS.items())
        return replace(score, summary=f"{counts.total()} pairs, seed {seed}: {listed}.")


max_gap = _OfPairs(
    "max_gap",
    CHAPTER,
    3,
    "max_gap(a, b)",
    ("gap",),
    reference=None,
    make_cases=_pairs,
    oracle=lambda gap, *pair: max_gap.right(pair),
    adapt=_measured,
    properties=(_leaves_alone,),
    explain=lambda f: Finding("`gap` is not right.", "misjudged"),  # told at length above
    retell=_told,
    formula="two dicts: `np.max([max_gap(a[key], b[key]) for key in a], initial=0.0)` if they have the same keys; two "
    "lists or tuples: the same over `zip(a, b, strict=True)`; two arrays of one shape: "
    "`np.max(np.abs(p - q)) / np.max(np.abs([p, q]))`, and 0 for zeros; all else: `raise ValueError`",
    answers=ANSWERS,
)


EXERCISES = [to_torch, to_keras, max_gap]
