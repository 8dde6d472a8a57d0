"""Lanes of workers: bounded, told on the owner's thread, stopped and begun again."""

import threading

import pytest

from dmc.client.crew import ThreadCrew
from tests.patience import PATIENCE_S


def collect_until(crew: ThreadCrew, seen: list[object], count: int) -> None:
    while len(seen) < count:
        assert crew.wake.wait(PATIENCE_S)
        crew.wake.clear()
        crew.collect()


def test_ends_are_told_on_the_owners_thread() -> None:
    crew, seen = ThreadCrew(), []
    owner = threading.get_ident()

    def job() -> int:
        assert threading.get_ident() != owner
        crew.post(lambda: seen.append(("note", threading.get_ident() == owner)))
        return 7

    def fault() -> int:
        raise OSError("no")

    crew.submit("send:nas", job, lambda value: seen.append((value, threading.get_ident() == owner)), seen.append)
    crew.submit("hash", fault, seen.append, lambda problem: seen.append(str(problem)))
    collect_until(crew, seen, 3)
    crew.stop()
    crew.clear()
    assert sorted(map(str, seen)) == ["('note', True)", "(7, True)", "no"]


def test_a_lane_takes_only_so_many_and_a_full_one_holds_up_no_other() -> None:
    crew, seen, go = ThreadCrew({"send": 2}), [], threading.Event()
    for _ in range(2):
        crew.submit("send:slow", lambda: go.wait(PATIENCE_S), seen.append, seen.append)
    assert (crew.free("send:slow"), crew.free("send:quick"), crew.free("other")) == (0, 2, 1)
    crew.submit("send:quick", lambda: "quick", seen.append, seen.append)
    collect_until(crew, seen, 1)
    assert seen == ["quick"]
    go.set()
    collect_until(crew, seen, 3)
    assert crew.free("send:slow") == 2
    crew.stop()
    crew.clear()


def test_after_stop_jobs_see_it_and_nothing_more_is_told_until_it_is_cleared() -> None:
    crew, seen, begun = ThreadCrew(), [], threading.Event()

    def job() -> str:
        begun.set()
        while not crew.stopping():
            threading.Event().wait(0.001)
        return "stopped"

    crew.submit("send:nas", job, seen.append, seen.append)
    assert begun.wait(PATIENCE_S)
    crew.stop()
    assert crew.free("send:nas") == 0
    crew.clear()
    assert (crew.collect(), seen) == (0, [])
    crew.submit("send:nas", lambda: "anew", seen.append, seen.append)
    collect_until(crew, seen, 1)
    assert seen == ["anew"]
    crew.stop()
    crew.clear()


def test_what_ends_a_process_ends_the_owner_too() -> None:
    crew: ThreadCrew = ThreadCrew()

    def job() -> None:
        raise KeyboardInterrupt

    crew.submit("hash", job, lambda _: None, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        while True:
            assert crew.wake.wait(PATIENCE_S)
            crew.wake.clear()
            crew.collect()
    crew.stop()
    crew.clear()
