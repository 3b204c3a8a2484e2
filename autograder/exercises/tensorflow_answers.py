"""Right and wrong answers to the exercises of chapter 10. Importing this module imports TensorFlow."""

import inspect

import keras
import numpy as np
import tensorflow as tf

from autograder.exercises.tensorflow import (
    MomentumOptimizer,
    QuantileLoss,
    ScaledDense,
    hessian_vector_product,
    log_sum_exp,
    tape_grads,
    tape_train_step,
)

# tape_grads


def _variables(params):
    return {name: tf.Variable(a) for name, a in params.items()}


def _logits(tensors, X, activation=tf.nn.relu):
    return activation(X @ tensors["W1"] + tensors["b1"]) @ tensors["W2"] + tensors["b2"]


def _mean_loss(Z, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=Z))


def _arrays(grads):
    return {name: g.numpy() for name, g in grads.items()}


@tape_grads.refer
def tape_grads_reference(params, X, y):
    variables = {name: tf.Variable(a) for name, a in params.items()}
    with tf.GradientTape() as tape:
        A1 = tf.nn.relu(X @ variables["W1"] + variables["b1"])
        Z2 = A1 @ variables["W2"] + variables["b2"]
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=Z2))
    grads = tape.gradient(loss, variables)
    return {name: g.numpy() for name, g in grads.items()}


@tape_grads.wheat
def watched_constants(params, X, y):
    tensors = {name: tf.constant(a) for name, a in params.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensors)
        loss = _mean_loss(_logits(tensors, tf.constant(X)), tf.constant(y))
    return {name: np.asarray(g) for name, g in tape.gradient(loss, tensors).items()}


@tape_grads.wheat
def one_at_a_time_from_a_persistent_tape(params, X, y):
    variables = _variables(params)
    with tf.GradientTape(persistent=True) as tape:
        loss = _mean_loss(_logits(variables, X), y)
    return {name: np.asarray(tape.gradient(loss, v)) for name, v in variables.items()}


@tape_grads.wheat
def with_a_loss_of_keras(params, X, y):
    W1, b1, W2, b2 = (tf.Variable(params[name], dtype=tf.float64) for name in ("W1", "b1", "W2", "b2"))
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    with tf.GradientTape() as tape:
        hidden = tf.maximum(tf.matmul(X, W1) + b1, 0)
        loss = loss_fn(y, tf.matmul(hidden, W2) + b2)
    dW1, db1, dW2, db2 = tape.gradient(loss, [W1, b1, W2, b2])
    return {"W1": dW1.numpy(), "b1": db1.numpy(), "W2": dW2.numpy(), "b2": db2.numpy()}


@tape_grads.wheat
def loss_written_out(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        Z = _logits(variables, X)
        right = tf.gather(Z, y, axis=1, batch_dims=1)
        loss = tf.reduce_mean(tf.reduce_logsumexp(Z, axis=1) - right)
    return _arrays(tape.gradient(loss, variables))


@tape_grads.wheat
def summed_by_the_tape(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        losses = tf.nn.softmax_cross_entropy_with_logits(_onehot(params, y), _logits(variables, X))
    return {name: (g / len(y)).numpy() for name, g in tape.gradient(losses, variables).items()}


@tape_grads.wheat
def in_a_graph(params, X, y):
    variables = _variables(params)

    @tf.function(autograph=False)
    def grads():
        with tf.GradientTape() as tape:
            loss = _mean_loss(_logits(variables, X), y)
        return tape.gradient(loss, variables)

    return _arrays(grads())


@tape_grads.wheat
def in_single_precision(params, X, y):
    variables = {name: tf.Variable(a, dtype=tf.float32) for name, a in params.items()}
    with tf.GradientTape() as tape:
        loss = _mean_loss(_logits(variables, tf.cast(X, tf.float32)), y)
    return _arrays(tape.gradient(loss, variables))


@tape_grads.wheat
def gradient_asked_inside_the_block(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(tf.reduce_sum(_onehot(params, y) * tf.nn.log_softmax(_logits(variables, X)), axis=1))
        grads = tape.gradient(loss, list(variables.values()))
    return {name: g.numpy() for name, g in zip(variables, grads, strict=True)}


def _onehot(params, y):
    return tf.one_hot(y, len(params["b2"]), dtype=tf.float64)


def _chaff_grads(loss=_mean_loss, logits=_logits):
    def answer(params, X, y):
        variables = _variables(params)
        with tf.GradientTape() as tape:
            value = loss(logits(variables, X), y)
        return _arrays(tape.gradient(value, variables))

    return answer


def _hidden(change):
    def logits(tensors, X):
        return change(tf.nn.relu(X @ tensors["W1"] + tensors["b1"])) @ tensors["W2"] + tensors["b2"]

    return logits


def _one_hot(Z, y):
    return tf.one_hot(y, Z.shape[1], dtype=Z.dtype)


for _cause, _misconception, _hint, _answer, *_tells in (
    ("softmax-twice", "a softmax stands before the loss, which takes one itself.",
     "What do the words `logits` and `from_logits` ask for: probabilities, or what comes before them?",
     _chaff_grads(lambda Z, y: _mean_loss(tf.nn.softmax(Z), y))),
    ("from-logits-missing", "the loss of Keras took the logits for probabilities.",
     "What does a loss of Keras expect, if nobody says `from_logits=True`?",
     _chaff_grads(lambda Z, y: tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, Z)))),
    ("summed-over-batch", "the losses of the examples are summed, not averaged.",
     "What does a tape do with a target that has many entries? And what is asked for here?",
     _chaff_grads(lambda Z, y: tf.nn.sparse_softmax_cross_entropy_with_logits(y, Z))),
    ("averaged-twice", "the loss is a mean already, and is divided by N once more.",
     "Which of your lines divide by N? Count those that do so unseen.",
     _chaff_grads(lambda Z, y: _mean_loss(Z, y) / len(y))),
    ("averaged-over-classes", "the loss is averaged over all N · C entries of the logits, not over N examples.",
     "Over which axes does `reduce_mean` go, if none is given?",
     _chaff_grads(lambda Z, y: -tf.reduce_mean(_one_hot(Z, y) * tf.nn.log_softmax(Z)))),
    ("softmax-over-the-batch", "the softmax runs over the examples, not over the classes.",
     "Which axis must sum to 1?",
     _chaff_grads(lambda Z, y: -tf.reduce_sum(_one_hot(Z, y) * tf.nn.log_softmax(Z, axis=0)) / len(y))),
    ("log-missing", "the probabilities of the labels are averaged; nobody takes their logarithm.",
     "What is the loss of an example whose label has the probability 1?",
     _chaff_grads(lambda Z, y: -tf.reduce_sum(_one_hot(Z, y) * tf.nn.softmax(Z)) / len(y))),
    ("mse-for-labels", "this is the slope of the squared error of the probabilities, not of the cross-entropy.",
     "Which loss does the exercise name?",
     _chaff_grads(lambda Z, y: tf.reduce_mean((tf.nn.softmax(Z) - _one_hot(Z, y)) ** 2))),
    ("mse-on-logits", "this is the slope of the squared error between logits and one-hot labels.",
     "Which loss does the exercise name?",
     _chaff_grads(lambda Z, y: tf.reduce_mean((Z - _one_hot(Z, y)) ** 2))),
    ("binary-per-class", "every class is judged by itself: a sigmoid and binary cross-entropy, not a softmax.",
     "Do the probabilities of an example have to sum to 1?",
     _chaff_grads(lambda Z, y: tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(_one_hot(Z, y), Z)))),
    ("onehot-with-a-sparse-loss", "a sparse loss got one-hot rows; it wants the number of each class.",
     "What does `sparse` say about the labels?",
     _chaff_grads(lambda Z, y: _mean_loss(Z, tf.one_hot(y, Z.shape[1], dtype=tf.int64)))),
    ("labels-with-a-dense-loss", "a loss for one-hot rows got the numbers of the classes.",
     "Which of the two cross-entropies takes integers?",
     _chaff_grads(lambda Z, y: tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(tf.cast(y, Z.dtype), Z)))),
    ("relu-missing", "there is no ReLU between the two layers.",
     "Write the forward pass as a chain: what stands between the two products?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, lambda Z: Z))),
    ("tanh-for-relu", "`tanh` stands where ReLU belongs.", "Which activation does chapter 6 have?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, tf.tanh))),
    ("sigmoid-for-relu", "`sigmoid` stands where ReLU belongs.", "Which activation does chapter 6 have?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, tf.sigmoid))),
    ("relu-at-the-end", "the logits go through ReLU, too.", "May a logit be negative?",
     _chaff_grads(logits=lambda t, X: tf.nn.relu(_logits(t, X)))),
    ("hidden-cut", "the way back is cut at the hidden layer (`.numpy()`, NumPy, `stop_gradient`, a new constant).",
     "Which line makes of a tensor something that the tape does not know?",
     _chaff_grads(logits=_hidden(lambda A: tf.constant(A.numpy())))),
):  # fmt: skip
    tape_grads.chaff(_cause, _misconception, _hint, *_tells)(_answer)


@tape_grads.chaff(
    "constant-not-watched",
    "the parameters are constants, and nobody tells the tape to watch them.",
    "A tape watches each trainable `tf.Variable` by itself. What about a constant?",
)
def constant_not_watched(params, X, y):
    tensors = {name: tf.constant(a) for name, a in params.items()}
    with tf.GradientTape() as tape:
        loss = _mean_loss(_logits(tensors, X), y)
    return _arrays(tape.gradient(loss, tensors))


@tape_grads.chaff(
    "forward-outside-the-tape",
    "the forward pass stands before the `with` block: the tape records none of it.",
    "Which lines must the tape see?",
)
def forward_outside_the_tape(params, X, y):
    variables = _variables(params)
    Z = _logits(variables, X)
    with tf.GradientTape() as tape:
        loss = _mean_loss(Z, y)
    return _arrays(tape.gradient(loss, variables))


@tape_grads.chaff(
    "graph-cut",
    "the loss is computed after the `with` block: its last steps are not on the tape.",
    "Up to which line does the tape have to record?",
)
def loss_outside_the_tape(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        Z = _logits(variables, X)
    loss = _mean_loss(Z, y)
    return _arrays(tape.gradient(loss, variables))


@tape_grads.chaff(
    "persistent-tape-needed",
    "`tape.gradient` is called more than once on a tape that forgets after the first time.",
    "Can one call give all gradients? Or may the tape be told to last?",
)
def persistent_tape_needed(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        loss = _mean_loss(_logits(variables, X), y)
    return {name: tape.gradient(loss, v).numpy() for name, v in variables.items()}


@tape_grads.chaff(
    "gradient-of-a-number",
    "the tape is asked about a plain number: `.numpy()` or `float()` has left behind how it was made.",
    "Which of the two does the tape know, the tensor or the number in it?",
)
def gradient_of_a_number(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        loss = _mean_loss(_logits(variables, X), y).numpy()
    return _arrays(tape.gradient(loss, variables))


@tape_grads.chaff(
    "arrays-as-sources",
    "the tape is asked about the NumPy arrays, not about the variables made of them.",
    "With which objects did you compute the loss? Ask about those.",
)
def arrays_as_sources(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        loss = _mean_loss(_logits(variables, X), y)
    return _arrays(tape.gradient(loss, params))


@tape_grads.chaff(
    "backward-of-pytorch",
    "TensorFlow's tensors have no `backward` and no `grad`: that is PyTorch.",
    "Who records the forward pass in TensorFlow, and whom do you ask for gradients?",
    tells=("backward",),
)
def backward_of_pytorch(params, X, y):
    variables = _variables(params)
    loss = _mean_loss(_logits(variables, X), y)
    loss.backward()
    return {name: v.grad.numpy() for name, v in variables.items()}


@tape_grads.chaff(
    "parameters-returned",
    "the parameters themselves are returned, not their gradients.",
    "What does `tape.gradient` return, and where does it go?",
)
def parameters_returned(params, X, y):
    variables = _variables(params)
    with tf.GradientTape() as tape:
        loss = _mean_loss(_logits(variables, X), y)
    tape.gradient(loss, variables)
    return _arrays(variables)


# tape_train_step


@tape_train_step.refer
def tape_train_step_reference(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.wheat
def gradients_applied_as_a_list(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    return loss


@tape_train_step.wheat
@tf.function
def decorated(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.wheat
def everything_inside_the_block(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        prediction = model(X, training=True)
        loss = loss_fn(y_true=y, y_pred=prediction)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.wheat
def variables_watched_by_hand(model, optimizer, loss_fn, X, y):
    variables = model.trainable_variables
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        loss = loss_fn(y, model(X, training=True))
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return tf.identity(loss)


@tape_train_step.wheat
def one_gradient_at_a_time(model, optimizer, loss_fn, X, y):
    with tf.GradientTape(persistent=True) as tape:
        loss = loss_fn(y, model.call(X, training=True))
    pairs = [(tape.gradient(loss, v), v) for v in model.trainable_variables]
    del tape
    optimizer.apply_gradients(pairs)
    return tf.stop_gradient(loss)


@tape_train_step.wheat
def built_before(model, optimizer, loss_fn, X, y):
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    optimizer.apply(tape.gradient(loss, model.trainable_variables))
    return loss


@tape_train_step.wheat
def order_of_its_own(model, optimizer, loss_fn, X, y):
    variables = model.trainable_variables[::-1]
    with tf.GradientTape() as tape:
        loss = loss_fn(tf.convert_to_tensor(y), model(tf.convert_to_tensor(X), training=True))
    grads = tape.gradient(loss, variables)
    optimizer.apply_gradients([(grads[i], variables[i]) for i in range(len(variables))])
    return loss


@tape_train_step.chaff(
    "training-flag-missing",
    "the forward pass is not told that this is training: dropout and the like stay as in use.",
    "What does `model(X)` take this for, if you don't say? Look for `training`.",
)
def training_flag_missing(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "loss-after-the-step",
    "the loss is computed again after the step, so another one is returned than the one that was differentiated.",
    "Which loss belongs to the gradients of this step: the one before it or the one after it?",
)
def loss_after_the_step(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss_fn(y, model(X, training=True))


@tape_train_step.chaff("step-missing", "the gradients are computed, and nobody takes the step.", "Do the weights move?")
def step_missing(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    tape.gradient(loss, model.trainable_variables)
    return loss


@tape_train_step.chaff(
    "step-twice", "the step is taken twice for one gradient.", "How often does the optimizer move in one call of yours?"
)
def step_twice(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "own-optimizer",
    "the step is taken by hand, and the optimizer with its momentum is passed by.",
    "Who knows the learning rate, and everything else about the step?",
)
def own_optimizer(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    for v, g in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True):
        v.assign(v - tf.cast(optimizer.learning_rate, g.dtype) * g)
    return loss


@tape_train_step.chaff(
    "new-optimizer",
    "an optimizer is made anew in every call, and its momentum starts from nothing each time.",
    "Where does an optimizer keep what it remembers, and how long does yours live?",
)
def new_optimizer(model, optimizer, loss_fn, X, y):
    optimizer = keras.optimizers.SGD(0.125, momentum=0.875)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "one-step-for-each-parameter",
    "the optimizer is called once for each parameter, and counts every call as a step.",
    "How many pairs does `apply_gradients` take at once?",
)
def one_step_for_each_parameter(model, optimizer, loss_fn, X, y):
    optimizer.build(model.trainable_variables)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    for g, v in zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True):
        optimizer.apply_gradients([(g, v)])
    return loss


@tape_train_step.chaff(
    "parameters-left-out",
    "only the weight matrices are moved; the biases are left out.",
    "Compare the number of your variables with `len(model.trainable_variables)`.",
)
def parameters_left_out(model, optimizer, loss_fn, X, y):
    variables = [v for v in model.trainable_variables if len(v.shape) > 1]
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss


@tape_train_step.chaff(
    "frozen-parts-moved",
    "`model.variables` (or `model.weights`) lists all that a model holds, what is frozen included: the optimizer knows "
    "the trainable ones only.",
    "Which variables of a model does training move? Keras has a list of those.",
    tells=("variables", "weights"),
)
def frozen_parts_moved(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.variables)
    optimizer.apply_gradients(zip(grads, model.variables, strict=True))
    return loss


@tape_train_step.chaff(
    "uphill",
    "the gradients get a minus sign, and the optimizer has one already.",
    "Which way does an optimizer move along the gradient that it is given?",
)
def uphill(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients((-g, v) for g, v in zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "softmax-before-the-loss",
    "a softmax stands before `loss_fn`, which takes logits.",
    "What does `loss_fn` expect, probabilities or logits?",
)
def softmax_before_the_loss(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, tf.nn.softmax(model(X, training=True)))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "batch-built-in",
    "the graph was made of the first batch: `X` and `y` are constants in it, not arguments.",
    "What becomes of a tensor from outside that a `tf.function` uses without taking it as an argument?",
)
def batch_built_in(model, optimizer, loss_fn, X, y):
    if not hasattr(model, "own_step"):

        @tf.function(autograph=False)
        def own_step():
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(X, training=True))
            grads = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
            return loss

        model.own_step = own_step
    return model.own_step()


@tape_train_step.chaff(
    "traced-at-every-step",
    "a new `tf.function` is made in every call, and traced anew each time.",
    "How often does Python meet your `tf.function`, and how often should it?",
)
def traced_at_every_step(model, optimizer, loss_fn, X, y):
    @tf.function(autograph=False)
    def own_step(X, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X, training=True))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        return loss

    return own_step(X, y)


@tape_train_step.chaff(
    "numpy-in-a-graph",
    "`.numpy()` is asked of a tensor in a graph, which has no value yet.",
    "When does your Python run, if the function stands inside `tf.function`: at every step, or while it is traced?",
)
def numpy_in_a_graph(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss.numpy()


@tape_train_step.chaff(
    "float-of-a-graph",
    "`float()` is asked of a tensor in a graph, which has no value yet.",
    "When does your Python run, if the function stands inside `tf.function`: at every step, or while it is traced?",
)
def float_of_a_graph(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return float(loss)


@tape_train_step.chaff(
    "array-of-a-graph",
    "NumPy is asked to take a tensor in a graph, which has no value yet.",
    "When does your Python run, if the function stands inside `tf.function`: at every step, or while it is traced?",
)
def array_of_a_graph(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return np.array(loss)


@tape_train_step.chaff(
    "variable-made-inside",
    "a `tf.Variable` is made in the function; in a graph each call would make another one.",
    "Does the batch change after it came in? Then what must it be: a variable, or a tensor?",
)
def variable_made_inside(model, optimizer, loss_fn, X, y):
    batch = tf.Variable(X)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(tf.convert_to_tensor(batch), training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "forward-outside-the-tape",
    "the forward pass stands before the `with` block: the tape records none of it.",
    "Which lines must the tape see?",
)
def train_forward_outside_the_tape(model, optimizer, loss_fn, X, y):
    prediction = model(X, training=True)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, prediction)
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "graph-cut",
    "the loss is computed after the `with` block, or from an array: the way to it is not all on the tape.",
    "Up to which line does the tape have to record?",
)
def train_loss_outside_the_tape(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        prediction = model(X, training=True)
    loss = loss_fn(y, prediction)
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "zero-grad-of-pytorch",
    "an optimizer of Keras has no `zero_grad`: that is PyTorch. It keeps no gradients either.",
    "Who holds the gradients in TensorFlow, and can anything be left over from the last step?",
    tells=("zero_grad",),
)
def zero_grad_of_pytorch(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


@tape_train_step.chaff(
    "backward-of-pytorch",
    "TensorFlow's tensors have no `backward`: that is PyTorch.",
    "Who records the forward pass in TensorFlow, and whom do you ask for gradients?",
    tells=("backward",),
)
def train_backward_of_pytorch(model, optimizer, loss_fn, X, y):
    loss = loss_fn(y, model(X, training=True))
    loss.backward()
    optimizer.step()
    return loss


@tape_train_step.chaff(
    "step-of-pytorch",
    "an optimizer of Keras has no `step`: that is PyTorch. It has to be handed the gradients.",
    "How does the optimizer learn of the gradients in TensorFlow?",
    tells=("step",),
)
def step_of_pytorch(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    tape.gradient(loss, model.trainable_variables)
    optimizer.step()
    return loss


@tape_train_step.chaff(
    "pairs-turned-round",
    "each pair has the variable first, and then the gradient.",
    "Of each pair that `apply_gradients` takes, which comes first: what is moved, or what it is moved by?",
)
def pairs_turned_round(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(model.trainable_variables, grads, strict=True))
    return loss


@tape_train_step.chaff(
    "gradients-without-variables",
    "`apply_gradients` got the gradients alone; it wants pairs.",
    "How is the optimizer to know which gradient belongs to which variable?",
    tells=("apply_gradients",),
)
def gradients_without_variables(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(X, training=True))
    optimizer.apply_gradients(tape.gradient(loss, model.trainable_variables))
    return loss


@tape_train_step.chaff(
    "arguments-swapped",
    "`loss_fn` got the predictions first.",
    "In which order does a loss of Keras want labels and predictions? PyTorch has it the other way round.",
)
def arguments_swapped(model, optimizer, loss_fn, X, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(model(X, training=True), y)
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return loss


# log_sum_exp


@log_sum_exp.refer
@tf.custom_gradient
def log_sum_exp_reference(X):
    top = tf.reduce_max(X, axis=-1, keepdims=True)
    Y = tf.squeeze(top, -1) + tf.math.log(tf.reduce_sum(tf.exp(X - top), axis=-1))

    def grad(dY):
        return dY[..., None] * tf.nn.softmax(X, axis=-1)

    return Y, grad


@log_sum_exp.wheat
@tf.custom_gradient
def by_the_saved_output(X):
    Y = tf.reduce_logsumexp(X, axis=-1)
    return Y, lambda dY: tf.expand_dims(dY, -1) * tf.exp(X - tf.reduce_logsumexp(X, axis=-1, keepdims=True))


@log_sum_exp.wheat
def decorated_inside(X):
    @tf.custom_gradient
    def inner(Z):
        def grad(upstream):
            return tf.einsum("...,...d->...d", upstream, tf.nn.softmax(Z))

        return tf.reduce_logsumexp(Z, -1), grad

    return inner(X)


@log_sum_exp.wheat
@tf.custom_gradient
def by_log_softmax(X):
    def grad(dY):
        return [tf.exp(tf.nn.log_softmax(X)) * tf.reshape(dY, [*dY.shape, 1])]

    return tf.reduce_mean(X - tf.nn.log_softmax(X), axis=-1), grad


@log_sum_exp.wheat
@tf.custom_gradient
def shift_without_gradient(X):
    top = tf.stop_gradient(tf.reduce_max(X, -1, keepdims=True))
    E = tf.exp(X - top)
    S = tf.reduce_sum(E, -1, keepdims=True)

    def grad(dY):
        again = tf.exp(X - top)
        return dY[..., tf.newaxis] / tf.reduce_sum(again, -1, keepdims=True) * again

    return tf.squeeze(tf.math.log(S) + top, axis=-1), grad


@log_sum_exp.wheat
@tf.custom_gradient
def by_keras_ops(X):
    def grad(*upstream):
        return keras.ops.expand_dims(upstream[0], -1) * keras.ops.softmax(X, axis=-1)

    return keras.ops.logsumexp(X, axis=-1), grad


@log_sum_exp.wheat
@tf.custom_gradient
def column_by_column(X):
    Y = X[..., 0]
    for column in tf.unstack(X, axis=-1)[1:]:
        high, low = tf.maximum(Y, column), tf.minimum(Y, column)
        Y = high + tf.math.log1p(tf.exp(low - high))

    def grad(dY):
        P = tf.nn.softmax(X)
        return tf.stack([dY * P[..., d] for d in range(X.shape[-1])], axis=-1)

    return Y, grad


def _slope(change):
    """The right value, with another gradient."""

    @tf.custom_gradient
    def answer(X):
        Y = tf.reduce_logsumexp(X, axis=-1)
        return Y, lambda dY: change(dY, X, Y)

    return answer


def _value(change):
    """The right gradient, where the upstream allows for one, of another value."""

    @tf.custom_gradient
    def answer(X):
        return change(X), lambda dY: dY[..., None] * tf.nn.softmax(X)

    return answer


for _cause, _misconception, _hint, _answer, *_tells in (
    ("upstream-ignored", "the upstream gradient is not used: this is the slope of the sum of the results.",
     "`grad` is handed something. What for?",
     _slope(lambda dY, X, Y: tf.nn.softmax(X))),
    ("upstream-averaged", "one number, made of all upstream gradients, stands where each row has its own.",
     "Which rows of `X` does one entry of the result depend on?",
     _slope(lambda dY, X, Y: tf.reduce_mean(dY) * tf.nn.softmax(X))),
    ("upstream-summed", "the upstream gradients of all rows are added before they are used.",
     "Which rows of `X` does one entry of the result depend on?",
     _slope(lambda dY, X, Y: tf.reduce_sum(dY) * tf.nn.softmax(X))),
    ("softmax-over-the-first-axis", "the softmax runs over the first axis; the sum runs over the last.",
     "Which entries of `X` meet in one result?",
     _slope(lambda dY, X, Y: dY[..., None] * tf.nn.softmax(X, axis=0))),
    ("exponentials-not-divided", "the exponentials are not divided by their sum.",
     "What is the derivative of log s in s?",
     _slope(lambda dY, X, Y: dY[..., None] * tf.exp(X - tf.reduce_max(X, -1, keepdims=True)))),
    ("log-softmax-for-softmax", "this is the logarithm of the softmax.",
     "Can the slope be negative, if an input that grows makes the result grow?",
     _slope(lambda dY, X, Y: dY[..., None] * tf.nn.log_softmax(X))),
    ("cross-entropy-grad", "something is subtracted from the softmax, as if there were labels.",
     "Chapter 2 subtracts the one-hot label. Is there a label here?",
     _slope(lambda dY, X, Y: dY[..., None] * (tf.nn.softmax(X) - tf.one_hot(tf.argmax(X, -1), X.shape[-1],
                                                                            dtype=X.dtype)))),
    ("softmax-slope", "this is the slope of the softmax, p (1 − p), not of the log-sum-exp.",
     "Differentiate the logarithm first, then what is in it.",
     _slope(lambda dY, X, Y: dY[..., None] * tf.nn.softmax(X) * (1 - tf.nn.softmax(X)))),
    ("slope-of-the-maximum", "only the largest entry gets the upstream gradient, as if the function were the maximum.",
     "If a smaller entry grows a little, does the sum of the exponentials stay as it is?",
     _slope(lambda dY, X, Y: dY[..., None] * tf.one_hot(tf.argmax(X, -1), X.shape[-1], dtype=X.dtype))),
    ("axis-not-restored", "the upstream gradient is multiplied as it is, without the axis that the sum removed.",
     "What are the shapes of the two factors, and along which axis do they have to meet?",
     _slope(lambda dY, X, Y: dY * tf.nn.softmax(X))),
    ("cut-in-the-gradient", "the gradient is computed with numbers that the tape does not follow (`.numpy()`, NumPy, "
     "`stop_gradient`), so it cannot be differentiated once more.",
     "A tape around a tape differentiates your `grad`, too. Which line of it is not recorded?",
     _slope(lambda dY, X, Y: dY[..., None] * tf.stop_gradient(tf.nn.softmax(X)))),
    ("mean-for-sum", "the exponentials are averaged, not summed: the result is too small by log D.",
     "What does the S in LSE stand for?",
     _value(lambda X: tf.reduce_logsumexp(X, -1) - np.log(X.shape[-1]))),
    ("shift-not-added", "the largest entry is subtracted before, and not added again after.",
     "Put in one row of equal numbers, say 3, 3: what must come out?",
     _value(lambda X: tf.reduce_logsumexp(X - tf.reduce_max(X, -1, keepdims=True), -1))),
    ("one-maximum-for-all", "one maximum is taken for all rows: in a row far below it every exponential is 0.",
     "Over which axis is your maximum, and what becomes of a row far below it?",
     _value(lambda X: tf.reduce_max(X) + tf.math.log(tf.reduce_sum(tf.exp(X - tf.reduce_max(X)), -1)))),
    ("overflows", "`exp` of a large entry overflows: the largest one has to be subtracted before.",
     "What is e to the 1000th, and how did chapter 2 avoid it?",
     _value(lambda X: tf.math.log(tf.reduce_sum(tf.exp(X), -1)))),
    ("keepdims-left", "the last axis is still there, with length 1.",
     "What shape has a sum over the last axis of `(N, D)`?",
     _value(lambda X: tf.reduce_logsumexp(X, -1, keepdims=True))),
    ("axis-0", "the sum runs over the first axis.", "Which axis is the last one?",
     _value(lambda X: tf.reduce_logsumexp(X, 0))),
    ("axis-1", "the sum runs over the axis 1, which is the last one of a matrix only.",
     "`X` may have three axes. Which number means the last one, however many there are?",
     _value(lambda X: tf.reduce_logsumexp(X, 1))),
    ("all-axes", "the sum runs over all entries.", "How many results has a batch of N rows?",
     _value(tf.reduce_logsumexp)),
    ("no-custom-gradient", "the function is not decorated with `@tf.custom_gradient`.",
     "What must a function under `@tf.custom_gradient` return besides its value?",
     lambda X: tf.reduce_logsumexp(X, axis=-1)),
    ("grad-returned-as-value", "a pair comes back: the function hands out its `grad`, and nobody takes it.",
     "Who expects the second of your two results? Look above the `def`.",
     lambda X: (tf.reduce_logsumexp(X, axis=-1), lambda dY: dY)),
):  # fmt: skip
    log_sum_exp.chaff(_cause, _misconception, _hint, *_tells)(_answer)


@log_sum_exp.chaff(
    "grad-not-returned",
    "`@tf.custom_gradient` got the value alone, and no function for the gradient.",
    "What does `@tf.custom_gradient` expect your function to return?",
)
@tf.custom_gradient
def grad_not_returned(X):
    return tf.reduce_logsumexp(X, axis=-1)


# hessian_vector_product


@hessian_vector_product.refer
def hessian_vector_product_reference(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        along = tf.reduce_sum(inner.gradient(value, x) * v)
    return outer.gradient(along, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


@hessian_vector_product.wheat
def with_output_gradients(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        grad = inner.gradient(value, x)
    Hv = outer.gradient(grad, x, output_gradients=v, unconnected_gradients="zero")
    return np.array(Hv)


@hessian_vector_product.wheat
def of_a_variable(f, x, v):
    x = tf.Variable(x)
    with tf.GradientTape(persistent=True) as outer, tf.GradientTape() as inner:
        grad = inner.gradient(f(x), x)
        along = tf.tensordot(tf.reshape(grad, [-1]), tf.reshape(v, [-1]), 1)
    return outer.gradient(along, x, unconnected_gradients="zero").numpy()


@hessian_vector_product.wheat
def forward_over_reverse(f, x, v):
    with tf.autodiff.ForwardAccumulator(x, v) as accumulator:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = f(x)
        grad = tape.gradient(value, x)
    return accumulator.jvp(grad, unconnected_gradients="zero").numpy()


@hessian_vector_product.wheat
def by_the_whole_hessian(f, x, v):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        grad = inner.gradient(value, x)
    H = outer.jacobian(grad, x, unconnected_gradients=tf.UnconnectedGradients.ZERO, experimental_use_pfor=False)
    n = int(np.prod(x.shape))
    return (tf.reshape(H, (n, n)) @ tf.reshape(v, (n, 1))).numpy().reshape(x.shape)


@hessian_vector_product.wheat
def row_by_row(f, x, v):
    flat = tf.reshape(x, [-1])
    rows = []
    for i in range(len(flat)):
        with tf.GradientTape() as outer:
            outer.watch(flat)
            with tf.GradientTape() as inner:
                inner.watch(flat)
                value = f(tf.reshape(flat, x.shape))
            entry = inner.gradient(value, flat)[i]
        rows.append(outer.gradient(entry, flat, unconnected_gradients="zero").numpy())
    return (np.array(rows) @ v.numpy().ravel()).reshape(x.shape)


@hessian_vector_product.wheat
def none_means_zero(f, x, v):
    with tf.GradientTape() as t2:
        t2.watch(x)
        with tf.GradientTape() as t1:
            t1.watch(x)
            y = f(x)
        g = t1.gradient(y, x)
        gv = tf.einsum("i,i->", tf.reshape(g, [-1]), tf.reshape(v, [-1]))
    Hv = t2.gradient(gv, x)
    return np.zeros(x.shape) if Hv is None else Hv.numpy()


@hessian_vector_product.wheat
def along_the_line(f, x, v):
    t = tf.constant(0.0, dtype=x.dtype)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(t)
        moved = x + t * v
        with tf.GradientTape() as inner:
            inner.watch(moved)
            value = f(moved)
        grad = inner.gradient(value, moved)
    slopes = outer.jacobian(grad, t, unconnected_gradients="zero", experimental_use_pfor=False)
    return slopes.numpy()


def _chaff_hvp(outcome):
    """Both tapes are right; what is made of them is not. `outcome` gets a function for the slopes of the gradient."""

    def answer(f, x, v):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = f(x)
            g = inner.gradient(value, x)
            targets = outcome(g, v)
        return outer.gradient(targets, x, unconnected_gradients="zero")

    return answer


def _hessian(f, x):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        g = inner.gradient(value, x)
    return outer.jacobian(g, x, unconnected_gradients="zero", experimental_use_pfor=False)


def _gradient(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = f(x)
    return tape.gradient(value, x)


def _flat(a):
    return tf.reshape(a, [-1])


def _square(f, x):
    n = int(np.prod(x.shape))
    return tf.reshape(_hessian(f, x), (n, n))


for _cause, _misconception, _hint, _answer in (
    ("gradient-returned", "this is the gradient itself; nothing was differentiated a second time.",
     "How many tapes does a second derivative need?",
     lambda f, x, v: _gradient(f, x).numpy()),
    ("gradient-times-v", "the gradient is multiplied by `v`; nothing was differentiated a second time.",
     "For a linear `f`, what is the Hessian, and what does your function return?",
     lambda f, x, v: (_gradient(f, x) * v).numpy()),
    ("v-ignored", "the outer tape differentiates the sum of the gradient: this is the Hessian times ones.",
     "What does a tape do with a target that has many entries? And where is `v`?",
     lambda f, x, v: _chaff_hvp(lambda g, v: g)(f, x, v).numpy()),
    ("v-multiplied-after", "the sums of the rows of the Hessian are multiplied by `v`, entry by entry.",
     "Which comes first: the product with `v`, or the sum over the entries of the gradient?",
     lambda f, x, v: (_chaff_hvp(lambda g, v: g)(f, x, v) * v).numpy()),
    ("diagonal-only", "only the diagonal of the Hessian is multiplied by `v`.",
     "Does the slope in one direction change when you move in another?",
     lambda f, x, v: (tf.reshape(tf.linalg.diag_part(_square(f, x)), x.shape) * v).numpy()),
    ("entry-by-entry", "the Hessian is multiplied by `v` entry by entry, not as a matrix.",
     "Which sign multiplies matrices?",
     lambda f, x, v: (_square(f, x) * _flat(v)).numpy()),
    ("hessian-returned", "the whole Hessian is returned, not its product with `v`.",
     "What shape has a matrix times a vector?",
     lambda f, x, v: _square(f, x).numpy()),
    ("quadratic-form", "this is v · H v, one number.",
     "Which of your two products with `v` is one too many?",
     lambda f, x, v: float(tf.reduce_sum(_chaff_hvp(lambda g, v: tf.reduce_sum(g * v))(f, x, v) * v))),
    ("slope-along-v", "this is the slope of `f` along `v`, one number: a first derivative.",
     "How many times did you differentiate?",
     lambda f, x, v: float(tf.reduce_sum(_gradient(f, x) * v))),
    ("v-squared", "`v` is multiplied twice.",
     "Which of your two products with `v` is one too many?",
     lambda f, x, v: (_chaff_hvp(lambda g, v: tf.reduce_sum(g * v))(f, x, v) * v).numpy()),
    ("averaged", "the product with `v` is averaged over the entries, not summed.",
     "What is a scalar product: a sum, or a mean?",
     lambda f, x, v: _chaff_hvp(lambda g, v: tf.reduce_mean(g * v))(f, x, v).numpy()),
    ("gradient-squared", "the squared length of the gradient is differentiated: this is 2 H g, and `v` is not used.",
     "With what must the gradient be multiplied before it is differentiated again?",
     lambda f, x, v: _chaff_hvp(lambda g, v: tf.reduce_sum(g * g))(f, x, v).numpy()),
):  # fmt: skip
    hessian_vector_product.chaff(_cause, _misconception, _hint)(_answer)


@hessian_vector_product.chaff(
    "none-if-linear",
    "where `f` is linear, the outer tape finds nothing that depends on `x`, and answers `None`.",
    "What is the Hessian of a linear function? And what can `tape.gradient` be told to answer for it?",
)
def none_if_linear(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        along = tf.reduce_sum(inner.gradient(value, x) * v)
    return outer.gradient(along, x)


@hessian_vector_product.chaff(
    "constant-not-watched",
    "`x` is a constant, and no tape was told to watch it.",
    "A tape watches each trainable `tf.Variable` by itself. Who tells it about a constant?",
)
def x_not_watched(f, x, v):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = f(x)
        along = tf.reduce_sum(inner.gradient(value, x) * v)
    return outer.gradient(along, x).numpy()


@hessian_vector_product.chaff(
    "watched-by-another-tape",
    "one of the two tapes was told to watch `x`, and the other one was not.",
    "Each tape has to be told about a constant. To which of them did you say `watch`?",
)
def x_watched_by_the_inner_tape(f, x, v):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        along = tf.reduce_sum(inner.gradient(value, x) * v)
    return outer.gradient(along, x, unconnected_gradients="zero")


@hessian_vector_product.chaff(
    "product-outside-the-tape",
    "the product with `v` stands after the outer block: the outer tape has seen the first gradient, and not what was "
    "made of it.",
    "Up to which line does the outer tape record?",
)
def product_outside(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        grad = inner.gradient(value, x)
    along = tf.reduce_sum(grad * v)
    return outer.gradient(along, x, unconnected_gradients="zero")


@hessian_vector_product.chaff(
    "made-for-vectors",
    "gradient and `v` are multiplied as matrices (`tensordot`, `@`, `matmul`): for two vectors that is their scalar "
    "product, and for two matrices it is none.",
    "If `x` is a matrix, which entries of the gradient meet which of `v`, and what becomes of the products?",
)
def product_of_matrices(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        along = tf.tensordot(inner.gradient(value, x), v, 1)
    return outer.gradient(along, x, unconnected_gradients="zero")


@hessian_vector_product.chaff(
    "gradient-outside-the-tape",
    "the first gradient is asked for after both blocks: the outer tape does not record how it is computed.",
    "Which lines must the outer tape see?",
)
def inner_gradient_outside(f, x, v):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
    along = tf.reduce_sum(inner.gradient(value, x) * v)
    return outer.gradient(along, x).numpy()


@hessian_vector_product.chaff(
    "one-tape-for-both",
    "one tape is asked twice, and forgets after the first time.",
    "A tape records what happens while it runs. Which tape records the first `tape.gradient`?",
)
def one_tape_for_both(f, x, v):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = f(x)
        along = tf.reduce_sum(tape.gradient(value, x) * v)
    return tape.gradient(along, x).numpy()


@hessian_vector_product.chaff(
    "differences",
    "the second derivative is a difference quotient: right to a few digits only.",
    "Which tool gives the derivative of a gradient to all digits?",
)
def differences(f, x, v):
    h = 1e-5
    return ((_gradient(f, x + h * v) - _gradient(f, x)) / h).numpy()


# ScaledDense


def _named(name, *classes):
    """Give classes and their methods the name that a learner's has: messages of Python and Keras begin with it."""
    for cls in classes:
        cls.__name__ = cls.__qualname__ = name
        for key, method in vars(cls).items():
            if inspect.isfunction(method):
                method.__qualname__ = f"{name}.{key}"


@ScaledDense.refer
class ScaledDenseReference(keras.layers.Layer):
    """Also a base for answers that go wrong in one place."""

    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.scale = units, scale

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, X):
        return self.scale * tf.matmul(X, self.kernel) + self.bias

    def get_config(self):
        return {**super().get_config(), "units": self.units, "scale": self.scale}


@ScaledDense.wheat
class WithKerasOps(keras.layers.Layer):
    def __init__(self, units, scale=1.0, name=None, dtype=None, trainable=True):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.units = int(units)
        self.scale = float(scale)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=keras.initializers.HeNormal(), trainable=True
        )
        self.bias = self.add_weight(shape=(self.units,), initializer=keras.initializers.Zeros())
        super().build(input_shape)

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) * self.scale + self.bias

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.units, "scale": self.scale})
        return config


@ScaledDense.wheat
class WithVariablesOfKeras(ScaledDenseReference):
    def build(self, input_shape):
        start = keras.initializers.GlorotUniform()((input_shape[-1], self.units), dtype=self.dtype)
        self.kernel = keras.Variable(start, dtype=self.dtype, name="kernel")
        self.bias = keras.Variable(tf.zeros(self.units), dtype=self.dtype, name="bias")


@ScaledDense.wheat
class FromDense(keras.layers.Dense):
    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(units, **kwargs)
        self.scale = scale

    def call(self, inputs, training=None):
        return self.scale * (inputs @ self.kernel) + self.bias

    def get_config(self):
        return super().get_config() | {"scale": self.scale}


@ScaledDense.wheat
class WithFromConfig(ScaledDenseReference):
    def get_config(self):
        config = super().get_config()
        config["size"] = {"units": config.pop("units"), "scale": config.pop("scale")}
        return config

    @classmethod
    def from_config(cls, config):
        size = config.pop("size")
        return cls(size["units"], size["scale"], **config)


@ScaledDense.wheat
class WithTheConfigThatKerasNotes(keras.layers.Layer):
    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.scale = units, scale

    build, call = ScaledDenseReference.build, ScaledDenseReference.call


@ScaledDense.wheat
class ByEinsum(ScaledDenseReference):
    def call(self, X, training=False, mask=None):
        return tf.einsum("...d,dm->...m", self.scale * X, self.kernel) + self.bias


@ScaledDense.wheat
class WithAPrivateScale(keras.layers.Layer):
    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self._units, self._factor = units, tf.constant(scale, tf.float64)

    def build(self, input_shape):
        self.W = self.add_weight(name="W", shape=[input_shape[-1], self._units], dtype=self.variable_dtype)
        self.b = self.add_weight(name="b", shape=[self._units], dtype=self.variable_dtype, initializer="zeros")

    def call(self, X):
        return tf.cast(self._factor, X.dtype) * (X @ self.W) + self.b

    def get_config(self):
        base = super().get_config()
        return dict(base, units=self._units, scale=float(self._factor))


def _layer_with(**methods):
    return type("ScaledDense", (ScaledDenseReference,), methods)


def _config_without(*names):
    def get_config(self):
        config = super(ScaledDenseReference, self).get_config()
        config |= {"units": self.units, "scale": self.scale}
        return {key: value for key, value in config.items() if key not in names}

    return get_config


def _build_with(kernel=None, bias=None):
    def build(self, input_shape):
        self.kernel = self.add_weight(**({"shape": (input_shape[-1], self.units), "name": "kernel"} | (kernel or {})))
        self.bias = self.add_weight(**({"shape": (self.units,), "initializer": "zeros", "name": "bias"} | (bias or {})))

    return build


class _NoKwargs(keras.layers.Layer):
    def __init__(self, units, scale=1.0):
        super().__init__()
        self.units, self.scale = units, scale

    build, call = ScaledDenseReference.build, ScaledDenseReference.call


class _KwargsDropped(keras.layers.Layer):
    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__()
        self.units, self.scale = units, scale

    build, call = ScaledDenseReference.build, ScaledDenseReference.call

    def get_config(self):
        return {**super().get_config(), "units": self.units, "scale": self.scale}


class _NoSuper(keras.layers.Layer):
    def __init__(self, units, scale=1.0, **kwargs):
        self.units, self.scale = units, scale

    build, call = ScaledDenseReference.build, ScaledDenseReference.call


class _WeightsOfTensorFlow(ScaledDenseReference):
    def build(self, input_shape):
        self.kernel = tf.Variable(tf.random.normal((input_shape[-1], self.units), dtype=tf.float64))
        self.bias = tf.Variable(tf.zeros(self.units, dtype=tf.float64))


_named("ScaledDense", _NoKwargs, _KwargsDropped, _NoSuper, _WeightsOfTensorFlow)

for _cause, _misconception, _hint, _answer in (
    ("scale-not-in-config", "`get_config` leaves out `scale`: the restored layer has its default.",
     "Which arguments of `__init__` does the restored layer have to be given?",
     _layer_with(get_config=_config_without("scale"))),
    ("units-not-in-config", "`get_config` leaves out `units`, without which no layer can be made.",
     "Which arguments of `__init__` does the restored layer have to be given?",
     _layer_with(get_config=_config_without("units"))),
    ("base-config-missing", "`get_config` lists your own arguments only; name and dtype get lost.",
     "What does the `get_config` of `keras.layers.Layer` return, and how does it get into yours?",
     _layer_with(get_config=lambda self: {"units": self.units, "scale": self.scale})),
    ("kwargs-not-taken", "`__init__` takes no further arguments, so that nobody can set name or dtype.",
     "Which arguments has every layer of Keras, and how do they get past your `__init__`?",
     _NoKwargs),
    ("kwargs-dropped", "`__init__` takes name and dtype, and does not hand them on to the layer of Keras.",
     "Who is to know name and dtype: your `__init__`, or that of `keras.layers.Layer`?",
     _KwargsDropped),
    ("super-init-missing", "`__init__` does not call that of `keras.layers.Layer`.",
     "Who sets up all that a layer of Keras needs?",
     _NoSuper),
    ("variables-of-tensorflow", "the weights are made by `tf.Variable`: Keras does not keep those.",
     "`self.add_weight` makes a weight that Keras keeps. What does it have to be told?",
     _WeightsOfTensorFlow),
    ("wrong-weights", "there is one weight only: the bias is missing.",
     "Which two weights does the exercise name, and in which order?",
     _layer_with(build=lambda self, shape: setattr(self, "kernel", self.add_weight(shape=(shape[-1], self.units))),
                 call=lambda self, X: self.scale * (X @ self.kernel))),
    ("scale-on-the-bias", "the bias is multiplied by `scale` as well.",
     "Write the formula with its brackets. What stands outside?",
     _layer_with(call=lambda self, X: self.scale * (X @ self.kernel + self.bias))),
    ("scale-ignored", "`scale` is not used in `call`.", "Which numbers does `call` need?",
     _layer_with(call=lambda self, X: X @ self.kernel + self.bias)),
    ("scale-divides", "the product is divided by `scale`.", "Does the result grow with `scale`?",
     _layer_with(call=lambda self, X: X @ self.kernel / self.scale + self.bias)),
    ("bias-missing", "the bias is not added.", "Which of the two weights does `call` use?",
     _layer_with(call=lambda self, X: self.scale * (X @ self.kernel) + 0 * self.bias)),
    ("bias-subtracted", "the bias is subtracted.", "Which sign has the bias?",
     _layer_with(call=lambda self, X: self.scale * (X @ self.kernel) - self.bias)),
    ("relu-added", "the result goes through ReLU.", "May a result of this layer be negative?",
     _layer_with(call=lambda self, X: tf.nn.relu(self.scale * (X @ self.kernel) + self.bias))),
    ("bias-starts-elsewhere", "the bias does not start at 0.",
     "Which `initializer` does `add_weight` take, if none is given? Look at both weights.",
     _layer_with(build=_build_with(bias={"initializer": "random_normal"}))),
    ("graph-cut", "`call` leaves TensorFlow: the tape cannot follow NumPy.",
     "Which line of `call` makes an array of a tensor?",
     _layer_with(call=lambda self, X: tf.constant(self.scale * X.numpy() @ self.kernel.numpy() + self.bias.numpy()))),
):  # fmt: skip
    ScaledDense.chaff(_cause, _misconception, _hint)(_answer)


# QuantileLoss


@QuantileLoss.refer
class QuantileLossReference(keras.losses.Loss):
    """Also a base for answers that go wrong in one place."""

    def __init__(self, q=0.5, **kwargs):
        super().__init__(**kwargs)
        self.q = q

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        return tf.reduce_mean(tf.maximum(self.q * error, (self.q - 1) * error), axis=-1)

    def get_config(self):
        return {**super().get_config(), "q": self.q}


@QuantileLoss.wheat
class WithNamedArguments(keras.losses.Loss):
    def __init__(self, q=0.5, reduction="sum_over_batch_size", name="quantile_loss", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.q = float(q)

    def call(self, y_true, y_pred):
        e = keras.ops.subtract(y_true, y_pred)
        return keras.ops.mean(keras.ops.where(e > 0, self.q * e, (self.q - 1.0) * e), axis=-1)

    def get_config(self):
        config = super().get_config()
        config.update({"q": self.q})
        return config


def _loss_with(**methods):
    return type("QuantileLoss", (QuantileLossReference,), methods)


QuantileLoss.wheat(_loss_with(call=lambda self, y, y_hat: tf.reduce_mean(
    self.q * tf.nn.relu(y - y_hat) + (1 - self.q) * tf.nn.relu(y_hat - y), -1)))  # fmt: skip
QuantileLoss.wheat(_loss_with(call=lambda self, y, y_hat: tf.reduce_sum(
    tf.abs(y - y_hat) * tf.where(y > y_hat, self.q, tf.cast(1 - self.q, y.dtype)), -1) / y.shape[-1]))  # fmt: skip
QuantileLoss.wheat(_loss_with(call=lambda self, y, y_hat: keras.ops.mean(
    keras.ops.abs(y - y_hat) / 2 + (self.q - 0.5) * (y - y_hat), axis=1)))  # fmt: skip
QuantileLoss.wheat(_loss_with(get_config=lambda self: {"q": self.q, "name": self.name, "reduction": self.reduction}))
QuantileLoss.wheat(_loss_with(get_config=lambda self: dict(
    keras.losses.Loss.get_config(self), q=self.q, dtype=self.dtype)))  # fmt: skip


def _loss_config_without(*names):
    def get_config(self):
        config = {"name": self.name, "reduction": self.reduction, "q": self.q}
        return {key: value for key, value in config.items() if key not in names}

    return get_config


def _pinball(self, error):
    return tf.maximum(self.q * error, (self.q - 1) * error)


class _LossWithoutKwargs(keras.losses.Loss):
    def __init__(self, q=0.5):
        super().__init__()
        self.q = q

    call, get_config = QuantileLossReference.call, _loss_config_without()


class _LossKwargsDropped(keras.losses.Loss):
    def __init__(self, q=0.5, **kwargs):
        super().__init__()
        self.q = q

    call, get_config = QuantileLossReference.call, _loss_config_without()


class _LossWithoutSuper(keras.losses.Loss):
    def __init__(self, q=0.5, **kwargs):
        self.q = q

    call, get_config = QuantileLossReference.call, _loss_config_without()


_named("QuantileLoss", _LossWithoutKwargs, _LossKwargsDropped, _LossWithoutSuper)

for _cause, _misconception, _hint, _answer in (
    ("error-turned-round", "the error is taken as y_pred − y_true: q and 1 − q change places.",
     "For q near 1, what costs more: a prediction that is too low, or one that is too high?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(_pinball(self, y_hat - y), -1))),
    ("averaged-in-call", "`call` averages over all entries: Keras has no examples left to weight or to sum.",
     "What shape must `call` return, so that Keras can give each example its weight?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(_pinball(self, y - y_hat)))),
    ("summed-over-outputs", "`call` sums over the last axis, where a mean is asked for.",
     "Which of the two is asked for over the last axis: sum or mean?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_sum(_pinball(self, y - y_hat), -1))),
    ("not-averaged", "`call` returns a number for each entry, not one for each example.",
     "What shape must `call` return, so that Keras can give each example its weight?",
     _loss_with(call=lambda self, y, y_hat: _pinball(self, y - y_hat))),
    ("axis-0", "`call` averages over the examples.", "Which axis numbers the examples?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(_pinball(self, y - y_hat), 0))),
    ("absolute-error", "q is not used: this is the mean absolute error.",
     "Do errors to both sides cost the same?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(tf.abs(y - y_hat), -1))),
    ("squared-error", "this is the squared error.", "Which power of the error does the exercise name?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean((y - y_hat) ** 2, -1))),
    ("minimum-for-maximum", "the smaller of the two lines is taken, where the loss is the larger one.",
     "May a loss be negative?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(
         tf.minimum(self.q * (y - y_hat), (self.q - 1) * (y - y_hat)), -1))),
    ("negative-errors-free", "errors below zero cost nothing.",
     "What does the second half of the formula say?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(self.q * tf.nn.relu(y - y_hat), -1))),
    ("sign-kept", "negative errors get a negative loss: 1 − q stands where q − 1 belongs.",
     "May a loss be negative?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(
         tf.where(y > y_hat, self.q * (y - y_hat), (1 - self.q) * (y - y_hat)), -1))),
    ("q-not-in-config", "`get_config` leaves out `q`: the restored loss has its default.",
     "Which arguments of `__init__` does the restored loss have to be given?",
     _loss_with(get_config=_loss_config_without("q"))),
    ("base-config-missing", "`get_config` lists `q` only; name and reduction get lost.",
     "What does the `get_config` of `keras.losses.Loss` return, and how does it get into yours?",
     _loss_with(get_config=_loss_config_without("name", "reduction"))),
    ("reduction-not-in-config", "`get_config` leaves out the reduction.",
     "What does the `get_config` of `keras.losses.Loss` return, and how does it get into yours?",
     _loss_with(get_config=_loss_config_without("reduction"))),
    ("name-not-in-config", "`get_config` leaves out the name.",
     "What does the `get_config` of `keras.losses.Loss` return, and how does it get into yours?",
     _loss_with(get_config=_loss_config_without("name"))),
    ("kwargs-not-taken", "`__init__` takes no further arguments, so that nobody can set reduction, name or dtype.",
     "Which arguments has every loss of Keras, and how do they get past your `__init__`?",
     _LossWithoutKwargs),
    ("kwargs-dropped", "`__init__` takes reduction, name and dtype, and does not hand them on to the loss of Keras.",
     "Who is to know the reduction: your `__init__`, or that of `keras.losses.Loss`?",
     _LossKwargsDropped),
    ("super-init-missing", "`__init__` does not call that of `keras.losses.Loss`.",
     "Who sets up all that a loss of Keras needs?",
     _LossWithoutSuper),
    ("one-choice-for-all", "a Python `if`, or `max`, asks a whole tensor; each entry has a choice of its own.",
     "How many errors are there, and how many branches does an `if` take? Which function of TensorFlow chooses entry "
     "by entry?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(
         (self.q if y > y_hat else self.q - 1) * (y - y_hat), -1))),
    ("one-choice-for-all", "one choice is made for all entries, by `tf.reduce_all`; each has a choice of its own.",
     "How many errors are there, and how many branches does an `if` take?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(
         (self.q if tf.reduce_all(y > y_hat) else self.q - 1) * (y - y_hat), -1))),
    ("one-choice-for-all", "one choice is made for all entries, by `tf.reduce_any`; each has a choice of its own.",
     "How many errors are there, and how many branches does an `if` take?",
     _loss_with(call=lambda self, y, y_hat: tf.reduce_mean(
         (self.q if tf.reduce_any(y > y_hat) else self.q - 1) * (y - y_hat), -1))),
    ("call-overridden", "`__call__` is written in place of `call`: reduction and sample weights are passed by.",
     "Which of the two, `call` or `__call__`, does Keras fill in for you?",
     _loss_with(__call__=lambda self, y, y_hat, sample_weight=None: tf.reduce_mean(_pinball(self, y - y_hat)))),
    ("graph-cut", "`call` leaves TensorFlow: the tape cannot follow NumPy.",
     "Which line of `call` makes an array of a tensor?",
     _loss_with(call=lambda self, y, y_hat: tf.constant(
         np.maximum(self.q * (y - y_hat).numpy(), (self.q - 1) * (y - y_hat).numpy()).mean(-1)))),
):  # fmt: skip
    QuantileLoss.chaff(_cause, _misconception, _hint)(_answer)


# MomentumOptimizer


@MomentumOptimizer.refer
class MomentumOptimizerReference(keras.optimizers.Optimizer):
    """Also a base for answers that go wrong in one place."""

    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.velocities[self._get_variable_index(variable)]
        velocity.assign(self.momentum * velocity - tf.cast(learning_rate, gradient.dtype) * gradient)
        variable.assign_add(velocity)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@MomentumOptimizer.wheat
class OneVariableAtATime(keras.optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, momentum=0.9, name="momentum_optimizer", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = float(momentum)

    def build(self, var_list):
        super().build(var_list)
        self.v = []
        for var in var_list:
            self.v.append(self.add_variable_from_reference(reference_variable=var, name="v"))

    def update_step(self, grad, var, learning_rate):
        lr = keras.ops.cast(learning_rate, var.dtype)
        v = self.v[self._get_variable_index(var)]
        self.assign(v, keras.ops.subtract(keras.ops.multiply(v, self.momentum), keras.ops.multiply(grad, lr)))
        self.assign_add(var, v)

    def get_config(self):
        config = super().get_config()
        config.update({"momentum": self.momentum})
        return config


def _optimizer_with(**methods):
    return type("MomentumOptimizer", (MomentumOptimizerReference,), methods)


def _velocity_of(self, variable):
    return self.velocities[self._get_variable_index(variable)]


def _positive(self, g, w, lr):
    v = _velocity_of(self, w)
    v.assign(self.momentum * v + tf.cast(lr, g.dtype) * g)
    w.assign_sub(v)


def _new_value_first(self, g, w, lr):
    v = _velocity_of(self, w)
    new = tf.convert_to_tensor(v) * self.momentum - g * tf.cast(lr, w.dtype)
    w.assign(w + new)
    v.assign(new)


MomentumOptimizer.wheat(_optimizer_with(update_step=_positive))
MomentumOptimizer.wheat(_optimizer_with(update_step=_new_value_first))


@MomentumOptimizer.wheat
class InADict(MomentumOptimizerReference):
    def build(self, variables):
        if not self.built:
            super(MomentumOptimizerReference, self).build(variables)
            for i, w in enumerate(variables):
                setattr(self, f"velocity_{i}", self.add_variable_from_reference(w, "velocity", initializer="zeros"))

    def update_step(self, g, w, lr):
        v = getattr(self, f"velocity_{self._get_variable_index(w)}")
        v.assign(v * self.momentum)
        v.assign_sub(tf.cast(lr, g.dtype) * g)
        w.assign_add(v)


@MomentumOptimizer.wheat
class FromSGD(keras.optimizers.SGD):
    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, momentum=momentum, **kwargs)


@MomentumOptimizer.wheat
class WithFromConfigOfItsOwn(MomentumOptimizerReference):
    def get_config(self):
        return {"mu": self.momentum, "lr": float(self.learning_rate)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(learning_rate=config["lr"], momentum=config["mu"])


def _step(change):
    """From the velocity, the gradient and the learning rate the new velocity and the move."""

    def update_step(self, g, w, lr):
        v = _velocity_of(self, w)
        velocity, move = change(tf.convert_to_tensor(v), g, tf.cast(lr, g.dtype), self.momentum)
        v.assign(velocity)
        w.assign_add(move)

    return _optimizer_with(update_step=update_step)


def _pytorch(v, g, lr, m):
    return m * v + g, -lr * (m * v + g)


def _averaged(v, g, lr, m):
    return m * v + (1 - m) * g, -lr * (m * v + (1 - m) * g)


def _nesterov(v, g, lr, m):
    new = m * v - lr * g
    return new, m * new - lr * g


def _shared_by_all(self, g, w, lr):
    v = self.velocities[0]
    v.assign(self.momentum * v - tf.cast(lr, g.dtype) * g)
    w.assign_add(v)


def _shared_build(self, variables):
    keras.optimizers.Optimizer.build(self, variables)
    self.velocities = [self.add_variable_from_reference(variables[0], "velocity")]


def _made_in_python(self, g, w, lr):
    k = self._get_variable_index(w)
    v = self.momentum * self.kept.get(k, 0.0) - tf.cast(lr, g.dtype) * g
    self.kept[k] = v
    w.assign_add(v)


def _build_nothing(self, variables):
    keras.optimizers.Optimizer.build(self, variables)
    object.__setattr__(self, "kept", {})


def _variables_of_tensorflow(self, variables):
    keras.optimizers.Optimizer.build(self, variables)
    self.velocities = [tf.Variable(tf.zeros(w.shape, w.dtype)) for w in variables]


def _own_rate(self, g, w, lr):
    v = _velocity_of(self, w)
    v.assign(self.momentum * v - self.first_rate * g)
    w.assign_add(v)


def _keeps_its_rate(self, learning_rate=0.01, momentum=0.9, **kwargs):
    keras.optimizers.Optimizer.__init__(self, learning_rate=learning_rate, **kwargs)
    self.momentum = momentum
    object.__setattr__(self, "first_rate", learning_rate)


def _drops_keywords(self, learning_rate=0.01, momentum=0.9, **kwargs):
    keras.optimizers.Optimizer.__init__(self, learning_rate=learning_rate)
    self.momentum = momentum


def _rate_as_it_comes(self, g, w, lr):
    v = _velocity_of(self, w)
    v.assign(self.momentum * v - lr * g)
    w.assign_add(v)


def _rebound(self, g, w, lr):
    v = _velocity_of(self, w)
    v.assign(self.momentum * v - tf.cast(lr, g.dtype) * g)
    w = w + v


class _OptimizerWithoutRate(MomentumOptimizerReference):
    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super(MomentumOptimizerReference, self).__init__(0.01, **kwargs)
        self.momentum = momentum


class _OptimizerOfPyTorch(keras.optimizers.Optimizer):
    def __init__(self, params, lr=0.01, momentum=0.9):
        super().__init__(params, lr)


class _OptimizerWithoutSuperBuild(MomentumOptimizerReference):
    def build(self, variables):
        self.velocities = self.add_optimizer_variables(variables, "velocity")


_named("MomentumOptimizer", _OptimizerWithoutRate, _OptimizerOfPyTorch, _OptimizerWithoutSuperBuild)

for _cause, _misconception, _hint, _answer in (
    ("pytorch-form", "the velocity is kept without the learning rate, as PyTorch does it: another path as soon as the "
     "learning rate changes.",
     "Which learning rate belongs to an old gradient: that of its own step, or that of today?",
     _step(_pytorch)),
    ("gradients-averaged", "the new gradient gets the weight 1 − momentum, as in a moving average.",
     "With which factor does the velocity of Keras take in a new gradient?",
     _step(_averaged)),
    ("nesterov", "this is Nesterov's momentum.", "Which of the two is Keras' default?", _step(_nesterov)),
    ("no-momentum", "this is plain gradient descent: the velocity of before is not used, or the new one is not stored.",
     "What survives from one step to the next?",
     _step(lambda v, g, lr, m: (v, -lr * g))),
    ("uphill", "the step goes up the gradient.", "In which direction does the loss fall?",
     _step(lambda v, g, lr, m: (m * v + lr * g, m * v + lr * g))),
    ("moved-by-the-old-velocity", "the parameter moves by the velocity of before this step.",
     "Which comes first, the new velocity or the move?",
     _step(lambda v, g, lr, m: (m * v - lr * g, v))),
    ("velocity-not-damped", "the velocity of before is kept whole: momentum is not used.",
     "What would happen with a gradient of zero, step after step?",
     _step(lambda v, g, lr, m: (v - lr * g, v - lr * g))),
    ("learning-rate-twice", "the learning rate is multiplied twice: into the velocity, and into the move.",
     "Is the velocity a step already, or a direction?",
     _step(lambda v, g, lr, m: (m * v - lr * g, lr * (m * v - lr * g)))),
    ("learning-rate-missing", "the learning rate is not used.", "What are the arguments of `update_step`?",
     _step(lambda v, g, lr, m: (m * v - g, m * v - g))),
    ("state-shared", "all parameters share one velocity.",
     "How many velocities does a network with two weight matrices need?",
     _optimizer_with(build=_shared_build, update_step=_shared_by_all)),
    ("one-velocity-used", "each parameter has its velocity, and all use the first one.",
     "Which velocity belongs to `variable`? Keras can tell its index.",
     _optimizer_with(update_step=_shared_by_all)),
    ("learning-rate-frozen", "the learning rate of the beginning is used for ever.",
     "Somebody may change `optimizer.learning_rate`. Which of your lines would notice?",
     _optimizer_with(__init__=_keeps_its_rate, update_step=_own_rate)),
    ("update-rebinds-the-name", "the parameter is not changed: a local name gets the new value.",
     "What does `=` do to a variable, and what does `assign`?",
     _optimizer_with(update_step=_rebound)),
    ("state-in-python", "the velocities are kept in a list or a dict of Python: no graph sees them, and nobody "
     "saves them.",
     "How often does your Python run inside `tf.function`? And who saves what it keeps?",
     _optimizer_with(build=_build_nothing, update_step=_made_in_python)),
    ("velocities-not-tracked", "the velocities are `tf.Variable`s of your own: they are not among "
     "`optimizer.variables`, and nobody saves them.",
     "Which method of an optimizer makes a variable that it knows of?",
     _optimizer_with(build=_variables_of_tensorflow)),
    ("momentum-not-in-config", "`get_config` leaves out `momentum`: the restored optimizer has its default.",
     "Which arguments of `__init__` does the restored optimizer have to be given?",
     _optimizer_with(get_config=lambda self: keras.optimizers.Optimizer.get_config(self))),
    ("base-config-missing", "`get_config` lists `momentum` only; the learning rate gets lost.",
     "What does the `get_config` of `keras.optimizers.Optimizer` return, and how does it get into yours?",
     _optimizer_with(get_config=lambda self: {"momentum": self.momentum})),
    ("learning-rate-not-handed-on", "the learning rate is taken, and Keras is given another one.",
     "Who has to know the learning rate: your `__init__`, or that of `keras.optimizers.Optimizer`?",
     _OptimizerWithoutRate),
    ("optimizer-of-pytorch", "`__init__` wants the parameters, as in PyTorch; one of Keras gets them in `build`.",
     "When does an optimizer of Keras first see the variables?",
     _OptimizerOfPyTorch),
    ("keywords-dropped", "`**kwargs` are taken and not handed on: a name, or `clipnorm`, is lost.",
     "Who knows what `clipnorm` means: your `__init__`, or that of `keras.optimizers.Optimizer`?",
     _optimizer_with(__init__=_drops_keywords)),
    ("rate-not-cast", "under a schedule the learning rate is a float32 tensor, which float64 gradients do not meet.",
     "Which dtype has the learning rate, and which the gradient? What makes one of the other?",
     _optimizer_with(update_step=_rate_as_it_comes)),
    ("super-build-missing", "`build` does not call that of `keras.optimizers.Optimizer`.",
     "Who notes which variable has which index?",
     _OptimizerWithoutSuperBuild),
):  # fmt: skip
    MomentumOptimizer.chaff(_cause, _misconception, _hint)(_answer)
