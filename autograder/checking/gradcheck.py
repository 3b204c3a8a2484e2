"""A gradient check for anyone's code: the exercises' contract, verdict and diagnosis, with numbers for a reference."""

import copy
import inspect
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autograder.checking.call import TimeLimit, call
from autograder.checking.compare import TOLERANCE, agrees, cosine, is_single
from autograder.checking.exercise import Case, Exercise, Record
from autograder.checking.jacobian import RELATIVE, Differentiator, Gradient, Jacobian, quiet
from autograder.checking.libraries import NumPy, library_of
from autograder.checking.score import Finding, Score
from autograder.checking.structure import named_arrays
from autograder.checking.words import difference, listing

SECONDS = 0.3  # for the derivatives at the inputs
SECONDS_MORE = 0.2  # for those at other points, which only the diagnosis needs
MOST_UNITS = 6


class Verdict(Score):
    """The result of a gradient check. It is true if the gradients are right, and its ``repr`` says what is wrong."""

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return str(self)

    @property
    def _result(self) -> str:
        return "gradients right" if self.passed else "gradients not right"


def gradcheck(f: Callable, vjp: Callable | None, *inputs: Any, seed: int | None = None) -> Verdict:
    """Check a gradient that somebody wrote; in a notebook the result shows as a card.

    Every entry of every gradient is compared, for several upstream gradients, with derivatives of ``f`` itself: by
    complex step where ``f`` takes complex numbers, else by extrapolated differences. If a gradient is wrong, the
    result names the likely cause: a sign, a factor, the upstream gradient forgotten, a transpose, a sum over
    broadcast axes left out, two results swapped, …

    Parameters
    ----------
    f : a function of arrays that returns an array or a number, of any shape, or a tuple of them. It must give
        the same result for the same inputs.
    vjp : its vector-Jacobian product, ``vjp(upstream, *inputs)``. ``upstream`` has the shape of what ``f`` returns (a
        tuple if that is one). It returns the gradient of each floating-point input, in their order: an array
        of that input's shape, or a tuple if there are several. Inputs of other types (labels, sizes, names) are
        passed on; their places in the tuple are left out, or hold None.
        None for PyTorch and TensorFlow: then the framework is asked for the gradients.
    inputs : at which to check. NumPy arrays and floats; or tensors, of PyTorch or of TensorFlow. All are taken in
        double precision. If some PyTorch tensors require a gradient, only theirs are checked.
    seed : of the upstream gradients; a fresh one by default. The result shows it.

    Returns
    -------
    Verdict
        True if the gradients are right; ``findings`` and ``str`` say what is wrong and what to look at next.

    Raises
    ------
    TypeError, ValueError
        if nothing can be checked: no floating-point input, a function that draws random numbers, nan at these inputs.

    Examples
    --------
    A NumPy function and its vector-Jacobian product:

    >>> gradcheck(np.tanh, lambda v, x: v * (1 - np.tanh(x) ** 2), np.array([0.3, -1.2])).passed
    True

    A ``torch.autograd.Function``:

    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, upstream):
    ...         (x,) = ctx.saved_tensors
    ...         return upstream * 3 * x**2
    >>> assert gradcheck(Cube.apply, None, torch.tensor([0.5, -2.0]))

    A function with a custom gradient in TensorFlow:

    >>> @tf.custom_gradient
    ... def cube(x):
    ...     return x**3, lambda upstream: upstream * 3 * x**2
    >>> assert gradcheck(cube, None, tf.constant([0.5, -2.0]))
    """
    seed = secrets.randbelow(10**6) if seed is None else seed
    f, vjp, library = _accepted(f, vjp, inputs, seed)
    return _Check(f, vjp, library, seed).verdict()


def _accepted(f: Any, vjp: Any, inputs: Sequence, seed: Any) -> tuple[Callable, Callable | None, NumPy]:
    """The arguments, if they make sense."""
    if inspect.isclass(f) and hasattr(f, "apply"):
        f = f.apply  # a torch.autograd.Function
    if not callable(f):
        raise TypeError(f"gradcheck: expected a function first, got {_kind(f)}. Write gradcheck(f, vjp, x).")
    if vjp is not None and not callable(vjp):
        raise TypeError(
            f"gradcheck: expected the vector-Jacobian product second, got {_kind(vjp)}. Write gradcheck(f, vjp, x), or "
            "gradcheck(f, None, x) for PyTorch and TensorFlow, which know the gradient of f."
        )
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"gradcheck: seed must be a whole number from 0 on, got {seed!r}")
    for x in inputs:
        if isinstance(x, dict) or (isinstance(x, list) and any(isinstance(item, float | np.ndarray) for item in x)):
            raise TypeError(
                f"gradcheck: an input is {_kind(x)}; give each array as an input of its own, such as "
                "gradcheck(lambda W, b: f({'W': W, 'b': b}), vjp, W, b), and a list of numbers as np.array([…])"
            )
        if isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "c":
            raise TypeError("gradcheck: an input is complex; gradients are checked for real inputs only")
    library = library_of(inputs)
    if vjp is None and not library.differentiates:
        raise TypeError(
            "gradcheck: for NumPy the second argument must be the vector-Jacobian product, a function of the upstream "
            "gradient and the inputs; got None. (None is for tensors of PyTorch and TensorFlow.)"
        )
    if library.differentiates and any(isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in inputs):
        raise TypeError("gradcheck: an input is a NumPy array, another one a tensor; give all of them as tensors")
    if not library.moving:
        listed = ", ".join(_kind(x) for x in inputs) or "none at all"
        raise TypeError(
            f"gradcheck: there must be an input of floating-point numbers, and these are {listed}. Convert them, for "
            "example with x.astype(float)."
        )
    if any(np.size(library.inputs[k]) == 0 for k in library.moving):
        raise ValueError("gradcheck: an input has no entries, so there is nothing to compare")
    if not all(np.isfinite(library.inputs[k]).all() for k in library.moving):
        raise ValueError("gradcheck: an input holds nan or inf; choose inputs at which f has a slope")
    return f, vjp, library


@dataclass
class _ByNumbers(Exercise):
    """An exercise whose right answers are known by their numbers only: there is no formula to look into."""

    numbers: Callable[[tuple], Any] = lambda args: None
    records: list[Record] = field(default_factory=list)

    def right(self, args: tuple) -> Any:
        return self.numbers(args)

    def _run(self, f: Callable, cases: list[Case]) -> list[Record]:
        self.records = super()._run(f, cases)
        for record in self.records:
            record.intermediates = {}
        return self.records


def _no_formula(*args: Any) -> None:
    raise NotImplementedError


class _Check:
    """One check: what ``f`` is, what its gradients are, and what was answered."""

    def __init__(self, f: Callable, vjp: Callable | None, library: NumPy, seed: int):
        self.f, self.vjp, self.library, self.seed = f, vjp, library, int(seed)
        self.inputs, self.moving = library.inputs, library.moving
        self.names = _names(f, vjp, len(self.inputs))
        self.outputs = tuple(f"d{self.names[k]}" for k in self.moving)
        self.f_name = f"`{_name(f) or 'f'}`"
        self.upstream = _upstream_name(vjp, {*self.names, *self.outputs})
        self.answering = inspect.unwrap(vjp or getattr(getattr(f, "__self__", None), "backward", f))
        self.title = _name(vjp or f) or _name(f) or "gradcheck"
        self.signature = f"{_name(vjp) or 'vjp'}({', '.join([self.upstream, *self.names])})"
        self.faults = self._look_at_f()
        self.differentiator = Differentiator(
            self._forward, self.moving, np.random.default_rng([seed, 2]), not library.differentiates
        )
        self.first_upstream: np.ndarray | None = None
        self.jacobians: dict[bytes, Jacobian] = {}
        self.gradients: dict[tuple, list[Gradient]] = {}
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
        self.nearby = self._nearby() if used < SECONDS_MORE / 2 else None

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
                    f"gradcheck: f must return floating-point numbers; it returned {_kind(a)}. "
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
                "Copy first, or write it without `=`.",
            )
        ]

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

    def _gradients(self, args: tuple) -> list[Gradient]:
        here = all(x is y or np.array_equal(x, y) for x, y in zip(args[1:], self.inputs, strict=True))
        jacobian = self.here if here else self._jacobian(args)
        v = np.asarray(args[0], float).reshape(-1)
        key = (id(jacobian), v.tobytes())
        if key not in self.gradients:
            self.gradients[key] = jacobian.pullback(v)
        return self.gradients[key]

    def _right(self, args: tuple) -> Any:
        values = [gradient.value for gradient in self._gradients(args)]
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

    def _answer(self, args: tuple) -> Any:
        """The gradient, or a tuple of gradients, of the inputs that move."""
        if self.first_upstream is None:
            self.first_upstream = np.array(args[0], float).reshape(-1)
        if self.vjp is not None:
            with quiet():  # a layer that keeps something for its backward pass now has what belongs to it
                self.library.values(self.f, copy.deepcopy(args[1:]))
        value = self.library.gradients(self.f, self.vjp, self._split(args[0]), args[1:])
        if isinstance(value, list) and not any(item is None or isinstance(item, np.ndarray) for item in value):
            return value  # an array, written as a list
        if not isinstance(value, tuple | list):
            return value
        if len(value) == len(self.inputs):
            value = [value[k] for k in self.moving]
        return value[0] if len(value) == len(self.moving) == 1 else tuple(value)

    def _adapt(self, function: Callable) -> Callable:
        """What was answered, with the differences taken away that mean nothing."""
        if function is not self.answering:
            return function

        def answers(*args: Any) -> Any:
            answer, gradients = self._answer(args), self._gradients(args)
            parts = answer if isinstance(answer, tuple) else (answer,)
            if len(parts) != len(gradients):
                return answer
            settled = tuple(_settled(part, gradient) for part, gradient in zip(parts, gradients, strict=True))
            return settled if isinstance(answer, tuple) else settled[0]

        return answers

    # The cases

    def _cases(self, rng: np.random.Generator) -> list[Case]:
        size = self.scales.size
        drawn = [self._as_output(self.scales * rng.standard_normal(size)) for _ in RANDOM]
        cases = [Case(name, (v, *self.inputs)) for name, v in zip(RANDOM, drawn, strict=True)]
        if self.nearby is not None:
            cases.insert(1, Case(NEARBY, (drawn[0], *self.nearby)))
        if size > 1 and self.here.whole:
            for j in range(size) if size <= MOST_UNITS else np.sort(rng.choice(size, MOST_UNITS, replace=False)):
                v = self._as_output(self.scales * (np.arange(size) == j))
                place = ", ".join(map(str, np.unravel_index(j, v.shape)))
                cases.append(Case(f"upstream {self.scales[j]:g} at [{place}], else 0", (v, *self.inputs)))
        return cases

    def _as_output(self, v: np.ndarray) -> np.ndarray:
        return v.reshape(self.shapes[0]) if len(self.shapes) == 1 else v

    def _nearby(self) -> tuple | None:
        """The inputs times 0.93 or so, or 1.07, if f and the gradient can take them: what is right by chance shows."""
        if not self.here.whole:
            return None
        rng = np.random.default_rng([self.seed, 4])
        for sign in (-1, 1):
            inputs = list(self.inputs)
            for k in self.moving:
                x = inputs[k] * (1 + sign * (0.07 + 0.01 * (k % 3)))
                inputs[k] = x if np.any(x) else x + sign * rng.uniform(0.02, 0.07, np.shape(x))
            args = (self._as_output(self.scales * rng.standard_normal(self.scales.size)), *inputs)
            if call(self._gradients, (args,)).error is not None:
                continue
            error = call(self._answer, (args,)).error
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
            v = self._as_output(self.scales * rng.standard_normal(self.scales.size))
            outcome = call(self._answer, ((v, *copy.deepcopy(self.inputs)),))
            answer = outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)
            fits = [isinstance(a, np.ndarray) and a.shape == s for a, s in zip(answer, self.here.shapes, strict=False)]
            if outcome.error is not None or len(answer) != len(self.moving) or not all(fits):
                return  # another fault, which the check will find
            if (entry := self.differentiator.suspect(self.inputs, v.reshape(-1), list(answer))) is not None:
                found.append(entry)
        if found:
            self.time_left = SECONDS
            self.here = self._jacobian((None, *self.inputs), found)

    # The verdict

    def verdict(self) -> Verdict:
        exercise = _ByNumbers(
            name=self.title,
            chapter="",
            points=1.0,
            signature=self.signature,
            outputs=self.outputs,
            reference=_no_formula,
            make_cases=self._cases,
            upstream=self.upstream,
            may_alias=True,
            partial_credit=False,
            adapt=self._adapt,
            explain=self._few_entries,
            numbers=self._right,
        )
        score = exercise.check(self.answering, self.seed)
        if any(finding.cause == "endless" for finding in score.findings):
            what = score.findings[0].what
            raise TimeoutError(f"gradcheck: {what} If there is no loop without end in it, check smaller inputs.")
        findings = [finding for finding in score.findings if finding.cause != "global-variable"]
        if not score.passed and (found := self._recognised(exercise)) is not None:
            findings = [finding for finding in findings if finding.note or finding.cause in CONDUCT]
            findings.insert(0, found)
        findings = [self._in_words(finding) for finding in findings]
        findings = [*self.faults, *findings]
        right = all(finding.note for finding in findings)
        findings += self._notes() + (self._shared() if right else [])
        findings = [replace(finding, replay=f"gradcheck(…, seed={self.seed})") for finding in findings]
        return Verdict(self.title, float(right), 1.0, self.seed, self._summary(), findings)

    def _recognised(self, exercise: _ByNumbers) -> Finding | None:
        """Mistakes that gradients have and exercises seldom: looked for before what the ladder says counts."""
        records = exercise.records
        if any(record.call.error is not None or record.faults or not record.answer for record in records):
            return None
        wrong = exercise._wrong(records)
        bad = [name for name in wrong if wrong[name]]
        if not bad:
            return None
        if {case for name in bad for case in wrong[name]} == {NEARBY}:
            near = next(record for record in records if record.case.name == NEARBY)
            return Finding(
                difference(bad[0], near),
                "right-by-chance",
                "at the inputs that you gave it is right, and near by it is not: something is kept from an earlier "
                "call, or your inputs are special (ones, zeros, all equal), so that a mistake does not show.",
                "Check at random inputs.",
            )
        again = call(self._adapt(self.answering), copy.deepcopy(records[0].case.args)).value
        again = dict(zip(self.outputs, again if isinstance(again, tuple) else (again,), strict=False))
        if not all(_alike(again.get(name), a) for name, a in records[0].answer.items()):
            return Finding(
                "The same arguments gave another gradient when they came again.",
                "remembers",
                "something survives from one call to the next (a global variable, a mutable default argument, an "
                "accumulator), or a random number is drawn.",
                "Which variables of your function were not created inside it?",
            )
        for rung in (self._zeros, self._whole_jacobian, self._handed_on, self._without_upstream):
            if all((found := rung(name, records)) is not None for name in bad):
                return found
        return None

    def _zeros(self, name: str, records: list[Record]) -> Finding | None:
        if any(record.answer[name].any() for record in records):
            return None
        return Finding(
            f"`{name}` is zero everywhere.",
            "all-zeros",
            "the array that was prepared for the result was never filled, or everything was multiplied by 0.",
            "Follow one entry through your lines to the result: where does it become 0?",
        )

    def _whole_jacobian(self, name: str, records: list[Record]) -> Finding | None:
        k = self.outputs.index(name)
        jacobian, a = self.here.high[k], records[0].answer[name]
        if a.size != jacobian.size or a.shape == records[0].expected[name].shape or not self.here.whole:
            return None
        if not any(_alike(a.reshape(j.shape), j, 1e-5) for j in (jacobian, jacobian.T)):
            return None
        return Finding(
            difference(name, records[0]),
            "jacobian-returned",
            f"this is the whole Jacobian; it was not multiplied with `{self.upstream}`.",
            f"Which product of the Jacobian and `{self.upstream}` has one entry for each entry of "
            f"`{self.names[self.moving[k]]}`?",
        )

    def _without_upstream(self, name: str, records: list[Record]) -> Finding | None:
        answers = [record.answer[name] for record in records if record.case.name != NEARBY]
        if not all(np.isfinite(a).all() and _alike(a, answers[0]) for a in answers):
            return None
        kept = self.here.pullback(self.first_upstream)[self.outputs.index(name)].value
        if _alike(answers[0], kept, 1e-5):
            return Finding(
                f"`{name}` is the one for the first upstream gradient that your function got, whatever it gets now.",
                "remembers",
                f"`{self.upstream}`, or something made of it, is kept from the first call.",
                "Which variables of your function were not created inside it?",
            )
        return Finding(
            f"`{name}` does not depend on `{self.upstream}`: every upstream gradient gives the same answer.",
            "upstream-forgotten",
            f"the local derivative alone was returned; it was never combined with `{self.upstream}`.",
            "By the chain rule the answer is a product. One factor is the local derivative; which is the other?",
        )

    def _handed_on(self, name: str, records: list[Record]) -> Finding | None:
        inputs = [dict(named_arrays(record.case.args, (self.upstream, *self.names))) for record in records]
        for other in inputs[0]:
            if all(
                a.shape == record.expected[name].shape and _alike(a, arrays[other])
                for record, arrays in zip(records, inputs, strict=True)
                for a in [record.answer[name]]
            ):
                meant = self.names[self.moving[self.outputs.index(name)]]
                return Finding(
                    f"`{name}` is the argument `{other}`, unchanged.",
                    "input-returned",
                    "the step that this function stands for has not been taken.",
                    f"Nudge one entry of `{meant}`: by what factor does the result follow?",
                )
        return None

    def _few_entries(self, f: Callable) -> Finding | None:
        """Are nearly all entries right, and the same few wrong for different upstream gradients?"""
        wrong = []
        for case in [case for case in self._cases(np.random.default_rng(self.seed)) if case.name in RANDOM][:2]:
            answer = call(self._adapt(f), copy.deepcopy(case.args)).value
            parts = answer if isinstance(answer, tuple) else (answer,)
            right = [gradient.value for gradient in self._gradients(case.args)]
            if len(parts) != len(right) or any(np.shape(a) != r.shape for a, r in zip(parts, right, strict=True)):
                return None
            parts = [np.asarray(a, float) for a in parts]
            wrong.append([~agrees(a, r) for a, r in zip(parts, right, strict=True)])
        bad = [name for name, mask in zip(self.outputs, wrong[0], strict=True) if mask.any()]
        if len(bad) != 1 or any(not np.array_equal(a, b) for a, b in zip(*wrong, strict=True)):
            return None
        k = self.outputs.index(bad[0])
        mask, a, r, compared = wrong[0][k], parts[k], right[k], int(self._gradients(case.args)[k].compared.sum())
        if mask.sum() > max(1, 0.05 * compared) or compared < 4:
            return None
        index = np.unravel_index(int(np.argmax(np.where(mask, np.abs(a - r), 0))), r.shape)
        entry = f"`{bad[0]}[{', '.join(map(str, index))}]`"
        only = "only this entry is wrong" if mask.sum() == 1 else f"only {mask.sum()} entries are wrong"
        return Finding(
            f"{entry} should be {r[index]:.6g} and is {a[index]:.6g}. Of the {compared} that were compared {only}; the "
            f"cosine between your gradient and the right one is {cosine(np.where(compared, a, 0), r):.6f}.",
            "few-entries",
            "the formula is right, and something is done to these entries alone: an index, a border, a mask.",
            "What is special about this entry: its place, or its value?",
        )

    def _in_words(self, finding: Finding) -> Finding:
        """A finding of the ladder, said for one set of inputs."""
        if finding.cause == "returned-none":
            leave_out = "An input that needs no gradient can be left out of the check: `lambda x: f(x, c)`."
            if self.library.differentiates:
                return replace(
                    finding,
                    what=finding.what.replace("The function returned", "The gradient found is"),
                    likely="no way leads back from the result to that input.",
                    next_step=f"{_CUT} {leave_out}",
                )
            return replace(finding, next_step=f"{finding.next_step} {leave_out}".strip())
        if finding.cause == "raised" and "does not require grad" in finding.what:
            return replace(finding, likely="no way leads back from the result to the inputs.", next_step=_CUT)
        if finding.cause == "argument-changed" and self.library.differentiates:
            return replace(finding, next_step=finding.next_step.replace(".copy()", ".clone()"))
        if finding.cause == "constant-factor" and (found := re.search(r"exactly (\S+) × expected", finding.what)):
            factor = abs(_number(found[1]))
            arrays = [*zip(self._moving_names(), self.here.shapes, strict=True), ("the result", self.shapes[0])]
            lengths = [
                (n, f"the length of axis {axis} of {name}") for name, shape in arrays for axis, n in enumerate(shape)
            ]
            lengths += [(int(np.prod(shape)), f"the number of entries of {name}") for name, shape in arrays]
            for n, what in lengths:
                if n > 1 and np.isclose([factor, factor], [n, 1 / n], rtol=1e-5).any():
                    step = f"{n} is also {what}: does a sum stand where a mean belongs, or a mean for a sum?"
                    return replace(finding, next_step=step)
        return finding

    def _moving_names(self) -> list[str]:
        return [f"`{self.names[k]}`" for k in self.moving]

    def _notes(self) -> list[Finding]:
        """Remarks on what was and was not compared."""
        notes = []
        if self.library.single:
            given = listing([f"`{self.names[k]}`" for k in self.library.single])
            notes.append(f"{given} came in single precision and {_were(self.library.single)} checked in double.")
        if self.here.kinks:
            notes.append(
                f"At {_entries(self.here.kinks)} of the inputs {self.f_name} has a kink: anything between its slopes "
                "on the left and on the right is accepted there."
            )
        if self.here.unknown:
            notes.append(
                f"For {_entries(self.here.unknown)} of the inputs {self.f_name} has no slope that could be measured "
                "(a jump, an infinite slope, or values that are mostly rounding): nothing was compared there."
            )
        if not self.here.whole:
            some, all_ = sum(map(len, self.here.columns)), sum(int(np.prod(s)) for s in self.here.shapes)
            notes.append(
                f"{some:,} of {all_:,} entries were compared one by one, and all of them together along random "
                "directions. With smaller inputs the check is complete."
            )
        digits = self._digits()
        if digits < 4:
            notes.append(
                f"The values of {self.f_name} are rough, so that gradients could be compared to about {digits} "
                f"digit{'s' if digits > 1 else ''} only. Does it compute in single precision?"
            )
        return [Finding(text, note=True) for text in notes]

    def _digits(self) -> int:
        """To how many digits the largest entries can be compared."""
        worst = 0.0
        for slopes, error, scale in zip(self.here.high, self.here.error, self.here.scales, strict=True):
            large = np.abs(slopes) > np.fmax(0.5 * np.abs(slopes).max(), 1e-6 * self.here.sizes[:, None] / scale)
            worst = max(
                worst, float((10 * error[large] / np.abs(slopes[large])).min(initial=1.0)) if large.any() else 0.0
            )
        return int(-np.log10(max(worst, RELATIVE)))

    def _shared(self) -> list[Finding]:
        """NumPy results that share memory with what came in: fine, unless somebody changes one of them in place."""
        if self.library.differentiates:
            return []
        args = copy.deepcopy((self._as_output(self.scales), *self.inputs))
        answer = call(self._answer, (args,)).value
        named = [(name, a) for name, a in zip([self.upstream, *self.names], args, strict=True)]
        for name, a in zip(self.outputs, answer if isinstance(answer, tuple) else (answer,), strict=False):
            for other, b in named:
                if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.shares_memory(a, b):
                    what = f"`{name}` shares its memory with `{other}`: whoever changes one in place changes the other."
                    return [Finding(what, "shared-memory", note=True)]
            named.append((name, a))
        return []

    def _summary(self) -> str:
        way = "a complex step" if self.differentiator.complexes else "extrapolated differences"
        sizes = [
            f"{sum(1 for _ in columns)} of {name}"
            for name, columns in zip(self._moving_names(), self.here.columns, strict=True)
        ]
        return f"Compared with derivatives by {way}, entry by entry ({listing(sizes)}); seed {self.seed}.".replace(
            "`", ""
        )


RANDOM = ("random upstream", "a second random upstream", "a third random upstream")
NEARBY = "the inputs a little changed"
CONDUCT = {"argument-changed", "endless"}
_CUT = "Is the way cut: by `detach`, `item`, `numpy`, `no_grad`, `stop_gradient`, or a new tensor made of values?"
_DOUBLE = (
    "gradcheck: f raised this for inputs in double precision, to which yours were converted: to measure slopes takes "
    "all digits. Let its constants and parameters follow the precision of its inputs."
)


def _alike(a: Any, b: Any, rtol: float = 1e-9) -> bool:
    """Whether two arrays agree, by the larger of their entries."""
    if a is None or b is None or np.shape(a) != np.shape(b):
        return False
    a, b = np.asarray(a, float), np.asarray(b, float)
    with np.errstate(all="ignore"):
        return bool((np.abs(a - b) <= rtol * np.abs(b).max(initial=0.0)).all()) or np.array_equal(a, b, equal_nan=True)


def _settled(part: Any, gradient: Gradient) -> Any:
    """One answer, with the entries that agree, or can't be compared, set to what is expected."""
    right = gradient.value
    if part is None and gradient.compared.all() and not right.any():
        return np.zeros_like(right)  # no gradient flows there, and it is said so
    a = np.asarray(part) if isinstance(part, np.ndarray | np.generic | float | list) else None
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


def _name(f: Any) -> str:
    """What a function is called; empty for a lambda."""
    owner = getattr(f, "__self__", None)
    if inspect.isclass(owner):
        return owner.__name__  # a torch.autograd.Function's apply
    name = getattr(f, "__name__", None) or type(f).__name__
    return name if str(name).isidentifier() else ""


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _number(text: str) -> float:
    text = text.replace("−", "-")
    return {"½": 0.5, "-½": -0.5, "¼": 0.25}.get(text) or float(text)


def _entries(count: int) -> str:
    return "one entry" if count == 1 else f"{count} entries"


def _were(items: Sequence) -> str:
    return "was" if len(items) == 1 else "were"
