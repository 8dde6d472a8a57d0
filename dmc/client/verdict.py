"""What to do after an error, by its family and code, never by its text: the retry table as one pure function."""

from enum import StrEnum

from dmc import errors

MOST_ATTEMPTS = 8
"""Tries after faults of dmc itself before a file is parked with the fault's id."""


class Verdict(StrEnum):
    """Who is concerned, and what happens next."""

    SERVER_DOWN = "server_down"
    """Ask again whether it is there, with backoff; nothing else is sent meanwhile."""
    SERVER_PAUSED = "server_paused"
    """It says no to this client as a whole; a person must act."""
    SERVER_CROWDED = "server_crowded"
    """It takes nothing for a moment."""
    SERVER_FULL = "server_full"
    """It has no space; long delay."""
    LATER = "later"
    """This record alone is tried again after a while."""
    ANEW = "anew"
    """What the server had of it is gone: send it from the start."""
    LOOK_AGAIN = "look_again"
    """The bytes are not those that were hashed: the file is looked at as if it were new."""
    PARK = "park"
    """Trying again as it is will not help."""


def judge(problem: errors.DmcError, attempts: int = 0) -> Verdict:
    """The verdict on `problem`, which is the fault number `attempts` + 1 of this record."""
    if isinstance(problem, errors.SignInNeeded | errors.NotAllowed) or problem.code == "http_412":
        return Verdict.SERVER_PAUSED
    if isinstance(problem, errors.WholeFileMismatch):
        return Verdict.LOOK_AGAIN if attempts < MOST_ATTEMPTS else Verdict.PARK
    if isinstance(problem, errors.UnknownItem) or problem.code in ("http_404", "http_410"):
        return Verdict.ANEW if attempts < MOST_ATTEMPTS else Verdict.PARK
    if isinstance(problem, errors.WrongStatus):
        return Verdict.LATER
    if isinstance(problem, errors.Refused):
        return Verdict.PARK
    if isinstance(problem, errors.ServerUnreachable):
        return Verdict.SERVER_DOWN
    if isinstance(problem, errors.DiskFull):
        return Verdict.SERVER_FULL
    if isinstance(problem, errors.Busy):
        return Verdict.SERVER_CROWDED
    if isinstance(problem, errors.Unavailable):
        return Verdict.LATER
    return Verdict.LATER if attempts + 1 < MOST_ATTEMPTS else Verdict.PARK
