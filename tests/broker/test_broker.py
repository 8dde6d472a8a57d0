"""The broker's step: what it hears, decides and does, in memory."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dmc.broker import outcomes
from dmc.broker.control import Control
from dmc.broker.storage import Place
from dmc.broker.wishes import acknowledge, prioritise, wish
from dmc.clock import ManualClock
from dmc.errors import DiskFull, Locked
from dmc.items import Outcome, Status, Wish
from dmc.jobs import ErrorNote, MadeFile, Staffing
from dmc.quiet_hours import QuietHours, parse_window
from tests.broker.fakes import CONTENT, RESULT, House, Workers
from tests.patience import PATIENCE_S


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.broker.start_up()
    yield house
    house.broker.stop()


def test_an_item_is_converted_and_its_folder_goes_along(house):
    item = house.add()
    assert house.storage.place_of(item.item_id) is Place.INCOMING
    house.settle()
    assert house.status(item.item_id) is Status.IN_PROGRESS
    assert house.storage.place_of(item.item_id) is Place.IN_PROGRESS
    job = house.workers.submitted[0]
    assert (job.conversion_type, job.attempt, job.label) == ("h265", 1, "holiday.mov")
    house.workers.convert(item.item_id)
    house.settle()
    done = house.ledger.get(item.item_id)
    assert (done.status, done.outcome, done.result.file_size) == (Status.FINISHED_SUCCESSFUL, Outcome.CONVERTED, len(RESULT))
    assert house.storage.place_of(item.item_id) is Place.FINISHED
    assert house.storage.read_outcome(item.item_id)["status"] == "finished_successful"


def test_what_does_not_fit_waits_in_to_do(house):
    items = [house.add() for _ in range(4)]
    house.settle()
    assert [house.status(item.item_id) for item in items] == [Status.IN_PROGRESS] * 2 + [Status.TO_DO] * 2
    assert [house.storage.place_of(item.item_id) for item in items] == [Place.IN_PROGRESS] * 2 + [Place.TO_DO] * 2


def test_a_higher_priority_goes_first(house):
    first, second, third, urgent = (house.add() for _ in range(4))
    prioritise(house.ledger, urgent.item_id, 5)
    house.settle()
    assert {job.item_id for job in house.workers.submitted} == {urgent.item_id, first.item_id}
    house.workers.convert(first.item_id)
    house.settle()
    assert house.workers.submitted[-1].item_id == second.item_id
    assert house.status(third.item_id) is Status.TO_DO


def test_a_failure_keeps_the_original_and_says_why(house):
    item = house.add()
    house.settle()
    house.workers.end(item.item_id, "failed", errors=(ErrorNote(code="NotMedia", message="this is a text."),))
    house.settle()
    ended = house.ledger.get(item.item_id)
    assert (ended.status, ended.errors[0].code) == (Status.FINISHED_WITH_ERRORS, "NotMedia")
    assert house.storage.place_of(item.item_id) is Place.FINISHED
    assert house.storage.size_of(item.item_id, "original.mov") == item.file_size


def test_kept_original_has_no_result(house):
    item = house.add()
    house.settle()
    house.workers.end(item.item_id, "kept-original", reason="the result would be larger")
    house.settle()
    done = house.ledger.get(item.item_id)
    assert (done.outcome, done.result, done.reason) == (Outcome.KEPT_ORIGINAL, None, "the result would be larger")


def test_cancel_before_it_began_ends_it(house):
    house.add(), house.add()
    item = house.add()
    house.settle()
    wish(house.ledger, item.item_id, Wish.CANCEL)
    house.settle()
    ended = house.ledger.get(item.item_id)
    assert (ended.status, ended.errors[0].code, ended.wish) == (Status.FINISHED_WITH_ERRORS, "cancelled", None)
    assert item.item_id not in {job.item_id for job in house.workers.submitted}


def test_cancel_under_way_kills_the_job_and_empties_out(house):
    item = house.add()
    house.settle()
    house.disk.write(house.storage.folder(item.item_id) / "out" / "half.mkv", b"half")
    wish(house.ledger, item.item_id, Wish.CANCEL)
    house.settle()
    assert house.ledger.get(item.item_id).errors[0].code == "cancelled"
    assert house.workers.jobs == {}
    assert house.disk.names(house.storage.folder(item.item_id) / "out") == []


def test_a_cancel_that_came_before_the_success_was_written_wins(house):
    item = house.add()
    house.settle()
    house.workers.convert(item.item_id)
    wish(house.ledger, item.item_id, Wish.CANCEL)
    house.settle()
    ended = house.ledger.get(item.item_id)
    assert (ended.status, ended.errors[0].code, ended.result) == (Status.FINISHED_WITH_ERRORS, "cancelled", None)


def test_retry_is_another_attempt(house):
    item = house.add()
    house.settle()
    house.workers.end(item.item_id, "failed", errors=(ErrorNote(code="NotMedia", message="no."),))
    house.settle()
    wish(house.ledger, item.item_id, Wish.RETRY)
    house.settle()
    assert house.workers.submitted[-1].attempt == 2
    house.workers.convert(item.item_id)
    house.settle()
    done = house.ledger.get(item.item_id)
    assert (done.status, done.attempt, done.errors) == (Status.FINISHED_SUCCESSFUL, 2, ())


def test_delete_removes_folder_and_record(house):
    item = house.add()
    house.settle()
    house.workers.convert(item.item_id)
    house.settle()
    wish(house.ledger, item.item_id, Wish.DELETE)
    house.settle()
    assert house.ledger.get(item.item_id) is None
    assert house.storage.place_of(item.item_id) is None


def test_D14_acknowledged_results_go_after_a_week_and_others_stay(house):
    kept, gone = house.add(), house.add()
    house.settle()
    for item in (kept, gone):
        house.workers.convert(item.item_id)
    house.settle()
    acknowledge(house.ledger, house.clock, gone.item_id, "cd" * 64)
    house.clock.advance(6.9 * 86400)
    house.settle()
    assert house.status(gone.item_id) is Status.FINISHED_SUCCESSFUL
    house.clock.advance(0.2 * 86400)
    house.settle()
    assert house.status(gone.item_id) is None
    assert house.status(kept.item_id) is Status.FINISHED_SUCCESSFUL


def test_a_worker_that_dies_is_tried_three_times(house):
    item = house.add()
    for crash in (1, 2):
        house.settle()
        house.workers.end(item.item_id, "crashed", errors=(ErrorNote(code="WorkerDied", message="killed by signal 9."),))
        house.settle()
        assert (house.status(item.item_id), house.ledger.get(item.item_id).crashes) == (Status.TO_DO, crash)
        house.clock.advance(700)
    house.settle()
    house.workers.end(item.item_id, "crashed", errors=(ErrorNote(code="WorkerDied", message="killed by signal 9."),))
    house.settle()
    ended = house.ledger.get(item.item_id)
    assert (ended.status, ended.errors[-1].code) == (Status.FINISHED_WITH_ERRORS, "crashed_repeatedly")


def test_a_result_that_is_not_there_counts_as_a_crash(house):
    item = house.add()
    house.settle()
    facts = {"file_name": "result.mkv", "file_size": 9, "sha512_checksum": "cd" * 64}
    house.workers.end(item.item_id, "converted", result=facts)
    house.settle()
    put_back = house.ledger.get(item.item_id)
    assert (put_back.status, put_back.crashes) == (Status.TO_DO, 1)


def test_a_fault_that_time_can_heal_is_waited_out_but_not_for_ever(house):
    item = house.add()
    for _ in range(9):
        house.settle()
        house.workers.end(item.item_id, "unavailable", errors=(ErrorNote(code="DiskFull", message="the disk is full."),))
        house.settle()
        house.clock.advance(700)
    ended = house.ledger.get(item.item_id)
    assert (ended.status, ended.crashes, ended.attempt) == (Status.FINISHED_WITH_ERRORS, 0, 1)


def test_below_the_disk_floor_nothing_begins_and_it_goes_on_by_itself(house):
    house.storage.free = 999
    item = house.add()
    house.settle()
    assert house.status(item.item_id) is Status.TO_DO
    assert house.control.waiting()["code"] == "disk-floor"
    house.storage.free = 1000
    house.settle()
    assert house.status(item.item_id) is Status.TO_DO, "its result would go below the floor"
    house.storage.free = 1000 + len(CONTENT)
    house.settle()
    assert house.status(item.item_id) is Status.IN_PROGRESS


def test_a_conversion_begins_only_where_its_result_fits_beside_what_runs(house):
    house.storage.free = 1000 + 250
    large, larger, small = (house.add(bytes(size)) for size in (100, 200, 150))
    house.settle()
    assert list(house.workers.jobs) == [large.item_id, small.item_id], "100 and 150 bytes fit above the floor of 1000, 200 do not"
    house.workers.convert(small.item_id)
    house.settle()
    told = house.control.waiting()
    assert told["code"] == "no-room"
    assert "needs 200 B, 150 B are free above the floor" in told["message"]
    house.workers.get_on(large.item_id, 0.5)
    house.storage.free = 1000 + 249
    house.settle()
    assert house.status(larger.item_id) is Status.TO_DO
    house.storage.free = 1000 + 250
    house.settle()
    assert house.status(larger.item_id) is Status.IN_PROGRESS, "half of the first one's room is used up by now"


def test_the_broker_tells_how_many_workers_there_are_and_how_many_are_busy(tmp_path):
    house = House(tmp_path, staffing=Staffing(total=2, wanted=4, bound="memory"))
    house.broker.start_up()
    house.settle()
    assert house.control.workers() == {"total": 2, "wanted": 4, "bound": "memory", "busy": 0}
    house.add()
    house.settle()
    assert house.control.workers()["busy"] == 1


def test_pause_freezes_what_runs_and_resume_goes_on(house):
    running = house.add()
    house.settle()
    house.control.ask("pause")
    waiting = house.add()
    house.settle()
    assert (house.workers.is_frozen, list(house.workers.jobs)) == (True, [running.item_id])
    assert (house.status(running.item_id), house.status(waiting.item_id)) == (Status.IN_PROGRESS, Status.TO_DO)
    assert (house.control.last_beat().mode, house.control.last_beat().frozen) == ("pause", True)
    assert house.control.waiting()["code"] == "paused"
    house.control.ask("run")
    house.settle()
    assert (house.workers.is_frozen, house.status(waiting.item_id)) == (False, Status.IN_PROGRESS)
    assert house.control.waiting() is None
    house.workers.convert(running.item_id)
    house.settle()
    assert house.status(running.item_id) is Status.FINISHED_SUCCESSFUL


def test_a_pause_that_has_an_end_ends_by_itself(house):
    item = house.add()
    house.control.ask("pause", house.clock.now() + timedelta(hours=9))
    house.settle()
    assert house.control.waiting()["until"] == "2026-01-01T09:00:00.000000Z"
    house.clock.advance(9 * 3600 - 1)
    house.settle()
    assert house.status(item.item_id) is Status.TO_DO
    house.clock.advance(1)
    house.settle()
    assert house.status(item.item_id) is Status.IN_PROGRESS


def test_a_frozen_item_is_cancelled_and_what_it_wrote_is_removed(house):
    item = house.add()
    house.settle()
    house.disk.write(Path(house.workers.jobs[item.item_id].out_dir) / "result.mkv", b"half")
    house.control.ask("pause")
    house.settle()
    wish(house.ledger, item.item_id, Wish.CANCEL)
    house.settle()
    assert house.ledger.get(item.item_id).errors[0].code == "cancelled"
    assert house.disk.names(house.storage.folder(item.item_id) / "out") == []


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_broker_that_ends_while_paused_puts_back_and_stays_paused(tmp_path, how):
    house = House(tmp_path)
    house.broker.start_up()
    item = house.add()
    house.settle()
    for _ in range(outcomes.MOST_CRASHES + 1):
        house.control.ask("pause")
        house.settle()
        house.broker.stop() if how == "stopped" else house.control.release()
        house.workers = Workers(house.disk)
        house.broker = house.new_broker()
        house.broker.start_up()
        house.settle()
        assert (house.status(item.item_id), house.workers.is_frozen, house.workers.jobs) == (Status.TO_DO, True, {})
        assert house.ledger.get(item.item_id).crashes == 0, "what stood still brought nothing down"
        house.control.ask("run")
        house.settle()
        assert house.status(item.item_id) is Status.IN_PROGRESS
    house.broker.stop()


def test_put_back_gives_the_workers_free_and_resume_goes_on(house):
    item = house.add()
    house.settle()
    house.control.ask("put-back")
    house.settle()
    assert (house.status(item.item_id), house.workers.jobs) == (Status.TO_DO, {})
    assert house.control.last_beat().mode == "put-back"
    house.control.ask("run")
    house.settle()
    assert house.status(item.item_id) is Status.IN_PROGRESS
    assert house.ledger.get(item.item_id).attempt == 1


@pytest.mark.parametrize(
    ("end_action", "while_quiet"),
    [("finish", (Status.IN_PROGRESS, False)), ("freeze", (Status.IN_PROGRESS, True)), ("put-back", (Status.TO_DO, False))],
)
def test_quiet_hours_begin_and_end_by_the_clock_alone(tmp_path, end_action, while_quiet):
    house = House(tmp_path, quiet_hours=QuietHours([parse_window("22:00-07:00", end_action)]))
    house.broker.start_up()
    house.clock.advance(8 * 3600)
    running = house.add()
    house.settle()
    house.clock.advance(14 * 3600)
    waiting = house.add()
    house.settle()
    assert (house.status(running.item_id), house.workers.is_frozen) == while_quiet
    assert house.status(waiting.item_id) is Status.TO_DO
    said = house.control.waiting()
    assert (said["code"], said["until"]) == ("quiet-hours", "2026-01-02T07:00:00.000000Z")
    house.clock.advance(9 * 3600)
    house.settle()
    assert {house.status(running.item_id), house.status(waiting.item_id)} == {Status.IN_PROGRESS}
    assert (house.workers.is_frozen, house.control.waiting()) == (False, None)
    house.broker.stop()


def test_a_simulated_month_of_nights_begins_items_by_day_only(tmp_path):
    house = House(tmp_path, slots=1, quiet_hours=QuietHours([parse_window("mon-fri 08:00-18:00", "freeze")], ZoneInfo("Europe/Berlin")))
    house.clock = house.control._clock = ManualClock(datetime(2026, 3, 15, tzinfo=UTC))
    house.broker = house.new_broker()
    house.broker.start_up()
    begun = set()
    for _ in range(31 * 24):
        for item_id in list(house.workers.jobs):
            if not house.workers.is_frozen:
                house.workers.convert(item_id)
        if not house.ledger.select(Status.TO_DO, limit=1):
            house.add()
        before = len(house.workers.submitted)
        house.settle()
        if len(house.workers.submitted) > before:
            wall = house.clock.now().astimezone(ZoneInfo("Europe/Berlin"))
            begun.add((wall.weekday() < 5, wall.hour))
        house.clock.advance(3600)
    assert begun == {(True, hour) for hour in range(24) if not 8 <= hour < 18} | {(False, hour) for hour in range(24)}
    house.broker.stop()


def test_the_queue_says_why_it_waits(house):
    house.settle()
    assert house.control.waiting() is None
    for _ in range(3):
        house.add()
    house.settle()
    house.clock.advance(1)
    house.broker.step()
    assert house.control.waiting()["code"] == "no-free-worker"
    house.storage.free = 999
    house.broker.step()
    assert house.control.waiting()["code"] == "disk-floor"
    house.storage.free = 10**6
    house.control.ask("drain")
    house.broker.step()
    assert house.control.waiting()["code"] == "draining"
    house.clock.advance(31)
    assert house.control.waiting()["code"] == "broker-down"


def test_drain_finishes_what_runs_and_begins_nothing(house):
    running = house.add()
    house.settle()
    house.control.ask("drain")
    waiting = house.add()
    house.settle()
    house.workers.convert(running.item_id)
    house.settle()
    assert (house.status(running.item_id), house.status(waiting.item_id)) == (Status.FINISHED_SUCCESSFUL, Status.TO_DO)


def test_stop_puts_running_items_back_without_counting_a_crash(tmp_path):
    house = House(tmp_path)
    house.broker.start_up()
    item = house.add()
    house.settle()
    house.broker.stop()
    stopped = house.ledger.get(item.item_id)
    assert (stopped.status, stopped.crashes) == (Status.TO_DO, 0)
    assert house.storage.place_of(item.item_id) is Place.TO_DO
    assert house.workers.is_open is False
    assert house.threads.read() == {}


def test_what_was_reported_before_the_stop_counts(tmp_path):
    house = House(tmp_path)
    house.broker.start_up()
    item = house.add()
    house.settle()
    house.workers.convert(item.item_id)
    house.broker.stop()
    assert house.status(item.item_id) is Status.FINISHED_SUCCESSFUL


def test_an_original_that_is_gone_ends_the_item(house):
    house.add(), house.add()
    item = house.add()
    house.settle()
    house.disk.unlink(house.storage.folder(item.item_id) / "original.mov")
    for job in list(house.workers.jobs):
        house.workers.convert(job)
    house.settle()
    assert house.ledger.get(item.item_id).errors[0].code == "original_missing"


def test_progress_stands_in_the_thread_index(house):
    item = house.add()
    house.settle()
    house.workers.get_on(item.item_id, 0.25)
    house.clock.advance(1)
    house.settle()
    assert house.threads.read()[item.item_id].fraction == 0.25
    house.workers.convert(item.item_id)
    house.settle()
    house.clock.advance(1)
    house.settle()
    assert house.threads.read() == {}


def test_a_second_broker_is_refused_and_told_who_is_the_first(house):
    second = Control(house.data, house.disk, house.clock, lock_wait_s=0.0)
    with pytest.raises(Locked, match=r"process \d+ is the broker"):
        second.hold()


def test_an_older_broker_stops_at_its_next_line(house):
    item = house.add()
    house.settle()
    house.control.new_epoch()
    house.workers.convert(item.item_id)
    with pytest.raises(Locked, match="newer broker"):
        house.broker.step()
    assert house.status(item.item_id) is Status.IN_PROGRESS


def test_one_item_that_fails_in_an_unforeseen_way_does_not_stop_the_others(house):
    poison, other = house.add(), house.add()
    submit = house.workers.submit

    def refusing(job):
        if job.item_id == poison.item_id:
            raise ValueError("unforeseen")
        submit(job)

    house.workers.submit = refusing
    house.settle()
    assert house.status(other.item_id) is Status.IN_PROGRESS
    assert house.status(poison.item_id) is Status.TO_DO


def test_an_item_whose_folder_cannot_be_moved_rests_and_does_not_fill_the_ledger(house):
    item = house.add()
    advance = house.storage.advance

    def full(item_id, to):
        if to is Place.IN_PROGRESS:
            raise DiskFull("no room for a name.")
        advance(item_id, to)

    house.storage.advance = full
    house.settle()
    assert house.status(item.item_id) is Status.TO_DO
    house.storage.advance = advance
    house.clock.advance(700)
    house.settle()
    assert house.status(item.item_id) is Status.IN_PROGRESS


def test_the_loop_ends_when_it_is_told_to(tmp_path):
    house = House(tmp_path)
    house.broker.start_up()
    stop = threading.Event()
    thread = threading.Thread(target=house.broker.run, args=(stop,))
    thread.start()
    item = house.add()
    for _ in range(500):
        if house.workers.jobs:
            break
        stop.wait(0.01)
    stop.set()
    thread.join(PATIENCE_S)
    house.broker.stop()
    assert not thread.is_alive()
    assert house.status(item.item_id) is Status.TO_DO


def test_an_acknowledgement_must_name_the_right_bytes(house):
    item = house.add()
    house.settle()
    house.workers.end(item.item_id, "skipped", reason="already so")
    house.settle()
    with pytest.raises(Exception, match="not the SHA-512"):
        acknowledge(house.ledger, house.clock, item.item_id, "ef" * 64)
    assert acknowledge(house.ledger, house.clock, item.item_id, item.sha512_checksum).acknowledged_at is not None


def test_a_result_without_a_sidecar_that_was_reported_is_not_believed(house):
    item = house.add()
    house.settle()
    assert house.workers.jobs[item.item_id].sidecars
    house.workers.convert(item.item_id, beside=(MadeFile(file_name="result.3.mks", file_size=9, sha512_checksum="ef" * 64),))
    house.settle()
    assert house.ledger.get(item.item_id).errors[-1].code == "WorkerDied"


def test_sidecars_are_in_the_record_and_in_outcome_json(house):
    item = house.add()
    house.settle()
    told = MadeFile(file_name="result.3.mks", file_size=9, sha512_checksum="ef" * 64)
    house.disk.write(Path(house.workers.jobs[item.item_id].out_dir) / "result.3.mks", b"subtitles")
    house.workers.convert(item.item_id, beside=(told,))
    house.settle()
    assert house.ledger.get(item.item_id).result.sidecars == (told,)
    found = outcomes.read_outcome(house.storage.read_outcome(item.item_id))
    assert found.result.sidecars == (told,)


def test_the_journal_is_folded_once_a_minute_while_something_is_converted(house):
    folds, fold = [], house.ledger.checkpoint
    house.ledger.checkpoint = lambda: (folds.append(house.clock.monotonic()), fold())
    house.add()
    house.settle()
    house.broker._wait()
    assert len(folds) == 1
    house.add()
    for _ in range(7):
        house.settle()
        house.broker._wait()
        house.clock.advance(10)
    assert [round(later - folds[0]) for later in folds] == [0, 60]
    house.clock.advance(100)
    house.broker._wait()
    assert len(folds) == 2, "what is folded is not folded again"


def test_a_step_looks_at_few_of_a_long_queue(house):
    items = [house.add() for _ in range(60)]
    house.settle()
    looked_at, waiting = [], house.broker._queue.waiting

    def counted():
        for standing in waiting():
            looked_at.append(standing.item_id)
            yield standing

    house.broker._queue.waiting = counted
    house.workers.convert(items[0].item_id)
    house.settle()
    assert house.workers.submitted[-1].item_id == items[2].item_id
    assert set(looked_at) <= {items[2].item_id, items[3].item_id}
    assert len(looked_at) <= 6
    assert len(house.broker._queue.pressing()) == 2
