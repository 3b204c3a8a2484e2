"""Drawings of graphs, and animations: their text, what they refuse, and what a browser shows at each step."""

import os
import shutil

import matplotlib.pyplot as plt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect, sync_playwright

from backprop import Value, drawing, plotting
from backprop.drawing import draw_graph, layout, step_through
from backprop.plotting import during, play

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
ALT = "A small graph, first its values and then its slopes."


def product_and_shortcut():
    a, b = Value(-2, "a"), Value(3, "b")
    u = a * b
    u.label = "u"
    L = (u + a) ** 2
    L.label = "L"
    return a, b, L


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, as the notebook gets it."""
    drawings = []
    monkeypatch.setattr(plotting, "display", lambda drawing: drawings.append(drawing._repr_mimebundle_()))
    return drawings


def test_captions_tell_every_step_forward_and_backward(shown):
    a, b, L = product_and_shortcut()
    step_through(L, ALT)
    assert shown[0]["text/plain"].splitlines() == [
        ALT,
        "0. The values that are given.",
        "1. Forward. u = a × b = −2 × 3 = −6.",
        "2. Forward. u + a = −6 + (−2) = −8.",
        "3. Forward. L = (u + a)² = (−8)² = 64.",
        "4. Backward. The slope of L in itself is 1.",
        "5. Backward, through L. The slope of (u + a)² is 2 × (−8) = −16. u + a gets 1 × (−16) = −16.",
        "6. Backward, through u + a. u gets −16 × 1 = −16; a gets −16 × 1 = −16.",
        "7. Backward, through u. a gets −16 × 3 = −48, which is added; b gets −16 × (−2) = 32.",
        "8. Done. The slopes of L in what was given are a: −64, b: 32.",
    ]
    assert (a.grad, b.grad, L.grad) == (0, 0, 0)
    L.backward()
    assert (a.grad, b.grad) == (-64, 32)


@pytest.mark.parametrize(
    ("make", "forward", "backward"),
    [
        (lambda x: x.exp(), "exp(x) = exp(2) = 7.39", "The slope of exp is what it has computed itself, 7.39."),
        (lambda x: x.log(), "log(x) = log(2) = 0.693", "The slope of log is 1/2 = 0.5."),
        (lambda x: x.tanh(), "tanh(x) = tanh(2) = 0.964", "The slope of tanh is 1 − 0.964² = 0.0707."),
        (lambda x: (-x).tanh(), "tanh(x × (−1))", "The slope of tanh is 1 − (−0.964)² = 0.0707."),
        (lambda x: x.relu(), "relu(x) = relu(2) = 2", "The slope of relu at 2 is 1."),
        (lambda x: x**3, "x³ = 2³ = 8", "The slope of x³ is 3 × 2² = 12."),
        (lambda x: 1 / x, "x^(−1) = 2^(−1) = 0.5", "The slope of x^(−1) is −1 × 2^(−2) = −0.25."),
        (lambda x: x ** Value(3, "p"), "x^p = 2^3 = 8", "x gets 1 × 12 = 12; p gets 1 × 5.55 = 5.55."),
        (lambda x: (x + 1) * x, "(x + 1) × x = 3 × 2 = 6", "x + 1 gets 1 × 2 = 2; x gets 1 × 3 = 3."),
    ],
)  # fmt: skip
def test_captions_say_where_a_slope_comes_from(shown, make, forward, backward):
    step_through(make(Value(2, "x")), ALT)
    assert forward in shown[0]["text/plain"]
    assert backward in shown[0]["text/plain"]


def test_an_exponent_is_part_of_its_operation_and_not_drawn(shown):
    L = Value(3, "x") ** 2
    texts = [text.get_text() for text in draw_graph(L).texts]
    plt.close("all")
    assert "( )²" in texts
    assert "2" not in texts


def test_a_drawing_is_the_same_at_every_build_and_needs_no_other_host(shown):
    for _ in range(2):
        step_through(product_and_shortcut()[-1], ALT)
    assert shown[0] == shown[1]
    assert "http" not in shown[0]["text/html"].replace("http://www.w3.org/", "")


def test_an_animation_refuses_what_it_cannot_show(shown):
    fig, ax = plt.subplots()
    during(ax.text(0, 0, "late"), 3)
    with pytest.raises(ValueError, match="from step 3 on, and the last step is 1"):
        play(fig, ["One.", "Two."], ALT)
    with pytest.raises(ValueError, match="at least two, got 1"):
        play(fig, ["One."], ALT)
    with pytest.raises(ValueError, match="a sentence that says what the figure shows"):
        play(plt.figure(), ["One.", "Two."], "a graph")
    plt.close("all")
    assert shown == []


def test_gradients_are_drawn_where_there_are_any():
    a, _, L = product_and_shortcut()
    a.grad = 5.0
    texts = {text.get_text() for text in draw_graph(L).texts}
    plt.close("all")
    assert {"a", "b", "u", "L", "−2", "3", "−6", "64", "5"} <= texts


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_no_two_values_are_drawn_over_one_another_and_all_stand_right_of_what_they_need(pairs):
    values = [Value(1.0, "x"), Value(2.0, "y")]
    for i, j in pairs:
        values.append(values[i % len(values)] * values[j % len(values)])
    places = layout(values[-1])
    for node, (x, y) in places.items():
        assert all(places[parent][0] < x for parent in node.parents)
        assert all(abs(x - x2) > 1 or abs(y - y2) > 1 for other, (x2, y2) in places.items() if other is not node)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: install it, or set CHROMIUM to its path")
def test_a_reader_steps_through_and_back(shown):
    step_through(product_and_shortcut()[-1], ALT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(shown[0]["text/html"] * 2)  # the same drawing twice on one page
        stepper = page.locator(".stepper").nth(1)
        caption, visible = stepper.locator(".caption"), stepper.locator("[data-first]:visible")
        expect(caption).to_have_text("The values that are given.")
        at_start = visible.count()
        stepper.get_by_role("button", name="Next").click()
        expect(caption).to_have_text("Forward. u = a × b = −2 × 3 = −6.")
        expect(stepper.get_by_role("slider")).to_have_value("1")
        stepper.get_by_role("slider").focus()
        page.keyboard.press("End")
        expect(caption).to_contain_text("Done.")
        expect(stepper.get_by_role("button", name="Next")).to_be_disabled()
        assert visible.count() != at_start
        stepper.get_by_role("button", name="Restart").click()
        expect(caption).to_have_text("The values that are given.")
        assert visible.count() == at_start
        stepper.get_by_role("button", name="Play").click()
        expect(caption).to_contain_text("Forward.", timeout=5000)
        stepper.get_by_role("button", name="Pause").click()
        expect(page.locator(".stepper").nth(0).locator(".caption")).to_have_text("The values that are given.")
        assert errors == []
        browser.close()


def test_every_operation_has_a_name_in_drawings():
    x = Value(0.5)
    for y in (x + 1, x * 2, x**2, x.exp(), x.log(), x.tanh(), x.relu()):
        assert drawing._how_computed(y).endswith(f"{y.data:.3g}.".replace("-", "−"))
