"""Right and wrong answers to the exercises of chapter 11. Importing this module imports PyTorch."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

import backprop
from autograder.exercises.three_ways import max_gap, to_torch

# to_torch

to_torch.refer(backprop.to_torch)


@to_torch.wheat
def in_a_comprehension(params):
    names = "weight", "bias"
    return {f"{2 * i}.{names[k]}": torch.tensor(pair[k].T) for i, pair in enumerate(params) for k in (0, 1)}


@to_torch.wheat
def cloned(params):
    state, i = OrderedDict(), 0
    for W, b in params:
        state[str(i) + ".weight"] = torch.from_numpy(W).t().clone()
        state[str(i) + ".bias"] = torch.from_numpy(b).clone()
        i += 2
    return state


@to_torch.wheat
def biases_first(params):
    state = {f"{2 * i}.bias": torch.from_numpy(np.array(b)) for i, (_, b) in enumerate(params)}
    for i, (W, _) in enumerate(params):
        state[f"{2 * i}.weight"] = torch.from_numpy(np.array(W.T))
    return state


@to_torch.wheat
def as_parameters(params):
    state = {}
    for i, (W, b) in zip(range(0, 2 * len(params), 2), params, strict=True):
        state[f"{i}.weight"] = nn.Parameter(torch.tensor(W).T)
        state[f"{i}.bias"] = nn.Parameter(torch.tensor(b))
    return state


@to_torch.wheat
def from_lists(params):
    names = {np.dtype("float64"): torch.float64, np.dtype("float32"): torch.float32}
    state = {}
    for i, (W, b) in enumerate(params):
        state[f"{2 * i}.weight"] = torch.tensor(W.T.tolist(), dtype=names[W.dtype])
        state[f"{2 * i}.bias"] = torch.tensor(b.tolist(), dtype=names[b.dtype])
    return state


@to_torch.wheat
def by_way_of_a_model(params):
    layers = []
    for W, b in params:
        layer = nn.Linear(*W.shape, dtype=torch.from_numpy(W).dtype)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(W).T)
            layer.bias.copy_(torch.from_numpy(b))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).state_dict()


@to_torch.wheat
def with_einsum(params):
    state = {}
    for i, (W, b) in enumerate(params):
        state[f"{2 * i}.weight"] = torch.einsum("dm->md", torch.tensor(W)).contiguous()
        state[f"{2 * i}.bias"] = torch.as_tensor(b.copy())
    return state


def _state(weight=lambda W: torch.tensor(W.T), bias=lambda b: torch.tensor(b), key="{}.{}", number=lambda i: 2 * i,
           names=("weight", "bias")):  # fmt: skip
    def answer(params):
        state = {}
        for i, (W, b) in enumerate(params):
            state[key.format(number(i), names[0])] = weight(W)
            state[key.format(number(i), names[1])] = bias(b)
        return state

    return answer


for _cause, _text, _hint, _function in (
    ("not-transposed", "the weights are handed over as they are; `nn.Linear` stores them the other way round.",
     "What is the shape of `nn.Linear(3, 4).weight`?", _state(weight=torch.tensor)),
    ("reshaped", "the weights have the right shape, and their entries are in the order that they had: a reshape moves "
     "no number.", "Where does the entry in row 0, column 1 have to go, and where does it go?",
     _state(weight=lambda W: torch.tensor(W.reshape(W.shape[::-1])))),
    ("relu-not-counted", "the layers are counted 0, 1, 2; the ReLUs between them have numbers, too.",
     "Which places in the `nn.Sequential` do the ReLUs take?", _state(number=lambda i: i)),
    ("counted-otherwise", "the modules are counted from 1.", "With which number does Python begin to count?",
     _state(number=lambda i: 2 * i + 1)),
    ("other-names", "the tensors have our names for them, not those of `nn.Linear`.",
     "What does `nn.Linear` call its two tensors?", _state(names=("W", "b"))),
    ("another-modules-names", "the keys are those of a module of one's own; a plain `nn.Sequential` has numbers only.",
     "Print the keys of `nn.Sequential(nn.Linear(3, 4)).state_dict()`.", _state(key="fc{}.{}")),
    ("no-tensor", "the arrays themselves stand in the state.", "`load_state_dict` wants tensors. What makes one?",
     _state(weight=lambda W: W.T.copy(), bias=np.copy)),
    ("dtype-changed", "everything is made float32.",
     "Which dtype does `torch.tensor(…)` make of a float64 array, if nothing else is said?",
     _state(weight=lambda W: torch.tensor(W.T, dtype=torch.float32), bias=lambda b: torch.tensor(b).float())),
    ("dtype-changed", "`torch.Tensor` makes float32 of everything, and shares the memory of what is float32 already.",
     "What does `torch.tensor(…)`, with a small t, do?",
     _state(weight=lambda W: torch.Tensor(W.T), bias=lambda b: torch.Tensor(b))),
    ("dtype-changed", "everything is made float64.", "What does a float32 model do with float64 weights?",
     _state(weight=lambda W: torch.tensor(W.T, dtype=torch.float64), bias=lambda b: torch.tensor(b).double())),
    ("shared-memory", "`from_numpy` makes a tensor of the same memory: training the one changes the other.",
     "Which function copies: `torch.tensor` or `torch.from_numpy`?",
     _state(weight=lambda W: torch.from_numpy(W).T, bias=torch.from_numpy)),
    ("shared-memory", "the weights are copied, the biases are not.",
     "Which function copies: `torch.tensor` or `torch.from_numpy`?", _state(bias=torch.from_numpy)),
    ("weight-and-bias-swapped", "the weights stand under `bias`, and the biases under `weight`.",
     "Which of the two has two axes: what you store under `weight`, or under `bias`?",
     lambda params: {f"{2 * i}.{name}": torch.tensor(p.T) for i, pair in enumerate(params)
                     for name, p in zip(("bias", "weight"), pair, strict=True)}),
    ("weight-and-bias-swapped", "the weights stand under `bias`, and the biases under `weight`; besides, the weights "
     "are not transposed.", "Which of the two has two axes: what you store under `weight`, or under `bias`?",
     lambda params: {f"{2 * i}.{name}": torch.tensor(p) for i, pair in enumerate(params)
                     for name, p in zip(("bias", "weight"), pair, strict=True)}),
    ("bias-as-row", "the biases have become rows, of shape (1, M).", "What is the shape of `nn.Linear(3, 4).bias`?",
     _state(bias=lambda b: torch.tensor(b[None]))),
    ("biases-zero", "the biases are zeros, as in a new layer.", "Where do the numbers of `b` go?",
     _state(bias=lambda b: torch.zeros_like(torch.tensor(b)))),
    ("biases-missing", "the biases are left out.", "How many tensors has a linear layer?",
     lambda params: {f"{2 * i}.weight": torch.tensor(W.T) for i, (W, _) in enumerate(params)}),
    ("layers-missing", "the last layer is left out.", "Over what does your loop run?",
     lambda params: backprop.to_torch(params[:-1])),
    ("last-layer-first", "the layers are numbered from the last one to the first.",
     "In which order does data pass through a Sequential?", lambda params: backprop.to_torch(params[::-1])),
    ("no-dict", "this is a list of tensors; a state_dict has names.", "Of which type is `model.state_dict()`?",
     lambda params: [*backprop.to_torch(params).values()]),
    ("no-dict", "these are pairs of tensors, as ours are pairs of arrays; a state_dict has names.",
     "Of which type is `model.state_dict()`?",
     lambda params: [(torch.tensor(W.T), torch.tensor(b)) for W, b in params]),
    ("keys-not-strings", "the keys are pairs of a number and a name.",
     "Print the keys of `nn.Sequential(nn.Linear(3, 4)).state_dict()`.",
     lambda params: {(2 * i, name): torch.tensor(p.T) for i, pair in enumerate(params)
                     for name, p in zip(("weight", "bias"), pair, strict=True)}),
):  # fmt: skip
    to_torch.chaff(_cause, _text, _hint)(_function)


@to_torch.chaff(
    "layers-missing",
    "the function returns in the first round of its loop.",
    "How far is the `return` indented?",
)
def returns_in_the_loop(params):
    state = {}
    for i, (W, b) in enumerate(params):
        state[f"{2 * i}.weight"], state[f"{2 * i}.bias"] = torch.tensor(W.T), torch.tensor(b)
        return state


@to_torch.chaff(
    "module-returned",
    "the model is returned, not its state.",
    "Of a module, which method gives its tensors by name?",
)
def the_model(params):
    layers = []
    for W, _ in params:
        layers += [nn.Linear(*W.shape), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# max_gap

max_gap.refer(backprop.max_gap)


def _array(leaf):
    return np.asarray(leaf.detach() if isinstance(leaf, torch.Tensor) else leaf)


def _checked(p, q):
    if p.shape != q.shape:
        raise ValueError("shapes differ")


@max_gap.wheat
def flattened_first(a, b):
    def leaves(x, path=()):
        if isinstance(x, dict):
            return [leaf for key in sorted(x) for leaf in leaves(x[key], (*path, "dict", key))]
        if isinstance(x, list | tuple):
            return [leaf for i, item in enumerate(x) for leaf in leaves(item, (*path, "list", i))]
        return [(path, _array(x))]

    ours, theirs = leaves(a), leaves(b)
    if [path for path, _ in ours] != [path for path, _ in theirs]:
        raise ValueError("structures differ")
    worst = 0.0
    for (_, p), (_, q) in zip(ours, theirs, strict=True):
        _checked(p, q)
        largest = max(np.abs(p).max(), np.abs(q).max())
        difference = np.abs(p - q).max()
        gap = difference / largest if largest > 0 else difference
        if np.isnan(gap):
            return float("nan")
        worst = max(worst, gap)
    return worst


@max_gap.wheat
def infinite_for_nan(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        if set(a) != set(b):
            raise ValueError(f"keys {set(a) ^ set(b)}")
        return max((infinite_for_nan(a[k], b[k]) for k in a), default=0.0)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return max((infinite_for_nan(p, q) for p, q in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, dict | list | tuple) or isinstance(b, dict | list | tuple):
        raise ValueError("structures differ")
    p, q = _array(a), _array(b)
    _checked(p, q)
    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        return np.inf
    if not (p.any() or q.any()):
        return 0.0
    return float(np.linalg.norm(np.ravel(p - q), np.inf) / max(np.abs(p).max(), np.abs(q).max()))


@max_gap.wheat
def in_torch(a, b):
    match a, b:
        case dict(), dict():
            if a.keys() - b.keys() or b.keys() - a.keys():
                raise ValueError
            gaps = [in_torch(a[key], b[key]) for key in a]
        case [*ours], [*theirs]:
            if len(ours) != len(theirs):
                raise ValueError
            gaps = [in_torch(p, q) for p, q in zip(ours, theirs, strict=True)]
        case (dict() | [*_], _) | (_, dict() | [*_]):
            raise ValueError
        case _:
            p, q = torch.tensor(_array(a)), torch.tensor(_array(b))
            if p.shape != q.shape:
                raise ValueError
            scale = torch.stack([p.abs().max(), q.abs().max()]).max()
            return 0.0 if scale == 0 else ((p - q).abs().max() / scale).item()
    return torch.tensor([0.0, *gaps], dtype=torch.float64).max().item()


@max_gap.wheat
def entry_by_entry(a, b):
    if hasattr(a, "keys") and hasattr(b, "keys"):
        if sorted(a) != sorted(b):
            raise ValueError("other keys")
        a, b = [a[k] for k in sorted(a)], [b[k] for k in sorted(b)]
    if isinstance(a, list | tuple) != isinstance(b, list | tuple) or isinstance(a, dict) != isinstance(b, dict):
        raise ValueError("other structures")
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            raise ValueError("other lengths")
        gaps = [entry_by_entry(a[i], b[i]) for i in range(len(a))]
        return np.max(gaps) if gaps else 0.0
    p, q = _array(a), _array(b)
    _checked(p, q)
    worst, scale = 0.0, 0.0
    for index in np.ndindex(p.shape):
        if not abs(p[index]) + abs(q[index]) < np.inf:
            return np.nan
        worst = max(worst, abs(p[index] - q[index]))
        scale = max(scale, abs(p[index]), abs(q[index]))
    return worst / scale if scale else 0.0


@max_gap.wheat
def with_a_stack(a, b):
    todo, gaps = [(a, b)], [0.0]
    while todo:
        p, q = todo.pop()
        if isinstance(p, Mapping) and isinstance(q, Mapping) and {*p} == {*q}:
            todo += [(p[key], q[key]) for key in p]
        elif isinstance(p, list | tuple) and isinstance(q, list | tuple) and len(p) == len(q):
            todo += zip(p, q, strict=True)
        elif isinstance(p, Mapping | list | tuple) or isinstance(q, Mapping | list | tuple):
            raise ValueError("the structures differ")
        else:
            both = np.stack([_array(p), _array(q)])
            scale = np.abs(both).max()
            gaps.append(np.ptp(both, axis=0).max() / (1.0 if scale == 0 else scale))
    return float(np.max(gaps))


@max_gap.wheat
def scaled_before(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() ^ b.keys():
            raise ValueError("keys")
        return float(np.max([0.0, *(scaled_before(a[key], b[key]) for key in a)]))
    if type(a) in (list, tuple) and type(b) in (list, tuple):
        if len(a) != len(b):
            raise ValueError("lengths")
        return float(np.max([0.0, *(scaled_before(*pair) for pair in zip(a, b, strict=True))]))
    if type(a) in (dict, list, tuple) or type(b) in (dict, list, tuple):
        raise ValueError("structure")
    p, q = np.atleast_1d(_array(a)), np.atleast_1d(_array(b))
    if np.shape(a) != np.shape(b):
        raise ValueError("shapes")
    scale = np.maximum(abs(p).max(), abs(q).max()) + np.finfo(float).tiny
    return np.abs(p / scale - q / scale).max()


def _scale(p, q):
    return np.maximum(np.abs(p).max(), np.abs(q).max())


def _quotient(difference, scale):
    return 0.0 if scale == 0 else difference / scale


def _same_shape(compare):
    def gap(p, q):
        _checked(p, q)
        return compare(p, q)

    return gap


@_same_shape
def _gap(p, q):
    return _quotient(np.abs(p - q).max(), _scale(p, q))


def _same_lengths(a, b):
    if len(a) != len(b):
        raise ValueError("lengths differ")
    return zip(a, b, strict=True)


def _same_keys(a, b):
    if a.keys() != b.keys():
        raise ValueError("keys differ")
    return [(a[key], b[key]) for key in a]


def _largest(gaps):
    return np.max([*gaps], initial=0.0)


def _walk(gap: Callable = _gap, join: Callable = _largest, lists: Callable = _same_lengths,
          dicts: Callable = _same_keys, array: Callable = _array, sequences: tuple = (list, tuple)):  # fmt: skip
    """An answer that is right but for the parts given."""

    def measure(a, b):
        if isinstance(a, dict) and isinstance(b, dict):
            return join(measure(p, q) for p, q in dicts(a, b))
        if isinstance(a, sequences) and isinstance(b, sequences):
            return join(measure(p, q) for p, q in lists(a, b))
        if isinstance(a, dict | list | tuple) or isinstance(b, dict | list | tuple):
            raise ValueError("structures differ")
        with np.errstate(all="ignore"):
            return float(gap(array(a), array(b)))

    return measure


def _leaves(gap):
    return _walk(_same_shape(gap))


def _raise(error):
    raise error


def _last(gaps):
    return [0.0, *gaps][-1]


def _first(gaps):
    return next(iter(gaps), 0.0)


def _mean(gaps):
    gaps = [*gaps]
    return sum(gaps) / len(gaps) if gaps else 0.0


def _by_python(gaps):
    return max(gaps, default=0.0)


def _in_rounds(gaps):
    worst = 0.0
    for gap in gaps:
        if gap > worst:
            worst = gap
    return worst


for _cause, _text, _hint, _function in (
    ("no-absolute-value", "the difference keeps its sign: where the second set is larger, nothing is found.",
     "Is −5 a small difference?", _leaves(lambda p, q: _quotient(np.max(p - q), _scale(p, q)))),
    ("absolute-value-too-late", "the absolute value is taken of the largest difference: large negative ones are lost "
     "before.", "Differences −5 and 1: which is the largest, and which the largest in size?",
     _leaves(lambda p, q: _quotient(np.abs(np.max(p - q)), _scale(p, q)))),
    ("relative-to-the-first", "differences are relative to the first set alone: swap the sets, and the gap changes.",
     "What do you get for `max_gap(a, b)` and `max_gap(b, a)`?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), np.abs(p).max()))),
    ("relative-to-the-second", "differences are relative to the second set alone: swap the sets, and the gap changes.",
     "What do you get for `max_gap(a, b)` and `max_gap(b, a)`?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), np.abs(q).max()))),
    ("divides-by-zero", "an array of zeros is divided by: 0/0 is nan.", "What should the gap of zeros and zeros be?",
     _leaves(lambda p, q: np.abs(p - q).max() / _scale(p, q))),
    ("divides-by-zero", "differences are relative to the first set alone, and that may be all zeros.",
     "What if the first array is zeros and the second is not?",
     _leaves(lambda p, q: np.abs(p - q).max() / np.abs(p).max())),
    ("not-relative", "the gap is absolute: it knows nothing of the sizes of the numbers.",
     "Is a difference of 1e-6 small? Beside 1e6, and beside 1e-6?", _leaves(lambda p, q: np.abs(p - q).max())),
    ("entry-by-entry", "each difference is relative to its own entry, not to the largest number of the array.",
     "What becomes of an entry that should be 0 and is 1e-20, beside entries of size 1?",
     _leaves(lambda p, q: np.nan_to_num(np.abs(p - q) / np.maximum(np.abs(p), np.abs(q)), nan=0.0
                                        if np.isfinite(p + q).all() else np.nan).max())),
    ("sum-as-scale", "the scale is the sum of both largest numbers: the gap comes out about half.",
     "Twice as large on one side: how large is the gap by the contract?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), np.abs(p).max() + np.abs(q).max()))),
    ("smaller-as-scale", "the scale is the smaller one of the two largest numbers.",
     "If one array is zeros, what do you divide by?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), np.minimum(np.abs(p).max(), np.abs(q).max())))),
    ("no-absolute-value", "no absolute value is taken, in the difference or in the scale.",
     "Is −5 a small difference, and is −5 a small number?",
     _leaves(lambda p, q: _quotient(np.max(p - q), np.maximum(p.max(), q.max())))),
    ("relative-to-the-first", "differences are relative to the first set alone, and absolute where that is zeros.",
     "What do you get for `max_gap(a, b)` and `max_gap(b, a)`?",
     _leaves(lambda p, q: np.abs(p - q).max() / (np.abs(p).max() if np.any(p) else 1.0))),
    ("lengths-compared", "the norm of the difference is taken: it adds up all entries, and the largest one is asked "
     "for.", "Differences 3 and 4: what is their norm, and which is the largest?",
     _leaves(lambda p, q: _quotient(np.linalg.norm(p - q), _scale(p, q)))),
    ("lengths-compared", "the norm of the difference is divided by the sum of both norms, as gradient checks often do.",
     "The contract has another measure: how large is the largest difference, beside the largest number?",
     _leaves(lambda p, q: _quotient(np.linalg.norm(p - q), np.linalg.norm(p) + np.linalg.norm(q)))),
    ("scale-without-absolute-value", "the scale is the largest number, not the largest in size: negative ones do not "
     "count.", "What is the largest number of −3, −2 and 0.5, and what is the largest in size?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), np.maximum(p.max(), q.max())))),
    ("mean-as-scale", "the scale is the mean size of the numbers, not the largest.",
     "Which word does the contract use for the scale?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), np.maximum(np.abs(p).mean(), np.abs(q).mean())))),
    ("errors-averaged", "the differences within an array are averaged: one that is large drowns.",
     "One entry of a thousand is off by 5 %. What is the mean difference?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).mean(), _scale(p, q)))),
    ("lengths-compared", "lengths of vectors are compared, not their entries.",
     "The length of the difference adds up all entries. What does the contract ask of them?",
     _leaves(lambda p, q: _quotient(np.linalg.norm(p - q), np.maximum(np.linalg.norm(p), np.linalg.norm(q))))),
    ("sign-lost", "sizes are compared: a number and its negative count as equal.",
     "Of what do you take the absolute value: of each number, or of their difference?",
     _leaves(lambda p, q: _quotient(np.abs(np.abs(p) - np.abs(q)).max(), _scale(p, q)))),
    ("floor-of-one", "the scale is never below 1, so that small gradients are compared absolutely.",
     "Two gradients of size 1e-9, one twice the other: what is their gap?",
     _leaves(lambda p, q: np.abs(p - q).max() / np.maximum(_scale(p, q), 1.0))),
    ("constant-in-the-scale", "a constant added to the scale hides gaps between small numbers.",
     "Two gradients of size 1e-30, one twice the other: what is their gap?",
     _leaves(lambda p, q: np.abs(p - q).max() / (_scale(p, q) + 1e-12))),
    ("gaps-averaged", "the gaps of the arrays are averaged: one that is wrong hides among many that are right.",
     "Ten arrays agree, one does not. What should the answer be?", _walk(join=_mean)),
    ("gaps-added", "the gaps of the arrays are added up.", "How do you get the largest of several numbers?",
     _walk(join=lambda gaps: sum(gaps))),
    ("last-array-only", "the gap is overwritten in each round of the loop: only the last array counts.",
     "Follow the gap of the first array through your lines. Where is it overwritten?", _walk(join=_last)),
    ("first-array-only", "the function returns in the first round of its loop.", "How far is the `return` indented?",
     _walk(join=_first)),
    ("nan-lost", "Python's `max` keeps what came first when it meets a nan, since every comparison with nan is "
     "`False`.", "What are `max(0.3, np.nan)` and `max(np.nan, 0.3)`?", _walk(join=_by_python)),
    ("nan-lost", "a nan is never larger than the gap so far: every comparison with nan is `False`.",
     "What is `np.nan > 0.3`?", _walk(join=_in_rounds)),
    ("nan-lost", "`np.nanmax` leaves nan out, wherever it stands.", "What is a nan among gradients a sign of?",
     _walk(_same_shape(lambda p, q: _quotient(np.nanmax(np.abs(p - q)), np.nanmax(np.abs([p, q])))),
           join=lambda gaps: np.nanmax([*gaps], initial=0.0))),
    ("nan-lost", "a nan is replaced by a number.", "What is a nan among gradients a sign of?",
     _walk(array=lambda leaf: np.nan_to_num(_array(leaf)))),
    ("nan-lost", "beside an array of zeros, a nan is lost: in Python, `max(0.0, np.nan)` is 0.",
     "What are `max(0.0, np.nan)` and `max(np.nan, 0.0)`?",
     _leaves(lambda p, q: _quotient(np.abs(p - q).max(), max(np.abs(p).max(), np.abs(q).max())))),
    ("nan-lost", "only entries that are finite on both sides are compared: nan and inf are left out.",
     "What is a nan among gradients a sign of?",
     _leaves(lambda p, q: _gap(*(np.where(np.isfinite(p) & np.isfinite(q), side, 0.0) for side in (p, q))))),
    ("inf-lost", "infinite numbers are replaced by 0, as if they were not there.",
     "What is an inf among gradients a sign of?",
     _walk(array=lambda leaf: np.where(np.isinf(_array(leaf)), 0.0, _array(leaf)))),
    ("inf-lost", "the gap is set to 0 where the scale is infinite: what is wrong altogether counts as equal.",
     "What should your function say of an array in which one number is infinite?",
     _leaves(lambda p, q: _gap(p, q) if not np.isinf(_scale(p, q)) else 0.0)),
    ("inf-lost", "arrays that are equal count as right, before anybody looks whether their numbers are finite.",
     "Both gradients are inf in the same place. Is that a gap of 0?",
     _leaves(lambda p, q: 0.0 if np.array_equal(p, q) else _gap(p, q))),
    ("inf-lost", "a nan in the arrays is looked for, and the nan that inf / inf gives is lost in Python's `max`.",
     "What is `np.inf / np.inf`, and what is `max(0.3, np.nan)`?",
     _walk(_same_shape(lambda p, q: np.inf if np.isnan(p - q).any() and np.isnan(p + q).any() else _gap(p, q)),
           join=_by_python)),
    ("empty-refused", "an empty list has no largest gap, and `np.max` raises; the contract gives it the gap 0.",
     "What does `np.max` make of a list of no gaps, and what does its `initial` do?",
     _walk(join=lambda gaps: np.max([*gaps]))),
    ("nan-lost", "two nans in the same place count as equal.", "Is a nan equal to itself: `np.nan == np.nan`?",
     _leaves(lambda p, q: 0.0 if np.array_equal(p, q, equal_nan=True) else _gap(p, q))),
    ("shapes-not-compared", "shapes are not compared: (3,) against (3, 1) is broadcast to nine differences.",
     "What is the shape of `np.ones(3) - np.ones((3, 1))`?",
     _walk(lambda p, q: _quotient(np.abs(p - q).max(), _scale(p, q)))),
    ("shapes-not-compared", "the arrays are flattened before their shapes are compared.",
     "Do arrays of shapes (2, 3) and (3, 2) hold the same thing?",
     _walk(array=lambda leaf: _array(leaf).ravel())),
    ("structures-not-compared", "`zip` stops at the shorter list: what the longer one has besides is never looked at.",
     "What does `zip([1, 2], [1])` give? Which argument makes it refuse?",
     _walk(lists=lambda a, b: zip(a, b))),  # noqa: B905
    ("structures-not-compared", "only the keys of the first dict are looked at.",
     "What if the second dict has a key more?", _walk(dicts=lambda a, b: [
         (a[k], b[k]) if k in b else _raise(ValueError(k)) for k in a])),
    ("structures-not-compared", "only keys that both dicts have are looked at.",
     "A gradient is missing on one side. Should that go unnoticed?",
     _walk(dicts=lambda a, b: [(a[k], b[k]) for k in a.keys() & b.keys()])),
    ("order-of-keys", "the values of two dicts are paired in the order in which they come, whatever their keys.",
     "Are `{'W': 1, 'b': 2}` and `{'b': 2, 'W': 1}` equal?",
     _walk(dicts=lambda a, b: _same_lengths(a.values(), b.values()))),
    ("order-of-keys", "dicts with the same keys in another order are refused.",
     "Are `{'W': 1, 'b': 2}` and `{'b': 2, 'W': 1}` equal?",
     _walk(dicts=lambda a, b: _same_keys(a, b) if [*a] == [*b] else _raise(ValueError("keys")))),
    ("key-error", "a missing key ends in a `KeyError`; the contract asks for a `ValueError`.",
     "Compare the keys before you look anything up.", _walk(dicts=lambda a, b: [(a[k], b[k]) for k in a])),
    ("index-error", "a list that is too short ends in an `IndexError`, or the longer one is cut; the contract asks for "
     "a `ValueError`.", "Compare the lengths before you look anything up.",
     _walk(lists=lambda a, b: [(a[i], b[i]) for i in range(len(a))])),
    ("lists-apart-from-tuples", "a list beside a tuple is refused; the contract lets them stand together.",
     "What does `type(a) == type(b)` say of `[1]` and `(1,)`?",
     _walk(lists=lambda a, b: _same_lengths(a, b) if type(a) is type(b) else _raise(ValueError("types")))),
    ("parameters-refused", "`np.asarray` refuses a tensor that is part of a graph.",
     "What does the error message advise?", _walk(array=np.asarray)),
    ("verdict-returned", "the answer is a verdict, and the contract asks for a number.",
     "A verdict needs a tolerance. Who should choose it?",
     lambda a, b: bool(backprop.max_gap(a, b) < 1e-10)),
):  # fmt: skip
    max_gap.chaff(_cause, _text, _hint)(_function)


@max_gap.chaff(
    "top-level-only",
    "only the top level is walked through; of a pair (W, b) nothing but W is looked at.",
    "How deep may the structures be? A function may call itself.",
)
def looks_at_the_first_of_a_pair(a, b):
    def gap(p, q):
        while isinstance(p, list | tuple) and isinstance(q, list | tuple):
            p, q = p[0], q[0]
        return backprop.max_gap(p, q)

    if isinstance(a, dict) and isinstance(b, dict):
        return float(_largest(gap(p, q) for p, q in _same_keys(a, b)))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return float(_largest(gap(p, q) for p, q in _same_lengths(a, b)))
    return gap(a, b)


@max_gap.chaff(
    "one-scale-for-all",
    "all arrays are measured by the largest number of all: small gradients may be wrong altogether.",
    "The gradients of one layer are a million times smaller than those of another. What is a gap of 100 % there?",
)
def by_the_largest_of_all(a, b):
    pairs = []

    def note(p, q):
        _checked(p, q)
        pairs.append((p, q))
        return 0.0

    _walk(note)(a, b)
    differences = [np.abs(p - q).max() for p, q in pairs]
    return float(_quotient(np.max(differences), np.max([_scale(p, q) for p, q in pairs])))


@max_gap.chaff(
    "assertion-for-value-error",
    "where shapes or lengths differ an `assert` fails; the contract asks for a `ValueError`.",
    "`assert` states what cannot be. How does a function tell its caller that an argument is wrong?",
)
def asserts(a, b):
    def gap(p, q):
        assert p.shape == q.shape, "shapes differ"
        return _gap(p, q)

    return _walk(gap)(a, b)


@max_gap.chaff(
    "argument-changed",
    "the difference is computed in place: after the measurement one set is gone.",
    "`p -= q` and `p = p - q`: which of them makes a new array?",
)
def in_place(a, b):
    def gap(p, q):
        _checked(p, q)
        scale = _scale(p, q)
        if isinstance(p, np.ndarray) and p.flags.writeable and p.ndim:
            p -= q
            return _quotient(np.abs(p).max(), scale)
        return _quotient(np.abs(p - q).max(), scale)

    return _walk(gap)(a, b)


@max_gap.chaff(
    "several-gaps",
    "there is a gap for each array; the contract asks for one number.",
    "Which of several gaps answers the question?",
)
def one_for_each(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return {key: _walk()(p, q) for key, (p, q) in zip(a, _same_keys(a, b), strict=True)}
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return [_walk()(p, q) for p, q in _same_lengths(a, b)]
    return _walk()(a, b)
