"""Fixtures that several rooms' tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dmc", deadline=None)  # Wall time says nothing on a busy machine.
settings.load_profile("dmc")

_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real media files beside the checkout; they are not part of the repository."""
    if not (_MEDIA / "MANIFEST.json").is_file():
        pytest.skip("the folder of real media files (../shared/media) is not there")
    return _MEDIA
