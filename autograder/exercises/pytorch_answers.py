"""Right and wrong answers to the exercises of chapter 9. Importing this module imports PyTorch."""

import numpy as np
import torch
import torch.nn.functional as F

from autograder.exercises.pytorch import LogSumExp, torch_grads, torch_train_step

# torch_grads


def _leaves(params, dtype=torch.float64):
    return {name: torch.tensor(a, dtype=dtype, requires_grad=True) for name, a in params.items()}


def _logits(leaves, X, activation=torch.relu):
    return activation(torch.tensor(X) @ leaves["W1"] + leaves["b1"]) @ leaves["W2"] + leaves["b2"]


def _grads(leaves):
    return {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@torch_grads.refer
def torch_grads_reference(params, X, y):
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}
    A1 = torch.relu(torch.tensor(X) @ leaves["W1"] + leaves["b1"])
    loss = F.cross_entropy(A1 @ leaves["W2"] + leaves["b2"], torch.tensor(y))
    loss.backward()
    return {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@torch_grads.wheat
def by_autograd_grad(params, X, y):
    names, arrays = zip(*params.items(), strict=True)
    leaves = [torch.from_numpy(a).requires_grad_() for a in arrays]
    by_name = dict(zip(names, leaves, strict=True))
    loss = F.cross_entropy(_logits(by_name, X), torch.from_numpy(y))
    return {name: g.numpy() for name, g in zip(names, torch.autograd.grad(loss, leaves), strict=True)}


@torch_grads.wheat
def in_single_precision(params, X, y):
    leaves = _leaves(params, torch.float32)
    A1 = torch.relu(torch.tensor(X, dtype=torch.float32) @ leaves["W1"] + leaves["b1"])
    F.cross_entropy(A1 @ leaves["W2"] + leaves["b2"], torch.tensor(y)).backward()
    return _grads(leaves)


@torch_grads.wheat
def with_modules(params, X, y):
    (D, H), C = params["W1"].shape, len(params["b2"])
    model = torch.nn.Sequential(torch.nn.Linear(D, H), torch.nn.ReLU(), torch.nn.Linear(H, C)).double()
    with torch.no_grad():
        for layer, k in ((model[0], 1), (model[2], 2)):
            layer.weight.copy_(torch.tensor(params[f"W{k}"].T.copy()))
            layer.bias.copy_(torch.tensor(params[f"b{k}"]))
    torch.nn.CrossEntropyLoss()(model(torch.tensor(X)), torch.tensor(y)).backward()
    return {
        "W1": model[0].weight.grad.numpy().T,
        "b1": model[0].bias.grad.numpy(),
        "W2": model[2].weight.grad.numpy().T,
        "b2": model[2].bias.grad.numpy(),
    }


@torch_grads.wheat
def loss_written_out(params, X, y):
    leaves = _leaves(params)
    Z = _logits(leaves, X)
    (torch.logsumexp(Z, 1) - Z[torch.arange(len(y)), torch.tensor(y)]).mean().backward()
    return _grads(leaves)


@torch_grads.wheat
def onehot_targets(params, X, y):
    leaves = _leaves(params)
    targets = F.one_hot(torch.tensor(y), len(params["b2"])).double()
    F.cross_entropy(_logits(leaves, X), targets).backward()
    return _grads(leaves)


@torch_grads.wheat
def by_torch_func(params, X, y):
    def loss(tensors):
        return F.nll_loss(F.log_softmax(_logits(tensors, X), dim=1), torch.tensor(y))

    grads = torch.func.grad(loss)({name: torch.tensor(a) for name, a in params.items()})
    return {name: g.numpy() for name, g in grads.items()}


def _chaff_grads(loss=lambda Z, y: F.cross_entropy(Z, y), logits=_logits, times=1):
    def answer(params, X, y):
        leaves = _leaves(params)
        value = loss(logits(leaves, X), torch.tensor(y))
        for _ in range(times):
            value.backward(retain_graph=True)
        return _grads(leaves)

    return answer


def _hidden(change):
    def logits(leaves, X):
        A1 = torch.relu(torch.tensor(X) @ leaves["W1"] + leaves["b1"])
        return change(A1) @ leaves["W2"] + leaves["b2"]

    return logits


def _onehot(Z, y):
    return F.one_hot(y, Z.shape[1]).to(Z.dtype)


for _cause, _misconception, _hint, _answer, *_tells in (
    ("softmax-twice", "a softmax stands before `cross_entropy`, which takes one itself.",
     "What does the documentation of `cross_entropy` call its first argument: probabilities or logits?",
     _chaff_grads(lambda Z, y: F.cross_entropy(Z.softmax(1), y))),
    ("log-softmax-missing", "`nll_loss` got the logits; it expects logarithms of probabilities.",
     "What do the letters nll stand for, and of what is the logarithm taken?",
     _chaff_grads(lambda Z, y: F.nll_loss(Z, y))),
    ("nll-of-probabilities", "`nll_loss` got probabilities; it expects their logarithms.",
     "`nll_loss` takes no logarithm itself, in spite of its name. Who does?",
     _chaff_grads(lambda Z, y: F.nll_loss(Z.softmax(1), y))),
    ("summed-over-batch", "the loss is summed over the examples, not averaged.",
     "By what must a sum over N examples be divided, for a mean? See `reduction`.",
     _chaff_grads(lambda Z, y: F.cross_entropy(Z, y, reduction="sum"))),
    ("averaged-twice", "the loss is a mean already, and is divided by N once more.",
     "What does `reduction` stand at, if it is not given?",
     _chaff_grads(lambda Z, y: F.cross_entropy(Z, y) / len(y))),
    ("averaged-over-classes", "the loss is averaged over all N · C entries of the logits, not over N examples.",
     "How many terms has the sum for one example, and by what is it divided?",
     _chaff_grads(lambda Z, y: -(_onehot(Z, y) * Z.log_softmax(1)).mean())),
    ("softmax-over-the-batch", "the softmax runs over the examples, not over the classes.",
     "Which axis must sum to 1? `dim` names the axis that is collected.",
     _chaff_grads(lambda Z, y: F.nll_loss(Z.log_softmax(0), y))),
    ("backward-twice", "`backward` ran twice, and `.grad` adds up.",
     "How often is `backward` called in your code, and who empties `.grad`?",
     _chaff_grads(times=2)),
    ("mse-for-labels", "this is the slope of the squared error of the probabilities, not of the cross-entropy.",
     "Which loss does the exercise name?",
     _chaff_grads(lambda Z, y: F.mse_loss(Z.softmax(1), _onehot(Z, y)))),
    ("mse-on-logits", "this is the slope of the squared error between logits and one-hot labels.",
     "Which loss does the exercise name?",
     _chaff_grads(lambda Z, y: F.mse_loss(Z, _onehot(Z, y)))),
    ("binary-per-class", "every class is judged by itself: a sigmoid and binary cross-entropy, not a softmax.",
     "Do the probabilities of an example have to sum to 1?",
     _chaff_grads(lambda Z, y: F.binary_cross_entropy_with_logits(Z, _onehot(Z, y)))),
    ("relu-missing", "there is no ReLU between the two layers.",
     "Write the forward pass as a chain: what stands between the two products?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, lambda Z: Z))),
    ("tanh-for-relu", "`tanh` stands where ReLU belongs.", "Which activation does chapter 6 have?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, torch.tanh))),
    ("sigmoid-for-relu", "`sigmoid` stands where ReLU belongs.", "Which activation does chapter 6 have?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, torch.sigmoid))),
    ("relu-at-the-end", "the logits go through ReLU, too.", "May a logit be negative?",
     _chaff_grads(logits=lambda t, X: torch.relu(_logits(t, X)))),
    ("dropout-in-between", "a dropout is active: every call gives other gradients.",
     "Is there anything random in the network of chapter 6?",
     _chaff_grads(logits=_hidden(lambda A: F.dropout(A, 0.5)))),
    ("hidden-detached", "the graph is cut at the hidden layer (`detach`, `.data`, `.numpy()`, `torch.tensor(…)`), "
     "so nothing goes back to `W1` and `b1`.",
     "Print `A1.grad_fn`. What must stand there for the way back to exist?",
     _chaff_grads(logits=_hidden(lambda A: A.detach())), ("detach", "data", "tolist", "no_grad")),
    ("requires-grad-missing", "no parameter has `requires_grad=True`, so no graph is recorded.",
     "Who tells PyTorch which tensors you want gradients for?",
     lambda params, X, y: F.cross_entropy(_logits({k: torch.tensor(a) for k, a in params.items()}, X),
                                          torch.tensor(y)).backward()),
):  # fmt: skip
    torch_grads.chaff(_cause, _misconception, _hint, *_tells)(_answer)


@torch_grads.chaff(
    "item-before-backward",
    "`backward` is called on a number: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def item_before_backward(params, X, y):
    leaves = _leaves(params)
    F.cross_entropy(_logits(leaves, X), torch.tensor(y)).item().backward()
    return _grads(leaves)


@torch_grads.chaff(
    "under-no-grad",
    "the forward pass runs under `no_grad`: it is computed, and nothing is recorded.",
    "What is `no_grad` for: the forward pass, or the update?",
)
def under_no_grad(params, X, y):
    leaves = _leaves(params)
    with torch.no_grad():
        loss = F.cross_entropy(_logits(leaves, X), torch.tensor(y))
    loss.backward()
    return _grads(leaves)


@torch_grads.chaff(
    "parameters-returned",
    "the parameters themselves are returned, not their gradients.",
    "Which attribute of a leaf does `backward` fill?",
)
def parameters_returned(params, X, y):
    leaves = _leaves(params)
    F.cross_entropy(_logits(leaves, X), torch.tensor(y)).backward()
    return {name: leaf.detach().numpy() for name, leaf in leaves.items()}


@torch_grads.chaff(
    "not-a-leaf",
    "what was made from a leaf (by `.double()`, `.float()`, `* 1`, `.T`) is a tensor of its own: `backward` fills the "
    "`.grad` of the leaf, not of that.",
    "Print `tensor.is_leaf` for each parameter.",
)
def not_a_leaf(params, X, y):
    leaves = {name: torch.tensor(a, requires_grad=True) * 1 for name, a in params.items()}
    F.cross_entropy(_logits(leaves, X), torch.tensor(y)).backward()
    return _grads(leaves)


# torch_train_step


@torch_train_step.refer
def torch_train_step_reference(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.wheat
def zeroed_just_before_backward(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return float(loss)


@torch_train_step.wheat
def zeroed_by_the_model(model, optimizer, loss_fn, X, y):
    model.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.detach().numpy().item()


@torch_train_step.wheat
def with_a_closure(model, optimizer, loss_fn, X, y):
    def closure():
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        return loss

    return optimizer.step(closure).item()


@torch_train_step.wheat
def gradients_asked_for_and_put(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    params = list(model.parameters())
    for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
        p.grad = g
    optimizer.step()
    return loss.item()


@torch_train_step.wheat
def zeroed_before_and_after(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model.forward(X), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.tolist()


@torch_train_step.wheat
def grad_set_to_none_by_hand(model, optimizer, loss_fn, X, y):
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = None
    model.train()
    prediction = model(X)
    loss = loss_fn(prediction, y)
    loss.backward()
    optimizer.step()
    return float(loss.item())


@torch_train_step.chaff(
    "zero-grad-missing",
    "nothing empties `.grad`: the gradients of this batch are added to those of earlier ones.",
    "What does `.grad` hold before your `backward`?",
)
def zero_grad_missing(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "zero-grad-at-the-end",
    "`zero_grad` comes after the step only: whatever somebody left in `.grad` before the first one is still there.",
    "May you trust that `.grad` is empty when your function is called?",
)
def zero_grad_at_the_end(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@torch_train_step.chaff(
    "zeroed-after-backward",
    "`zero_grad` stands between `backward` and `step`: it throws away what `backward` has just found.",
    "Follow `.grad` through your lines: what does it hold when `step` reads it?",
)
def zeroed_after_backward(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "step-before-backward",
    "`step` comes before `backward`: it moves by the gradients of the call before.",
    "What does `step` need, and which line brings it?",
)
def step_before_backward(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@torch_train_step.chaff(
    "step-missing", "the gradients are computed, and nobody takes the step.", "Do the weights move?"
)
def step_missing(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    return loss.item()


@torch_train_step.chaff(
    "backward-missing", "nothing calls `backward`, so `step` has no gradients.", "Who fills `.grad`?"
)
def backward_missing(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "loss-after-the-step",
    "the loss is computed again after the step, so another one is returned than the one that was differentiated.",
    "Which loss belongs to the gradients of this step: the one before it or the one after it?",
)
def loss_after_the_step(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss_fn(model(X), y).backward()
    optimizer.step()
    return loss_fn(model(X), y).item()


@torch_train_step.chaff(
    "arguments-swapped", "`loss_fn` got the labels first.", "In which order does a loss want predictions and labels?"
)
def arguments_swapped(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(y, model(X))
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "softmax-before-the-loss",
    "a softmax stands before `loss_fn`; `CrossEntropyLoss` takes one itself.",
    "What does `CrossEntropyLoss` expect, probabilities or logits?",
)
def softmax_before_the_loss(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X).softmax(1), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "own-optimizer",
    "the step is taken by hand, and the optimizer's momentum is passed by.",
    "Who knows the learning rate, and everything else about the step?",
)
def own_optimizer(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= optimizer.param_groups[0]["lr"] * p.grad
    return loss.item()


@torch_train_step.chaff(
    "new-optimizer",
    "an optimizer is made anew in every call, and its momentum starts from nothing each time.",
    "Where does an optimizer keep what it remembers, and how long does yours live?",
)
def new_optimizer(model, optimizer, loss_fn, X, y):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "step-twice", "`step` is taken twice for one gradient.", "How often does `step` run in one call of yours?"
)
def step_twice(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "cut-by-no-grad",
    "the forward pass runs under `no_grad`: nothing is recorded for `backward`.",
    "What is `no_grad` for: the forward pass, or the update?",
)
def cut_by_no_grad(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    with torch.no_grad():
        loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "backward-of-a-number",
    "`backward` is called on a number: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def backward_of_a_number(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y).item()
    loss.backward()
    optimizer.step()
    return loss


# LogSumExp


class _Saved(torch.autograd.Function):
    """Right, and a base for answers that go wrong in one place."""

    @staticmethod
    def forward(ctx, X):
        Y = torch.logsumexp(X, -1)
        ctx.save_for_backward(X, Y)
        return Y

    @staticmethod
    def backward(ctx, dY):
        X, Y = ctx.saved_tensors
        return dY[..., None] * torch.exp(X - Y[..., None])


@LogSumExp.refer
class LogSumExpReference(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        top = X.max(dim=-1, keepdim=True).values
        Y = top[..., 0] + torch.log(torch.exp(X - top).sum(dim=-1))
        ctx.save_for_backward(X)
        return Y

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        return dY.unsqueeze(-1) * torch.softmax(X, dim=-1)


@LogSumExp.wheat
class ByTheSavedOutput(_Saved):
    pass


@LogSumExp.wheat
class WithAMultiplication(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.save_for_backward(X)
        return X.logsumexp(dim=-1)

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        return torch.einsum("...,...d->...d", dY, X.softmax(-1))


@LogSumExp.wheat
class WithSetupContext(torch.autograd.Function):
    @staticmethod
    def forward(X):
        return torch.logsumexp(X, dim=-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        E = torch.exp(X - X.max(-1, keepdim=True).values.detach())
        return dY.unsqueeze(-1) * E / E.sum(-1, keepdim=True)


@LogSumExp.wheat
class ByLogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.save_for_backward(X)
        return (X - X.log_softmax(-1)).mean(-1)

    @staticmethod
    def backward(ctx, *grads):
        return grads[0][..., None] * ctx.saved_tensors[0].log_softmax(-1).exp()


@LogSumExp.wheat
class ByLogaddexp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        total = X[..., 0].clone()
        for column in range(1, X.shape[-1]):
            total = torch.logaddexp(total, X[..., column])
        ctx.save_for_backward(X)
        return total

    @staticmethod
    def backward(ctx, upstream):
        (X,) = ctx.saved_tensors
        return torch.softmax(X, -1) * upstream.reshape(*upstream.shape, 1)


@LogSumExp.wheat
class WithDifferentiableInside(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.save_for_backward(X)
        return torch.log(torch.exp(X - X.amax(-1, True)).sum(-1)) + X.amax(-1)

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        shifted = X - X.amax(-1, keepdim=True)
        return (dY / shifted.exp().sum(-1)).unsqueeze(-1) * shifted.exp()


def _backward(change):
    """The function with another backward pass."""

    class Answer(_Saved):
        @staticmethod
        def backward(ctx, dY):
            return change(dY, *ctx.saved_tensors)

    return Answer


def _forward(change):
    class Answer(torch.autograd.Function):
        @staticmethod
        def forward(ctx, X):
            ctx.save_for_backward(X)
            return change(X)

        @staticmethod
        def backward(ctx, dY):
            (X,) = ctx.saved_tensors
            return dY[..., None] * X.softmax(-1)

    return Answer


for _cause, _misconception, _hint, _answer, *_tells in (
    ("upstream-ignored", "the upstream gradient is not used: this is the slope of the sum of the results.",
     "`backward` is handed something. What for?",
     _backward(lambda dY, X, Y: X.softmax(-1) + 0 * dY[..., None])),
    ("upstream-averaged", "one number, made of all upstream gradients, stands where each row has its own.",
     "Which rows of `X` does one entry of the result depend on?",
     _backward(lambda dY, X, Y: dY.mean() * X.softmax(-1))),
    ("softmax-over-the-first-axis", "the softmax runs over the first axis; the sum runs over the last.",
     "Which entries of `X` meet in one result?",
     _backward(lambda dY, X, Y: dY[..., None] * X.softmax(0))),
    ("exponentials-not-divided", "the exponentials are not divided by their sum.",
     "What is the derivative of log s in s?",
     _backward(lambda dY, X, Y: dY[..., None] * (X - X.amax(-1, keepdim=True)).exp())),
    ("log-softmax-for-softmax", "this is the logarithm of the softmax.",
     "Can the slope be negative, if an input that grows makes the result grow?",
     _backward(lambda dY, X, Y: dY[..., None] * X.log_softmax(-1))),
    ("cross-entropy-grad", "something is subtracted from the softmax, as if there were labels.",
     "Chapter 2 subtracts the one-hot label. Is there a label here?",
     _backward(lambda dY, X, Y: dY[..., None] * (X.softmax(-1) - (X.amax(-1, keepdim=True) == X).to(X.dtype)))),
    ("softmax-slope", "this is the slope of the softmax, p (1 − p), not of the log-sum-exp.",
     "Differentiate the logarithm first, then what is in it.",
     _backward(lambda dY, X, Y: dY[..., None] * X.softmax(-1) * (1 - X.softmax(-1)))),
    ("slope-of-the-maximum", "only the largest entry gets the upstream gradient, as if the function were the maximum.",
     "If a smaller entry grows a little, does the sum of the exponentials stay as it is?",
     _backward(lambda dY, X, Y: dY[..., None] * (Y[..., None].floor() == X).to(X.dtype)
               + dY[..., None] * F.one_hot(X.argmax(-1), X.shape[-1]).to(X.dtype))),
    ("detached-in-backward", "the backward pass computes with detached tensors (`detach`, `.data`, `no_grad`), so it "
     "cannot be differentiated once more.",
     "`gradgradcheck` differentiates your `backward`. Which line of it is not recorded?",
     _backward(lambda dY, X, Y: dY[..., None] * X.detach().softmax(-1))),
    ("mean-for-sum", "the exponentials are averaged, not summed: the result is too small by log D.",
     "What does the S in LSE stand for?",
     _forward(lambda X: X.logsumexp(-1) - np.log(X.shape[-1]))),
    ("shift-not-added", "the largest entry is subtracted before, and not added again after.",
     "Put in one row of equal numbers, say 3, 3: what must come out?",
     _forward(lambda X: (X - X.amax(-1, keepdim=True)).exp().sum(-1).log())),
    ("overflows", "`exp` of a large entry overflows: the largest one has to be subtracted before.",
     "What is e to the 1000th, and how did chapter 2 avoid it?",
     _forward(lambda X: X.exp().sum(-1).log())),
    ("keepdim-left", "the last axis is still there, with length 1.",
     "What shape has a sum over the last axis of `(N, D)`?",
     _forward(lambda X: X.logsumexp(-1, keepdim=True))),
    ("axis-0", "the sum runs over the first axis.", "Which axis is the last one?",
     _forward(lambda X: X.logsumexp(0))),
    ("all-axes", "the sum runs over all entries.", "How many results has a batch of N rows?",
     _forward(lambda X: X.flatten().logsumexp(0))),
):  # fmt: skip
    LogSumExp.chaff(_cause, _misconception, _hint, *_tells)(_answer)
