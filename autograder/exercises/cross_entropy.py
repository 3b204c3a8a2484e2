"""Chapter 2: softmax, cross-entropy from logits, and their gradients."""

import math

import numpy as np

import backprop
from autograder.checking.derivation import Derivation
from autograder.checking.draw import labels, normal, rows_that_sum_to_1
from autograder.checking.exercise import Case, Exercise

CHAPTER = "02-cross-entropy"
LARGE = "large logits"
_LEVELS = np.array([[1e3], [-1e4], [0.0], [1e4], [-800.0]])  # of five rows: a softmax must not care


def _large(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Logits of ±1e4 among ordinary ones."""
    Z = normal(rng, *shape)
    Z.flat[:: max(1, Z.size // 5)] = 1e4
    Z.flat[1 :: max(1, Z.size // 4)] = -1e4
    return Z


def softmax_without_shift(Z: np.ndarray) -> np.ndarray:
    """Without the shift: overflows at large logits."""
    with np.errstate(all="ignore"):
        E = np.exp(Z)
        return E / E.sum(axis=1, keepdims=True)


def _onehot(y: np.ndarray, C: int) -> np.ndarray:
    return np.eye(C)[y]


# log_softmax


def _logit_cases(rng: np.random.Generator) -> list[Case]:
    return [
        Case("7 × 5", (2 * normal(rng, 7, 5),), {"N": 7, "C": 5}),
        Case("3 × 11", (2 * normal(rng, 3, 11),), {"N": 3, "C": 11}),
        Case("N = 1", (normal(rng, 1, 3),), {"N": 1, "C": 3}),
        Case("square", (normal(rng, 5, 5),), {"N": 5, "C": 5}),
        Case("rows of very different height", (normal(rng, 5, 3) + np.arange(5)[:, None] * 30,), {"N": 5, "C": 3}),
        Case(LARGE, (_large(rng, 7, 3),), {"N": 7, "C": 3}, group="stability"),
        Case("all logits near −1e4", (normal(rng, 2, 3) - 1e4,), {"N": 2, "C": 3}, group="stability"),
        Case("all logits near 1e4", (normal(rng, 2, 3) + 1e4,), {"N": 2, "C": 3}, group="stability"),
    ]


log_softmax = Exercise(
    "log_softmax",
    CHAPTER,
    4,
    "log_softmax(Z)",
    ("L",),
    reference=backprop.log_softmax,
    make_cases=_logit_cases,
    formula="S - np.log(np.exp(S).sum(axis=1, keepdims=True)), with S = Z - Z.max(axis=1, keepdims=True)",
)


@log_softmax.wheat
def row_by_row(Z):
    rows = []
    for z in Z:
        z = z - max(z)
        rows.append(z - np.log(sum(np.exp(z))))
    return np.array(rows)


@log_softmax.wheat
def by_logaddexp(Z):
    return Z - np.logaddexp.reduce(Z, axis=1)[:, None]


@log_softmax.wheat
def by_scipy(Z):
    from scipy.special import log_softmax

    return log_softmax(Z, axis=1)


@log_softmax.wheat
def transposed_and_back(Z):
    S = Z.T - Z.T.max(axis=0)
    return (S - np.log(np.exp(S).sum(axis=0))).T


@log_softmax.wheat
def from_all_differences(Z):
    return -np.logaddexp.reduce(Z[:, np.newaxis, :] - Z[:, :, np.newaxis], axis=2)


@log_softmax.wheat
def in_lists(Z):
    result = []
    for row in Z.tolist():
        top = max(row)
        total = math.fsum(math.exp(z - top) for z in row)
        result.append([z - top - math.log(total) for z in row])
    return result


@log_softmax.wheat
def with_a_constant_too_small_to_matter(Z):
    S = Z - np.amax(Z, axis=-1).reshape(-1, 1)
    return S - np.log(np.exp(S).sum(axis=-1)[..., None] + 1e-30)  # the sum is at least 1


@log_softmax.wheat
def in_single_precision(Z):
    S = (Z - Z.max(axis=1, keepdims=True)).astype(np.float32)
    return S - np.log(np.exp(S).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "no-shift",
    "the exponentials are taken without shifting by the maximum first: `exp(1e4)` is inf.",
    "Subtracting one number from all logits of a row changes nothing in the result. Which number keeps `exp` small?",
)
def _(Z):
    with np.errstate(all="ignore"):
        return Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "log-of-zero",
    "the shift is there, and then the logarithm is taken of probabilities that have underflowed to 0.",
    "log(exp(a)/s) can be written without ever forming exp(a)/s. How?",
)
def _(Z):
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    with np.errstate(all="ignore"):
        return np.log(E / E.sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "shift-outside-exp",
    "the maximum was subtracted from the exponentials, not from the logits: `np.exp(Z) - m` for `np.exp(Z - m)`.",
    "Which number must be small so that `np.exp` does not overflow: what goes in, or what comes out?",
)
def _(Z):
    with np.errstate(all="ignore"):
        E = np.exp(Z) - Z.max(axis=1, keepdims=True)
        return np.log(E / E.sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "epsilon-in-log",
    "a small constant inside the logarithm hides log(0) and falsifies small probabilities.",
    "log(exp(a)/s) can be written without ever forming exp(a)/s; then no constant is needed.",
)
def _(Z):
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return np.log(E / E.sum(axis=1, keepdims=True) + 1e-8)


@log_softmax.chaff(
    "wrong-axis",
    "the sum runs over the batch, not over the classes of each example.",
    "The probabilities of *one example* add up to 1. Along which axis do its classes lie?",
)
def _(Z):
    S = Z - Z.max(axis=0)
    return S - np.log(np.exp(S).sum(axis=0))


@log_softmax.chaff(
    "summed-over-everything",
    "one sum over the whole array normalises all rows together.",
    "`np.sum` without an axis sums everything. Which axis is meant?",
)
def _(Z):
    S = Z - Z.max()
    with np.errstate(all="ignore"):
        return S - np.log(np.exp(S).sum())


@log_softmax.chaff(
    "keepdims-forgotten",
    "the sum has shape `(N,)`: NumPy lines it up with the *columns* of Z, which fits only a square batch.",
    "What is the shape of your sum, and what must it be so that each row gets its own?",
)
def _(Z):
    S = Z - Z.max(axis=1, keepdims=True)
    return S - np.log(np.exp(S).sum(axis=1))


@log_softmax.chaff(
    "keepdims-forgotten",
    "the maximum has shape `(N,)`: NumPy lines it up with the *columns* of Z, which fits only a square batch.",
    "What is the shape of your maximum, and what must it be so that each row gets its own?",
)
def _(Z):
    S = Z - Z.max(axis=1)
    return S - np.log(np.exp(S).sum(axis=1))


@log_softmax.chaff(
    "sign-flipped",
    "the difference was taken the other way round: these are *minus* the log-probabilities.",
    "Can a log-probability be positive? Are yours?",
)
def _(Z):
    return -backprop.log_softmax(Z)


@log_softmax.chaff(
    "no-log", "these are the probabilities, not their logarithms.", "Can a log-probability be positive? Is yours?"
)
def _(Z):
    return backprop.softmax(Z)


@log_softmax.chaff(
    "log-of-the-sum-missing",
    "the sum of the exponentials was subtracted, not its logarithm.",
    "Take the logarithm of exp(a)/s on paper: what becomes of s?",
)
def _(Z):
    S = Z - Z.max(axis=1, keepdims=True)
    return S - np.exp(S).sum(axis=1, keepdims=True)


@log_softmax.chaff(
    "mean-not-sum",
    "the exponentials were averaged; they are summed.",
    "Do the exponentials of a row of your result sum to 1, or to C?",
)
def _(Z):
    S = Z - Z.max(axis=1, keepdims=True)
    return S - np.log(np.exp(S).mean(axis=1, keepdims=True))


@log_softmax.chaff("log-base-2", "a logarithm to base 2 was taken: bits, not nats.", "Which base has `np.log`?")
def _(Z):
    return backprop.log_softmax(Z) / np.log(2)


@log_softmax.chaff(
    "log1p-for-log",
    "`np.log1p(s)` is log(1 + s): one too much in the sum.",
    "Do the exponentials of a row of your result sum to 1?",
)
def _(Z):
    S = Z - Z.max(axis=1, keepdims=True)
    return S - np.log1p(np.exp(S).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "shift-not-cancelled",
    "the maximum was subtracted inside the sum only; what is subtracted must be added back, or taken from Z too.",
    "Add 5 to all logits of a row: should its log-probabilities change? Do yours?",
)
def _(Z):
    m = Z.max(axis=1, keepdims=True)
    return Z - np.log(np.exp(Z - m).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "shift-never-below-zero",
    "the shift is at least 0: a row of very negative logits is not lifted, and all its exponentials underflow.",
    "For a row near −10,000, which number should be subtracted?",
)
def _(Z):
    m = np.maximum(Z.max(axis=1, keepdims=True), 0)
    with np.errstate(all="ignore"):
        return Z - m - np.log(np.exp(Z - m).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "shifted-by-the-minimum",
    "something smaller than the maximum was subtracted (the minimum, or the mean): the largest exponential still "
    "overflows.",
    "Which logit of a row has the largest exponential? What should it be after the shift?",
)
def _(Z):
    S = Z - Z.min(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        return S - np.log(np.exp(S).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "clipped",
    "the logits are cut off before the softmax: large ones that differ come out equal.",
    "Softmax only cares for differences between logits. Which operation keeps all differences?",
)
def _(Z):
    return backprop.log_softmax(np.clip(Z, -500, 500))


@log_softmax.chaff(
    "argument-changed",
    "`Z -= …` subtracts the maximum in the caller's array.",
    "After your function, what does the caller find in `Z`?",
)
def _(Z):
    Z -= Z.max(axis=1, keepdims=True)
    return Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "global-shift",
    "one maximum was taken for the whole array: rows far below it underflow.",
    "Each row needs its own maximum.",
)
def _(Z):
    S = Z - Z.max()
    with np.errstate(all="ignore"):
        return S - np.log(np.exp(S).sum(axis=1, keepdims=True))


@log_softmax.chaff(
    "quotient-of-logarithms",
    "a logarithm was divided by a logarithm; the logarithm of a quotient is a difference.",
    "What is log(a / b), written with log a and log b?",
)
def _(Z):
    m = Z.max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        return Z / (m + np.log(np.exp(Z - m).sum(axis=1, keepdims=True)))


# softmax_jacobian


def _probability_cases(rng: np.random.Generator) -> list[Case]:
    def case(C: int) -> Case:
        return Case(f"{C} classes", (rows_that_sum_to_1(rng, 1, C)[0],), {"C": C})

    certain = np.zeros(5)
    certain[2] = 1.0
    return [
        case(3),
        case(5),
        case(7),
        case(2),
        Case("all classes equally likely", (np.full(5, 0.2),), {"C": 5}),
        Case("one class certain", (certain,), {"C": 5}),
    ]


softmax_jacobian = Exercise(
    "softmax_jacobian",
    CHAPTER,
    4,
    "softmax_jacobian(p)",
    ("J",),
    reference=backprop.softmax_jacobian,
    make_cases=_probability_cases,
    formula="np.diag(p) - np.outer(p, p)",
)


@softmax_jacobian.wheat
def by_two_loops(p):
    C = len(p)
    J = np.zeros((C, C))
    for j in range(C):
        for k in range(C):
            J[j, k] = p[j] * ((j == k) - p[k])
    return J


@softmax_jacobian.wheat
def by_identity(p):
    return p[:, None] * (np.eye(p.size) - p)


@softmax_jacobian.wheat
def by_fill_diagonal(p):
    J = -np.outer(p, p)
    J[np.diag_indices(len(p))] += p
    return J.T


@softmax_jacobian.wheat
def as_a_list_of_lists(p):
    return [[pj * (1 - pj) if j == k else -pj * pk for k, pk in enumerate(p)] for j, pj in enumerate(p)]


@softmax_jacobian.wheat
def column_by_column(p):
    columns = []
    for k in range(len(p)):
        rises = np.zeros(len(p))
        rises[k] = 1.0
        columns.append(p * (rises - p[k]))
    return np.stack(columns, axis=1)


@softmax_jacobian.wheat
def as_in_the_quotient_rule(p):
    q = p.reshape(-1, 1)
    return np.asfortranarray(np.where(np.eye(len(p), dtype=bool), q * (1 - q), -q @ q.T))


@softmax_jacobian.wheat
def by_einsum(p):
    J = -np.einsum("j,k->jk", p, p)
    np.einsum("jj->j", J)[...] += p
    return J


@softmax_jacobian.chaff(
    "diagonal-only",
    "only ∂p_j/∂z_j is there. Raising one logit also lowers all the *other* probabilities: they share a sum.",
    "The columns of the Jacobian sum to 0, since the probabilities keep summing to 1. Do yours?",
)
def _(p):
    return np.diag(p * (1 - p))


@softmax_jacobian.chaff(
    "diagonal-as-a-vector",
    "the derivative of each probability in its own logit was returned, as a vector.",
    "There are C outputs and C inputs: C·C derivatives.",
)
def _(p):
    return p * (1 - p)


@softmax_jacobian.chaff(
    "sign-flipped",
    "all signs are the wrong way round: raising a logit raises its own probability.",
    "Should the diagonal be positive or negative?",
)
def _(p):
    return np.outer(p, p) - np.diag(p)


@softmax_jacobian.chaff(
    "off-diagonal-sign",
    "the entries off the diagonal have the wrong sign: raising z_k *lowers* the other probabilities.",
    "Do the columns sum to 0?",
)
def _(p):
    return np.diag(p) + np.outer(p, p) - 2 * np.diag(p * p)


@softmax_jacobian.chaff(
    "diagonal-missing",
    "the diagonal is 0: only the slopes in the *other* logits are there.",
    "Raise logit j by a little. Does p_j stay the same?",
)
def _(p):
    J = -np.outer(p, p)
    np.fill_diagonal(J, 0.0)
    return J


@softmax_jacobian.chaff(
    "diagonal-overwritten",
    "the diagonal was *set* to p_j, instead of p_j being added to what is there: the −p_j² is lost.",
    "Do the columns sum to 0? By how much are they off?",
)
def _(p):
    J = -np.outer(p, p)
    np.fill_diagonal(J, p)
    return J


@softmax_jacobian.chaff(
    "one-for-delta",
    "p_j(1 − p_k) stands in every entry: the 1 belongs on the diagonal only.",
    "Which factor of the derivative is 1 for j = k and 0 otherwise?",
)
def _(p):
    return p[:, np.newaxis] * (1 - p)


@softmax_jacobian.chaff(
    "diagonal-sign",
    "the diagonal has the wrong sign: raising a logit raises its own probability.",
    "Do the columns sum to 0? They should.",
)
def _(p):
    return -np.outer(p, p) + np.diag(2 * p * p - p)


@softmax_jacobian.chaff(
    "row-sums",
    "the Jacobian was multiplied with ones, which adds up each row; what remains is one number for each class.",
    "There are C outputs and C inputs: C·C derivatives. Which line makes C of them?",
)
def _(p):
    return (np.diag(p) - np.outer(p, p)) @ np.ones(len(p))


@softmax_jacobian.chaff(
    "one-triangle-only",
    "the inner loop begins at the diagonal: the entries below it stay 0.",
    "Which pairs (j, k) does your inner loop visit? Is p_0 moved by z_1 only, or p_1 by z_0 as well?",
)
def _(p):
    return np.triu(np.diag(p) - np.outer(p, p))


@softmax_jacobian.chaff(
    "of-the-log-softmax",
    "this is the Jacobian of log p: it was divided by p_j.",
    "Of which function is the slope asked for: of p_j, or of its logarithm?",
)
def _(p):
    return np.eye(len(p)) - p


@softmax_jacobian.chaff(
    "plus-outer", "the outer product was added instead of subtracted.", "Do the columns sum to 0? They should."
)
def _(p):
    return np.diag(p) + np.outer(p, p)


@softmax_jacobian.chaff(
    "outer-missing",
    "the part that comes from the common denominator is missing.",
    "p_j is a quotient; both numerator and denominator depend on z_k.",
)
def _(p):
    return np.diag(p)


@softmax_jacobian.chaff(
    "inner-not-outer",
    "`p @ p` is one number; `np.outer(p, p)` is the matrix of all products.",
    "Which shape does the product of p with itself have in your code?",
)
def _(p):
    return np.diag(p) - p @ p


@softmax_jacobian.chaff(
    "identity-minus", "the diagonal holds 1 − p_j² instead of p_j − p_j².", "Which matrix has p on its diagonal?"
)
def _(p):
    return np.eye(len(p)) - np.outer(p, p)


@softmax_jacobian.chaff(
    "diagonal-without-p",
    "the diagonal holds 1 − p_j; a factor p_j is missing there.",
    "What is ∂p_j/∂z_j for a class that is almost impossible?",
)
def _(p):
    J = -np.outer(p, p)
    np.fill_diagonal(J, 1 - p)
    return J


@softmax_jacobian.chaff(
    "inner-not-outer",
    "for a vector `p @ p.T` is one number, p·p; off the diagonal there should be −p_j·p_k.",
    "Which shape does the product of p with itself have in your code? `.T` turns only what has two axes.",
)
def _(p):
    J = np.full((len(p), len(p)), -(p @ p))
    np.fill_diagonal(J, p * (1 - p))
    return J


@softmax_jacobian.chaff(
    "rows-scaled",
    "both factors were made columns: every entry got p_j where one factor must be p_k.",
    "p_k belongs to the column of the matrix. Which of the two p's may keep its `[:, None]`?",
)
def _(p):
    return p[:, np.newaxis] * (np.eye(len(p)) - p[:, np.newaxis])


@softmax_jacobian.chaff(
    "vector-for-diagonal",
    "`p` alone, minus the matrix, is spread over all its rows; p_j belongs on the diagonal only.",
    "What has p on its diagonal, and 0 elsewhere?",
)
def _(p):
    return p - np.outer(p, p)


@softmax_jacobian.chaff(
    "columns-scaled",
    "`p * (np.eye(C) - p)` (or `np.diag(p) - p * p.T`: turning a vector changes nothing) works along *columns*: every "
    "entry got p_k where one factor must be p_j.",
    "p_j belongs to the row. How does NumPy line up a vector of C with a matrix: `p` or `p[:, None]`?",
)
def _(p):
    return p * (np.eye(len(p)) - p)


@softmax_jacobian.chaff(
    "softmax-applied-again",
    "the argument was put through a softmax again; it holds probabilities already.",
    "Is `p` logits or probabilities?",
)
def _(p):
    return backprop.softmax_jacobian(backprop.softmax(p))


# cross_entropy


def _label_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, C: int, scale: float = 2.0) -> Case:
        return Case(name, (scale * normal(rng, N, C), labels(rng, N, C)), {"N": N, "C": C})

    sure = labels(rng, 5, 3)
    return [
        case("7 × 5", 7, 5),
        case("3 × 11", 3, 11),
        case("N = 1", 1, 3),
        case("square", 5, 5),
        Case("one label repeated", (normal(rng, 7, 3), np.full(7, 2)), {"N": 7, "C": 3}),
        case("two classes", 13, 2),
        Case(LARGE, (_large(rng, 7, 3), labels(rng, 7, 3)), {"N": 7, "C": 3}, group="stability"),
        Case("large logits, all right", (1e4 * _onehot(sure, 3), sure), {"N": 5, "C": 3}, group="stability"),
        Case("large logits, close together", (normal(rng, 5, 3) + _LEVELS, sure), {"N": 5, "C": 3}, group="stability"),
    ]


cross_entropy = Exercise(
    "cross_entropy",
    CHAPTER,
    3,
    "cross_entropy(Z, y)",
    ("loss",),
    reference=backprop.cross_entropy,
    make_cases=_label_cases,
    formula="-np.mean(log_softmax(Z)[np.arange(len(y)), y])",
)


@cross_entropy.wheat
def one_example_at_a_time(Z, y):
    total = 0.0
    for z, k in zip(Z, y, strict=True):
        m = z.max()
        total += m + np.log(np.exp(z - m).sum()) - z[k]
    return total / len(y)


@cross_entropy.wheat
def with_onehot(Z, y):
    return -(np.eye(Z.shape[1])[y] * backprop.log_softmax(Z)).sum() / Z.shape[0]


@cross_entropy.wheat
def by_take_along_axis(Z, y):
    picked = np.take_along_axis(Z, y[:, None], axis=1)[:, 0]
    return np.mean(np.logaddexp.reduce(Z, axis=1) - picked)


@cross_entropy.wheat
def zero_dimensional(Z, y):
    return np.array(backprop.cross_entropy(Z, y))


@cross_entropy.wheat
def from_margins(Z, y):
    margins = Z - Z[range(len(y)), y].reshape(-1, 1)
    return np.logaddexp.reduce(margins, axis=1).sum() / len(y)


@cross_entropy.wheat
def by_choose(Z, y):
    top = Z.max(axis=1)
    return np.average(top + np.log(np.exp((Z.T - top).T).sum(axis=1)) - np.choose(y, Z.T))


@cross_entropy.wheat
def diagonal_of_all_pairs(Z, y):
    return -np.trace(backprop.log_softmax(Z)[:, y]) / len(y)


@cross_entropy.wheat
def by_a_mask(Z, y):
    L = backprop.log_softmax(Z).astype(np.float32)
    return -L[np.arange(Z.shape[1]) == y[:, np.newaxis]].mean()


@cross_entropy.chaff(
    "no-shift",
    "the exponentials overflow at large logits.",
    "Use the shifted log-softmax that you wrote before; never take `log` of a probability.",
)
def _(Z, y):
    with np.errstate(all="ignore"):
        return -np.mean(np.log(softmax_without_shift(Z)[np.arange(len(y)), y]))


@cross_entropy.chaff(
    "global-shift",
    "one maximum was taken for the whole batch: in a row far below it all exponentials underflow.",
    "How many maxima does a batch of N rows need?",
)
def _(Z, y):
    with np.errstate(all="ignore"):
        E = np.exp(Z - Z.max())
        return -np.mean(np.log(E[np.arange(len(y)), y] / E.sum(axis=1)))


@cross_entropy.chaff(
    "log-of-zero",
    "the logarithm is taken of probabilities that have underflowed to 0.",
    "Work with log-probabilities throughout.",
)
def _(Z, y):
    with np.errstate(all="ignore"):
        return -np.mean(np.log(backprop.softmax(Z)[np.arange(len(y)), y]))


@cross_entropy.chaff(
    "epsilon-in-log",
    "a small constant inside the logarithm caps the loss of confident mistakes.",
    "Work with log-probabilities throughout; then no constant is needed.",
)
def _(Z, y):
    return -np.mean(np.log(backprop.softmax(Z)[np.arange(len(y)), y] + 1e-9))


@cross_entropy.chaff("sign-flipped", "the minus is missing.", "Can a cross-entropy be negative?")
def _(Z, y):
    return -backprop.cross_entropy(Z, y)


@cross_entropy.chaff(
    "sum-not-mean", "the examples are summed, not averaged.", "Repeat the batch twice: the loss should stay the same."
)
def _(Z, y):
    return backprop.cross_entropy(Z, y) * len(y)


@cross_entropy.chaff(
    "mean-over-all-elements",
    "the mean runs over N·C entries; there are N examples, and one term for each.",
    "After multiplying with one-hot labels, most entries are 0. Should they count in the mean?",
)
def _(Z, y):
    return backprop.cross_entropy(Z, y) / Z.shape[1]


@cross_entropy.chaff(
    "averaged-twice",
    "it was divided by N twice: `mean` divides already.",
    "Repeat the batch twice: the loss should stay the same.",
)
def _(Z, y):
    return backprop.cross_entropy(Z, y) / len(y)


@cross_entropy.chaff(
    "first-example-only",
    "only the loss of the first example is left, divided by N.",
    "Which index picks one example out of all? Where are the others added?",
)
def _(Z, y):
    return -backprop.log_softmax(Z)[0, y[0]] / len(y)


@cross_entropy.chaff(
    "softmax-twice",
    "the logits went through a softmax before the cross-entropy, which applies one itself.",
    "How many softmaxes lie between Z and the loss in your code?",
)
def _(Z, y):
    return backprop.cross_entropy(backprop.softmax(Z), y)


@cross_entropy.chaff(
    "logits-not-normalised",
    "the logit of the right class was taken for its log-probability; the log of the sum is missing.",
    "Do exp of your log-probabilities sum to 1 in each row?",
)
def _(Z, y):
    return -np.mean(Z[np.arange(len(y)), y])


@cross_entropy.chaff(
    "all-rows-for-each-label",
    "`L[:, y]` picks for every row the columns of *all* labels. Rows and labels belong together in pairs.",
    "What is the shape of what you picked? It should be `(N,)`.",
)
def _(Z, y):
    return -np.mean(backprop.log_softmax(Z)[:, y])


@cross_entropy.chaff(
    "labels-shifted",
    "the label was decremented: labels count from 0 already.",
    "Which column belongs to label 0?",
)
def _(Z, y):
    return -np.mean(backprop.log_softmax(Z)[np.arange(len(y)), y - 1])


@cross_entropy.chaff(
    "every-class-counts",
    "the log-probabilities of *all* classes were averaged; the label picks one of them in each row.",
    "Where in your code do the labels decide something?",
)
def _(Z, y):
    return -np.mean(backprop.log_softmax(Z))


@cross_entropy.chaff(
    "every-class-counts",
    "the log-probabilities of *all* classes were added up; the label picks one of them in each row.",
    "Where in your code do the labels decide something?",
)
def _(Z, y):
    return -np.sum(backprop.log_softmax(Z)) / len(y)


@cross_entropy.chaff(
    "labels-not-onehot",
    "the label itself, a number such as 3, was multiplied in. It is the *name* of a class, not a weight.",
    "How would class 7 differ from class 1? Only by the column that is picked.",
)
def _(Z, y):
    return -np.mean(np.sum(y[:, None] * backprop.log_softmax(Z), axis=1))


@cross_entropy.chaff(
    "labels-not-onehot",
    "the label itself, a number such as 3, was multiplied in, and the mean runs over all entries. The label is the "
    "*name* of a class, not a weight.",
    "How would class 7 differ from class 1? Only by the column that is picked.",
)
def _(Z, y):
    return -np.mean(y[:, None] * backprop.log_softmax(Z))


@cross_entropy.chaff(
    "wrong-axis",
    "the softmax normalises over the batch, not over the classes.",
    "Along which axis do the classes of one example lie?",
)
def _(Z, y):
    return -np.mean(backprop.log_softmax(Z.T).T[np.arange(len(y)), y])


@cross_entropy.chaff(
    "labels-unused",
    "the labels were not used: this is the loss of the class that is most probable anyway.",
    "What does your loss say of a confident mistake?",
)
def _(Z, y):
    return backprop.cross_entropy(Z, Z.argmax(axis=1))


@cross_entropy.chaff(
    "labels-not-onehot",
    "`y` was multiplied with the array of log-probabilities as if it held one-hot rows; it holds one number a row.",
    "What is the shape of `y`, and what would one-hot rows have?",
)
def _(Z, y):
    return -np.mean(np.sum(y * backprop.log_softmax(Z), axis=1))


@cross_entropy.chaff(
    "labels-not-onehot",
    "the labels were decoded with `argmax`, as if they were one-hot rows; they are class numbers already.",
    "What is the shape of `y`? Along which axis could it have a largest entry?",
)
def _(Z, y):
    return -np.mean(backprop.log_softmax(Z)[np.arange(len(y)), y.argmax(axis=1)])


@cross_entropy.chaff(
    "indices-swapped",
    "the label stands in the place of the row, and the row in the place of the column.",
    "What counts the rows of Z, and what counts its columns?",
)
def _(Z, y):
    return -np.mean(backprop.log_softmax(Z)[y, np.arange(len(y))])


@cross_entropy.chaff(
    "binary-terms-added",
    "the terms (1 − t)·log(1 − p) of the *binary* loss were added. With a softmax, one term for each example is all.",
    "How many terms has the definition for one example with three classes?",
)
def _(Z, y):
    P, T = backprop.softmax(Z), _onehot(y, Z.shape[1])
    P = np.clip(P, 1e-15, 1 - 1e-15)
    return -np.mean(np.sum(T * np.log(P) + (1 - T) * np.log(1 - P), axis=1))


@cross_entropy.chaff(
    "hinge-loss",
    "this is the hinge loss of a support vector machine, with margin 1.",
    "Where are the exponentials?",
)
def _(Z, y):
    rows = np.arange(len(y))
    margins = np.maximum(0, Z - Z[rows, y][:, None] + 1)
    margins[rows, y] = 0
    return margins.sum() / len(y)


@cross_entropy.chaff(
    "squared-error",
    "this is the squared error between probabilities and one-hot labels.",
    "Where is the logarithm?",
)
def _(Z, y):
    return backprop.mse(backprop.softmax(Z), _onehot(y, Z.shape[1]))


@cross_entropy.chaff(
    "entropy-of-the-prediction",
    "the log-probabilities were weighted with the *predicted* probabilities: that is an entropy, without the labels.",
    "Which distribution stands in front of the logarithm: the truth or the forecast?",
)
def _(Z, y):
    return -np.mean(np.sum(backprop.softmax(Z) * backprop.log_softmax(Z), axis=1))


@cross_entropy.chaff("log-base-2", "a logarithm to base 2: bits, not nats.", "Use `np.log`.")
def _(Z, y):
    return backprop.cross_entropy(Z, y) / np.log(2)


@cross_entropy.chaff(
    "not-reduced", "the loss of each example was returned, not their mean.", "A loss is one number for the batch."
)
def _(Z, y):
    return -backprop.log_softmax(Z)[np.arange(len(y)), y]


@cross_entropy.chaff(
    "probability-not-its-log",
    "the probability itself was averaged; the logarithm is missing.",
    "What is the loss of an example that is predicted perfectly? It should be 0.",
)
def _(Z, y):
    return -np.mean(backprop.softmax(Z)[np.arange(len(y)), y])


@cross_entropy.chaff(
    "probability-not-its-log",
    "1 − p was averaged; the logarithm is missing.",
    "What does an example cost whose right class was called impossible?",
)
def _(Z, y):
    return np.mean(1 - backprop.softmax(Z)[np.arange(len(y)), y])


@cross_entropy.chaff(
    "log-of-the-mean",
    "the probabilities were averaged first, and the logarithm taken of their mean.",
    "Which comes first: logarithm or mean? A product of probabilities becomes a sum of what?",
)
def _(Z, y):
    return -np.log(np.mean(backprop.softmax(Z)[np.arange(len(y)), y]))


@cross_entropy.chaff(
    "shift-not-cancelled",
    "the maximum was subtracted inside the sum only; what is subtracted must be added back.",
    "Add 5 to all logits: the loss should stay the same.",
)
def _(Z, y):
    S = Z - Z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(S).sum(axis=1)) - Z[np.arange(len(y)), y])


@cross_entropy.chaff(
    "accuracy",
    "this is the share of right guesses, not a loss.",
    "Does your number change when a probability changes by a little?",
)
def _(Z, y):
    return np.mean(Z.argmax(axis=1) == y)


@cross_entropy.chaff(
    "probability-as-a-factor",
    "log p of the right class was multiplied with p as well, as in an entropy.",
    "The data say that the right class has happened: with which weight does its logarithm count?",
)
def _(Z, y):
    L = backprop.log_softmax(Z)[np.arange(len(y)), y]
    return -np.mean(np.exp(L) * L)


# softmax_ce_slope


def _slope_cases():
    import sympy

    return [(f"C = {C}, k = {k}", (sympy.symbols(f"p0:{C}"), k)) for C, k in ((3, 0), (3, 2), (5, 1))]


def _slopes(p, k):
    return [p_j - (1 if j == k else 0) for j, p_j in enumerate(p)]


softmax_ce_slope = Derivation(
    "softmax_ce_slope",
    CHAPTER,
    3,
    "softmax_ce_slope(p, k)",
    _slope_cases,
    expected=_slopes,
    simplex=True,
    formula="p_j - 1 for j = k, and p_j for the others",
)


@softmax_ce_slope.wheat
def by_cases(p, k):
    return [p[j] - 1 if j == k else p[j] for j in range(len(p))]


@softmax_ce_slope.wheat
def minus_the_others(p, k):
    return tuple(-sum(q for i, q in enumerate(p) if i != k) if j == k else p[j] for j in range(len(p)))


@softmax_ce_slope.wheat
def through_the_jacobian(p, k):
    return [-(p[k] * ((1 if j == k else 0) - p[j])) / p[k] for j in range(len(p))]


@softmax_ce_slope.wheat
def as_a_matrix(p, k):
    import sympy

    slopes = sympy.Matrix(p)
    slopes[k] -= 1
    return slopes


@softmax_ce_slope.wheat
def with_kronecker_delta(p, k):
    import sympy

    return [p[j] - sympy.KroneckerDelta(j, k) for j in range(len(p))]


@softmax_ce_slope.wheat
def through_the_logits(p, k):
    import sympy

    z = sympy.symbols(f"z:{len(p)}")
    loss = sympy.log(sum(sympy.exp(z_j) for z_j in z)) - z[k]
    return [loss.diff(z_j).subs(dict(zip(z, map(sympy.log, p), strict=True))) for z_j in z]


@softmax_ce_slope.wheat
def one_entry_changed(p, k):
    slopes = np.array(p)
    slopes[k] -= 1
    return slopes


@softmax_ce_slope.chaff(
    "sign-flipped", "all signs are the wrong way round.", "Raise the right class's logit: should the loss fall?"
)
def _(p, k):
    return [(1 if j == k else 0) - p[j] for j in range(len(p))]


@softmax_ce_slope.chaff(
    "one-missing", "the −1 at the right class is missing.", "Should the slope at j = k be positive or negative?"
)
def _(p, k):
    return list(p)


@softmax_ce_slope.chaff(
    "one-everywhere", "1 was subtracted for every class, not for the right one only.", "What is ∂z_k/∂z_j for j ≠ k?"
)
def _(p, k):
    return [q - 1 for q in p]


@softmax_ce_slope.chaff(
    "index-mixed-up",
    "p_k stands in every entry. The slope in z_j needs p_j: each logit moves its own probability.",
    "How many different probabilities occur in your list?",
)
def _(p, k):
    return [p[k] - (1 if j == k else 0) for j in range(len(p))]


@softmax_ce_slope.chaff(
    "off-diagonal-sign",
    "the slopes for j ≠ k have the wrong sign: raising a wrong logit takes probability from the right class.",
    "What must the slopes add up to, if a constant added to all logits changes nothing?",
)
def _(p, k):
    return [p[j] - 1 if j == k else -p[j] for j in range(len(p))]


@softmax_ce_slope.chaff(
    "division-forgotten",
    "the division by p_k, from the derivative of the logarithm, was applied for j ≠ k, and not for j = k.",
    "Where does the logarithm's derivative come in? It is the same factor in all slopes.",
)
def _(p, k):
    return [p[j] * (p[j] - 1) if j == k else p[j] for j in range(len(p))]


@softmax_ce_slope.chaff(
    "first-class-always",
    "the 1 is subtracted at the first class, not at class `k`.",
    "For k = 2, which slope must be negative?",
)
def _(p, k):
    return [p[j] - (1 if j == 0 else 0) for j in range(len(p))]


@softmax_ce_slope.chaff(
    "counted-from-one",
    "the 1 is subtracted one place too late: classes count from 0.",
    "For k = 0, which slope must be negative?",
)
def _(p, k):
    return [p[j] - (1 if j == k + 1 else 0) for j in range(len(p))]


@softmax_ce_slope.chaff(
    "counted-from-one",
    "the 1 is subtracted one place too early: classes count from 0.",
    "For k = 0, which slope must be negative?",
)
def _(p, k):
    return [p[j] - (1 if j == (k - 1) % len(p) else 0) for j in range(len(p))]


@softmax_ce_slope.chaff(
    "averaged",
    "the slopes were divided by the number of classes; the loss of one example is no mean.",
    "Over what would the loss of *one* example average?",
)
def _(p, k):
    return [slope / len(p) for slope in _slopes(p, k)]


@softmax_ce_slope.chaff(
    "loss-not-slope",
    "these are the losses −log p_j themselves, not slopes.",
    "Differentiate once. Which logarithm is left after that?",
)
def _(p, k):
    import sympy

    return [-sympy.log(p_j) for p_j in p]


@softmax_ce_slope.chaff(
    "ratio",
    "this is p_j/p_k − 1, a formula that stands in some tutorials: the factor p_k of the softmax's slope is missing.",
    "Write ∂p_k/∂z_j for j ≠ k, then divide by p_k. What cancels?",
)
def _(p, k):
    return [p_j / p[k] - 1 for p_j in p]


@softmax_ce_slope.chaff(
    "slope-in-p",
    "this is the slope in the *probability*, −1/p_k; it still has to go through the softmax to the logits.",
    "The chain: logits z, probabilities p, loss. Which derivative joins z to p?",
)
def _(p, k):
    return [-1 / p[k] if j == k else 0 for j in range(len(p))]


@softmax_ce_slope.chaff(
    "only-the-right-class",
    "only the slope at j = k is there. The other logits matter as well: they are in the denominator.",
    "Raise the logit of a wrong class. Does the loss change?",
)
def _(p, k):
    return [p[j] - 1 if j == k else 0 for j in range(len(p))]


@softmax_ce_slope.chaff(
    "only-the-right-class",
    "only the slope at j = k is there, and its sign is the wrong way round.",
    "Raise the logit of a wrong class. Does the loss change? And should it fall when z_k rises?",
)
def _(p, k):
    return [1 - p[j] if j == k else 0 for j in range(len(p))]


@softmax_ce_slope.chaff(
    "softmax-not-loss",
    "this is the derivative of p_k itself, not of −log p_k.",
    "The logarithm's derivative divides by p_k.",
)
def _(p, k):
    return [p[k] * ((1 if j == k else 0) - p[j]) for j in range(len(p))]


# cross_entropy_grad

cross_entropy_grad = Exercise(
    "cross_entropy_grad",
    CHAPTER,
    4,
    "cross_entropy_grad(Z, y)",
    ("dZ",),
    reference=backprop.cross_entropy_grad,
    make_cases=_label_cases,
    formula="(softmax(Z) - np.eye(C)[y]) / N",
)


@cross_entropy_grad.wheat
def onehot(Z, y):
    return (backprop.softmax(Z) - np.eye(Z.shape[1])[y]) / Z.shape[0]


@cross_entropy_grad.wheat
def by_log_softmax(Z, y):
    N, C = Z.shape
    return np.exp(backprop.log_softmax(Z)) / N - (np.arange(C) == y[:, None]) / N


@cross_entropy_grad.wheat
def by_the_full_jacobian(Z, y):
    rows = []
    for z, k in zip(Z, y, strict=True):
        e = np.exp(z - z.max())
        p = e / e.sum()
        rows.append([(p[j] - (j == k)) / len(y) for j in range(len(z))])
    return rows


@cross_entropy_grad.wheat
def add_at(Z, y):
    G = backprop.softmax(Z)
    np.add.at(G, (np.arange(len(y)), y), -1.0)
    return G / len(y)


@cross_entropy_grad.wheat
def single_precision_result(Z, y):
    return backprop.cross_entropy_grad(Z, y).astype(np.float32)


@cross_entropy_grad.wheat
def precise_at_the_label(Z, y):
    L, rows = backprop.log_softmax(Z), np.arange(len(y))
    G = np.exp(L)
    G[rows, y] = np.expm1(L[rows, y])
    return G / len(y)


@cross_entropy_grad.wheat
def example_by_example(Z, y):
    N, C = Z.shape
    dZ = np.zeros((N, C))
    for n in range(N):
        e = np.exp(Z[n] - np.max(Z[n]))
        for c in range(C):
            dZ[n, c] += e[c] / np.sum(e)
        dZ[n, y[n]] -= 1
    return dZ / N


@cross_entropy_grad.chaff(
    "sum-not-mean",
    "the division by N is missing: this is the gradient of the *sum* of the losses.",
    "Repeat every example twice. The loss stays the same; what must happen to each entry of the gradient?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(Z, y) * len(y)


@cross_entropy_grad.chaff(
    "sign-flipped",
    "onehot − P instead of P − onehot: the gradient points downhill.",
    "At the right class, should raising the logit raise or lower the loss?",
)
def _(Z, y):
    return -backprop.cross_entropy_grad(Z, y)


@cross_entropy_grad.chaff(
    "no-shift",
    "the softmax overflows at large logits: inf/inf is nan.",
    "Shift each row by its maximum before `np.exp`.",
)
def _(Z, y):
    return (softmax_without_shift(Z) - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "global-shift",
    "one maximum was taken for the whole batch: a row far below it becomes 0/0.",
    "How many maxima does a batch of N rows need?",
)
def _(Z, y):
    return (softmax_without_shift(Z - Z.max()) - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "shift-outside-exp",
    "the maximum was subtracted from the exponentials, not from the logits: `np.exp(Z) - m` for `np.exp(Z - m)`.",
    "Which number must be small so that `np.exp` does not overflow: what goes in, or what comes out?",
)
def _(Z, y):
    with np.errstate(all="ignore"):
        E = np.exp(Z) - Z.max(axis=1, keepdims=True)
        return (E / E.sum(axis=1, keepdims=True) - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "summed-over-everything",
    "the softmax was taken over the whole array: all entries together sum to 1, not each row.",
    "`np.sum` without an axis sums everything. Do your probabilities sum to 1 in each row?",
)
def _(Z, y):
    E = np.exp(Z - Z.max())
    return (E / E.sum() - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "sigmoid-not-softmax",
    "each logit went through a sigmoid of its own; a softmax makes them share.",
    "Do your probabilities sum to 1 in each row?",
)
def _(Z, y):
    return (backprop.sigmoid(Z) - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "softmax-slope-again",
    "P(1 − P) is there as a factor. With cross-entropy it has cancelled already.",
    "Write both factors of the chain and cancel before you compute.",
)
def _(Z, y):
    P = backprop.softmax(Z)
    return (P - _onehot(y, Z.shape[1])) * P * (1 - P) / len(y)


@cross_entropy_grad.chaff(
    "squared-error",
    "this is the gradient of a squared error behind the softmax, not of the cross-entropy.",
    "What is the derivative of −log p?",
)
def _(Z, y):
    P = backprop.softmax(Z)
    return backprop.softmax_backward(2 * (P - _onehot(y, Z.shape[1])) / P.size, P)


@cross_entropy_grad.chaff(
    "one-set-not-subtracted",
    "the entry of the right class was *set* to −1; 1 is subtracted from the probability there.",
    "Is it `= -1` or `-= 1`?",
)
def _(Z, y):
    P = backprop.softmax(Z)
    P[np.arange(len(y)), y] = -1
    return P / len(y)


@cross_entropy_grad.chaff(
    "one-added-not-subtracted",
    "1 was added at the right class; it is subtracted.",
    "At the right class, should raising the logit raise or lower the loss?",
)
def _(Z, y):
    return (backprop.softmax(Z) + _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "log-probabilities",
    "the *logarithms* of the probabilities stand where the probabilities belong.",
    "Do your entries sum to 0 in each row? Which of P and log P sums to 1?",
)
def _(Z, y):
    return (backprop.log_softmax(Z) - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "clipped",
    "the logits are cut off before the softmax: two large ones that differ come out equal.",
    "Softmax only cares for differences between logits. Which operation keeps all differences?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(np.clip(Z, -700, 700), y)


@cross_entropy_grad.chaff(
    "mean-over-all-elements",
    "it was divided by N·C; the mean is over the N examples.",
    "How many terms does the loss average?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(Z, y) / Z.shape[1]


@cross_entropy_grad.chaff(
    "divided-by-classes",
    "it was divided by the number of classes instead of the number of examples.",
    "Which of the two sizes of Z counts examples?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(Z, y) * len(y) / Z.shape[1]


@cross_entropy_grad.chaff(
    "onehot-missing",
    "the labels are not subtracted: the probabilities alone were returned.",
    "The sum of the gradient over the classes of an example is 0. Is yours?",
)
def _(Z, y):
    return backprop.softmax(Z) / len(y)


@cross_entropy_grad.chaff(
    "softmax-missing",
    "this is the gradient in the *log-probabilities*: −1 at the right class. It still has to go through the softmax.",
    "Raise the logit of a wrong class. Does the loss change? Your gradient says no.",
)
def _(Z, y):
    return -_onehot(y, Z.shape[1]) / len(y)


@cross_entropy_grad.chaff(
    "labels-shifted",
    "the label was decremented: labels count from 0 already.",
    "Which column belongs to label 0?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(Z, (y - 1) % Z.shape[1])


@cross_entropy_grad.chaff(
    "labels-unused",
    "1 was subtracted at the class that is most probable anyway, not at the label.",
    "What should happen for a confident mistake? Where in your code does `y` decide something?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(Z, Z.argmax(axis=1))


@cross_entropy_grad.chaff(
    "one-subtracted-in-whole-columns",
    "`P[:, y] -= 1` subtracts in every row at the columns of *all* labels. Rows and labels belong together in pairs.",
    "How many entries should change? Compare `P[:, y]` with `P[np.arange(N), y]`.",
)
def _(Z, y):
    P = backprop.softmax(Z)
    P[:, y] -= 1
    return P / len(y)


@cross_entropy_grad.chaff(
    "one-subtracted-in-whole-rows",
    "`P[y] -= 1` takes the labels for row numbers.",
    "Which entry of row n should change? It needs two indices: the row and its label.",
)
def _(Z, y):
    P = backprop.softmax(Z)
    P[y] -= 1
    return P / len(y)


@cross_entropy_grad.chaff(
    "one-subtracted-in-whole-columns",
    "`P[:, y] -= 1` subtracts in every row at the columns of *all* labels; besides, the division by N is missing.",
    "How many entries should change? Compare `P[:, y]` with `P[np.arange(N), y]`.",
)
def _(Z, y):
    P = backprop.softmax(Z)
    P[:, y] -= 1
    return P


@cross_entropy_grad.chaff(
    "onehot-too-narrow",
    "the one-hot rows are as wide as the largest label; a batch need not contain the last class.",
    "Where does the number of classes stand: in the labels, or in the shape of Z?",
)
def _(Z, y):
    return (backprop.softmax(Z) - np.eye(y.max() + 1)[y]) / len(y)


@cross_entropy_grad.chaff(
    "divided-in-the-loop",
    "the division stands inside the loop: the whole array is divided again for every example.",
    "How often should each entry be divided by N?",
)
def _(Z, y):
    G = backprop.softmax(Z)
    for n, k in enumerate(y):
        G[n, k] -= 1
        G /= len(y)
    return G


@cross_entropy_grad.chaff(
    "labels-not-onehot",
    "the label itself, a number such as 3, was subtracted. What is subtracted is 1, at the right class only.",
    "How would class 7 differ from class 1? Only by the place of the 1.",
)
def _(Z, y):
    return (backprop.softmax(Z) - y[:, None]) / len(y)


@cross_entropy_grad.chaff(
    "labels-not-onehot",
    "`y` was subtracted from the array of probabilities as if it held one-hot rows; it holds one number a row.",
    "What is the shape of `y`, and what would one-hot rows have?",
)
def _(Z, y):
    return (backprop.softmax(Z) - y) / len(y)


@cross_entropy_grad.chaff(
    "indices-swapped",
    "the label stands in the place of the row, and the row in the place of the column.",
    "What counts the rows of Z, and what counts its columns?",
)
def _(Z, y):
    P = backprop.softmax(Z)
    P[y, np.arange(len(y))] -= 1
    return P / len(y)


@cross_entropy_grad.chaff(
    "keepdims-forgotten",
    "the sum has shape `(N,)`: NumPy lines it up with the *columns*, which fits only a square batch.",
    "What is the shape of your sum, and what must it be so that each row gets its own?",
)
def _(Z, y):
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return (E / E.sum(axis=1) - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "part-not-averaged",
    "only the one-hot part is divided by N; the mean applies to both.",
    "Where are the parentheses?",
)
def _(Z, y):
    return backprop.softmax(Z) - _onehot(y, Z.shape[1]) / len(y)


@cross_entropy_grad.chaff(
    "part-not-averaged",
    "only the probabilities are divided by N; the mean applies to both parts.",
    "Where are the parentheses?",
)
def _(Z, y):
    return backprop.softmax(Z) / len(y) - _onehot(y, Z.shape[1])


@cross_entropy_grad.chaff(
    "wrong-axis",
    "the softmax normalises over the batch, not over the classes.",
    "Along which axis do the classes of one example lie?",
)
def _(Z, y):
    return (backprop.softmax(Z.T).T - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "slope-in-p",
    "this is the gradient in the *probabilities*, −1/p at the right class, not in the logits.",
    "One more factor of the chain: the softmax's Jacobian.",
)
def _(Z, y):
    with np.errstate(all="ignore"):
        return -_onehot(y, Z.shape[1]) / backprop.softmax(Z) / len(y)


@cross_entropy_grad.chaff(
    "only-the-right-class",
    "only the entry of the right class is filled. The other logits are in the denominator of the softmax.",
    "Raise the logit of a wrong class. Does the loss change?",
)
def _(Z, y):
    return backprop.cross_entropy_grad(Z, y) * _onehot(y, Z.shape[1])


@cross_entropy_grad.chaff(
    "logits-not-probabilities",
    "the one-hot labels were subtracted from the logits; the softmax is missing.",
    "Which of Z and P sums to 1 in each row?",
)
def _(Z, y):
    return (Z - _onehot(y, Z.shape[1])) / len(y)


@cross_entropy_grad.chaff(
    "softmax-twice", "the softmax was applied twice.", "How many softmaxes lie between Z and the loss?"
)
def _(Z, y):
    return backprop.cross_entropy_grad(backprop.softmax(Z), y)


@cross_entropy_grad.chaff(
    "averaged-over-the-batch",
    "the gradient was averaged over the examples, which leaves one row. Each example has logits of its own.",
    "The result should have the shape of `Z`. Which line makes one row of many?",
)
def _(Z, y):
    return np.mean(backprop.softmax(Z) - _onehot(y, Z.shape[1]), axis=0)


@cross_entropy_grad.chaff(
    "argument-changed",
    "`Z -= …` subtracts the maximum in the caller's array.",
    "After your function, what does the caller find in `Z`?",
)
def _(Z, y):
    Z -= Z.max(axis=1, keepdims=True)
    return backprop.cross_entropy_grad(Z, y)


@cross_entropy_grad.chaff(
    "softmax-not-passed",
    "this is the gradient by the probabilities: the way back through the softmax is missing.",
    "Nudge the logit of a wrong class: does the right one's probability stay as it is?",
)
def _(Z, y):
    P = backprop.softmax(Z)
    G = np.zeros_like(P)
    with np.errstate(all="ignore"):
        G[np.arange(len(y)), y] = -1 / P[np.arange(len(y)), y] / len(y)
    return G


@cross_entropy_grad.chaff(
    "wrong-classes-flipped",
    "the entries of the wrong classes have the wrong sign: every entry comes out negative.",
    "If the logit of a wrong class grows, does the loss rise or fall? What must a row add up to?",
)
def _(Z, y):
    return -np.abs(backprop.cross_entropy_grad(Z, y))


# fix_cross_entropy_grad: the bug hunt. The planted bug comes first: an unchanged copy is the likeliest wrong answer.

fix_cross_entropy_grad = Exercise(
    "fix_cross_entropy_grad",
    CHAPTER,
    2,
    "fix_cross_entropy_grad(Z, y)",
    ("dZ",),
    reference=backprop.cross_entropy_grad,
    make_cases=_label_cases,
    partial_credit=False,
    formula="P[np.arange(N), y] -= 1",
)


@fix_cross_entropy_grad.chaff(
    "unchanged",
    "the planted bug is still there.",
    "Take two images, a 0 and a 1. How many entries of P should the function change, and how many does it change?",
)
def _whole_columns(Z, y):
    P = backprop.softmax(Z)
    P[:, y] -= 1
    return P / len(y)


@fix_cross_entropy_grad.wheat
def the_line_mended(Z, y):
    N = len(y)
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    P = E / E.sum(axis=1, keepdims=True)
    P[np.arange(N), y] -= 1
    return P / N


@fix_cross_entropy_grad.wheat
def put_along_axis(Z, y):
    P, at = backprop.softmax(Z), y[:, None]
    np.put_along_axis(P, at, np.take_along_axis(P, at, axis=1) - 1, axis=1)
    return P / len(y)


@fix_cross_entropy_grad.wheat
def subtracted_by_a_mask(Z, y):
    P = backprop.softmax(Z)
    P[y[:, None] == np.arange(Z.shape[1])] -= 1
    return P / len(y)


@fix_cross_entropy_grad.wheat
def flat_positions(Z, y):
    P = backprop.softmax(Z)
    P.ravel()[np.arange(len(y)) * Z.shape[1] + y] -= 1
    return P / len(y)


def _rows_made_to_balance(Z, y):
    dZ = _whole_columns(Z, y)
    return dZ - dZ.mean(axis=1, keepdims=True)


def _one_shared_out(Z, y):
    P, classes = backprop.softmax(Z), np.unique(y)
    P[:, classes] -= 1 / len(classes)
    return P / len(y)


def _every_label_counted(Z, y):
    P = backprop.softmax(Z)
    for k in y:
        P[:, k] -= 1
    return P / len(y)


def _shares_of_the_batch(Z, y):
    return (backprop.softmax(Z) - np.bincount(y, minlength=Z.shape[1]) / len(y)) / len(y)


def _first_row_only(Z, y):
    P = backprop.softmax(Z)
    P[0, y] -= 1
    return P / len(y)


def _first_label_only(Z, y):
    P = backprop.softmax(Z)
    P[:, y[0]] -= 1
    return P / len(y)


for _cause, _text, _hint, _function in (
    ("rows-made-to-balance", "each row's mean is taken off: the rows sum to 0 again, and the wrong entries stay wrong.",
     "That the rows balance is the sign of a right gradient, not its cause. Which line upset the balance?",
     _rows_made_to_balance),
    ("one-shared-out", "the 1 is shared out among all classes of the batch, in every row: rows sum to 0, and every "
     "image has the same target.",
     "Two images with different labels: should the same be subtracted from both rows?", _one_shared_out),
    ("every-label-in-every-row", "1 is subtracted in every row for the label of *every* image, a repeated label "
     "more than once.",
     "Each label belongs to one row. From how many rows does your code take its 1?", _every_label_counted),
    ("every-label-in-every-row", "the share of each class in the batch is subtracted from every row: all images have "
     "the same target.",
     "Two images with different labels: should the same be subtracted from both rows?", _shares_of_the_batch),
    ("first-row-only", "only row 0 is changed, and it gets the labels of all images.",
     "Which row does each label belong to? Row 0 has one label.", _first_row_only),
    ("first-label-only", "every row got the label of the first image.",
     "Labels and rows belong together in pairs. Which label has row 1?", _first_label_only),
):  # fmt: skip
    fix_cross_entropy_grad.chaff(_cause, _text, _hint)(_function)

fix_cross_entropy_grad.wheats += cross_entropy_grad.wheats
_PLANTED = next(chaff for chaff in cross_entropy_grad.chaffs if chaff.cause == "one-subtracted-in-whole-columns")
fix_cross_entropy_grad.chaffs += [chaff for chaff in cross_entropy_grad.chaffs if chaff is not _PLANTED]


# soft_cross_entropy_grad


def _soft_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, C: int) -> Case:
        return Case(name, (2 * normal(rng, N, C), rows_that_sum_to_1(rng, N, C)), {"N": N, "C": C})

    return [
        case("7 × 5", 7, 5),
        case("3 × 11", 3, 11),
        case("N = 1", 1, 3),
        case("square", 5, 5),
        Case("one-hot targets", (normal(rng, 7, 3), _onehot(labels(rng, 7, 3), 3)), {"N": 7, "C": 3}),
        Case(LARGE, (_large(rng, 7, 3), rows_that_sum_to_1(rng, 7, 3)), {"N": 7, "C": 3}, group="stability"),
        Case(
            "large logits, close together",
            (normal(rng, 5, 3) + _LEVELS, rows_that_sum_to_1(rng, 5, 3)),
            {"N": 5, "C": 3},
            group="stability",
        ),
    ]


soft_cross_entropy_grad = Exercise(
    "soft_cross_entropy_grad",
    CHAPTER,
    3,
    "soft_cross_entropy_grad(Z, T)",
    ("dZ",),
    reference=backprop.soft_cross_entropy_grad,
    make_cases=_soft_cases,
    formula="(softmax(Z) - T) / len(Z)",
)


@soft_cross_entropy_grad.wheat
def general_form(Z, T):
    return (backprop.softmax(Z) * T.sum(axis=1, keepdims=True) - T) / Z.shape[0]


@soft_cross_entropy_grad.wheat
def through_log_probabilities(Z, T):
    return np.exp(backprop.log_softmax(Z)) / len(Z) - T / len(Z)


@soft_cross_entropy_grad.wheat
def by_rows(Z, T):
    return np.stack([(backprop.softmax(z[None])[0] - t) / len(Z) for z, t in zip(Z, T, strict=True)])


@soft_cross_entropy_grad.wheat
def by_jacobians(Z, T):
    P = backprop.softmax(Z)
    G = np.zeros_like(Z)
    for n in range(len(Z)):
        for c in range(Z.shape[1]):
            G[n] -= T[n, c] * ((np.arange(Z.shape[1]) == c) - P[n]) / len(Z)
    return G


@soft_cross_entropy_grad.wheat
def mixture_of_hard_labels(Z, T):
    N, C = Z.shape
    return sum(T[:, [k]] * backprop.cross_entropy_grad(Z, np.full(N, k)) for k in range(C))


@soft_cross_entropy_grad.wheat
def transposed_inside(Z, T):
    E = np.exp(Z.T - Z.max(axis=1))
    return np.subtract(E / E.sum(axis=0), T.T).T / len(Z)


@soft_cross_entropy_grad.chaff(
    "sum-not-mean", "the division by N is missing.", "Repeat the batch twice: what must happen to each entry?"
)
def _(Z, T):
    return backprop.soft_cross_entropy_grad(Z, T) * len(Z)


@soft_cross_entropy_grad.chaff(
    "sign-flipped", "T − P instead of P − T.", "Where P is larger than T, should the logit rise or fall?"
)
def _(Z, T):
    return -backprop.soft_cross_entropy_grad(Z, T)


@soft_cross_entropy_grad.chaff(
    "hardened-targets",
    "the targets were rounded to the most probable class; each target probability counts.",
    "What is left of T = (0.6, 0.4) after `argmax`?",
)
def _(Z, T):
    return backprop.cross_entropy_grad(Z, T.argmax(axis=1))


@soft_cross_entropy_grad.chaff(
    "log-probabilities",
    "the *logarithms* of the probabilities stand where the probabilities belong.",
    "Do your entries sum to 0 in each row? Which of P and log P sums to 1?",
)
def _(Z, T):
    return (backprop.log_softmax(Z) - T) / len(Z)


@soft_cross_entropy_grad.chaff("no-shift", "the softmax overflows at large logits.", "Shift each row by its maximum.")
def _(Z, T):
    return (softmax_without_shift(Z) - T) / len(Z)


@soft_cross_entropy_grad.chaff(
    "global-shift",
    "one maximum was taken for the whole batch: a row far below it becomes 0/0.",
    "How many maxima does a batch of N rows need?",
)
def _(Z, T):
    return (softmax_without_shift(Z - Z.max()) - T) / len(Z)


@soft_cross_entropy_grad.chaff(
    "part-not-averaged",
    "only the targets are divided by N; the mean applies to both parts.",
    "Where are the parentheses?",
)
def _(Z, T):
    return backprop.softmax(Z) - T / len(Z)


@soft_cross_entropy_grad.chaff(
    "part-not-averaged",
    "only the probabilities are divided by N; the mean applies to both parts.",
    "Where are the parentheses?",
)
def _(Z, T):
    return backprop.softmax(Z) / len(Z) - T


@soft_cross_entropy_grad.chaff(
    "keepdims-forgotten",
    "the sum has shape `(N,)`: NumPy lines it up with the *columns*, which fits only a square batch.",
    "What is the shape of your sum, and what must it be so that each row gets its own?",
)
def _(Z, T):
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return (E / E.sum(axis=1) - T) / len(Z)


@soft_cross_entropy_grad.chaff(
    "sigmoid-not-softmax",
    "each logit went through a sigmoid of its own; a softmax makes them share.",
    "Do your probabilities sum to 1 in each row?",
)
def _(Z, T):
    return (backprop.sigmoid(Z) - T) / len(Z)


@soft_cross_entropy_grad.chaff(
    "logits-not-probabilities",
    "the targets were subtracted from the logits; the softmax is missing.",
    "Which of Z and P sums to 1 in each row?",
)
def _(Z, T):
    return (Z - T) / len(Z)


@soft_cross_entropy_grad.chaff(
    "softmax-slope-again",
    "P(1 − P) is there as a factor. With cross-entropy it has cancelled already.",
    "Write both factors of the chain and cancel before you compute.",
)
def _(Z, T):
    P = backprop.softmax(Z)
    return (P - T) * P * (1 - P) / len(Z)


@soft_cross_entropy_grad.chaff(
    "mean-over-all-elements", "it was divided by N·C; the mean is over the N examples.", "How many terms are averaged?"
)
def _(Z, T):
    return backprop.soft_cross_entropy_grad(Z, T) / Z.shape[1]


@soft_cross_entropy_grad.chaff(
    "target-weighted",
    "this is T·(P − 1): each log-probability was treated as if only its own logit mattered.",
    "Collect everything that multiplies p_j when you sum over the classes: what do the targets sum to?",
)
def _(Z, T):
    return T * (backprop.softmax(Z) - 1) / len(Z)


@soft_cross_entropy_grad.chaff(
    "one-everywhere",
    "1 was subtracted for every class, where the target's probability belongs.",
    "What should the slopes of one example sum to?",
)
def _(Z, T):
    return (backprop.softmax(Z) - 1) / len(Z)


@soft_cross_entropy_grad.chaff(
    "targets-through-softmax",
    "the targets were put through a softmax; they are probabilities already.",
    "Which of your two arrays holds logits?",
)
def _(Z, T):
    return (backprop.softmax(Z) - backprop.softmax(T)) / len(Z)


@soft_cross_entropy_grad.chaff(
    "slope-in-targets",
    "this is the gradient in the *targets*, −log P: they are given, the logits are what can be changed.",
    "With respect to which argument is the slope asked for?",
)
def _(Z, T):
    return -backprop.log_softmax(Z) / len(Z)


@soft_cross_entropy_grad.chaff(
    "slope-in-p", "this is the gradient in the probabilities, −T/P, not in the logits.", "The softmax is still to come."
)
def _(Z, T):
    with np.errstate(all="ignore"):
        return -T / backprop.softmax(Z) / len(Z)


@soft_cross_entropy_grad.chaff(
    "wrong-axis", "the softmax normalises over the batch.", "Along which axis do the classes of one example lie?"
)
def _(Z, T):
    return (backprop.softmax(Z.T).T - T) / len(Z)


# bce_with_logits and its gradient


def _binary_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, z: np.ndarray | None = None, t: np.ndarray | None = None, group="values") -> Case:
        z = 2 * normal(rng, N) if z is None else z
        t = rng.integers(0, 2, N).astype(float) if t is None else t
        return Case(name, (z, t), {"N": N}, group)

    large = rng.permutation(np.array([1e4, -1e4, 1e4, -1e4, 0.3, -800.0, 800.0]))
    return [
        case("7 examples", 7),
        case("13 examples", 13),
        case("soft targets", 11, t=rng.uniform(0.1, 0.9, 11)),
        case("N = 1", 1, z=np.array([-1.3])),
        case("N = 1, positive logit", 1, z=np.array([0.7])),
        case("all targets 1", 5, t=np.ones(5)),
        case("all targets 0", 5, t=np.zeros(5)),
        case(
            "logits from 8 to 40",
            6,
            z=rng.uniform([8, -9, 16, -17, 39, -40], [9, -8, 17, -16, 40, -39]),
            group="stability",
        ),
        case(LARGE, 7, z=large, t=np.array([1.0, 0, 1, 0, 1, 0, 1]), group="stability"),
        case(
            "large logits, all wrong",
            4,
            z=np.array([1e4, -1e4, 50.0, -50.0]),
            t=np.array([0.0, 1, 0, 1]),
            group="stability",
        ),
    ]


def _sigmoid_slow(z: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return 1 / (1 + np.exp(-z))


bce_with_logits = Exercise(
    "bce_with_logits",
    CHAPTER,
    3,
    "bce_with_logits(z, t)",
    ("loss",),
    reference=backprop.bce_with_logits,
    make_cases=_binary_cases,
    formula="np.mean(np.logaddexp(0, z) - t * z)",
)


@bce_with_logits.wheat
def with_max_and_abs(z, t):
    return np.mean(np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))))


@bce_with_logits.wheat
def two_classes(z, t):
    L = backprop.log_softmax(np.stack([np.zeros_like(z), z], axis=1))
    return -np.mean(t * L[:, 1] + (1 - t) * L[:, 0])


@bce_with_logits.wheat
def by_branches(z, t):
    total = 0.0
    for a, b in zip(z, t, strict=True):
        softplus = a + np.log1p(np.exp(-a)) if a > 0 else np.log1p(np.exp(a))
        total += softplus - a * b
    return total / z.size


@bce_with_logits.wheat
def two_logaddexps(z, t):
    return float(np.mean(t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)))


@bce_with_logits.wheat
def straight_far_out(z, t):
    def softplus(x):
        return x if x > 100 else math.log1p(math.exp(x))

    return sum(b * softplus(-a) + (1 - b) * softplus(a) for a, b in zip(z, t, strict=True)) / len(z)


@bce_with_logits.wheat
def as_a_log_sum_exp(z, t):
    m = np.clip(-z, 0, None)
    return ((1 - t) * z + m + np.log(np.exp(-m) + np.exp(-z - m))).mean()


@bce_with_logits.wheat
def single_precision_inside(z, t):
    z, t = z.astype(np.float32), t.astype(np.float32)
    return np.mean(np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))))


@bce_with_logits.chaff(
    "overflow",
    "`log(sigmoid(z))` underflows to log(0), or `exp(z)` overflows, at large logits.",
    "log(1 + exp(z)) is a log-sum-exp of 0 and z. Which shift keeps both exponentials small?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        p = _sigmoid_slow(z)
        return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))


@bce_with_logits.chaff(
    "overflow",
    "`exp(z)` overflows at large logits.",
    "log(1 + exp(z)) is a log-sum-exp of 0 and z. Which shift keeps both exponentials small?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        return np.mean(np.log(1 + np.exp(z)) - t * z)


@bce_with_logits.chaff(
    "clipped",
    "probabilities are clipped, or a constant is added, before the logarithm: confident mistakes cost too little.",
    "Take the logarithm on paper first, as in log-softmax; then nothing needs clipping.",
)
def _(z, t):
    p = np.clip(_sigmoid_slow(z), 1e-7, 1 - 1e-7)
    return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))


@bce_with_logits.chaff(
    "only-one-shifted",
    "z was shifted, but not the other number of the pair, 0: its exponential is exp(−m) then, not 1.",
    "log(exp(0) + exp(z)), with m taken out of both: what is exp(0 − m)?",
)
def _(z, t):
    m = np.maximum(z, 0)
    return np.mean(m + np.log(1 + np.exp(z - m)) - t * z)


@bce_with_logits.chaff("sign-flipped", "the minus is missing.", "Can a cross-entropy be negative?")
def _(z, t):
    return -backprop.bce_with_logits(z, t)


@bce_with_logits.chaff("sum-not-mean", "the examples are summed, not averaged.", "Is there a division by N?")
def _(z, t):
    return backprop.bce_with_logits(z, t) * len(z)


@bce_with_logits.chaff(
    "sign-of-linear-term",
    "the term t·z is added; it is subtracted.",
    "For t = 1, a larger logit should cost less.",
)
def _(z, t):
    return np.mean(np.logaddexp(0, z) + t * z)


@bce_with_logits.chaff(
    "linear-term-missing",
    "the targets are not used: the term with t·z is missing.",
    "For t = 1, a larger logit should cost less. Where does `t` come in?",
)
def _(z, t):
    return np.mean(np.logaddexp(0, z))


@bce_with_logits.chaff(
    "sign-of-second-term",
    "the term with 1 − t has the wrong sign: the minus applies to both.",
    "Where are the parentheses? An example of class 0 should never have a negative loss.",
)
def _(z, t):
    return np.mean(t * np.logaddexp(0, -z) - (1 - t) * np.logaddexp(0, z))


@bce_with_logits.chaff(
    "max-missing",
    "log(1 + exp(−|z|)) is only part of the softplus: for positive z the shift has to be added back.",
    "Write log(1 + exp(z)) for z > 0 as z + something. Which term did you leave out?",
)
def _(z, t):
    return np.mean(np.log1p(np.exp(-np.abs(z))) - t * z)


@bce_with_logits.chaff(
    "min-not-max",
    "the smaller of 0 and z was taken; the shift is the larger one.",
    "Which of exp(0) and exp(z) is the larger one? After the shift it should be 1.",
)
def _(z, t):
    return np.mean(np.minimum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z))))


@bce_with_logits.chaff(
    "abs-missing",
    "`exp(-z)` stands where `exp(-|z|)` belongs: for negative z the larger exponential was kept.",
    "Put in z = −3 by hand: is your softplus near 0.05?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        return np.mean(np.maximum(z, 0) - t * z + np.log1p(np.exp(-z)))


@bce_with_logits.chaff(
    "minus-missing-in-exp",
    "`exp(|z|)` stands where `exp(-|z|)` belongs.",
    "Which of the two is never larger than 1?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        return np.mean(np.maximum(z, 0) - t * z + np.log1p(np.exp(np.abs(z))))


@bce_with_logits.chaff(
    "targets-plus-minus-one",
    "log(1 + exp(−t·z)) is the loss for targets −1 and +1; here they are between 0 and 1.",
    "What does your loss say of t = 0? Does it depend on z?",
)
def _(z, t):
    return np.mean(np.logaddexp(0, -t * z))


@bce_with_logits.chaff("log-base-2", "a logarithm to base 2 was taken: bits, not nats.", "Use `np.log`.")
def _(z, t):
    return backprop.bce_with_logits(z, t) / np.log(2)


@bce_with_logits.chaff(
    "squared-error",
    "this is the squared error between σ(z) and the targets.",
    "Where is the logarithm?",
)
def _(z, t):
    return np.mean((backprop.sigmoid(z) - t) ** 2)


@bce_with_logits.chaff(
    "parenthesis-missing",
    "in `1 - t * log(…)` only t is multiplied; the factor is (1 − t).",
    "Where are the parentheses? What does your loss say for t = 0 and a very negative z?",
)
def _(z, t):
    return -np.mean(-t * np.logaddexp(0, -z) + 1 + t * np.logaddexp(0, z))


@bce_with_logits.chaff(
    "roles-exchanged",
    "the logarithm was taken of the *targets*, weighted with the forecast; it is the other way round.",
    "Whose logarithm is it: the truth's or the forecast's? What is log(0)?",
)
def _(z, t):
    p = backprop.sigmoid(z)
    with np.errstate(all="ignore"):
        return -np.mean(p * np.log(t) + (1 - p) * np.log(1 - t))


@bce_with_logits.chaff(
    "logit-as-probability",
    "the logarithm was taken of z itself, as if it were a probability; the sigmoid is missing.",
    "Which of z and σ(z) lies between 0 and 1?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        return -np.mean(t * np.log(z) + (1 - t) * np.log(1 - z))


@bce_with_logits.chaff(
    "hardened-targets",
    "t was treated as 0 or 1; it may be anything between.",
    "What does your code do with t = 0.3?",
)
def _(z, t):
    return backprop.bce_with_logits(z, np.round(t))


@bce_with_logits.chaff(
    "second-term-missing",
    "only the term with t is there; examples of class 0 cost nothing.",
    "What does your loss say of an example with t = 0 and a large positive logit?",
)
def _(z, t):
    return np.mean(t * np.logaddexp(0, -z))


@bce_with_logits.chaff(
    "targets-swapped",
    "t and 1 − t have changed places.",
    "A large positive logit and t = 1: the loss should be near 0.",
)
def _(z, t):
    return backprop.bce_with_logits(z, 1 - t)


@bce_with_logits.chaff(
    "not-reduced", "the loss of each example was returned, not their mean.", "A loss is one number for the batch."
)
def _(z, t):
    return np.logaddexp(0, z) - t * z


@bce_with_logits.chaff(
    "sigmoid-twice", "the logits went through a sigmoid first; the formula has one already.", "Count the sigmoids."
)
def _(z, t):
    return backprop.bce_with_logits(backprop.sigmoid(z), t)


bce_with_logits_grad = Exercise(
    "bce_with_logits_grad",
    CHAPTER,
    2,
    "bce_with_logits_grad(z, t)",
    ("dz",),
    reference=backprop.bce_with_logits_grad,
    make_cases=_binary_cases,
    formula="(sigmoid(z) - t) / len(z)",
)


def _stable_sigmoid(z):
    return np.where(
        z >= 0, 1 / (1 + np.exp(-np.maximum(z, 0))), np.exp(np.minimum(z, 0)) / (1 + np.exp(np.minimum(z, 0)))
    )


@bce_with_logits_grad.wheat
def by_stable_sigmoid(z, t):
    return (_stable_sigmoid(z) - t) / z.size


@bce_with_logits_grad.wheat
def the_warning_sigmoid(z, t):
    return (1 / (1 + np.exp(-z)) - t) / len(t)


@bce_with_logits_grad.wheat
def by_tanh(z, t):
    return (0.5 * (1 + np.tanh(z / 2)) - t) / len(z)


@bce_with_logits_grad.wheat
def by_softmax(z, t):
    return (backprop.softmax(np.stack([z, np.zeros_like(z)], axis=-1))[..., 0] - t) / z.shape[0]


@bce_with_logits_grad.wheat
def clipped_where_it_does_not_matter(z, t):
    return (1 / (1 + np.exp(-np.clip(z, -500, 500))) - t) / len(z)


@bce_with_logits_grad.wheat
def term_by_term(z, t):
    up, down = np.exp(-np.logaddexp(0, -z)), np.exp(-np.logaddexp(0, z))
    return ((1 - t) * up - t * down) / len(z)


@bce_with_logits_grad.wheat
def one_at_a_time(z, t):
    slopes = []
    for a, b in zip(z, t, strict=True):
        try:
            p = 1 / (1 + math.exp(-a))
        except OverflowError:
            p = 0.0
        slopes.append((p - b) / len(z))
    return slopes


@bce_with_logits_grad.chaff(
    "sum-not-mean", "the division by N is missing.", "Repeat the batch twice: what must happen to each entry?"
)
def _(z, t):
    return backprop.sigmoid(z) - t


@bce_with_logits_grad.chaff(
    "sign-flipped", "t − σ(z) instead of σ(z) − t.", "For t = 1, should raising the logit raise the loss?"
)
def _(z, t):
    return (t - backprop.sigmoid(z)) / len(z)


@bce_with_logits_grad.chaff(
    "part-not-averaged",
    "only the targets are divided by N; the mean applies to both parts.",
    "Where are the parentheses?",
)
def _(z, t):
    return backprop.sigmoid(z) - t / len(z)


@bce_with_logits_grad.chaff(
    "part-not-averaged",
    "only σ(z) is divided by N; the mean applies to both parts.",
    "Where are the parentheses?",
)
def _(z, t):
    return backprop.sigmoid(z) / len(z) - t


@bce_with_logits_grad.chaff(
    "targets-swapped",
    "t and 1 − t have changed places.",
    "For t = 1, should raising the logit raise the loss?",
)
def _(z, t):
    return (backprop.sigmoid(z) - (1 - t)) / len(z)


@bce_with_logits_grad.chaff(
    "sigmoid-slope-again",
    "σ(z)(1 − σ(z)) is there as a factor. That is right for MSE on σ(z); with cross-entropy it cancels.",
    "Write both factors of the chain and cancel before you compute.",
)
def _(z, t):
    p = backprop.sigmoid(z)
    return (p - t) * p * (1 - p) / len(z)


@bce_with_logits_grad.chaff(
    "slope-in-p",
    "this is the gradient in the probability, not in the logit; and it divides by 0 for large logits.",
    "One more factor of the chain: the slope of the sigmoid. Then cancel.",
)
def _(z, t):
    with np.errstate(all="ignore"):
        p = backprop.sigmoid(z)
        return (p - t) / (p * (1 - p)) / len(z)


@bce_with_logits_grad.chaff(
    "slope-in-p",
    "this is the gradient in the probability, not in the logit; the probability was clipped, so that it stays finite.",
    "One more factor of the chain: the slope of the sigmoid. Then cancel.",
)
def _(z, t):
    p = np.clip(_sigmoid_slow(z), 1e-12, 1 - 1e-12)
    return (p - t) / (p * (1 - p)) / len(z)


@bce_with_logits_grad.chaff(
    "slope-in-p",
    "this is the gradient in the probability, not in the logit; besides, the division by N is missing.",
    "One more factor of the chain: the slope of the sigmoid. Then cancel. And where is the mean?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        p = _sigmoid_slow(z)
        return -t / p + (1 - t) / (1 - p)


@bce_with_logits_grad.chaff(
    "squared-error",
    "this is the gradient of the squared error (σ(z) − t)².",
    "What is the derivative of −log p?",
)
def _(z, t):
    p = backprop.sigmoid(z)
    return 2 * (p - t) * p * (1 - p) / len(z)


@bce_with_logits_grad.chaff(
    "hard-prediction",
    "the predicted *class*, 0 or 1, stands where the probability belongs.",
    "Does your gradient change when a logit changes by a little?",
)
def _(z, t):
    return ((z > 0) - t) / len(z)


@bce_with_logits_grad.chaff(
    "softmax-not-sigmoid",
    "a softmax over the batch was taken: it makes the examples share one probability.",
    "Do the probabilities of different examples have anything to do with each other?",
)
def _(z, t):
    e = np.exp(z - z.max())
    return (e / e.sum() - t) / len(z)


@bce_with_logits_grad.chaff(
    "tanh-not-sigmoid",
    "`tanh` stands where the sigmoid belongs: it reaches from −1 to 1.",
    "Which values can a probability have?",
)
def _(z, t):
    return (np.tanh(z) - t) / len(z)


@bce_with_logits_grad.chaff(
    "overflow",
    "`exp(z)/(1 + exp(z))` is inf/inf at large logits.",
    "Which of exp(z) and exp(−z) is small for positive z?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        return (np.exp(z) / (1 + np.exp(z)) - t) / len(z)


@bce_with_logits_grad.chaff("sigmoid-missing", "the logit itself was used as a probability.", "Which is in [0, 1]?")
def _(z, t):
    return (z - t) / len(z)


@bce_with_logits_grad.chaff("reduced", "the entries were averaged into one number.", "Each logit has its own slope.")
def _(z, t):
    return np.mean(backprop.sigmoid(z) - t)


@bce_with_logits_grad.chaff(
    "times-input",
    "a factor z is one too many: that factor x belongs into the gradient of a *weight*.",
    "With respect to what is the slope asked for: to z, or to the weight that made it?",
)
def _(z, t):
    return (backprop.sigmoid(z) - t) * z / len(z)


@bce_with_logits_grad.chaff(
    "sign-in-sigmoid",
    "1 − exp(−z) stands where 1 + exp(−z) belongs.",
    "What is your sigmoid at z = 0?",
)
def _(z, t):
    with np.errstate(all="ignore"):
        return (1 / (1 - np.exp(-z)) - t) / len(z)


@bce_with_logits_grad.chaff(
    "sign-in-sigmoid", "`exp(z)` stands where `exp(-z)` belongs: this is σ(−z).", "σ(z) should rise with z."
)
def _(z, t):
    return (backprop.sigmoid(-z) - t) / len(z)


@bce_with_logits_grad.chaff(
    "one-term-only",
    "only the term with t was differentiated; the one with 1 − t has a slope, too.",
    "For an example with t = 0, which way should its logit go?",
)
def _(z, t):
    return t * (backprop.sigmoid(z) - 1) / len(z)


EXERCISES = [
    log_softmax,
    softmax_jacobian,
    cross_entropy,
    softmax_ce_slope,
    cross_entropy_grad,
    fix_cross_entropy_grad,
    soft_cross_entropy_grad,
    bce_with_logits,
    bce_with_logits_grad,
]
