"""Programs of others that fetch, as they are, against the server: wget, curl, aria2 and ffmpeg, of the distribution. Slow: processes.

Each goes on from a file that an earlier try has left, and must not fetch again what it has.
"""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from dmc.protocol import ITEMS
from tests.patience import PATIENCE_S
from tests.server.conftest import House

pytestmark = pytest.mark.slow

SIZE = 12 * 1024 * 1024
KEPT = 5_000_001
RESULT = os.urandom(SIZE)


async def run(*command: str, expect: int = 0) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed here")
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    out, problems = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == expect, (out + problems).decode(errors="replace")
    return out.decode()


@pytest.fixture
async def item(running: House) -> str:
    """The id of an item that is converted into RESULT."""
    item_id = await running.upload(running.client(), b"original bytes", filename="clip.mp4")
    running.finish(item_id, RESULT)
    return item_id


@pytest.fixture
def clip(media: Path) -> tuple[str, bytes]:
    """Path and content of the largest handy film among the real files."""
    films = [path for path in media.glob("*.mp4") if path.stat().st_size < 20_000_000]
    film = max(films, key=lambda path: path.stat().st_size)
    return str(film), film.read_bytes()


def address(house: House, item_id: str, what: str = "result") -> str:
    return f"{house.url}{ITEMS}/{item_id}/{what}"


def sent(house: House) -> int:
    assert house.server is not None
    return house.server._downloads.bytes_sent


COMMANDS = {
    "wget": lambda url, token, target: ("wget", "-c", "-q", "--header", token, "-O", target, url),
    "curl": lambda url, token, target: ("curl", "-sS", "-C", "-", "-H", token, "-o", target, url),
}


@pytest.mark.parametrize("which", COMMANDS)
async def test_D2_wget_and_curl_go_on_where_an_earlier_try_stopped(running: House, item: str, tmp_path: Path, which: str) -> None:
    target = tmp_path / "clip.mkv"
    target.write_bytes(RESULT[:KEPT])
    before = sent(running)
    await run(*COMMANDS[which](address(running, item), f"Authorization: Bearer {running.secret}", str(target)))
    assert target.read_bytes() == RESULT
    assert sent(running) - before == SIZE - KEPT


@pytest.mark.parametrize("which", COMMANDS)
async def test_D4_wget_and_curl_with_a_whole_file_fetch_nothing(running: House, item: str, tmp_path: Path, which: str) -> None:
    target = tmp_path / "clip.mkv"
    target.write_bytes(RESULT)
    before = sent(running)
    await run(*COMMANDS[which](address(running, item), f"Authorization: Bearer {running.secret}", str(target)))
    assert target.read_bytes() == RESULT
    assert sent(running) == before


async def test_D2_aria2_fetches_with_eight_connections_at_once(running: House, item: str, tmp_path: Path) -> None:
    token = f"--header=Authorization: Bearer {running.secret}"
    split = ("-x8", "-s8", "-k1M", "--file-allocation=none", "-q")
    await run("aria2c", *split, token, "-d", str(tmp_path), "-o", "clip.mkv", address(running, item))
    assert (tmp_path / "clip.mkv").read_bytes() == RESULT


async def test_D2_players_seek_in_what_is_served(running: House, clip: tuple[str, bytes]) -> None:
    path, data = clip
    item_id = await running.upload(running.client(), data, filename="clip.mp4")
    url, token = address(running, item_id, "original"), ("-headers", f"Authorization: Bearer {running.secret}\r\n")
    shown = ("-v", "error", "-show_entries", "format=duration,size:stream=codec_name,nb_frames", "-of", "csv")
    assert await run("ffprobe", *shown, *token, url) == await run("ffprobe", *shown, path)

    def frame(*source: str) -> tuple[str, ...]:
        return ("ffmpeg", "-v", "error", "-ss", "1", *source, "-frames:v", "1", "-f", "framemd5", "-")

    before = sent(running)
    assert await run(*frame(*token, "-i", url)) == await run(*frame("-i", path))
    assert sent(running) - before <= 2 * len(data)
