"""Chapter 13, TensorFlow: what published tutorials get wrong, mended. What needs TensorFlow: `…_answers.py`.

The contracts. All numbers are float64, unless a learner wants another precision.

``fix_tape_loop(model, loss_fn, batches, lr)``
    One pass of plain SGD over ``batches``, a list of pairs (X, y) of tensors: one step of the learning rate ``lr`` for
    each. ``model`` is a Keras model, of which the trainable variables are moved and the frozen ones are not;
    ``loss_fn(y_true, y_pred)`` takes its predictions and returns one number, as a tensor. Returns a list of Python
    floats: the loss of each batch, from before its step.
``fix_loss_family(labels, logits)``
    ``logits`` are a tensor ``(N, C)``, ``labels`` one of integers ``(N,)``, or of one-hot rows ``(N, C)``, which may be
    integers or floats. Returns the mean cross-entropy, a tensor without axes through which a tape can go back.
``fix_static_loop(x)``
    Runs inside `tf.function`. ``x`` is a float64 tensor without axes, above 0. Returns, as an int32 tensor, how often
    it must be halved until it is at most 1. The function is traced once, with one ``x``, and its graph is used for all
    the others. It may be decorated with `tf.function` itself.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograder.checking.call import functions_of
from autograder.checking.draw import labels, normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure
from autograder.exercises.shared_tensorflow import (
    double,
    keras_in_order,
    mean_cross_entropy,
    no_gradient_lost,
    one_layer_class,
    pairs_in_order,
    ready,
)

CHAPTER = "13-bug-clinic"
ANSWERS = "autograder.exercises.bug_clinic_tensorflow_answers"

# fix_tape_loop


def _passes(loop: Callable) -> Callable:
    """One pass over the batches: the losses, and where the model's parameters have gone."""
    import keras  # noqa: F401  (takes long, and must not count as the learner's time)
    import tensorflow as tf

    def run(W, b, batches, lr):
        model = one_layer_class()(W, b)
        with _tapes_entered(), no_gradient_lost(), pairs_in_order():
            losses = loop(model, mean_cross_entropy, [(double(X), tf.constant(y)) for X, y in batches], lr)
        weights = {"W": model.W.numpy(), "b": model.b.numpy(), "frozen part": model.c.numpy()}
        return {"losses": _numbers(losses), **weights}

    return ready(run, fix_tape_loop, loop)


@contextmanager
def _tapes_entered() -> Iterator[None]:
    """Inside, a tape that was made and never switched on says so; TensorFlow takes it for a used one."""
    import tensorflow as tf

    gradient, enter = tf.GradientTape.gradient, tf.GradientTape.__enter__
    entered: list = []

    def enter_and_note(self):
        entered.append(self)
        return enter(self)

    def gradient_if_entered(self, *args, **kwargs):
        if all(self is not tape for tape in entered):
            raise WrongStructure(
                "tape-not-entered",
                "`tape.gradient` was called on a tape that never recorded: it was made, and not switched on.",
                "Which statement of Python opens a block that something is in force for?",
            )
        return gradient(self, *args, **kwargs)

    tf.GradientTape.gradient, tf.GradientTape.__enter__ = gradient_if_entered, enter_and_note
    try:
        yield
    finally:
        tf.GradientTape.gradient, tf.GradientTape.__enter__ = gradient, enter


def _numbers(losses: Any) -> np.ndarray:
    import tensorflow as tf

    if losses is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    if isinstance(losses, float | np.number) or getattr(losses, "shape", None) == ():
        raise WrongStructure(
            "one-number",
            "Expected a list, the loss of each batch; got one number.",
            "How many batches are there, and when is each loss known?",
        )
    if tf.is_tensor(losses) or any(tf.is_tensor(loss) for loss in losses):
        raise WrongStructure(
            "tensors-collected",
            "Expected a list of Python floats; got tensors.",
            "What makes a Python number of a tensor that holds one?",
        )
    return np.asarray(losses)


def _loop_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, lengths: list[int], D: int, C: int, lr: float) -> Case:
        batches = [(normal(rng, N, D), labels(rng, N, C)) for N in lengths]
        return Case(name, (normal(rng, D, C), normal(rng, C), batches, lr), {"N": lengths[0], "D": D, "C": C})

    return [  # Keras takes learning rates through single precision: these are exact there
        case("one batch", [7], 5, 3, 0.5),
        case("three batches", [5, 5, 5], 3, 7, 1.0),
        case("the last batch is shorter", [11, 2], 2, 3, 0.125),
        case("batches of one example", [1, 1], 3, 2, 0.25),
    ]


fix_tape_loop = Exercise(
    "fix_tape_loop",
    CHAPTER,
    2,
    "fix_tape_loop(model, loss_fn, batches, lr)",
    ("losses",),
    reference=None,
    make_cases=_loop_cases,
    arguments=("W", "b", "batches", "lr"),
    partial_credit=False,
    adapt=_passes,
    formula="`optimizer = keras.optimizers.SGD(learning_rate=lr)`; for each batch the loss on a tape, "
    "`tape.gradient(loss, model.trainable_variables)`, `optimizer.apply_gradients(zip(grads, "
    "model.trainable_variables))`, and `float(loss)`",
    answers=ANSWERS,
)


# fix_loss_family


def _with_slope(answer: Callable) -> Callable:
    """The loss, and its slope for the logits."""
    import keras  # noqa: F401
    import tensorflow as tf

    def run(labels, logits):
        Z = tf.constant(logits)
        with no_gradient_lost():
            with tf.GradientTape() as tape:
                tape.watch(Z)
                try:
                    loss = answer(tf.constant(labels), Z)
                except (ValueError, tf.errors.InvalidArgumentError):
                    if (found := _told_apart(answer)) is not None:
                        said = found.likely[0].upper() + found.likely[1:]
                        raise WrongStructure(found.cause, said, found.next_step) from None
                    raise
            if loss is None:
                return None
            if not tf.is_tensor(loss):
                raise WrongStructure(
                    "no-tensor",
                    f"Expected a tensor; got {type(loss).__name__}, through which no tape can go back.",
                    "Which of your lines leaves TensorFlow?",
                )
            return {"loss": loss.numpy(), "dlogits": tf.convert_to_tensor(tape.gradient(loss, Z)).numpy()}

    return ready(run, fix_loss_family, answer)


def _told_apart(answer: Callable) -> Finding | None:
    """By what does an answer tell integers from one-hot rows, if that goes well most of the time?"""

    def well(labels: np.ndarray, C: int) -> bool:
        return _loss_is(answer, labels, _logits_for(labels, C), _right_loss)

    integers, rows = np.array([2, 0, 4, 3]), np.eye(5)[[2, 0, 4, 3]]
    if not (well(integers, 5) and well(rows, 5)):
        return None
    for goes_well, cause, likely, next_step in (
        (
            lambda: well(rows.astype(int), 5),
            "told-by-dtype",
            "the two kinds are told apart by their dtype; one-hot rows may be integers, too.",
            "What else differs between `(N,)` labels and `(N, C)` rows?",
        ),
        (
            lambda: well(np.array([2, 0, 3, 1]), 4),
            "told-by-a-length",
            "labels that are as many as there are classes are taken for one-hot rows; so are N integers, if N = C.",
            "How many axes has either kind?",
        ),
        (
            lambda: well(np.array([1, 0, 1]), 5),
            "told-by-values",
            "labels of which none is above 1 are taken for one-hot rows; integers may be so small, too.",
            "How many axes has either kind?",
        ),
    ):
        if not goes_well():
            return Finding("Some labels are taken for another kind than they are.", cause, likely, next_step)
    return None


def _logits_for(labels: np.ndarray, C: int) -> np.ndarray:
    return 2 * np.cos(np.arange(1.0, 1 + len(labels) * C)).reshape(len(labels), C)


def _loss_is(answer: Callable, labels: np.ndarray, logits: np.ndarray, expected: Callable) -> bool:
    """Whether the answer gives this loss, at least in single precision."""
    import tensorflow as tf

    try:
        loss = float(answer(tf.constant(labels), tf.constant(logits)))
    except Exception:
        return False
    return bool(abs(loss - expected(labels, logits)) < 1e-5 * abs(loss))


def _right_loss(labels: np.ndarray, logits: np.ndarray) -> float:
    import tensorflow as tf

    T = labels if labels.ndim == 2 else np.eye(logits.shape[1])[labels]
    return float(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(T.astype(float), logits)))


def _of_probabilities(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """What the losses of Keras make of logits that they take for probabilities."""
    import keras
    import tensorflow as tf

    T = labels if labels.ndim == 2 else np.eye(logits.shape[1])[labels]
    y, Z = np.argmax(T, axis=1), tf.constant(logits)
    return (
        float(tf.reduce_mean(keras.losses.categorical_crossentropy(T, Z))),
        float(tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, Z))),
    )


def _explain_family(answer: Callable) -> Finding | None:
    if (found := _told_apart(answer)) is not None:
        return found
    kinds = []
    for kind, y in (("integers", np.array([2, 0, 4, 3])), ("one-hot rows", np.eye(5)[[2, 0, 4, 3]])):
        logits = _logits_for(y, 5)
        if any(_loss_is(answer, y, logits, lambda *args, k=k: _of_probabilities(*args)[k]) for k in (0, 1)):
            kinds.append(kind)
    if not kinds:
        return None
    return Finding(
        f"For {' and for '.join(kinds)} the loss is what Keras makes of logits that it takes for probabilities.",
        "from-logits-missing",
        "a loss of Keras was not told that it gets logits.",
        "What does a loss of Keras expect, if nobody says `from_logits=True`? Look at each of your calls.",
    )


def _family_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, C: int, onehot: type | None = None) -> Case:
        y = labels(rng, N, C)
        return Case(name, (y if onehot is None else np.eye(C, dtype=onehot)[y], normal(rng, N, C)), {"N": N, "C": C})

    small = case("integers 0 and 1 of 7 classes", 2, 7)
    small.args[0][:] = rng.permutation(2)
    return [
        case("integers, 7 × 5", 7, 5),
        case("one-hot, 7 × 3", 7, 3, np.float64),
        case("integers, square", 3, 3),
        case("one-hot, square", 5, 5, np.float64),
        case("one-hot rows of integers", 2, 7, np.int64),
        small,
        case("integers, N = 1", 1, 5),
        case("one-hot, N = 1", 1, 3, np.float64),
    ]


fix_loss_family = Exercise(
    "fix_loss_family",
    CHAPTER,
    1,
    "fix_loss_family(labels, logits)",
    ("loss", "dlogits"),
    reference=None,
    make_cases=_family_cases,
    partial_credit=False,
    adapt=_with_slope,
    explain=_explain_family,
    formula="`categorical_crossentropy` if `len(labels.shape) == 2`, else `sparse_categorical_crossentropy`; and of "
    "either the mean",
    answers=ANSWERS,
)


# fix_static_loop

ROUNDS = 1100  # the largest number is halved 1024 times; and a graph cannot be interrupted
KEPT = 3.0  # seconds for which a graph is used again: one check traces once
_GRAPHS: dict[int, tuple[float, Callable, Any]] = {}


def _in_one_graph(answer: Callable) -> Callable:
    """One `x` after the other, all in the graph that was traced with the first."""
    import tensorflow as tf

    def run(xs):
        with _loops_end(), keras_in_order():
            graph = answer if getattr(answer, "eager", False) else _graph(answer)
            return np.array([_count(graph(tf.constant(x))) for x in xs])

    return run


def as_in_a_graph(answer: Callable) -> Callable:
    """Mark an answer that is known to give without a graph what it gives in one: tracing takes long."""
    answer.eager = True
    return answer


def _graph(answer: Callable) -> Callable:
    """The answer inside `tf.function`; if it has been traced a moment ago, what came of that. Chaffs are kept."""
    import tensorflow as tf

    now = time.monotonic()
    chaffs = {id(chaff.function) for chaff in fix_static_loop.chaffs}
    for key in [key for key, (made, *_) in _GRAPHS.items() if now - made > KEPT and key not in chaffs]:
        del _GRAPHS[key]
    if id(answer) in _GRAPHS:
        return _GRAPHS[id(answer)][2]

    @tf.function
    def halvings(x):
        return answer(x)

    def failed(x):
        raise error.with_traceback(traceback)

    try:
        halvings.get_concrete_function(tf.TensorSpec([], tf.float64))
        result = halvings
    except Exception as wrapped:
        error, result = _as_it_was(wrapped, answer), failed
        traceback = error.__traceback__
    _GRAPHS[id(answer)] = now, answer, result
    return result


def _as_it_was(error: Exception, answer: Callable) -> Exception:
    """An error without what AutoGraph adds to its message; raised from the line of the learner's that it names."""
    original = error.__context__
    metadata = getattr(original, "ag_error_metadata", None)
    if metadata is None:
        return error
    if original.args and isinstance(original.args[0], str) and original.args[0].startswith("in user code"):
        original = type(original)(metadata.cause_message)
    files = {function.__code__.co_filename for function in functions_of(getattr(answer, "python_function", answer))}
    lines = [frame for frame in metadata.translated_stack if frame.filename in files]
    if lines:
        place = "\n" * (lines[-1].lineno - 1) + "raise error"
        try:
            exec(compile(place, lines[-1].filename, "exec"), {"error": original.with_traceback(None)})
        except Exception as raised:
            return raised
    return original


@contextmanager
def _loops_end() -> Iterator[None]:
    """Inside, a loop of a graph ends after so many rounds, if not before."""
    from tensorflow.python.ops import while_loop

    endless = while_loop.while_loop

    def bounded(cond, body, loop_vars, *args, maximum_iterations=None, **kwargs):
        rounds = ROUNDS if maximum_iterations is None else maximum_iterations
        return endless(cond, body, loop_vars, *args, maximum_iterations=rounds, **kwargs)

    while_loop.while_loop = bounded
    try:
        yield
    finally:
        while_loop.while_loop = endless


def _count(count: Any) -> int:
    import tensorflow as tf

    if count is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    if not tf.is_tensor(count) and not isinstance(count, int):
        raise WrongStructure(
            "wrong-type", f"Expected a tensor; got {type(count).__name__}.", "What does your function return?"
        )
    count = tf.convert_to_tensor(count)
    if count.shape != () or count.dtype != tf.int32:
        raise WrongStructure(
            "wrong-dtype",
            f"Expected a tensor of dtype `int32` without axes; got dtype `{count.dtype.name}`, shape {count.shape}.",
            "How many halvings: is that a whole number? And do you return the count, or what is left of `x`?",
        )
    if int(count) >= ROUNDS:
        raise WrongStructure(
            "endless",
            f"The loop was still running after {ROUNDS} rounds.",
            "Which of the loop's variables does the condition look at, and does the body change it?",
        )
    return int(count)


def _halving_cases(rng: np.random.Generator) -> list[Case]:
    def between(*powers: int) -> np.ndarray:
        return rng.permutation([2.0**k * rng.uniform(1.1, 1.9) for k in powers])

    return [  # a logarithm errs the same with a graph and without at these powers, and right above a large one
        Case("between powers of two", (between(1, 2, 4, 6),)),
        Case("exact powers of two", (rng.permutation([1.0, 2.0, 16.0, 512.0]),)),
        Case("some below 1", (np.append(between(-10, -3, 2), 0.5),)),
        Case("large", (between(15, 40, 300),)),
        Case("a hair above a power of two", (np.nextafter(2.0 ** rng.permutation([9, 20, 40]), np.inf),)),
    ]


def _explain_halvings(f: Callable) -> Finding | None:
    """Does the count stop somewhere, or never change?"""
    powers = [0, 1, 2, 3, 5, 9, 17, 40, 90, 200, 400]
    try:
        counts = list(fix_static_loop.adapted(f)(np.array([1.5 * 2.0**k for k in powers])))
    except Exception:
        return None
    right = [k + 1 for k in powers]
    shown = f"For x = 1.5, 3, 6 and 12 the answers are {', '.join(map(str, counts[:4]))}; expected 1, 2, 3, 4."
    if len(set(counts)) == 1:
        return Finding(
            shown,
            "frozen-number",
            "the answer does not depend on x: a Python number was settled while the graph was made.",
            "Python runs while the graph is made, once. Which of your lines have to run for every x?",
        )
    if counts == [min(k, max(counts)) for k in right]:
        return Finding(
            f"From x = 2^{max(counts)} on, the answer stays {max(counts)}.",
            "fixed-number-of-rounds",
            "the graph holds a fixed number of rounds, unrolled by a loop of Python.",
            "Which loop runs while the graph is made, and which runs in it?",
        )
    return None


fix_static_loop = Exercise(
    "fix_static_loop",
    CHAPTER,
    1,
    "fix_static_loop(x)",
    ("halvings",),
    reference=None,
    make_cases=_halving_cases,
    arguments=("xs",),
    partial_credit=False,
    adapt=_in_one_graph,
    explain=_explain_halvings,
    formula="`while x > 1:` with the tensor `x` itself, `x = x / 2` and `halvings = halvings + 1`",
    answers=ANSWERS,
)


EXERCISES = [fix_tape_loop, fix_loss_family, fix_static_loop]
