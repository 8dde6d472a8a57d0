"""Subtitles that the result cannot hold come home in a file of their own, by the folder and by `dmc download`."""

import json
import shutil
from pathlib import Path

import av
import pytest

from tests.journeys.household import household, wait_for

SOURCE = "video-h264-pgs-bitmap-subtitles.mkv"


def _codecs(path: Path) -> list[str]:
    with av.open(str(path)) as media:
        return [stream.codec_context.name for stream in media.streams]


@pytest.fixture
def film(media: Path) -> Path:
    return media / SOURCE


def test_picture_subtitles_come_home_beside_an_mp4(tmp_path: Path, film: Path) -> None:
    with household(tmp_path) as house:
        settings = house.home / "client.toml"
        words = f"path = {str(house.inbox)!r}"
        settings.write_text(settings.read_text().replace(words, f"{words}\nconversion_types = {{video = 'mp4'}}"))
        house.start_server()
        house.start_client()
        shutil.copy(film, house.inbox / "film.mkv")
        wait_for("the acknowledgement", lambda: any(i.get("acknowledged_at") for i in house.items()))
        assert [path.name for path in house.results()] == ["film.2.mks", "film.mp4"]
        assert _codecs(house.results()[0]) == ["pgssub"]
        assert _codecs(house.results()[1]) == ["h264", "ac3"]
        receipt = json.loads(house.dmc("receipt", house.items()[0]["item_id"], "--json"))
        assert [stream["action"] for stream in receipt["streams"]] == ["copy", "copy", "sidecar"]

        added = house.home / "other.mkv"
        shutil.copy(film, added)
        house.dmc("add", str(added), "--to", "mp4", "--set", "on_loss=refuse", "--wait")
        newest = max(house.items(), key=lambda item: item["created_at"])
        target = house.home / "fetched"
        target.mkdir()
        house.dmc("download", newest["item_id"], "-o", str(target))
        assert sorted(path.name for path in target.iterdir()) == ["other.2.mks", "other.mp4"]
