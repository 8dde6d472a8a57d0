"""C8: when is a file quiet? Pure looks, no disk but for the last two tests."""

import os
import subprocess
import sys
from pathlib import Path

from dmc.client.lease import has_writer
from dmc.client.model import Timing
from dmc.client.settle import Seen, Signature, found_busy, look, quiet_at, signature_of

FILE = Signature(size=10, mtime_ns=5, ctime_ns=5, inode=7, dev=1)
TIMING = Timing(settle_s=2, settle_polled_s=10, empty_s=30)


def test_C8_the_window_starts_with_the_first_look_however_old_the_file_says_it_is() -> None:
    seen = look(None, FILE._replace(mtime_ns=0), 100.0)
    assert quiet_at(seen, TIMING, polled=False) == 102.0
    assert quiet_at(seen, TIMING, polled=True) == 110.0


def test_C8_every_change_of_size_time_or_inode_starts_it_anew() -> None:
    seen = look(None, FILE, 100.0)
    assert look(seen, FILE, 101.0) == seen
    for change in ({"size": 11}, {"mtime_ns": 6}, {"ctime_ns": 6}, {"inode": 8}):
        assert look(seen, FILE._replace(**change), 101.0) == Seen(FILE._replace(**change), since=101.0, first=100.0)


def test_C8_an_empty_file_waits_thirty_seconds() -> None:
    assert quiet_at(look(None, FILE._replace(size=0), 0.0), TIMING, polled=False) == 30.0


def test_C8_a_file_in_use_waits_longer_each_time_but_never_more_than_a_minute() -> None:
    seen = look(None, FILE, 0.0)
    waits = []
    for _ in range(10):
        seen = found_busy(seen, 0.0)
        waits.append(quiet_at(seen, TIMING, polled=False))
    assert waits[:3] == [4.0, 8.0, 16.0]
    assert max(waits) == 60.0


def test_C8_another_device_number_alone_is_no_change_of_content() -> None:
    assert FILE.same_content(FILE._replace(dev=2))
    assert not FILE.same_content(FILE._replace(ctime_ns=9))


def test_C8_the_lease_tells_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert has_writer(fd) in (False, None)
        with path.open("r+b"):
            assert has_writer(fd) in (True, None)
        assert has_writer(fd) in (False, None)
    finally:
        os.close(fd)
    found = signature_of(os.stat(path))
    assert found is not None and found.size == 1


def test_C8_a_writer_that_breaks_the_lease_does_not_end_the_process(tmp_path: Path) -> None:
    """The kernel signals the holder of a broken lease, by default with a signal that kills it."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    code = (
        "import fcntl, os, subprocess, sys, dmc.client.lease as lease\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "real = fcntl.fcntl\n"
        "def held(fd, what, arg):\n"
        "    answer = real(fd, what, arg)\n"
        "    if what == fcntl.F_SETLEASE and arg == fcntl.F_RDLCK:\n"
        "        try: os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK))\n"
        "        except BlockingIOError: pass\n"
        "    return answer\n"
        "lease.fcntl.fcntl = held\n"
        "print(lease.has_writer(fd))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended
