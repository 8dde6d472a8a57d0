"""What each conversion type means in containers, codecs and settings: data only, read by plan.py.

Names, media and file endings of the types stand in dmc/conversions.py, their options too. Own types will extend these.
"""

from collections.abc import Mapping
from dataclasses import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TEXT_SUBTITLES = _set("subrip ass ssa webvtt mov_text text srt microdvd sami subviewer subviewer1 jacosub")


@dataclass(frozen=True, slots=True)
class Container:
    """What a container can hold, by FFmpeg's codec names.

    `says_shape`: its writer takes the shape of pixels and any display matrix from the encoder (Matroska's does not).
    `subtitles` go in as they are, other text becomes `text`. `cover` is how a cover is stored: as attachment, stream or tag.
    """

    name: str
    title: str
    muxer: str
    demuxer: str
    video: frozenset[str]
    sound: frozenset[str]
    subtitles: frozenset[str] = frozenset()
    text: str | None = None
    attachments: bool = False
    edit_lists: bool = False
    says_shape: bool = False
    cover: str | None = None
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class VideoRecipe:
    """An encoder of pictures. `chromas` and `depths` are what it takes; the source's stay if they are among them.

    `says_shape`: its stream tells the shape of its pixels, and whether the picture is mirrored.
    `full_range_by_format`: it wants pictures of full range in pixel formats of their own (yuvj…), not only marked.
    """

    codec: str
    title: str
    encoder: str
    crf: float
    preset: str
    chromas: tuple[str, ...] = ("420",)
    depths: tuple[int, ...] = (8,)
    params_option: str | None = None
    longest: int | None = None
    shortest: int | None = None
    standard_range_only: bool = False
    smallest: int = 2
    odd_sizes: bool = False
    says_shape: bool = True
    full_range_by_format: bool = True


@dataclass(frozen=True, slots=True)
class SoundRecipe:
    """An encoder of sound. `bit_rate` is for two channels, 0 where nothing is lost; `quality` is a VBR level and goes before it.

    No `rates`: it takes any.
    """

    codec: str
    title: str
    encoder: str
    bit_rate: int
    rates: tuple[int, ...]
    most_channels: int = 8
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a conversion type means for a file with streams.

    Without `video` (or `sound`) streams of that kind are copied or left out. `only_sound`: the result holds one sound track and
    nothing else. `gated`: a result that is larger than its source is thrown away, for types whose point is to save space.
    """

    name: str
    container: Container
    video: VideoRecipe | None = None
    sound: SoundRecipe | None = None
    copied_sound: frozenset[str] | None = None
    only_sound: bool = False
    remux: bool = False
    gated: bool = True


_SOUND_ANYWHERE = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac", "mp2"})

MKV = Container(
    "mkv",
    "Matroska",
    "matroska",
    "matroska,webm",
    video=_set("h264 hevc av1 vvc vp8 vp9 mpeg1video mpeg2video mpeg4 msmpeg4v3 theora prores ffv1 mjpeg dirac snow rv10 rv20 rv30 rv40"),
    sound=_SOUND_ANYWHERE
    | _set("mp1 vorbis dts truehd mlp tta wavpack pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_u8 pcm_f32le pcm_f64le")
    | _set("cook sipr ra_144 ra_288 atrac1 atrac3 qdm2 qdmc"),
    subtitles=frozenset({"subrip", "ass", "webvtt", "text", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}),
    text="subrip",
    attachments=True,
    cover="attachment",
)
MP4 = Container(
    "mp4",
    "MP4",
    "mp4",
    "mov,mp4,m4a,3gp,3g2,mj2",
    video=frozenset({"h264", "hevc", "av1", "vp9", "vvc", "mpeg4"}),
    sound=_SOUND_ANYWHERE,
    subtitles=frozenset({"mov_text"}),
    text="mov_text",
    edit_lists=True,
    says_shape=True,
    cover="stream",
    options=(("movflags", "+faststart"), ("strict", "experimental")),
)
WEBM = Container(
    "webm",
    "WebM",
    "webm",
    "webm",  # Read by the demuxer of Matroska, which does not tell: so no file is known to be WebM already.
    video=frozenset({"vp8", "vp9", "av1"}),
    sound=frozenset({"opus", "vorbis"}),
    subtitles=frozenset({"webvtt"}),
    text="webvtt",
)
M4A = Container(
    "m4a",
    "M4A",
    "mp4",
    "mov,mp4,m4a,3gp,3g2,mj2",
    video=frozenset(),
    sound=frozenset({"aac"}),
    edit_lists=True,
    cover="stream",
    options=(("movflags", "+faststart"), ("brand", "M4A ")),
)
FLAC_FILE = Container("flac", "FLAC", "flac", "flac", video=frozenset(), sound=frozenset({"flac"}), cover="stream")
OGG_OPUS = Container("opus", "Ogg Opus", "opus", "ogg", video=frozenset(), sound=frozenset({"opus"}), cover="tag")
MP3_FILE = Container(
    "mp3", "MP3", "mp3", "mp3", video=frozenset(), sound=frozenset({"mp3"}), cover="stream", options=(("id3v2_version", "3"),)
)

CONTAINERS: Mapping[str, Container] = {container.name: container for container in (MKV, MP4, WEBM, OGG_OPUS, MP3_FILE, M4A, FLAC_FILE)}

_X264 = VideoRecipe("h264", "H.264", "libx264", 21, "medium", ("420", "422", "444"), (8, 10), "x264-params")
_X265 = VideoRecipe("hevc", "H.265", "libx265", 24, "medium", ("420", "422", "444"), (8, 10, 12), "x265-params", smallest=16)
_VP9 = VideoRecipe(
    "vp9",
    "VP9",
    "libvpx-vp9",
    32,
    "2",
    ("420", "422", "444", "440"),
    smallest=1,
    odd_sizes=True,
    says_shape=False,
    full_range_by_format=False,
)
_AV1 = VideoRecipe(
    "av1", "AV1", "libsvtav1", 32, "8", ("420",), (8, 10), "svtav1-params", smallest=8, says_shape=False, full_range_by_format=False
)
_WEB = VideoRecipe(
    "h264", "H.264", "libx264", 22, "medium", params_option="x264-params", longest=1920, shortest=1080, standard_range_only=True
)

_OPUS = SoundRecipe("opus", "Opus", "libopus", 128_000, (48000,))
_AAC = SoundRecipe("aac", "AAC", "aac", 160_000, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000))
_MP3 = SoundRecipe("mp3", "MP3", "libmp3lame", 190_000, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), 2, quality=2)
_FLAC = SoundRecipe("flac", "FLAC", "flac", 0, ())

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("h264", MKV, _X264, _OPUS),
        Recipe("h265", MKV, _X265, _OPUS),
        Recipe("vp9", WEBM, _VP9, _OPUS),
        Recipe("av1", MKV, _AV1, _OPUS),
        Recipe("web", MP4, _WEB, _AAC, copied_sound=frozenset({"aac", "mp3"}), gated=False),
        Recipe("mkv", MKV, remux=True, gated=False),
        Recipe("mp4", MP4, remux=True, gated=False),
        Recipe("opus", OGG_OPUS, sound=_OPUS, only_sound=True),
        Recipe("mp3", MP3_FILE, sound=_MP3, only_sound=True),
        Recipe("aac", M4A, sound=_AAC, only_sound=True),
        Recipe("flac", FLAC_FILE, sound=_FLAC, only_sound=True, gated=False),
    )
}
"""Recipes for video and sound; those for pictures stand in pictures.py."""

FALLBACK_SOUND: Mapping[str, SoundRecipe] = {"mkv": _OPUS, "mp4": _AAC, "webm": _OPUS}
"""What sound becomes that the container cannot hold as it is."""

GATED_PICTURES = frozenset({"webp", "avif", "jpeg"})
"""Picture types whose result is thrown away when it is larger; png is asked for to lose nothing, whatever its size."""
