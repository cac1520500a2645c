#!/usr/bin/env python3
"""Safetensors by hand, with Python's standard library only: an independent writer and reader of the format.

    tiny_safetensors.py          writes tiny.safetensors beside this script (the fixture of tests/test_safetensors.cpp)
    tiny_safetensors.py FILE     prints FILE: a line `name shape values` a tensor, then `@key value` a metadata entry
"""
import json
import pathlib
import struct
import sys

FORMATS = {"F32": "f", "F16": "e", "F64": "d", "I64": "q"}


def encode(dtype, values):
    if dtype == "BF16":  # the upper half of a float32; the values below need no rounding
        return b"".join(struct.pack("<f", v)[2:] for v in values)
    return struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)


def write(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, dtype, shape, values in tensors:  # as PyTorch's writer does: the order is not by name
        chunk = encode(dtype, values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(chunk)]}
        data += chunk
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def show(path):
    raw = path.read_bytes()
    length = struct.unpack_from("<Q", raw)[0]
    assert length % 8 == 0
    header = json.loads(raw[8:8 + length])
    metadata = header.pop("__metadata__", {})
    for name, tensor in header.items():
        assert tensor["dtype"] == "F32"
        begin, end = tensor["data_offsets"]
        values = struct.unpack(f"<{(end - begin) // 4}f", raw[8 + length + begin:8 + length + end])
        print(name, json.dumps(tensor["shape"], separators=(",", ":")), *(f"{v:.9g}" for v in values))
    for key, value in metadata.items():
        print(f"@{key} {value}")


if len(sys.argv) > 1:
    show(pathlib.Path(sys.argv[1]))
else:
    write(pathlib.Path(__file__).with_name("tiny.safetensors"), [
        ("module.bn1.num_batches_tracked", "I64", [], [391]),
        ("module.scale", "I64", [2], [-3, 1 << 40]),
        ("module.fc.weight", "F64", [2, 1], [0.1, -1e38]),
        ("module.conv1.weight", "F32", [2, 1, 1, 2], [0.5, -1.25, 3e-45, 1e38]),
        ("module.bn1.weight", "F16", [6], [1.0, -0.333251953125, 65504.0, 2.0 ** -24, 2.0 ** -14, -0.0]),
        ("module.bn1.bias", "BF16", [3], [1.0, -2.5, 2.0 ** -130]),
        ("module.empty", "F32", [0, 4], []),
    ], {"format": "pt", "network": "resnet8"})
