"""Where the colour samples of 4:2:0 pictures lie comes along, or the receipt says that it does not."""

from pathlib import Path

import pytest

from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from tests.convert.clips import clip
from tests.convert.works import convert


def sited(path: Path, where: str, codec: str = "libx264", **more: object) -> Path:
    return clip(path, codec=codec, params={"chroma_sample_location": where}, sound=(), seconds=0.2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["topleft", "center", "bottomleft", "bottom"])
@pytest.mark.parametrize(("kind", "options"), [("h264", {"crf": 30}), ("h265", {}), ("h265", {"container": "mp4"}), ("mkv", {})])
def test_the_place_of_colours_comes_along(tmp_path: Path, where: str, kind: str, options: dict[str, object]) -> None:
    source = sited(tmp_path / "clip.mov", where)
    assert probe(source, Limits()).streams[0].chroma_location == where
    done = convert(source, kind, tmp_path / "out", on_loss="refuse", **options)
    assert done.facts.streams[0].chroma_location == where
    assert done.fate("chroma location") == "kept"


@pytest.mark.parametrize(
    ("kind", "container", "where", "kept"),
    [
        ("av1", "mkv", "topleft", True),
        ("av1", "mp4", "topleft", True),
        ("av1", "mkv", "center", True),
        ("av1", "mp4", "center", False),
        ("vp9", "webm", "topleft", True),
        ("vp9", "mp4", "topleft", False),
        ("av1", "mkv", "bottom", False),
    ],
)
def test_where_nothing_could_say_it_the_receipt_names_the_loss(tmp_path: Path, kind: str, container: str, where: str, kept: bool) -> None:
    done = convert(sited(tmp_path / "clip.mkv", where), kind, tmp_path / "out", container=container)
    assert done.facts.streams[0].chroma_location == (where if kept else None)
    assert done.fate("chroma location") == ("kept" if kept else "lost")
    told = f"chroma location of stream 0: {where} became unspecified: colours may lie half a pixel beside their place"
    assert done.receipt.losses == ([] if kept else [told])


def test_the_usual_place_is_not_worth_a_word(tmp_path: Path) -> None:
    for kind in ("h265", "vp9"):
        done = convert(sited(tmp_path / f"{kind}.mkv", "left"), kind, tmp_path / kind)
        assert done.facts.streams[0].chroma_location == "left"
        assert not any(entry.kind.startswith("chroma") for entry in done.receipt.metadata)


def test_rich_chroma_has_no_such_place(tmp_path: Path) -> None:
    source = sited(tmp_path / "rich.mkv", "topleft", pix_fmt="yuv444p")
    done = convert(source, "av1", tmp_path / "out")
    assert probe(source, Limits()).streams[0].chroma_location is None
    assert done.receipt.losses == []


def test_a_real_file_with_colours_in_the_middle_keeps_them_there(media: Path, tmp_path: Path) -> None:
    done = convert(media / "video-h263-no-audio.3gp", "h265", tmp_path / "out")
    assert (done.facts.streams[0].chroma_location, done.fate("chroma location")) == ("center", "kept")
