"""Fixtures that several rooms' tests share."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dmc", deadline=None)  # Wall time says nothing on a busy machine.
settings.load_profile("dmc")

# Settings of whoever runs the tests are not those of the tests, and no proxy stands between them and this machine.
for _name in [name for name in os.environ if name.startswith(("DMC_", "XDG_")) or name.lower().endswith("_proxy")]:
    del os.environ[_name]

_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"


def pytest_configure() -> None:
    """A shell without job control starts what goes to the background with Ctrl-C ignored, and that is inherited: by the commands of tests
    too, which then rightly ignored theirs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody's: without settings, and whatever is written there goes with the tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(tmp_path_factory.mktemp("nobody")))
        yield


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that a test runs in this process begins logging to a stream that is closed when the test ends."""
    log = logging.getLogger("dmc")
    before = list(log.handlers), log.level, log.propagate
    yield
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real media files beside the checkout; they are not part of the repository."""
    if not (_MEDIA / "MANIFEST.json").is_file():
        pytest.skip("the folder of real media files (../shared/media) is not there")
    return _MEDIA
