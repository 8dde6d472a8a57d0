"""HTTP as it really goes wrong: strange answers, cuts at every byte, ranges that do not fit. P1–P3, D11–D13."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import threading
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dmc.client import http_calls
from dmc.client.http_calls import TRANSFER, Reply, retry_after
from dmc.client.model import ServerAddress
from dmc.client.transport import LocalFault, Parcel, note_beside
from dmc.client.transport_http import HttpTransport
from dmc.client.transport_memory import MemoryServer
from dmc.errors import BadSettings, Busy, ServerUnreachable, SignInNeeded, VerificationFailed
from dmc.jobs import ResultFacts
from dmc.protocol import ITEMS, SERVER
from tests.client.http_server import ETAG, HttpServer
from tests.patience import PATIENCE_S

CONTENT = bytes(range(256)) * 8
DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def http() -> Iterator[HttpServer]:
    server = HttpServer(MemoryServer("instance-1"), token="dmc_secret")
    yield server
    server.close()


@pytest.fixture
def transport(http: HttpServer) -> Iterator[HttpTransport]:
    way = HttpTransport(ServerAddress("nas", http.url, "dmc_secret"))
    yield way
    way.close()


def parcel(folder: Path, content: bytes = CONTENT, **fields: str) -> Parcel:
    path = folder / "clip.mp4"
    path.write_bytes(content)
    return Parcel(path, "clip.mp4", len(content), hashlib.sha512(content).hexdigest(), "h265", "key", **fields)  # type: ignore[arg-type]


def result_of(http: HttpServer, transport: HttpTransport, folder: Path) -> tuple[str, ResultFacts]:
    item = transport.send(parcel(folder), lambda url: None, lambda count: None)
    http.server.finish(item.item_id, CONTENT)
    return item.item_id, ResultFacts(file_name="r.mkv", file_size=len(CONTENT), sha512_checksum=hashlib.sha512(CONTENT).hexdigest())


# --- Who is there ---------------------------------------------------------------------------------------------------


def test_P1_identity_is_asked_for_without_the_token_first(http: HttpServer, transport: HttpTransport) -> None:
    assert transport.reach("instance-1").instance == "instance-1"
    assert ["Authorization" in headers for _, path, headers in http.seen if path == SERVER] == [False, True]


def test_P2_another_instance_never_sees_the_token(http: HttpServer, transport: HttpTransport) -> None:
    with pytest.raises(ServerUnreachable, match="another dmc server"):
        transport.reach("instance-2")
    assert not any("Authorization" in headers for _, _, headers in http.seen)


@pytest.mark.parametrize("fault", ["portal", "redirects"])
def test_P2_a_captive_portal_is_a_server_that_is_away(http: HttpServer, transport: HttpTransport, fault: str, tmp_path: Path) -> None:
    setattr(http, fault, True)
    with pytest.raises(ServerUnreachable):
        transport.reach()
    assert not any("Authorization" in headers for _, _, headers in http.seen)
    for call in (
        lambda: transport.progress(["x"]),
        lambda: transport.check([]),
        lambda: transport.send(parcel(tmp_path), lambda url: None, lambda count: None),
        lambda: transport.acknowledge("x", "0" * 128) if fault == "redirects" else transport.receipt("x"),
    ):
        with pytest.raises(ServerUnreachable):
            call()


def test_P2_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        transport = HttpTransport(ServerAddress("nas", f"http://127.0.0.1:{closed.getsockname()[1]}"))
        with pytest.raises(ServerUnreachable, match="connection failed"):
            transport.reach()
        transport.close()


def test_P3_a_transfer_has_no_limit_as_a_whole_but_one_for_silence() -> None:
    assert (TRANSFER.total, TRANSFER.sock_connect, TRANSFER.sock_read) == (None, 5.0, 60.0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no limit for bytes that nobody takes")
def test_P3_a_server_that_takes_no_more_bytes_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_calls, "READ_S", 0.5)
    created = b"HTTP/1.1 201 Created\r\nLocation: /api/v1/uploads/x\r\nUpload-Offset: 0\r\nContent-Length: 0\r\n\r\n"
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))

        def answer_once_and_never_read_again() -> None:
            connection = opened.enter_context(listener.accept()[0])
            connection.recv(64 * 1024)
            connection.sendall(created)

        server = threading.Thread(target=answer_once_and_never_read_again)
        server.start()
        transport = HttpTransport(ServerAddress("nas", f"http://127.0.0.1:{listener.getsockname()[1]}", "secret"))
        opened.callback(transport.close)
        sent = parcel(tmp_path, bytes(32 * 1024 * 1024))
        ended = ThreadPoolExecutor(1).submit(transport.send, sent, lambda _: None, lambda _: None)
        server.join()
        with pytest.raises(ServerUnreachable):
            ended.result(timeout=PATIENCE_S)


def test_a_token_that_is_not_known_is_sign_in_needed(http: HttpServer) -> None:
    transport = HttpTransport(ServerAddress("nas", http.url, "wrong"))
    with pytest.raises(SignInNeeded):
        transport.progress(["x"])
    transport.close()


@pytest.mark.parametrize("url", ["nas:8770", "ftp://nas", "http://", "http://[::1"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(BadSettings, match="no address"):
        HttpTransport(ServerAddress("nas", url))


def test_P4_retry_after_comes_with_the_error(http: HttpServer, transport: HttpTransport) -> None:
    http.status, http.retry_after = 503, "17"
    with pytest.raises(Busy) as caught:
        transport.progress(["x"])
    assert caught.value.retry_after_s == 17


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("17", 17.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        (None, None),
        ("9" * 30, 86400.0),
    ],
)
def test_P4_retry_after_is_seconds_or_a_date(field: str | None, seconds: float | None) -> None:
    assert retry_after(field, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


# --- Sending --------------------------------------------------------------------------------------------------------


def test_a_small_upload_cut_at_every_byte_arrives_once_and_whole(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    content = b"forty bytes that are cut at every place."
    for cut in range(len(content)):
        http.server.received = 0
        http.server.cut_after = cut
        what = parcel(tmp_path, content)
        what = Parcel(what.path, what.label, what.file_size, what.sha512, what.conversion_type, f"key-{cut}")
        urls: list[str] = []
        with pytest.raises(ServerUnreachable):
            transport.send(what, urls.append, lambda count: None)
        item = transport.send(what, urls.append, lambda count: None)
        assert http.server.originals[item.item_id] == content
        assert http.server.received == len(content)


@pytest.mark.parametrize("origin", ["", "http://elsewhere.example", "https://127.0.0.1:1", "//elsewhere.example", "http://[::1]:9"])
def test_only_the_path_of_a_location_counts_whatever_host_it_names(http: HttpServer, transport: HttpTransport, origin: str) -> None:
    assert transport._calls.path_of(f"{origin}/api/v1/uploads/1") == "/api/v1/uploads/1"


@pytest.mark.parametrize("location", ["http://[half", "uploads/1"])
def test_a_location_without_a_path_is_refused(http: HttpServer, transport: HttpTransport, location: str) -> None:
    with pytest.raises(ServerUnreachable, match="no address"):
        transport._calls.path_of(location)


def test_a_base_address_with_a_path_is_kept(http: HttpServer) -> None:
    transport = HttpTransport(ServerAddress("nas", "https://home.example/media/"))
    assert transport._calls.path_of("https://home.example/media/api/v1/uploads/1") == "/api/v1/uploads/1"
    assert transport._calls.address("/api/v1/server") == "https://home.example/media/api/v1/server"


# --- Fetching -------------------------------------------------------------------------------------------------------


def stored_part(item_id: str, result: ResultFacts, temp: Path, size: int) -> None:
    """What an earlier fetch left."""
    note = {"url": f"{ITEMS}/{item_id}/result", "etag": ETAG, "size": result.file_size, "sha512": result.sha512_checksum}
    note_beside(temp).write_text(json.dumps(note))
    temp.write_bytes(CONTENT[:size])


def test_D11_a_fetch_goes_on_at_every_byte_where_an_earlier_one_stopped(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    temp = tmp_path / "temp"
    for size in (*range(1, 40), 255, 256, 1000, len(CONTENT) - 1, len(CONTENT)):
        stored_part(item_id, result, temp, size)
        http.seen.clear()
        transport.fetch(item_id, result, temp)
        assert temp.read_bytes() == CONTENT
        asked = [headers.get("Range") for _, _, headers in http.seen]
        assert asked == ([] if size == len(CONTENT) else [f"bytes={size}-"])


def test_D12_a_fetch_cut_at_any_byte_leaves_a_part_that_the_next_one_completes(
    http: HttpServer, transport: HttpTransport, tmp_path: Path
) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    for cut in (0, 1, 255, 1000, len(CONTENT) - 1):
        temp = tmp_path / f"temp-{cut}"
        http.cut_results_after = cut
        with pytest.raises(ServerUnreachable):
            transport.fetch(item_id, result, temp)
        assert CONTENT[:cut].startswith(temp.read_bytes())
        transport.fetch(item_id, result, temp)
        assert temp.read_bytes() == CONTENT


def test_D11_a_part_of_another_result_is_never_continued(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    temp = tmp_path / "temp"
    temp.write_bytes(b"something else")
    transport.fetch(item_id, result, temp)
    assert temp.read_bytes() == CONTENT
    note = json.loads(note_beside(temp).read_bytes())
    note["sha512"] = "0" * 128
    temp.write_bytes(b"x" * 100)
    note_beside(temp).write_text(json.dumps(note))
    transport.fetch(item_id, result, temp)
    assert temp.read_bytes() == CONTENT


def test_D11_a_result_that_changed_under_its_address_starts_anew(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    stored_part(item_id, result, tmp_path / "temp", 100)
    http.swapped = True
    with pytest.raises(VerificationFailed):
        transport.fetch(item_id, result, tmp_path / "temp")
    assert not (tmp_path / "temp").exists()
    assert not note_beside(tmp_path / "temp").exists()


def test_D12_a_fault_of_this_machines_disk_is_no_fault_of_the_server(
    http: HttpServer, transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    item_id, result = result_of(http, transport, tmp_path)
    with pytest.raises(LocalFault, match="No such file"):
        transport.fetch(item_id, result, tmp_path / "no folder" / "temp")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(LocalFault, match="disk is full"):
            transport.fetch(item_id, result, tmp_path / "temp")
    transport.fetch(item_id, result, tmp_path / "temp")
    assert (tmp_path / "temp").read_bytes() == CONTENT


def test_D12_a_result_that_cannot_fit_is_not_begun(
    http: HttpServer, transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: DiskUsage(10**9, 10**9, len(CONTENT) - 1))
        with pytest.raises(LocalFault, match="disk is full"):
            transport.fetch(item_id, result, tmp_path / "temp")
        assert not (tmp_path / "temp").exists()
        patch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, 0))  # A file system that does not say.
        transport.fetch(item_id, result, tmp_path / "temp")
    assert (tmp_path / "temp").read_bytes() == CONTENT


@pytest.mark.parametrize("odd", [b'"file_name":"a\\ud800"', b'"sha512_checksum":"zz"', b'"file_size":-1'])
def test_what_a_server_says_of_a_result_must_make_sense(
    http: HttpServer, transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: bytes
) -> None:
    item_id, _ = result_of(http, transport, tmp_path)
    field = odd.partition(b":")[0]

    def bent(reply: Reply) -> object:
        result, of_it, rest = reply.body.partition(b'"result":{')
        return _json_of(Reply(reply.status, reply.headers, result + of_it + re.sub(field + rb':("[^"]*"|\d+)', lambda _: odd, rest)))

    _json_of = Reply.json
    assert transport.progress([item_id])[item_id].result is not None
    monkeypatch.setattr(Reply, "json", bent)
    with pytest.raises(ServerUnreachable, match="not dmc's"):
        transport.progress([item_id])


@pytest.mark.parametrize("fault", ["unframed", "gzip"])
def test_D13_an_answer_that_cannot_be_trusted_is_refused(http: HttpServer, transport: HttpTransport, tmp_path: Path, fault: str) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    setattr(http, fault, True)
    with pytest.raises(ServerUnreachable, match="not dmc's"):
        transport.fetch(item_id, result, tmp_path / "temp")
    setattr(http, fault, False)
    transport.fetch(item_id, result, tmp_path / "temp")


def test_D11_a_part_that_was_not_asked_for_is_refused(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    stored_part(item_id, result, tmp_path / "temp", 100)
    http.misplaced = True
    with pytest.raises(ServerUnreachable, match="part that was asked for"):
        transport.fetch(item_id, result, tmp_path / "temp")


def test_D11_a_server_that_knows_another_length_is_not_believed(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    for size in (len(CONTENT) - 1, len(CONTENT) + 1):
        with pytest.raises(ServerUnreachable, match="bytes instead of"):
            transport.fetch(item_id, result.model_copy(update={"file_size": size}), tmp_path / "temp")


def test_D11_nothing_coded_is_asked_for(http: HttpServer, transport: HttpTransport, tmp_path: Path) -> None:
    item_id, result = result_of(http, transport, tmp_path)
    transport.fetch(item_id, result, tmp_path / "temp")
    assert http.seen[-1][2]["Accept-Encoding"] == "identity"


# --- Stopping -------------------------------------------------------------------------------------------------------


def test_close_ends_a_call_that_hangs_and_the_transport_can_be_used_again(http: HttpServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        transport = HttpTransport(ServerAddress("nas", f"http://127.0.0.1:{deaf.getsockname()[1]}"))
        ended: list[BaseException] = []

        def call() -> None:
            try:
                transport.progress(["x"])
            except BaseException as problem:
                ended.append(problem)

        thread = threading.Thread(target=call)
        thread.start()
        connection, _ = deaf.accept()
        transport.close()
        thread.join(PATIENCE_S)
        connection.close()
        assert len(ended) == 1
        deaf.close()
        with pytest.raises(ServerUnreachable):
            transport.reach()
        transport.close()
