"""Writes a FLUX.1 schnell of full size with random weights, 12 GB, to measure memory and speed with; what it paints is noise.

    python3 write.py DIR [--transformer q4_0] [--t5 q8_0]
    sdgen flux "a cat" --unet DIR/flux1-schnell-Q4_0.gguf --t5 DIR/t5-v1_1-xxl-encoder-Q8_0.gguf --clip-l DIR/clip_l.safetensors \
        --vae DIR/ae.safetensors -W 512 -H 512

The transformer has Black Forest Labs' names and T5 those of llama.cpp, as the files of city96 do. Needs numpy alone.
"""

import argparse
import json
import pathlib
import struct

import numpy as np

# ggml's number of a type, numbers in a block, bytes of a block.
TYPES = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q8_0": (8, 32, 34)}
# Standard deviation of the integers in a block: four and eight random bits.
DEVIATION = {"q4_0": (255 / 12) ** 0.5, "q8_0": (65535 / 12) ** 0.5}
# Bytes that are drawn once and used again for every tensor.
POOL = np.random.default_rng(0).integers(0, 256, 64 << 20, dtype=np.uint8)


def plain(dtype, name, shape):
    """Norms do nothing, biases are zero, and matrices keep the size of what they are given."""
    count = int(np.prod(shape))
    if len(shape) == 1:
        return np.full(count, 0 if name.endswith("bias") else 1, dtype)
    deviation = np.prod(shape[1:]) ** -0.5
    noise = np.resize(POOL, count).astype(np.float32)
    return ((noise - 127.5) * (deviation / 73.9)).astype(dtype)


def quantised(kind, shape):
    """Blocks with one scale for all and random bits."""
    _, numbers, size = TYPES[kind]
    count = int(np.prod(shape)) // numbers
    scale = np.float16(shape[-1] ** -0.5 / DEVIATION[kind])
    chunk = np.resize(POOL, min(count, len(POOL) // size) * size).reshape(-1, size).copy()
    chunk[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    for start in range(0, count, len(chunk)):
        yield chunk[: count - start]


def tensor_bytes(kind, name, shape):
    if kind in DEVIATION:
        yield from quantised(kind, shape)
    else:
        yield plain(np.float16 if kind == "f16" else np.float32, name, shape)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(path, architecture, tensors):
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    header += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    header += text("general.quantization_version") + struct.pack("<II", 4, 2)
    place, sizes = 0, []
    for name, shape, kind in tensors:
        number, block, size = TYPES[kind]
        header += text(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", side) for side in reversed(shape)) + struct.pack("<IQ", number, place)
        sizes.append(int(np.prod(shape)) // block * size)
        place += (sizes[-1] + 31) // 32 * 32
    with open(path, "wb") as file:
        file.write(header + bytes(-len(header) % 32))
        for (name, shape, kind), size in zip(tensors, sizes):
            for piece in tensor_bytes(kind, name, shape):
                file.write(piece.tobytes())
            file.write(bytes(-size % 32))


def write_safetensors(path, tensors):
    header, place = {}, 0
    for name, shape in tensors:
        end = place + 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [place, end]}
        place = end
    header = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name, shape in tensors:
            file.write(plain(np.float16, name, shape).tobytes())


def linear(name, outputs, inputs, kind):
    return [(f"{name}.weight", [outputs, inputs], kind), (f"{name}.bias", [outputs], "f32")]


def transformer(kind, width=3072, head=128):
    tensors = []
    for name, outputs, inputs in [
        ("img_in", width, 64),
        ("txt_in", width, 4096),
        ("time_in.in_layer", width, 256),
        ("time_in.out_layer", width, width),
        ("vector_in.in_layer", width, 768),
        ("vector_in.out_layer", width, width),
        ("final_layer.linear", 64, width),
        ("final_layer.adaLN_modulation.1", 2 * width, width),
    ]:
        tensors += linear(name, outputs, inputs, "f16")
    for i in range(19):
        for side in ["img", "txt"]:
            block = f"double_blocks.{i}.{side}"
            tensors += linear(f"{block}_mod.lin", 6 * width, width, kind)
            tensors += linear(f"{block}_attn.qkv", 3 * width, width, kind)
            tensors += linear(f"{block}_attn.proj", width, width, kind)
            tensors += linear(f"{block}_mlp.0", 4 * width, width, kind)
            tensors += linear(f"{block}_mlp.2", width, 4 * width, kind)
            tensors += [(f"{block}_attn.norm.{which}_norm.scale", [head], "f32") for which in ["query", "key"]]
    for i in range(38):
        block = f"single_blocks.{i}"
        tensors += linear(f"{block}.modulation.lin", 3 * width, width, kind)
        tensors += linear(f"{block}.linear1", 7 * width, width, kind)
        tensors += linear(f"{block}.linear2", width, 5 * width, kind)
        tensors += [(f"{block}.norm.{which}_norm.scale", [head], "f32") for which in ["query", "key"]]
    return tensors


def t5(kind, width=4096, inner=10240):
    tensors = [("token_embd.weight", [32128, width], kind), ("enc.output_norm.weight", [width], "f32")]
    tensors.append(("enc.blk.0.attn_rel_b.weight", [32, 64], "f32"))
    for i in range(24):
        block = f"enc.blk.{i}"
        tensors += [(f"{block}.{norm}_norm.weight", [width], "f32") for norm in ["attn", "ffn"]]
        tensors += [(f"{block}.attn_{which}.weight", [width, width], kind) for which in "qkvo"]
        tensors += [(f"{block}.ffn_{which}.weight", [inner, width], kind) for which in ["gate", "up"]]
        tensors.append((f"{block}.ffn_down.weight", [width, inner], kind))
    return tensors


def layer(name, *shape):
    return [(f"{name}.weight", list(shape)), (f"{name}.bias", [shape[0]])]


def clip(width=768):
    root = "text_model."
    tensors = [
        (f"{root}embeddings.token_embedding.weight", [49408, width]),
        (f"{root}embeddings.position_embedding.weight", [77, width]),
    ]
    for i in range(12):
        block = f"{root}encoder.layers.{i}."
        for which in ["q_proj", "k_proj", "v_proj", "out_proj"]:
            tensors += layer(f"{block}self_attn.{which}", width, width)
        tensors += layer(f"{block}mlp.fc1", 4 * width, width) + layer(f"{block}mlp.fc2", width, 4 * width)
        tensors += layer(f"{block}layer_norm1", width) + layer(f"{block}layer_norm2", width)
    return tensors + layer(f"{root}final_layer_norm", width)


def resnet(name, inputs, outputs):
    tensors = layer(f"{name}.norm1", inputs) + layer(f"{name}.conv1", outputs, inputs, 3, 3)
    tensors += layer(f"{name}.norm2", outputs) + layer(f"{name}.conv2", outputs, outputs, 3, 3)
    return tensors + (layer(f"{name}.nin_shortcut", outputs, inputs, 1, 1) if inputs != outputs else [])


def middle(name, width=512):
    tensors = resnet(f"{name}.block_1", width, width) + resnet(f"{name}.block_2", width, width)
    tensors += layer(f"{name}.attn_1.norm", width)
    for which in ["q", "k", "v", "proj_out"]:
        tensors += layer(f"{name}.attn_1.{which}", width, width, 1, 1)
    return tensors


def vae(latent=16, widths=(128, 256, 512, 512)):
    tensors = layer("encoder.conv_in", widths[0], 3, 3, 3) + layer("decoder.conv_in", widths[-1], latent, 3, 3)
    for i, width in enumerate(widths):
        before = widths[max(i - 1, 0)]
        for j in range(2):
            tensors += resnet(f"encoder.down.{i}.block.{j}", before if j == 0 else width, width)
        if i < 3:
            tensors += layer(f"encoder.down.{i}.downsample.conv", width, width, 3, 3)
        above = widths[min(i + 1, 3)]
        for j in range(3):
            tensors += resnet(f"decoder.up.{i}.block.{j}", above if j == 0 else width, width)
        if i > 0:
            tensors += layer(f"decoder.up.{i}.upsample.conv", width, width, 3, 3)
    tensors += middle("encoder.mid") + middle("decoder.mid")
    tensors += layer("encoder.norm_out", widths[-1]) + layer("encoder.conv_out", 2 * latent, widths[-1], 3, 3)
    return tensors + layer("decoder.norm_out", widths[0]) + layer("decoder.conv_out", 3, widths[0], 3, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--transformer", choices=["q4_0", "q8_0", "f16"], default="q4_0")
    parser.add_argument("--t5", choices=["q4_0", "q8_0", "f16"], default="q8_0")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    name = f"flux1-schnell-{args.transformer.upper()}.gguf"
    write_gguf(args.folder / name, "flux", transformer(args.transformer))
    name = f"t5-v1_1-xxl-encoder-{args.t5.upper()}.gguf"
    write_gguf(args.folder / name, "t5encoder", t5(args.t5))
    write_safetensors(args.folder / "clip_l.safetensors", clip())
    write_safetensors(args.folder / "ae.safetensors", vae())


if __name__ == "__main__":
    main()
