"""The rules of a chapter's source: each is seen to refuse a bad specimen, then holds for the real chapters."""

import re

import pytest

from autograder.grading.sources import problems
from specimen import CONTRACTS, SOURCES, SPECIMEN

PLOT = 'show(fig, "A straight line that rises from zero to one.")'
LONG = "\n".join(f"x{i} = {i}" for i in range(26))

BAD = {  # name: (what is replaced, by what, what the message must say)
    "solution without region": ("    ### BEGIN SOLUTION\n    return f", "    return f", "cell 6 (mse-answer)"),
    "solution not closed": ("** 2))\n    ### END SOLUTION", "** 2))", "got 1 and 0"),
    "solution outside the function": (
        '    """Mean over all elements."""\n    ### BEGIN SOLUTION\n    return',
        "    pass\n\n\n### BEGIN SOLUTION\nx =",
        "must stand inside mse",
    ),
    "whole function is the solution": (
        "def mse(Y_hat, Y):\n",
        "### BEGIN SOLUTION\ndef mse(Y_hat, Y):\n    ### END SOLUTION\n",
        "the cell is not Python",
    ),
    "answer defines another name": ("def mse(", "def rmse(", "must still define the function or class mse"),
    "marker in prose": ("As (99.1)", "### BEGIN SOLUTION As (99.1)", "a solution marker outside"),
    "marker in ordinary code": ("ax.plot([0, 1])", "ax.plot([0, 1])  # end_solution", "a solution marker outside"),
    "exercise without contract": ("mse", "mae", "exercise 'mae' has no contract"),
    "contract without exercise": (SPECIMEN[SPECIMEN.index("### Exercise") :], "", "'mse' has no check cell"),
    "other points than the contract": ("points: 6", "points: 5", "5 points here, 6.0 in its contract"),
    "check cell that says more": ("check(mse)", "print(1)\ncheck(mse)", "says check(mse), nothing else"),
    "check cell not locked": ("locked: true\n  points: 2", "locked: false\n  points: 2", "is locked"),
    "check without answer": ("grade_id: mse-answer", "grade_id: mse-reply", "no answer cell (grade_id mse-answer)"),
    "grade_id given twice": ("grade_id: linear_backward\n", "grade_id: mse\n", "grade_id 'mse' is given twice"),
    "reference without tag": ("As (99.1)", "As (99.2)", "(99.2) without its \\tag{99.2}"),
    "reference without tag, in a comment": ("ax.plot(", "# by (99.2)\nax.plot(", "(99.2) without its"),
    "tag given twice": ("\\tag{99.1}$$", "\\tag{99.1}$$\n\n$$y \\tag{99.1}$$", "\\tag{99.1} is given twice"),
    "tag of another chapter": ("\\tag{99.1}", "\\tag{98.1}", "expected 99.1"),
    "figure without alt": (PLOT, "show(fig)", "figure without alt text"),
    "animation without alt": (PLOT, 'play(fig, ["One.", "Two."])', "figure without alt text"),
    "figure shown by matplotlib": (PLOT, "plt.show()", "plt.show() has no alt text"),
    "figure not shown": (PLOT, "", "not shown with show(fig, alt)"),
    "directive": ("As (99.1)", "```{note}\nHi\n```\n\nAs (99.1)", "MyST syntax '```{note}'"),
    "colon directive": ("As (99.1)", ":::{tip}\nHi\n:::\n\nAs (99.1)", "MyST syntax ':::{tip}'"),
    "role": ("As (99.1)", "As {math}`x` and (99.1)", "MyST syntax '{math}`'"),
    "target": ("### Exercise", "(here)=\n### Exercise", "MyST syntax '(here)='"),
    "long cell": ("ax.plot([0, 1])", LONG, "28 lines of code"),
    "not Python": ("ax.plot([0, 1])", "ax.plot([0, 1]", "this is not Python"),
    "link to nothing": ("(99-specimen.md)", "(98-nothing.md)", "link to 98-nothing.md"),
    "link to a notebook": ("(99-specimen.md)", "(99-specimen.ipynb)", "chapters link to NN-name.md"),
    "fence of another kind": ("```{code-cell} ipython3\nfig", "```{code-cell} python\nfig", "malformed fence"),
    "fence not closed": ("check(linear_backward)\n```\n", "check(linear_backward)\n", "never closed"),
    "fence not closed before the next": ("import show\n```", "import show", "a fence opens inside"),
}


def test_specimen_keeps_every_rule(specimen):
    assert problems(specimen, CONTRACTS) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_specimen_is_refused(specimen, name):
    old, new, message = BAD[name]
    assert old in SPECIMEN
    specimen.write_text(SPECIMEN.replace(old, new))
    found = problems(specimen, CONTRACTS)
    assert any(message in line for line in found), found
    assert all(re.match(r".*99-specimen\.md, (cell|all cells|line \d)", line) for line in found)


TWO_METHODS = """class mse:
    def forward(self):
        ### BEGIN SOLUTION
        return 1
        ### END SOLUTION

    def backward(self):
        ### BEGIN SOLUTION
        return 2
        ### END SOLUTION
"""


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (TWO_METHODS, None),
        ("class mse:\n    ### BEGIN SOLUTION\n    x = 1\n    ### END SOLUTION\n", "inside its methods"),
        (TWO_METHODS.replace("class mse:\n", "def mse():\n").replace("(self)", "()"), "expected one solution"),
    ],
)
def test_class_has_a_solution_in_each_of_its_methods(specimen, answer, message):
    begin = SPECIMEN.index("def mse(")
    end = SPECIMEN.index("```", begin)
    specimen.write_text(SPECIMEN[:begin] + answer + SPECIMEN[end:])
    found = problems(specimen, CONTRACTS)
    assert found == [] if message is None else message in found[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_chapter_keeps_every_rule(path):
    assert problems(path) == []
