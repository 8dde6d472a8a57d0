"""The law of dmc/client/transport.py, line by line, on every variant."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmc.client.model import ServerAddress
from dmc.client.transport import Interrupted, Parcel, SourceChanged, Transport
from dmc.client.transport_http import HttpTransport
from dmc.client.transport_memory import MemoryServer, MemoryTransport
from dmc.errors import ServerUnreachable, TooLarge, UnknownItem, VerificationFailed, WholeFileMismatch
from dmc.items import Status
from dmc.jobs import ResultFacts
from dmc.protocol import CheckEntry, ItemView
from tests.client.http_server import HttpServer

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer("instance-1", part=4096)


@pytest.fixture(params=["memory", "http"])
def transport(request: pytest.FixtureRequest, server: MemoryServer) -> Iterator[Transport]:
    if request.param == "memory":
        yield MemoryTransport(server)
        return
    http = HttpServer(server)
    way = HttpTransport(ServerAddress("nas", http.url))
    yield way
    way.close()
    http.close()


def parcel(folder: Path, content: bytes = CONTENT, key: str = "key-1", url: str | None = None) -> Parcel:
    path = folder / "clip.mp4"
    path.write_bytes(content)
    return Parcel(path, "clip.mp4", len(content), hashlib.sha512(content).hexdigest(), "h265", key, upload_url=url)


def send(transport: Transport, what: Parcel) -> ItemView:
    return transport.send(what, lambda url: None, lambda count: None)


def facts(item: ItemView | None) -> ResultFacts:
    assert item is not None and item.result is not None
    return ResultFacts(file_name=item.result.file_name, file_size=item.result.file_size, sha512_checksum=item.result.sha512_checksum)


def converted(transport: Transport, server: MemoryServer, folder: Path, result: bytes = CONTENT[::-1]) -> tuple[str, ResultFacts]:
    item = send(transport, parcel(folder))
    server.finish(item.item_id, result)
    return item.item_id, facts(server.items[item.item_id])


def test_law_1_every_network_fault_is_server_unreachable(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item_id, result = converted(transport, server, tmp_path)
    server.down = True
    for call in (
        transport.reach,
        lambda: transport.check([]),
        lambda: send(transport, parcel(tmp_path, key="key-2")),
        lambda: transport.abandon("/api/v1/uploads/none"),
        lambda: transport.progress([item_id]),
        lambda: transport.fetch(item_id, result, tmp_path / "temp"),
        lambda: transport.acknowledge(item_id, result.sha512_checksum),
        lambda: transport.cancel(item_id),
        lambda: transport.retry(item_id),
        lambda: transport.receipt(item_id),
    ):
        with pytest.raises(ServerUnreachable):
            call()


def test_law_1_what_the_server_refuses_is_the_error_it_told(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    server.refusal = TooLarge("the file has more than 1 GiB.", "Ask for less.")
    with pytest.raises(TooLarge, match="more than 1 GiB") as caught:
        send(transport, parcel(tmp_path))
    assert caught.value.hint == "Ask for less."
    with pytest.raises(UnknownItem):
        transport.cancel("01a00000-0000-7000-8000-000000000000")


def test_law_2_the_same_key_gives_the_same_item(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    first = send(transport, parcel(tmp_path))
    assert send(transport, parcel(tmp_path)).item_id == first.item_id
    assert len(server.items) == 1
    assert send(transport, parcel(tmp_path, key="key-2")).item_id != first.item_id


@pytest.mark.parametrize("lost", [1, 2])
def test_law_2_a_lost_answer_makes_no_second_item(transport: Transport, server: MemoryServer, tmp_path: Path, lost: int) -> None:
    server.lose_answers = lost
    for _ in range(lost):
        with pytest.raises(ServerUnreachable):
            send(transport, parcel(tmp_path))
    item = send(transport, parcel(tmp_path))
    assert list(server.items) == [item.item_id]
    assert server.originals[item.item_id] == CONTENT
    assert server.received == len(CONTENT)


def test_law_2_a_file_without_content_becomes_an_item(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    assert send(transport, parcel(tmp_path, b"")).file_size == 0


@pytest.mark.parametrize("cut", [0, 1, 4095, 4096, 100_000, len(CONTENT) - 1])
def test_law_3_a_cut_upload_resumes_where_the_server_stopped(transport: Transport, server: MemoryServer, tmp_path: Path, cut: int) -> None:
    server.cut_after = cut
    urls: list[str] = []
    counts: list[int] = []
    with pytest.raises(ServerUnreachable):
        transport.send(parcel(tmp_path), urls.append, counts.append)
    item = transport.send(parcel(tmp_path, url=urls[-1]), urls.append, counts.append)
    assert server.originals[item.item_id] == CONTENT
    assert server.received == len(CONTENT)
    assert counts[-1] == len(CONTENT)


def test_law_3_an_upload_that_the_server_forgot_starts_anew(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    server.cut_after = 100
    urls: list[str] = []
    with pytest.raises(ServerUnreachable):
        transport.send(parcel(tmp_path), urls.append, lambda count: None)
    transport.abandon(urls[0])
    transport.abandon(urls[0])
    item = transport.send(parcel(tmp_path, url=urls[0]), urls.append, lambda count: None)
    assert server.originals[item.item_id] == CONTENT
    assert urls[1] != urls[0]


def test_law_4_a_fetched_result_is_whole_and_right(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item_id, result = converted(transport, server, tmp_path)
    transport.fetch(item_id, result, tmp_path / "temp")
    assert (tmp_path / "temp").read_bytes() == CONTENT[::-1]
    transport.fetch(item_id, result, tmp_path / "temp")


def test_law_4_wrong_bytes_are_thrown_away(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item_id, result = converted(transport, server, tmp_path)
    server.results[item_id] = bytes(len(CONTENT))
    with pytest.raises((VerificationFailed, ServerUnreachable)):
        transport.fetch(item_id, result, tmp_path / "temp")
    assert not (tmp_path / "temp").exists()


def test_law_4_a_forgotten_item_cannot_be_fetched(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item_id, result = converted(transport, server, tmp_path)
    server.forget(item_id)
    with pytest.raises(UnknownItem):
        transport.fetch(item_id, result, tmp_path / "temp")


def test_law_5_acknowledge_may_be_said_twice(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item_id, result = converted(transport, server, tmp_path)
    server.lose_answers = 1
    with pytest.raises(ServerUnreachable):
        transport.acknowledge(item_id, result.sha512_checksum)
    transport.acknowledge(item_id, result.sha512_checksum)
    with pytest.raises(WholeFileMismatch):
        transport.acknowledge(item_id, "0" * 128)


def test_law_6_reach_tells_who_is_there(transport: Transport, server: MemoryServer) -> None:
    identity = transport.reach()
    assert (identity.service, identity.instance, identity.accepting) == ("dmc", "instance-1", True)
    assert transport.reach("instance-1").instance == "instance-1"
    with pytest.raises(ServerUnreachable):
        transport.reach("instance-2")


def test_law_7_check_answers_per_file_in_order(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item = send(transport, parcel(tmp_path))
    there = CheckEntry(sha512=item.sha512_checksum, file_size=item.file_size, conversion_type="h265")
    other = CheckEntry(sha512="0" * 128, file_size=1, conversion_type="h265")
    answers = transport.check([other, there, other])
    assert [answer.state for answer in answers] == ["want", "have", "want"]
    assert answers[1].item is not None and answers[1].item.item_id == item.item_id


def test_law_8_a_file_that_is_gone_or_another_is_not_sent(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    announced = parcel(tmp_path)
    announced.path.unlink()
    with pytest.raises(SourceChanged):
        send(transport, announced)
    announced.path.write_bytes(CONTENT[:-1])
    with pytest.raises(SourceChanged):
        send(transport, announced)
    announced.path.write_bytes(bytes(len(CONTENT)))
    with pytest.raises(WholeFileMismatch):
        send(transport, announced)
    assert server.items == {}


def test_law_9_a_transfer_that_is_stopped_goes_on_later(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        transport.send(parcel(tmp_path), lambda url: None, lambda count: None, lambda: True)
    item_id, result = converted(transport, server, tmp_path)
    with pytest.raises(Interrupted):
        transport.fetch(item_id, result, tmp_path / "temp", lambda: True)
    transport.fetch(item_id, result, tmp_path / "temp")
    assert (tmp_path / "temp").read_bytes() == CONTENT[::-1]


def test_C18_what_somebody_deleted_is_told_apart_from_what_is_not_known(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item = send(transport, parcel(tmp_path))
    unknown = "01a00000-0000-7000-8000-000000000000"
    server.delete(item.item_id)
    assert transport.progress([item.item_id, unknown]) == {item.item_id: None}
    server.restore(item.item_id)
    assert transport.progress([item.item_id, unknown]) == {item.item_id: item}


def test_wishes_reach_the_item(transport: Transport, server: MemoryServer, tmp_path: Path) -> None:
    item = send(transport, parcel(tmp_path))
    assert transport.progress([item.item_id, "01a00000-0000-7000-8000-000000000000"]).keys() == {item.item_id}
    transport.cancel(item.item_id)
    assert transport.progress([item.item_id])[item.item_id].status is Status.FINISHED_WITH_ERRORS
    transport.retry(item.item_id)
    assert transport.progress([item.item_id])[item.item_id].status is Status.TO_DO
    server.finish(item.item_id, b"result")
    assert transport.receipt(item.item_id)["item_id"] == item.item_id
