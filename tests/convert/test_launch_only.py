"""The warm process as the only worker: the same ends as any worker has, with one process less."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmc.convert import sandbox
from dmc.convert.launch_only import OnlyWorker
from dmc.convert.pool import WorkerPool
from tests.convert.rooms import a_job, a_pool, is_alive, is_stopped, progresses, until, until_report

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers that become what warmed up are Linux's")

_OWNER = """
import pathlib, sys
from dmc.convert.launch_only import OnlyWorker
from tests.convert.rooms import a_job, a_pool, is_stopped, progresses, until
warm = OnlyWorker("tests.convert.engines:sleeps_for_ever")
warm.expect_one()
with a_pool("sleeps_for_ever", warming=warm) as pool:
    pool.submit(a_job(pathlib.Path(sys.argv[1])))
    (said,) = progresses(pool, 1)
    if sys.argv[2] == "frozen":
        pool.freeze()
        until(lambda: is_stopped(said.worker_pid), pool)
    print(said.worker_pid, flush=True)
    while True:
        pool.wait(60)
        pool.poll()
"""


@contextmanager
def _only(engine: str) -> Iterator[WorkerPool]:
    warm = OnlyWorker(f"tests.convert.engines:{engine}")
    warm.expect_one()
    with a_pool(engine, warming=warm) as pool:
        yield pool


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_warm_process_is_the_worker(tmp_path: Path) -> None:
    with _only("sleeps_for_ever") as pool:
        pool.submit(a_job(tmp_path))
        (said,) = progresses(pool, 1)
        assert _parent_of(said.worker_pid) == os.getpid()
        assert not Path(f"/proc/{said.worker_pid}/task/{said.worker_pid}/children").read_text()
    assert not is_alive(said.worker_pid)


@pytest.mark.parametrize(
    ("engine", "kind"), [("copies", "converted"), ("refuses", "failed"), ("exits_at_once", "crashed"), ("kills_itself", "crashed")]
)
def test_its_job_ends_as_any_job_does(tmp_path: Path, engine: str, kind: str) -> None:
    with _only(engine) as pool:
        pool.submit(a_job(tmp_path))
        assert until_report(pool).kind == kind


def test_it_builds_the_same_walls(tmp_path: Path) -> None:
    with _only("copies") as pool:
        pool.submit(a_job(tmp_path))
        until_report(pool)
        assert pool.walls().missing == () or sandbox.status("best-effort").missing
        assert "seccomp" in " ".join(pool.walls().active) or sandbox.status("best-effort").missing


def test_its_end_is_heard_at_once(tmp_path: Path) -> None:
    """Without the descriptor of the process the pool would look again and again."""
    warm = OnlyWorker("tests.convert.engines:sleeps_for_ever")
    warm.expect_one()
    with a_pool("sleeps_for_ever", warming=warm) as pool:
        pool.submit(a_job(tmp_path))
        (said,) = progresses(pool, 1)
        (end,) = warm.descriptors()
        assert not select.select([end], [], [], 0)[0]
        os.kill(said.worker_pid, signal.SIGKILL)
        assert select.select([end], [], [], 60)[0] == [end]
        assert until_report(pool).kind == "crashed" and not warm.descriptors()


def test_after_it_another_worker_begins(tmp_path: Path) -> None:
    with _only("copies") as pool:
        for name in ("one", "two", "three"):
            pool.submit(a_job(tmp_path, name))
            assert until_report(pool).kind == "converted"


def test_beside_it_another_worker_begins(tmp_path: Path) -> None:
    with _only("sleeps_for_ever") as pool:
        for name in ("one", "two"):
            pool.submit(a_job(tmp_path, name))
        pids = [said.worker_pid for said in progresses(pool, 2)]
        pool.cancel("item-none")
        for name in ("one", "two"):
            pool.cancel(name)
            ended = until_report(pool)
            assert (ended.item_id, ended.kind) == (name, "cancelled")
        assert not any(is_alive(pid) for pid in pids)


def test_it_is_frozen_and_thawed(tmp_path: Path) -> None:
    with _only("sleeps_for_ever") as pool:
        pool.submit(a_job(tmp_path))
        (said,) = progresses(pool, 1)
        pool.freeze()
        until(lambda: is_stopped(said.worker_pid), pool)
        pool.thaw()
        until(lambda: not is_stopped(said.worker_pid), pool)


@pytest.mark.parametrize("state", ["at work", "frozen"])
def test_it_dies_with_a_killed_owner(tmp_path: Path, state: str) -> None:
    env = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": os.defpath}
    command = [sys.executable, "-c", _OWNER, str(tmp_path), state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
        owner.wait()
        until(lambda: not is_alive(pid))


_FORKED = """
import json, pathlib, sys
from dmc.assemble.warm import warm_workers
warm = warm_workers(fork=True)
before = "PIL.Image" in sys.modules, "av" in sys.modules
warm.expect_one()
from tests.convert.rooms import a_job, a_pool, until_report
with a_pool("copies", warming=warm) as pool:
    kinds = []
    for name in sys.argv[2:]:
        pool.submit(a_job(pathlib.Path(sys.argv[1]), name))
        kinds.append(until_report(pool).kind)
print(json.dumps([*before, kinds]))
"""


def test_forked_from_its_owner_it_works_as_well_and_after_it_others(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": os.defpath}
    command = [sys.executable, "-c", _FORKED, str(tmp_path), "one", "two"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    pillow, libav, kinds = json.loads(done.stdout)
    assert kinds == ["converted", "converted"], done.stderr
    assert not pillow and not libav, "the owner never loads what only workers need"
