"""The library's help with PyTorch and TensorFlow."""

import os
import subprocess
import sys

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
