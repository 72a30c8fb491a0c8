//! What a file says about the prediction of its network. Tensors do not show it; some writers say it beside them.

use crate::weights::WeightFile;

/// What a file says about its network's prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// `Some(true)` when it predicts the velocity, `Some(false)` when the noise, nothing when the file is silent.
    pub velocity: Option<bool>,
    /// Whether it was trained with no signal left at the last timestep (Lin et al. 2023).
    pub zero_terminal_snr: bool,
}

/// Tensors without numbers that trainers of SDXL put into a file as flags; ComfyUI introduced them.
const VELOCITY_KEY: &str = "v_pred";
const ZERO_SNR_KEY: &str = "ztsnr";

/// Training steps at which Stability AI published a file of SD 2.x; diffusers decides by them too.
const STEPS: [(&str, bool); 2] = [("875000", false), ("110000", true)];

impl Told {
    /// What the file says.
    #[must_use]
    pub fn by(file: &WeightFile) -> Self {
        let has = |name: &str| file.source.info(name).is_some();
        let velocity = if has(VELOCITY_KEY) { Some(true) } else { in_words(file) };
        Told { velocity, zero_terminal_snr: has(ZERO_SNR_KEY) }
    }

    /// Whether the file says that its network predicts the velocity.
    #[must_use]
    pub fn is_velocity(self) -> bool {
        self.velocity == Some(true)
    }
}

/// The fields of Stability AI's model spec that tell, then the training step.
fn in_words(file: &WeightFile) -> Option<bool> {
    let word = |key: &str| file.metadata.get(key).map(String::as_str);
    match word("modelspec.prediction_type") {
        Some("v" | "v_prediction" | "v-prediction") => return Some(true),
        Some("epsilon") => return Some(false),
        _ => {}
    }
    match word("modelspec.architecture").map(|name| name.split('/').next().unwrap_or(name)) {
        Some("stable-diffusion-v2-768-v") => return Some(true),
        Some("stable-diffusion-v2-512") => return Some(false),
        _ => {}
    }
    let step = word("global_step")?;
    STEPS.iter().find(|(known, _)| *known == step).map(|(_, velocity)| *velocity)
}
