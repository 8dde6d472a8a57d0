"""The walls around a worker, tried from inside: what an engine needs works, what a broken-into decoder would try does not."""

import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dmc.assemble.workers import worker_ids
from dmc.clock import SystemClock
from dmc.convert import landlock, sandbox, seccomp
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.errors import BadSettings
from dmc.server_settings import ServerSettings
from tests.convert import probes
from tests.convert.rooms import a_job, a_pool, until_report

_ALL_WALLS = landlock.absent() is None and seccomp.absent() is None
needs_walls = pytest.mark.skipif(not _ALL_WALLS, reason="this kernel has no Landlock or no seccomp")


def _tried(tmp_path: Path, engine: str, **settings: object) -> tuple[dict[str, str], WorkerPool]:
    a_job(tmp_path, "neighbour")
    with a_pool(engine, module="tests.convert.probes", **settings) as pool:
        pool.submit(a_job(tmp_path))
        report = until_report(pool)
        assert report.kind == "skipped", report
        return json.loads(report.reason or ""), pool


@needs_walls
@pytest.mark.parametrize("method", ["fork-server", "fresh-process"])
def test_what_a_worker_needs_works_and_what_it_does_not_need_is_refused(tmp_path: Path, method: str) -> None:
    found, _ = _tried(tmp_path, "attempts", sandbox="required", method=method)
    assert {name: said for name, said in found.items() if name in {probe.__name__ for probe in probes.NEEDED}} == {
        probe.__name__: "done" for probe in probes.NEEDED
    }
    assert [name for name, said in found.items() if said == "done"] == [probe.__name__ for probe in probes.NEEDED]
    assert len(found) == len(probes.NEEDED) + len(probes.REFUSED)


def test_without_walls_the_probes_do_what_they_say(tmp_path: Path) -> None:
    """Else their being refused would prove nothing."""
    found, _ = _tried(tmp_path, "attempts_without_walls", sandbox="off")
    refused_anyway = {name for name, said in found.items() if said != "done"}
    # Those that come after the original was deleted, those that need luck with the kernel's settings, and io_uring's odd arguments.
    assert refused_anyway <= {
        "makes_a_hard_link",
        "moves_its_original_into_out",
        "changes_the_mode_of_its_original",
        "changes_a_mode_by_descriptor",
        "sets_up_io_uring",
        "traces_its_maker",
        "signals_its_maker_by_queue",
        "reads_its_makers_environment",
        "opens_a_unix_socket",
    }


def test_the_worker_is_quiet_and_alone(tmp_path: Path) -> None:
    found, _ = _tried(tmp_path, "tells_its_state")
    assert found["session"] and found["sigint_ignored"] and found["cwd_is_out"]
    assert int(found["nice"]) >= 10
    assert int(found["umask"]) == 0o077
    assert int(found["descriptors"]) == 4, "three for the log, one for the pool"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_worker_of_root_becomes_the_configured_user() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        job = a_job(Path(folder))
        with a_pool("tells_its_state", module="tests.convert.probes", run_as=(65534, 65534)) as pool:
            pool.submit(job)
            report = until_report(pool)
            assert report.kind == "skipped", report
            found = json.loads(report.reason or "")
            assert (found["uid"], found["groups"]) == (65534, [])
            assert "user 65534" in pool.walls().active


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_files_are_lent_to_the_workers_user_and_taken_back() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        data = Path(folder) / "data"
        settings = ServerSettings(data_folder=data, worker_user="nobody")
        ids = worker_ids(settings)
        nobody = pwd.getpwnam("nobody")
        assert ids == (nobody.pw_uid, nobody.pw_gid)
        assert data.stat().st_mode & 0o777 == 0o711
        job = a_job(data / "in_progress")
        item = Path(job.out_dir).parent
        os.chmod(item, 0o700)
        os.chmod(job.original, 0o600)
        with a_pool("works_in_its_room", module="tests.convert.probes", run_as=ids) as pool:
            pool.submit(job)
            report = until_report(pool)
        assert report.kind == "skipped", report
        assert report.reason != "done"
        assert {path.stat().st_uid for path in (Path(job.out_dir), *Path(job.out_dir).iterdir())} == {0}
        assert item.stat().st_mode & 0o777 == 0o700, "the next worker of that user has no business here"


def test_a_workers_user_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name, words in (("nobody-of-that-name", "no user"), ("root", "must not be root")):
        with pytest.raises(BadSettings, match=words):
            worker_ids(ServerSettings(data_folder=tmp_path / "data", worker_user=name))


def test_what_is_active_is_told_by_the_worker_itself(tmp_path: Path) -> None:
    _, pool = _tried(tmp_path, "tells_its_state")
    walls = pool.walls()
    assert walls.mode == "best-effort"
    assert walls.active[0].startswith("limits: 8192 MiB of memory")
    if _ALL_WALLS:
        assert any(said.startswith("Landlock") for said in walls.active)
        assert any(said.startswith("seccomp") for said in walls.active)
        assert walls.missing == ()


def test_switched_off_is_said(tmp_path: Path) -> None:
    _, pool = _tried(tmp_path, "tells_its_state", sandbox="off")
    assert pool.walls().missing == ("Landlock: switched off", "seccomp: switched off")


def test_required_walls_that_cannot_be_built_are_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "absent", lambda: "Function not implemented")
    assert "Landlock: Function not implemented" in sandbox.status("best-effort").missing
    pool = WorkerPool(1, Limits(), SystemClock(), sandbox="required")
    with pytest.raises(BadSettings, match="Landlock"):
        pool.start()
    pool.close()


@pytest.mark.parametrize(
    ("engine", "limits", "kind", "code"),
    [
        ("eats_memory", Limits(memory_bytes=1 << 30), "failed", "TooLarge"),
        ("grows_a_file", Limits(file_size_bytes=10 << 20), "failed", "TooLarge"),
        ("opens_everything", Limits(open_files=64), "crashed", "StillBroken"),
        ("burns_processor_time", Limits(cpu_s=1), "failed", "TooLarge"),
    ],
)
def test_the_kernel_counts_what_a_worker_uses(tmp_path: Path, engine: str, limits: Limits, kind: str, code: str) -> None:
    with a_pool(engine, limits=limits) as pool:
        pool.submit(a_job(tmp_path))
        report = until_report(pool)
        assert (report.kind, report.errors[0].code) == (kind, code), report


def test_filters_of_both_architectures_are_whole() -> None:
    """Every jump stays inside, and the last instruction decides."""
    for machine in (seccomp._X86_64, seccomp._AARCH64):
        code = seccomp.program(machine, os.getpid())
        count = len(code) // 8
        assert len(code) % 8 == 0 and 20 < count < 4096
        for index in range(count):
            instruction = code[8 * index : 8 * index + 8]
            operation = int.from_bytes(instruction[:2], sys.byteorder)
            if operation in (0x15, 0x35, 0x45):
                assert index + 1 + max(instruction[2], instruction[3]) < count
        assert int.from_bytes(code[-8:-6], sys.byteorder) == 0x06


_EMPTYING = """
import os, sys
from dmc.convert import sandbox, seccomp
sandbox._no_new_privileges()
seccomp.restrict()
def tried(what):
    try:
        what()
    except PermissionError:
        return "refused"
    return "done"
path = sys.argv[1]
print(tried(lambda: os.truncate(path, 0)), *(tried(lambda: os.open(path, flags | os.O_TRUNC)) for flags in (os.O_RDONLY, 3)))
assert open(path).read() == "kept"
os.close(os.open(path, os.O_RDONLY))
with open(path, "w") as file:
    file.write("written")
with open(path, "r+") as file:
    file.truncate(3)
with os.fdopen(os.open(path, os.O_RDWR | os.O_TRUNC), "w") as file:
    file.write("anew")
"""


@pytest.mark.skipif(seccomp.absent() is not None, reason="this kernel has no seccomp")
def test_where_landlock_is_too_old_for_that_the_filter_alone_keeps_files_from_being_emptied(tmp_path: Path) -> None:
    (tmp_path / "original").write_text("kept")
    run = subprocess.run([sys.executable, "-c", _EMPTYING, str(tmp_path / "original")], capture_output=True, text=True, check=False)
    assert (run.stdout.split(), run.stderr) == (["refused"] * 3, "")
    assert (tmp_path / "original").read_text() == "anew"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the numbers are Linux's")
def test_system_call_numbers_agree_with_the_headers_where_there_are_any() -> None:
    headers = (
        (seccomp._X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (seccomp._AARCH64, "/usr/include/asm-generic/unistd.h"),
    )
    seen = 0
    for machine, header in headers:
        if not Path(header).is_file():
            continue
        known = {}
        for line in Path(header).read_text().splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "#define" and words[1].startswith("__NR_") and words[2].isdigit():
                known[words[1].removeprefix("__NR_")] = int(words[2])
        looked_at = {"prlimit64": machine.prlimit, "ioctl": machine.ioctl, "openat": machine.openat, "openat2": machine.openat2}
        numbers = {**machine.refused, **looked_at, "clone": machine.clone, "clone3": machine.clone3, "prctl": machine.prctl}
        wrong = {name: number for name, number in numbers.items() if known.get(name, number) != number}
        assert wrong == {}
        seen += 1
    if not seen:
        pytest.skip("no kernel headers are installed here")
