"""Chapter 1: the mean squared error, its gradient, and walking downhill."""

import itertools
import math
from collections.abc import Callable

import numpy as np

import backprop
from autograder.checking import walk
from autograder.checking.call import call
from autograder.checking.derivation import Derivation
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding

CHAPTER = "01-descent"


def _mse_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, *shape: int) -> Case:
        sizes = {"N": shape[0], "M": int(np.prod(shape[1:]))}
        return Case(name, (normal(rng, *shape), normal(rng, *shape)), sizes)

    return [
        case("7 × 5", 7, 5),
        case("11 × 3", 11, 3),
        case("a vector of 13", 13),
        case("N = 1", 1, 5),
        case("square", 3, 3),
        case("2 × 3 × 5", 2, 3, 5),
        Case("whole-number targets", (normal(rng, 5, 2), rng.integers(-3, 4, size=(5, 2))), {"N": 5, "M": 2}),
    ]


# mse_slope


def _mse_slope_cases():
    import sympy

    return [("", tuple(sympy.symbols("y_hat y")))]


def _slope_of_the_square(y_hat, y):
    return 2 * (y_hat - y)


mse_slope = Derivation(
    "mse_slope",
    CHAPTER,
    2,
    "mse_slope(y_hat, y)",
    _mse_slope_cases,
    expected=_slope_of_the_square,
    formula="2 * (y_hat - y)",
)


@mse_slope.wheat
def expanded(y_hat, y):
    return 2 * y_hat - 2 * y


@mse_slope.wheat
def by_sympy(y_hat, y):
    return ((y_hat - y) ** 2).diff(y_hat)


@mse_slope.wheat
def the_other_way_round(y_hat, y):
    return -2 * (y - y_hat)


@mse_slope.wheat
def by_the_product_rule(y_hat, y):
    return 1 * (y_hat - y) + (y_hat - y) * 1


@mse_slope.wheat
def limit_of_the_quotient(y_hat, y):
    import sympy

    h = sympy.Symbol("h")
    return sympy.limit(((y_hat + h - y) ** 2 - (y_hat - y) ** 2) / h, h, 0)


@mse_slope.wheat
def chain_rule_with_a_name_for_the_inside(y_hat, y):
    import sympy

    u = sympy.Symbol("u")
    return (u**2).diff(u).subs(u, y_hat - y) * (y_hat - y).diff(y_hat)


@mse_slope.wheat
def not_evaluated(y_hat, y):
    import sympy

    return sympy.Derivative((y - y_hat) ** 2, y_hat)


@mse_slope.wheat
def with_floats(y_hat, y):
    return y_hat * 2.0 + y * -2.0


@mse_slope.chaff(
    "sign-flipped",
    "the inner derivative has the wrong sign: this is the slope in the target y, or of y − ŷ without its −1.",
    "Take ŷ a little above y. Does the loss rise or fall when ŷ grows? What is the sign of your expression there?",
)
def _(y_hat, y):
    return 2 * (y - y_hat)


@mse_slope.chaff(
    "factor-2-missing",
    "the 2 that the square's derivative brings down is missing.",
    "What is the derivative of u² in u?",
)
def _(y_hat, y):
    return y_hat - y


@mse_slope.chaff(
    "error-not-slope",
    "this is the error y − ŷ alone: the 2 of the square is missing, and it points downhill.",
    "What is the derivative of u² in u? And of y − ŷ in ŷ?",
)
def _(y_hat, y):
    return y - y_hat


@mse_slope.chaff(
    "parenthesis-missing",
    "only ŷ was doubled; the 2 stands before the whole difference.",
    "What is your slope at ŷ = y, where the error is smallest? What should it be?",
)
def _(y_hat, y):
    return 2 * y_hat - y


@mse_slope.chaff(
    "plus-not-minus",
    "the difference inside has become a sum.",
    "At ŷ = y the loss has its minimum. What is your slope there?",
)
def _(y_hat, y):
    return 2 * (y_hat + y)


@mse_slope.chaff(
    "differentiated-twice",
    "this is the second derivative: how fast the slope changes, not the slope.",
    "Is the loss equally steep for a small and for a large error?",
)
def _(y_hat, y):
    return 2 + 0 * y_hat


@mse_slope.chaff(
    "inner-factor-too-many",
    "the inner function was multiplied in; the chain rule asks for its *derivative*.",
    "How fast does ŷ − y grow when ŷ grows by 1?",
)
def _(y_hat, y):
    return 2 * (y_hat - y) * y_hat


@mse_slope.chaff(
    "integrated",
    "this is an integral of the squared error, not its derivative: the power went up instead of down.",
    "Which power has the derivative of u²?",
)
def _(y_hat, y):
    return (y_hat - y) ** 3 / 3


@mse_slope.chaff(
    "integrated",
    "this is an integral of the squared error, not its derivative: the powers went up instead of down.",
    "Which power has the derivative of u²?",
)
def _(y_hat, y):
    return y_hat**3 / 3 - y * y_hat**2 + y**2 * y_hat


@mse_slope.chaff(
    "slope-of-the-absolute-error",
    "this is the slope of |ŷ − y|: only the sign of the error is left.",
    "Is a parabola equally steep far from its bottom and near to it?",
)
def _(y_hat, y):
    import sympy

    return sympy.sign(y_hat - y)


@mse_slope.chaff(
    "not-differentiated",
    "this is the squared error itself, not its slope.",
    "Differentiate once in ŷ; the result should be linear in ŷ.",
)
def _(y_hat, y):
    return (y_hat - y) ** 2


@mse_slope.chaff(
    "square-not-differentiated",
    "the difference is still squared; the derivative of u² is 2u, without a square.",
    "Is your slope ever negative? Should it be?",
)
def _(y_hat, y):
    return 2 * (y_hat - y) ** 2


@mse_slope.chaff(
    "product-term-lost", "only ŷ² was differentiated; the mixed term −2ŷy was dropped.", "Expand the square first."
)
def _(y_hat, y):
    return 2 * y_hat


@mse_slope.chaff(
    "sign-lost",
    "the sign of ŷ − y is lost: an absolute value stands there.",
    "For ŷ < y, which way does the loss fall?",
)
def _(y_hat, y):
    import sympy

    return 2 * sympy.Abs(y_hat - y)


# mse

mse = Exercise(
    "mse",
    CHAPTER,
    2,
    "mse(Y_hat, Y)",
    ("loss",),
    reference=backprop.mse,
    make_cases=_mse_cases,
    formula="np.mean((Y_hat - Y) ** 2)",
)


@mse.wheat
def by_loop(Y_hat, Y):
    total = 0.0
    for a, b in zip(np.ravel(Y_hat), np.ravel(Y), strict=True):
        total += (a - b) ** 2
    return total / np.size(Y)


@mse.wheat
def by_norm(Y_hat, Y):
    return np.linalg.norm((Y_hat - Y).ravel()) ** 2 / Y.size


@mse.wheat
def by_vdot(Y_hat, Y):
    d = (Y - Y_hat).ravel()
    return np.asarray(d @ d / d.size)


@mse.wheat
def in_single_precision(Y_hat, Y):
    return np.mean((Y_hat.astype(np.float32) - Y.astype(np.float32)) ** 2)


@mse.wheat
def variance_and_bias(Y_hat, Y):
    E = np.subtract(Y, Y_hat)
    return E.var() + E.mean() ** 2


@mse.wheat
def multiplied_out(Y_hat, Y):
    return np.average(Y_hat * Y_hat - 2 * Y_hat * Y + Y * Y)


@mse.wheat
def by_exact_sum(Y_hat, Y):
    return math.fsum((float(a) - float(b)) ** 2 for a, b in zip(Y_hat.flat, Y.flat, strict=True)) / Y.size


@mse.wheat
def mean_of_means(Y_hat, Y):
    squares = np.square(Y_hat - Y)
    while np.ndim(squares):
        squares = np.mean(squares, axis=-1)
    return squares


@mse.chaff(
    "half",
    "a factor ½ is in the loss. Some books put it there to cancel the 2; this book, PyTorch and Keras don't.",
    "Compare with the definition in the chapter: is there a ½?",
)
def _(Y_hat, Y):
    return 0.5 * np.mean((Y_hat - Y) ** 2)


@mse.chaff(
    "half-mean-over-examples",
    "the sum was divided by 2N, twice the number of rows. That is another course's loss: this one has no ½, and "
    "averages over all elements.",
    "How many squares has a batch of N rows with M outputs each? By what should their sum be divided?",
)
def _(Y_hat, Y):
    return np.sum((Y_hat - Y) ** 2) / (2 * len(Y))


@mse.chaff(
    "half-sum",
    "this is half the *sum* of the squares: there is a ½, and no mean.",
    "What does the M in MSE stand for? Does the definition in the chapter have a ½?",
)
def _(Y_hat, Y):
    return 0.5 * np.sum((Y_hat - Y) ** 2)


@mse.chaff("sum-not-mean", "the squares are summed, not averaged.", "What does the M in MSE stand for?")
def _(Y_hat, Y):
    return np.sum((Y_hat - Y) ** 2)


@mse.chaff(
    "mean-over-examples-only",
    "the sum was divided by the number of rows alone; the mean is over all elements.",
    "How many numbers has a batch of N rows with M outputs each?",
)
def _(Y_hat, Y):
    return np.sum((Y_hat - Y) ** 2) / len(Y)


@mse.chaff(
    "mean-over-outputs-only",
    "the sum was divided by the number of columns alone; the mean is over all elements.",
    "How many numbers has a batch of N rows with M outputs each?",
)
def _(Y_hat, Y):
    return np.sum((Y_hat - Y) ** 2) / Y.shape[-1]


@mse.chaff(
    "divided-in-the-loop",
    "the division stands inside the loop: the running sum is divided again in every round.",
    "Print the running sum in each round. When should it be divided, and how often?",
)
def _(Y_hat, Y):
    total = 0.0
    for a, b in zip(Y_hat.ravel(), Y.ravel(), strict=True):
        total += (a - b) ** 2
        total /= Y.size
    return total


@mse.chaff(
    "divided-in-the-loop",
    "the division stands inside the loop over the rows: the running sum is divided again in every round.",
    "Print the running sum in each round. When should it be divided, and how often?",
)
def _(Y_hat, Y):
    total = 0.0
    for a, b in zip(Y_hat, Y, strict=True):
        total += np.sum((a - b) ** 2)
        total /= Y.size
    return total


@mse.chaff(
    "returns-in-the-first-round",
    "the `return` stands inside the loop: it ends after the first round.",
    "How often does your loop run? Look at the indentation of `return`.",
)
def _(Y_hat, Y):
    return (Y_hat.flat[0] - Y.flat[0]) ** 2 / Y.size


@mse.chaff(
    "sum-overwritten",
    "the sum is overwritten in each round (`=` for `+=`): only the last square is left.",
    "Print the sum in each round: does it grow?",
)
def _(Y_hat, Y):
    return (Y_hat.flat[-1] - Y.flat[-1]) ** 2 / Y.size


@mse.chaff(
    "plus-not-minus", "predictions and targets were added.", "What does your loss say when all predictions are right?"
)
def _(Y_hat, Y):
    return np.mean((Y_hat + Y) ** 2)


@mse.chaff(
    "one-less-in-the-denominator",
    "it was divided by n − 1, as for a sample variance; the mean divides by n.",
    "How many squares are there?",
)
def _(Y_hat, Y):
    with np.errstate(all="ignore"):
        return np.sum((Y_hat - Y) ** 2) / (Y.size - 1)


@mse.chaff(
    "difference-of-squares",
    "the squares were subtracted; the *differences* are squared.",
    "For ŷ = 3 and y = −3 the error is 6. What does your loss say?",
)
def _(Y_hat, Y):
    return np.mean(Y_hat**2 - Y**2)


@mse.chaff(
    "variance",
    "this is the variance of the errors: their mean was subtracted first, so that a constant error costs nothing.",
    "What does your loss say when all predictions are 1 too high?",
)
def _(Y_hat, Y):
    return np.var(Y_hat - Y)


@mse.chaff("square-of-sum", "the sum was squared, not the differences.", "Which comes first: square or sum?")
def _(Y_hat, Y):
    return np.sum(Y_hat - Y) ** 2 / Y.size


@mse.chaff("absolute-error", "absolute differences were averaged, not squares.", "What does the S in MSE stand for?")
def _(Y_hat, Y):
    return np.mean(np.abs(Y_hat - Y))


@mse.chaff("root", "the root of the mean was taken: that is the RMSE.", "MSE has the unit of y squared; has yours?")
def _(Y_hat, Y):
    return np.sqrt(np.mean((Y_hat - Y) ** 2))


@mse.chaff(
    "root",
    "the root was taken, which makes it an RMSE; besides, the sum was divided by the number of rows alone.",
    "MSE has the unit of y squared; has yours? And how many squares are there?",
)
def _(Y_hat, Y):
    return np.sqrt(np.sum((Y_hat - Y) ** 2) / len(Y))


@mse.chaff(
    "norm-not-squared",
    "the norm of the differences was divided by their number; the norm has a root, which its square undoes.",
    "MSE has the unit of y squared; has yours?",
)
def _(Y_hat, Y):
    return np.linalg.norm(Y_hat - Y) / Y.size


@mse.chaff(
    "square-of-the-target-alone",
    "only the target is squared: `**` binds more tightly than `-`.",
    "Where are the parentheses? For ŷ = y = 3 your loss should be 0.",
)
def _(Y_hat, Y):
    return np.mean(Y_hat - Y**2)


@mse.chaff(
    "relative-error",
    "each error was divided by its target first: that is a relative error.",
    "What does your loss say of a target that is nearly 0?",
)
def _(Y_hat, Y):
    with np.errstate(all="ignore"):
        return np.mean(((Y_hat - Y) / Y) ** 2)


@mse.chaff("median", "the median of the squares was taken, not their mean.", "What does the M in MSE stand for?")
def _(Y_hat, Y):
    return np.median((Y_hat - Y) ** 2)


@mse.chaff(
    "not-squared",
    "the differences were averaged without a square, so that positive and negative ones cancel.",
    "Can your loss be negative? Should it?",
)
def _(Y_hat, Y):
    return np.mean(Y_hat - Y)


@mse.chaff(
    "square-of-mean", "the mean was squared; the squares should be averaged.", "Which comes first: square or mean?"
)
def _(Y_hat, Y):
    return np.mean(Y_hat - Y) ** 2


@mse.chaff(
    "not-reduced",
    "the squared errors were returned one by one, not averaged into one number.",
    "A loss is one number for the whole batch.",
)
def _(Y_hat, Y):
    return (Y_hat - Y) ** 2


@mse.chaff(
    "reduced-along-one-axis",
    "the mean was taken along one axis only.",
    "What is the shape of your result for a batch of 7 rows and 5 columns?",
)
def _(Y_hat, Y):
    return np.mean((Y_hat - Y) ** 2, axis=0)


@mse.chaff(
    "lengths-of-rows",
    "the lengths of the rows of differences were averaged (`np.linalg.norm`): a length is a root of a sum of squares.",
    "Which numbers are averaged in the MSE: one for each row, or one for each entry?",
)
def _(Y_hat, Y):
    return np.mean(np.linalg.norm(np.atleast_1d(Y_hat - Y), axis=-1))


@mse.chaff("whole-number", "the result was cut to a whole number (`int`).", "What does `int(1.84)` give?")
def _(Y_hat, Y):
    return float(int(np.mean((Y_hat - Y) ** 2)))


# mse_grad

mse_grad = Exercise(
    "mse_grad",
    CHAPTER,
    4,
    "mse_grad(Y_hat, Y)",
    ("dY_hat",),
    reference=backprop.mse_grad,
    make_cases=_mse_cases,
    formula="2 * (Y_hat - Y) / Y_hat.size",
)


@mse_grad.wheat
def by_entries(Y_hat, Y):
    G = np.empty_like(Y_hat)
    for index in np.ndindex(*Y_hat.shape):
        G[index] = 2 * (Y_hat[index] - Y[index]) / Y_hat.size
    return G


@mse_grad.wheat
def mean_by_shape(Y_hat, Y):
    return (Y_hat - Y) * (2 / np.prod(Y_hat.shape))


@mse_grad.wheat
def fortran_order(Y_hat, Y):
    return np.asfortranarray(-2.0 * (Y - Y_hat) / Y.size)


@mse_grad.wheat
def as_nested_lists(Y_hat, Y):
    return (2 * (Y_hat - Y) / Y.size).tolist()


@mse_grad.wheat
def own_temporary_in_place(Y_hat, Y):
    D = Y_hat - Y
    D *= 2
    D /= D.size
    return D


@mse_grad.wheat
def single_precision(Y_hat, Y):
    return (2 * (Y_hat - Y) / Y.size).astype(np.float32)


@mse_grad.wheat
def by_complex_step(Y_hat, Y):
    G = np.zeros(Y_hat.shape)
    for index in np.ndindex(Y_hat.shape):
        nudged = Y_hat.astype(complex)
        nudged[index] += 1e-30j
        G[index] = np.mean((nudged - Y) ** 2).imag / 1e-30
    return G


@mse_grad.wheat
def by_a_map_over_the_flat_arrays(Y_hat, Y):
    n = math.prod(Y.shape)
    return np.array([2 * (a - b) / n for a, b in zip(Y_hat.ravel(), Y.ravel(), strict=True)]).reshape(Y.shape)


@mse_grad.chaff(
    "sign-flipped",
    "the difference was taken as `Y - Y_hat`: the gradient points downhill instead of uphill.",
    "For one example, nudge ŷ up by 0.01 above its target. Does the loss rise or fall? Compare with your sign.",
)
def _(Y_hat, Y):
    return 2 * (Y - Y_hat) / Y.size


@mse_grad.chaff(
    "factor-2-missing",
    "the 2 that the square's derivative brings down is missing. (It cancels only in a loss with ½; ours has none.)",
    "What is the derivative of u² in u?",
)
def _(Y_hat, Y):
    return (Y_hat - Y) / Y.size


@mse_grad.chaff(
    "sum-not-mean",
    "the mean was forgotten: this is the gradient of the *sum* of squares.",
    "Repeat every row of the batch twice. The loss stays the same; what must happen to each entry of the gradient?",
)
def _(Y_hat, Y):
    return 2 * (Y_hat - Y)


@mse_grad.chaff(
    "half-loss-over-examples",
    "the errors were divided by the number of rows, without a 2. That is the gradient of another course's loss, with "
    "1/(2N); this one has no ½, and averages over all elements.",
    "Write the loss of the chapter for a batch of N rows with M outputs. Which constant stands before the sum?",
)
def _(Y_hat, Y):
    return (Y_hat - Y) / len(Y)


@mse_grad.chaff(
    "error-not-slope",
    "the error ŷ − y alone was returned: the 2 of the square and the division by the number of elements are missing.",
    "Which two steps lead from an error to the loss? Each has a derivative.",
)
def _(Y_hat, Y):
    return Y_hat - Y


@mse_grad.chaff(
    "error-not-slope",
    "the error y − ŷ alone was returned: it points downhill, and the 2 of the square and the division by the number of "
    "elements are missing.",
    "For one example, nudge ŷ up by 0.01 above its target. Does the loss rise or fall? And by how much?",
)
def _(Y_hat, Y):
    return Y - Y_hat


@mse_grad.chaff(
    "mean-over-examples-only",
    "it was divided by the number of rows; the mean is over all N·M elements.",
    "How many squares are averaged in a batch of N rows with M outputs each?",
)
def _(Y_hat, Y):
    return 2 * (Y_hat - Y) / len(Y)


@mse_grad.chaff(
    "mean-over-outputs-only",
    "it was divided by the number of columns; the mean is over all N·M elements.",
    "How many squares are averaged in a batch of N rows with M outputs each?",
)
def _(Y_hat, Y):
    return 2 * (Y_hat - Y) / Y.shape[-1]


@mse_grad.chaff(
    "reduced-over-examples",
    "the slopes were added up over the batch, which leaves one row. Each prediction has a slope of its own.",
    "The result should have the shape of `Y_hat`. Which line makes one row of many?",
)
def _(Y_hat, Y):
    return 2 * np.sum(Y_hat - Y, axis=0, keepdims=True) / len(Y)


@mse_grad.chaff(
    "reduced",
    "the gradient was averaged into one number. The loss is one number; its gradient has one entry for each ŷ.",
    "How many numbers can you nudge? Each has a slope of its own.",
)
def _(Y_hat, Y):
    return np.mean(2 * (Y_hat - Y))


@mse_grad.chaff(
    "reduced-over-examples",
    "the gradient was averaged over the batch. That happens later, in the gradient of a weight that all rows share.",
    "The result should have the shape of `Y_hat`: one slope for each prediction.",
)
def _(Y_hat, Y):
    return np.mean(2 * (Y_hat - Y), axis=0)


@mse_grad.chaff(
    "square-not-differentiated",
    "the difference is still squared; the derivative of u² is 2u, without a square.",
    "Is your gradient ever negative? Should it be?",
)
def _(Y_hat, Y):
    return 2 * (Y_hat - Y) ** 2 / Y.size


@mse_grad.chaff(
    "parenthesis-missing",
    "only `Y_hat` was doubled; the 2 stands before the whole difference.",
    "What is your gradient where every prediction is right? What should it be?",
)
def _(Y_hat, Y):
    return (2 * Y_hat - Y) / Y.size


@mse_grad.chaff(
    "parenthesis-missing",
    "only `Y` was divided by the number of elements: `/` binds more tightly than `-`.",
    "What is your gradient where every prediction is right? What should it be?",
)
def _(Y_hat, Y):
    return 2 * (Y_hat - Y / Y.size)


@mse_grad.chaff(
    "sign-lost",
    "the error's absolute value was taken: all slopes are positive.",
    "Below its target, should raising a prediction raise the loss?",
)
def _(Y_hat, Y):
    return 2 * np.abs(Y_hat - Y) / Y.size


@mse_grad.chaff(
    "slope-of-the-root",
    "this is the gradient of the *root* of the loss, of the RMSE.",
    "Does the definition of the loss have a root? Which derivative divides by the loss?",
)
def _(Y_hat, Y):
    return (Y_hat - Y) / Y.size / np.sqrt(np.mean((Y_hat - Y) ** 2))


@mse_grad.chaff(
    "flattened",
    "the slopes are right, in one long row: the result should have the shape of `Y_hat`.",
    "Which line flattens the arrays? What undoes it?",
)
def _(Y_hat, Y):
    return (2 * (Y_hat - Y) / Y.size).ravel()


@mse_grad.chaff(
    "integer-array",
    "the result was stored into an array made like `Y`; where the targets are whole numbers, its entries are too.",
    "What is `np.zeros_like(np.array([1, 2])).dtype`? What becomes of 0.7 that is stored there?",
)
def _(Y_hat, Y):
    G = np.zeros_like(Y)
    G[...] = 2 * (Y_hat - Y) / Y.size
    return G


@mse_grad.chaff(
    "argument-changed",
    "the gradient was written over `Y_hat` (`Y_hat -= …`): the caller's predictions are gone.",
    "After your function, what does the caller find in `Y_hat`?",
)
def _(Y_hat, Y):
    Y_hat -= Y
    Y_hat *= 2 / Y.size
    return Y_hat


@mse_grad.chaff("loss-returned", "this is the loss, not its gradient.", "Differentiate once.")
def _(Y_hat, Y):
    return np.mean((Y_hat - Y) ** 2)


@mse_grad.chaff(
    "sign-only", "this is the gradient of the absolute error.", "The slope of a parabola grows with the distance."
)
def _(Y_hat, Y):
    return np.sign(Y_hat - Y) / Y.size


# linear_mse_grads


def _linear_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int) -> Case:
        args = (normal(rng, N, D), normal(rng, N), normal(rng, D), float(rng.standard_normal()))
        return Case(name, args, {"N": N, "D": D})

    return [
        case("7 × 5", 7, 5),
        case("11 × 3", 11, 3),
        case("more features than examples", 3, 13),
        case("N = 1", 1, 5),
        case("D = 1", 7, 1),
        case("square", 5, 5),
    ]


linear_mse_grads = Exercise(
    "linear_mse_grads",
    CHAPTER,
    6,
    "linear_mse_grads(X, y, w, b)",
    ("dw", "db"),
    reference=backprop.linear_mse_grads,
    make_cases=_linear_cases,
    formula="d = 2 * (X @ w + b - y) / len(y); dw, db = X.T @ d, d.sum()",
)


@linear_mse_grads.wheat
def by_examples(X, y, w, b):
    dw, db = np.zeros(len(w)), 0.0
    for x, target in zip(X, y, strict=True):
        error = x @ w + b - target
        dw += 2 * error * x / len(y)
        db += 2 * error / len(y)
    return dw, db


@linear_mse_grads.wheat
def with_a_column_of_ones(X, y, w, b):
    ones = np.column_stack([X, np.ones(len(X))])
    g = 2 / len(X) * ones.T @ (ones @ np.append(w, b) - y)
    return g[:-1], g[-1]


@linear_mse_grads.wheat
def by_means(X, y, w, b):
    error = X @ w + b - y
    return [2 * np.mean(error[:, None] * X, axis=0), 2 * np.mean(error)]


@linear_mse_grads.wheat
def by_einsum(X, y, w, b):
    d = 2 * (np.einsum("nd,d->n", X, w) + b - y) / X.shape[0]
    return np.einsum("nd,n->d", X, d), np.array(d.sum())


@linear_mse_grads.wheat
def entry_by_entry(X, y, w, b):
    N, D = X.shape
    dw, db = [0.0] * D, 0.0
    for n in range(N):
        error = b - y[n]
        for d in range(D):
            error += X[n, d] * w[d]
        for d in range(D):
            dw[d] += 2 * error * X[n, d]
        db += 2 * error
    return [g / N for g in dw], db / N


@linear_mse_grads.wheat
def from_moments_of_the_data(X, y, w, b):
    N = len(X)
    dw = 2 * (X.T @ X @ w + b * X.sum(axis=0) - X.T @ y) / N
    return dw, 2 * (X.mean(axis=0) @ w + b - y.mean())


@linear_mse_grads.wheat
def minus_residuals(X, y, w, b):
    residuals = y - (X.dot(w) + b)
    return (-2 * residuals[:, np.newaxis] * X).mean(axis=0), -2 * residuals.mean()


@linear_mse_grads.wheat
def with_column_vectors(X, y, w, b):
    N = X.shape[0]
    E = X @ w.reshape(-1, 1) + b - y.reshape(-1, 1)
    return (2 / N * X.T @ E).ravel(), np.float32((2 / N * np.ones((1, N)) @ E).item())


@linear_mse_grads.chaff(
    "sign-flipped",
    "the error was taken as y − ŷ: both gradients point downhill instead of uphill.",
    "Nudge b up by 0.01 where the predictions are already too high. Does the loss rise or fall?",
)
def _(X, y, w, b):
    dw, db = backprop.linear_mse_grads(X, y, w, b)
    return -dw, -db


@linear_mse_grads.chaff(
    "factor-2-missing", "the 2 that the square's derivative brings down is missing.", "What is the derivative of u²?"
)
def _(X, y, w, b):
    dw, db = backprop.linear_mse_grads(X, y, w, b)
    return dw / 2, db / 2


@linear_mse_grads.chaff(
    "sum-not-mean",
    "the errors are summed over the batch, not averaged.",
    "Repeat every row twice. The loss stays the same; do your gradients?",
)
def _(X, y, w, b):
    dw, db = backprop.linear_mse_grads(X, y, w, b)
    return dw * len(y), db * len(y)


@linear_mse_grads.chaff(
    "other-course",
    "`db` comes first, and the 2 of the square is missing: the conventions of a course whose loss has 1/(2N).",
    "In which order does the signature list the results? And does the loss of this chapter have a ½?",
)
def _(X, y, w, b):
    dw, db = backprop.linear_mse_grads(X, y, w, b)
    return db / 2, dw / 2


@linear_mse_grads.chaff(
    "divided-in-the-loop",
    "the division stands inside the loop: the running sums are divided again in every round.",
    "Print `db` in each round. When should it be divided, and how often?",
)
def _(X, y, w, b):
    dw, db, N = np.zeros(len(w)), 0.0, len(y)
    for n in range(N):
        error = X[n] @ w + b - y[n]
        dw = (dw + 2 * error * X[n]) / N
        db = (db + 2 * error) / N
    return dw, db


@linear_mse_grads.chaff(
    "returns-in-the-first-round",
    "the `return` stands inside the loop: only the first example is used.",
    "How often does your loop run? Look at the indentation of `return`.",
)
def _(X, y, w, b):
    d = 2 * (X[0] @ w + b - y[0]) / len(y)
    return d * X[0], d


@linear_mse_grads.chaff(
    "sums-overwritten",
    "the sums are overwritten in each round (`=` for `+=`): only the last example is left.",
    "Print `db` in each round. Does it collect, or start anew?",
)
def _(X, y, w, b):
    d = 2 * (X[-1] @ w + b - y[-1]) / len(y)
    return d * X[-1], d


@linear_mse_grads.chaff(
    "mean-over-features",
    "the sums were divided by the number of features; the mean is over the examples.",
    "Which of the two sizes of X counts examples?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / X.shape[1]
    return X.T @ d, d.sum()


@linear_mse_grads.chaff(
    "sign-of-the-bias",
    "b has the wrong sign: in y − (x·w + b) the minus holds for both terms.",
    "Where are the parentheses? Print your predictions for w = 0: they should all be b.",
)
def _(X, y, w, b):
    return backprop.linear_mse_grads(X, y, w, -b)


@linear_mse_grads.chaff(
    "bias-left-out",
    "the predictions were computed without b.",
    "Print your predictions for w = 0: they should all be b.",
)
def _(X, y, w, b):
    return backprop.linear_mse_grads(X, y, w, 0.0)


@linear_mse_grads.chaff(
    "bias-gradient-not-summed",
    "`db` has one entry for each example. All examples share one b, so their contributions add up.",
    "How many b are there? Its gradient has as many entries.",
)
def _(X, y, w, b):
    return backprop.linear_mse_grads(X, y, w, b)[0], 2 * (X @ w + b - y) / len(y)


@linear_mse_grads.chaff(
    "bias-gradient-averaged-twice",
    "`db` was averaged twice: the division by N is in the error already, and `mean` divides again.",
    "Count the divisions by N on the way to `db`.",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return X.T @ d, d.mean()


@linear_mse_grads.chaff(
    "bias-gradient-sum-not-mean",
    "`db` is summed where `dw` is averaged.",
    "Both gradients belong to one loss, a mean over N. Is the division by N in both?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y)
    return X.T @ d / len(y), d.sum()


@linear_mse_grads.chaff(
    "bias-gradient-sum-not-mean",
    "`db` is summed where `dw` is averaged; besides, the 2 of the square is missing in both.",
    "Both gradients belong to one loss, a mean over N. Is the division by N in both? And what is the derivative of u²?",
)
def _(X, y, w, b):
    error = X @ w + b - y
    return X.T @ error / len(y), error.sum()


@linear_mse_grads.chaff(
    "bias-gradient-times-b",
    "`db` contains a factor b: the inner derivative of x·w + b in b is 1.",
    "How much does a prediction change when b grows by 1?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return X.T @ d, b * d.sum()


@linear_mse_grads.chaff(
    "square-not-differentiated",
    "the errors are still squared; the derivative of u² is 2u, without a square.",
    "Can your `db` be negative? Should it be?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) ** 2 / len(y)
    return X.T @ d, d.sum()


@linear_mse_grads.chaff(
    "input-factor-missing",
    "`dw` lacks the factor X: the inner derivative of x·w + b in w is x.",
    "Two features with different values must get different slopes. Where does the value of the feature come in?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return np.full(len(w), d.sum()), d.sum()


@linear_mse_grads.chaff(
    "weight-not-input",
    "`dw` is the error times the *weight*: the inner derivative of x·w + b in w is x.",
    "By how much does the prediction change when w grows by 0.01: does that depend on w, or on x?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return w * d.sum(), d.sum()


@linear_mse_grads.chaff(
    "means-multiplied",
    "the mean of X was multiplied with the mean error; each example's error belongs to that example's inputs.",
    "Take two examples with opposite errors and opposite inputs. Should `dw` be 0?",
)
def _(X, y, w, b):
    mean = 2 * np.mean(X @ w + b - y)
    return X.mean(axis=0) * mean, mean


@linear_mse_grads.chaff(
    "error-not-a-column",
    "the errors `(N,)` were multiplied with X `(N, D)` directly: NumPy lines them up with the *columns*.",
    "Which shape must the errors have so that each row of X gets its own? Or which product sums over the rows?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return (d * X).sum(axis=0), d.sum()


@linear_mse_grads.chaff(
    "transpose-missing",
    "`X @ d` sums over the features of each example; `dw` collects over the examples.",
    "Write the shapes below the factors: which product gives `(D,)`?",
)
def _(X, y, w, b):
    d = 2 * (X @ w + b - y) / len(y)
    return X @ d, d.sum()


@linear_mse_grads.chaff(
    "product-of-sums",
    "the errors are summed first, and the sum multiplied with the sum of the inputs: a sum of products is something "
    "else.",
    "Each example brings its own error and its own features. Are the two multiplied before the sum, or after?",
)
def _(X, y, w, b):
    e = X @ w + b - y
    return 2 / len(y) * e.sum() * X.sum(axis=0), 2 * e.mean()


def _column_minus_row(X, y, w, b):
    """The function that the chapter shows as broken: each prediction is compared with every target."""
    y_hat = X @ w[:, None] + b
    error = y_hat - y
    dy_hat = 2 * error / error.size
    dw = X.T @ dy_hat
    return dw.sum(axis=1), float(dy_hat.sum())


linear_mse_grads.chaff(
    "column-minus-row",
    "the predictions are a column, `(N, 1)`, and the targets flat, `(N,)`: the difference has N × N entries, every "
    "prediction minus every target.",
    "Print the shape of the error. How many entries should it have?",
)(_column_minus_row)


@linear_mse_grads.chaff(
    "column-returned",
    "`dw` is still a column, `(D, 1)`; the weights are flat, `(D,)`.",
    "A gradient has the shape of the thing it belongs to. Print `w.shape` beside the shape of your `dw`.",
)
def _(X, y, w, b):
    dy_hat = 2 * (X @ w[:, None] + b - y[:, None]) / len(y)
    return X.T @ dy_hat, float(dy_hat.sum())


# fix_linear_mse_grads: the bug hunt. The planted bug comes first: an unchanged copy is the likeliest wrong answer.

fix_linear_mse_grads = Exercise(
    "fix_linear_mse_grads",
    CHAPTER,
    2,
    "fix_linear_mse_grads(X, y, w, b)",
    ("dw", "db"),
    reference=backprop.linear_mse_grads,
    make_cases=_linear_cases,
    partial_credit=False,
    formula="error = y_hat - y[:, None]",
)
fix_linear_mse_grads.chaff(
    "unchanged",
    "the planted bug is still there: `dw` still pulls every prediction towards one and the same number.",
    "Print the shape of every array for three examples. Which one has more entries than there are examples?",
)(_column_minus_row)
fix_linear_mse_grads.wheats += linear_mse_grads.wheats
fix_linear_mse_grads.chaffs += [c for c in linear_mse_grads.chaffs if c.cause != "column-minus-row"]


@fix_linear_mse_grads.wheat
def targets_made_a_column(X, y, w, b):
    y_hat = X @ w[:, None] + b
    error = y_hat - y[:, None]
    dy_hat = 2 * error / error.size
    return (X.T @ dy_hat).sum(axis=1), float(dy_hat.sum())


@fix_linear_mse_grads.wheat
def predictions_made_flat(X, y, w, b):
    error = (X @ w[:, None] + b)[:, 0] - y
    dy_hat = 2 * error / error.size
    return X.T @ dy_hat, float(dy_hat.sum())


@fix_linear_mse_grads.wheat
def diagonal_of_all_pairs(X, y, w, b):
    error = np.diag(X @ w[:, None] + b - y)
    dy_hat = 2 * error / error.size
    return X.T @ dy_hat, dy_hat.sum()


@fix_linear_mse_grads.wheat
def both_in_a_row(X, y, w, b):
    error = (X @ w[:, None] + b).T - y
    dy_hat = 2 * error / error.size
    return (dy_hat @ X).sum(axis=0), dy_hat.sum()


@fix_linear_mse_grads.chaff(
    "every-pair-summed",
    "the division is by N now, but the error still holds every prediction minus every target, N × N of them.",
    "Print the shape of the error. It was not the division that was at fault.",
)
def _(X, y, w, b):
    dy_hat = 2 * (X @ w[:, None] + b - y) / len(y)
    return (X.T @ dy_hat).sum(axis=1), float(dy_hat.sum())


@fix_linear_mse_grads.chaff(
    "predictions-averaged",
    "the N × N differences were averaged down the columns: each target is compared with the *mean* prediction.",
    "Don't mend the large array afterwards. Which two numbers belong together, and how do their arrays get one shape?",
)
def _(X, y, w, b):
    error = (X @ w[:, None] + b - y).mean(axis=0)
    dy_hat = 2 * error / error.size
    return X.T @ dy_hat, float(dy_hat.sum())


# gradient_descent


def _descent_cases(rng: np.random.Generator) -> list[Case]:
    centre, target = normal(rng, 3), normal(rng, 2, 3)
    A = normal(rng, 3, 3)
    H = np.eye(3) + A.T @ A / np.linalg.norm(A, 2) ** 2  # eigenvalues from 1 to 2; its axes are askew
    far = np.array([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])  # its spectral norm is smaller than its Euclidean one

    def bowl(theta):
        return H @ (theta - centre)

    def wide_bowl(theta):
        return 0.1 * theta

    def matrix_bowl(theta):
        return theta - target

    def hill(theta):  # of cos: from near the top it gets steeper first, then flatter
        return -np.sin(theta)

    def slope(theta):
        return np.array([3.0, 4.0])

    return [
        Case("reaches the tolerance", (bowl, centre + 2 + normal(rng, 3), 0.3, 1e-3, 150)),
        Case("runs out of steps", (bowl, centre + 5 + normal(rng, 3), 0.05, 1e-6, 17)),
        Case("starts at the minimum", (bowl, centre.copy(), 0.3, 1e-3, 50), group="corners"),
        Case("many small entries", (wide_bowl, np.full(25, 0.5), 0.5, 0.12, 60)),
        Case("a tolerance that is met exactly", (slope, normal(rng, 2), 0.1, 5.0, 10), group="corners"),
        Case("no steps allowed", (bowl, centre + 1.0, 0.3, 1e-3, 0), group="corners"),
        Case("a large learning rate", (bowl, centre + 1.0, 0.9, 1e-2, 120)),
        Case("parameters in a matrix", (matrix_bowl, target + far, 0.2, 1e-2, 100)),
        Case("steeper before it gets flat", (hill, rng.uniform(0.2, 0.4, 2), 0.3, 1e-3, 150)),
    ]


gradient_descent = Exercise(
    "gradient_descent",
    CHAPTER,
    6,
    "gradient_descent(grad, theta, lr, tol, max_steps)",
    ("theta", "steps"),
    reference=backprop.gradient_descent,
    make_cases=_descent_cases,
    may_alias=True,  # of zero steps, the start itself may come back
    explain=lambda f: walk.explain(f, _descent_cases(np.random.default_rng(0))),
    formula="theta = theta - lr * grad(theta), as long as np.linalg.norm(grad(theta)) > tol and steps < max_steps",
)


@gradient_descent.wheat
def by_while(grad, theta, lr, tol, max_steps):
    theta, steps = theta.copy(), 0
    while steps < max_steps and np.sqrt((grad(theta) ** 2).sum()) > tol:
        theta -= lr * grad(theta)
        steps += 1
    return theta, steps


@gradient_descent.wheat
def break_first(grad, theta, lr, tol, max_steps):
    theta = np.array(theta, dtype=float)
    steps = 0
    while True:
        g = grad(theta)
        if not np.linalg.norm(g) > tol or steps >= max_steps:
            break
        theta, steps = theta - lr * g, steps + 1
    return theta, np.int64(steps)


@gradient_descent.wheat
def with_a_history(grad, theta, lr, tol, max_steps):
    path = [theta]
    while len(path) - 1 < max_steps:
        g = grad(path[-1])
        if (g**2).sum() ** 0.5 <= tol:
            break
        path.append(path[-1] - lr * g)
    return path[-1], len(path) - 1


@gradient_descent.wheat
def recursive(grad, theta, lr, tol, max_steps):
    g = grad(theta)
    if np.linalg.norm(g) <= tol or max_steps == 0:
        return theta, 0
    end, steps = recursive(grad, theta - lr * g, lr, tol, max_steps - 1)
    return end, steps + 1


@gradient_descent.wheat
def with_for_and_else(grad, theta, lr, tol, max_steps):
    theta = 1.0 * theta
    for k in range(max_steps):
        slope = grad(theta)
        if np.vdot(slope, slope) <= tol**2:
            steps = k
            break
        theta += -lr * slope
    else:
        steps = max_steps
    return [theta.tolist(), steps]


@gradient_descent.wheat
def points_of_a_generator(grad, theta, lr, tol, max_steps):
    def points(at):
        while True:
            yield at
            at = np.subtract(at, np.multiply(lr, grad(at)))

    for steps, at in enumerate(points(theta)):
        if steps == max_steps or math.hypot(*np.ravel(grad(at))) <= tol:
            return np.array(at), float(steps)


@gradient_descent.wheat
def gradient_kept_from_round_to_round(grad, theta, lr, tol, max_steps):
    left, theta = max_steps, theta.copy()
    slope = grad(theta)
    while left and np.linalg.norm(slope) > tol:
        theta = theta - lr * slope
        slope = grad(theta)
        left -= 1
    return theta, max_steps - left


def _descend(grad, theta, lr, tol, max_steps, *, step=lambda g: -g, small=None, count_from=0):
    small = small or (lambda g: np.linalg.norm(g) <= tol)
    theta = theta.copy()
    for steps in range(max_steps):
        g = grad(theta)
        if small(g):
            return theta, steps + count_from
        theta = theta + lr * step(g)
        if not np.isfinite(theta).all():
            break
    return theta, max_steps + count_from


@gradient_descent.chaff(
    "uphill",
    "the step adds the gradient: it climbs.",
    "Which way does the gradient point: to larger or to smaller loss?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, step=lambda g: g)


@gradient_descent.chaff(
    "learning-rate-unused", "the learning rate is not used.", "Where in your update does `lr` appear?"
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, 1.0, tol, max_steps)


@gradient_descent.chaff(
    "tolerance-unused",
    "all `max_steps` steps are taken; the tolerance stops nothing.",
    "When is the walk over before the steps are used up?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: False)


@gradient_descent.chaff(
    "largest-entry-not-norm",
    "the largest entry of the gradient is compared with `tol`, not its Euclidean norm.",
    "With 25 entries of 0.1 each, how long is the gradient?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: np.abs(g).max() <= tol)


@gradient_descent.chaff(
    "step-not-gradient",
    "the length of the *step*, lr times the gradient, is compared with `tol`.",
    "The contract speaks of the norm of the gradient. A tiny learning rate makes every step short.",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: np.linalg.norm(lr * g) <= tol)


@gradient_descent.chaff(
    "step-not-gradient",
    "the change of `theta` in the last step is compared with `tol`, not the norm of the gradient.",
    "The contract speaks of the norm of the gradient. A tiny learning rate makes every step short.",
)
def _(grad, theta, lr, tol, max_steps):
    for steps in range(max_steps):
        new = theta - lr * grad(theta)
        if np.linalg.norm(new - theta) <= tol:
            return new, steps + 1
        theta = new
    return theta, max_steps


@gradient_descent.chaff(
    "spectral-norm",
    "`np.linalg.norm(g, 2)` is for a matrix its largest singular value, not the root of the sum of squares.",
    "What is the norm of the 2×2 identity matrix in your code? How many squares are there to add?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: np.linalg.norm(g, 2) <= tol)


@gradient_descent.chaff(
    "strictly-less",
    "it stops when the norm is less than `tol`; the contract says less or equal.",
    "What happens when the norm equals `tol`?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: np.linalg.norm(g) < tol)


@gradient_descent.chaff(
    "counts-one-too-many",
    "the count starts at 1: it is one step ahead.",
    "How many steps has a walk taken that starts at the minimum?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, count_from=1)


@gradient_descent.chaff(
    "steps-before-it-looks",
    "it takes a step first and looks at the gradient afterwards, so that it moves even from the minimum.",
    "Start at the minimum: your walk should stay there.",
)
def _(grad, theta, lr, tol, max_steps):
    steps = 0
    while steps < max_steps:
        g = grad(theta)
        theta = theta - lr * g
        steps += 1
        if np.linalg.norm(g) <= tol:
            break
    return theta, steps


@gradient_descent.chaff(
    "steps-before-it-looks",
    "the update stands before the test: where the slope is flat, one more step is taken, which is not counted.",
    "In which order do you look and step? Start at the minimum: your walk should stay there.",
)
def _(grad, theta, lr, tol, max_steps):
    for steps in range(max_steps):
        g = grad(theta)
        theta = theta - lr * g
        if np.linalg.norm(g) <= tol:
            return theta, steps
    return theta, max_steps


@gradient_descent.chaff(
    "one-step-too-many",
    "one step more than `max_steps` may be taken.",
    "With `max_steps` of 0, how often does your loop run?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps + 1)


@gradient_descent.chaff(
    "squared-norm",
    "the square of the norm is compared with `tol`: the root is missing.",
    "The norm of (3, 4) is 5, not 25.",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: (g**2).sum() <= tol)


@gradient_descent.chaff(
    "one-small-entry",
    "it stops as soon as *one* entry of the gradient is small.",
    "With the gradient (0, 4), has the walk arrived?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: (np.abs(g) <= tol).any())


@gradient_descent.chaff(
    "sign-in-condition",
    "the entries are compared with `tol` without their absolute value: a steep negative slope counts as small.",
    "Is −5 less than 0.001? Is a slope of −5 flat?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: (g <= tol).all())


@gradient_descent.chaff(
    "norm-as-direction",
    "the gradient's norm, one number, is subtracted from every entry of `theta`.",
    "The norm says when to stop. Which array says where to go?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, step=lambda g: -np.linalg.norm(g))


@gradient_descent.chaff(
    "sum-not-norm",
    "the absolute entries were added up: that is the 1-norm, not the Euclidean norm.",
    "The norm of (3, 4) is 5, not 7.",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: np.abs(g).sum() <= tol)


@gradient_descent.chaff(
    "mean-square-not-norm",
    "the root of the *mean* square was compared with `tol`, not the norm: the mean divides by the number of entries.",
    "With 25 entries of 0.1 each, how long is the gradient?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, small=lambda g: np.sqrt(np.mean(g**2)) <= tol)


@gradient_descent.chaff(
    "always-from-the-start",
    "every step is taken from the starting point: the new point is not kept.",
    "Which variable does your loop change, and from which does it compute the next step?",
)
def _(grad, theta, lr, tol, max_steps):
    g = grad(theta)
    if np.linalg.norm(g) <= tol or max_steps == 0:
        return theta, 0
    end = theta - lr * g
    return end, max_steps


@gradient_descent.chaff(
    "gradient-computed-once",
    "the gradient was computed at the start and never again: all steps go in one direction.",
    "The slope changes as you walk. Where in your loop is `grad` called?",
)
def _(grad, theta, lr, tol, max_steps):
    g = grad(theta)
    return _descend(lambda _: g, theta, lr, tol, max_steps)


@gradient_descent.chaff("counter-never-grows", "`steps` stays 0.", "Which line counts a step that was taken?")
def _(grad, theta, lr, tol, max_steps):
    return backprop.gradient_descent(grad, theta, lr, tol, max_steps)[0], 0


@gradient_descent.chaff(
    "index-not-count",
    "the number of the loop's last round was returned: counting from 0, it is one behind when the steps run out.",
    "After `for i in range(5)`, what is i, and how many steps were taken?",
)
def _(grad, theta, lr, tol, max_steps):
    theta, steps = backprop.gradient_descent(grad, theta, lr, tol, max_steps)
    return theta, min(steps, max(max_steps - 1, 0))


@gradient_descent.chaff(
    "normalised",
    "the gradient is divided by its length: all steps are equally long, and near the minimum they overshoot.",
    "Should steps shrink as the slope flattens?",
)
def _(grad, theta, lr, tol, max_steps):
    return _descend(grad, theta, lr, tol, max_steps, step=lambda g: -g / (np.linalg.norm(g) or 1.0))


@gradient_descent.chaff(
    "path-returned",
    "all the points of the walk were returned; the contract asks for the last one.",
    "Which entry of your list is the point where the walk ends?",
)
def _(grad, theta, lr, tol, max_steps):
    path = [theta]
    while len(path) <= max_steps and np.linalg.norm(grad(path[-1])) > tol:
        path.append(path[-1] - lr * grad(path[-1]))
    return path, len(path) - 1


@gradient_descent.chaff(
    "argument-changed",
    "the start is changed in place (`theta -= …`): the caller's array moves along.",
    "Copy `theta` first, or write `theta = theta - …`.",
)
def _(grad, theta, lr, tol, max_steps):
    for steps in range(max_steps):
        g = grad(theta)
        if np.linalg.norm(g) <= tol:
            return theta, steps
        theta -= lr * g
    return theta, max_steps


# max_learning_rate


def _border_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, X: np.ndarray) -> Case:
        return Case(name, (X,), {"N": X.shape[0], "D": X.shape[1]})

    return [
        case("7 × 5", normal(rng, 7, 5)),
        case("11 × 3", normal(rng, 11, 3)),
        case("D = 1", 3 * normal(rng, 13, 1)),
        case("N = 1", normal(rng, 1, 5)),
        case("square", normal(rng, 5, 5)),
        case("columns of very different size", normal(rng, 17, 2) * [0.01, 30.0]),
        case("columns far from zero", 10 + normal(rng, 19, 2)),
    ]


def _max_learning_rate(X: np.ndarray) -> float:
    """2/λmax of the Hessian (2/N) XᵀX."""
    H = 2 / len(X) * X.T @ X
    return float(2 / np.linalg.eigvalsh(H).max())


def _eigenvalues(X: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(X.T @ X)


# Numbers that say how steep XᵀX is, in words, with a question to those who took it; the right one first.
_STEEPNESS: list[tuple[str, str, str, Callable[[np.ndarray], float]]] = [
    ("", "the largest eigenvalue", "", lambda X: _eigenvalues(X)[-1]),
    (
        "smallest-eigenvalue",
        "the smallest eigenvalue",
        "All factors |1 − ηλ| must be below 1. Which λ fails first as η grows?",
        lambda X: _eigenvalues(X)[0],
    ),
    (
        "largest-and-smallest",
        "the sum of the largest and the smallest eigenvalue",
        "That gives the *fastest* rate. Which one is the border?",
        lambda X: _eigenvalues(X)[[0, -1]].sum(),
    ),
    (
        "trace-not-largest",
        "the sum of all eigenvalues",
        "Which single direction is the steepest?",
        lambda X: (X**2).sum(),
    ),
    (
        "trace-not-largest",
        "the mean of the eigenvalues",
        "Which single direction is the steepest?",
        lambda X: _eigenvalues(X).mean(),
    ),
    (
        "unsorted-eigenvalue",
        "the first eigenvalue that `np.linalg.eig` returns, in no particular order,",
        "Are the eigenvalues sorted? Which of them do you need?",
        lambda X: np.linalg.eig(X.T @ X)[0][0],
    ),
    (
        "unsorted-eigenvalue",
        "the last eigenvalue that `np.linalg.eig` returns, in no particular order,",
        "Are the eigenvalues sorted? Which of them do you need?",
        lambda X: np.linalg.eig(X.T @ X)[0][-1],
    ),
    (
        "largest-diagonal-entry",
        "the largest diagonal entry",
        "Is the steepest direction always along an axis?",
        lambda X: np.diag(X.T @ X).max(),
    ),
    (
        "frobenius-norm",
        "the Frobenius norm",
        "Which norm of a symmetric matrix is its largest eigenvalue?",
        lambda X: np.linalg.norm(X.T @ X),
    ),
    (
        "row-sums",
        "the largest row sum",
        "That is a bound for the eigenvalues. Which of them do you need, exactly?",
        lambda X: np.abs(X.T @ X).sum(axis=0).max(),
    ),
    ("largest-entry", "the largest entry", "Is the steepest direction along an axis?", lambda X: (X.T @ X).max()),
    ("determinant", "the determinant", "Which single direction is the steepest?", lambda X: np.linalg.det(X.T @ X)),
    (
        "second-eigenvalue",
        "the second largest eigenvalue",
        "All factors |1 − ηλ| must be below 1. Which λ fails first as η grows?",
        lambda X: _eigenvalues(X)[-2],
    ),
    (
        "columns-scaled",
        "the largest eigenvalue, with standardised columns,",
        "Does X @ w know what the means and the spreads of the columns are?",
        lambda X: _eigenvalues((X - X.mean(axis=0)) / X.std(axis=0))[-1],
    ),
    (
        "columns-centred",
        "the largest eigenvalue, with centred columns,",
        "Does X @ w know what the means of the columns are?",
        lambda X: _eigenvalues(X - X.mean(axis=0))[-1],
    ),
    (
        "bias-added",
        "the largest eigenvalue, with a column of ones added,",
        "Does the model of this exercise have a bias?",
        lambda X: _eigenvalues(np.column_stack([X, np.ones(len(X))]))[-1],
    ),
]


# Rates that are no such formula, in words, each with a question.
_OTHER_RATES: list[tuple[str, str, str, Callable[[np.ndarray], float]]] = [
    (
        "determinant",
        "the determinant of the Hessian was taken, not its largest eigenvalue.",
        "Which single direction is the steepest?",
        lambda X: 2 / np.linalg.det(2 / len(X) * X.T @ X),
    ),
    (
        "columns-centred",
        "the covariance of the columns was taken for the Hessian's XᵀX: it centres them, and divides by N − 1.",
        "Does X @ w know what the means of the columns are?",
        lambda X: 1 / np.linalg.eigvalsh(np.cov(X.T))[-1],
    ),
    (
        "columns-centred",
        "the covariance of the columns was taken for the Hessian: it centres them, divides by N − 1, and lacks the 2.",
        "Does X @ w know what the means of the columns are?",
        lambda X: 2 / np.linalg.eigvalsh(np.cov(X.T))[-1],
    ),
]


def _explain_rate(f: Callable) -> Finding | None:
    """Is the answer c·Nᵃ·Dᵇ·λᵖ for one of those numbers λ?"""
    rng = np.random.default_rng(0)
    examples = [0.5 + normal(rng, N, D) for N, D in ((7, 5), (11, 3), (13, 2), (5, 5), (17, 5))]
    answers = [call(f, (X.copy(),)).value for X in examples]
    try:
        rates = np.array([float(answer) for answer in answers])
    except (TypeError, ValueError):
        return None
    where = f"For an X of 7 × 5 your rate is {rates[0]:.5g}; it should be {_max_learning_rate(examples[0]):.5g}."
    for cause, words, hint, rate in _OTHER_RATES:
        if np.allclose(rates, [rate(X) for X in examples], rtol=1e-7, atol=0):
            return Finding(where, cause, words, hint)
    N, D = np.array([X.shape for X in examples], float).T
    for cause, words, hint, steepness in _STEEPNESS:
        steep = np.array([steepness(X) for X in examples])
        for p, a, b in itertools.product((-1, 1, -0.5, 0.5), (1, 0, 0.5, -1, 2), (0, 1, -1)):
            c = rates / (N**a * D**b * steep**p)
            if not np.allclose(c, c[0], rtol=1e-7, atol=0) or c[0] == 0:
                continue
            right_but_for_that = (p, a, b) == (-1, 1, 0) and abs(c[0] - 1) < 1e-7
            if right_but_for_that and not cause:
                return None
            told = "" if right_but_for_that else _rate_in_words(float(c[0]), p, a, b)
            return Finding(
                where,
                cause or ("wrong-factor" if p == -1 else "wrong-power"),
                f"your rate is `{told}`, with λ for {words} of XᵀX." if told else f"{words} of XᵀX was taken.",
                hint
                or "Which factors stand before XᵀX in the Hessian of a *mean* of squares, and at which ηλ does a "
                "direction begin to grow?",
            )
    return None


def _rate_in_words(c: float, p: float, a: float, b: float) -> str:
    simple = ((1, ""), (2, "2"), (0.5, "½"), (4, "4"), (0.25, "¼"))
    number = next((text for value, text in simple if abs(c - value) < 1e-6), f"{c:.4g}")
    powers = {1: "{}", 2: "{}²", 0.5: "√{}"}
    over = [powers[x].format(name) for x, name in ((a, "N"), (b, "D"), (p, "λ")) if x > 0]
    under = [powers[-x].format(name) for x, name in ((a, "N"), (b, "D"), (p, "λ")) if x < 0]
    top = "·".join([number] * bool(number) + over) or "1"
    bottom = "·".join(under)
    return f"{top} / ({bottom})" if len(under) > 1 else f"{top} / {bottom}" if under else top


max_learning_rate = Exercise(
    "max_learning_rate",
    CHAPTER,
    2,
    "max_learning_rate(X)",
    ("rate",),
    reference=_max_learning_rate,
    make_cases=_border_cases,
    explain=_explain_rate,
    formula="2 / np.linalg.eigvalsh(2 / len(X) * X.T @ X).max()",
)


@max_learning_rate.wheat
def by_singular_values(X):
    return len(X) / np.linalg.svd(X, compute_uv=False)[0] ** 2


@max_learning_rate.wheat
def by_the_spectral_norm(X):
    return X.shape[0] / np.linalg.norm(X, 2) ** 2


@max_learning_rate.wheat
def by_general_eigenvalues(X):
    return 2 / max(np.linalg.eigvals(2 / len(X) * X.T @ X).real)


@max_learning_rate.wheat
def by_squaring_again_and_again(X):
    H = 2 / len(X) * X.T @ X
    P = H / np.trace(H)
    for _ in range(60):  # what is left is the direction of the largest eigenvalue
        P = P @ P
        P /= np.trace(P)
    return 2 / np.trace(P @ H)


@max_learning_rate.wheat
def from_the_examples_side(X):
    return len(X) / np.linalg.eigvalsh(X @ X.T).max()


@max_learning_rate.wheat
def by_summed_outer_products(X):
    N, D = X.shape
    H = np.zeros((D, D))
    for x in X:
        H += 2 * np.outer(x, x) / N
    return np.array(2 / sorted(np.linalg.eigvalsh(H))[-1])


@max_learning_rate.chaff(
    "N-missing",
    "the eigenvalue is that of XᵀX alone; the Hessian of a *mean* carries 2/N.",
    "Differentiate the gradient once more: which factors stand before XᵀX?",
)
def _(X):
    return 2 / np.linalg.eigvalsh(X.T @ X)[-1]


@max_learning_rate.chaff(
    "N-missing",
    "the Hessian is that of the *sum* of squares, 2XᵀX; that of the mean carries 1/N.",
    "Differentiate the gradient once more: which factors stand before XᵀX?",
)
def _(X):
    return 1 / np.linalg.eigvalsh(X.T @ X)[-1]


@max_learning_rate.chaff(
    "averaged-over-entries",
    "the mean was taken over all entries of X; it goes over the N examples.",
    "How many terms has the loss: one for each row, or one for each entry of X?",
)
def _(X):
    return X.size / np.linalg.eigvalsh(X.T @ X)[-1]


@max_learning_rate.chaff(
    "half-the-border",
    "1/λmax is the rate that settles the steepest direction in one step; the border is twice that.",
    "The factor of a direction is 1 − ηλ. For which η is it −1?",
)
def _(X):
    return 0.5 * _max_learning_rate(X)


@max_learning_rate.chaff(
    "smallest-eigenvalue",
    "the smallest eigenvalue was taken. The steepest direction is the first to break.",
    "All factors |1 − ηλ| must be below 1. Which λ fails first as η grows?",
)
def _(X):
    with np.errstate(all="ignore"):
        return 2 / np.linalg.eigvalsh(2 / len(X) * X.T @ X)[0]


@max_learning_rate.chaff(
    "factor-2-missing",
    "the 2 of the square is missing in the Hessian.",
    "The gradient is (2/N) Xᵀ(Xw − y). What is its derivative in w?",
)
def _(X):
    return 2 * _max_learning_rate(X)


@max_learning_rate.chaff(
    "trace-not-largest",
    "the sum of all eigenvalues (the trace) was taken, or the Frobenius norm: that is too careful.",
    "Which single direction is the steepest?",
)
def _(X):
    return len(X) / (X**2).sum()


@max_learning_rate.chaff(
    "largest-diagonal-entry",
    "the largest diagonal entry of the Hessian was taken. Correlated columns are steeper together than alone.",
    "Is the steepest direction always along an axis?",
)
def _(X):
    return len(X) / (X**2).sum(axis=0).max()


@max_learning_rate.chaff(
    "unsorted-eigenvalue",
    "the first eigenvalue that `np.linalg.eig` returns was taken; they come in no particular order.",
    "Are the eigenvalues sorted? Which of them do you need?",
)
def _(X):
    return 2 / np.linalg.eig(2 / len(X) * X.T @ X)[0][0]


@max_learning_rate.chaff(
    "mean-over-features",
    "the number of features stands where the number of examples belongs.",
    "Which of the two sizes of X does the mean in the loss count?",
)
def _(X):
    return X.shape[1] / np.linalg.eigvalsh(X.T @ X)[-1]


@max_learning_rate.chaff(
    "bias-added",
    "a column of ones was added first. This model has no bias: whoever wants one passes that column in X.",
    "How many weights has the model ŷ = Xw?",
)
def _(X):
    return _max_learning_rate(np.column_stack([X, np.ones(len(X))]))


@max_learning_rate.chaff(
    "eigenvalue-returned", "this is λmax itself, not the learning rate.", "The steeper, the smaller the steps."
)
def _(X):
    return np.linalg.eigvalsh(2 / len(X) * X.T @ X)[-1]


@max_learning_rate.chaff(
    "singular-value-not-squared",
    "the singular value of X was used without its square.",
    "How do the eigenvalues of XᵀX follow from the singular values of X?",
)
def _(X):
    return len(X) / np.linalg.svd(X, compute_uv=False)[0]


@max_learning_rate.chaff(
    "columns-centred",
    "the columns were centred first. This model has no bias: the columns count as they are.",
    "Does X @ w know what the means of the columns are?",
)
def _(X):
    with np.errstate(all="ignore"):
        return _max_learning_rate(X - X.mean(axis=0))


EXERCISES = [
    mse_slope,
    mse,
    mse_grad,
    linear_mse_grads,
    gradient_descent,
    max_learning_rate,
    fix_linear_mse_grads,
]
