"""How much one conversion may use: pixels, streams, seconds, memory, bytes.

Plain values that go to the worker as JSON. Which part enforces which limit: probe.py and media.py the facts of the
file, sandbox.py what the kernel can count, pool.py the silence after which a worker is taken for dead.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from dmc.errors import BadSettings

MEGA = 1_000_000
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one job; the defaults fit a machine at home.

    `max_pixels` counts one picture or frame, `max_frame_pixels` all frames of an animated picture together.
    `memory_bytes` is address space, not resident memory. 0 for `cpu_s` means no limit, 0 for `encoder_threads` that the codec
    chooses by the number of cores; pool.py says a number when several jobs share them (threads.py).
    """

    max_pixels: int = 256 * MEGA
    max_frame_pixels: int = 4000 * MEGA
    max_streams: int = 128
    max_duration_s: float = 48 * 3600.0
    max_attachment_bytes: int = 256 * MEGA
    memory_bytes: int = 8 * GIB
    file_size_bytes: int = 512 * GIB
    cpu_s: int = 0
    open_files: int = 128
    encoder_threads: int = 0
    stall_s: float = 120.0

    def to_plain(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """The limits that `to_plain` gave; raises BadSettings for an unknown key."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise BadSettings(f"unknown limits: {', '.join(sorted(unknown))}.", f"Known are: {', '.join(f.name for f in fields(cls))}.")
        return cls(**values)
