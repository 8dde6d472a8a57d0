"""schemathesis reads the API's own description and tries to find an answer that it does not allow. Slow; pip install '.[fuzz]'."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dmc.protocol import EVENTS
from dmc.server.openapi import OPENAPI
from tests.server.conftest import House

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
SEED = "20261121"


@contextlib.asynccontextmanager
async def beating(house: House) -> AsyncIterator[None]:
    """A broker that lives as long as the block: a server without one says 503 at /readyz, as it should."""

    async def beat() -> None:
        while True:
            house.beat()
            await asyncio.sleep(1)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.slow
async def test_schemathesis_finds_nothing(house: House) -> None:
    program = Path(sys.executable).with_name("st")
    if not program.exists():
        pytest.skip("schemathesis is not installed here: pip install '.[fuzz]'")
    await house.start(failed_sign_ins_per_minute=1_000_000)
    item = await house.upload(house.client(), b"film")
    house.finish(item, b"result")
    secret = house.tokens.create("fuzz", ["read", "write", "admin"])
    async with beating(house):
        run = await asyncio.create_subprocess_exec(
            str(program),
            "run",
            house.url + OPENAPI,
            *("--header", f"Authorization: Bearer {secret}"),
            *("--checks", CHECKS),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "25"),
            *("--seed", SEED),
            *("--request-timeout", "20"),
            *("--exclude-path", EVENTS),  # A stream without end.
            *("--exclude-operation-id", "delete_tokens_name"),  # It would end the token that all of this runs with.
            "--no-color",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=house.data,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(Path(__file__).parent)},
        )
        said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()[-6000:]
