#!/usr/bin/env python3
"""Tiny relatives of FLUX.1 Fill and of FLUX.1 Canny and Depth, in `tests/fixtures/models/`: `flux-fill` and `flux-control`.

Both are the tiny `flux-dev` but for their index, the transformer's config and the weights of its first layer, which also takes a mask
and a masked picture, or a control map. What they have in common with it is not stored again.

Needs torch 2.15.0 and safetensors; runs in a second:

    python3 tools/reference/wide_flux.py
"""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

MODELS = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "models"
NAME = "x_embedder.weight"
# Model, pipeline of diffusers, values of a token, seed.
WIDE = [("flux-fill", "FluxFillPipeline", 384, 71), ("flux-control", "FluxControlPipeline", 128, 72)]


def main():
    base = MODELS / "flux-dev"
    narrow = next(t[NAME] for t in map(load_file, (base / "transformer").glob("*.safetensors")) if NAME in t)
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
