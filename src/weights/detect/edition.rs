//! Which of the published models of a family a transformer is like.

use crate::nn::ParamSource;

/// A published model of FLUX.1 or Stable Diffusion 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// FLUX.1 schnell, without guidance.
    FluxSchnell,
    /// FLUX.1 dev, whose guidance is an input.
    FluxDev,
    /// FLUX.1 Kontext, which edits a picture as it is told. Its tensors are those of dev.
    FluxKontext,
    /// FLUX.1 Fill: a masked picture and a mask are inputs.
    FluxFill,
    /// FLUX.1 Canny or Depth: a control map is an input.
    FluxControl,
    /// Stable Diffusion 3 medium.
    Sd3Medium,
    /// Stable Diffusion 3.5 medium, some of whose blocks have a second attention.
    Sd35Medium,
    /// Stable Diffusion 3.5 large, and large turbo, which has the same tensors.
    Sd35Large,
}

impl Edition {
    /// The model that is like these tensors, which have the names of diffusers. Relatives of both families (Chroma, Qwen-Image) have
    /// blocks of the same names, and other layers around them: they are none.
    pub(super) fn of(transformer: &dyn ParamSource) -> Option<Self> {
        let has = |name: &str| transformer.info(name).is_some();
        let side = |name: &str, axis: usize| transformer.info(name)?.0.dims().get(axis).copied();
        if !has("time_text_embed.text_embedder.linear_1.weight") {
            return None;
        }
        if has("single_transformer_blocks.0.proj_mlp.weight") {
            let (taken, given) = (side("x_embedder.weight", 1)?, side("proj_out.weight", 0)?);
            let guided = has("time_text_embed.guidance_embedder.linear_1.weight");
            return match taken {
                // A masked picture as large as the latents, and 64 pixels of the mask to a latent, where latents have 16 channels.
                taken if taken == 6 * given => Some(Edition::FluxFill),
                taken if taken == 2 * given => Some(Edition::FluxControl),
                taken if taken == given => Some(if guided { Edition::FluxDev } else { Edition::FluxSchnell }),
                _ => None,
            };
        }
        let normed = has("transformer_blocks.0.attn.norm_q.weight");
        has("pos_embed.proj.weight").then(|| match (normed, has("transformer_blocks.0.attn2.to_q.weight")) {
            (false, _) => Edition::Sd3Medium,
            (true, true) => Edition::Sd35Medium,
            (true, false) => Edition::Sd35Large,
        })
    }

    /// The same, of something that is called so: what nothing but its name tells from another model.
    pub(super) fn called(self, name: &str) -> Self {
        match self {
            Edition::FluxDev if name.to_lowercase().contains("kontext") => Edition::FluxKontext,
            edition => edition,
        }
    }

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Edition::FluxSchnell => "FLUX.1 schnell",
            Edition::FluxDev => "FLUX.1 dev",
            Edition::FluxKontext => "FLUX.1 Kontext",
            Edition::FluxFill => "FLUX.1 Fill",
            Edition::FluxControl => "FLUX.1 Canny or Depth",
            Edition::Sd3Medium => "SD 3 medium",
            Edition::Sd35Medium => "SD 3.5 medium",
            Edition::Sd35Large => "SD 3.5 large",
        }
    }

    /// The same without the family.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Edition::FluxSchnell => "schnell",
            Edition::FluxDev => "dev",
            Edition::FluxKontext => "kontext",
            Edition::FluxFill => "fill",
            Edition::FluxControl => "canny or depth",
            Edition::Sd3Medium | Edition::Sd35Medium => "medium",
            Edition::Sd35Large => "large",
        }
    }

    /// Whether it is of Stable Diffusion 3.5.
    #[must_use]
    pub fn is_sd35(self) -> bool {
        matches!(self, Edition::Sd35Medium | Edition::Sd35Large)
    }

    /// Whether it is a FLUX.1.
    #[must_use]
    pub fn is_flux(self) -> bool {
        !matches!(self, Edition::Sd3Medium | Edition::Sd35Medium | Edition::Sd35Large)
    }
}
