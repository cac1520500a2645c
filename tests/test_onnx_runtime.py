#!/usr/bin/env python3
"""Exports every network that the program names, trained for an epoch, and asks onnxruntime for its logits beside distill's own.

    test_onnx_runtime.py [--distill ./distill] [network …]

`make test-onnx` calls this. onnxruntime and numpy are taken as they are, or from PyPI into a virtual environment in a temporary folder.
"""
import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 1e-5  # of the largest logit
IMAGES, CLASSES = 24, 7


def with_packages():
    """Starts this script anew in an environment that has the packages, unless this one has."""
    try:
        import numpy, onnxruntime  # noqa: F401, E401
        return
    except ImportError:
        if os.environ.get("TEST_ONNX_ENVIRONMENT"):
            raise
    with tempfile.TemporaryDirectory(prefix="distill-onnx-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin/python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "onnxruntime", "numpy"], check=True)
        sys.exit(subprocess.run([python, *sys.argv], env={**os.environ, "TEST_ONNX_ENVIRONMENT": "1"}).returncode)


def all_networks(distill):
    """The names that `distill info` gives as examples, and NAME-tiny where it knows that, too."""
    def info(*words):
        return subprocess.run([distill, "info", *words], capture_output=True, text=True)
    said = info().stdout.removeprefix("networks: ").partition(";")[0]
    names = re.sub(r" \([^)]*\)", "", said).strip().split(", ")  # without "(any depth 6n+2)"
    return [n for name in names for n in (name, f"{name}-tiny") if n == name or info("--net", n, "--size", "64").returncode == 0]


def safetensors(path):
    """-> name: array (float32)"""
    import numpy
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: numpy.frombuffer(data[8 + length:][slice(*t["data_offsets"])], numpy.float32).reshape(t["shape"])
            for name, t in header.items()}


def difference(distill, network, folder):
    """The largest difference of two logits over the largest logit."""
    import numpy
    import onnxruntime
    side = 64 if network.endswith("-tiny") else 32

    def run(*words):
        end = subprocess.run([distill, *words], cwd=folder, capture_output=True, text=True)
        if end.returncode != 0:
            raise RuntimeError(f"distill {' '.join(words)}: {end.stderr.strip()}")

    if not (folder / f"data/s{side}").exists():
        run("data", "synth", "--dataset", f"s{side}", "--size", str(side), "--classes", str(CLASSES), "--train", "64", "--test", str(IMAGES))
    run("train", "--net", network, "--dataset", f"s{side}", "--batch", "32", "--epochs", "1", "--lr", "0.01", "--quiet", "--run", network)
    weights = f"{network}/student.safetensors"
    run("eval", "--weights", weights, "--dataset", f"s{side}", "--logits", f"{network}.safetensors")
    run("weights", "export", weights, f"{network}.onnx")
    session = onnxruntime.InferenceSession(str(folder / f"{network}.onnx"), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    mean, std = (numpy.array([float(v) for v in said[k].split(",")], numpy.float32).reshape(1, 3, 1, 1) for k in ("mean", "std"))
    records = numpy.frombuffer((folder / f"data/s{side}/test.bin").read_bytes(), numpy.uint8).reshape(IMAGES, -1)
    images = (records[:, 1:].reshape(IMAGES, 3, side, side).astype(numpy.float32) - mean) / std
    ours = safetensors(folder / f"{network}.safetensors")["logits"]
    worst = 0.0
    for batch in (1, 8, IMAGES):  # whatever the batch
        theirs = numpy.concatenate([session.run(["logits"], {"input": images[i:i + batch]})[0] for i in range(0, IMAGES, batch)])
        worst = float(numpy.maximum(worst, numpy.abs(theirs - ours).max()))  # keeps a nan, which is no match
    return worst / float(numpy.abs(ours).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distill", type=Path, default=Path(__file__).resolve().parent.parent / "distill", help="the program")
    parser.add_argument("networks", nargs="*", help="by default all that `distill info` names")
    asked = parser.parse_args()
    with_packages()
    import onnxruntime
    print(f"onnxruntime {onnxruntime.__version__}: the largest difference of a logit over the largest logit")
    wrong = 0
    distill = asked.distill.resolve()
    with tempfile.TemporaryDirectory(prefix="distill-onnx-") as folder:
        for network in asked.networks or all_networks(distill):
            found = difference(distill, network, Path(folder))
            good = found <= TOLERANCE
            wrong += not good
            print(f"  {network:19s} {found:.1e}{'' if good else f'  more than {TOLERANCE:.0e}'}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
