#!/usr/bin/env python3
"""Tiny ControlNets and T2I-Adapters with random weights, in `tests/fixtures/models/`, for the tests of `--control`.

- `controlnet-sd21`, `controlnet-small`: for the tiny models `sd21` (v-prediction) and `sd15-inpaint` (9 channels).
- `controlnet-union`: what a union of SDXL has beyond `controlnet-sdxl`; that one's tensors are the rest of it.
- `adapter-sd15`, `adapter-light`, `adapter-sdxl`: one T2I-Adapter of each type; that for SDXL is shown grey pictures.

Needs torch 2.15.0, diffusers 0.42.1 and safetensors; runs in a few seconds:

    python3 tools/reference/control_nets.py
"""
import json
from pathlib import Path

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel
from safetensors.torch import save_file

MODELS = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "models"
PICTURE = [4, 8, 8, 16]


def randomised(net, seed):
    """Weights of the size of 1 / sqrt(inputs), so that what the layers say neither fades nor grows; norms near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in net.state_dict().items():
        values = torch.randn(weight.shape, generator=generator)
        if weight.dim() > 1 and name != "task_embedding":
            values *= 0.8 / weight[0].numel() ** 0.5
        elif "norm" in name or ".ln_" in name:
            values = values * 0.1 + float(name.endswith("weight"))
        else:
            values *= 0.1
        weight.copy_(values.half().float())
    return net


def save(name, net, keep=lambda _: True):
    folder = MODELS / name
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in net.config.items() if not key.startswith("_")}
    config = {"_class_name": type(net).__name__, "_diffusers_version": "0.42.1", **config}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tensors = {key: value.half().contiguous() for key, value in net.state_dict().items() if keep(key)}
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file(tensors, path)
    print(f"{name}: {path.stat().st_size} bytes")


def config_for(model, **more):
    """A ControlNet's config for the UNet of a tiny model."""
    unet = UNet2DConditionModel.load_config(MODELS / model / "unet")
    same = ("attention_head_dim", "block_out_channels", "cross_attention_dim", "down_block_types", "layers_per_block",
            "norm_num_groups", "use_linear_projection", "transformer_layers_per_block", "addition_embed_type",
            "addition_time_embed_dim", "projection_class_embeddings_input_dim")
    return {**{key: unet[key] for key in same}, "conditioning_embedding_out_channels": PICTURE, **more}


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    for seed, model, name in ((1, "sd21", "sd21"), (2, "sd15-inpaint", "small")):
        levels = len(json.loads((MODELS / model / "vae/config.json").read_text())["block_out_channels"])
        net = ControlNetModel(**config_for(model, conditioning_embedding_out_channels=PICTURE[-levels:]))
        save(f"controlnet-{name}", randomised(net, seed))
    shared = json.loads((MODELS / "controlnet-sdxl/config.json").read_text())
    width = shared["block_out_channels"][0]
    net = ControlNetUnionModel(**config_for(
        "sdxl", conditioning_embedding_out_channels=shared["conditioning_embedding_out_channels"], num_control_type=6,
        num_trans_channel=width, num_proj_channel=width, num_trans_head=4))
    own = ("task_embedding", "transformer_layes", "spatial_ch_projs", "control_add_embedding")
    save("controlnet-union", randomised(net, 3), lambda name: name.startswith(own))
    adapters = {
        "sd15": dict(channels=[16, 16, 24, 24], adapter_type="full_adapter"),
        "light": dict(channels=[16, 16, 24], adapter_type="light_adapter", num_res_blocks=1),
        "sdxl": dict(channels=[16, 24, 32, 32], adapter_type="full_adapter_xl", downscale_factor=16, in_channels=1),
    }
    for seed, (name, config) in enumerate(adapters.items(), 4):
        save(f"adapter-{name}", randomised(T2IAdapter(**config), seed))


main()
