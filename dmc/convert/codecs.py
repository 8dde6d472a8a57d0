"""Which encoders of the built-in recipes the installed libraries have; for `dmc doctor`."""

import av

from dmc.convert.recipes import RECIPES


def missing_encoders() -> list[tuple[str, str]]:
    """(conversion type, encoder) of each recipe that could not be carried out here."""
    wanted = ((name, work.encoder) for name, recipe in RECIPES.items() for work in (recipe.video, recipe.sound) if work is not None)
    return [(name, encoder) for name, encoder in wanted if encoder not in av.codecs_available]


def library_versions() -> dict[str, str]:
    """Versions of PyAV and of FFmpeg's libraries within it."""
    libraries = {name: ".".join(str(part) for part in version) for name, version in av.library_versions.items()}
    return {"av": av.__version__, **libraries}
