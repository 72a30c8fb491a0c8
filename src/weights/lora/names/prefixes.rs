//! What stands in front of a module's name, and the component that it tells.

/// Flattened; one and the same front may be that of several components, and what follows decides.
const PREFIXES: [(&str, &str); 42] = [
    // kohya's scripts, OneTrainer, LyCORIS.
    ("lora_unet_", "unet"),
    ("lora_unet_", "transformer"),
    ("lora_transformer_", "transformer"),
    ("oft_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    // T5, which is the second encoder of FLUX and the third of Stable Diffusion 3.
    ("lora_te3_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
    // diffusers, PEFT in diffusers, and OneTrainer's OMI.
    ("unet_", "unet"),
    ("transformer_", "transformer"),
    ("text_encoder_", "text_encoder"),
    ("text_encoder_2_", "text_encoder_2"),
    ("text_encoder_3_", "text_encoder_3"),
    ("clip_l_", "text_encoder"),
    ("clip_g_", "text_encoder_2"),
    ("t5_", "text_encoder_2"),
    ("t5_", "text_encoder_3"),
    // ComfyUI.
    ("diffusion_model_", "unet"),
    ("diffusion_model_", "transformer"),
    ("text_encoders_clip_l_transformer_", "text_encoder"),
    ("text_encoders_clip_g_transformer_", "text_encoder_2"),
    ("text_encoders_t5xxl_transformer_", "text_encoder_2"),
    ("text_encoders_t5xxl_transformer_", "text_encoder_3"),
    // Checkpoints of the original code.
    ("model_diffusion_model_", "unet"),
    ("model_diffusion_model_", "transformer"),
    ("cond_stage_model_transformer_", "text_encoder"),
    ("cond_stage_model_model_", "text_encoder"),
    ("conditioner_embedders_0_transformer_", "text_encoder"),
    ("conditioner_embedders_1_model_", "text_encoder_2"),
    // LyCORIS outside of kohya's scripts, as SimpleTuner has it.
    ("lycoris_", "unet"),
    ("lycoris_", "transformer"),
    ("lycoris_", "text_encoder"),
    // PEFT by itself.
    ("base_model_model_unet_", "unet"),
    ("base_model_model_transformer_", "transformer"),
    ("base_model_model_", "unet"),
    ("base_model_model_", "transformer"),
    ("base_model_model_", "text_encoder"),
    // Attention processors of old versions of diffusers, XLabs and Black Forest Labs: nothing.
    ("", "unet"),
    ("", "transformer"),
    ("", "text_encoder"),
    ("", "text_encoder_2"),
];

/// Components that a flattened name can belong to, and its rest there.
pub fn split(flat: &str) -> impl Iterator<Item = (&'static str, &str)> {
    PREFIXES.iter().filter_map(move |(prefix, component)| Some((*component, flat.strip_prefix(prefix)?)))
}
