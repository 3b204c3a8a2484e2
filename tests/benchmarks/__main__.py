"""How long an epoch takes: the same network, data and batches in backprop, PyTorch and TensorFlow."""

import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import tensorflow as tf
import torch

from backprop import MLP, SGD, datasets, minibatches

SIZES, LR, EPOCHS = [64, 128, 10], 0.1, 7


def numpy_step() -> Callable:
    model = MLP(SIZES, dtype=np.float32)
    optimizer = SGD(model.params, LR)
    return lambda X, y: optimizer.step(model.loss_and_grads(X, y)[1])


def torch_step() -> Callable:
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer, loss = torch.optim.SGD(model.parameters(), LR), torch.nn.CrossEntropyLoss()

    def step(X, y):
        optimizer.zero_grad()
        loss(model(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        optimizer.step()

    return step


def tensorflow_step() -> Callable:
    model = tf.keras.Sequential([tf.keras.layers.Dense(128, activation="relu"), tf.keras.layers.Dense(10)])
    optimizer, loss = tf.keras.optimizers.SGD(LR), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.build((None, 64))

    @tf.function(reduce_retracing=True)
    def step(X, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(X))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))

    return step


def epoch_times(step: Callable, X: np.ndarray, y: np.ndarray, batch_size: int) -> Iterator[float]:
    for seed in range(EPOCHS):
        start = time.perf_counter()
        for batch in minibatches(len(X), batch_size, np.random.default_rng(seed)):
            step(X[batch], y[batch])
        yield time.perf_counter() - start


STEPS = (numpy_step, torch_step, tensorflow_step)

if __name__ == "__main__":
    X, y, _, _ = datasets.load_digits()
    X = X.astype(np.float32)
    print(f"Milliseconds an epoch of {len(X)} digits, {'-'.join(map(str, SIZES))} network, median after the first")
    print(f"{'batch':>6}{'backprop':>12}{'PyTorch':>12}{'TensorFlow':>12}")
    for batch_size in (16, 64, 256):
        times = [median(list(epoch_times(make(), X, y, batch_size))[1:]) for make in STEPS]
        print(f"{batch_size:>6}" + "".join(f"{1000 * t:>12.1f}" for t in times))
