"""Mistakes of chapter 1 that no chaff names, alone and in pairs: the walk of a descent, and the border of its rate."""

import numpy as np
import pytest

from autograder.checking import walk
from autograder.exercises.descent import _descent_cases, _explain_rate, gradient_descent, max_learning_rate


def descent(
    step=lambda g, lr, k: -lr * g,
    small=lambda g, tol, theta: np.linalg.norm(g) <= tol,
    limit=0,
    count=0,
    look_every=1,
):
    """A gradient descent with some places filled wrongly."""

    def walked(grad, theta, lr, tol, max_steps):
        for k in range(max_steps + limit):
            g = grad(theta)
            if k % look_every == 0 and small(g, tol, theta):
                return theta, k + count
            theta = theta + step(g, lr, k)
        return theta, max(max_steps + limit, 0) + count

    return walked


def explained(f):
    return walk.explain(f, _descent_cases(np.random.default_rng(0)))


def test_a_right_walk_needs_no_explanation():
    assert explained(descent()) is None


@pytest.mark.parametrize(
    ("wrong", "cause", "words"),
    [
        ({"step": lambda g, lr, k: -lr / (k + 1) * g}, "rate-decays", "number of the step"),
        ({"step": lambda g, lr, k: -2 * lr * g}, "constant-factor", "−2 × `lr`"),
        ({"step": lambda g, lr, k: -0.01 * g}, "constant-factor", "whatever `lr` is"),
        ({"small": lambda g, tol, theta: np.linalg.norm(theta) <= tol}, "point-not-slope", "of `theta` itself"),
        ({"small": lambda g, tol, theta: np.linalg.norm(g) <= 10 * tol}, "other-tolerance", "times `tol`"),
        ({"small": lambda g, tol, theta: np.linalg.norm(g) <= 1e-4}, "other-tolerance", "a fixed number"),
        ({"look_every": 5}, "looks-too-rarely", "every 5th step"),
        ({"limit": -1, "count": 1}, "one-step-too-few", "besides, `steps` is one ahead"),
        (
            {"step": lambda g, lr, k: lr * g, "small": lambda g, tol, theta: (g**2).sum() <= tol},
            "uphill",
            "besides, the square of the norm",
        ),
        (
            {"small": lambda g, tol, theta: np.abs(g).max() <= tol, "count": 1},
            "largest-entry-not-norm",
            "besides, `steps` is one ahead",
        ),
    ],
)
def test_a_walk_is_explained_by_its_step_its_stop_and_its_count(wrong, cause, words):
    finding = explained(descent(**wrong))
    assert finding.cause == cause
    assert words in finding.likely


def test_momentum_is_found_in_a_walk():
    def with_momentum(grad, theta, lr, tol, max_steps):
        v = np.zeros_like(theta)
        for k in range(max_steps):
            g = grad(theta)
            if np.linalg.norm(g) <= tol:
                return theta, k
            v = 0.8 * v - lr * g
            theta = theta + v
        return theta, max_steps

    finding = explained(with_momentum)
    assert finding.cause == "momentum"
    assert "0.8 ×" in finding.likely


@pytest.mark.parametrize(
    "f",
    [
        lambda grad, theta, lr, tol, max_steps: None,
        lambda grad, theta, lr, tol, max_steps: (theta[:1], 0),
        lambda grad, theta, lr, tol, max_steps: (theta * np.nan, 0),
        lambda grad, theta, lr, tol, max_steps: 1 / 0,
    ],
)
def test_what_is_no_walk_is_left_to_others(f):
    assert explained(f) is None


def test_a_walk_that_looks_for_ever_is_given_up():
    def restless(grad, theta, lr, tol, max_steps):
        while True:
            grad(theta)

    assert explained(restless) is None


def test_an_explanation_is_on_the_card():
    finding = gradient_descent.check(descent(look_every=2), seed=3).findings[0]
    assert finding.cause == "looks-too-rarely"
    assert "your walk takes" in finding.what


@pytest.mark.parametrize(
    ("rate", "cause", "words"),
    [
        (lambda X, e: 2 / e[-1], "wrong-factor", "`2 / λ`, with λ for the largest eigenvalue"),
        (lambda X, e: 4 * len(X) / np.trace(X.T @ X), "trace-not-largest", "`4·N / λ`, with λ for the sum of all"),
        (lambda X, e: len(X) / np.sqrt(e[-1]), "wrong-power", "`N / √λ`"),
        (lambda X, e: len(X) / e[-2], "second-eigenvalue", "the second largest eigenvalue of XᵀX was taken"),
        (lambda X, e: 2 / np.linalg.det(2 / len(X) * X.T @ X), "determinant", "not its largest eigenvalue"),
    ],
)
def test_a_rate_is_explained_by_what_it_is_made_of(rate, cause, words):
    finding = _explain_rate(lambda X: rate(X, np.linalg.eigvalsh(X.T @ X)))
    assert finding.cause == cause
    assert words in finding.likely


def test_a_right_rate_needs_no_explanation():
    assert _explain_rate(max_learning_rate.reference) is None
    assert _explain_rate(lambda X: "0.1 or so") is None
