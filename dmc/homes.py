"""Where dmc keeps its data and looks for its settings when nobody says otherwise. Beside config.py the only reader of variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

UserPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.abspath(path.expanduser())))]
"""A path in settings: `~` is the home folder, relative ones count from the current folder."""


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where dmc keeps data by default: `$DMC_HOME`, else `$XDG_STATE_HOME/dmc`, else `~/.local/state/dmc`."""
    if environ.get("DMC_HOME"):
        return Path(os.path.abspath(Path(environ["DMC_HOME"]).expanduser()))
    return Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "dmc"


def config_homes(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Folders in which settings files are looked for; the first one found counts."""
    if environ.get("DMC_HOME"):
        return (state_home(environ),)
    user = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "dmc"
    return (user, Path("/etc/dmc"))
