"""Kill and power cut after every step of a workload, and again after every step of the recovery: no promise is broken."""

from random import Random

import pytest

from tests.crash.moments import FOLDINGS, crashes, lives, recoveries, told
from tests.crash.story import judge

SHARES = 16
"""So that no test of all crashes takes longer than a test may; several can run side by side."""


@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_one_crash(tmp_path, folding):
    draw, tried = Random(2), 0
    for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding])):
        for how, disk in crashes(moment, draw, 2):
            tried += 1
            with told(f"step {number}, {how}"):
                judge(tmp_path, disk, moment.promises, to_the_end=tried % 3 == 0)
    print(f"one crash, folding {folding}: {tried} disks")
    assert tried >= 800


@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_a_crash_inside_the_recovery(tmp_path, folding):
    draw, tried = Random(3), 0
    first_crashes = [
        (f"step {number}, {how}", disk, moment.promises)
        for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding]))
        for how, disk in crashes(moment, draw, 1)
    ]
    for first, disk, promises in draw.sample(first_crashes, 50):
        for number, moment in enumerate(recoveries(tmp_path, disk, promises)):
            for how, again in crashes(moment, draw, 2):
                tried += 1
                with told(f"{first}; in the recovery step {number}, {how}"):
                    judge(tmp_path, again, moment.promises, to_the_end=tried % 10 == 0)
    print(f"a second crash in the recovery, folding {folding}: {tried} disks")
    assert tried >= 5000


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
