#!/usr/bin/env python3
"""Pictures of the tiny models by diffusers, for `tests/it/parity.rs`.

Writes tests/fixtures/pictures/cases.json (name, model, arguments of sdgen) and a PNG for each picture. All random numbers are
those of torch's CPU generator. The pictures mean nothing; they show whether sdgen computes the same thing.

Needs torch 2.15.0, diffusers 0.42.1, transformers 5.23.0 and pillow; runs in about a minute:

    python3 tools/reference/pictures.py
"""
import json
from pathlib import Path

import diffusers as d
import torch
from transformers import CLIPTextModel

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
OUT = FIXTURES / "pictures"
PROMPT = "a photo of a red cat"
SIZE = {"width": 64, "height": 72}

SCHEDULERS = {
    "ddim": (d.DDIMScheduler, {}), "ddpm": (d.DDPMScheduler, {}), "pndm": (d.PNDMScheduler, {}),
    "euler": (d.EulerDiscreteScheduler, {}), "euler-a": (d.EulerAncestralDiscreteScheduler, {}),
    "heun": (d.HeunDiscreteScheduler, {}), "dpm++2m": (d.DPMSolverMultistepScheduler, {}),
    "dpm++2m-sde": (d.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++sde": (d.DPMSolverSinglestepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (d.UniPCMultistepScheduler, {}), "lms": (d.LMSDiscreteScheduler, {}), "lcm": (d.LCMScheduler, {}),
}
SIGMAS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas", "beta": "use_beta_sigmas"}

# What sdgen is asked, and what that is in diffusers.
OPTIONS = {
    "--steps": lambda v: {"num_inference_steps": int(v)},
    "--guidance": lambda v: {"guidance_scale": float(v)},
    "--guidance-rescale": lambda v: {"guidance_rescale": float(v)},
    "--eta": lambda v: {"eta": float(v)},
    "--batch": lambda v: {"num_images_per_prompt": int(v)},
    "--negative-prompt": lambda v: {"negative_prompt": v},
    "--prompt-2": lambda v: {"prompt_2": v},
    "--negative-prompt-2": lambda v: {"negative_prompt_2": v},
    "--clip-skip": lambda v: {"clip_skip": int(v) - 1},
    "--original-size": lambda v: {"original_size": tuple(reversed([int(n) for n in v.split("x")]))},
    "--crop": lambda v: {"crops_coords_top_left": tuple(reversed([int(n) for n in v.split(",")]))},
    "--width": lambda v: {"width": int(v)},
    "--height": lambda v: {"height": int(v)},
}


def cases():
    for model in ("sd15", "sd21", "sdxl"):
        for sampler in SCHEDULERS:
            yield f"{model}-{sampler}", model, {"--scheduler": sampler, "--steps": "5", "--negative-prompt": "blurry"}
    for sampler in ("euler", "heun", "dpm++2m", "dpm++2m-sde", "dpm++sde", "unipc", "lms"):
        for sigmas in SIGMAS:
            yield f"sd15-{sampler}-{sigmas}", "sd15", {"--scheduler": sampler, "--sigmas": sigmas, "--steps": "4"}
    one = {"--scheduler": "ddim", "--steps": "1"}
    yield "sd15-one-step", "sd15", one
    yield "sd15-own-scheduler", "sd15", {"--steps": "4"}
    yield "sd21-own-scheduler", "sd21", {"--steps": "4"}
    yield "sdxl-own-scheduler", "sdxl", {"--steps": "4"}
    yield "sd15-unguided", "sd15", {"--scheduler": "ddim", "--steps": "2", "--guidance": "1"}
    yield "sd15-eta", "sd15", {"--scheduler": "ddim", "--steps": "4", "--eta": "0.7"}
    yield "sd15-batch", "sd15", {"--scheduler": "euler-a", "--steps": "3", "--batch": "2", "--negative-prompt": "blurry"}
    yield "sd15-clip-skip", "sd15", {"--steps": "3", "--clip-skip": "2", "--negative-prompt": "blurry"}
    yield "sd15-odd-size", "sd15", {"--steps": "3", "--width": "104", "--height": "136"}
    yield "sd21-rescaled", "sd21", {"--steps": "4", "--guidance-rescale": "0.7"}
    yield "sdxl-rescaled", "sdxl", {"--steps": "4", "--guidance-rescale": "0.5"}
    yield "sdxl-empty-negative", "sdxl", {"--steps": "3", "--negative-prompt": ""}
    yield "sdxl-clip-skip", "sdxl", {"--steps": "3", "--clip-skip": "2", "--negative-prompt": "blurry"}
    yield "sdxl-told-sizes", "sdxl", {"--steps": "3", "--original-size": "256x192", "--crop": "16,8"}
    yield "sdxl-two-prompts", "sdxl", {"--steps": "3", "--prompt-2": "a blue dog", "--negative-prompt": "ugly",
                                       "--negative-prompt-2": "bad"}
    yield "sdxl-batch", "sdxl", {"--steps": "2", "--batch": "2"}
    for steps in ("1", "3", "4"):
        yield f"sdxl-turbo-{steps}", "sdxl-turbo", {"--steps": steps, "--guidance": "0"}


def picture(pipe, own, options, seed):
    """The pictures of one case, and sdgen's arguments for them."""
    pipe.scheduler = own.from_config(own.config)
    if "--scheduler" in options:
        scheduler, extra = SCHEDULERS[options["--scheduler"]]
        if "--sigmas" in options:
            extra = {**extra, SIGMAS[options["--sigmas"]]: True}
        pipe.scheduler = scheduler.from_config(own.config, **extra)
    arguments = dict(prompt=PROMPT, guidance_scale=5.0, generator=torch.Generator("cpu").manual_seed(seed), **SIZE)
    for option, value in options.items():
        arguments |= OPTIONS.get(option, lambda _: {})(value)
    return pipe(**arguments).images


def main():
    torch.set_num_threads(1)
    # diffusers' clip skip wants the nesting that transformers 5 flattened.
    CLIPTextModel.text_model = property(lambda self: self)
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    pipes, table = {}, []
    for number, (name, model, options) in enumerate(cases()):
        if model not in pipes:
            pipe = d.DiffusionPipeline.from_pretrained(FIXTURES / "models" / model, torch_dtype=torch.float32)
            pipe.set_progress_bar_config(disable=True)
            pipes[model] = (pipe, pipe.scheduler)
        seed = 100 + number
        pictures = picture(*pipes[model], options, seed)
        for index, image in enumerate(pictures):
            image.save(OUT / f"{name}-{index}.png", optimize=True)
        given = {"--prompt": PROMPT, "--seed": str(seed), "--guidance": "5", "--width": str(SIZE["width"]),
                 "--height": str(SIZE["height"]), **options}
        arguments = [word for pair in given.items() for word in pair]
        table.append({"name": name, "model": model, "pictures": len(pictures), "arguments": arguments})
    lines = ",\n".join(json.dumps(row) for row in table)
    (OUT / "cases.json").write_text(f"[\n{lines}\n]\n")


main()
