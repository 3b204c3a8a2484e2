"""Chapter 1: the mean squared error, its gradient, and walking downhill."""

import numpy as np

import backprop
from autograder.checking.derivation import Derivation
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise

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


mse_slope = Derivation(
    "mse_slope", CHAPTER, 2, "mse_slope(y_hat, y)", _mse_slope_cases, expected=lambda y_hat, y: 2 * (y_hat - y)
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


# mse

mse = Exercise("mse", CHAPTER, 2, "mse(Y_hat, Y)", ("loss",), reference=backprop.mse, make_cases=_mse_cases)


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


@mse.chaff(
    "half",
    "a factor ½ is in the loss. Some books put it there to cancel the 2; this book, PyTorch and Keras don't.",
    "Compare with the definition in the chapter: is there a ½?",
)
def _(Y_hat, Y):
    return 0.5 * np.mean((Y_hat - Y) ** 2)


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


# mse_grad

mse_grad = Exercise(
    "mse_grad", CHAPTER, 4, "mse_grad(Y_hat, Y)", ("dY_hat",), reference=backprop.mse_grad, make_cases=_mse_cases
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
        Case("reaches the tolerance", (bowl, centre + 2 + normal(rng, 3), 0.3, 1e-3, 1000)),
        Case("runs out of steps", (bowl, centre + 5 + normal(rng, 3), 0.05, 1e-6, 17)),
        Case("starts at the minimum", (bowl, centre.copy(), 0.3, 1e-3, 50), group="corners"),
        Case("many small entries", (wide_bowl, np.full(25, 0.5), 0.5, 0.12, 200)),
        Case("a tolerance that is met exactly", (slope, normal(rng, 2), 0.1, 5.0, 10), group="corners"),
        Case("no steps allowed", (bowl, centre + 1.0, 0.3, 1e-3, 0), group="corners"),
        Case("a large learning rate", (bowl, centre + 1.0, 0.9, 1e-2, 300)),
        Case("parameters in a matrix", (matrix_bowl, target + far, 0.2, 1e-2, 500)),
        Case("steeper before it gets flat", (hill, rng.uniform(0.2, 0.4, 2), 0.3, 1e-3, 500)),
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
    return len(X) / float(np.linalg.eigvalsh(X.T @ X)[-1])


max_learning_rate = Exercise(
    "max_learning_rate",
    CHAPTER,
    2,
    "max_learning_rate(X)",
    ("rate",),
    reference=_max_learning_rate,
    make_cases=_border_cases,
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
def by_power_iteration(X):
    H = 2 / len(X) * X.T @ X
    v = X[0] + 0.1
    for _ in range(200_000):
        w = H @ v
        w /= np.linalg.norm(w)
        if np.linalg.norm(w - v) < 1e-13:
            break
        v = w
    return float(2 / (v @ H @ v))


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


EXERCISES = [mse_slope, mse, mse_grad, linear_mse_grads, gradient_descent, max_learning_rate]
