"""One training step of the same network, in NumPy, PyTorch and TensorFlow: forward, backward, update, loss read.

Weights, batch and learning rate are the same, and so is the loss, which is asserted before any clock starts. The
batch is in each library's own format already. SGD, ReLU, mean cross-entropy, float32.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import tensorflow as tf
import torch

from backprop import MLP

LR = 0.01
NETWORKS = [([64, 128, 10], 64), ([784, 128, 10], 64), ([784, 1024, 1024, 10], 256)]
OURS, BARE = "backprop", "the matrix products alone"
EAGER, FUNCTION = "PyTorch, eager", "TensorFlow, `tf.function`"

Step = Callable[[], float]


def contestants(sizes: list[int], batch_size: int) -> dict[str, Step]:
    """A step for each library; every call trains on."""
    rng = np.random.default_rng(0)
    X = rng.random((batch_size, sizes[0]), dtype=np.float32)
    y = rng.integers(0, sizes[-1], batch_size)
    steps = {
        OURS: in_backprop(sizes, X, y),
        EAGER: in_torch(sizes, X, y),
        "PyTorch, `torch.compile`": in_torch(sizes, X, y, compiled=True),
        "TensorFlow, eager tape": in_tensorflow(sizes, X, y),
        FUNCTION: in_tensorflow(sizes, X, y, compiled=True),
    }
    first = {name: [step() for _ in range(3)] for name, step in steps.items()}
    for name, losses in first.items():
        if not np.allclose(losses, first[OURS], rtol=1e-4):
            raise AssertionError(f"{name} trains another network: losses {losses}, ours {first[OURS]}")
    return steps | {BARE: matrix_products(sizes, X)}


def in_backprop(sizes: list[int], X: np.ndarray, y: np.ndarray) -> Step:
    model = MLP(sizes, dtype=np.float32)
    return lambda: model.sgd_step(X, y, LR)


def in_torch(sizes: list[int], X: np.ndarray, y: np.ndarray, compiled: bool = False) -> Step:
    layers = []
    for (W, b), (d, m) in zip(MLP(sizes, dtype=np.float32).params, pairwise(sizes), strict=True):
        layer = torch.nn.Linear(d, m)
        layer.weight.data, layer.bias.data = torch.tensor(W.T.copy()), torch.tensor(b)
        layers += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer, loss_of = torch.optim.SGD(model.parameters(), LR), torch.nn.CrossEntropyLoss()
    inputs, labels = torch.tensor(X), torch.tensor(y)

    def forward(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return loss_of(model(inputs), labels)

    run = torch.compile(forward) if compiled else forward

    def step() -> float:
        optimizer.zero_grad()
        loss = run(inputs, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def in_tensorflow(sizes: list[int], X: np.ndarray, y: np.ndarray, compiled: bool = False) -> Step:
    activations = ["relu"] * (len(sizes) - 2) + [None]
    model = tf.keras.Sequential(
        [tf.keras.Input((sizes[0],))]
        + [tf.keras.layers.Dense(m, activation=a) for m, a in zip(sizes[1:], activations, strict=True)]
    )
    model.set_weights([p for pair in MLP(sizes, dtype=np.float32).params for p in pair])
    optimizer = tf.keras.optimizers.SGD(LR)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    inputs, labels = tf.constant(X), tf.constant(y)

    def train(inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(inputs))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    run = tf.function(train) if compiled else train
    return lambda: float(run(inputs, labels))


def matrix_products(sizes: list[int], X: np.ndarray) -> Step:
    """The products of the step in NumPy, and nothing else: no step of this kind can be faster than they are."""
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal(shape, dtype=np.float32) for shape in pairwise(sizes)]
    A = [X, *(rng.standard_normal((len(X), m), dtype=np.float32) for m in sizes[1:])]

    def step() -> float:
        for i, W in enumerate(weights):
            A[i] @ W
        for i, W in reversed([*enumerate(weights)]):
            A[i].T @ A[i + 1]
            if i:
                A[i + 1] @ W.T
        return 0.0

    return step
