"""Variants of right functions: each operator makes its change, and none of them hangs or leaks."""

import numpy as np
import pytest

from autograder.checking.mutants import GUESSES, OPERATORS, mutants


def one_of_each(X, y, rng):
    """Has something for every operator to change."""
    total = 0
    for i in range(len(X)):
        total += X[i, 0]
    A = np.exp(-X) * 2 + np.outer(y, y) @ X.T if X.ndim > 1 and y.ndim == 1 else X
    B = np.maximum(A / A.sum(axis=0, keepdims=True), 0)
    C = np.mean(B**2)
    if total < C:
        total -= 1
    return A[1:], C


def helper(Z):
    return Z - Z.max(axis=1, keepdims=True)


def nested(Z):
    return np.exp(helper(Z))


def endless(n):
    while n > 0:
        n -= 1
    return n


def operators(function, **options):
    return {m.operator for m in mutants(function, **options)}


def test_every_operator_makes_variants():
    assert operators(one_of_each) | {"transpose-left-out"} == set(OPERATORS)
    assert operators(one_of_each, guesses=True) >= set(GUESSES) - {"other-axis", "applied-twice"}
    assert operators(nested, guesses=True) >= {"other-axis"}


def test_a_variant_differs_in_one_place_and_says_so():
    (found,) = [m for m in mutants(nested, ("E",)) if m.operator == "call-left-out" and "exp" in m.words]
    Z = np.array([[0.0, 1.0]])
    np.testing.assert_array_equal(found.function(Z), helper(Z))
    assert found.words == "`exp` is not applied to `helper(Z)`, where `E` is computed"
    assert found.line == "return helper(Z)"


def test_words_name_the_output():
    def two(A, B):
        return A @ B, A.sum(axis=0)

    words = [m.words for m in mutants(two, ("product", "total")) if m.operator == "axis-swapped"]
    assert words == [
        "a sum runs over axis 1 instead of over axis 0, where `total` is computed",
        "a sum runs over all entries instead of over axis 0, where `total` is computed",
    ]


def test_the_original_is_untouched():
    before = endless(3), nested(np.eye(2))
    for m in mutants(nested):
        try:
            m.function(np.eye(2))
        except Exception:
            continue
    assert before[0] == endless(3) == 0
    np.testing.assert_array_equal(before[1], nested(np.eye(2)))


def test_a_variant_that_would_loop_for_ever_raises():
    turned = [m for m in mutants(endless) if "direction" in m.words]
    assert turned
    with pytest.raises(RuntimeError, match="loops too long"):
        turned[0].function(3)


def test_functions_without_source_have_no_variants():
    assert list(mutants(np.exp)) == []
    assert list(mutants(eval("lambda x: x + 1"))) == []


def test_long_expressions_of_a_right_answer_are_not_quoted():
    def layer(dA, A):
        return dA * A * (1 - A + np.sqrt(A) * A)

    assert not any("np.sqrt(A)" in m.words for m in mutants(layer))


class Square:
    """Has a method to change, and one that is not."""

    def forward(self, X):
        """Of each entry."""
        return X**2

    @staticmethod
    def scale(X):
        return 2 * X


def doubled(f):
    return lambda *args: 2 * f(*args)


@doubled
def decorated(X):
    return X.sum(axis=0)


def test_variants_of_a_class_are_classes():
    found = {m.line: m.function for m in mutants(Square)}
    assert all(variant.__name__ == "Square" for variant in found.values())
    X = np.array([3.0])
    cubed, tripled = found["return X ** 3"], found["return 3 * X"]
    assert (cubed().forward(X), cubed.scale(X)) == (27, 6)
    assert (tripled().forward(X), tripled.scale(X)) == (9, 9)


def test_a_decorator_stays_unless_it_registers_an_answer():
    (variant,) = [m.function for m in mutants(decorated.__closure__[0].cell_contents) if m.line == "return X"]
    np.testing.assert_array_equal(variant(np.ones(2)), [2, 2])
