"""Chapter 8: initialisation, batch norm, clipping, dropout and other cures."""

import copy
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.compare import agrees, same
from autograder.checking.derivation import Derivation
from autograder.checking.draw import normal, off_kink
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import Flat, WrongStructure, read
from autograder.checking.words import listing

CHAPTER = "08-misbehaving"


def _sentence(parts: list[str]) -> str:
    return "; ".join(parts) + "."


def _unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """A random basis vector: one entry is 1, all others 0."""
    G = np.zeros(shape)
    G.flat[rng.integers(G.size)] = 1.0
    return G


def _answers(f: Callable, args: tuple, right, names: tuple[str, ...]) -> Flat | None:
    """What ``f`` gives for copies of the arguments, as named arrays; None unless all of it can be read."""
    outcome = call(f, copy.deepcopy(args))
    if outcome.error is not None:
        return None
    try:
        flat, faults = read(outcome.value, right, names)
    except WrongStructure:
        return None
    return None if faults else {name: a.astype(float) for name, a in flat.items()}


def _power_law(values: list[float], features: dict[str, list[float]]) -> tuple[float, dict[str, float]] | None:
    """A constant and half-integer exponents with ``value = constant · Π feature**exponent`` in every observation."""
    v = np.array(values)
    if np.all(np.abs(v) < 1e-9):
        return 0.0, {}
    logs = np.column_stack([np.ones(len(v)), *(np.log(np.abs(column)) for column in features.values())])
    with np.errstate(all="ignore"):
        solution = np.linalg.lstsq(logs, np.log(np.abs(v)), rcond=None)[0]
        exponents = np.round(2 * solution[1:]) / 2
        rest = v / np.exp(logs[:, 1:] @ exponents)
    for column, exponent in zip(features.values(), exponents, strict=True):
        rest = rest * np.sign(column) if exponent % 2 == 1 else rest
    if not np.isfinite(rest).all() or not np.allclose(rest, rest[0], rtol=1e-6) or np.abs(exponents).max() > 3:
        return None
    return float(rest[0]), {name: float(e) for name, e in zip(features, exponents, strict=True) if e}


def _law_in_words(c: float, exponents: dict[str, float]) -> str:
    """ "1", "−½", "2 · lam", "−lam", "N / std²"."""
    digits = {0.5: "½", 0.25: "¼", -0.5: "−½", -0.25: "−¼"}
    number = next((text for value, text in digits.items() if abs(c - value) < 1e-6), f"{c:.4g}".replace("-", "−"))

    def power(name: str, e: float) -> str:
        return {1.0: name, 0.5: f"√{name}", 2.0: f"{name}²", 3.0: f"{name}³"}.get(e, f"{name}^{e:g}")

    top = " · ".join(power(name, e) for name, e in exponents.items() if e > 0)
    under = [power(name, -e) for name, e in exponents.items() if e < 0]
    if not top:
        top = number
    elif number != "1":
        top = f"−{top}" if number == "−1" else f"{number} · {top}"
    return f"{top} / {under[0] if len(under) == 1 else '(' + ' · '.join(under) + ')'}" if under else top


def _with_generator(f: Callable, *args):
    """Calls ``f``; says it in the learner's terms if a generator is asked for what only NumPy's old functions can."""
    try:
        return f(*args)
    except AttributeError as error:
        if not isinstance(error.obj, np.random.Generator):
            raise
        raise WrongStructure(
            "old-random-functions",
            f"A `np.random.Generator` has no method `{error.name}`.",
            "`rng` has `random`, `uniform`, `normal` and `standard_normal`: look up how their arguments go.",
        ) from None


def _draws_from(draw: Callable, seed: int) -> Finding | None:
    """Whether ``draw``, from a generator to an array, follows that generator alone and moves it on."""
    generator = np.random.default_rng([seed, 2])
    first, again, repeated, other = (
        draw(rng) for rng in (generator, generator, *map(np.random.default_rng, ([seed, 2], [seed, 3])))
    )
    if any(a is None for a in (first, again, repeated, other)):
        return None
    if not np.array_equal(first, repeated):
        return Finding(
            "Two generators with the same seed gave different results.",
            "other-generator",
            "the numbers come from somewhere else than `rng`: from NumPy's global generator, or from a new one.",
            "Which generator do your lines ask for numbers? A run can be repeated only if it is `rng`.",
        )
    if np.array_equal(first, other):
        return Finding(
            "Two generators with different seeds gave the same result.",
            "seed-inside",
            "the numbers come from a generator that starts at a fixed seed, or are not random at all.",
            "What is `rng` for? Every layer would get the same numbers.",
        )
    if np.array_equal(first, again):
        return Finding(
            "Called twice with one and the same generator, your function gave the same result twice.",
            "generator-copied",
            "a copy of `rng` was used, or a new generator that starts where `rng` stands: `rng` itself stays there.",
            "Two layers are made one after the other with the same `rng`. What would they look like?",
        )
    return None


# he_init: judged by its statistics. Any distribution with the right mean and variance is right.
#
# A right answer is refused by chance in fewer than 1e-8 of all checks if its numbers are normal, and in fewer than 1e-6
# if they are uniform; tests/test_misbehaving.py adds it up. The mean of n entries is allowed 7.5 standard errors.
# Their variance is allowed 15/√n of itself, 19 % for n = 6,000: that is 10 standard errors, √(2/n), of normal numbers,
# 16 of uniform ones, √(0.8/n), and 6 even of Laplace's, √(5/n). The 48,000 entries of all the larger matrices together
# are allowed 5.5 %, which is 8, 13 and 5 standard errors.

HE_SIZES = ((149, 41), (41, 149), (79, 79), (5, 1201), (1201, 5), (499, 1), (1, 499))
HE_LARGE_SIZES = ((401, 23), (23, 353), (97, 101), (3, 5003), (2003, 3))  # products differ as well
MEAN_ERRORS = 7.5
POOLED_SLACK = 0.055
LARGEST_CORRELATION = 0.5  # mean squared correlation between rows; about 1/100 for independent entries


def _he_cases(rng: np.random.Generator) -> list[Case]:
    names = {(79, 79): "square", (499, 1): "one output", (1, 499): "one input"}
    return [
        Case(
            names.get((fan_in, fan_out), f"{fan_in} → {fan_out}"),
            (fan_in, fan_out, np.random.default_rng(int(rng.integers(2**32)))),
            {"fan_in": fan_in, "fan_out": fan_out},
        )
        for fan_in, fan_out in HE_SIZES
    ]


def _weights(answer, fan_in: int, fan_out: int) -> np.ndarray:
    """The matrix that an answer is; WrongStructure if it is none, or none of the right shape."""
    flat, faults = read(answer, np.empty((fan_in, fan_out)), ("W",))
    for fault in faults.values():
        raise fault
    W = flat["W"].astype(float)
    if W.shape == (fan_out, fan_in) != (fan_in, fan_out):
        raise WrongStructure(
            "transposed",
            f"`W` has shape {W.shape} for `fan_in` = {fan_in} and `fan_out` = {fan_out}: it is transposed.",
            "A layer computes `X @ W`, with X of shape `(N, fan_in)`. Which shape must W have? (PyTorch stores the "
            "transpose.)",
        )
    if W.shape != (fan_in, fan_out):
        twice = {(fan_in, fan_in): "fan-in-twice", (fan_out, fan_out): "fan-out-twice"}
        raise WrongStructure(
            twice.get(W.shape, f"wrong-shape-{W.ndim}d"),
            f"`W` should have shape {(fan_in, fan_out)} and has {W.shape}.",
            "One row for each input, one column for each output. Which argument of the generator says how many numbers "
            "to draw?",
        )
    if not np.isfinite(W).all():
        raise WrongStructure("not-finite", f"`W` has nan or inf for `fan_in` = {fan_in} and `fan_out` = {fan_out}.")
    return W


def variance_slack(n: int) -> float:
    """How much of itself the variance of n entries may be off."""
    return 15 / math.sqrt(n)


def _is_centred(W: np.ndarray) -> bool:
    return abs(W.mean()) <= MEAN_ERRORS * W.std() / math.sqrt(W.size)


def _moments(f: Callable) -> Callable:
    """The variance of W, and its mean: 0 if it is as near to 0 as it should be."""

    def measured(fan_in: int, fan_out: int, rng: np.random.Generator) -> dict[str, float]:
        W = _weights(_with_generator(f, fan_in, fan_out, rng), fan_in, fan_out)
        return {"W.var()": float(W.var()), "W.mean()": 0.0 if _is_centred(W) else float(W.mean())}

    return measured


def _nearest_moments(answer, fan_in: int, fan_out: int, rng: np.random.Generator) -> dict[str, float]:
    variance, mean = answer["W.var()"], answer["W.mean()"]
    near = abs(variance * fan_in / 2 - 1) <= variance_slack(fan_in * fan_out)
    slack = MEAN_ERRORS * math.sqrt(variance / (fan_in * fan_out))
    return {"W.var()": variance if near else 2 / fan_in, "W.mean()": math.copysign(slack, mean) if mean else 0.0}


def _repetition(W: np.ndarray) -> str:
    """What of ``W`` comes again and again, in words; empty if its entries look like independent draws."""
    if np.ptp(W) == 0:
        return f"all entries of `W` are {W[0, 0]:.4g}"
    for A, word in ((W, "rows"), (W.T, "columns")):
        if not np.ptp(A, axis=0).any():
            return f"all {word} of `W` are equal"
    distinct = len(np.unique(W))
    if 3 < distinct < 0.9 * W.size:  # two or three values, such as random signs, may have the right variance
        return f"the {W.size} entries of `W` are only {distinct} different numbers"
    for A, word in ((W - W.mean(), "rows"), ((W - W.mean()).T, "columns")):
        with np.errstate(all="ignore"):
            R = A / np.linalg.norm(A, axis=1, keepdims=True)
        if np.mean((R @ R.T)[~np.eye(len(R), dtype=bool)] ** 2) > LARGEST_CORRELATION:
            return f"the {word} of `W` are multiples of one another"
    return ""


_SUMMED_OVER = "How many terms has the sum that one unit computes?"
_DEVIATION = "If normal numbers are multiplied by s, what is their variance?"
_GROWS = ("multiplied-not-divided", "the scale grows with the size of the layer; it must shrink",
          "A unit adds up many products: should each be smaller or larger if there are more of them?")  # fmt: skip
_VARIANCES: dict[str, tuple[Callable[[float, float], float], tuple[str, str, str]]] = {
    "{} / fan_in": (lambda i, o: 1 / i, ("wrong-gain", "", _DEVIATION)),
    "{}": (lambda i, o: 1.0, ("fixed-scale", "the scale is the same for every layer, whatever its size",
           "A unit adds up `fan_in` products. How large does the sum get in a wide layer, and in a narrow one?")),
    "{} / fan_in²": (lambda i, o: i**-2, ("root-missing", "a variance was taken for the standard deviation: it was "
                     "divided by `fan_in` and not by its root", _DEVIATION)),
    "{} / (fan_in + fan_out)": (lambda i, o: 1 / (i + o), ("glorot", "the variance has the mean of both fans in it, as "
                                "Glorot's does for tanh layers", "Follow the mean square of the signal through one "
                                "layer, forward: which of the two numbers does it meet?")),
    "{} / fan_out": (lambda i, o: 1 / o, ("fans-swapped", "`fan_out` was taken, the number of outputs. What a unit "
                     "*sums over* is its inputs", _SUMMED_OVER)),
    "{} / √fan_in": (lambda i, o: i**-0.5, ("root-taken-twice", "the standard deviation was taken for a variance: one "
                     "root too many", _DEVIATION)),
    "{} / √fan_out": (lambda i, o: o**-0.5, ("fans-swapped", "`fan_out` was taken, the number of outputs, and one root "
                      "too many", _SUMMED_OVER)),
    "{} / fan_out²": (lambda i, o: o**-2, ("fans-swapped", "`fan_out` was taken, the number of outputs, and no root",
                      _SUMMED_OVER)),
    "{} / (fan_in + fan_out)²": (lambda i, o: (i + o) ** -2, ("glorot", "the sum of both fans was taken, as Glorot "
                                 "does, and no root", _SUMMED_OVER)),
    "{} / (fan_in · fan_out)": (lambda i, o: 1 / (i * o), ("number-of-entries", "the number of all entries of `W` was "
                                "taken", _SUMMED_OVER)),
    "{} / (fan_in + 1)": (lambda i, o: 1 / (i + 1), ("off-by-one", "`fan_in` + 1 was taken", _SUMMED_OVER)),
    "{} / (fan_in − 1)": (lambda i, o: 1 / (i - 1), ("off-by-one", "`fan_in` − 1 was taken", _SUMMED_OVER)),
    "{} · fan_in": (lambda i, o: i, _GROWS),
    "{} · fan_in²": (lambda i, o: i**2, _GROWS),
    "{} · √fan_in": (lambda i, o: i**0.5, _GROWS),
    "{} · fan_out": (lambda i, o: o, _GROWS),
    "{} / max(fan_in, fan_out)": (lambda i, o: 1 / max(i, o), ("larger-fan", "the larger of both fans was taken",
                                  _SUMMED_OVER)),
}  # fmt: skip
_NUMERATORS = [  # of a variance c / n, when 2 / n was meant
    (1.0, "half-the-variance", "there is a 1 where the 2 belongs: a ReLU passes on half of what it gets, and the 2 "
     "makes up for it"),
    (2 / 3, "uniform-bound-not-variance", "a uniform distribution between −s and s has the variance s²/3; the right "
     "variance was taken for s²"),
    (4.0, "two-outside-the-root", "the 2 multiplies the standard deviation: it must stand under the root"),
    (0.5, "two-on-the-wrong-side", "the 2 divides where it should multiply, or the standard deviation was halved"),
    (1 / 3, "uniform-bound-not-variance", "a uniform distribution between −1/√n and 1/√n (PyTorch's default for a "
     "linear layer) has the variance 1/(3n)"),
    (6.0, "bound-taken-for-deviation", "√(6/n) is the bound of a *uniform* distribution; here it is a standard "
     "deviation"),
    (3.0, "wrong-gain", "there is a 3 where the 2 belongs"),
    (1 / 6, "uniform-bound-not-variance", "numbers that are spread evenly over an interval of the length s have the "
     "variance s²/12; the right variance was taken for s²"),
    (1 / 12, "uniform-bound-not-variance", "numbers that are spread evenly over an interval of the length s have the "
     "variance s²/12; s² is 1/n here"),
    (1.548, "tails-cut-off", "numbers beyond two standard deviations are left out, which makes the variance smaller; "
     "that has to be made up for"),
    (1.841, "tails-cut-off", "numbers beyond two standard deviations are set to two, which makes the variance "
     "smaller; that has to be made up for"),
    (8.0, "two-outside-the-root", "a standard deviation that is right was doubled"),
    (25 / 9, "gain-of-tanh", "the gain 5/3 belongs to tanh, the root of 2 to a ReLU"),
]  # fmt: skip


def _variance_law(draws: list[np.ndarray]) -> tuple[str, float] | None:
    """The first formula in ``fan_in`` and ``fan_out`` that the variances follow, and its constant."""
    for pattern, (law, _) in _VARIANCES.items():
        q = np.array([W.var() / law(*W.shape) for W in draws])
        if 0 < q.max() < 1.15 * q.min():
            return pattern, float(np.exp(np.log(q).mean()))
    return None


def _law_explained(pattern: str, c: float) -> tuple[str, str, str]:
    """Cause, likely cause and hint for weights whose variance follows a formula."""
    cause, text, hint = _VARIANCES[pattern][1]
    if pattern == "{}":
        return cause, f"{text}: the standard deviation is about {math.sqrt(c):.2g}.", hint
    parts = [text] if text else []
    known = next((entry for entry in _NUMERATORS if abs(c / entry[0] - 1) < 0.04), None)
    if known and pattern in ("{} / fan_in", "{} / fan_out", "{} / (fan_in + fan_out)"):
        parts.append(known[2])
        cause = cause if text else known[1]
    return cause, _sentence(parts or [f"there is about {c:.3g} where the 2 belongs"]), hint


def _matrices(f: Callable, arguments: list[tuple]) -> list[np.ndarray]:
    """What ``f`` gives for several sizes and generators; an empty list if one of them is no such matrix."""
    try:
        return [_weights(call(f, args).value, *args[:2]) for args in arguments]
    except WrongStructure:
        return []


def _large_matrices(f: Callable, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 4])
    return _matrices(f, [(*size, rng) for size in HE_LARGE_SIZES])


def _what_the_weights_are(draws: list[np.ndarray]) -> Finding | None:
    """Of large matrices: repeated entries, a mean that is not 0, and the formula that their variance follows."""
    if not draws:
        return None
    if again := _repetition(draws[2]):
        return Finding(
            f"For `fan_in` = {draws[2].shape[0]} and `fan_out` = {draws[2].shape[1]}, {again}.",
            "repeated-entries",
            "the same numbers stand in many places: units that start alike get the same gradient, and stay alike."
            if draws[2].any()
            else "an array was prepared for the weights and never filled, or everything was multiplied by 0.",
            "How many random numbers are needed, and how many do you draw?",
        )
    law = _variance_law(draws)
    if not all(_is_centred(W) for W in draws):
        return _off_centre(draws, law)
    pooled = np.average([W.var() * len(W) / 2 for W in draws], weights=[W.size for W in draws])
    if abs(pooled - 1) <= POOLED_SLACK and _roughly_right(draws):
        return None
    table = (
        ("fan_in", "fan_out", "variance of W", "2 / fan_in"),
        *((str(W.shape[0]), str(W.shape[1]), f"{W.var():.3g}", f"{2 / len(W):.3g}") for W in draws),
    )
    if law is None:
        return Finding(
            "The variance of `W` is not 2 / fan_in.",
            None,
            "",
            "Draw a large W yourself and print `W.var() * fan_in` for a few sizes: what should it be?",
            table=table,
        )
    cause, likely, hint = _law_explained(*law)
    what = f"The variance of `W` is about {_formula(*law)} at all {len(draws)} sizes tried; it should be 2 / fan_in."
    return Finding(what, cause, likely, hint, table=table)


def _formula(pattern: str, c: float) -> str:
    nice = next((value for value in (0.5, 1, 2, 3, 4, 6, 8) if abs(c / value - 1) < 0.02), c)
    return pattern.format(f"{nice:.3g}")


def _roughly_right(draws: list[np.ndarray]) -> bool:
    return all(_is_centred(W) and abs(W.var() * len(W) / 2 - 1) <= variance_slack(W.size) for W in draws)


def _closer_look(f: Callable, seed: int) -> Finding | None:
    """What is left open by cases in which the moments are right; if they are not, the diagnosis speaks of it."""
    in_cases = _matrices(f, [case.args for case in _he_cases(np.random.default_rng(seed))])
    return _what_the_weights_are(_large_matrices(f, seed)) if _roughly_right(in_cases) else None


def _off_centre(draws: list[np.ndarray], law: tuple[str, float] | None) -> Finding:
    table = (
        ("fan_in", "fan_out", "mean of W", "smallest", "largest"),
        *((*map(str, W.shape), f"{W.mean():.3g}", f"{W.min():.3g}", f"{W.max():.3g}") for W in draws),
    )
    if all(W.min() >= 0 for W in draws) or all(W.max() <= 0 for W in draws):
        shape = np.mean([abs(W.mean()) / math.sqrt(np.mean(W**2)) for W in draws])  # 0.87 for uniform from 0 up
        absolute = abs(shape - math.sqrt(2 / math.pi)) < 0.02
        return Finding(
            "All entries of `W` have the same sign; their mean should be 0.",
            "absolute-value" if absolute else "one-sided",
            "an absolute value (or the root of a square) was taken of normal numbers."
            if absolute
            else "the numbers are drawn from 0 up (`rng.random` gives numbers between 0 and 1) and not moved; or a "
            "square or an exponential took their sign.",
            "With weights of one sign, what sign has every signal in the next layer?",
            table=table,
        )
    spread = "" if law is None or _formula(*law) == "2 / fan_in" else f"; their variance is about {_formula(*law)}"
    return Finding(
        "The entries of `W` do not scatter around 0.",
        "not-centred",
        f"the middle of the distribution was moved, or it was never at 0{spread}.",
        "What are the first arguments of the function that you draw with: a mean, a bound, a scale?",
        table=table,
    )


he_init = Exercise(
    "he_init",
    CHAPTER,
    3,
    "he_init(fan_in, fan_out, rng)",
    ("W.var()", "W.mean()"),
    reference=backprop.he_init,
    make_cases=_he_cases,
    oracle=_nearest_moments,
    adapt=_moments,
    explain=lambda f: _what_the_weights_are(_large_matrices(f, 8)),
    properties=(_closer_look, lambda f, seed: _draws_from(lambda rng: _drawn(call(f, (7, 5, rng)).value), seed)),
    formula="W = rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)",
)


def _drawn(value) -> np.ndarray | None:
    """A random result as an array to compare; None if it is none."""
    try:
        return np.array(value, dtype=float)
    except (TypeError, ValueError):
        return None


@he_init.wheat
def by_rng_normal(fan_in, fan_out, rng):
    return rng.normal(0.0, (2 / fan_in) ** 0.5, size=(fan_in, fan_out))


@he_init.wheat
def uniform_with_the_same_variance(fan_in, fan_out, rng):
    bound = np.sqrt(6 / fan_in)
    return rng.uniform(-bound, bound, (fan_in, fan_out))


@he_init.wheat
def entry_by_entry(fan_in, fan_out, rng):
    scale = (2 / fan_in) ** 0.5
    return [[scale * rng.standard_normal() for _ in range(fan_out)] for _ in range(fan_in)]


@he_init.wheat
def truncated_and_made_up_for(fan_in, fan_out, rng):
    Z = rng.standard_normal((fan_in, fan_out))
    while (far := np.abs(Z) > 2).any():
        Z[far] = rng.standard_normal(int(far.sum()))
    return Z * np.sqrt(2 / fan_in) / 0.8796256610342398


@he_init.wheat
def single_precision_in_fortran_order(fan_in, fan_out, rng):
    W = rng.standard_normal((fan_out, fan_in), dtype=np.float32).T
    return np.asfortranarray(W * np.float32(np.sqrt(2 / fan_in)))


@he_init.wheat
def random_signs(fan_in, fan_out, rng):
    return rng.choice([-1.0, 1.0], size=(fan_in, fan_out)) * np.sqrt(2 / fan_in)


@he_init.wheat
def centred_uniform_then_scaled(fan_in, fan_out, rng):
    W = rng.random((fan_in, fan_out))
    W -= 0.5
    W *= np.sqrt(12) * np.sqrt(2 / fan_in)
    return W


def _from_normal(scale: Callable) -> Callable:
    """A wrong he_init: normal numbers times ``scale(fan_in, fan_out)``."""
    return lambda fan_in, fan_out, rng: rng.standard_normal((fan_in, fan_out)) * scale(fan_in, fan_out)


_HE_CHAFFS = (
    ("half-the-variance", "the variance is 1 / fan_in, as for tanh: a ReLU passes on half of what it gets, and the 2 "
     "makes up for it.", "Follow the mean square of a signal through one layer and its ReLU. What is it multiplied by?",
     _from_normal(lambda i, o: np.sqrt(1 / i))),
    ("root-missing", "the variance was taken for the standard deviation: the numbers are multiplied by 2 / fan_in.",
     "If normal numbers are multiplied by s, what is their variance?", _from_normal(lambda i, o: 2 / i)),
    ("fixed-scale", "the scale is 0.01 for every layer.", "After ten layers of 1,000 units, what is left of a signal?",
     _from_normal(lambda i, o: 0.01)),
    ("not-scaled", "the numbers are used as they are drawn, with variance 1.",
     "A unit adds up `fan_in` such products. How large does the sum get?", _from_normal(lambda i, o: 1.0)),
    ("glorot", "the variance has the mean of both fans in it, as Glorot's does for tanh layers.",
     "Follow the mean square of the signal through one layer, forward: which of the two numbers does it meet?",
     _from_normal(lambda i, o: np.sqrt(2 / (i + o)))),
    ("fans-swapped", "`fan_out` was taken, the number of outputs. What a unit *sums over* is its inputs.",
     "How many terms has the sum that one unit computes?", _from_normal(lambda i, o: np.sqrt(2 / o))),
    ("two-outside-the-root", "the 2 multiplies the standard deviation: it must stand under the root.",
     "If normal numbers are multiplied by s, what is their variance?", _from_normal(lambda i, o: 2 / np.sqrt(i))),
    ("uniform-bound-not-variance", "the numbers are uniform between −s and s, and s is the standard deviation asked "
     "for: their variance is a third of s².", "What is the variance of uniform numbers between −1 and 1?",
     lambda fan_in, fan_out, rng: rng.uniform(-np.sqrt(2 / fan_in), np.sqrt(2 / fan_in), (fan_in, fan_out))),
    ("one-sided", "`rng.random` gives numbers between 0 and 1: they are all positive.",
     "With positive weights, what sign has every signal in the next layer?",
     lambda fan_in, fan_out, rng: rng.random((fan_in, fan_out)) * np.sqrt(2 / fan_in)),
    ("absolute-value", "the absolute value of the numbers was taken.", "What is the mean of your W?",
     lambda fan_in, fan_out, rng: np.abs(rng.standard_normal((fan_in, fan_out))) * np.sqrt(2 / fan_in)),
    ("transposed", "the shape is `(fan_out, fan_in)`, as PyTorch stores it.",
     "A layer computes `X @ W`, with X of shape `(N, fan_in)`. Which shape must W have?",
     lambda fan_in, fan_out, rng: backprop.he_init(fan_in, fan_out, rng).T),
    ("seed-inside", "a new generator with a fixed seed was made: every layer gets the same numbers.",
     "What is `rng` for?",
     lambda fan_in, fan_out, rng: backprop.he_init(fan_in, fan_out, np.random.default_rng(0))),
    ("other-generator", "the numbers come from NumPy's global generator: the run can't be repeated.",
     "Which generator do your lines ask for numbers?",
     lambda fan_in, fan_out, rng: np.random.randn(fan_in, fan_out) * np.sqrt(2 / fan_in)),  # noqa: NPY002
    ("repeated-entries", "one row was drawn, and all rows are that one: the inputs are not told apart.",
     "How many random numbers are needed, and how many do you draw?",
     lambda fan_in, fan_out, rng: np.tile(rng.standard_normal(fan_out) * np.sqrt(2 / fan_in), (fan_in, 1))),
    ("repeated-entries", "all weights are 0: all units of a layer get the same gradient, and stay alike.",
     "If two units start alike, what could ever make them differ?",
     lambda fan_in, fan_out, rng: np.zeros((fan_in, fan_out))),
    ("three-values", "the numbers are −1, 0 and 1, all three equally often: their variance is 2/3.",
     "What is the mean of the squares of −1, 0 and 1?",
     lambda fan_in, fan_out, rng: rng.integers(-1, 2, (fan_in, fan_out)) * np.sqrt(2 / fan_in)),
    ("tails-cut-off", "numbers beyond two standard deviations were drawn anew, which makes the variance smaller; that "
     "was not made up for.", "What is the variance of normal numbers of which the large ones are left out?",
     lambda fan_in, fan_out, rng: truncated_and_made_up_for(fan_in, fan_out, rng) * 0.8796256610342398),
)  # fmt: skip
for _cause, _text, _hint, _function in _HE_CHAFFS:
    he_init.chaff(_cause, _text, _hint)(_function)


# batchnorm_forward


def _columns(rng: np.random.Generator, N: int, D: int) -> np.ndarray:
    """Inputs whose columns have means and spreads of their own."""
    return normal(rng, N, D) * rng.uniform(0.5, 3.0, D) + rng.uniform(0.5, 3.0, D) * rng.choice([-1, 1], D)


def _scales(rng: np.random.Generator, D: int) -> np.ndarray:
    return rng.uniform(0.5, 2.0, D) * rng.choice([-1, 1], D)


def _batchnorm_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, X: np.ndarray, eps: float) -> Case:
        N, D = X.shape
        return Case(name, (X, _scales(rng, D), _scales(rng, D), eps), {"N": N, "D": D})

    constant = _columns(rng, 7, 3)
    constant[:, 1] = 2.5
    return [
        case("7 × 5", _columns(rng, 7, 5), 1e-3),
        case("13 × 2", 10 * _columns(rng, 13, 2), 1e-5),
        case("2 × 11, eps = 0.1", _columns(rng, 2, 11), 0.1),
        case("N = 1", _columns(rng, 1, 5), 1e-2),
        case("square", _columns(rng, 5, 5), 1e-2),
        case("one column", _columns(rng, 11, 1), 1e-3),
        case("a column that is constant", constant, 1e-4),
        case("columns that hardly vary", 0.01 * _columns(rng, 5, 3), 1e-3),
    ]


def _Y_alone(f: Callable) -> Callable:
    """The cache is the learner's own affair: only Y is compared, and of the cache what `_cache_holds` looks at."""

    def forward(X, gamma, beta, eps):
        answer = f(X, gamma, beta, eps)
        if answer is None:
            raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            got = f"{len(answer)} results" if isinstance(answer, tuple | list) else "one result"
            raise WrongStructure(
                "wrong-count",
                f"Expected 2 results, `(Y, cache)`; got {got}.",
                "What will the backward pass need? It all goes into one `cache`, for example a dict.",
            )
        return (answer[0],)

    return forward


def _cache_holds(f: Callable, seed: int) -> Finding | None:
    """Of a cache that is a dict: do the book's keys, where they are there, hold the right values?"""
    rng = np.random.default_rng([seed, 5])
    X, gamma, beta, eps = _columns(rng, 7, 5), _scales(rng, 5), _scales(rng, 5), 0.3
    outcome = call(f, (X.copy(), gamma.copy(), beta.copy(), eps))
    if not isinstance(outcome.value, tuple | list) or len(outcome.value) != 2:
        return None
    cache = outcome.value[1]
    Y, right = backprop.batchnorm_forward(X, gamma, beta, eps)
    if cache is None:
        return Finding("`cache` is `None`.", "cache-missing", "", "What will the backward pass need?")
    if not isinstance(cache, Mapping):
        return None
    var, X_hat, std = right["var"], right["X_hat"], right["std"]
    known = {"X": X, "X - mu": X - right["mu"], "Y": Y, "gamma * X_hat": gamma * X_hat, "X_hat": X_hat, "gamma": gamma,
             "beta": beta, "mu": right["mu"], "var": var, "var + eps": var + eps, "sqrt(var)": np.sqrt(var),
             "sqrt(var) + eps": np.sqrt(var) + eps, "1 / sqrt(var + eps)": 1 / std, "sqrt(var + eps)": std,
             "(X - mu) / sqrt(var)": (X - right["mu"]) / np.sqrt(var)}  # fmt: skip
    for key in ("X_hat", "std", "gamma"):
        if key not in cache:
            continue
        try:
            flat, faults = read({key: cache[key]}, {key: right[key]}, ())
        except WrongStructure:
            return None
        what = f"`cache[{key!r}]` is not right, and the backward pass uses it."
        if faults:
            return Finding(f"{what} {faults[key]}", "cache-wrong", "", "Print what you put there.")
        a = flat[key][0] if flat[key].shape == (1, 5) else flat[key]
        if a.shape == right[key].shape and agrees(a, right[key]).all():
            continue
        held = next((name for name, b in known.items() if same(a, b)), None)
        overwritten = key == "X_hat" and held in ("Y", "gamma * X_hat")
        return Finding(
            what
            + (f" Its shape is {a.shape}; it should be {right[key].shape}." if a.shape != right[key].shape else ""),
            "cache-overwritten" if overwritten else "cache-wrong",
            ("" if held is None else f"it holds `{held}`.")
            if not overwritten
            else f"it holds `{held}`: the array in the cache was changed in place (`*=`, `+=`) after it was put there.",
            f"Print `cache[{key!r}]` just before the `return`. Is it what the name says?",
        )
    return None


# The ways to go wrong, part by part: what is subtracted, which variance is taken, what it becomes, and how the
# result is stretched and shifted. The first entry of each is right.
_NORMALISATIONS: tuple[dict[str, Callable], ...] = (
    {
        "": lambda X, eps: X.mean(axis=0),
        "the mean is not subtracted": lambda X, eps: 0 * X,
        "the sum of the column is divided by N − 1 in the mean": lambda X, eps: X.sum(axis=0) / (len(X) - 1),
        "the mean is taken over each row, the features of one example": lambda X, eps: X.mean(axis=1, keepdims=True),
        "the mean is taken over the whole array, not over each column": lambda X, eps: X.mean(),
        "the sum of the column is subtracted, not its mean": lambda X, eps: X.sum(axis=0),
        "only the mean is divided by the standard deviation, not X: look at the parentheses":
            lambda X, eps: X.mean(axis=0) / np.sqrt(X.var(axis=0) + eps),
        "the mean is added, not subtracted": lambda X, eps: -X.mean(axis=0),
        "the median is subtracted, not the mean": lambda X, eps: np.median(X, axis=0),
        "the smallest entry of the column is subtracted, not its mean": lambda X, eps: X.min(axis=0),
    },
    {
        "": lambda X: X.var(axis=0),
        "the variance is divided by N − 1 (`ddof=1`); batch norm takes the biased one": lambda X: X.var(axis=0, ddof=1),
        "the variance is taken over each row, the features of one example": lambda X: X.var(axis=1, keepdims=True),
        "the variance is taken over the whole array": lambda X: X.var(),
        "the variance is taken over the whole array, and divided by its size less 1": lambda X: X.var(ddof=1),
        "the mean of squares is divided by N once more": lambda X: X.var(axis=0) / len(X),
        "the mean is not subtracted in the variance: it is the mean square": lambda X: np.mean(X**2, axis=0),
        "the squares are summed, not averaged": lambda X: len(X) * X.var(axis=0),
        "it is divided by the range of the column": lambda X: np.ptp(X, axis=0) ** 2,
        "the mean absolute deviation stands for the standard deviation":
            lambda X: np.abs(X - X.mean(axis=0)).mean(axis=0) ** 2,
    },
    {
        "": lambda v, eps: np.sqrt(v + eps),
        "`eps` is added outside of the root; it belongs to the variance": lambda v, eps: np.sqrt(v) + eps,
        "`eps` is not used": lambda v, eps: np.sqrt(v),
        "nothing is divided by the standard deviation": lambda v, eps: 0 * v + 1,
        "the root is missing": lambda v, eps: v + eps,
        "the root and `eps` are missing": lambda v, eps: v,
        "it is multiplied by the standard deviation, not divided": lambda v, eps: 1 / np.sqrt(v + eps),
        "the root is taken twice": lambda v, eps: np.sqrt(np.sqrt(v) + eps),
        "`eps` is subtracted from the variance, not added": lambda v, eps: np.sqrt(v - eps),
        "`eps` is squared": lambda v, eps: np.sqrt(v + eps**2),
        "`eps` is added twice, under the root and outside": lambda v, eps: np.sqrt(v + eps) + eps,
        "`eps` is the smallest variance that is allowed; it should be added": lambda v, eps: np.sqrt(
            np.maximum(v, eps)),
        "`eps` is the smallest standard deviation that is allowed; it should be added to the variance":
            lambda v, eps: np.maximum(np.sqrt(v), eps),
        **{f"`eps` is not used: the number {own:g} is written into the code": lambda v, eps, own=own: np.sqrt(v + own)
           for own in (1e-3, 1e-5, 1e-6)},
    },
    {
        "": lambda gamma, beta: gamma,
        "`gamma` is not used": lambda gamma, beta: 1 + 0 * gamma,
        "`beta` multiplies where `gamma` should": lambda gamma, beta: beta,
        "`gamma` is squared": lambda gamma, beta: gamma**2,
        "it is divided by `gamma`": lambda gamma, beta: 1 / gamma,
        "1 + `gamma` stands where `gamma` belongs": lambda gamma, beta: 1 + gamma,
        "`gamma` + `beta` multiplies: look at the parentheses": lambda gamma, beta: gamma + beta,
        "`gamma[0]` is used for all columns": lambda gamma, beta: gamma[0] + 0 * gamma,
    },
    {
        "": lambda gamma, beta: beta,
        "`beta` is not added": lambda gamma, beta: 0 * beta,
        "`beta` is added before `gamma` multiplies": lambda gamma, beta: gamma * beta,
        "`beta` is subtracted": lambda gamma, beta: -beta,
        "`gamma` is added where `beta` should": lambda gamma, beta: gamma,
        "`beta[0]` is used for all columns": lambda gamma, beta: beta[0] + 0 * beta,
    },
)  # fmt: skip


def _normalised(X: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float, parts: tuple) -> np.ndarray:
    centre, variance, spread, stretch, shift = parts
    return stretch(gamma, beta) * (X - centre(X, eps)) / spread(variance(X), eps) + shift(gamma, beta)


def _which_normalisation(f: Callable) -> Finding | None:
    """The combination of parts, the simplest first, that gives the learner's Y."""
    rng = np.random.default_rng(8)
    draws = []
    for N, D, eps in ((7, 5, 0.3), (5, 3, 0.2), (11, 2, 0.5)):
        X, gamma, beta = 0.5 * _columns(rng, N, D), _scales(rng, D), _scales(rng, D)
        answer = _answers(_Y_alone(f), (X, gamma, beta, eps), (X,), ("Y",))
        if answer is None or answer["Y"].shape != X.shape:
            return None
        draws.append(((X, gamma, beta, eps), answer["Y"]))
    (X, gamma, beta, eps), Y = draws[0]
    centres, variances, spreads, stretches, shifts = (list(table.values()) for table in _NORMALISATIONS)
    with np.errstate(all="ignore"):  # all combinations at once, for the first draw
        centred = np.stack([X - centre(X, eps) for centre in centres])
        divisors = np.stack(
            [[spread(variance(X), eps) + 0 * X for spread in spreads] for variance in variances]
        )  # (variances, spreads, N, D)
        X_hat = centred[:, None, None] / divisors
        scaled = X_hat[..., None, None, :, :] * np.stack([stretch(gamma, beta) for stretch in stretches])[:, None, None]
        all_of_them = scaled + np.stack([shift(gamma, beta) for shift in shifts])[:, None]
        hits = np.argwhere(np.abs(all_of_them - Y).max(axis=(-1, -2)) < 1e-7 * np.abs(Y).max())
        for hit in sorted(hits.tolist(), key=lambda hit: sum(i > 0 for i in hit)):
            names, parts = zip(
                *(list(table.items())[i] for table, i in zip(_NORMALISATIONS, hit, strict=True)), strict=True
            )
            if any(hit) and all(same(Y, _normalised(*args, parts), 1e-7) for args, Y in draws[1:]):
                return Finding(
                    "`Y` is not the batch norm of X.",
                    "wrong-normalisation",
                    _sentence([name for name in names if name]),
                    "For one column, print its mean and its variance after each of your lines: subtracting the mean, "
                    "dividing, stretching, shifting. Which is the first that surprises you?",
                )
    return None


batchnorm_forward = Exercise(
    "batchnorm_forward",
    CHAPTER,
    4,
    "batchnorm_forward(X, gamma, beta, eps)",
    ("Y",),
    reference=backprop.batchnorm_forward,
    make_cases=_batchnorm_cases,
    adapt=_Y_alone,
    explain=_which_normalisation,
    properties=(_cache_holds,),
    formula="X_hat = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + eps)",
)


@batchnorm_forward.wheat
def step_by_step(X, gamma, beta, eps):
    N = X.shape[0]
    mu = 1 / N * np.sum(X, axis=0)
    centred = X - mu
    var = 1 / N * np.sum(centred**2, axis=0)
    ivar = 1 / np.sqrt(var + eps)
    X_hat = centred * ivar
    return gamma * X_hat + beta, (X_hat, gamma, centred, ivar, np.sqrt(var + eps), var, eps)


@batchnorm_forward.wheat
def column_by_column(X, gamma, beta, eps):
    Y, X_hat, std = np.empty_like(X), np.empty_like(X), np.empty(X.shape[1])
    for j in range(X.shape[1]):
        mean = sum(X[:, j]) / len(X)
        std[j] = (sum((x - mean) ** 2 for x in X[:, j]) / len(X) + eps) ** 0.5
        X_hat[:, j] = (X[:, j] - mean) / std[j]
        Y[:, j] = gamma[j] * X_hat[:, j] + beta[j]
    return Y, {"X_hat": X_hat, "std": std, "gamma": gamma}


@batchnorm_forward.wheat
def mean_of_squares_less_squared_mean(X, gamma, beta, eps):
    mu = np.mean(X, axis=0, keepdims=True)
    std = np.sqrt(np.mean(X * X, axis=0, keepdims=True) - mu**2 + eps)
    X_hat = (X - mu) / std
    return [X_hat * gamma[None, :] + beta[None, :], {"X_hat": X_hat, "std": std, "gamma": gamma[None, :]}]


@batchnorm_forward.wheat
def by_transposes(X, gamma, beta, eps):
    Xt = np.asfortranarray(X.T)
    Z = (Xt - Xt.mean(axis=1)[:, None]) / np.sqrt(np.var(Xt, axis=1) + eps)[:, None]
    return (np.diag(gamma) @ Z + beta[:, None]).T, {"normalised": Z, "eps": eps}


@batchnorm_forward.wheat
def in_single_precision(X, gamma, beta, eps):
    X, gamma, beta = (a.astype(np.float32) for a in (X, gamma, beta))
    std = np.sqrt(X.var(axis=0) + np.float32(eps))
    X_hat = (X - X.mean(axis=0)) / std
    return gamma * X_hat + beta, {"X_hat": X_hat, "std": std, "gamma": gamma}


@batchnorm_forward.wheat
def in_place_on_its_own_copy(X, gamma, beta, eps):
    Y = X.copy()
    Y -= Y.mean(axis=0)
    std = np.sqrt(np.einsum("nd,nd->d", Y, Y) / len(Y) + eps)
    Y /= std
    X_hat = Y.copy()
    Y *= gamma
    Y += beta
    return Y, {"X_hat": X_hat, "std": std, "gamma": gamma.copy(), "N": len(X)}


def _batchnorm(
    *,
    centre=lambda X: X.mean(axis=0),
    spread=lambda X, eps: np.sqrt(X.var(axis=0) + eps),
    stretch=lambda X_hat, gamma, beta: gamma * X_hat + beta,
):
    """A forward pass with one thing done wrong, in Y and in the cache alike."""

    def forward(X, gamma, beta, eps):
        std = spread(X, eps)
        X_hat = (X - centre(X)) / std
        return stretch(X_hat, gamma, beta), {"X_hat": X_hat, "std": std, "gamma": gamma}

    return forward


_BATCHNORM_CHAFFS = (
    ("unbiased-variance", "the variance is divided by N − 1; batch norm takes the biased one, divided by N.",
     "What does your variance give for a batch of one example?",
     _batchnorm(spread=lambda X, eps: np.sqrt(X.var(axis=0, ddof=1) + eps))),
    ("eps-outside-the-root", "`eps` is added to the standard deviation; it belongs to the variance, under the root.",
     "Where is the root, and where the `eps`, in the definition?",
     _batchnorm(spread=lambda X, eps: X.std(axis=0) + eps)),
    ("eps-not-used", "`eps` is not used: a constant column is divided by 0.",
     "What is the standard deviation of a single example?", _batchnorm(spread=lambda X, eps: X.std(axis=0))),
    ("root-missing", "X is divided by the variance; it should be divided by the standard deviation.",
     "If X is in metres, in which unit is its variance? X_hat has none.",
     _batchnorm(spread=lambda X, eps: X.var(axis=0) + eps)),
    ("wrong-axis", "mean and variance run over the features of one example: that is layer norm.",
     "Batch norm compares one feature between examples. Which axis are the examples?",
     lambda X, gamma, beta, eps: (gamma * ((X - X.mean(axis=1, keepdims=True))
                                           / np.sqrt(X.var(axis=1, keepdims=True) + eps)) + beta, {})),
    ("whole-array", "one mean and one variance of the whole array were taken; every column has its own.",
     "What does `X.mean()` return without an axis?",
     _batchnorm(centre=lambda X: X.mean(), spread=lambda X, eps: np.sqrt(X.var() + eps))),
    ("gamma-forgotten", "`gamma` is not used.", "What are the two parameters of the layer for?",
     _batchnorm(stretch=lambda X_hat, gamma, beta: X_hat + beta)),
    ("beta-forgotten", "`beta` is not added.", "What are the two parameters of the layer for?",
     _batchnorm(stretch=lambda X_hat, gamma, beta: gamma * X_hat)),
    ("stopped-at-x-hat", "X_hat is returned: `gamma` and `beta` are not used.",
     "What are the two parameters of the layer for?", _batchnorm(stretch=lambda X_hat, gamma, beta: X_hat.copy())),
    ("gamma-times-beta", "`beta` is added before `gamma` multiplies, so that it is stretched as well.",
     "Which of the two comes first? Look at your parentheses.",
     _batchnorm(stretch=lambda X_hat, gamma, beta: gamma * (X_hat + beta))),
    ("parameters-swapped", "`beta` stretches and `gamma` shifts: they have changed places.",
     "Which of the two multiplies?", _batchnorm(stretch=lambda X_hat, gamma, beta: beta * X_hat + gamma)),
    ("not-centred", "the mean is not subtracted.", "What is the mean of each column of your X_hat?",
     _batchnorm(centre=lambda X: 0.0)),
    ("not-divided", "the columns are centred, but not divided by their standard deviation.",
     "What is the variance of each column of your X_hat?", _batchnorm(spread=lambda X, eps: np.ones(X.shape[1]))),
    ("eps-hard-coded", "`eps` is not used: the number 1e-5 is written into the code.",
     "Which of the arguments does your code not mention?",
     _batchnorm(spread=lambda X, eps: np.sqrt(X.var(axis=0) + 1e-5))),
    ("mean-square-not-variance", "the variance is the mean of X², without the mean of X subtracted.",
     "What does your formula give for a constant column?",
     _batchnorm(spread=lambda X, eps: np.sqrt(np.mean(X**2, axis=0) + eps))),
    ("sum-not-mean", "the squares are summed and not averaged: the variance is N times too large.",
     "What is the variance of each column of your X_hat?",
     _batchnorm(spread=lambda X, eps: np.sqrt(((X - X.mean(axis=0)) ** 2).sum(axis=0) + eps))),
)  # fmt: skip
for _cause, _text, _hint, _function in _BATCHNORM_CHAFFS:
    batchnorm_forward.chaff(_cause, _text, _hint)(_function)


@batchnorm_forward.chaff(
    "cache-overwritten",
    "X_hat was stretched in place after it went into the cache.",
    "`*=` and `+=` change the array itself. Who else holds it?",
)
def _(X, gamma, beta, eps):
    std = np.sqrt(X.var(axis=0) + eps)
    X_hat = (X - X.mean(axis=0)) / std
    cache = {"X_hat": X_hat, "std": std, "gamma": gamma}
    X_hat *= gamma
    X_hat += beta
    return X_hat, cache


@batchnorm_forward.chaff(
    "argument-changed",
    "X was centred in place: the caller's array is changed.",
    "Whose array is X? Make a new one.",
)
def _(X, gamma, beta, eps):
    X -= X.mean(axis=0)
    X_hat = X / np.sqrt(X.var(axis=0) + eps)
    return gamma * X_hat + beta, (X_hat, gamma)


# batchnorm_backward


def _batchnorm_backward_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int, eps: float, upstream=normal) -> Case:
        X = _columns(rng, N, D)
        _, cache = backprop.batchnorm_forward(X, _scales(rng, D), _scales(rng, D), eps)
        return Case(name, (upstream(rng, N, D), cache), {"N": N, "D": D})

    return [
        case("7 × 5", 7, 5, 0.1),
        case("13 × 2", 13, 2, 1e-5),
        case("3 × 11", 3, 11, 0.01),
        case("N = 1", 1, 5, 0.1),
        case("square", 5, 5, 1e-3),
        case("one column", 11, 1, 0.1),
        case("upstream a basis vector", 5, 3, 1e-3, _unit),
    ]


_SUMMED: dict[str, Callable] = {
    "": lambda A: A.sum(axis=0),
    "averaged over the batch, not summed": lambda A: A.mean(axis=0),
    "summed over the features, not over the batch": lambda A: A.sum(axis=1),
    "not summed over the batch": lambda A: A,
    "summed over the batch, and the axis was kept": lambda A: A.sum(axis=0, keepdims=True),
    "summed over everything": lambda A: A.sum(),
}
_UPSTREAMS: dict[str, Callable] = {
    "": lambda dY, c: dY,
    "`gamma` multiplies `dY`, as it should for X alone": lambda dY, c: dY * c["gamma"],
    "`dY` is not used": lambda dY, c: np.ones_like(dY),
    "the sign is wrong": lambda dY, c: -dY,
    "`dY` is divided by the standard deviation": lambda dY, c: dY / c["std"],
    "`dY` is squared": lambda dY, c: dY**2,
    "`gamma` multiplies and the standard deviation divides `dY`": lambda dY, c: dY * c["gamma"] / c["std"],
}
_FACTORS: dict[str, Callable] = {
    "": lambda c: c["X_hat"],
    "X stands where `X_hat` belongs": lambda c: c["X"],
    "X − mu stands where `X_hat` belongs: it is not divided by the standard deviation": lambda c: c["X"] - c["mu"],
    "`X_hat` is missing": lambda c: np.ones_like(c["X"]),
    "gamma · X_hat stands where `X_hat` belongs": lambda c: c["gamma"] * c["X_hat"],
    "`X_hat` is divided by the standard deviation once more": lambda c: c["X_hat"] / c["std"],
    "`X_hat` is squared": lambda c: c["X_hat"] ** 2,
}
_NO_FACTOR: dict[str, Callable] = {
    "": lambda c: 1.0,
    "`X_hat` multiplies `dY`, as it should for `gamma`": lambda c: c["X_hat"],
    "X multiplies `dY`": lambda c: c["X"],
}


def _parameter_gradient(name: str, factors: dict[str, Callable], draws: list) -> str | None:
    """What was done differently in ``dgamma`` or ``dbeta``, in words; empty if it is right, None if it is unknown."""
    combinations = sorted(
        itertools.product(_SUMMED, _UPSTREAMS, factors), key=lambda names: sum(part != "" for part in names)
    )
    for way, upstream, factor in combinations:
        if all(
            same(
                answer[name],
                np.asarray(_SUMMED[way](_UPSTREAMS[upstream](dY, c) * factors[factor](c))),
                1e-7,
            )
            for dY, c, answer in draws
        ):
            found = [f"`{name}` is {way}"] * (way != "") + [
                f"in `{name}`, {part}" for part in (upstream, factor) if part
            ]
            return "; ".join(found)
    return None


_PATHS = ("direct", "through the mean", "through the variance")
_AVERAGES: dict[str, Callable] = {
    "": lambda A: A.mean(axis=0),
    "the mean runs over the whole array, not over each column": lambda A: A.mean(),
    "the mean runs over the features of one example, not over the batch": lambda A: A.mean(axis=1, keepdims=True),
}


def _paths(draws: list) -> tuple[list, list[str]] | None:
    """How much of each path is in dX, as three laws, and remarks on how the paths were made.

    They are ``dX_hat``, minus its mean, and minus ``X_hat`` times the mean of ``dX_hat * X_hat``, each over ``std``.
    """
    features = {name: [] for name in ("N", "(N − 1)", "std", "√var", "gamma")}
    for dY, c, _ in draws:
        sizes = (len(dY), len(dY) - 1, c["std"], np.sqrt(c["var"]), c["gamma"])
        for values, new in zip(features.values(), sizes, strict=True):
            values += list(np.broadcast_to(new, c["std"].shape))
    ways = itertools.product(_AVERAGES, _AVERAGES, ("X_hat", "X"), ("X_hat", "X"))
    for mean, product, outside, inside in (*ways, ("", "", "", "")):
        ratios: list[np.ndarray] = []
        for dY, c, answer in draws:
            g = dY * c["gamma"]
            if outside:
                paths = (g, -_AVERAGES[mean](g) + 0 * g, -c[outside] * _AVERAGES[product](g * c[inside]))
            else:
                paths = (g, -np.mean(g * c["X_hat"], axis=0) + 0 * g, -c["X_hat"] * g.mean(axis=0))
            for *basis, d in zip(*((path / c["std"]).T for path in paths), answer["dX"].T, strict=True):
                solution = np.linalg.lstsq(np.column_stack(basis), d, rcond=None)[0]
                if not same(np.column_stack(basis) @ solution, d, 1e-7):
                    break
                ratios.append(solution)
        if len(ratios) < len(features["N"]):
            continue
        laws = [_power_law(list(column), features) for column in np.array(ratios).T]
        if all(law is not None for law in laws):
            remarks = [f"in the path through the mean, {mean}"] * (mean != "")
            remarks += [f"in the path through the variance, {product}"] * (product != "")
            if "X" in (outside, inside):
                remarks.append("in the path through the variance, X stands where `X_hat` belongs")
            if not outside:
                remarks.append("the mean of dX_hat and the mean of dX_hat · X_hat have changed places")
            return laws, remarks
    return None


def _path_in_words(path: str, law: tuple[float, dict[str, float]]) -> tuple[str, str] | None:
    """Slug and words for what is wrong with a path; None if it is right."""
    c, exponents = law
    slug = path.replace("through the ", "").replace(" ", "-") + "-path"
    text = _law_in_words(c, exponents)
    name = f"the {path} path" if path == "direct" else f"the path {path}"
    if text == "1":
        return None
    if c == 0:
        return f"{slug}-missing", f"{name} is missing"
    if text == "−1":
        return f"{slug}-sign", f"{name} has the wrong sign"
    if text in ("2", "½"):
        slug += "-doubled" if text == "2" else "-halved"
        return slug, f"{name} is {'twice' if text == '2' else 'half'} what it should be"
    if text == "N":
        return f"{slug}-summed", f"{name} has a sum where a mean belongs: it is N times too large"
    if text == "1 / N":
        return f"{slug}-divided-twice", f"{name} is divided by N twice"
    if text == "N / (N − 1)":
        return f"{slug}-divided-by-N-minus-1", f"{name} is divided by N − 1, not by N"
    centred = " (X − mu may stand where `X_hat` belongs)" if "variance" in path else ""
    reasons = {
        "std": f"is divided once too rarely by the standard deviation{centred}",
        "std²": f"is divided twice too rarely by the standard deviation{centred}",
        "1 / std": "is divided once too often by the standard deviation",
        "1 / std²": "is divided twice too often by the standard deviation",
        "1 / gamma": "lacks the factor `gamma`",
        "gamma": "has the factor `gamma` twice",
        "std / √var": "is divided by √var: `eps` is not in it",
    }
    return f"{slug}-factor", f"{name} {reasons.get(text, f'is {text} times what it should be')}"


def _three_paths(f: Callable) -> Finding | None:
    """Takes dX apart into its three paths, and finds how dgamma and dbeta were made."""
    rng = np.random.default_rng(8)
    draws = []
    for N, D in ((7, 5), (11, 3), (5, 7), (13, 2)):
        _, c = backprop.batchnorm_forward(_columns(rng, N, D), _scales(rng, D), _scales(rng, D), 0.5)
        dY = normal(rng, N, D)
        answer = _answers(f, (dY, c), backprop.batchnorm_backward(dY, c), batchnorm_backward.outputs)
        if answer is None:
            return None
        draws.append((dY, c, answer))
    for order in list(itertools.permutations(batchnorm_backward.outputs))[1:]:
        if all(
            same(answer[name], right, 1e-7)
            for dY, c, answer in draws
            for name, right in zip(order, backprop.batchnorm_backward(dY, c), strict=True)
        ):
            return Finding("The right results are there, in another order.", "outputs-swapped", "they are returned in "
                           "another order.", "Compare your `return` with the signature.")  # fmt: skip
    found, unknown, table = [], [], ()
    for name, factors in (("dbeta", _NO_FACTOR), ("dgamma", _FACTORS)):
        words = _parameter_gradient(name, factors, draws)
        if words is None:
            unknown.append(name)
        elif words:
            found.append((f"{name}-wrong", words))
    taken_apart = _paths(draws) if all(answer["dX"].shape == dY.shape for dY, _, answer in draws) else None
    if taken_apart is None:
        unknown.append("dX")
    else:
        laws, remarks = taken_apart
        texts = [_law_in_words(*law) for law in laws]
        if texts != ["1", "1", "1"] or remarks:
            table = (("path of dX", "yours / expected"), *zip(_PATHS, texts, strict=True))
            found += _all_paths_alike(laws) or [
                words for path, law in zip(_PATHS, laws, strict=True) if (words := _path_in_words(path, law))
            ]
            found += [("wrong-average", remark) for remark in remarks]
    if not found:
        return None
    outputs = [
        name for name in batchnorm_backward.outputs if (name == "dX" and table) or f"{name}-wrong" in dict(found)
    ]
    listed = listing([f"`{name}`" for name in outputs])
    return Finding(
        f"{listed} {'are' if len(outputs) > 1 else 'is'} not right."
        + (" X reaches Y on three paths; this is how much of each is in your `dX`:" if table else ""),
        found[0][0],
        _sentence([words for _, words in found] + [f"`{name}` is not right either" for name in unknown]),
        "Draw the graph from X to X_hat: X itself, the mean, the variance. Follow one arrow at a time back, and write "
        "down its local derivative."
        if table
        else "Which entries of Y does one entry of the parameter reach? What is the slope of each?",
        table=table,
    )


def _all_paths_alike(laws: list) -> list[tuple[str, str]]:
    """One remark for a factor that all three paths share, or for paths that are missing together."""
    texts = [_law_in_words(*law) for law in laws]
    if texts[0] == "1" and laws[1][0] == laws[2][0] == 0:
        return [("statistics-as-constants", "mean and variance are treated as constants: of the three paths from X to "
                 "X_hat, only the direct one is there")]  # fmt: skip
    if len(set(texts)) > 1 or texts[0] == "1":
        return []
    reasons = {
        "1 / gamma": ("gamma-forgotten", "`gamma` is missing in `dX`"),
        "gamma": ("gamma-twice", "`gamma` is in `dX` twice"),
        "std": ("std-forgotten", "`dX` is not divided by the standard deviation"),
        "1 / std": ("std-twice", "`dX` is divided by the variance instead of the standard deviation"),
        "std²": ("std-multiplied", "`dX` is multiplied by the standard deviation instead of divided by it"),
        "N": ("times-N", "`dX` is N times too large: the sums are not divided by N"),
        "1 / N": ("divided-by-N", "`dX` is divided by N once more"),
        "std / √var": ("eps-lost", "`dX` is divided by √var: `eps` is not in it"),
    }
    return [reasons.get(texts[0], ("wrong-factor", f"`dX` as a whole is {texts[0]} times what it should be"))]


batchnorm_backward = Exercise(
    "batchnorm_backward",
    CHAPTER,
    8,
    "batchnorm_backward(dY, cache)",
    ("dX", "dgamma", "dbeta"),
    reference=backprop.batchnorm_backward,
    make_cases=_batchnorm_backward_cases,
    upstream="dY",
    explain=_three_paths,
    formula="dX = (dX_hat - dX_hat.mean(axis=0) - X_hat * (dX_hat * X_hat).mean(axis=0)) / std",
)


@batchnorm_backward.wheat
def staged(dY, cache):
    X_hat, std, gamma = cache["X_hat"], cache["std"], cache["gamma"]
    centred, N = cache["X"] - cache["mu"], len(dY)
    dX_hat = dY * gamma
    dvar = np.sum(dX_hat * centred, axis=0) * -0.5 * (cache["var"] + cache["eps"]) ** -1.5
    dmu = np.sum(dX_hat * -1 / std, axis=0) + dvar * np.mean(-2 * centred, axis=0)
    dX = dX_hat / std + dvar * 2 * centred / N + dmu / N
    return dX, np.sum(dY * X_hat, axis=0), np.sum(dY, axis=0)


@batchnorm_backward.wheat
def fused(dY, cache):
    N = dY.shape[0]
    dbeta = dY.sum(0)
    dgamma = (dY * cache["X_hat"]).sum(0)
    dX = cache["gamma"] / (N * cache["std"]) * (N * dY - dbeta - cache["X_hat"] * dgamma)
    return [dX, dgamma, dbeta]


@batchnorm_backward.wheat
def by_the_full_jacobian(dY, cache):
    X_hat, N = cache["X_hat"], len(dY)
    dX = np.zeros_like(dY)
    for j in range(dY.shape[1]):
        x = X_hat[:, j]
        J = (np.eye(N) - np.ones((N, N)) / N - np.outer(x, x) / N) * cache["gamma"][j] / cache["std"][j]
        dX[:, j] = J.T @ dY[:, j]
    return dX, np.einsum("nd,nd->d", dY, X_hat), np.ones(N) @ dY


@batchnorm_backward.wheat
def nodes_of_the_graph(dY, cache):
    N, D = dY.shape
    xmu, sqrtvar = cache["X"] - cache["mu"], np.sqrt(cache["var"] + cache["eps"])
    dxhat = dY * cache["gamma"]
    divar = np.sum(dxhat * xmu, axis=0)
    dsqrtvar = -1.0 / sqrtvar**2 * divar
    dvar = 0.5 / sqrtvar * dsqrtvar
    dsq = np.ones((N, D)) / N * dvar
    dx1 = dxhat / sqrtvar + 2 * xmu * dsq
    dmu = -np.sum(dx1, axis=0)
    return dx1 + np.ones((N, D)) / N * dmu, np.sum(dY * xmu / sqrtvar, axis=0), np.sum(dY, axis=0)


@batchnorm_backward.wheat
def in_fortran_order_and_in_place(dY, cache):
    dX = np.asfortranarray(dY * cache["gamma"])
    x = np.asfortranarray(cache["X_hat"])
    mean, product = dX.mean(axis=0), (dX * x).mean(axis=0)
    dX -= mean
    dX -= x * product
    dX /= cache["std"]
    return dX, np.add.reduce(dY * x), np.add.reduce(dY)


@batchnorm_backward.wheat
def with_single_precision(dY, cache):
    dY, X_hat, std, gamma = (a.astype(np.float32) for a in (dY, cache["X_hat"], cache["std"], cache["gamma"]))
    g = dY * gamma
    return (g - g.mean(0) - X_hat * (g * X_hat).mean(0)) / std, (dY * X_hat).sum(0), dY.sum(0)


@batchnorm_backward.wheat
def by_the_tensors_of_chapter_5(dY, cache):
    X, gamma = backprop.Tensor(cache["X"]), backprop.Tensor(cache["gamma"])
    beta = backprop.Tensor(np.zeros_like(cache["gamma"]))
    centred = X - X.mean(axis=0)
    Y = centred * ((centred * centred).mean(axis=0) + cache["eps"]) ** -0.5 * gamma + beta
    Y.backward(dY)
    return X.grad, gamma.grad, beta.grad


def _batchnorm_back(
    *,
    dX_hat=lambda dY, c: dY * c["gamma"],
    direct=1.0,
    mean=lambda A: A.mean(axis=0),
    variance=lambda A: A.mean(axis=0),
    X_hat=lambda c: c["X_hat"],
    std=lambda c: c["std"],
    dgamma=lambda dY, c: (dY * c["X_hat"]).sum(axis=0),
    dbeta=lambda dY, c: dY.sum(axis=0),
):
    """A backward pass with one thing done wrong."""

    def backward(dY, c):
        g, x = dX_hat(dY, c), X_hat(c)
        dX = (direct * g - mean(g) - x * variance(g * x)) / std(c)
        return dX, dgamma(dY, c), dbeta(dY, c)

    return backward


def _none(A: np.ndarray) -> float:
    return 0.0


_BACK_CHAFFS = (
    ("statistics-as-constants", "mean and variance are treated as constants, and dX is `dY * gamma / std`; they depend "
     "on X as well.", "If one entry of X grows, what happens to the mean of its column, and so to the other entries of "
     "X_hat?", _batchnorm_back(mean=_none, variance=_none)),
    ("variance-path-missing", "the path through the variance is missing.",
     "X reaches X_hat in three ways. Which statistics stand in the formula of X_hat?", _batchnorm_back(variance=_none)),
    ("mean-path-missing", "the path through the mean is missing.",
     "X reaches X_hat in three ways. What do the columns of dX add up to? They should add up to 0.",
     _batchnorm_back(mean=_none)),
    ("gamma-forgotten", "`gamma` is missing in dX: dY was taken for the gradient of X_hat.",
     "Y = gamma · X_hat + beta. What comes back to X_hat?", _batchnorm_back(dX_hat=lambda dY, c: dY)),
    ("variance-path-sign", "the path through the variance has the wrong sign.",
     "If an entry far from the mean moves further out, does the variance grow, and does X_hat grow or shrink?",
     _batchnorm_back(variance=lambda A: -A.mean(axis=0))),
    ("mean-path-sign", "the path through the mean has the wrong sign.",
     "If the mean grows, does X_hat grow or shrink?", _batchnorm_back(mean=lambda A: -A.mean(axis=0))),
    ("sums-not-means", "the two sums over the batch are not divided by N.",
     "The mean of N numbers: how much does it move if one of them moves by 1?",
     _batchnorm_back(mean=lambda A: A.sum(axis=0), variance=lambda A: A.sum(axis=0))),
    ("times-N", "dX is N times too large: the factor 1/N in front of the fused formula is missing.",
     "Every mean brings a 1/N. Where is yours?",
     _batchnorm_back(dX_hat=lambda dY, c: len(dY) * dY * c["gamma"])),
    ("variance-path-halved", "the path through the variance is half of what it should be: the 2 of the square is "
     "missing.", "What is the derivative of a square?", _batchnorm_back(variance=lambda A: A.mean(axis=0) / 2)),
    ("variance-path-doubled", "the path through the variance is twice what it should be: the ½ of the root is missing.",
     "What is the derivative of a root?", _batchnorm_back(variance=lambda A: 2 * A.mean(axis=0))),
    ("std-forgotten", "dX is not divided by the standard deviation.",
     "X_hat = (X − mean) / std. What is its slope in X, while the statistics stay as they are?",
     _batchnorm_back(std=lambda c: 1.0)),
    ("std-twice", "dX is divided by the variance instead of the standard deviation.",
     "Is `std` a root already?", _batchnorm_back(std=lambda c: c["std"] ** 2)),
    ("divided-by-N-minus-1", "the averages are divided by N − 1; the forward pass divides by N.",
     "How was the variance computed in the forward pass?",
     _batchnorm_back(mean=lambda A: A.mean(axis=0), variance=lambda A: A.sum(axis=0) / max(len(A) - 1, 1))),
    ("wrong-axis", "the averages in dX run over the features of one example, not over the batch.",
     "The mean and the variance of the forward pass: over which axis did they run?",
     _batchnorm_back(mean=lambda A: A.mean(axis=1, keepdims=True), variance=lambda A: A.mean(axis=1, keepdims=True))),
    ("X-not-X-hat", "X stands where X_hat belongs in dgamma.", "Y = gamma · X_hat + beta. What multiplies gamma?",
     _batchnorm_back(dgamma=lambda dY, c: (dY * c["X"]).sum(axis=0))),
    ("centred-not-normalised", "dgamma uses X − mu: it is not divided by the standard deviation.",
     "Y = gamma · X_hat + beta. What multiplies gamma?",
     _batchnorm_back(dgamma=lambda dY, c: (dY * (c["X"] - c["mu"])).sum(axis=0))),
    ("parameters-averaged", "`dgamma` and `dbeta` are averaged over the batch. Every example adds its own part.",
     "Nudge one entry of beta by 0.01: how many rows of Y move?",
     _batchnorm_back(dgamma=lambda dY, c: (dY * c["X_hat"]).mean(axis=0), dbeta=lambda dY, c: dY.mean(axis=0))),
    ("gamma-in-dgamma", "`gamma` multiplies in dgamma as well: the gradient of X_hat was taken for that of Y.",
     "Y = gamma · X_hat + beta. What is the slope of Y in gamma?",
     _batchnorm_back(dgamma=lambda dY, c: (dY * c["gamma"] * c["X_hat"]).sum(axis=0))),
    ("outputs-swapped", "`dgamma` and `dbeta` are returned in the other order.", "The order is `(dX, dgamma, dbeta)`.",
     lambda dY, c: (backprop.batchnorm_backward(dY, c)[0], dY.sum(axis=0), (dY * c["X_hat"]).sum(axis=0))),
    ("dX-is-zero", "dX is zero: an array was prepared for it and never filled.", "Which line fills dX?",
     _batchnorm_back(dX_hat=lambda dY, c: 0 * dY)),
    ("eps-lost", "dX is divided by the root of `var` alone: `eps` is lost on the way back.",
     "What was X divided by in the forward pass?", _batchnorm_back(std=lambda c: np.sqrt(c["var"]))),
    ("eps-twice", "`eps` is added once more: it is in `std` already.", "What does `std` hold: is `eps` in it?",
     _batchnorm_back(std=lambda c: c["std"] + c["eps"])),
    ("eps-twice", "`eps` is added once more, under the root: it is in `std` already.",
     "What does `std` hold: is `eps` in it?", _batchnorm_back(std=lambda c: np.sqrt(c["std"] ** 2 + c["eps"]))),
)  # fmt: skip
for _cause, _text, _hint, _function in _BACK_CHAFFS:
    batchnorm_backward.chaff(_cause, _text, _hint)(_function)


# batchnorm_slope


def _column_slope_cases():
    """Columns of normalised entries. The last is minus the sum of the others, for every such column adds up to 0."""
    import sympy

    cases = []
    for N, j in ((3, 2), (4, 1)):
        free = sympy.symbols(f"xhat0:{N - 1}")
        cases.append((f"N = {N}, j = {j}", ((*free, -sum(free)), sympy.Symbol("s", positive=True), j)))
    return cases


def _column_slope(*, direct=None, mean=1, product=None, divisor=None):
    """All slopes in entry j, with one part made otherwise; each part gets x_hat, s, i, j and N."""

    def slopes(x_hat, s, j):
        import sympy

        N = sympy.Integer(len(x_hat))
        result = []
        for i in range(len(x_hat)):
            first = int(i == j) if direct is None else direct(x_hat, s, i, j, N)
            last = x_hat[i] * x_hat[j] / N if product is None else product(x_hat, s, i, j, N)
            result.append((first - mean / N - last) / (s if divisor is None else divisor(s, N)))
        return result

    return slopes


def _right_column_slopes(x_hat, s, j):
    N = len(x_hat)
    return [(int(i == j) - (1 + entry * x_hat[j]) / N) / s for i, entry in enumerate(x_hat)]


batchnorm_slope = Derivation(
    "batchnorm_slope",
    CHAPTER,
    3,
    "batchnorm_slope(x_hat, s, j)",
    _column_slope_cases,
    expected=_right_column_slopes,
    formula="((1 if i == j else 0) - 1/N - x_hat[i] * x_hat[j] / N) / s for every i",
)


@batchnorm_slope.wheat
def by_the_quotient_rule(x_hat, s, j):
    N = len(x_hat)
    slopes = []
    for i, entry in enumerate(x_hat):
        slope_of_top = (1 if i == j else 0) - 1 / N
        slopes.append((slope_of_top * s - entry * s * x_hat[j] / N) / s**2)
    return slopes


@batchnorm_slope.wheat
def two_cases(x_hat, s, j):
    N = len(x_hat)
    slopes = [-(1 + entry * x_hat[j]) / (N * s) for entry in x_hat]
    slopes[j] = (N - 1 - x_hat[j] ** 2) / (N * s)
    return slopes


@batchnorm_slope.wheat
def with_kroneckers_delta(x_hat, s, j):
    import sympy

    N = len(x_hat)
    return tuple((sympy.KroneckerDelta(i, j) - (1 + x_hat[i] * x_hat[j]) / N) / s for i in range(N))


@batchnorm_slope.wheat
def column_of_the_whole_jacobian(x_hat, s, j):
    import sympy

    N, h = len(x_hat), sympy.Matrix(x_hat)
    return ((sympy.eye(N) - (sympy.ones(N, N) + h * h.T) / N) / s)[:, j]


@batchnorm_slope.wheat
def differentiated_by_sympy(x_hat, s, j):
    import sympy

    N = len(x_hat)
    x, eps = sympy.symbols(f"x:{N}"), sympy.Symbol("epsilon")
    mean = sum(x) / N
    variance = sum((entry - mean) ** 2 for entry in x) / N
    at = {entry: s * h for entry, h in zip(x, x_hat, strict=True)}  # any mean will do: 0, say
    at[eps] = s**2 - sum(h**2 for h in x_hat) * s**2 / N
    return [sympy.diff((entry - mean) / sympy.sqrt(variance + eps), x[j]).subs(at) for entry in x]


@batchnorm_slope.wheat
def three_ways_added(x_hat, s, j):
    N = len(x_hat)
    slopes = [-1 / s * (1 / N) - (s * h) / s**2 * (1 / (2 * s)) * (2 * s * x_hat[j] / N) for h in x_hat]
    slopes[j] += 1 / s
    return slopes


@batchnorm_slope.wheat
def the_sum_of_the_deviations_left_in(x_hat, s, j):
    N = len(x_hat)
    c = np.array([s * h for h in x_hat])
    own = np.eye(N)[j] - 1 / N
    return own / s - c * (2 * (c * own).sum() / N) / (2 * s**3)


_COLUMN_CHAFFS = (
    ("statistics-as-constants", "mean and standard deviation are treated as constants; both depend on the entry that "
     "is nudged.", "Raise one entry of the column: does the mean stay where it was?",
     _column_slope(mean=0, product=lambda h, s, i, j, N: 0)),
    ("variance-way-missing", "the way through the standard deviation is missing: s was kept as it is.",
     "Which letters in the definition of a normalised entry depend on the entry that is nudged?",
     _column_slope(product=lambda h, s, i, j, N: 0)),
    ("mean-way-missing", "the way through the mean is missing.",
     "The normalised entries add up to 0, whatever is nudged. So what must your list add up to?",
     _column_slope(mean=0)),
    ("direct-way-everywhere", "the direct way is there for every entry; the nudged one reaches the others only through "
     "the two statistics.", "If mean and standard deviation did not move, which entries would?",
     _column_slope(direct=lambda h, s, i, j, N: 1)),
    ("direct-way-missing", "the direct way is missing: the nudged entry moves itself, too.",
     "What is the slope of an entry in itself? Look at number j of your list.",
     _column_slope(direct=lambda h, s, i, j, N: 0)),
    ("variance-way-sign", "the way through the standard deviation has the wrong sign.",
     "If s grows, does a normalised entry move away from 0 or towards it?",
     _column_slope(product=lambda h, s, i, j, N: -h[i] * h[j] / N)),
    ("mean-way-sign", "the way through the mean has the wrong sign.",
     "If the mean rises, does a normalised entry rise or fall?", _column_slope(mean=-1)),
    ("product-not-averaged", "the way through the standard deviation lacks its 1/N: the variance is a mean.",
     "One of N squares changes. By which share of that does their mean change?",
     _column_slope(product=lambda h, s, i, j, N: h[i] * h[j])),
    ("mean-not-averaged", "the way through the mean lacks its 1/N.",
     "One of N numbers rises by 1. By how much does their mean rise?",
     _column_slope(mean=0, direct=lambda h, s, i, j, N: int(i == j) - 1)),
    ("variance-way-doubled", "the way through the standard deviation is twice what it should be: the root has a slope "
     "as well.", "What is the derivative of a root?", _column_slope(product=lambda h, s, i, j, N: 2 * h[i] * h[j] / N)),
    ("variance-way-halved", "the way through the standard deviation is half of what it should be: the square has a "
     "slope as well.", "What is the derivative of a square?",
     _column_slope(product=lambda h, s, i, j, N: h[i] * h[j] / (2 * N))),
    ("nudged-entry-squared", "the nudged entry stands twice in the last term. One factor comes from the variance, the "
     "other from what is divided by s.", "In a quotient, what multiplies the slope of the lower part?",
     _column_slope(product=lambda h, s, i, j, N: h[j] ** 2 / N)),
    ("own-entry-squared", "the entry whose slope is asked for stands twice in the last term; the variance is moved "
     "by the nudged one.", "Which entry moves the variance here?",
     _column_slope(product=lambda h, s, i, j, N: h[i] ** 2 / N)),
    ("deviations-not-normalised", "deviations from the mean stand in the last term where normalised entries belong.",
     "How many times must a deviation be divided by s in the end? Count the powers of s in your last term.",
     _column_slope(product=lambda h, s, i, j, N: s**2 * h[i] * h[j] / N)),
    ("not-divided-by-s", "nothing is divided by s.", "What does the numerator stand over?",
     _column_slope(divisor=lambda s, N: 1)),
    ("divided-by-the-variance", "it is divided by s² where s belongs.",
     "Stretch the column to twice its width: the normalised entries stay, and a nudge counts half. What happens to s²?",
     _column_slope(divisor=lambda s, N: s**2)),
    ("divided-by-N-minus-1", "the last term is divided by N − 1; the variance of batch norm is a mean over N.",
     "By what did the forward pass divide?", _column_slope(product=lambda h, s, i, j, N: h[i] * h[j] / (N - 1))),
    ("sign-flipped", "all signs are the wrong way round.",
     "Take a long column, where the statistics hardly move: does the nudged entry rise?",
     lambda x_hat, s, j: [-slope for slope in _column_slope()(x_hat, s, j)]),
)  # fmt: skip
for _cause, _text, _hint, _function in _COLUMN_CHAFFS:
    batchnorm_slope.chaff(_cause, _text, _hint)(_function)


# fix_batchnorm_backward: the bug hunt. The planted bug comes first: an unchanged copy is the likeliest wrong answer.


def _spread_held_fixed(dY, cache):
    """The function that the chapter shows: it never goes back through the standard deviation."""
    X_hat, std, gamma = cache["X_hat"], cache["std"], cache["gamma"]
    dgamma = (dY * X_hat).sum(axis=0)
    dbeta = dY.sum(axis=0)
    dcentred = dY * gamma / std
    dmu = -dcentred.sum(axis=0)
    return dcentred + dmu / len(dY), dgamma, dbeta


fix_batchnorm_backward = Exercise(
    "fix_batchnorm_backward",
    CHAPTER,
    3,
    "fix_batchnorm_backward(dY, cache)",
    ("dX", "dgamma", "dbeta"),
    reference=backprop.batchnorm_backward,
    make_cases=_batchnorm_backward_cases,
    upstream="dY",
    explain=_three_paths,
    partial_credit=False,
    formula="dstd = -(dX_hat * X_hat).sum(axis=0) / std, and every entry of dX gets dstd * X_hat / N besides",
)
fix_batchnorm_backward.chaff(
    "unchanged",
    "the planted bug is still there.",
    "List everything in the forward pass that X goes into. Which of these does the function never come back through?",
)(_spread_held_fixed)
fix_batchnorm_backward.wheats += batchnorm_backward.wheats
fix_batchnorm_backward.chaffs += [c for c in batchnorm_backward.chaffs if c.cause != "variance-path-missing"]


@fix_batchnorm_backward.wheat
def the_missing_way_added(dY, cache):
    X_hat, std, gamma = cache["X_hat"], cache["std"], cache["gamma"]
    dX_hat = dY * gamma
    dcentred = dX_hat / std
    dstd = -(dX_hat * X_hat).sum(axis=0) / std
    dvar = dstd / (2 * std)
    dcentred = dcentred + 2 * (X_hat * std) * dvar / len(dY)
    dX = dcentred - dcentred.sum(axis=0) / len(dY)
    return dX, (dY * X_hat).sum(axis=0), dY.sum(axis=0)


# clip_by_global_norm


def _clip_cases(rng: np.random.Generator) -> list[Case]:
    network = ((7, 5), (5,), (5, 3), (3,))

    def case(name: str, shapes: tuple, length: float, max_norm: float) -> Case:
        grads = [normal(rng, *shape) for shape in shapes]
        scale = length / np.sqrt(sum(np.sum(g * g) for g in grads))
        return Case(name, ([scale * g for g in grads], max_norm))

    uneven = case("one array larger than all others", network, 20.0, 2.0)
    uneven.args[0][2] *= 30.0
    return [
        case("a long gradient", network, 7.3, 2.0),
        case("a short gradient", network, 0.6, 2.5),
        case("a very long gradient", ((2, 3), (3,)), 4e4, 5.0),
        case("a little too long", ((3, 2), (2, 3, 5), (1,)), 1.03, 1.0),
        case("just short enough", ((5,), (3, 5)), 2.95, 3.0),
        case("max_norm below 1", network, 0.9, 0.25),
        case("long, and max_norm below 1", ((2, 11), (2,)), 3.7, 0.5),
        case("short, and max_norm large", ((11,), (2, 2)), 3.0, 40.0),
        case("one array", ((3, 7),), 11.0, 3.0),
        case("one number", ((1,),), 5.0, 2.0),
        Case("exactly as long as allowed", ([np.array([[3.0, 0.0]]), np.array([-4.0])], 5.0)),
        uneven,
    ]


def _nearest_clipping(answer, grads: list[np.ndarray], max_norm: float) -> tuple:
    """``max_norm / (norm + 1e-6)``, as PyTorch has it, is right as well, and so is any scale in between."""
    right, norm = backprop.clip_by_global_norm(grads, max_norm)
    try:
        theirs = np.concatenate([np.ravel(np.asarray(a, dtype=float)) for a in answer[0]])
    except (TypeError, ValueError):
        return right, norm
    ours = np.concatenate([g.ravel() for g in grads])
    if theirs.shape != ours.shape or not np.isfinite(theirs).all() or norm == 0:
        return right, norm
    scale = np.clip(ours @ theirs / norm**2, min(1.0, max_norm / (norm + 1e-6)), min(1.0, max_norm / norm))
    return [g * scale for g in grads], norm


def _zeros_stay_zeros(f: Callable, seed: int) -> Finding | None:
    zeros = ([np.zeros((3, 2)), np.zeros(2)], 1.0)
    answer = _answers(f, zeros, zeros, ("grads", "norm"))
    if answer is not None and not any(a.any() for a in answer.values()):  # nan counts as true
        return None
    return Finding(
        "A gradient of zeros does not come back as zeros with the norm 0.",
        "zero-by-zero",
        "0 is divided by 0, the length of the gradient.",
        "Is there anything to be clipped in a gradient of length 0? What does your code compute then?",
    )


_NORMS: dict[str, Callable] = {
    "": lambda grads: math.sqrt(sum(np.sum(g * g) for g in grads)),
    "the square of the norm: no root was taken": lambda grads: sum(np.sum(g * g) for g in grads),
    "the sum of the arrays' own norms": lambda grads: sum(np.linalg.norm(g) for g in grads),
    "the largest of the arrays' own norms": lambda grads: max(np.linalg.norm(g) for g in grads),
    "the mean of the arrays' own norms": lambda grads: np.mean([np.linalg.norm(g) for g in grads]),
    "the sum of all absolute values": lambda grads: sum(np.abs(g).sum() for g in grads),
    "the mean of all absolute values": lambda grads: np.abs(np.hstack([g.ravel() for g in grads])).mean(),
    "the largest absolute value": lambda grads: max(np.abs(g).max() for g in grads),
    "the root of the *mean* square over all entries": lambda grads: _NORM(grads) / sum(g.size for g in grads) ** 0.5,
    "the root of the sum of the arrays' mean squares": lambda grads: math.sqrt(sum(np.mean(g * g) for g in grads)),
    "the norm of the first array alone": lambda grads: np.linalg.norm(grads[0]),
    "the norm of the last array alone": lambda grads: np.linalg.norm(grads[-1]),
    "the norm divided by the number of arrays": lambda grads: _NORM(grads) / len(grads),
    "the root of the arrays' mean squared norm": lambda grads: _NORM(grads) / math.sqrt(len(grads)),
    "the root of the sum of the arrays' norms": lambda grads: math.sqrt(sum(np.linalg.norm(g) for g in grads)),
    "the sum of all entries": lambda grads: sum(g.sum() for g in grads),
    "the root of the sum of all absolute values": lambda grads: math.sqrt(sum(np.abs(g).sum() for g in grads)),
    "the norm of the matrices alone, without the biases": lambda grads: _NORM([g for g in grads if g.ndim > 1]),
    "the arrays' spectral norms (`np.linalg.norm(g, 2)` is the largest singular value of a matrix)":
        lambda grads: math.hypot(*(np.linalg.norm(g, 2) if g.ndim < 3 else np.linalg.norm(g) for g in grads)),
}  # fmt: skip
_NORM = _NORMS[""]
_OWN = "each array's own norm"
_SCALES: dict[str, Callable] = {
    "": lambda h, m: min(1.0, m / h),
    "short gradients are scaled as well: they are stretched to `max_norm`": lambda h, m: m / h,
    "nothing is scaled": lambda h, m: 1.0,
    "the comparison is the wrong way round: short gradients are stretched, and long ones pass":
        lambda h, m: max(1.0, m / h),
    "long gradients are brought to the length 1, not to `max_norm`": lambda h, m: 1 / h if h > m else 1.0,
    "every gradient is brought to the length 1": lambda h, m: 1 / h,
    "the clipped norm itself is taken for the factor": lambda h, m: min(h, m),
    "the fraction is upside down: long gradients become longer": lambda h, m: max(1.0, h / m),
    "the fraction is upside down: short gradients become shorter": lambda h, m: min(1.0, h / m),
    "the fraction is upside down, and every gradient is scaled": lambda h, m: h / m,
    "long gradients are multiplied by `max_norm`": lambda h, m: m if h > m else 1.0,
    "every gradient is multiplied by `max_norm`": lambda h, m: m,
    "long gradients are divided by `max_norm`": lambda h, m: 1 / m if h > m else 1.0,
    "every gradient is divided by `max_norm`": lambda h, m: 1 / m,
    "long gradients are divided twice by their norm": lambda h, m: m / h**2 if h > m else 1.0,
    "the square of the norm is compared with `max_norm`": lambda h, m: m / h if h * h > m else 1.0,
    "the norm is compared with the square of `max_norm`": lambda h, m: m / h if h > m * m else 1.0,
    "the norm is compared with 1, not with `max_norm`": lambda h, m: m / h if h > 1 else 1.0,
    "the root of the factor was taken": lambda h, m: np.sqrt(min(1.0, m / h)),
    "the factor is squared": lambda h, m: min(1.0, m / h) ** 2,
    "the factor is `max_norm / (max_norm + norm)`": lambda h, m: m / (m + h),
    "long gradients are set to 0": lambda h, m: 0.0 if h > m else 1.0,
    "the factor has the wrong sign": lambda h, m: -min(1.0, m / h),
    **{f"{e:g} is added to the norm in the fraction: that is too much": lambda h, m, e=e: min(1.0, m / (h + e))
       for e in (1.0, 0.1, 1e-2, 1e-3, 1e-4)},
}  # fmt: skip
_OTHERWISE_CLIPPED: dict[str, Callable] = {  # of the arrays, max_norm, and the right factor
    "each entry is cut off at `max_norm`: that turns the gradient; all of it should be scaled by one factor":
        lambda grads, m, c: [np.clip(g, -m, m) for g in grads],
    "each entry of a long gradient is cut off at `max_norm`: that turns it; it should be scaled by one factor":
        lambda grads, m, c: [np.clip(g, -m, m) if c < 1 else g for g in grads],
    "entries above `max_norm` are cut off, and negative ones are let through":
        lambda grads, m, c: [np.minimum(g, m) for g in grads],
    "the gradient is cut off at 0 and `max_norm`": lambda grads, m, c: [np.clip(g, 0, m) for g in grads],
    "each array of a long gradient is brought to `max_norm` by its own norm":
        lambda grads, m, c: [m * g / np.linalg.norm(g) if c < 1 else g for g in grads],
    "each row is scaled by its own norm": lambda grads, m, c: [
        g * np.minimum(1, m / np.linalg.norm(g, axis=-1, keepdims=True)) for g in grads],
    "only the sign of each entry is left": lambda grads, m, c: [m * np.sign(g) for g in grads],
    "arrays with one axis (biases) are not scaled": lambda grads, m, c: [c * g if g.ndim > 1 else g for g in grads],
    "the first array is not scaled": lambda grads, m, c: [grads[0], *(c * g for g in grads[1:])],
    "the last array is not scaled": lambda grads, m, c: [*(c * g for g in grads[:-1]), grads[-1]],
    "only the first array is scaled": lambda grads, m, c: [c * grads[0], *grads[1:]],
    "only the last array is scaled": lambda grads, m, c: [*grads[:-1], c * grads[-1]],
}  # fmt: skip


def _clip_draws(f: Callable) -> list | None:
    rng = np.random.default_rng(8)
    draws = []
    for length, max_norm in (
        (9.0, 0.7),
        (30.0, 4.0),
        (2.0, 3.5),
        (0.5, 0.8),
        (0.02, 0.8),
        (4.0, 2.9),
        (0.8, 0.05),
        (1.5, 1.2),
    ):
        grads = [normal(rng, *shape) for shape in ((5, 3), (3,), (2, 7))]
        norm = _NORM(grads)
        grads = [g * length / norm for g in grads]
        answer = _answers(f, (grads, max_norm), backprop.clip_by_global_norm(grads, max_norm), ("grads", "norm"))
        if answer is None or any(answer[f"grads[{i}]"].shape != g.shape for i, g in enumerate(grads)):
            return None
        draws.append((grads, max_norm, [answer[f"grads[{i}]"] for i in range(3)], answer["norm"]))
    return draws


def _which_scale(draws: list) -> list[str] | None:
    """What the arrays were multiplied by, as remarks on the norm and on the factor made of it; [] if it is right."""
    if all(
        same(a, r, 1e-7)
        for grads, m, theirs, norm in draws
        for a, r in zip(theirs, _nearest_clipping((theirs, norm), grads, m)[0], strict=True)
    ):
        return []
    for (norm, h), (scale, factor) in sorted(
        itertools.product((*_NORMS.items(), (_OWN, None)), _SCALES.items()),
        key=lambda pair: (pair[0][0] != "") + (pair[1][0] != ""),
    ):
        if all(
            same(a, g * factor(np.linalg.norm(g) if h is None else h(grads), m), 1e-6)
            for grads, m, theirs, _ in draws
            for g, a in zip(grads, theirs, strict=True)
        ):
            if norm == "" or scale == "nothing is scaled":
                return [scale] if scale else []
            return [f"the factor is made from {norm}"] + ([scale] if scale else [])
    for text, change in _OTHERWISE_CLIPPED.items():
        if all(
            same(a, g, 1e-6)
            for grads, m, theirs, _ in draws
            for g, a in zip(change(grads, m, _SCALES[""](_NORM(grads), m)), theirs, strict=True)
        ):
            return [text]
    return _factors_in_words(draws)


def _factors_in_words(draws: list) -> list[str] | None:
    """What can be said of the factors if they follow none of the rules above."""
    factors = [[_common_factor(a, g) for g, a in zip(grads, theirs, strict=True)] for grads, _, theirs, _ in draws]
    if any(c is None for own in factors for c in own):
        return ["the entries of one array are not all multiplied by the same number: the gradient turns"]
    if any(np.ptp(own) > 1e-6 * abs(own[0]) for own in factors):
        return ["each array has a factor of its own: the gradient turns"]
    lengths = [(own[0] * _NORM(grads), own[0], grads, m) for own, (grads, m, *_) in zip(factors, draws, strict=True)]
    clipped = [length for length, c, *_ in lengths if c < 1 - 1e-9]
    if clipped and np.allclose(clipped, clipped[0]) and all(c == 1 or c < 1 for _, c, *_ in lengths):
        return [f"{clipped[0]:.4g} stands where `max_norm` belongs"]
    listed = [f"{c:.4g} for the norm {_NORM(grads):.3g} and max_norm = {m:g}" for _, c, grads, m in lengths[:3]]
    return [f"all arrays are multiplied by one factor, and it is not the right one: {listing(listed)}"]


def _common_factor(a: np.ndarray, g: np.ndarray) -> float | None:
    c = float(np.vdot(a, g) / np.vdot(g, g))
    return c if same(a, c * g, 1e-6) else None


def _which_norm(draws: list) -> str | None:
    after: dict[str, Callable] = {
        "the norm *after* clipping": lambda grads, m, theirs: _NORM(theirs),
        "the smaller one of the norm and `max_norm`": lambda grads, m, theirs: min(_NORM(grads), m),
        "`max_norm`": lambda grads, m, theirs: m,
        "the factor, not the norm": lambda grads, m, theirs: min(1.0, m / _NORM(grads)),
        "the factor `max_norm / norm`, not the norm": lambda grads, m, theirs: m / _NORM(grads),
    }
    before = {name: lambda grads, m, theirs, h=h: h(grads) for name, h in _NORMS.items()}
    for name, h in (before | after).items():
        if all(same(norm, np.asarray(h(grads, m, theirs)), 1e-5) for grads, m, theirs, norm in draws):
            return name
    return None


def _how_it_was_clipped(f: Callable) -> Finding | None:
    """Compares the factor of the arrays, and the norm, with what other norms and other factors give."""
    draws = _clip_draws(f)
    if draws is None:
        return None
    scale, norm = _which_scale(draws), _which_norm(draws)
    found = list(scale or [])
    if norm and f"the factor is made from {norm}" not in found:
        found.append(f"the returned `norm` is {norm}")
    if not found:
        return None
    found += ["the arrays are not right either"] * (scale is None)
    found += ["the returned `norm` is not right either"] * (norm is None)
    _, m, theirs, theirs_norm = draws[0]
    return Finding(
        f"A gradient of length 9 with `max_norm` = {m:g} comes back with length {_NORM(theirs):.4g}, and its "
        f"`norm` is said to be {float(theirs_norm):.4g}.",
        "clipping" if scale else "wrong-norm",
        _sentence(found),
        "Lay all arrays end to end: they are one long vector. How long is it, and by which one number must it be "
        "multiplied, if at all?",
    )


clip_by_global_norm = Exercise(
    "clip_by_global_norm",
    CHAPTER,
    4,
    "clip_by_global_norm(grads, max_norm)",
    ("grads", "norm"),
    reference=backprop.clip_by_global_norm,
    make_cases=_clip_cases,
    oracle=_nearest_clipping,
    may_alias=True,  # what needs no clipping may come back as it is
    explain=_how_it_was_clipped,
    properties=(_zeros_stay_zeros,),
    formula="norm = np.sqrt(sum((g * g).sum() for g in grads)), and every array times max_norm / norm if that is less",
)


@clip_by_global_norm.wheat
def as_pytorch_does(grads, max_norm):
    norm = np.linalg.norm([np.linalg.norm(g) for g in grads])
    coefficient = min(max_norm / (norm + 1e-6), 1.0)
    return [g * coefficient for g in grads], norm


@clip_by_global_norm.wheat
def laid_end_to_end(grads, max_norm):
    vector = np.concatenate([g.ravel() for g in grads])
    norm = np.sqrt(vector @ vector)
    if norm > max_norm:
        vector = vector / norm * max_norm
    parts = np.split(vector, np.cumsum([g.size for g in grads])[:-1])
    return tuple(part.reshape(g.shape) for part, g in zip(parts, grads, strict=True)), norm


@clip_by_global_norm.wheat
def untouched_if_short(grads, max_norm):
    total = 0.0
    for g in grads:
        for x in g.flat:
            total += x**2
    norm = total**0.5
    if norm <= max_norm:
        return grads, norm
    return [max_norm * g / norm for g in grads], norm


@clip_by_global_norm.wheat
def as_tensorflow_does(grads, max_norm):
    norm = np.sqrt(np.sum([np.vdot(g, g) for g in grads]))
    return [g * max_norm / max(norm, max_norm) for g in grads], norm


@clip_by_global_norm.wheat
def rounded_to_single_precision(grads, max_norm):
    grads = [g.astype(np.float32) for g in grads]
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in grads))
    return [g * np.float32(max_norm / norm) if norm > max_norm else g for g in grads], norm


@clip_by_global_norm.wheat
def in_fortran_order_by_einsum(grads, max_norm):
    squares = [np.einsum("i,i->", g.ravel(), g.ravel()) for g in grads]
    norm = float(np.sum(squares) ** 0.5)
    copies = [np.array(g, order="F") for g in grads]
    if norm > max_norm:
        for g in copies:
            g *= max_norm / norm
    return [copies, norm]


def _clipped(norm: Callable, scale: Callable = _SCALES[""], shown: Callable | None = None) -> Callable:
    """Clipping with another norm, another factor, or another norm that is returned."""

    def clip(grads, max_norm):
        h = norm(grads)
        factor = scale(h, max_norm) if h else 1.0
        return [g * factor for g in grads], (shown or (lambda grads, m, h: h))(grads, max_norm, h)

    return clip


_CLIP_CHAFFS = (
    ("own-norms", "each array is scaled by its own norm: the whole gradient turns.",
     "After clipping, must the long vector of all arrays still point the same way?",
     lambda grads, m: ([g * min(1.0, m / max(np.linalg.norm(g), 1e-300)) for g in grads], _NORM(grads))),
    ("by-value", "each entry is cut off at `max_norm`: that turns the gradient. It should be scaled by one factor.",
     "Draw the vector (3, 1) and cut its entries off at 1. Where does it point?",
     lambda grads, m: ([np.clip(g, -m, m) for g in grads], _NORM(grads))),
    ("always-scaled", "short gradients are scaled as well: they are stretched to `max_norm`.",
     "Near a minimum the gradient is short. Should the step there be as long as far away?",
     _clipped(_NORM, lambda h, m: m / h)),
    ("norm-after", "the norm that is returned is that of the clipped gradient.",
     "What would you like to see in a training log: that the norm was clipped to 5 again, or how large it had been?",
     _clipped(_NORM, shown=lambda grads, m, h: min(h, m))),
    ("root-missing", "the square of the norm is used: no root was taken.", "How long is the vector (3, 4)?",
     _clipped(lambda grads: sum(np.sum(g * g) for g in grads))),
    ("sum-of-norms", "the norms of the arrays are added up. Lengths of parts at right angles don't add.",
     "Two arrays with one number each, 3 and 4: how long is the vector (3, 4)?",
     _clipped(lambda grads: float(sum(np.linalg.norm(g) for g in grads)))),
    ("absolute-values", "absolute values are added up (the L1 norm).", "How long is the vector (3, 4)?",
     _clipped(_NORMS["the sum of all absolute values"])),
    ("largest-entry", "the largest absolute value is taken for the norm.", "How long is the vector (3, 4)?",
     _clipped(lambda grads: max(np.abs(g).max() for g in grads))),
    ("mean-square", "the squares are averaged, not summed.", "Does a vector get longer if more numbers are put to it?",
     _clipped(_NORMS["the root of the *mean* square over all entries"])),
    ("largest-array", "the largest of the arrays' norms is taken for the norm of all.",
     "Two arrays with one number each, 3 and 4: how long is the vector (3, 4)?",
     _clipped(lambda grads: max(float(np.linalg.norm(g)) for g in grads))),
    ("condition-turned", "the comparison is the wrong way round: short gradients are stretched, and long ones pass.",
     "Which gradients do harm: the long ones or the short ones?", _clipped(_NORM, lambda h, m: max(1.0, m / h))),
    ("to-length-1", "long gradients are brought to the length 1, not to `max_norm`.",
     "How long is your result if `max_norm` is 5?", _clipped(_NORM, lambda h, m: 1 / h if h > m else 1.0)),
    ("upside-down", "the fraction is upside down: long gradients become longer.",
     "Is your factor larger or smaller than 1?", _clipped(_NORM, lambda h, m: max(1.0, h / m))),
    ("never-scaled", "the gradients are returned as they came.", "Which line of yours changes them?",
     _clipped(_NORM, lambda h, m: 1.0)),
    ("last-array-only", "the norm is that of the last array alone: each round of the loop replaced the sum.",
     "Every array adds to the sum. Is it `=` or `+=`?", _clipped(lambda grads: float(np.linalg.norm(grads[-1])))),
)  # fmt: skip
for _cause, _text, _hint, _function in _CLIP_CHAFFS:
    clip_by_global_norm.chaff(_cause, _text, _hint)(_function)


@clip_by_global_norm.chaff(
    "argument-changed",
    "the arrays were scaled in place: the caller's gradients are changed.",
    "Whose arrays are these? Make new ones.",
)
def _(grads, max_norm):
    norm = _NORM(grads)
    if norm > max_norm:
        for g in grads:
            g *= max_norm / norm
    return grads, norm


@clip_by_global_norm.chaff(
    "zero-by-zero",
    "for a gradient of zeros 0 is divided by 0.",
    "Is there anything to be clipped in a gradient of length 0? What does your code compute then?",
)
def _(grads, max_norm):
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    scale = np.minimum(1.0, max_norm / norm)
    return [scale * (g / norm) * norm for g in grads], norm


# dropout_forward: judged with the learner's own mask, and the mask by its statistics.
#
# In a case of n entries the number that is kept may differ from its expectation by what Bernstein's inequality
# allows with probability 1e-9; the spread of the rows' and columns' sums, and of the total over 30 draws, by what
# has a probability of less than 1e-9 (tests/test_misbehaving.py adds it all up: fewer than 1e-7 of all checks).

CHANCE = 1e-9
SPREAD_OF_SUMS = (0.25, 3.0)  # variance of the sums of 101 rows or 97 columns, over that of independent entries
SPREAD_OF_TOTALS = (0.05, 6.0)  # the same for 30 totals
_SHARE = "(mask != 0).mean()"


def _slack(n: int, p: float) -> float:
    """By how much the share of n entries that were kept may differ from ``1 - p``."""
    L, variance = math.log(2 / CHANCE), p * (1 - p)
    return (L / 3 + math.sqrt(L**2 / 9 + 2 * L * n * variance)) / n if p else 0.0


def _dropout_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int, p: float, X: np.ndarray | None = None) -> Case:
        generator = np.random.default_rng(int(rng.integers(2**32)))
        return Case(name, (normal(rng, N, D) if X is None else X, p, generator), {"N": N, "D": D})

    return [
        case("61 × 67, p = 0.2", 61, 67, 0.2),
        case("59 × 47, p = 0.5", 59, 47, 0.5),
        case("43 × 71, p = 0.75", 43, 71, 0.75),
        case("nothing dropped: p = 0", 7, 5, 0.0),
        case("N = 1", 1, 1009, 0.3),
        case("square", 41, 41, 0.1),
        case("X with zeros, as after a ReLU", 53, 61, 0.4, np.maximum(normal(rng, 53, 61), 0)),
    ]


def _with_share(f: Callable) -> Callable:
    def forward(X, p, rng):
        flat, faults = read(_with_generator(f, X, p, rng), (X, X), ("Y", "mask"))
        for fault in faults.values():
            raise fault
        mask = flat["mask"].astype(float)
        if mask.shape != X.shape:
            raise WrongStructure(
                "mask-shape",
                f"`mask` should have the shape of X, {X.shape}, and has {mask.shape}.",
                "Every entry is kept or dropped on its own. How many decisions is that?",
            )
        # A mask may be 0 and 1 and yet wrong, so its values are left out for p = 0: what is not in every case is not
        # called right. There the share says it all.
        return {"Y": flat["Y"], _SHARE: float((mask != 0).mean())} | ({"mask": mask} if p else {})

    return forward


def _right_for_this_mask(answer, X: np.ndarray, p: float, rng: np.random.Generator) -> dict:
    """What belongs to the learner's mask; or to the mask that made Y, if Y is right by itself."""
    Y, mask, share = answer["Y"], answer.get("mask", answer[_SHARE] * np.ones(X.shape)) != 0, answer[_SHARE]
    kept, seen = mask, X != 0
    if Y.shape == X.shape and _near(float((Y != 0)[seen].mean()), p, int(seen.sum())):
        made = np.where(seen, Y != 0, mask)
        kept = made if same(Y, X * made / (1 - p)) else mask
    right = {"Y": X * kept / (1 - p), _SHARE: share if _near(share, p, X.size) else 1 - p}
    return right | ({"mask": kept.astype(float)} if p else {})


def _near(share: float, p: float, n: int) -> bool:
    return abs(share - (1 - p)) <= _slack(n, p)


def _without_zeros(seed: int, N: int, D: int) -> np.ndarray:
    return off_kink(np.random.default_rng([seed, N]), N, D)


def _masks(f: Callable, seed: int, count: int, N: int, D: int) -> np.ndarray | None:
    """Which entries are kept, for p = 0.5, by several generators; None if the answers can't be read."""
    X, generators = _without_zeros(seed, N, D), [np.random.default_rng([seed, N, i]) for i in range(count)]
    answers = [_answers(f, (X, 0.5, generator), (X, X), ("Y", "mask")) for generator in generators]
    masks = [np.zeros(0) if answer is None else answer["mask"] != 0 for answer in answers]
    return np.stack(masks) if all(mask.shape == (N, D) for mask in masks) else None


def _entries_drop_alone(f: Callable, seed: int) -> Finding | None:
    """Whether the entries are dropped independently of one another: not by rows, nor a fixed number of them."""
    large, small = _masks(f, seed, 1, 101, 97), _masks(f, seed, 30, 5, 7)
    if large is None or small is None or (small == small[0]).all():  # the same mask always: `_follows_rng` tells
        return None
    mask = large[0]
    if all(m.all() or not m.any() for m in small) and small.any() and not small.all():
        return Finding(
            "In each call all entries are kept, or all are dropped.",
            "entries-dropped-together",
            "one random number was drawn for the whole array.",
            "How many random numbers does an array of the shape `(N, D)` need?",
        )
    share = float(mask.mean())
    if not 0.2 < share < 0.8:  # the share itself is wrong, and the cases tell
        return None
    spread = share * (1 - share)
    rows, columns = (np.var(mask.sum(axis=axis), ddof=1) / (mask.shape[axis] * spread) for axis in (1, 0))
    total = np.var(small.sum(axis=(1, 2)), ddof=1) / (35 * spread)
    for word, ratio in (("row", rows), ("column", columns)):
        if ratio > SPREAD_OF_SUMS[1]:
            return Finding(
                f"The entries of one {word} are kept or dropped together.",
                "entries-dropped-together",
                f"a decision was drawn for each {word} and not for each entry.",
                "How many random numbers does an array of the shape `(N, D)` need?",
            )
    if min(rows, columns) < SPREAD_OF_SUMS[0] or total < SPREAD_OF_TOTALS[0]:
        where = "In every row" if rows < SPREAD_OF_SUMS[0] else "In every column"
        where = where if min(rows, columns) < SPREAD_OF_SUMS[0] else "In every call with an array of one shape"
        return Finding(
            f"{where} (almost) the same number of entries is dropped.",
            "fixed-number-dropped",
            "a fixed number of entries was picked. Each entry decides on its own.",
            "If you toss ten coins, do you always get five heads?",
        )
    if total > SPREAD_OF_TOTALS[1]:
        return Finding(
            "The number of entries that are kept scatters far more than with independent decisions.",
            "entries-dropped-together",
            "entries are kept or dropped together.",
            "How many random numbers does an array of the shape `(N, D)` need?",
        )
    return None


def _follows_rng(f: Callable, seed: int) -> Finding | None:
    masks = _masks(f, seed, 3, 13, 11)
    if masks is None or any(mask.all() or not mask.any() for mask in masks):
        return None  # nothing is dropped, or p is misread: the cases tell
    return _draws_from(lambda rng: _drawn(call(f, (_without_zeros(seed, 13, 11), 0.5, rng)).value), seed)


def _mask_is_random(f: Callable, seed: int) -> Finding | None:
    return _follows_rng(f, seed) or _entries_drop_alone(f, seed)


_P_FACTORS: dict[str, Callable[[float], float]] = {  # what becomes of the entries that are kept
    "": lambda p: 1 / (1 - p),
    "is not scaled up": lambda p: 1.0,
    "is divided by p; p is the probability of *dropping*": lambda p: 1 / p,
    "is multiplied by 1 − p, not divided": lambda p: 1 - p,
    "is multiplied by p": lambda p: p,
    "is divided by 1 − p twice": lambda p: 1 / (1 - p) ** 2,
    "is divided by 1 − p three times": lambda p: (1 - p) ** -3,
    "is divided by the root of 1 − p": lambda p: (1 - p) ** -0.5,
    "is divided by 1 + p": lambda p: 1 / (1 + p),
    "is multiplied by 1 + p": lambda p: 1 + p,
    "is multiplied by p / (1 − p)": lambda p: p / (1 - p),
    "is multiplied by (1 − p) / p": lambda p: (1 - p) / p,
    "gets the wrong sign, and is not scaled up": lambda p: -1.0,
    "gets the wrong sign": lambda p: -1 / (1 - p),
}


def _law_of_p(factors: list[tuple[float, float]]) -> str | None:
    """Which of the factors above was used, given pairs of p and the factor that was found."""
    for text, law in _P_FACTORS.items():
        if all(abs(factor - law(p)) <= 1e-6 * abs(law(p)) for p, factor in factors):
            return text
    return None


def _which_dropout(f: Callable) -> Finding | None:
    """From X without zeros: which entries of Y are kept, by which factor, how many, and what the mask is to them."""
    rng = np.random.default_rng(8)
    draws = []
    for p in (0.2, 0.35, 0.9):
        X = 1 + np.abs(normal(rng, 61, 67))
        answer = _answers(f, (X, p, rng), (X, X), ("Y", "mask"))
        if answer is None or answer["Y"].shape != X.shape or answer["mask"].shape != X.shape:
            return None
        draws.append((p, X, answer["Y"], answer["mask"]))
    if all(set(np.unique(Y)) <= {0.0, 1.0} and same(mask, X * Y / (1 - p)) for p, X, Y, mask in draws):
        return Finding("`Y` is the mask, and `mask` is Y.", "outputs-swapped", "the two results are returned in the "
                       "other order.", "Compare the order in your `return` with the signature.")  # fmt: skip
    if all(len(np.unique(mask)) > mask.size / 2 for *_, mask in draws):
        return Finding("`mask` has as many different values as entries.", "mask-not-compared", "the mask holds the "
                       "random numbers themselves: they were not compared with anything.", "A mask answers a question "
                       "for each entry, with yes or no. Which question?")  # fmt: skip
    together = _entries_drop_alone(f, 8)
    found = [] if together else _share_remarks(draws)
    if "dropped-entries-kept" not in dict(found):
        found += _scale_remarks(draws)
    if not {"dropped-entries-kept", "nothing-dropped"} & dict(found).keys():
        found += _mask_remarks(draws)
    if not found or found == [("factor-varies", _VARIES)]:
        return together or _follows_rng(f, 8)
    p, X, Y, _ = draws[0]
    return Finding(
        f"With p = {p:g}, {(Y != 0).mean():.0%} of the entries of `Y` are not 0, and the mean of `Y` is "
        f"{Y.mean() / X.mean():.3g} × that of X.",
        found[0][0],
        _sentence([text for _, text in found]),
        "Take an entry that is 1. Which values can it have in Y, how probable is each, and what is its expectation?",
    )


def _share_remarks(draws: list) -> list[tuple[str, str]]:
    """Whether Y keeps the right share of entries, and if not, which."""
    n = draws[0][1].size
    shares = [(p, float((Y != 0).mean())) for p, _, Y, _ in draws]
    if all(_near(share, p, n) for p, share in shares):
        return []
    laws: list[tuple[str, str, Callable[[float], float]]] = [
        ("nothing-dropped", "no entry of Y is 0: the mask was not multiplied with X", lambda p: 0.0),
        ("keep-probability", "p is taken for the probability of *keeping* an entry; it is that of dropping it",
         lambda p: 1 - p),
        ("p-not-used", "whatever p is, about half of the entries are kept", lambda p: 0.5),
        ("dropped-twice", "two masks were drawn, and an entry of Y is kept only if both keep it",
         lambda p: 1 - (1 - p) ** 2),
        ("percent", "p is taken for a percentage: about one entry in a hundred is dropped where all but a few should "
         "stay", lambda p: p / 100),
        ("normal-numbers", "normal numbers were compared with p", lambda p: 0.5 * (1 + math.erf(p / math.sqrt(2)))),
        ("uniform-from-minus-1", "numbers between −1 and 1 were compared with p", lambda p: (1 + p) / 2),
        ("all-dropped", "all entries of Y are 0", lambda p: 1.0),
    ]  # fmt: skip
    if all(share == 1 and 0 < (mask != 0).mean() < 1 for (_, share), (*_, mask) in zip(shares, draws, strict=True)):
        rest = [(Y / X)[mask == 0] for _, X, Y, mask in draws]
        if all(np.ptp(q) < 1e-6 for q in rest):
            return [("dropped-entries-kept", "entries where the mask is 0 are not set to 0: they are "
                     + ("X itself" if abs(rest[0][0] - 1) < 1e-6 else f"{rest[0][0]:.3g} · X"))]  # fmt: skip
    for cause, text, dropped in laws:
        if all(_near(share, dropped(p), n) for p, share in shares):
            return [(cause, text)]
    listed = listing([f"{share:.0%} for p = {p:g}" for p, share in shares])
    return [("wrong-share", f"the share of entries that are kept is not 1 − p: it is {listed}")]


_VARIES = "where `Y` is not 0, it is not X times one number"


def _scale_remarks(draws: list) -> list[tuple[str, str]]:
    """By which factor Y differs from X where it is not 0."""
    factors = [(p, Y[Y != 0] / X[Y != 0], float((Y != 0).mean())) for p, X, Y, _ in draws if Y.any()]
    if not factors:
        return []
    if all(np.ptp(Y[Y != 0]) <= 1e-6 * np.abs(Y).max() for _, _, Y, _ in draws if Y.any()):
        return [("X-missing", "X is not in `Y`: it is the mask, possibly scaled")]
    if any(np.ptp(q) > 1e-6 * abs(q[0]) for _, q, _ in factors):
        return [("factor-varies", _VARIES)]
    law = _law_of_p([(p, q[0]) for p, q, _ in factors])
    if law is None and all(abs(q[0] * share - 1) < 1e-6 for _, q, share in factors):
        law = "is divided by the share that happened to be kept, not by its expectation"
    if law is None:
        law = "is multiplied by " + listing([f"{q[0]:.4g} for p = {p:g}" for p, q, _ in factors])
    return [("wrong-scale", f"what is kept {law}")] if law else []


def _mask_remarks(draws: list) -> list[tuple[str, str]]:
    """What is wrong with the mask itself, compared with the entries of Y that are not 0."""
    kept = [(Y != 0, mask) for _, _, Y, mask in draws]
    if all(np.array_equal(mask != 0, k) for k, mask in kept):
        values = [(p, mask[mask != 0]) for p, _, _, mask in draws]
        if any((v != 1).any() for _, v in values):
            if all(np.allclose(v, 1 / (1 - p)) for p, v in values):
                return [("mask-scaled", "the returned mask has been divided by 1 − p already")]
            return [("mask-values", "the returned mask has other values than 0 and 1")]
        return []
    if all(np.array_equal(mask != 0, ~k) for k, mask in kept):
        return [("mask-inverted", "the returned mask is true where an entry was *dropped*")]
    if all((mask != 0).all() for _, mask in kept):
        return [("mask-values", "the returned mask has no zeros")]
    return [("another-mask", "the returned mask is not the one that made Y: it was drawn anew, or changed")]


dropout_forward = Exercise(
    "dropout_forward",
    CHAPTER,
    4,
    "dropout_forward(X, p, rng)",
    ("Y", "mask", _SHARE),
    reference=backprop.dropout_forward,
    make_cases=_dropout_cases,
    oracle=_right_for_this_mask,
    adapt=_with_share,
    explain=_which_dropout,
    properties=(_mask_is_random,),
    may_alias=True,  # where nothing is dropped, X itself may come back
    formula="mask = rng.random(X.shape) >= p; Y = X * mask / (1 - p)",
)


@dropout_forward.wheat
def by_binomial(X, p, rng):
    mask = rng.binomial(1, 1 - p, size=X.shape)
    return mask * X / (1.0 - p), mask


@dropout_forward.wheat
def by_two_loops(X, p, rng):
    Y, mask = np.zeros_like(X), np.zeros(X.shape, dtype=bool)
    for n in range(X.shape[0]):
        for d in range(X.shape[1]):
            if rng.random() < 1 - p:
                mask[n, d] = True
                Y[n, d] = X[n, d] / (1 - p)
    return Y, mask


@dropout_forward.wheat
def by_choice(X, p, rng):
    mask = rng.choice([0.0, 1.0], size=X.shape, p=[p, 1 - p])
    return np.multiply(X, mask) * (1 / (1 - p)), mask


@dropout_forward.wheat
def by_where(X, p, rng):
    mask = rng.uniform(0, 1, X.shape) > p
    return np.where(mask, X / (1 - p), 0.0), mask.astype(np.uint8)


@dropout_forward.wheat
def nothing_to_do_for_zero(X, p, rng):
    if p == 0:
        return X, np.ones_like(X)
    Y = X / (1 - p)
    dropped = rng.random(X.size).reshape(X.shape) < p
    Y[dropped] = 0
    return [Y, ~dropped]


@dropout_forward.wheat
def in_single_precision_and_fortran_order(X, p, rng):
    mask = np.asfortranarray(rng.random(X.shape, dtype=np.float32) >= p).astype(np.float32)
    return X.astype(np.float32) * mask / np.float32(1 - p), mask


def _dropout(
    *,
    keep=lambda rng, shape, p: rng.random(shape) >= p,
    scale=lambda p: 1 / (1 - p),
    shown=lambda mask, p: mask,
):
    """Dropout with another mask, another factor, or another mask that is returned."""

    def dropout(X, p, rng):
        mask = np.broadcast_to(keep(rng, X.shape, p), X.shape)
        return X * mask * scale(p), shown(mask, p)

    return dropout


_DROPOUT_CHAFFS = (
    ("not-scaled", "what is kept is not scaled up: the expectation of Y is smaller than X.",
     "Take an entry that is 1. What is the mean of its Y over many masks?", _dropout(scale=lambda p: 1.0)),
    ("keep-probability", "p is taken for the probability of *keeping* an entry: it is that of dropping it.",
     "With p = 0.2, how many of 100 entries should be 0?",
     _dropout(keep=lambda rng, shape, p: rng.random(shape) < p, scale=lambda p: 1 / p if p else 0.0)),
    ("keep-probability", "p is taken for the probability of *keeping* an entry when the mask is drawn, and for that of "
     "dropping it when Y is scaled.", "With p = 0.2, how many of 100 entries should be 0?",
     _dropout(keep=lambda rng, shape, p: rng.random(shape) < p)),
    ("scaled-by-p", "what is kept is divided by p, the probability of dropping.",
     "With p = 0.2, which share is left, and by how much must it grow?", _dropout(scale=lambda p: 1 / p if p else 0.0)),
    ("multiplied-not-divided", "what is kept is multiplied by 1 − p, as at test time in the original dropout; here it "
     "must make up for what is dropped.", "Must the entries that are left grow or shrink?",
     _dropout(scale=lambda p: 1 - p)),
    ("mask-scaled", "the returned mask has been divided by 1 − p already; `dropout_backward` gets it together with p, "
     "and will divide once more.", "Which two values may a mask have?",
     _dropout(shown=lambda mask, p: mask / (1 - p))),
    ("mask-inverted", "the returned mask is true where an entry was dropped.", "What will `dY * mask` keep?",
     _dropout(shown=lambda mask, p: ~mask)),
    ("entries-dropped-together", "one decision was drawn for each row: whole examples are dropped.",
     "How many random numbers does an array of the shape `(N, D)` need?",
     _dropout(keep=lambda rng, shape, p: rng.random((shape[0], 1)) >= p)),
    ("entries-dropped-together", "one decision was drawn for each column: a unit is dropped for all examples at once.",
     "How many random numbers does an array of the shape `(N, D)` need?",
     _dropout(keep=lambda rng, shape, p: rng.random(shape[1]) >= p)),
    ("normal-numbers", "normal numbers were compared with p; the share that is kept is not 1 − p then.",
     "Which distribution has exactly the share p of its numbers below p?",
     _dropout(keep=lambda rng, shape, p: rng.standard_normal(shape) > p)),
    ("p-not-used", "the mask is drawn with probability ½, whatever p is.", "Which line uses p?",
     _dropout(keep=lambda rng, shape, p: rng.integers(0, 2, shape) == 1)),
    ("nothing-dropped", "X is scaled and nothing is dropped: the mask was never multiplied with it.",
     "How many zeros has your Y?", lambda X, p, rng: (X / (1 - p), rng.random(X.shape) >= p)),
    ("another-mask", "two masks were drawn: the one that is returned is not the one that made Y.",
     "How often does your code ask `rng` for numbers?",
     lambda X, p, rng: (backprop.dropout_forward(X, p, rng)[0], rng.random(X.shape) >= p)),
    ("mask-from-result", "the mask says where Y is not 0; where X was 0, it says nothing about what was dropped.",
     "After a ReLU half of X is 0. What does your mask say there?",
     lambda X, p, rng: (Y := backprop.dropout_forward(X, p, rng)[0], Y != 0)),
    ("fixed-number-dropped", "a fixed number of entries was picked; each entry decides on its own.",
     "If you toss ten coins, do you always get five heads?",
     _dropout(keep=lambda rng, shape, p: (rng.permutation(shape[0] * shape[1]) >= round(p * shape[0] * shape[1]))
              .reshape(shape))),
    ("other-generator", "the mask comes from NumPy's global generator: the run can't be repeated.",
     "Which generator do your lines ask for numbers?",
     _dropout(keep=lambda rng, shape, p: np.random.rand(*shape) >= p)),  # noqa: NPY002
    ("seed-inside", "a new generator with a fixed seed was made: every layer drops the same entries, in every step.",
     "What is `rng` for?", _dropout(keep=lambda rng, shape, p: np.random.default_rng(0).random(shape) >= p)),
)  # fmt: skip
for _cause, _text, _hint, _function in _DROPOUT_CHAFFS:
    dropout_forward.chaff(_cause, _text, _hint)(_function)


# dropout_backward


def _dropout_backward_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int, p: float, dtype: type, upstream=normal) -> Case:
        mask = rng.random((N, D)) >= p
        if N * D > 1:  # both kinds, unless p is 0
            mask.flat[:2] = [True, p == 0]
        return Case(name, (upstream(rng, N, D), rng.permuted(mask).astype(dtype), p), {"N": N, "D": D})

    return [
        case("11 × 7, p = 0.2, mask of floats", 11, 7, 0.2, float),
        case("3 × 13, p = 0.5, boolean mask", 3, 13, 0.5, bool),
        case("5 × 11, p = 0.75, boolean mask", 5, 11, 0.75, bool),
        case("7 × 3, p = 0.4, mask of integers", 7, 3, 0.4, int),
        case("nothing dropped: p = 0", 7, 5, 0.0, bool),
        case("N = 1", 1, 11, 0.3, float),
        case("square", 5, 5, 0.6, float),
        case("upstream a basis vector", 5, 3, 0.1, bool, _unit),
    ]


def _which_slope(f: Callable) -> Finding | None:
    """By what dY was multiplied where the mask is 1 and where it is 0."""
    rng = np.random.default_rng(8)
    on, off, shares = [], [], []
    for p, kind, n in ((0.2, float, 37), (0.35, bool, 50), (0.9, float, 29)):
        dY, mask = 1 + np.abs(normal(rng, 11, 7)), rng.permuted(np.arange(77) < n).reshape(11, 7)
        answer = _answers(f, (dY, mask.astype(kind), p), dY, ("dX",))
        if answer is None or answer["dX"].shape != dY.shape:
            return None
        slope = answer["dX"] / dY
        levels = np.unique(np.round(slope, 9))
        if len(levels) == 2 and levels[0] == 0 and len(np.unique(np.round(slope[mask], 9))) == 2:
            return Finding("`dX` is 0 for other entries than those that `mask` has as 0.", "another-mask", "a mask was "
                           "drawn anew.", "Which entries were dropped in the forward pass?")  # fmt: skip
        if np.ptp(slope[mask]) > 1e-6 or np.ptp(slope[~mask]) > 1e-6:
            return None
        on.append((p, float(slope[mask][0])))
        off.append((p, float(slope[~mask][0])))
        shares.append(n / 77)
    found = []
    kept, dropped = _law_of_p(on), _law_of_p(off)
    if all(q == 0 for _, q in on) and any(q for _, q in off):
        found.append(("mask-inverted", "the mask is used the wrong way round: it is 1 where an entry was *kept*"))
        kept = dropped
    elif all(abs(a - b) < 1e-6 for (_, a), (_, b) in zip(on, off, strict=True)):
        found.append(("mask-forgotten", "the mask is not used: entries that were dropped get a gradient as well"))
    elif any(q for _, q in off):
        found.append(("dropped-entries-get-gradient", "entries that were dropped get a gradient as well: " + (
            "the same as without dropout" if all(abs(q - 1) < 1e-6 for _, q in off)
            else f"{off[0][1]:.3g} · dY for p = {off[0][0]:g}")))  # fmt: skip
    if kept is None and np.allclose([q * share for (_, q), share in zip(on, shares, strict=True)], 1):
        kept = "is divided by the share of ones in the mask, not by its expectation"
    elif kept is None:
        kept = "is multiplied by " + listing([f"{q:.4g} for p = {p:g}" for p, q in on])
    if kept:
        found.append(("wrong-scale", f"where it is let through, dY {kept}"))
    if not found:
        return None
    return Finding(
        f"With p = {on[0][0]:g}, `dX` is {on[0][1]:.4g} · dY where the mask is 1, {off[0][1]:.4g} · dY where it is 0.",
        found[0][0],
        _sentence([text for _, text in found]),
        "In the forward pass, what was X multiplied by where the mask is 1, and where it is 0?",
    )


dropout_backward = Exercise(
    "dropout_backward",
    CHAPTER,
    2,
    "dropout_backward(dY, mask, p)",
    ("dX",),
    reference=backprop.dropout_backward,
    make_cases=_dropout_backward_cases,
    upstream="dY",
    explain=_which_slope,
    may_alias=True,  # where nothing is dropped, dY itself may come back
    formula="dX = dY * mask / (1 - p)",
)


@dropout_backward.wheat
def by_where_on_the_mask(dY, mask, p):
    return np.where(np.asarray(mask) == 1, dY / (1 - p), 0.0)


@dropout_backward.wheat
def entries_set_to_zero(dY, mask, p):
    dX = np.array(dY, order="F")
    dX[np.logical_not(mask)] = 0
    dX /= 1 - p
    return dX


@dropout_backward.wheat
def as_lists(dY, mask, p):
    return [
        [float(g) / (1 - p) if m else 0.0 for g, m in zip(*rows, strict=True)] for rows in zip(dY, mask, strict=True)
    ]


@dropout_backward.wheat
def scaled_mask(dY, mask, p):
    return np.multiply(dY, mask * (1.0 / (1.0 - p)))


@dropout_backward.wheat
def by_the_jacobian(dY, mask, p):
    return (np.diag(np.ravel(mask) / (1 - p)) @ dY.ravel()).reshape(dY.shape)


@dropout_backward.wheat
def by_einsum_in_single_precision(dY, mask, p):
    return np.einsum("nd,nd->nd", dY.astype(np.float32), mask.astype(np.float32)) / np.float32(1 - p)


@dropout_backward.wheat
def unless_p_is_zero(dY, mask, p):
    return dY * mask / (1 - p) if p > 0 else dY


_BACK_SLOPE = "In the forward pass, what was X multiplied by where the mask is 1, and where it is 0?"
_DROPOUT_BACK_CHAFFS = (
    ("not-scaled", "the mask is applied, and the factor of the forward pass is not.", _BACK_SLOPE,
     lambda dY, mask, p: dY * mask),
    ("mask-forgotten", "dY is scaled, and the mask is not used.", _BACK_SLOPE, lambda dY, mask, p: dY / (1 - p)),
    ("multiplied-not-divided", "the entries that were kept are multiplied by 1 − p, as if the gradient undid the "
     "forward pass; its slope is the same factor.", "Y = c · X. What is the slope of Y in X?",
     lambda dY, mask, p: dY * mask * (1 - p)),
    ("scaled-by-p", "it is divided by p, the probability of dropping.", _BACK_SLOPE,
     lambda dY, mask, p: dY * mask / p if p else 0 * dY),
    ("mask-inverted", "the mask is used the wrong way round: it is 1 where an entry was *kept*.", _BACK_SLOPE,
     lambda dY, mask, p: dY * (1 - mask) / (1 - p)),
    ("mask-inverted", "`~mask` is the mask the wrong way round, and no operation for floats: it is 1 where an entry "
     "was *kept*.", _BACK_SLOPE, lambda dY, mask, p: dY * ~mask / (1 - p)),
    ("upstream-forgotten", "the local slope alone was returned; dY is not in it.",
     "By the chain rule the answer is a product. Which is the other factor?", lambda dY, mask, p: mask / (1 - p)),
    ("scaled-twice", "it is divided by 1 − p twice, as if the mask were not a plain mask or the upstream gradient were "
     "not scaled yet.", _BACK_SLOPE, lambda dY, mask, p: dY * mask / (1 - p) ** 2),
    ("passed-on", "dY is passed on as it is.", _BACK_SLOPE, lambda dY, mask, p: dY.copy()),
    ("picked-out", "`dY[mask]` picks out the entries that were kept, in a row; the others should be there, as zeros.",
     "What shape has dX?", lambda dY, mask, p: dY[mask.astype(bool)] / (1 - p)),
    ("multiplied-by-p", "the entries that were kept are multiplied by p.", _BACK_SLOPE,
     lambda dY, mask, p: dY * mask * p),
)  # fmt: skip
for _cause, _text, _hint, _function in _DROPOUT_BACK_CHAFFS:
    dropout_backward.chaff(_cause, _text, _hint)(_function)


@dropout_backward.chaff(
    "argument-changed", "dY was masked in place: the caller's array is changed.", "Whose array is dY? Make a new one."
)
def _(dY, mask, p):
    dY *= mask
    return dY / (1 - p)


# l2_grad


def _l2_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, D: int, M: int, lam: float, scale: float = 1.0) -> Case:
        return Case(name, (scale * normal(rng, D, M), normal(rng, D, M), lam), {"D": D, "M": M})

    return [
        case("7 × 5, lam = 0.1", 7, 5, 0.1),
        case("3 × 11, lam = 2", 3, 11, 2.0),
        case("5 × 2, lam = 0.01, large weights", 5, 2, 0.01, 30.0),
        case("no penalty: lam = 0", 5, 3, 0.0),
        case("one row", 1, 7, 0.5),
        case("one column", 11, 1, 0.3),
        case("square", 5, 5, 0.7),
    ]


_L2_TERMS: dict[str, Callable] = {
    "dW": lambda W, dW: dW,
    "W": lambda W, dW: W,
    "sign(W)": lambda W, dW: np.sign(W),
    "W / ‖W‖": lambda W, dW: W / np.linalg.norm(W),
    "W²": lambda W, dW: W**2,
    "1": lambda W, dW: np.ones(W.shape),
    "|W|": lambda W, dW: np.abs(W),
    "W * dW": lambda W, dW: W * dW,
    "W³": lambda W, dW: W**3,
    "‖W‖": lambda W, dW: np.full(W.shape, np.linalg.norm(W)),
    "the row's norm": lambda W, dW: np.linalg.norm(W, axis=1, keepdims=True) + 0 * W,
    **{f"Σ {name}{where}": lambda W, dW, f=f, axis=axis: f(W).sum(axis=axis, keepdims=True) + 0 * W
       for name, f in (("w", np.copy), ("|w|", np.abs), ("w²", np.square))
       for where, axis in (("", None), (" of the column", 0), (" of the row", 1))},
}  # fmt: skip
_NO_GRADIENT = ("penalty-not-differentiated", "a sum over several weights is added, the same for all of them; asked "
                "for is a gradient, weight by weight")  # fmt: skip


def _which_terms(f: Callable) -> Finding | None:
    """The answer as a sum of a few terms, each with a constant that is a power law in lam and the sizes."""
    rng = np.random.default_rng(8)
    draws = []
    for D, M, lam in ((7, 5, 0.3), (5, 3, 1.7), (3, 11, 0.05), (13, 2, 0.8), (5, 7, 2.3)):
        W, dW = normal(rng, D, M), normal(rng, D, M)
        answer = _answers(f, (W, dW, lam), dW, ("dW",))
        if answer is None or answer["dW"].shape != W.shape:
            return None
        draws.append((W, dW, lam, answer["dW"].astype(float)))
    features = {
        "lam": [lam for _, _, lam, _ in draws],
        "rows": [W.shape[0] for W, *_ in draws],
        "columns": [W.shape[1] for W, *_ in draws],
    }
    names = list(_L2_TERMS)
    triples = (("dW", *pair) for pair in itertools.combinations(names[1:10], 2))
    for terms in (*((name,) for name in names), *itertools.combinations(names, 2), *triples):
        found = []
        for W, dW, _, a in draws:
            basis = np.column_stack([_L2_TERMS[term](W, dW).ravel() for term in terms])
            solution = np.linalg.lstsq(basis, a.ravel(), rcond=None)[0]
            if not same(basis @ solution, a.ravel(), 1e-7):
                break
            found.append(solution)
        if len(found) < len(draws):
            continue
        words = {
            term: _factor_law(list(column), features) for term, column in zip(terms, np.array(found).T, strict=True)
        }
        if None in words.values():
            continue
        words = {term: text for term, text in words.items() if text != "0"}
        if words.get("dW") == "1" and words.get("W") == "2 · lam":
            return None
        return _terms_explained(words)
    return None


def _factor_law(values: list[float], features: dict[str, list[float]]) -> str | None:
    """A factor that is a power law, or ``1 ± c · lam``, in words."""
    law = _power_law(values, features)
    if law is not None:
        return _law_in_words(*law)
    c = (np.array(values) - 1) / features["lam"]
    if not np.allclose(c, c[0]):
        return None
    return f"(1 {'−' if c[0] < 0 else '+'} {_law_in_words(abs(c[0]), {'lam': 1.0})})"


def _terms_explained(words: dict[str, str]) -> Finding:
    products = (term if factor == "1" else f"{factor} · {term}" for term, factor in words.items())
    text = " + ".join(product.removesuffix(" · 1") for product in products)
    text = text.replace("+ −", "− ")
    found, hint = [], "Write down the penalty for a W of two entries, and differentiate it by one of them."
    if "dW" not in words:
        found.append(("gradient-of-loss-missing", "the gradient of the loss, dW, is not in it"))
        hint = "What is the gradient of a sum of two terms?"
    elif words["dW"] != "1":
        found.append(("gradient-of-loss-scaled", f"the gradient of the loss comes with the factor {words['dW']}"))
    rest = [term for term in words if term != "dW"]
    stepped = rest == ["W"] and (words["W"].startswith("(1 −") or (words["W"] == "1" and "−" in words.get("dW", "")))
    if not rest and "lam" in words.get("dW", ""):
        found = [("wrong-term", "dW itself is scaled; the penalty is one on W, and has nothing to do with dW")]
    elif stepped:
        found = [("step-not-gradient", "this is W after a step (weight decay); asked for is the gradient of loss and "
                  "penalty")]  # fmt: skip
    elif not rest:
        found.append(("penalty-missing", "the penalty adds nothing to the gradient"))
    reasons = {
        "sign(W)": ("absolute-value-penalty", "the slope of the penalty is that of |W| (L1), not of a square"),
        "W / ‖W‖": ("norm-not-squared", "the slope of the penalty is that of the norm itself, not of its square"),
        "Σ w²": ("penalty-not-differentiated", "the penalty itself is added, one number; asked for is its gradient"),
        "‖W‖": ("penalty-not-differentiated", "the norm is added, one number; asked for is a gradient"),
        "W²": ("penalty-not-differentiated", "the squares are not differentiated"),
        "1": ("wrong-term", "the same number is added for every weight; W is not in it"),
    }
    others = [term for term in rest if term != "W"]
    factor = words.get("W", "2 · lam")
    if factor != "2 · lam" and not stepped:
        known = {"lam": "the 2 of the square is missing", "−2 · lam": "the penalty is subtracted, not added",
                 "−lam": "the penalty is subtracted, not added, and the 2 of the square is missing",
                 "2": "`lam` does not multiply W", "1": "neither `lam` nor the 2 of the square multiplies W",
                 "½ · lam": "the 2 of the square became a ½", "4 · lam": "the 2 of the square is there twice",
                 "2 · lam²": "`lam` is squared"}  # fmt: skip
        found.append(("wrong-factor", known.get(factor, f"the factor of W is {factor}")))
    for term in others:
        plain = ("wrong-term", f"the slope of the penalty was taken for {term}")
        if "W" in rest:
            plain = ("extra-term", f"{'a number' if term == '1' else term} is added besides, the factor of which is "
                     f"{words[term]}")  # fmt: skip
        found.append(plain if "W" in rest else reasons.get(term, _NO_GRADIENT if "Σ" in term else plain))
    return Finding(f"Your result is {text}, in all cases.", found[0][0], _sentence([t for _, t in found]), hint)


l2_grad = Exercise(
    "l2_grad",
    CHAPTER,
    2,
    "l2_grad(W, dW, lam)",
    ("dW",),
    reference=backprop.l2_grad,
    make_cases=_l2_cases,
    explain=_which_terms,
    may_alias=True,  # without a penalty, dW itself may come back
    formula="dW + 2 * lam * W",
)


@l2_grad.wheat
def on_a_copy(W, dW, lam):
    total = dW.copy()
    total += 2 * lam * W
    return total


@l2_grad.wheat
def entry_by_entry_in_lists(W, dW, lam):
    return [[dW[i, j] + lam * (W[i, j] + W[i, j]) for j in range(W.shape[1])] for i in range(W.shape[0])]


@l2_grad.wheat
def by_adding_twice(W, dW, lam):
    penalty = np.multiply(lam, W)
    return np.add(np.add(dW, penalty), penalty)


@l2_grad.wheat
def in_fortran_order(W, dW, lam):
    return np.asfortranarray(dW.T + lam * 2.0 * W.T).T


@l2_grad.wheat
def penalty_in_single_precision(W, dW, lam):
    return dW.astype(np.float32) + np.float32(2 * lam) * W.astype(np.float32)


@l2_grad.wheat
def by_einsum(W, dW, lam):
    return np.einsum("kij,k->ij", np.stack([dW, W]), np.array([1.0, 2 * lam]))


@l2_grad.wheat
def dW_itself_without_penalty(W, dW, lam):
    return dW if lam == 0 else dW + 2 * lam * W


_L2_CHAFFS = (
    ("two-missing", "the 2 of the square is missing. (With the penalty λ/2 · ‖W‖² there would be none.)",
     "What is the derivative of w²?", lambda W, dW, lam: dW + lam * W),
    ("subtracted", "the penalty is subtracted. It is part of the loss, and its gradient is added; the step subtracts "
     "both.", "Does the loss grow or shrink if a positive weight grows?", lambda W, dW, lam: dW - 2 * lam * W),
    ("gradient-of-loss-missing", "only the gradient of the penalty is returned.",
     "What is the gradient of a sum of two terms?", lambda W, dW, lam: 2 * lam * W),
    ("penalty-missing", "dW is returned as it came.", "Which line adds the penalty?", lambda W, dW, lam: dW.copy()),
    ("penalty-not-differentiated", "the penalty itself is added, one number; asked for is its gradient.",
     "How many entries has the gradient of ‖W‖²?", lambda W, dW, lam: dW + lam * np.sum(W**2)),
    ("absolute-value-penalty", "this is the slope of λ·Σ|w| (L1), not that of a square.",
     "Does the slope of w² depend on how large w is?", lambda W, dW, lam: dW + lam * np.sign(W)),
    ("norm-not-squared", "this is the slope of λ‖W‖: the norm is not squared.",
     "Is there a root in ‖W‖²?", lambda W, dW, lam: dW + lam * W / np.linalg.norm(W)),
    ("halved", "the 2 of the square became a ½.", "What is the derivative of w²?", lambda W, dW, lam: dW + lam * W / 2),
    ("averaged", "the penalty is divided by the number of rows, as if it were an average.",
     "Is ‖W‖² a sum or a mean?", lambda W, dW, lam: dW + 2 * lam * W / len(W)),
    ("lam-not-used", "`lam` is not used.", "What must the result be for `lam` = 0?", lambda W, dW, lam: dW + 2 * W),
    ("weights-and-gradient-swapped", "the penalty is taken of dW, and added to W.", "Which of the two is the gradient?",
     lambda W, dW, lam: W + 2 * lam * dW),
    ("squared-not-differentiated", "λ·W² is added, entry by entry: the square is not differentiated.",
     "What is the derivative of w²?", lambda W, dW, lam: dW + lam * W**2),
)  # fmt: skip
for _cause, _text, _hint, _function in _L2_CHAFFS:
    l2_grad.chaff(_cause, _text, _hint)(_function)


@l2_grad.chaff(
    "argument-changed", "dW was changed in place (`+=`): the caller's array is changed.", "Whose array is dW?"
)
def _(W, dW, lam):
    dW += 2 * lam * W
    return dW


# early_stop

_RUNS = {  # name: (losses, patience)
    "a lower loss after the stop": ([9, 7, 5, 6, 6.5, 8, 4, 3], 3),
    "never stopped": ([9, 8, 8.5, 6, 7, 5, 5.5], 3),
    "a drop just in time": ([9, 6, 7, 8, 5, 6, 7, 4], 3),
    "a drop just too late": ([9, 6, 7, 8, 7.5, 5, 6], 3),
    "ups and downs that never reach the best": ([9, 4, 7, 6, 8, 5, 7, 3], 4),
    "two drops in a row, both above the best": ([9, 3, 8, 7, 6, 5, 4, 2], 4),
    "the best loss comes again": ([9, 5, 7, 5, 8, 5, 9, 4], 5),
    "the best loss comes again, and then nothing": ([8, 5, 6, 5, 6, 7, 9, 8], 4),
    "one epoch": ([2], 3),
    "falls all the way": ([9, 8, 7, 6, 5, 4, 3], 2),
    "rises all the way": ([2, 3, 4, 5, 6, 7], 2),
    "patience 1": ([9, 8, 8.5, 7, 6], 1),
    "patience longer than the run": ([9, 4, 5, 6, 7], 50),
    "ends one epoch before it would stop": ([9, 7, 3, 4, 5], 3),
    "ends where it would stop": ([9, 7, 3, 4, 5, 6], 3),
    "improvements of a millionth": ([9, 8, 8 - 1e-6, 8 - 2e-6, 8 - 3e-6, 9], 2),
    "many short waits": ([9, 8, 8.5, 7, 7.5, 6, 6.5, 5, 5.5, 4, 4.5], 3),
    "all equal": ([5, 5, 5, 5, 5, 5], 3),
    "large losses": ([1e7 + loss for loss in (9, 7, 8, 6, 6.5, 7, 7.5, 3)], 3),
    "negative losses": ([-500 + loss for loss in (9, 7, 8, 6, 8, 7, 5, 6, 9)], 3),
}


def _stop_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for i, (name, (losses, patience)) in enumerate(_RUNS.items()):
        levels = rng.uniform(0.5, 2.0) * np.array(losses, dtype=float) + rng.uniform(-3.0, 3.0)
        group = "ties" if "again" in name or name == "all equal" else "values"
        cases.append(Case(name, (levels if i % 3 == 2 else levels.tolist(), patience), {}, group))
    for i in (1, 2):
        losses = 10 + np.cumsum(rng.uniform(-1.0, 0.6, size=23))
        cases.append(Case(f"a random walk ({i})", (losses.tolist(), int(rng.integers(2, 6)))))
    return cases


def _whole_number(f: Callable) -> Callable:
    def stop(losses, patience):
        answer = f(losses, patience)
        sequence = isinstance(answer, list | tuple | dict) or np.ndim(answer) > 0
        if sequence or np.asarray(answer).dtype.kind in "fb":
            what = f"a `{type(answer).__name__}`" if sequence else f"{answer!r}"
            raise WrongStructure(
                "not-a-whole-number",
                f"Expected the index of an epoch, an `int`; got {what}.",
                "It is to be used as an index: `weights[early_stop(losses, patience)]`. Is yours an index, or a loss?",
            )
        return answer

    return stop


# The ways to go wrong, part by part: which epochs are looked at, what an improvement is, what the wait is measured
# against, how long it is, and what is returned.
_LOOKED_AT: dict[str, slice] = {"": slice(None), "the last epoch is never looked at": slice(None, -1)}
_IMPROVES: dict[str, Callable] = {
    "": lambda loss, best: loss < best,
    "an equal loss counts as better (`<=`)": lambda loss, best: loss <= best,
    "a higher loss counts as better": lambda loss, best: loss > best,
    "improvements of less than 0.0001 don't count": lambda loss, best: loss < best - 1e-4,
    "improvements of less than 0.001 don't count": lambda loss, best: loss < best - 1e-3,
    "improvements of less than 1 % don't count": lambda loss, best: loss < best - 0.01 * abs(best),
}
_COMPARED: dict[str, str] = {
    "": "best",
    "each loss is compared with the one before, not with the best": "previous",
    "each loss is compared with the first one: the best is never updated": "first",
    "the wait is counted against the loss of the epoch before, not against the best": "wait-previous",
    "an equal loss ends the wait": "wait-ties",
}
_WAITS: dict[str, tuple[Callable, bool]] = {
    "": (lambda patience: patience, True),
    "it stops one epoch too late": (lambda patience: patience + 1, True),
    "it stops one epoch too early": (lambda patience: patience - 1, True),
    "it never stops: `patience` is not used": (lambda patience: math.inf, True),
    "the counter is not set back to 0 at a new best": (lambda patience: patience, False),
    "the counter is not set back to 0 at a new best, and it stops one epoch late": (
        lambda patience: patience + 1,
        False,
    ),
    "the counter is not set back to 0 at a new best, and it stops one epoch early": (
        lambda patience: patience - 1,
        False,
    ),
    "it stops at the first epoch that is not better": (lambda patience: 1, True),
    "it stops two epochs too late": (lambda patience: patience + 2, True),
}
_RETURNED: dict[str, Callable] = {
    "": lambda best, last, stopped, losses, patience: best,
    "the epoch at which it stops is returned, not the best one": lambda best, last, stopped, losses, patience: last,
    "if it stops, the epoch of the stop is returned, not the best one": lambda best, last, stopped, losses, patience:
        last if stopped else best,
    "the index of the last epoch is returned": lambda best, last, stopped, losses, patience: len(losses) - 1,
    "the number of epochs is returned": lambda best, last, stopped, losses, patience: len(losses),
    "the number of epochs until it stops is returned": lambda best, last, stopped, losses, patience: last + 1,
    "the epochs are counted from 1": lambda best, last, stopped, losses, patience: best + 1,
    "the epoch before the best is returned": lambda best, last, stopped, losses, patience: best - 1,
    "the epoch before it stops is returned, not the best one": lambda best, last, stopped, losses, patience: last - 1,
    "of equal losses the last one is returned": lambda best, last, stopped, losses, patience:
        max(i for i in range(last + 1) if losses[i] == losses[best]),
    "if it never stops, the index of the last epoch is returned": lambda best, last, stopped, losses, patience:
        best if stopped else len(losses) - 1,
    "if it never stops, the number of epochs is returned": lambda best, last, stopped, losses, patience:
        best if stopped else len(losses),
    "if it never stops, −1 is returned": lambda best, last, stopped, losses, patience: best if stopped else -1,
    "if it never stops, 0 is returned": lambda best, last, stopped, losses, patience: best if stopped else 0,
    "the last epoch seen less `patience` is returned, also if it never stops":
        lambda best, last, stopped, losses, patience: last - patience,
    "the best epoch plus `patience` is returned": lambda best, last, stopped, losses, patience: best + patience,
}  # fmt: skip
_RULES = (_LOOKED_AT, _IMPROVES, _COMPARED, _WAITS, _RETURNED)


def _stopped_at(losses, patience: int, parts: tuple) -> int:
    """Early stopping with something done otherwise; see the tables above."""
    looked_at, improves, compared, (wait, resets), returned = parts
    losses = losses[looked_at] if len(losses) > 1 else losses
    limit = wait(patience)
    best = epoch = waited = 0
    stopped = False
    reference = losses[0]
    for epoch in range(1, len(losses)):
        loss = losses[epoch]
        better = calm = improves(loss, reference)
        if better:
            best = epoch
        if compared == "previous" or (better and compared != "first"):
            reference = loss
        if compared == "wait-previous":
            calm = loss < losses[epoch - 1]
        elif compared == "wait-ties":
            calm = loss <= losses[best]
        if calm:
            waited = 0 if resets else waited
        else:
            waited += 1
            stopped = waited >= limit
            if stopped:
                break
    return returned(best, epoch, stopped, losses, patience)


def _how_it_stops(f: Callable) -> Finding | None:
    """The simplest combination of ways to compare, to wait and to answer that gives the learner's epochs."""
    rng = np.random.default_rng(8)
    draws = [case.args for case in _stop_cases(rng)]
    for patience in (1, 2, 3, 3, 4, 5):
        draws += [(rng.integers(0, 8, size=13).tolist(), patience), (np.cumsum(normal(rng, 17)).tolist(), patience)]
    answers = []
    for losses, patience in draws:
        outcome = call(lambda *args: int(_whole_number(f)(*args)), (copy.deepcopy(losses), patience))
        if outcome.error is not None:
            return None
        answers.append(outcome.value)
    for names in sorted(itertools.product(*_RULES), key=lambda names: sum(name != "" for name in names)):
        parts = tuple(table[name] for table, name in zip(_RULES, names, strict=True))
        if all(_stopped_at(*args, parts) == answer for args, answer in zip(draws, answers, strict=True)):
            found = [name for name in names if name]
            if not found:
                return None
            (losses, patience), answer = next(
                pair for pair in zip(draws, answers, strict=True) if backprop.early_stop(*pair[0]) != pair[1]
            )
            right = backprop.early_stop(losses, patience)
            shown = ", ".join(f"{loss:.3g}" for loss in losses)
            return Finding(
                f"For the losses {shown} and `patience` = {patience} your answer is {answer}; it should be {right}.",
                "wrong-rule",
                _sentence(found),
                "Walk through these losses with a finger: at each epoch, what is the best so far, and how long ago?",
            )
    return None


early_stop = Exercise(
    "early_stop",
    CHAPTER,
    3,
    "early_stop(losses, patience)",
    ("epoch",),
    reference=backprop.early_stop,
    make_cases=_stop_cases,
    adapt=_whole_number,
    explain=_how_it_stops,
    formula="if losses[epoch] < losses[best]: best = epoch; elif epoch - best >= patience: break",
)


@early_stop.wheat
def with_a_counter(losses, patience):
    best_loss, best_epoch, waited = float("inf"), 0, 0
    for epoch in range(len(losses)):
        if losses[epoch] < best_loss:
            best_loss, best_epoch, waited = losses[epoch], epoch, 0
        else:
            waited += 1
            if waited == patience:
                return best_epoch
    return best_epoch


@early_stop.wheat
def by_running_minima(losses, patience):
    losses = np.asarray(losses, dtype=float)
    running = np.minimum.accumulate(losses)
    new_best = np.flatnonzero(np.r_[True, losses[1:] < running[:-1]])
    gaps = np.diff(np.r_[new_best, len(losses)])
    return new_best[np.argmax(gaps > patience)] if (gaps > patience).any() else new_best[-1]


@early_stop.wheat
def looking_ahead(losses, patience):
    losses = list(losses)
    epoch = 0
    while True:
        ahead = losses[epoch + 1 : epoch + 1 + patience]
        better = [i for i, loss in enumerate(ahead) if loss < losses[epoch]]
        if not better:
            return epoch
        epoch += 1 + better[0]


@early_stop.wheat
def cut_then_argmin(losses, patience):
    for end in range(1, len(losses) + 1):
        seen = np.array(losses[:end])
        if end - 1 - int(seen.argmin()) >= patience:
            return seen.argmin()
    return np.argmin(losses)


@early_stop.wheat
def recursively(losses, patience):
    def go(epoch, best):
        if epoch == len(losses) or epoch - best > patience:
            return best
        return go(epoch + 1, epoch if losses[epoch] < losses[best] else best)

    return go(1, 0)


@early_stop.wheat
def as_a_numpy_integer(losses, patience):
    best, patience_left = np.int64(0), patience
    for i, loss in enumerate(np.array(losses)):
        if i == 0:
            continue
        patience_left -= 1
        if loss < losses[best]:
            best, patience_left = np.int64(i), patience
        if patience_left == 0:
            break
    return best


def _stop(*names: str) -> Callable:
    """Early stopping with the named parts done otherwise."""
    parts = tuple(table[next((name for name in names if name in table), "")] for table in _RULES)
    return lambda losses, patience: _stopped_at(losses, patience, parts)


def _one_behind(losses, patience: int) -> int:
    best, best_loss, waited = 0, losses[0], 0
    for epoch, loss in enumerate(losses[1:]):
        if loss < best_loss:
            best, best_loss, waited = epoch, loss, 0
        else:
            waited += 1
            if waited >= patience:
                break
    return best


def _one_after_the_best(losses, patience: int) -> int:
    best_loss, waited = np.inf, 0
    for epoch, loss in enumerate(losses):
        waited = 0 if loss < best_loss else waited + 1
        best_loss = min(best_loss, loss)
        if waited >= patience:
            return epoch - patience + 1
    return len(losses) - 1


_STOP_CHAFFS = (
    ("argmin-of-all", "the lowest loss of all epochs is returned: training would have stopped before it was reached.",
     "In the first case, at which epoch has `patience` run out? What can you know at that moment?",
     lambda losses, patience: int(np.argmin(losses))),
    ("stop-epoch-returned", "the epoch at which training stops is returned; asked for is the best one up to then.",
     "Whose weights do you want to keep: the last ones, or the best ones?",
     _stop("the epoch at which it stops is returned, not the best one")),
    ("ties-count-as-better", "an equal loss counts as better (`<=`).", "Is a loss that is equal an improvement?",
     _stop("an equal loss counts as better (`<=`)")),
    ("one-epoch-late", "it stops one epoch too late.", "With patience 1, how many epochs without a new best may pass?",
     _stop("it stops one epoch too late")),
    ("one-epoch-early", "it stops one epoch too early.", "With patience 1, is an epoch allowed that is no new best?",
     _stop("it stops one epoch too early")),
    ("compared-with-previous", "each loss is compared with the one before, not with the best so far.",
     "Losses 9, 4, 7, 6: is the last one an improvement?",
     _stop("each loss is compared with the one before, not with the best")),
    ("wait-against-previous", "the best is found rightly, but the wait is counted against the epoch before.",
     "Losses 9, 4, 7, 6: has the wait ended at the last one?",
     _stop("the wait is counted against the loss of the epoch before, not against the best")),
    ("counter-not-reset", "the counter is not set back to 0 at a new best: all waits are added up.",
     "How many epochs in a row have passed since the last new best?",
     _stop("the counter is not set back to 0 at a new best")),
    ("last-epoch", "the index of the last epoch is returned.", "Whose weights do you want to keep?",
     lambda losses, patience: len(losses) - 1),
    ("counted-from-1", "the epochs are counted from 1.", "What is the index of the first epoch?",
     _stop("the epochs are counted from 1")),
    ("stop-minus-patience", "the epoch of the stop less `patience` is returned, also if training never stopped.",
     "If the loss falls to the end, which epoch is the best?",
     _stop("the last epoch seen less `patience` is returned, also if it never stops")),
    ("not-a-whole-number", "the lowest loss is returned, not its epoch.", "What will the answer be used for?",
     lambda losses, patience: float(losses[backprop.early_stop(losses, patience)])),
    ("higher-is-better", "the highest value is looked for, as for an accuracy.", "Should a loss be high or low?",
     _stop("a higher loss counts as better")),
    ("first-rise", "it stops at the first epoch that is no new best: `patience` is not used.",
     "What is `patience` for?", _stop("it stops at the first epoch that is not better")),
    ("threshold", "improvements of less than 0.0001 don't count.", "Is there a threshold in the contract?",
     _stop("improvements of less than 0.0001 don't count")),
    ("best-never-updated", "each loss is compared with the first one: the best loss is never updated.",
     "After a new best, what must the next loss be compared with?",
     _stop("each loss is compared with the first one: the best is never updated")),
    ("last-epoch-ignored", "the last epoch is never looked at.", "Over which indices does your loop run?",
     _stop("the last epoch is never looked at")),
    ("first-epochs-only", "only the first `patience` epochs are looked at; patience counts from the last new best.",
     "If every epoch is better than the one before, when does training stop?",
     lambda losses, patience: int(np.argmin(losses[:patience]))),
    ("first-epochs-only", "only the first `patience` + 1 epochs are looked at; patience counts from the last new best.",
     "If every epoch is better than the one before, when does training stop?",
     lambda losses, patience: int(np.argmin(losses[:patience + 1]))),
    ("returned-none", "if training never stops, nothing is returned.", "What happens after your loop?",
     lambda losses, patience: next((best for epoch in range(len(losses))
                                    if epoch - (best := int(np.argmin(losses[:epoch + 1]))) >= patience), None)),
    ("minus-one-at-the-end", "if training never stops, −1 is returned; the best epoch of all is asked for.",
     "What does your function return after the loop?", _stop("if it never stops, −1 is returned")),
    ("last-epoch-at-the-end", "if training never stops, the last epoch is returned; the best of all is asked for.",
     "What does your function return after the loop?",
     _stop("if it never stops, the index of the last epoch is returned")),
    ("best-starts-at-0", "the best loss starts at 0, which no positive loss ever reaches.",
     "With which number does your best loss start, and which losses are lower?",
     lambda losses, patience: _starting_at(losses, patience, 0.0)),
    ("best-starts-at-0", "the best loss starts at a fixed number such as 100, which no loss may ever reach.",
     "With which number does your best loss start, and which losses are lower?",
     lambda losses, patience: _starting_at(losses, patience, 100.0)),
    ("best-starts-at-0", "the best loss starts at a fixed number such as 10, which no loss may ever reach.",
     "With which number does your best loss start, and which losses are lower?",
     lambda losses, patience: _starting_at(losses, patience, 10.0)),
    ("index-one-behind", "the loop runs over `losses[1:]`, and its counter is used as the epoch: it is one behind.",
     "What does `enumerate(losses[1:])` give first, and which epoch is that?", _one_behind),
    ("one-after-the-best", "at the stop the epoch after the best one is returned, and the last one if it never stops.",
     "With patience 1, it stops one epoch after the best. Which epoch does your formula give there?",
     _one_after_the_best),
)  # fmt: skip
for _cause, _text, _hint, _function in _STOP_CHAFFS:
    early_stop.chaff(_cause, _text, _hint)(_function)


def _starting_at(losses, patience: int, best_loss: float) -> int:
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        if loss < best_loss:
            best, best_loss, waited = epoch, loss, 0
        else:
            waited += 1
            if waited >= patience:
                break
    return best


EXERCISES = [
    he_init,
    batchnorm_forward,
    batchnorm_slope,
    batchnorm_backward,
    fix_batchnorm_backward,
    clip_by_global_norm,
    dropout_forward,
    dropout_backward,
    l2_grad,
    early_stop,
]
