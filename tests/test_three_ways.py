"""One network, three ways: in ``backprop``, PyTorch and Keras on TensorFlow, in float64, to 1e-10.

Then a table of what the three take for granted, read from the installed versions: a release that changes its mind
about one of them fails here.
"""

import ast
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jupytext
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import backprop
from backprop import (
    MLP,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    RMSProp,
    max_gap,
    minibatches,
    to_keras,
    to_torch,
)
from backprop.network import Params
from backprop.optimizers import Optimizer
from specimen import ROOT

nn, F = torch.nn, torch.nn.functional
layers, losses, optimizers = tf.keras.layers, tf.keras.losses, tf.keras.optimizers
KerasOptimizer = optimizers.Optimizer

TOLERANCE = 1e-10
STEPS = 100


# The same rule in three languages. What is said nowhere else:
#
# - Keras keeps a learning rate in float32, and rounds momentum, the betas in Adam's correction of biases, and AdamW's
#   decay to float32 at every step. Momentum, betas and decay given as ``np.float64`` stay as they are; the learning
#   rate does so only if a function returns it as ``np.float64``.
# - Keras' momentum is a velocity of steps, the learning rate included; ours and PyTorch's adds up gradients. With a
#   rate that does not change, the weights are the same.
# - RMSProp and AdaGrad divide by √s + ε here and in PyTorch, by √(s + ε) in Keras. No ε makes one the other, except one
#   so small that it only keeps 0 / 0 from happening. Keras' ``epsilon`` is then the square of ours.
# - AdaGrad's sum of squares starts at 0 here and in PyTorch, at 0.1 in Keras unless told otherwise.
# - Adam divides by √v̂ + ε here and in PyTorch; Keras divides by √v + ε, before the bias of v is corrected. The two are
#   the same if Keras' ε is ours times √(1 - β₂ᵗ), which changes with every step t.
# - AdamW multiplies all parameters, biases as well, by 1 - lr · weight_decay in all three.

SMALL = 1e-30
exact = np.float64


def rate(lr: float) -> Callable[[], np.float64]:
    """A learning rate that Keras does not round."""
    return lambda: exact(lr)


def leave_as_is(optimizer: KerasOptimizer, t: int) -> None:
    pass


def epsilon_of_adam(eps: float, beta2: float) -> Callable[[KerasOptimizer, int], None]:
    """Sets Keras' ε before step ``t``, counted from 1, to what our ε becomes beside a v whose bias is left in."""

    def before_step(optimizer: KerasOptimizer, t: int) -> None:
        optimizer.epsilon = eps * math.sqrt(1 - beta2**t)

    return before_step


@dataclass(frozen=True)
class Rule:
    """One optimizer in three languages, and what Keras' needs before every step to follow the others."""

    backprop: Callable[[Params], Optimizer]
    torch: Callable[[Iterable[torch.Tensor]], torch.optim.Optimizer]
    keras: Callable[[], KerasOptimizer]
    before_keras_step: Callable[[KerasOptimizer, int], None] = leave_as_is


RULES = {
    "SGD": Rule(
        lambda params: SGD(params, lr=0.1),
        lambda params: torch.optim.SGD(params, lr=0.1),
        lambda: optimizers.SGD(rate(0.1)),
    ),
    "momentum": Rule(
        lambda params: Momentum(params, lr=0.03, beta=0.9),
        lambda params: torch.optim.SGD(params, lr=0.03, momentum=0.9),
        lambda: optimizers.SGD(rate(0.03), momentum=exact(0.9)),
    ),
    "Nesterov": Rule(
        lambda params: Nesterov(params, lr=0.03, beta=0.9),
        lambda params: torch.optim.SGD(params, lr=0.03, momentum=0.9, nesterov=True),
        lambda: optimizers.SGD(rate(0.03), momentum=exact(0.9), nesterov=True),
    ),
    "AdaGrad": Rule(
        lambda params: AdaGrad(params, lr=0.05, eps=SMALL),
        lambda params: torch.optim.Adagrad(params, lr=0.05, eps=SMALL),
        lambda: optimizers.Adagrad(rate(0.05), initial_accumulator_value=0.0, epsilon=SMALL**2),
    ),
    "RMSProp": Rule(
        lambda params: RMSProp(params, lr=0.003, rho=0.9, eps=SMALL),
        lambda params: torch.optim.RMSprop(params, lr=0.003, alpha=0.9, eps=SMALL),
        lambda: optimizers.RMSprop(rate(0.003), rho=exact(0.9), epsilon=SMALL**2),
    ),
    "Adam": Rule(
        lambda params: Adam(params, lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8),
        lambda params: torch.optim.Adam(params, lr=0.01, betas=(0.9, 0.999), eps=1e-8),
        lambda: optimizers.Adam(rate(0.01), beta_1=exact(0.9), beta_2=exact(0.999)),
        epsilon_of_adam(1e-8, 0.999),
    ),
    "AdamW": Rule(
        lambda params: AdamW(params, lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.1),
        lambda params: torch.optim.AdamW(params, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
        lambda: optimizers.AdamW(rate(0.01), beta_1=exact(0.9), beta_2=exact(0.999), weight_decay=exact(0.1)),
        epsilon_of_adam(1e-8, 0.999),
    ),
}

# What one would write who knows the names and not the formulas. It must not agree, or a translation has become idle.
WORD_BY_WORD = {
    "rate in float32": replace(RULES["SGD"], keras=lambda: optimizers.SGD(0.1)),
    "momentum in float32": replace(RULES["momentum"], keras=lambda: optimizers.SGD(rate(0.03), momentum=0.9)),
    "sum of squares from 0.1": replace(
        RULES["AdaGrad"], keras=lambda: optimizers.Adagrad(rate(0.05), epsilon=SMALL**2)
    ),
    "ε beside or under the root": Rule(
        lambda params: RMSProp(params, lr=0.003, rho=0.9, eps=1e-8),
        lambda params: torch.optim.RMSprop(params, lr=0.003, alpha=0.9, eps=1e-8),
        lambda: optimizers.RMSprop(rate(0.003), rho=exact(0.9), epsilon=1e-8),
    ),
    "ε beside the root or its square under it": Rule(
        lambda params: RMSProp(params, lr=0.003, rho=0.9, eps=1e-4),
        lambda params: torch.optim.RMSprop(params, lr=0.003, alpha=0.9, eps=1e-4),
        lambda: optimizers.RMSprop(rate(0.003), rho=exact(0.9), epsilon=1e-8),
    ),
    "betas in float32": replace(RULES["Adam"], keras=lambda: optimizers.Adam(rate(0.01), beta_1=0.9, beta_2=0.999)),
    "one ε for all steps": replace(
        RULES["Adam"],
        keras=lambda: optimizers.Adam(rate(0.01), beta_1=exact(0.9), beta_2=exact(0.999), epsilon=1e-8),
        before_keras_step=leave_as_is,
    ),
    "decay in float32": replace(
        RULES["AdamW"],
        keras=lambda: optimizers.AdamW(rate(0.01), beta_1=exact(0.9), beta_2=exact(0.999), weight_decay=0.1),
    ),
}


# Weights, there and back


def in_double(array: np.ndarray) -> np.ndarray:
    """The array; an agreement to 1e-10 in any other precision would say little."""
    assert array.dtype == np.float64, f"expected float64, got {array.dtype}"
    return array


def from_torch(flat: Iterable[torch.Tensor]) -> Params:
    """Our layout of PyTorch's parameters, or of their gradients, in the order of ``model.parameters()``."""
    arrays = [in_double(p.detach().numpy()) for p in flat]
    return [(W.T, b) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]


def from_keras(flat: Iterable[tf.Variable | tf.Tensor]) -> Params:
    """Our layout of Keras' weights, or of their gradients, in the order of ``model.trainable_variables``."""
    arrays = [in_double(np.asarray(p)) for p in flat]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def torch_network(params: Params) -> nn.Sequential:
    modules = []
    for W, _ in params:
        modules += [nn.Linear(*W.shape, dtype=torch.float64), nn.ReLU()]
    model = nn.Sequential(*modules[:-1])
    model.load_state_dict(to_torch(params))
    return model


def keras_network(params: Params) -> tf.keras.Sequential:
    *hidden, (W, _) = params
    dense = [layers.Dense(V.shape[1], activation="relu", dtype="float64") for V, _ in hidden]
    last = layers.Dense(W.shape[1], dtype="float64")
    model = tf.keras.Sequential([layers.Input((len(params[0][0]),), dtype="float64"), *dense, last])
    model.set_weights(to_keras(params))
    return model


def network(sizes: list[int], seed: int) -> MLP:
    """He-initialised, with biases that are not 0."""
    model, rng = MLP(sizes, seed), np.random.default_rng(seed)
    for _, b in model.params:
        b[...] = 0.1 * rng.standard_normal(b.shape)
    return model


# 1. The loss and every gradient


def torch_loss_and_grads(model: nn.Sequential, X: np.ndarray, y: np.ndarray) -> tuple[float, Params]:
    model.zero_grad()
    loss = nn.CrossEntropyLoss()(model(torch.tensor(X)), torch.tensor(y))
    loss.backward()
    return loss.item(), from_torch(p.grad for p in model.parameters())


def keras_loss_and_grads(
    model: tf.keras.Sequential, X: np.ndarray, y: np.ndarray
) -> tuple[float, list[tf.Tensor], list[tf.Variable]]:
    """The loss, its gradients, and the variables in the same order."""
    cross_entropy = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    with tf.GradientTape() as tape:
        loss = cross_entropy(y, model(X))
    return float(loss), tape.gradient(loss, model.trainable_variables), model.trainable_variables


@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(2, 6),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
)
def test_loss_and_every_gradient_agree_for_any_architecture(widths, C, N, seed):
    model, rng = network([*widths, C], seed), np.random.default_rng(seed)
    X, y = rng.standard_normal((N, widths[0])), rng.integers(0, C, N)
    loss, grads = model.loss_and_grads(X, y)
    torch_loss, torch_grads = torch_loss_and_grads(torch_network(model.params), X, y)
    keras_loss, keras_grads, _ = keras_loss_and_grads(keras_network(model.params), X, y)
    assert loss == pytest.approx(torch_loss, rel=TOLERANCE, abs=TOLERANCE)
    assert loss == pytest.approx(keras_loss, rel=TOLERANCE, abs=TOLERANCE)
    assert max_gap(grads, torch_grads) < TOLERANCE
    assert max_gap(grads, from_keras(keras_grads)) < TOLERANCE


def test_a_gap_is_seen_in_any_layer_at_any_scale():
    grads = [(np.ones((2, 3)), np.full(3, 1e-6)), (np.zeros((3, 2)), np.ones(2))]
    assert max_gap(grads, grads) == 0
    for layer, index in ((0, 0), (0, 1), (1, 1)):
        other = [tuple(p.copy() for p in pair) for pair in grads]
        other[layer][index].flat[-1] *= 1 + 1e-9
        assert max_gap(grads, other) == pytest.approx(1e-9, rel=1e-5)
        other[layer][index].flat[-1] = np.nan
        assert not max_gap(grads, other) < TOLERANCE


# 2. A hundred steps


@dataclass(frozen=True)
class Course:
    """What all three train on: the first weights, the data and the order of the batches."""

    params: Params
    X: np.ndarray
    y: np.ndarray
    batches: list[np.ndarray]


def course() -> Course:
    rng = np.random.default_rng(11)
    X, y = rng.standard_normal((90, 7)), rng.integers(0, 4, 90)
    epochs = [batch for _ in range(STEPS) for batch in minibatches(len(X), 16, rng)]  # the last of each epoch has 10
    return Course(network([7, 13, 8, 4], seed=11).params, X, y, epochs[:STEPS])


def train_backprop(rule: Rule, course: Course) -> tuple[Params, list[float]]:
    model = network([7, 13, 8, 4], seed=11)
    optimizer, history = rule.backprop(model.params), []
    for batch in course.batches:
        loss, grads = model.loss_and_grads(course.X[batch], course.y[batch])
        optimizer.step(grads)
        history.append(loss)
    return model.params, history


def train_torch(rule: Rule, course: Course) -> tuple[Params, list[float]]:
    model = torch_network(course.params)
    optimizer, history = rule.torch(model.parameters()), []
    for batch in course.batches:
        loss, _ = torch_loss_and_grads(model, course.X[batch], course.y[batch])
        optimizer.step()
        history.append(loss)
    return from_torch(model.parameters()), history


def train_keras(rule: Rule, course: Course) -> tuple[Params, list[float]]:
    model = keras_network(course.params)
    optimizer, history = rule.keras(), []
    for t, batch in enumerate(course.batches, start=1):
        loss, grads, variables = keras_loss_and_grads(model, course.X[batch], course.y[batch])
        rule.before_keras_step(optimizer, t)
        optimizer.apply(grads, variables)
        history.append(loss)
    return from_keras(model.trainable_variables), history


@pytest.mark.parametrize("name", RULES)
def test_weights_after_a_hundred_steps_agree(name):
    start = course()
    params, history = train_backprop(RULES[name], start)
    assert len(history) == STEPS
    assert np.mean(history[-6:]) < np.mean(history[:6])
    for train in (train_torch, train_keras):
        theirs, their_history = train(RULES[name], start)
        assert max_gap(params, theirs) < TOLERANCE
        np.testing.assert_allclose(history, their_history, rtol=TOLERANCE)


@pytest.mark.parametrize("difference", WORD_BY_WORD)
def test_without_its_translation_keras_goes_another_way(difference):
    rule, start = WORD_BY_WORD[difference], course()
    params, _ = train_backprop(rule, start)
    assert max_gap(params, train_torch(rule, start)[0]) < TOLERANCE
    assert 10 * TOLERANCE < max_gap(params, train_keras(rule, start)[0]) < 1


# 3. Where the defaults differ

# What the table says, and how to measure it; or else the function, and the name of its argument, that says so.
Cell = tuple[Any, Callable[[], Any]] | tuple[Any, Callable, str]


@dataclass(frozen=True)
class Default:
    """A row of the table; ``None`` where a library has no such thing."""

    what: str
    backprop: Cell | None
    torch: Cell | None
    keras: Cell | None

    def cells(self) -> dict[str, Cell]:
        """By the name of the column."""
        columns = {"backprop": self.backprop, "PyTorch": self.torch, "Keras": self.keras}
        return {name: cell for name, cell in columns.items() if cell is not None}


MUST_BE_GIVEN = "must be given"


def argument(function: Callable, name: str) -> Any:
    """What an argument is if left out."""
    signature = inspect.signature(function.__init__ if inspect.isclass(function) else function)
    default = signature.parameters[name].default
    return MUST_BE_GIVEN if default is inspect.Parameter.empty else default


def installed(cell: Cell) -> Any:
    """What holds for a cell of the table in the installed versions."""
    _, function, *name = cell
    return argument(function, *name) if name else function()


def which(measured: float, candidates: dict[str, float], rel: float = 1e-6) -> str:
    """The name of the one candidate that a measured number agrees with."""
    found = [name for name, value in candidates.items() if math.isclose(measured, value, rel_tol=rel, abs_tol=1e-12)]
    return found[0] if len(found) == 1 else f"none of {candidates}: {measured}"


def refused(f: Callable[[], Any], result: Callable[[Any], Any] = lambda value: value) -> Any:
    """``result(f())``, or the name of the error that ``f`` raises."""
    try:
        return result(f())
    except Exception as error:
        return f"refused, {type(error).__name__}"


# Optimizers: the path of one weight that starts at ``start``, for given gradients and, if they change, rates.

Path = Callable[..., float]


def path_of_backprop(make: Callable[[Params], Optimizer]) -> Path:
    def path(gradients, rates=None, start=0.0):
        params = [(np.array([[start]]), np.array([start]))]
        optimizer = make(params)
        for i, g in enumerate(gradients):
            optimizer.lr = rates[i] if rates else optimizer.lr
            optimizer.step([(np.array([[g]]), np.array([g]))])
        return params[0][1].item()

    return path


def path_of_torch(make: Callable[[list[torch.Tensor]], torch.optim.Optimizer]) -> Path:
    def path(gradients, rates=None, start=0.0):
        w = torch.tensor([start], dtype=torch.float64)
        optimizer = make([w])
        for i, g in enumerate(gradients):
            for group in optimizer.param_groups if rates else []:
                group["lr"] = rates[i]
            w.grad = torch.full_like(w, g)
            optimizer.step()
        return w.item()

    return path


def path_of_keras(make: Callable[[], KerasOptimizer]) -> Path:
    def path(gradients, rates=None, start=0.0):
        w, optimizer = tf.Variable([start], dtype=tf.float64), make()
        for i, g in enumerate(gradients):
            if rates:
                optimizer.learning_rate = rates[i]
            optimizer.apply([tf.constant([g], tf.float64)], [w])
        return w.numpy().item()

    return path


def adams_epsilon(path: Path) -> str:
    """Where ε = 1 stands: one step at rate 1, the gradient 1, the betas 0.75 and 0.9375 (exact in float32)."""
    return which(
        -path([1.0]),
        {
            "beside the root of v̂: √v̂ + ε": 1 / (1 + 1),
            "beside the root of v, its bias not yet corrected: √v + ε": 0.25 / (0.25 + 1),
            "under the root: √(v̂ + ε)": 1 / math.sqrt(1 + 1),
        },
    )


def rmsprops_epsilon(path: Path) -> str:
    """Where ε = 3 stands: one step at rate 1, the gradient 1, ρ = 0."""
    return which(
        -path([1.0]), {"beside the root: √s + ε": 1 / (1 + 3), "under the root: √(s + ε)": 1 / math.sqrt(1 + 3)}
    )


def velocity(path: Path) -> str:
    """What is left of a velocity when the rate drops to 0: a gradient of 1 at rate 1, then one of 0 at rate 0."""
    return which(
        -path([1.0, 0.0], rates=[1.0, 0.0]),
        {"gradients: v = βv + g, w = w - lr·v": 1.0, "steps: v = βv - lr·g, w = w + v": 1.5},
    )


def share_in_velocity(path: Path) -> str:
    """How much of a gradient of 1 enters the velocity, at rate 1 and β = 0.5; PyTorch dampens from step 2 on."""
    return which(-path([0.0, 1.0]), {"g": 1.0, "(1 - β)·g": 0.5})


def second_step(path: Path) -> float:
    """What is left of a first step of 1 when the second gradient is 0."""
    return path([1.0]) - path([1.0, 0.0])


def decay(path: Path) -> str:
    """What becomes of a weight of 1 whose gradient is 0, at rate 0.5 and a decay of 0.25."""
    return which(path([0.0], start=1.0), {"w · (1 - lr · decay)": 0.875, "w · (1 - decay)": 0.75, "w": 1.0})


def decay_in_adam(path: Path) -> str:
    """As :func:`decay`, for Adam's own argument ``weight_decay``: Adam makes a step of size lr of any gradient."""
    return which(path([0.0], start=1.0), {"enters the gradient (L2)": 0.5, "shrinks w, as AdamW": 0.875})


def decayed(shrinks: Callable[[tuple[int, ...]], bool]) -> str:
    """Which kinds of parameters AdamW shrinks when all gradients are 0."""
    return " and ".join(name for name, shape in (("weights", (1, 1)), ("biases", (1,))) if shrinks(shape))


def backprop_shrinks(shape):
    params = [(np.ones((1, 1)), np.ones(1))]
    AdamW(params).step([(np.zeros((1, 1)), np.zeros(1))])
    return params[0][len(shape) == 1].item() < 1


def torch_shrinks(shape):
    w = torch.ones(shape)
    w.grad = torch.zeros(shape)
    torch.optim.AdamW([w]).step()
    return w.item() < 1


def keras_shrinks(shape):
    w = tf.Variable(tf.ones(shape), name="kernel" if len(shape) == 2 else "bias")
    optimizers.AdamW().apply([tf.zeros(shape)], [w])
    return w.numpy().item() < 1


# Batch normalisation

BATCH = np.array([[1.0], [2.5], [0.5], [4.0], [2.0]])


def torch_running() -> tuple[float, float]:
    """Running mean and variance after one batch; they start at 0 and 1."""
    norm = nn.BatchNorm1d(1, dtype=torch.float64)
    norm(torch.tensor(BATCH))
    return norm.running_mean.item(), norm.running_var.item()


def keras_running() -> tuple[float, float]:
    norm = layers.BatchNormalization(dtype="float64")
    norm(BATCH, training=True)
    return norm.moving_mean.numpy().item(), norm.moving_variance.numpy().item()


def kept(running: Callable[[], tuple[float, float]]) -> float:
    """The share of the old running average that a batch leaves."""
    return round(1 - running()[0] / BATCH.mean(), 9)


def running_variance(running: Callable[[], tuple[float, float]]) -> str:
    mean, variance = running()
    keep = 1 - mean / BATCH.mean()
    return variance_kind((variance - keep) / (1 - keep))


def variance_kind(variance: float) -> str:
    return which(variance, {"biased, / N": BATCH.var(), "unbiased, / (N - 1)": BATCH.var(ddof=1)})


def normalising_variance(Y: np.ndarray, eps: float) -> str:
    """From the normalised batch: the variance by which it was divided."""
    return variance_kind((np.ptp(BATCH) / np.ptp(Y)) ** 2 - eps)


# Initial weights

FAN_IN, FAN_OUT = 300, 100


def initial(weights: np.ndarray) -> str:
    """Distribution and scale of random weights: of its largest number in standard deviations, and of those."""
    W = np.asarray(weights, np.float64)
    if not W.any():
        return "zeros"
    tail = np.abs(W).max() / W.std()
    kind = "uniform" if tail < 1.8 else "normal, cut off at 2 σ" if tail < 2.35 else "normal" if tail > 3.3 else "?"
    scales = {
        "variance 2 / fan-in": math.sqrt(2 / FAN_IN),
        "between ± √(6 / (fan-in + fan-out))": math.sqrt(2 / (FAN_IN + FAN_OUT)),
        "between ± 1 / √fan-in": 1 / math.sqrt(3 * FAN_IN),
        "between ± 0.05": 0.05 / math.sqrt(3),
        "variance 1": 1.0,
    }
    return f"{kind}, {which(W.std(), scales, rel=0.03)}"


def torch_random(make: Callable[[], torch.Tensor]) -> np.ndarray:
    """Random numbers that come out the same every time, and change nobody else's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().detach().numpy()


def built(layer: tf.keras.Layer, *shape: int | None) -> tf.keras.Layer:
    layer.build(shape)
    return layer


def shape(array: Any, names: dict[int, str]) -> str:
    return "(" + ", ".join(names[n] for n in array.shape) + ")"


DENSE = {3: "in", 4: "out"}
CONVOLUTION = {3: "in", 4: "out", 5: "height", 6: "width"}
IMAGES = {2: "N", 3: "channels", 5: "height", 6: "width"}


# Losses

Y_HAT, Y = np.zeros((4, 3)), np.sqrt(np.arange(1.0, 13.0)).reshape(4, 3)
LOGITS, LABELS = np.array([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]]), np.array([0, 2])
PROBABILITIES = backprop.softmax(LOGITS)


def reduction(loss: Any, each: np.ndarray) -> str:
    """How a loss was brought together, from the losses of all elements, ``(N, C)`` or, of labels, ``(N,)``."""
    value = np.asarray(loss)
    if value.ndim:
        return "none: one number for each example" if value.shape == each.shape[:1] else f"none: {value.shape}"
    over = "elements" if each.ndim == 2 else "examples"
    return which(float(value), {f"mean over all {over}": each.mean(), f"sum over all {over}": each.sum()})


def takes(loss: Callable[[np.ndarray], Any]) -> str:
    """What a cross-entropy takes, from what it makes of probabilities."""
    y = np.arange(2), LABELS
    candidates = {
        "probabilities": -np.log(PROBABILITIES[y]).mean(),
        "logits": -backprop.log_softmax(PROBABILITIES)[y].mean(),
        "log-probabilities": -PROBABILITIES[y].mean(),
    }
    return which(float(loss(PROBABILITIES)), candidates)


def takes_binary(loss: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    p, t = np.array([0.7, 0.2]), np.array([1.0, 0.0])
    candidates = {"probabilities": -np.log([0.7, 0.8]).mean(), "logits": backprop.bce_with_logits(p, t)}
    return which(float(loss(p, t)), candidates, rel=1e-5)


def keras_loss(loss: Callable[..., Any], **options: Any) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda y, y_hat: float(loss(dtype="float64", **options)(y, y_hat))


def columns_against_row(loss: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    """What becomes of predictions ``(3, 1)`` and the same numbers as targets ``(3,)``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = float(loss(np.arange(3.0)[:, None], np.arange(3.0)))
    found = which(value, {"of 9 differences, by broadcasting": 4 / 3, "of 3 differences": 0.0})
    return found + (", with a warning" if caught else "")


TARGETS = np.array([[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]])


def divergence(value: float) -> str:
    """How a Kullback-Leibler divergence of ``PROBABILITIES`` from ``TARGETS`` was averaged."""
    each = TARGETS * np.log(TARGETS / PROBABILITIES)
    return which(value, {"mean over all elements": each.mean(), "mean over all examples": each.sum(axis=1).mean()})


def divergence_in_torch() -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = nn.KLDivLoss()(torch.tensor(PROBABILITIES).log(), torch.tensor(TARGETS)).item()
    return divergence(value) + (", with a warning" if caught else "")


# Layers


def dropout(Y: Any) -> str:
    """What 0.25 means, from ``Y``, which was all ones."""
    Y = np.asarray(Y)
    share, scale = float(np.mean(Y == 0)), float(Y.max())
    meaning = which(share, {"probability of dropping": 0.25, "probability of keeping": 0.75}, rel=0.05)
    return f"{meaning}; the rest {which(scale, {'is divided by 1 - p': 4 / 3, 'stays as it is': 1.0})}"


def mode(Y: Any) -> str:
    """How a new layer runs, from what its dropout makes of ones."""
    return "as in training" if (np.asarray(Y) == 0).any() else "as in use"


def clipped(clip: Callable[[np.ndarray, float], np.ndarray]) -> str:
    """By how much a gradient of length 5e-6 is shortened that may have a length of 1e-6."""
    length = float(np.linalg.norm(clip(np.array([3e-6, 4e-6]), 1e-6)))
    return which(length, {"to the limit": 1e-6, "by limit / (length + 1e-6)": 5e-6 / 6})


def clip_in_torch(g: np.ndarray, limit: float) -> np.ndarray:
    leaf = torch.tensor(g)
    leaf.grad = torch.tensor(g)
    nn.utils.clip_grad_norm_([leaf], limit)
    return leaf.grad.numpy()


def paddings(convolve: Callable[[str], str]) -> str:
    """Which names of a padding are taken."""
    names = ["valid", "same", "VALID", "SAME"]
    return ", ".join(name for name in names if not refused(partial(convolve, name)).startswith("refused"))


def torch_convolution(**options: Any) -> str:
    convolve = nn.Conv2d(1, 1, 3, **options)
    return "{} × {}".format(*convolve(torch.zeros(1, 1, 7, 7)).shape[2:])


def keras_convolution(**options: Any) -> str:
    return "{} × {}".format(*layers.Conv2D(1, 3, **options)(tf.zeros((1, 7, 7, 1))).shape[1:3])


def name_of(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def second_gradient_in_torch() -> float:
    w = torch.tensor(1.0, requires_grad=True)
    for _ in range(2):
        (3 * w).backward()
    return w.grad.item()


def second_gradient_in_tensorflow() -> float:
    w = tf.Variable(1.0)
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = 3 * w
        grad = tape.gradient(loss, w)
    return float(grad)


def slope_at_0_in_torch() -> float:
    z = torch.tensor(0.0, requires_grad=True)
    z.relu().backward()
    return z.grad.item()


def slope_at_0_in_tensorflow() -> float:
    z = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        a = tf.nn.relu(z)
    return float(tape.gradient(a, z))


def batch_size_in_keras() -> int:
    sizes = []
    model = tf.keras.Sequential([layers.Input((1,)), layers.Lambda(lambda X: sizes.append(X.shape[0]) or X)])
    model.compile(run_eagerly=True)
    model.predict(np.zeros((100, 1)), verbose=0)
    return next(size for size in sizes if size is not None)


def shuffled_by_backprop() -> str:
    order = np.concatenate([*minibatches(1000, 64, np.random.default_rng(0))])
    given = {*inspect.signature(backprop.train).parameters, *inspect.signature(minibatches).parameters}
    return "always" if (order != np.arange(1000)).any() and "shuffle" not in given else "not always"


def rows_of_optimizers() -> list[Default]:
    optim = torch.optim
    adam = (
        path_of_backprop(lambda params: Adam(params, lr=1.0, beta1=0.75, beta2=0.9375, eps=1.0)),
        path_of_torch(lambda params: optim.Adam(params, lr=1.0, betas=(0.75, 0.9375), eps=1.0)),
        path_of_keras(lambda: optimizers.Adam(1.0, beta_1=0.75, beta_2=0.9375, epsilon=1.0)),
    )
    rmsprop = (
        path_of_backprop(lambda params: RMSProp(params, lr=1.0, rho=0.0, eps=3.0)),
        path_of_torch(lambda params: optim.RMSprop(params, lr=1.0, alpha=0.0, eps=3.0)),
        path_of_keras(lambda: optimizers.RMSprop(1.0, rho=0.0, epsilon=3.0)),
    )
    momentum = (
        path_of_backprop(lambda params: Momentum(params, lr=1.0, beta=0.5)),
        path_of_torch(lambda params: optim.SGD(params, lr=1.0, momentum=0.5)),
        path_of_keras(lambda: optimizers.SGD(1.0, momentum=0.5)),
    )
    adamw = (
        path_of_backprop(lambda params: AdamW(params, lr=0.5, weight_decay=0.25)),
        path_of_torch(lambda params: optim.AdamW(params, lr=0.5, weight_decay=0.25)),
        path_of_keras(lambda: optimizers.AdamW(0.5, weight_decay=0.25)),
    )

    def measured(what, how, paths, *values):
        cells = [(value, lambda path=path: how(path)) for value, path in zip(values, paths, strict=True)]
        return Default(what, *cells)

    beside, under = "beside the root: √s + ε", "under the root: √(s + ε)"
    beside_v_hat = "beside the root of v̂: √v̂ + ε"
    beside_v = "beside the root of v, its bias not yet corrected: √v + ε"
    of_gradients, of_steps = "gradients: v = βv + g, w = w - lr·v", "steps: v = βv - lr·g, w = w + v"
    shrunk = "w · (1 - lr · decay)"
    return [
        Default(
            "SGD: learning rate",
            (MUST_BE_GIVEN, SGD, "lr"),
            (1e-3, optim.SGD, "lr"),
            (1e-2, optimizers.SGD, "learning_rate"),
        ),
        Default(
            "SGD: momentum", (0.9, Momentum, "beta"), (0, optim.SGD, "momentum"), (0.0, optimizers.SGD, "momentum")
        ),
        measured("SGD: the velocity is one of", velocity, momentum, of_gradients, of_gradients, of_steps),
        measured("SGD: a gradient enters the velocity as", share_in_velocity, momentum, "g", "g", "g"),
        Default(
            "AdaGrad: learning rate",
            (1e-2, AdaGrad, "lr"),
            (1e-2, optim.Adagrad, "lr"),
            (1e-3, optimizers.Adagrad, "learning_rate"),
        ),
        Default(
            "AdaGrad: ε", (1e-10, AdaGrad, "eps"), (1e-10, optim.Adagrad, "eps"), (1e-7, optimizers.Adagrad, "epsilon")
        ),
        Default(
            "AdaGrad: the sum of squares starts at",
            (0.0, lambda: AdaGrad([(np.ones((1, 1)), np.ones(1))]).state[0][0].item()),
            (0, optim.Adagrad, "initial_accumulator_value"),
            (0.1, optimizers.Adagrad, "initial_accumulator_value"),
        ),
        Default(
            "RMSProp: learning rate",
            (1e-2, RMSProp, "lr"),
            (1e-2, optim.RMSprop, "lr"),
            (1e-3, optimizers.RMSprop, "learning_rate"),
        ),
        Default(
            "RMSProp: ρ (PyTorch: alpha)",
            (0.99, RMSProp, "rho"),
            (0.99, optim.RMSprop, "alpha"),
            (0.9, optimizers.RMSprop, "rho"),
        ),
        Default("RMSProp: momentum", None, (0, optim.RMSprop, "momentum"), (0.0, optimizers.RMSprop, "momentum")),
        Default(
            "RMSProp: ε", (1e-8, RMSProp, "eps"), (1e-8, optim.RMSprop, "eps"), (1e-7, optimizers.RMSprop, "epsilon")
        ),
        measured("RMSProp: ε stands", rmsprops_epsilon, rmsprop, beside, beside, under),
        Default(
            "Adam: learning rate",
            (1e-3, Adam, "lr"),
            (1e-3, optim.Adam, "lr"),
            (1e-3, optimizers.Adam, "learning_rate"),
        ),
        Default(
            "Adam: β₁ and β₂",
            ((0.9, 0.999), lambda: (argument(Adam, "beta1"), argument(Adam, "beta2"))),
            ((0.9, 0.999), optim.Adam, "betas"),
            ((0.9, 0.999), lambda: (argument(optimizers.Adam, "beta_1"), argument(optimizers.Adam, "beta_2"))),
        ),
        Default("Adam: ε", (1e-8, Adam, "eps"), (1e-8, optim.Adam, "eps"), (1e-7, optimizers.Adam, "epsilon")),
        measured("Adam: ε stands", adams_epsilon, adam, beside_v_hat, beside_v_hat, beside_v),
        Default(
            "AdamW: learning rate",
            (1e-3, AdamW, "lr"),
            (1e-3, optim.AdamW, "lr"),
            (1e-3, optimizers.AdamW, "learning_rate"),
        ),
        Default("AdamW: ε", (1e-8, AdamW, "eps"), (1e-8, optim.AdamW, "eps"), (1e-7, optimizers.AdamW, "epsilon")),
        Default(
            "AdamW: weight decay",
            (0.01, AdamW, "weight_decay"),
            (0.01, optim.AdamW, "weight_decay"),
            (0.004, optimizers.AdamW, "weight_decay"),
        ),
        measured("AdamW: w decays to", decay, adamw, shrunk, shrunk, shrunk),
        Default(
            "Adam: weight_decay",
            None,
            (
                "enters the gradient (L2)",
                lambda: decay_in_adam(path_of_torch(lambda w: optim.Adam(w, lr=0.5, eps=1e-12, weight_decay=0.25))),
            ),
            (
                "shrinks w, as AdamW",
                lambda: decay_in_adam(path_of_keras(lambda: optimizers.Adam(0.5, epsilon=1e-12, weight_decay=0.25))),
            ),
        ),
        Default(
            "AdamW: what decays",
            ("weights and biases", lambda: decayed(backprop_shrinks)),
            ("weights and biases", lambda: decayed(torch_shrinks)),
            ("weights and biases", lambda: decayed(keras_shrinks)),
        ),
        Default(
            "a learning rate of 0.1 is kept as",
            (0.1, lambda: SGD([], lr=0.1).lr),
            (0.1, lambda: optim.SGD([torch.zeros(1)], lr=0.1).param_groups[0]["lr"]),
            (0.10000000149011612, lambda: float(optimizers.SGD(0.1).learning_rate)),
        ),
        Default(
            "a momentum of 0.9 on float64 weights is",
            (0.9, lambda: second_step(path_of_backprop(lambda params: Momentum(params, lr=1.0, beta=0.9)))),
            (0.9, lambda: second_step(path_of_torch(lambda params: optim.SGD(params, lr=1.0, momentum=0.9)))),
            (0.8999999761581421, lambda: second_step(path_of_keras(lambda: optimizers.SGD(1.0, momentum=0.9)))),
        ),
        Default(
            "a gradient too long is clipped",
            ("to the limit", lambda: clipped(lambda g, limit: backprop.clip_by_global_norm([g], limit)[0][0])),
            ("by limit / (length + 1e-6)", lambda: clipped(clip_in_torch)),
            ("to the limit", lambda: clipped(lambda g, limit: tf.clip_by_global_norm([g], limit)[0][0].numpy())),
        ),
        Default(
            "a second backward pass through 3w leaves a gradient of",
            None,
            (6.0, second_gradient_in_torch),
            (3.0, second_gradient_in_tensorflow),
        ),
    ]


def rows_of_normalisation() -> list[Default]:
    def normalised_by_backprop():
        return backprop.batchnorm_forward(BATCH, np.ones(1), np.zeros(1), 0.0)[0]

    def normalised_by_torch():
        return nn.BatchNorm1d(1, dtype=torch.float64)(torch.tensor(BATCH)).detach().numpy()

    def normalised_by_keras():
        return layers.BatchNormalization(dtype="float64")(BATCH, training=True).numpy()

    biased, unbiased = "biased, / N", "unbiased, / (N - 1)"
    return [
        Default(
            "BatchNorm: ε",
            (MUST_BE_GIVEN, backprop.batchnorm_forward, "eps"),
            (1e-5, nn.BatchNorm1d, "eps"),
            (1e-3, layers.BatchNormalization, "epsilon"),
        ),
        Default(
            "BatchNorm: momentum",
            None,
            (0.1, nn.BatchNorm1d, "momentum"),
            (0.99, layers.BatchNormalization, "momentum"),
        ),
        Default(
            "BatchNorm: share of the old running average that is kept",
            None,
            (0.9, lambda: kept(torch_running)),
            (0.99, lambda: kept(keras_running)),
        ),
        Default(
            "BatchNorm: variance that a batch is divided by",
            (biased, lambda: normalising_variance(normalised_by_backprop(), 0.0)),
            (biased, lambda: normalising_variance(normalised_by_torch(), 1e-5)),
            (biased, lambda: normalising_variance(normalised_by_keras(), 1e-3)),
        ),
        Default(
            "BatchNorm: variance that enters the running average",
            None,
            (unbiased, lambda: running_variance(torch_running)),
            (biased, lambda: running_variance(keras_running)),
        ),
        Default("LayerNorm: ε", None, (1e-5, nn.LayerNorm, "eps"), (1e-3, layers.LayerNormalization, "epsilon")),
        Default(
            "variance of a tensor",
            (biased, lambda: variance_kind(BATCH.var())),
            (unbiased, lambda: variance_kind(torch.tensor(BATCH).var().item())),
            (biased, lambda: variance_kind(float(tf.math.reduce_variance(BATCH)))),
        ),
    ]


def rows_of_weights() -> list[Default]:
    he_normal = "normal, variance 2 / fan-in"
    return [
        Default(
            "weights of a linear layer: layout",
            ("(in, out)", lambda: shape(MLP([3, 4]).params[0][0], DENSE)),
            ("(out, in)", lambda: shape(nn.Linear(3, 4).weight, DENSE)),
            ("(in, out)", lambda: shape(built(layers.Dense(4), None, 3).kernel, DENSE)),
        ),
        Default(
            "weights of a convolution: layout",
            None,
            ("(out, in, height, width)", lambda: shape(nn.Conv2d(3, 4, (5, 6)).weight, CONVOLUTION)),
            (
                "(height, width, in, out)",
                lambda: shape(built(layers.Conv2D(4, (5, 6)), None, 8, 8, 3).kernel, CONVOLUTION),
            ),
        ),
        Default(
            "weights of a linear layer: start",
            (he_normal, lambda: initial(MLP([FAN_IN, FAN_OUT]).params[0][0])),
            (
                "uniform, between ± 1 / √fan-in",
                lambda: initial(torch_random(lambda: nn.Linear(FAN_IN, FAN_OUT).weight)),
            ),
            (
                "uniform, between ± √(6 / (fan-in + fan-out))",
                lambda: initial(built(layers.Dense(FAN_OUT), None, FAN_IN).kernel),
            ),
        ),
        Default(
            "biases of a linear layer: start",
            ("zeros", lambda: initial(MLP([FAN_IN, FAN_OUT]).params[0][1])),
            ("uniform, between ± 1 / √fan-in", lambda: initial(torch_random(lambda: nn.Linear(FAN_IN, 20_000).bias))),
            ("zeros", lambda: initial(built(layers.Dense(FAN_OUT), None, FAN_IN).bias)),
        ),
        Default(
            "He's normal initialisation draws from",
            (he_normal, lambda: initial(backprop.he_init(FAN_IN, FAN_OUT, np.random.default_rng(0)))),
            (he_normal, lambda: initial(torch_random(lambda: nn.init.kaiming_normal_(torch.empty(FAN_OUT, FAN_IN))))),
            (
                "normal, cut off at 2 σ, variance 2 / fan-in",
                lambda: initial(tf.keras.initializers.HeNormal(seed=0)((FAN_IN, FAN_OUT))),
            ),
        ),
        Default(
            "embedding: start",
            None,
            ("normal, variance 1", lambda: initial(torch_random(lambda: nn.Embedding(FAN_IN, FAN_OUT).weight))),
            ("uniform, between ± 0.05", lambda: initial(built(layers.Embedding(FAN_IN, FAN_OUT)).embeddings)),
        ),
    ]


def rows_of_losses() -> list[Default]:
    y, logits = torch.tensor(LABELS), torch.tensor(LOGITS)
    squares, each = (Y_HAT - Y) ** 2, -backprop.log_softmax(LOGITS)[np.arange(2), LABELS]
    over_elements, over_examples = "mean over all elements", "mean over all examples"
    one_each = "none: one number for each example"
    sparse = losses.SparseCategoricalCrossentropy
    return [
        Default(
            "order of a loss's arguments",
            ("Y_hat, Y", lambda: ", ".join(inspect.signature(backprop.mse).parameters)),
            ("input, target", lambda: ", ".join(list(inspect.signature(nn.MSELoss.forward).parameters)[1:])),
            ("y_true, y_pred", lambda: ", ".join(inspect.signature(losses.MSE).parameters)),
        ),
        Default(
            "MSE, the class: reduction",
            (over_elements, lambda: reduction(backprop.mse(Y_HAT, Y), squares)),
            (over_elements, lambda: reduction(nn.MSELoss()(torch.tensor(Y_HAT), torch.tensor(Y)), squares)),
            (over_elements, lambda: reduction(keras_loss(losses.MeanSquaredError)(Y, Y_HAT), squares)),
        ),
        Default(
            "MSE, the function: reduction",
            (over_elements, lambda: reduction(backprop.mse(Y_HAT, Y), squares)),
            (over_elements, lambda: reduction(F.mse_loss(torch.tensor(Y_HAT), torch.tensor(Y)), squares)),
            (one_each, lambda: reduction(losses.MSE(Y, Y_HAT), squares)),
        ),
        Default(
            "cross-entropy, the class: reduction",
            (over_examples, lambda: reduction(backprop.cross_entropy(LOGITS, LABELS), each)),
            (over_examples, lambda: reduction(nn.CrossEntropyLoss()(logits, y), each)),
            (over_examples, lambda: reduction(keras_loss(sparse, from_logits=True)(LABELS, LOGITS), each)),
        ),
        Default(
            "cross-entropy, the function: reduction",
            (over_examples, lambda: reduction(backprop.cross_entropy(LOGITS, LABELS), each)),
            (over_examples, lambda: reduction(F.cross_entropy(logits, y), each)),
            (one_each, lambda: reduction(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, LOGITS), each)),
        ),
        Default(
            "cross-entropy takes",
            ("logits", lambda: takes(lambda P: backprop.cross_entropy(P, LABELS))),
            ("logits", lambda: takes(lambda P: nn.CrossEntropyLoss()(torch.tensor(P), y))),
            ("probabilities", lambda: takes(lambda P: keras_loss(sparse)(LABELS, P))),
        ),
        Default(
            "binary cross-entropy (PyTorch: BCELoss) takes",
            ("logits", lambda: takes_binary(backprop.bce_with_logits)),
            ("probabilities", lambda: takes_binary(lambda p, t: nn.BCELoss()(torch.tensor(p), torch.tensor(t)))),
            ("probabilities", lambda: takes_binary(lambda p, t: keras_loss(losses.BinaryCrossentropy)(t, p))),
        ),
        Default(
            "MSE of predictions (3, 1) and targets (3,)",
            ("of 9 differences, by broadcasting", lambda: columns_against_row(backprop.mse)),
            (
                "of 9 differences, by broadcasting, with a warning",
                lambda: columns_against_row(lambda a, b: nn.MSELoss()(torch.tensor(a), torch.tensor(b))),
            ),
            (
                "of 3 differences",
                lambda: columns_against_row(lambda a, b: keras_loss(losses.MeanSquaredError)(b, a)),
            ),
        ),
        Default(
            "Kullback-Leibler divergence: reduction",
            None,
            ("mean over all elements, with a warning", divergence_in_torch),
            (over_examples, lambda: divergence(keras_loss(losses.KLDivergence)(TARGETS, PROBABILITIES))),
        ),
        Default("Huber: δ", None, (1.0, nn.HuberLoss, "delta"), (1.0, losses.Huber, "delta")),
    ]


def rows_of_layers() -> list[Default]:
    many, rng = np.ones((200, 100)), np.random.default_rng(0)
    inverted = "probability of dropping; the rest is divided by 1 - p"
    return [
        Default(
            "Dropout: p (Keras: rate)",
            (MUST_BE_GIVEN, backprop.dropout_forward, "p"),
            (0.5, nn.Dropout, "p"),
            (MUST_BE_GIVEN, layers.Dropout, "rate"),
        ),
        Default(
            "Dropout: p is the",
            (inverted, lambda: dropout(backprop.dropout_forward(many, 0.25, rng)[0])),
            (inverted, lambda: dropout(torch_random(lambda: nn.Dropout(0.25)(torch.tensor(many))))),
            (inverted, lambda: dropout(layers.Dropout(0.25, seed=0, dtype="float64")(many, training=True))),
        ),
        Default(
            "a new layer runs",
            None,
            ("as in training", lambda: mode(torch_random(lambda: nn.Dropout(0.5)(torch.ones(100))))),
            ("as in use", lambda: mode(layers.Dropout(0.5)(tf.ones(100)))),
        ),
        Default(
            "LeakyReLU, the layer: slope below 0",
            None,
            (0.01, nn.LeakyReLU, "negative_slope"),
            (0.3, layers.LeakyReLU, "negative_slope"),
        ),
        Default(
            "LeakyReLU, the layer: a slope of 0.3 in float64 is",
            None,
            (0.3, lambda: -nn.LeakyReLU(0.3)(torch.tensor(-1.0, dtype=torch.float64)).item()),
            (0.30000001192092896, lambda: -float(layers.LeakyReLU(0.3, dtype="float64")(-np.ones(1))[0])),
        ),
        Default(
            "leaky ReLU, the function: slope below 0",
            None,
            (0.01, F.leaky_relu, "negative_slope"),
            (0.2, tf.nn.leaky_relu, "alpha"),
        ),
        Default(
            "slope of ReLU at 0",
            (0.0, lambda: backprop.relu_backward(np.ones(1), np.zeros(1)).item()),
            (0.0, slope_at_0_in_torch),
            (0.0, slope_at_0_in_tensorflow),
        ),
        Default(
            "images: layout",
            None,
            ("(N, channels, height, width)", lambda: shape(nn.Conv2d(1, 3, 1)(torch.zeros(2, 1, 5, 6)), IMAGES)),
            ("(N, height, width, channels)", lambda: shape(layers.Conv2D(3, 1)(tf.zeros((2, 5, 6, 1))), IMAGES)),
        ),
        Default("convolution: padding", None, (0, nn.Conv2d, "padding"), ("valid", layers.Conv2D, "padding")),
        Default(
            "convolution: names of paddings",
            None,
            ("valid, same", lambda: paddings(lambda name: torch_convolution(padding=name))),
            ("valid, same, VALID, SAME", lambda: paddings(lambda name: keras_convolution(padding=name))),
        ),
        Default(
            "convolution 3 × 3 of 7 × 7, nothing else said",
            None,
            ("5 × 5", torch_convolution),
            ("5 × 5", keras_convolution),
        ),
        Default(
            'convolution 3 × 3 of 7 × 7, padding "same", stride 2',
            None,
            ("refused, ValueError", lambda: refused(lambda: torch_convolution(padding="same", stride=2))),
            ("4 × 4", lambda: refused(lambda: keras_convolution(padding="same", strides=2))),
        ),
    ]


def rows_of_types_and_loops() -> list[Default]:
    single, double = np.ones((2, 2), np.float32), np.ones((2, 2))
    return [
        Default(
            "dtype of new parameters",
            ("float64", lambda: name_of(MLP([3, 4]).params[0][0].dtype)),
            ("float32", lambda: name_of(nn.Linear(3, 4).weight.dtype)),
            ("float32", lambda: name_of(built(layers.Dense(4), None, 3).kernel.dtype)),
        ),
        Default(
            "dtype of a tensor made from 0.5",
            ("float64", lambda: name_of(np.array(0.5).dtype)),
            ("float32", lambda: name_of(torch.tensor(0.5).dtype)),
            ("float32", lambda: name_of(tf.constant(0.5).dtype)),
        ),
        Default(
            "dtype of a tensor made from a float64 array",
            ("float64", lambda: name_of(np.array(double).dtype)),
            ("float64", lambda: name_of(torch.tensor(double).dtype)),
            ("float64", lambda: name_of(tf.constant(double).dtype)),
        ),
        Default(
            "float32 @ float64",
            ("float64", lambda: name_of((single @ double).dtype)),
            ("refused, RuntimeError", lambda: refused(lambda: torch.tensor(single) @ torch.tensor(double))),
            ("refused, InvalidArgumentError", lambda: refused(lambda: tf.constant(single) @ tf.constant(double))),
        ),
        Default(
            "float64 inputs to a float32 layer",
            ("float32", lambda: name_of(MLP([2, 3], dtype=np.float32)(double).dtype)),
            ("refused, RuntimeError", lambda: refused(lambda: nn.Linear(2, 3)(torch.tensor(double)))),
            ("float32", lambda: refused(lambda: layers.Dense(3)(double), lambda Z: name_of(Z.dtype))),
        ),
        Default(
            "batch size of train, DataLoader, predict",
            (64, backprop.train, "batch_size"),
            (1, torch.utils.data.DataLoader, "batch_size"),
            (32, batch_size_in_keras),
        ),
        Default(
            "shuffled by train, DataLoader, fit",
            ("always", shuffled_by_backprop),
            (False, lambda: bool(argument(torch.utils.data.DataLoader, "shuffle"))),
            (True, tf.keras.Model.fit, "shuffle"),
        ),
    ]


DEFAULTS = [
    *rows_of_optimizers(),
    *rows_of_normalisation(),
    *rows_of_weights(),
    *rows_of_losses(),
    *rows_of_layers(),
    *rows_of_types_and_loops(),
]


@pytest.mark.parametrize("row", DEFAULTS, ids=lambda row: row.what)
def test_a_default_is_what_the_table_says(row):
    for column, cell in row.cells().items():
        value = cell[0]
        assert installed(cell) == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), column


def test_every_row_is_said_once_and_compares_two_libraries():
    assert len({row.what for row in DEFAULTS}) == len(DEFAULTS)
    assert all(row.torch and row.keras for row in DEFAULTS)


# 4. What chapter 11 says of them

CHAPTER = jupytext.read(ROOT / "solutions" / "11-three-ways.md")
PROSE, CODE = ("\n".join(c.source for c in CHAPTER.cells if c.cell_type == kind) for kind in ("markdown", "code"))


def tables(first: str) -> list[list[str]]:
    """The rows of the chapter's tables whose first column has this heading, as cells."""
    rows, inside = [], False
    for line in PROSE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and not inside:
            inside = cells[0] == first or None
        elif not cells:
            inside = False
        elif inside and not set(cells[0]) <= set("- :"):
            rows.append(cells)
    return rows


def meant(text: str) -> Any:
    """What a cell of the chapter's table says: a number, a truth value, words, or None for a dash."""
    if text == "–":
        return None
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def disagreements(row: list[str]) -> list[str]:
    """Cells in which a row of the chapter's table says something else than the table above."""
    what, *cells = row
    default = next((default for default in DEFAULTS if default.what == what), None)
    if default is None:
        return [f"there is no default {what!r}"]
    pinned = [cell and cell[0] for cell in (default.backprop, default.torch, default.keras)]
    wrong = []
    for said, value in zip(map(meant, cells), pinned, strict=True):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        right = pytest.approx(value, rel=1e-9) if is_number else value
        if said != right or isinstance(said, bool) != isinstance(value, bool):
            wrong.append(f"{what}: {said!r} is said, {value!r} holds")
    return wrong


DEFAULTS_IN_THE_CHAPTER = tables("what is left out")


@pytest.mark.parametrize("row", DEFAULTS_IN_THE_CHAPTER, ids=lambda row: row[0])
def test_the_chapters_table_says_what_holds(row):
    assert disagreements(row) == []


def test_the_chapters_table_is_read_and_no_row_stands_twice():
    names = [row[0] for row in DEFAULTS_IN_THE_CHAPTER]
    assert len(names) == len(set(names)) >= 30
    assert {"Adam: ε stands", "weights of a linear layer: layout", "cross-entropy takes"} <= {*names}


@pytest.mark.parametrize(
    "row",
    [
        ["Adam: ε", "1e-8", "1e-8", "1e-8"],
        ["RMSProp: momentum", "0", "0", "0"],
        ["shuffled by train, DataLoader, fit", "always", "0", "True"],
        ["Adam: ε stands", "beside the root", "beside the root", "under the root"],
        ["Adam: epsilon", "1e-8", "1e-8", "1e-7"],
    ],
)
def test_a_wrong_row_would_be_noticed(row):
    assert disagreements(row)


def test_every_phrase_of_the_phrase_book_runs_in_the_chapter():
    phrases = {phrase for row in tables("to say") for cell in row[1:] for phrase in re.findall(r"`([^`]+)`", cell)}
    assert len(phrases) > 40
    assert {phrase for phrase in phrases if phrase not in CODE} == set()
