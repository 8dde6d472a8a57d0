"""P7: the retry table, line by line."""

import pytest

from dmc import errors
from dmc.client.verdict import MOST_ATTEMPTS, Verdict, judge
from dmc.protocol import ErrorDetail, error_from_wire


def told(status: int, code: str | None = None) -> errors.DmcError:
    return error_from_wire(status, ErrorDetail(code=code, message="no.") if code else None)


@pytest.mark.parametrize(
    ("problem", "verdict"),
    [
        (errors.ServerUnreachable("cut"), Verdict.SERVER_DOWN),
        (told(408), Verdict.SERVER_CROWDED),
        (told(423, "Locked"), Verdict.LATER),
        (told(425), Verdict.SERVER_CROWDED),
        (told(429), Verdict.SERVER_CROWDED),
        (told(503, "Busy"), Verdict.SERVER_CROWDED),
        (told(500, "StillBroken"), Verdict.LATER),
        (told(507, "DiskFull"), Verdict.SERVER_FULL),
        (told(409, "Conflict"), Verdict.LATER),
        (told(409, "WrongStatus"), Verdict.LATER),
        (told(404, "UnknownItem"), Verdict.ANEW),
        (told(410), Verdict.ANEW),
        (told(460, "whole_file_mismatch"), Verdict.LOOK_AGAIN),
        (told(401, "SignInNeeded"), Verdict.SERVER_PAUSED),
        (told(403, "NotAllowed"), Verdict.SERVER_PAUSED),
        (told(412), Verdict.SERVER_PAUSED),
        (told(400, "BadRequest"), Verdict.PARK),
        (told(413, "TooLarge"), Verdict.PARK),
        (told(415, "UnknownConversion"), Verdict.PARK),
        (told(422), Verdict.PARK),
    ],
)
def test_P7_verdicts(problem: errors.DmcError, verdict: Verdict) -> None:
    assert judge(problem) is verdict


def test_P7_faults_of_ours_are_tried_a_bounded_number_of_times() -> None:
    assert judge(errors.StillBroken("?"), MOST_ATTEMPTS - 2) is Verdict.LATER
    assert judge(errors.StillBroken("?"), MOST_ATTEMPTS - 1) is Verdict.PARK


def test_P7_what_never_gets_better_is_given_up_some_day() -> None:
    assert judge(told(460, "whole_file_mismatch"), MOST_ATTEMPTS) is Verdict.PARK
    assert judge(told(404, "UnknownItem"), MOST_ATTEMPTS) is Verdict.PARK
