"""Chapter 13, formulas: what published tutorials get wrong, mended.

The contracts.

``fix_mse_sign(theta, X, y)``
    The gradient of mean((ŷ − y)²) with ŷ = X θ; ``X`` is ``(N, D)``, ``y`` ``(N,)``, ``theta`` and the result ``(D,)``.
``fix_cross_entropy_slopes(p, z)``
    One example: targets ``p`` ``(C,)`` that sum to 1, some of which may be 0, and logits ``z`` ``(C,)``. With
    q = softmax(z) and H = −Σ p log q, returns ∂H/∂q, for which the entries of q are free numbers, and ∂H/∂z. Logits
    near 1000 are nothing special.
``fix_theta_slope(p, x, theta)``
    One example ``x`` ``(D,)``, with targets ``p`` ``(C,)`` as above and q = softmax(x θ). Returns ∂H/∂θ, which has the
    shape of ``theta``, ``(D, C)``.
``fix_residual_backward(dY, X, Ws)``
    The layers of ``Ws``, a list of ``(D, D)`` arrays, one after the other: h ← h + tanh(h W), from h = X ``(N, D)`` on.
    Returns the gradient for ``X`` from ``dY``, that for the last h.
``fix_derivative(f, x)``
    ``f`` takes a `backprop.Value` and returns one, made with +, −, *, /, **, ``exp``, ``log``, ``tanh`` and ``relu``.
    Returns its derivative at the number ``x``, by automatic differentiation: exact but for rounding (1e-12), and ``f``
    is called once.
"""

from collections.abc import Callable

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure
from backprop import Value

CHAPTER = "13-bug-clinic"
UNCHANGED = "the planted bug is still there"

# In each exercise the planted bug comes first among the chaffs: an unchanged copy is the likeliest wrong answer.

# fix_mse_sign


def _mse_sign(theta, X, y):
    """Gradient of mean((X θ − y)²) for θ."""
    return 2 / len(y) * X.T @ (X @ theta - y)


def _regression_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int) -> Case:
        return Case(name, (normal(rng, D), normal(rng, N, D), 1 + normal(rng, N)), {"N": N, "D": D})

    return [
        case("7 × 5", 7, 5),
        case("11 × 3", 11, 3),
        case("fewer examples than features", 2, 5),
        case("N = 1", 1, 3),
        case("square", 3, 3),
        case("one feature", 13, 1),
    ]


fix_mse_sign = Exercise(
    "fix_mse_sign",
    CHAPTER,
    1,
    "fix_mse_sign(theta, X, y)",
    ("dtheta",),
    reference=_mse_sign,
    make_cases=_regression_cases,
    partial_credit=False,
    formula="2 / n * (y_hat - y) @ X",
)


@fix_mse_sign.wheat
def minus_before_all(theta, X, y):
    n = len(y)
    y_hat = X @ theta
    slopes = X
    return -2 / n * (y - y_hat) @ slopes


@fix_mse_sign.wheat
def inner_slope_with_its_minus(theta, X, y):
    e = y - X @ theta
    de_dtheta = -X
    return 2 * np.mean(e[:, None] * de_dtheta, axis=0)


@fix_mse_sign.wheat
def example_by_example(theta, X, y):
    total = [0.0] * len(theta)
    for x, target in zip(X, y, strict=True):
        error = sum(float(a) * float(t) for a, t in zip(x, theta, strict=True)) - target
        for d, a in enumerate(x):
            total[d] += 2 * error * a / len(y)
    return total


@fix_mse_sign.wheat
def by_einsum(theta, X, y):
    return np.einsum("n,nd->d", np.einsum("nd,d->n", X, theta) - y, X) * (2 / X.shape[0])


@fix_mse_sign.wheat
def from_the_normal_equations(theta, X, y):
    return 2 * (X.T @ X @ theta - X.T @ y) / len(X)


@fix_mse_sign.wheat
def regression_in_float32(theta, X, y):
    theta, X, y = (a.astype("f4") for a in (theta, X, y))
    return 2 / np.float32(len(y)) * X.T @ (X @ theta - y)


@fix_mse_sign.wheat
def regression_by_complex_step(theta, X, y):
    steps = theta + 1e-20j * np.eye(len(theta))
    return np.array([np.mean((X @ step - y) ** 2).imag / 1e-20 for step in steps])


@fix_mse_sign.wheat
def by_chapter_one(theta, X, y):
    return backprop.linear_mse_grads(X, y, theta, 0.0)[0]


@fix_mse_sign.chaff(
    "unchanged",
    f"{UNCHANGED}: as published, the formula lacks a minus, and gives the way down where the gradient points up.",
    "Nudge one θ up by 0.01 and compute the loss twice. Does it rise or fall, and what does your gradient say?",
)
def _(theta, X, y):
    n = len(y)
    y_hat = X @ theta
    dy_hat_dtheta = X  # row i says how ŷᵢ changes with θ
    return 2 / n * (y - y_hat) @ dy_hat_dtheta


@fix_mse_sign.chaff(
    "half-of-the-difference-turned",
    "the minus went to one of the two terms only: the difference has become a sum.",
    "At ŷ = y nothing is to be gained. Is your gradient 0 there?",
)
def _(theta, X, y):
    return 2 / len(y) * (X @ theta + y) @ X


@fix_mse_sign.chaff(
    "half-of-the-difference-turned",
    "the minus was put before ŷ and the one before y was left: both are subtracted now.",
    "At ŷ = y nothing is to be gained. Is your gradient 0 there?",
)
def _(theta, X, y):
    return 2 / len(y) * (-(X @ theta) - y) @ X


@fix_mse_sign.chaff(
    "sign-lost",
    "an absolute value stands around the difference: that is no way to get the sign right, it throws it away.",
    "Must θ move the same way for a prediction that is too high and for one that is too low?",
)
def _(theta, X, y):
    return 2 / len(y) * np.abs(X @ theta - y) @ X


@fix_mse_sign.chaff(
    "sign-lost",
    "the sign of the finished gradient was thrown away, with an absolute value.",
    "Can a loss only ever grow when θ grows?",
)
def _(theta, X, y):
    return np.abs(2 / len(y) * (X @ theta - y) @ X)


@fix_mse_sign.chaff(
    "square-not-differentiated",
    "the difference is squared still, as in the loss.",
    "Which power of the difference is left when its square is differentiated?",
)
def _(theta, X, y):
    return 2 / len(y) * (X @ theta - y) ** 2 @ X


@fix_mse_sign.chaff(
    "factor-2-missing",
    "the sign is right, and the 2 in front went with the minus.",
    "What is the derivative of u² in u?",
)
def _(theta, X, y):
    return (X @ theta - y) @ X / len(y)


@fix_mse_sign.chaff(
    "summed-not-averaged",
    "the sign is right; the sum over the examples is no longer divided by their number.",
    "Is the loss a sum or a mean of squares?",
)
def _(theta, X, y):
    return 2 * (X @ theta - y) @ X


@fix_mse_sign.chaff(
    "averaged-over-entries",
    "the sum is divided by the number of entries of X, not by the number of examples.",
    "How many squares has the loss: one for each row of X, or one for each entry?",
)
def _(theta, X, y):
    return 2 / X.size * (X @ theta - y) @ X


@fix_mse_sign.chaff(
    "averaged-over-features",
    "the sum over the examples is divided by the number of features.",
    "Which axis does the mean in the loss run over?",
)
def _(theta, X, y):
    return 2 / len(theta) * (X @ theta - y) @ X


@fix_mse_sign.chaff(
    "stops-at-the-prediction",
    "this is the slope in ŷ, one number an example; the factor ∂ŷ/∂θ is gone.",
    "Which shape has θ? Its gradient has the same.",
)
def _(theta, X, y):
    return 2 / len(y) * (X @ theta - y)


@fix_mse_sign.chaff(
    "weights-for-inputs",
    "∂ŷ/∂θ was taken for θ: the error is multiplied with the weights, not with the inputs.",
    "By how much does ŷ = xθ grow when θ grows by 0.01: does that depend on θ, or on x?",
)
def _(theta, X, y):
    return 2 * np.mean(X @ theta - y) * theta


@fix_mse_sign.chaff(
    "means-multiplied",
    "the mean error is multiplied with the mean input; each example's error belongs to that example's input.",
    "Take two examples with opposite errors and opposite inputs. Should the gradient be 0?",
)
def _(theta, X, y):
    return 2 * np.mean(X @ theta - y) * X.mean(axis=0)


@fix_mse_sign.chaff(
    "wrong-side-of-the-product",
    "`X @ error` sums over the features of each example; the gradient collects over the examples.",
    "Write the shapes below the factors: which product gives `(D,)`?",
)
def _(theta, X, y):
    return 2 / len(y) * X @ (X @ theta - y)


@fix_mse_sign.chaff(
    "error-not-a-column",
    "the errors `(N,)` meet the *columns* of X `(N, D)`: NumPy lines up the last axes.",
    "Which shape must the errors have so that each row of X gets its own?",
)
def _(theta, X, y):
    return np.mean(2 * (X @ theta - y) * X, axis=0)


@fix_mse_sign.chaff(
    "all-in-one-number",
    "the mean goes over the features, too: one number is left for all of θ.",
    "Which shape has θ? Its gradient has the same.",
)
def _(theta, X, y):
    return np.mean(2 * (X @ theta - y)[:, None] * X)


@fix_mse_sign.chaff(
    "step-not-gradient",
    "this is θ after a step, not the gradient: the sign was mended where the gradient is *used*.",
    "Who subtracts in gradient descent: the gradient, or the one that takes the step?",
)
def _(theta, X, y):
    return theta - 2 / len(y) * (X @ theta - y) @ X


# fix_cross_entropy_slopes


def _softmax(z, shift=True):
    e = np.exp(z - z.max() if shift else z)
    return e / e.sum()


def _cross_entropy_slopes(p, z):
    """∂H/∂q and ∂H/∂z of H = −Σ p log q with q = softmax(z)."""
    e = np.exp(z - z.max())
    q = e / e.sum()
    return -p / q, q - p


def _one_example_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, C: int, scale: float = 1.0, shift: float = 0.0, group: str = "values") -> Case:
        return Case(name, (rng.dirichlet(np.ones(C)), shift + scale * normal(rng, C)), {"C": C}, group)

    onehot = np.eye(5)[rng.integers(5)]
    return [
        case("7 classes", 7),
        case("3 classes", 3),
        case("2 classes", 2),
        Case("p is one-hot", (onehot, normal(rng, 5)), {"C": 5}),
        Case("all q are equal", (rng.dirichlet(np.ones(5)), np.full(5, 0.5)), {"C": 5}),
        case("q far from even", 11, 3.0),
        case("logits near 1000", 5, shift=1000.0, group="stability"),
    ]


fix_cross_entropy_slopes = Exercise(
    "fix_cross_entropy_slopes",
    CHAPTER,
    1,
    "fix_cross_entropy_slopes(p, z)",
    ("dq", "dz"),
    reference=_cross_entropy_slopes,
    make_cases=_one_example_cases,
    partial_credit=False,
    formula="`dq = -p / q`, and from it `dz = q * (dq - (q * dq).sum())`, which is `q - p`",
)


@fix_cross_entropy_slopes.wheat
def one_line_mended(p, z):
    e = np.exp(z - z.max())
    q = e / e.sum()
    dq = -p / q
    dz = q * (dq - (q * dq).sum())
    return dq, dz


@fix_cross_entropy_slopes.wheat
def through_the_whole_jacobian(p, z):
    q = _softmax(z)
    dq = -p / q
    return dq, (np.diag(q) - np.outer(q, q)) @ dq


@fix_cross_entropy_slopes.wheat
def class_by_class(p, z):
    q = [1 / sum(np.exp(other - mine) for other in z) for mine in z]
    return [-a / b for a, b in zip(p, q, strict=True)], [b - a for a, b in zip(p, q, strict=True)]


@fix_cross_entropy_slopes.wheat
def from_logarithms(p, z):
    log_q = z - np.logaddexp.reduce(z)
    return -p * np.exp(-log_q), np.exp(log_q) - p


@fix_cross_entropy_slopes.wheat
def targets_summed(p, z):
    q = _softmax(z)
    slopes = np.zeros(len(p))
    np.subtract.at(slopes, np.arange(len(p)), p / q)
    return slopes, q * p.sum() - p


@fix_cross_entropy_slopes.wheat
def example_in_float32(p, z):
    z = (z - z.max()).astype("f4")
    q = _softmax(z)
    return -p.astype("f4") / q, q - p.astype("f4")


@fix_cross_entropy_slopes.wheat
def slopes_by_complex_step(p, z):
    C, h = len(p), 1e-30
    z = z - z.max()
    q = _softmax(z)
    dq = -(p * np.log(q + 1j * h * np.eye(C))).sum(axis=1).imag / h
    moved = z + 1j * h * np.eye(C)
    dz = -(p * (moved - np.log(np.exp(moved).sum(axis=1, keepdims=True)))).sum(axis=1).imag / h
    return dq, dz


def _through_softmax(q, dq):
    return q * (dq - (q * dq).sum())


@fix_cross_entropy_slopes.chaff(
    "unchanged",
    f"{UNCHANGED}: −p log q has no slope p/q − 1 in q.",
    "Differentiate −p log q in q, for one class and with a pencil. Then nudge one entry of q and look at H.",
)
def _(p, z):
    e = np.exp(z - z.max())
    q = e / e.sum()
    dq = p / q - 1
    dz = q * (dq - (q * dq).sum())  # through the softmax, as in chapter 2
    return dq, dz


@fix_cross_entropy_slopes.chaff(
    "whole-sign-turned",
    "the whole formula got a minus: now the slope is 1 − p/q, and the 1 has no place in it. `dz` cannot tell: the "
    "softmax takes out what is the same for all classes.",
    "Where p is 0, H does not depend on that q at all. What is your slope there?",
)
def _(p, z):
    q = _softmax(z)
    dq = 1 - p / q
    return dq, _through_softmax(q, dq)


@fix_cross_entropy_slopes.chaff(
    "minus-one-left",
    "the sign of p/q is mended, and the −1 still stands behind it. `dz` cannot tell: the softmax takes out what is the "
    "same for all classes.",
    "Where p is 0, H does not depend on that q at all. What is your slope there?",
)
def _(p, z):
    q = _softmax(z)
    dq = -p / q - 1
    return dq, _through_softmax(q, dq)


@fix_cross_entropy_slopes.chaff(
    "minus-missing",
    "the −1 is gone, and the minus before the sum in H is still forgotten.",
    "If the class is the right one, does H rise or fall when its q grows?",
)
def _(p, z):
    q = _softmax(z)
    return p / q, _through_softmax(q, p / q)


@fix_cross_entropy_slopes.chaff(
    "dz-left-as-it-was",
    "`dq` is mended; `dz` still has the sign that came of the old one.",
    "For the right class, does H rise or fall when its logit grows?",
)
def _(p, z):
    q = _softmax(z)
    return -p / q, p - q


@fix_cross_entropy_slopes.chaff(
    "own-logit-only",
    "each q was taken to depend on its own logit alone, with the slope q(1 − q): a logit moves all of them.",
    "If one logit grows, what becomes of the other probabilities? They have to sum to 1.",
)
def _(p, z):
    q = _softmax(z)
    return -p / q, -p * (1 - q)


@fix_cross_entropy_slopes.chaff(
    "normaliser-forgotten",
    "`dz` is `dq` times q: that is the slope through exp alone. The sum below the fraction depends on z, too.",
    "Which parts of eᶻ / Σ eᶻ change when one logit does?",
)
def _(p, z):
    q = _softmax(z)
    return -p / q, -p


def _jacobian_slopes(jacobian):
    """Answers with another Jacobian of the softmax."""

    def answer(p, z):
        q = _softmax(z)
        return -p / q, jacobian(q) @ (-p / q)

    return answer


for _cause, _misconception, _hint, _jacobian in (
    ("sign-in-the-jacobian", "the softmax's Jacobian has a plus where it has a minus: qᵢqⱼ is added, and it is taken "
     "away.",
     "If the logit of one class grows, do the probabilities of the others grow, too?",
     lambda q: np.diag(q) + np.outer(q, q)),
    ("sign-in-the-jacobian", "the softmax's Jacobian has q(1 − q) on its diagonal, and +qᵢqⱼ beside it, where a minus "
     "belongs.",
     "If the logit of one class grows, do the probabilities of the others grow, too?",
     lambda q: np.diag(q) + np.outer(q, q) - 2 * np.diag(q**2)),
    ("diagonal-twice", "the diagonal of the softmax's Jacobian lost q² twice: q(1 − q) has it already, and −qᵢqⱼ takes "
     "it off once more.",
     "Write out one entry of the diagonal. How often does q² stand there?",
     lambda q: np.diag(q * (1 - q)) - np.outer(q, q)),
    ("diagonal-missing", "the softmax's Jacobian lacks its diagonal: only −qᵢqⱼ is there.",
     "How does a class's q change with its own logit?",
     lambda q: -np.outer(q, q)),
    ("ones-on-the-diagonal", "the diagonal of the softmax's Jacobian has a 1 in place of a q.",
     "How does a class's q change with its own logit, if it is almost 0?",
     lambda q: np.eye(len(q)) - np.outer(q, q)),
    ("one-factor-only", "the softmax's Jacobian has qⱼ beside its diagonal, the same in each row: one factor of two.",
     "By how much does qᵢ change with the logit of class j: on which of the two does that depend?",
     lambda q: np.diag(q) - q),
    ("sum-without-weights", "in the softmax's Jacobian qᵢ stands beside the diagonal, one factor of two: the slopes in "
     "q are summed without their weights.",
     "By how much does qᵢ change with the logit of class j: on which of the two does that depend?",
     lambda q: np.diag(q) - q[:, None]),
    ("no-case-for-the-diagonal", "each entry of the softmax's Jacobian is qᵢ(1 − qⱼ): that is right on the diagonal "
     "only.",
     "The two cases i = j and i ≠ j differ. What stands in place of the 1 beside the diagonal?",
     lambda q: np.outer(q, 1 - q)),
    ("no-case-for-the-diagonal", "each entry of the softmax's Jacobian is (1 − qᵢ)qⱼ: that is right on the diagonal "
     "only.",
     "The two cases i = j and i ≠ j differ. What stands in place of the 1 beside the diagonal?",
     lambda q: np.outer(1 - q, q)),
    ("mean-without-weights", "the plain mean of the slopes in q was taken off, not their mean with the weights q.",
     "Which classes pull most on the sum below the fraction: all alike, or the likely ones?",
     lambda q: np.diag(q) - np.outer(q, np.ones(len(q))) / len(q)),
    ("factor-q-missing", "the last factor q is missing: the weighted mean was taken off, and then nothing multiplied.",
     "From H to z there are two steps. What does the slope of eᶻ bring?",
     lambda q: np.eye(len(q)) - np.outer(np.ones(len(q)), q)),
):  # fmt: skip
    fix_cross_entropy_slopes.chaff(_cause, _misconception, _hint)(_jacobian_slopes(_jacobian))


@fix_cross_entropy_slopes.chaff(
    "softmax-slope-missing",
    "`dz` is `dq` itself: the way through the softmax was left out.",
    "H depends on q, and q on z. Which factor does the chain rule put between?",
)
def _(p, z):
    q = _softmax(z)
    return -p / q, -p / q


@fix_cross_entropy_slopes.chaff(
    "logit-slope-for-both",
    "q − p was returned for both. It is the slope in the logits; in q itself it is another one.",
    "Where p is 0, H does not depend on that q at all. What is your `dq` there?",
)
def _(p, z):
    q = _softmax(z)
    return q - p, q - p


@fix_cross_entropy_slopes.chaff(
    "slope-in-p",
    "the first result is −log q: the slope of H in p, not in q.",
    "Which of the two does the model make? In that one the slope is asked for.",
)
def _(p, z):
    q = _softmax(z)
    return -np.log(q), q - p


@fix_cross_entropy_slopes.chaff(
    "entropy-of-q",
    "this is the slope of −q log q, the entropy of q: there the product rule brings a −1, and here it does not.",
    "Which of the two factors of p log q depends on q?",
)
def _(p, z):
    q = _softmax(z)
    return -np.log(q) - 1, q - p


@fix_cross_entropy_slopes.chaff(
    "p-left-out",
    "p is left out: −1/q is the slope of −log q, for every class as if it were the right one.",
    "What stands before log q in H?",
)
def _(p, z):
    q = _softmax(z)
    return -1 / q, q - p


@fix_cross_entropy_slopes.chaff(
    "p-left-out",
    "p is left out of `dq`, −1/q, and so of `dz`.",
    "What stands before log q in H?",
)
def _(p, z):
    q = _softmax(z)
    return -1 / q, _through_softmax(q, -1 / q)


@fix_cross_entropy_slopes.chaff(
    "upside-down",
    "the fraction stands on its head: q/p for p/q.",
    "What is the derivative of log q: q, or 1/q?",
)
def _(p, z):
    q = _softmax(z)
    with np.errstate(all="ignore"):
        return -q / p, q - p


@fix_cross_entropy_slopes.chaff(
    "kept-on-the-simplex",
    "the mean was taken off `dq`, so that q goes on summing to 1; here its entries are free numbers.",
    "The contract lets one q move alone. Which part of H changes then?",
)
def _(p, z):
    q = _softmax(z)
    return (p / q).mean() - p / q, q - p


@fix_cross_entropy_slopes.chaff(
    "binary-cross-entropy",
    "each class was judged by itself, with a term (1 − p) log(1 − q): that is the binary cross-entropy.",
    "Which terms has H? Is there a 1 − q among them?",
)
def _(p, z):
    q = _softmax(z)
    dq = (1 - p) / (1 - q) - p / q
    return dq, _through_softmax(q, dq)


@fix_cross_entropy_slopes.chaff(
    "hard-targets",
    "p was taken for one-hot: a 1 is subtracted from q at its largest entry.",
    "What if p gives two classes a chance?",
)
def _(p, z):
    q = _softmax(z)
    dz = q.copy()
    dz[p.argmax()] -= 1
    return -p / q, dz


@fix_cross_entropy_slopes.chaff(
    "other-logarithm",
    "the logarithm is taken to base 2: a factor 1/log 2 has come in.",
    "Which logarithm does the book use, and what is the derivative of the other ones?",
)
def _(p, z):
    q = _softmax(z)
    return -p / q / np.log(2), (q - p) / np.log(2)


@fix_cross_entropy_slopes.chaff(
    "outputs-swapped",
    "the two slopes are returned in the wrong order.",
    "Compare your `return` with the signature.",
)
def _(p, z):
    q = _softmax(z)
    return q - p, -p / q


@fix_cross_entropy_slopes.chaff(
    "shift-lost",
    "the softmax no longer subtracts the largest logit: exp of large ones overflows.",
    "Which lines of the broken copy were right? Why does the first one subtract `z.max()`?",
)
def _(p, z):
    with np.errstate(all="ignore"):
        q = _softmax(z, shift=False)
        return -p / q, q - p


# fix_theta_slope


def _theta_slope(p, x, theta):
    """∂H/∂θ of H = −Σ p log q with q = softmax(x θ)."""
    z = x @ theta
    e = np.exp(z - z.max())
    return np.outer(x, e / e.sum() - p)


def _theta_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, D: int, C: int, p: np.ndarray | None = None, shift: float = 0.0) -> Case:
        x, theta = normal(rng, D), normal(rng, D, C)
        p = rng.dirichlet(np.ones(C)) if p is None else p
        group = "stability" if shift else "values"
        return Case(name, (p, x, theta + shift * x[:, None] / (x @ x)), {"D": D, "C": C}, group)

    return [
        case("5 × 3", 5, 3),
        case("2 × 7", 2, 7),
        case("square", 3, 3),
        case("one feature", 1, 5),
        case("p is one-hot", 5, 2, np.eye(2)[rng.integers(2)]),
        case("scores near 1000", 7, 5, shift=1000.0),
    ]


fix_theta_slope = Exercise(
    "fix_theta_slope",
    CHAPTER,
    1,
    "fix_theta_slope(p, x, theta)",
    ("dtheta",),
    reference=_theta_slope,
    make_cases=_theta_cases,
    partial_credit=False,
    formula="np.outer(x, q - p)",
)


def _dq_dtheta(x, q):
    """(D, C, C): how each q changes with each entry of θ."""
    return x[:, None, None] * (np.diag(q) - np.outer(q, q))


@fix_theta_slope.wheat
def jacobian_of_the_model(p, x, theta):
    e = np.exp(x @ theta - (x @ theta).max())
    q = e / e.sum()
    return _dq_dtheta(x, q) @ (-p / q)


@fix_theta_slope.wheat
def both_ways_one_of_which_is_zero(p, x, theta):
    q = _softmax(x @ theta)
    dp_dtheta = np.zeros((*theta.shape, len(p)))
    return dp_dtheta @ -np.log(q) + _dq_dtheta(x, q) @ (-p / q)


@fix_theta_slope.wheat
def entry_by_entry(p, x, theta):
    q = _softmax(x @ theta)
    dtheta = np.zeros(theta.shape)
    for d, c in np.ndindex(theta.shape):
        for k in range(len(p)):
            dtheta[d, c] -= p[k] / q[k] * x[d] * q[k] * ((k == c) - q[c])
    return dtheta


@fix_theta_slope.wheat
def by_columns(p, x, theta):
    q = _softmax(x @ theta)
    return np.column_stack([x * (q[c] - p[c]) for c in range(len(p))])


@fix_theta_slope.wheat
def logits_first(p, x, theta):
    q = _softmax(x @ theta)
    dz = _through_softmax(q, -p / q)
    return x.reshape(-1, 1) @ dz.reshape(1, -1)


@fix_theta_slope.wheat
def as_lists(p, x, theta):
    q = _softmax(np.einsum("d,dc->c", x, theta))
    return [[float(a * (b - c)) for b, c in zip(q, p, strict=True)] for a in x]


@fix_theta_slope.wheat
def batch_of_one(p, x, theta):
    return x[None].T @ backprop.soft_cross_entropy_grad(x[None] @ theta, p[None])


@fix_theta_slope.wheat
def transposed_twice(p, x, theta):
    return np.multiply.outer(_softmax(theta.T @ x) - p, x).T


@fix_theta_slope.chaff(
    "unchanged",
    f"{UNCHANGED}: the chain rule goes through p, as if the label came out of the softmax; what comes out is q.",
    "Which of p and q changes when a parameter is nudged?",
)
def _(p, x, theta):
    q = _softmax(x @ theta)
    dq = -p / q
    dz = p * (dq - (p * dq).sum())  # "∂p/∂z"
    return np.outer(x, dz)


@fix_theta_slope.chaff(
    "unchanged",
    f"{UNCHANGED}: the chain rule goes through p. The label does not depend on θ, so nothing comes that way.",
    "Which of p and q changes when a parameter is nudged?",
)
def _(p, x, theta):
    dH_dq = -p / _softmax(x @ theta)  # (C,)
    dp_dtheta = np.zeros((*theta.shape, len(p)))  # (D, C, C): the formula at its word
    return dp_dtheta @ dH_dq


@fix_theta_slope.chaff(
    "half-mended",
    "of the two p in the line for the logits one is still there: the slope of the softmax is made of q alone.",
    "The slope of a softmax is made of what comes out of it. Which of the letters in your line came out of one?",
)
def _(p, x, theta):
    q = _softmax(x @ theta)
    dq = -p / q
    return np.outer(x, q * (dq - (p * dq).sum()))


@fix_theta_slope.chaff(
    "half-mended",
    "of the two p in the line for the logits one is still there: the slope of the softmax is made of q alone.",
    "The slope of a softmax is made of what comes out of it. Which of the letters in your line came out of one?",
)
def _(p, x, theta):
    q = _softmax(x @ theta)
    dq = -p / q
    return np.outer(x, p * (dq - (q * dq).sum()))


@fix_theta_slope.chaff(
    "fraction-upside-down",
    "the fraction stands on its head: H = −Σ p log q has the slope −p/q in q, not −q/p.",
    "The derivative of log q is 1/q. Which of the two is then above, and which below?",
)
def _(p, x, theta):
    q = _softmax(x @ theta)
    with np.errstate(all="ignore"):
        return np.outer(x, _through_softmax(q, -q / p))


@fix_theta_slope.chaff(
    "both-factors-of-p",
    "both factors are slopes with p now: ∂H/∂p = −log q, times ∂p/∂θ with p as if it came out of a softmax.",
    "Where does the model's output come in: as p or as q?",
)
def _(p, x, theta):
    return np.outer(x, _through_softmax(p, -np.log(_softmax(x @ theta))))


@fix_theta_slope.chaff(
    "slope-in-p",
    "∂q/∂θ is right, and the other factor is −log q, the slope of H in p.",
    "The two factors must meet in the same thing: ∂H/∂q and ∂q/∂θ.",
)
def _(p, x, theta):
    q = _softmax(x @ theta)
    return np.outer(x, _through_softmax(q, -np.log(q)))


@fix_theta_slope.chaff(
    "sign-flipped",
    "all is there, with the wrong sign: p − q for q − p, the way down.",
    "For the right class, and a positive x, does H rise or fall when θ grows?",
)
def _(p, x, theta):
    return np.outer(x, p - _softmax(x @ theta))


@fix_theta_slope.chaff(
    "softmax-slope-missing",
    "q was taken for the logits: ∂H/∂q is multiplied with x at once.",
    "From θ to H there are three steps. Which one is missing?",
)
def _(p, x, theta):
    return np.outer(x, -p / _softmax(x @ theta))


@fix_theta_slope.chaff(
    "own-logit-only",
    "each q was taken to depend on its own column of θ alone, with the slope q(1 − q): a logit moves all of them.",
    "If one logit grows, what becomes of the other probabilities? They have to sum to 1.",
)
def _(p, x, theta):
    return np.outer(x, -p * (1 - _softmax(x @ theta)))


@fix_theta_slope.chaff(
    "normaliser-forgotten",
    "the slope of q is taken for that of exp: the sum below the fraction depends on θ, too.",
    "Which parts of eᶻ / Σ eᶻ change when one logit does?",
)
def _(p, x, theta):
    return np.outer(x, -p)


@fix_theta_slope.chaff(
    "other-classes-only",
    "the Jacobian of the softmax lacks its diagonal: only −qq′ is there.",
    "How does a class's q change with its own logit?",
)
def _(p, x, theta):
    return np.outer(x, _softmax(x @ theta))


@fix_theta_slope.chaff(
    "transposed",
    "the classes stand in the rows: that is the shape of θ transposed.",
    "Which shape has θ? Its gradient has the same.",
)
def _(p, x, theta):
    return np.outer(_softmax(x @ theta) - p, x)


@fix_theta_slope.chaff(
    "input-factor-missing",
    "this is the slope for the logits, the same for every feature: the factor x is missing.",
    "Two features with different values must get different slopes. Where does the value of the feature come in?",
)
def _(p, x, theta):
    return np.ones(theta.shape) * (_softmax(x @ theta) - p)


@fix_theta_slope.chaff(
    "stops-at-the-logits",
    "this is the slope for the logits, `(C,)`; one more step leads to θ.",
    "Which shape has θ? Its gradient has the same.",
)
def _(p, x, theta):
    return _softmax(x @ theta) - p


@fix_theta_slope.chaff(
    "slope-for-x",
    "this is the slope for x, `(D,)`: it goes back along θ, not to it.",
    "z = xθ has two factors. Whose slope needs x, and whose needs θ?",
)
def _(p, x, theta):
    return theta @ (_softmax(x @ theta) - p)


@fix_theta_slope.chaff(
    "weights-for-inputs",
    "the entries of θ stand where those of x belong.",
    "By how much does a logit grow when one weight grows by 0.01: does that depend on the weight, or on x?",
)
def _(p, x, theta):
    return theta * (_softmax(x @ theta) - p)


@fix_theta_slope.chaff(
    "averaged-over-classes",
    "the slope is divided by the number of classes.",
    "Is H a sum or a mean over the classes?",
)
def _(p, x, theta):
    return np.outer(x, _softmax(x @ theta) - p) / len(p)


@fix_theta_slope.chaff(
    "softmax-over-all",
    "the softmax was taken of all entries of x · θ, before the sum over the features.",
    "How many probabilities are there, and what must they sum to?",
)
def _(p, x, theta):
    scores = x[:, None] * theta
    e = np.exp(scores - scores.max())
    return x[:, None] * (e / e.sum() - p)


@fix_theta_slope.chaff(
    "hard-targets",
    "p was taken for one-hot: a 1 is subtracted from q at its largest entry.",
    "What if p gives two classes a chance?",
)
def _(p, x, theta):
    return np.outer(x, _softmax(x @ theta) - (np.arange(len(p)) == p.argmax()))


@fix_theta_slope.chaff(
    "shift-lost",
    "the softmax no longer subtracts the largest score: exp of large ones overflows.",
    "Which lines of the broken copy were right? Why does the first one subtract a maximum?",
)
def _(p, x, theta):
    with np.errstate(all="ignore"):
        return np.outer(x, _softmax(x @ theta, shift=False) - p)


# fix_residual_backward


def _residual_backward(dY, X, Ws):
    """Gradient for X of the layers h ← h + tanh(h W)."""
    h, activations = X, []
    for W in Ws:
        activations.append(np.tanh(h @ W))
        h = h + activations[-1]
    dh = dY
    for W, A in zip(Ws[::-1], activations[::-1], strict=True):
        dh = dh + (dh * (1 - A**2)) @ W.T
    return dh


def _residual_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int, layers: int, scale: float = 0.5, dY: np.ndarray | None = None) -> Case:
        Ws = [scale * normal(rng, D, D) for _ in range(layers)]
        dY = normal(rng, N, D) if dY is None else dY
        return Case(name, (dY, normal(rng, N, D), Ws), {"N": N, "D": D, "L": layers})

    return [
        case("7 × 5, 3 layers", 7, 5, 3),
        case("11 × 3, 2 layers", 11, 3, 2),
        case("one layer", 5, 7, 1),
        case("N = 1", 1, 3, 2),
        case("square", 3, 3, 5),
        case("D = 1", 5, 1, 3),
        case("a slope for one entry", 2, 3, 2, dY=np.eye(6)[rng.integers(6)].reshape(2, 3)),
        case("13 layers with small weights", 2, 5, 13, 0.1),
    ]


fix_residual_backward = Exercise(
    "fix_residual_backward",
    CHAPTER,
    1,
    "fix_residual_backward(dY, X, Ws)",
    ("dX",),
    reference=_residual_backward,
    make_cases=_residual_cases,
    upstream="dY",
    partial_credit=False,
    formula="dh = dh + (dh * (1 - A**2)) @ W.T",
)


def _states(X, Ws):
    """What every layer gets, and its tanh."""
    h, before, activations = X, [], []
    for W in Ws:
        before.append(h)
        activations.append(np.tanh(h @ W))
        h = h + activations[-1]
    return before, activations


@fix_residual_backward.wheat
def around_and_through(dY, X, Ws):
    _, activations = _states(X, Ws)
    dh = dY.copy()
    while activations:
        A = activations.pop()
        around = dh.copy()
        through = np.einsum("nj,ij->ni", dh * (1 - A**2), Ws[len(activations)])
        dh = around
        dh += through
    return dh


@fix_residual_backward.wheat
def by_recursion(dY, X, Ws):
    if not Ws:
        return dY
    W, rest = Ws[0], Ws[1:]
    A = np.tanh(X @ W)
    dh = by_recursion(dY, X + A, rest)
    return (dh * (1 - A * A)) @ W.T + dh


@fix_residual_backward.wheat
def jacobians_of_each_example(dY, X, Ws):
    dX = np.empty(X.shape)
    for n, h in enumerate(X):
        J = np.eye(len(h))
        for W in Ws:
            a = np.tanh(h @ W)
            J = J @ (np.eye(len(h)) + W * (1 - a**2))
            h = h + a
        dX[n] = J @ dY[n]
    return dX


@fix_residual_backward.wheat
def by_cosh(dY, X, Ws):
    before, _ = _states(X, Ws)
    dh = np.asfortranarray(dY)
    for W, h in zip(reversed(Ws), reversed(before), strict=True):
        dh = dh + (dh / np.cosh(h @ W) ** 2) @ W.T
    return dh


@fix_residual_backward.wheat
def with_the_pieces_of_chapter_five(dY, X, Ws):
    before, activations = _states(X, Ws)
    dh = dY
    for i in range(len(Ws) - 1, -1, -1):
        dZ = backprop.tanh_backward(dh, activations[i])
        dh = np.add(dh, backprop.linear_backward(dZ, before[i], Ws[i])[0])
    return dh


@fix_residual_backward.wheat
def residual_by_complex_step(dY, X, Ws):
    dX = np.zeros(X.shape)
    for place in np.ndindex(X.shape):
        h = X.astype(complex)
        h[place] += 1e-30j
        for W in Ws:
            h = h + np.tanh(h @ W)
        dX[place] = (dY * h.imag).sum() / 1e-30
    return dX


@fix_residual_backward.wheat
def residual_in_float32(dY, X, Ws):
    return _residual_backward(dY.astype("f4"), X.astype("f4"), [W.astype("f4") for W in Ws])


@fix_residual_backward.wheat
def all_ways_through_the_layers(dY, X, Ws):
    _, activations = _states(X, Ws)
    ways = [dY]  # each layer doubles them: one goes around, one goes through
    for W, A in zip(Ws[::-1], activations[::-1], strict=True):
        ways = [dh for way in ways for dh in (way, (way * (1 - A**2)) @ W.T)] if len(Ws) < 8 else [
            sum(ways) + (sum(ways) * (1 - A**2)) @ W.T
        ]  # fmt: skip
    return sum(ways[1:], ways[0])


def _residual(
    layer: Callable = lambda dh, A, W, h, dY: dh + (dh * (1 - A**2)) @ W.T, around: bool = True, backwards: bool = True
):
    """A backward pass with the given step for each layer."""

    def function(dY, X, Ws):
        h, stored = X, []
        for W in Ws:
            A = np.tanh(h @ W)
            stored.append((A, W, h))
            h = h + A if around else A
        dh = dY
        for A, W, h in stored[::-1] if backwards else stored:
            dh = layer(dh, A, W, h, dY)
        return dh

    return function


@fix_residual_backward.chaff(
    "unchanged",
    f"{UNCHANGED}: the blame goes through each tanh alone, and the way around it is dropped, for "
    "which the connection was built.",
    "Two arrows lead from a layer's h to the next one. How many lead back, and what happens where two arrive?",
)
def _(dY, X, Ws):
    h, activations = X, []
    for W in Ws:
        A = np.tanh(h @ W)
        activations.append(A)
        h = h + A
    dh = dY
    for W, A in zip(reversed(Ws), reversed(activations), strict=True):
        dh = (dh * (1 - A**2)) @ W.T
    return dh


@fix_residual_backward.chaff(
    "around-the-whole-once",
    "`dY` is added once, at the end: one way around all layers. Every layer has its own way around.",
    "With two layers there are four ways from X to Y. Which of them have you?",
)
def _(dY, X, Ws):
    return dY + _residual(lambda dh, A, W, h, dY: (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "dY-added-in-every-layer",
    "`dY` itself is added in every layer; what goes around a layer is what has arrived at it.",
    "In the layer before the last one, which gradient belongs to its sum?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dY + (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "one-added",
    "a 1 is added, the slope of h in h, without the gradient that arrives: the chain rule multiplies.",
    "With an upstream gradient of 0, must the result be 0?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: 1 + (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "input-added",
    "the layer's input h is added on the way back, as on the way forward.",
    "What flows back: values, or slopes?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: h + (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "around-through-W",
    "the way around passes W, too: it was added before the product with Wᵀ.",
    "Which operations lie on the way around? Draw one layer.",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: (dh + dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "around-through-tanh",
    "the way around passes the slope of the tanh, too.",
    "Which operations lie on the way around? Draw one layer.",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh * (1 - A**2) + (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "only-around",
    "the way around is there, and the one through the tanh is gone: what comes back is `dY`.",
    "Two arrows lead from a layer's h to the next one. How many lead back?",
)
def _(dY, X, Ws):
    return dY.copy()


@fix_residual_backward.chaff(
    "ways-averaged",
    "the two ways are averaged. Where two ways meet, slopes add.",
    "In y = h + h, what is the slope in h?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: 0.5 * (dh + (dh * (1 - A**2)) @ W.T))(dY, X, Ws)


@fix_residual_backward.chaff(
    "ways-subtracted",
    "the way through the tanh is subtracted from the one around it.",
    "Which sign has the tanh in the layer?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh - (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "transpose-missing",
    "the gradient goes back through W, not through its transpose.",
    "In z = hW, through which entries does h₀ reach z₁? And back?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - A**2)) @ W)(dY, X, Ws)


@fix_residual_backward.chaff(
    "layers-forwards",
    "the backward pass meets the layers in the order of the forward pass.",
    "Which layer does the gradient of Y reach first?",
)
def _(dY, X, Ws):
    return _residual(backwards=False)(dY, X, Ws)


@fix_residual_backward.chaff(
    "forward-changed",
    "the forward pass has lost its `h +`: the slopes of the tanh are those of another network.",
    "Which lines of the broken copy were right?",
)
def _(dY, X, Ws):
    return _residual(around=False)(dY, X, Ws)


@fix_residual_backward.chaff(
    "slope-at-the-sum",
    "the slope of the tanh is computed from the layer's output h + tanh, not from the tanh.",
    "tanh′ is 1 − tanh². Which of your arrays holds the tanh?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - (h + A) ** 2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "slope-at-the-sum",
    "the slope of the tanh is computed from the layer's input h.",
    "tanh′ is 1 − tanh². Which of your arrays holds the tanh?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - h**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "slope-at-the-output",
    "the tanh is taken anew of the h that came *out* of each layer; the slope belongs where the layer was on the way "
    "forward, at the h that went in.",
    "Follow one layer: which h is multiplied with its W on the way forward?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - np.tanh((h + A) @ W) ** 2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "slope-at-the-last-h",
    "the slope of every tanh is computed from the last h, that of Y; each layer has an h of its own.",
    "How many different h does the forward pass go through? What has to be kept of them?",
)
def _(dY, X, Ws):
    before, activations = _states(X, Ws)
    h = before[-1] + activations[-1]
    return _residual(lambda dh, A, W, _, dY: dh + (dh * (1 - np.tanh(h @ W) ** 2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "slope-at-the-first-h",
    "the slope of every tanh is computed from X; only the first layer gets that.",
    "How many different h does the forward pass go through? What has to be kept of them?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - np.tanh(X @ W) ** 2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "tanh-twice",
    "a tanh is taken of what is a tanh already.",
    "tanh′ is 1 − tanh². Which of your arrays holds the tanh?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - np.tanh(A) ** 2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "through-added-twice",
    "the name was given to the way through before the way around was added: the way through is added to itself.",
    "What does `dh` hold when you add it? Print it before and after the line above.",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: 2 * (dh * (1 - A**2)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "tanh-slope-missing",
    "the slope of the tanh is missing on the way through it.",
    "Which operations lie between h and the sum, on the way through?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + dh @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "tanh-not-squared",
    "the slope is 1 − tanh; the square is missing.",
    "At 0 a tanh is steepest. How steep is it far out on the left?",
)
def _(dY, X, Ws):
    return _residual(lambda dh, A, W, h, dY: dh + (dh * (1 - A)) @ W.T)(dY, X, Ws)


@fix_residual_backward.chaff(
    "argument-changed",
    "the way around was added in place, into the caller's `dY`.",
    "Before the first `+=`, whose array is `dh`?",
)
def _(dY, X, Ws):
    _, activations = _states(X, Ws)
    dh = dY
    for W, A in zip(reversed(Ws), reversed(activations), strict=True):
        dh += (dh * (1 - A**2)) @ W.T
    return dh.copy()


# fix_derivative


def _derivative(f, x):
    """Derivative of a function of a `Value`, by reverse mode."""
    x = Value(x)
    f(x).backward()
    return x.grad


def _square_and_line(x):
    return 3 * x * x - 2 * x + 1


def _identity(x):
    return x


def _many_ways(x):
    y = x * x
    z = y + x
    return (y * z + z) * (y - 2 * x)


def _bell(x):
    return (-(x**2) / 2).exp()


def _softplus_of_tanh(x):
    t = (2.5 * x).tanh()
    return (1 + (t * x).exp()).log() / (t * t + 1)


def _bent(x):
    return (x - 0.5).relu() * x + 2 * (0.5 - x).relu()


def _steep(x):
    return (40 * x).exp() + x ** (-3.0)


def _newton(x):
    root = x
    for _ in range(5):
        root = 0.5 * (root + x / root)
    return root * x.log()


def _power_of_itself(x):
    return x**x + 2**x - 1 / x


def _flat(x):
    return 0 * x + 7


_FUNCTIONS = (
    ("a parabola", _square_and_line, -2.0, 2.0),
    ("many ways lead to the result", _many_ways, 0.5, 1.5),
    ("exp, log and tanh", _softplus_of_tanh, -1.0, 1.0),
    ("a bell", _bell, 0.5, 2.0),
    ("two ReLUs, to the right of their corner", _bent, 0.6, 2.0),
    ("two ReLUs, to the left of their corner", _bent, -1.0, 0.4),
    ("steep", _steep, 0.5, 1.0),
    ("a loop", _newton, 1.5, 4.0),
    ("x to the power of x", _power_of_itself, 0.5, 2.0),
    ("x itself", _identity, -1.0, 1.0),
    ("a constant", _flat, -1.0, 1.0),
)


def _derivative_cases(rng: np.random.Generator) -> list[Case]:
    return [Case(name, (f, float(rng.uniform(low, high)))) for name, f, low, high in _FUNCTIONS]


def _watched(answer: Callable) -> Callable:
    """Counts the calls of `f`, and says what those were for, if there was more than one."""

    def run(f, x):
        places: list = []
        results: list = []

        def counted(value):
            places.append(value)
            results.append(f(value))
            return results[-1]

        slope = answer(counted, x)
        if len(places) != 1:
            raise _why_so_often(places, x)
        if isinstance(places[0], Value) and isinstance(results[0], Value) and places[0] is not results[0]:
            _refuse_the_wrong_value(places[0].grad, results[0].grad, slope)
        if isinstance(slope, Value):
            raise WrongStructure(
                "value-returned",
                "Expected a number; got a `Value`.",
                "Which attribute of a `Value` holds the slope? Of which `Value`?",
            )
        return slope

    return run


def _refuse_the_wrong_value(at_the_input: float, at_the_result: float, slope: object) -> None:
    """Say so if `backward` was called on the input, or if the slope is that of a `Value` that `f` never saw."""
    if at_the_input == slope == 1 and at_the_result == 0:
        raise WrongStructure(
            "backward-on-the-input",
            "`backward` was called on the `Value` that went into `f`, not on what came out of it.",
            "From where do the slopes have to travel back, and to where?",
        )
    if slope == 0 != at_the_input and at_the_result == 1:
        raise WrongStructure(
            "another-value",
            "`backward` has reached the `Value` that went into `f`; you have read the `grad` of another one, which `f` "
            "has never seen.",
            "How many `Value`s does your function make? Give the one that goes in a name, and read that.",
        )


def _why_so_often(places: list, x: float) -> WrongStructure:
    """What an answer is up to that calls `f` never, or more than once: mostly a quotient of differences."""
    once = "Automatic differentiation calls `f` once, and then goes back along what `f` did. Who remembers that?"
    if not places:
        return WrongStructure("f-not-called", "Your function never called `f`.", once)
    if any(getattr(place, "parents", ()) for place in places):
        return WrongStructure(
            "quotient-differentiated",
            f"Your function called `f` {len(places)} times, and not only at a fresh `Value`: what `backward` goes "
            "through then is a quotient of differences, and the result is near f″, not f′.",
            once,
        )
    data = [getattr(place, "data", place) for place in places]
    numbers = [place for place in data if isinstance(place, float | int | np.number) and np.isfinite(place)]
    steps = sorted({float(place) - x for place in numbers})
    if len(steps) == 1:
        return WrongStructure(
            "f-called-again", f"Your function called `f` {len(places)} times at the same place.", once
        )
    shown = " and ".join(f"x {'+' if step > 0 else '−'} {abs(step):.3g}" if step else "x" for step in steps[:3])
    told = f"Your function called `f` {len(places)} times, at {shown}"
    if len(steps) == 2 and steps[0] == 0:
        return WrongStructure(
            "unchanged",
            f"{told}: the planted bug is still there. A quotient of differences is numerical differentiation, with any "
            "step.",
            once,
        )
    return WrongStructure(
        "other-differences",
        f"{told}: another quotient of differences may be more exact, and is numerical differentiation all the same.",
        once,
    )


def _is_exact(f: Callable, seed: int) -> Finding | None:
    """Whether a slope that passed errs no more than rounding does."""
    for case in _derivative_cases(np.random.default_rng([seed, 2])):
        function, x = case.args
        mine, right = call(fix_derivative.adapted(f), case.args).value, _derivative(function, x)
        if mine is not None and abs(float(mine) - right) > 1e-12 * max(1.0, abs(right)):
            return Finding(
                f"In the case “{case.name}” the slope is {float(mine)!r}; it should be {right!r}.",
                "not-exact",
                "near, and not exact: a step of some size is in it, or single precision.",
                "Automatic differentiation errs by rounding only. Which of your lines approximates?",
            )
    return None


fix_derivative = Exercise(
    "fix_derivative",
    CHAPTER,
    1,
    "fix_derivative(f, x)",
    ("slope",),
    reference=_derivative,
    make_cases=_derivative_cases,
    partial_credit=False,
    adapt=_watched,
    properties=(_is_exact,),
    formula="`x = Value(x)`, `f(x).backward()`, `return x.grad`",
)


@fix_derivative.wheat
def from_the_library(f, x):
    at = Value(x, label="x")
    result = f(at)
    backprop.backward(result)
    return np.float64(at.grad)


@fix_derivative.wheat
def own_backward_pass(f, x):
    start = Value(x)
    result = f(start)
    slopes = {id(result): 1.0}
    for node in reversed(backprop.topological_order(result)):
        for parent, local in zip(node.parents, node.local_grads, strict=True):
            slopes[id(parent)] = slopes.get(id(parent), 0.0) + local * slopes[id(node)]
    return slopes.get(id(start), 0.0)


@fix_derivative.wheat
def forwards_along_the_graph(f, x):
    start = Value(x)
    result = f(start)
    rates = {start: 1.0}
    for node in backprop.topological_order(result):
        if node is not start:
            rates[node] = sum(g * rates[p] for g, p in zip(node.local_grads, node.parents, strict=True))
    return rates[result]


@fix_derivative.wheat
def sum_over_all_ways(f, x):
    start = Value(x)

    def slope(node):
        own = 1.0 if node is start else 0.0
        return own + sum(g * slope(p) for g, p in zip(node.local_grads, node.parents, strict=True))

    return slope(f(start))


@fix_derivative.wheat
def grad_before_and_after(f, x):
    x = Value(float(x))
    y = f(x)
    x.grad = 0.0
    before = x.grad
    y.backward()
    return np.array(x.grad - before)


@fix_derivative.wheat
def at_twice_the_place(f, x):
    half = Value(x / 2)
    f(half * 2).backward()
    return half.grad / 2


@fix_derivative.wheat
def moved_from_zero(f, x):
    shift = Value(0.0)
    f(shift + x).backward()
    return shift.grad


class _Dual:
    """A number and its rate of change: forward mode."""

    def __init__(self, data, rate=0.0):
        self.data, self.rate = data, rate

    def _then(self, data, slope):
        return _Dual(data, slope * self.rate)

    def __add__(self, other):
        other = _dual(other)
        return _Dual(self.data + other.data, self.rate + other.rate)

    def __mul__(self, other):
        other = _dual(other)
        return _Dual(self.data * other.data, self.rate * other.data + self.data * other.rate)

    def __pow__(self, other):
        other = _dual(other)
        power = self.data**other.data
        rate = other.data * self.data ** (other.data - 1) * self.rate
        return _Dual(power, rate + (power * np.log(self.data) * other.rate if other.rate else 0.0))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -_dual(other)

    def __truediv__(self, other):
        return self * _dual(other) ** -1.0

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return _dual(other) - self

    def __rtruediv__(self, other):
        return _dual(other) / self

    def __rpow__(self, other):
        return _dual(other) ** self

    def exp(self):
        return self._then(np.exp(self.data), np.exp(self.data))

    def log(self):
        return self._then(np.log(self.data), 1 / self.data)

    def tanh(self):
        return self._then(np.tanh(self.data), 1 - np.tanh(self.data) ** 2)

    def relu(self):
        return self._then(max(self.data, 0.0), float(self.data > 0))


def _dual(x):
    return x if isinstance(x, _Dual) else _Dual(x)


@fix_derivative.wheat
def by_dual_numbers(f, x):
    return f(_Dual(x, 1.0)).rate


@fix_derivative.chaff(
    "unchanged",
    f"{UNCHANGED}: a quotient of differences is numerical differentiation.",
    "Automatic differentiation calls `f` once, and then goes back along what `f` did. Who remembers that?",
)
def _(f, x):
    h = 1e-6
    return (f(Value(x + h)).data - f(Value(x)).data) / h


@fix_derivative.chaff(
    "other-differences",
    "a central difference is more exact, and numerical differentiation all the same.",
    "How often may `f` be called?",
)
def _(f, x):
    h = 1e-5
    return (f(Value(x + h)).data - f(Value(x - h)).data) / (2 * h)


@fix_derivative.chaff(
    "other-differences",
    "a difference to the left is numerical differentiation, too.",
    "How often may `f` be called?",
)
def _(f, x):
    h = 1e-8
    return (f(Value(x)).data - f(Value(x - h)).data) / h


@fix_derivative.chaff(
    "f-called-again",
    "`f` is called once for its value, and once more for the slope.",
    "Keep what the first call returned.",
)
def _(f, x):
    at = Value(x)
    if np.isfinite(f(at).data):
        f(at).backward()
    return at.grad


@fix_derivative.chaff(
    "quotient-differentiated",
    "`backward` goes through the quotient of differences: that is near the slope of the slope.",
    "Whose slope does `backward` find, if it is called on the quotient?",
)
def _(f, x):
    h = 1e-6
    at = Value(x)
    quotient = (f(at + h) - f(at)) / h
    quotient.backward()
    return at.grad


@fix_derivative.chaff(
    "number-not-value",
    "`f` got a plain number: it remembers nothing, and knows neither `exp` nor `backward`.",
    "Who has to go into `f` so that it can be followed?",
)
def _(f, x):
    return f(x).backward()


@fix_derivative.chaff(
    "complex-step",
    "the complex step is numerical differentiation too, if a very exact one; and a `Value` holds a real number.",
    "What does a `Value` remember, besides its number?",
)
def _(f, x):
    h = 1e-20
    return f(Value(x + 1j * h)).data.imag / h


@fix_derivative.chaff(
    "backward-missing",
    "`grad` is read before anybody called `backward`: it is still 0.",
    "Which call sends the slopes back?",
)
def _(f, x):
    at = Value(x)
    f(at)
    return at.grad


@fix_derivative.chaff(
    "grad-of-the-result",
    "the `grad` of the result was read: the slope of a thing in itself, 1.",
    "In which of the two values is the slope asked for?",
)
def _(f, x):
    result = f(Value(x))
    result.backward()
    return result.grad


@fix_derivative.chaff(
    "backward-on-the-input",
    "`backward` was called on what went into `f`: the slope of a thing in itself is 1.",
    "From where do the slopes have to travel back, and to where?",
)
def _(f, x):
    at = Value(x)
    f(at)
    at.backward()
    return at.grad


@fix_derivative.chaff(
    "another-value",
    "one `Value` went into `f`, and the `grad` of another one was read.",
    "How many `Value`s does your function make?",
)
def _(f, x):
    at = Value(x)
    f(Value(x)).backward()
    return at.grad


@fix_derivative.chaff(
    "value-not-slope", "this is f(x), not its slope.", "Which attribute of which `Value` holds the slope?"
)
def _(f, x):
    at = Value(x)
    result = f(at)
    result.backward()
    return result.data


@fix_derivative.chaff(
    "backward-twice",
    "`backward` was called twice: the slopes of both calls are added up.",
    "What did the second call do in chapter 4?",
)
def _(f, x):
    at = Value(x)
    result = f(at)
    result.backward()
    result.backward()
    return at.grad


@fix_derivative.chaff(
    "value-returned",
    "a `Value` is returned, not the number of the slope.",
    "Which attribute holds the slope?",
)
def _(f, x):
    at = Value(x)
    f(at).backward()
    return at


@fix_derivative.chaff(
    "returned-none", "the result of `backward` was returned: it returns nothing.", "Where does it leave the slopes?"
)
def _(f, x):
    return f(Value(x)).backward()


@fix_derivative.chaff(
    "not-exact",
    "the slope is right, and was rounded to single precision.",
    "Who needs fewer digits?",
)
def _(f, x):
    at = Value(x)
    f(at).backward()
    return np.float32(at.grad)


@fix_derivative.chaff(
    "last-operation-only",
    "only the slopes of the last operation were taken; the chain rule goes on to x.",
    "What stands between x and the parents of the result?",
)
def _(f, x):
    return sum(f(Value(x)).local_grads)


@fix_derivative.chaff(
    "first-way-only",
    "the slopes are multiplied along one way, from each value to its first parent.",
    "How many ways lead from the result back to x? What becomes of those that you passed?",
)
def _(f, x):
    node, slope = f(Value(x)), 1.0
    while node.parents:
        slope *= node.local_grads[0]
        node = node.parents[0]
    return slope


@fix_derivative.chaff(
    "ways-multiplied",
    "slopes were multiplied where ways meet; they add there.",
    "In y = x + x, what is the slope in x?",
)
def _(f, x):
    at = Value(x)
    result = f(at)

    def slope(node):
        if node is at:
            return 1.0
        parts = [g * slope(p) for g, p in zip(node.local_grads, node.parents, strict=True)]
        return np.prod([part for part in parts if part]) if any(parts) else 0.0

    return slope(result)


@fix_derivative.chaff(
    "symbolic",
    "`f` got a symbol of SymPy: that is symbolic differentiation, and `f` speaks of a `Value`.",
    "What has to go into `f` so that it can be followed, number by number?",
    tells=("sympy", "Symbol", "symbols"),
)
def _(f, x):
    import sympy

    symbol = sympy.Symbol("x")
    return float(f(symbol).diff(symbol).subs(symbol, x))


EXERCISES = [
    fix_mse_sign,
    fix_cross_entropy_slopes,
    fix_theta_slope,
    fix_residual_backward,
    fix_derivative,
]
