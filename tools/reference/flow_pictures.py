#!/usr/bin/env python3
"""Pictures of the tiny FLUX, as dev and as Kontext, its wide relatives and Stable Diffusion 3.5 by diffusers, for `tests/it/parity.rs`.

Adds to tests/fixtures/pictures what `pictures.py` leaves there: lines of cases.json and a PNG for each picture. Run it after that one:

    python3 tools/reference/flow_pictures.py
"""
import inspect
import json
import shutil
import tempfile
from pathlib import Path

import diffusers as d
import torch
from diffusers.loaders import lora_conversion_utils
from PIL import Image
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
OUT = FIXTURES / "pictures"
PROMPT = "a photo of a red cat"
SIZE = {"width": 64, "height": 80}
FLUX = {None: d.FluxPipeline, "img2img": d.FluxImg2ImgPipeline, "inpaint": d.FluxInpaintPipeline}
KONTEXT = {None: d.FluxKontextPipeline, "img2img": d.FluxKontextPipeline}
FILL = {"inpaint": d.FluxFillPipeline}
CONTROL = {None: d.FluxControlPipeline, "img2img": d.FluxControlImg2ImgPipeline,
           "inpaint": d.FluxControlInpaintPipeline}
SD3 = {None: d.StableDiffusion3Pipeline, "img2img": d.StableDiffusion3Img2ImgPipeline,
       "inpaint": d.StableDiffusion3InpaintPipeline}

# Name, what sdgen does beyond `generate`, steps, and options of both.
FLUX_CASES = [
    ("flux-dev", None, 4, {"guidance": 3.5}),
    ("flux-dev-true-cfg", None, 3, {"guidance": 3.5, "true_cfg": 2.5, "negative": "blurry", "tokens": 64}),
    ("flux-dev-img2img", "img2img", 5, {"guidance": 3.5, "strength": 0.7}),
    ("flux-dev-inpaint", "inpaint", 4, {"guidance": 3.5, "strength": 0.8}),
    ("flux-dev-inpaint-whole", "inpaint", 3, {"guidance": 3.5, "strength": 1.0}),
]
SD35_CASES = [
    ("sd35", None, 4, {"guidance": 5.0, "negative": "blurry"}),
    ("sd35-no-t5", None, 3, {"guidance": 5.0, "no_t5": True}),
    ("sd35-batch", None, 3, {"guidance": 1.0, "batch": 2}),
    ("sd35-inpaint", "inpaint", 4, {"guidance": 5.0, "strength": 0.6}),
]
# Last, so that the seeds of the others stay.
LORA_CASES = [("flux-dev-lora", None, 3, {"guidance": 3.5, "lora": ("flux-xlabs.safetensors", 0.8)})]
SKIP_CASES = [("sd35-skip", None, 4, {"guidance": 5.0, "batch": 2, "negative": "blurry", "layers": [1], "layer_scale": 2.8,
                                       "layer_start": 0.25, "layer_stop": 0.8})]
# Kontext has the tensors of dev; its pipeline alone is another.
KONTEXT_CASES = [
    ("flux-kontext", "img2img", 4, {"guidance": 3.5}),
    ("flux-kontext-batch", "img2img", 3, {"guidance": 2.5, "true_cfg": 2.0, "negative": "blurry", "tokens": 64, "batch": 2}),
    ("flux-kontext-text", None, 2, {"guidance": 3.5}),
]
FILL_CASES = [
    ("flux-fill", "inpaint", 4, {"guidance": 30.0}),
    ("flux-fill-strength", "inpaint", 5, {"guidance": 30.0, "strength": 0.7, "batch": 2}),
]
CONTROL_CASES = [
    ("flux-control", None, 4, {"guidance": 30.0, "map": True, "batch": 2}),
    ("flux-control-img2img", "img2img", 5, {"guidance": 10.0, "map": True, "strength": 0.7}),
    ("flux-control-inpaint", "inpaint", 4, {"guidance": 10.0, "map": True, "strength": 0.8}),
]
MODELS = ("flux-dev", "flux-kontext", "sd35", "flux-fill", "flux-control")
# Pictures in the place of words, each with its scale and the pooled one.
REDUX_CASES = [
    ("flux-dev-redux", None, 3, {"guidance": 3.5, "redux": [("picture.png", 0.8, 0.5)]}),
    ("flux-dev-redux-two", None, 3, {"guidance": 2.5, "prompt": "", "redux": [("picture.png", 0.6, 1.0), ("map.png", 0.3, 0.0)]}),
]
# A LoRA that makes dev one of these, at a strength; alone, and beside another.
CONTROL_LORA_CASES = [
    ("flux-dev-control-lora", None, 4, {"guidance": 30.0, "map": True, "control_lora": 1.0}),
    ("flux-dev-control-lora-img2img", "img2img", 5, {"guidance": 10.0, "map": True, "strength": 0.7, "control_lora": 0.6,
                                                    "lora": ("flux-xlabs.safetensors", 0.8)}),
    ("flux-dev-control-lora-inpaint", "inpaint", 4, {"guidance": 10.0, "map": True, "strength": 0.8, "control_lora": 0.0}),
]
CONTROL_LORA = "flux-control.safetensors"
XLABS = {"qkv_lora1": ["to_q", "to_k", "to_v"], "qkv_lora2": ["add_q_proj", "add_k_proj", "add_v_proj"],
         "proj_lora1": ["to_out.0"], "proj_lora2": ["to_add_out"]}


def assembled(model, folder):
    """The folder of a model: that of `flux-dev` with what a wide relative of it has instead."""
    if model not in ("flux-fill", "flux-control"):
        return FIXTURES / "models" / model
    own, parts = FIXTURES / "models" / model, "transformer/diffusion_pytorch_model"
    shutil.copytree(FIXTURES / "models" / "flux-dev", folder)
    tensors = {}
    for shard in sorted(folder.glob(parts + "-*")):
        tensors |= load_file(shard)
        shard.unlink()
    (folder / (parts + ".safetensors.index.json")).unlink()
    shutil.copytree(own, folder, dirs_exist_ok=True)
    save_file(tensors | load_file(own / (parts + ".safetensors")), folder / (parts + ".safetensors"))
    return folder


def add_xlabs(transformer, file, scale):
    """Adds a LoRA with XLabs' names to the weights: diffusers' own reader takes transformers of full width alone."""
    factors = load_file(FIXTURES / "lora" / file)
    for name in (name for name in factors if name.endswith(".up.weight")):
        _, block, _, layer, *_ = name.split(".")
        delta = factors[name].float() @ factors[name.replace(".up.", ".down.")].float()
        modules = XLABS[layer]
        for module, rows in zip(modules, delta.chunk(len(modules))):
            weight = transformer.get_submodule(f"transformer_blocks.{block}.attn.{module}").weight
            weight.data += scale * rows


def add_control_lora(pipe, scale):
    """Adds the LoRA that takes a control map: names, first layer and norms by diffusers' own code, which is for blocks of full number
    and width; the low-rank products as PEFT's layers compute them, written out."""
    transformer, name = pipe.transformer, "_convert_bfl_flux_control_lora_to_diffusers"
    config, code, scope = transformer.config, inspect.getsource(getattr(lora_conversion_utils, name)), vars(lora_conversion_utils).copy()
    for published, own in (("num_layers = 19", config.num_layers), ("num_single_layers = 38", config.num_single_layers),
                           ("inner_dim = 3072", transformer.inner_dim)):
        assert f"    {published}\n" in code
        code = code.replace(f"    {published}\n", f"    {published.split()[0]} = {own}\n")
    exec(code, scope)
    state = scope[name]({key: tensor.float() for key, tensor in load_file(FIXTURES / "lora" / CONTROL_LORA).items()})
    is_norm = lambda key: any(norm in key for norm in pipe._control_lora_supported_norm_keys)
    norms = {key: state.pop(key) for key in list(state) if is_norm(key)}
    assert pipe._maybe_expand_transformer_param_shape_or_error_(transformer, dict(state), dict(norms))
    pipe._load_norm_into_transformer(norms, transformer=transformer)
    for key in (key for key in state if key.endswith(".lora_B.weight")):
        layer = transformer.get_submodule(key.removeprefix("transformer.").removesuffix(".lora_B.weight"))
        layer.weight.data += scale * state[key] @ state[key.replace("lora_B", "lora_A")]
        layer.bias.data += scale * state[key.replace("weight", "bias")]


def paint(pipe, arguments):
    """The pictures. Stable Diffusion 3's inpainting of diffusers 0.42.1 decodes without the VAE's shift, unlike its other pipelines,
    which is a mistake: its latents are decoded as those are."""
    if not isinstance(pipe, d.StableDiffusion3InpaintPipeline):
        return pipe(**arguments).images
    latents, config = pipe(output_type="latent", **arguments).images, pipe.vae.config
    with torch.no_grad():
        decoded = pipe.vae.decode(latents / config.scaling_factor + config.shift_factor).sample
    return pipe.image_processor.postprocess(decoded)


def words_of_pictures(pipe, prompt, shown):
    """What stands for a prompt with pictures."""
    parts = {name: getattr(pipe, name) for name in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")}
    prior = d.FluxPriorReduxPipeline.from_pretrained(FIXTURES / "models" / "flux-redux", torch_dtype=torch.float32, **parts)
    files, scales, pooled_scales = zip(*shown)
    images = [Image.open(OUT / "given" / file).convert("RGB") for file in files]
    return dict(prior(images, prompt=[prompt] * len(images), prompt_embeds_scale=list(scales),
                      pooled_prompt_embeds_scale=list(pooled_scales)))


def options(model, case):
    """What sdgen is asked, and what that is in diffusers."""
    command, steps, o = case[1], case[2], case[3]
    prompt = o.get("prompt", PROMPT)
    ours = {"--prompt": prompt, "--steps": str(steps), "--guidance": str(o["guidance"]),
            "--width": str(SIZE["width"]), "--height": str(SIZE["height"])}
    theirs = dict(prompt=prompt, num_inference_steps=steps, guidance_scale=o["guidance"], **SIZE)
    pairs = {"true_cfg": ("--true-cfg", "true_cfg_scale"), "negative": ("--negative-prompt", "negative_prompt"),
             "tokens": ("--max-tokens", "max_sequence_length"), "strength": ("--strength", "strength"),
             "batch": ("--batch", "num_images_per_prompt"),
             **{f"layer_{key}": (f"--skip-layer-{key}", f"skip_layer_guidance_{key}") for key in ("scale", "start", "stop")}}
    for key, (option, argument) in pairs.items():
        if key in o:
            ours[option] = str(o[key])
            theirs[argument] = o[key]
    if "layers" in o:
        ours |= {"--skip-layers": ",".join(map(str, o["layers"]))}
        theirs["skip_guidance_layers"] = o["layers"]
    loras = [o["lora"]] if "lora" in o else []
    loras += [(CONTROL_LORA, o["control_lora"])] if "control_lora" in o else []
    if loras:
        ours["--lora"] = ["{}:{}".format(*lora) for lora in loras]
    if "no_t5" in o:
        ours["--no-t5"] = None
    if "map" in o:
        ours |= {"--control": "canny=map.png", "--preprocessor": "none"}
        theirs["control_image"] = Image.open(OUT / "given" / "map.png").convert("RGB").resize(
            (SIZE["width"], SIZE["height"]), Image.LANCZOS)
    if "redux" in o:
        ours["--redux-model"] = "flux-redux"
        ours |= {"--redux": [":".join(map(str, shown)) for shown in o["redux"]]}
    if model == "flux-kontext":
        theirs["max_area"] = SIZE["width"] * SIZE["height"]
    if command and model == "flux-kontext":
        ours |= {"--image": "picture.png", "--no-auto-resize": None, "--alpha": "drop"}
        theirs |= {"image": Image.open(OUT / "given" / "picture.png").convert("RGB"), "_auto_resize": False}
    elif command:
        ours |= {"--image": "picture.png", "--resize": "stretch", "--alpha": "drop"}
        theirs["image"] = Image.open(OUT / "given" / "picture.png").convert("RGB").resize(
            (SIZE["width"], SIZE["height"]), Image.LANCZOS)
    if command == "inpaint":
        ours |= {"--mask": "mask.png", "--no-paste-back": None}
        theirs["mask_image"] = Image.open(OUT / "given" / "mask.png").resize((SIZE["width"], SIZE["height"]), Image.LANCZOS)
    return ours, theirs


def words(options):
    """Options as a command line; one with a list is given several times."""
    listed = [(name, value) for name, values in options.items() for value in (values if isinstance(values, list) else [values])]
    return [word for pair in listed for word in pair if word is not None]


def main():
    torch.set_num_threads(1)
    table = [row for row in json.loads((OUT / "cases.json").read_text()) if row["model"] not in MODELS]
    number = 300
    for model, kinds, cases in (("flux-dev", FLUX, FLUX_CASES), ("sd35", SD3, SD35_CASES), ("flux-dev", FLUX, LORA_CASES),
                                ("sd35", SD3, SKIP_CASES), ("flux-kontext", KONTEXT, KONTEXT_CASES),
                                ("flux-fill", FILL, FILL_CASES), ("flux-control", CONTROL, CONTROL_CASES),
                                ("flux-dev", FLUX, REDUX_CASES), ("flux-dev", CONTROL, CONTROL_LORA_CASES)):
        for case in cases:
            number += 1
            without = {"text_encoder_3": None, "tokenizer_3": None} if "no_t5" in case[3] else {}
            with tempfile.TemporaryDirectory() as folder:
                folder = assembled(model.replace("kontext", "dev"), Path(folder) / model)
                pipe = kinds[case[1]].from_pretrained(folder, torch_dtype=torch.float32, **without)
            pipe.set_progress_bar_config(disable=True)
            if "control_lora" in case[3]:
                add_control_lora(pipe, case[3]["control_lora"])
            if "lora" in case[3]:
                add_xlabs(pipe.transformer, *case[3]["lora"])
            ours, theirs = options(model, case)
            if "redux" in case[3]:
                theirs |= words_of_pictures(pipe, theirs.pop("prompt"), case[3]["redux"])
            pictures = paint(pipe, {"generator": torch.Generator("cpu").manual_seed(number), **theirs})
            for index, image in enumerate(pictures):
                image.save(OUT / f"{case[0]}-{index}.png", optimize=True)
            ours["--seed"] = str(number)
            command = case[1] or ("controlnet" if "map" in case[3] else "generate")
            table.append({"name": case[0], "model": model, "command": command, "pictures": len(pictures),
                          "arguments": words(ours)})
    lines = ",\n".join(json.dumps(row) for row in table)
    (OUT / "cases.json").write_text(f"[\n{lines}\n]\n")


main()
