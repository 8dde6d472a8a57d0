"""What a check of `dmc doctor` says."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `why`: what a finding means for files; `fix`: the line, or the words, that mend it."""

    name: str
    state: Literal["ok", "warn", "bad"]
    message: str
    fix: str = ""
    why: str = ""
