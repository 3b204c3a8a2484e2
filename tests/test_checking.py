"""The checker itself: contract, verdict, ladder, card; and that nothing an answer does escapes."""

import random
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import backprop
from autograder import check
from autograder.checking import variants
from autograder.checking.call import TimeLimit, call
from autograder.checking.compare import agrees, same
from autograder.checking.errors import error_text
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding, Score
from autograder.exercises import EXERCISES


def causes(f, exercise, seed=11):
    return [finding.cause for finding in check(f, exercise, seed).findings]


# Contract


def test_none_is_a_finding():
    assert causes(lambda dZ, X, W: None, "linear_backward") == ["returned-none"]


def test_a_missing_output_is_a_finding():
    assert causes(lambda dZ, X, W: (dZ @ W.T, X.T @ dZ), "linear_backward") == ["wrong-count"]


def test_a_missing_key_costs_that_output_only():
    def grads(params, X, y):
        return {k: v for k, v in backprop.two_layer_grads(params, X, y).items() if k != "b1"}

    score = check(grads, "two_layer_grads", 3)
    assert 0 < score.points < score.out_of
    assert [f.cause for f in score.findings] == ["missing-output"]
    assert "`b1`" in score.findings[0].what


@pytest.mark.parametrize(
    ("value", "cause"),
    [("0.5", "wrong-type"), (1j, "complex"), ((1.0, 2.0), "wrong-type"), (float("nan"), "not-finite")],
)
def test_strange_values_are_findings(value, cause):
    assert causes(lambda Y_hat, Y: value, "mse") == [cause]


def test_an_error_says_where_in_the_learners_code():
    def mse_grad(Y_hat, Y):
        error = Y_hat - Y
        return error + eror  # noqa: F821

    finding = check(mse_grad, seed=1).findings[0]
    assert finding.cause == "name-error"
    assert "eror" in finding.what
    assert "return error + eror" in finding.what


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TypeError("cannot compute Mul as input #1 was expected to be a float tensor but is a double tensor"), 1),
        (RuntimeError("expected m1 and m2 to have the same dtype, but got: float != double"), 1),
        (TypeError("Value for attr 'TI' of double is not in the list of allowed values: int32, int64"), 2),
        (RuntimeError("A non-persistent GradientTape can only be used to compute one set of gradients"), 3),
        (RuntimeError("Boolean value of Tensor with more than one value is ambiguous"), 4),
        (ValueError("tf.function only supports singleton tf.Variables created on the first call."), 5),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (7x5 and 3x5)"), 6),
        (RuntimeError("The size of tensor a (5) must match the size of tensor b (7)"), 6),
        (ValueError("Incompatible shapes: [7,5] vs. [7]"), 6),
        (RuntimeError("something else"), 0),
    ],
)
def test_errors_of_the_frameworks_are_explained(error, cause):
    named = ("raised", "precisions-mixed", "dtype-not-taken", "persistent-tape-needed", "truth-of-a-tensor")
    named += ("variables-made-again", "shapes-do-not-fit")

    def f(Y_hat, Y):
        raise error

    assert causes(f, "mse") == [named[cause]]


def test_a_wrong_signature_says_the_right_one():
    finding = check(lambda Y: 0.0, "mse", 1).findings[0]
    assert finding.cause == "wrong-signature"
    assert "mse(Y_hat, Y)" in finding.next_step


def test_endless_recursion_is_a_finding():
    def f(Y_hat, Y):
        return f(Y_hat, Y)

    assert causes(f, "mse") == ["recursion"]


def test_an_endless_loop_is_stopped():
    def f(Y_hat, Y):
        while True:
            pass

    assert causes(f, "mse") == ["endless"]


def test_an_endless_loop_that_swallows_everything_is_stopped():
    def f(Y_hat, Y):
        while True:
            try:  # noqa: SIM105
                sum(range(100))
            except:  # noqa: E722
                pass

    assert causes(f, "mse") == ["endless"]


def test_an_endless_loop_whose_handlers_try_again_is_stopped():
    def f(Y_hat, Y):
        try:
            while True:
                try:
                    time.sleep(10)
                except BaseException:
                    try:
                        time.sleep(0.01)
                    except BaseException:
                        continue
        finally:
            while True:
                pass

    assert causes(f, "mse") == ["endless"]
    assert sys.gettrace() is None or "coverage" in repr(sys.gettrace())


def test_a_limit_that_python_drops_in_a_finalizer_is_raised_again_and_nothing_is_said_of_it(capfd):
    class Slow:
        def __del__(self):
            sum(range(200_000))  # the limit falls in here nearly always, where exceptions are dropped

    def f():
        while True:
            Slow()

    assert isinstance(call(f, (), seconds=0.05).error, TimeLimit)
    assert "TimeLimit" not in capfd.readouterr().err


def test_a_machine_that_slept_is_no_endless_loop():
    """The process is stopped for a second, as by a suspended machine, while it may take half a second at most."""
    program = """if True:
        import os, signal, subprocess
        from autograder.checking import call

        def f():
            subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {os.getpid()}"])
            os.kill(os.getpid(), signal.SIGSTOP)
            return "done"

        call.LONGEST_WAIT = 0.5
        print(call.call(f, (), seconds=0.2).value)
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.stdout == "done\n", run.stderr


def test_sys_exit_is_a_finding():
    assert causes(lambda Y_hat, Y: sys.exit(1), "mse") == ["raised"]


def test_an_interrupt_by_the_user_goes_through():
    def f(Y_hat, Y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(f, "mse")


def test_it_works_outside_the_main_thread():
    scores = []
    thread = threading.Thread(target=lambda: scores.append(check(backprop.mse, seed=1)))
    thread.start()
    thread.join()
    assert scores[0].passed


def test_changed_arguments_cost_points_though_values_are_right():
    def relu_backward(dA, Z):
        dA *= Z > 0
        return dA.copy()

    score = check(relu_backward, seed=1)
    assert 0 < score.points < score.out_of
    assert [f.cause for f in score.findings] == ["argument-changed"]
    assert "`dA`" in score.findings[0].what


def test_a_result_that_shares_memory_is_found():
    kept = {}

    def mse_grad(Y_hat, Y):
        G = backprop.mse_grad(Y_hat, Y)
        kept["G"] = G
        return G

    assert check(mse_grad, seed=1).passed

    def linear_backward(dZ, X, W):
        dX, dW, _ = backprop.linear_backward(dZ, X, W)
        return dX, dW, np.sum(dZ, axis=0) if len(dZ) > 1 else dZ[0]

    assert causes(linear_backward, "linear_backward") == ["shared-memory"]


def test_memory_of_earlier_calls_is_found():
    total = [0.0]

    def mse(Y_hat, Y):
        value = backprop.mse(Y_hat, Y) + total[0]
        total[0] += 1e-3
        return value

    score = check(mse, seed=1)
    assert not score.passed

    drawn = check(lambda Y_hat, Y: backprop.mse(Y_hat, Y) + np.random.rand(), "mse", 1)  # noqa: NPY002
    assert not drawn.passed


def test_global_state_is_as_before(capsys):
    def mse(Y_hat, Y):
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        np.seterr(all="raise")
        warnings.warn("careful", stacklevel=1)
        print("hello" * 1000)
        print("error", file=sys.stderr)
        return backprop.mse(Y_hat, Y)

    np.random.seed(123)  # noqa: NPY002
    random.seed(123)
    before = np.random.get_state()[1].tobytes(), random.getstate(), np.geterr()  # noqa: NPY002
    score = check(mse, seed=1)
    after = np.random.get_state()[1].tobytes(), random.getstate(), np.geterr()  # noqa: NPY002
    assert before == after
    assert score.passed
    assert {f.cause for f in score.findings} == {"prints", "warns"}
    assert capsys.readouterr() == ("", "")


def test_printing_without_end_is_cut():
    def f():
        for _ in range(1000):
            print("x" * 1000)

    assert len(call(f, ()).printed) == 200


def test_what_was_printed_is_quoted_to_the_end_of_a_word():
    def f(Y_hat, Y):
        print("the predictions of the whole batch, one by one:", list(range(100)))
        return np.mean((Y_hat - Y) ** 2)

    assert check(f, "mse").findings[-1].what == (
        "Your function printed: `the predictions of the whole batch, one by one: [0, 1, 2, …`"
    )


def test_printing_only_spaces_is_quoted_as_nothing():
    def f(Y_hat, Y):
        print()
        return np.mean((Y_hat - Y) ** 2)

    assert check(f, "mse").findings[-1].what == "Your function printed: ``"


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("plain", "plain"),
        ("\n first \n second", "first"),
        (
            "Exception encountered when calling Mine.call().\n\n\x1b[1mMatrix size-incompatible\x1b[0m\n\nArguments:",
            "Matrix size-incompatible",
        ),
        ("{{function_node __wrapped__MatMul}} In[0]: [7,5], In[1]: [3,5]", "In[0]: [7,5], In[1]: [3,5]"),
        ("Exception encountered when calling f().", "Exception encountered when calling f()."),
        ("", ""),
    ],
)
def test_an_error_is_quoted_without_its_wrapping(said, quoted):
    assert error_text(ValueError(said)) == quoted


# Verdict


def test_one_wrong_entry_in_a_thousand_is_enough():
    r = np.random.default_rng(0).standard_normal(1000)
    a = r.copy()
    a[17] *= 1.01
    assert (~agrees(a, r)).nonzero()[0].tolist() == [17]


def test_tiny_entries_are_measured_against_the_whole():
    r = np.array([1.0, 1e-12])
    assert agrees(r + np.array([0, 1e-15]), r).all()
    assert not agrees(r + np.array([0, 1e-6]), r).all()


def test_structural_zeros_need_to_be_zero():
    assert agrees(np.zeros(3), np.zeros(3)).all()
    assert not agrees(np.full(3, 1e-9), np.zeros(3)).any()


def test_single_precision_is_accepted_and_double_is_not_loosened():
    r = np.random.default_rng(0).standard_normal(50)
    assert agrees(r.astype(np.float32), r).all()
    assert not agrees(r * (1 + 1e-5), r).any()


def test_shapes_never_broadcast():
    assert not same(np.ones((1, 5)), np.ones(5))


def test_infinite_is_never_right():
    assert not agrees(np.array([np.inf, np.nan]), np.array([1.0, 1.0])).any()


# Ladder, with mistakes that no exercise registers


@pytest.mark.parametrize(
    ("exercise", "mutate", "cause"),
    [
        ("mse_grad", lambda G: 4 * G, "constant-factor"),
        ("softmax_backward", lambda G: G.T.copy(), "transposed"),
        ("cross_entropy_grad", lambda G: G * len(G) ** 2, "times-N^2"),
        ("softmax_jacobian", lambda J: J / len(J), "times-C^-1"),
        ("sigmoid_backward", lambda G: G[::-1], "upside-down"),
        ("log_softmax", lambda L: L + 0.25, "constant-offset"),
        ("soft_cross_entropy_grad", lambda G: G + 1e-5 * G**2, "approximate"),
        ("mse_grad", lambda G: np.zeros_like(G), "all-zeros"),
        ("bce_with_logits_grad", lambda G: G[:, None], "wrong-shape"),
    ],
)
def test_generic_rungs_name_what_nobody_registered(exercise, mutate, cause):
    reference = EXERCISES[exercise].reference
    assert causes(lambda *args: mutate(reference(*args)), exercise) == [cause]


def test_an_extra_factor_is_named():
    finding = check(lambda dA, A: dA * (1 - A**2) * A**2, "tanh_backward", 5).findings[0]
    assert finding.cause == "extra-factor"
    assert "A²" in finding.likely


def test_an_extra_term_is_named():
    finding = check(lambda dA, A: dA * (1 - A**2) + 2 * dA, "tanh_backward", 5).findings[0]
    assert finding.cause == "extra-term"
    assert "2 · `dA`" in finding.what


def test_what_is_right_is_said():
    def grads(params, X, y):
        grads = backprop.two_layer_grads(params, X, y)
        grads["W1"] = grads["W1"] * 3
        return grads

    finding = check(grads, "two_layer_grads", 1).findings[0]
    assert "`b1`, `W2` and `b2` are right" in finding.next_step


def test_the_first_wrong_step_of_a_network_is_named():
    def two_layer_grads(params, X, y):
        Z1 = X @ params["W1"] + params["b1"]
        A1 = np.maximum(Z1, 0)
        dZ2 = backprop.cross_entropy_grad(A1 @ params["W2"] + params["b2"], y)
        dA1 = dZ2 @ params["W2"].T
        dZ1 = dA1 * (1 - A1**2)  # the slope of a tanh: no exercise registers it
        return {"W1": X.T @ dZ1, "b1": dZ1.sum(axis=0), "W2": A1.T @ dZ2, "b2": dZ2.sum(axis=0)}

    finding = check(two_layer_grads, seed=2).findings[0]
    assert finding.cause == "wrong-step"
    assert "`dZ1`: yours equals `dA1 * (1 - A1**2)`" in finding.what
    assert "`W2` and `b2` are right" in finding.next_step


def test_what_an_epoch_did_with_each_example_is_named():
    def train_epoch(params, X, y, lr, batch_size, rng):
        order = np.argsort(rng.random(len(X)))
        for start in range(0, len(X) - batch_size + 1, batch_size):  # leaves out the short last batch
            batch = order[start : start + batch_size]
            grads = backprop.mlp_grads(params, X[batch], y[batch])
            params = [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]
        return [(W.copy(), b.copy()) for W, b in params]

    finding = check(train_epoch, seed=2).findings[0]
    assert finding.cause == "examples-left-out"
    assert "1 of the 7 examples" in finding.likely


def test_a_notebooks_variable_in_an_answer_is_pointed_out():
    namespace = {"np": np, "softmax": backprop.softmax, "N": 1437}
    exec("def f(Z, y):\n    return (softmax(Z) - np.eye(Z.shape[1])[y]) / N", namespace)
    findings = check(namespace["f"], "cross_entropy_grad", 1).findings
    assert "global-variable" in [finding.cause for finding in findings]
    assert "`N`" in str(findings[-1])


def test_a_bug_hunt_is_all_or_nothing():
    score = check(lambda Z, y: backprop.cross_entropy_grad(np.clip(Z, -9, 9), y), "fix_network_5", 1)
    assert score.points == 0


def test_no_cause_is_named_where_nothing_reproduces_the_answer():
    rng = np.random.default_rng(3)
    noise = {n: rng.standard_normal(n) for n in range(1, 200)}
    score = check(lambda Y_hat, Y: backprop.mse_grad(Y_hat, Y) + noise[Y.size].reshape(Y.shape), "mse_grad", 1)
    assert [f.cause for f in score.findings] == [None]
    assert "cosine" in score.findings[0].what


def test_seed_replays_the_run():
    def wrong(Y_hat, Y):
        return 3.3 * backprop.mse_grad(Y_hat, Y) ** 3

    first = check(wrong, "mse_grad")
    assert str(check(wrong, "mse_grad", seed=first.seed)) == str(first)
    assert f"seed={first.seed}" in str(first)


# Score and card


def test_repr_is_the_bare_number_of_points():
    assert repr(check(backprop.mse)) == "2.0"
    assert float(repr(check(lambda Y_hat, Y: 0.0, "mse"))) == 0.0


def test_the_card_escapes_what_the_learner_wrote():
    finding = Finding("<script>alert(1)</script> `a < b`", "raised")
    html = Score("mse", 0.0, 2.0, 1, "", [finding])._repr_html_()
    assert "<script>" not in html
    assert "<code>a &lt; b</code>" in html


def test_the_card_says_the_verdict_in_words():
    good, bad = check(backprop.mse)._repr_html_(), check(lambda a, b: 0.0, "mse")._repr_html_()
    assert "right, 2 of 2 points" in good
    assert "not right yet, 0 of 2 points" in bad
    assert 'aria-label="Check of mse: not right yet' in bad


def test_the_kink_accepts_every_subgradient_and_no_more():
    for slope, good in ((0.0, True), (0.3, True), (1.0, True), (1.5, False), (-0.1, False)):

        def relu_backward(dA, Z, slope=slope):
            return dA * np.where(Z > 0, 1.0, np.where(Z < 0, 0.0, slope))

        assert check(relu_backward, seed=4).passed == good


def test_a_card_names_nothing_that_the_learner_has_not_written():
    """Variants come from other people's code, where a sum may be called `inner`, and labels be made `unique`."""
    words = variants._in_known_words("`unique` is not applied to `y`, where `inner` is computed", {"y", "P"})
    assert words == "something is not applied to `y`"
    words = variants._in_known_words("`exp` is not applied to `Z`, where `P` is computed", {"Z", "P"})
    assert words == "`exp` is not applied to `Z`, where `P` is computed"


def test_quantities_that_underflow_break_no_rung():
    exercise = Exercise(
        "tiny",
        "00-none",
        1,
        "tiny(a, b)",
        ("c",),
        reference=lambda a, b: a + b,
        make_cases=lambda rng: [
            Case(f"N = {n}", (rng.random(n), tiny * rng.random(n)), {"N": n})
            for n, tiny in ((3, 1e-85), (5, 1e-85), (7, 1))
        ],
    )
    (finding,) = exercise.check(lambda a, b: a * b**2, 0).findings
    assert "Looking for the cause failed" not in finding.what


def test_a_number_in_place_of_an_expression_is_named():
    score = check(lambda y_hat, y: -40, "mse_slope", seed=1)
    assert score.findings[0].cause == "a-number"
    assert "`y` and `y_hat`" in score.findings[0].likely
