"""A function and inputs of which a gradient is to be checked: what is right there, and what is answered."""

import copy
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checking.call import TimeLimit, call
from autograder.checking.compare import TOLERANCE, agrees, is_single
from autograder.checking.exercise import Case
from autograder.checking.jacobian import Differentiator, Gradient, Jacobian, quiet
from autograder.checking.libraries import NumPy
from autograder.checking.score import Finding
from autograder.checking.words import listing

SECONDS = 0.3  # for the derivatives at the inputs
SECONDS_MORE = 0.2  # for those at other points, which only the diagnosis needs
MOST_UNITS = 6
RANDOM = ("random upstream", "a second random upstream", "a third random upstream")
NEARBY = "the inputs a little changed"
_DOUBLE = (
    "gradcheck: f raised this for inputs in double precision, to which yours were converted: to measure slopes takes "
    "all digits. Let its constants and parameters follow the precision of its inputs."
)


class Problem:
    """A function of which a gradient is to be checked, at some inputs.

    Attributes
    ----------
    here : the derivatives at the inputs; ``nearby`` are inputs a little beside them, or None.
    shapes, dtypes : of the function's results.
    moving, constants : positions of the inputs with a gradient, and of plain numbers that are given none.
    names, outputs, upstream : what the inputs, their gradients and the upstream gradient are called.
    scales : a power of ten for each entry of the results, for upstream gradients of which neither too large nor too
        small gradients come.
    faults : what was found about the function itself.
    """

    def __init__(self, f: Callable, vjp: Callable | None, library: NumPy, seed: int):
        self.f, self.vjp, self.library, self.seed = f, vjp, library, int(seed)
        self.inputs, self.moving = library.inputs, library.moving
        self.names = _names(f, vjp, len(self.inputs))
        self.f_name = f"`{name_of_function(f) or 'f'}`"
        self.first_upstream: np.ndarray | None = None
        self.faults = self._look_at_f()
        self.constants = self._left_constant()
        self.moving = [k for k in self.moving if k not in self.constants]
        self.outputs = tuple(f"d{self.names[k]}" for k in self.moving)
        self.upstream = _upstream_name(vjp, {*self.names, *self.outputs})
        self.answering = inspect.unwrap(vjp or getattr(getattr(f, "__self__", None), "backward", f))
        self.title = name_of_function(vjp or f) or name_of_function(f) or "gradcheck"
        self.signature = f"{name_of_function(vjp) or 'vjp'}({', '.join([self.upstream, *self.names])})"
        self.differentiator = Differentiator(
            self._forward, self.moving, np.random.default_rng([seed, 2]), not library.differentiates
        )
        self.jacobians: dict[bytes, Jacobian] = {}
        self.pullbacks: dict[tuple, list[Gradient]] = {}
        self.time_left = SECONDS
        self.here = self._jacobian((None, *self.inputs))
        used = SECONDS - self.time_left
        if all(np.isinf(error).any(axis=0).all() for error in self.here.error):
            raise ValueError(
                "gradcheck: f has no slope at these inputs that could be measured (jumps, infinite slopes, or values "
                "that are mostly rounding); choose others"
            )
        self.scales = self._upstream_scales()
        if not self.here.whole:
            self._search_all_entries()
        self.time_left = SECONDS_MORE
        self.nearby = self._inputs_nearby() if used < SECONDS_MORE / 2 else None

    # The function

    def _look_at_f(self) -> list[Finding]:
        """Call f as it is, and note the shapes and types of what it returns. An error of its own goes through."""
        given = copy.deepcopy(self.inputs)
        try:
            outputs = self.library.values(self.f, given)
        except Exception as error:
            error.add_note(
                _DOUBLE if self.library.single else "gradcheck: f itself raised this, at the inputs to check."
            )
            raise
        for a in outputs:
            if a.dtype.kind != "f":
                raise TypeError(
                    f"gradcheck: f must return floating-point numbers; it returned {kind_of(a)}. "
                    "If only a part of its results has gradients, check that part: lambda x: f(x)[0]."
                )
            if a.size == 0:
                raise ValueError("gradcheck: f returned an array without entries, so there is nothing to compare")
            if not np.isfinite(a).all():
                raise ValueError("gradcheck: f returns nan or inf at these inputs; choose others")
        self.shapes, self.dtypes = [a.shape for a in outputs], [a.dtype for a in outputs]
        with quiet():
            again = self.library.values(self.f, copy.deepcopy(self.inputs))
        if any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(outputs, again, strict=True)):
            raise ValueError(
                "gradcheck: f gave two results for the same inputs, so its slope can't be measured. If it draws random "
                "numbers, let it draw the same ones in each call, from a generator with a fixed seed made inside f."
            )
        changed = [f"`{self.names[k]}`" for k in self.moving if not np.array_equal(self.inputs[k], given[k])]
        if not changed:
            return []
        return [
            Finding(
                f"The function {self.f_name} itself changes its input {listing(changed)}.",
                "argument-changed",
                "an operation in place (`-=`, `*=`, `a[...] = …`) on an array that belongs to the caller.",
                "Copy first, or make a new array: `a = a * 2`, not `a *= 2`.",
            )
        ]

    def _left_constant(self) -> list[int]:
        """Plain numbers among arrays, such as an epsilon, for which no gradient is returned."""
        numbers = [k for k in self.moving if isinstance(self.inputs[k], float)]
        if not 0 < len(numbers) < len(self.moving):
            return []
        v = np.random.default_rng([self.seed, 5]).standard_normal(sum(int(np.prod(shape)) for shape in self.shapes))
        value = call(self._returned, (v, copy.deepcopy(self.inputs))).value
        several = isinstance(value, tuple | list)
        if several and len(value) == len(self.inputs):
            return [k for k in numbers if value[k] is None]
        return numbers if (len(value) if several else 1) == len(self.moving) - len(numbers) else []

    def _forward(self, inputs: Sequence) -> np.ndarray:
        outputs = self.library.values(self.f, [np.array(x) if isinstance(x, np.ndarray) else x for x in inputs])
        return np.concatenate([np.ravel(a) for a in outputs]) * 1.0

    def _split(self, v: np.ndarray) -> list[np.ndarray]:
        """An upstream gradient as an array for each output."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        parts = np.split(v.reshape(-1), ends[:-1])
        return [np.asarray(p.reshape(s), dtype) for p, s, dtype in zip(parts, self.shapes, self.dtypes, strict=True)]

    # What is right

    def _jacobian(self, args: tuple, also: Sequence[tuple[int, int]] = ()) -> Jacobian:
        """Derivatives at the inputs, or elsewhere while there is time for that and they are all there."""
        inputs = args[1:]
        key = repr(also).encode() + b"|".join(_key(x) for x in inputs)
        if key not in self.jacobians:
            first = not self.jacobians or also
            if self.time_left <= 0:
                raise TimeoutError
            start = time.perf_counter()
            found = self.differentiator.jacobian(inputs, self.time_left, also)
            self.time_left -= time.perf_counter() - start
            if not first and (found.unknown or not found.whole):
                raise TimeoutError
            self.jacobians[key] = found
        return self.jacobians[key]

    def gradients(self, args: tuple) -> list[Gradient]:
        here = all(x is y or np.array_equal(x, y) for x, y in zip(args[1:], self.inputs, strict=True))
        jacobian = self.here if here else self._jacobian(args)
        v = np.asarray(args[0], float).reshape(-1)
        key = (id(jacobian), v.tobytes())
        if key not in self.pullbacks:
            self.pullbacks[key] = jacobian.pullback(v)
        return self.pullbacks[key]

    def right(self, args: tuple) -> Any:
        values = [gradient.value for gradient in self.gradients(args)]
        return values[0] if len(values) == 1 else tuple(values)

    def _upstream_scales(self) -> np.ndarray:
        """For each output a power of ten, mostly 1, with which its gradients are neither tiny nor huge."""
        pairs = zip(self.here.high, self.here.scales, strict=True)
        effect = np.sqrt(sum(np.sum((high * scale) ** 2, axis=1) for high, scale in pairs)) + 1e-9 * self.here.sizes
        scales = np.ones_like(effect)
        for part, scale in zip(self._split(effect), self._split(scales), strict=True):
            size = float(np.sqrt(np.mean(part**2)))
            if size and not 1e-3 < size < 1e3:
                scale[...] = 10.0 ** -np.round(np.log10(size))
        return scales

    # What is answered

    def _returned(self, v: np.ndarray, inputs: Sequence) -> Any:
        """What comes back for an upstream gradient."""
        if self.first_upstream is None:
            self.first_upstream = np.array(v, float).reshape(-1)
        if self.vjp is not None:
            with quiet():  # a layer that keeps something for its backward pass now has what belongs to it
                self.library.values(self.f, copy.deepcopy(inputs))
        return self.library.gradients(self.f, self.vjp, self._split(v), inputs)

    def answer(self, args: tuple) -> Any:
        """The gradient, or a tuple of gradients, of the inputs that move."""
        value = self._returned(args[0], args[1:])
        if isinstance(value, list) and not any(item is None or isinstance(item, np.ndarray) for item in value):
            return value  # an array, written as a list
        if not isinstance(value, tuple | list):
            return value
        if len(value) == len(self.inputs):
            value = [value[k] for k in self.moving]
        return value[0] if len(value) == len(self.moving) == 1 else tuple(value)

    def answers(self, *args: Any) -> Any:
        """What was answered, with the differences taken away that mean nothing."""
        answer, gradients = self.answer(args), self.gradients(args)
        parts = answer if isinstance(answer, tuple) else (answer,)
        if len(parts) != len(gradients):
            return answer
        agreed = tuple(settled(part, gradient) for part, gradient in zip(parts, gradients, strict=True))
        return agreed if isinstance(answer, tuple) else agreed[0]

    def adapt(self, function: Callable) -> Callable:
        """A function of the exercise: the one to check gives :meth:`answers`."""
        return (lambda *args: self.answers(*args)) if function is self.answering else function

    # The cases

    def cases(self, rng: np.random.Generator) -> list[Case]:
        size = self.scales.size
        drawn = [self.as_output(self.scales * rng.standard_normal(size)) for _ in RANDOM]
        cases = [Case(name, (v, *self.inputs)) for name, v in zip(RANDOM, drawn, strict=True)]
        if self.nearby is not None:
            cases.insert(1, Case(NEARBY, (drawn[0], *self.nearby)))
        if size > 1 and self.here.whole:
            for j in range(size) if size <= MOST_UNITS else np.sort(rng.choice(size, MOST_UNITS, replace=False)):
                v = self.as_output(self.scales * (np.arange(size) == j))
                place = ", ".join(map(str, np.unravel_index(j, v.shape)))
                cases.append(Case(f"upstream {self.scales[j]:g} at [{place}], else 0", (v, *self.inputs)))
        return cases

    def as_output(self, v: np.ndarray) -> np.ndarray:
        return v.reshape(self.shapes[0]) if len(self.shapes) == 1 else v

    def _inputs_nearby(self) -> tuple | None:
        """The inputs times 0.93 or so, or 1.07, if f and the gradient can take them: what is right by chance shows."""
        if not self.here.whole:
            return None
        rng = np.random.default_rng([self.seed, 4])
        for sign in (-1, 1):
            inputs = list(self.inputs)
            for k in self.moving:
                x = inputs[k] * (1 + sign * (0.07 + 0.01 * (k % 3)))
                inputs[k] = x if np.any(x) else x + sign * rng.uniform(0.02, 0.07, np.shape(x))
            args = (self.as_output(self.scales * rng.standard_normal(self.scales.size)), *inputs)
            if call(self.gradients, (args,)).error is not None:
                continue
            error = call(self.answer, (args,)).error
            if error is None:
                return tuple(inputs)
            if isinstance(error, TimeLimit):
                break
        return None

    def _search_all_entries(self) -> None:
        """Of inputs that are too large, look for entries that disagree, and have those compared."""
        rng = np.random.default_rng([self.seed, 3])
        found = []
        for _ in range(2):
            v = self.as_output(self.scales * rng.standard_normal(self.scales.size))
            outcome = call(self.answer, ((v, *copy.deepcopy(self.inputs)),))
            answer = outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)
            fits = [isinstance(a, np.ndarray) and a.shape == s for a, s in zip(answer, self.here.shapes, strict=False)]
            if outcome.error is not None or len(answer) != len(self.moving) or not all(fits):
                return  # another fault, which the check will find
            if (entry := self.differentiator.suspect(self.inputs, v.reshape(-1), list(answer))) is not None:
                found.append(entry)
        if found:
            self.time_left = SECONDS
            self.here = self._jacobian((None, *self.inputs), found)


def settled(part: Any, gradient: Gradient) -> Any:
    """One answer, with the entries that agree, or can't be compared, set to what is expected."""
    right = gradient.value
    if part is None and gradient.compared.all() and not right.any():
        return np.zeros_like(right)  # no gradient flows there, and it is said so
    a = np.asarray(part) if isinstance(part, np.ndarray | np.generic | float | int | list) else None
    if a is None or a.shape != right.shape or a.dtype.kind not in "fiu":
        return part
    low, high = gradient.low, gradient.high
    if is_single(a):
        slack = TOLERANCE["float32"] * np.fmax(np.abs(right), np.sqrt(np.mean(right**2)))
        low, high = np.fmin(low, right - slack), np.fmax(high, right + slack)
    near = (a >= low) & (a <= high)
    free = ~gradient.known | (~gradient.compared & np.isfinite(a))
    if not (free | (near & ~agrees(a, right))).any():
        return part
    return np.where(free | near, right, a)


def _key(x: Any) -> bytes:
    if isinstance(x, float) or (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
        return np.asarray(x, np.float32).tobytes()  # what was rounded to single precision is the same point
    return x.tobytes() if isinstance(x, np.ndarray) else b""


def _names(f: Callable, vjp: Callable | None, count: int) -> list[str]:
    """Names of the inputs: those of the parameters of f, or of the vjp's from the second on."""
    forward = getattr(getattr(f, "__self__", None), "forward", None)  # of a torch.autograd.Function
    for function, leave_out in ((f, 0), (forward, 0), (forward, 1), (vjp, 1)):
        try:
            parameters = list(inspect.signature(function).parameters.values())[leave_out:]
        except (TypeError, ValueError):
            continue
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if len(names) >= count and names[0] != "ctx":
            return names[:count]
    return ["x"] if count == 1 else [f"x{k}" for k in range(count)]


def _upstream_name(vjp: Callable | None, taken: set[str]) -> str:
    try:
        name = next(iter(inspect.signature(vjp).parameters)) if vjp else "upstream"
    except (TypeError, ValueError, StopIteration):
        name = "upstream"
    return "upstream" if name in taken or name in ("args", "_") else name


def name_of_function(f: Any) -> str:
    """What a function is called; empty for a lambda."""
    owner = getattr(f, "__self__", None)
    if inspect.isclass(owner):
        return owner.__name__  # a torch.autograd.Function's apply
    name = getattr(f, "__name__", None) or type(f).__name__
    return name if str(name).isidentifier() else ""


def kind_of(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
