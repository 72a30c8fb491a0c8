//! Latents to colours for the published autoencoders: linear approximations that the field measured, as ComfyUI has them in
//! `latent_formats.py` (first made by K. Turner for Stable Diffusion 1). Rows are channels of the latents as the denoiser has them; columns
//! red, green and blue from -1 to 1.

use crate::pipeline::Family;

/// A linear approximation of a decoder.
pub(super) struct LatentRgb {
    /// What the autoencoder's config says that latents are multiplied by.
    scaling_factor: f64,
    /// A row for each channel.
    pub(super) factors: &'static [[f32; 3]],
    /// Added.
    pub(super) bias: [f32; 3],
}

/// Channels of the blocks of all published autoencoders. Others may scale their latents alike, and mean something else by them.
const PUBLISHED: [usize; 4] = [128, 256, 512, 512];

/// That of the built-in model's own autoencoder, fitted to 16 pictures that it painted.
pub(super) const BUILT_IN: LatentRgb = LatentRgb {
    scaling_factor: 0.18215,
    factors: &[[0.4729, 0.0980, 0.0530], [0.2934, 0.5706, 0.4071], [-0.2917, 0.0886, 0.3089], [0.2936, 0.6423, 0.2468]],
    bias: [0.7394, 0.6310, 0.5544],
};

/// That of a family whose latents are those of a published model.
pub(super) fn published(family: &Family) -> Option<&'static LatentRgb> {
    let vae = &family.vae;
    let normalised = vae.latents_mean.is_some() || vae.latents_std.is_some();
    if normalised || vae.block_out_channels != PUBLISHED {
        return None;
    }
    let known = |known: &&LatentRgb| {
        known.factors.len() == vae.latent_channels && (known.scaling_factor - vae.scaling_factor).abs() < 1e-6
    };
    [&SD, &SDXL, &SD3, &FLUX].into_iter().find(known)
}

const SD: LatentRgb = LatentRgb {
    scaling_factor: 0.18215,
    factors: &[
        [0.3512, 0.2297, 0.3227],
        [0.3250, 0.4974, 0.2350],
        [-0.2829, 0.1762, 0.2721],
        [-0.2120, -0.2616, -0.7177],
    ],
    bias: [0.0; 3],
};

const SDXL: LatentRgb = LatentRgb {
    scaling_factor: 0.13025,
    factors: &[
        [0.3651, 0.4232, 0.4341],
        [-0.2533, -0.0042, 0.1068],
        [0.1076, 0.1111, -0.0362],
        [-0.3165, -0.2492, -0.2188],
    ],
    bias: [0.1084, -0.0175, -0.0011],
};

const SD3: LatentRgb = LatentRgb {
    scaling_factor: 1.5305,
    factors: &[
        [-0.0922, -0.0175, 0.0749],
        [0.0311, 0.0633, 0.0954],
        [0.1994, 0.0927, 0.0458],
        [0.0856, 0.0339, 0.0902],
        [0.0587, 0.0272, -0.0496],
        [-0.0006, 0.1104, 0.0309],
        [0.0978, 0.0306, 0.0427],
        [-0.0042, 0.1038, 0.1358],
        [-0.0194, 0.0020, 0.0669],
        [-0.0488, 0.0130, -0.0268],
        [0.0922, 0.0988, 0.0951],
        [-0.0278, 0.0524, -0.0542],
        [0.0332, 0.0456, 0.0895],
        [-0.0069, -0.0030, -0.0810],
        [-0.0596, -0.0465, -0.0293],
        [-0.1448, -0.1463, -0.1189],
    ],
    bias: [0.2394, 0.2135, 0.1925],
};

const FLUX: LatentRgb = LatentRgb {
    scaling_factor: 0.3611,
    factors: &[
        [-0.0346, 0.0244, 0.0681],
        [0.0034, 0.0210, 0.0687],
        [0.0275, -0.0668, -0.0433],
        [-0.0174, 0.0160, 0.0617],
        [0.0859, 0.0721, 0.0329],
        [0.0004, 0.0383, 0.0115],
        [0.0405, 0.0861, 0.0915],
        [-0.0236, -0.0185, -0.0259],
        [-0.0245, 0.0250, 0.1180],
        [0.1008, 0.0755, -0.0421],
        [-0.0515, 0.0201, 0.0011],
        [0.0428, -0.0012, -0.0036],
        [0.0817, 0.0765, 0.0749],
        [-0.1264, -0.0522, -0.1103],
        [-0.0280, -0.0881, -0.0499],
        [-0.1262, -0.0982, -0.0778],
    ],
    bias: [-0.0329, -0.0718, -0.0851],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::family::testing::family;

    #[test]
    fn the_latents_of_published_models_are_known_and_no_others() {
        for (model, known) in [("sd15", &SD), ("sd21", &SD), ("sdxl", &SDXL), ("sd35", &SD3), ("flux-dev", &FLUX)] {
            let mut family = family(model);
            assert!(published(&family).is_none(), "the tiny model's latents are its own");
            family.vae.block_out_channels = PUBLISHED.to_vec();
            assert_eq!(published(&family).unwrap().factors, known.factors, "{model}");
            family.vae.latents_mean = Some(vec![0.0; 4]);
            assert!(published(&family).is_none(), "channels that are normalised mean something else");
        }
    }
}
