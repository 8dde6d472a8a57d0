"""Two hours at 29.97 pictures a second, by timestamps: only every 999th picture is there, so that clocks are tested and not patience."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.convert.clips import RATE, frames_of, picture, tone
from tests.convert.works import convert

BASE = Fraction(1, 30_000)
STEP, COUNT = 999 * 1001, 216
LENGTH = STEP * COUNT * BASE
"""A little above 7200 seconds."""


@pytest.fixture(scope="module")
def two_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures from the first to the last second, and a sound that begins with the last picture."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("libx264", rate=Fraction(30_000, 1001)), out.add_stream("aac", rate=RATE)
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = 64, 48, "yuv420p", BASE
        context.options = {"preset": "ultrafast"}
        sound.codec_context.layout = "stereo"
        for number in range(COUNT):
            frame = picture(number, 64, 48)
            frame.pts, frame.time_base = number * STEP, BASE
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for at in range(0, RATE, 1024):
            beep = tone(at, 1024)
            beep.pts = round(STEP * (COUNT - 1) * BASE * RATE) + at
            out.mux(sound.encode(beep))
        out.mux(sound.encode(None))
    assert LENGTH > 7190
    return path


@pytest.mark.parametrize(("kind", "container"), [("h265", "mkv"), ("h265", "mp4"), ("mkv", "mkv"), ("mp4", "mp4")])
def test_no_picture_drifts_within_two_hours(two_hours: Path, tmp_path: Path, kind: str, container: str) -> None:
    options = {} if kind in ("mkv", "mp4") else {"container": container}
    done = convert(two_hours, kind, tmp_path / "out", **options)
    assert done.report.kind == "converted", done.report
    times = [at for at, _frame in frames_of(done.result)]
    assert len(times) == COUNT
    allowed = 0.0011 if container == "mkv" else float(BASE)  # Matroska counts milliseconds.
    assert max(abs(at - times[0] - float(number * STEP * BASE)) for number, at in enumerate(times)) <= allowed
    assert done.receipt.verification is not None
    assert done.receipt.verification.drift_s < 0.03
    with av.open(str(done.result)) as media:
        first = next(media.decode(audio=0))
        starts = first.time - times[0]
    assert starts == pytest.approx(float(STEP * (COUNT - 1) * BASE), abs=0.05)
