"""The gate of every exercise: right answers pass, wrong ones fail and are named, the stub is not an error."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adequacy.gate import stub_of
from autograder.checking.derivation import Derivation
from autograder.exercises import EXERCISES, check

ARRAYS = {name: e for name, e in EXERCISES.items() if not isinstance(e, Derivation)}
WHEATS = [pytest.param(e, w, id=f"{n}-{w.__name__}") for n, e in EXERCISES.items() for w in e.wheats]
CHAFFS = [pytest.param(e, c, id=f"{n}-{i}-{c.cause}") for n, e in EXERCISES.items() for i, c in enumerate(e.chaffs)]
CONTRACTS = {
    "01-descent": "mse mse_grad linear_mse_grads mse_slope gradient_descent fix_linear_mse_grads",
    "02-cross-entropy": "log_softmax softmax_jacobian cross_entropy cross_entropy_grad soft_cross_entropy_grad "
    "bce_with_logits bce_with_logits_grad softmax_ce_slope fix_cross_entropy_grad",
    "03-checking-gradients": "central_difference complex_step gradcheck best_step fix_gradcheck",
    "04-chain-rule": "topological_order backward local_grads fan_out_slope fix_backward",
    "05-layers": "linear_backward relu_backward sigmoid_backward tanh_backward softmax_backward unbroadcast "
    "fix_unbroadcast matmul_backward",
    "06-network": "two_layer_loss two_layer_grads mlp_grads train_epoch "
    "fix_network_1 fix_network_2 fix_network_3 fix_network_4 fix_network_5",
    "07-optimizers": "momentum_step rmsprop_step adagrad_step adam_step adamw_step cosine_schedule "
    "adam_first_step fix_adam_step",
    "08-misbehaving": "he_init batchnorm_forward batchnorm_backward clip_by_global_norm "
    "dropout_forward dropout_backward l2_grad early_stop batchnorm_slope fix_batchnorm_backward",
    "09-pytorch": "torch_grads torch_train_step LogSumExp Affine HuberLoss Swish Conv2d MomentumSGD ArrayDataset",
    "10-tensorflow": "tape_grads tape_train_step log_sum_exp hessian_vector_product ScaledDense QuantileLoss "
    "MomentumOptimizer",
    "11-three-ways": "to_torch to_keras max_gap",
    "12-devices": "median_seconds scaled_step",
    "13-bug-clinic": "fix_mse_sign fix_cross_entropy_slopes fix_theta_slope fix_training_loop fix_build fix_label_loss "
    "FixedImageNet fix_tape_loop fix_loss_family FixedSGD fix_double_softmax fix_static_loop fix_residual_backward "
    "fix_derivative fix_optimizer_names",
}


@pytest.mark.parametrize(("exercise", "wheat"), WHEATS)
def test_right_answers_pass(exercise, wheat):
    for seed in (1, 2, 3):
        score = exercise.check(wheat, seed)
        assert score.passed, f"seed {seed}: {score}"
        assert score.points == score.out_of == exercise.points


@pytest.mark.parametrize(("exercise", "chaff"), CHAFFS)
def test_wrong_answers_fail_and_are_named(exercise, chaff):
    score = exercise.check(chaff.function, seed=7)
    assert not score.passed
    assert 0 <= score.points < score.out_of
    assert chaff.cause in [finding.cause for finding in score.findings], str(score)


def test_chance_refuses_no_right_order():
    """With dead units in a hidden layer, different orders once looked alike, in one check of a thousand."""
    for seed in (957272, 202840):
        for exercise in (EXERCISES["train_epoch"], EXERCISES["fix_network_3"]):
            assert exercise.check(exercise.reference, seed).passed


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_the_stub_scores_nothing_and_is_no_error(exercise):
    score = exercise.check(stub_of(exercise), seed=1)
    assert score.points == 0
    assert not score.written
    assert "Not written yet" in str(score)


@pytest.mark.parametrize("exercise", ARRAYS.values(), ids=ARRAYS)
def test_cases_follow_the_seed_and_have_distinct_names(exercise):
    def numbers(seed):
        cases = exercise.make_cases(np.random.default_rng(seed))
        return [a.tobytes() for case in cases for a in case.args if isinstance(a, np.ndarray)], cases

    first, cases = numbers(5)
    assert numbers(5)[0] == first
    assert len({case.name for case in cases}) == len(cases) >= 3


BACKWARD = {name: e for name, e in ARRAYS.items() if e.upstream is not None}


@pytest.mark.parametrize("exercise", BACKWARD.values(), ids=BACKWARD)
def test_upstream_gradients_are_never_all_ones(exercise):
    position = exercise.parameters.index(exercise.upstream)
    for case in exercise.make_cases(np.random.default_rng(0)):
        upstream = case.args[position]
        assert upstream.size == 1 or not np.all(upstream == upstream.flat[0])


@pytest.mark.parametrize(("chapter", "names"), CONTRACTS.items(), ids=CONTRACTS)
def test_every_contract_of_the_curriculum_is_there(chapter, names):
    assert set(names.split()) <= {name for name, exercise in EXERCISES.items() if exercise.chapter == chapter}


def test_check_finds_the_exercise_by_the_functions_name():
    def mse(Y_hat, Y):
        return np.mean((Y_hat - Y) ** 2)

    assert check(mse).passed
    assert check(lambda a, b: np.mean((a - b) ** 2), exercise="mse").passed


def test_an_unknown_exercise_lists_near_names():
    with pytest.raises(ValueError, match=r"did you mean .*mse_grad"):
        check(lambda: None, exercise="mse_gard")


def test_something_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match="expected a function, got ndarray"):
        check(np.zeros(3), exercise="mse")


def test_misconceptions_and_hints_are_sentences():
    for name, exercise in EXERCISES.items():
        for chaff in exercise.chaffs:
            assert re.fullmatch(r"[a-z0-9-]+", chaff.cause, re.IGNORECASE), f"{name}: {chaff.cause}"
            for text in (chaff.misconception, chaff.hint):
                assert text.strip()[-1] in ".?:)", f"{name}, {chaff.cause}: {text!r}"


def test_every_module_of_exercises_is_registered():
    folder = Path(__file__).parent.parent / "autograder" / "exercises"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    answers = {exercise.answers.rpartition(".")[2] for exercise in ARRAYS.values() if exercise.answers}
    shared = {name for name in modules if name.startswith("shared_")}  # what exercises of several chapters need
    for name in modules - answers - shared:
        module = importlib.import_module(f"autograder.exercises.{name}")
        assert module.EXERCISES
        assert all(EXERCISES[exercise.name] is exercise for exercise in module.EXERCISES)
        assert name.startswith(tuple({exercise.chapter[3:].replace("-", "_") for exercise in module.EXERCISES}))


def test_exercises_are_listed_without_importing_a_framework():
    code = "import sys, autograder; autograder.progress(); print({'torch', 'tensorflow'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set()")
