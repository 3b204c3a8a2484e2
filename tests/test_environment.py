"""pyproject.toml says what is needed, constraints.txt which versions, environment.yml uses both, and we run on them."""

import re
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from specimen import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
PINS = {r.name: Version(str(r.specifier).removeprefix("==")) for r in CONSTRAINTS}
NEEDED = [Requirement(line) for line in PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]]
PYTHONS = SpecifierSet(PROJECT["project"]["requires-python"])


def test_constraints_are_one_exact_version_each():
    assert all(re.fullmatch(r"==[\w.]+", str(r.specifier)) for r in CONSTRAINTS)
    assert len(PINS) == len(CONSTRAINTS)


@pytest.mark.parametrize("need", NEEDED, ids=str)
def test_what_is_needed_is_pinned_and_installed(need):
    assert PINS[need.name] in need.specifier
    assert Version(version(need.name)).public == str(PINS[need.name])


def test_what_runs_here_is_what_constraints_say():
    here = {r.name: Version(version(r.name)).public for r in CONSTRAINTS if r.marker is None}
    assert here == {r.name: str(PINS[r.name]) for r in CONSTRAINTS if r.marker is None}


def test_conda_brings_python_and_pip_the_rest():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, through_pip = environment["dependencies"]
    assert python.removeprefix("python=") in PYTHONS
    assert pip == "pip"
    assert through_pip == {"pip": ["--constraint constraints.txt", "--editable ."]}
    makefile = (ROOT / "Makefile").read_text()
    assert all(option in makefile for option in through_pip["pip"])


def test_supported_pythons_are_said_alike():
    supported = [v for v in ("3.10", "3.11", "3.12", "3.13", "3.14") if v in PYTHONS]
    assert supported == ["3.11", "3.12", "3.13"]
    assert "3.11 to 3.13" in (ROOT / "README.md").read_text()
    assert "3.11 to 3.13" in (ROOT / "Makefile").read_text()
