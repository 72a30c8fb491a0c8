#!/usr/bin/env python3
"""Reference values for the UNet tests that the tiny models' own goldens do not hold.

Computes with diffusers, and writes to tests/fixtures:

- `unet_blocks.safetensors`: for the tiny SDXL, the output of each block (hooks on the modules) for one input; for the tiny
  SD 1.5, outputs for a latent whose sides cannot be halved evenly, and with ControlNet residuals added.
- in the same file `timesteps.*`: embeddings of timesteps.
- `models/unet-rare/`: a UNet of random weights whose config uses what the published models do not, or only a few of them do
  (guidance embedding, uneven transformer depths, another width a block, no attention in the middle), and in
  `unet_blocks.safetensors` its input and output.

Needs torch 2.15.0, diffusers 0.42.1, safetensors and numpy; runs in a few seconds:

    python3 tools/reference/unet_values.py
"""
import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
RARE = {
    "in_channels": 4, "out_channels": 3, "center_input_sample": True, "block_out_channels": [8, 16, 24],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"],
    "mid_block_type": "UNetMidBlock2D", "layers_per_block": [1, 2, 2], "cross_attention_dim": [12, 20, 12],
    "transformer_layers_per_block": [1, 1, [2, 0]], "reverse_transformer_layers_per_block": [[0, 1, 2], 1, [2, 1]],
    "attention_head_dim": [2, 2, 3], "norm_num_groups": 4, "norm_eps": 1e-3, "downsample_padding": 0,
    "flip_sin_to_cos": False, "freq_shift": 1, "time_embedding_dim": 20, "time_cond_proj_dim": 6,
    "conv_in_kernel": 5, "conv_out_kernel": 1, "use_linear_projection": True,
}


def noise(seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator)


def load(name):
    return UNet2DConditionModel.from_pretrained(FIXTURES / "models" / name / "unet", torch_dtype=torch.float32).eval()


def sdxl_blocks(values):
    """Inputs and the outputs of every block of the tiny SDXL."""
    unet, randn = load("sdxl"), noise(1)
    config = unet.config
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    inputs = {
        "sample": randn(1, 4, 8, 12), "encoder_hidden_states": randn(1, 20, config.cross_attention_dim),
        "text_embeds": randn(1, pooled), "time_ids": torch.tensor([[64.0, 96, 8, 16, 128, 96]]),
    }
    blocks = {"conv_in.0": unet.conv_in, "mid_block.0": unet.mid_block, "output": unet.conv_out}
    blocks |= {f"down_blocks.{i}": b for i, b in enumerate(unet.down_blocks)}
    blocks |= {f"up_blocks.{i}": b for i, b in enumerate(unet.up_blocks)}

    def keep(name):
        def hook(_module, _inputs, output):
            values[f"sdxl.{name}"] = output[0] if isinstance(output, tuple) else output
        return hook

    hooks = [block.register_forward_hook(keep(name)) for name, block in blocks.items()]
    added = {"text_embeds": inputs["text_embeds"], "time_ids": inputs["time_ids"]}
    unet(inputs["sample"], 601.0, inputs["encoder_hidden_states"], added_cond_kwargs=added)
    for hook in hooks:
        hook.remove()
    values |= {f"sdxl.{name}": value for name, value in inputs.items()}
    return values


def sd15_sizes_and_residuals(values):
    """Sides that are odd on every level, and residuals as a ControlNet gives them (a scaled wave, made again by the test)."""
    unet, randn = load("sd15"), noise(2)
    sample, text = randn(1, 4, 9, 13), randn(1, 5, unet.config.cross_attention_dim)
    values |= {"sd15.sample": sample, "sd15.encoder_hidden_states": text, "sd15.odd": unet(sample, 301.0, text).sample}
    skips = []
    hook = lambda _m, _i, output: skips.extend(output[1])
    hooks = [block.register_forward_hook(hook) for block in unet.down_blocks]
    mid = []
    hooks += [unet.mid_block.register_forward_hook(lambda _m, _i, output: mid.append(output))]
    hooks += [unet.conv_in.register_forward_hook(lambda _m, _i, output: skips.append(output))]
    unet(sample, 301.0, text)
    for handle in hooks:
        handle.remove()
    wave = lambda like, i: (torch.arange(like.numel(), dtype=torch.float32) + i).remainder(7).reshape(like.shape) / 16
    down = [wave(skip, i) for i, skip in enumerate(skips)]
    middle = wave(mid[0], len(skips))
    output = unet(sample, 301.0, text, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
    values["sd15.residuals"] = output
    return values


def rare(values):
    """A UNet with the features that few published models use."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel(**RARE).eval()
    for parameter in unet.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).to(torch.float32)
    folder = FIXTURES / "models" / "unet-rare"
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in unet.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(RARE, indent=2) + "\n")
    randn = noise(4)
    sample, text, cond = randn(2, 4, 9, 10), randn(2, 5, 12), randn(2, 6)
    output = unet(sample, 33.5, text, timestep_cond=cond).sample
    values |= {"rare.sample": sample, "rare.encoder_hidden_states": text, "rare.timestep_cond": cond, "rare.output": output}
    return values


def timesteps(values):
    """The embedding of SD's width, and an odd one with the other settings."""
    t = torch.tensor([999.0, 981.0, 500.5, 1.0, 0.0])
    values["timesteps.320"] = get_timestep_embedding(t, 320, flip_sin_to_cos=True, downscale_freq_shift=0)
    values["timesteps.7"] = get_timestep_embedding(t, 7, flip_sin_to_cos=False, downscale_freq_shift=1)
    return values


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    values = {}
    for step in (sdxl_blocks, sd15_sizes_and_residuals, rare, timesteps):
        values = step(values)
    path = FIXTURES / "unet_blocks.safetensors"
    save_file({name: value.detach().contiguous().clone() for name, value in values.items()}, path)
    print(f"{path.name}: {len(values)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
