"""Gradients by nudging, and a checker made of them, as in chapter 3."""

from collections.abc import Callable

import numpy as np

STEP = 1e-5  # of the checker: near the cube root of the machine epsilon, where central differences err least
IMAGINARY_STEP = 1e-20  # nothing is subtracted from it, so it can be as small as one likes


def central_difference(f: Callable[[np.ndarray], float], x: np.ndarray, h: float) -> np.ndarray:
    """Gradient of ``f`` at ``x`` from the values of ``f`` a step ``h`` to either side, entry by entry.

    Parameters
    ----------
    f : maps an array of the shape of ``x`` to a float.
    x : where; any shape, also whole numbers. It is not modified.
    h : the step.

    Returns
    -------
    An array of the shape of ``x``, with an error that shrinks as h².
    """
    nudged = np.array(x, dtype=float)  # a copy: it takes the nudges, which whole numbers could not
    grad = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        nudged[i] = x[i] + h
        above = f(nudged)
        nudged[i] = x[i] - h
        below = f(nudged)
        nudged[i] = x[i]
        grad[i] = (above - below) / (2 * h)
    return grad


def complex_step(f: Callable[[np.ndarray], complex], x: np.ndarray) -> np.ndarray:
    """Gradient of ``f`` at ``x``, exact to rounding, from steps in the imaginary direction.

    Parameters
    ----------
    f : maps an array of the shape of ``x`` to a number; analytic, and made of operations that take
        complex numbers.
    x : real; any shape. It is not modified.

    Returns
    -------
    An array of the shape of ``x``.

    References
    ----------
    Squire and Trapp, "Using complex variables to estimate derivatives of real functions", 1998.
    """
    nudged = np.array(x, dtype=complex)
    grad = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        nudged[i] = x[i] + 1j * IMAGINARY_STEP
        grad[i] = f(nudged).imag / IMAGINARY_STEP
        nudged[i] = x[i]
    return grad


def gradcheck(f: Callable[[np.ndarray], float], grad: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> bool:
    """Whether ``grad`` gives the gradient of ``f`` at ``x``, as far as central differences can tell.

    Parameters
    ----------
    f : maps an array to a float.
    grad : maps the same array to the gradient that is in doubt.
    x : where to check; not modified.

    Returns
    -------
    True if the shape is that of ``x`` and no entry is off by more than a millionth of the largest one, and by what
    rounding alone can do: it makes the difference of two values of ``f``, over the step, uncertain.
    """
    claimed, measured = np.asarray(grad(x)), central_difference(f, x, STEP)
    if claimed.shape != measured.shape:
        return False
    error, size = np.abs(claimed - measured), np.abs(measured)
    rounding = 1e-10 * abs(f(x))
    return bool(np.max(error) <= 1e-6 * np.max(size) + rounding)  # False for nan
