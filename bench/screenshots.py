"""Takes pictures of the page over a real server with real media: each view, light and dark, on a phone and on a wide screen.

    python bench/screenshots.py OUT                 # PNG files into OUT
    python bench/screenshots.py OUT --readme        # and the README's two, small, into docs/images

Wants Chromium, the extra `browser`, and for more than the sample clip the folder of real media files beside the checkout.
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

from PIL import Image
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parent.parent
MEDIA = ROOT.parent / "shared" / "media"
SAMPLE = ROOT / "dmc" / "sample" / "nasa.mp4"
SIZES = {"wide": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
VIEWS = ("queue", "library", "server")
FIRST = {
    "Dog at the door.mp4": "video-h264-vfr-phone-1080p.mp4",
    "Lanterns.jpg": "image-jpeg-orientation6-gps-camera.jpg",
    "House in autumn.jpg": "image-jpeg-gps-exif.jpg",
    "Speech 1961.flac": "speech-jfk-11s.flac",
    "Church bells.aif": "audio-pcm-s24be-stereo.aif",
    "Evening song.mp3": "audio-mp3-cover-art-exif.mp3",
    "Scan 14, cut off.jpg": "corrupt-jpeg-truncated.jpg",
    "Old camera.avi": "video-cinepak-no-audio.avi",
}
LATER = {
    "Talk, first take.mp4": "video-h264-aac-720p-hello-talk.mp4",
    "Broadcast.ts": "video-mpeg2-1080p-mp2.ts",
    "Concert.mov": "video-h264-1080p50-pcm.mov",
    "Station roof.mp4": "video-hevc-hlg-dolbyvision-editlist-rotated-vfr.mp4",
    "Wall.mp4": "video-h264-4k60-portrait-rotated-phone.mp4",
}
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


def put(files: dict[str, str], inbox: Path) -> None:
    for name, source in files.items():
        if (MEDIA / source).is_file():
            shutil.copy(MEDIA / source, inbox / name)


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
        put(LATER, inbox)
        if (MEDIA / "MANIFEST.json").is_file():
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
        shutil.copy(SAMPLE, inbox / "Space station.mp4")
        put(FIRST, inbox)
        with household(Path(folder) / "home", inbox) as link:
            take(link, inbox, given.out)
    if given.readme:
        shrink(given.out / "queue-wide-light.png", ROOT / "docs" / "images" / "queue.webp")
        shrink(given.out / "library-wide-dark.png", ROOT / "docs" / "images" / "library.webp")
    print("\n".join(str(path) for path in sorted(given.out.glob("*.png"))))


if __name__ == "__main__":
    main()
