"""Looking without touching: the facts of a file, and the plan that a conversion of it would follow."""

from pathlib import Path
from typing import Any

from dmc.conversions import MediaType, check_fits, check_options, find_conversion
from dmc.convert.limits import Limits
from dmc.convert.pictures_plan import plan_picture
from dmc.convert.plan import plan
from dmc.convert.probe import probe
from dmc.convert.recipes import RECIPES


def look(file: Path, kind: str | None, options: dict[str, Any], limits: Limits) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Facts of `file` and, if a conversion type is named, the plan for it, as plain values.

    Raises NotMedia, Unsupported, DamagedMedia, TooLarge, UnknownConversion, BadRequest.
    """
    facts = probe(file, limits, file.name)
    if kind is None:
        return facts.to_plain(), None
    wanted = find_conversion(kind)
    check_fits(wanted, facts.media_type)
    check_options(wanted.name, options)
    if facts.media_type is MediaType.IMAGE:
        already = plan_picture(facts, kind, options)
        outcome = "skip" if already else "convert"
        return facts.to_plain(), {"outcome": outcome, "reason": already or "", "container": kind, "streams": []}
    return facts.to_plain(), plan(facts, RECIPES[kind], options, sidecars=True).to_plain()
