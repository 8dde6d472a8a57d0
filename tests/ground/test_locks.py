"""Locks between processes and threads."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dmc.errors import Locked
from dmc.locks import ProcessLock

HOLD = """
import sys
from pathlib import Path
from dmc.locks import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
lock.acquire()
print('held', flush=True)
sys.stdin.read()
"""


def _holder(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_what_was_waited_for_a_lock_is_counted_also_in_vain(tmp_path: Path) -> None:
    lock, holder = ProcessLock(tmp_path / "a.lock"), ProcessLock(tmp_path / "a.lock")
    with lock.held():
        assert lock.waits.count == 1
    with holder.held(), pytest.raises(Locked):
        lock.acquire(timeout_s=0.05)
    assert lock.waits.count == 2 and lock.waits.seconds >= 0.05
    assert holder.waits.count == 1


def test_a_second_process_is_refused_and_a_dead_holder_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = ProcessLock(path, timeout_s=20, holder_hint="Ask it to stop.")
    with _holder(path) as holder:
        with pytest.raises(Locked, match="Ask it to stop"):
            lock.acquire(timeout_s=0.01)
        holder.kill()
        with lock.held():
            assert path.exists()
    assert path.exists()


def test_two_threads_are_never_in_at_once(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "a.lock")
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock.held():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_lock_whose_file_was_deleted_is_taken_on_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with _holder(path) as holder:
        path.unlink()
        with ProcessLock(path).held():
            tried = subprocess.run(
                [sys.executable, "-c", HOLD.replace("acquire()", "acquire(0.01)"), str(path)], capture_output=True, text=True
            )
            assert "Locked" in tried.stderr
        holder.kill()
