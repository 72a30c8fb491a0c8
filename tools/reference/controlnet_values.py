#!/usr/bin/env python3
"""Reference values for the tests of ControlNets: `tests/fixtures/controlnet.safetensors`.

Residuals of the tiny ControlNets by diffusers, for one input each: plain, of a tiny SD 1.5 also in guess mode with a scale, with the
channels of the picture turned round, and as means over the picture (`global_pool_conditions`).

Needs torch 2.15.0, diffusers 0.42.1, safetensors and numpy; runs in a few seconds:

    python3 tools/reference/controlnet_values.py
"""
from pathlib import Path

import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"


def load(name):
    return ControlNetModel.from_pretrained(FIXTURES / "models" / name, torch_dtype=torch.float32).eval()


def inputs(config, seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    randn = lambda *shape: torch.randn(shape, generator=generator)
    values = {"sample": randn(1, 4, 4, 6), "text": randn(1, 7, config.cross_attention_dim),
              "picture": torch.rand((1, 3, 32, 48), generator=generator)}
    if config.addition_embed_type is not None:
        values["text_embeds"] = randn(1, config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim)
        values["time_ids"] = torch.tensor([[64.0, 96, 8, 16, 32, 48]])
    return values


def residuals(net, given, **options):
    added = {k: given[k] for k in ("text_embeds", "time_ids") if k in given} or None
    down, mid = net(given["sample"], 601.0, given["text"], given["picture"], added_cond_kwargs=added, return_dict=False, **options)
    return [*down, mid]


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    values = {}

    def keep(name, tensors):
        values.update({f"{name}.{i}": tensor for i, tensor in enumerate(tensors)})

    for seed, name in enumerate(("sd15", "sdxl")):
        net = load(f"controlnet-{name}")
        given = inputs(net.config, seed)
        values.update({f"{name}.{key}": value for key, value in given.items()})
        keep(f"{name}.plain", residuals(net, given))
        if name == "sd15":
            keep("sd15.guess", residuals(net, given, guess_mode=True, conditioning_scale=0.7)[-2:])
            net.register_to_config(controlnet_conditioning_channel_order="bgr")
            keep("sd15.bgr", residuals(net, given)[-1:])
            net.register_to_config(global_pool_conditions=True, controlnet_conditioning_channel_order="rgb")
            keep("sd15.pooled", residuals(net, given, conditioning_scale=0.7))
    path = FIXTURES / "controlnet.safetensors"
    save_file({name: value.detach().contiguous().clone() for name, value in values.items()}, path)
    print(f"{path.name}: {len(values)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
