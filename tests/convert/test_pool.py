"""Workers and their deaths: nothing is left behind, whoever dies first."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmc.clock import ManualClock
from dmc.conversions import with_own_types
from dmc.convert import pool as pool_module
from dmc.convert.launch import Died, Method
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.convert.wire import decode_order, encode
from dmc.errors import UsageFault
from dmc.jobs import Report
from tests.convert.rooms import a_job, a_pool, is_alive, progresses, reports, until_report
from tests.patience import PATIENCE_S

_HOUSEHOLD = """
import pathlib, sys, time
from tests.convert.rooms import a_job, a_pool, is_stopped, progresses, until
with open({marker!r}, "a") as marker: marker.write("main ran\\n")
with a_pool("sleeps_for_ever", method={method!r}) as pool:
    for name in ("one", "two"):
        pool.submit(a_job(pathlib.Path({folder!r}), name))
    pids = [said.worker_pid for said in progresses(pool, 2)]
    if {frozen!r}:
        pool.freeze()
        until(lambda: all(is_stopped(pid) for pid in pids), pool)
    server = getattr(pool._launcher, "_process", None)
    print(*pids, *([server.pid] if server else []), flush=True)
    while True:
        pool.wait(60)
        pool.poll()
"""


def _until(what: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    end = time.monotonic() + patience_s
    while not what() and time.monotonic() < end:
        time.sleep(0.002)
    return what()


def _household(tmp_path: Path, method: str, *, frozen: bool = False) -> tuple[subprocess.Popen[str], list[int]]:
    """Another Python that owns a pool with two workers at work; gives the pids of all it started."""
    script = tmp_path / "household.py"
    script.write_text(_HOUSEHOLD.format(marker=str(tmp_path / "marker"), folder=str(tmp_path), method=method, frozen=frozen))
    env = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": os.defpath}
    owner = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
    assert owner.stdout is not None
    return owner, [int(pid) for pid in owner.stdout.readline().split()]


@pytest.mark.parametrize("frozen", [False, True], ids=["at work", "frozen"])
@pytest.mark.parametrize("method", ["fork-server", "fresh-process"])
def test_workers_die_with_a_killed_owner(tmp_path: Path, method: str, frozen: bool) -> None:
    owner, pids = _household(tmp_path, method, frozen=frozen)
    with owner:
        assert len(pids) == (3 if method == "fork-server" else 2)
        assert all(is_alive(pid) for pid in pids)
        owner.kill()
        owner.wait()
        assert _until(lambda: not any(is_alive(pid) for pid in pids))


def test_frozen_workers_die_when_owner_and_fork_server_are_killed_together(tmp_path: Path) -> None:
    owner, pids = _household(tmp_path, "fork-server", frozen=True)
    with owner:
        os.kill(pids[-1], signal.SIGKILL)
        owner.kill()
        owner.wait()
        assert _until(lambda: not any(is_alive(pid) for pid in pids))


def test_the_owners_script_is_not_run_again(tmp_path: Path) -> None:
    owner, _ = _household(tmp_path, "fork-server")
    with owner:
        owner.kill()
        assert (tmp_path / "marker").read_text() == "main ran\n"


def test_neither_ctrl_c_nor_a_service_manager_ends_workers_behind_the_brokers_back(tmp_path: Path) -> None:
    owner, pids = _household(tmp_path, "fork-server")
    with owner:
        groups = {os.getpgid(pid) for pid in pids}
        assert os.getpgid(owner.pid) not in groups
        for pid in pids:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        assert not _until(lambda: not all(is_alive(pid) for pid in pids), patience_s=0.2)
        owner.kill()


def test_workers_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    with a_pool("copies") as pool:
        starter = threading.Thread(target=lambda: pool.submit(a_job(tmp_path)))
        starter.start()
        starter.join()
        assert until_report(pool).kind == "converted"


def test_the_death_of_the_fork_server_ends_its_jobs_and_the_next_one_runs(tmp_path: Path) -> None:
    with a_pool("sleeps_for_ever") as pool:
        pool.submit(a_job(tmp_path, "one"))
        pool.submit(a_job(tmp_path, "two"))
        pids = [said.worker_pid for said in progresses(pool, 2)]
        server = _server_of(pids[0])
        os.kill(server, signal.SIGKILL)
        ended = reports(pool, 2)
        assert {(report.item_id, report.kind, report.errors[0].code) for report in ended} == {
            ("one", "crashed", "WorkerDied"),
            ("two", "crashed", "WorkerDied"),
        }
        assert _until(lambda: not any(is_alive(pid) for pid in pids))
        pool.submit(a_job(tmp_path, "three"))
        (said,) = progresses(pool, 1)
        assert said.item_id == "three"
        assert _server_of(said.worker_pid) != server


def test_what_a_worker_left_running_is_dead_before_its_report(tmp_path: Path) -> None:
    """Only without walls can a worker leave something behind at all."""
    with a_pool("leaves_a_child_behind", sandbox="off") as pool:
        job = a_job(tmp_path)
        pool.submit(job)
        assert until_report(pool).kind == "skipped"
        assert not is_alive(int((Path(job.out_dir) / "stray").read_text() or "0"))


def test_a_stopped_fork_server_is_ended_with_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_UNHEEDED_S", 0.3)
    with a_pool("stops_its_maker", sandbox="off") as pool:
        pool.submit(a_job(tmp_path))
        (said,) = progresses(pool, 1)
        pool.cancel("item-1")
        assert until_report(pool).kind == "cancelled"
        assert _until(lambda: not is_alive(said.worker_pid))


def test_a_worker_that_lingers_after_its_report_is_ended_and_the_report_stands(tmp_path: Path) -> None:
    with a_pool("lingers_after_its_report") as pool:
        pool.submit(a_job(tmp_path))
        assert until_report(pool).kind == "skipped"


def test_a_worker_that_hangs_up_is_ended(tmp_path: Path) -> None:
    with a_pool("hangs_up") as pool:
        pool.submit(a_job(tmp_path))
        report = until_report(pool)
        assert (report.kind, report.errors[0].code) == ("crashed", "WorkerDied")
        assert "hung up" in report.errors[0].message


def test_links_in_out_are_not_believed(tmp_path: Path) -> None:
    for engine in ("links_to_the_original", "hard_links_the_original"):
        with a_pool(engine, sandbox="off") as pool:
            pool.submit(a_job(tmp_path / engine))
            report = until_report(pool)
            assert (report.kind, report.errors[0].code) == ("crashed", "BadReport"), engine


@pytest.mark.parametrize("many", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_jobs_leak_neither_descriptors_nor_processes(tmp_path: Path, many: int) -> None:
    with a_pool("copies", slots=4) as pool:
        pool.submit(a_job(tmp_path, "first"))
        until_report(pool)
        server = pool._launcher._process.pid  # type: ignore[union-attr, attr-defined]
        before = (_descriptors("self"), _descriptors(str(server)))
        begun = ended = 0
        while ended < many:
            while begun < many and pool.free_slots():
                pool.submit(a_job(tmp_path, f"item-{begun}"))
                begun += 1
            pool.wait(1.0)
            ended += sum(isinstance(said, Report) for said in pool.poll())
        assert (_descriptors("self"), _descriptors(str(server))) == before
        assert Path(f"/proc/{server}/task/{server}/children").read_text() == ""


def test_workers_tells_who_works_on_what(tmp_path: Path) -> None:
    with a_pool("sleeps_for_ever") as pool:
        assert pool.workers() == []
        pool.submit(a_job(tmp_path, attempt=3))
        (said,) = progresses(pool, 1)
        (worker,) = pool.workers()
        assert (worker.pid, worker.item_id, worker.attempt, worker.progress) == (said.worker_pid, "item-1", 3, said)
        assert worker.started_at.endswith("Z")


def test_wake_ends_a_wait_at_once() -> None:
    with a_pool("copies") as pool:
        caller = threading.Timer(0.05, pool.wake)
        began = time.monotonic()
        caller.start()
        pool.wait(10 * PATIENCE_S)
        assert time.monotonic() - began < PATIENCE_S
        caller.join()
        pool.poll()
        began = time.monotonic()
        pool.wait(0.05)
        assert time.monotonic() - began >= 0.04


def test_a_job_too_large_to_order_ends_with_a_report(tmp_path: Path) -> None:
    with a_pool("copies") as pool:
        pool.submit(a_job(tmp_path, options={"x": "y" * 100_000}))
        report = until_report(pool)
        assert (report.kind, report.errors[0].code) == ("crashed", "OrderTooLarge")
        assert pool.free_slots() == 2


def test_an_engine_that_is_not_there_ends_each_job_with_a_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with a_pool("no_such_engine") as pool:
        pool.submit(a_job(tmp_path))
        assert until_report(pool).errors[0].code == "WorkerDied"


def test_a_closed_pool_takes_no_jobs(tmp_path: Path) -> None:
    pool = WorkerPool(1, Limits(), ManualClock())
    pool.close()
    with pytest.raises(UsageFault):
        pool.submit(a_job(tmp_path))


def _server_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _descriptors(pid: str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_type_of_the_settings_comes_to_the_worker_as_its_base(tmp_path: Path) -> None:
    types = with_own_types({"tiny": {"base": "h265", "crf": 40}})
    with a_pool("tells_its_job", types=types) as pool:
        pool.submit(a_job(tmp_path, conversion_type="tiny", options={"height": 90}))
        assert json.loads(until_report(pool).reason or "") == ["h265", {"crf": 40, "height": 90}]


def test_a_default_option_counts_where_neither_type_nor_job_says_otherwise(tmp_path: Path) -> None:
    types = with_own_types({"careless": {"base": "h265", "on_loss": "continue"}})
    with a_pool("tells_its_job", types=types, defaults={"on_loss": "refuse"}) as pool:
        for name, kind, options, expected in (
            ("one", "h265", {}, "refuse"),
            ("two", "h265", {"on_loss": "continue"}, "continue"),
            ("three", "careless", {}, "continue"),
        ):
            pool.submit(a_job(tmp_path, name, conversion_type=kind, options=options))
            assert json.loads(until_report(pool).reason or "")[1]["on_loss"] == expected


def _no_process(*_: object, **__: object) -> int:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.parametrize("method", ["fork-server", "fresh-process"])
def test_a_worker_that_cannot_be_started_is_a_fault_that_time_heals(
    tmp_path: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_pool("copies", method=method) as pool:
        pool._launcher.give_up()  # As if the system had ended the fork server for its memory.
        with monkeypatch.context() as short:
            short.setattr(subprocess, "Popen", _no_process)
            pool.submit(a_job(tmp_path, "one"))
            report = until_report(pool)
        assert (report.kind, report.errors[0].code) == ("unavailable", "NoWorker")
        assert pool.free_slots() == 2
        pool.submit(a_job(tmp_path, "two"))
        assert until_report(pool).kind == "converted"


def test_the_fork_server_and_its_workers_outlive_a_fork_that_fails(tmp_path: Path) -> None:
    with a_pool("sleeps_for_ever", module="tests.convert.no_second_fork") as pool:
        pool.submit(a_job(tmp_path, "one"))
        (at_work,) = progresses(pool, 1)
        pool.submit(a_job(tmp_path, "two"))
        report = until_report(pool)
        assert (report.item_id, report.kind, report.errors[0].code) == ("two", "unavailable", "NoWorker")
        assert [worker.pid for worker in pool.workers()] == [at_work.worker_pid]
        assert is_alive(at_work.worker_pid)


def test_a_room_that_cannot_be_taken_back_ends_its_job_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: object, *_: object, **__: object) -> None:
        if "one" in str(path):
            raise OSError(errno.EIO, "Input/output error")

    with a_pool("copies", run_as=(os.getuid(), os.getgid())) as pool:
        monkeypatch.setattr(os, "chown", broken)
        for name in ("one", "two"):
            pool.submit(a_job(tmp_path, name))
        ends = {said.item_id: said for said in reports(pool, 2)}
        assert (ends["one"].kind, ends["one"].errors[0].code) == ("crashed", "BadReport")
        assert "Input/output error" in ends["one"].errors[0].message
        assert ends["two"].kind == "converted"
        assert pool.free_slots() == 2


class _SlowToEnd:
    """A launcher whose workers say what a test lets them say, and are dead when it says so."""

    def __init__(self) -> None:
        self.channels: dict[int, socket.socket] = {}
        self.dead: list[Died] = []

    def start(self) -> None: ...

    def launch(self, number: int, channel: int) -> None:
        self.channels[number] = socket.socket(fileno=os.dup(channel))

    def kill(self, number: int) -> None: ...

    def give_up(self) -> None: ...

    def happened(self) -> list[Died]:
        dead, self.dead = self.dead, []
        for one in dead:
            self.channels.pop(one.number).close()
        return dead

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close()

    def report(self, number: int) -> None:
        job = decode_order(self.channels[number].recv(1 << 16)).job
        self.channels[number].sendall(
            encode("report", Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", reason="it is one"))
        )


def test_the_next_job_begins_when_a_report_is_heard_and_that_is_told_when_its_worker_is_dead(tmp_path: Path) -> None:
    slow = _SlowToEnd()
    with a_pool("copies", slots=1, warming=slow) as pool:
        pool.submit(a_job(tmp_path, "one"))
        assert (pool.poll(), pool.free_slots()) == ([], 0)
        slow.report(1)
        assert (pool.poll(), pool.free_slots()) == ([], 1), "its process lives"
        pool.submit(a_job(tmp_path, "two"))
        assert pool.free_slots() == 0
        slow.report(2)
        assert (pool.poll(), pool.free_slots()) == ([], 0), "those that do not end are not piled up"
        slow.dead = [Died(1, 0), Died(2, 0)]
        assert [said.item_id for said in pool.poll()] == ["one", "two"]
        assert pool.free_slots() == 1


def test_a_job_that_is_alone_beside_one_that_leaves_gets_all_cores(tmp_path: Path) -> None:
    slow = _SlowToEnd()
    with a_pool("copies", slots=1, warming=slow) as pool:
        pool.submit(a_job(tmp_path, "one"))
        slow.report(1)
        pool.poll()
        pool.submit(a_job(tmp_path, "two"))
        assert decode_order(slow.channels[2].recv(1 << 16)).limits["encoder_threads"] == 0
