"""How many bytes somebody may have here: bounds, what counts, and `dmc broker add` at the bound."""

import pytest

from dmc.assemble.admitting import admit_file
from dmc.assemble.server import Parts, open_parts
from dmc.broker.admission import LOCAL_CLIENT
from dmc.broker.allowance import Allowance, held_bytes, stored_bytes
from dmc.errors import DiskFull, TooLarge
from dmc.items import Item, Status
from dmc.jobs import MadeFile, ResultFacts
from dmc.server.upload import ARRIVING, STATE_FILE, UploadRecord
from dmc.server_settings import Limits, ServerSettings

SIZE = 1000


def record(**fields) -> Item:
    base = {"item_id": "a", "version": 1, "status": Status.TO_DO, "created_at": "2026-01-01T00:00:00.000000Z", "client_id": "laptop"}
    name = {"conversion_type": "flac", "original_file_name": "a.wav", "current_file_name": "original.wav", "sha512_checksum": "0" * 128}
    return Item(**(base | name | {"file_size": 100} | fields))


def result(*sizes: int) -> ResultFacts:
    first, *others = ({"file_name": f"{number}.flac", "file_size": size, "sha512_checksum": "0" * 128} for number, size in enumerate(sizes))
    return ResultFacts(**first, sidecars=tuple(MadeFile(**other) for other in others))


@pytest.fixture
def wav(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF\0\0\0\0WAVE".ljust(SIZE, b"\0"))
    return file


@pytest.fixture
def house(tmp_path):
    with open_parts(settings(tmp_path), recover=True) as parts:
        yield parts


def settings(tmp_path, **bounds: int) -> ServerSettings:
    return ServerSettings(data_folder=tmp_path / "data", limits=Limits(disk_floor=0, **bounds))


def add(parts: Parts, tmp_path, wav, *, ignore_quota=False, **bounds: int) -> Item:
    return admit_file(parts, settings(tmp_path, **bounds), wav, "flac", {}, ignore_quota=ignore_quota)


def test_what_was_given_up_of_an_item_does_not_count():
    assert stored_bytes(record()) == (100, 0)
    assert stored_bytes(record(result=result(30, 5))) == (100, 35), "sidecars count with the result"
    assert stored_bytes(record(result=result(30, 5), gone="original")) == (0, 35)
    assert stored_bytes(record(result=result(30, 5), gone="files")) == (0, 0)


def test_a_bound_is_reached_by_its_last_byte_and_not_before():
    Allowance(per_client=100, total=150).check(40, of_client=60, of_all=110)
    with pytest.raises(DiskFull, match="needs 41 B, and of the 100 B for this client 40 B are left"):
        Allowance(per_client=100, total=150).check(41, of_client=60, of_all=60)
    with pytest.raises(DiskFull, match="for all clients together 40 B are left"):
        Allowance(per_client=100, total=150).check(41, of_client=0, of_all=110)
    with pytest.raises(TooLarge):
        Allowance(total=150).check(151, of_client=0, of_all=0)
    assert not Allowance()
    Allowance().check(10**18, of_client=10**18, of_all=10**18)


def test_a_file_of_this_machine_is_refused_beyond_its_quota_and_leaves_nothing(house, tmp_path, wav):
    add(house, tmp_path, wav, max_bytes_per_client=2 * SIZE)
    add(house, tmp_path, wav, max_bytes_per_client=2 * SIZE)
    with pytest.raises(DiskFull) as refused:
        add(house, tmp_path, wav, max_bytes_per_client=2 * SIZE)
    assert refused.value.exit_code == 8
    assert "of the 2.0 kB for this client 0 B are left" in refused.value.message and "--ignore-quota" in refused.value.hint
    assert held_bytes(house.ledger, LOCAL_CLIENT) == (2 * SIZE, 2 * SIZE)
    assert len(house.storage.places()) == 2
    assert add(house, tmp_path, wav, max_bytes_per_client=2 * SIZE, ignore_quota=True).status is Status.TO_DO


def test_a_file_of_this_machine_that_no_upload_could_be_is_refused_whatever_the_quota(house, tmp_path, wav):
    assert add(house, tmp_path, wav, max_file_size=SIZE).status is Status.TO_DO
    with pytest.raises(TooLarge, match=f"has {SIZE} bytes, and this server takes at most {SIZE - 1}") as refused:
        add(house, tmp_path, wav, max_file_size=SIZE - 1, ignore_quota=True)
    assert (refused.value.exit_code, refused.value.hint) == (9, "See max_file_size.")
    assert len(house.storage.places()) == 1


def test_what_others_have_and_what_they_just_upload_counts_in_total(house, tmp_path, wav):
    item_id, folder = house.admissions.begin()
    upload = UploadRecord(
        client_id="laptop", label="b.wav", length=SIZE, conversion_type="flac", item_id=item_id, created_at="", file_name="original.wav"
    )
    (folder / "original.wav").write_bytes(b"half of it")
    (folder / STATE_FILE).write_text(upload.model_dump_json())
    with pytest.raises(DiskFull, match="all clients together 500 B are left"):
        add(house, tmp_path, wav, max_bytes_total=SIZE + 500)
    assert (folder / "original.wav").read_bytes() == b"half of it", "and the upload goes on"
    _, arriving = house.admissions.begin()
    (arriving / ARRIVING).write_bytes(b"x" * 200)
    with pytest.raises(DiskFull, match="all clients together 300 B are left"):
        add(house, tmp_path, wav, max_bytes_total=SIZE + 500)
    house.storage.abandon(arriving.name)
    add(house, tmp_path, wav, max_bytes_total=2 * SIZE)
    add(house, tmp_path, wav, max_bytes_per_client=2 * SIZE)
