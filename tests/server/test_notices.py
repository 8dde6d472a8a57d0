"""Notices: digests to signed webhooks over real HTTP, kept over restarts; and the hook command as a real child process."""

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dmc.broker.ledger import Put
from dmc.broker.ledger_memory import LedgerMemory
from dmc.clock import ManualClock, rfc3339
from dmc.errors import BadSettings
from dmc.files import RealDisk
from dmc.items import Item, ItemIds, Outcome, Status
from dmc.jobs import ErrorNote, ResultFacts
from dmc.log import Lines
from dmc.server.digest import MOST_SHOWN, SIGNATURE, Digest, shown_bytes, signature
from dmc.server.hook import Hook
from dmc.server.notices import FINISHED, GIVE_UP_S, MOST_TOLD, RETRY_CAP_S, Notices, Notified, State
from dmc.server.offload import Offload
from dmc.server.webhook import Webhook

SECRET = b"0123456789abcdef-secret"
BOTH = frozenset(FINISHED)


class Receiver:
    """The other program: takes POSTs, and answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.status = 204
        self.before_answer: Callable[[], None] = lambda: None
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> "Receiver":
        app = web.Application()
        app.router.add_post("/dmc", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/dmc"
        return self

    async def _take(self, request: web.Request) -> web.Response:
        self.got.append((request.headers[SIGNATURE], await request.read()))
        self.before_answer()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


class World:
    """A ledger, somebody to tell, and notices over them, which can be started anew."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ledger = LedgerMemory()
        self.clock = ManualClock()
        self.ids = ItemIds()
        self.receiver = Receiver()
        self.notified = Notified()
        self._offload = Offload()
        (home / "secret").write_bytes(SECRET + b"\n")

    def webhook(self, **changed: Any) -> Webhook:
        return Webhook(**{"url": self.receiver.url, "secret_file": self.home / "secret", "statuses": BOTH, "every_s": 600.0} | changed)

    def open(self, *webhooks: Webhook, hook: Hook | None = None, disk: RealDisk | None = None, base: str = "") -> Notices:
        notices = Notices(
            self.home,
            Notified(webhooks, hook, base),
            ledger=self.ledger,
            disk=disk or RealDisk(),
            clock=self.clock,
            offload=self._offload,
            instance_id="me",
        )
        notices.load()
        return notices

    def add(self) -> Item:
        item = Item(
            item_id=self.ids.next(),
            version=1,
            status=Status.TO_DO,
            created_at=rfc3339(self.clock.now()),
            client_id="laptop",
            conversion_type="h265",
            original_file_name="wedding.mp4",
            current_file_name="original.mp4",
            file_size=3_000_000,
            sha512_checksum="0" * 128,
        )
        self.ledger.change([Put(item, 0)])
        return item

    def finish(self, item: Item, *, good: bool = True) -> Item:
        self.clock.advance(0.001)
        working = item.changed(status=Status.IN_PROGRESS)
        facts = ResultFacts(file_name="result.mkv", file_size=1_000_000, sha512_checksum="1" * 128)
        end: dict[str, Any] = {"status": Status.FINISHED_SUCCESSFUL, "outcome": Outcome.CONVERTED, "result": facts}
        if not good:
            end = {"status": Status.FINISHED_WITH_ERRORS, "errors": (ErrorNote(code="NotMedia", message="no."),)}
        done = working.changed(**end, finished_at=rfc3339(self.clock.now()))
        self.ledger.change([Put(working, item.version)])
        self.ledger.change([Put(done, working.version)])
        return done


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.receiver.start()
    yield made
    await made.receiver.stop()


def test_a_digest_says_it_in_one_line(world_item: Item, clock: ManualClock) -> None:
    digest = Digest()
    assert digest.is_empty
    for _ in range(60):
        digest = digest.with_item(world_item, clock.now())
    assert digest.text() == "60 done, 120 MB saved"
    assert len(digest.items) == MOST_SHOWN
    assert Digest(failed=2).text() == "2 failed"
    assert Digest(done=31, failed=2, saved_bytes=48 * 10**9).text() == "31 done, 2 failed, 48 GB saved"
    assert Digest(done=1, saved_bytes=-5).text() == "1 done"
    assert [shown_bytes(n) for n in (0, 999, 1500, 10**13, 10**16)] == ["0 B", "999 B", "1.5 kB", "10 TB", "10000 TB"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world_item(tmp_path: Path) -> Item:
    world = World(tmp_path)
    return world.finish(world.add())


async def test_one_message_tells_of_a_whole_burst_when_the_queue_runs_dry(world: World) -> None:
    notices = world.open(world.webhook())
    items = [world.add() for _ in range(3)]
    for item in items[:2]:
        world.finish(item)
    await notices.step()
    assert world.receiver.got == []
    world.finish(items[2], good=False)
    await notices.step()
    await notices.step()
    [told] = world.receiver.bodies
    assert (told["done"], told["failed"], told["text"]) == (2, 1, "2 done, 1 failed, 4.0 MB saved")
    assert [item["file_name"] for item in told["items"]] == ["wedding.mp4"] * 3
    assert told["items"][2]["error"] == "NotMedia"
    assert (told["schema"], told["instance"]) == ("dmc.digest/1", "me")
    await notices.stop()


async def test_a_long_queue_is_told_of_every_few_minutes(world: World) -> None:
    notices = world.open(world.webhook(every_s=60))
    items = [world.add() for _ in range(3)]
    world.finish(items[0])
    await notices.step()
    world.clock.advance(59)
    world.finish(items[1])
    await notices.step()
    assert world.receiver.got == []
    world.clock.advance(1)
    await notices.step()
    assert [told["done"] for told in world.receiver.bodies] == [2]
    await notices.stop()


async def test_what_is_told_is_signed_with_the_time(world: World) -> None:
    notices = world.open(world.webhook())
    world.finish(world.add())
    await notices.step()
    [(field, body)] = world.receiver.got
    at = int(world.clock.now().timestamp())
    expected = hmac.new(SECRET, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert field == f"t={at},v1={expected}" == signature(SECRET, body, at)
    await notices.stop()


async def test_what_was_not_taken_is_told_again_under_the_same_id_also_after_a_restart(world: World) -> None:
    world.receiver.status = 500
    notices = world.open(world.webhook())
    world.finish(world.add())
    await notices.step()
    await notices.step()
    assert len(world.receiver.got) == 1
    await notices.stop()
    notices = world.open(world.webhook())
    world.receiver.status = 302  # A redirect is no success, and is not followed.
    world.clock.advance(RETRY_CAP_S)
    await notices.step()
    world.receiver.status = 200
    world.clock.advance(RETRY_CAP_S)
    world.finish(world.add())
    await notices.step()
    await notices.step()
    first, again, taken, new = world.receiver.bodies
    assert first == again == taken
    assert new["id"] != first["id"]
    assert new["done"] == 1
    await notices.stop()


async def test_a_digest_that_nobody_takes_for_days_is_dropped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.receiver.status = 500
    notices = world.open(world.webhook())
    world.finish(world.add())
    await notices.step()
    world.clock.advance(GIVE_UP_S)
    await notices.step()
    await notices.step()
    assert len(world.receiver.got) == 2
    assert "dropped" in caplog.text
    assert SECRET.decode() not in said(caplog)
    await notices.stop()


async def test_what_finished_while_the_server_was_off_is_told_and_what_was_told_is_not(world: World) -> None:
    notices = world.open(world.webhook())
    world.finish(world.add())
    await notices.step()
    await notices.stop()
    world.finish(world.add(), good=False)
    notices = world.open(world.webhook())
    await notices.step()
    assert [(told["done"], told["failed"]) for told in world.receiver.bodies] == [(1, 0), (0, 1)]
    await notices.stop()


async def test_what_finished_before_anybody_was_to_be_told_is_not_told(world: World) -> None:
    old = world.finish(world.add())
    world.clock.advance(1)
    notices = world.open(world.webhook())
    await notices.step()
    world.ledger.change([Put(old.changed(acknowledged_at=rfc3339(world.clock.now())), old.version)])
    await notices.step()
    assert world.receiver.got == []
    await notices.stop()


async def test_only_the_wanted_events_are_told(world: World) -> None:
    notices = world.open(world.webhook(statuses=frozenset({Status.FINISHED_WITH_ERRORS})))
    world.finish(world.add())
    world.finish(world.add(), good=False)
    await notices.step()
    assert [(told["done"], told["failed"]) for told in world.receiver.bodies] == [(0, 1)]
    await notices.stop()


class Full(RealDisk):
    """A disk that takes nothing while `full`."""

    full = False

    def write(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(path, data)


async def test_a_full_disk_loses_no_notice(world: World) -> None:
    disk = Full()
    notices = world.open(world.webhook(), disk=disk)
    disk.full = True
    world.finish(world.add())
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            await notices.step()
    assert world.receiver.got == []
    disk.full = False
    await notices.step()
    assert [told["done"] for told in world.receiver.bodies] == [1]
    await notices.stop()


async def test_a_stop_between_telling_and_noting_tells_it_again_under_the_same_id(world: World) -> None:
    disk = Full()
    notices = world.open(world.webhook(), disk=disk)
    world.finish(world.add())
    world.receiver.before_answer = lambda: setattr(disk, "full", True)
    with pytest.raises(OSError, match="No space"):
        await notices.step()
    await notices.stop()
    world.receiver.before_answer = lambda: None
    notices = world.open(world.webhook())
    await notices.step()
    await notices.step()
    first, again = world.receiver.bodies
    assert first == again
    await notices.stop()


def test_noticed_items_are_remembered_without_end_in_little_room(tmp_path: Path) -> None:
    world = World(tmp_path)
    state = State(horizon=rfc3339(world.clock.now()))
    items = [world.finish(world.add()) for _ in range(MOST_TOLD + 5)]
    assert all(state.notice(item) for item in items)
    assert not any(state.notice(item) for item in items)
    assert len(state.told) == MOST_TOLD


async def test_a_secret_that_is_gone_keeps_only_its_own_webhook_waiting(world: World) -> None:
    secret = world.home / "other"
    secret.write_bytes(SECRET)
    notices = world.open(world.webhook(url=f"{world.receiver.url}?first", secret_file=secret), world.webhook())
    secret.unlink()
    world.finish(world.add())
    await notices.step()
    assert len(world.receiver.got) == 1
    secret.write_bytes(SECRET)
    world.clock.advance(RETRY_CAP_S)
    await notices.step()
    assert len(world.receiver.got) == 2
    await notices.stop()


async def test_a_clock_that_was_ahead_hides_nothing(world: World) -> None:
    world.clock.jump(30 * 86400.0)
    notices = world.open(world.webhook())
    await notices.step()
    world.clock.jump(-30 * 86400.0)
    for _ in range(2):
        world.finish(world.add())
        await notices.step()
    assert [told["done"] for told in world.receiver.bodies] == [1, 1]
    await notices.stop()


def test_a_clock_that_is_set_back_hides_nothing_however_much_was_noticed_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    state = State(horizon=rfc3339(world.clock.now()))
    world.clock.jump(86400.0)
    before = [world.finish(world.add()) for _ in range(MOST_TOLD)]
    assert all(state.notice(item) for item in before)
    world.clock.jump(-80000.0)
    after = [world.finish(world.add()) for _ in range(5)]
    assert all(state.notice(item) for item in after)
    assert not any(state.notice(item) for item in after)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema_number": 2, "horizon": ""}', r"notices\.json was written by a newer dmc \(schema 2, this one knows 1\)"),
        ('{"schema_number": 1, "horizon": "", "boxes": {"x": {"digest": {}, "mood": 3}}}', "by a newer dmc: it holds mood"),
        ('{"schema_number": 1}', r"notices\.json cannot be read"),
    ],
)
async def test_notices_of_a_newer_version_and_damaged_ones_stop_the_start_in_words(world: World, text: str, words: str) -> None:
    (world.home / "notices.json").write_text(text)
    with pytest.raises(BadSettings, match=words):
        await world.open(world.webhook()).start()
    assert (world.home / "notices.json").read_text() == text


async def test_a_short_or_missing_secret_stops_the_start_in_words(world: World) -> None:
    (world.home / "secret").write_text("short")
    with pytest.raises(BadSettings, match="no secret"):
        await world.open(world.webhook()).start()
    with pytest.raises(BadSettings, match="cannot be read"):
        await world.open(world.webhook(secret_file=world.home / "none")).start()


def program(world: World, text: str) -> tuple[str, ...]:
    file = world.home / "hook.py"
    file.write_text(text)
    return (sys.executable, str(file), str(world.home / "out"))


async def test_the_hook_command_gets_each_item_on_its_stdin_and_a_bare_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMC_HOME", "secret place")
    command = program(
        world,
        "import json, os, sys\n"
        "open(sys.argv[1], 'a').write(json.dumps([json.load(sys.stdin)['item']['item_id'], sorted(os.environ), os.getcwd()]) + '\\n')\n",
    )
    notices = world.open(hook=Hook(command, BOTH, 30))
    items = [world.finish(world.add()) for _ in range(2)]
    await notices.step()
    assert not (world.home / "out").exists()  # It waits on disk until it is run.
    notices = world.open(hook=Hook(command, BOTH, 30))
    await notices.run_hook()
    await notices.run_hook()
    rows = [json.loads(line) for line in (world.home / "out").read_text().splitlines()]
    assert [row[0] for row in rows] == [item.item_id for item in items]
    assert {name for row in rows for name in row[1]} - {"LC_CTYPE"} == {"PATH", "LANG"}
    assert rows[0][2] == "/"


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def said(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, with its fields."""
    return "\n".join(Lines().format(record) for record in caplog.records)


async def test_links_that_the_hook_command_gets_begin_with_the_base_path(world: World) -> None:
    command = program(world, "import json, sys\nopen(sys.argv[1], 'w').write(json.load(sys.stdin)['item']['result']['url'])\n")
    notices = world.open(hook=Hook(command, BOTH, 30), base="/dmc")
    item = world.finish(world.add())
    await notices.step()
    await notices.run_hook()
    assert (world.home / "out").read_text() == f"/dmc/api/v1/items/{item.item_id}/result"


async def test_a_hook_command_that_hangs_is_ended_with_all_it_started(world: World, caplog: pytest.LogCaptureFixture) -> None:
    command = program(
        world,
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "open(sys.argv[1] + '.part', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "os.rename(sys.argv[1] + '.part', sys.argv[1])\n"
        "time.sleep(1000)\n",
    )
    running = asyncio.create_task(Hook(command, BOTH, 3.0).run("id", b"{}" * 200_000))
    assert await running is None
    assert "took too long" in caplog.text
    for pid in map(int, (world.home / "out").read_text().split()):
        deadline = time.monotonic() + 10
        while lives(pid) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert not lives(pid)


async def test_a_hook_command_that_fails_or_is_not_there_is_said_and_nothing_else(world: World, caplog: pytest.LogCaptureFixture) -> None:
    talks = program(world, "import sys\nprint('x' * 100_000)\nprint('no mail today')\nsys.exit(3)\n")
    assert await Hook(talks, BOTH, 30).run("id", b"{}") == 3
    assert "no mail today" in said(caplog)
    assert len(said(caplog)) < 10_000
    assert await Hook(("/nowhere/program",), BOTH, 30).run("id", b"{}") is None
    assert "cannot be started" in said(caplog)
