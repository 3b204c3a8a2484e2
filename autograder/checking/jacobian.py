"""The derivatives of a function of several arrays, found by numbers alone, and what they say of a gradient."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO

import numpy as np

from autograder.checking.differences import Slope, complex_slope, noise, slope

Forward = Callable[[Sequence], np.ndarray]  # all outputs of the function as one axis, in double precision or complex

MOST_ENTRIES = 1_000_000  # of a Jacobian; beyond that, or if it would take too long, only a part of its columns
RELATIVE = 1e-6  # a gradient that differs by less, relative to its size, is right
ROUNDING = 1e-12  # relative to the sizes of the terms that add up to it


@dataclass(frozen=True)
class Gradient:
    """The right gradient with respect to one input: what is expected, and the range in which an answer is right.

    ``known`` is False where no derivative could be measured, ``compared`` where none was.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    known: np.ndarray
    compared: np.ndarray


@dataclass
class Jacobian:
    """Slopes of m outputs for each input: arrays of shape ``(m, len(columns))``, for the entries in ``columns``.

    ``scales`` are the sizes of the inputs, ``sizes`` those of the outputs.
    """

    shapes: list[tuple[int, ...]]
    scales: list[float]
    sizes: np.ndarray
    columns: list[np.ndarray]
    low: list[np.ndarray] = field(default_factory=list)
    high: list[np.ndarray] = field(default_factory=list)
    error: list[np.ndarray] = field(default_factory=list)

    def pullback(self, v: np.ndarray) -> list[Gradient]:
        """The gradients for an upstream gradient ``v`` of shape ``(m,)``."""
        terms = [
            np.abs(v) @ (np.abs(high) if low is high else np.fmax(-low, high))
            for low, high in zip(self.low, self.high, strict=True)
        ]
        largest = max((scale * _rms(term) for scale, term in zip(self.scales, terms, strict=True)), default=0.0)
        found = []
        for k, term in enumerate(terms):
            low, high, error = self.low[k], self.high[k], self.error[k]
            value, half, known = v @ high, 0.0, np.ones(len(term), bool)
            rounding = ROUNDING * term + 0.1 * ROUNDING * (largest + np.abs(v) @ self.sizes) / self.scales[k]
            slack = rounding
            if low is not high:
                value, half = v @ ((low + high) / 2), np.abs(v) @ ((high - low) / 2)
                known = np.isfinite(error).all(axis=0)
                slack = slack + 10 * (np.abs(v) @ np.where(np.isfinite(error), error, 0.0))
            lowest, highest = value - half, value + half
            value[(lowest <= rounding) & (highest >= -rounding) | ~known] = 0.0  # at a kink, too, most people choose 0
            slack = slack + RELATIVE * np.fmax(np.abs(value), _rms(value))
            found.append(self._spread(k, value, lowest - slack, highest + slack, known))
        return found

    def _spread(self, k: int, *parts: np.ndarray) -> Gradient:
        """From the columns that there are to the whole input."""
        size = int(np.prod(self.shapes[k]))
        whole = [np.zeros(size), np.zeros(size), np.zeros(size), np.ones(size, bool), np.zeros(size, bool)]
        for array, part in zip(whole, (*parts, True), strict=True):
            array[self.columns[k]] = part
        return Gradient(*(array.reshape(self.shapes[k]) for array in whole))

    @property
    def unknown(self) -> int:
        return sum(int((~np.isfinite(error).all(axis=0)).sum()) for error in self.error)

    @property
    def kinks(self) -> int:
        return sum(int((low != high).any(axis=0).sum()) for low, high in zip(self.low, self.high, strict=True))

    @property
    def whole(self) -> bool:
        return all(len(c) == int(np.prod(s)) for c, s in zip(self.columns, self.shapes, strict=True))


class Differentiator:
    """Finds Jacobians of a function at one point after the other.

    Parameters
    ----------
    forward : the function; it gets the inputs in a list.
    moving : positions of the inputs to differentiate by.
    rng : draws directions, and entries if there are too many.
    complexes : whether steps along the imaginary axis may be tried.
    """

    def __init__(self, forward: Forward, moving: list[int], rng: np.random.Generator, complexes: bool):
        self.forward, self.moving, self.rng, self.complexes = forward, moving, rng, complexes

    def jacobian(self, inputs: Sequence, seconds: float, also: Sequence[tuple[int, int]] = ()) -> Jacobian:
        """The Jacobian at a point.

        Parameters
        ----------
        inputs : the point.
        seconds : for all; if they are not enough for every entry, a random part of the entries is taken.
        also : (input, entry) that belong to that part in any case.
        """
        with quiet():
            line = _Lines(self.forward, inputs, self.moving)
            by_complex_step = self.complexes and self._takes_complex(line)
            self.complexes = by_complex_step
            each = np.inf
            for _ in range(2):
                start = time.perf_counter()
                trial = line.slope(*self._any_entry(line), by_complex_step)
                each = min(each, time.perf_counter() - start)
            m, n = len(trial.low), sum(line.sizes)
            room = int(min(MOST_ENTRIES / max(m, 1), max(seconds / each, 12)))
            columns = [np.arange(size) for size in line.sizes]
            if n > room:
                columns = self._sample(line, max(room // len(self.moving), 8), also)
            found = Jacobian(line.shapes, line.scales, line.size, columns)
            for k, entries in enumerate(columns):
                slopes = [line.slope(k, int(entry), by_complex_step) for entry in entries]
                high = np.array([s.high for s in slopes]).T.reshape(m, len(entries))
                error = np.array([s.error for s in slopes]).T.reshape(m, len(entries))
                exact = by_complex_step and np.isfinite(high).all()
                found.high.append(high)
                found.low.append(high if exact else np.array([s.low for s in slopes]).T.reshape(m, len(entries)))
                found.error.append(error)
            return found

    def suspect(self, inputs: Sequence, v: np.ndarray, gradients: list[np.ndarray]) -> tuple[int, int] | None:
        """For large inputs: an entry (input, position) that disagrees with slopes in random directions, if any does.

        A direction moves all entries, so that each of them counts. If the slope is not what the gradients say, the
        stretch of entries that moves is halved until one entry is left.
        """
        with quiet():
            line = _Lines(self.forward, inputs, self.moving)
            said = np.concatenate([g.reshape(-1) for g in gradients])
            near = np.concatenate(line.near)
            for _ in range(3):
                direction = near * self.rng.standard_normal(near.size)
                first, last = 0, near.size
                if not self._off(line, v, said, direction, first, last):
                    continue
                while last - first > 1:
                    middle = (first + last) // 2
                    if self._off(line, v, said, direction, first, middle):
                        last = middle
                    else:
                        first = middle
                k = int(np.searchsorted(np.cumsum(line.sizes), first, side="right"))
                return k, first - sum(line.sizes[:k])
        return None

    def _off(
        self, line: "_Lines", v: np.ndarray, said: np.ndarray, direction: np.ndarray, first: int, last: int
    ) -> bool:
        """Whether the slope is not the one that the gradients say, if the entries from first to last move."""
        moved = np.zeros_like(direction)
        moved[first:last] = direction[first:last]
        terms = said * moved
        found = line.along(np.split(moved, np.cumsum(line.sizes)[:-1]), self.complexes)
        slack = np.abs(v) @ (10 * found.error + (found.high - found.low) / 2)
        slack += RELATIVE * np.linalg.norm(terms) + ROUNDING * (np.abs(v) @ np.abs(found.high))
        return bool(abs(v @ ((found.low + found.high) / 2) - terms.sum()) > slack)

    def _takes_complex(self, line: "_Lines") -> bool:
        """Whether a step along the imaginary axis gives the slopes that differences give, for each input.

        Absolute values, comparisons, conversions and conjugates break it, often without an error.
        """
        for k, size in enumerate(line.sizes):
            direction = [np.zeros(s) for s in line.sizes]
            direction[k] = line.near[k] * self.rng.standard_normal(size)
            try:
                exact = line.along(direction, True).high
            except Exception:  # it does not take complex numbers
                return False
            found = line.along(direction, False)
            close = np.abs(exact - found.high) <= 10 * found.error + 1e-6 * np.abs(found.high).max(initial=0.0)
            if not (found.smooth and np.isfinite(exact).all() and close.all()):
                return False
        return True

    def _any_entry(self, line: "_Lines") -> tuple[int, int]:
        k = int(np.argmax(line.sizes))
        return k, line.sizes[k] // 2

    def _sample(self, line: "_Lines", room: int, also: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        columns = []
        for k, size in enumerate(line.sizes):
            chosen = self.rng.choice(size, min(size, room), replace=False)
            columns.append(np.unique(np.concatenate([chosen, [e for j, e in also if j == k]]).astype(int)))
        return columns


class _Lines:
    """The function along lines through one point."""

    def __init__(self, forward: Forward, inputs: Sequence, moving: list[int]):
        self.forward, self.inputs, self.moving = forward, list(inputs), moving
        arrays = [np.asarray(inputs[k], float) for k in moving]
        self.shapes, self.sizes = [a.shape for a in arrays], [a.size for a in arrays]
        self.scales = [_rms(a) or 1.0 for a in arrays]
        # A number among much larger ones is moved in proportion to them, unless it is tiny.
        self.near = [
            np.fmax(np.abs(a), 1e-3 * scale if scale < 1e3 * np.median(np.abs(a)) else 0.0).reshape(-1)
            for a, scale in zip(arrays, self.scales, strict=True)
        ]
        for near, scale in zip(self.near, self.scales, strict=True):
            near[near == 0] = scale
        self.here = forward(self.inputs)
        tilt = [near * np.random.default_rng(0).uniform(0.5, 1, near.size) for near in self.near]
        self.noise = noise(lambda t: self.at([t * d for d in tilt]))
        around = [self.at([t * d for d in tilt]) for t in (-0.1, 0.1)]
        self.size = np.fmax(np.abs(self.here), np.nan_to_num(np.abs(around), posinf=0.0).max(axis=0))

    def at(self, moved: list[np.ndarray]) -> np.ndarray:
        """The outputs at the point plus a displacement of each input."""
        there = list(self.inputs)
        for k, shape, step in zip(self.moving, self.shapes, moved, strict=True):
            there[k] = _plus(there[k], step.reshape(shape))
        return self._outputs(there)

    def slope(self, k: int, entry: int, by_complex_step: bool) -> Slope:
        """Slopes of all outputs when one entry of one input moves."""
        position, near = self.moving[k], float(self.near[k][entry])

        def line(t: complex) -> np.ndarray:
            there = list(self.inputs)
            x = np.array(there[position], dtype=type(t))
            x.flat[entry] += t
            there[position] = x if isinstance(there[position], np.ndarray) else x[()]
            return self._outputs(there)

        return self._along(line, near, max(near, self.scales[k]), by_complex_step)

    def along(self, direction: list[np.ndarray], by_complex_step: bool) -> Slope:
        """Slopes of all outputs when all inputs move."""
        return self._along(lambda t: self.at([t * d for d in direction]), 1.0, 1.0, by_complex_step)

    def _along(self, line: Callable, near: float, wide: float, by_complex_step: bool) -> Slope:
        if not by_complex_step:
            return slope(line, self.here, self.noise, near, wide)
        exact = complex_slope(line, near)
        return Slope(exact, exact, np.where(np.isfinite(exact), 0.0, np.inf))

    def _outputs(self, there: list) -> np.ndarray:
        try:
            outputs = self.forward(there)
        except Exception:
            if any(np.iscomplexobj(x) for x in there):
                raise
            outputs = None  # outside the function's domain
        return outputs if outputs is not None and outputs.shape == self.here.shape else np.full_like(self.here, np.nan)


def _plus(x: np.ndarray | float, step: np.ndarray) -> np.ndarray | float:
    moved = x + step
    return moved if isinstance(x, np.ndarray) else moved[()]


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a)))) if a.size else 0.0


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that a function prints or warns of, when it is called thousands of times."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield
