"""Receipts: written whole, read back the same, short for people."""

import json
from pathlib import Path

from dmc.convert.receipt import FileFacts, MetadataEntry, Receipt, StreamEntry, Verification, read_receipt, short_lines, write_receipt
from tests.convert.clips import clip
from tests.convert.works import convert


def _receipt(**fields: object) -> Receipt:
    source = FileFacts(file_name="holiday.mov", file_size=4_000_000, sha512="ab", container="mov", media_type="video", duration_s=12.0)
    values = {
        "conversion_type": "h265",
        "outcome": "converted",
        "source": source,
        "result": source.model_copy(update={"file_name": "result.mkv", "file_size": 1_000_000}),
        "streams": (
            StreamEntry(index=0, type="video", codec="h264", action="encode", outcome="changed", reason="h264 becomes H.265"),
            StreamEntry(index=1, type="data", codec=None, action="drop", outcome="lost", reason="Matroska cannot hold data"),
        ),
        "metadata": (MetadataEntry(kind="GPS", outcome="kept", detail="1 of 1 kept"),),
        "verification": Verification(
            passed=True,
            decoded_frames=300,
            decoded_s=12.0,
            source_frames=300,
            source_s=12.0,
            drift_s=0.001,
            errors_in_source=0,
            sha512="cd",
            took_s=1.0,
        ),
    }
    return Receipt.model_validate({**values, **fields})


def test_a_receipt_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    receipt = _receipt()
    path = write_receipt(tmp_path, receipt)
    assert json.loads(path.read_text())["schema"] == "dmc.receipt/1"
    assert read_receipt(tmp_path) == receipt


def test_the_short_form_says_what_people_ask() -> None:
    lines = short_lines(_receipt(warnings=("one", "two", "three")))
    assert len(lines) <= 8
    assert lines[0] == "converted: holiday.mov → result.mkv [h265], 4.0 MB → 1.0 MB (25 %)"
    assert "lost: data stream 1 (unknown): Matroska cannot hold data" in lines
    assert any("300 frames" in line for line in lines)
    assert lines[-1] == "note: and 1 more, see receipt.json"


def test_a_file_that_stays_says_why() -> None:
    lines = short_lines(_receipt(outcome="skipped", result=None, reason="already H.265", verification=None))
    assert lines == ["skipped: holiday.mov stays as it is; already H.265"]


def test_losses_of_metadata_are_losses_too() -> None:
    receipt = _receipt(metadata=(MetadataEntry(kind="chapters", outcome="lost", detail="0 of 3 kept"),))
    assert "chapters: 0 of 3 kept" in receipt.losses


def test_a_receipt_says_when_and_where_the_source_was_recorded(tmp_path: Path) -> None:
    tags = {"creation_time": "2024-01-24T14:50:14.000000Z", "location": "+48.1000+011.5000/"}
    source = clip(tmp_path / "trip.mkv", tags=tags, sound=())
    said = short_lines(convert(source, "h265", tmp_path / "out").receipt)
    assert "recorded 2024-01-24T14:50:14Z at 48.1, 11.5" in said
    stripped = short_lines(convert(source, "h265", tmp_path / "stripped", strip_location=True).receipt)
    assert "recorded 2024-01-24T14:50:14Z" in stripped
