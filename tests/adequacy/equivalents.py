"""Mutants of the references that are no mistakes: each entry says why such a variant is right as well."""

import re
from dataclasses import dataclass
from functools import cache

from autograder.checking.mutants import Mutant


@dataclass(frozen=True)
class Equivalent:
    """Mutants that answer as the reference does, all for one reason.

    Attributes
    ----------
    exercises : names, separated by spaces; ``…`` for every exercise whose reference has such a line.
    operator : slug of the operator; ``…`` for any.
    texts : the mutated lines, or the words of the mutants; ``…`` in them stands for anything.
    reason : why they are right as well. It is on the book's page, and must not give a solution away.
    """

    exercises: str
    operator: str
    texts: tuple[str, ...]
    reason: str

    def covers(self, exercise: str, mutant: Mutant) -> str | None:
        """Which of the texts covers a mutant, if any."""
        if self.exercises != "…" and exercise not in self.exercises.split():
            return None
        if self.operator not in ("…", mutant.operator):
            return None
        return next(
            (text for text in self.texts if any(map(_pattern(text).fullmatch, (mutant.line, mutant.words)))), None
        )


@cache
def _pattern(text: str) -> re.Pattern:
    return re.compile(".*".join(map(re.escape, text.split("…"))), re.DOTALL)


def entry_for(exercise: str, mutant: Mutant) -> Equivalent | None:
    """The first entry that covers a mutant."""
    return next((entry for entry in EQUIVALENTS if entry.covers(exercise, mutant)), None)


_BY_MLP_GRADS = "mlp_grads train_epoch fix_network_4"

EQUIVALENTS: list[Equivalent] = [
    Equivalent(
        "…",
        "name-swapped",
        (
            "return 2 * (Y_hat - Y) / Y.size",
            "d = 2 * (X @ w + b - y) / len(X)",
            "return float(-np.mean(log_softmax(Z)[np.arange(len(Z)), y]))",
            "dZ[np.arange(len(Z)), y] -= 1",
            "dZ[np.arange(len(dZ)), y] -= 1",
            "dZ /= len(Z)",
            "dZ /= len(dZ)",
            "return (softmax(Z) - T) / len(T)",
            "return (sigmoid(z) - t) / len(t)",
            "for batch in minibatches(len(y), batch_size, rng):",
        ),
        "Both arrays have one entry, or row, for each example.",
    ),
    Equivalent(
        "max_learning_rate",
        "times-for-over",
        ("H = X @ (2 / len(X) * X.T)",),
        "Both products of a matrix with its transpose have the same largest eigenvalue.",
    ),
    Equivalent(
        "relu_backward two_layer_grads local_grads",
        "comparison-turned",
        ("return dA * (Z >= 0)", "return (1.0 if a >= 0 else 0.0,)"),
        "Exactly at the kink any slope from 0 to 1 is right.",
    ),
    Equivalent(
        "bce_with_logits_grad",
        "comparison-turned",
        ("return np.where(z > 0, 1, e) / (1 + e)",),
        "At 0 both branches of the sigmoid give ½.",
    ),
    Equivalent(
        "two_layer_grads",
        "name-swapped",
        ("dZ1 = relu_backward(dA1, A1)",),
        "The output of a ReLU is positive exactly where its input is.",
    ),
    Equivalent(
        "central_difference complex_step gradcheck",
        "…",
        (
            "grad = np.ones(x.shape)",
            "grad = np.zeros(nudged.shape)",
            "for i in np.ndindex(nudged.shape):",
            "for i in np.ndindex(grad.shape):",
            "nudged[i] = nudged[i] + …",
        ),
        "The copy of x is x again before every nudge, and every entry of the gradient is overwritten.",
    ),
    Equivalent(
        "gradcheck",
        "…",
        ("error, size = …", "rounding = …", "return bool(…"),
        "How much an entry may be off is one's own choice, if only it tells right gradients from wrong ones.",
    ),
    Equivalent(
        "gradcheck",
        "name-swapped",
        ("if claimed.shape != x.shape:",),
        "What was measured has the shape of x.",
    ),
    Equivalent(
        "gradcheck",
        "…",
        (
            "the case of an if is not treated, in the condition",
            "if x.shape != measured.shape:",
            "if measured.shape != measured.shape:",
            "if claimed.shape != claimed.shape:",
        ),
        "A gradient of another shape has other values as well, once both are spread over the larger shape: the test of "
        "the shape only says so sooner.",
    ),
    Equivalent(
        "gradcheck",
        "call-left-out",
        ("return np.max(error) …",),
        "NumPy's True is as good as Python's.",
    ),
    Equivalent(
        "topological_order backward",
        "…",
        ("seen = {root}", "seen = {id(order)}"),
        "In a graph without cycles nothing leads back to the root.",
    ),
    Equivalent(
        "topological_order backward",
        "…",
        (
            "stack = [(root, root.parents)]",
            "stack.append((parent, parent.parents))",
            "the loop ends after its first round, in the loop's head…",
        ),
        "The loop over parents is taken up again, here or from the start, and those that were seen are passed over.",
    ),
    Equivalent(
        "local_grads",
        "…",
        ("return (b * a ** (b - 1), a ** b * math.log(a)…",),
        "They differ for powers of 0 or of negative numbers, whose slope in the exponent no case asks for.",
    ),
    Equivalent(
        "local_grads",
        "outputs-swapped",
        ("return (1.0, 1.0)",),
        "Both slopes of a sum are the same.",
    ),
    Equivalent(
        "batchnorm_forward",
        "name-swapped",
        ("cache = …", "return (gamma * X_hat + beta, …)"),
        "What is kept for the backward pass is one's own choice.",
    ),
    Equivalent(
        "clip_by_global_norm",
        "comparison-turned",
        ("scale = max_norm / norm if norm >= max_norm else 1.0",),
        "Where both norms are equal, the factor is 1 either way.",
    ),
    Equivalent(
        "dropout_forward",
        "comparison-turned",
        ("mask = rng.random(X.shape) > p",),
        "A random number meets p exactly once in 2⁵³ draws.",
    ),
    Equivalent(
        "early_stop",
        "range-shortened",
        ("for epoch, loss in list(enumerate(losses))[1:]:",),
        "The first epoch is the best until another one is better.",
    ),
    Equivalent(
        "unbroadcast matmul_backward local_grads",
        "…",
        (
            "the case … is not treated, in the condition…",
            "if G.shape != G.shape:",
            "raise …",
        ),
        "They differ only in what is raised for arguments that the contract excludes.",
    ),
    Equivalent(
        "unbroadcast matmul_backward",
        "…",
        (
            "repeated = tuple((i for i, n in enumerate(shape) if n == 1 and G.shape[i] != 0))",
            "repeated = tuple((i for i, n in enumerate(shape) if n == 1))",
        ),
        "A sum over an axis of length 1 changes nothing.",
    ),
    Equivalent(
        _BY_MLP_GRADS,
        "name-swapped",
        ("if … is not inputs[0]:", "if A is not …[0]:"),
        "The condition only saves the work of a gradient that nobody asks for.",
    ),
    Equivalent(
        _BY_MLP_GRADS,
        "…",
        (
            "return (…, mlp_backward(params, inputs, dZ))",
            "loss = …",
            "return (float(…), P.T)",
        ),
        "They change the loss, which is computed on the way and not returned.",
    ),
    Equivalent(
        _BY_MLP_GRADS,
        "name-swapped",
        (
            "zeros = np.zeros(Z.shape, b.dtype)",
            "zeros = np.zeros(b.shape, ….dtype)",
            "N = len(Z)",
        ),
        "These arrays have one row for each example, or are as good as a row; their types are all double precision.",
    ),
    Equivalent(
        _BY_MLP_GRADS,
        "argument-left-out",
        ("inputs.append(np.maximum(Z, zeros))",),
        "The result is the same; only its memory is another.",
    ),
    Equivalent(
        _BY_MLP_GRADS,
        "call-left-out",
        ("S = Z.T",),
        "The logits are overwritten, which nobody needs any more.",
    ),
    Equivalent(
        "train_epoch",
        "…",
        ("…, in `cross_entropy_and_grad`",),
        "They differ at large logits only. How gradients are computed is not this exercise's "
        "matter; the variants of `mlp_grads` are all rejected.",
    ),
    # Chapters 9 to 13
    Equivalent(
        "torch_train_step fix_training_loop",
        "name-swapped",
        ("model.zero_grad()",),
        "The optimizer holds all parameters of the model.",
    ),
    Equivalent(
        "HuberLoss",
        "comparison-turned",
        ("return torch.where(e < self.delta, …",),
        "At the border both branches give the same loss and the same slope.",
    ),
    Equivalent(
        "fix_mse_sign",
        "name-swapped",
        ("return 2 / len(X) * X.T @ (X @ theta - y)",),
        "Both arrays have one entry, or row, for each example.",
    ),
    Equivalent(
        "fix_cross_entropy_slopes fix_theta_slope",
        "reduction-swapped",
        ("e = np.exp(z - z.min())", "e = np.exp(z - z.mean())"),
        "Any shift gives the same softmax, where no logit is so large that it matters; there the slope in q overflows.",
    ),
    Equivalent(
        "fix_optimizer_names",
        "…",
        (
            "if isinstance(member, type) and member and (name != 'Optimizer'):",
            "if isinstance(member, type) and name != 'Optimizer':",
            "for name, member in list(vars(torch.optim).items())[1:]:",
            "for name, member in list(vars(torch.optim).items())[:-1]:",
        ),
        "All classes in the module are optimizers, and neither its first nor its last name is one.",
    ),
    Equivalent(
        "fix_tape_loop",
        "argument-left-out",
        ("loss = loss_fn(y, model(X))",),
        "The models of the check do the same in training and in use.",
    ),
    Equivalent(
        "fix_static_loop",
        "statement-left-out",
        ("pass",),
        "What is left out is a note for the tests, not a part of the answer.",
    ),
    Equivalent(
        "max_gap",
        "name-swapped",
        (
            "raise ValueError(…",
            "pairs = [(a[key], b[key]) for key in b]",
            "if len(b) != len(b):",
            "if len(a) != len(a):",
            "return _gap(_numbers(b), _numbers(a))",
            "return float(np.max([max_gap(q, p) for p, q in pairs], initial=0.0))",
            "if q.shape != q.shape:",
            "if p.shape != p.shape:",
        ),
        "The gap is the same both ways, messages are free, and other lengths or shapes raise a line later.",
    ),
    Equivalent(
        "max_gap",
        "…",
        (
            "pass",
            "with np.errstate():",
            "scale = np.max(np.abs([p, q]))",
            "return float(np.max(np.abs(p - q)) / scale) if scale != 0 else 0.0",
            "leaf = …",
            "return np.asarray(leaf)",
            "if isinstance(leaf, Mapping | list | tuple):",
            "kind = …",
        ),
        "They differ in warnings, in the words of an error, or for tensors of another device or precision.",
    ),
    Equivalent(
        "log_sum_exp",
        "axis-swapped",
        ("return dY[..., None] * tf.nn.softmax(X)",),
        "The last axis is the one that TensorFlow's softmax takes unless told otherwise.",
    ),
    Equivalent(
        "ScaledDense",
        "argument-left-out",
        (
            "self.kernel = self.add_weight(shape=(input_shape[-1], self.units))",
            "self.bias = self.add_weight(shape=(self.units,), initializer='zeros')",
        ),
        "What a weight is called is free.",
    ),
    Equivalent(
        "MomentumOptimizer",
        "…",
        ("pass", "velocity.assign(self.momentum * velocity - tf.cast(learning_rate, ….dtype) * gradient)"),
        "An optimizer is built once; parameters, gradients and velocities are of one precision.",
    ),
    Equivalent(
        "Affine Conv2d",
        "other-function",
        (
            "self.weight = nn.Parameter(torch.ones(…",
            "self.bias = nn.Parameter(torch.ones(…",
        ),
        "The weights are drawn a line later, and where biases start is free.",
    ),
    Equivalent(
        "Conv2d",
        "name-swapped",
        ("return Y.view(len(patches), -1, rows, columns)", "return Y.view(len(Y), -1, rows, columns)"),
        "All three have one entry, or row, for each example.",
    ),
]
