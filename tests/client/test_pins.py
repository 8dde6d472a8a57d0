"""P2, P8: who answers under a name is learnt once, and a ledger that went back is noticed."""

from pathlib import Path

import pytest

from dmc.client.pins import Pins
from dmc.errors import BadSettings, NotFound
from dmc.files import RealDisk
from dmc.protocol import Identity


def identity(seq: int | None, instance: str = "one") -> Identity:
    return Identity(service="dmc", protocol=1, instance=instance, accepting=True, ledger_seq=seq)


def test_P2_an_instance_is_remembered_over_restarts_until_somebody_forgets_it(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    Pins(path, RealDisk()).learn("nas", identity(5))
    pins = Pins(path, RealDisk())
    assert (pins.instance_of("nas"), pins.instance_of("other")) == ("one", None)
    pins.forget("nas")
    assert Pins(path, RealDisk()).instance_of("nas") is None
    with pytest.raises(NotFound, match="no server is known"):
        pins.forget("nas")


def test_P8_a_lower_sequence_number_than_before_means_restored(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "servers.json", RealDisk())
    told = [pins.learn("nas", identity(seq)) for seq in (None, 5, 5, 9, None, 8, 8, 9)]
    assert told == [False, False, False, False, False, True, False, False]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1}', '{"schema": 2, "servers": {}}', '{"schema": 1, "servers": {"nas": {"x": 1}}}']
)
def test_a_damaged_file_is_told_and_not_guessed_at(tmp_path: Path, text: str) -> None:
    path = tmp_path / "servers.json"
    path.write_text(text)
    with pytest.raises(BadSettings):
        Pins(path, RealDisk())
