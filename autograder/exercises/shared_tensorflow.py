"""What exercises of several chapters need of TensorFlow: tapes that say what they lost, and Keras kept in order."""

import copy
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from autograder.checking.exercise import Exercise
from autograder.checking.structure import WrongStructure


@contextmanager
def no_gradient_lost(strict: bool = True) -> Iterator[list[WrongStructure]]:
    """Inside, a tape that finds no gradient for something says why, where it would answer None, or zeros.

    If not strict, it answers as ever, and the reason is told only if the learner's code stumbles over it.
    """
    import tensorflow as tf

    gradient, watch = tf.GradientTape.gradient, tf.GradientTape.watch
    watched: list[tuple] = []  # tapes, and what they were told to watch
    asked: list[tuple] = []  # tapes that were asked for gradients, and those that recorded it
    reasons: list[WrongStructure] = []

    def watch_and_note(self, tensor):
        watched.extend((self, part) for part in tf.nest.flatten(tensor))
        return watch(self, tensor)

    def gradient_or_reason(self, target, sources, output_gradients=None, unconnected_gradients="none"):
        if sys._getframe(1).f_globals.get("__name__", "").startswith("tensorflow."):  # some tools have tapes inside
            return gradient(self, target, sources, output_gradients, unconnected_gradients)
        zeros = strict and tf.UnconnectedGradients(unconnected_gradients) == tf.UnconnectedGradients.ZERO
        asked.append((self, [tape for tape, _ in watched if tape._recording and tape is not self]))
        found = gradient(self, target, sources, output_gradients, "none" if zeros else unconnected_gradients)
        wanted = tf.nest.flatten(sources)
        lost = [s for s, g in zip(wanted, tf.nest.flatten(found), strict=True) if g is None]
        if lost:
            reasons.append(_why(self, lost, watched, asked, len(lost) == len(wanted), "zeros" if zeros else "`None`"))
            if strict:
                raise reasons[0]
        return found

    tf.GradientTape.gradient, tf.GradientTape.watch = gradient_or_reason, watch_and_note
    try:
        yield reasons
    except Exception:
        if reasons:  # a graph gives it out in its own wrapping
            raise reasons[0] from None
        raise
    finally:
        tf.GradientTape.gradient, tf.GradientTape.watch = gradient, watch


def _why(
    tape: Any, lost: list, watched: list[tuple], asked: list[tuple], everything: bool, given: str
) -> WrongStructure:
    """Why a tape found nothing for what is in ``lost``, and answered with what is ``given``."""
    import tensorflow as tf

    variables = [getattr(s, "value", s) if _is_keras_variable(s) else s for s in lost]
    constants = [s for s in variables if not isinstance(s, tf.Variable)]
    if any(all(s is not w for _, w in watched) for s in constants):
        return WrongStructure(
            "constant-not-watched",
            f"`tape.gradient` gave {given}: it was asked about a constant tensor that the tape does not watch.",
            "A tape watches each trainable `tf.Variable` by itself. Who tells it about a constant?",
        )
    if any(all(s is not w for owner, w in watched if owner is tape) for s in constants):
        return WrongStructure(
            "watched-by-another-tape",
            f"`tape.gradient` gave {given}: of two tapes, the one that was asked does not watch the constant tensor; "
            "the other one does.",
            "Each tape has to be told about a constant. To which of them did you say `watch`?",
        )
    before = [recorded for other, recorded in asked if other is not tape]
    if constants and before and all(tape not in recorded for recorded in before):
        return WrongStructure(
            "gradient-outside-the-tape",
            f"`tape.gradient` gave {given}: this tape was not recording when the other one was asked for its gradient.",
            "Which lines must the outer tape see? How far are they indented?",
        )
    if constants and before:
        return WrongStructure(
            "product-outside-the-tape",
            f"`tape.gradient` gave {given}: the tape has seen the first gradient, and not all that was made of it "
            "later, such as the product with `v`.",
            "Up to which line does the outer tape record? Where does the product stand?",
        )
    seen = {v.ref() for v in tape.watched_variables()}
    if variables and not constants and not any(v.ref() in seen for v in variables):
        return WrongStructure(
            "forward-outside-the-tape",
            f"`tape.gradient` gave {given}: while the tape was recording, nothing used the parameters.",
            "Which lines stand inside the `with tf.GradientTape()` block? The forward pass must be one of them.",
        )
    return WrongStructure(
        "graph-cut" if everything else "hidden-cut",
        f"`tape.gradient` gave {given} for {'everything' if everything else 'some of what'} it was asked about: the "
        "way from there to the target is not all on the tape.",
        "Follow it line by line: which one leaves TensorFlow (`.numpy()`, NumPy, a new constant or variable), stops "
        "gradients, or stands outside the `with` block?",
    )


def double(a: np.ndarray) -> Any:
    """A constant in double precision."""
    import tensorflow as tf

    return tf.constant(a, dtype=tf.float64)


def _is_keras_variable(value: Any) -> bool:
    import keras

    return isinstance(value, keras.Variable)


def ready(run: Callable, exercise: Exercise, answer: Any) -> Callable:
    """With Keras in order; the answers of the reference are kept: they are asked for often, and cost much."""

    def look_up(*args):
        if answer is not exercise.reference:
            with keras_in_order():
                return run(*args)
        key = pickle.dumps((exercise.name, args))
        if key not in _ANSWERS:
            if len(_ANSWERS) > 50:
                _ANSWERS.clear()
            with keras_in_order():
                _ANSWERS[key] = run(*args)
        return copy.deepcopy(_ANSWERS[key])

    return look_up


@contextmanager
def keras_in_order() -> Iterator[None]:
    """Where a call raised, Keras may believe that it is still in it, and take its `training` for that of later ones."""
    from keras.src.backend.common import global_state

    def leave_all():
        for name in ("current_call_ctx", "name_scope_stack"):
            global_state.set_global_attribute(name, None)

    leave_all()
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)  # that the check traces often is none of the learner's business
    try:
        yield
    finally:
        leave_all()
        logger.setLevel(level)


_ANSWERS: dict[bytes, Any] = {}


@contextmanager
def pairs_in_order() -> Iterator[None]:
    """Inside, an optimizer that got tensors for variables says so."""
    try:
        yield
    except AttributeError as error:
        if "_unique_id" not in str(error):
            raise
        raise WrongStructure(
            "pairs-turned-round",
            "The optimizer got gradients where it expects variables: the two have changed places.",
            "Of each pair that `apply_gradients` takes, which comes first: what is moved, or what it is moved by?",
        ) from None


def mean_cross_entropy(y_true, y_pred):
    """The mean cross-entropy of logits."""
    import tensorflow as tf

    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y_true, y_pred))


@cache
def one_layer_class() -> type:
    """The Keras model of the checks: made by ``(W, b, boost=1.0)``, it counts its ``traces``."""
    import keras
    import tensorflow as tf

    class OneLayer(keras.Model):
        """Logits X W + b + c, where c is frozen; in training the inputs are boosted, as those that dropout keeps."""

        def __init__(self, W, b, boost=1.0):
            super().__init__(dtype="float64")
            self.W = keras.Variable(W, dtype="float64", name="W")
            self.b = keras.Variable(b, dtype="float64", name="b")
            self.c = keras.Variable(np.cos(b), dtype="float64", name="c")
            self.c.trainable = False
            self.boost = boost
            self.traces = (0,)  # a tuple: Keras tracks lists

        def build(self, shape=None):
            self.built = True

        def call(self, X, training=False):
            if not tf.executing_eagerly():
                self.traces = (self.traces[0] + 1,)
            return (X * self.boost if training else X) @ self.W + self.b + self.c

    return OneLayer
