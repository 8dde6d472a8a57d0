"""What is in a file, and which medium it is: opens it, decodes the first frames, states facts (facts.py).

Pictures are recognised by their first bytes and left to pictures.py. What header and index say is stated as it is; what
really decodes over the whole length is seen by transcode.py and verify.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dmc.conversions import MediaType, guess_media_type
from dmc.convert import origin, sidedata
from dmc.convert.decoder import Decoder
from dmc.convert.ends import cut_off
from dmc.convert.facts import ChapterFacts, MediaFacts, StreamFacts
from dmc.convert.limits import Limits
from dmc.convert.media import codec_of, context_of, open_media, packets
from dmc.errors import DamagedMedia, NotMedia, Refused, TooLarge, Unsupported

_PICTURES_TO_SEE = 3
_PICTURE_STARTS = (b"BM", b"\x00\x00\x01\x00", b"\x00\x00\x00\x0cjP", b"\xff\x4f\xff\x51", *(b"P%d" % n for n in range(1, 7)), b"Pf", b"PF")
_PACKETS_TO_READ = 4000
_BYTES_TO_READ = 64 << 20
_SLOWEST, _FASTEST = Fraction(1, 10), Fraction(480)


def probe(path: Path, limits: Limits, label: str | None = None) -> MediaFacts:
    """The facts of the file at `path`; `label` is what people call it.

    Raises NotMedia, Unsupported, DamagedMedia or TooLarge, or what files.translate says of an OSError.
    """
    name = label or path.name
    facts = _probe_picture(path, limits, name)
    if facts is None:
        facts = _probe_streams(path, limits, name)
    end = cut_off(path)
    return facts if end is None else replace(facts, warnings=(*facts.warnings, end))


def _probe_streams(path: Path, limits: Limits, name: str) -> MediaFacts:
    # One thread per decoder: while sidedata.notes_of listens to FFmpeg's log, a second one that has something to say would wait
    # for Python's lock, and whoever ends that decoder holds the lock and waits for the thread, for ever.
    with open_media(path, replace(limits, encoder_threads=1), name) as container:
        return _Probing(container, path, limits, name).facts()


def _probe_picture(path: Path, limits: Limits, name: str) -> MediaFacts | None:
    """Facts of a picture, None if the first bytes say that it is something else."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return None  # open_media says it better.
    if guess_media_type(name, head) is not MediaType.IMAGE or (guess_media_type("", head) is None and not _looks_like_picture(head)):
        return None
    from dmc.convert import pictures  # Here, as in engine.py: a film needs no Pillow.

    try:
        facts = pictures.probe(path, limits)
    except Refused as problem:
        # Pictures are known there by the name on disk only, which the server made.
        raise type(problem)(problem.message.replace(path.name, name), problem.hint) from problem
    if facts is None:
        raise DamagedMedia(f"{name} looks like a picture, but cannot be read.", "Its beginning is damaged, or it is of a rare kind.")
    return facts


def _looks_like_picture(head: bytes) -> bool:
    """First bytes of picture formats that conversions.py does not call unmistakable."""
    return head.startswith(_PICTURE_STARTS)


class _Probing:
    """One look into an open container."""

    def __init__(self, container: InputContainer, path: Path, limits: Limits, name: str) -> None:
        self._container = container
        self._path = path
        self._limits = limits
        self._name = name
        self._pictures: dict[int, list[VideoFrame]] = {}
        self._decoders: dict[int, Decoder] = {}
        self._all_read = False

    def facts(self) -> MediaFacts:
        self._check_limits()
        self._decode_beginning()
        streams = tuple(self._stream(stream) for stream in self._container.streams)
        start = self._container.start_time
        duration = self._container.duration
        tags = dict(self._container.metadata)
        told = origin.of_tags({key: value for each in (*(s.tags for s in reversed(streams)), tags) for key, value in each.items()})
        return MediaFacts(
            media_type=self._media_type(streams),
            container=self._container.format.name,
            file_size=self._path.stat().st_size,
            duration_s=duration / 1e6 if duration is not None and duration > 0 else None,
            start_s=start / 1e6 if start is not None else None,
            streams=streams,
            chapters=tuple(self._chapters()),
            tags=tags,
            index_first=_index_first(self._path),
            recorded_at=told.recorded_at,
            latitude=told.latitude,
            longitude=told.longitude,
        )

    def _check_limits(self) -> None:
        limits, streams = self._limits, self._container.streams
        if len(streams) > limits.max_streams:
            raise TooLarge(f"{self._name} has {len(streams)} streams; allowed are {limits.max_streams}.", "Raise the limit max_streams.")
        duration = self._container.duration
        if duration is not None and duration / 1e6 > limits.max_duration_s:
            said = f"{self._name} lasts {duration / 3.6e9:.0f} hours; allowed are {limits.max_duration_s / 3600:.0f}."
            raise TooLarge(said, "Raise the limit max_duration_s.")
        for stream in streams.video:
            if context_of(stream) is not None and stream.width * stream.height > limits.max_pixels:
                said = f"{self._name} holds pictures of {stream.width}x{stream.height} pixels, more than allowed."
                raise TooLarge(said, f"Allowed are {limits.max_pixels} pixels; raise the limit max_pixels.")
        kept = sum(len(stream.data) for stream in streams if isinstance(stream, AttachmentStream))
        if kept > limits.max_attachment_bytes:
            raise TooLarge(f"{self._name} holds {kept} bytes of attachments.", "Raise the limit max_attachment_bytes.")

    def _decode_beginning(self) -> None:
        """Decode until every stream of picture or sound has shown what it is, or enough has been read."""
        wanted = [s for s in self._container.streams if _is_playable(s)]
        self._decoders = {stream.index: Decoder(stream, self._name) for stream in wanted}
        read = 0
        for count, packet in enumerate(packets(self._container, wanted)):
            read += packet.size
            self._keep(packet.stream_index, self._decoders[packet.stream_index].decode(packet))
            if count > _PACKETS_TO_READ or read > _BYTES_TO_READ or not self._waiting():
                return
        self._all_read = True
        for index, decoder in self._decoders.items():
            self._keep(index, decoder.decode(None))

    def _keep(self, index: int, frames: Sequence[object]) -> None:
        seen = self._pictures.setdefault(index, [])
        seen.extend(frame for frame in frames[:_PICTURES_TO_SEE] if isinstance(frame, VideoFrame) and len(seen) < _PICTURES_TO_SEE)

    def _waiting(self) -> bool:
        enough = {"video": _PICTURES_TO_SEE, "audio": 1}
        return any(decoder.span.frames < enough[decoder.stream.type] for decoder in self._decoders.values())

    def _media_type(self, streams: Sequence[StreamFacts]) -> MediaType:
        playable = [s for s in streams if s.type in ("video", "audio") and not s.cover]
        for medium in (MediaType.VIDEO, MediaType.AUDIO):
            if any(s.decodable for s in playable if s.type == medium.value):
                return medium
        if not playable:
            raise NotMedia(f"{self._name} holds neither picture nor sound.", "Subtitles, data and covers alone cannot be converted.")
        if all(s.codec is None for s in playable):
            raise Unsupported(f"{self._name} is of a codec that cannot be decoded here.", "Convert it with the program that made it first.")
        said = f"{self._name} has a header, but no picture or sound in it can be decoded."
        raise DamagedMedia(said, "Is it complete? Copy it again from where it came.")

    def _stream(self, stream: Stream) -> StreamFacts:
        context, base = context_of(stream), stream.time_base
        decoder = self._decoders.get(stream.index)
        empty = decoder is not None and self._all_read and decoder.span.frames == 0
        common = StreamFacts(
            index=stream.index,
            type=stream.type,
            codec=codec_of(stream),
            decodable=context is not None and not empty,
            empty=decoder is not None and self._all_read and decoder.span.packets == 0,
            profile=context.profile if context is not None else None,
            tag=_tag_of(stream),
            cover=bool(stream.disposition & Disposition.attached_pic),
            dispositions=tuple(d.name for d in Disposition if d.name and stream.disposition & d),
            tags=dict(stream.metadata),
            start_s=float(stream.start_time * base) if stream.start_time is not None and base else None,
            duration_s=float(stream.duration * base) if stream.duration is not None and base else None,
            time_base=_pair(base),
            packets=stream.frames,
        )
        if isinstance(stream, VideoStream) and context is not None:
            return _with_picture(common, stream, self._pictures.get(stream.index, []))
        if isinstance(stream, AudioStream) and context is not None:
            return _with_sound(common, stream)
        if isinstance(stream, AttachmentStream):
            return common.having(mimetype=stream.mimetype, file_name=stream.name)
        return common

    def _chapters(self) -> list[ChapterFacts]:
        found = []
        for chapter in self._container.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            title = chapter["metadata"].get("title", "")
            found.append(ChapterFacts(float(chapter["start"] * base), float(chapter["end"] * base), title))
        return found


def _index_first(path: Path) -> bool:
    """Does the index of an MP4 stand before its media, so that it can be played while it loads?"""
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 16 <= size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if kind in (b"moov", b"mdat"):
                return kind == b"moov"
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:
                break
            at += length
    return False


def _is_playable(stream: Stream) -> bool:
    return stream.type in ("video", "audio") and context_of(stream) is not None and not stream.disposition & Disposition.attached_pic


def _tag_of(stream: Stream) -> str:
    if context_of(stream) is None:
        return ""
    try:
        tag = stream.codec_tag
    except UnicodeDecodeError:
        return ""  # A tag that is a number, not four letters.
    return tag if tag.isprintable() else ""


def _pair(value: Fraction | None) -> tuple[int, int] | None:
    return None if value is None else (value.numerator, value.denominator)


def _with_picture(facts: StreamFacts, stream: VideoStream, seen: list[VideoFrame]) -> StreamFacts:
    frame = seen[0] if seen else None
    shape = frame.format if frame is not None else stream.format
    notes = [sidedata.notes_of(f) for f in seen]
    matrix = sidedata.display_matrix(stream)
    if matrix is None and frame is not None:
        matrix = sidedata.matrix_of_rotation(frame.rotation)
    chroma = _chroma(shape) if shape is not None else None
    looked_at = frame if frame is not None else stream.codec_context
    return facts.having(
        width=frame.width if frame is not None else stream.width,
        height=frame.height if frame is not None else stream.height,
        pix_fmt=shape.name if shape is not None else None,
        depth=max((c.bits for c in shape.components), default=8) if shape is not None else None,
        chroma=chroma,
        alpha=(shape is not None and any(c.is_alpha for c in shape.components)) or stream.metadata.get("alpha_mode") == "1",
        rate=_pair(_rate(stream)),
        sample_aspect=_pair(stream.sample_aspect_ratio or None),
        matrix=matrix,
        interlaced=any(f.interlaced_frame for f in seen),
        primaries=looked_at.color_primaries,
        transfer=looked_at.color_trc,
        colour_matrix=looked_at.colorspace,
        colour_range=looked_at.color_range,
        mastering=next((n.mastering for n in notes if n.mastering), None),
        light_level=next((n.light_level for n in notes if n.light_level), None),
        dynamic_hdr=next((n.dynamic for n in notes if n.dynamic), None),
        chroma_location=notes[0].chroma_location if notes and chroma == "420" else None,
        bit_rate=stream.bit_rate,
    )


def _with_sound(facts: StreamFacts, stream: AudioStream) -> StreamFacts:
    layout = stream.layout
    return facts.having(
        sample_rate=stream.sample_rate or None,
        channels=layout.nb_channels or None,
        layout=layout.name,
        sample_format=stream.format.name if stream.format is not None else None,
        bit_rate=stream.bit_rate,
    )


def _chroma(shape: VideoFormat) -> str:
    """`rgb`, `400` (grey), `420`, `422`, `444` or another of that kind."""
    if shape.is_rgb or shape.has_palette or shape.is_bayer:
        return "rgb"
    if sum(not c.is_alpha for c in shape.components) < 3:
        return "400"
    across, down = shape.chroma_width(8), shape.chroma_height(8)
    return {(8, 8): "444", (4, 8): "422", (4, 4): "420", (8, 4): "440", (2, 8): "411", (2, 2): "410"}.get((across, down), "420")


def _rate(stream: VideoStream) -> Fraction | None:
    """Pictures per second for the encoder's rate control; average rates of 600 or 1000 are lies of old muxers."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and _SLOWEST <= rate <= _FASTEST:
            return rate
    return None
