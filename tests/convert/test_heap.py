"""Large buffers are kept for the next one. In a process of its own, since the change is for life."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource
from dmc.convert.heap import keep_large_buffers
if {kept}:
    keep_large_buffers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(20_000_000)[::4096]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*, kept: bool) -> int:
    command = [sys.executable, "-c", _FAULTS.format(kept=kept)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc on Linux can be told")
def test_large_buffers_that_are_kept_cost_fewer_page_faults() -> None:
    assert _faults(kept=True) <= 0.75 * _faults(kept=False)
