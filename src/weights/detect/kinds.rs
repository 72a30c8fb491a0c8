//! What a file is that holds no component of a model: each is known by a piece of a tensor's name that nothing else has.

/// What a file of weights is, when it is not the parts of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A LoRA or one of its kin, which changes a model.
    Lora,
    /// A ControlNet.
    ControlNet,
    /// Vectors for words: textual inversion.
    Embedding,
    /// A relative of ControlNets that is not read, by name with its article.
    Relative(&'static str),
    /// Another thing by name, with its article.
    Named(&'static str),
}

impl Other {
    /// Whether a file with its names is nothing else, whatever other names it has.
    #[must_use]
    pub fn is_sure(self) -> bool {
        matches!(self, Other::Lora | Other::ControlNet | Other::Relative(_))
    }

    /// The name with its article: "a LoRA".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Other::Lora => "a LoRA",
            Other::ControlNet => "a ControlNet",
            Other::Embedding => "an embedding (textual inversion)",
            Other::Named(name) | Other::Relative(name) => name,
        }
    }
}

/// Where in a name the piece must stand.
enum At {
    Front,
    Inside,
    End,
}

/// In this order: a ControlNet has also the names of a UNet, a LoRA those of what it changes.
const SIGNS: [(At, &str, Other); 35] = [
    (At::Inside, ".lora_down.", Other::Lora),
    (At::Inside, ".lora_A.", Other::Lora),
    (At::Inside, ".lora.down.", Other::Lora),
    (At::Inside, "_lora.down.", Other::Lora),
    (At::Inside, ".lora_linear_layer.", Other::Lora),
    (At::Inside, ".hada_w1", Other::Lora),
    (At::Inside, ".lokr_w1", Other::Lora),
    (At::Inside, ".oft_blocks", Other::Lora),
    (At::Inside, ".oft_diag", Other::Lora),
    (At::End, ".on_input", Other::Lora),
    (At::Front, "lllite_", Other::Relative("a ControlNet-LLLite")),
    (At::Inside, ".base_to_ctrl.", Other::Relative("a ControlNet-XS")),
    (At::Inside, "enc_zero_convs_", Other::Relative("a ControlNet-XS")),
    (At::Front, "controlnet_cond_embedding.", Other::ControlNet),
    (At::Front, "control_model.", Other::ControlNet),
    (At::Front, "input_hint_block.", Other::ControlNet),
    (At::Front, "controlnet_blocks.", Other::ControlNet),
    (At::Front, "controlnet_x_embedder.", Other::ControlNet),
    (At::Front, "lora_controlnet", Other::ControlNet),
    (At::Front, "string_to_param.", Other::Embedding),
    (At::Front, "emb_params", Other::Embedding),
    (At::Front, "image_proj.", Other::Named("an IP-Adapter")),
    (At::Front, "image_proj_model.", Other::Named("an IP-Adapter")),
    (At::Front, "ip_adapter.", Other::Named("an IP-Adapter")),
    (At::Inside, "motion_modules.", Other::Named("a motion module (AnimateDiff)")),
    (At::Front, "body.0.rdb1.", Other::Named("an upscaler (ESRGAN)")),
    (At::Front, "params_ema.", Other::Named("an upscaler (ESRGAN)")),
    (At::Front, "model.0.weight", Other::Named("an upscaler (ESRGAN)")),
    (At::Front, "redux_up.", Other::Named("an image embedder (FLUX.1 Redux)")),
    (At::Front, "vision_model.head.", Other::Named("a vision encoder (SigLIP)")),
    (At::Front, "vision_model.embeddings.", Other::Named("a vision encoder (CLIP)")),
    (At::Front, "visual.", Other::Named("a vision encoder (CLIP)")),
    (At::Front, "taesd_decoder.", Other::Named("a small autoencoder (TAESD)")),
    (At::Front, "decoder.layers.", Other::Named("a small autoencoder (TAESD)")),
    (At::Inside, "model.layers.0.self_attn.", Other::Named("a language model")),
];

/// What the file is, by its tensors' names.
pub fn find(names: &[String]) -> Option<Other> {
    let fits = |(at, piece, _): &&(At, &str, Other)| {
        names.iter().any(|name| match at {
            At::Front => name.starts_with(piece),
            At::Inside => name.contains(piece),
            At::End => name.ends_with(piece),
        })
    };
    if let Some((.., other)) = SIGNS.iter().find(fits) {
        return Some(*other);
    }
    // SDXL's embeddings are nothing but two tensors.
    let bare = |name: &String| name == "clip_l" || name == "clip_g";
    (!names.is_empty() && names.iter().all(bare)).then_some(Other::Embedding)
}
