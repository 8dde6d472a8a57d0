"""Things that a broken-into decoder would try. Each is a function of the job that succeeds or raises; run inside a worker.

`attempts` runs them all and tells, as the reason of its report, which succeeded (JSON: name → `done` or the error's name).
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from dmc.convert.limits import Limits
from dmc.convert.progress import OnProgress
from dmc.jobs import Job, Report

LIBC = ctypes.CDLL(None, use_errno=True)


def _room(job: Job) -> Path:
    return Path(job.original).parent


def reads_its_original(job: Job) -> None:
    Path(job.original).read_bytes()


def writes_and_reads_in_out(job: Job) -> None:
    made = Path(job.out_dir, "made")
    made.write_bytes(b"x")
    made.rename(Path(job.out_dir, "renamed"))
    Path(job.out_dir, "renamed").read_bytes()
    with Path(job.out_dir, "renamed").open("r+b") as file:
        file.truncate(0)
    Path(job.out_dir, "renamed").unlink()


def starts_a_thread(job: Job) -> None:
    thread = threading.Thread(target=Path(job.original).read_bytes)
    thread.start()
    thread.join()


def imports_a_module_late(job: Job) -> None:
    import colorsys  # noqa: F401


def writes_to_its_log(job: Job) -> None:
    os.write(2, b"words for the log\n")


def reads_a_system_file(job: Job) -> None:
    Path("/etc/passwd").read_bytes()


def reads_the_neighbours_original(job: Job) -> None:
    (_room(job).parent / "neighbour" / "original.bin").read_bytes()


def lists_the_neighbourhood(job: Job) -> None:
    os.listdir(_room(job).parent)


def reads_in_a_thread_what_it_may_not(job: Job) -> None:
    caught: list[OSError] = []

    def look() -> None:
        try:
            Path("/etc/passwd").read_bytes()
        except OSError as problem:
            caught.append(problem)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    if caught:
        raise caught[0]


def reads_its_makers_environment(job: Job) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def overwrites_its_original(job: Job) -> None:
    os.close(os.open(job.original, os.O_WRONLY))


def truncates_its_original(job: Job) -> None:
    os.truncate(job.original, 0)


def empties_its_original_by_opening_it(job: Job) -> None:
    os.close(os.open(job.original, os.O_RDONLY | os.O_TRUNC))


def changes_the_time_of_its_original(job: Job) -> None:
    os.utime(job.original, (0, 0))


def deletes_its_original(job: Job) -> None:
    os.unlink(job.original)


def writes_beside_its_original(job: Job) -> None:
    (_room(job) / "outcome.json").write_bytes(b"{}")


def replaces_its_log(job: Job) -> None:
    os.unlink(job.log_file)


def writes_in_tmp(job: Job) -> None:
    Path("/tmp", f"dmc-probe-{os.getpid()}").write_bytes(b"x")


def makes_a_symbolic_link(job: Job) -> None:
    Path(job.out_dir, "link").symlink_to("/etc/passwd")


def makes_a_hard_link(job: Job) -> None:
    Path(job.out_dir, "link").hardlink_to(job.original)


def makes_a_folder(job: Job) -> None:
    Path(job.out_dir, "folder").mkdir()


def makes_a_pipe(job: Job) -> None:
    os.mkfifo(Path(job.out_dir, "pipe"))


def moves_its_original_into_out(job: Job) -> None:
    os.rename(job.original, Path(job.out_dir, "original"))


def changes_the_mode_of_its_original(job: Job) -> None:
    os.chmod(job.original, 0o777)


def changes_a_mode_by_descriptor(job: Job) -> None:
    with open(job.original, "rb") as file:
        os.fchmod(file.fileno(), 0o777)


def opens_a_tcp_socket(job: Job) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def opens_a_udp_socket(job: Job) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def opens_a_unix_socket(job: Job) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()


def sets_up_io_uring(job: Job) -> None:
    _syscall(425, 1, ctypes.create_string_buffer(256))


def runs_a_program(job: Job) -> None:
    subprocess.run(["/bin/true"], check=True)


def becomes_a_program(job: Job) -> None:
    os.execv("/bin/true", ["true"])


def forks(job: Job) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def signals_its_maker(job: Job) -> None:
    os.kill(os.getppid(), 0)


def signals_its_maker_by_queue(job: Job) -> None:
    _syscall(129, os.getppid(), 0, ctypes.create_string_buffer(128))


def lets_the_kernel_signal_its_maker(job: Job) -> None:
    ours, theirs = os.pipe()
    try:
        fcntl.fcntl(ours, fcntl.F_SETOWN, os.getppid())
    finally:
        os.close(ours)
        os.close(theirs)


def limits_its_maker(job: Job) -> None:
    kind = resource.RLIMIT_CORE
    resource.prlimit(os.getppid(), kind, resource.prlimit(os.getppid(), kind))


def slows_its_maker(job: Job) -> None:
    os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))


def slows_its_maker_by_its_processors(job: Job) -> None:
    os.sched_setaffinity(os.getppid(), os.sched_getaffinity(os.getppid()))


def traces_its_maker(job: Job) -> None:
    _syscall(101, 16, os.getppid(), 0, 0)


def forgets_whose_child_it_is(job: Job) -> None:
    if LIBC.prctl(1, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def takes_a_new_namespace(job: Job) -> None:
    if LIBC.unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def mounts(job: Job) -> None:
    if LIBC.mount(b"none", job.out_dir.encode(), b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")


def becomes_another_user(job: Job) -> None:
    os.setuid(12345)


def _syscall(number: int, *arguments: object) -> None:
    if LIBC.syscall(ctypes.c_long(number), *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


NEEDED = (reads_its_original, writes_and_reads_in_out, starts_a_thread, imports_a_module_late, writes_to_its_log)
"""What an engine must be able to do."""

REFUSED = (
    reads_a_system_file,
    reads_the_neighbours_original,
    lists_the_neighbourhood,
    reads_in_a_thread_what_it_may_not,
    reads_its_makers_environment,
    overwrites_its_original,
    truncates_its_original,
    empties_its_original_by_opening_it,
    changes_the_time_of_its_original,
    deletes_its_original,
    writes_beside_its_original,
    replaces_its_log,
    writes_in_tmp,
    makes_a_symbolic_link,
    makes_a_hard_link,
    makes_a_folder,
    makes_a_pipe,
    moves_its_original_into_out,
    changes_the_mode_of_its_original,
    changes_a_mode_by_descriptor,
    opens_a_tcp_socket,
    opens_a_udp_socket,
    opens_a_unix_socket,
    sets_up_io_uring,
    runs_a_program,
    becomes_a_program,
    forks,
    signals_its_maker,
    signals_its_maker_by_queue,
    lets_the_kernel_signal_its_maker,
    limits_its_maker,
    slows_its_maker,
    slows_its_maker_by_its_processors,
    traces_its_maker,
    forgets_whose_child_it_is,
    takes_a_new_namespace,
    mounts,
    becomes_another_user,
)
"""What the walls must refuse."""

_MEDDLING = (takes_a_new_namespace, mounts, becomes_another_user, becomes_a_program, traces_its_maker)
"""Not to be tried without walls: they would change the worker or stop its maker."""


def attempts(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """Try everything; what is refused raises OSError."""
    found = {probe.__name__: _try(probe, job) for probe in (*NEEDED, *REFUSED)}
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason=json.dumps(found))


def attempts_without_walls(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """The same where nothing refuses, to see that the probes are real; only those that harm nobody."""
    harmless = [probe for probe in (*NEEDED, *REFUSED) if probe not in _MEDDLING]
    found = {probe.__name__: _try(probe, job) for probe in harmless}
    Path("/tmp", f"dmc-probe-{os.getpid()}").unlink(missing_ok=True)
    for name in os.listdir(job.out_dir):
        path = Path(job.out_dir, name)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason=json.dumps(found))


def _try(probe: Callable[[Job], None], job: Job) -> str:
    try:
        probe(job)
    except OSError as problem:
        return type(problem).__name__
    return "done"


def tells_its_state(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """User, priority, signals, limits and descriptors, as the worker has them."""
    facts = {
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "session": os.getsid(0) == os.getpid(),
        "sigint_ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "umask": os.umask(0o077),
        "cwd_is_out": os.getcwd() == os.path.realpath(job.out_dir),
        "descriptors": len([fd for fd in range(256) if _is_open(fd)]),
    }
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason=json.dumps(facts))


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def works_in_its_room(job: Job, limits: Limits, tell: OnProgress) -> Report:
    """What a worker under another user must be able to do with the files that it was lent; then whether it sees its neighbours."""
    reads_its_original(job)
    writes_and_reads_in_out(job)
    (Path(job.out_dir) / "left.bin").write_bytes(b"left")
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason=_try(lists_the_neighbourhood, job))
