"""Rungs of the ladder that ask whether an answer is built from other things at hand than the right one is.

What is at hand are the inputs, the results, and what a right answer computes on the way; tried are single
quantities, products of two, sums of two with fitted coefficients, and for single numbers sums over all entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from autograder.checking.at_hand import at_hand
from autograder.checking.compare import same
from autograder.checking.score import Finding
from autograder.checking.structure import named_arrays
from autograder.checking.values import FUNCTIONS, Wide, formula
from autograder.checking.words import listing

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise

_MORE = [
    ("1 / {}", lambda t: 1 / t),
    ("1 / (1 − {})", lambda t: 1 / (1 - t)),
    ("√{}", np.sqrt),
    ("1 / √{}", lambda t: 1 / np.sqrt(t)),
    ("log {}", np.log),
    ("|{}|", np.abs),
    ("sign {}", np.sign),
    ("{}³", lambda t: t**3),
    ("{}² · (1 − {})", lambda t: t * t * (1 - t)),
    ("tanh {}", np.tanh),
    ("max({}, 0)", lambda t: np.maximum(t, 0)),
    ("({} < 0)", lambda t: (t < 0).astype(float)),
]
SIMPLE = [*FUNCTIONS, *_MORE]


def combination(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer another quantity that is at hand, or a sum of two of them, in all cases?"""
    wide = [part for part in wide if part[2].size > 2 and part[0].case.group != "stability"]
    if len(wide) < 3:
        return None
    hands = [at_hand(exercise, record, r.shape) | {name: r} for record, _, r in wide]
    shared = [key for key in hands[0] if all(key in hand for hand in hands)]
    answers = [a for _, a, _ in wide]
    sizes = [record.case.sizes for record, _, _ in wide]
    for key in shared:
        if key != name and (found := _coefficients(answers, [[hand[key]] for hand in hands], sizes)):
            return Finding(
                f"`{name}` is {_sum_in_words(found, [key])}, in all ordinary cases.",
                "other-quantity",
                f"`{key}` was returned, or computed, where more steps are needed to reach `{name}`.",
                f"What does the derivation do with `{key}` before it is `{name}`?",
            )
    for pair in itertools.combinations(shared, 2):
        if found := _coefficients(answers, [[hand[key] for key in pair] for hand in hands], sizes):
            others = listing([f"`{key}`" for key in pair if key != name])
            return Finding(
                f"`{name}` is {_sum_in_words(found, list(pair)).replace(f'`{name}`', 'expected')}, in all cases.",
                "other-combination",
                f"a term with {others} is added, left out, or has another factor than the derivation gives it.",
                "Write the derivation's terms one below the other. Which of yours has another factor or sign?",
            )
    return None


def _coefficients(answers: list[np.ndarray], terms: list[list[np.ndarray]], sizes: list[dict]) -> list[str] | None:
    """The coefficients with which every case's answer is the sum of its terms, as text, if they follow one formula."""
    rows = []
    for a, parts in zip(answers, terms, strict=True):
        T = np.stack([part.ravel() for part in parts], axis=1)
        if not np.isfinite(T).all() or not np.isfinite(a).all():
            return None
        with np.errstate(all="ignore"):
            c, _, rank, _ = np.linalg.lstsq(T, a.ravel(), rcond=1e-9)
        if not same(T @ c, a.ravel(), 1e-8):
            return None
        if rank == len(parts):
            rows.append(c)
        elif not rows:
            return None  # the first case, the general one, must tell
    told = [size for size, _ in zip(sizes, rows, strict=False)]
    texts = []
    for column in np.array(rows).T:
        if len(rows) < 3 or (in_words := formula(list(zip(told, map(float, column), strict=True)))) is None:
            return None
        texts.append(in_words[1])
    return None if "0" in texts else texts


def _sum_in_words(coefficients: list[str], names: list[str]) -> str:
    text = ""
    for c, name in zip(coefficients, names, strict=True):
        minus = c.startswith(("−", "-"))
        size = c.lstrip("−-")
        text += (" − " if text else "−") if minus else (" + " if text else "")
        text += f"`{name}`" if size == "1" else f"{size} · `{name}`"
    return text


def product(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer, up to a factor, one quantity at hand times a simple function of another?"""
    wide = [part for part in wide if part[2].size > 2 and part[0].case.group != "stability"]
    if len(wide) < 3:
        return None
    hands = [at_hand(exercise, record, r.shape) | {name: r, "1": np.ones_like(r)} for record, _, r in wide]
    keys = [key for key in hands[0] if all(key in hand for hand in hands)]
    texts = [pattern.replace("{}", key) for pattern, _ in SIMPLE for key in keys]

    def factors(hand: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        plain = np.array([hand[key].ravel() for key in keys])
        return plain, np.array([row for _, function in SIMPLE for row in function(plain)])

    answers = [a.ravel() for _, a, _ in wide]
    general = max(range(len(wide)), key=lambda i: min(wide[i][0].case.sizes.values(), default=answers[i].size))
    with np.errstate(all="ignore"):
        tables = [factors(hand) for hand in hands]
        plain, functions = tables[general]
        a = answers[general]
        products = plain[:, None, :] * functions[None, :, :]
        scale = (products @ a) / np.einsum("ijk,ijk->ij", products, products)
        gap = np.abs(scale[..., None] * products - a).max(axis=-1)
        hits = np.argwhere((gap <= 1e-8 * np.abs(a).max()) & np.isfinite(scale))
        for i, j in hits[np.argsort([len(keys[i]) + len(texts[j]) for i, j in hits])] if len(hits) else ():
            ratios = []
            for (record, _, _), answer, (first, second) in zip(wide, answers, tables, strict=True):
                t = first[i] * second[j]
                size = float(t @ t)  # 0 also where tiny numbers underflow
                c = float(t @ answer) / size if size else 0.0
                if not same(c * t, answer, 1e-7):
                    break
                if size:
                    ratios.append((record.case.sizes, c))
            else:
                if len(ratios) < 3 or (in_words := formula(ratios)) is None or keys[i] == texts[j] == name:
                    continue
                first, second = keys[i].replace(name, "expected") if keys[i] == name else keys[i], texts[j]
                times = "" if in_words[1] == "1" else f"{in_words[1]} · "
                times += "" if first == "1" else f"`{first}` · "
                return Finding(
                    f"`{name}` is {times}`{second}`, entry by entry, in all cases.",
                    "other-product",
                    "a factor is missing, one too many, or another one than the derivation has.",
                    "Write the local derivative on paper, factor by factor, and tick off each in your code.",
                )
    return None


def single_number(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """For a loss: is it, up to a factor, the sum over all entries of a product, or of a function of a difference?"""
    if any(r.size != 1 for _, _, r in wide) or len(wide) < 4:
        return None
    inputs = dict(named_arrays(wide[0][0].case.args, exercise.parameters))
    everywhere = [dict(named_arrays(record.case.args, exercise.parameters)) for record, _, _ in wide]
    for like in [key for key, a in inputs.items() if a.dtype.kind == "f" and a.ndim]:
        if any(like not in arrays for arrays in everywhere):
            continue
        hands = []
        for record, _, _ in wide:
            shape = dict(named_arrays(record.case.args, exercise.parameters))[like].shape
            hands.append(at_hand(exercise, record, shape))
        keys = [key for key in hands[0] if all(key in hand for hand in hands)]
        pairs = list(itertools.combinations(range(len(keys)), 2))
        plain_texts = ["1", *keys]
        texts = [pattern.replace("{}", key) for pattern, _ in SIMPLE for key in keys]
        texts += [p.replace("{}", f"({keys[i]} − {keys[j]})") for p, _ in SIMPLE for i, j in pairs]
        sums = []
        with np.errstate(all="ignore"):
            for hand in hands:
                plain = np.array([hand[key].ravel() for key in keys])
                differences = np.array([plain[i] - plain[j] for i, j in pairs]).reshape(len(pairs), plain.shape[1])
                both = np.concatenate([plain, differences])
                functions = np.array(
                    [row for _, g in SIMPLE for row in g(plain)] + [r for _, g in SIMPLE for r in g(both[len(plain) :])]
                )
                sums.append(np.concatenate([np.ones((1, plain.shape[1])), plain]) @ functions.T)
            ratios = np.array([float(a.ravel()[0]) for _, a, _ in wide])[:, None, None] / np.array(sums)
            sizes = [record.case.sizes for record, _, _ in wide]
            axes = [axis for axis in sizes[0] if all(axis in size for size in sizes)]
            for exponents in sorted(itertools.product((0, -1, 1), repeat=len(axes)), key=lambda e: sum(map(abs, e))):
                unit = np.array(
                    [np.prod([float(s[x]) ** e for x, e in zip(axes, exponents, strict=True)]) for s in sizes]
                )
                rest = ratios / unit[:, None, None]
                spread = np.abs(rest - rest[0]).max(axis=0) / np.abs(rest[0])
                for i, j in np.argwhere(spread < 1e-8):
                    in_words = formula([(s, float(c)) for s, c in zip(sizes, ratios[:, i, j], strict=True)])
                    if in_words is None or not np.isfinite(rest[0, i, j]):
                        continue
                    summand = f"{plain_texts[i]} · {texts[j]}" if i else texts[j]
                    return Finding(
                        f"`{name}` is {in_words[1]} × the sum over all entries of `{summand}`, in all cases.",
                        "other-sum",
                        f"that is another quantity than the one that is asked for: the sum of `{summand}`.",
                        "Write the definition's sum for two entries, with numbers, and yours beside it.",
                    )
    return None
