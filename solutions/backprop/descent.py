"""Linear regression and plain gradient descent, as in chapter 1."""

from collections.abc import Callable

import numpy as np


def linear_mse_grads(X: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> tuple[np.ndarray, float]:
    """Gradients ``(dw, db)`` of the mean squared error of the model ``X @ w + b``.

    Parameters
    ----------
    X : inputs, ``(N, D)``.
    y : real targets, ``(N,)``.
    w, b : weights ``(D,)`` and bias, a float.
    """
    d = 2 * (X @ w + b - y) / len(y)
    return X.T @ d, float(d.sum())


def gradient_descent(
    grad: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, lr: float, tol: float, max_steps: int
) -> tuple[np.ndarray, int]:
    """Walk downhill from ``theta`` until the gradient's norm is at most ``tol``.

    Parameters
    ----------
    grad : gives the gradient at a point, same shape as the point.
    theta : starting point; it is not modified.
    lr : learning rate.
    tol : stop as soon as the Euclidean norm of the gradient is at most this.
    max_steps : stop after this many steps at the latest.

    Returns
    -------
    The last point, and the number of steps taken to get there.
    """
    for steps in range(max_steps):
        g = grad(theta)
        if np.linalg.norm(g) <= tol:
            return theta, steps
        theta = theta - lr * g
    return theta, max_steps
