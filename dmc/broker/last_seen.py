"""Where the folders of unfinished items were seen last, so that they are looked for there first. A guess: it proves nothing."""

from dmc.broker.storage import Place

MOST = 10_000
"""Items remembered; with more all are forgotten, which costs a few looks."""

_KEPT = (Place.TO_DO, Place.IN_PROGRESS)


class LastSeen:
    """May be asked from any thread; another process may have moved a folder since."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def order(self, item_id: str) -> tuple[Place, ...]:
        """The places in the order in which to look, all of them twice: the folder may just be being moved."""
        likely = self._places.get(item_id)
        return (*Place, *Place) if likely is None else (likely, *Place, *Place)

    def note(self, item_id: str, place: Place | None) -> None:
        """The folder stands at `place` now; None if there is none."""
        if place in _KEPT:
            if len(self._places) >= MOST:
                self._places.clear()
            self._places[item_id] = place
        else:
            self._places.pop(item_id, None)
