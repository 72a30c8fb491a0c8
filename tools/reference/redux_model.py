#!/usr/bin/env python3
"""A tiny FLUX.1 Redux with random weights for the tiny FLUX.1 dev, in tests/fixtures/models/flux-redux, and what it makes of a picture, in
tests/fixtures/redux.safetensors. Names are those of the published files: newer versions of transformers leave out `vision_model.`.

    python3 tools/reference/redux_model.py
"""
import json
from pathlib import Path

import diffusers as d
import torch
from safetensors.torch import save_file
from transformers import SiglipVisionConfig, SiglipVisionModel

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
OUT = FIXTURES / "models" / "flux-redux"
INDEX = {"_class_name": "FluxPriorReduxPipeline", "feature_extractor": ["transformers", "SiglipImageProcessor"],
         "image_embedder": ["diffusers", "ReduxImageEncoder"], "image_encoder": ["transformers", "SiglipVisionModel"]}


def save(folder, file, tensors, config):
    (OUT / folder).mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}, OUT / folder / file)
    (OUT / folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=60, patch_size=14)
    encoder = SiglipVisionModel(SiglipVisionConfig(**sizes)).eval()
    embedder = d.pipelines.flux.modeling_flux.ReduxImageEncoder(redux_dim=32, txt_in_features=48).eval()
    with torch.no_grad():
        for network in (encoder, embedder):
            for name, weight in network.named_parameters():
                scale = 0.3 if weight.ndim == 1 else 1.5 / weight[0].numel() ** 0.5
                weight.copy_((scale * torch.randn_like(weight) + ("norm" in name and name.endswith("weight"))).bfloat16().float())
        pixels = torch.rand(1, 3, 60, 60) * 2 - 1
        states = embedder(encoder(pixel_values=pixels).last_hidden_state).image_embeds
    save_file({"pixels": pixels, "states": states}, FIXTURES / "redux.safetensors")
    save("image_encoder", "model.safetensors", {f"vision_model.{name}": tensor for name, tensor in encoder.state_dict().items()},
         {"architectures": ["SiglipVisionModel"], "model_type": "siglip_vision_model", **sizes})
    save("image_embedder", "diffusion_pytorch_model.safetensors", embedder.state_dict(),
         {"_class_name": "ReduxImageEncoder", "redux_dim": 32, "txt_in_features": 48})
    (OUT / "feature_extractor").mkdir(exist_ok=True)
    extractor = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 60, "width": 60}, "resample": 3,
                 "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    (OUT / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(extractor, indent=2) + "\n")
    (OUT / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")


main()
