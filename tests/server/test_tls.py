"""TLS for real, on loopback: the certificate that is made here, and whom a client takes for its server."""

import asyncio
import hashlib
import ssl
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dmc.assemble.client import ways_to
from dmc.client.transport import Parcel
from dmc.client_settings import KnownServer
from dmc.clock import ManualClock, SystemClock
from dmc.errors import BadSettings, ServerUnreachable
from dmc.files import RealDisk
from dmc.protocol import ITEMS, SERVER
from dmc.server.sessions import SESSION
from dmc.server.tls import RENEW_DAYS, VALID_DAYS, Tls, given, self_made
from tests.server.certificates import certificate
from tests.server.conftest import House


def made(data: Path, clock: Any = None) -> Tls:
    return self_made(data, ["nas.example", "10.0.0.5"], disk=RealDisk(), clock=clock or SystemClock())


def test_a_certificate_is_made_once_and_its_key_is_for_the_owner_alone(tmp_path: Path) -> None:
    first = made(tmp_path)
    assert made(tmp_path) == first
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.key.parent.stat().st_mode) == 0o700
    assert first.fingerprint == hashlib.sha256(ssl.PEM_cert_to_DER_cert(first.certificate.read_text())).hexdigest()
    # It vouches for itself, under the names it was made for.
    trusting = ssl.create_default_context(cafile=first.certificate)
    assert len(trusting.get_ca_certs()) <= 1
    assert [file.name for file in sorted(first.key.parent.iterdir())] == ["certificate.pem", "key.pem", "made.json"]


def test_a_certificate_is_made_anew_shortly_before_its_end_and_when_a_part_is_gone(tmp_path: Path) -> None:
    clock = ManualClock()
    first = made(tmp_path, clock)
    clock.advance((VALID_DAYS - RENEW_DAYS) * 86400 - 60)
    assert made(tmp_path, clock).fingerprint == first.fingerprint
    clock.advance(120)
    second = made(tmp_path, clock)
    assert second.fingerprint != first.fingerprint
    second.key.unlink()
    third = made(tmp_path, clock)
    assert third.fingerprint != second.fingerprint
    third.context()


def test_a_key_of_another_certificate_is_refused_in_words(tmp_path: Path) -> None:
    one, other = certificate(tmp_path, "one"), certificate(tmp_path, "other")
    assert given(one.certificate, one.key).fingerprint == one.fingerprint
    with pytest.raises(BadSettings, match=r"one\.pem and other\.key"):
        given(one.certificate, other.key)
    with pytest.raises(BadSettings, match="holds no certificate"):
        given(one.key, one.key)
    with pytest.raises(BadSettings, match="holds no certificate"):
        given(tmp_path / "none.pem", one.key)


def without_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmc.server.tls.shutil.which", lambda _: None)


def test_without_openssl_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_openssl(monkeypatch)
    with pytest.raises(BadSettings, match="openssl") as caught:
        made(tmp_path)
    assert "tls_certificate" in caught.value.hint


async def reached(house: House, **known: Any) -> str:
    """The instance that a client with these settings reaches; raises what it raises."""
    file = house.data / "laptop.token"
    file.write_text(house.secret)
    settings = KnownServer(address=known.pop("address", "127.0.0.1"), port=house.address[1], token_file=file, **known)
    [(_, transport)] = ways_to([settings])
    try:
        return (await asyncio.to_thread(transport.reach)).instance
    finally:
        transport.close()


async def test_a_client_takes_the_pinned_certificate_and_no_other(house: House, tmp_path: Path) -> None:
    house.tls = certificate(tmp_path, "server", "DNS:elsewhere.example")
    other = certificate(tmp_path, "other")
    await house.start()
    assert await reached(house, fingerprint=house.tls.fingerprint) == house.instance
    with pytest.raises(ServerUnreachable, match="another certificate answers than the pinned one"):
        await reached(house, fingerprint=other.fingerprint)
    assert house.tokens.list()[0].last_used_at is not None
    with pytest.raises(ServerUnreachable, match="not trusted"):
        await reached(house, tls=True)
    with pytest.raises(ServerUnreachable):
        await reached(house)


async def test_a_stranger_with_another_certificate_never_sees_the_token(house: House, tmp_path: Path) -> None:
    house.tls = certificate(tmp_path, "server")
    await house.start()
    with pytest.raises(ServerUnreachable):
        await reached(house, fingerprint="0" * 64)
    assert house.tokens.list()[0].last_used_at is None


async def test_a_ca_file_counts_with_name_and_date(house: House, tmp_path: Path) -> None:
    house.tls = certificate(tmp_path, "right")
    await house.start()
    assert await reached(house, ca_file=house.tls.certificate) == house.instance
    with pytest.raises(ServerUnreachable, match=r"not trusted: .*[Hh]ostname mismatch"):
        await reached(house, ca_file=house.tls.certificate, address="localhost")
    with pytest.raises(ServerUnreachable, match="not trusted"):
        await reached(house, ca_file=certificate(tmp_path, "other").certificate)
    with pytest.raises(BadSettings, match="no certificates"):
        await reached(house, ca_file=house.tls.key)


async def test_an_expired_certificate_is_refused(house: House, tmp_path: Path) -> None:
    house.tls = certificate(tmp_path, "old", expired=True)
    await house.start()
    with pytest.raises(ServerUnreachable, match="expired"):
        await reached(house, ca_file=house.tls.certificate)


async def test_a_file_goes_there_and_back_over_tls(house: House, tmp_path: Path) -> None:
    house.tls = certificate(tmp_path, "server")
    await house.start()
    data, result = b"film" * 300_000, b"converted" * 1_000_000
    (tmp_path / "clip.mp4").write_bytes(data)
    token = tmp_path / "laptop.token"
    token.write_text(house.secret)
    known = KnownServer(address="127.0.0.1", port=house.address[1], token_file=token, fingerprint=house.tls.fingerprint)
    [(_, way)] = ways_to([known])
    parcel = Parcel(tmp_path / "clip.mp4", "clip.mp4", len(data), hashlib.sha512(data).hexdigest(), "h265", "key")
    try:
        item = await asyncio.to_thread(way.send, parcel, lambda _: None, lambda _: None)
        facts = house.finish(item.item_id, result).result
        assert facts is not None
        await asyncio.to_thread(way.fetch, item.item_id, facts, tmp_path / "part")
    finally:
        way.close()
    assert (tmp_path / "part").read_bytes() == result


async def test_the_page_over_tls_has_a_secure_cookie_and_the_fingerprint(house: House, tmp_path: Path) -> None:
    house.tls = certificate(tmp_path, "server")
    await house.start()
    pin = aiohttp.Fingerprint(bytes.fromhex(house.tls.fingerprint))
    http = house.client(None, connector=aiohttp.TCPConnector(ssl=pin))
    async with http.post(SESSION, json={"token": house.secret}) as reply:
        assert "Secure" in reply.headers["Set-Cookie"]
    async with http.get(SERVER) as reply:
        assert "fingerprint" not in await reply.json()
    fields = {"Authorization": f"Bearer {house.secret}"}
    async with http.get(SERVER, headers=fields) as reply:
        assert (await reply.json())["fingerprint"] == house.tls.fingerprint
    async with http.get(ITEMS, headers=fields | {"Origin": house.url}) as reply:
        assert reply.status == 200


async def warnings_at(house: House, **changed: Any) -> list[str]:
    await house.start(**changed)
    async with house.client().get(SERVER) as reply:
        told: list[str] = (await reply.json())["warnings"]
    assert house.server is not None
    await house.server.stop()
    return told


async def test_an_address_that_others_reach_warns_without_tls_or_a_declared_proxy(house: House, tmp_path: Path, monkeypatch: Any) -> None:
    assert await warnings_at(house) == []
    # Nothing here listens to the outside: what is asked for is loopback, and is only taken for something else.
    monkeypatch.setattr("dmc.server.app.is_loopback", lambda _: False)
    [told] = await warnings_at(house)
    assert "without TLS" in told
    assert await warnings_at(house, trusted_proxies=("10.0.0.1",)) == []
    house.tls = certificate(tmp_path, "server")
    await house.start()
    assert house.server is not None
    assert house.server.warnings == []
