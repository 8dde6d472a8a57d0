"""A server behind real proxies, with the very files of install/proxy: nothing is kept back, nothing is believed that they did not say."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from dmc.assemble.client import ping_server
from dmc.protocol import API, EVENTS, ITEMS, OFFSET_TYPE, UPLOADS
from dmc.server.tus_headers import format_metadata
from tests.ports import Port
from tests.server.certificates import certificate
from tests.server.conftest import TUS, House

FILES = Path(__file__).parents[2] / "install" / "proxy"
MIB = 1024 * 1024
WAIT_S = 30.0
NEIGHBOUR = "127.0.0.2"
"""Where the tests ask from: not the address of the proxy, which is believed."""

NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/dmc.conf;
}}
"""
APACHE = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog {folder}/error.log
ServerName localhost
Listen 127.0.0.1:{port}
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule reqtimeout_module {modules}/mod_reqtimeout.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule ssl_module {modules}/mod_ssl.so
Include {folder}/dmc.conf
"""
MODULES = Path("/usr/lib/apache2/modules")


@dataclass(frozen=True)
class Front:
    """A proxy in front of a house. `base`: the server's address as people have it."""

    house: House
    name: str
    port: int
    folder: Path
    fingerprint: str

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self.port}/dmc"

    @property
    def host(self) -> str:
        return f"nas.example:{self.port}"

    def client(self, signed_in: bool = True) -> aiohttp.ClientSession:
        headers = {"Host": self.host} | ({"Authorization": f"Bearer {self.house.secret}"} if signed_in else {})
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(local_addr=(NEIGHBOUR, 0), ssl=aiohttp.Fingerprint(bytes.fromhex(self.fingerprint))),
            headers=headers,
        )

    def kept_bytes(self) -> int:
        """What the proxy has put on its own disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file() and path.parent != self.folder)


@pytest.fixture(params=["nginx", "apache"])
async def front(request: pytest.FixtureRequest, house: House, tmp_path: Path) -> AsyncIterator[Front]:
    program = shutil.which({"nginx": "nginx", "apache": "apache2"}[request.param], path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or (request.param == "apache" and not (MODULES / "mod_proxy_http.so").exists()):
        pytest.skip(f"{request.param} is not installed here")
    await house.start(base_path="/dmc", trusted_proxies=("127.0.0.1",), allowed_hosts=("nas.example",), max_file_size=2048 * MIB)
    folder = tmp_path / "proxy"
    folder.mkdir()
    shown = certificate(folder, "nas")
    with Port() as port:
        command = _set_up(request.param, program, folder, port.number, house.address[1])
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await until_it_listens(process, port.number, folder)
            yield Front(house, request.param, port.number, folder, shown.fingerprint)
        finally:
            await house.stop()  # Else a proxy waits for the streams that it still holds.
            process.terminate()
            await asyncio.wait_for(process.wait(), WAIT_S)


def _set_up(name: str, program: str, folder: Path, port: int, behind: int) -> list[str]:
    """Write the settings, ours with other places; the command that runs the proxy with them."""
    settings = (FILES / f"{name}.conf").read_text()
    changes = {
        "127.0.0.1:8770": f"127.0.0.1:{behind}",
        "/etc/ssl/nas.pem": f"{folder}/nas.pem",
        "/etc/ssl/nas.key": f"{folder}/nas.key",
        **({"listen 443 ": f"listen 127.0.0.1:{port} "} if name == "nginx" else {"*:443>": f"127.0.0.1:{port}>"}),
    }
    for old, new in changes.items():
        assert old in settings
        settings = settings.replace(old, new)
    (folder / "dmc.conf").write_text(settings)
    user = "User daemon\nGroup daemon" if os.geteuid() == 0 else ""
    main = (NGINX if name == "nginx" else APACHE).format(folder=folder, port=port, modules=MODULES, user=user)
    (folder / "main.conf").write_text(main)
    if name == "nginx":
        return [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "main.conf")]
    return [program, "-d", str(folder), "-f", str(folder / "main.conf"), "-D", "FOREGROUND"]


async def until_it_listens(process: asyncio.subprocess.Process, port: int, folder: Path) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            assert process.returncode is None, (folder / "error.log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


def _bytes_in(folder: Path) -> int:
    """Of an original, as far as it has come. The last ones may still stand in a buffer."""
    return sum(path.stat().st_size for path in folder.glob("original*"))


async def _send(front: Front, http: aiohttp.ClientSession, blocks: list[bytes], *, in_steps: bool) -> str:
    """A tus upload in one part. `in_steps`: the next block goes out once the server has the one before."""
    house, size = front.house, sum(map(len, blocks))
    named = {"Upload-Length": str(size), "Upload-Metadata": format_metadata({"filename": "a film.mp4", "conversion_type": "h265"})}
    async with http.post(f"{front.base}{UPLOADS}", headers=TUS | named) as reply:
        assert reply.status == 201, await reply.text()
        location = reply.headers["Location"]
    assert location.startswith(f"https://{front.host}/dmc{UPLOADS}/")
    address = location.replace(front.host, f"127.0.0.1:{front.port}")
    folder = house.storage.folder(address.rpartition("/")[2])
    assert folder is not None

    async def body() -> AsyncIterator[bytes]:
        sent = 0
        for block in blocks:
            yield block
            sent += len(block)
            async with asyncio.timeout(WAIT_S):
                while in_steps and sent < size and _bytes_in(folder) < sent - MIB // 2:
                    await asyncio.sleep(0.01)

    headers = TUS | {"Upload-Offset": "0", "Content-Type": OFFSET_TYPE, "Content-Length": str(size)}
    async with http.patch(address, headers=headers, data=body()) as reply:
        assert reply.status == 204, await reply.text()
        return reply.headers["Dmc-Item"]


async def test_an_upload_flows_through_while_it_is_sent(front: Front) -> None:
    """A proxy that keeps the body until its end would never let the second block go: the test would end by its timeout."""
    blocks = [os.urandom(MIB) for _ in range(4)]
    async with front.client() as http:
        item_id = await _send(front, http, blocks, in_steps=True)
    assert front.house.stored(item_id) == b"".join(blocks)
    assert front.kept_bytes() == 0


@pytest.mark.slow
async def test_a_gigabyte_goes_through_and_leaves_nothing_on_the_proxys_disk(front: Front) -> None:
    blocks = [os.urandom(MIB)] * 1024
    async with front.client() as http:
        item_id = await _send(front, http, blocks, in_steps=False)
    item = front.house.ledger.get(item_id)
    assert item is not None
    digest = hashlib.sha512()
    for block in blocks:
        digest.update(block)
    assert (item.file_size, item.sha512_checksum) == (1024 * MIB, digest.hexdigest())
    assert front.kept_bytes() == 0


async def test_events_arrive_at_once(front: Front) -> None:
    async with front.client() as http, http.get(f"{front.base}{EVENTS}") as stream, asyncio.timeout(WAIT_S):
        assert stream.status == 200
        while await stream.content.readline() != b"event: snapshot\n":
            pass
        # The stream stays open: what comes now was not pushed out by its end.
        item_id = await _send(front, http, [b"abc"], in_steps=False)
        while item_id.encode() not in await stream.content.readline():
            pass


async def test_ranges_come_through_one_and_several(front: Front) -> None:
    async with front.client() as http:
        item_id = await _send(front, http, [b"abc"], in_steps=False)
        front.house.finish(item_id, bytes(range(256)) * 40)
        address = f"{front.base}{ITEMS}/{item_id}/result"
        async with http.get(address, headers={"Range": "bytes=3-5"}) as reply:
            assert (reply.status, await reply.read()) == (206, bytes([3, 4, 5]))
        async with http.get(address, headers={"Range": "bytes=0-1,5000-5002,-2"}) as reply:
            assert (reply.status, reply.content_type) == (206, "multipart/byteranges")
            reader = aiohttp.MultipartReader.from_response(reply)
            parts = []
            while (part := await reader.next()) is not None:
                assert isinstance(part, aiohttp.BodyPartReader)
                parts.append((part.headers["Content-Range"], bytes(await part.read())))
        assert parts == [
            ("bytes 0-1/10240", b"\x00\x01"),
            ("bytes 5000-5002/10240", bytes(n % 256 for n in (5000, 5001, 5002))),
            ("bytes 10238-10239/10240", b"\xfe\xff"),
        ]


async def test_the_page_signs_in_over_it_and_its_cookie_stays_there(front: Front) -> None:
    async with front.client(signed_in=False) as http:
        async with http.get(f"{front.base}/") as reply:
            assert (reply.status, reply.content_type) == (200, "text/html")
            assert '"/dmc/web/' in await reply.text()
        origin = {"Origin": f"https://{front.host}"}
        async with http.post(f"{front.base}{API}/session", json={"token": front.house.secret}, headers=origin) as reply:
            assert reply.status == 200, await reply.text()
            [cookie] = reply.cookies.values()
            assert (cookie["path"], cookie["secure"]) == ("/dmc", True)


async def test_a_foreign_name_is_refused_through_it_whatever_is_said_of_it(front: Front) -> None:
    async with front.client(signed_in=False) as http:
        for told in ({}, {"X-Forwarded-Host": front.host}):
            async with http.get(f"{front.base}/", headers={"Host": "evil.example"} | told) as reply:
                assert (reply.status, (await reply.json())["error"]["code"]) == (403, "HostNotAllowed")


async def test_failed_sign_ins_are_counted_for_whoever_asks_not_for_the_proxy(front: Front) -> None:
    """Who writes X-Forwarded-For into a request is one address all the same: the proxy adds the true one behind it."""
    async with front.client(signed_in=False) as http:
        seen = []
        for number in range(12):
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": f"10.0.0.{number}"}
            async with http.get(f"{front.base}{ITEMS}", headers=headers) as reply:
                seen.append(reply.status)
    assert seen == [401] * 10 + [429] * 2


async def test_the_client_knows_a_server_by_the_proxys_address(front: Front) -> None:
    identity = await asyncio.to_thread(ping_server, front.base, front.fingerprint)
    assert identity.instance == front.house.instance
