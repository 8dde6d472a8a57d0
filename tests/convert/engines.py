"""Engines that misbehave, each in one way, and one that does not. Imported by worker processes; see rooms.py."""

import ctypes
import faulthandler
import hashlib
import json
import os
import pickle
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dmc.convert.limits import Limits
from dmc.convert.progress import OnProgress
from dmc.convert.worker import Engine
from dmc.errors import DiskFull, NotMedia
from dmc.jobs import Job, Progress, Report, ResultFacts


class _Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


def progress(job: Job, fraction: float) -> Progress:
    return Progress(item_id=job.item_id, attempt=job.attempt, worker_pid=os.getpid(), fraction=fraction)


def _tell_nobody(fraction: float, speed: float | None, eta_s: float | None) -> None:
    pass


def finished(job: Job, name: str = "result.txt") -> Report:
    made = Path(job.out_dir, name).read_bytes()
    facts = ResultFacts(file_name=name, file_size=len(made), sha512_checksum=hashlib.sha512(made).hexdigest())
    return Report(item_id=job.item_id, attempt=job.attempt, kind="converted", result=facts)


def chosen(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """The engine that the job's conversion type names, so that one pool can play them all."""
    engine: Engine = globals()[job.conversion_type]
    return engine(job, limits, tell)


def copies(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """The one that does its work."""
    tell(0.5, None, None)
    Path(job.out_dir, "result.txt").write_bytes(Path(job.original).read_bytes())
    return finished(job)


def tells_its_job(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """Says what it was told to make."""
    reason = json.dumps([job.conversion_type, job.options])
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason=reason)


def skips(job: Job, limits: Limits, tell: OnProgress) -> Report:
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason="already so")


def refuses(job: Job, limits: Limits, tell: OnProgress) -> Report:
    raise NotMedia("this is a shopping list.", "Convert a film.")


def finds_the_disk_full(job: Job, limits: Limits, tell: OnProgress) -> Report:
    raise DiskFull("no room.")


def raises(job: Job, limits: Limits, tell: OnProgress) -> Report:
    raise ZeroDivisionError("on purpose")


def exits_at_once(job: Job, limits: Limits, tell: OnProgress) -> Report:
    os._exit(3)


def exits_politely(job: Job, limits: Limits, tell: OnProgress) -> Report:
    sys.exit(0)


def kills_itself(job: Job, limits: Limits, tell: OnProgress) -> Report:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def crashes_natively(job: Job, limits: Limits, tell: OnProgress) -> Report:
    faulthandler._sigsegv()
    raise AssertionError


def sleeps_for_ever(job: Job, limits: Limits, tell: OnProgress) -> Report:
    Path(job.out_dir, "half").write_bytes(b"half a result")
    tell(0.1, None, None)
    while True:
        time.sleep(3600)


def holds_the_interpreter(job: Job, limits: Limits, tell: OnProgress) -> Report:
    ctypes.PyDLL(None).sleep(3600)  # never lets go of Python's own lock
    raise AssertionError


def goes_backwards(job: Job, limits: Limits, tell: OnProgress) -> Report:
    Path(job.out_dir, "result.txt").write_bytes(b"x")
    for step in range(40):
        tell((step % 7) / 7 * 1.5, None, None)
        time.sleep(0.02)
    return finished(job)


def reports_two_ends(job: Job, limits: Limits, tell: OnProgress) -> Report:
    line = json.dumps({"report": skips(job, limits, tell).model_dump()})
    _say(f"{line}\n{line}\n".encode())
    return skips(job, limits, tell)


def writes_rubbish(job: Job, limits: Limits, tell: OnProgress) -> Report:
    _say(b"\x80\x04\x95 this is no JSON\n")
    return sleeps_for_ever(job, limits, _tell_nobody)


def sends_a_pickle(job: Job, limits: Limits, tell: OnProgress) -> Report:
    _say(pickle.dumps(_Bomb(f"{job.log_file}.pwned")) + b"\n")
    return sleeps_for_ever(job, limits, _tell_nobody)


def floods_with_progress(job: Job, limits: Limits, tell: OnProgress) -> Report:
    line = json.dumps({"progress": progress(job, 0.5).model_dump()}).encode() + b"\n"
    while True:
        _say(line * 1000)


def floods_without_lines(job: Job, limits: Limits, tell: OnProgress) -> Report:
    while True:
        _say(b"x" * 100_000)


def sends_not_a_number(job: Job, limits: Limits, tell: OnProgress) -> Report:
    _say(json.dumps({"progress": {**progress(job, 0.5).model_dump(), "fraction": float("nan")}}).encode() + b"\n")
    return sleeps_for_ever(job, limits, _tell_nobody)


def speaks_for_another_item(job: Job, limits: Limits, tell: OnProgress) -> Report:
    return finished_elsewhere(job)


def finished_elsewhere(job: Job) -> Report:
    Path(job.out_dir, "result.txt").write_bytes(b"x")
    return finished(job).model_copy(update={"item_id": "another"})


def claims_a_result(job: Job, limits: Limits, tell: OnProgress) -> Report:
    facts = ResultFacts(file_name="result.txt", file_size=5, sha512_checksum="0" * 128)
    return Report(item_id=job.item_id, attempt=job.attempt, kind="converted", result=facts)


def points_outside(job: Job, limits: Limits, tell: OnProgress) -> Report:
    facts = ResultFacts(file_name="../original.bin", file_size=job.file_size, sha512_checksum="0" * 128)
    return Report(item_id=job.item_id, attempt=job.attempt, kind="converted", result=facts)


def links_to_the_original(job: Job, limits: Limits, tell: OnProgress) -> Report:
    Path(job.out_dir, "result.txt").symlink_to(job.original)
    return finished(job)


def hard_links_the_original(job: Job, limits: Limits, tell: OnProgress) -> Report:
    os.link(job.original, Path(job.out_dir, "result.txt"))
    return finished(job)


def leaves_a_child_behind(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """Its grandchild would go on writing into out/ for ever, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                Path(job.out_dir, "stray").write_text(str(os.getpid()))
                time.sleep(0.001)
        os._exit(0)
    os.wait()
    while not Path(job.out_dir, "stray").exists():
        time.sleep(0.001)
    return skips(job, limits, tell)


def lingers_after_its_report(job: Job, limits: Limits, tell: OnProgress) -> Report:
    _say(json.dumps({"report": skips(job, limits, tell).model_dump()}).encode() + b"\n")
    return sleeps_for_ever(job, limits, _tell_nobody)


def hangs_up(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """Closes its end of the channel and goes on."""
    os.close(channel())
    time.sleep(3600)
    raise AssertionError


def eats_memory(job: Job, limits: Limits, tell: OnProgress) -> Report:
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))


def grows_a_file(job: Job, limits: Limits, tell: OnProgress) -> Report:
    with Path(job.out_dir, "result.txt").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def opens_everything(job: Job, limits: Limits, tell: OnProgress) -> Report:
    held = []
    while True:
        held.append(open(job.original, "rb"))  # noqa: SIM115


def burns_processor_time(job: Job, limits: Limits, tell: OnProgress) -> Report:
    while True:
        pass


def works_hard_for_a_while(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """Two threads that use up processor time, until its report is asked for: the file `enough` in out/."""
    over = threading.Event()
    helper = threading.Thread(target=lambda: [None for _ in iter(over.is_set, True)])
    helper.start()
    tell(0.1, None, None)
    while not Path(job.out_dir, "enough").exists():
        tell(0.2, 2.0, 10.0)
    Path(job.out_dir, "enough").unlink()
    over.set()
    helper.join()
    return copies(job, limits, tell)


def stops_its_maker(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """Only without walls: the process that should kill it no longer runs."""
    os.kill(os.getppid(), signal.SIGSTOP)
    return sleeps_for_ever(job, limits, tell)


def ignores_every_signal(job: Job, limits: Limits, tell: OnProgress) -> Report:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    return sleeps_for_ever(job, limits, tell)


def channel() -> int:
    """The descriptor on which the worker speaks to the pool, as somebody who broke into it would find it."""
    for fd in range(3, 128):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
        except OSError:
            continue
    raise AssertionError("no channel")


def _say(data: bytes) -> None:
    while data:
        data = data[os.write(channel(), data) :]


def says_too_much(job: Job, limits: Limits, tell: OnProgress) -> Report:
    raise NotMedia("x" * 200_000)
