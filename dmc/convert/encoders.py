"""Opens encoders in an output container: settings of a plan → streams of PyAV. The only file that knows codec options."""

from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.subtitles.stream import SubtitleStream
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from dmc.convert.limits import Limits
from dmc.convert.pixels import VideoWork
from dmc.convert.sound import SoundWork
from dmc.convert.threads import cores_here, encoder_threads

_FINEST = 1_000_000
_USUAL = Fraction(1, 90_000)
_USUAL_RATE = Fraction(25)
_MP4_HEVC = "hvc1"

_QUALITY_STEPS = 118
"""FFmpeg's FF_QP2LAMBDA: a VBR quality is handed over in these steps."""


def clock_for(base: Fraction | None) -> Fraction:
    """The time base of an encoder: the source's own, so that variable rates stay, unless it is unusable."""
    if base is None or base <= 0 or base.denominator > _FINEST or base > Fraction(1, 10):
        return _USUAL
    return base


def add_video(out: OutputContainer, work: VideoWork, base: Fraction | None, limits: Limits) -> VideoStream:
    """A stream of pictures encoded as `work` says, its clock that of the source."""
    rate = Fraction(*work.rate) if work.rate else _USUAL_RATE
    stream = out.add_stream(work.encoder, rate=rate.limit_denominator(_FINEST))
    if not isinstance(stream, VideoStream):
        raise TypeError(f"{work.encoder} encodes no pictures")
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = work.width, work.height, work.pix_fmt
    context.time_base = clock_for(base)
    if work.sample_aspect is not None:
        context.sample_aspect_ratio = Fraction(*work.sample_aspect)
    context.color_primaries, context.color_trc, context.colorspace = work.primaries, work.transfer, work.colour_matrix
    context.color_range = ColorRange(work.colour_range)
    threads = encoder_threads(work.encoder, limits.encoder_threads, cores_here())
    context.thread_count = threads.count
    context.thread_type = "AUTO"  # PyAV's default cuts every picture into slices: slower and larger with x264.
    context.options = _options(work, threads.words)
    if work.encoder == "libx265" and out.format.name == "mp4":
        context.codec_tag = _MP4_HEVC
    if work.matrix is not None:
        stream.set_display_matrix(work.matrix)
    return stream


def _options(work: VideoWork, threads: tuple[str, ...]) -> dict[str, str]:
    where = {} if work.chroma_location is None else {"chroma_sample_location": work.chroma_location}
    if work.encoder == "libvpx-vp9":
        return {**where, "crf": f"{work.crf:g}", "b": "0", "deadline": "good", "cpu-used": work.preset, "row-mt": "1", "tile-columns": "2"}
    options = {**where, "preset": work.preset, "crf": f"{work.crf:g}"}
    params = [f"{name}={value}" for name, value in work.params]
    if work.encoder == "libx265":
        params.append("log-level=error")
    params += threads
    if params and work.params_option is not None:
        options[work.params_option] = ":".join(params)
    return options


def add_sound(out: OutputContainer, work: SoundWork) -> AudioStream:
    """A stream of sound encoded as `work` says."""
    stream = out.add_stream(work.encoder, rate=work.sample_rate)
    if not isinstance(stream, AudioStream):
        raise TypeError(f"{work.encoder} encodes no sound")
    context = stream.codec_context
    context.layout = work.layout
    if work.sample_format is not None:
        context.format = work.sample_format
    context.time_base = Fraction(1, work.sample_rate)
    if work.quality is not None:
        context.qscale = True
        context.global_quality = work.quality * _QUALITY_STEPS
    elif work.bit_rate:
        context.bit_rate = work.bit_rate
    return stream


def add_text(out: OutputContainer, codec: str, header: bytes | None) -> SubtitleStream:
    """A stream of text subtitles; `header` is the style header that the decoder of the source made."""
    stream = out.add_stream(codec)
    if not isinstance(stream, SubtitleStream):
        raise TypeError(f"{codec} encodes no subtitles")
    stream.codec_context.subtitle_header = header
    stream.codec_context.time_base = Fraction(1, 1000)
    return stream


def versions() -> str:
    """PyAV and the FFmpeg libraries, for the receipt."""
    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return f"PyAV {av.__version__}, libavcodec {codec}"
