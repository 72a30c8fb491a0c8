#!/usr/bin/env python3
"""A GGUF file with each kind of number, and the values that the `gguf` package makes of them.

Writes to tests/fixtures/gguf:

- `kinds.gguf`: a tensor of 2 x 256 numbers of each kind, named after it; `conv`, whose shape was changed as ComfyUI-GGUF does it;
  `shaped`, with four sides of different length.
- `kinds.f32`: the values of all but `shaped`, one tensor after the other.

Numbers that the package cannot quantise are random bits with scales of a sensible size.

Needs gguf 0.19.0 and numpy:

    python3 tools/reference/gguf_kinds.py
"""
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Kind, GGUFWriter, quants

OUT = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "gguf"
KINDS = [Kind.F32, Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0,
         Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]
# Where the scales of a block lie, in bytes.
SCALES = {Kind.Q2_K: [80, 82], Kind.Q3_K: [108], Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2], Kind.Q6_K: [208]}


def half(x):
    return np.array([x], np.float16).view(np.uint8)


def main():
    rng = np.random.default_rng(7)
    writer = GGUFWriter(str(OUT / "kinds.gguf"), "sd1")
    writer.add_string("general.name", "kinds of numbers")
    expected = []
    for kind in KINDS:
        values = rng.normal(size=(2, 256)).astype(np.float32)
        if kind in SCALES:
            numbers, size = GGML_QUANT_SIZES[kind]
            data = rng.integers(0, 256, size=(2, 256 // numbers * size), dtype=np.uint8)
            for row in range(2):
                for i, at in enumerate(SCALES[kind]):
                    data[row, at:at + 2] = half(0.01 * (i + 1) * (row + 1))
        else:
            data = quants.quantize(values, kind)
        writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
        expected.append(quants.dequantize(data, kind))
    # Q8_K, which the package does not know: a scale, 256 numbers, 16 sums.
    numbers, scale = rng.integers(-127, 128, size=256, dtype=np.int8), np.float32(0.03)
    sums = numbers.reshape(16, 16).sum(1).astype(np.int16)
    data = np.concatenate([np.array([scale]).view(np.uint8), numbers.view(np.uint8), sums.view(np.uint8)])[None]
    writer.add_tensor("q8_k", data, raw_dtype=Kind.Q8_K)
    expected.append(scale * numbers.astype(np.float32))
    conv = quants.quantize(rng.normal(size=(2, 256)).astype(np.float32), Kind.Q8_0)
    writer.add_array("comfy.gguf.orig_shape.conv", [8, 4, 4, 4])
    writer.add_tensor("conv", conv, raw_dtype=Kind.Q8_0)
    expected.append(quants.dequantize(conv, Kind.Q8_0))
    writer.add_tensor("shaped", np.arange(24, dtype=np.float16).reshape(2, 3, 4, 1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (OUT / "kinds.f32").write_bytes(b"".join(values.astype("<f4").tobytes() for values in expected))


if __name__ == "__main__":
    main()
