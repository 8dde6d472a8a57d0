"""Plain values that the client room is built from: what to watch, whom to send to, and how patient to be.

`assemble.py` maps settings to these; nothing here reads a file. Durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dmc.client.ownership import NOBODY_IN_PARTICULAR, Ownership
from dmc.conversions import DEFAULT_CONVERSIONS, MediaType

TRASH_FOLDER = ".originals"
"""Name of the folder inside an observed path that takes originals whose results are home, if that is asked for."""

OUTPUT_FOLDER = "converted"
"""Name of the folder inside an observed path that takes results when no other is set."""


@dataclass(frozen=True, slots=True)
class ObservedPath:
    """A folder that the client watches. `output` None: `converted` inside it. `patterns` stand before the default ignore rules.

    `leave_existing`: what lay there before is left alone (left.py). `originals`: what becomes of them once their results are home;
    `trash_days`: how long they lie in the trash then, 0 for ever. `sidecars`: copies of what belongs to a source follow its result.
    """

    path: Path
    media_types: frozenset[MediaType] = frozenset(MediaType)
    conversion_types: Mapping[MediaType, str] = field(default_factory=lambda: dict(DEFAULT_CONVERSIONS))
    output: Path | None = None
    patterns: tuple[str, ...] = ()
    originals: Literal["keep", "trash"] = "keep"
    trash_days: int = 30
    leave_existing: bool = False
    sidecars: bool = True
    ownership: Ownership = NOBODY_IN_PARTICULAR

    @property
    def results(self) -> Path:
        """The folder that results land in."""
        return self.output or self.path / OUTPUT_FOLDER

    @property
    def apart(self) -> Path | None:
        """See `apart`."""
        return apart(self.path, self.output)

    @property
    def trash(self) -> Path:
        """The folder that originals are moved to; on the same file system, so that moving is one rename."""
        return self.path / TRASH_FOLDER


def apart(observed: Path, output: Path | None) -> Path | None:
    """The folder for results if it may lie on another disk than the observed one, which tells nothing of it then."""
    return None if output is None or output.is_relative_to(observed) else output


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server the client may send to. `conversion_types` None: all. `name` is what this client calls it, unique among its servers."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)
    media_types: frozenset[MediaType] = frozenset(MediaType)
    conversion_types: frozenset[str] | None = None
    fingerprint: str | None = None
    """Of the certificate that the server must show, 64 hex digits; `ca_file` counts where there is none."""
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the client waits for what."""

    rescan_s: float = 300.0
    rescan_polled_s: float = 30.0
    settle_s: float = 2.0
    settle_polled_s: float = 10.0
    empty_s: float = 30.0
    ask_first_s: float = 0.5
    ask_most_s: float = 10.0
    ask_failed_s: float = 60.0
    identity_s: float = 60.0
    outbox_look_s: float = 0.5
    report_busy_s: float = 600.0
