"""The conversion that the warm process does before it forks."""

import tempfile
import threading

from dmc.convert import rehearse
from dmc.convert.receipt import read_receipt
from dmc.products import Products


def test_a_whole_conversion_is_rehearsed(tmp_path):
    rehearse._convert(tmp_path)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["facts.json", "poster.webp", "receipt.json", "result.webp"]
    receipt = read_receipt(out)
    assert receipt.verification is not None and receipt.verification.passed
    assert Products.read((out / "facts.json").read_bytes()).notes == ()


def test_nothing_of_the_rehearsal_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = threading.active_count()
    rehearse.rehearse()
    assert (list(tmp_path.iterdir()), threading.active_count()) == ([], before)


def test_without_a_temporary_folder_nothing_is_rehearsed_and_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    rehearse.rehearse()
