"""Chapter 8: batch norm, clipping, dropout and the rest against PyTorch and Keras, and how rarely chance misleads."""

import math

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import backprop
from autograder.checking.exercise import Exercise
from autograder.exercises import EXERCISES, check, misbehaving

seeds = st.integers(0, 2**32 - 1)


def close(ours, theirs, tolerance=1e-10):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def leaf(a):
    return torch.tensor(a, requires_grad=True)


@given(st.integers(2, 9), st.integers(1, 6), st.floats(1e-5, 1.0), seeds)
def test_batch_norm_is_pytorchs(N, D, eps, seed):
    rng = np.random.default_rng(seed)
    X, dY = 3 * rng.standard_normal((N, D)) + 1, rng.standard_normal((N, D))
    gamma, beta = rng.standard_normal((2, D))
    Y, cache = backprop.batchnorm_forward(X, gamma, beta, eps)
    leaves = leaf(X), leaf(gamma), leaf(beta)
    theirs = torch.nn.functional.batch_norm(leaves[0], None, None, leaves[1], leaves[2], training=True, eps=eps)
    close(Y, theirs.detach().numpy())
    theirs.backward(torch.tensor(dY))
    for ours, grad in zip(backprop.batchnorm_backward(dY, cache), (tensor.grad for tensor in leaves), strict=True):
        close(ours, grad.numpy(), 1e-8)


@given(st.integers(1, 6), st.integers(1, 6), seeds)
def test_batch_norm_of_a_batch_of_one_is_beta_and_passes_no_gradient_on(D, times, seed):
    rng = np.random.default_rng(seed)
    gamma, beta = rng.standard_normal((2, D))
    Y, cache = backprop.batchnorm_forward(rng.standard_normal((1, D)), gamma, beta, 1e-5)
    close(Y[0], beta)
    dX, dgamma, dbeta = backprop.batchnorm_backward(np.full((1, D), float(times)), cache)
    assert not dX.any()
    assert not dgamma.any()
    close(dbeta, np.full(D, float(times)))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5), st.floats(0.01, 20), seeds)
def test_clipping_is_pytorchs(shapes, max_norm, seed):
    rng = np.random.default_rng(seed)
    grads = [rng.standard_normal(shape) for shape in shapes]
    parameters = [torch.nn.Parameter(torch.tensor(g)) for g in grads]
    for parameter, g in zip(parameters, grads, strict=True):
        parameter.grad = torch.tensor(g)
    theirs = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    clipped, norm = backprop.clip_by_global_norm(grads, max_norm)
    assert norm == pytest.approx(float(theirs), rel=1e-12)
    for ours, parameter in zip(clipped, parameters, strict=True):  # PyTorch divides by the norm + 1e-6
        close(ours, parameter.grad.numpy(), 1.1e-6 * max(1, 1 / norm))


def test_clipping_leaves_a_gradient_of_zeros():
    clipped, norm = backprop.clip_by_global_norm([np.zeros((2, 3)), np.zeros(3)], 1.0)
    assert norm == 0
    assert not any(g.any() for g in clipped)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_dropout_is_pytorchs(p):
    """PyTorch's mask shows in its result; with it, values and gradients must be ours."""
    X = np.random.default_rng(0).standard_normal((300, 70))
    dY = np.random.default_rng(1).standard_normal((300, 70))
    torch.manual_seed(0)
    x = leaf(X)
    theirs = torch.nn.functional.dropout(x, p)
    mask = theirs.detach().numpy() != 0
    close(X * mask / (1 - p), theirs.detach().numpy())
    theirs.backward(torch.tensor(dY))
    close(backprop.dropout_backward(dY, mask, p), x.grad.numpy())
    close(backprop.dropout_backward(dY, mask.astype(float), p), x.grad.numpy())
    Y, ours = backprop.dropout_forward(X, p, np.random.default_rng(2))
    close(Y, X * ours / (1 - p))
    assert abs(ours.mean() - mask.mean()) < 0.02


def test_the_gradient_of_the_penalty_is_pytorchs():
    W, G = np.random.default_rng(0).standard_normal((2, 5, 3))
    w = leaf(W)
    loss = (w * torch.tensor(G)).sum() + 0.3 * (w * w).sum()
    loss.backward()
    close(backprop.l2_grad(W, G, 0.3), w.grad.numpy())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 5))
def test_early_stopping_keeps_the_epoch_that_keras_keeps(losses, patience):
    callback = tf.keras.callbacks.EarlyStopping("loss", patience=patience)
    callback.set_model(tf.keras.Sequential())
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"loss": float(loss)})
        if getattr(callback.model, "stop_training", False):
            break
    assert backprop.early_stop(losses, patience) == callback.best_epoch


def test_he_initialisation_has_the_spread_of_pytorchs():
    W = backprop.he_init(400, 300, np.random.default_rng(0))
    theirs = torch.empty(300, 400, dtype=torch.float64)
    torch.nn.init.kaiming_normal_(theirs, nonlinearity="relu", generator=torch.Generator().manual_seed(0))
    assert W.shape == (400, 300)
    assert W.std() == pytest.approx(float(theirs.std()), rel=0.01)
    assert W.std() == pytest.approx(math.sqrt(2 / 400), rel=0.01)


# How often does chance refuse a right answer? A check of `he_init` looks at its cases (the first one twice, with other
# numbers) and at the larger matrices; one of `dropout_forward` at its cases and at three statistics of more masks.

CASES = [*misbehaving.HE_SIZES, misbehaving.HE_SIZES[0]]
MATRICES = [i * o for i, o in (*CASES, *misbehaving.HE_LARGE_SIZES)]
LARGE = [i * o for i, o in misbehaving.HE_LARGE_SIZES]


def _outside(degrees, n, slack):
    """Probability that the variance of n normal numbers is off by more than a share ``slack`` of itself."""
    chi2 = stats.chi2(degrees)
    return chi2.cdf(n * (1 - slack)) + chi2.sf(n * (1 + slack))


def test_normal_weights_are_refused_by_chance_in_fewer_than_1e8_checks():
    means = sum(2 * stats.t(n - 1).sf(misbehaving.MEAN_ERRORS * math.sqrt((n - 1) / n)) for n in MATRICES)
    variances = sum(_outside(n - 1, n, misbehaving.variance_slack(n)) for n in MATRICES)
    pooled = _outside(sum(LARGE) - len(LARGE), sum(LARGE), misbehaving.POOLED_SLACK)
    rows, columns = misbehaving.HE_LARGE_SIZES[2]
    alike = sum(  # for the mean squared correlation to be so large, that of one pair must be
        k * (k - 1) / 2 * stats.beta(0.5, (length - 2) / 2).sf(misbehaving.LARGEST_CORRELATION)
        for k, length in ((rows, columns), (columns, rows))
    )
    equal = stats.poisson((rows * columns) ** 2 / 2**24).sf(0.1 * rows * columns)  # of numbers in single precision
    assert means + variances + pooled + alike + equal < 1e-8


def test_uniform_weights_are_refused_by_chance_in_fewer_than_1e6_checks():
    """By inequalities alone: uniform numbers are sub-Gaussian, and their squares are at most 3 times their variance."""
    variances = sum(2 * math.exp(-2 * n * (misbehaving.variance_slack(n) - 60 / n) ** 2 / 9) for n in MATRICES)
    pooled = 2 * math.exp(-2 * sum(LARGE) * (misbehaving.POOLED_SLACK - 0.01) ** 2 / 9)
    means = 0.0
    for n in MATRICES:
        small = 0.2 if n > 5000 else 0.4  # by how much the variance in the standard error may be too small
        means += math.exp(-n * small**2 / 3.6) + 2 * math.exp(-(misbehaving.MEAN_ERRORS**2) * (1 - small) / 2)
    assert variances + pooled + means < 1e-6


def test_right_masks_are_refused_by_chance_in_fewer_than_1e7_checks():
    cases = misbehaving.CHANCE * 8  # Bernstein's inequality, for each case
    low, high = misbehaving.SPREAD_OF_SUMS
    sums = sum(stats.chi2(k - 1).cdf((k - 1) * low) + stats.chi2(k - 1).sf((k - 1) * high) for k in (101, 97))
    low, high = misbehaving.SPREAD_OF_TOTALS
    totals = stats.chi2(29).cdf(29 * low) + stats.chi2(29).sf(29 * high)
    equal = 10 * 0.5 ** (13 * 11)
    assert cases + sums + totals + equal < 1e-7


def test_bernsteins_bound_holds_for_the_binomial_distribution():
    for n, p in ((4087, 0.2), (2773, 0.5), (1009, 0.3), (1681, 0.1)):
        kept, t = stats.binom(n, 1 - p), n * misbehaving._slack(n, p)
        assert kept.cdf(n * (1 - p) - t) + kept.sf(n * (1 - p) + t) < misbehaving.CHANCE


@pytest.mark.parametrize("seed", range(3))
def test_any_distribution_with_the_right_moments_is_accepted(seed):
    def he_init(fan_in, fan_out, rng):
        W = rng.laplace(size=(fan_in, fan_out)) if seed else rng.triangular(-1, 0, 1, (fan_in, fan_out)) * math.sqrt(12)
        return W / math.sqrt(fan_in)

    assert check(he_init, seed=seed).passed


# Mistakes that no chaff names, alone and in pairs.


def norm_of(grads):
    return math.sqrt(sum(np.sum(g * g) for g in grads))


def backward(dX=None, dgamma=lambda dY, c: (dY * c["X_hat"]).sum(axis=0), dbeta=lambda dY, c: dY.sum(axis=0)):
    """The backward pass of batch norm with some of its results made otherwise."""

    def function(dY, c):
        right = backprop.batchnorm_backward(dY, c)[0]
        return dX(dY * c["gamma"], c["X_hat"], c["std"], c) if dX else right, dgamma(dY, c), dbeta(dY, c)

    return function


def mean(A):
    return A.mean(axis=0)


def dropout(
    keep=lambda X, p, rng: rng.random(X.shape) >= p, made=lambda X, m, p: X * m / (1 - p), shown=lambda m, p: m
):
    def function(X, p, rng):
        mask = keep(X, p, rng)
        return made(X, mask, p), shown(mask, p)

    return function


def stopping(better=lambda a, b: a < b, late=0, answer=lambda best, last, losses: best):
    def function(losses, patience):
        best = epoch = 0
        for epoch in range(1, len(losses)):
            if better(losses[epoch], losses[best]):
                best = epoch
            elif epoch - best >= patience + late:
                break
        return answer(best, epoch, losses)

    return function


EXPLAINED = [
    ("he_init", lambda i, o, rng: rng.normal(0, np.sqrt(1 / o), (i, o)), ["`fan_out` was taken", "there is a 1"]),
    ("he_init", lambda i, o, rng: rng.uniform(-1, 1, (i, o)) / np.sqrt(i), ["1/(3n)"]),
    ("he_init", lambda i, o, rng: rng.normal(0, 0.02, (i, o)), ["the same for every layer", "about 0.02"]),
    ("he_init", lambda i, o, rng: np.outer(rng.random(i) - 0.5, rng.random(o) - 0.5), ["same numbers stand"]),
    ("he_init", lambda i, o, rng: rng.normal(0.5, np.sqrt(2 / i), (i, o)), ["the middle of the distribution"]),
    (
        "batchnorm_forward",
        lambda X, gamma, beta, eps: ((X - mean(X)) / (X.std(axis=0, ddof=1) + eps) + beta, None),
        ["N − 1", "outside of the root", "`gamma` is not used"],
    ),
    (
        "batchnorm_forward",
        lambda X, gamma, beta, eps: (gamma * (X - X.mean(axis=1, keepdims=True)) / np.sqrt(X.var(axis=0) + eps), None),
        ["over each row", "`beta` is not added"],
    ),
    ("batchnorm_backward", backward(lambda g, x, std, c: (g - mean(g)) / std**2), ["variance is missing", "too often"]),
    ("batchnorm_backward", backward(lambda g, x, std, c: (g - g.mean() - x * mean(g * x)) / std), ["whole array"]),
    ("batchnorm_backward", backward(lambda g, x, std, c: (g - mean(g) - c["X"] * mean(g * x)) / std), ["X stands"]),
    (
        "batchnorm_backward",
        backward(lambda g, x, std, c: (g / c["gamma"] - mean(g) - x * mean(g * x)) / std, dbeta=lambda dY, c: mean(dY)),
        ["`dbeta` is averaged", "direct path lacks the factor `gamma`"],
    ),
    ("batchnorm_backward", backward(dgamma=lambda dY, c: mean(dY * c["X"])), ["averaged", "X stands where `X_hat`"]),
    (
        "clip_by_global_norm",
        lambda grads, m: ([g * m / norm_of(grads) for g in grads], m),
        ["short gradients are scaled as well", "the returned `norm` is"],
    ),
    (
        "clip_by_global_norm",
        lambda grads, m: ([g * min(1, 5 / norm_of(grads)) for g in grads], norm_of(grads)),
        ["5 stands where `max_norm` belongs"],
    ),
    (
        "clip_by_global_norm",
        lambda grads, m: ([g / max(1, np.abs(g).max()) for g in grads], norm_of(grads)),
        ["each array has a factor of its own"],
    ),
    (
        "dropout_forward",
        dropout(lambda X, p, rng: rng.random(X.shape) < p, lambda X, m, p: X * m),
        ["*keeping*", "not scaled"],
    ),
    (
        "dropout_forward",
        dropout(made=lambda X, m, p: X * m, shown=lambda m, p: m / (1 - p)),
        ["not scaled", "divided by 1 − p already"],
    ),
    ("dropout_forward", dropout(made=lambda X, m, p: np.where(m, X / (1 - p), X)), ["they are X itself"]),
    ("dropout_forward", dropout(lambda X, p, rng: np.full(X.shape, rng.random() >= p)), ["for the whole array"]),
    ("dropout_backward", lambda dY, mask, p: dY * (1 - mask) / p, ["wrong way round", "divided by p"]),
    ("dropout_backward", lambda dY, mask, p: dY * mask / mask.mean(), ["share of ones in the mask"]),
    ("l2_grad", lambda W, dW, lam: 2 * lam * W**2, ["the loss, dW, is not in it", "not differentiated"]),
    ("l2_grad", lambda W, dW, lam: (1 - 2 * lam) * W, ["after a step"]),
    ("l2_grad", lambda W, dW, lam: dW - lam * W, ["subtracted", "the 2 of the square is missing"]),
    ("early_stop", stopping(lambda a, b: a <= b, late=1), ["`<=`", "one epoch too late"]),
    ("early_stop", stopping(late=-1, answer=lambda best, last, losses: last), ["too early", "at which it stops"]),
    ("early_stop", stopping(lambda a, b: a < b - 0.01 * abs(b)), ["less than 1 %"]),
]


@pytest.mark.parametrize(("name", "wrong", "words"), EXPLAINED)
def test_mistakes_that_no_chaff_names_are_explained(name, wrong, words):
    with np.errstate(all="ignore"):
        explanation = str(EXERCISES[name].explain(wrong))
    for part in words:
        assert part in explanation


@pytest.mark.parametrize("name", [e.name for e in misbehaving.EXERCISES if isinstance(e, Exercise)])
def test_right_answers_need_no_explanation(name):
    exercise = EXERCISES[name]
    with np.errstate(all="ignore"):
        assert [exercise.explain(f) for f in (exercise.reference, *exercise.wheats)] == [None] * (
            len(exercise.wheats) + 1
        )
