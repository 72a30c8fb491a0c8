#!/usr/bin/env python3
"""Sample grids from a pipeline directory (or a training checkpoint with --work)."""
import argparse, json, os
import torch
from PIL import Image, ImageDraw
from diffusers import (AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler,
                       DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel)
from transformers import CLIPTextModel, CLIPTokenizer

PROMPTS = ["red apple", "cat face", "rocket", "pizza", "blue heart", "sunflower", "smiling face with sunglasses",
           "house with garden", "dog face", "fire"]
SCHED = dict(ddim=DDIMScheduler, euler=EulerDiscreteScheduler, euler_a=EulerAncestralDiscreteScheduler,
             dpm=DPMSolverMultistepScheduler)


def load(a):
    if not a.work:
        return StableDiffusionPipeline.from_pretrained(a.model, safety_checker=None, torch_dtype=torch.float32)
    from train_diffusion import scheduler
    c = os.path.join(a.work, a.name)
    return StableDiffusionPipeline(vae=AutoencoderKL.from_pretrained(os.path.join(a.work, "vae_norm")),
        text_encoder=CLIPTextModel.from_pretrained(os.path.join(c, "text_encoder")),
        tokenizer=CLIPTokenizer.from_pretrained(os.path.join(a.work, "tokenizer")),
        unet=UNet2DConditionModel.from_pretrained(os.path.join(c, "unet")), scheduler=scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", default="emoji"); ap.add_argument("--work", default=""); ap.add_argument("--name", default="ckpt")
    ap.add_argument("--prompts", default=""); ap.add_argument("--suffix", default="")
    ap.add_argument("--steps", type=int, default=20); ap.add_argument("--cfg", type=float, default=5.0)
    ap.add_argument("--sampler", default="ddim"); ap.add_argument("--seeds", type=int, default=3)
    ap.add_argument("--out", default="grid.png"); ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    p = load(a); p.set_progress_bar_config(disable=True)
    p.scheduler = SCHED[a.sampler].from_config(p.scheduler.config)
    prompts = [x + a.suffix for x in (a.prompts.split("|") if a.prompts else PROMPTS)]
    W, S = len(prompts), 128
    grid = Image.new("RGB", (W * (S + 4), a.seeds * (S + 4) + 16), "white"); dr = ImageDraw.Draw(grid)
    for j in range(a.seeds):
        g = [torch.Generator().manual_seed(1000 * j + i) for i in range(W)]
        ims = p(prompts, num_inference_steps=a.steps, guidance_scale=a.cfg, generator=g, height=128, width=128).images
        for i, im in enumerate(ims): grid.paste(im, (i * (S + 4), 16 + j * (S + 4)))
    for i, t in enumerate(prompts): dr.text((i * (S + 4) + 2, 2), t[:21], fill="black")
    grid.save(a.out); print("wrote", a.out)


if __name__ == "__main__":
    main()
