"""Verification finds what is wrong with a result, and damage tells broken sources from whole ones."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dmc.convert import damage
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.plan import Plan, plan
from dmc.convert.probe import probe
from dmc.convert.recipes import RECIPES
from dmc.convert.ticks import Reach
from dmc.convert.transcode import Transcoded, transcode
from dmc.convert.verify import verify
from dmc.errors import DamagedMedia, VerificationFailed
from tests.convert.clips import clip
from tests.convert.works import convert

LIMITS = Limits()
Spoil = Callable[[Path, Transcoded], None]


class Made:
    """A result that can be spoiled before it is verified."""

    def __init__(self, folder: Path, kind: str = "h264", **fields: object) -> None:
        self.source = clip(folder / "source.mkv", **{"codec": "libx265", **fields})  # type: ignore[arg-type]
        self.target = folder / "result.mkv"
        self.facts: MediaFacts = probe(self.source, LIMITS)
        self.plan: Plan = plan(self.facts, RECIPES[kind], {})
        self.done = transcode(self.source, self.target, self.facts, self.plan, LIMITS, lambda *_at: None, lambda: False, "source.mkv")

    def verify(self) -> float:
        check, _after = verify(self.source, self.target, self.done, self.plan, LIMITS, lambda _at: None)
        return check.drift_s


def test_a_right_result_passes_with_numbers(tmp_path: Path) -> None:
    made = Made(tmp_path)
    check, after = verify(made.source, made.target, made.done, made.plan, LIMITS, lambda _at: None)
    assert (check.passed, check.decoded_frames, check.source_frames, check.errors_in_source) == (True, 25, 25, 0)
    assert check.drift_s < 0.025
    assert len(check.sha512) == 128
    assert [s.codec for s in after.streams] == ["h264", "aac"]


def _cut_short(target: Path, done: Transcoded) -> None:
    target.write_bytes(target.read_bytes()[: target.stat().st_size * 2 // 3])


def _garble(target: Path, done: Transcoded) -> None:
    data = bytearray(target.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xa5" * 400
    target.write_bytes(data)


def _reach(first: int | Fraction, last: int | Fraction) -> Reach:
    reach = Reach()
    for at in (first, last):
        reach.cover(at, 0, Fraction(1))
    return reach


def _claim_more_pictures(target: Path, done: Transcoded) -> None:
    done.made[0].written += 1


def _claim_longer_sound(target: Path, done: Transcoded) -> None:
    done.made[1].span.coded = _reach(0, 3)


def _claim_another_start(target: Path, done: Transcoded) -> None:
    done.made[1].span.coded = _reach(Fraction(1, 5), 1)


def _claim_another_stream(target: Path, done: Transcoded) -> None:
    done.targets[1] = 7


def _empty(target: Path, done: Transcoded) -> None:
    target.write_bytes(b"")


@pytest.mark.parametrize(
    "spoil", [_cut_short, _garble, _claim_more_pictures, _claim_longer_sound, _claim_another_start, _claim_another_stream, _empty]
)
def test_a_wrong_result_does_not_pass(tmp_path: Path, spoil: Spoil) -> None:
    made = Made(tmp_path)
    spoil(made.target, made.done)
    with pytest.raises(VerificationFailed) as caught:
        made.verify()
    assert caught.value.hint


def test_errors_of_a_copied_stream_are_the_sources_own(tmp_path: Path, media: Path) -> None:
    source = tmp_path / "garbled.mp4"
    data = bytearray((media / "video-h264-aac-720p-hello-talk.mp4").read_bytes())
    for at in range(900_000, len(data) - 1000, 300_000):
        data[at : at + 600] = bytes((at + n * 37) % 251 for n in range(600))
    source.write_bytes(data)
    done = convert(source, "mkv", tmp_path / "out")
    assert done.report.kind == "converted"
    assert "cannot be decoded" in (done.report.reason or "")
    assert done.receipt.verification is not None
    assert done.receipt.verification.errors_in_source > 0


def test_errors_outside_of_a_cut_are_not_counted_as_those_of_the_part(tmp_path: Path, media: Path) -> None:
    source = tmp_path / "garbled.mp4"
    data = bytearray((media / "video-h264-aac-720p-hello-talk.mp4").read_bytes())
    for at in (200_000, *range(900_000, len(data) - 1000, 20_000)):
        data[at : at + 600] = bytes((at + n * 37) % 251 for n in range(600))
    source.write_bytes(data)
    whole = convert(source, "mkv", tmp_path / "whole").receipt.verification
    part = convert(source, "mkv", tmp_path / "part", end=4).receipt.verification
    assert whole is not None and part is not None
    assert 0 < part.errors_in_source < whole.errors_in_source / 4


# --- Damage --------------------------------------------------------------------------------------------------------


def _damages(made: Made, **facts: object) -> list[str]:
    return damage.damages(replace(made.facts, **facts), made.plan, made.done, "yours.mkv")  # type: ignore[arg-type]


def test_a_whole_source_is_clean_and_a_short_one_is_not(tmp_path: Path) -> None:
    made = Made(tmp_path, sound=())
    assert _damages(made) == []
    assert _damages(made, duration_s=1.2) == []
    assert _damages(made, duration_s=2.0, container="mpegts") == []
    made.done.made[0].span.shown = _reach(0, 2)
    assert "promises 3.5 s" in _damages(made, duration_s=3.5)[0]


@pytest.mark.parametrize(("promised", "reached"), [(10.0, Fraction(4)), (100.0, Fraction(49))])
def test_less_than_half_is_no_result(tmp_path: Path, promised: float, reached: Fraction) -> None:
    made = Made(tmp_path, sound=())
    made.done.made[0].span.shown = _reach(0, reached)
    with pytest.raises(DamagedMedia, match=r"yours\.mkv"):
        _damages(made, duration_s=promised)


def test_a_track_that_cannot_be_decoded_at_all_is_told(media: Path, tmp_path: Path) -> None:
    done = convert(media / "corrupt-mp4-audio-missing-stsd.mp4", "mkv", tmp_path / "out")
    assert "audio stream 1 cannot be decoded at all" in (done.report.reason or "")


def test_bad_packets_are_told_and_too_many_are_refused(tmp_path: Path) -> None:
    made = Made(tmp_path)
    span = made.done.made[0].span
    span.errors, span.first_error = 3, "invalid data"
    assert "3 of 25 packets" in _damages(made)[0]
    span.errors = 13
    with pytest.raises(DamagedMedia, match="13 of 25"):
        _damages(made)
