"""FFmpeg's filter graph around one stream of pictures: built from the first frame, built anew when the pictures change."""

from fractions import Fraction

import av.filter
from av.error import BlockingIOError as WantsMore
from av.error import EOFError as AtEnd
from av.video.frame import VideoFrame

from dmc.convert.pixels import SCALING

_Shape = tuple[int, int, str, Fraction]


class Pictures:
    """Pictures through `filters`; a change of size or format within the stream is scaled to `width` x `height`."""

    def __init__(self, filters: tuple[tuple[str, str], ...], width: int, height: int, pix_fmt: str) -> None:
        self._filters = filters
        self._target = (width, height, pix_fmt)
        self._graph: av.filter.Graph | None = None
        self._shape: _Shape | None = None
        self._first: _Shape | None = None

    def push(self, frame: VideoFrame) -> list[VideoFrame]:
        """The pictures that come out when `frame` goes in."""
        shape = (frame.width, frame.height, frame.format.name, frame.time_base or Fraction(1, 1000))
        if not self._filters and shape[:3] == self._target:
            return [frame]
        held_back: list[VideoFrame] = []
        if self._graph is None or shape != self._shape:
            held_back = self.flush()
            self._graph = self._build(frame, shape)
        self._graph.push(frame)
        return held_back + self._pull(self._graph)

    def flush(self) -> list[VideoFrame]:
        """The pictures still held back; the graph is at its end then."""
        if self._graph is None:
            return []
        graph, self._graph = self._graph, None
        graph.push(None)
        return self._pull(graph)

    def _build(self, frame: VideoFrame, shape: _Shape) -> av.filter.Graph:
        self._shape = shape
        self._first = self._first or shape
        width, height, pix_fmt = self._target
        changed = shape[:2] != self._first[:2]
        chain = [("scale", f"w={width}:h={height}:flags={SCALING}")] if changed else list(self._filters)
        graph = av.filter.Graph()
        nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=shape[3])]
        nodes += [graph.add(name, args) for name, args in [*chain, ("format", f"pix_fmts={pix_fmt}")]]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph

    @staticmethod
    def _pull(graph: av.filter.Graph) -> list[VideoFrame]:
        found: list[VideoFrame] = []
        while True:
            try:
                frame = graph.pull()
            except (WantsMore, AtEnd):
                return found
            if isinstance(frame, VideoFrame):
                found.append(frame)
