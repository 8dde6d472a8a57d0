"""Does what the plan says: one pass over the source, one file written. Decides nothing.

The streams of the source run through lanes (lanes.py) in file order; memory does not grow with length. One thread reads, decodes
and filters, the caller's encodes and writes, in the order of the file: what is written does not depend on who was faster.
"""

import contextlib
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from dmc.convert import encoders, tags
from dmc.convert.ahead import Ahead
from dmc.convert.decoder import Decoder
from dmc.convert.facts import MediaFacts
from dmc.convert.lanes import CopyLane, Lane, Made, Opened, SoundLane, VideoLane
from dmc.convert.limits import Limits
from dmc.convert.media import AnyPacket, ReadLog, codec_of, create_media, feed_encoder, open_media, packets, reason_of
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.progress import alive, patience_s
from dmc.convert.recipes import CONTAINERS, Container
from dmc.convert.sidecars import Sidecars
from dmc.convert.texts import TextLane
from dmc.convert.trim import CutFrames, CutPackets, CutTexts
from dmc.errors import Cancelled, DiskFull, DmcError, TooLarge, Unsupported

Tick = Callable[[float | None, float], None]
"""Hears the time reached (None: still at work) and the share of the source that was read."""

Stop = Callable[[], bool]

_FLUSH_S = 900.0
"""Longest time for the pictures that an encoder holds back: some sixty, of 8K at worst."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True)
class Transcoded:
    """What was done: per stream of the source, and what went wrong while reading it. `targets`: source index → result index."""

    made: dict[int, Made] = field(default_factory=dict)
    targets: dict[int, int] = field(default_factory=dict)
    read: ReadLog = field(default_factory=ReadLog)
    shift: Fraction = Fraction(0)
    sidecars: Sidecars | None = None


def transcode(source: Path, target: Path, facts: MediaFacts, plan: Plan, limits: Limits, tick: Tick, stop: Stop, label: str) -> Transcoded:
    """Write `target` from `source` as `plan` says; `tick` hears how far it is in seconds, `stop` is asked at every packet.

    `facts` are those of what is kept (cut.py) where the plan cuts.
    Raises Cancelled when stopped, DiskFull, TooLarge, or Unsupported when the container refuses what the plan put into it.
    """
    container = CONTAINERS[plan.container]
    with open_media(source, limits, label) as media:
        covers = _read_covers(source, plan, limits, label)
        out = create_media(target, container.muxer, dict(container.options))
        beside = Sidecars(target, facts)
        run = _Run(media, out, facts, plan, container, limits, label, beside)
        try:
            run.prepare(covers)
            run.flow(tick, stop)
            # Encoders hold back a lot; an index is moved to the front.
            with alive(lambda: tick(None, 1.0), _FLUSH_S + patience_s(facts.file_size)):
                run.finish()
                out.close()
                beside.finish()
        except (FFmpegError, OSError, ValueError, MemoryError) as problem:
            raise _explained(problem, container) from problem
        finally:
            beside.drop()
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                out.close()  # Nothing is left to do after a good end; after a bad one the file is thrown away anyway.
        return run.done


def _read_covers(source: Path, plan: Plan, limits: Limits, label: str) -> dict[int, bytes]:
    """The bytes of the covers that are kept; attachments and tags are written with the header, before any packet."""
    wanted = {s.index for s in plan.streams if s.cover and s.action in ("copy", "sidecar")}
    found: dict[int, bytes] = {}
    if not wanted:
        return found
    with open_media(source, limits, label) as media:
        for packet in packets(media, [s for s in media.streams if s.index in wanted]):
            found.setdefault(packet.stream_index, bytes(packet))
            if len(found) == len(wanted):
                break
    return found


def _explained(problem: Exception, container: Container) -> Exception:
    if isinstance(problem, DmcError):
        return problem
    if isinstance(problem, MemoryError):
        return TooLarge("encoding needs more memory than the limits allow.", "Raise the limit of memory, or ask for a smaller height.")
    if isinstance(problem, OSError) and problem.errno in _NO_ROOM:
        return DiskFull("writing the result: the disk is full, or the result is larger than the limits allow.", "Free some space.")
    who = "the encoder" if "avcodec_open2" in str(problem) else container.title
    return Unsupported(f"{who} refuses what the source holds: {reason_of(problem)}.", "Choose another conversion type or container.")


@dataclass(frozen=True, slots=True)
class _Step:
    """What one packet held, on its way from the thread that reads to the one that writes; `read`: bytes of the source up to here."""

    lane: Lane
    opened: Opened
    read: int


def _size_of(step: _Step) -> int:
    """Bytes that a step holds."""
    return sum(thing.size if isinstance(thing, Packet) else sum(plane.buffer_size for plane in thing.planes) for thing in step.opened)


class _Run:
    """One pass: the lanes of all streams that come along."""

    def __init__(
        self,
        media: InputContainer,
        out: OutputContainer,
        facts: MediaFacts,
        plan: Plan,
        container: Container,
        limits: Limits,
        label: str,
        beside: Sidecars,
    ) -> None:
        self.done = Transcoded(shift=facts.shift, sidecars=beside)
        self._beside = beside
        self._media = media
        self._out = out
        self._facts = facts
        self._plan = plan
        self._container = container
        self._limits = limits
        self._label = label
        self._lanes: dict[int, Lane] = {}
        self._pending: list[tuple[Stream, bytes]] = []
        self._cuts: list[CutFrames | CutPackets] = []

    def prepare(self, covers: dict[int, bytes]) -> None:
        """Add every stream of the result, then its tags and chapters."""
        kept = [(plan, self._media.streams[plan.index]) for plan in self._plan.streams if plan.action in ("copy", "encode")]
        beside = [(plan, source) for plan, source in kept if plan.cover or isinstance(source, AttachmentStream)]
        for plan, source in kept:
            if (plan, source) not in beside:
                self._add(source, plan)
        for plan, source in beside:  # Last, since demuxers list covers and attachments after the tracks.
            if isinstance(source, AttachmentStream):
                self._add_attachment(source)
            else:
                self._add_cover(source, plan, covers.get(plan.index))
        for plan in self._plan.streams:
            if plan.action == "sidecar":
                self._put_beside(plan, covers.get(plan.index))
        tags.write_file_tags(self._out, self._facts, self._container, has_cover=bool(covers))
        tags.write_chapters(self._out, self._facts, self._container, self.done.shift)

    def _add(self, source: Stream, plan: StreamPlan) -> None:
        target, lane = self._lane(source, plan)
        facts = self._facts.streams[plan.index]
        target.disposition = Disposition(sum(Disposition[name] for name in facts.dispositions))
        target.metadata.update(tags.stream_tags(facts, self._facts, self._container))
        self._lanes[source.index] = lane
        self.done.made[source.index] = lane.made
        self.done.targets[source.index] = target.index

    def _put_beside(self, plan: StreamPlan, cover: bytes | None) -> None:
        source = self._media.streams[plan.index]
        if plan.type == "subtitle":
            lane = self._beside.lane(plan, source, self.done.shift, self._texts(source))
            self._lanes[source.index] = lane
        else:
            self._beside.keep(plan, source, cover)

    def _lane(self, source: Stream, plan: StreamPlan) -> tuple[Stream, Lane]:
        shift = self.done.shift
        if plan.video is not None:
            feed_encoder(source, self._limits, as_is=plan.video.takes_as_is(self._facts.streams[plan.index]))
            frames = self._frames(source)
            base = frames.clock if isinstance(frames, CutFrames) else source.time_base
            pictures = encoders.add_video(self._out, plan.video, base, self._limits)
            return pictures, VideoLane(frames, pictures, plan.video, self._mux, shift)
        if plan.sound is not None:
            sound = encoders.add_sound(self._out, plan.sound)
            return sound, SoundLane(self._frames(source), sound, self._mux, shift)
        if plan.text is not None and isinstance(source, SubtitleStream):
            source.codec_context.open(strict=False)
            text = encoders.add_text(self._out, plan.text, source.codec_context.subtitle_header)
            return text, TextLane(source, text, self._mux, shift, self._texts(source))
        copied = self._out.add_stream_from_template(source, opaque=True)
        rate = self._facts.streams[plan.index].rate
        if isinstance(copied, VideoStream) and rate is not None and self._container.muxer == "mp4":
            copied.codec_context.framerate = Fraction(*rate)  # Without it MP4 refuses a timecode, which counts pictures.
        return copied, CopyLane(source, copied, self._mux, shift, self._copied(source))

    def _frames(self, source: Stream) -> Decoder | CutFrames:
        decoder = Decoder(source, self._label)
        if self._plan.cut is None:
            return decoder
        frames = CutFrames(decoder, self._plan.cut)
        self._cuts.append(frames)
        return frames

    def _copied(self, source: Stream) -> CutPackets | CutTexts | None:
        if self._plan.cut is None or source.type not in ("video", "audio"):
            return self._texts(source)
        packets_within = CutPackets(source, codec_of(source), self._plan.cut)
        self._cuts.append(packets_within)
        return packets_within

    def _texts(self, source: Stream) -> CutTexts | None:
        return None if self._plan.cut is None else CutTexts(source, self._plan.cut)

    def _add_attachment(self, source: AttachmentStream) -> None:
        target = self._out.add_attachment(
            source.name or f"attachment-{source.index}", source.mimetype or "application/octet-stream", source.data
        )
        self.done.targets[source.index] = target.index

    def _add_cover(self, source: Stream, plan: StreamPlan, data: bytes | None) -> None:
        facts = self._facts.streams[plan.index]
        if data is None:
            return
        if self._container.cover == "attachment":
            ending, mime = ("png", "image/png") if plan.codec == "png" else ("jpg", "image/jpeg")
            target = self._out.add_attachment(f"cover-{plan.index}.{ending}", mime, data)
            self.done.targets[plan.index] = target.index
        elif self._container.cover == "stream" and isinstance(source, VideoStream):
            stream = self._out.add_stream_from_template(source, opaque=True)
            stream.disposition = Disposition.attached_pic
            stream.metadata.update(tags.stream_tags(facts, self._facts, self._container))
            self._pending.append((stream, data))
            self.done.targets[plan.index] = stream.index
        elif self._container.cover == "tag":
            self._out.metadata["METADATA_BLOCK_PICTURE"] = tags.picture_block(facts, data)
            self.done.targets[plan.index] = len(self._lanes)

    def flow(self, tick: Tick, stop: Stop) -> None:
        """Every packet through its lane."""
        for stream, data in self._pending:
            self._mux_cover(stream, data)
        with Ahead(self._opened(), _size_of, "reader") as steps:
            for step in steps:
                if stop():
                    raise Cancelled()
                reached = None
                for thing in step.opened:
                    reached = step.lane.write(thing)
                if reached is not None:
                    tick(reached, step.read / self._facts.file_size)
                elif self._cuts:
                    tick(None, 0.0)  # Still on the way to where the cut begins.

    def _opened(self) -> Iterator[_Step]:
        """What every packet of the source holds, in file order, then what the decoders held back. Runs in a thread of its own."""
        read = 0
        if self._plan.cut is not None and self._plan.cut.begin is not None:
            self._media.seek(int(self._plan.cut.begin * 1_000_000))
        wanted = [s for s in self._media.streams if s.index in self._lanes]
        for packet in packets(self._media, wanted, self.done.read):
            read += packet.size
            lane = self._lanes[packet.stream_index]
            yield _Step(lane, lane.open(packet), read)
            if self._cuts and all(cut.over for cut in self._cuts):
                break
        for lane in self._lanes.values():
            yield _Step(lane, lane.open(None), read)

    def finish(self) -> None:
        """Write what the lanes held back."""
        for lane in self._lanes.values():
            lane.finish()
        self._out.start_encoding()  # Writes the header even if no stream had a packet.

    def _mux_cover(self, stream: Stream, data: bytes) -> None:
        packet = Packet(data)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 0
        packet.is_keyframe = True
        self._mux(packet)

    def _mux(self, packet: AnyPacket) -> None:
        self._out.mux_one(packet)
