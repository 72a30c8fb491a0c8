//! What a sampler runs with, as values; `resolve` reads them from a model's file.

use serde::{Deserialize, Serialize};

use super::SigmaSpacing;

/// What the model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity (Salimans and Ho 2022).
    #[serde(rename = "v")]
    Velocity,
    /// The picture.
    Sample,
}

/// How the model was trained: the variance added at each of its timesteps.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Betas {
    Linear { start: f64, end: f64 },
    ScaledLinear { start: f64, end: f64 },
    SquaredCosine,
    Trained(Vec<f64>),
}

/// Which of the model's timesteps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimestepSpacing {
    Leading,
    Linspace,
    Trailing,
}

/// What DPM-Solver++ and UniPC are built from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Solver {
    /// 1 to 3.
    pub order: usize,
    /// The second form of the update: DPM-Solver's "heun" instead of "midpoint", UniPC's "bh1" instead of "bh2".
    pub second_form: bool,
    pub lower_order_final: bool,
    pub euler_at_final: bool,
    /// UniPC: steps that are not corrected.
    pub uncorrected: Vec<usize>,
}

/// The noise DDPM adds at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variance {
    FixedSmall,
    FixedLarge,
}

/// Where the noise levels of a model trained by flow matching begin and end before they are shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowGrid {
    /// At the first and the last of the model's own: Stable Diffusion 3.
    #[default]
    Model,
    /// At 1 and at a step's share of it: FLUX.
    Share,
}

/// How the noise levels of such a model are shifted towards noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shift {
    /// `s t / (1 + (s - 1) t)`.
    Factor(f64),
    /// `e^mu / (e^mu + 1 / t - 1)`, with a mu for the size of the picture.
    Exponential(f64),
}

/// What a model trained by flow matching is sampled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    pub grid: FlowGrid,
    pub shift: Shift,
}

/// Everything a sampler needs to know but the number of steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub train_timesteps: usize,
    pub betas: Betas,
    pub zero_terminal_snr: bool,
    pub prediction: Prediction,
    pub spacing: TimestepSpacing,
    pub steps_offset: usize,
    pub sigmas: SigmaSpacing,
    /// Ends of spaced sigmas that the file names, (least, greatest).
    pub sigma_ends: (Option<f64>, Option<f64>),
    /// The last sigma is the model's least one instead of zero.
    pub ends_at_sigma_min: bool,
    /// Euler: sigmas are interpolated between the logarithms of the ends.
    pub log_linear: bool,
    /// Euler: the model takes a quarter of the logarithm of sigma as its timestep.
    pub continuous_timesteps: bool,
    /// The predicted picture is kept within plus and minus this.
    pub clip: Option<f64>,
    /// The signal's share after the last step is 1, not that of timestep 0.
    pub final_alpha_one: bool,
    /// PNDM: no Runge-Kutta steps at the start.
    pub skip_runge_kutta: bool,
    pub variance: Variance,
    pub solver: Solver,
    /// DPM-Solver: timesteps with a log signal-to-noise ratio below this are left out.
    pub lambda_min: f64,
    /// LCM: the grid of timesteps it was distilled on.
    pub original_steps: usize,
    /// LCM.
    pub timestep_scaling: f64,
    /// Models trained by flow matching.
    pub flow: Option<Flow>,
}
