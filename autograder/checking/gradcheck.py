"""A gradient check for anyone's code: the exercises' contract, verdict and diagnosis, with numbers for a reference."""

import functools
import inspect
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autograder.checking.exercise import Case, Exercise, Record
from autograder.checking.libraries import NumPy, library_of
from autograder.checking.problem import Problem, kind_of
from autograder.checking.recognition import few_entries, in_words, recognised, remarks, shared_memory, summary
from autograder.checking.score import Score


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
        passed on; their places in the tuple are left out, or hold None. So are plain numbers beside arrays, if no
        gradient of them is returned. The backward method of a layer that keeps its inputs may take ``upstream`` alone.
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
    problem = Problem(f, vjp, library, seed)
    exercise = _ByNumbers(
        name=problem.title,
        chapter="",
        points=1.0,
        signature=problem.signature,
        outputs=problem.outputs,
        reference=_no_formula,
        make_cases=problem.cases,
        upstream=problem.upstream,
        may_alias=True,
        partial_credit=False,
        adapt=problem.adapt,
        explain=lambda _: few_entries(problem),
        numbers=problem.right,
    )
    return _verdict(problem, exercise, exercise.check(problem.answering, problem.seed))


def _verdict(problem: Problem, exercise: "_ByNumbers", score: Score) -> Verdict:
    """What the exercise's check found, in the words of a gradient check."""
    if any(finding.cause == "endless" for finding in score.findings):
        what = score.findings[0].what
        raise TimeoutError(f"gradcheck: {what} If there is no loop without end in it, check smaller inputs.")
    findings = [finding for finding in score.findings if finding.cause != "global-variable"]
    if not score.passed and (found := recognised(problem, exercise, exercise.records)) is not None:
        findings = [found, *(finding for finding in findings if finding.note or finding.cause == "argument-changed")]
    findings = [*problem.faults, *(in_words(problem, finding) for finding in findings)]
    right = all(finding.note for finding in findings)
    findings += remarks(problem) + (shared_memory(problem) if right else [])
    findings = [replace(finding, replay=f"gradcheck(…, seed={problem.seed})") for finding in findings]
    return Verdict(problem.title, float(right), 1.0, problem.seed, summary(problem), findings)


def _accepted(f: Any, vjp: Any, inputs: Sequence, seed: Any) -> tuple[Callable, Callable | None, NumPy]:
    """The arguments, if they make sense."""
    if inspect.isclass(f) and hasattr(f, "apply"):
        f = f.apply  # a torch.autograd.Function
    vjp = _of_upstream_alone(vjp)
    if not callable(f):
        raise TypeError(f"gradcheck: expected a function first, got {kind_of(f)}. Write gradcheck(f, vjp, x).")
    if vjp is not None and not callable(vjp):
        raise TypeError(
            f"gradcheck: expected the vector-Jacobian product second, got {kind_of(vjp)}. Write gradcheck(f, vjp, x), "
            "or gradcheck(f, None, x) for PyTorch and TensorFlow, which know the gradient of f."
        )
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"gradcheck: seed must be a whole number from 0 on, got {seed!r}")
    for x in inputs:
        if isinstance(x, dict) or (isinstance(x, list) and any(isinstance(item, float | np.ndarray) for item in x)):
            raise TypeError(
                f"gradcheck: an input is {kind_of(x)}; give each array as an input of its own, such as "
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
        listed = ", ".join(kind_of(x) for x in inputs) or "none at all"
        raise TypeError(
            f"gradcheck: there must be an input of floating-point numbers, and these are {listed}. Convert them, for "
            "example with x.astype(float)."
        )
    if any(np.size(library.inputs[k]) == 0 for k in library.moving):
        raise ValueError("gradcheck: an input has no entries, so there is nothing to compare")
    if not all(np.isfinite(library.inputs[k]).all() for k in library.moving):
        raise ValueError("gradcheck: an input holds nan or inf; choose inputs at which f has a slope")
    return f, vjp, library


def _of_upstream_alone(vjp: Any) -> Any:
    """Give a layer's ``backward(self, upstream)``, which keeps its inputs, the signature of a vjp."""
    if not inspect.ismethod(vjp):
        return vjp
    kinds = [p.kind for p in inspect.signature(vjp).parameters.values() if p.default is p.empty]
    if len(kinds) != 1 or kinds[0] == inspect.Parameter.VAR_POSITIONAL:
        return vjp

    @functools.wraps(vjp)
    def backward(upstream: Any, *inputs: Any) -> Any:
        return vjp(upstream)

    return backward


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
