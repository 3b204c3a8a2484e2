from pathlib import Path

import pytest
from hypothesis import settings

from specimen import SPECIMEN

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repeatable")


@pytest.fixture
def specimen(tmp_path: Path) -> Path:
    path = tmp_path / "99-specimen.md"
    path.write_text(SPECIMEN)
    return path
