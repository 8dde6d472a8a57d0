"""How sound is encoded, and what changes by that: facts of a stream × recipe → work. Pure, like pixels.py for pictures."""

from dataclasses import dataclass, replace

from dmc.convert.facts import MediaFacts, StreamFacts
from dmc.convert.recipes import SoundRecipe

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Channel layouts that encoders take, by number of channels."""

_LOSSLESS_SOUND = frozenset({"flac", "alac", "wavpack", "tta", "ape", "truehd", "mlp", "tak", "shorten"})


@dataclass(frozen=True, slots=True)
class SoundWork:
    """How sound is encoded."""

    encoder: str
    sample_rate: int
    layout: str
    bit_rate: int
    quality: int | None = None
    sample_format: str | None = None


def best_sound(facts: MediaFacts) -> int | None:
    """The sound track that a file with only one of them gets: the default one, else the first."""
    tracks = [s for s in facts.streams if s.type == "audio" and s.decodable]
    best = [s for s in tracks if "default" in s.dispositions] or tracks
    return best[0].index if best else None


def sound_work(stream: StreamFacts, recipe: SoundRecipe) -> tuple[SoundWork, list[str]]:
    """How the sound is encoded, and what changes by that."""
    before = stream.sample_rate or 48000
    rate = before if before in recipe.rates or not recipe.rates else next((r for r in recipe.rates if r >= before), recipe.rates[-1])
    channels = min(stream.channels or 2, recipe.most_channels)
    changes = []
    if channels != stream.channels:
        changes.append(f"{stream.channels} channels are mixed down to {channels}")
    if rate != before:
        changes.append(f"{before} Hz becomes {rate} Hz")
    bit_rate = recipe.bit_rate * max(channels, 1) // 2 if channels > 1 else recipe.bit_rate * 5 // 8
    work = SoundWork(recipe.encoder, rate, LAYOUTS[channels], bit_rate, recipe.quality)
    if recipe.codec != "flac":
        return work, changes
    deep = _is_deep(stream)
    if (stream.sample_format or "").startswith(("flt", "dbl")) and deep:
        changes.append("floating-point samples become 24 bits")
    return replace(work, sample_format="s32" if deep else "s16"), changes


def _is_deep(stream: StreamFacts) -> bool:
    """Do the samples have more than 16 bits? What lossy codecs decode to does not count as depth."""
    return (stream.codec or "").startswith(("pcm_s24", "pcm_s32", "pcm_f", "pcm_u24", "pcm_u32")) or (
        stream.codec in _LOSSLESS_SOUND and (stream.sample_format or "").startswith("s32")
    )
