"""`dmc up` and `dmc demo`: server, broker and the client of one folder in one process, told as it happens."""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmc.cli.render import Json, Screen, bytes_text, clean, screen_of

if TYPE_CHECKING:
    from dmc.assemble.server import Parts
    from dmc.cli.running import Rooms
    from dmc.cli.story import Story
    from dmc.client.records import OutboxRecord
    from dmc.client_settings import ClientSettings
    from dmc.server_settings import ServerSettings

DEMO_DEADLINE_S = 600.0
_TO = typer.Option("--to", "-t", help="Conversion type for its medium; may be given once per medium.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the front door."""
    app.command()(up)
    app.command()(demo)


def up(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Folder to watch; default: those of client.toml.", file_okay=False)] = None,
    to: Annotated[list[str] | None, _TO] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port of the page and the server; 0: any free one.")] = None,
) -> None:
    """Run server, broker and a watched folder in one go, until Ctrl-C. Example: dmc up ~/Videos/inbox --to web"""
    from dmc.config import load_client, load_server
    from dmc.errors import NotFound, UsageFault

    screen = screen_of(context)
    if folder is not None and not folder.is_dir():
        raise NotFound(f"there is no folder {folder}.", f"Make it first: mkdir -p {folder}")
    server = load_server(None, {"listen_on_port": port}).settings
    client = load_client().settings
    if folder is None and not client.list_of_paths_to_observe:
        raise UsageFault("no folder to watch.", "Name one: dmc up FOLDER")
    with _household(screen, server, client, folder, to or []) as (rooms, story, parts, url):
        from dmc.assemble.entry import page_link

        screen.say(f"page:     {page_link(parts.tokens, url, server.base_path)}")
        screen.say("stop:     Ctrl-C; what is unfinished goes on next time\n")
        story.follow(rooms.stop, lambda: False)


def demo(context: typer.Context, as_json: Json = False) -> None:
    """See a short real clip come home converted and verified; ends by itself. Example: dmc demo"""
    import dmc
    from dmc.client_settings import ClientSettings
    from dmc.errors import StillBroken, TimedOut, VerificationFailed
    from dmc.server_settings import ServerSettings

    screen = screen_of(context)
    home = Path(tempfile.mkdtemp(prefix="dmc-demo-"))
    folder = home / "inbox"
    folder.mkdir()
    server = ServerSettings(data_folder=home / "server", listen_on_port=0)
    server = server.model_copy(update={"limits": server.limits.model_copy(update={"disk_floor": 0})})
    client = ClientSettings(state_folder=home / "client", settle_s=0.5)
    with _household(screen, server, client, folder, []) as (rooms, story, parts, _):
        shutil.copy(Path(dmc.__file__).parent / "sample" / "nasa.mp4", folder / "nasa.mp4")
        screen.say(f"drop:     {folder / 'nasa.mp4'} (a clip of NASA, {bytes_text((folder / 'nasa.mp4').stat().st_size)})\n")
        story.follow(rooms.stop, lambda: any(record.status.is_done for record in story.records()), DEMO_DEADLINE_S)
        records = story.records()
        if rooms.fault is not None or not records:
            raise StillBroken("the demo stopped before the clip was seen.", f"The log is in {home / 'up.log'}")
        if not records[0].status.is_done:
            if rooms.stop.is_set():
                raise KeyboardInterrupt
            raise TimedOut(f"the clip did not come home within {DEMO_DEADLINE_S:g} s.", f"The log is in {home / 'up.log'}")
        target = _checked_result(records[0])
        if target is None:
            raise VerificationFailed("the clip did not come home verified.", f"The log is in {home / 'up.log'}")
        _show_result(screen, parts, records[0], target, as_json)


def _checked_result(record: "OutboxRecord") -> Path | None:
    """The result's path if its bytes are those that were verified."""
    from dmc.client.records import decode_path

    if record.result is None or record.result_path is None:
        return None
    target = decode_path(record.result_path)
    if not target.is_file() or hashlib.sha512(target.read_bytes()).hexdigest() != record.result.sha512_checksum:
        return None
    return target


def _show_result(screen: Screen, parts: "Parts", record: "OutboxRecord", target: Path, as_json: bool) -> None:
    import json

    from dmc.assemble.local import receipt_lines

    folder = parts.storage.folder(record.item_id or "")
    content = json.loads((folder / "out" / "receipt.json").read_text()) if folder else {}
    if as_json:
        screen.document(
            "demo", {"result": str(target), "sha512": record.result.sha512_checksum if record.result else None, "receipt": content}
        )
        return
    screen.data(f"result:   {target}")
    for line in receipt_lines(content):
        screen.data(f"          {clean(line)}")


@contextmanager
def _household(
    screen: Screen, server: "ServerSettings", client: "ClientSettings", folder: Path | None, kinds: list[str]
) -> "Iterator[tuple[Rooms, Story, Parts, str]]":
    """All rooms in one process; on leaving they stop in order and everything unfinished is put back."""
    from dmc.assemble.client import open_client, open_outbox
    from dmc.assemble.entry import local_address
    from dmc.assemble.server import build_broker, build_server, open_parts, server_lock
    from dmc.assemble.workers import start_pool
    from dmc.cli.running import Rooms, ServerRoom, lines_of, run_broker, stop_on_signals
    from dmc.cli.story import Story
    from dmc.files import make_home
    from dmc.log import start_logging

    make_home(server.data_folder)
    log = (server.data_folder.parent / "up.log").open("a", encoding="utf-8")
    start_logging(server.log_level, log, lines_of(server, log))
    pool = start_pool(server)
    rooms = Rooms(threading.Event())
    try:
        with stop_on_signals() as stop, server_lock(server).held(), open_parts(server, recover=True) as parts:
            rooms = Rooms(stop)
            broker = build_broker(server, parts, pool)
            broker.start_up()
            rooms.begin("broker", run_broker(broker))
            front = ServerRoom(build_server(server, parts), server.listen_on_address, server.listen_on_port)
            rooms.begin("server", front.run)
            try:
                front.bound.wait()
                if front.url:
                    known = local_address(parts.data, parts.tokens, front.url, front.fingerprint)
                    settings = _with_folder(client, folder, kinds).model_copy(update={"list_of_servers": (known,)})
                    for observed in settings.list_of_paths_to_observe:
                        screen.say(f"watching: {observed.path}\nresults:  {observed.output_folder or observed.path / 'converted'}")
                    with open_client(settings) as syncing:
                        rooms.begin("client", syncing.run)
                        yield rooms, Story(open_outbox(settings), parts.threads, screen), parts, front.url
            finally:
                stop.set()
                rooms.wait()
    finally:
        pool.close()
        log.close()


def _with_folder(client: "ClientSettings", folder: Path | None, kinds: list[str]) -> "ClientSettings":
    """Client settings that observe `folder` (None: as they are), with `kinds` as the conversion types of their media."""
    from dmc.client_settings import ObservedPath
    from dmc.conversions import DEFAULT_CONVERSIONS, find_conversion

    chosen = {**DEFAULT_CONVERSIONS, **{medium: kind for kind in kinds for medium in find_conversion(kind).takes}}
    if folder is None:
        return client
    return client.model_copy(update={"list_of_paths_to_observe": (ObservedPath(path=folder, conversion_types=chosen),)})
