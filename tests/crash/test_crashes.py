"""Kill and power cut after every step of a workload, and again after every step of the recovery: no promise is broken."""

from random import Random

import pytest

from tests.crash.moments import FOLDINGS, Known, crashes, lives, recoveries, told
from tests.crash.story import judge

SHARES = 16
"""So that no test of all crashes takes longer than a test may; several can run side by side."""


@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_one_crash(tmp_path, folding):
    draw, known, tried = Random(2), Known(), 0
    for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding])):
        for how, disk in crashes(moment, draw, 1):
            if known(disk, moment.promises):
                continue
            tried += 1
            with told(f"step {number}, {how}"):
                judge(tmp_path, disk, moment.promises, to_the_end=tried % 3 == 0)
    print(f"one crash, folding {folding}: {tried} disks")
    assert tried >= 500


@pytest.mark.parametrize("many", [12, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_a_crash_inside_the_recovery(tmp_path, folding, many):
    """Half of the first crashes are kills in a line of the journal, where a start may believe what it reads too early."""
    draw, tried = Random(3), 0
    lived = list(enumerate(lives(tmp_path, FOLDINGS[folding])))
    in_a_line = [
        (f"step {number}, killed", moment.disk.after_kill(), moment.promises) for number, moment in lived if moment.is_in_a_line(tmp_path)
    ]
    anywhere = [(f"step {number}, {how}", disk, moment.promises) for number, moment in lived for how, disk in crashes(moment, draw, 1)]
    for first, disk, promises in (*draw.sample(in_a_line, many // 2), *draw.sample(anywhere, many // 2)):
        known = Known()
        for number, moment in enumerate(recoveries(tmp_path, disk, promises)):
            for how, again in crashes(moment, draw, 2):
                if known(again, moment.promises):
                    continue
                tried += 1
                with told(f"{first}; in the recovery step {number}, {how}"):
                    judge(tmp_path, again, moment.promises, to_the_end=tried % 10 == 0)
    print(f"a second crash in the recovery, folding {folding}: {tried} disks")
    assert tried >= 60 * many


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_any_crash_there_is(tmp_path, folding, share):
    tried = 0
    for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding])):
        if number % SHARES != share:
            continue
        for how, disk in crashes(moment):
            tried += 1
            with told(f"step {number}, {how}"):
                judge(tmp_path, disk, moment.promises)
    print(f"every crash, folding {folding}, share {share}: {tried} disks", flush=True)
    assert tried >= 1000
