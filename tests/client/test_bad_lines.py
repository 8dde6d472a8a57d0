"""A file of some megabytes up and its result down through a line that is cut at random bytes, reset, or slow; dmc's own two ends."""

import contextlib
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from dmc.client.model import ServerAddress
from dmc.client.transport import Parcel
from dmc.client.transport_http import HttpTransport
from dmc.errors import Unavailable
from tests.client.test_against_the_server import Household
from tests.journeys.household import wait_for
from tests.journeys.proxy import Proxy
from tests.patience import PATIENCE_S
from tests.server.conftest import LIMITS

DRAW = random.Random(20261121)
DATA = DRAW.randbytes(6_000_001)
SLACK = 3 * 1024 * 1024
"""Bytes that buffers on the way may hold when a connection is cut: they left, and never arrived."""

HEADS = 4096
"""Bytes that the heads of an upload's requests have at most."""


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Household]:
    made = Household(tmp_path)
    yield made
    made.close()


class Line:
    """A transport whose every connection goes through a proxy."""

    def __init__(self, household: Household) -> None:
        self.proxy = Proxy(household.house.address[1])
        self.transport = HttpTransport(ServerAddress("nas", f"http://127.0.0.1:{self.proxy.port}", household.house.secret))

    def close(self) -> None:
        self.transport.close()
        self.proxy.close()


@pytest.fixture
def line(household: Household) -> Iterator[Line]:
    made = Line(household)
    yield made
    made.close()


def through(what: Callable[[], object], before: Callable[[int], None], most: int = 60) -> int:
    """Do `what` until it works; returns how often it did not."""
    for number in range(most):
        before(number)
        try:
            what()
        except Unavailable:
            continue
        return number
    raise AssertionError("it never came through")


def upload(line: Line, source: Path) -> Callable[[], object]:
    urls: list[str] = []

    def send() -> object:
        parcel = Parcel(source, "clip.mp4", len(DATA), hashlib.sha512(DATA).hexdigest(), "h265", "key", {}, urls[-1] if urls else None)
        return line.transport.send(parcel, urls.append, lambda count: None)

    return send


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_U7_a_big_file_cut_at_random_bytes_arrives_and_little_is_sent_twice(
    household: Household, line: Line, tmp_path: Path, reset: bool
) -> None:
    (tmp_path / "clip.mp4").write_bytes(DATA)
    line.proxy.reset = reset

    def before(number: int) -> None:
        line.proxy.cut_after = DRAW.randrange(200_000, 1_500_000) if number < 8 else None

    tries = through(upload(line, tmp_path / "clip.mp4"), before)
    (item,) = household.house.ledger.select()
    assert (item.sha512_checksum, tries >= 3) == (hashlib.sha512(DATA).hexdigest(), True)
    assert household.house.stored(item.item_id) == DATA
    # After a reset the machine may drop what it had received and nobody had read yet.
    assert line.proxy.bytes_up <= len(DATA) + line.proxy.cuts * SLACK


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_D12_a_big_result_cut_at_random_bytes_comes_home_whole(household: Household, line: Line, tmp_path: Path, reset: bool) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"original")
    item_id = household.house.ids.next()
    parcel = Parcel(tmp_path / "clip.mp4", "clip.mp4", 8, hashlib.sha512(b"original").hexdigest(), "h265", "key")
    item_id = line.transport.send(parcel, lambda url: None, lambda count: None).item_id
    facts = household.house.finish(item_id, DATA).result
    assert facts is not None
    line.proxy.reset = reset

    def before(number: int) -> None:
        line.proxy.cut_down_after = DRAW.randrange(200_000, 1_500_000) if number < 8 else None

    part = tmp_path / ".dmc-part"
    tries = through(lambda: line.transport.fetch(item_id, facts, part), before)
    assert tries >= 3
    assert part.read_bytes() == DATA
    assert line.proxy.bytes_down <= len(DATA) + line.proxy.cuts * SLACK


def test_U12_a_file_whose_line_hangs_goes_on_over_another_one_at_once(household: Household, line: Line, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(DATA)
    line.proxy.hold_after = 2_000_000
    hanging = threading.Thread(target=_try, args=(upload(line, tmp_path / "clip.mp4"),))
    hanging.start()
    assert line.proxy.holding.wait(PATIENCE_S)
    files = household.house.data / "incoming"
    # Before that it hangs for nobody: the rest of what came through would be stored when the other one takes over.
    wait_for("all that came through", lambda: line.proxy.passed_up - sum(f.stat().st_size for f in files.glob("*/original.*")) < HEADS)
    other = Line(household)
    began = time.monotonic()
    assert through(upload(other, tmp_path / "clip.mp4"), lambda number: None) == 0
    assert time.monotonic() - began < LIMITS.idle_timeout_s / 2
    other.close()
    line.close()
    hanging.join()
    (item,) = household.house.ledger.select()
    assert household.house.stored(item.item_id) == DATA
    assert other.proxy.bytes_up <= len(DATA) - 1_000_000


@pytest.mark.parametrize("late", [0, 800, 4_000_000, len(DATA)])
@pytest.mark.parametrize("met", [1_500_000, None], ids=["in-the-middle", "afterwards"])
def test_U12_U16_U18_an_upload_overtaken_by_a_later_connection_arrives_whole_and_once(
    household: Household, line: Line, tmp_path: Path, late: int, met: int | None
) -> None:
    """Bytes beyond `late` of the first connection come only when a second one has sent `met` bytes of the same file, or all it had to."""
    (tmp_path / "clip.mp4").write_bytes(DATA)
    line.proxy.delay_after = late
    overtaken = threading.Thread(target=_try, args=(upload(line, tmp_path / "clip.mp4"),))
    overtaken.start()
    assert line.proxy.delaying.wait(PATIENCE_S)
    with contextlib.closing(Line(household)) as other:
        other.proxy.delay_after = met
        overtaking = threading.Thread(target=through, args=(upload(other, tmp_path / "clip.mp4"), lambda number: None))
        overtaking.start()
        while overtaking.is_alive() and not other.proxy.delaying.wait(0.01):
            continue
        line.proxy.release()
        other.proxy.release()
        overtaking.join()
    overtaken.join()
    assert through(upload(line, tmp_path / "clip.mp4"), lambda number: None) == 0
    (item,) = household.house.ledger.select()
    assert item.sha512_checksum == hashlib.sha512(DATA).hexdigest()
    assert household.house.stored(item.item_id) == DATA


def _try(what: Callable[[], object]) -> None:
    with contextlib.suppress(Unavailable, CancelledError):
        what()


def test_a_slow_line_is_no_fault(household: Household, line: Line, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(DATA)
    line.proxy.rate = 12_000_000
    assert through(upload(line, tmp_path / "clip.mp4"), lambda number: None) == 0
