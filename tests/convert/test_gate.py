"""What would gain nothing is found out early, and nothing that would gain is turned away."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmc.convert import engine, gate
from dmc.convert.expect import Expected
from dmc.convert.limits import Limits
from dmc.convert.plan import Plan, plan
from dmc.convert.probe import probe
from dmc.convert.recipes import RECIPES
from dmc.convert.sample import Count, Piece, Window
from tests.convert.clips import clip, song
from tests.convert.test_plan import file, sound, video
from tests.convert.works import convert

HOUR = 3600.0


def planned(facts: object, kind: str = "h265", **options: object) -> Plan:
    return plan(facts, RECIPES[kind], options)  # type: ignore[arg-type]


def test_a_lean_source_without_gain_costs_less_than_a_tenth_of_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 60
    source = clip(tmp_path / "lean.mkv", params={"preset": "medium", "crf": "51", "g": "9999"}, sound=(), seconds=seconds)
    pieces: list[Piece] = []
    really = engine.sample

    def counting(*arguments: object, **more: object) -> list[Piece]:
        pieces.extend(really(*arguments, **more))  # type: ignore[arg-type]
        return pieces

    monkeypatch.setattr(engine, "sample", counting)
    monkeypatch.setattr(engine, "transcode", lambda *_: pytest.fail("the whole file was encoded"))
    done = convert(source, "h265", tmp_path / "out", keep_if_larger=False)
    assert done.report.kind == "kept-original"
    assert 0 < sum(piece.counts[0].packets for piece in pieces) < seconds * 25 / 10
    assert "larger: about" in (done.report.reason or "") and "were encoded to find that out" in (done.report.reason or "")
    assert (done.receipt.outcome, done.receipt.reason, len(done.receipt.streams)) == ("kept-original", done.report.reason, 1)
    assert os.listdir(done.out) == ["receipt.json"]


def test_a_lean_source_that_gains_is_tried_and_converted(tmp_path: Path) -> None:
    times = [number / 8 for number in range(52 * 8)]
    source = clip(tmp_path / "fat.mkv", params={"preset": "ultrafast", "crf": "42"}, sound=(), times=times, size=(96, 64))
    facts = probe(source, Limits())
    assert gate.pieces_to_try(facts, planned(facts)), "this source is to be in doubt"
    done = convert(source, "h265", tmp_path / "out", keep_if_larger=False)
    assert (done.report.kind, done.receipt.result is not None) == ("converted", True)


def test_sound_without_gain_is_found_out_too(tmp_path: Path) -> None:
    lean = song(tmp_path / "lean.mp3", "libmp3lame", seconds=60, layout="mono", rate=16000)
    done = convert(lean, "opus", tmp_path / "out", keep_if_larger=False)
    assert done.report.kind == "kept-original" and "to find that out" in (done.report.reason or "")


def test_what_slips_through_is_stopped_when_it_has_outgrown_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clip(tmp_path / "lean.mkv", params={"preset": "medium", "crf": "51", "g": "9999"}, sound=(), seconds=60)
    monkeypatch.setattr(gate, "pieces_to_try", lambda *_: [])
    done = convert(source, "h264", tmp_path / "out", keep_if_larger=False, crf=1, previews=True)
    assert done.report.kind == "kept-original" and "outgrown" in (done.report.reason or "")
    assert sorted(os.listdir(done.out)) == ["facts.json", "poster.webp", "receipt.json", "sprite.webp"]
    stopped = convert(source, "h264", tmp_path / "stopped", stop=lambda: True, crf=1)
    assert stopped.report.kind == "cancelled", "a person's stop stays a stop"


@pytest.mark.parametrize(
    ("fields", "kind", "options"),
    [
        ({"file_size": 10**9}, "h265", {}),
        ({"duration_s": 20.0}, "h265", {}),
        ({"duration_s": None}, "h265", {}),
        ({}, "h265", {"keep_if_larger": True}),
        ({}, "web", {"height": 240}),
    ],
)
def test_only_lean_long_sources_of_types_that_save_space_are_tried(fields: Any, kind: str, options: Any) -> None:
    lean = replace(file(video(rate=(25, 1))), file_size=10_000_000, duration_s=HOUR)
    assert gate.pieces_to_try(lean, planned(lean))
    facts = replace(lean, **fields)
    assert gate.pieces_to_try(facts, planned(facts, kind, **options)) == []


def test_better_codecs_are_in_doubt_earlier() -> None:
    def tried(codec: str, kind: str) -> bool:
        facts = replace(file(video(codec=codec, rate=(25, 1))), file_size=400_000_000, duration_s=HOUR)
        return bool(gate.pieces_to_try(facts, planned(facts, kind)))

    assert (tried("av1", "h265"), tried("h264", "h265"), tried("mpeg2video", "h265")) == (True, False, False)


def _pieces(length: float, read: int, *, seconds: float = 2.0) -> list[Piece]:
    made = []
    for at in (0.2, 0.5, 0.8):
        count = Count(first=100, rest=1000, packets=50, read=read)
        count.cover(0, seconds)  # type: ignore[arg-type]
        made.append(Piece(Window(at * length, at * length + 2), {0: count}))
    return made


@pytest.mark.parametrize(
    ("low", "length", "read", "seconds", "refused"),
    [
        (1_400_000, HOUR, 500, 2.0, True),
        (1_040_000, HOUR, 500, 2.0, False),  # a gain is still possible
        (1_400_000, HOUR, 500, 0.5, False),  # the pieces hold less than they should
        (1_400_000, 50 * HOUR, 5000, 2.0, False),  # so long a file of such pieces would be far larger: its length is wrong
    ],
)
def test_a_shaky_sample_refuses_nothing(low: int, length: float, read: int, seconds: float, refused: bool) -> None:
    facts = replace(file(video(rate=(25, 1)), sound()), file_size=1_000_000, duration_s=length)
    expected = Expected(round(low * 1.2), low, low * 2, 60.0, 6.0, 150)
    assert (gate.why_no_gain(facts, _pieces(length, read, seconds=seconds), expected) is not None) is refused
    assert gate.why_no_gain(facts, [], None) is None
