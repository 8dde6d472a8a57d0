"""How many bytes a client, and all clients together, may have here: the bounds, and what items have on the disk."""

from dataclasses import dataclass

from dmc.broker.ledger import Ledger
from dmc.broker.room import in_words
from dmc.errors import DiskFull, TooLarge
from dmc.items import Item

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bounds in bytes; 0: none."""

    per_client: int = 0
    total: int = 0

    def __bool__(self) -> bool:
        """Whether there is a bound at all; without one nothing needs to be counted."""
        return bool(self.per_client or self.total)

    def check(self, wanted: int, *, of_client: int, of_all: int) -> None:
        """Raise DiskFull if `wanted` more bytes are more than this client, or all together, may have here; TooLarge if they never fit."""
        for bound, held, who in ((self.per_client, of_client, "this client"), (self.total, of_all, "all clients together")):
            if bound and wanted > bound:
                may_have = f"the file needs {in_words(wanted)}, and {who} may have {in_words(bound)} here."
                raise TooLarge(may_have, "Ask whoever runs the server.")
            if bound and held + wanted > bound:
                left = in_words(max(0, bound - held))
                raise DiskFull(
                    f"the file needs {in_words(wanted)}, and of the {in_words(bound)} for {who} {left} are left.",
                    "Delete what is not needed any more, or wait: what was brought home goes after some days.",
                )


def stored_bytes(item: Item) -> tuple[int, int]:
    """Bytes of the original, and of the result with all that came with it, that are on the disk; those of twins count for each."""
    original = 0 if item.gone else item.file_size
    result = 0 if item.result is None or item.gone == "files" else sum(one.file_size for one in item.result.files)
    return original, result


def held_bytes(ledger: Ledger, client_id: str) -> tuple[int, int]:
    """Bytes that the items of a client, and those of all, have on the disk. Walks through the ledger."""
    mine = of_all = 0
    after = ""
    while page := ledger.select(after=after, limit=_PAGE):
        for item in page:
            size = sum(stored_bytes(item))
            of_all += size
            mine += size if item.client_id == client_id else 0
        after = page[-1].item_id
    return mine, of_all
