"""A server of its own process over a data folder, as `dmc server run` builds it, without a broker: `python -m tests.server.serve DATA`."""

import asyncio
import signal
import sys
from pathlib import Path

from dmc.assemble.server import build_server, open_parts
from dmc.server_settings import Limits, ServerSettings


async def main(data: Path) -> None:
    settings = ServerSettings(data_folder=data, limits=Limits(disk_floor=0))
    with open_parts(settings, recover=True) as parts:
        server = build_server(settings, parts)
        host, port = await server.start("127.0.0.1", 0)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        print(f"{host} {port}", flush=True)
        await stop.wait()
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
