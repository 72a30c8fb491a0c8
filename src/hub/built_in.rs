//! The model inside the binary: a small Stable Diffusion trained on emoji (`assets/emoji/NOTICE.md`, `tools/emoji/`).

/// A file of the built-in model, by its path in the diffusers layout.
macro_rules! file {
    ($path:literal) => {
        ($path, include_bytes!(concat!("../../assets/emoji/", $path)) as &'static [u8])
    };
}

/// The built-in model's folder.
pub const FILES: &[(&str, &[u8])] = &[
    file!("model_index.json"),
    file!("scheduler/scheduler_config.json"),
    file!("text_encoder/config.json"),
    file!("text_encoder/model.safetensors"),
    file!("tokenizer/vocab.json"),
    file!("tokenizer/merges.txt"),
    file!("tokenizer/tokenizer_config.json"),
    file!("unet/config.json"),
    file!("unet/diffusion_pytorch_model.safetensors"),
    file!("vae/config.json"),
    file!("vae/diffusion_pytorch_model.safetensors"),
];
