"""What ``backprop`` promises besides its numbers: extremes, untouched arguments, errors, and that it learns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backprop
from backprop import MLP, SGD, Tensor, datasets, minibatches

rng = np.random.default_rng(0)
LOGITS = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4], [0.0, 1e4, 1e4]])


def frozen(*shape):
    array = rng.standard_normal(shape)
    array.flags.writeable = False
    return array


def test_losses_and_gradients_are_finite_and_right_at_extreme_logits():
    y, T = np.array([2, 0, 1]), np.eye(3)
    assert backprop.cross_entropy(LOGITS, y) == pytest.approx((2e4 + np.log(3) + np.log(2)) / 3)
    np.testing.assert_allclose(backprop.softmax(LOGITS).sum(axis=1), 1)
    np.testing.assert_allclose(backprop.cross_entropy_grad(LOGITS, y)[0], [1 / 3, 0, -1 / 3])
    assert np.isfinite(backprop.log_softmax(LOGITS)).all()
    assert np.isfinite(backprop.soft_cross_entropy_grad(LOGITS, T)).all()
    z, t = np.array([1e4, -1e4, 1e4]), np.array([0.0, 0.0, 1.0])
    assert backprop.bce_with_logits(z, t) == pytest.approx(1e4 / 3)
    np.testing.assert_allclose(backprop.bce_with_logits_grad(z, t), [1 / 3, 0, 0])
    np.testing.assert_array_equal(backprop.sigmoid(z), [1, 0, 1])


@given(st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3))
def test_softmax_does_not_see_a_shift_and_its_gradient_rows_sum_to_zero(seed, shift):
    rng = np.random.default_rng(seed)
    Z, y = rng.standard_normal((4, 3)), rng.integers(0, 3, 4)
    np.testing.assert_allclose(backprop.log_softmax(Z + shift), backprop.log_softmax(Z), atol=1e-10)
    np.testing.assert_allclose(backprop.cross_entropy_grad(Z + shift, y).sum(axis=1), 0, atol=1e-15)


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_minibatches_hold_every_example_once(n, batch_size, seed):
    batches = list(minibatches(n, batch_size, np.random.default_rng(seed)))
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n))
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_no_function_changes_its_arguments():
    y, T = np.array([0, 2, 1, 1]), np.full((4, 3), 1 / 3)
    Z, X, W, b, params = frozen(4, 3), frozen(4, 5), frozen(5, 3), frozen(3), [(frozen(5, 3), frozen(3))]
    backprop.mse_grad(Z, T)
    backprop.cross_entropy_grad(Z, y)
    backprop.soft_cross_entropy_grad(Z, T)
    backprop.linear_backward(Z, X, W)
    backprop.relu_backward(Z, Z)
    backprop.softmax_backward(Z, Z)
    backprop.matmul_backward(Z, X, W)
    backprop.linear_mse_grads(X, Z[:, 0], W[:, 0], b[0])
    backprop.mlp_grads(params, X, y)
    backprop.train_epoch(params, X, y, 0.1, 3, np.random.default_rng(0))
    backprop.gradient_descent(lambda theta: theta, b, 0.1, 1e-6, 5)


def test_relu_has_gradient_zero_at_zero():
    np.testing.assert_array_equal(backprop.relu_backward(np.ones(3), np.array([-1.0, 0.0, 1.0])), [0, 0, 1])


def test_unbroadcast_refuses_a_shape_that_does_not_broadcast():
    with pytest.raises(ValueError, match="broadcast"):
        backprop.unbroadcast(np.ones((4, 3)), (2, 3))
    with pytest.raises(ValueError, match=r"\(4, 3\) does not broadcast to \(3,\)"):
        backprop.unbroadcast(np.ones(3), (4, 3))


def test_gradient_descent_stops_at_the_tolerance_or_at_the_last_step():
    slope = lambda theta: 2 * theta  # noqa: E731
    theta, steps = backprop.gradient_descent(slope, np.array([1.0, -2.0]), lr=0.25, tol=1e-6, max_steps=100)
    assert np.linalg.norm(slope(theta)) <= 1e-6 < np.linalg.norm(slope(2 * theta))
    assert steps == 23
    assert backprop.gradient_descent(slope, np.zeros(2), 0.1, 1e-6, 100)[1] == 0
    theta, steps = backprop.gradient_descent(slope, np.array([1.0]), lr=0.25, tol=0, max_steps=3)
    assert (theta[0], steps) == (0.125, 3)


def test_linear_regression_walks_to_the_least_squares_solution():
    X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)

    def grad(theta):
        dw, db = backprop.linear_mse_grads(X, y, theta[:3], theta[3])
        return np.append(dw, db)

    theta, _ = backprop.gradient_descent(grad, np.zeros(4), lr=0.2, tol=1e-10, max_steps=5000)
    exact, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(50)]), y)
    np.testing.assert_allclose(theta, exact, atol=1e-9)


def test_mlp_says_what_is_wrong_with_its_input():
    with pytest.raises(ValueError, match=r"expected shape \(N, 64\), got \(2, 8, 8\); flatten images"):
        MLP([64, 10])(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="at least an input and an output size"):
        MLP([64])
    model = MLP([4, 3])
    with pytest.raises(ValueError, match="got 5 inputs and 4 labels"):
        backprop.train(model, SGD(model.params, 0.1), np.zeros((5, 4)), np.zeros(4, int))


def test_mlp_starts_as_he_initialisation_says():
    model = MLP([400, 300, 10], seed=3, dtype=np.float32)
    (W, b), _ = model.params
    assert W.dtype == b.dtype == np.float32
    assert W.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert not b.any()
    np.testing.assert_array_equal(W, MLP([400, 300, 10], seed=3, dtype=np.float32).params[0][0])
    loss, grads = model.loss_and_grads(rng.standard_normal((5, 400)), np.arange(5))
    assert all(g.dtype == np.float32 for pair in grads for g in pair)
    assert loss > 0


def test_the_step_of_a_network_is_that_of_its_gradients():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 6)), rng.integers(0, 4, 20)
    quick, plain = MLP([6, 9, 7, 4], seed=1), MLP([6, 9, 7, 4], seed=1)
    arrays = [p for pair in quick.params for p in pair]  # as they are before: it steps in place
    for lr in (0.3, 0.01, 2.0):
        loss, grads = plain.loss_and_grads(X, y)
        SGD(plain.params, lr).step(grads)
        assert quick.sgd_step(X, y, lr) == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(np.concatenate([p.ravel() for p in arrays]), _flat(plain), rtol=1e-12, atol=1e-14)
    with pytest.raises(ValueError, match=r"X: expected shape \(N, 6\), got \(20, 5\)"):
        quick.sgd_step(X[:, :5], y, 0.1)


def _flat(model):
    return np.concatenate([p.ravel() for pair in model.params for p in pair])


def test_a_network_from_scratch_reads_unseen_digits():
    """Settings as in chapter 6, where they were chosen on a validation part."""
    X, y, X_test, y_test = datasets.load_digits()
    accuracies = []
    for seed in range(5):
        model = MLP([64, 256, 10], seed=seed, dtype=np.float32)
        backprop.train(model, SGD(model.params, 0.5), X, y, epochs=40, batch_size=16, seed=seed)
        accuracies.append(np.mean(model.predict(X_test) == y_test))
    assert np.mean(accuracies) >= 0.975


def test_training_writes_down_every_epoch():
    X, y, X_test, y_test = datasets.load_digits()
    model = MLP([64, 32, 10], seed=0, dtype=np.float32)
    history = backprop.train(model, SGD(model.params, 0.3), X, y, epochs=5, validation=(X_test, y_test))
    assert len(history.loss) == len(history.validation_loss) == 5
    assert history.validation_accuracy[-1] == np.mean(model.predict(X_test) == y_test)
    assert history.validation_loss[-1] == pytest.approx(backprop.cross_entropy(model(X_test), y_test))
    assert history.loss[-1] < 0.5 * history.loss[0]


def test_tensor_needs_a_scalar_or_an_upstream_gradient_of_its_shape():
    with pytest.raises(ValueError, match=r"needs a scalar, not shape \(3,\)"):
        Tensor([1.0, 2.0, 3.0]).backward()
    with pytest.raises(ValueError, match=r"expected shape \(3,\), got \(1, 3\)"):
        Tensor([1.0, 2.0, 3.0]).backward(np.ones((1, 3)))


def test_tensor_works_with_arrays_and_integers_on_the_left():
    x = Tensor([[1], [2]])
    y = np.array([[3.0], [4.0]]) * x + np.eye(2) @ x
    assert isinstance(y, Tensor)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[4], [5]])
    assert x.data.dtype == np.float64


def test_gradients_of_two_tensors_share_no_memory():
    a, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    upstream = np.ones(2)
    (a + b).backward(upstream)
    a.grad += 1
    np.testing.assert_array_equal(b.grad, [1, 1])
    np.testing.assert_array_equal(upstream, [1, 1])
