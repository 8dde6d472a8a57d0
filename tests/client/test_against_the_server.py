"""The whole client with threads, watcher and outbox on disk, against dmc's real server; only the conversion is played by the test."""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp
import pytest

from dmc.broker.wishes import trash
from dmc.client import http_upload
from dmc.client.crew import ThreadCrew
from dmc.client.following import facts_of
from dmc.client.model import ObservedPath, ServerAddress, Timing
from dmc.client.outbox_journal import JournalOutbox
from dmc.client.records import OutboxStatus
from dmc.client.requests import add_file, download, find
from dmc.client.sync import Sync
from dmc.client.transport import Interrupted, Parcel
from dmc.client.transport_http import HttpTransport
from dmc.client.watch import Watcher
from dmc.clock import SystemClock
from dmc.errors import Locked, UnknownConversion
from dmc.files import RealDisk, sha512_of
from dmc.items import ItemIds, Status
from dmc.jobs import ErrorNote
from dmc.protocol import CheckEntry
from tests.journeys.proxy import Proxy
from tests.loops import LoopApart
from tests.patience import PATIENCE_S
from tests.server.conftest import House


class Household:
    """A server in a thread of its own, and clients to it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "drop"
        self.folder.mkdir()
        self.state = home / "state"
        self.state.mkdir()
        self.house = House(home / "server")
        self.loop = LoopApart()
        self.up()

    def up(self) -> None:
        self.loop.do(self.house.start())

    def down(self) -> None:
        assert self.house.server is not None
        self.loop.do(self.house.server.stop())

    def close(self) -> None:
        self.loop.do(self.house.stop())
        self.loop.close()

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("nas", self.house.url, self.house.secret)

    def client(self, port: int | None = None) -> "Client":
        """One that reaches the server at `port`, if not at its own."""
        return Client(self, self.address if port is None else replace(self.address, url=f"http://127.0.0.1:{port}"))

    def convert_all(self) -> None:
        for item in self.house.ledger.select(Status.TO_DO):
            self.house.finish(item.item_id, b"converted " + item.original_file_name.encode())


class Client:
    """A client in a thread, as `dmc client run` would be."""

    def __init__(self, household: Household, address: ServerAddress) -> None:
        clock = SystemClock()
        self.stop = threading.Event()
        self.outbox = JournalOutbox.open(household.state / "outbox.json", RealDisk())
        self.sync = Sync(
            state=household.state,
            observed=[ObservedPath(household.folder)],
            servers=[(address, HttpTransport(address))],
            outbox=self.outbox,
            disk=RealDisk(),
            clock=clock,
            crew=ThreadCrew(),
            watcher=Watcher(clock),
            timing=Timing(settle_s=0.3, ask_first_s=0.1),
            client_name="laptop",
        )
        self.thread = threading.Thread(target=self.sync.run, args=(self.stop,))
        self.thread.start()

    def close(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.outbox.close()


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Household]:
    made = Household(tmp_path)
    yield made
    made.close()


def until(true: Callable[[], bool], act: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come to be in time"
        act()
        threading.Event().wait(0.02)


def test_files_dropped_while_it_runs_come_home(household: Household) -> None:
    client = household.client()
    try:
        names = ["clip.mp4", os.fsdecode(b"odd \xff name.mov"), "sub/new\nline.mkv", "🎬.webm"]
        for number, name in enumerate(names):
            path = household.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"content %d" % number)
        home = household.folder / "converted"
        until(lambda: len(list(home.rglob("*.mkv"))) == 4, household.convert_all)
        until(lambda: client.outbox.counts()[OutboxStatus.ACKNOWLEDGED] == 4)
        assert all(item.acknowledged_at for item in household.house.ledger.select())
        request = Request(f"{household.house.url}/metrics", headers={"Authorization": f"Bearer {household.house.secret}"})
        with urlopen(request) as reply:
            assert b"\ndmc_watch_lag_seconds_count 4.0\n" in reply.read(), "the server knows how late the watch was"
    finally:
        client.close()


def test_a_server_that_is_away_at_the_start_and_comes_back_gets_the_file(household: Household) -> None:
    household.down()
    client = household.client()
    try:
        (household.folder / "clip.mp4").write_bytes(b"content")
        until(lambda: len(client.outbox.ids()) == 1)
        household.up()
        until(lambda: (household.folder / "converted/clip.mkv").exists(), household.convert_all)
    finally:
        client.close()


def test_C18_what_somebody_cancels_and_deletes_before_the_client_looks_again_is_not_offered_again(household: Household) -> None:
    client, house = household.client(), household.house
    try:
        (household.folder / "clip.mp4").write_bytes(b"content")
        until(lambda: client.outbox.counts()[OutboxStatus.TO_DO] == 1)
    finally:
        client.close()
    (item,) = house.ledger.select()
    house.change(item.item_id, status=Status.FINISHED_WITH_ERRORS, errors=(ErrorNote(code="cancelled", message="cancelled."),))
    trash(house.ledger, house.clock, item.item_id)
    household.down()
    household.up()
    client = household.client()
    try:
        until(lambda: client.outbox.counts()[OutboxStatus.ACKNOWLEDGED] == 1)
        (record,) = (client.outbox.get(known) for known in client.outbox.ids())
        assert record is not None and record.errors[0].code == "deleted"
        assert [known.item_id for known in house.ledger.select()] == [item.item_id]
    finally:
        client.close()


def test_a_second_client_on_the_same_state_is_refused(household: Household) -> None:
    client = household.client()
    try:
        until(lambda: client.sync.standings()["nas"].up is True)
        outbox = JournalOutbox.open(household.state / "outbox.json", RealDisk(), recover=False)
        second = Sync(
            state=household.state, observed=[], servers=[], outbox=outbox, disk=RealDisk(), clock=SystemClock(), crew=ThreadCrew()
        )
        with pytest.raises(Locked, match="Another dmc client"):
            second.run(threading.Event())
    finally:
        client.close()


def test_it_stops_in_the_middle_of_an_upload_and_goes_on_after_the_next_start(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_upload, "TRANSFER", aiohttp.ClientTimeout())  # It waits for the server without end, if it is not stopped.
    big = household.folder / "big.mp4"
    block = os.urandom(1 << 20)
    with big.open("wb") as file:
        for _ in range(60):
            file.write(block)
    with contextlib.closing(Proxy(household.house.address[1], hold_after=20 << 20)) as line:
        client = household.client(line.port)
        assert line.holding.wait(PATIENCE_S)
        client.close()
    client = household.client()
    try:
        until(lambda: (household.folder / "converted/big.mkv").exists(), household.convert_all)
        (item,) = household.house.ledger.select()
        assert item.sha512_checksum == sha512_of(big)
    finally:
        client.close()


def test_a_file_added_by_hand_waits_for_its_download(household: Household) -> None:
    source = household.home / "clip.mov"
    source.write_bytes(b"by hand")
    client = household.client()
    try:
        beside = JournalOutbox.open(household.state / "outbox.json", RealDisk(), recover=False)
        clock = SystemClock()
        record = add_file(beside, source, conversion_type="web", clock=clock, ids=ItemIds(), options={})
        assert add_file(beside, source, conversion_type="web", clock=clock, ids=ItemIds()).id == record.id
        with pytest.raises(UnknownConversion):
            add_file(beside, source, conversion_type="no type", clock=clock, ids=ItemIds())

        def finished() -> bool:
            beside.refresh()
            return find(beside, record.id[:13]).status == "finished_successful"

        until(finished, household.convert_all)
        found = find(beside, record.id)
        transport = HttpTransport(household.address)
        place = download(beside, found, transport, household.home, disk=RealDisk(), clock=clock, client="laptop")
        transport.close()
        assert place.read_bytes() == b"converted clip.mov"
        assert find(beside, record.id).status == "acknowledged"
        assert [path.name for path in household.home.iterdir() if path.name.startswith(".dmc-")] == []
    finally:
        client.close()


def test_run_until_idle_sends_what_is_there_and_ends(household: Household) -> None:
    (household.folder / "clip.mp4").write_bytes(b"content")
    outbox = JournalOutbox.open(household.state / "outbox.json", RealDisk())
    sync = Sync(
        state=household.state,
        observed=[ObservedPath(household.folder)],
        servers=[(household.address, HttpTransport(household.address))],
        outbox=outbox,
        disk=RealDisk(),
        clock=SystemClock(),
        crew=ThreadCrew(),
        timing=Timing(settle_s=0.1, ask_first_s=0.1),
    )
    done = threading.Event()
    worker = threading.Thread(target=lambda: (sync.run_until_idle(threading.Event(), PATIENCE_S), done.set()))
    worker.start()
    until(done.is_set, household.convert_all)
    worker.join()
    assert (household.folder / "converted/clip.mkv").exists()
    assert sync.idle
    outbox.close()


def test_a_transfer_that_stops_goes_on_where_the_real_server_stands(household: Household, tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    parcel = Parcel(path, "clip.mp4", len(content), hashlib.sha512(content).hexdigest(), "h265", "key")
    transport = HttpTransport(household.address)
    urls: list[str] = []
    counts: list[int] = []
    stops = iter([False, False])
    with pytest.raises(Interrupted):
        transport.send(parcel, urls.append, counts.append, lambda: next(stops, True))
    item = transport.send(replace(parcel, upload_url=urls[0]), urls.append, counts.append)
    assert urls[0].endswith(item.item_id)
    assert transport.send(parcel, urls.append, counts.append).item_id == item.item_id
    household.house.finish(item.item_id, content[::-1])
    view = transport.progress([item.item_id])[item.item_id]
    result = facts_of(view)
    assert result is not None
    with pytest.raises(Interrupted):
        transport.fetch(item.item_id, result, tmp_path / "temp", lambda: True)
    assert 0 < (tmp_path / "temp").stat().st_size < len(content)
    transport.fetch(item.item_id, result, tmp_path / "temp")
    assert (tmp_path / "temp").read_bytes() == content[::-1]
    transport.acknowledge(item.item_id, result.sha512_checksum)
    transport.acknowledge(item.item_id, result.sha512_checksum)
    assert [
        answer.state for answer in transport.check([CheckEntry(sha512=parcel.sha512, file_size=len(content), conversion_type="h265")])
    ] == ["have"]
    transport.close()
