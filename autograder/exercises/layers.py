"""Chapter 5: backward passes of layers, as vector-Jacobian products."""

import math
from collections.abc import Callable

import numpy as np

import backprop
from autograder.checking.compare import same
from autograder.checking.derivation import Derivation
from autograder.checking.draw import normal, off_kink, rows_that_sum_to_1
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.stages import examples_counted, probe, which_were_used
from autograder.checking.words import listing

CHAPTER = "05-layers"


def _unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """A random basis vector: one entry is 1, all others 0."""
    G = np.zeros(shape)
    G.flat[rng.integers(G.size)] = 1.0
    return G


# linear_backward


def _linear_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int, M: int, upstream=normal) -> Case:
        return Case(name, (upstream(rng, N, M), normal(rng, N, D), normal(rng, D, M)), {"N": N, "D": D, "M": M})

    return [
        case("7 × 5 → 3", 7, 5, 3),
        case("3 × 2 → 11", 3, 2, 11),
        case("101 × 3 → 2", 101, 3, 2),
        case("N = 1", 1, 5, 3),
        case("square", 5, 5, 5),
        case("one output", 7, 3, 1),
        case("upstream a basis vector", 5, 3, 2, _unit),
    ]


def _examples_of_a_layer(f: Callable) -> Finding | None:
    """Which examples enter dW and db, and which rows of dX were filled."""
    batches: dict[str, list] = {"dW": [], "db": []}
    rows, lengths = [], []
    for seed, N in ((1, 7), (2, 11)):
        rng = np.random.default_rng(seed)
        dZ, X, W = normal(rng, N, 13), normal(rng, N, 12), normal(rng, 12, 13)
        answer = probe(linear_backward, f, (dZ, X, W))
        if answer is None:
            return None
        batches["dW"].append((np.einsum("nd,nm->ndm", X, dZ).reshape(N, -1), answer["dW"].ravel()))
        batches["db"].append((dZ, answer["db"]))
        right = [same(a, r, 1e-7) for a, r in zip(answer["dX"], dZ @ W.T, strict=True)]
        empty = [not a.any() for a in answer["dX"]]
        rows.append(np.flatnonzero(right) if all(r != e for r, e in zip(right, empty, strict=True)) else np.arange(N))
        lengths.append(N)
    for name in ("dW", "db"):
        if (finding := examples_counted(batches[name])) is not None:
            return finding
    if all(len(r) == N for r, N in zip(rows, lengths, strict=True)):
        return None
    return Finding(
        f"In a batch of {lengths[0]}, {lengths[0] - len(rows[0])} rows of `dX` are zero and the others are right.",
        "example-left-out",
        f"{which_were_used(rows, lengths)}.",
        "Over which indices does your loop run, or your slice reach? A batch has the rows 0 to N − 1, whatever N.",
    )


linear_backward = Exercise(
    "linear_backward",
    CHAPTER,
    6,
    "linear_backward(dZ, X, W)",
    ("dX", "dW", "db"),
    reference=backprop.linear_backward,
    make_cases=_linear_cases,
    upstream="dZ",
    explain=_examples_of_a_layer,
    formula="dZ @ W.T, X.T @ dZ, dZ.sum(axis=0)",
)


@linear_backward.wheat
def einsum_everywhere(dZ, X, W):
    return np.einsum("nm,dm->nd", dZ, W), np.einsum("nd,nm->dm", X, dZ), np.einsum("nm->m", dZ)


@linear_backward.wheat
def by_examples(dZ, X, W):
    dX, dW, db = np.zeros_like(X), np.zeros_like(W), np.zeros(W.shape[1])
    for n in range(len(X)):
        dX[n] = W @ dZ[n]
        dW += np.outer(X[n], dZ[n])
        db += dZ[n]
    return dX, dW, db


@linear_backward.wheat
def by_transposes(dZ, X, W):
    return [(W @ dZ.T).T, (dZ.T @ X).T, np.ones(len(dZ)) @ dZ]


@linear_backward.wheat
def fortran_order(dZ, X, W):
    return np.asfortranarray(np.dot(dZ, np.transpose(W))), np.asfortranarray(np.dot(X.T, dZ)), np.sum(dZ, 0)


@linear_backward.wheat
def single_precision(dZ, X, W):
    dZ, X, W = (a.astype(np.float32) for a in (dZ, X, W))
    return dZ @ W.T, X.T @ dZ, dZ.sum(axis=0)


@linear_backward.wheat
def by_tensordot(dZ, X, W):
    return np.tensordot(dZ, W, axes=(1, 1)), np.tensordot(X, dZ, axes=(0, 0)), np.add.reduce(dZ)


@linear_backward.wheat
def with_a_column_of_ones(dZ, X, W):
    both = np.hstack([X, np.ones((len(X), 1))]).T @ dZ
    return np.inner(dZ, W), both[:-1], both[-1]


@linear_backward.chaff(
    "bias-gradient-averaged",
    "`db` is the mean over the batch. Every example adds its own part; if the loss is a mean, its 1/N is in dZ.",
    "Nudge one bias by 0.01: how many rows of Z move?",
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ, dZ.mean(axis=0)


@linear_backward.chaff(
    "bias-gradient-not-summed",
    "`db` was not summed over the batch: it is dZ itself.",
    "b has one entry for each output. How many rows of Z does one entry of b move?",
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ, dZ.copy()


@linear_backward.chaff(
    "bias-gradient-kept-its-axis", "`db` kept an axis of length 1.", "b has shape `(M,)`. Look for `keepdims`."
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ, dZ.sum(axis=0, keepdims=True)


@linear_backward.chaff(
    "bias-gradient-wrong-axis",
    "`db` was summed over the outputs instead of over the batch.",
    "Which axis of dZ does the bias not have? That one is summed.",
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ, dZ.sum(axis=1)


@linear_backward.chaff(
    "bias-gradient-collapsed", "`db` was summed over both axes.", "How many biases are there? `db` has as many entries."
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ, dZ.sum()


@linear_backward.chaff(
    "last-example-only",
    "`dW` holds the outer product of the last example only: each round of the loop replaced the one before.",
    "Every example adds to `dW`. Is it `=` or `+=`?",
)
def _(dZ, X, W):
    return dZ @ W.T, np.outer(X[-1], dZ[-1]), dZ.sum(axis=0)


@linear_backward.chaff(
    "last-example-only",
    "`dW` and `db` hold the contribution of the last example only: each round of the loop replaced the one before.",
    "Every example adds to `dW` and `db`. Is it `=` or `+=`?",
)
def _(dZ, X, W):
    return dZ @ W.T, np.outer(X[-1], dZ[-1]), dZ[-1].copy()


@linear_backward.chaff(
    "divided-by-N",
    "`dW` and `db` are divided by N. If the loss is a mean, its 1/N is in dZ already.",
    "A layer does not know that a loss follows. Where would it get the N from?",
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ / len(X), dZ.mean(axis=0)


@linear_backward.chaff(
    "weight-gradient-divided-by-N",
    "`dW` is divided by N. If the loss is a mean, its 1/N is in dZ already.",
    "A layer does not know that a loss follows. Where would it get the N from?",
)
def _(dZ, X, W):
    return dZ @ W.T, X.T @ dZ / len(X), dZ.sum(axis=0)


@linear_backward.chaff(
    "sums-multiplied",
    "`dW` multiplies the sum of the inputs with the sum of the gradients: every example meets every other.",
    "With two examples, which inputs meet which gradients? Multiply first, then add.",
)
def _(dZ, X, W):
    return dZ @ W.T, np.outer(X.sum(axis=0), dZ.sum(axis=0)), dZ.sum(axis=0)


@linear_backward.chaff(
    "transposed",
    "`dW` is transposed.",
    "dW has the shape of W, `(D, M)`. Which product of X and dZ has that shape?",
)
def _(dZ, X, W):
    return dZ @ W.T, dZ.T @ X, dZ.sum(axis=0)


@linear_backward.chaff(
    "weights-not-transposed",
    "`dX` multiplies with W instead of its transpose; the shapes fit only where W is square.",
    "W leads from D inputs to M outputs. Which matrix leads back?",
)
def _(dZ, X, W):
    return dZ @ W, X.T @ dZ, dZ.sum(axis=0)


@linear_backward.chaff(
    "upstream-forgotten",
    "dZ does not enter: these are local derivatives, summed over what they depend on.",
    "By the chain rule each result is a product. One factor is dZ.",
)
def _(dZ, X, W):
    ones = np.ones_like(dZ)
    return ones @ W.T, X.T @ ones, ones.sum(axis=0)


@linear_backward.chaff(
    "outputs-swapped", "`dX` and `dW` are returned in the other order.", "The order is `(dX, dW, db)`."
)
def _(dZ, X, W):
    return X.T @ dZ, dZ @ W.T, dZ.sum(axis=0)


@linear_backward.chaff(
    "product-of-sums",
    "for `dX` sums were multiplied: a matrix product is a sum of products.",
    "The output m carries its own gradient back through its own weights. When are the two multiplied?",
)
def _(dZ, X, W):
    return dZ.sum(axis=1, keepdims=True) * W.sum(axis=1), X.T @ dZ, dZ.sum(axis=0)


# Elementwise layers


def _gate_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, Z: np.ndarray, upstream=normal) -> Case:
        return Case(name, (upstream(rng, *Z.shape), Z), {"N": Z.shape[0], "H": Z.shape[1]})

    corner = off_kink(rng, 5, 3)
    corner[[0, 2], [1, 2]] = 0.0
    tiny = 10.0 ** rng.uniform(-9, -3, size=(5, 3)) * np.sign(off_kink(rng, 5, 3))
    return [
        case("7 × 5", off_kink(rng, 7, 5)),
        case("3 × 11", 10 * off_kink(rng, 3, 11)),
        case("N = 1", off_kink(rng, 1, 5)),
        case("square", off_kink(rng, 5, 5)),
        case("13 × 1", off_kink(rng, 13, 1)),
        case("Z exactly 0 in two places", corner),
        case("Z very small", tiny),
        case("all Z positive", np.abs(off_kink(rng, 3, 5))),
        case("upstream a basis vector", off_kink(rng, 3, 2), _unit),
    ]


def _relu_at_the_kink(answer, dA, Z):
    """The right answer nearest to the learner's: at Z = 0 any slope in [0, 1] is a subgradient."""
    right = backprop.relu_backward(dA, Z)
    try:
        a = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return right
    if a.shape != right.shape:
        return right
    between = np.clip(a, np.minimum(dA, 0), np.maximum(dA, 0))
    return np.where(Z == 0, np.nan_to_num(between), right)


def _neighbours(exercise: Exercise, f: Callable, dA: np.ndarray, other: np.ndarray) -> Finding | None:
    """Of a layer that works entry by entry: does an entry of the answer depend on other entries of the inputs?"""
    before = probe(exercise, f, (dA, other))
    right = exercise.reference(dA, other)
    if before is None or any(same(before["dZ"], np.flip(right, axis), 1e-7) for axis in (0, 1)):
        return None
    names = exercise.parameters
    for i, name in enumerate(names):
        for index in np.ndindex(dA.shape):
            args = [dA.copy(), other.copy()]
            args[i][index] = args[i][::-1, ::-1][index]
            after = probe(exercise, f, tuple(args))
            if after is None:
                return None
            moved = after["dZ"] != before["dZ"]
            moved[index] = False
            if moved.any():
                outside_row, outside_column = moved.copy(), moved.copy()
                outside_row[index[0]] = outside_column[:, index[1]] = False
                whose = "of its row" if not outside_row.any() else "" if outside_column.any() else "of its column"
                i, j = np.argwhere(moved)[0]
                return Finding(
                    f"When `{name}[{index[0]}, {index[1]}]` changes, `dZ[{i}, {j}]` changes too.",
                    "entries-mixed",
                    f"an entry has an influence on others {whose}".rstrip() + "; this layer works on each entry alone.",
                    "Look for a sum, a mean, a maximum, a matrix product, or an index that picks one entry for many.",
                )
    return None


def _gate(f: Callable) -> Finding | None:
    """The slope that a learner's ReLU has at many points: where does it change?"""
    rng = np.random.default_rng(1)
    small = off_kink(rng, 4, 3)
    if (finding := _neighbours(relu_backward, f, normal(rng, 4, 3), small)) is not None:
        return finding
    Z = rng.permutation(np.concatenate([np.linspace(-8, 8, 640), *(s * np.geomspace(1e-9, 0.5, 80) for s in (1, -1))]))
    Z = Z[Z != 0].reshape(-1, 2)
    dA = 0.5 + rng.random(Z.shape)
    answers = [probe(relu_backward, f, (sign * dA, Z)) for sign in (1, -1, 0)]
    if None in answers or answers[2]["dZ"].any():
        return None
    up, down = (answer["dZ"] / (sign * dA) for answer, sign in zip(answers[:2], (1, -1), strict=True))
    if np.allclose(up, -down, rtol=1e-9):
        return Finding(
            "`dA` and `-dA` give the same answer.",
            "absolute-value",
            "the sign of dA is lost: an absolute value was taken.",
            "A gradient may be negative. Where does its sign disappear?",
        )
    if not np.allclose(up, down, rtol=1e-9):
        return Finding(
            "What your gate lets through depends on the sign of `dA`, too.",
            "gate-on-upstream",
            "the gate looks at the gradient, alone or besides Z: it should look at Z alone.",
            "What decides whether the unit was on in the forward pass?",
        )
    order = np.argsort(Z.ravel())
    z, slope = Z.ravel()[order], up.ravel()[order]
    slope = np.where(np.abs(slope - np.round(slope)) < 1e-9, np.round(slope), slope)
    if set(slope) <= {0.0, 1.0}:
        jumps = np.flatnonzero(np.diff(slope))
        places = [f"{(z[j] + z[j + 1]) / 2:.3g}" for j in jumps]
        if len(jumps) == 1 and slope[-1] == 1 and abs(z[jumps[0]]) > 1e-8:
            border = (z[jumps[0]] + z[jumps[0] + 1]) / 2
            return Finding(
                f"Your gate opens at Z ≈ {border:.2g}.",
                "wrong-threshold",
                "the gate opens at another value than 0.",
                "Where does max(z, 0) begin to rise?",
            )
        if len(jumps) > 1:
            return Finding(
                f"Your gate opens or closes {len(jumps)} times, at Z ≈ {', '.join(places[:4])}.",
                "wrong-threshold",
                "the gate has more than one border: max(z, 0) has one corner.",
                "Draw max(z, 0). Where is it flat, and where does it rise?",
            )
        return None
    below, above = slope[z < -0.3], slope[z > 0.3]
    if np.ptp(below) < 1e-9 and np.allclose(above, 1, rtol=1e-9) and below[0] != 0:
        return Finding(
            f"For negative Z your slope is {below[0]:.4g}.",
            "leaky",
            "a slope is left where Z is negative.",
            "How steep is max(z, 0) at z = −1?",
        )
    if np.allclose(below, 0, atol=1e-9) and np.allclose(above, 1, rtol=1e-4):
        part = z[(slope > 1e-3) & (slope < 1 - 1e-3)]
        return Finding(
            f"Between Z ≈ {part.min():.1g} and Z ≈ {part.max():.1g} your slope is neither 0 nor 1."
            if part.size
            else "Where Z is positive your slope is only nearly 1.",
            "approximate",
            "a difference quotient, or a smooth function, stands where the exact slope belongs.",
            "Which two values can the slope of max(z, 0) have?",
        )
    return None


relu_backward = Exercise(
    "relu_backward",
    CHAPTER,
    2,
    "relu_backward(dA, Z)",
    ("dZ",),
    reference=backprop.relu_backward,
    make_cases=_gate_cases,
    upstream="dA",
    oracle=_relu_at_the_kink,
    explain=_gate,
    formula="dA * (Z > 0)",
)


@relu_backward.wheat
def by_where(dA, Z):
    return np.where(Z > 0, dA, 0)


@relu_backward.wheat
def by_masking_a_copy(dA, Z):
    dZ = dA.copy()
    dZ[Z <= 0] = 0
    return dZ


@relu_backward.wheat
def slope_one_at_the_kink(dA, Z):
    return dA * (Z >= 0).astype(float)


@relu_backward.wheat
def slope_half_at_the_kink(dA, Z):
    return dA * np.heaviside(Z, 0.5)


@relu_backward.wheat
def by_the_sign(dA, Z):
    return dA * (np.sign(Z) + 1) / 2


@relu_backward.wheat
def entry_by_entry(dA, Z):
    dZ = np.zeros_like(dA)
    for index, z in np.ndenumerate(Z):
        if z > 0:
            dZ[index] = dA[index]
    return dZ


@relu_backward.wheat
def ones_where_the_clipped_input_is_not_zero(dA, Z):
    slope = np.clip(Z, 0, None)
    slope[np.nonzero(slope)] = 1
    slope *= dA
    return slope


@relu_backward.chaff(
    "gate-on-upstream",
    "the gate looks at dA: it should be open where Z was positive, whatever the gradient is.",
    "What decides whether the unit was on in the forward pass?",
)
def _(dA, Z):
    return np.maximum(dA, 0)


@relu_backward.chaff(
    "upstream-forgotten",
    "the local derivative alone (0 or 1) was returned; it was never multiplied with dA.",
    "By the chain rule the answer is a product. Which is the other factor?",
)
def _(dA, Z):
    return (Z > 0).astype(float)


@relu_backward.chaff(
    "upstream-forgotten",
    "the mask alone was returned, of dtype bool; it was never multiplied with dA.",
    "By the chain rule the answer is a product. Which is the other factor?",
)
def _(dA, Z):
    return Z > 0


@relu_backward.chaff(
    "forward-value-returned",
    "this is max(Z, 0), the forward pass; asked for is the gradient on its way back.",
    "Which argument says how the loss changes with A? It has to be in the answer.",
)
def _(dA, Z):
    return np.maximum(Z, 0)


@relu_backward.chaff(
    "forward-not-backward",
    "dA is multiplied with the *value* of the ReLU, not with its slope.",
    "What is the slope of max(z, 0) at z = 3: is it 3?",
)
def _(dA, Z):
    return dA * np.maximum(Z, 0)


@relu_backward.chaff(
    "gate-inverted",
    "the gate is open where Z is negative.",
    "Where is max(z, 0) flat, and where does it rise?",
)
def _(dA, Z):
    return dA * (Z < 0)


@relu_backward.chaff(
    "no-gate",
    "dA is passed on everywhere: there is no gate.",
    "What does a small change of a negative z do to max(z, 0)?",
)
def _(dA, Z):
    return dA.copy()


@relu_backward.chaff(
    "gate-on-upstream",
    "the gate looks at Z *and* at dA: negative gradients are stopped as well.",
    "A unit that was on passes every gradient on. What does your code do with a negative one?",
)
def _(dA, Z):
    return dA * (Z > 0) * (dA > 0)


@relu_backward.chaff(
    "ones-not-upstream",
    "1 stands where Z is positive, and dA where it is not: the two are not multiplied.",
    "Which of the two slopes, 0 or 1, belongs to a positive Z, and what is it multiplied with?",
)
def _(dA, Z):
    return np.where(Z > 0, 1.0, dA)


@relu_backward.chaff("threshold-at-one", "the gate opens at 1, not at 0.", "For which z is max(z, 0) flat?")
def _(dA, Z):
    return dA * (Z > 1)


@relu_backward.chaff(
    "leaky", "a small slope is left where Z is negative: that is a leaky ReLU.", "How steep is max(z, 0) at z = −1?"
)
def _(dA, Z):
    return dA * np.where(Z > 0, 1.0, 0.01)


@relu_backward.chaff(
    "sign-not-step", "np.sign is −1 for negative Z, not 0.", "What is the slope of max(z, 0) at z = −1?"
)
def _(dA, Z):
    return dA * np.sign(Z)


@relu_backward.chaff(
    "sign-not-step",
    "where Z is not positive, dA is passed on with its sign flipped; it should stop there.",
    "What does a small change of a negative z do to max(z, 0)?",
)
def _(dA, Z):
    return np.where(Z > 0, dA, -dA)


@relu_backward.chaff(
    "argument-changed",
    "Z itself was made into the mask, in place.",
    "Make the mask a new array: a comparison gives one.",
)
def _(dA, Z):
    Z[Z <= 0] = 0
    Z[Z > 0] = 1
    return dA * Z


@relu_backward.chaff("argument-changed", "dA was changed in place.", "Copy it first, or multiply into a new array.")
def _(dA, Z):
    dA[Z <= 0] = 0
    return dA


# sigmoid_slope


def _slope_cases():
    import sympy

    return [("", (sympy.Symbol("a"),))]


sigmoid_slope = Derivation(
    "sigmoid_slope",
    CHAPTER,
    1,
    "sigmoid_slope(a)",
    _slope_cases,
    expected=lambda a: a * (1 - a),
    formula="a * (1 - a)",
)


@sigmoid_slope.wheat
def expanded(a):
    return a - a**2


@sigmoid_slope.wheat
def through_the_input(a):
    import sympy

    z = sympy.Symbol("z")
    slope = sympy.diff(1 / (1 + sympy.exp(-z)), z)
    return slope.subs(z, sympy.log(a / (1 - a)))


@sigmoid_slope.wheat
def as_a_quotient(a):
    return (1 / a - 1) * a**2


@sigmoid_slope.wheat
def as_a_parabola(a):
    return 0.25 - (a - 0.5) ** 2


@sigmoid_slope.wheat
def by_the_inverse_function(a):
    import sympy

    return 1 / sympy.diff(sympy.log(a) - sympy.log(1 - a), a)


@sigmoid_slope.wheat
def with_the_exponential_of_minus_z(a):
    e = 1 / a - 1
    return e / (1 + e) ** 2


@sigmoid_slope.chaff(
    "slope-of-the-tanh", "1 − a² is the slope of the hyperbolic tangent.", "What is the slope where a = 1/2? It is 1/4."
)
def _(a):
    return 1 - a**2


@sigmoid_slope.chaff(
    "sigmoid-applied-again",
    "the argument was taken for the input z; it is the output a.",
    "a = σ(z) is at hand already. Write the slope with it.",
)
def _(a):
    import sympy

    s = 1 / (1 + sympy.exp(-a))
    return s * (1 - s)


@sigmoid_slope.chaff("sign-flipped", "the sign is the wrong way round.", "Does the sigmoid rise or fall?")
def _(a):
    return a * (a - 1)


@sigmoid_slope.chaff("one-factor", "one factor, a, is missing.", "Where a is near 0 the curve is flat. Is yours?")
def _(a):
    return 1 - a


@sigmoid_slope.chaff("one-factor", "one factor, 1 − a, is missing.", "Where a is near 1 the curve is flat. Is yours?")
def _(a):
    return a


@sigmoid_slope.chaff("plus", "a plus stands where a minus belongs.", "Where a is near 1 the curve is flat. Is yours?")
def _(a):
    return a * (1 + a)


@sigmoid_slope.chaff(
    "upside-down", "this is the slope of the inverse function, from a back to z.", "Can the sigmoid be steeper than 1?"
)
def _(a):
    return 1 / (a * (1 - a))


@sigmoid_slope.chaff(
    "differentiated-again",
    "this is the slope of the slope: it was differentiated once more, for a.",
    "Which function's slope is asked for, and in which variable?",
)
def _(a):
    return 1 - 2 * a


@sigmoid_slope.chaff("factor-squared", "the factor a is there twice.", "Where a = 1/2 the slope is 1/4. Is yours?")
def _(a):
    return a**2 * (1 - a)


@sigmoid_slope.chaff("factor-squared", "the factor 1 − a is there twice.", "Where a = 1/2 the slope is 1/4. Is yours?")
def _(a):
    return a * (1 - a) ** 2


@sigmoid_slope.chaff(
    "steepest-slope",
    "1/4 is the slope where the sigmoid is steepest; elsewhere it is flatter.",
    "Is the curve as steep at a = 0.9 as at a = 0.5?",
)
def _(a):
    import sympy

    return sympy.Rational(1, 4)


@sigmoid_slope.chaff(
    "sigmoid-applied-again",
    "the argument was taken for the input z, and the outer derivative is missing besides.",
    "a = σ(z) is at hand already. Write the slope with it.",
)
def _(a):
    import sympy

    return sympy.exp(-a) / (1 + sympy.exp(-a))


def _each_entry_alone(exercise: Exercise, f: Callable, squash: Callable) -> Finding | None:
    rng = np.random.default_rng(1)
    return _neighbours(exercise, f, normal(rng, 4, 3), squash(normal(rng, 4, 3)))


def _output_cases(squash):
    def make(rng: np.random.Generator) -> list[Case]:
        def case(name: str, *shape: int, upstream=normal, scale: float = 1.0) -> Case:
            sizes = {"N": shape[0], "H": shape[1]}
            return Case(name, (upstream(rng, *shape), squash(scale * normal(rng, *shape))), sizes)

        return [
            case("7 × 5", 7, 5),
            case("3 × 11", 3, 11),
            case("N = 1", 1, 5),
            case("square", 5, 5),
            case("13 × 1", 13, 1),
            case("saturated", 5, 3, scale=8.0),
            case("upstream a basis vector", 3, 2, upstream=_unit),
        ]

    return make


sigmoid_backward = Exercise(
    "sigmoid_backward",
    CHAPTER,
    2,
    "sigmoid_backward(dA, A)",
    ("dZ",),
    reference=backprop.sigmoid_backward,
    make_cases=_output_cases(backprop.sigmoid),
    upstream="dA",
    explain=lambda f: _each_entry_alone(sigmoid_backward, f, backprop.sigmoid),
    formula="dA * A * (1 - A)",
)


@sigmoid_backward.wheat
def expanded_product(dA, A):
    return dA * A - dA * A**2


@sigmoid_backward.wheat
def in_place_on_its_own_array(dA, A):
    dZ = 1 - A
    dZ *= A
    dZ *= dA
    return dZ


@sigmoid_backward.wheat
def by_multiply(dA, A):
    return np.multiply(np.multiply(A, np.subtract(1.0, A)), dA)


@sigmoid_backward.wheat
def as_lists(dA, A):
    return (dA * (A * (1 - A))).tolist()


@sigmoid_backward.wheat
def from_the_logit(dA, A):
    Z = np.log(A) - np.log1p(-A)
    return dA * np.exp(-np.abs(Z)) / np.square(1 + np.exp(-np.abs(Z)))


@sigmoid_backward.wheat
def entry_after_entry(dA, A):
    dZ = np.empty_like(A)
    for index in np.ndindex(*A.shape):
        dZ[index] = dA[index] * A[index] * (1 - A[index])
    return dZ


@sigmoid_backward.chaff(
    "upstream-forgotten", "the local derivative alone was returned.", "Which factor of the chain rule is missing?"
)
def _(dA, A):
    return A * (1 - A)


@sigmoid_backward.chaff(
    "output-taken-for-input",
    "a sigmoid was applied to A; but A *is* the output of the sigmoid.",
    "Which of Z and A does the signature give you?",
)
def _(dA, A):
    S = backprop.sigmoid(A)
    return dA * S * (1 - S)


@sigmoid_backward.chaff(
    "slope-of-the-tanh", "1 − A² is the slope of the tanh.", "How steep is the sigmoid where A = 1/2?"
)
def _(dA, A):
    return dA * (1 - A**2)


@sigmoid_backward.chaff(
    "one-factor", "the factor (1 − A) is missing.", "Where A is near 1 the curve is flat. Is yours?"
)
def _(dA, A):
    return dA * A


@sigmoid_backward.chaff("one-factor", "the factor A is missing.", "Where A is near 0 the curve is flat. Is yours?")
def _(dA, A):
    return dA * (1 - A)


@sigmoid_backward.chaff("plus", "1 + A stands where 1 − A belongs.", "Where A is near 1 the curve is flat. Is yours?")
def _(dA, A):
    return dA * A * (1 + A)


@sigmoid_backward.chaff(
    "upside-down", "dA is divided by the slope instead of multiplied with it.", "Can a gradient grow in a sigmoid?"
)
def _(dA, A):
    with np.errstate(all="ignore"):
        return dA / (A * (1 - A))


@sigmoid_backward.chaff("sign-flipped", "A − 1 stands where 1 − A belongs.", "Does the sigmoid rise or fall?")
def _(dA, A):
    return dA * A * (A - 1)


@sigmoid_backward.chaff(
    "gate-on-upstream", "the slope was computed from dA instead of A.", "Which array came out of the sigmoid?"
)
def _(dA, A):
    return A * dA * (1 - dA)


@sigmoid_backward.chaff("argument-changed", "dA was changed in place (`dA *= …`).", "Write `dZ = dA * …` instead.")
def _(dA, A):
    dA *= A * (1 - A)
    return dA


@sigmoid_backward.chaff(
    "parentheses-missing",
    "dA multiplies only one of two terms: parentheses are missing.",
    "Put dA = 0 in: what should come out, and what does?",
)
def _(dA, A):
    return dA * A - A * A


tanh_backward = Exercise(
    "tanh_backward",
    CHAPTER,
    2,
    "tanh_backward(dA, A)",
    ("dZ",),
    reference=backprop.tanh_backward,
    make_cases=_output_cases(np.tanh),
    upstream="dA",
    explain=lambda f: _each_entry_alone(tanh_backward, f, np.tanh),
    formula="dA * (1 - A**2)",
)


@tanh_backward.wheat
def factored(dA, A):
    return dA * (1 - A) * (1 + A)


@tanh_backward.wheat
def expanded_difference(dA, A):
    return dA - dA * np.square(A)


@tanh_backward.wheat
def through_the_input_again(dA, A):
    return dA / np.cosh(np.arctanh(A)) ** 2


@tanh_backward.wheat
def by_list_comprehension(dA, A):
    return np.array([g * (1 - a * a) for g, a in zip(dA.ravel(), A.ravel(), strict=True)]).reshape(A.shape)


@tanh_backward.wheat
def by_the_sigmoid(dA, A):
    S = (1 + A) / 2  # tanh(z) = 2 σ(2z) − 1
    return 4 * dA * S * (1 - S)


@tanh_backward.wheat
def in_place_on_an_array_of_its_own(dA, A):
    slope = -np.square(A)
    slope += 1.0
    slope *= dA
    return slope


@tanh_backward.chaff(
    "upstream-forgotten", "the local derivative alone was returned.", "Which factor of the chain rule is missing?"
)
def _(dA, A):
    return 1 - A**2


@tanh_backward.chaff(
    "output-taken-for-input",
    "tanh was applied to A; but A *is* the output of the tanh.",
    "Which of Z and A does the signature give you?",
)
def _(dA, A):
    return dA * (1 - np.tanh(A) ** 2)


@tanh_backward.chaff(
    "slope-of-the-sigmoid", "A(1 − A) is the slope of the sigmoid.", "How steep is tanh at 0, where A = 0?"
)
def _(dA, A):
    return dA * A * (1 - A)


@tanh_backward.chaff("square-missing", "1 − A stands where 1 − A² belongs.", "How steep is tanh where A = −0.9?")
def _(dA, A):
    return dA * (1 - A)


@tanh_backward.chaff("sign-flipped", "A² − 1 stands where 1 − A² belongs.", "Does tanh rise or fall?")
def _(dA, A):
    return dA * (A**2 - 1)


@tanh_backward.chaff(
    "parenthesis-lost",
    "dA multiplies the 1 only: dA − A² is not dA(1 − A²).",
    "Which terms does dA multiply? Look at the parentheses.",
)
def _(dA, A):
    return dA - A**2


@tanh_backward.chaff(
    "square-misplaced", "the whole difference is squared, (1 − A)², not A alone.", "How steep is tanh where A = −0.9?"
)
def _(dA, A):
    return dA * (1 - A) ** 2


@tanh_backward.chaff("plus", "1 + A² stands where 1 − A² belongs.", "Can the slope of tanh exceed 1?")
def _(dA, A):
    return dA * (1 + A**2)


@tanh_backward.chaff(
    "gate-on-upstream", "the slope was computed from dA instead of A.", "Which array came out of the tanh?"
)
def _(dA, A):
    return A * (1 - dA**2)


@tanh_backward.chaff("argument-changed", "dA was changed in place.", "Write `dZ = dA * …` instead.")
def _(dA, A):
    dA *= 1 - A**2
    return dA


@tanh_backward.chaff(
    "root-too-many",
    "a root was taken of the slope.",
    "At A = 0.6, how steep is the curve? Compare with a small step.",
)
def _(dA, A):
    return dA * np.sqrt(1 - A**2)


# softmax_backward


def _softmax_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, C: int, upstream=normal) -> Case:
        return Case(name, (upstream(rng, N, C), rows_that_sum_to_1(rng, N, C)), {"N": N, "C": C})

    certain = np.eye(3)[rng.integers(0, 3, 5)]
    return [
        case("7 × 5", 7, 5),
        case("3 × 11", 3, 11),
        case("N = 1", 1, 3),
        case("square", 5, 5),
        case("upstream a basis vector", 5, 3, _unit),
        Case("certain rows", (normal(rng, 5, 3), certain), {"N": 5, "C": 3}),
        case("many classes", 2, 97),
    ]


def _implied_jacobian(f: Callable) -> Finding | None:
    """A backward pass is linear: fed with basis vectors it shows the Jacobian that it stands for."""
    rng = np.random.default_rng(1)
    N, C = 3, 4
    P = rows_that_sum_to_1(rng, N, C)
    J = np.zeros((N, C, N, C))  # J[n, k] is the answer where only entry (n, k) of the upstream gradient is 1
    for n, k in np.ndindex(N, C):
        basis = np.zeros((N, C))
        basis[n, k] = 1.0
        answer = probe(softmax_backward, f, (basis, P))
        if answer is None:
            return None
        J[n, k] = answer["dZ"]
    dP = normal(rng, N, C)
    whole = probe(softmax_backward, f, (dP, P))
    if whole is None or not same(whole["dZ"], np.tensordot(dP, J, axes=2), 1e-7):
        return None  # not linear: there is no Jacobian to speak of
    shown = "Fed with one basis vector at a time, your function shows the Jacobian that it stands for"
    own = np.stack([J[n, :, n] for n in range(N)])
    others = J.copy()
    others[np.arange(N), :, np.arange(N)] = 0
    if np.abs(others).max() > 1e-9:
        n, _, m, _ = np.unravel_index(np.argmax(np.abs(others)), J.shape)
        return Finding(
            f"{shown}: row {n} of `dP` has an influence on row {m} of `dZ`.",
            "examples-mixed-up",
            "examples of the batch get mixed up; each row has a softmax of its own.",
            "Which of your sums or products run over the batch, and which over the classes?",
        )
    right = np.stack([np.diag(p) - np.outer(p, p) for p in P])
    wrong = ~np.isclose(own, right, rtol=1e-7, atol=1e-9)
    if not wrong.any():
        return None
    if not wrong.any(axis=(1, 2)).all():
        rows = np.flatnonzero(wrong.any(axis=(1, 2)))
        good = [str(n) for n in range(N) if n not in rows]
        what = f"{shown}. For row{'s' if len(good) > 1 else ''} {listing(good)} of a batch of {N} it is right."
        if not any(own[n].any() for n in rows):
            return Finding(
                what,
                "example-left-out",
                "other rows of the batch are left out: their `dZ` is zero.",
                "Over which rows does your loop run? A batch has the rows 0 to N − 1, whatever N.",
            )
        if all(np.allclose(own[n], own[0]) for n in range(N)):
            return Finding(
                what,
                "first-row-for-all",
                "the probabilities of the first row are used for all rows.",
                "Which row of P belongs to the second row of dP?",
            )
    others_changed = np.concatenate([P[:1], rows_that_sum_to_1(rng, N - 1, C)])
    for k in range(C):
        basis = np.eye(N * C)[k].reshape(N, C)
        if not same(probe(softmax_backward, f, (basis, others_changed))["dZ"][0], J[0, k, 0], 1e-7):
            return Finding(
                f"{shown}. For the first row it changes when other rows of `P` do.",
                "examples-mixed-up",
                "the probabilities of other rows enter; each row has a softmax of its own.",
                "Which of your sums, means or products run over the batch, and which over the classes?",
            )
    left_out = [k for k in range(C) if np.allclose(own[:, k], np.eye(C)[k] * P[:, [k]])]
    if left_out and not np.delete(wrong, left_out, axis=1).any():
        return Finding(
            f"{shown}. Of {C} classes, {listing([str(k) for k in left_out])} does not enter the inner sum.",
            "sum-too-short",
            "the sum over the classes does not run over all of them.",
            "Over which indices does your inner sum run, for 4 classes and for 5?",
        )
    diagonal = np.eye(C, dtype=bool)
    off = np.where(diagonal, 0, own)
    below, above = np.tril(np.ones((C, C), bool), -1), np.triu(np.ones((C, C), bool), 1)
    p = P[:, :, None]
    for good, cause, likely in (
        (not wrong[:, diagonal].any() and not off.any(), "diagonal-only",
         "each probability was treated as if it depended on its own logit only."),
        (not wrong[:, diagonal].any() and np.allclose(off, np.where(diagonal, 0, -right)), "off-diagonal-sign",
         "the entries off the diagonal have the wrong sign: when one logit grows, the *other* probabilities shrink."),
        (not wrong[:, diagonal].any() and not own[:, below].any() and not wrong[:, above].any(), "half-the-jacobian",
         "only one triangle of the Jacobian is used."),
        (not wrong[:, diagonal].any() and not own[:, above].any() and not wrong[:, below].any(), "half-the-jacobian",
         "only one triangle of the Jacobian is used."),
        (not wrong[:, ~diagonal].any() and not own[:, diagonal].any(), "diagonal-missing",
         "a probability's dependence on its own logit is missing."),
        (not wrong[:, ~diagonal].any() and np.allclose(own[:, diagonal], P), "diagonal-without-product",
         "the diagonal holds p alone: the part that comes from the common denominator is missing there."),
        (np.allclose(own, right / p) or np.allclose(own, right / P[:, None, :]), "probability-missing",
         "a factor P is missing: this is the Jacobian of the *logarithm* of the softmax."),
    ):  # fmt: skip
        if good:
            hint = "When logit j grows, what happens to p_j, and what to each of the others, since they sum to 1?"
            return Finding(f"{shown}.", cause, likely, hint)
    if not wrong[0].any():
        return None
    off_only = not wrong[:, diagonal].any()
    on_only = not wrong[:, ~diagonal].any()
    part = "off the diagonal" if off_only else "on the diagonal" if on_only else "on the diagonal and off it"
    k, j = np.argwhere(wrong[0])[0]
    return Finding(
        f"{shown}. It is wrong {part}: for p = {P[0].round(3)} the slope of p[{k}] by logit {j} should be "
        f"{right[0, k, j]:.3g} and is {own[0, k, j]:.3g}.",
        "wrong-step",
        f"the Jacobian that your function stands for is wrong {part}.",
        "When logit j grows, what happens to p_j, and what to each of the others, since they sum to 1?",
    )


softmax_backward = Exercise(
    "softmax_backward",
    CHAPTER,
    4,
    "softmax_backward(dP, P)",
    ("dZ",),
    reference=backprop.softmax_backward,
    make_cases=_softmax_cases,
    upstream="dP",
    explain=_implied_jacobian,
    formula="P * (dP - (dP * P).sum(axis=1, keepdims=True))",
)


@softmax_backward.wheat
def by_jacobians(dP, P):
    return np.stack([(np.diag(p) - np.outer(p, p)) @ g for g, p in zip(dP, P, strict=True)])


@softmax_backward.wheat
def by_batched_jacobians(dP, P):
    J = P[:, :, None] * (np.eye(P.shape[1]) - P[:, None, :])
    return np.einsum("ncd,nc->nd", J, dP)


@softmax_backward.wheat
def product_first(dP, P):
    G = P * dP
    return G - P * G.sum(1)[:, None]


@softmax_backward.wheat
def by_matmul(dP, P):
    inner = (dP[:, None, :] @ P[:, :, None])[:, :, 0]
    return P * (dP - inner)


@softmax_backward.wheat
def by_two_paths(dP, P):
    E, total = P, P.sum(axis=1, keepdims=True)  # P = E / total, where total is 1
    direct = dP / total
    through_the_total = -(dP * E / total**2).sum(axis=1, keepdims=True)
    return E * (direct + through_the_total)


@softmax_backward.wheat
def with_weighted_means(dP, P):
    mean = np.average(dP, axis=1, weights=P)
    return ((dP.T - mean) * P.T).T


@softmax_backward.chaff(
    "diagonal-only",
    "each probability was treated as if it depended on its own logit only.",
    "The columns of the Jacobian sum to 0, so the entries of each row of dZ sum to 0. Do yours?",
)
def _(dP, P):
    return dP * P * (1 - P)


@softmax_backward.chaff(
    "sum-missing", "the part that comes from the common denominator is missing.", "Do the rows of your dZ sum to 0?"
)
def _(dP, P):
    return P * dP


@softmax_backward.chaff(
    "wrong-axis", "the inner sum runs over the batch, not over the classes.", "Along which axis do the classes lie?"
)
def _(dP, P):
    return P * (dP - (dP * P).sum(axis=0, keepdims=True))


@softmax_backward.chaff(
    "summed-over-everything", "the inner sum runs over the whole array.", "`np.sum` without an axis sums everything."
)
def _(dP, P):
    return P * (dP - (dP * P).sum())


@softmax_backward.chaff(
    "mean-not-sum", "the inner product was averaged over the classes, not summed.", "Is Σ_k dp_k p_k a sum or a mean?"
)
def _(dP, P):
    return P * (dP - (dP * P).mean(axis=1, keepdims=True))


@softmax_backward.chaff(
    "keepdims-forgotten",
    "the inner sum lost its axis: a vector of N was then lined up with the classes.",
    "What shape does `.sum(axis=1)` leave, and how does NumPy line it up with (N, C)? Look at `keepdims`.",
)
def _(dP, P):
    return P * (dP - (dP * P).sum(axis=1))


@softmax_backward.chaff(
    "plain-mean",
    "the plain mean of dP was subtracted; the classes count with their probabilities.",
    "The inner sum is Σ_k dp_k p_k. Where are the p_k?",
)
def _(dP, P):
    return P * (dP - dP.mean(axis=1, keepdims=True))


@softmax_backward.chaff(
    "sum-added", "the inner sum is added; it is subtracted.", "Do the rows of your dZ sum to 0? They should."
)
def _(dP, P):
    return P * (dP + (dP * P).sum(axis=1, keepdims=True))


@softmax_backward.chaff(
    "parenthesis-lost",
    "the inner sum is subtracted without the factor P in front of it.",
    "Which terms does the P in front multiply? Look at the parentheses.",
)
def _(dP, P):
    return P * dP - (dP * P).sum(axis=1, keepdims=True)


@softmax_backward.chaff(
    "weights-missing-in-sum",
    "dP was summed without the weights P.",
    "The inner sum is Σ_k dp_k p_k: each upstream gradient with the probability it belongs to.",
)
def _(dP, P):
    return P * (dP - dP.sum(axis=1, keepdims=True))


@softmax_backward.chaff(
    "cross-entropy-assumed",
    "P − dP treats dP as a one-hot label. The upstream gradient may be anything.",
    "P − onehot is softmax *and* cross-entropy together. Here is the softmax alone.",
)
def _(dP, P):
    return P - dP


@softmax_backward.chaff(
    "softmax-applied-again",
    "P went through a softmax once more; it holds probabilities already.",
    "Is `P` logits or probabilities?",
)
def _(dP, P):
    return backprop.softmax_backward(dP, backprop.softmax(P))


@softmax_backward.chaff(
    "probability-missing",
    "this is the backward pass of the *logarithm* of the softmax.",
    "Which function's output is P: the softmax, or its logarithm?",
)
def _(dP, P):
    return dP - P * dP.sum(axis=1, keepdims=True)


@softmax_backward.chaff(
    "label-assumed",
    "the largest upstream gradient was taken for the label, and dP for the probabilities.",
    "There are no labels here. What is dP, and what is P?",
)
def _(dP, P):
    dZ = -dP * dP
    at = np.unravel_index(np.argmax(dP), dP.shape)
    dZ[at] = dP[at] * (1 - dP[at])
    return dZ


@softmax_backward.chaff(
    "off-diagonal-sign",
    "the entries off the diagonal of the Jacobian have the wrong sign.",
    "When one logit grows, what happens to the *other* probabilities, since all of them sum to 1?",
)
def _(dP, P):
    return dP * P * (1 - 2 * P) + P * (dP * P).sum(axis=1, keepdims=True)


@softmax_backward.chaff(
    "rows-with-rows",
    "`P @ dP.T` multiplies every row of P with every row of dP; asked for is each row with its own.",
    "One number for each row: multiply entry by entry, and add along the axis of the classes.",
)
def _(dP, P):
    return P * (dP - P @ dP.T)


@softmax_backward.chaff(
    "rows-with-rows",
    "`P @ dP` multiplies rows with columns; asked for is each row of P with the same row of dP.",
    "One number for each row: multiply entry by entry, and add along the axis of the classes.",
)
def _(dP, P):
    return P * (dP - P @ dP)


@softmax_backward.chaff("sign-flipped", "the difference is the wrong way round.", "Which term has the plus?")
def _(dP, P):
    return -backprop.softmax_backward(dP, P)


@softmax_backward.chaff(
    "upstream-forgotten", "dP was never used.", "By the chain rule the Jacobian multiplies the upstream gradient."
)
def _(dP, P):
    return P * (1 - P)


# unbroadcast


def _unbroadcast_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, full: tuple[int, ...], shape: tuple[int, ...]) -> Case:
        return Case(name, (normal(rng, *full), shape))

    return [
        case("(7, 5) → (5,)", (7, 5), (5,)),
        case("(7, 5) → (7, 1)", (7, 5), (7, 1)),
        case("(7, 5) → (1, 5)", (7, 5), (1, 5)),
        case("(7, 5) → ()", (7, 5), ()),
        case("(7, 5) → (1, 1)", (7, 5), (1, 1)),
        case("nothing to do", (3, 5), (3, 5)),
        case("square: (3, 3) → (3,)", (3, 3), (3,)),
        case("square: (3, 3) → (3, 1)", (3, 3), (3, 1)),
        case("three axes: (2, 3, 5) → (3, 1)", (2, 3, 5), (3, 1)),
        case("three axes: (2, 3, 5) → (2, 1, 5)", (2, 3, 5), (2, 1, 5)),
        case("three axes: (2, 3, 5) → (1,)", (2, 3, 5), (1,)),
        case("three axes: (2, 3, 5) → (1, 1, 1)", (2, 3, 5), (1, 1, 1)),
        case("four axes: (2, 3, 2, 5) → (3, 1, 5)", (2, 3, 2, 5), (3, 1, 5)),
        case("a length of 1 that stays: (7, 1) → (1,)", (7, 1), (1,)),
        case("a length of 1 that stays: (1, 5) → (1, 5)", (1, 5), (1, 5)),
    ]


def _copies_collected(f: Callable) -> Finding | None:
    """Fed with one basis vector at a time, the answer tells which copies each entry of the result collects."""
    for full, shape in (((3, 2), (2,)), ((3, 2), (3, 1)), ((3, 2), ()), ((2, 3, 2), (3, 1)), ((2, 3, 2), (2, 1, 2))):
        taken = np.zeros((*shape, *full))
        for index in np.ndindex(*full):
            G = np.zeros(full)
            G[index] = 1.0
            answer = probe(unbroadcast, f, (G, shape))
            if answer is None:
                return None
            taken[(..., *index)] = answer["result"]
        G = normal(np.random.default_rng(1), *full)
        whole = probe(unbroadcast, f, (G, shape))
        if whole is None or not same(whole["result"], np.tensordot(taken, G, axes=len(full)), 1e-7):
            return None  # not a sum
        right = np.zeros_like(taken)
        for index in np.ndindex(*full):
            own = index[len(full) - len(shape) :]
            place = tuple(0 if n == 1 else i for i, n in zip(own, shape, strict=True))
            right[(*place, *index)] = 1.0
        if np.allclose(taken, right):
            continue
        place = next(p for p in np.ndindex(*shape) if not np.allclose(taken[p], right[p]))
        mine, due = taken[place], right[place]
        result = f"`result[{', '.join(map(str, place))}]`" if place else "the result"
        what = f"From {full} to {shape}, {result} should collect {_entries(due > 0)}, each once. Yours "
        counts = np.unique(mine[due > 0].round(9))
        if not mine.any():
            what += "collects nothing."
        elif np.abs(mine[due == 0]).max(initial=0.0) > 1e-9:
            strange = (np.abs(mine) > 1e-9) & (due == 0)
            what += f"contains {_entries(strange)}, which belong{'s' if strange.sum() == 1 else ''} elsewhere."
            return Finding(
                what,
                "wrong-copies",
                "entries are added that are not copies of one another.",
                "Write both shapes one below the other, aligned at the right. Which axes were stretched or added?",
            )
        elif len(counts) == 1:
            what += f"takes each {counts[0]:.3g} times."
            return Finding(
                what,
                "copies-weighted",
                "the copies do not count once each.",
                "If one number is used seven times, and each use has slope 1, what is its slope?",
            )
        else:
            what += f"contains {_entries(np.abs(mine) > 1e-9)} alone."
        return Finding(
            what,
            "copies-left-out",
            "some copies are left out of the sum.",
            "Every copy carries gradient. Which of them does your code not visit?",
        )
    return None


def _entries(mask: np.ndarray) -> str:
    """Names of the entries of G at which a mask is True: at most four."""
    names = [f"`G[{', '.join(map(str, index))}]`" for index in np.argwhere(mask)]
    return listing(names) if len(names) < 5 else f"{', '.join(names[:3])} and {len(names) - 3} others"


unbroadcast = Exercise(
    "unbroadcast",
    CHAPTER,
    5,
    "unbroadcast(G, shape)",
    ("result",),
    reference=backprop.unbroadcast,
    make_cases=_unbroadcast_cases,
    upstream="G",
    may_alias=True,  # where nothing is to be done, G itself may come back
    explain=_copies_collected,
    formula="sum over the first G.ndim - len(shape) axes; then, with keepdims, over the axes that are 1 long in shape",
)


@unbroadcast.wheat
def leading_axes_first(G, shape):
    while G.ndim > len(shape):
        G = G.sum(axis=0)
    for axis, length in enumerate(shape):
        if length == 1:
            G = G.sum(axis=axis, keepdims=True)
    return G


@unbroadcast.wheat
def all_axes_at_once(G, shape):
    padded = (1,) * (G.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, (g, s) in enumerate(zip(G.shape, padded, strict=True)) if s == 1 and g != 1)
    return np.sum(G, axis=axes, keepdims=True).reshape(shape)


@unbroadcast.wheat
def by_add_at(G, shape):
    result = np.zeros(shape)
    for index in np.ndindex(*G.shape):
        own = index[G.ndim - len(shape) :]
        result[tuple(0 if s == 1 else i for i, s in zip(own, shape, strict=True))] += G[index]
    return result


@unbroadcast.wheat
def by_bincount(G, shape):
    places = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), G.shape)
    return np.bincount(places.ravel(), weights=G.ravel(), minlength=int(np.prod(shape))).reshape(shape)


@unbroadcast.wheat
def by_einsum(G, shape):
    letters = "abcdef"[: G.ndim]
    own = letters[G.ndim - len(shape) :]
    kept = "".join(c for c, s in zip(own, shape, strict=True) if s != 1)
    return np.einsum(f"{letters}->{kept}", G).reshape(shape)


@unbroadcast.wheat
def counting_axes_from_the_right(G, shape):
    gone = tuple(i for i in range(-G.ndim, 0) if -i > len(shape) or shape[i] == 1)
    return np.sum(G, axis=gone).reshape(shape)


@unbroadcast.wheat
def row_by_row(G, shape):
    if G.ndim > len(shape):
        return row_by_row(sum(G), shape)
    if not shape:
        return G
    rows = [row_by_row(g, shape[1:]) for g in G]
    return np.array([sum(rows)] if shape[0] == 1 else rows)


@unbroadcast.wheat
def where_the_padded_shapes_differ(G, shape):
    padded = [1] * (G.ndim - len(shape)) + list(shape)
    differ = [axis for axis, (long, short) in enumerate(zip(G.shape, padded, strict=True)) if long != short]
    for axis in reversed(differ):
        G = G.sum(axis=axis)
    return np.reshape(G, shape)


def _reduce(G, shape, leading=np.sum, repeated=np.sum):
    while G.ndim > len(shape):
        G = leading(G, axis=0)
    for axis, length in enumerate(shape):
        if length == 1 and G.shape[axis] > 1:
            G = repeated(G, axis=axis, keepdims=True)
    return G


@unbroadcast.chaff(
    "mean-not-sum",
    "the repeated entries were averaged. Each copy passes on its own gradient, and they add up.",
    "If one number is used seven times, and each use has slope 1, what is its slope?",
)
def _(G, shape):
    return _reduce(G, shape, np.mean, np.mean)


@unbroadcast.chaff(
    "mean-not-sum",
    "the axes of length 1 that were stretched are averaged. Each copy passes on its own gradient, and they add up.",
    "If one number is used seven times, and each use has slope 1, what is its slope?",
)
def _(G, shape):
    return _reduce(G, shape, np.sum, np.mean)


@unbroadcast.chaff(
    "mean-not-sum",
    "the axes that broadcasting had added are averaged. Each copy passes on its own gradient, and they add up.",
    "If one number is used seven times, and each use has slope 1, what is its slope?",
)
def _(G, shape):
    return _reduce(G, shape, np.mean, np.sum)


@unbroadcast.chaff(
    "leading-axes-only",
    "only the added leading axes are summed; axes of length 1 in `shape` were repeated as well.",
    "Which axes does broadcasting stretch from (7, 1) to (7, 5)?",
)
def _(G, shape):
    while G.ndim > len(shape):
        G = G.sum(axis=0)
    return G.copy()


@unbroadcast.chaff(
    "ones-only",
    "axes of length 1 are summed; the leading axes that broadcasting added are not.",
    "Broadcasting also adds axes in front: which, from (5,) to (7, 5)?",
)
def _(G, shape):
    if G.ndim > len(shape):
        return G.copy()
    return _reduce(G, shape)


@unbroadcast.chaff(
    "one-leading-axis-only",
    "only the first axis is summed, whatever `shape` asks for.",
    "How many axes did broadcasting add, and which ones did it stretch?",
)
def _(G, shape):
    return G.sum(axis=0)


@unbroadcast.chaff(
    "axes-kept",
    "the axes that broadcasting had added are summed but kept, with length 1.",
    "The result must have exactly the shape that was asked for, with as many axes.",
)
def _(G, shape):
    added = G.ndim - len(shape)
    padded = (1,) * added + tuple(shape)
    return G.sum(axis=tuple(i for i, s in enumerate(padded) if s == 1), keepdims=True)


@unbroadcast.chaff(
    "trailing-axes-summed",
    "the added axes were taken to be the last ones. Broadcasting aligns shapes at the right: it adds axes in front.",
    "How does NumPy line up (5,) with (7, 5)?",
)
def _(G, shape):
    while G.ndim > len(shape):
        G = G.sum(axis=-1)
    return _reduce(G, shape) if G.ndim == len(shape) else G


@unbroadcast.chaff(
    "axis-lost",
    "an axis of length 1 was summed away and not kept.",
    "The result must have exactly the shape that was asked for. `keepdims` helps.",
)
def _(G, shape):
    while G.ndim > len(shape):
        G = G.sum(axis=0)
    return G.sum(axis=tuple(i for i, s in enumerate(shape) if s == 1))


@unbroadcast.chaff(
    "first-copy-only",
    "one copy was picked out instead of adding all of them.",
    "Every copy carries gradient. What happens to the others in your code?",
)
def _(G, shape):
    return _reduce(G, shape, lambda A, axis: A[0], lambda A, axis, keepdims: np.take(A, [0], axis=axis)).copy()


@unbroadcast.chaff(
    "cut-to-shape",
    "`reshape` or `resize` was used: it moves or drops numbers; what broadcasting repeated must be *added up*.",
    "How many numbers has G, and how many may the result have? Where do the others go?",
)
def _(G, shape):
    return np.resize(G, shape)


@unbroadcast.chaff(
    "reshaped-then-summed",
    "G was reshaped so that `shape` comes last, and then summed: right for added axes, wrong for stretched ones.",
    "From (7, 5) to (7, 1): which numbers stand next to each other in memory, and which have to be added?",
)
def _(G, shape):
    return G.reshape(-1, *shape).sum(axis=0)


@unbroadcast.chaff(
    "axes-not-shifted",
    "the axes of length 1 are counted in `shape`, and summed in G, where the added axes come first.",
    "With two axes added in front, which axis of G is axis 0 of `shape`?",
)
def _(G, shape):
    axes = set(range(G.ndim - len(shape))) | {axis for axis, length in enumerate(shape) if length == 1}
    return G.sum(axis=tuple(axes), keepdims=True).reshape(shape)


@unbroadcast.chaff(
    "first-stretched-axis-only",
    "of several axes of length 1 only the first is summed: the function returns too early.",
    "How often does your loop go round for the shape (1, 1)?",
)
def _(G, shape):
    while G.ndim > len(shape):
        G = G.sum(axis=0)
    for axis, length in enumerate(shape):
        if length == 1:
            return G.sum(axis=axis, keepdims=True)
    return G


@unbroadcast.chaff("copies-multiplied", "the copies are multiplied.", "Gradients of copies add up.")
def _(G, shape):
    return _reduce(G, shape, np.prod, np.prod)


@unbroadcast.chaff("largest-copy", "the maximum over the copies was taken.", "Gradients of copies add up.")
def _(G, shape):
    return _reduce(G, shape, np.max, np.max)


@unbroadcast.chaff(
    "summed-to-one", "everything was summed into one number.", "Which axes had been repeated, and which not?"
)
def _(G, shape):
    return np.full(shape, G.sum())


@unbroadcast.chaff(
    "added-axes-kept",
    "only axes of length 1 are summed; the axes that broadcasting put in front are not.",
    "From (5,) to (7, 5): which axis is new, and what happened along it?",
)
def _(G, shape):
    for axis, n in enumerate(shape):
        if n == 1 and axis < G.ndim and G.shape[axis] != 1:
            G = G.sum(axis=axis, keepdims=True)
    return G + 0.0


@unbroadcast.chaff(
    "always-axis-0",
    "axis 0 is summed, whatever `shape` says.",
    "From (7, 1) to (7, 5): along which axis were the values repeated?",
)
def _(G, shape):
    return G.sum(axis=0, keepdims=len(shape) == G.ndim)


# fix_unbroadcast: the bug hunt. The planted bug comes first: an unchanged copy is the likeliest wrong answer.


def _copies_taken_to_be_outermost(G, shape):
    """The function that the chapter shows: it reshapes as if every repetition had put an axis in front."""
    copies = G.size // math.prod(shape)
    return G.reshape(copies, *shape).sum(axis=0)


fix_unbroadcast = Exercise(
    "fix_unbroadcast",
    CHAPTER,
    3,
    "fix_unbroadcast(G, shape)",
    ("result",),
    reference=backprop.unbroadcast,
    make_cases=_unbroadcast_cases,
    upstream="G",
    may_alias=True,
    explain=_copies_collected,
    partial_credit=False,
    formula="before the reshape, bring the repeated axes to the front with transpose; or add along them with keepdims",
)
fix_unbroadcast.chaff(
    "unchanged",
    "the planted bug is still there.",
    "Take `G = np.arange(12).reshape(3, 4)` and the shape (3, 1). Which entries of G does your code lay on top of each "
    "other, and which of them are copies of one number?",
)(_copies_taken_to_be_outermost)
fix_unbroadcast.wheats += unbroadcast.wheats
fix_unbroadcast.chaffs += [chaff for chaff in unbroadcast.chaffs if chaff.cause != "reshaped-then-summed"]


@fix_unbroadcast.wheat
def repeated_axes_brought_to_the_front(G, shape):
    padded = (1,) * (G.ndim - len(shape)) + tuple(shape)
    repeated = [axis for axis, length in enumerate(padded) if length == 1]
    kept = [axis for axis, length in enumerate(padded) if length != 1]
    copies = G.size // math.prod(shape)
    return G.transpose(repeated + kept).reshape(copies, *shape).sum(axis=0)


@fix_unbroadcast.wheat
def each_axis_added_where_it_stands(G, shape):
    added = G.ndim - len(shape)
    for axis in range(G.ndim):
        if axis < added or shape[axis - added] == 1:
            G = G.sum(axis=axis, keepdims=True)
    return G.reshape(shape)


@fix_unbroadcast.chaff(
    "copies-taken-to-be-innermost",
    "the copies were moved to a new last axis: right for an axis that was stretched at the end, wrong for one that was "
    "added in front.",
    "Try the shape (4,) for a G of shape (3, 4). Where do the copies of its first entry stand in G?",
)
def _(G, shape):
    copies = G.size // math.prod(shape)
    return G.reshape(*shape, copies).sum(axis=-1)


@fix_unbroadcast.chaff(
    "last-axis-only",
    "a stretched axis is treated on its own only where it is the last one; one in the middle is still reshaped away.",
    "An axis of length 1 may stand anywhere. What does your code do with the shape (2, 1, 5)?",
)
def _(G, shape):
    if shape and shape[-1] == 1:
        G = G.sum(axis=-1, keepdims=True)
    copies = G.size // math.prod(shape)
    return G.reshape(copies, *shape).sum(axis=0)


@fix_unbroadcast.chaff(
    "read-in-another-order",
    '`order="F"` reads G column by column; it still puts numbers together by their place in memory.',
    "Take the shape (7, 1). Which five numbers of G are read first, and are they copies of one number?",
)
def _(G, shape):
    copies = G.size // math.prod(shape)
    return G.reshape(copies, *shape, order="F").sum(axis=0)


@fix_unbroadcast.chaff(
    "columns-turned",
    "G is transposed wherever an axis of length 1 occurs: right for a column, wrong for the shape (1, 5) and for more "
    "axes.",
    "Which axis of G was stretched? And where does a transpose put the others?",
)
def _(G, shape):
    copies = G.size // math.prod(shape)
    if 1 in shape:
        G = G.T
    return G.reshape(copies, *shape).sum(axis=0)


# matmul_backward


def _matmul_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> Case:
        A, B = normal(rng, *a), normal(rng, *b)
        return Case(name, (normal(rng, *(A @ B).shape), A, B), {"n": a[-2], "k": a[-1], "m": b[-1]})

    return [
        case("(7, 5) @ (5, 3)", (7, 5), (5, 3)),
        case("(2, 3) @ (3, 11)", (2, 3), (3, 11)),
        case("square", (5, 5), (5, 5)),
        case("a batch on both sides", (2, 7, 5), (2, 5, 3)),
        case("B shared by the batch", (2, 7, 5), (5, 3)),
        case("A shared by the batch", (7, 5), (2, 5, 3)),
        case("batch axes of length 1", (2, 1, 3, 5), (1, 7, 5, 3)),
        case("one row", (1, 5), (5, 1)),
    ]


matmul_backward = Exercise(
    "matmul_backward",
    CHAPTER,
    5,
    "matmul_backward(dY, A, B)",
    ("dA", "dB"),
    reference=backprop.matmul_backward,
    make_cases=_matmul_cases,
    upstream="dY",
    formula="unbroadcast(dY @ B.swapaxes(-1, -2), A.shape), unbroadcast(A.swapaxes(-1, -2) @ dY, B.shape)",
)


def _sum_to(G, shape):
    G = G.sum(axis=tuple(range(G.ndim - len(shape))))
    return G.sum(axis=tuple(i for i, s in enumerate(shape) if s == 1 and G.shape[i] > 1), keepdims=True)


@matmul_backward.wheat
def by_swapaxes(dY, A, B):
    return _sum_to(dY @ np.swapaxes(B, -1, -2), A.shape), _sum_to(np.swapaxes(A, -2, -1) @ dY, B.shape)


@matmul_backward.wheat
def by_einsum_ellipsis(dY, A, B):
    dA = np.einsum("...nm,...km->...nk", dY, B)
    dB = np.einsum("...nk,...nm->...km", A, dY)
    return _sum_to(dA, A.shape), _sum_to(dB, B.shape)


@matmul_backward.wheat
def matrix_by_matrix(dY, A, B):
    dA, dB = np.zeros_like(A), np.zeros_like(B)
    batch = dY.shape[:-2]
    A_full = np.broadcast_to(A, batch + A.shape[-2:])
    B_full = np.broadcast_to(B, batch + B.shape[-2:])
    for index in np.ndindex(*batch):
        at = tuple(i if s > 1 else 0 for i, s in zip(index[len(batch) - (A.ndim - 2) :], A.shape[:-2], strict=True))
        bt = tuple(i if s > 1 else 0 for i, s in zip(index[len(batch) - (B.ndim - 2) :], B.shape[:-2], strict=True))
        dA[at] += dY[index] @ B_full[index].T
        dB[bt] += A_full[index].T @ dY[index]
    return dA, dB


@matmul_backward.wheat
def by_moveaxis(dY, A, B):
    return [
        backprop.unbroadcast(np.matmul(dY, np.moveaxis(B, -1, -2)), A.shape),
        backprop.unbroadcast(np.matmul(np.moveaxis(A, -1, -2), dY), B.shape),
    ]


@matmul_backward.wheat
def row_times_column(dY, A, B):
    dA = (dY[..., :, None, :] * B[..., None, :, :]).sum(axis=-1)
    dB = (A[..., :, :, None] * dY[..., :, None, :]).sum(axis=-3)
    return [_sum_to(dA, A.shape), _sum_to(dB, B.shape)]


@matmul_backward.wheat
def both_factors_stretched_first(dY, A, B):
    batch = dY.shape[:-2]
    A_full, B_full = np.broadcast_to(A, (*batch, *A.shape[-2:])), np.broadcast_to(B, (*batch, *B.shape[-2:]))
    dA = np.einsum("...ij,...kj->...ik", dY, B_full)
    dB = np.matmul(np.transpose(A_full, (*range(len(batch)), -1, -2)), dY)
    return backprop.unbroadcast(dA, A.shape), backprop.unbroadcast(dB, B.shape)


@matmul_backward.chaff(
    "batch-not-summed",
    "the batch axes along which a factor was shared are not summed: its gradient has too many axes.",
    "B is used once for each matrix of the batch. What happens to the gradients of a thing that is used many times?",
)
def _(dY, A, B):
    return dY @ B.swapaxes(-1, -2), A.swapaxes(-1, -2) @ dY


@matmul_backward.chaff(
    "batch-not-summed",
    "`dB` is brought down to the shape of B, `dA` is not: A may be the one that the batch shares.",
    "Which of the two factors can be broadcast: only B, or both?",
)
def _(dY, A, B):
    return dY @ B.swapaxes(-1, -2), backprop.unbroadcast(A.swapaxes(-1, -2) @ dY, B.shape)


@matmul_backward.chaff(
    "batch-not-summed",
    "`dA` is brought down to the shape of A, `dB` is not: B may be the one that the batch shares.",
    "Which of the two factors can be broadcast: only A, or both?",
)
def _(dY, A, B):
    return backprop.unbroadcast(dY @ B.swapaxes(-1, -2), A.shape), A.swapaxes(-1, -2) @ dY


@matmul_backward.chaff(
    "unbroadcast-too-early",
    "`unbroadcast` was called before the product: the upstream gradient has the shape of Y, not that of A or B.",
    "Multiply with the whole stack first. Which array has too many copies then: a factor, or the result?",
)
def _(dY, A, B):
    dA = backprop.unbroadcast(dY, A.shape) @ B.swapaxes(-1, -2)
    return dA, backprop.unbroadcast(A.swapaxes(-1, -2) @ dY, B.shape)


@matmul_backward.chaff(
    "all-axes-transposed",
    "`.T` reverses *all* axes; only the last two may change places.",
    "What is the shape of `A.T` for A of shape (2, 7, 5)?",
)
def _(dY, A, B):
    return backprop.unbroadcast(dY @ B.T, A.shape), backprop.unbroadcast(A.T @ dY, B.shape)


@matmul_backward.chaff(
    "unbroadcast-too-early",
    "`unbroadcast` was called before the product: the upstream gradient has the shape of Y, not that of A or B.",
    "Multiply with the whole stack first. Which array has too many copies then: a factor, or the result?",
)
def _(dY, A, B):
    dA = backprop.unbroadcast(dY, A.shape) @ B.swapaxes(-1, -2)
    return dA, backprop.unbroadcast(A.swapaxes(-1, -2) @ dY, B.shape)


@matmul_backward.chaff(
    "all-axes-transposed",
    "`.T` reverses *all* axes of B; only the last two may change places.",
    "What is the shape of `B.T` for B of shape (2, 5, 3)?",
)
def _(dY, A, B):
    return backprop.unbroadcast(dY @ B.T, A.shape), backprop.unbroadcast(A.swapaxes(-1, -2) @ dY, B.shape)


@matmul_backward.chaff(
    "unbroadcast-too-early",
    "`unbroadcast` was called before the product: the upstream gradient has the shape of Y, not that of A or B.",
    "Multiply with the whole stack first. Which array has too many copies then: a factor, or the result?",
)
def _(dY, A, B):
    dA = backprop.unbroadcast(dY, A.shape) @ B.swapaxes(-1, -2)
    return dA, backprop.unbroadcast(A.swapaxes(-1, -2) @ dY, B.shape)


@matmul_backward.chaff(
    "all-axes-transposed",
    "`.T` reverses *all* axes of A; only the last two may change places.",
    "What is the shape of `A.T` for A of shape (2, 7, 5)?",
)
def _(dY, A, B):
    return backprop.unbroadcast(dY @ B.swapaxes(-1, -2), A.shape), backprop.unbroadcast(A.T @ dY, B.shape)


@matmul_backward.chaff(
    "transpose-missing",
    "the factors were not transposed; the shapes fit only where matrices are square.",
    "Y = A @ B maps k to m. Which matrix leads back from m to k?",
)
def _(dY, A, B):
    return backprop.unbroadcast(dY @ B, A.shape), backprop.unbroadcast(A @ dY, B.shape)


@matmul_backward.chaff(
    "order-reversed",
    "the factors stand in the wrong order: B's transpose belongs on the right of dY, A's on the left.",
    "Write the shapes side by side and see which product gives the shape of A.",
)
def _(dY, A, B):
    return (
        backprop.unbroadcast(B.swapaxes(-1, -2) @ dY, A.shape),
        backprop.unbroadcast(dY @ A.swapaxes(-1, -2), B.shape),
    )


@matmul_backward.chaff("outputs-swapped", "`dA` and `dB` are returned in the other order.", "Return `(dA, dB)`.")
def _(dY, A, B):
    return backprop.matmul_backward(dY, A, B)[::-1]


@matmul_backward.chaff(
    "batch-averaged",
    "gradients of a shared factor are averaged over the batch; they add up.",
    "If one number is used in every matrix of the batch, what is its slope?",
)
def _(dY, A, B):
    def mean_to(G, shape):
        while G.ndim > len(shape):
            G = G.mean(axis=0)
        axes = tuple(i for i, s in enumerate(shape) if s == 1 and G.shape[i] > 1)
        return G.mean(axis=axes, keepdims=True)

    return mean_to(dY @ B.swapaxes(-1, -2), A.shape), mean_to(A.swapaxes(-1, -2) @ dY, B.shape)


def _matmul(
    *, of_A=lambda dA, A: backprop.unbroadcast(dA, A.shape), of_B=lambda dB, B: backprop.unbroadcast(dB, B.shape)
):
    """The two products, each with a last step of one's own."""

    def function(dY, A, B):
        return of_A(dY @ B.swapaxes(-1, -2), A), of_B(A.swapaxes(-1, -2) @ dY, B)

    return function


def _first_of_the_batch(G, factor):
    while G.ndim > factor.ndim:
        G = G[0]
    return backprop.unbroadcast(G, factor.shape)


def _always_summed(G, factor):
    total = G.sum(axis=tuple(range(G.ndim - 2)))
    return np.broadcast_to(total, factor.shape).copy()


def _down_to_one_matrix(G, factor):
    return G.reshape(-1, *G.shape[-2:]).sum(axis=0)


def _turned(G, factor):
    return backprop.unbroadcast(G, factor.shape).swapaxes(-1, -2)


for _cause, _text, _hint, _function in (
    ("transposed", "`dB` is transposed.", "dB has the shape of B. Which product of A and dY has that shape?",
     _matmul(of_B=_turned)),
    ("transposed", "`dA` is transposed.", "dA has the shape of A. Which product of dY and B has that shape?",
     _matmul(of_A=_turned)),
    ("transposed", "`dA` and `dB` are transposed.", "A gradient has the shape of the thing itself.",
     _matmul(of_A=_turned, of_B=_turned)),
    ("first-of-the-batch-only", "of a shared factor only the first matrix of the batch was counted.",
     "The shared factor is used once for each matrix of the batch. What happens to the gradients of all its uses?",
     _matmul(of_A=_first_of_the_batch, of_B=_first_of_the_batch)),
    ("summed-to-one-matrix", "the batch axes are always summed away, also where a factor has batch axes of its own.",
     "Which batch axes had the factor before the product?",
     _matmul(of_A=_down_to_one_matrix, of_B=_down_to_one_matrix)),
    ("batch-always-summed", "the gradient is summed over the batch even where each matrix has a factor of its own.",
     "Which of the two factors is shared by the batch in each case?",
     _matmul(of_A=_always_summed, of_B=_always_summed)),
):  # fmt: skip
    matmul_backward.chaff(_cause, _text, _hint)(_function)


@matmul_backward.chaff(
    "dot-not-matmul",
    "`np.dot` was used: for stacks it pairs every matrix of one stack with every matrix of the other.",
    "Which function multiplies two stacks matrix by matrix?",
)
def _(dY, A, B):
    return np.dot(dY, B.swapaxes(-1, -2)), np.dot(A.swapaxes(-1, -2), dY)


@matmul_backward.chaff(
    "upstream-forgotten",
    "dY does not enter: these are the local derivatives alone.",
    "By the chain rule each result is a product. One factor is dY.",
)
def _(dY, A, B):
    return backprop.matmul_backward(np.ones_like(dY), A, B)


@matmul_backward.chaff(
    "wrong-factor",
    "the factor's own values were used: dA needs B, and dB needs A.",
    "Nudge one entry of A: which entries of B does it meet?",
)
def _(dY, A, B):
    if A.shape != B.shape:
        raise ValueError("matmul: shapes do not match")
    return dY @ A.swapaxes(-1, -2), B.swapaxes(-1, -2) @ dY


@matmul_backward.chaff(
    "leading-axes-only",
    "added leading axes are summed, batch axes of length 1 are not.",
    "Which axes does broadcasting stretch from (2, 1, 3, 5) to (2, 7, 3, 5)?",
)
def _(dY, A, B):
    dA, dB = dY @ B.swapaxes(-1, -2), A.swapaxes(-1, -2) @ dY
    while dA.ndim > A.ndim:
        dA = dA.sum(axis=0)
    while dB.ndim > B.ndim:
        dB = dB.sum(axis=0)
    return dA, dB


@matmul_backward.chaff(
    "result-transposed",
    "`dB` comes out transposed: the factors stand in the other order, and the other one is transposed.",
    "Write the shapes of `A`, `dY` and `B` in a row. Which product gives that of `B`?",
)
def _(dY, A, B):
    dA, dB = dY @ B.swapaxes(-1, -2), dY.swapaxes(-1, -2) @ A
    if dB.shape[-2:] == B.shape[-2:]:
        dB = backprop.unbroadcast(dB, B.shape)
    return backprop.unbroadcast(dA, A.shape), dB


EXERCISES = [
    linear_backward,
    relu_backward,
    sigmoid_slope,
    sigmoid_backward,
    tanh_backward,
    softmax_backward,
    unbroadcast,
    fix_unbroadcast,
    matmul_backward,
]
