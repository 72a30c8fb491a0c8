//! What stands in front of a module's name, and the component that it tells.

/// Flattened; one and the same front may be that of several components, and what follows decides.
const PREFIXES: [(&str, &str); 25] = [
    // kohya's scripts, OneTrainer, LyCORIS.
    ("lora_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    // diffusers, PEFT in diffusers, and OneTrainer's OMI.
    ("unet_", "unet"),
    ("text_encoder_", "text_encoder"),
    ("text_encoder_2_", "text_encoder_2"),
    ("clip_l_", "text_encoder"),
    ("clip_g_", "text_encoder_2"),
    // ComfyUI.
    ("diffusion_model_", "unet"),
    ("text_encoders_clip_l_transformer_", "text_encoder"),
    ("text_encoders_clip_g_transformer_", "text_encoder_2"),
    // Checkpoints of the original code.
    ("model_diffusion_model_", "unet"),
    ("cond_stage_model_transformer_", "text_encoder"),
    ("cond_stage_model_model_", "text_encoder"),
    ("conditioner_embedders_0_transformer_", "text_encoder"),
    ("conditioner_embedders_1_model_", "text_encoder_2"),
    // LyCORIS outside of kohya's scripts, as SimpleTuner has it.
    ("lycoris_", "unet"),
    ("lycoris_", "text_encoder"),
    // PEFT by itself.
    ("base_model_model_unet_", "unet"),
    ("base_model_model_", "unet"),
    ("base_model_model_", "text_encoder"),
    // Attention processors of old versions of diffusers: nothing.
    ("", "unet"),
    ("", "text_encoder"),
    ("", "text_encoder_2"),
];

/// Components that a flattened name can belong to, and its rest there.
pub fn split(flat: &str) -> impl Iterator<Item = (&'static str, &str)> {
    PREFIXES.iter().filter_map(move |(prefix, component)| Some((*component, flat.strip_prefix(prefix)?)))
}
