"""Streams that the result's container cannot hold, each in a file of its own beside the result: covers and attachments as they are,
picture subtitles as Matroska. Named by the result and the stream's number; what users called them stands in the receipt only.
"""

import contextlib
import os
import re
from fractions import Fraction
from pathlib import Path

from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import AttachmentStream, Disposition, Stream

from dmc.convert import tags
from dmc.convert.facts import MediaFacts
from dmc.convert.lanes import CopyLane
from dmc.convert.limits import Limits
from dmc.convert.media import create_media, open_media, packets
from dmc.convert.plan import StreamPlan
from dmc.convert.receipt import SidecarEntry
from dmc.convert.recipes import MKV
from dmc.convert.trim import CutTexts
from dmc.errors import VerificationFailed
from dmc.files import sha512_of

_ENDING = re.compile(r"[A-Za-z0-9]{1,5}")


class Sidecars:
    """The files beside one result: written along with it, then read back."""

    def __init__(self, result: Path, facts: MediaFacts) -> None:
        self._result = result
        self._facts = facts
        self._open: list[OutputContainer] = []
        self._lanes: dict[int, CopyLane] = {}
        self._bytes: dict[int, bytes] = {}

    def keep(self, plan: StreamPlan, source: Stream, cover: bytes | None) -> None:
        """Write an attachment or a cover."""
        data = source.data if isinstance(source, AttachmentStream) else cover
        if data is not None:
            self._bytes[plan.index] = bytes(data)
            with self._path(plan).open("xb") as file:
                file.write(data)

    def lane(self, plan: StreamPlan, source: Stream, shift: Fraction, cut: CutTexts | None = None) -> CopyLane:
        """The way of subtitles into a file of their own."""
        out = create_media(self._path(plan), MKV.muxer)
        self._open.append(out)
        target = out.add_stream_from_template(source, opaque=True)
        facts = self._facts.streams[plan.index]
        target.disposition = Disposition(sum(Disposition[name] for name in facts.dispositions))
        target.metadata.update(tags.stream_tags(facts, self._facts, MKV))
        self._lanes[plan.index] = CopyLane(source, target, out.mux_one, shift, cut)
        return self._lanes[plan.index]

    def finish(self) -> None:
        """Complete the files."""
        for out in self._open:
            out.start_encoding()  # Writes the header even if no packet came.
            out.close()

    def drop(self) -> None:
        """Close what is open; after an error the files are thrown away anyway."""
        for out in self._open:
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                out.close()

    def check(self, plans: tuple[StreamPlan, ...], limits: Limits) -> tuple[SidecarEntry, ...]:
        """Read every file back; raises VerificationFailed when one is not what went in."""
        found = []
        for plan in plans:
            if plan.index not in self._bytes and plan.index not in self._lanes:
                continue
            path = self._path(plan)
            if not self._is_whole(plan, path, limits):
                raise VerificationFailed(f"{plan.type} stream {plan.index} is not whole in its file beside the result.")
            name = self._facts.streams[plan.index].file_name
            entry = SidecarEntry(
                stream=plan.index, file_name=path.name, file_size=path.stat().st_size, sha512=sha512_of(path), original_name=name
            )
            found.append(entry)
        return tuple(found)

    def _is_whole(self, plan: StreamPlan, path: Path, limits: Limits) -> bool:
        if plan.index in self._bytes:
            return path.read_bytes() == self._bytes[plan.index]
        with open_media(path, limits) as media:
            return sum(1 for _packet in packets(media, [*media.streams])) == self._lanes[plan.index].made.written

    def _path(self, plan: StreamPlan) -> Path:
        return self._result.with_name(f"{self._result.stem}.{plan.index}.{self._ending(plan)}")

    def _ending(self, plan: StreamPlan) -> str:
        if plan.type == "subtitle":
            return "mks"
        if plan.cover:
            return "png" if plan.codec == "png" else "jpg"
        ending = os.path.splitext(self._facts.streams[plan.index].file_name or "")[1].removeprefix(".")
        return ending.lower() if _ENDING.fullmatch(ending) else "bin"
