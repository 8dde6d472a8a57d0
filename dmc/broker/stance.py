"""What the broker may do now, and why the queue waits: from the operator's mode, the quiet hours and what there is to do.

Pure but for `Stances`, which asks the clock and the mode file. What an operator says goes before the quiet hours.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dmc.broker.control import Control, Mode, Wished
from dmc.clock import Clock, rfc3339
from dmc.quiet_hours import EndAction, Quiet, QuietHours

_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why nothing is begun: a code, a sentence, and until when (RFC 3339) where that is known."""

    code: str
    message: str
    until: str | None = None

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Stance:
    """`begins`: whether new items are begun. `running`: what becomes of those that run. `waiting`: why, if it does not begin any."""

    begins: bool = True
    running: EndAction = "finish"
    waiting: Waiting | None = None


_ACTIONS: dict[Mode, EndAction] = {Mode.PAUSE: "freeze", Mode.PUT_BACK: "put-back", Mode.DRAIN: "finish"}
_FATE: dict[EndAction, str] = {
    "finish": "running conversions are finished",
    "freeze": "running conversions stand still",
    "put-back": "running conversions were put back",
}


def stance_of(wished: Wished, quiet: Quiet | None) -> Stance:
    """The stance for what an operator wished and the quiet hours say."""
    if wished.mode is not Mode.RUN:
        action, until = _ACTIONS[wished.mode], _text(wished.until)
        code, what = ("draining", "draining") if wished.mode is Mode.DRAIN else ("paused", "paused by an operator")
        ending = "" if until else " Go on with: dmc broker resume"
        return Stance(False, action, Waiting(code, f"{what}; {_FATE[action]}.{ending}", until))
    if quiet is not None:
        message = f"quiet hours ({quiet.text}); {_FATE[quiet.end_action]}."
        return Stance(False, quiet.end_action, Waiting("quiet-hours", message, _text(quiet.until)))
    return Stance()


def why_waiting(
    stance: Stance, *, to_do: int, resting: int, running: int, free_slots: int, has_room: bool, no_room: Waiting | None = None
) -> Waiting | None:
    """Why nothing (more) is begun, the weightiest reason first; None if nothing is to do or something is being begun.

    `no_room`: what to say where there is an item whose result does not fit.
    """
    if stance.waiting is not None:
        return stance.waiting
    if not has_room:
        return Waiting("disk-floor", "the disk has less free space than the settings keep free; it goes on by itself when there is room.")
    if to_do == 0:
        return None
    if free_slots <= 0:
        return Waiting("no-free-worker", f"every worker is busy: {running} {'conversion runs' if running == 1 else 'conversions run'}.")
    if resting >= to_do:
        return Waiting("resting", "what is left has failed before and waits a while for its next try.")
    if no_room is not None:
        return no_room
    if running:
        return Waiting("twin-in-progress", "what is left waits for the same file, which is being converted for somebody else.")
    return None


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


class Stances:
    """The stance of the moment; the quiet hours are asked once a second."""

    def __init__(self, control: Control, quiet_hours: QuietHours, clock: Clock) -> None:
        self._control = control
        self._hours = quiet_hours
        self._clock = clock
        self._looked: tuple[float, Quiet | None] | None = None

    def now(self) -> tuple[Mode, Stance]:
        """The mode that counts, and the stance that follows from it."""
        wished, now = self._control.wished(), self._clock.monotonic()
        if self._looked is None or now - self._looked[0] >= _LOOK_EVERY_S:
            self._looked = (now, self._hours.at(self._clock.now()))
        return wished.mode, stance_of(wished, self._looked[1])
