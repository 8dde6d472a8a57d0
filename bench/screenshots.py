"""Takes pictures of the page over a real server at work: each view, light and dark, on a phone and on a wide screen.

    python bench/screenshots.py OUT                 # PNG files into OUT
    python bench/screenshots.py OUT --readme        # and the README's two, small, into docs/images

All that is seen comes out of the sample clip, which is in the public domain. Wants Chromium and the extra `browser`.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from PIL import Image
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "dmc" / "sample" / "nasa.mp4"
SIZES = {"wide": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
VIEWS = ("queue", "library", "server")
STILLS = {"Lift.jpg": (0, 1.0), "Clean room.jpg": (1, 4.0), "Engineer.jpg": (0, 8.0), "Golden mirror.jpg": (1, 11.0)}
"""Pictures out of the sample clip: which of its two pictures, and the second."""

CLIPS = {
    "Camera 2, evening.mp4": (1, 0.0, 6.0),
    "Mirror test.mp4": (1, 6.0, 12.0),
    "Night shift.mp4": (0, 0.0, 6.0),
    "Last look.mp4": (1, 8.0, 13.0),
}
"""Shorter clips out of it: which picture, from when to when."""

QUIET = ("disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync", "no-first-run", "no-sandbox")
PATIENCE_MS = 300_000


@contextlib.contextmanager
def household(home: Path, inbox: Path) -> Iterator[str]:
    """`dmc up` over `inbox`; its one-time sign-in link."""
    environment = os.environ | {"DMC_HOME": str(home), "DMC_SERVER__LIMITS__DISK_FLOOR": "0"}
    command = [sys.executable, "-m", "dmc", "up", str(inbox), "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            link = next(found[0] for line in process.stderr if (found := re.search(r"https?://\S+#sign-in=\S+", line)))
            yield link
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=30)


def still(picture: int, second: float, target: Path) -> None:
    """One frame of the sample clip as a JPEG."""
    with av.open(str(SAMPLE)) as source:
        stream = source.streams.video[picture]
        frame = next(each for each in source.decode(stream) if each.time is not None and each.time >= second)
        frame.to_image().save(target, quality=95)


def clip(picture: int, first: float, last: float, target: Path) -> None:
    """Some seconds of the sample clip as a film of its own."""
    with av.open(str(SAMPLE)) as source, av.open(str(target), "w") as sink:
        stream = source.streams.video[picture]
        made = sink.add_stream("libx264", rate=stream.average_rate, options={"crf": "12"})
        made.width, made.height, made.pix_fmt = stream.width * 3, stream.height * 3, "yuv420p"
        wanted = (frame for frame in source.decode(stream) if frame.time is not None and first <= frame.time < last)
        for number, frame in enumerate(wanted):
            larger = frame.reformat(made.width, made.height, "yuv420p")
            larger.pts, larger.time_base, larger.pict_type = number, 1 / stream.average_rate, av.video.frame.PictureType.NONE
            sink.mux(made.encode(larger))
        sink.mux(made.encode(None))


def first_files(inbox: Path) -> None:
    """The sample clip, pictures out of it, its sound, and a picture that was cut off."""
    shutil.copy(SAMPLE, inbox / "Telescope.mp4")
    for name, (picture, second) in STILLS.items():
        still(picture, second, inbox / name)
    torn = (inbox / "Engineer.jpg").read_bytes()
    (inbox / "Scan 14, cut off.jpg").write_bytes(torn[: len(torn) * 2 // 3])
    subprocess.run([sys.executable, "-m", "dmc", "convert", str(SAMPLE), "--to", "flac", "-o", str(inbox)], check=True, capture_output=True)
    next(inbox.glob("*.flac")).rename(inbox / "Commentary.flac")


def shoot(page: Any, view: str, out: Path, mark: str = "") -> None:
    """One view in every size and scheme."""
    page.evaluate(f"location.hash = '#/{view}'")
    for size, pixels in SIZES.items():
        page.set_viewport_size(pixels)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_timeout(1200)  # The pictures of a view come one after the other.
            page.screenshot(path=out / f"{view}{mark}-{size}-{scheme}.png")


def take(link: str, inbox: Path, out: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=[f"--{each}" for each in QUIET])
        page = browser.new_context(viewport=SIZES["wide"], locale="en-GB").new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(link)
        expect(page.get_by_role("heading", name="Just finished")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_role("heading", name="Waiting")).to_have_count(0, timeout=PATIENCE_MS)
        expect(page.get_by_role("heading", name="Being converted")).to_have_count(0, timeout=PATIENCE_MS)
        for name, (picture, first, last) in CLIPS.items():
            made = inbox.parent / name
            clip(picture, first, last, made)
            made.rename(inbox / name)
        expect(page.locator("[aria-labelledby=running] .item").first).to_contain_text("left", timeout=PATIENCE_MS)
        shoot(page, "queue", out)
        expect(page.get_by_role("heading", name="Waiting")).to_have_count(0, timeout=PATIENCE_MS)
        expect(page.get_by_role("heading", name="Being converted")).to_have_count(0, timeout=PATIENCE_MS)
        shoot(page, "library", out)
        shoot(page, "server", out)
        page.set_viewport_size(SIZES["wide"])
        page.evaluate("location.hash = '#/library'")
        page.locator(".tile").last.click()
        page.wait_for_timeout(1500)
        page.screenshot(path=out / "receipt-wide-dark.png")
        browser.close()


def shrink(source: Path, target: Path) -> None:
    """A picture for the README: WebP, a few dozen kB."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as picture:
        picture.convert("RGB").save(target, "WEBP", quality=82, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--readme", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dmc-screenshots-") as folder:
        inbox = Path(folder) / "inbox"
        inbox.mkdir()
        first_files(inbox)
        with household(Path(folder) / "home", inbox) as link:
            take(link, inbox, given.out)
    if given.readme:
        shrink(given.out / "queue-wide-light.png", ROOT / "docs" / "images" / "queue.webp")
        shrink(given.out / "library-wide-dark.png", ROOT / "docs" / "images" / "library.webp")
    print("\n".join(str(path) for path in sorted(given.out.glob("*.png"))))


if __name__ == "__main__":
    main()
