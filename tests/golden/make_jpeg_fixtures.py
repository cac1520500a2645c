#!/usr/bin/env python3
"""Made tests/golden/jpeg/*.jpg: 37x29, the value of pixel (x, y) in channel c is 118 + 10c + 80 sin(x/3) cos(y/4), rounded.

    pip install pillow, apt-get install libjpeg-turbo-progs (2.1.5 made them)
    tests/golden/make_jpeg_fixtures.py
"""
import io
import math
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 37, 29
SCANS = "0;\n1;\n2;\n"
# DC and AC in parts, each component for itself, none of the scans' lengths a multiple of another's.
BITS = """0: 0-0, 0, 2; 1 2: 0-0, 0, 1; 0: 1-63, 0, 2; 0: 0-0, 2, 1; 2: 1-63, 0, 1; 0: 1-63, 2, 1; 0 : 0-0, 1, 0;
1: 0-0, 1, 0; 2: 0-0, 1, 0; 1: 1-5, 0, 0; 1: 6-63, 0, 0; 0: 1-63, 1, 0; 2: 1-63, 1, 0;"""


def value(x, y, c):
    return round(118 + 10 * c + 80 * math.sin(x / 3) * math.cos(y / 4))


def main():
    folder = Path(__file__).parent / "jpeg"
    folder.mkdir(exist_ok=True)
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.putdata([tuple(value(x, y, c) for c in range(3)) for y in range(HEIGHT) for x in range(WIDTH)])
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    pixels = io.BytesIO()
    image.save(pixels, "PPM")

    def cjpeg(name, *options, script=None):
        with tempfile.NamedTemporaryFile("w") as scans:
            scans.write(script or "")
            scans.flush()
            options = ["cjpeg", "-quality", "90", *options, *(["-scans", scans.name] if script else [])]
            (folder / name).write_bytes(subprocess.run(options, input=pixels.getvalue(), capture_output=True, check=True).stdout)

    cjpeg("baseline.jpg", "-sample", "2x2")
    cjpeg("optimized.jpg", "-sample", "2x1", "-optimize")
    cjpeg("grey.jpg", "-grayscale", "-restart", "3B")
    cjpeg("restarts.jpg", "-sample", "2x1", "-restart", "1B")
    cjpeg("scans.jpg", "-sample", "2x2", "-restart", "3B", script=SCANS)
    cjpeg("progressive.jpg", "-sample", "2x2", "-progressive")
    cjpeg("progressive-bits.jpg", "-sample", "2x1", "-restart", "4B", script=BITS)


if __name__ == "__main__":
    main()
