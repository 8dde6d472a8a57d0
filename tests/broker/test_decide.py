"""What to do next: each case of decide.py, and the order of claims."""

import pytest

from dmc.broker.control import Mode, Wished
from dmc.broker.decide import Action, Standing, decide
from dmc.broker.queue import Queue
from dmc.broker.room import Room
from dmc.broker.stance import stance_of
from dmc.items import Status, Wish


def decided(*standings: Standing, running=(), resting=(), free_slots=2, mode=Mode.RUN, has_room=True) -> list[Action]:
    return decide(
        queue_of(*standings).pressing(),
        queue_of(*standings).waiting(),
        running=set(running),
        resting=set(resting),
        free_slots=free_slots,
        stance=stance_of(Wished(mode), None),
        room=Room(1, 1) if has_room else Room(0, 1),
    )


def queue_of(*standings: Standing) -> Queue:
    queue = Queue()
    for standing in standings:
        queue.note(standing)
    return queue


def one(status: Status, wish: Wish | None = None, *, name: str = "a", priority: int = 0, content: int | None = None) -> Standing:
    return Standing(name, status, priority, wish, content)


@pytest.mark.parametrize(
    ("standing", "running", "mode", "verb"),
    [
        (one(Status.FINISHED_SUCCESSFUL, Wish.DELETE), False, Mode.RUN, "remove"),
        (one(Status.FINISHED_WITH_ERRORS, Wish.DELETE), False, Mode.PAUSE, "remove"),
        (one(Status.FINISHED_WITH_ERRORS, Wish.RETRY), False, Mode.DRAIN, "retry"),
        (one(Status.TO_DO, Wish.CANCEL), False, Mode.PAUSE, "cancel"),
        (one(Status.IN_PROGRESS, Wish.CANCEL), True, Mode.RUN, "kill"),
        (one(Status.IN_PROGRESS, Wish.CANCEL), True, Mode.PAUSE, "kill"),
        (one(Status.IN_PROGRESS), True, Mode.PAUSE, None),
        (one(Status.IN_PROGRESS), True, Mode.PUT_BACK, "kill"),
        (one(Status.IN_PROGRESS), False, Mode.RUN, "put-back"),
        (one(Status.IN_PROGRESS), False, Mode.PAUSE, "put-back"),
        (one(Status.TO_DO), False, Mode.RUN, "claim"),
        (one(Status.TO_DO), False, Mode.PAUSE, None),
        (one(Status.TO_DO), False, Mode.DRAIN, None),
        (one(Status.IN_PROGRESS), True, Mode.RUN, None),
        (one(Status.IN_PROGRESS), True, Mode.DRAIN, None),
        (one(Status.FINISHED_SUCCESSFUL), False, Mode.RUN, None),
    ],
)
def test_each_case(standing, running, mode, verb):
    actions = decided(standing, running=["a"] if running else [], mode=mode)
    assert actions == ([] if verb is None else [Action(verb, "a")])


def test_claims_go_by_priority_and_then_by_age():
    waiting = [one(Status.TO_DO, name="b"), one(Status.TO_DO, name="a"), one(Status.TO_DO, name="c", priority=1)]
    assert [action.item_id for action in decided(*waiting)] == ["c", "a"]
    assert [action.item_id for action in decided(*waiting, free_slots=9)] == ["c", "a", "b"]
    assert decided(*waiting, free_slots=0) == []


def test_U19_of_twins_only_one_is_begun_and_others_take_the_slots():
    twins = [one(Status.TO_DO, name=name, content=7) for name in "abcdefgh"]
    others = [one(Status.TO_DO, name=name, content=number) for number, name in enumerate("xyz")]
    assert decided(*twins, *others, free_slots=3) == [Action("claim", name) for name in "axy"]
    begun = one(Status.IN_PROGRESS, name="0", content=7)
    assert decided(begun, *twins, *others, running=["0"], free_slots=2) == [Action("claim", name) for name in "xy"]
    assert decided(begun, *twins, running=["0"], free_slots=2) == []
    assert decided(*twins, resting=["a"], free_slots=2) == [Action("claim", "b")]


def test_what_rests_is_left_alone_and_others_take_its_place():
    waiting = [one(Status.TO_DO, name="a"), one(Status.TO_DO, name="b")]
    assert decided(*waiting, resting=["a"], free_slots=1) == [Action("claim", "b")]


def test_without_room_nothing_begins_but_everything_else_goes_on():
    actions = decided(one(Status.TO_DO, name="a"), one(Status.TO_DO, Wish.CANCEL, name="b"), has_room=False)
    assert actions == [Action("cancel", "b")]


def test_finished_items_without_a_wish_do_not_matter():
    assert not one(Status.FINISHED_SUCCESSFUL).matters
    assert one(Status.FINISHED_SUCCESSFUL, Wish.DELETE).matters
    assert one(Status.TO_DO).matters


def test_a_decision_looks_at_few_of_the_items_that_wait():
    queue, looked_at = queue_of(*(one(Status.TO_DO, name=f"{number:05}") for number in range(10_000))), []

    def counted():
        for standing in queue.waiting():
            looked_at.append(standing)
            yield standing

    stance = stance_of(Wished(Mode.RUN), None)
    facts = {"running": {"r"}, "resting": {"00001"}, "stance": stance, "room": Room(1, 1)}
    begun = decide([one(Status.IN_PROGRESS, name="r")], counted(), free_slots=3, **facts)
    assert begun == [Action("claim", name) for name in ("00000", "00002", "00003")]
    assert len(looked_at) == 4
    decide([], counted(), free_slots=0, **facts)
    assert len(looked_at) == 4, "without a free slot it looks at none"


def test_a_queue_follows_how_its_items_stand():
    queue = queue_of(*(one(Status.TO_DO, name=name) for name in "abc"))
    queue.note(one(Status.TO_DO, name="c", priority=9))
    queue.note(one(Status.IN_PROGRESS, name="a"))
    assert ([it.item_id for it in queue.waiting()], [it.item_id for it in queue.pressing()], queue.to_do) == (["c", "b"], ["a"], 2)
    queue.note(one(Status.TO_DO, Wish.CANCEL, name="b"))
    assert ([it.item_id for it in queue.waiting()], [it.item_id for it in queue.pressing()], queue.to_do) == (["c"], ["a", "b"], 2)
    queue.note(Standing("c", Status.TO_DO, 0, None, is_held=True))
    assert (list(queue.waiting()), queue.to_do) == ([], 2)
    assert not queue.note(one(Status.FINISHED_SUCCESSFUL, name="a"))
    queue.forget("b")
    assert ([*queue.waiting(), *queue.pressing()], queue.to_do) == ([], 1)
    queue.clear()
    assert queue.to_do == 0
