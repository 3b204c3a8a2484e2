import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from specimen import SPECIMEN

# What tests check is nobody's progress, in this process and in those that it starts.
_data_home = tempfile.TemporaryDirectory()
os.environ["XDG_DATA_HOME"] = _data_home.name

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repeatable")


@pytest.fixture
def specimen(tmp_path: Path) -> Path:
    path = tmp_path / "99-specimen.md"
    path.write_text(SPECIMEN)
    return path
