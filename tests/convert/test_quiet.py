"""Workers leave processor and disk to others, and say what the kernel did not let them."""

import subprocess
import sys

import pytest

from dmc.convert import quiet

_CHILD = """
import os
from dmc.convert import quiet
before = quiet.idle_refused()
done, refused = quiet.be_quiet(7)
print(os.nice(0), before, done, refused, sep="|")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the idle class is Linux's")
def test_a_quiet_process_says_what_it_gave_up() -> None:
    said = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    nice, before, done, refused = said.split("|")
    assert int(nice) >= 7
    if before == "None":
        assert (done, refused) == ("['nice 7', 'idle I/O']", "[]")
    else:
        assert done == "['nice 7']"
        assert before in refused


def test_a_kernel_that_refuses_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_set", lambda _value: "Operation not permitted")
    monkeypatch.setattr("os.nice", lambda _by: 0)
    assert quiet.be_quiet(0) == ([], ["idle I/O: Operation not permitted"])
