"""Right and wrong answers to the TensorFlow exercises of chapter 13. Importing this module imports TensorFlow."""

import keras
import numpy as np
import tensorflow as tf

from autograder.exercises.bug_clinic_tensorflow import (
    as_in_a_graph,
    fix_loss_family,
    fix_static_loop,
    fix_tape_loop,
)

UNCHANGED = "the planted bug is still there"

# In each exercise the planted bug comes first among the chaffs: an unchanged copy is the likeliest wrong answer.

# fix_tape_loop


@fix_tape_loop.refer
def tape_loop_reference(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X, training=True))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.wheat
def steps_by_hand(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        variables = model.trainable_variables
        for variable, grad in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign(variable - lr * grad)
        losses.append(loss.numpy())
    return losses


@fix_tape_loop.wheat
def new_optimizer_for_each_batch(model, loss_fn, batches, lr):
    """Plain SGD remembers nothing, so nothing is lost."""
    losses = []
    for X, y in batches:
        optimizer = keras.optimizers.SGD(lr)
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        losses.append(loss.numpy().item())
    return losses


@fix_tape_loop.wheat
def everything_on_the_tape(model, loss_fn, batches, lr):
    variables = model.trainable_variables
    optimizer = keras.optimizers.SGD(learning_rate=lr, momentum=0.0)
    optimizer.build(variables)
    losses = np.zeros(len(batches))
    for i, (X, y) in enumerate(batches):
        with tf.GradientTape() as tape:
            loss = loss_fn(y_true=y, y_pred=model(X, training=True))
            losses[i] = loss
            optimizer.apply_gradients(list(zip(tape.gradient(loss, variables), variables, strict=True)))
    return losses


@fix_tape_loop.wheat
def one_lasting_tape(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(lr)
    losses = []
    with tf.GradientTape(persistent=True) as tape:
        for X, y in batches:
            losses.append(loss_fn(y, model(X)))
            grads = tape.gradient(losses[-1], model.trainable_variables)
            with tape.stop_recording():
                optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    return [float(loss) for loss in losses]


@fix_tape_loop.wheat
def one_gradient_after_the_other(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape(persistent=True) as tape:
            loss = loss_fn(y, model(X))
        pairs = [(tape.gradient(loss, v), v) for v in model.trainable_variables]
        del tape
        optimizer.apply_gradients(pairs[::-1])
        losses.append(float(loss.numpy()))
    return tuple(losses)


@fix_tape_loop.wheat
def switched_on_by_hand(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        tape = tf.GradientTape()
        tape.__enter__()
        loss = loss_fn(y, model(X))
        tape.__exit__(None, None, None)
        weights = model.trainable_weights
        for grad, v in zip(tape.gradient(loss, weights), weights, strict=True):
            v.assign_sub(lr * grad)
        losses.append(float(loss))
    return losses


@fix_tape_loop.wheat
def step_as_a_graph(model, loss_fn, batches, lr):
    @tf.function(autograph=False, reduce_retracing=True)
    def step(X, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        for grad, v in zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True):
            v.assign_sub(lr * grad)
        return loss

    return [float(step(X, y)) for X, y in batches]


@fix_tape_loop.chaff(
    "unchanged",
    f"{UNCHANGED}: an optimizer of Keras is not made of parameters. What comes first is the learning rate.",
    "Look up `keras.optimizers.SGD`: which arguments has it? And when does it learn of the parameters?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(model.trainable_variables, learning_rate=lr)
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(y, model(X))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_tape_loop.chaff(
    "parameters-as-learning-rate",
    "the parameters are the only argument of the optimizer, and it takes them for its learning rate.",
    "Look up `keras.optimizers.SGD`: which arguments has it? And when does it learn of the parameters?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(model.trainable_variables)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "argument-of-pytorch",
    "the learning rate is called `lr`, as in PyTorch; an optimizer of Keras does not know that name.",
    "What is that argument called in `keras.optimizers.SGD`?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(lr=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "zero-grad-of-pytorch",
    "an optimizer of Keras has no `zero_grad`: that is PyTorch. It keeps no gradients either.",
    "Who holds the gradients in TensorFlow, and can anything be left over from the last batch?",
    tells=("zero_grad",),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "backward-of-pytorch",
    "TensorFlow's tensors have no `backward`: that is PyTorch.",
    "Who records the forward pass in TensorFlow, and whom do you ask for gradients?",
    tells=("backward",),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        loss = loss_fn(y, model(X))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_tape_loop.chaff(
    "step-of-pytorch",
    "an optimizer of Keras has no `step`: that is PyTorch. It has to be handed the gradients.",
    "How does the optimizer learn of the gradients in TensorFlow?",
    tells=("step",),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        tape.gradient(loss, model.trainable_variables)
        optimizer.step()
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "minimize-of-old",
    "the optimizers of Keras had a `minimize` once; they have none today.",
    "Which two steps did it take in one: who finds the gradients, and who applies them?",
    tells=("minimize",),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        optimizer.minimize(loss, model.trainable_variables, tape=tape)
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "item-of-pytorch",
    "TensorFlow's tensors have no `item`: that is PyTorch.",
    "What makes a Python number of a tensor that holds one?",
    tells=("item",),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(loss.item())
    return losses


@fix_tape_loop.chaff(
    "forward-outside-the-tape",
    "the forward pass stands before the `with` block: the tape records none of it.",
    "Which lines must the tape see?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        y_pred = model(X)
        with tf.GradientTape() as tape:
            loss = loss_fn(y, y_pred)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "graph-cut",
    "the loss is computed after the `with` block: the way to it is not all on the tape.",
    "Up to which line does the tape have to record?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(X)
        loss = loss_fn(y, y_pred)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "tape-not-entered",
    "a tape was made, and never switched on: it recorded nothing.",
    "Which statement of Python opens a block that something is in force for?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        tape = tf.GradientTape()
        loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "gradient-of-a-number",
    "the tape is asked about a Python number: `float` has left behind how it was made.",
    "Which of the two does the tape know, the tensor or the number in it?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = float(loss_fn(y, model(X)))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(loss)
    return losses


@fix_tape_loop.chaff(
    "frozen-parts-moved",
    "`model.variables` (or `model.weights`) lists all that a model holds, what is frozen included.",
    "Which variables of a model does training move? Keras has a list of those.",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.variables)
        optimizer.apply_gradients(zip(grads, model.variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "gradients-without-variables",
    "`apply_gradients` got the gradients alone; it wants pairs.",
    "How is the optimizer to know which gradient belongs to which variable?",
    tells=("apply_gradients",),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        optimizer.apply_gradients(tape.gradient(loss, model.trainable_variables))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "two-lists-not-pairs",
    "`apply_gradients` got two lists; it wants one list of pairs.",
    "Which function of Python makes pairs of two lists?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        optimizer.apply_gradients(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "pairs-turned-round",
    "the pairs are the wrong way round: variables first, gradients second.",
    "In which order does `apply_gradients` want each pair?",
    tells=("zip", "apply_gradients"),
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(model.trainable_variables, grads, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "arguments-swapped",
    "`loss_fn` got the predictions first, as in PyTorch.",
    "In which order does a loss of Keras want labels and predictions?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(model(X), y)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "persistent-tape-needed",
    "`tape.gradient` is called more than once on a tape that forgets after the first time.",
    "Can one call give all gradients? Does each batch have a tape of its own?",
)
def _(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        for v in model.trainable_variables:
            v.assign_sub(lr * tape.gradient(loss, v))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "step-missing",
    "the gradients are computed, and the model keeps its old values: nobody takes the step, or its result goes to a "
    "name of Python only.",
    "Do the weights move? What changes the value that a variable holds?",
)
def _(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        tape.gradient(loss, model.trainable_variables)
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "uphill",
    "the gradients are added: a step up the slope.",
    "Which way does a gradient point?",
)
def _(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        for v, g in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True):
            v.assign_add(lr * g)
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "loss-after-the-step",
    "the loss is computed again after the step.",
    "Which loss belongs to the gradients of a step: the one before it or the one after it?",
)
def _(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        for v, g in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True):
            v.assign_sub(lr * g)
        losses.append(float(loss_fn(y, model(X))))
    return losses


@fix_tape_loop.chaff(
    "learning-rate-left-out",
    "`lr` is not used: the optimizer takes its own learning rate, 0.01.",
    "Which of the arguments appear nowhere in your code?",
)
def _(model, loss_fn, batches, lr):
    return steps_by_hand(model, loss_fn, batches, 0.01)


@fix_tape_loop.chaff(
    "another-optimizer",
    "the steps are those of Adam; plain SGD is asked for.",
    "What does the contract say about the optimizer?",
)
def _(model, loss_fn, batches, lr):
    optimizer = keras.optimizers.Adam(learning_rate=lr)
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "parameters-left-out",
    "only the weight matrix is moved; the biases are left out.",
    "Compare the number of your variables with `len(model.trainable_variables)`.",
)
def _(model, loss_fn, batches, lr):
    variables = model.trainable_variables[:1]
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        for v, g in zip(variables, tape.gradient(loss, variables), strict=True):
            v.assign_sub(lr * g)
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "gradients-piled-up",
    "the gradients of all batches so far are summed, as PyTorch does without `zero_grad`. A tape keeps nothing.",
    "How many batches' gradients belong into one step?",
)
def _(model, loss_fn, batches, lr):
    variables, losses = model.trainable_variables, []
    piled = [tf.zeros_like(v.value) for v in variables]
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        piled = [a + g for a, g in zip(piled, tape.gradient(loss, variables), strict=True)]
        for v, g in zip(variables, piled, strict=True):
            v.assign_sub(lr * g)
        losses.append(float(loss))
    return losses


@fix_tape_loop.chaff(
    "step-after-the-loop",
    "the step stands after the loop: it is taken once, with the gradients of the last batch.",
    "How far must the lines of the step be indented?",
)
def _(model, loss_fn, batches, lr):
    losses = []
    for X, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(X))
        grads = tape.gradient(loss, model.trainable_variables)
        losses.append(float(loss))
    for v, g in zip(model.trainable_variables, grads, strict=True):
        v.assign_sub(lr * g)
    return losses


@fix_tape_loop.chaff(
    "return-in-the-loop",
    "the `return` stands in the loop: only the first batch is seen.",
    "How far is your `return` indented?",
)
def _(model, loss_fn, batches, lr):
    return steps_by_hand(model, loss_fn, batches[:1], lr)


@fix_tape_loop.chaff(
    "last-loss-only",
    "the list holds the loss of the last batch alone: it is made, or filled, in the wrong place.",
    "Which lines run once for each batch, and which once in all?",
)
def _(model, loss_fn, batches, lr):
    return steps_by_hand(model, loss_fn, batches, lr)[-1:]


@fix_tape_loop.chaff(
    "one-number",
    "one number is returned, the mean of the losses, not a list of them.",
    "How many batches are there, and how many numbers have you?",
)
def _(model, loss_fn, batches, lr):
    return sum(steps_by_hand(model, loss_fn, batches, lr)) / len(batches)


@fix_tape_loop.chaff(
    "tensors-collected",
    "the list holds tensors, not Python floats.",
    "What makes a Python number of a tensor that holds one?",
)
def _(model, loss_fn, batches, lr):
    return [tf.constant(loss) for loss in steps_by_hand(model, loss_fn, batches, lr)]


# fix_loss_family


def _sparse(labels, logits):
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _dense(labels, logits):
    return keras.losses.categorical_crossentropy(labels, logits, from_logits=True)


def _encoded(labels, logits):
    """Labels as one-hot rows, whichever they were."""
    return (
        tf.cast(labels, logits.dtype)
        if len(labels.shape) == 2
        else tf.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    )


@fix_loss_family.refer
def loss_family_reference(labels, logits):
    if len(labels.shape) == 2:
        losses = keras.losses.categorical_crossentropy(labels, logits, from_logits=True)
    else:
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return tf.reduce_mean(losses)


@fix_loss_family.wheat
def one_hot_made_integers(labels, logits):
    if labels.shape == logits.shape:
        labels = tf.argmax(labels, axis=-1)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


@fix_loss_family.wheat
def integers_made_one_hot(labels, logits):
    if labels.ndim == 1:
        labels = tf.one_hot(labels, logits.shape[-1])
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))


@fix_loss_family.wheat
def family_by_hand(labels, logits):
    T = _encoded(labels, logits)
    return -tf.reduce_sum(T * tf.nn.log_softmax(logits)) / len(T)


@fix_loss_family.wheat
def tries_one_then_the_other(labels, logits):
    try:
        losses = _sparse(labels, logits)
    except ValueError:
        losses = _dense(labels, logits)
    return tf.reduce_sum(losses) / losses.shape[0]


@fix_loss_family.wheat
def losses_as_objects(labels, logits):
    kinds = {1: keras.losses.SparseCategoricalCrossentropy, 2: keras.losses.CategoricalCrossentropy}
    return kinds[labels.shape.rank](from_logits=True, dtype="float64")(labels, logits)


@fix_loss_family.wheat
def losses_as_objects_in_single_precision(labels, logits):
    if tf.rank(labels) == 1:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    return keras.losses.CategoricalCrossentropy(from_logits=True)(labels, logits)


@fix_loss_family.wheat
def gathered(labels, logits):
    y = (
        labels
        if len(labels.shape) < 2
        else tf.cast(labels, tf.float64) @ tf.range(labels.shape[1], dtype=tf.float64)[:, None]
    )
    y = tf.reshape(tf.cast(y, tf.int64), [-1])
    chosen = tf.gather(logits, y, axis=1, batch_dims=1)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=1) - chosen)


@fix_loss_family.wheat
def probabilities_without_from_logits(labels, logits):
    P = tf.nn.softmax(logits)
    return tf.reduce_mean(-tf.math.log(tf.boolean_mask(P, _encoded(labels, logits) > 0.5)))


@fix_loss_family.chaff(
    "unchanged",
    f"{UNCHANGED}: a sparse loss gets one-hot rows; it wants the number of each class.",
    "What does `sparse` say about the labels? What is the other loss of this family called?",
)
def _(labels, logits):
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return tf.reduce_mean(losses)


@fix_loss_family.chaff(
    "other-way-round",
    "the loss for one-hot rows now gets integers as well: the same mistake the other way round.",
    "Which of the two losses takes which labels? Your function gets both kinds.",
)
def _(labels, logits):
    return tf.reduce_mean(keras.losses.categorical_crossentropy(labels, logits, from_logits=True))


@fix_loss_family.chaff(
    "other-way-round",
    "integers `(N,)` go into TensorFlow's loss for one-hot rows: where N = C it even takes them for a row.",
    "Which of the two losses takes which labels? Your function gets both kinds.",
)
def _(labels, logits):
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))


@fix_loss_family.chaff(
    "unchanged",
    f"{UNCHANGED}: TensorFlow's sparse loss gets one-hot rows; it wants the number of each class.",
    "What does `sparse` say about the labels? What is the other loss of this family called?",
)
def _(labels, logits):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


@fix_loss_family.chaff(
    "unchanged",
    f"{UNCHANGED}: a `SparseCategoricalCrossentropy` gets one-hot rows; it wants the number of each class.",
    "What does `Sparse` say about the labels? What is the other loss of this family called?",
)
def _(labels, logits):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)


@fix_loss_family.chaff(
    "other-way-round",
    "a `CategoricalCrossentropy`, which is for one-hot rows, now gets integers as well.",
    "Which of the two losses takes which labels? Your function gets both kinds.",
)
def _(labels, logits):
    return keras.losses.CategoricalCrossentropy(from_logits=True)(labels, logits)


@fix_loss_family.chaff(
    "branches-swapped",
    "the two losses stand in each other's branch.",
    "Which of the two losses takes integers?",
)
def _(labels, logits):
    return tf.reduce_mean(_sparse(labels, logits) if len(labels.shape) == 2 else _dense(labels, logits))


@fix_loss_family.chaff(
    "encoded-twice",
    "one-hot rows are encoded once more.",
    "What does `tf.one_hot` make of rows that are one-hot already? Print its shape.",
)
def _(labels, logits):
    labels = tf.one_hot(tf.cast(labels, tf.int64), logits.shape[1], dtype=tf.float64)
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))


@fix_loss_family.chaff(
    "encoded-twice",
    "one-hot rows are encoded once more, and the loss of Keras refuses what comes out.",
    "What does `tf.one_hot` make of rows that are one-hot already? Print its shape.",
)
def _(labels, logits):
    return tf.reduce_mean(_dense(tf.one_hot(tf.cast(labels, tf.int64), logits.shape[1]), logits))


@fix_loss_family.chaff(
    "argmax-of-integers",
    "`argmax` is taken of all labels, of integers too: what is largest among the labels of a batch says nothing.",
    "Which of the two kinds of labels needs an `argmax`?",
)
def _(labels, logits):
    return tf.reduce_mean(_sparse(tf.argmax(labels, axis=-1), logits))


@fix_loss_family.chaff(
    "argmax-over-the-batch",
    "`argmax` looks for the largest entry of each column: the classes stand along the other axis.",
    "Over which axis do the entries of one example stand?",
)
def _(labels, logits):
    return tf.reduce_mean(_sparse(tf.argmax(labels, axis=0) if len(labels.shape) == 2 else labels, logits))


@fix_loss_family.chaff(
    "told-by-dtype",
    "the two kinds are told apart by their dtype; one-hot rows may be integers, too.",
    "What else differs between `(N,)` labels and `(N, C)` rows?",
)
def _(labels, logits):
    return tf.reduce_mean(_sparse(labels, logits) if labels.dtype.is_integer else _dense(labels, logits))


@fix_loss_family.chaff(
    "told-by-a-length",
    "labels whose last axis is as long as that of the logits are taken for one-hot; so are N integers, if N = C.",
    "How many axes has either kind?",
)
def _(labels, logits):
    return tf.reduce_mean(_dense(labels, logits) if labels.shape[-1] == logits.shape[-1] else _sparse(labels, logits))


@fix_loss_family.chaff(
    "rows-flattened",
    "one-hot rows are made flat: N · C labels for N examples.",
    "How many labels must be left of N rows?",
)
def _(labels, logits):
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int64)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


@fix_loss_family.chaff(
    "from-logits-missing",
    "the losses of Keras take the logits for probabilities.",
    "What does a loss of Keras expect, if nobody says `from_logits=True`?",
)
def _(labels, logits):
    if len(labels.shape) == 2:
        return tf.reduce_mean(keras.losses.categorical_crossentropy(labels, logits))
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, logits))


@fix_loss_family.chaff(
    "from-logits-missing",
    "for one-hot rows the loss of Keras takes the logits for probabilities.",
    "Compare your two calls, argument by argument.",
)
def _(labels, logits):
    losses = (
        keras.losses.categorical_crossentropy(labels, logits) if len(labels.shape) == 2 else _sparse(labels, logits)
    )
    return tf.reduce_mean(losses)


@fix_loss_family.chaff(
    "from-logits-missing",
    "for integers the loss of Keras takes the logits for probabilities.",
    "Compare your two calls, argument by argument.",
)
def _(labels, logits):
    if len(labels.shape) == 2:
        return tf.reduce_mean(_dense(labels, logits))
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, logits))


@fix_loss_family.chaff(
    "from-logits-missing",
    "the loss objects of Keras take the logits for probabilities.",
    "What does a loss of Keras expect, if nobody says `from_logits=True`? Where would you say it to an object?",
)
def _(labels, logits):
    loss_fn = keras.losses.CategoricalCrossentropy if labels.ndim == 2 else keras.losses.SparseCategoricalCrossentropy
    return loss_fn()(labels, logits)


@fix_loss_family.chaff(
    "from-logits-missing",
    "integers become one-hot rows, and the loss object of Keras takes the logits for probabilities.",
    "What does a loss of Keras expect, if nobody says `from_logits=True`? Where would you say it to an object?",
)
def _(labels, logits):
    return keras.losses.CategoricalCrossentropy()(_encoded(labels, logits), logits)


@fix_loss_family.chaff(
    "arguments-swapped",
    "the loss objects got the logits first, and then the labels: that is PyTorch's order.",
    "In which order does a loss of Keras want labels and predictions?",
)
def _(labels, logits):
    loss_fn = keras.losses.CategoricalCrossentropy if labels.ndim == 2 else keras.losses.SparseCategoricalCrossentropy
    return loss_fn(from_logits=True)(logits, labels)


@fix_loss_family.chaff(
    "arguments-swapped",
    "the losses got the logits first, and then the labels: that is PyTorch's order.",
    "In which order does a loss of Keras want labels and predictions?",
)
def _(labels, logits):
    return tf.reduce_mean(_dense(logits, labels) if len(labels.shape) == 2 else _sparse(logits, labels))


@fix_loss_family.chaff(
    "softmax-twice",
    "a softmax stands before the loss objects, which take one themselves.",
    "What does `from_logits=True` say of what the loss gets: probabilities, or what comes before them?",
)
def _(labels, logits):
    loss_fn = keras.losses.CategoricalCrossentropy if labels.ndim == 2 else keras.losses.SparseCategoricalCrossentropy
    return loss_fn(from_logits=True)(labels, tf.nn.softmax(logits))


@fix_loss_family.chaff(
    "told-by-values",
    "labels of which none is above 1 are taken for one-hot rows; integers may be so small, too.",
    "How many axes has either kind?",
)
def _(labels, logits):
    return tf.reduce_mean(_sparse(labels, logits) if tf.reduce_max(labels) > 1 else _dense(labels, logits))


@fix_loss_family.chaff(
    "softmax-twice",
    "a softmax stands before the loss, which takes one itself.",
    "What do the words `logits` and `from_logits` ask for: probabilities, or what comes before them?",
)
def _(labels, logits):
    return tf.reduce_mean(_dense(_encoded(labels, logits), tf.nn.softmax(logits)))


@fix_loss_family.chaff(
    "mean-missing",
    "the losses of the examples are returned, not their mean.",
    "How many numbers does your loss function return for N examples?",
)
def _(labels, logits):
    return _dense(_encoded(labels, logits), logits)


@fix_loss_family.chaff(
    "summed-over-batch",
    "the losses of the examples are summed, not averaged.",
    "Would the loss of a batch twice as large be twice as large?",
)
def _(labels, logits):
    return tf.reduce_sum(_dense(_encoded(labels, logits), logits))


@fix_loss_family.chaff(
    "averaged-over-classes",
    "the mean goes over all N · C entries, not over N examples.",
    "Over which axes does `reduce_mean` go, if none is given?",
)
def _(labels, logits):
    return -tf.reduce_mean(_encoded(labels, logits) * tf.nn.log_softmax(logits))


@fix_loss_family.chaff(
    "binary-per-class",
    "every class is judged by itself: a sigmoid and binary cross-entropy, not a softmax.",
    "Do the probabilities of an example have to sum to 1?",
)
def _(labels, logits):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(_encoded(labels, logits), logits))


@fix_loss_family.chaff(
    "squared-error",
    "this is the squared error between logits and one-hot rows.",
    "Which loss does the exercise name?",
)
def _(labels, logits):
    return tf.reduce_mean((_encoded(labels, logits) - logits) ** 2)


@fix_loss_family.chaff(
    "no-tensor",
    "a Python number is returned: a tape can't go back through it.",
    "Which of your lines leaves TensorFlow?",
)
def _(labels, logits):
    return float(tf.reduce_mean(_dense(_encoded(labels, logits), logits)))


@fix_loss_family.chaff(
    "graph-cut",
    "the logits are turned into an array on the way: the tape loses them.",
    "Which of your lines leaves TensorFlow?",
)
def _(labels, logits):
    return tf.reduce_mean(_dense(_encoded(labels, logits), logits.numpy()))


# fix_static_loop


@fix_static_loop.refer
@as_in_a_graph
def static_loop_reference(x):
    return tf.while_loop(lambda x, n: x > 1, lambda x, n: (x / 2, n + 1), (x, tf.constant(0)))[1]


@fix_static_loop.wheat
def by_autograph(x):
    halvings = 0
    while x > 1:
        x = x / 2
        halvings = halvings + 1
    return halvings


@fix_static_loop.wheat
@tf.function
def decorated(x):
    halvings = tf.constant(0)
    while tf.math.greater(x, 1.0):
        x *= 0.5
        halvings += 1
    return halvings


@fix_static_loop.wheat
def in_the_graph_by_hand(x):
    return tf.while_loop(lambda x, n: x > 1, lambda x, n: [x / 2, n + 1], [x, 0])[1]


@fix_static_loop.wheat
def back_to_python(x):
    def count(x):
        halvings = 0
        while x > 1:
            x, halvings = x / 2, halvings + 1
        return np.int32(halvings)

    return tf.ensure_shape(tf.numpy_function(count, [x], tf.int32), [])


@fix_static_loop.wheat
def from_the_bits(x):
    bits = tf.bitcast(x, tf.int64)
    exponent = tf.bitwise.right_shift(bits, tf.constant(52, tf.int64)) - 1023
    odd = tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(2**52 - 1, tf.int64)) > 0, tf.int64)
    return tf.cast(tf.maximum(exponent + odd, 0), tf.int32)


@fix_static_loop.wheat
def powers_counted(x):
    return tf.math.count_nonzero(x > tf.pow(tf.constant(2.0, tf.float64), np.arange(1024.0)), dtype=tf.int32)


@fix_static_loop.wheat
def leaves_a_long_loop(x):
    halvings = 0
    for _ in tf.range(1100):
        if x <= 1:
            break
        x /= 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "unchanged",
    f"{UNCHANGED}: the number of rounds is a Python number, worked out for one example. The graph holds three "
    "halvings, whatever x is.",
    "`range` is Python's: it runs while the graph is made, once. Which loop must run for every x?",
)
def _(x):
    rounds = 3  # of an example: 5 must be halved three times
    n = tf.constant(0)
    for _ in range(rounds):  # written out `rounds` times while tracing
        x = x / 2
        n = n + 1
    return n


@fix_static_loop.chaff(
    "python-side-effect",
    "the rounds are counted by a Python list: in a graph, Python passes once through the body of the loop.",
    "How often does Python run the body of a loop that has become part of the graph?",
)
def _(x):
    halved = []
    while x > 1:
        x = x / 2
        halved.append(x)
    return tf.constant(len(halved))


@fix_static_loop.chaff(
    "fixed-number-of-rounds",
    "the graph holds ten rounds, unrolled by a loop of Python, and each asks whether x is still above 1.",
    "What is the answer for x = 2000?",
)
@as_in_a_graph
def _(x):
    halvings = 0
    for _ in range(10):
        if x > 1:
            x = x / 2
            halvings += 1
    return halvings


@fix_static_loop.chaff(
    "no-loop",
    "an `if` stands where a loop belongs: x is halved once at most.",
    "How often does an `if` run its body?",
)
@as_in_a_graph
def _(x):
    halvings = 0
    if x > 1:
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "one-too-many",
    "the loop goes on at exactly 1.",
    "For x = 2, how many halvings does it take to get to 1?",
)
@as_in_a_graph
def _(x):
    halvings = 0
    while x >= 1:
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "one-too-many",
    "the count starts at 1.",
    "For x = 0.5, how many halvings does it take?",
)
@as_in_a_graph
def _(x):
    halvings = 1
    while x > 1:
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "one-too-few",
    "the loop stops at 2.",
    "For x = 2, how many halvings does it take to get to 1?",
)
@as_in_a_graph
def _(x):
    halvings = 0
    while x > 2:
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "rounded-down",
    "the logarithm is rounded down: the last halving is missing.",
    "For x = 3, how many halvings does it take?",
)
@as_in_a_graph
def _(x):
    return tf.cast(tf.maximum(tf.floor(tf.math.log(x) / np.log(2.0)), 0), tf.int32)


@fix_static_loop.chaff(
    "rounded-to-the-nearest",
    "the logarithm is rounded to the nearest whole number.",
    "For x = 2.2, how many halvings does it take?",
)
@as_in_a_graph
def _(x):
    return tf.cast(tf.maximum(tf.round(tf.math.log(x) / np.log(2.0)), 0), tf.int32)


@fix_static_loop.chaff(
    "logarithm-rounded",
    "a logarithm is rounded to 16 digits: right above a large power of two it is that of the power itself.",
    "How many halvings does the number right above 1024 take, and what is its logarithm in float64?",
)
@as_in_a_graph
def _(x):
    halvings = tf.math.ceil(tf.math.log(x) / tf.math.log(tf.constant(2.0, tf.float64)))
    return tf.cast(tf.maximum(halvings, 0), tf.int32)


@fix_static_loop.chaff(
    "below-zero",
    "below 1, the logarithm counts backwards: the answer is negative.",
    "For x = 0.1, how many halvings does it take?",
)
@as_in_a_graph
def _(x):
    return tf.cast(tf.math.ceil(tf.math.log(x) / np.log(2.0)), tf.int32)


@fix_static_loop.chaff(
    "other-logarithm",
    "this is the natural logarithm, not that to base 2.",
    "By which number is x divided in each round?",
)
@as_in_a_graph
def _(x):
    return tf.cast(tf.maximum(tf.math.ceil(tf.math.log(x)), 0), tf.int32)


@fix_static_loop.chaff(
    "numpy-in-a-graph",
    "NumPy is asked to compute with a tensor in a graph, which has no value yet.",
    "When does your Python run: for every x, or while the graph is made?",
)
def _(x):
    return tf.constant(int(np.ceil(np.log2(x))))


@fix_static_loop.chaff(
    "value-of-a-graph",
    "`.numpy()` is asked of a tensor in a graph, which has no value yet.",
    "When does your Python run: for every x, or while the graph is made?",
)
def _(x):
    value, halvings = x.numpy(), 0
    while value > 1:
        value, halvings = value / 2, halvings + 1
    return tf.constant(halvings)


@fix_static_loop.chaff(
    "math-in-a-graph",
    "Python's `math` is asked to compute with a tensor in a graph, which has no value yet.",
    "When does your Python run: for every x, or while the graph is made?",
)
def _(x):
    import math

    return tf.constant(max(math.ceil(math.log2(x)), 0))


@fix_static_loop.chaff(
    "constant-of-a-tensor",
    "`tf.constant` is asked to make a constant of a tensor; in a graph it takes numbers of Python and NumPy only.",
    "What is the count after the loop: a number of Python, or a tensor already?",
)
def _(x):
    halvings = 0
    while x > 1:
        x = x / 2
        halvings = halvings + 1
    return tf.constant(halvings)


@fix_static_loop.chaff(
    "while-true",
    "`while True` is a loop of Python, and no tensor can end it while the graph is made.",
    "What has to stand behind `while`, so that the loop becomes one of the graph?",
)
def _(x):
    halvings = 0
    while True:
        if x <= 1:
            break
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "return-inside-the-loop",
    "a `return` stands in a branch that a tensor decides on, and not in the other one.",
    "Can the loop end by its condition, with one `return` behind it?",
)
def _(x):
    halvings = 0
    while True:
        if x <= 1:
            return halvings
        x = x / 2
        halvings += 1


@fix_static_loop.chaff(
    "autograph-off",
    "with `autograph=False`, `while` is Python's, and Python can't ask a tensor in a graph whether it is above 1.",
    "Who turns a `while` of Python into a loop of the graph?",
)
@tf.function(autograph=False)
def _(x):
    halvings = 0
    while x > 1:
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "variable-made-inside",
    "a `tf.Variable` is made in the function: a graph may make one only the first time it is run.",
    "Must the count outlive the call? Then what may it be, if no variable?",
)
def _(x):
    halvings = tf.Variable(0)
    while x > 1:
        x = x / 2
        halvings.assign_add(1)
    return halvings.read_value()


@fix_static_loop.chaff(
    "types-change",
    "x is an integer before the first round and a float after it; a loop of the graph keeps its types.",
    "What does `/` make of an integer? And what was x when it came in?",
)
def _(x):
    x, halvings = tf.cast(x, tf.int32), 0
    while x > 1:
        x = x / 2
        halvings += 1
    return halvings


@fix_static_loop.chaff(
    "unset-before-the-loop",
    "the count has no value before the loop; a loop of the graph must know it, even if it runs no round.",
    "For x = 0.5 the body never runs. What is returned then?",
)
def _(x):
    while x > 1:
        x = x / 2
        halvings = halvings + 1  # noqa: F821
    return halvings


@fix_static_loop.chaff(
    "wrong-dtype",
    "what is left of x is returned, not the count.",
    "How many halvings: is that a whole number?",
)
def _(x):
    while x > 1:
        x = x / 2
    return x


@fix_static_loop.chaff(
    "endless",
    "x is never changed in the loop.",
    "Which of the loop's variables does the condition look at, and does the body change it?",
)
def _(x):
    halvings = 0
    while x > 1:
        half = x / 2  # noqa: F841
        halvings += 1
    return halvings
