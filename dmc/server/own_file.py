"""What it means that a file of the server's own cannot be understood: written by a newer dmc, or damaged."""

import json

from pydantic import ValidationError

from dmc.errors import BadSettings


def not_understood(name: str, text: bytes, problem: ValidationError, known: int, hint: str) -> BadSettings:
    """The error for a file `name` with this `text`. `known`: the newest `schema_number` that is understood; `hint`: for a damaged one."""
    try:
        document = json.loads(text)
        schema = document.get("schema_number") if isinstance(document, dict) else None
    except ValueError:
        schema = None
    if isinstance(schema, int) and schema > known:
        return BadSettings(f"{name} was written by a newer dmc (schema {schema}, this one knows {known}).", "Update dmc.")
    strange = [error["loc"] for error in problem.errors(include_input=False, include_url=False) if error["type"] == "extra_forbidden"]
    if schema == known and len(strange) == problem.error_count():
        fields = ", ".join(sorted({str(place[-1]) for place in strange}))
        return BadSettings(f"{name} was written by a newer dmc: it holds {fields}, which this one does not know.", "Update dmc.")
    return BadSettings(f"{name} cannot be read.", hint)
