"""The references of exercises about a framework, beside its own parts and before its own gradient checkers."""

from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from sklearn.metrics import mean_pinball_loss
from torch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from torch.nn import functional as F

import backprop
from autograder.exercises import EXERCISES


def reference(name):
    return EXERCISES[name].reference


def draw(*shape, seed=0, grad=True):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.tensor(numbers, requires_grad=grad)


def slopes(tensor, *wrt):
    """The gradients of a weighted sum of a tensor's entries: no two weights are alike."""
    weights = torch.arange(1.0, 1 + tensor.numel(), dtype=tensor.dtype).reshape(tensor.shape)
    return torch.autograd.grad((tensor * weights).sum(), wrt)


# Gradients and training steps


@pytest.mark.parametrize("name", ["torch_grads", "tape_grads"])
def test_the_gradients_of_two_layers_are_those_of_backprop(name):
    for case in EXERCISES[name].make_cases(np.random.default_rng(0)):
        found, ours = reference(name)(*case.args), backprop.two_layer_grads(*case.args)
        for key in ours:
            np.testing.assert_allclose(found[key], ours[key], rtol=1e-10, atol=1e-12)


def test_a_training_step_moves_by_the_gradient_of_its_own_batch():
    X, y = draw(4, 3, grad=False), torch.tensor([0, 1, 1, 0])
    model, loss_fn = torch.nn.Linear(3, 2).double(), torch.nn.CrossEntropyLoss()
    start = [p.detach().clone() for p in model.parameters()]
    loss = loss_fn(model(X), y)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    loss_fn(model(X), y).backward()  # a stray one
    returned = reference("torch_train_step")(model, torch.optim.SGD(model.parameters(), 0.1), loss_fn, X, y)
    assert returned == loss.item()
    for p, before, g in zip(model.parameters(), start, gradients, strict=True):
        torch.testing.assert_close(p.detach(), before - 0.1 * g)


@pytest.mark.parametrize("wrap", [lambda step: step, tf.function], ids=["eager", "graph"])
def test_a_step_on_a_tape_is_that_of_train_on_batch(wrap):
    def model():
        dense = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
        dense.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return dense

    X, y = tf.random.stateless_normal((4, 3), seed=(1, 2)), tf.constant([0, 1, 1, 0])
    ours, theirs = model(), model()
    step = wrap(reference("tape_train_step"))
    for _ in range(3):
        loss = step(ours, ours.optimizer, theirs.loss, X, y)
        assert float(loss) == pytest.approx(float(theirs.train_on_batch(X, y)), rel=1e-5)
        theirs.reset_metrics()
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# PyTorch


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2), (4, 1)])
def test_logsumexp_passes_both_of_pytorchs_checkers(shape):
    apply = reference("LogSumExp").apply
    assert gradcheck(apply, draw(*shape))
    assert gradgradcheck(apply, draw(*shape))
    X = 1000 * draw(*shape, grad=False)
    torch.testing.assert_close(apply(X), torch.logsumexp(X, -1))


def test_pytorchs_checker_refuses_a_wrong_logsumexp():
    wrong = next(chaff for chaff in EXERCISES["LogSumExp"].chaffs if chaff.cause == "upstream-ignored")
    with pytest.raises(GradcheckError):
        gradcheck(wrong.function.apply, draw(3, 4))


def test_affine_is_linear():
    layer, X = reference("Affine")(3, 2).double(), draw(5, 3)
    with torch.no_grad():
        layer.bias.copy_(draw(2))
    Y, right = layer(X), F.linear(X, layer.weight.T, layer.bias)
    torch.testing.assert_close(Y, right)
    wrt = X, layer.weight, layer.bias
    torch.testing.assert_close(slopes(Y, *wrt), slopes(right, *wrt))
    assert gradcheck(layer, X)


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.0])
def test_huber_loss_is_pytorchs(delta):
    loss, Y_hat, Y = reference("HuberLoss")(delta), 2 * draw(7, 5), draw(7, 5, seed=1)
    torch.testing.assert_close(loss(Y_hat, Y), F.huber_loss(Y_hat, Y, delta=delta))
    assert gradcheck(loss, (Y_hat, Y))


def test_swish_is_silu():
    X = 3 * draw(4, 3)
    torch.testing.assert_close(reference("Swish")()(X), F.silu(X))
    assert gradcheck(reference("Swish")(), X)
    assert gradgradcheck(reference("Swish")(), X)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (2, 2, 1), (1, 1, 0), (3, 2, 2)])
def test_conv2d_is_pytorchs(kernel, stride, padding):
    layer, X = reference("Conv2d")(2, 3, kernel, stride, padding).double(), draw(2, 2, 5, 4)
    Y, right = layer(X), F.conv2d(X, layer.weight, layer.bias, stride, padding)
    torch.testing.assert_close(Y, right)
    wrt = X, layer.weight, layer.bias
    torch.testing.assert_close(slopes(Y, *wrt), slopes(right, *wrt))
    assert gradcheck(layer, X)


def test_momentum_sgd_goes_the_way_of_pytorchs():
    ours, theirs = draw(3, 2), draw(3, 2)
    steps = [
        reference("MomentumSGD")([{"params": [ours], "lr": 0.03}], 0.1, 0.9),
        torch.optim.SGD([{"params": [theirs], "lr": 0.03}], lr=0.1, momentum=0.9),
    ]
    for k in range(100):
        for w, optimizer in zip((ours, theirs), steps, strict=True):
            w.grad = (w.detach() - k / 50).sin()
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_shuffled_loader_with_workers_brings_each_example_once():
    X, y = np.arange(26.0).reshape(13, 2), np.arange(13)
    order = torch.Generator().manual_seed(3)
    # workers are started anew, not forked: TensorFlow's threads live in this process
    loader = torch.utils.data.DataLoader(
        reference("ArrayDataset")(X, y),
        batch_size=4,
        shuffle=True,
        num_workers=2,
        generator=order,
        multiprocessing_context="spawn",
    )
    xs, ys = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert sorted(ys.tolist()) == y.tolist() != ys.tolist()
    assert torch.equal(xs, torch.tensor(X)[ys])


# TensorFlow


def largest_gap(f, x):
    """Between the Jacobian that TensorFlow computes and the one that it measures."""
    computed, measured = tf.test.compute_gradient(f, [tf.constant(x)], delta=1e-4)
    return np.abs(computed[0] - measured[0]).max()


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2), (4, 1)])
def test_log_sum_exp_passes_tensorflows_checker_twice(shape):
    function, X = reference("log_sum_exp"), draw(*shape, grad=False).numpy()

    def gradient(X):
        with tf.GradientTape() as tape:
            tape.watch(X)
            Y = function(X)
        return tape.gradient(Y, X, output_gradients=tf.reshape(tf.range(1.0, 1 + tf.size(Y, tf.float64)), Y.shape))

    assert largest_gap(function, X) < 1e-7
    assert largest_gap(gradient, X) < 1e-7
    np.testing.assert_allclose(function(1000 * X), tf.reduce_logsumexp(1000 * X, axis=-1))


def test_tensorflows_checker_refuses_a_wrong_log_sum_exp():
    wrong = next(chaff for chaff in EXERCISES["log_sum_exp"].chaffs if chaff.cause == "upstream-ignored")
    assert largest_gap(wrong.function, draw(3, 4, grad=False).numpy()) > 0.1


def test_a_hessian_vector_product_is_the_hessian_times_the_vector():
    x, v = (tf.constant(draw(4, seed=seed, grad=False).numpy()) for seed in (0, 1))

    def f(x):
        return tf.reduce_sum(tf.sin(x) * tf.roll(x, 1, 0) ** 2)

    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        gradient = inner.gradient(value, x)
    hessian = outer.jacobian(gradient, x)
    np.testing.assert_allclose(reference("hessian_vector_product")(f, x, v), tf.linalg.matvec(hessian, v))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 under NumPy 2
def test_scaled_dense_is_dense_at_scale_one_and_is_saved_with_its_model(tmp_path):
    X = draw(5, 3, grad=False).numpy()
    layer, dense = reference("ScaledDense")(2, dtype="float64"), keras.layers.Dense(2, dtype="float64")
    layer.build(X.shape)
    dense.build(X.shape)
    dense.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(X), dense(X))

    model = keras.Sequential([keras.layers.Input((3,)), reference("ScaledDense")(2, scale=3.0, name="scaled")])
    model.save(tmp_path / "model.keras")
    custom = {"ScaledDenseReference": reference("ScaledDense")}
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=custom)
    assert loaded.get_layer("scaled").scale == 3.0
    np.testing.assert_array_equal(loaded(X), model(X))


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantile_loss_is_scikit_learns_pinball_loss(q):
    loss = reference("QuantileLoss")(q, dtype="float64")
    y, y_hat = (draw(7, 5, seed=seed, grad=False).numpy() for seed in (0, 1))
    assert float(loss(y, y_hat)) == pytest.approx(mean_pinball_loss(y, y_hat, alpha=q))
    assert largest_gap(lambda y_hat: loss(y, y_hat), y_hat) < 1e-7


def test_momentum_optimizer_goes_the_way_of_keras():
    start = draw(3, 2, grad=False).numpy()
    ours, theirs = (keras.Variable(start, dtype="float64") for _ in range(2))
    steps = [
        reference("MomentumOptimizer")(learning_rate=0.125, momentum=0.875),
        keras.optimizers.SGD(learning_rate=0.125, momentum=0.875),
    ]
    for k in range(100):
        for w, optimizer in zip((ours, theirs), steps, strict=True):
            optimizer.apply_gradients([(tf.sin(w.value - k / 50), w)])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12, atol=1e-12)


# Weights between the two


PARAMS = [
    (np.random.default_rng(k).standard_normal(shape), np.random.default_rng(k).standard_normal(shape[1]))
    for k, shape in enumerate(pairwise([5, 3, 4, 2]))
]


def test_to_torch_and_to_keras_make_the_network_of_backprop():
    X = draw(7, 5, grad=False)
    right = backprop.MLP([5, 3, 4, 2], seed=0)
    for (W, b), (V, c) in zip(right.params, PARAMS, strict=True):
        W[...], b[...] = V, c
    Linear, ReLU = torch.nn.Linear, torch.nn.ReLU
    in_torch = torch.nn.Sequential(Linear(5, 3), ReLU(), Linear(3, 4), ReLU(), Linear(4, 2)).double()
    in_torch.load_state_dict(reference("to_torch")(PARAMS))
    in_keras = keras.Sequential(
        [
            keras.layers.Input((5,), dtype="float64"),
            *(keras.layers.Dense(M, activation="relu", dtype="float64") for M in (3, 4)),
            keras.layers.Dense(2, dtype="float64"),
        ]
    )
    in_keras.set_weights(reference("to_keras")(PARAMS))
    np.testing.assert_allclose(in_torch(X).detach(), right(X.numpy()), rtol=1e-12)
    np.testing.assert_allclose(in_keras(X.numpy()), right(X.numpy()), rtol=1e-12)


def test_max_gap_is_the_library_s():
    shaken = [(W * (1 + 1e-6), b) for W, b in PARAMS]
    assert (
        reference("max_gap")(PARAMS, shaken)
        == backprop.frameworks.max_gap(PARAMS, shaken)
        == pytest.approx(1e-6, rel=1e-5)
    )


# The bug clinic


def linear_model():
    model = torch.nn.Linear(3, 2).double()
    with torch.no_grad():
        model.weight.copy_(draw(2, 3))
        model.bias.zero_()
    return model


def test_fix_training_loop_leaves_the_weights_of_a_loop_written_out():
    cross_entropy, batches = (
        torch.nn.CrossEntropyLoss(),
        [(draw(4, 3, seed=s), torch.tensor([0, 1, 1, 0])) for s in (1, 2)],
    )
    ours, theirs = linear_model(), linear_model()
    losses = reference("fix_training_loop")(ours, torch.optim.SGD(ours.parameters(), 0.1), cross_entropy, batches)
    for (X, y), loss in zip(batches, losses, strict=True):
        right = cross_entropy(theirs(X), y)
        assert loss == right.item()
        gradients = torch.autograd.grad(right, list(theirs.parameters()))
        with torch.no_grad():
            for p, g in zip(theirs.parameters(), gradients, strict=True):
                p -= 0.1 * g
    assert torch.equal(ours.weight, theirs.weight)


def test_fix_build_makes_a_network_and_an_optimizer_of_all_its_parameters():
    net, optimizer = reference("fix_build")([5, 4, 3], 0.02)
    held = optimizer.param_groups[0]["params"]
    assert {id(p) for p in held} == {id(p) for p in net.parameters()}
    assert sorted(p.numel() for p in held) == [3, 4, 12, 20]
    assert (type(optimizer), optimizer.param_groups[0]["lr"]) == (torch.optim.Adam, 0.02)


def test_fix_label_loss_and_fix_double_softmax_are_the_mean_cross_entropy():
    logits, y = draw(7, 5, grad=False).numpy(), np.arange(7) % 5
    right = backprop.cross_entropy(logits, y)
    loss, probabilities = reference("fix_double_softmax")(torch.tensor(logits), torch.tensor(y))
    assert loss.item() == pytest.approx(right)
    np.testing.assert_allclose(probabilities, backprop.softmax(logits))
    assert reference("fix_label_loss")(torch.tensor(logits), torch.tensor(y)).item() == pytest.approx(right)


def test_fixed_image_net_reads_pixels_row_by_row():
    net, images = reference("FixedImageNet")(3, 4, 2), torch.arange(18.0).reshape(2, 1, 3, 3)
    by_hand = F.relu(torch.stack([image.ravel() for image in images]) @ net.fc1.weight.T + net.fc1.bias)
    torch.testing.assert_close(net(images), by_hand @ net.fc2.weight.T + net.fc2.bias)


def test_fixed_sgd_goes_the_way_of_pytorchs():
    ours, theirs = draw(3, 2), draw(3, 2)
    for w, kind in ((ours, reference("FixedSGD")), (theirs, torch.optim.SGD)):
        optimizer = kind([w], lr=0.1)
        for _ in range(5):
            w.grad = w.detach().sin()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


def test_fix_optimizer_names_finds_each_once():
    find = reference("fix_optimizer_names")
    assert find(["Adagrad", "AdaGrad", "sgd"]) == [torch.optim.Adagrad, torch.optim.SGD]
    with pytest.raises(ValueError, match="direction"):
        find(["SGD", "stochastic gradient direction descent"])


def test_fix_tape_loop_is_fit_without_shuffling():
    def model():
        dense = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
        dense.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return dense

    X, y = draw(8, 3, grad=False).numpy().astype(np.float32), np.arange(8) % 2
    ours, theirs = model(), model()
    theirs.fit(X, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = reference("fix_tape_loop")(ours, loss_fn, [(X[:4], y[:4]), (X[4:], y[4:])], 0.1)
    assert losses[0] == pytest.approx(float(loss_fn(y[:4], model()(X[:4]))))
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_fix_loss_family_takes_both_kinds_of_labels():
    logits, y = draw(7, 5, grad=False).numpy(), np.arange(7) % 5
    for labels in (y, np.eye(5)[y], np.eye(5, dtype=int)[y]):
        loss = reference("fix_loss_family")(tf.constant(labels), tf.constant(logits))
        assert float(loss) == pytest.approx(backprop.cross_entropy(logits, y))


def test_fix_static_loop_counts_halvings_in_one_trace():
    graph = tf.function(reference("fix_static_loop"))
    counted = [int(graph(tf.constant(x, tf.float64))) for x in (0.3, 1.0, 1.5, 2.0, 2.1, 1000.0)]
    assert counted == [0, 0, 1, 1, 2, 10]
    assert graph.experimental_get_tracing_count() == 1


def test_every_reference_that_needs_a_framework_is_looked_at():
    here = Path(__file__).read_text()
    names = [name for name, exercise in EXERCISES.items() if getattr(exercise, "answers", "")]
    assert len(names) > 20
    assert [name for name in names if f'"{name}"' not in here] == []
