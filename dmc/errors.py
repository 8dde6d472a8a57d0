"""The tree of errors: three families, by who can do something about it.

`Refused`: the user can. `Unavailable`: time can. `Broken`: we can. Whether to retry is decided by family, never by
matching text. Every error carries a code (the class name unless said otherwise), a sentence, and a hint that says
what to do. Rooms raise these; only cli/ turns them into exit codes and only server/ into HTTP replies.
"""

from typing import ClassVar


class DmcError(Exception):
    """An error with a code, a message in one sentence and a hint (may be empty).

    `exit_code` is what the command line ends with (interface.md section 2).
    """

    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, hint: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.code = code or type(self).__name__

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class Refused(DmcError):
    """The user can do something about it; trying again as it is will not help."""


class Unavailable(DmcError):
    """Time can heal it; trying again later is right. `retry_after_s` is set where the other side said how long to wait at least."""

    retry_after_s: float | None = None


class Broken(DmcError):
    """A fault of ours, or of the machine; bounded retries, then it is shown."""

    exit_code = 70


# --- Refused -------------------------------------------------------------------------------------------------------


class UsageFault(Refused):
    """A command was called with arguments that do not go together."""

    exit_code = 2


class BadSettings(Refused):
    """A settings file, an environment variable or a flag does not fit."""

    exit_code = 2


class BadRequest(Refused):
    """An HTTP request is malformed."""

    exit_code = 2


class UnknownConversion(Refused):
    """No conversion type of that name: what was asked for is wrong, whatever the file."""

    exit_code = 2


class UnfitConversion(Refused):
    """The conversion type is known, but not made from this medium."""

    exit_code = 9


class NotMedia(Refused):
    """The file is no video, sound or picture that dmc can read."""

    exit_code = 9


class Unsupported(Refused):
    """The file is media, but of a kind that cannot be read or written here."""

    exit_code = 9


class DamagedMedia(Refused):
    """The file is media, but nothing, or not all, of it can be decoded."""

    exit_code = 9


class TooLarge(Refused):
    """More bytes, pixels, streams or seconds than the limits allow."""

    exit_code = 9


class SignInNeeded(Refused):
    """No token, or one that is not known."""

    exit_code = 4
    default_hint = "Make a token on the server with: dmc server token create NAME"


class NotAllowed(Refused):
    """The token is known, but may not do this."""

    exit_code = 4


class UnknownItem(Refused):
    """No such item, or none that this client may see."""

    exit_code = 5


class NotFound(Refused):
    """No such file, folder or address."""

    exit_code = 5


class WrongStatus(Refused):
    """The item's status does not allow what was asked."""

    exit_code = 6


class WholeFileMismatch(Refused):
    """The bytes that arrived are not the bytes that were announced."""

    exit_code = 10

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, code="whole_file_mismatch")


class VerificationFailed(Refused):
    """A result did not pass its checks; it was thrown away and the original kept."""

    exit_code = 10


class LossRefused(Refused):
    """Something in the source could not be kept, and the settings say to refuse then."""

    exit_code = 9


# --- Unavailable ---------------------------------------------------------------------------------------------------


class ServerUnreachable(Unavailable):
    """Every network fault, as the client sees it."""

    exit_code = 7


class Busy(Unavailable):
    """Too much at once; try again later."""

    exit_code = 6


class Conflict(Unavailable):
    """A record changed since it was read; read it again and decide anew."""

    exit_code = 6


class Locked(Unavailable):
    """Somebody else holds the lock."""

    exit_code = 6


class NoAddress(Unavailable):
    """The address to listen on is not there, or not yet."""


class DiskFull(Unavailable):
    """No space, or none above the floor that the settings keep free."""

    exit_code = 8


class TimedOut(Unavailable):
    """What was waited for did not happen in time."""

    exit_code = 124


class Cancelled(Refused):
    """Somebody asked for this to stop, and it did."""

    exit_code = 130

    def __init__(self, message: str = "cancelled on request", hint: str | None = None) -> None:
        super().__init__(message, hint, code="cancelled")


# --- Broken --------------------------------------------------------------------------------------------------------


class TornLedger(Broken):
    """The index on disk is damaged beyond what recovery may decide alone."""


class DiskFault(Broken):
    """The disk answered with an input/output error; nothing that was not synced may be trusted."""


class WorkerDied(Broken):
    """A worker process ended without an outcome."""


class StillBroken(Broken):
    """Anything unforeseen."""
