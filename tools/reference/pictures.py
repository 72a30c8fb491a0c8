#!/usr/bin/env python3
"""Pictures of the tiny models by diffusers, for `tests/it/parity.rs`.

Writes tests/fixtures/pictures/cases.json (name, model, command and arguments of sdgen), a PNG for each picture, and in `given/` the
picture and the mask that some begin with, and the map that ControlNets are shown. All random numbers are
those of torch's CPU generator. The pictures mean nothing; they show whether sdgen computes the same thing.

Needs torch 2.15.0, diffusers 0.42.1, transformers 5.23.0 and pillow; runs in about a minute:

    python3 tools/reference/pictures.py
"""
import json
from pathlib import Path

import diffusers as d
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
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
    "--strength": lambda v: {"strength": float(v)},
    "--guess-mode": lambda v: {"guess_mode": True},
}
# The reference stretches, drops alpha, and gives the whole picture as the model left it.
IMAGE = {"--image": "picture.png", "--resize": "stretch", "--alpha": "drop"}
MASK = {**IMAGE, "--mask": "mask.png", "--no-paste-back": None}


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
    yield from cases_with_pictures()
    yield from cases_with_loras()


def cases_with_pictures():
    """Cases that begin with a picture. For Heun and PNDM, whose steps take two calls, every way of cutting a schedule."""
    few = {"--steps": "5", "--strength": "0.6"}
    for sampler in SCHEDULERS:
        yield f"sd15-from-{sampler}", "sd15", {**IMAGE, "--scheduler": sampler, **few}
        yield f"sd15-part-{sampler}", "sd15", {**MASK, "--scheduler": sampler, **few}
    for sampler in ("ddim", "euler", "heun", "lcm"):
        yield f"sd15-from-all-{sampler}", "sd15", {**IMAGE, "--scheduler": sampler, "--steps": "3", "--strength": "1"}
        yield f"sd15-part-all-{sampler}", "sd15", {**MASK, "--scheduler": sampler, "--steps": "3", "--strength": "1"}
    for sampler in ("pndm", "heun"):
        yield f"sd15-from-last-{sampler}", "sd15", {**IMAGE, "--scheduler": sampler, "--steps": "5", "--strength": "0.2"}
    batch = {"--scheduler": "euler-a", "--batch": "2", **few}
    yield "sd15-from-batch", "sd15", {**IMAGE, **batch}
    yield "sd15-part-batch", "sd15", {**MASK, **batch}
    yield "sd15-from-eta", "sd15", {**IMAGE, "--scheduler": "ddim", "--eta": "0.7", **few}
    yield "sd21-from", "sd21", {**IMAGE, **few}
    yield "sd21-part", "sd21", {**MASK, **few}
    yield "sdxl-from", "sdxl", {**IMAGE, **few}
    yield "sdxl-part", "sdxl", {**MASK, **few}
    yield "sdxl-turbo-from", "sdxl-turbo", {**IMAGE, "--steps": "4", "--strength": "0.5", "--guidance": "0"}
    for sampler in ("ddim", "euler-a", "dpm++2m", "heun"):
        for strength in ("0.6", "1"):
            yield f"sd15-inpaint-{sampler}-{strength}", "sd15-inpaint", {
                **MASK, "--scheduler": sampler, "--steps": "4", "--strength": strength, "--negative-prompt": "blurry"}
    yield "sd15-inpaint-batch", "sd15-inpaint", {**MASK, **batch}


def cases_with_loras():
    """LoRAs of `lora/` in the fixtures: kohya's names with both networks, PEFT's with both text encoders."""
    few = {"--scheduler": "euler", "--steps": "4"}
    yield "sd15-lora", "sd15", {"--lora": "sd15-kohya.safetensors:0.8", **few}
    yield "sdxl-lora", "sdxl", {"--lora": "sdxl-peft.safetensors:-0.6", **few}
    yield "sd15-from-lora", "sd15", {**IMAGE, "--lora": "sd15-kohya.safetensors:1", "--strength": "0.6", **few}
    yield "sd15-part-lora", "sd15", {**MASK, "--lora": "sd15-kohya.safetensors:0.5", "--strength": "0.8", **few}


def cases_with_controls():
    """Cases with ControlNets, as MODEL=IMAGE:SCALE:START:END; the one for inpainting is shown the picture with its mask."""
    one, other = "controlnet-sd15=map.png:1:0:1", "controlnet-sd15=picture.png:0.6:0.3:0.9"
    xl = "controlnet-sdxl=map.png:0.8:0:0.7"
    control = lambda *controls, **more: {"--control": controls, "--preprocessor": "none", **more}
    few = {"--steps": "5", "--strength": "0.6"}
    for sampler in ("pndm", "heun", "dpm++sde"):
        yield f"sd15-control-{sampler}", "sd15", control("controlnet-sd15=map.png:0.8:0.2:0.7", **{"--scheduler": sampler, "--steps": "5"})
    guess = {"--guess-mode": None, "--steps": "4", "--scheduler": "euler"}
    yield "sd15-control-guess", "sd15", control(one, **guess)
    yield "sd15-control-guess-two", "sd15", control(one, other, **guess, **{"--negative-prompt": "blurry"})
    yield "sd15-control-guess-unguided", "sd15", control(one, **guess, **{"--guidance": "1"})
    yield "sd15-control-batch", "sd15", control(one, other, **{"--scheduler": "euler-a", "--steps": "3", "--batch": "2"})
    yield "sd15-control-from", "sd15", control(other, **IMAGE, **few)
    yield "sd15-control-part", "sd15", control(one, other, **MASK, **few)
    yield "sd15-control-masked", "sd15", control(
        "controlnet-inpaint=picture.png:1:0:1", **{**MASK, "--steps": "4", "--strength": "1"})
    yield "sdxl-control-guess", "sdxl", control(xl, **guess)
    yield "sdxl-control-from", "sdxl", control(xl, **IMAGE, **few)
    yield "sdxl-control-part", "sdxl", control(xl, **MASK, **few)
    v = "controlnet-sd21=map.png:0.8:0:1"
    yield "sd21-control", "sd21", control(v, **{"--steps": "4", "--negative-prompt": "blurry"})
    yield "sd21-control-from", "sd21", control(v, **IMAGE, **few)
    yield "sd15-inpaint-control", "sd15-inpaint", control("controlnet-small=map.png:1:0:0.8", **MASK, **few)
    # The tiny union knows six kinds, which xinsir's numbers 1 and 3 are of.
    union, deep = "controlnet-union#canny=map.png:0.8:0:0.7", "controlnet-union#depth=picture.png:0.6:0.3:1"
    yield "sdxl-control-union", "sdxl", control(union, **{"--steps": "4", "--scheduler": "euler"})
    yield "sdxl-control-union-two", "sdxl", control(union, deep, **{"--steps": "4", "--negative-prompt": "blurry"})
    yield "sdxl-control-union-batch", "sdxl", control(union, **{"--steps": "2", "--batch": "2"})
    yield "sdxl-control-union-from", "sdxl", control(union, **IMAGE, **few)
    yield "sdxl-control-union-part", "sdxl", control(deep, **MASK, **few)
    adapter, light = "adapter-sd15=map.png:0.9:0:1", "adapter-light=picture.png:0.5:0:1"
    yield "sd15-control-adapter", "sd15", control(adapter, **{"--steps": "4", "--negative-prompt": "blurry"})
    yield "sd15-control-adapter-light", "sd15", control(light, **{"--steps": "3", "--batch": "2"})
    yield "sd15-control-adapter-two", "sd15", control(adapter, light, **{"--steps": "3"})
    # Those of SDXL take multiples of 16.
    yield "sdxl-control-adapter", "sdxl", control("adapter-sdxl=map.png:0.7:0:0.5", **{"--steps": "4", "--height": "80"})


def write_given():
    """A picture of 80x60 and a mask of 64x72 with a grey rim, both of which say something at every pixel, and a map of lines."""
    (OUT / "given").mkdir(exist_ok=True)
    y, x = np.mgrid[:60, :80]
    noise = np.random.default_rng(5).integers(-20, 21, (60, 80, 3))
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], -1) * 90 + 128
    Image.fromarray((waves + noise).clip(0, 255).astype("uint8")).save(OUT / "given" / "picture.png", optimize=True)
    y, x = np.mgrid[:72, :64]
    rim = 255 - (np.hypot(x - 36, y - 32) - 18) * 16
    Image.fromarray(rim.clip(0, 255).astype("uint8")).save(OUT / "given" / "mask.png", optimize=True)
    y, x = np.mgrid[:60, :56]
    lines = [np.hypot(x - 20, y - 25) % 11 < 2, (x + y) % 17 < 2, (2 * x - y) % 23 < 3]
    Image.fromarray((np.stack(lines, -1) * 255).astype("uint8")).save(OUT / "given" / "map.png", optimize=True)


def controlnets(controls):
    """The ControlNets of a case, for `from_pretrained` of a pipeline."""
    folder = lambda control: FIXTURES / "models" / control.split("=")[0].replace("inpaint", "sd15")
    if any("union" in control for control in controls):
        return {"controlnet": union()}
    kind, name = (d.T2IAdapter, "adapter") if any("adapter" in c for c in controls) else (d.ControlNetModel, "controlnet")
    nets = [kind.from_pretrained(folder(control), torch_dtype=torch.float32) for control in controls]
    return {name: nets[0] if len(nets) == 1 else nets} if nets else {}


def union():
    """The tiny union: its own tensors and those of the tiny ControlNet of SDXL."""
    folder, tensors = FIXTURES / "models" / "controlnet-union", {}
    for name in ("controlnet-sdxl", "controlnet-union"):
        tensors |= load_file(FIXTURES / "models" / name / "diffusion_pytorch_model.safetensors")
    net = d.ControlNetUnionModel.from_config(d.ControlNetUnionModel.load_config(folder)).eval()
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return net


def control_arguments(controls, command, size):
    """What the ControlNets of a case are shown, for how much they count and when."""
    images, scales, starts, ends, kinds = [], [], [], [], []
    for control in controls:
        model, rest = control.split("=")
        name, scale, start, end = rest.split(":")
        image = Image.open(OUT / "given" / name)
        if "inpaint" in model:
            image = inpaint_condition(image)
        elif command != "inpaint":
            image = image.resize((size["width"], size["height"]), Image.LANCZOS)
        kinds += [{"canny": 3, "depth": 1}[kind] for kind in model.split("#")[1:]]
        if "adapter-sdxl" in model:
            image = torch.from_numpy(np.array(image).astype("float32") / 255) @ torch.tensor([0.299, 0.587, 0.114])
            image = image[None, None]
        images.append(image), scales.append(float(scale)), starts.append(float(start)), ends.append(float(end))
    one = lambda values: values[0] if len(values) == 1 else values
    if "adapter" in controls[0]:
        factor = {"adapter_conditioning_factor": ends[0]} if "sdxl" in controls[0] else {}
        return {"image": one(images), "adapter_conditioning_scale": one(scales), **factor}
    name = "image" if command == "generate" else "control_image"
    if kinds:
        # The pipeline of unions has a name of its own for the maps, and takes several in a list.
        return {"control_image": images, "control_mode": kinds, "controlnet_conditioning_scale": scales,
                "control_guidance_start": starts, "control_guidance_end": ends}
    return {name: one(images), "controlnet_conditioning_scale": one(scales), "control_guidance_start": one(starts),
            "control_guidance_end": one(ends)}


def inpaint_condition(image):
    """The picture in 0..1 with -1 where it is masked."""
    size = (SIZE["width"], SIZE["height"])
    values = np.array(image.resize(size, Image.LANCZOS)).astype("float32") / 255
    mask = np.array(Image.open(OUT / "given" / "mask.png").convert("L")).astype("float32") / 255
    values[mask >= 0.5] = -1
    return torch.from_numpy(values.transpose(2, 0, 1)[None])


def pipeline(model, command, controls):
    kind = {"generate": d.AutoPipelineForText2Image, "img2img": d.AutoPipelineForImage2Image,
            "inpaint": d.AutoPipelineForInpainting}[command]
    if any("adapter" in control for control in controls):
        kind = d.StableDiffusionXLAdapterPipeline if model == "sdxl" else d.StableDiffusionAdapterPipeline
    pipe = kind.from_pretrained(FIXTURES / "models" / model, torch_dtype=torch.float32, **controlnets(controls))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def add_lora(pipe, file, scale):
    """Adds `scale * alpha / rank * up @ down` to the weights, as diffusers does; written out, as its loader misses the text encoders
    of transformers 5. Names of kohya's scripts and of PEFT."""
    weights = {}
    for component, front in (("unet", "lora_unet_"), ("text_encoder", "lora_te_"), ("text_encoder_2", "lora_te2_")):
        for name, weight in getattr(getattr(pipe, component, None), "named_parameters", list)():
            module = name.removesuffix(".weight")
            for full in (module, f"text_model.{module}"):
                weights[front + full.replace(".", "_")] = weights[f"{component}.{full}"] = weight
    tensors = {name.replace("lora_A", "lora_down").replace("lora_B", "lora_up"): tensor.double()
               for name, tensor in load_file(file).items()}
    for name, up in tensors.items():
        module, found, _ = name.partition(".lora_up.")
        if found:
            down = tensors[f"{module}.lora_down.weight"]
            alpha = tensors.get(f"{module}.alpha", torch.tensor(down.shape[0])) / down.shape[0]
            weight = weights[module]
            weight.data += (scale * alpha * (up.flatten(1) @ down.flatten(1))).reshape(weight.shape).float()


def picture(pipe, own, command, options, seed):
    """The pictures of one case, and sdgen's arguments for them."""
    pipe.scheduler = own.from_config(own.config)
    if "--scheduler" in options:
        scheduler, extra = SCHEDULERS[options["--scheduler"]]
        if "--sigmas" in options:
            extra = {**extra, SIGMAS[options["--sigmas"]]: True}
        pipe.scheduler = scheduler.from_config(own.config, **extra)
    size = {} if command == "img2img" else SIZE
    arguments = dict(prompt=PROMPT, guidance_scale=5.0, generator=torch.Generator("cpu").manual_seed(seed), **size)
    if command != "generate":
        arguments["image"] = Image.open(OUT / "given" / options["--image"])
    if command == "img2img":
        arguments["image"] = arguments["image"].resize((SIZE["width"], SIZE["height"]), Image.LANCZOS)
    if command == "inpaint":
        arguments["mask_image"] = Image.open(OUT / "given" / options["--mask"])
    if options.get("--control"):
        size = {side: int(options.get(f"--{side}", SIZE[side])) for side in SIZE}
        arguments |= control_arguments(options["--control"], command, size)
    for option, value in options.items():
        arguments |= OPTIONS.get(option, lambda _: {})(value)
    if "--lora" not in options:
        return pipe(**arguments).images
    file, scale = options["--lora"].split(":")
    add_lora(pipe, FIXTURES / "lora" / file, float(scale))
    pictures = pipe(**arguments).images
    add_lora(pipe, FIXTURES / "lora" / file, -float(scale))
    return pictures



def main():
    torch.set_num_threads(1)
    # diffusers' clip skip wants the nesting that transformers 5 flattened.
    CLIPTextModel.text_model = property(lambda self: self)
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*.png"):
        old.unlink()
    write_given()
    pipes, table = {}, []
    # Seeds of their own: new cases leave the pictures of the others as they are.
    for seed, (name, model, options) in [*enumerate(cases(), 100), *enumerate(cases_with_controls(), 227)]:
        command = "inpaint" if "--mask" in options else "img2img" if "--image" in options else "generate"
        controls = options.get("--control", ())
        key = (model, command, *(control.split("=")[0] for control in controls))
        if key not in pipes:
            pipe = pipeline(model, command, controls)
            pipes[key] = (pipe, pipe.scheduler)
        pictures = picture(*pipes[key], command, options, seed)
        for index, image in enumerate(pictures):
            image.save(OUT / f"{name}-{index}.png", optimize=True)
        given = {"--prompt": PROMPT, "--seed": str(seed), "--guidance": "5", "--width": str(SIZE["width"]),
                 "--height": str(SIZE["height"]), **options}
        given.pop("--control", None)
        arguments = [word for pair in given.items() for word in pair if word is not None]
        arguments += [word for control in controls for word in ("--control", control)]
        command = "controlnet" if controls and command == "generate" else command
        table.append({"name": name, "model": model, "command": command, "pictures": len(pictures), "arguments": arguments})
    lines = ",\n".join(json.dumps(row) for row in table)
    (OUT / "cases.json").write_text(f"[\n{lines}\n]\n")


main()
