"""Encoders are gone before the next step begins."""

import gc
import mmap
import platform
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from dmc.convert import engine
from dmc.convert.limits import Limits
from dmc.convert.media import open_media
from dmc.convert.release import only_what_is_new, release
from tests.convert.clips import clip
from tests.convert.works import convert


class _Knot:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_new_and_out_of_reach_is_freed_at_once() -> None:
    gc.disable()
    try:
        with only_what_is_new():
            gone = weakref.ref(_Knot())
            release()
        assert gone() is None
    finally:
        gc.enable()


def test_what_was_there_before_is_not_looked_through() -> None:
    gc.disable()
    try:
        before = weakref.ref(_Knot())
        with only_what_is_new():
            release()
            assert before() is not None
        gc.collect()
        assert before() is None
    finally:
        gc.enable()


def test_nothing_stays_frozen_after_a_job_that_fails(tmp_path: Path) -> None:
    frozen = gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), only_what_is_new():
        open_media(clip(tmp_path / "a.mkv"), Limits()).close()
        raise ZeroDivisionError
    assert gc.get_freeze_count() == frozen


def test_no_encoder_lives_while_its_result_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the collector, since PyAV's objects know no weak references."""
    from av.container import OutputContainer

    seen: list[int] = []
    check = engine.verify

    def counting(*what: object) -> object:
        seen.append(sum(isinstance(thing, OutputContainer) for thing in gc.get_objects()))
        return check(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "verify", counting)
    convert(clip(tmp_path / "a.mkv"), "h264", tmp_path / "out", crf=30, keep_if_larger=True)
    assert seen == [0]


_ASKING = """
import mmap, sys
from dmc.convert.release import keep_to_small_pages
if sys.argv[1] == "small":
    keep_to_small_pages()
room = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
room.madvise(mmap.MADV_HUGEPAGE)
for at in range(0, len(room), 4096):
    room[at] = 1
rows = dict(line.split(":") for line in open("/proc/self/smaps_rollup").read().splitlines()[1:])
print(rows["AnonHugePages"].split()[0])
"""


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="huge pages are Linux's")
def test_a_worker_gets_no_huge_pages_though_its_libraries_ask_for_them() -> None:
    said = [
        int(subprocess.run([sys.executable, "-c", _ASKING, how], capture_output=True, text=True, check=True, timeout=60).stdout)
        for how in ("as it comes", "small")
    ]
    if said[0] == 0:
        pytest.skip("this kernel gives no huge pages to those who ask")
    assert said[1] == 0


_ALLOCATING = """
import ctypes, re, sys, threading
from dmc.convert.release import keep_to_one_heap
libc = ctypes.CDLL(None)
if sys.argv[1] == "one":
    keep_to_one_heap()
begun = threading.Barrier(4)
def ask():
    begun.wait()
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc(5000)
threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
told = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(told))
libc.fclose(ctypes.c_void_p(told))
print(len(re.findall("<heap nr", open(sys.argv[2]).read())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps for each thread are glibc's")
def test_the_threads_of_a_worker_share_one_heap(tmp_path: Path) -> None:
    heaps = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", _ALLOCATING, how, str(tmp_path / how)], capture_output=True, text=True, check=True, timeout=60
            ).stdout
        )
        for how in ("many", "one")
    }
    assert heaps["one"] == 1
    assert heaps["many"] > 1
