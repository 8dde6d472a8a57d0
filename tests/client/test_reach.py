"""P4–P6: when is a server asked again? Pure, with seeded draws."""

import heapq
import random
from collections import Counter

import pytest

from dmc.client import reach
from dmc.client.reach import Standing


def test_P4_waits_are_drawn_from_a_window_that_doubles_up_to_a_minute() -> None:
    draw = random.Random(1)
    for failures, window in ((0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (30, 60)):
        waits = [reach.silent(Standing(failures=failures), 100.0, "away", draw).next_at - 100 for _ in range(500)]
        assert 0.9 * window < max(waits) <= window
        assert min(waits) < 0.1 * window


def test_P4_success_and_any_byte_that_got_through_start_the_count_anew() -> None:
    tired = Standing(failures=9)
    assert reach.answered(tired, 0.0, accepting=True, again_s=60).failures == 0
    assert reach.progressed(tired).failures == 0


def test_P4_retry_after_is_a_floor() -> None:
    draw = random.Random(1)
    assert reach.silent(Standing(), 100.0, "busy", draw, retry_after_s=30).next_at >= 130
    assert reach.crowded(Standing(), 100.0, draw, full=False, retry_after_s=30).send_at >= 130


def test_P6_a_reason_to_ask_makes_it_ask_at_once_but_at_most_once_a_second() -> None:
    away = reach.silent(reach.asked(Standing(failures=9), 100.0), 100.0, "away", random.Random(3))
    assert away.next_at > 105
    assert reach.hurried(away, 200.0).next_at == min(away.next_at, 200.0)
    assert reach.hurried(away, 100.2).next_at == 101.0


def test_P6_a_pause_is_not_hurried() -> None:
    paused = reach.refused(Standing(), 100.0, "who are you?", random.Random(1))
    assert reach.hurried(paused, 101.0) == paused


def test_a_full_server_is_still_asked_after_items() -> None:
    full = reach.crowded(Standing(up=True), 100.0, random.Random(1), full=True)
    assert full.up and not full.takes_files(140.0) and full.takes_files(200.0)


def busiest_second_after_an_hour(seed: int, clients: int = 100) -> int:
    """The most clients that come in one second when a server is back after an hour of silence."""
    draw = random.Random(seed)
    back = 3600.0
    queue = [(draw.uniform(0, 60), number) for number in range(clients)]
    standings = {number: Standing() for number in range(clients)}
    heapq.heapify(queue)
    seconds: Counter[int] = Counter()
    while queue:
        now, number = heapq.heappop(queue)
        if now >= back:
            seconds[int(now)] += 1
            continue
        standings[number] = reach.silent(standings[number], now, "away", draw)
        heapq.heappush(queue, (standings[number].next_at, number))
    return max(seconds.values())


def test_P5_a_hundred_clients_come_back_spread_over_the_minute() -> None:
    assert max(busiest_second_after_an_hour(seed) for seed in range(12)) <= 12


@pytest.mark.slow
def test_P5_a_hundred_clients_come_back_spread_over_the_minute_whatever_the_seed() -> None:
    assert max(busiest_second_after_an_hour(seed) for seed in range(1000)) <= 12
