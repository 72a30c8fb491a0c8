//! How to get from noise to the picture.

use clap::Args;

use super::values;
use crate::request::limits;
use crate::sampling::{Rng, Sampler, SigmaSpacing};

/// The options of the heading "Sampling".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Denoising steps, 1 to 150 [default: by the model].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, limits::STEPS))]
    pub steps: Option<usize>,

    /// How closely to follow the prompt, 0 to 20, with FLUX.1 to 100 [default: the model's].
    ///
    /// The scale of classifier-free guidance. At 1 and below there is no guidance: the negative prompt has no effect and a
    /// step takes half the time.
    #[arg(short, long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::GUIDANCE))]
    pub guidance: Option<f64>,

    /// Guides FLUX away from the negative prompt, 0 to 20 [default: 1, off].
    ///
    /// The scale of classifier-free guidance, beside the guidance that FLUX.1 dev takes as an input. A step takes twice the time.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::LED_AWAY))]
    pub true_cfg: Option<f64>,

    /// Layers of Stable Diffusion 3.5 to guide by, such as 7,8,9.
    ///
    /// Skip-layer guidance: the picture is led away from what the model predicts without these layers, counted from 0, which
    /// betters the anatomy of Stable Diffusion 3.5 medium (7,8,9 is its publishers' choice). It needs guidance, and steps that
    /// have it take half as long again.
    #[arg(long, value_name = "N,N,...", allow_negative_numbers = true, value_parser = values::layers)]
    pub skip_layers: Option<Layers>,

    /// How far `--skip-layers` leads away, 0 to 20 [default: 2.8].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::LED_AWAY))]
    pub skip_layer_scale: Option<f64>,

    /// The part of the steps after which `--skip-layers` begins, 0 to 1 [default: 0.01].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::FRACTION))]
    pub skip_layer_start: Option<f64>,

    /// The part of the steps before which `--skip-layers` ends, 0 to 1 [default: 0.2].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::FRACTION))]
    pub skip_layer_stop: Option<f64>,

    /// Tones down strong guidance, 0 to 1 [default: 0, off].
    ///
    /// Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed"; 0.7 is their choice for models with
    /// zero terminal signal-to-noise ratio.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::FRACTION))]
    pub guidance_rescale: Option<f64>,

    /// The sampler [default: the model's].
    ///
    /// One of ddim, ddpm, pndm, euler, euler-a, heun, dpm++2m, dpm++2m-sde, dpm++sde, unipc, lms, lcm, flow-euler,
    /// which is for FLUX and Stable Diffusion 3 and their only one. `dpm++2m-karras` is
    /// short for `dpm++2m` with `--sigmas karras`; the other spacings can stand there too.
    #[arg(long, value_name = "NAME", value_parser = values::scheduler)]
    pub scheduler: Option<SchedulerChoice>,

    /// How noise levels are spaced [default: the model's].
    ///
    /// One of normal, karras, exponential, beta.
    #[arg(long, value_name = "NAME", value_parser = values::name::<SigmaSpacing>)]
    pub sigmas: Option<SigmaSpacing>,

    /// Noise that ddim adds at each step, 0 to 1 [default: 0].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::FRACTION))]
    pub eta: Option<f64>,

    /// The number that noise is drawn from, or `random`.
    ///
    /// The same seed gives the same picture. A random seed is printed and stored in the picture. Of torch's CPU generator
    /// only the low 32 bits of a seed count.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "random", value_parser = values::seed)]
    pub seed: Seed,

    /// Whose random numbers: torch or philox.
    ///
    /// `torch` draws what torch's CPU generator draws, `philox` what its CUDA generator draws.
    #[arg(long, value_name = "NAME", default_value = "torch", value_parser = values::name::<Rng>)]
    pub rng: Rng,
}

/// What `--scheduler` names: a sampler, and the spacing of noise levels that a suffix asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerChoice {
    /// The sampler.
    pub sampler: Sampler,
    /// The spacing, if the name carries one.
    pub sigmas: Option<SigmaSpacing>,
}

/// What `--skip-layers` names. A type of its own, since clap takes a vector for an option that repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers(pub Vec<usize>);

/// Where the seed comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// Drawn anew.
    Random,
    /// Given.
    Fixed(u64),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::sampling::{Sampler, SigmaSpacing};

    #[test]
    fn help_names_every_sampler_and_spacing() {
        let mut command = crate::cli::Cli::command();
        let help = command.find_subcommand_mut("generate").unwrap().render_long_help().to_string();
        let words: Vec<&str> = help.split(|c: char| c.is_whitespace() || matches!(c, ',' | '.')).collect();
        let names = Sampler::ALL.iter().map(|s| s.name()).chain(SigmaSpacing::ALL.iter().map(|s| s.name()));
        for name in names {
            assert!(words.contains(&name), "`{name}` is not in the help");
        }
    }
}
