"""The arrows of the architecture: imports run one way, and the top level holds nothing unexpected."""

import ast

import pytest

from specimen import ROOT

# For each package, what it may import of this repository besides itself. All else is against the arrows.
MAY_IMPORT = {
    "backprop": set(),
    "autograder.checking": {"backprop"},
    "autograder.exercises": {"backprop", "autograder.checking"},
    "autograder.grading": {"backprop", "autograder.checking", "autograder.exercises", "autograder"},
    "autograder.cli": {"backprop", "autograder.checking", "autograder.exercises", "autograder.grading", "autograder"},
    "autograder": {"backprop", "autograder.checking", "autograder.exercises"},
}
NOTEBOOK_TOOLS = {"jupytext", "nbclient", "nbconvert", "nbformat", "nbgrader", "jupyter_client", "ipykernel"}
WITHOUT_NOTEBOOKS = ("backprop", "autograder.checking", "autograder.exercises")

TOP_LEVEL = {
    *("README.md", "environment.yml", "pyproject.toml", "constraints.txt", "Makefile"),
    *("solutions", "chapters", "autograder", "book", "tests"),
}


def package_of(name: str) -> str | None:
    """The entry of MAY_IMPORT that a name belongs to, the innermost one."""
    return max((p for p in MAY_IMPORT if f"{name}.".startswith(f"{p}.")), key=len, default=None)


def imported_names(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            found |= {f"{dots}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


def against_the_arrows(source: str, module: str) -> set[str]:
    home = package_of(module)
    names = imported_names(source)
    wrong = {name for name in names if package_of(name) not in {None, home, *MAY_IMPORT[home]}}
    relative = {name for name in names if name.startswith(".")}
    tools = {name for name in names if name.partition(".")[0] in NOTEBOOK_TOOLS and home in WITHOUT_NOTEBOOKS}
    return wrong | relative | tools


def modules():
    for folder, package in ((ROOT / "solutions", "backprop"), (ROOT, "autograder")):
        for path in sorted((folder / package).rglob("*.py")):
            name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            yield pytest.param(path, name, id=name)


@pytest.mark.parametrize(("path", "module"), list(modules()))
def test_imports_follow_the_arrows(path, module):
    assert against_the_arrows(path.read_text(), module) == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("backprop.losses", "from autograder import check"),
        ("backprop.losses", "import autograder.checking"),
        ("autograder.checking.verdict", "from autograder.exercises import EXERCISES"),
        ("autograder.checking.verdict", "def f():\n    from autograder import exercises"),
        ("autograder.exercises.losses", "from autograder.grading.chapters import read_source"),
        ("autograder.exercises.losses", "import nbgrader.api"),
        ("autograder", "from autograder import grading"),
        ("autograder.exercises.losses", "from autograder import check"),
        ("autograder.exercises.losses", "from . import layers"),
        ("autograder.grading.chapters", "import autograder.cli"),
    ],
)
def test_import_against_the_arrows_is_found(module, source):
    assert against_the_arrows(source, module)


def unexpected(entries: set[str]) -> set[str]:
    made_by_tools = {entry for entry in entries if entry.startswith((".", "__pycache__")) or ".egg-info" in entry}
    return entries - made_by_tools - TOP_LEVEL


def test_top_level_holds_the_listed_entries_only():
    entries = {path.name for path in ROOT.iterdir()}
    assert unexpected(entries) == set()
    assert entries >= TOP_LEVEL


def test_unexpected_top_level_entry_is_found():
    assert unexpected({"README.md", ".ci", "gradients.egg-info", "utils"}) == {"utils"}
