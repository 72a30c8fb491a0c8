"""Reference values of `models::taesd`: the decoder of a tiny `AutoencoderTiny` of diffusers 0.42.1 with random weights, latents, and what it
makes of them, in one file. `python tiny_decoder.py tests/fixtures`"""

import sys

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(5)
channels = (8, 8, 8, 8)
model = AutoencoderTiny(latent_channels=4, encoder_block_out_channels=channels, decoder_block_out_channels=channels).eval()
for parameter in model.parameters():
    if parameter.dim() > 1:
        torch.nn.init.normal_(parameter, std=0.1)
latents = torch.randn(1, 4, 5, 3) * 2
with torch.no_grad():
    decoded = model.decode(latents).sample.contiguous()
decoder = {name: value.contiguous() for name, value in model.state_dict().items() if name.startswith("decoder.")}
save_file({**decoder, "latents": latents, "decoded": decoded}, f"{sys.argv[1]}/taesd.safetensors")
print(f"decoded {tuple(decoded.shape)} from {decoded.min():.3f} to {decoded.max():.3f}")
