"""How many threads the codecs of one conversion get: pure over cores, conversions side by side and the codec.

Only `cores_here` asks the machine: pool.py when a job begins, to hand the share on in the job's limits, and the job for its codecs.
"""

import os
import sys
from dataclasses import dataclass

_FEW_CORES = (2, 3)
"""Where encoders that choose for themselves begin too few pictures at once."""

_MOST_LEVELS = 6
"""SVT-AV1 knows six levels of parallelism."""


@dataclass(frozen=True, slots=True)
class Threads:
    """What an encoder is told: FFmpeg's `thread_count` (0: it chooses by the cores), and `words` of its own parameters."""

    count: int
    words: tuple[str, ...] = ()


def share_of_cores(cores: int, jobs: int) -> int:
    """Threads for each codec of a job that begins as one of `jobs` on `cores`; 0 (the codec chooses) when it is alone.

    Rounded up: a core without work costs more than a thread that waits for one. Decoders take the share as it is.
    """
    return 0 if jobs <= 1 else -(-cores // jobs)


def encoder_threads(encoder: str, share: int, cores: int) -> Threads:
    """What `encoder` is told of its `share`. x265 and SVT-AV1 make pools of their own, whatever `thread_count` says.

    Alone on two or three cores, x264 and x265 choose so few pictures at once that a tenth of the processors stands idle: there they
    begin one more. The result is the same, byte for byte; a picture costs 13 MB at 720p, which x264 gives back by fetching fewer of
    them at a time for its look ahead (`sync-lookahead`). Measured: 7 % less time with x264, 12 % with x265.
    """
    if not share and cores in _FEW_CORES:
        return {
            "libx264": Threads(2 * cores, ("sync-lookahead=1",)),
            "libx265": Threads(0, ("frame-threads=2",)),
        }.get(encoder, Threads(0))
    if share and encoder == "libx265":
        return Threads(share, (f"pools={share}",))
    if share and encoder == "libsvtav1":
        return Threads(share, (f"lp={min(share, _MOST_LEVELS)}",))
    return Threads(share)


def decoder_threads(share: int, cores: int, *, as_they_are: bool) -> int:
    """Threads of the decoder whose pictures an encoder takes: half of what it has where it takes them `as_they_are`.

    Encoding is several times the work, and each thread of a decoder holds pictures of its own. Pictures that are filtered or made
    smaller first may cost more to decode than to encode: there the decoder has the whole share, too.
    """
    return max(1, (share or cores) // 2) if as_they_are else share


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else os.cpu_count() or 1
