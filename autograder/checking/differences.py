"""Slopes of a function that is known only by its values: by complex step or by differences, each with its error.

Differences are taken at several step sizes and extrapolated to step 0; how far the extrapolations agree, and the
function's own rounding noise, tell how much of a slope can be trusted. Slopes from the left and from the right are
kept apart, so that a kink gives an interval and a jump gives nothing, rather than a wrong number.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Line = Callable[[float], np.ndarray]  # all outputs, as one axis, at a distance along a line from the point

FIRST_STEPS = 1e-3 * 0.5 ** np.arange(3)  # enough for most functions
WIDE_STEPS = 0.0917 * 0.25 ** np.arange(14)  # down to 1e-9; no round number, which a periodic function may like
ENOUGH = 1e-8  # relative error of a slope that needs no further steps
SMALLEST_KINK = 1e-6  # relative
TINY = 1e-20  # step along the imaginary axis: there is nothing to cancel


@dataclass(frozen=True)
class Slope:
    """Slopes of the outputs along one line: each between ``low`` and ``high``, give or take ``error``.

    ``low`` and ``high`` differ at a kink. ``error`` is inf where the function has no slope that could be measured.
    """

    low: np.ndarray
    high: np.ndarray
    error: np.ndarray

    @property
    def smooth(self) -> bool:
        return bool(np.array_equal(self.low, self.high) and np.isfinite(self.error).all())


def noise(line: Line) -> np.ndarray:
    """Size of the rounding noise in each output, from fourth differences over a stretch where the function is straight.

    Moré and Wild (2011), Estimating computational noise. Of the two sides the quieter one counts: a kink at the
    point itself is no noise. ``line`` moves each input in proportion to its size.
    """
    sides = [np.array([line(sign * 1e-7 * k) for k in range(1, 8)]) for sign in (1, -1)]
    fourth = [np.sqrt(np.mean(np.diff(values, 4, axis=0) ** 2, axis=0) / 70) for values in sides]
    values = np.concatenate(sides)
    values[~np.isfinite(values)] = 0.0
    moved = values[:, np.ptp(values, axis=0) > 0]
    single = moved.size and np.array_equal(moved, moved.astype(np.float32))
    precision = np.finfo(np.float32 if single else np.float64).eps
    return np.fmax(np.fmin(*np.where(np.isfinite(fourth), fourth, 0.0)), precision * np.abs(values).max(axis=0))


def slope(line: Line, here: np.ndarray, noise: np.ndarray, near: float, wide: float) -> Slope:
    """Slopes at 0 by differences.

    Parameters
    ----------
    line : the function along the line.
    here : its outputs at 0.
    noise : of each output.
    near : size of the number that is moved; the first steps are a thousandth of it.
    wide : size of the numbers around it, from which the search starts if those steps are not enough.
    """
    found = _from_steps(line, here, noise, near * FIRST_STEPS, near)
    top = np.abs(found.high[np.isfinite(found.high)]).max(initial=0.0)
    if found.smooth and (top == 0 or found.error.max(initial=0.0) <= ENOUGH * top):
        return found
    steps = wide * WIDE_STEPS
    if near < wide:
        steps = np.concatenate([steps, steps[-1] * 0.25 ** np.arange(1, 12)])
        steps = steps[steps > 1e-7 * near]
    return _from_steps(line, here, noise, steps, wide)


def complex_slope(line: Callable[[complex], np.ndarray], scale: float) -> np.ndarray:
    """Slopes at 0 by a step along the imaginary axis: exact, for functions that take complex numbers as they are."""
    return line(1j * TINY * scale).imag / (TINY * scale)


def _from_steps(line: Line, here: np.ndarray, noise: np.ndarray, steps: np.ndarray, scale: float) -> Slope:
    up = np.array([line(h) for h in steps])
    down = np.array([line(-h) for h in steps])
    h = steps[:, None]
    independent = ((up == here) & (down == here)).all(axis=0) & (steps[0] > 0.01 * scale)
    rounding = np.where(independent, 0.0, 4 * noise / h)
    right, right_error = _extrapolated((up - here) / h, rounding, steps, 1)
    left, left_error = _extrapolated((here - down) / h, rounding, steps, 1)
    middle, error = _extrapolated((up - down) / (2 * h), rounding, steps, 2)

    size = np.fmax(np.abs(left), np.abs(right))
    reached = np.abs(np.where(np.isfinite(up), up, here)).max(initial=0.0)
    top = max(np.abs(middle).max(initial=0.0), reached / scale)

    def trusted(value: np.ndarray, error: np.ndarray, share: float) -> np.ndarray:
        return error <= share * np.fmax(np.abs(value), 1e-6 * top)

    on_left, on_right = trusted(left, left_error, 1e-3), trusted(right, right_error, 1e-3)
    alike = np.abs(right - left) <= 10 * (left_error + right_error) + SMALLEST_KINK * size
    smooth = alike & ((on_left == on_right) | trusted(middle, error, 1e-3)) & np.isfinite(left_error + right_error)
    left, right = np.where(on_left | ~on_right, left, right), np.where(on_right | ~on_left, right, left)
    side_error = np.fmax(np.where(on_left, left_error, 0.0), np.where(on_right, right_error, 0.0))
    low, high = np.where(smooth, middle, np.fmin(left, right)), np.where(smooth, middle, np.fmax(left, right))
    error = np.where(smooth, error, np.where(on_left | on_right, side_error, np.inf))
    hopeless = ~(error <= np.fmax(0.01 * np.fmax(-low, high), 1e-3 * top))
    return Slope(np.where(hopeless, 0.0, low), np.where(hopeless, 0.0, high), np.where(hopeless, np.inf, error))


def _extrapolated(
    quotients: np.ndarray, rounding: np.ndarray, steps: np.ndarray, power: int
) -> tuple[np.ndarray, np.ndarray]:
    """Difference quotients extrapolated to step 0 from each three neighbouring steps; the best, and its error.

    The error of a quotient is a series in ``steps**power``: power 1 for one-sided, 2 for central differences.
    """
    q = steps[0] / steps[1]
    once = quotients[1:] + np.diff(quotients, axis=0) / (q**power - 1)
    twice = once[1:] + np.diff(once, axis=0) / (q ** (2 * power) - 1)
    error = np.abs(np.diff(once, axis=0)) + rounding[2:]
    error = np.where(np.isfinite(error), error, np.inf)
    best = np.argmin(error, axis=0)[None]
    value = np.take_along_axis(twice, best, 0)[0]
    return np.where(np.isfinite(value), value, 0.0), np.take_along_axis(error, best, 0)[0]
