"""What pool and worker say to each other: one order down, lines of JSON up. Never pickle: the worker is not trusted.

An order is sent once, as the first line. Upwards each line is one of: `hello` (which walls stand), `progress`, and at the end one
`report`. Everything that comes up is checked here; what does not fit is `Rubbish`, and the pool then kills the worker.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from dmc.jobs import Job, Progress, Report

LINE_LIMIT = 64 * 1024
"""Longest line, in bytes, that a worker may send; also the longest order."""

SandboxMode = Literal["required", "best-effort", "off"]


class Rubbish(Exception):
    """A worker said something that does not belong to its job."""


class Order(BaseModel):
    """Everything that a worker is told.

    `entry` names the function to run (`module:function`). `run_as` is the (uid, gid) to change to when started as root.
    `nice`: by how much everybody else goes first.
    `watch_channel`: end when the other side of the channel is gone, for systems without a signal for that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    job: Job
    limits: dict[str, Any]
    entry: str
    sandbox: SandboxMode
    run_as: tuple[int, int] | None = None
    watch_channel: bool = False
    nice: int = 10


class Walls(BaseModel):
    """Which walls stand around a worker, in words, and which are missing and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mode: SandboxMode
    active: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    hello: Walls | None = None
    progress: Progress | None = None
    report: Report | None = None


class _Numbers(BaseModel):
    """Every number of a Progress is a number."""

    fraction: FiniteFloat
    speed: FiniteFloat | None
    eta_s: FiniteFloat | None


def encode(kind: Literal["hello", "progress", "report", "order"], value: BaseModel) -> bytes:
    """One line. Plain ASCII, so that file names of any bytes (as surrogates) pass."""
    return json.dumps({kind: value.model_dump()}, separators=(",", ":")).encode("ascii") + b"\n"


def decode_order(line: bytes) -> Order:
    """The order in a line that the pool sent."""
    return Order.model_validate(json.loads(line)["order"])


def decode(line: bytes) -> Walls | Progress | Report:
    """What a worker said; raises Rubbish."""
    try:
        said = _Line.model_validate(_loads(line))
        values = [value for value in (said.hello, said.progress, said.report) if value is not None]
        if len(values) != 1:
            raise Rubbish("it said nothing, or several things at once")
        if isinstance(values[0], Progress):
            _Numbers.model_validate(values[0].model_dump(include=set(_Numbers.model_fields)))
    except (ValidationError, ValueError, RecursionError) as problem:
        raise Rubbish(f"it sent a line that is no message ({type(problem).__name__})") from problem
    return values[0]


def _loads(line: bytes) -> Mapping[str, Any]:
    found = json.loads(line, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise Rubbish("it sent a line that is no message")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
