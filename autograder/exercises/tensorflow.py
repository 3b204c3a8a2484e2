"""Chapter 10: tapes, graphs and custom parts in TensorFlow. What needs TensorFlow itself: `tensorflow_answers.py`.

The contracts. All numbers are float64, unless a learner wants another precision.

``tape_grads(params, X, y)``
    ``params`` holds NumPy arrays ``W1, b1, W2, b2`` of the network linear → ReLU → linear, ``X`` is ``(N, D)``, ``y``
    are ``(N,)`` labels. Returns a dict with the keys of ``params``: the gradients of the mean cross-entropy of the
    logits, as NumPy arrays.
``tape_train_step(model, optimizer, loss_fn, X, y)``
    One step of training, with a Keras model and a Keras optimizer that is built for the model's trainable variables.
    The forward pass is one of training (``training=True``); what is frozen stays as it is.
    ``loss_fn(y_true, y_pred)`` takes logits. Returns the loss of before the step, as a tensor without axes: it must
    work as it is and inside `tf.function`, and be traced once for inputs of one shape. It may be a `tf.function`.
``log_sum_exp(X)``
    With `@tf.custom_gradient`. The logarithm of the summed exponentials over the last axis, which goes away; ``X`` may
    have any number of axes. Stable for entries near 1000. Its gradient can be differentiated once more.
``hessian_vector_product(f, x, v)``
    ``f`` makes of a tensor one number; ``x`` and ``v`` are constant tensors of one shape, whatever it is. Returns the
    Hessian of ``f`` at ``x``, times ``v``, as a tensor or array of the shape of ``x``; zeros where ``f`` is linear.
``ScaledDense(units, scale=1.0, **kwargs)``
    A `keras.layers.Layer`: ``scale * (X @ kernel) + bias``; two trainable weights, kernel ``(D, units)`` and bias
    ``(units,)`` in this order, made once the inputs are known; the bias starts at 0. ``kwargs`` are those of a layer
    (name, dtype). `from_config` of its configuration makes the same layer, name and dtype included.
``QuantileLoss(q=0.5, **kwargs)``
    A `keras.losses.Loss`. Of the error e = y_true − y_pred it takes q·e where e is positive and (q − 1)·e where it is
    negative; `call` averages over the last axis only, and Keras does the rest (reduction, sample weights). ``kwargs``
    are those of a loss (name, reduction, dtype). The configuration brings back q, name and reduction.
``MomentumOptimizer(learning_rate=0.01, momentum=0.9, **kwargs)``
    A `keras.optimizers.Optimizer` that moves as `keras.optimizers.SGD` with a momentum does, also inside `tf.function`
    and when the learning rate is changed on the way. Its velocities are among `optimizer.variables`, one for each
    parameter. ``kwargs`` are those of an optimizer (name, clipnorm), and the learning rate may be a schedule of Keras,
    a float32 tensor then. The configuration brings back learning rate and momentum.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import labels, normal, off_kink
from autograder.checking.exercise import Case, Exercise, Record
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure
from autograder.checking.words import listing
from autograder.exercises.network import two_layer_cases
from autograder.exercises.shared_tensorflow import (
    double,
    mean_cross_entropy,
    no_gradient_lost,
    one_layer_class,
    pairs_in_order,
    ready,
)

CHAPTER = "10-tensorflow"
ANSWERS = "autograder.exercises.tensorflow_answers"


# tape_grads


def _on_tapes(answer: Callable) -> Callable:
    import tensorflow  # noqa: F401  (takes long, and must not count as the learner's time)

    def run(params, X, y):
        with no_gradient_lost():
            return answer(params, X, y)

    return ready(run, tape_grads, answer)


tape_grads = Exercise(
    "tape_grads",
    CHAPTER,
    4,
    "tape_grads(params, X, y)",
    ("grads",),
    reference=None,
    make_cases=two_layer_cases,
    adapt=_on_tapes,
    formula="the loss of `tf.Variable`s inside `with tf.GradientTape() as tape`, then `tape.gradient(loss, variables)`",
    answers=ANSWERS,
)


# tape_train_step

LR, MOMENTUM = 0.125, 0.875  # Keras takes both through single precision: take numbers that are exact there
BOOST = 1.5


def _steps(step: Callable) -> Callable:
    """Steps on one batch after another, all of one shape: as they are, or inside `tf.function`."""
    import keras
    import tensorflow as tf

    def run(W, b, batches, inside):
        model = one_layer_class()(W, b, boost=BOOST)
        optimizer = keras.optimizers.SGD(LR, momentum=MOMENTUM)
        optimizer.build(model.trainable_variables)
        wrapped = tf.function(step, autograph=False) if inside else step
        losses = []
        with no_gradient_lost(), pairs_in_order():
            for X, y in batches:
                losses.append(_a_loss(wrapped(model, optimizer, mean_cross_entropy, double(X), tf.constant(y))))
        steps, traces = int(optimizer.iterations.numpy()), max(model.traces[0], 1)
        weights = {"W": model.W.numpy(), "b": model.b.numpy(), "frozen part": model.c.numpy()}
        return {"losses": np.array(losses), **weights, "steps taken": steps, "times traced": traces}

    return ready(run, tape_train_step, step)


def _a_loss(loss) -> float:
    if loss is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    loss = np.asarray(loss)
    if loss.shape != () or loss.dtype.kind != "f":
        raise WrongStructure(
            "wrong-type",
            f"Expected the loss, one number; got shape {loss.shape} and dtype `{loss.dtype}`.",
            "What does `loss_fn` return, and what do you?",
        )
    return float(loss)


def _explain_step(step: Callable) -> Finding | None:
    """Do the weights move, and not by the optimizer?"""
    args = _train_step_cases(np.random.default_rng(4))[0].args
    found = call(tape_train_step.adapted(step), copy.deepcopy(args)).value
    if not isinstance(found, dict) or found["steps taken"] or np.array_equal(found["W"], args[0]):
        return None
    return Finding(
        "The weights move, and the optimizer that your function was given has taken no step.",
        "own-optimizer",
        "the step is taken by hand, or by another optimizer: the one that was given, with its momentum, is passed by.",
        "Who knows the learning rate, and everything else about the step?",
    )


def _train_step_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, D: int, C: int, count: int, inside: bool) -> Case:
        batches = [(normal(rng, N, D), labels(rng, N, C)) for _ in range(count)]
        group = "inside tf.function" if inside else "as it is"
        return Case(name, (normal(rng, D, C), normal(rng, C), batches, inside), {"N": N, "D": D, "C": C}, group)

    return [
        case("two steps", 7, 5, 3, 2, False),
        case("three steps inside tf.function", 5, 3, 2, 3, True),
        case("N = 1", 1, 5, 7, 1, False),
    ]


tape_train_step = Exercise(
    "tape_train_step",
    CHAPTER,
    5,
    "tape_train_step(model, optimizer, loss_fn, X, y)",
    ("losses",),
    reference=None,
    make_cases=_train_step_cases,
    arguments=("W", "b", "batches", "inside"),
    adapt=_steps,
    explain=_explain_step,
    formula="`loss = loss_fn(y, model(X, training=True))` on a tape, `tape.gradient(loss, model.trainable_variables)`, "
    "`optimizer.apply_gradients(zip(grads, model.trainable_variables))`, and `return loss`",
    answers=ANSWERS,
)


# log_sum_exp


def _twice_differentiated(function: Callable) -> Callable:
    """The value, the gradient for an upstream, and how that gradient changes when the input moves along `V`."""
    import tensorflow as tf

    def run(dY, X, V):
        x, upstream = tf.constant(X), tf.constant(dY)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = function(x)
            if isinstance(value, tuple):
                raise WrongStructure(
                    "grad-returned-as-value",
                    f"Expected a tensor; got a tuple of {len(value)}: the function hands out its `grad`, and nobody "
                    "takes it.",
                    "Who is to take the second of your results? Look above the `def`.",
                )
            if not tf.is_tensor(value):
                kind = "None" if value is None else type(value).__name__
                raise WrongStructure("wrong-type", f"Expected a tensor; got {kind}.", "What does your function return?")
            if value.shape != upstream.shape:
                return {"Y": value.numpy()}
            grad = inner.gradient(value, x, output_gradients=upstream)
        if grad is None:
            raise WrongStructure("graph-cut", "The tape found no gradient at all.", "What does your `grad` return?")
        second = outer.gradient(grad, x, output_gradients=tf.constant(V))
        second = None if second is None else second.numpy()
        return {"Y": value.numpy(), "dX": tf.convert_to_tensor(grad).numpy(), "second derivative": second}

    return ready(run, log_sum_exp, function)


def _has_own_gradient(function: Callable, seed: int) -> Finding | None:
    """Whether a custom gradient is in use, which numbers cannot tell: in a graph it leaves a mark."""
    import tensorflow as tf

    try:
        with tf.Graph().as_default() as graph:
            function(tf.constant([[1.0, 2.0]], dtype=tf.float64))
    except Exception:
        return None  # right in eager mode, and no more is asked for
    marks = (op.node_def.attr["_gradient_op_type"].s for op in graph.get_operations() if op.type == "IdentityN")
    if any(mark.startswith(b"CustomGradient") for mark in marks):
        return None
    return Finding(
        "The numbers are right, and the gradient is TensorFlow's, not yours.",
        "no-custom-gradient",
        "the function is not decorated with `@tf.custom_gradient`.",
        "What must a function under `@tf.custom_gradient` return besides its value?",
    )


def _log_sum_exp_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, *shape: int, shift: float | np.ndarray = 0.0, group: str = "values") -> Case:
        X = normal(rng, *shape) + shift
        return Case(name, (normal(rng, *shape[:-1]), X, normal(rng, *shape)), {"N": shape[0]}, group)

    return [
        case("7 × 5", 7, 5),
        case("2 × 3 × 5", 2, 3, 5),
        case("one row", 1, 7),
        case("square", 3, 3),
        case("one column", 5, 1),
        case("entries near 1000", 7, 3, shift=1000.0, group="stability"),
        case("one row near 1000, one near −1000", 2, 5, shift=np.array([[1000.0], [-1000.0]]), group="stability"),
    ]


class _OfYourOwn(Exercise):
    """Earns nothing with a gradient that TensorFlow has found by itself."""

    def _points(self, records: list[Record], wrong: dict, conduct: list[Finding]) -> float:
        if any(finding.cause == "no-custom-gradient" for finding in conduct):
            return 0.0
        return super()._points(records, wrong, conduct)


log_sum_exp = _OfYourOwn(
    "log_sum_exp",
    CHAPTER,
    4,
    "log_sum_exp(X)",
    ("Y", "dX", "second derivative"),
    reference=None,
    make_cases=_log_sum_exp_cases,
    arguments=("dY", "X", "V"),
    properties=(_has_own_gradient,),
    upstream="dY",
    adapt=_twice_differentiated,
    answers=ANSWERS,
)


# hessian_vector_product


class Cubic:
    """Σ (A x)³ / 3 + b · x"""

    linear = False

    def __init__(self, A: np.ndarray, b: np.ndarray):
        self.A, self.b = A, b

    def __call__(self, x):
        import tensorflow as tf

        x = tf.reshape(x, [-1])
        return tf.reduce_sum(tf.linalg.matvec(self.A, x) ** 3) / 3 + tf.reduce_sum(self.b * x)


class LogSumExpOf(Cubic):
    """log Σ exp(A x) + b · x"""

    def __call__(self, x):
        import tensorflow as tf

        x = tf.reshape(x, [-1])
        return tf.reduce_logsumexp(tf.linalg.matvec(self.A, x)) + tf.reduce_sum(self.b * x)


class Linear(Cubic):
    """b · x"""

    linear = True

    def __call__(self, x):
        import tensorflow as tf

        return tf.reduce_sum(self.b * tf.reshape(x, [-1]))


def _with_tensors(answer: Callable) -> Callable:
    import tensorflow as tf

    def run(f, x, v):
        try:
            with no_gradient_lost(strict=not f.linear) as reasons:
                Hv = answer(f, double(x), double(v))
                if Hv is None and reasons:
                    raise reasons[0]
                if Hv is None and f.linear:
                    raise _none_if_linear("The answer was `None`")
        except WrongStructure as reason:
            if not f.linear or reason.cause not in ("graph-cut", "product-outside-the-tape"):
                raise
            raise _none_if_linear("`tape.gradient` gave `None`") from None
        return Hv.numpy() if tf.is_tensor(Hv) else Hv

    return ready(run, hessian_vector_product, answer)


def _none_if_linear(what: str) -> WrongStructure:
    return WrongStructure(
        "none-if-linear",
        f"{what}: the gradient of a linear `f` does not depend on `x`.",
        "What is the Hessian of a linear function? `tape.gradient` and `jvp` answer `None` there, unless they are told "
        "what to answer for what is unconnected.",
    )


def _hvp_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, kind: type, *shape: int, group: str = "values") -> Case:
        D = int(np.prod(shape))
        return Case(
            name,
            (kind(normal(rng, D + 2, D), normal(rng, D)), normal(rng, *shape), normal(rng, *shape)),
            {"D": D},
            group,
        )

    return [
        case("a cubic function of 5 numbers", Cubic, 5),
        case("a log-sum-exp of 7 numbers", LogSumExpOf, 7),
        case("one number", Cubic, 1),
        case("x is a 3 × 2 matrix", Cubic, 3, 2),
        case("f is linear", Linear, 3, group="linear"),
    ]


hessian_vector_product = Exercise(
    "hessian_vector_product",
    CHAPTER,
    3,
    "hessian_vector_product(f, x, v)",
    ("Hv",),
    reference=None,
    make_cases=_hvp_cases,
    upstream="v",
    adapt=_with_tensors,
    formula="two tapes, one inside the other: the inner one gives the gradient, and the outer one the gradient of its "
    "product with `v`",
    answers=ANSWERS,
)


# Parts of Keras that can be saved


def _expect_class(answer: Any, base: type, name: str) -> None:
    if not isinstance(answer, type) or not issubclass(answer, base):
        raise WrongStructure(
            "wrong-type",
            f"Expected a class made from `{name}`.",
            f"Begin with `class …({name}):`, and hand in the class.",
        )


def _restored(part: Any) -> Any:
    """What comes back from a configuration that was written to a file as text."""
    config = part.get_config()
    if not isinstance(config, dict):
        raise WrongStructure(
            "config-no-dict",
            f"`get_config` returned {'None' if config is None else type(config).__name__}, not a dict.",
            "Is there a `return` in your `get_config`?",
        )
    try:
        text = json.dumps(config)
    except TypeError as error:
        raise WrongStructure(
            "config-not-plain",
            f"The configuration cannot be written as text: {error}.",
            "A configuration holds numbers, strings, lists and dicts. What else is in yours?",
        ) from None
    return type(part).from_config(json.loads(text))


def _layer(answer: Any) -> Callable:
    import keras
    import tensorflow as tf

    def run(X, kernel, bias, scale, dY):
        _expect_class(answer, keras.layers.Layer, "keras.layers.Layer")
        x = double(X)
        layer = answer(kernel.shape[1], scale=scale, dtype="float64", name="mine")
        try:
            layer(x)
        except NotImplementedError as error:
            if "Exception encountered" not in str(error):
                raise
            raise NotImplementedError from None  # a stub's, which Keras has wrapped
        except Exception:
            _refuse_variables_of_tensorflow(layer)  # they are in single precision
            raise
        if len(layer.trainable_weights) < 2:
            _refuse_variables_of_tensorflow(layer)
        first_bias = _weights(layer, kernel, bias)[1].numpy()
        with tf.GradientTape() as tape:
            tape.watch(x)
            Y = _filled(layer, kernel, bias)(x)
        grads = tape.gradient(Y, [x, *layer.trainable_variables], output_gradients=double(dY))
        if any(g is None for g in grads):
            raise WrongStructure(
                "graph-cut",
                "The tape found no gradient through the layer.",
                "Does `call` leave TensorFlow, with `.numpy()` or NumPy?",
            )
        clone = _restored(layer)
        clone(x)
        again = _filled(clone, kernel, bias)(x)
        dX, d_kernel, d_bias = (tf.convert_to_tensor(g).numpy() for g in grads)
        return {
            "Y": Y.numpy(),
            "dX": dX,
            "d_kernel": d_kernel,
            "d_bias": d_bias,
            "bias starts at 0": int(not first_bias.any()),
            "Y after from_config": again.numpy(),
            "name kept": int(clone.name == layer.name),
            "dtype kept": int(clone.compute_dtype == layer.compute_dtype),
        }

    return ready(run, ScaledDense, answer)


def _refuse_variables_of_tensorflow(layer: Any) -> None:
    import tensorflow as tf

    if found := [f"`self.{name}`" for name, value in vars(layer).items() if isinstance(value, tf.Variable)]:
        raise WrongStructure(
            "variables-of-tensorflow",
            f"{listing(found)} {'is' if len(found) == 1 else 'are'} made by `tf.Variable`: Keras neither keeps such a "
            "weight, nor gives it the layer's dtype.",
            "`self.add_weight` makes a weight that Keras keeps. What does it have to be told?",
        )


def _weights(layer: Any, kernel: np.ndarray, bias: np.ndarray) -> list:
    weights = list(layer.trainable_weights)
    shapes = [tuple(w.shape) for w in weights]
    if shapes != [kernel.shape, bias.shape]:
        known = ", ".join(map(str, shapes)) or "none"
        raise WrongStructure(
            "wrong-weights",
            f"Expected two trainable weights of shapes {kernel.shape} and {bias.shape}; Keras knows of: {known}.",
            "`self.add_weight` in `build` makes a weight that Keras knows of. Which do you make, and where?",
        )
    return weights


def _filled(layer: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    for weight, value in zip(_weights(layer, kernel, bias), (kernel, bias), strict=True):
        weight.assign(value)
    return layer


def _layer_cases(rng: np.random.Generator) -> list[Case]:
    return [
        Case(
            name,
            (normal(rng, N, D), normal(rng, D, M), normal(rng, M), scale, normal(rng, N, M)),
            {"N": N, "D": D, "M": M},
        )
        for name, N, D, M, scale in (
            ("7 × 5 → 3", 7, 5, 3, 2.5),
            ("N = 1", 1, 3, 5, -0.75),
            ("square", 5, 5, 5, 0.25),
        )
    ]


ScaledDense = Exercise(
    "ScaledDense",
    CHAPTER,
    2,
    "ScaledDense(units, scale=1.0, **kwargs)",
    ("Y",),
    reference=None,
    make_cases=_layer_cases,
    arguments=("X", "kernel", "bias", "scale", "dY"),
    adapt=_layer,
    answers=ANSWERS,
)


def _loss(answer: Any) -> Callable:
    import keras
    import tensorflow as tf

    def run(Y, Y_hat, weights, q):
        _expect_class(answer, keras.losses.Loss, "keras.losses.Loss")
        y, y_hat = double(Y), double(Y_hat)
        loss = answer(q, dtype="float64")
        with tf.GradientTape() as tape:
            tape.watch(y_hat)
            mean = loss(y, y_hat)
        grad = tape.gradient(mean, y_hat)
        summed = answer(q, reduction="sum", name="mine", dtype="float64")
        clone = _restored(summed)
        return {
            "each example": np.asarray(loss.call(y, y_hat)),
            "loss": np.asarray(mean),
            "weighted": np.asarray(loss(y, y_hat, sample_weight=double(weights))),
            "summed": np.asarray(summed(y, y_hat)),
            "dY_hat": None if grad is None else np.asarray(grad),
            "each example after from_config": np.asarray(clone.call(y, y_hat)),
            "name kept": int(clone.name == "mine"),
            "reduction kept": int(clone.reduction == "sum"),
        }

    return ready(run, QuantileLoss, answer)


def _loss_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for name, N, M, q in (
        ("7 × 5", 7, 5, 0.875),
        ("N = 1", 1, 3, 0.25),
        ("square", 3, 3, 0.75),
        ("M = 1", 5, 1, 0.125),
    ):
        Y = normal(rng, N, M)
        cases.append(Case(name, (Y, Y - off_kink(rng, N, M), rng.uniform(0.5, 2, N), q), {"N": N, "M": M}))
    return cases


QuantileLoss = Exercise(
    "QuantileLoss",
    CHAPTER,
    2,
    "QuantileLoss(q=0.5, **kwargs)",
    ("each example",),
    reference=None,
    make_cases=_loss_cases,
    arguments=("Y", "Y_hat", "weights", "q"),
    adapt=_loss,
    answers=ANSWERS,
)


def _optimizer(answer: Any) -> Callable:
    import keras
    import tensorflow as tf

    def run(params, grads, rates, momentum, part):
        _expect_class(answer, keras.optimizers.Optimizer, "keras.optimizers.Optimizer")
        found, scheduled = {}, part == "under a schedule"
        if scheduled:
            schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], rates)
            optimizer = answer(learning_rate=schedule, momentum=momentum, name="mine", clipnorm=0.5)
            found["name kept"] = int(optimizer.name == "mine")
        else:
            optimizer = answer(learning_rate=rates[0], momentum=momentum)
        if part == "after from_config":
            optimizer = _restored(optimizer)
            found["learning rate restored"] = float(optimizer.learning_rate.numpy())
        variables = [keras.Variable(p, dtype="float64") for p in params]

        def step(gs):
            optimizer.apply_gradients(list(zip(gs, variables, strict=True)))

        moved = tf.function(step, autograph=False) if part == "inside tf.function" else step
        for gs, rate in zip(grads, rates, strict=True):
            if rate != rates[0] and not scheduled:
                optimizer.learning_rate = rate
            moved([double(g) for g in gs])
        weights = {f"w{i}": variable.numpy() for i, variable in enumerate(variables)}
        others = 1 if scheduled else 2  # iterations, and the learning rate where it is one number
        return {**weights, **found, "velocities": len(optimizer.variables) - others}

    return ready(run, MomentumOptimizer, answer)


def _optimizer_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, part: str, shapes: list[tuple], momentum: float, rates: list[float]) -> Case:
        params, *grads = ([normal(rng, *shape) for shape in shapes] for _ in range(1 + len(rates)))
        return Case(name, (params, grads, rates, momentum, part), {}, part or "as it is")

    return [
        case("two parameters of one shape", "", [(3, 2), (3, 2)], 0.875, [0.125, 0.5]),
        case("another learning rate, after from_config", "after from_config", [(5, 3), (3,)], 0.75, [0.25, 0.25]),
        case("two steps under a schedule, gradients clipped", "under a schedule", [(3, 2), (5,)], 0.75, [0.5, 0.125]),
        case("three steps inside tf.function", "inside tf.function", [(2, 3), (2, 3)], 0.5, [0.125, 0.125, 0.5]),
    ]


MomentumOptimizer = Exercise(
    "MomentumOptimizer",
    CHAPTER,
    4,
    "MomentumOptimizer(learning_rate=0.01, momentum=0.9, **kwargs)",
    ("w0",),
    reference=None,
    make_cases=_optimizer_cases,
    arguments=("params", "grads", "rates", "momentum", "inside"),
    adapt=_optimizer,
    answers=ANSWERS,
)


EXERCISES = [
    tape_grads,
    tape_train_step,
    log_sum_exp,
    hessian_vector_product,
    ScaledDense,
    QuantileLoss,
    MomentumOptimizer,
]
