"""What will be done with each stream of this very file, and why: media facts × recipe → plan. Pure; touches nothing.

Copy what already fits, encode only what must change, and never leave a stream out without saying so.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from dmc.conversions import MediaType, check_options
from dmc.convert import pixels, timecode
from dmc.convert.cut import Cut, has_nothing_of
from dmc.convert.facts import MediaFacts, StreamFacts
from dmc.convert.recipes import CONTAINERS, FALLBACK_SOUND, MKV, TEXT_SUBTITLES, Container, Recipe, VideoRecipe
from dmc.convert.sound import SoundWork, best_sound, sound_work

Action = Literal["copy", "encode", "drop", "sidecar"]
Fate = Literal["kept", "changed", "lost"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What becomes of one stream. `matters`: its loss counts as a loss (on_loss), it was not asked for by the type itself."""

    index: int
    type: str
    codec: str | None
    action: Action
    outcome: Fate
    reason: str
    matters: bool = True
    cover: bool = False
    video: pixels.VideoWork | None = None
    sound: SoundWork | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done with a file. `code` names the error when the outcome is refuse."""

    outcome: Literal["convert", "skip", "refuse"]
    reason: str
    conversion_type: str
    container: str
    streams: tuple[StreamPlan, ...] = ()
    warnings: tuple[str, ...] = ()
    gated: bool = True
    code: str = ""
    hint: str = ""
    cut: Cut | None = None

    def to_plain(self) -> dict[str, Any]:
        """JSON-able values, for `dmc plan`."""
        return asdict(replace(self, cut=None))

    @property
    def losses(self) -> list[StreamPlan]:
        """Streams whose loss counts."""
        return [s for s in self.streams if s.outcome == "lost" and s.matters]


def plan(
    facts: MediaFacts,
    recipe: Recipe,
    options: Mapping[str, Any],
    *,
    sidecars: bool = False,
    rewrite: bool = False,
    cut: Cut | None = None,
) -> Plan:
    """The plan for a file with `facts`; raises BadRequest for options that the recipe does not take.

    `sidecars`: files beside the result are wanted for what its container cannot hold. `rewrite`: the source may not stay as it is;
    with a `cut` it may not either.
    """
    check_options(recipe.name, options)
    container = CONTAINERS[options.get("container", recipe.container.name)]
    streams = tuple(_Planning(facts, recipe, container, options, sidecars=sidecars, cut=cut).streams())
    rewrite = rewrite or cut is not None
    made = Plan(
        "convert",
        "",
        recipe.name,
        container.name,
        streams,
        tuple(_warnings(facts)),
        recipe.gated and not options.get("keep_if_larger", False) and not rewrite,
        cut=cut,
    )
    already = None if rewrite else _already(made, facts, recipe, container, options)
    if already:
        return replace(made, outcome="skip", reason="; ".join([already, *facts.warnings]))
    return _outcome(made, facts, recipe, container, options)


def _outcome(made: Plan, facts: MediaFacts, recipe: Recipe, container: Container, options: Mapping[str, Any]) -> Plan:
    """`made` with its whole-file outcome and the reason for it."""
    dynamic = [facts.streams[s.index].dynamic_hdr for s in made.streams if s.video is not None and facts.streams[s.index].dynamic_hdr]
    if dynamic:
        return replace(made, outcome="skip", reason=f"cannot keep dynamic HDR ({dynamic[0]}) when the picture is encoded anew")
    shallow = recipe.video is not None and max(recipe.video.depths) < 10 and not recipe.video.standard_range_only
    if shallow and any(s.video is not None and pixels.is_hdr(facts.streams[s.index]) for s in made.streams):
        return replace(made, outcome="skip", reason=f"cannot keep HDR: {recipe.name} is written with 8 bits here")
    main = "audio" if recipe.only_sound else facts.media_type.value
    tracks = [s for s in made.streams if s.type == main and not s.cover]
    if all(s.action == "drop" for s in tracks):
        what = "sound" if main == "audio" else "picture"
        reason = "; ".join(s.reason for s in tracks) if tracks else f"there is no {what} in it"
        return replace(made, outcome="refuse", reason=reason, code="Unsupported", hint="Choose another conversion type; see: dmc types")
    if made.losses and options.get("on_loss") == "refuse":
        said = "; ".join(f"{s.type} stream {s.index}: {s.reason}" for s in made.losses)
        return replace(
            made, outcome="refuse", reason=f"would be lost: {said}", code="LossRefused", hint="Allow it with on_loss = continue."
        )
    words = {"copy": "copy", "encode": "encode", "sidecar": "put beside", "drop": "leave out"}
    parts = [f"{words[action]} {n}" for action in words if (n := sum(s.action == action for s in made.streams))]
    kept = "" if made.cut is None else f"; {made.cut.said} only"
    return replace(made, reason=f"into {container.title}: {', '.join(parts)} of {len(made.streams)} streams{kept}")


def _already(made: Plan, facts: MediaFacts, recipe: Recipe, container: Container, options: Mapping[str, Any]) -> str | None:
    """Why nothing needs to be done, if so."""
    same_container = _is_in(facts, container)
    playable = [s for s in made.streams if s.type in ("video", "audio") and not s.cover and not facts.streams[s.index].empty]
    if recipe.remux:
        return f"already {container.title}" if same_container and (facts.index_first or not container.edit_lists) else None
    if recipe.only_sound:
        as_wished = same_container and facts.media_type is MediaType.AUDIO and all(s.action == "copy" for s in playable)
        return f"already {container.title}" if as_wished else None
    pictures = [s for s in playable if s.type == "video"]
    if recipe.video is None or not pictures or not all(s.action == "copy" for s in pictures):
        return None
    if recipe.copied_sound is not None:
        as_wished = same_container and facts.index_first and all(s.action == "copy" for s in playable)
        return f"already {recipe.video.title} in {container.title}, with its index first" if as_wished else None
    return None if "container" in options and not same_container else f"already {recipe.video.title}"


def _is_in(facts: MediaFacts, container: Container) -> bool:
    """Is the file in `container` already? QuickTime and phones' 3GP are read by the same demuxer as MP4, but are none."""
    brand = facts.tags.get("major_brand", "qt")
    return facts.container == container.demuxer and not (container.edit_lists and brand.startswith(("qt", "3g")))


def _warnings(facts: MediaFacts) -> list[str]:
    found = list(facts.warnings)
    if facts.start_s is not None and abs(facts.start_s) >= 1:
        found.append(f"the source's clock starts at {facts.start_s:.3f} s; the result's starts at 0")
    return found


class _Planning:
    """Decides stream by stream."""

    def __init__(
        self, facts: MediaFacts, recipe: Recipe, container: Container, options: Mapping[str, Any], *, sidecars: bool, cut: Cut | None
    ) -> None:
        self._facts = facts
        self._recipe = recipe
        self._container = container
        self._options = options
        self._sidecars = sidecars
        self._cut = cut
        self._chosen = best_sound(facts) if recipe.only_sound else None

    def streams(self) -> list[StreamPlan]:
        return [self._decide(stream) for stream in self._facts.streams]

    def _decide(self, stream: StreamFacts) -> StreamPlan:
        if stream.cover:
            return self._cover(stream)
        if stream.type in ("video", "audio"):
            if stream.empty:
                return _drop(stream, "the track is empty, there is nothing in it to keep", matters=False)
            if self._cut is not None and has_nothing_of(stream, self._cut):
                return _drop(stream, "nothing of it lies between start and end", matters=False)
            if not stream.decodable and not (self._recipe.remux and stream.codec is not None):
                return _drop(stream, "its codec cannot be decoded here" if stream.codec is None else "nothing in it can be decoded")
            return self._video(stream) if stream.type == "video" else self._sound(stream)
        if stream.type == "data" and self._facts.chapters and stream.packets == len(self._facts.chapters):
            return _said_elsewhere(stream, "it holds the titles of the chapters, which are kept as chapters")
        if self._recipe.only_sound:
            return _drop(stream, "the result is sound only", matters=False)
        if stream.type == "subtitle":
            return self._subtitle(stream)
        if stream.type == "attachment" and self._container.attachments:
            return _copy(stream, f"{self._container.title} holds attachments as they are")
        return self._other(stream)

    def _cover(self, stream: StreamFacts) -> StreamPlan:
        if self._container.cover is None or stream.codec not in ("mjpeg", "png"):
            return replace(
                self._aside(stream, f"{self._container.title} cannot hold this cover", able=stream.codec in ("mjpeg", "png")), cover=True
            )
        return replace(_copy(stream, f"cover, kept as {self._container.cover}"), cover=True)

    def _video(self, stream: StreamFacts) -> StreamPlan:
        recipe, container = self._recipe.video, self._container
        if self._recipe.only_sound:
            return _drop(stream, "the result is sound only", matters=False)
        if recipe is None:
            if stream.codec in container.video:
                return _copy(stream, "copied without change" + (", from a key picture on" if self._cut else ""))
            return _drop(stream, f"{container.title} cannot hold {stream.codec}")
        must = self._why_encode(stream, recipe)
        if must is None:
            return _copy(stream, f"already {recipe.title}")
        plain = not (recipe.says_shape or container.says_shape)
        work = pixels.video_work(stream, recipe, self._options, plain=plain)
        if min(work.width, work.height) < recipe.smallest:
            return _drop(stream, f"{recipe.title} takes no pictures as small as {work.width}x{work.height}")
        reason = "; ".join([must, *work.changes])
        outcome: Fate = "changed"
        return StreamPlan(stream.index, stream.type, stream.codec, "encode", outcome, reason, video=work)

    def _why_encode(self, stream: StreamFacts, recipe: VideoRecipe) -> str | None:
        """Why the pictures must be encoded anew; None if they fit as they are."""
        if stream.codec != recipe.codec:
            return f"{stream.codec} becomes {recipe.title}"
        if "crf" in self._options:
            return f"another quality was asked for (crf {self._options['crf']:g})"
        if pixels.target_size(stream, recipe, self._options) != (stream.width, stream.height):
            return "a smaller picture was asked for" if "height" in self._options else f"{self._recipe.name} has no larger pictures"
        if recipe.standard_range_only and (stream.interlaced or stream.depth != 8 or stream.chroma != "420" or pixels.is_hdr(stream)):
            return "browsers do not play it as it is"
        return None if self._cut is None else "it is cut at the very picture"

    def _sound(self, stream: StreamFacts) -> StreamPlan:
        container, recipe = self._container, self._recipe
        if self._chosen is not None and stream.index != self._chosen:
            return _drop(stream, f"{container.title} holds one sound track; track {self._chosen} was taken")
        allowed = container.sound if recipe.copied_sound is None else recipe.copied_sound
        exact = self._cut is not None and recipe.only_sound and stream.decodable
        if stream.codec in allowed and not exact:
            return _copy(stream, f"already fits into {container.title}" + (", cut between packets" if self._cut else ""))
        own = recipe.only_sound or recipe.copied_sound is not None
        how = recipe.sound if own else FALLBACK_SOUND.get(container.name)
        if how is None or not stream.decodable:
            return _drop(stream, f"{container.title} cannot hold {stream.codec}")
        work, changes = sound_work(stream, how)
        becomes = f"{stream.codec} becomes {how.title}" if stream.codec not in allowed else "it is cut at the very sample"
        reason = "; ".join([becomes, *changes])
        return StreamPlan(stream.index, stream.type, stream.codec, "encode", "changed", reason, sound=work)

    def _subtitle(self, stream: StreamFacts) -> StreamPlan:
        container = self._container
        if stream.codec in container.subtitles:
            return _copy(stream, f"already fits into {container.title}")
        if stream.codec in TEXT_SUBTITLES and container.text is not None:
            reason = f"{stream.codec} becomes {container.text}: the text stays, fonts and positions may not"
            return StreamPlan(stream.index, stream.type, stream.codec, "encode", "changed", reason, text=container.text)
        return self._aside(stream, f"{container.title} cannot hold {stream.codec or 'these'} subtitles", able=stream.codec in MKV.subtitles)

    def _other(self, stream: StreamFacts) -> StreamPlan:
        code = timecode.said_in(stream.tags)
        owner = next((one for one in self._facts.streams if one.type == "video" and timecode.said_in(one.tags) == code), None)
        if code is not None and owner is not None:
            fits = self._container.muxer != "mp4" or timecode.fits(code, owner.rate)
            return _said_elsewhere(stream, f"it holds the timecode {code}, which is kept " + ("with the pictures" if fits else "as a tag"))
        said = f"{self._container.title} cannot hold {stream.type} streams of this kind"
        return self._aside(stream, said, able=stream.type == "attachment")

    def _aside(self, stream: StreamFacts, reason: str, *, able: bool) -> StreamPlan:
        """Beside the result if that is wanted and the stream can stand alone, else left out."""
        if not (able and self._sidecars) or self._recipe.only_sound:
            return _drop(stream, reason)
        return StreamPlan(stream.index, stream.type, stream.codec, "sidecar", "kept", f"{reason}: it lies beside the result")


def _copy(stream: StreamFacts, reason: str) -> StreamPlan:
    return StreamPlan(stream.index, stream.type, stream.codec, "copy", "kept", reason)


def _said_elsewhere(stream: StreamFacts, reason: str) -> StreamPlan:
    """Left out as a stream, since what it says is kept in another way."""
    return StreamPlan(stream.index, stream.type, stream.codec, "drop", "kept", reason, matters=False)


def _drop(stream: StreamFacts, reason: str, *, matters: bool = True) -> StreamPlan:
    return StreamPlan(stream.index, stream.type, stream.codec, "drop", "lost", reason, matters)
