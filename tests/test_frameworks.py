"""The library's help with PyTorch and TensorFlow."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import torch

from backprop import MLP, max_gap, to_keras, to_torch

QUIET = """
from backprop.frameworks import quietly

with quietly():
    import torch
    import tensorflow as tf

x = tf.Variable([1.0, 2.0])
with tf.GradientTape() as tape:
    y = tf.reduce_sum(tf.function(tf.square)(x))
print(tape.gradient(y, x).numpy(), torch.ones(2).sum().item(), tf.config.list_physical_devices("TPU"))
"""


def run(code):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_both_frameworks_start_without_noise():
    done = run(QUIET)
    assert done.stdout == "[2. 4.] 2.0 []\n"
    assert done.stderr == ""


def test_what_goes_wrong_inside_comes_through_and_standard_error_is_back():
    done = run("from backprop.frameworks import quietly\nwith quietly():\n    import no_such_library")
    assert "ModuleNotFoundError: No module named 'no_such_library'" in done.stderr


def test_the_library_imports_no_framework():
    done = run("import sys, backprop.frameworks; print({'torch', 'tensorflow'} & sys.modules.keys())")
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_reach_both_frameworks(dtype):
    X, model = np.random.default_rng(0).standard_normal((5, 7)).astype(dtype), MLP([7, 5, 3], dtype=dtype)
    linear = [torch.nn.Linear(*W.shape, dtype=torch.from_numpy(W).dtype) for W, _ in model.params]
    net = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1])
    net.load_state_dict(to_torch(model.params))
    dense = tf.keras.layers.Dense
    name = np.dtype(dtype).name
    keras_net = tf.keras.Sequential(
        [tf.keras.Input((7,), dtype=name), dense(5, activation="relu", dtype=name), dense(3, dtype=name)]
    )
    keras_net.set_weights(to_keras(model.params))
    answers = [net(torch.tensor(X)), keras_net(X)]
    assert {str(answer.dtype).removeprefix("torch.").removeprefix("<dtype: '")[:7] for answer in answers} == {name}
    assert max_gap([model(X)] * 2, answers) < (1e-6 if dtype == np.float32 else 1e-14)


def test_a_state_has_memory_of_its_own():
    params = MLP([3, 2]).params
    state = to_torch(params)
    for tensor in state.values():
        tensor.zero_()
    assert params[0][0].all()


@pytest.mark.parametrize(
    "leaf",
    [
        torch.tensor([0.5, 2.0], dtype=torch.bfloat16, requires_grad=True),
        torch.tensor([0.5, 2.0]),
        tf.Variable([0.5, 2.0]),
        tf.constant([0.5, 2.0], tf.bfloat16),
        tf.keras.Variable([0.5, 2.0]),
        np.array([0.5, 2.0], np.float32),
    ],
    ids=lambda leaf: f"{type(leaf).__module__.partition('.')[0]}-{leaf.dtype}",
)
def test_every_kind_of_leaf_is_read(leaf):
    assert max_gap({"w": [leaf]}, {"w": (np.array([0.5, 1.0]),)}) == 0.5


def test_small_differences_of_single_precision_are_seen_in_double():
    a = np.ones(3, np.float32)
    assert max_gap(a, np.full(3, 1 + 1e-12)) == pytest.approx(1e-12, rel=1e-3)


def test_sets_without_numbers_have_no_gap():
    assert max_gap([], ()) == max_gap({}, {}) == max_gap(np.empty((0, 3)), np.empty((0, 3))) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("places", [(0,), (1,), (0, 1)])
def test_what_is_not_finite_never_passes(bad, places):
    sides = [[np.zeros(3), np.ones(2)], [np.zeros(3), np.ones(2)]]
    for side in places:
        sides[side][0][1] = bad
    assert np.isnan(max_gap(*sides))


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (np.ones(3), np.ones((3, 1)), r"equal shapes, got \(3,\) and \(3, 1\)"),
        ([1.0, 2.0], [1.0], "equal lengths, got 2 and 1"),
        ({"W": 1.0}, {"W": 1.0, "b": 2.0}, "equal keys"),
        ([1.0], {"W": 1.0}, "the structures differ"),
        (np.ones(2), [1.0, 1.0], "got a list"),
        ([None], [np.ones(2)], "got None: was it ever computed"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(a, b, told):
    with pytest.raises(ValueError, match=told):
        max_gap(a, b)
    with pytest.raises(ValueError, match="max_gap: expected"):
        max_gap(b, a)
