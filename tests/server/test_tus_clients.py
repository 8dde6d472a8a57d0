"""Clients of tus that others wrote, as they are, against the server. Slow: each is a process of its own.

tuspy and aiotus: `pip install tuspy aiotus`. The others: `npm install tus-js-client @uppy/core @uppy/tus`, and NODE_PATH at node_modules.
"""

import asyncio
import hashlib
import importlib.util
import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.server.conftest import House

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "tus_clients"
DATA = random.Random(1).randbytes(1_500_001)


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    out, problems = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, out + problems


def contents(house: House) -> list[str]:
    return sorted(item.sha512_checksum for item in house.ledger.select())


@pytest.mark.parametrize(("which", "module"), [("tuspy", "tusclient"), ("aiotus", "aiotus")])
async def test_python_clients_upload_resume_and_concatenate(running: House, tmp_path: Path, which: str, module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{which} is not installed here")
    file = tmp_path / "clip.mp4"
    file.write_bytes(DATA)
    await run(sys.executable, str(SCRIPTS / "send.py"), running.url, running.secret, str(file), which)
    wanted = [DATA] if which == "tuspy" else [DATA, DATA + DATA]
    assert contents(running) == sorted(hashlib.sha512(data).hexdigest() for data in wanted)


@pytest.mark.parametrize("how", ["plain", "parts", "with-creation", "deferred", "parallel"])
async def test_tus_js_client_uploads_in_every_way(running: House, tmp_path: Path, how: str) -> None:
    modules = Path(os.environ.get("NODE_PATH", "")) / "tus-js-client"
    node = shutil.which("node")
    if node is None or not modules.is_dir():
        pytest.skip("Node or tus-js-client is not installed here (NODE_PATH names its folder)")
    file = tmp_path / "clip.mp4"
    file.write_bytes(DATA)
    await run(node, str(SCRIPTS / "send.cjs"), running.url, running.secret, str(file), how)
    assert contents(running) == [hashlib.sha512(DATA).hexdigest()]


async def test_uppy_uploads_in_parts(running: House, tmp_path: Path) -> None:
    modules = Path(os.environ.get("NODE_PATH", ""))
    node = shutil.which("node")
    if node is None or not all((modules / name).is_dir() for name in ("@uppy/core", "@uppy/tus")):
        pytest.skip("Node or Uppy is not installed here (NODE_PATH names its folder)")
    file = tmp_path / "clip.mp4"
    file.write_bytes(DATA)
    await run(node, str(SCRIPTS / "uppy.mjs"), running.url, running.secret, str(file))
    assert contents(running) == [hashlib.sha512(DATA).hexdigest()]
