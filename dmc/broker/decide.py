"""What to do next, as a pure function: (items, running jobs, free slots, stance) → actions. It touches nothing.

Of the items that wait it looks at the first few only: a step costs the same however long the queue is (`queue.py` keeps their order).

Items are seen as `Standing`: the little of a record that decisions need, for a hundred thousand of them at once.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Literal

from dmc.broker.room import Room, expected_bytes
from dmc.broker.stance import Stance
from dmc.broker.twins import content_of
from dmc.items import Item, Status, Wish

LOOKED_AHEAD = 1000
"""Items that do not fit on the disk and are passed over, at most."""

Verb = Literal["remove", "retry", "cancel", "kill", "put-back", "claim"]


@dataclass(frozen=True, slots=True)
class Standing:
    """An item as `decide` sees it."""

    item_id: str
    status: Status
    priority: int
    wish: Wish | None
    content: int | None = None
    """The same for items that one conversion does for; None: it is nobody's twin."""
    is_held: bool = False
    needs: int = 0
    """Bytes that its result may need."""

    @classmethod
    def of(cls, item: Item) -> "Standing":
        needs = expected_bytes(item.conversion_type, item.file_size)
        return cls(item.item_id, item.status, item.priority, item.wish, content_of(item), item.held_since is not None, needs)

    @property
    def matters(self) -> bool:
        """Whether there may be something to do: it is not finished, or somebody wishes something."""
        return not self.status.is_finished or self.wish is not None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do with one item."""

    verb: Verb
    item_id: str


def decide(
    pressing: Iterable[Standing],
    waiting: Iterable[Standing],
    *,
    running: Set[str],
    resting: Set[str],
    free_slots: int,
    stance: Stance,
    room: Room,
) -> list[Action]:
    """What to do with items that matter. `waiting`: those to do that nobody wants cancelled and nobody holds, in the order in which they
    are begun; `pressing`: those in progress and those with a wish. `running` have a job, `resting` wait for another try, `room` is
    that of the disk.

    1 finished, wish delete                   → remove
    2 finished_with_errors, wish retry        → retry: to_do, another attempt
    3 to_do, wish cancel                      → cancel: finished_with_errors
    4 in_progress and running, wish cancel    → kill; its report ends it
    5 in_progress and running, to be put back → kill; its report puts it back; freezing is the workbench's, for all at once
    6 in_progress and not running             → put back: whoever ran it is gone
    7 to_do, new ones are begun, disk has room→ claim, in their order, as many as there are slots;
                                                but not while a twin is in progress: its end may do for both; and none that
                                                is held until an operator adopts it; one whose result may not fit above the
                                                floor lets smaller ones go before
    """
    actions: list[Action] = []
    begun: set[int | None] = set()
    for one in pressing:
        verb = _verb(one, one.item_id in running, stance)
        if verb is not None:
            actions.append(Action(verb, one.item_id))
        if one.status is Status.IN_PROGRESS:
            begun.add(one.content)
    if stance.begins and room.above_floor and free_slots > 0:
        free = (one for one in waiting if one.item_id not in resting and (one.content is None or one.content not in begun))
        actions += [Action("claim", one.item_id) for one in _first(_fitting(free, room.left), free_slots)]
    return actions


def _fitting(waiting: Iterable[Standing], left: int) -> Iterator[Standing]:
    """Those that fit into `left` bytes together with those before them. Not the whole queue is looked through for a small one."""
    passed_over = 0
    for one in waiting:
        if one.needs <= left:
            left -= one.needs
            yield one
        elif (passed_over := passed_over + 1) == LOOKED_AHEAD:
            return


def _first(waiting: Iterable[Standing], count: int) -> list[Standing]:
    """The `count` that come first, one of each content."""
    chosen: dict[object, Standing] = {}
    for one in waiting:
        chosen.setdefault(one.item_id if one.content is None else one.content, one)
        if len(chosen) == count:
            break
    return list(chosen.values())


def _verb(one: Standing, runs: bool, stance: Stance) -> Verb | None:
    match one.status, one.wish:
        case ((Status.FINISHED_SUCCESSFUL | Status.FINISHED_WITH_ERRORS), Wish.DELETE):
            return "remove"
        case Status.FINISHED_WITH_ERRORS, Wish.RETRY:
            return "retry"
        case Status.TO_DO, Wish.CANCEL:
            return "cancel"
        case Status.IN_PROGRESS, Wish.CANCEL if runs:
            return "kill"
        case Status.IN_PROGRESS, _ if runs:
            return "kill" if stance.running == "put-back" else None
        case Status.IN_PROGRESS, _:
            return "put-back"
    return None
