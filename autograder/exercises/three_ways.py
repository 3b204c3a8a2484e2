"""Chapter 11: weights between three libraries, and how far two sets of gradients are apart.

What needs a framework to be said: `three_ways_answers.py`.
"""

import copy
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
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


to_torch = Exercise(
    "to_torch",
    CHAPTER,
    1,
    "to_torch(params)",
    ("state",),
    reference=None,
    make_cases=_networks,
    adapt=_state,
    properties=(_dtype_kept,),
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


def _pairs(rng: np.random.Generator) -> list[Case]:
    """Pairs whose gap is known by the way they are made, and pairs that can't be compared."""

    def layers(*sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(moderate(rng, D, M), moderate(rng, M)) for D, M in pairwise(sizes)]

    def off(arrays: list, gaps: list[float], sign: int = 1) -> list:
        """The arrays, each with all its entries off, one of them by the share given and the others by less."""
        return [a * (1 + sign * gap * rng.uniform(0.5, 1.0, a.shape)) for a, gap in zip(arrays, gaps, strict=True)]

    def case(name: str, a: Any, b: Any, group: str = "values", libraries: tuple[str, str] = ("numpy", "numpy")) -> Case:
        return Case(name, (Nested(a, libraries[0]), Nested(b, libraries[1])), group=group)

    def small() -> float:
        return float(10 ** rng.uniform(-5, -2))

    x, y, z, w = moderate(rng, 5), moderate(rng, 2, 3), moderate(rng, 7), moderate(rng, 3, 2)
    bulk = np.append(moderate(rng, 6), 50 * moderate(rng, 1))
    pairs, other = layers(3, 5, 2), layers(3, 5, 2)
    named = {"W1": moderate(rng, 3, 5), "b1": moderate(rng, 5), "W2": moderate(rng, 5, 2), "b2": moderate(rng, 2)}
    moved = dict(zip(named, off([*named.values()], [small(), 0.003, 0.04, small()]), strict=True))
    deep = {"layers": pairs, "norm": {"gamma": moderate(rng, 5), "beta": moderate(rng, 5)}}
    beta = _near(rng, deep["norm"]["beta"], 0.2)
    negative = -np.abs(moderate(rng, 5)) * 3
    negative[0] = 0.5
    with_nan = np.where(np.arange(5) == rng.integers(5), np.nan, x)

    tiny = 1e-13 * np.append(moderate(rng, 4), -2.0)
    mixed = [(x, y), (moderate(rng, 2, 5), tiny), (z, w)]
    moved_a_little = [off([W, b], [0.01, 0.02]) for W, b in mixed]
    moved_a_little[1][1] = tiny + 0.3 * np.eye(5)[rng.integers(4)] * np.abs(tiny).max()

    values = [
        case("gaps in many places", mixed, moved_a_little),
        case("two networks that have nothing in common", pairs, [(3 * W, b) for W, b in other]),
        case("two arrays", x, off([x], [0.01])[0]),
        case("a list of pairs (W, b)", pairs, [tuple(off([*pair], [small(), 0.05])) for pair in pairs]),
        case("a dict of arrays", named, moved),
        case("dicts in another order", {"gamma": x, "beta": tiny}, {"beta": tiny, "gamma": off([x], [0.1])[0]}),
        case("dicts with lists and dicts in them", deep, deep | {"norm": deep["norm"] | {"beta": beta}}),
        case("a list of tuples, a tuple of lists", pairs, tuple(list(pair) for pair in other)),
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
        case("numbers", [2.0, 0.5], [2.5, 0.5]),
        case("zeros in both, beside others", [np.zeros(3), w], [np.zeros(3), *off([w], [0.1])], "zeros"),
        case("nothing but zeros", {"W": np.zeros((2, 3))}, {"W": np.zeros((2, 3))}, "zeros"),
        case("zeros in the first set only", [np.zeros(5), w], [1e-7 * x, w], "zeros"),
        case("zeros in the second set only", [w, 1e-7 * x], [w, np.zeros(5)], "zeros"),
    ]
    nans = [
        case("nan, then ordinary gaps", [with_nan, y], [1.5 * x, 1.1 * y], "nan"),
        case("nan after ordinary gaps", [x, y, z], [1.1 * x, y, np.where(np.arange(7) == 2, np.nan, z)], "nan"),
        case("nan in the same place", [y, with_nan], [1.1 * y, with_nan], "nan"),
        case("nan beside zeros", [x, np.zeros(5)], [1.1 * x, np.where(np.arange(5) == 3, np.nan, 0.0)], "nan"),
    ]
    shapes = [
        case("shapes (3,) and (3, 1)", [x, w[:, 0]], [x, w[:, :1].copy()], "shapes"),
        case("shapes (2, 3) and (3, 2)", [y, z], [y.reshape(3, 2), z], "shapes"),
        case("shapes (7,) and ()", [z], [z[0]], "shapes"),
    ]
    structures = [
        case("the first list is longer", [*pairs, (y, z)], pairs, "structures"),
        case("the second tuple is longer", [(x, y)], [(x, y, z)], "structures"),
        case("a key is missing in the second dict", named, {k: named[k] for k in ("W1", "b1", "W2")}, "structures"),
        case("a key is missing in the first dict", {k: named[k] for k in ("W1", "b1", "W2")}, named, "structures"),
        case("a pair where the other has an array", [(y, y)], [np.stack([y, y])], "structures"),
        case("a dict where the other has a list", {"W": x, "b": z}, [x, z], "structures"),
        case("an array where the other has a pair", [np.stack([y, y])], [(y, y)], "structures"),
        case("a list where the other has a dict", [x, z], {"W": x, "b": z}, "structures"),
    ]
    tensors = [
        case("arrays and tensors of PyTorch", pairs, other, "tensors", ("numpy", "PyTorch")),
        case("arrays and parameters of PyTorch", named, moved, "tensors", ("numpy", "PyTorch, learnt")),
        case("tensors of TensorFlow and arrays", pairs, other, "tensors", ("TensorFlow", "numpy")),
        case("PyTorch and variables of TensorFlow", named, moved, "tensors", ("PyTorch", "TensorFlow, learnt")),
    ]
    return [*values[:2], *nans, *shapes, *structures, *tensors, *values[2:]]  # so that mistakes soon differ


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


def _in_words(number: float | None) -> str:
    if number is None:
        return "no answer"
    return {NOT_FINITE: "nan or inf", REFUSED: "`ValueError`"}.get(number, f"{number:.4g}")


# If an answer is wrong about nothing but pairs of one group, that says why.
_BY_GROUP = {
    "nan": (
        "nan-lost",
        "a nan does not reach the result: it is skipped, or loses a comparison on its way.",
        "What are `max(0.3, np.nan)` and `max(np.nan, 0.3)` in Python, and what is `np.max([0.3, np.nan])`?",
    ),
    "shapes": (
        "shapes-not-compared",
        "arrays of different shapes are compared all the same: broadcast, flattened, or cut.",
        "What is the shape of `np.ones(3) - np.ones((3, 1))`?",
    ),
    "structures": (
        "structures-not-compared",
        "where one set has less than the other, or other keys, it goes unnoticed, or fails in its own way.",
        "What does `zip` do with lists of different lengths? Which keys do you look at?",
    ),
    "tensors": (
        "tensors-not-read",
        "arrays are compared well; tensors of a framework are not.",
        "`np.asarray` reads most tensors. Which ones of PyTorch does it refuse, and what does the error advise?",
    ),
    "zeros": (
        "zero-over-zero",
        "zeros are not handled: 0/0 is nan, and a gap beside zeros is a gap.",
        "By what do you divide if all numbers of one array are 0? And if those of both are?",
    ),
}


def _told(f: Callable, cases: list[Case], findings: list[Finding]) -> list[Finding]:
    return [_misjudged(f, cases, finding) for finding in findings]


def _misjudged(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """The pairs that the learner's function is wrong about, as a table, and why it is."""
    if finding.cause == "argument-changed" or not max_gap.speaks_of_values(finding):
        return finding
    rows, groups = [], set()
    for case in cases:
        outcome = call(max_gap.adapted(f), copy.deepcopy(case.args))
        yours = None if outcome.error is not None else float(outcome.value)
        right = float(max_gap.right(case.args))
        if yours is None or not math.isclose(yours, right, rel_tol=1e-9, abs_tol=1e-300):
            rows.append((case.name, _in_words(right), _in_words(yours)))
            groups.add(case.group)
    if not rows:
        return finding
    what = f"Your function is wrong about {len(rows)} of {len(cases)} pairs."
    told = replace(finding, what=what, table=(("pair", "should be", "yours"), *rows[:8]))
    if finding.cause != "misjudged":
        return told
    if len(groups) == 1 and (known := _BY_GROUP.get(groups.pop())) is not None:
        return replace(told, cause=known[0], likely=known[1], next_step=known[2])
    step = "Take the first pair of the table, with arrays of two numbers each, and compute the gap by hand."
    return replace(told, cause=None, likely="", next_step=step)


max_gap = InWords(
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
    formula="for a pair of arrays `np.max(np.abs(p - q)) / max(np.abs(p).max(), np.abs(q).max())`, and of all pairs "
    "the `np.max`",
    answers=ANSWERS,
)


EXERCISES = [to_torch, to_keras, max_gap]
