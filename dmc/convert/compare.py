"""Before and after: the entries of a receipt, from the facts of source and result and from what was done. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dmc.convert import origin, tags, timecode
from dmc.convert.cut import Cut
from dmc.convert.facts import MediaFacts, StreamFacts
from dmc.convert.places import PLACE_TAGS
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.receipt import LENGTH, Fate, MetadataEntry, StreamEntry
from dmc.convert.recipes import CONTAINERS
from dmc.convert.transcode import Transcoded

_DATES = re.compile(r"(creation_?time|creationdate|^date$|^date-|date_recorded|year$)", re.IGNORECASE)
_CAMERA = re.compile(r"(^|\.)(make|model|software)$", re.IGNORECASE)
_KINDS = (("recording date", _DATES), ("GPS", PLACE_TAGS), ("camera", _CAMERA))
_CHAPTER_SLACK_S = 0.05

_USUAL_CHROMA = "left"
"""Where players take colour samples of 4:2:0 to lie if nothing says it."""


def stream_entries(plan: Plan, before: MediaFacts, after: MediaFacts | None, done: Transcoded | None) -> list[StreamEntry]:
    """One entry per stream of the source."""
    return [_stream_entry(p, before, after, done) for p in plan.streams]


def untouched_entries(facts: MediaFacts) -> list[StreamEntry]:
    """The entries of a file that stays as it is."""
    return [
        StreamEntry(index=s.index, type=s.type, codec=s.codec, action="copy", outcome="kept", reason="untouched", before=_numbers(s))
        for s in facts.streams
    ]


def _stream_entry(plan: StreamPlan, before: MediaFacts, after: MediaFacts | None, done: Transcoded | None) -> StreamEntry:
    then = before.streams[plan.index]
    index = done.targets.get(plan.index) if done is not None else None
    now = after.streams[index] if after is not None and index is not None and index < len(after.streams) else None
    outcome, reason = plan.outcome, plan.reason
    code = timecode.said_in(then.tags) if plan.action == "drop" and plan.outcome == "kept" else None
    if after is not None and code is not None and not any(timecode.same(code, timecode.said_in(t)) for t in _all_tags(after)):
        outcome, reason = "lost", f"it holds the timecode {code}, which did not come along"
    if now is not None:
        lost = _lost_marks(then, now) + _lost_choice(then, now, after) + ([] if after is None or then.cover else _lost_tags(then, after))
        if lost:
            outcome, reason = "changed", f"{reason}; not kept: {', '.join(lost)}"
    return StreamEntry(
        index=plan.index,
        type="cover" if plan.cover else plan.type,
        codec=plan.codec,
        action=plan.action,
        outcome=outcome,
        reason=reason,
        before=_numbers(then),
        after=None if now is None else _numbers(now),
    )


def _all_tags(facts: MediaFacts) -> Iterable[Mapping[str, str]]:
    return (facts.tags, *(stream.tags for stream in facts.streams))


def _lost_marks(then: StreamFacts, now: StreamFacts) -> list[str]:
    """Language, title and flags that did not come along."""
    lost = []
    for key in ("language", "title"):
        old, new = (_tag(s.tags, key) for s in (then, now))
        if old not in (None, "und") and old != new and not then.cover:
            lost.append(f"{key} {old}")
    flags = {"forced", "hearing_impaired", "visual_impaired", "comment", "original", "dub", "captions"}
    lost += [f"flag {flag}" for flag in then.dispositions if flag in flags and flag not in now.dispositions]
    return lost


def _lost_choice(then: StreamFacts, now: StreamFacts, after: MediaFacts | None) -> list[str]:
    """That players are to choose this stream. Where there is no other of its type they do anyway, and many kinds of files do not say it."""
    others = [] if after is None else [s for s in after.streams if s.type == now.type and not s.cover and s.index != now.index]
    return ["flag default"] if others and "default" in then.dispositions and "default" not in now.dispositions else []


def _lost_tags(then: StreamFacts, after: MediaFacts) -> list[str]:
    """What else a stream said of itself and nothing in the result says any more."""
    there = {(_bare(key), value) for found in _all_tags(after) for key, value in found.items()}
    told = {"language", "title", "timecode", "creation_time"}
    wanted = {key: value for key, value in then.tags.items() if not tags.is_stale(key, value) and _bare(key) not in told}
    return [f"tag {key}" for key, value in wanted.items() if (_bare(key), value) not in there]


def _tag(found: Mapping[str, str], key: str) -> str | None:
    return next((value for name, value in found.items() if name.lower() == key), None)


def _numbers(stream: StreamFacts) -> dict[str, Any]:
    """What people compare: size, rate, depth, channels, language."""
    picture = {
        "size": f"{stream.width}x{stream.height}" if stream.width and not stream.cover else None,
        "pix_fmt": stream.pix_fmt if not stream.cover else None,
        "rate": round(stream.rate[0] / stream.rate[1], 3) if stream.rate else None,
        "sample_aspect": f"{stream.sample_aspect[0]}:{stream.sample_aspect[1]}" if stream.sample_aspect else None,
    }
    sound = {"sample_rate": stream.sample_rate, "channels": stream.channels, "layout": stream.layout}
    common = {
        "codec": stream.codec,
        "bit_rate": stream.bit_rate,
        "language": _tag(stream.tags, "language"),
        "title": _tag(stream.tags, "title"),
    }
    return {key: value for key, value in {**common, **picture, **sound}.items() if value is not None}


def metadata_entries(before: MediaFacts, after: MediaFacts, plan: Plan, done: Transcoded) -> list[MetadataEntry]:
    """What became of tags, chapters, rotation, aspect and colours."""
    entries = _tag_entries(tags.file_tags(before), tags.file_tags(after))
    if before.chapters:
        entries.append(_chapter_entry(before, after, float(done.shift)))
    for stream in plan.streams:
        if stream.type == "video" and not stream.cover and stream.index in done.targets:
            index = done.targets[stream.index]
            entries.extend(_picture_entries(stream, before.streams[stream.index], after.streams[index]))
            entries.extend(_timecode_entries(stream.index, before, after, after.streams[index]))
    return entries


def length_entry(cut: Cut, kept_s: float) -> MetadataEntry:
    """What was cut off on purpose."""
    return MetadataEntry(kind=LENGTH, outcome="changed", detail=cut.told(kept_s))


def hidden_notes(plan: Plan, done: Transcoded) -> list[str]:
    """What an edit list hid and the result shows again: hidden packets are copied, since later ones may be coded against them.

    A packet or two of sound are the encoder's priming and not worth a word.
    """
    if CONTAINERS[plan.container].edit_lists:
        return []
    found = [(s, done.made[s.index].hidden) for s in plan.streams if s.index in done.made]
    counts = [(s, hidden) for s, hidden in found if hidden > (2 if s.type == "audio" else 0)]
    return [f"{hidden} packets of {s.type} stream {s.index} that an edit list hid are part of the result" for s, hidden in counts]


def _tag_entries(then: Mapping[str, str], now: Mapping[str, str]) -> list[MetadataEntry]:
    there = {_bare(key): value for key, value in now.items()}
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for key, value in then.items():
        kind = next((name for name, pattern in _KINDS if pattern.search(key)), "tags")
        kept, lost = groups.setdefault(kind, ([], []))
        (kept if _same(kind, value, there.get(_bare(key))) else lost).append(key)
    found = []
    for kind, (kept, lost) in groups.items():
        outcome: Fate = "lost" if lost and not kept else "changed" if lost else "kept"
        detail = f"{len(kept)} of {len(kept) + len(lost)} kept" + (f"; not kept: {', '.join(lost)}" if lost else "")
        found.append(MetadataEntry(kind=kind, outcome=outcome, detail=detail))
    return found


def _bare(key: str) -> str:
    """A tag's name without case and without the language that Matroska and MP4 hang onto it."""
    return re.sub(r"-[a-z]{3}$", "", key.lower())


def _same(kind: str, then: str, now: str | None) -> bool:
    """Equal but for what containers do to blanks; moments also in another way of writing, places also with other zeros."""
    if now is None:
        return False
    then, now = (value.replace("\x00", "").replace("\r", "").strip() for value in (then, now))
    if kind == "recording date":
        shape = str.maketrans("", "", "TZ -:/")
        then, now = (value.translate(shape).split(".")[0].rstrip("0") for value in (then, now))
    if kind == "GPS" and then != now:
        places = [origin.of_tags({"location": value}) for value in (then, now)]
        return places[0].latitude is not None and places[0] == places[1]
    return then == now


def _chapter_entry(before: MediaFacts, after: MediaFacts, shift_s: float) -> MetadataEntry:
    pairs = list(zip(before.chapters, after.chapters, strict=False))
    same = sum(a.title == b.title and abs(a.start_s - shift_s - b.start_s) < _CHAPTER_SLACK_S for a, b in pairs)
    outcome: Fate = "kept" if same == len(before.chapters) else "changed" if same else "lost"
    return MetadataEntry(kind="chapters", outcome=outcome, detail=f"{same} of {len(before.chapters)} kept")


def _picture_entries(plan: StreamPlan, then: StreamFacts, now: StreamFacts) -> Iterable[MetadataEntry]:
    name = f" of stream {plan.index}"
    if then.matrix is not None:
        yield _rotation_entry(plan, then, now)
    if then.sample_aspect not in (None, (0, 1), (1, 1)):
        same = then.sample_aspect == now.sample_aspect
        squared = plan.video is not None and plan.video.sample_aspect != then.sample_aspect
        detail = _ratio(then) if same else f"{_ratio(then)} became {_ratio(now)}" + (", by scaling" if squared else "")
        yield MetadataEntry(kind="sample aspect" + name, outcome="kept" if same else "changed" if squared else "lost", detail=detail)
    if then.transfer in (16, 18):
        kind = "HDR10" if then.transfer == 16 else "HLG"
        same = (then.primaries, then.transfer, then.colour_matrix) == (now.primaries, now.transfer, now.colour_matrix)
        asked = plan.video is not None and plan.video.transfer != then.transfer
        outcome: Fate = "kept" if same else "changed" if asked else "lost"
        yield MetadataEntry(kind=f"{kind} colours" + name, outcome=outcome, detail="read back from the result" if same else plan.reason)
        if not asked:
            for what, old, new in (
                ("mastering display", then.mastering, now.mastering),
                ("light level", then.light_level, now.light_level),
            ):
                if old is not None:
                    yield _entry(what + name, old == new, old, f"{old} became {new or 'nothing'}")
    if then.dynamic_hdr is not None:
        yield _entry("dynamic HDR" + name, then.dynamic_hdr == now.dynamic_hdr, then.dynamic_hdr, f"{then.dynamic_hdr} is gone")
    if then.chroma_location not in (None, _USUAL_CHROMA) and now.chroma == "420":
        old, new = then.chroma_location, now.chroma_location or "unspecified"
        yield _entry("chroma location" + name, old == new, str(old), f"{old} became {new}: colours may lie half a pixel beside their place")
    if then.alpha and not now.alpha:
        yield MetadataEntry(kind="transparency" + name, outcome="lost", detail="the codec of the result has none")


def _timecode_entries(index: int, before: MediaFacts, after: MediaFacts, now: StreamFacts) -> Iterable[MetadataEntry]:
    own, of_file = timecode.said_in(before.streams[index].tags), timecode.said_in(before.tags)
    code = own or of_file
    if code is None:
        return
    kind = f"timecode of stream {index}"
    if timecode.same(code, timecode.said_in(now.tags)) or (own is None and timecode.same(code, timecode.said_in(after.tags))):
        yield MetadataEntry(kind=kind, outcome="kept", detail=code)
    elif timecode.same(code, timecode.said_in(after.tags)):
        detail = f"{code} became a tag of the file: no timecode track counts so at this rate"
        yield MetadataEntry(kind=kind, outcome="changed", detail=detail)
    else:
        yield MetadataEntry(kind=kind, outcome="lost", detail=f"{code} did not come along")


def _rotation_entry(plan: StreamPlan, then: StreamFacts, now: StreamFacts) -> MetadataEntry:
    kind = f"rotation of stream {plan.index}"
    if plan.video is not None and plan.video.matrix != then.matrix and now.matrix == plan.video.matrix:
        return MetadataEntry(kind=kind, outcome="changed", detail="the mirrored picture was stored as it is seen")
    return _entry(kind, then.matrix == now.matrix, "the display matrix is the same", "the display matrix did not come along")


def _entry(kind: str, same: bool, kept: str, lost: str) -> MetadataEntry:
    return MetadataEntry(kind=kind, outcome="kept" if same else "lost", detail=kept if same else lost)


def _ratio(stream: StreamFacts) -> str:
    return f"{stream.sample_aspect[0]}:{stream.sample_aspect[1]}" if stream.sample_aspect else "none"
