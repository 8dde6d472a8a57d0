"""Items: transitions, wishes, names and ids."""

import itertools
import json
from typing import Any

import pytest

from dmc.errors import TornLedger, WrongStatus
from dmc.items import TRANSITIONS, WISHES, Item, ItemIds, Status, Wish, original_name, read_item, told_apart


def make(**fields: Any) -> Item:
    plain: dict[str, Any] = {
        "item_id": "01890000-0000-7000-8000-000000000001",
        "version": 1,
        "status": Status.TO_DO,
        "created_at": "2026-01-01T00:00:00Z",
        "client_id": "laptop",
        "conversion_type": "h265",
        "original_file_name": "a.mov",
        "current_file_name": "original.mov",
        "file_size": 3,
        "sha512_checksum": "0" * 128,
    }
    return Item.model_validate(plain | fields)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Status, Status)))
def test_only_transitions_in_the_table_are_possible(old: Status, new: Status) -> None:
    item = make(status=old)
    if old == new or (old, new) in TRANSITIONS:
        assert item.changed(status=new).version == 2
    else:
        with pytest.raises(WrongStatus):
            item.changed(status=new)


@pytest.mark.parametrize(("wish", "status"), list(itertools.product(Wish, Status)))
def test_a_wish_is_taken_only_where_the_status_allows_it(wish: Wish, status: Status) -> None:
    if status in WISHES[wish]:
        assert make(status=status).wishing(wish).wish is wish
    else:
        with pytest.raises(WrongStatus) as caught:
            make(status=status).wishing(wish)
        assert caught.value.hint


def test_the_same_wish_twice_is_one_change() -> None:
    item = make().wishing(Wish.CANCEL)
    assert item.wishing(Wish.CANCEL) is item


def test_an_item_that_is_being_deleted_takes_no_other_wish() -> None:
    item = make(status=Status.FINISHED_WITH_ERRORS).wishing(Wish.DELETE)
    with pytest.raises(WrongStatus, match="being deleted"):
        item.wishing(Wish.RETRY)


def test_a_record_survives_json() -> None:
    item = make(errors=({"code": "NotMedia", "message": "no", "hint": "yes"},), media_type="video")
    assert Item.model_validate_json(item.model_dump_json()) == item


@pytest.mark.parametrize(
    ("label", "name"),
    [("a.MOV", "original.mov"), ("a", "original.bin"), ("a.sh", "original.bin"), ("../../x.mp4", "original.mp4"), (".mp4", "original.mp4")],
)
def test_the_server_makes_the_originals_name(label: str, name: str) -> None:
    assert original_name(label) == name


def test_ids_are_sorted_by_creation_even_within_a_millisecond() -> None:
    ids = ItemIds()
    made = [ids.next() for _ in range(5000)]
    assert made == sorted(made) and len(set(made)) == 5000
    assert all(one[14] == "7" and one[19] in "89ab" for one in made)


def test_ids_stay_above_a_floor_from_the_future() -> None:
    future = "09890000-0000-7fff-bfff-ffffffffffff"
    assert ItemIds(future).next() > future
    ids = ItemIds()
    ids.raise_floor(future)
    assert ids.next() > future


def test_a_field_of_a_newer_version_is_carried_along_with_every_change() -> None:
    item = read_item(make(of_tomorrow={"a": [1]}).model_dump_json())
    changed = item.changed(priority=3).wishing(Wish.CANCEL)
    assert json.loads(changed.model_dump_json())["of_tomorrow"] == {"a": [1]}
    assert read_item(changed.model_dump_json()) == changed


def test_nothing_of_today_can_be_misspelt() -> None:
    with pytest.raises(TypeError, match="prioritiy"):
        make().changed(prioritiy=3)


NOTE = {"code": "a", "message": "b", "of_tomorrow": 1}


@pytest.mark.parametrize(("field", "value"), [("wish", "polish"), ("errors", [NOTE]), ("version", 0)])
def test_what_cannot_be_understood_is_told_in_words(field: str, value: object) -> None:
    with pytest.raises(TornLedger) as told:
        read_item(json.dumps(json.loads(make().model_dump_json()) | {field: value}))
    assert field in told.value.message and "newer dmc" in told.value.hint
    assert "original_file_name" not in str(told.value), "no record in an error"


def test_what_a_short_id_may_mean_is_told_with_status_and_name() -> None:
    ids = [f"01a1fee8-8edc-7028-{number}0000000" for number in range(5)]
    told = told_apart([(item_id, "to_do", f"{number}.mov") for number, item_id in enumerate(ids[:2])])
    assert told == "Give more of it: 01a1fee8-8edc-7028-0 (to_do, 0.mov), 01a1fee8-8edc-7028-1 (to_do, 1.mov)."
    assert told_apart([(item_id, "to_do", "a.mov") for item_id in ids]).endswith("-2 (to_do, a.mov), and 2 more.")
    assert "01a1fee8-8edc (" in told_apart([(ids[0], "to_do", "a.mov"), ("01a1ffff-0000-7000-8000-000000000000", "to_do", "b.mov")])
    assert told_apart([("ab", "to_do", "a.mov"), ("ab", "to_do", "a.mov")]), "also where nothing tells them apart"
