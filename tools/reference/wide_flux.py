#!/usr/bin/env python3
"""Tiny relatives of FLUX.1 Fill and of FLUX.1 Canny and Depth, in `tests/fixtures/models/`: `flux-fill` and `flux-control`; and in
`tests/fixtures/lora/` a LoRA that makes `flux-dev` such a one, `flux-control.safetensors`, with the names of Black Forest Labs.

Both are the tiny `flux-dev` but for their index, the transformer's config and the weights of its first layer, which also takes a mask
and a masked picture, or a control map. What they have in common with it is not stored again.

Needs torch 2.15.0 and safetensors; runs in a second:

    python3 tools/reference/wide_flux.py
"""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
MODELS = FIXTURES / "models"
NAME = "x_embedder.weight"
# Model, pipeline of diffusers, values of a token, seed.
WIDE = [("flux-fill", "FluxFillPipeline", 384, 71), ("flux-control", "FluxControlPipeline", 128, 72)]


# Layers of the original code, and those of diffusers whose rows they have.
ONCE = {"img_in": ["x_embedder"], "txt_in": ["context_embedder"],
        "time_in.in_layer": ["time_text_embed.timestep_embedder.linear_1"],
        "time_in.out_layer": ["time_text_embed.timestep_embedder.linear_2"],
        "vector_in.in_layer": ["time_text_embed.text_embedder.linear_1"],
        "vector_in.out_layer": ["time_text_embed.text_embedder.linear_2"],
        "guidance_in.in_layer": ["time_text_embed.guidance_embedder.linear_1"],
        "guidance_in.out_layer": ["time_text_embed.guidance_embedder.linear_2"],
        "final_layer.linear": ["proj_out"], "final_layer.adaLN_modulation.1": ["norm_out.linear"]}
DOUBLE = {"img_mod.lin": ["norm1.linear"], "txt_mod.lin": ["norm1_context.linear"],
          "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
          "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
          "img_attn.proj": ["attn.to_out.0"], "txt_attn.proj": ["attn.to_add_out"],
          "img_mlp.0": ["ff.net.0.proj"], "img_mlp.2": ["ff.net.2"],
          "txt_mlp.0": ["ff_context.net.0.proj"], "txt_mlp.2": ["ff_context.net.2"]}
SINGLE = {"modulation.lin": ["norm.linear"], "linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
          "linear2": ["proj_out"]}
DOUBLE_NORMS = ["img_attn.norm.query_norm", "img_attn.norm.key_norm", "txt_attn.norm.query_norm", "txt_attn.norm.key_norm"]
SINGLE_NORMS = ["norm.query_norm", "norm.key_norm"]
RANK = 4


def layers():
    """All layers that the LoRA changes: their names, and the modules whose rows they have."""
    yield from ONCE.items()
    for ours, theirs, names in (("transformer_blocks", "double_blocks", DOUBLE), ("single_transformer_blocks", "single_blocks", SINGLE)):
        for block in range(2):
            for layer, modules in names.items():
                yield f"{theirs}.{block}.{layer}", [f"{ours}.{block}.{module}" for module in modules]


def write_lora(base, file):
    """A LoRA of all layers, with biases and the scales of norms, as those of FLUX.1 Canny and Depth."""
    generator, tensors = torch.Generator().manual_seed(73), {}
    randn = lambda *shape: torch.randn(shape, generator=generator)
    for layer, modules in layers():
        weight = torch.cat([base[f"{module}.weight"].float() for module in modules])
        rows, columns = weight.shape[0], weight.shape[1] * (2 if layer == "img_in" else 1)
        tensors[f"{layer}.lora_A.weight"] = randn(RANK, columns)
        tensors[f"{layer}.lora_B.weight"] = randn(rows, RANK) * weight.std() * 0.3
        tensors[f"{layer}.lora_B.bias"] = randn(rows) * 0.05
    heads = base["transformer_blocks.0.attn.norm_q.weight"].shape[0]
    for blocks, names in (("double_blocks", DOUBLE_NORMS), ("single_blocks", SINGLE_NORMS)):
        for block in range(2):
            for norm in names:
                tensors[f"{blocks}.{block}.{norm}.scale"] = 1 + randn(heads) * 0.3
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, file)


def main():
    base = MODELS / "flux-dev"
    tensors = {}
    for shard in (base / "transformer").glob("*.safetensors"):
        tensors |= load_file(shard)
    write_lora(tensors, FIXTURES / "lora" / "flux-control.safetensors")
    narrow = tensors[NAME]
    for model, pipeline, values, seed in WIDE:
        folder = MODELS / model
        (folder / "transformer").mkdir(parents=True, exist_ok=True)
        index = json.loads((base / "model_index.json").read_text()) | {"_class_name": pipeline}
        config = json.loads((base / "transformer" / "config.json").read_text())
        config |= {"in_channels": values, "out_channels": narrow.shape[1]}
        for path, value in (("model_index.json", index), ("transformer/config.json", config)):
            (folder / path).write_text(json.dumps(value, indent=2) + "\n")
        generator = torch.Generator().manual_seed(seed)
        added = torch.randn((narrow.shape[0], values - narrow.shape[1]), generator=generator) * narrow.float().std()
        wide = torch.cat([narrow, added.to(narrow.dtype)], 1)
        save_file({NAME: wide}, folder / "transformer" / "diffusion_pytorch_model.safetensors")


main()
