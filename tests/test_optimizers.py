"""The update rules of ``backprop`` against PyTorch's optimizers in float64, over a hundred steps, to 1e-10."""

import numpy as np
import pytest
import torch

from autograder.exercises import EXERCISES
from backprop import (
    MLP,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    RMSProp,
    adagrad_step,
    adam_step,
    adamw_step,
    cosine_schedule,
    momentum_step,
    nesterov_step,
    rmsprop_step,
    train,
)

STEPS = 100
SHAPES = [(), (7,), (5, 3)]


def momentum(w, g, state, t):
    return momentum_step(w, g, *state, lr=0.03, beta=0.8)


def nesterov(w, g, state, t):
    return nesterov_step(w, g, *state, lr=0.03, beta=0.8)


def rmsprop(w, g, state, t):
    return rmsprop_step(w, g, *state, lr=0.02, rho=0.85, eps=1e-3)


def adagrad(w, g, state, t):
    return adagrad_step(w, g, *state, lr=0.1, eps=1e-3)


def adam(w, g, state, t):
    return adam_step(w, g, *state, t, lr=0.02, beta1=0.8, beta2=0.95, eps=1e-3)


def adamw(w, g, state, t):
    return adamw_step(w, g, *state, t, lr=0.02, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.3)


RULES = {  # our step, the number of its states, and what PyTorch calls it
    "momentum": (momentum, 1, lambda params: torch.optim.SGD(params, lr=0.03, momentum=0.8)),
    "nesterov": (nesterov, 1, lambda params: torch.optim.SGD(params, lr=0.03, momentum=0.8, nesterov=True)),
    "rmsprop": (rmsprop, 1, lambda params: torch.optim.RMSprop(params, lr=0.02, alpha=0.85, eps=1e-3)),
    "adagrad": (adagrad, 1, lambda params: torch.optim.Adagrad(params, lr=0.1, eps=1e-3)),
    "adam": (adam, 2, lambda params: torch.optim.Adam(params, lr=0.02, betas=(0.8, 0.95), eps=1e-3)),
    "adamw": (
        adamw,
        2,
        lambda params: torch.optim.AdamW(params, lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3),
    ),
}


def gradient(w, scale):
    """Of a bowl with ripples: gradients change sign, and their sizes differ by entry."""
    return scale * (w + 2 * np.sin(3 * w))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_a_hundred_steps_agree_with_pytorch(name, shape):
    step, states, in_torch = RULES[name]
    rng = np.random.default_rng(6)
    w, scale = rng.standard_normal(shape), 10.0 ** rng.uniform(-3, 1, shape)
    leaf = torch.tensor(w, requires_grad=True)
    optimizer = in_torch([leaf])
    state = [np.zeros(shape)] * states
    for t in range(1, STEPS + 1):
        leaf.grad = torch.tensor(gradient(leaf.detach().numpy(), scale))
        optimizer.step()
        w, *state = step(w, gradient(w, scale), state, t)
        np.testing.assert_allclose(w, leaf.detach().numpy(), rtol=1e-10, atol=1e-10)


CLASSES = {  # ours and PyTorch's, with what they take if nothing but the learning rate is said
    SGD: lambda params: torch.optim.SGD(params, lr=0.05),
    Momentum: lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9),
    Nesterov: lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9, nesterov=True),
    AdaGrad: lambda params: torch.optim.Adagrad(params, lr=0.05),
    RMSProp: lambda params: torch.optim.RMSprop(params, lr=0.05),
    Adam: lambda params: torch.optim.Adam(params, lr=0.05),
    AdamW: lambda params: torch.optim.AdamW(params, lr=0.05),
}


@pytest.mark.parametrize("optimizer", CLASSES)
def test_a_class_does_to_all_parameters_in_place_what_pytorchs_does(optimizer):
    rng = np.random.default_rng(7)
    params = [(rng.standard_normal((3, 4)), rng.standard_normal(4)), (rng.standard_normal((4, 2)), np.ones(2))]
    held = [p for pair in params for p in pair]
    leaves = [torch.tensor(p) for p in held]
    ours, theirs = optimizer(params, lr=0.05), CLASSES[optimizer](leaves)
    for t in range(STEPS):
        grads = [(gradient(W, 0.5), gradient(b, 3.0)) for W, b in params]
        before = [g.copy() for pair in grads for g in pair]
        for leaf, g in zip(leaves, before, strict=True):
            leaf.grad = torch.tensor(g)
        if t == STEPS // 2:
            ours.lr = theirs.param_groups[0]["lr"] = 0.01
        ours.step(grads)
        theirs.step()
        for p, leaf, g, kept in zip(held, leaves, [g for pair in grads for g in pair], before, strict=True):
            np.testing.assert_allclose(p, leaf.numpy(), rtol=1e-10, atol=1e-10)
            np.testing.assert_array_equal(g, kept)


@pytest.mark.parametrize("optimizer", CLASSES)
def test_single_precision_stays_single(optimizer):
    model = MLP([3, 4, 2], dtype=np.float32)
    ours = optimizer(model.params, lr=0.05)
    ours.step(model.loss_and_grads(np.eye(3), np.array([0, 1, 1]))[1])
    assert all(p.dtype == np.float32 for pair in model.params for p in pair)
    assert all(s.dtype == np.float32 for slots in ours.state for s in slots)


@pytest.mark.parametrize("optimizer", CLASSES)
def test_gradients_that_do_not_fit_are_refused(optimizer):
    ours = optimizer([(np.zeros((3, 4)), np.zeros(4))], lr=0.05)
    with pytest.raises(ValueError, match="expected 1 pairs"):
        ours.step([])
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(3, 4\), like its parameter, got \(4,\)"):
        ours.step([(np.zeros(4), np.zeros(4))])


def test_a_schedule_sets_the_rate_of_every_step():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((10, 3)), rng.integers(0, 2, 10)
    model, rates = MLP([3, 2]), []
    optimizer = SGD(model.params, lr=1.0)
    step = optimizer.step
    optimizer.step = lambda grads: (rates.append(optimizer.lr), step(grads))
    train(model, optimizer, X, y, epochs=2, batch_size=4, schedule=lambda step: cosine_schedule(step, 6, 2, 0.4))
    np.testing.assert_allclose(rates, [cosine_schedule(step, 6, 2, 0.4) for step in range(6)])


@pytest.mark.parametrize("name", RULES)
def test_arguments_stay_as_they_are(name):
    step, states, _ = RULES[name]
    rng = np.random.default_rng(7)
    w, g, *state = (rng.uniform(0.1, 1, 5) for _ in range(2 + states))
    before = [a.copy() for a in (w, g, *state)]
    results = step(w, g, state, 3)
    for a, b in zip((w, g, *state), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.shares_memory(result, a) for result in results for a in (w, g, *state))


def test_where_no_gradient_ever_was_nothing_moves():
    for step, states, _ in RULES.values():
        if step is not adamw:
            w, *_ = step(np.ones(3), np.zeros(3), [np.zeros(3)] * states, 1)
            np.testing.assert_array_equal(w, np.ones(3))


@pytest.mark.parametrize(("total", "warmup"), [(20, 5), (20, 0), (1000, 1)])
def test_the_cosine_agrees_with_pytorch(total, warmup):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup)
    for step in range(warmup, total + 1):
        assert cosine_schedule(step, total, warmup, 0.3) == pytest.approx(schedule.get_last_lr()[0], abs=1e-10)
        optimizer.step()
        schedule.step()


def test_the_warm_up_is_a_straight_line_to_the_peak():
    rates = [cosine_schedule(step, 100, 10, 0.5) for step in range(11)]
    np.testing.assert_allclose(rates, np.linspace(0, 0.5, 11))
    assert max(cosine_schedule(step, 100, 10, 0.5) for step in range(101)) == 0.5
    assert cosine_schedule(100, 100, 10, 0.5) == 0


# How steps are judged: two mistakes at once, that nobody registered, are both named.


def two_mistakes(w, g, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + g
    v = beta2 * v + (1 - beta2) * g**2
    return w - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + eps), m, v


def without_bias_correction_and_uphill(w, g, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return w + lr * m / (np.sqrt(v) + eps), m, v


@pytest.mark.parametrize(
    ("function", "causes"),
    [
        (two_mistakes, {"weight-missing", "eps-inside-root"}),
        (without_bias_correction_and_uphill, {"no-bias-correction", "uphill"}),
    ],
)
def test_two_mistakes_in_one_step_are_both_named(function, causes):
    score = EXERCISES["adam_step"].check(function, seed=3)
    assert set(score.findings[0].cause.split("-and-")) == causes, str(score)


def test_a_state_kept_between_calls_is_found():
    kept = {}

    def remembering(w, g, v, lr, beta):
        v = beta * kept.get(w.shape, v) + g if w.shape == (3, 2) else beta * v + g  # the shape of the run of steps
        kept[w.shape] = v * 1.0001
        return w - lr * v, v

    score = EXERCISES["momentum_step"].check(remembering, seed=3)
    assert [finding.cause for finding in score.findings if not finding.note] == ["remembers"], str(score)


def test_an_array_that_lives_on_between_calls_is_found():
    buffers = {}

    def writing_into_a_buffer(w, g, v, lr, beta):
        out = buffers.setdefault(w.shape, np.empty(w.shape))
        v = beta * v + g
        np.subtract(w, lr * v, out=out)
        return out, v

    score = EXERCISES["momentum_step"].check(writing_into_a_buffer, seed=3)
    assert not score.passed
    assert "shared-memory" in [finding.cause for finding in score.findings], str(score)
