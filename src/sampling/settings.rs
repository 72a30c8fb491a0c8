//! What a sampler runs with: the values of the model's file, and for those that are not in it the defaults of the diffusers
//! class behind the sampler.

use serde_json::Value;

use super::config::SchedulerConfig;
use super::error::ScheduleError;
use super::{Sampler, SigmaSpacing};

/// What the model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity (Salimans and Ho 2022).
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
}

/// Values of the file that each class knows, beside those of all classes and those of [`SPACED`].
fn known_values(sampler: Sampler) -> &'static [&'static str] {
    match sampler {
        Sampler::Ddim => &[
            "clip_sample",
            "clip_sample_range",
            "set_alpha_to_one",
            "thresholding",
            "rescale_betas_zero_snr",
            "timestep_spacing",
            "steps_offset",
        ],
        Sampler::Ddpm => &[
            "clip_sample",
            "clip_sample_range",
            "thresholding",
            "rescale_betas_zero_snr",
            "timestep_spacing",
            "steps_offset",
            "variance_type",
        ],
        Sampler::Pndm => &["set_alpha_to_one", "skip_prk_steps", "timestep_spacing", "steps_offset"],
        Sampler::Euler => &[
            "final_sigmas_type",
            "interpolation_type",
            "rescale_betas_zero_snr",
            "timestep_spacing",
            "timestep_type",
            "steps_offset",
        ],
        Sampler::EulerA => &["rescale_betas_zero_snr", "timestep_spacing", "steps_offset"],
        Sampler::Heun => &["clip_sample", "clip_sample_range", "timestep_spacing", "steps_offset"],
        Sampler::DpmPp2m | Sampler::DpmPp2mSde => &[
            "euler_at_final",
            "final_sigmas_type",
            "lambda_min_clipped",
            "lower_order_final",
            "rescale_betas_zero_snr",
            "solver_order",
            "solver_type",
            "steps_offset",
            "thresholding",
            "timestep_spacing",
            "use_flow_sigmas",
            "use_lu_lambdas",
            "variance_type",
        ],
        Sampler::DpmPpSde => &[
            "final_sigmas_type",
            "lambda_min_clipped",
            "lower_order_final",
            "solver_order",
            "solver_type",
            "thresholding",
            "use_flow_sigmas",
            "variance_type",
        ],
        Sampler::UniPc => &[
            "disable_corrector",
            "final_sigmas_type",
            "lower_order_final",
            "predict_x0",
            "rescale_betas_zero_snr",
            "solver_order",
            "solver_p",
            "solver_type",
            "steps_offset",
            "thresholding",
            "timestep_spacing",
            "use_flow_sigmas",
        ],
        Sampler::Lms => &["timestep_spacing", "steps_offset"],
        Sampler::Lcm => &[
            "clip_sample",
            "clip_sample_range",
            "original_inference_steps",
            "rescale_betas_zero_snr",
            "thresholding",
            "timestep_scaling",
        ],
    }
}

/// The flags that ask for a spacing of sigmas.
const SPACED: [(&str, SigmaSpacing); 3] = [
    ("use_karras_sigmas", SigmaSpacing::Karras),
    ("use_exponential_sigmas", SigmaSpacing::Exponential),
    ("use_beta_sigmas", SigmaSpacing::Beta),
];

/// Switches that change the picture where they are known.
const SWITCHES: [&str; 3] = ["rescale_betas_zero_snr", "clip_sample", "thresholding"];

/// A file as one class sees it.
struct View<'a> {
    file: &'a SchedulerConfig,
    sampler: Sampler,
}

impl Settings {
    /// The settings of this sampler, and notes on values of the file that have no effect on it.
    pub(super) fn resolve(
        file: &SchedulerConfig,
        sampler: Sampler,
        sigmas: Option<SigmaSpacing>,
    ) -> Result<(Self, Vec<String>), ScheduleError> {
        let view = View { file, sampler };
        view.refuse_what_is_not_supported()?;
        let (requested, default_clip) = (sigmas, matches!(sampler, Sampler::Ddim | Sampler::Ddpm));
        let train_timesteps = file.count("num_train_timesteps", 1000)?;
        if !(1..=1_000_000).contains(&train_timesteps) {
            return Err(file.bad("num_train_timesteps", "1 to 1000000"));
        }
        let clip = view.flag("clip_sample", default_clip)?;
        let settings = Settings {
            train_timesteps,
            betas: view.betas(train_timesteps)?,
            zero_terminal_snr: view.flag("rescale_betas_zero_snr", false)?,
            prediction: view.prediction()?,
            spacing: view.spacing()?,
            steps_offset: view.known("steps_offset").map_or(Ok(0), |_| file.count("steps_offset", 0))?,
            sigmas: view.sigma_spacing(requested)?,
            sigma_ends: (view.sigma_end("sigma_min")?, view.sigma_end("sigma_max")?),
            ends_at_sigma_min: view.choice("final_sigmas_type", ["zero", "sigma_min"], "zero or sigma_min")? == 1,
            log_linear: view.choice("interpolation_type", ["linear", "log_linear"], "linear or log_linear")? == 1,
            continuous_timesteps: view.choice("timestep_type", ["discrete", "continuous"], "discrete or continuous")?
                == 1
                && file.prediction()? == Prediction::Velocity,
            clip: if clip { Some(view.number("clip_sample_range", 1.0)?) } else { None },
            final_alpha_one: view.flag("set_alpha_to_one", sampler != Sampler::Pndm)?,
            skip_runge_kutta: view.flag("skip_prk_steps", false)?,
            variance: view.variance()?,
            solver: view.solver()?,
            lambda_min: view.number("lambda_min_clipped", f64::NEG_INFINITY)?,
            original_steps: view.original_steps(train_timesteps)?,
            timestep_scaling: view.number("timestep_scaling", 10.0)?,
        };
        Ok((settings, view.notes(requested)))
    }
}

impl View<'_> {
    /// The value, when this class knows it.
    fn known(&self, key: &str) -> Option<&Value> {
        self.file.value(key).filter(|_| known_values(self.sampler).contains(&key))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, ScheduleError> {
        self.known(key).map_or(Ok(default), |_| self.file.flag(key, default))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, ScheduleError> {
        self.known(key).map_or(Ok(default), |_| self.file.number(key, default))
    }

    /// The index of the value among the choices, the first being the default.
    fn choice<const N: usize>(
        &self,
        key: &str,
        choices: [&str; N],
        expected: &'static str,
    ) -> Result<usize, ScheduleError> {
        let Some(value) = self.known(key) else { return Ok(0) };
        choices.iter().position(|c| value.as_str() == Some(c)).ok_or_else(|| self.file.bad(key, expected))
    }

    fn refuse_what_is_not_supported(&self) -> Result<(), ScheduleError> {
        for key in ["thresholding", "use_flow_sigmas", "use_lu_lambdas"] {
            if self.flag(key, false)? {
                return Err(self.file.unsupported(key, self.sampler));
            }
        }
        if !self.flag("predict_x0", true)? {
            return Err(self.file.unsupported("predict_x0", self.sampler));
        }
        let learned = self.sampler != Sampler::Ddpm && self.known("variance_type").is_some();
        if learned {
            return Err(self.file.unsupported("variance_type", self.sampler));
        }
        match self.known("solver_p") {
            Some(_) => Err(self.file.unsupported("solver_p", self.sampler)),
            None => Ok(()),
        }
    }

    fn prediction(&self) -> Result<Prediction, ScheduleError> {
        let prediction = self.file.prediction()?;
        if prediction == Prediction::Sample && self.sampler == Sampler::Pndm {
            return Err(self.file.unsupported("prediction_type", self.sampler));
        }
        Ok(prediction)
    }

    fn betas(&self, train_timesteps: usize) -> Result<Betas, ScheduleError> {
        if let Some(trained) = self.file.value("trained_betas") {
            let betas: Option<Vec<f64>> = trained.as_array().and_then(|a| a.iter().map(Value::as_f64).collect());
            return match betas {
                Some(betas) if betas.len() == train_timesteps => Ok(Betas::Trained(betas)),
                _ => Err(ScheduleError::BadValue {
                    key: "trained_betas".into(),
                    value: "a list".into(),
                    expected: "one number for each of `num_train_timesteps`",
                }),
            };
        }
        let (start, end, schedule) = match self.sampler {
            Sampler::Heun => (0.00085, 0.012, "linear"),
            Sampler::Lcm => (0.00085, 0.012, "scaled_linear"),
            _ => (0.0001, 0.02, "linear"),
        };
        let (start, end) = (self.file.number("beta_start", start)?, self.file.number("beta_end", end)?);
        match self.file.text("beta_schedule", schedule)? {
            "linear" => Ok(Betas::Linear { start, end }),
            "scaled_linear" => Ok(Betas::ScaledLinear { start, end }),
            "squaredcos_cap_v2" => Ok(Betas::SquaredCosine),
            _ => Err(self.file.unsupported("beta_schedule", self.sampler)),
        }
    }

    fn spacing(&self) -> Result<TimestepSpacing, ScheduleError> {
        let default = match self.sampler {
            Sampler::Ddim | Sampler::Ddpm | Sampler::Pndm => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
        };
        match self.known("timestep_spacing").map(Value::as_str) {
            None => Ok(default),
            Some(Some("leading")) => Ok(TimestepSpacing::Leading),
            Some(Some("linspace")) => Ok(TimestepSpacing::Linspace),
            Some(Some("trailing")) => Ok(TimestepSpacing::Trailing),
            Some(_) => Err(self.file.bad("timestep_spacing", "leading, linspace or trailing")),
        }
    }

    fn sigma_spacing(&self, requested: Option<SigmaSpacing>) -> Result<SigmaSpacing, ScheduleError> {
        if let Some(spacing) = requested {
            return if spacing == SigmaSpacing::Normal || self.sampler.takes_sigmas() {
                Ok(spacing)
            } else {
                Err(ScheduleError::SpacingUnknown { sampler: self.sampler, spacing })
            };
        }
        if !self.sampler.takes_sigmas() || self.sampler == Sampler::EulerA {
            // The class behind euler-a knows no spacing, so a file cannot ask it for one; a user can.
            return Ok(SigmaSpacing::Normal);
        }
        let mut asked = Vec::new();
        for (key, spacing) in SPACED {
            if self.file.flag(key, false)? {
                asked.push((key, spacing));
            }
        }
        match asked[..] {
            [] => Ok(SigmaSpacing::Normal),
            [(_, spacing)] => Ok(spacing),
            [.., (key, _)] => Err(self.file.bad(key, "only one of the `use_..._sigmas`")),
        }
    }

    /// The ends hold for all classes, known or not: diffusers reads them from what came with the file.
    fn sigma_end(&self, key: &str) -> Result<Option<f64>, ScheduleError> {
        match self.file.value(key) {
            None => Ok(None),
            Some(_) => match self.file.number(key, 1.0)? {
                end if end > 0.0 => Ok(Some(end)),
                _ => Err(self.file.bad(key, "a number above zero")),
            },
        }
    }

    fn variance(&self) -> Result<Variance, ScheduleError> {
        match self.known("variance_type").map(Value::as_str) {
            None | Some(Some("fixed_small" | "fixed_small_log")) => Ok(Variance::FixedSmall),
            Some(Some("fixed_large")) => Ok(Variance::FixedLarge),
            Some(_) => Err(self.file.unsupported("variance_type", self.sampler)),
        }
    }

    fn solver(&self) -> Result<Solver, ScheduleError> {
        let order = self.known("solver_order").map_or(Ok(2), |_| self.file.count("solver_order", 2))?;
        let most = if self.sampler == Sampler::DpmPpSde { 2 } else { 3 };
        if !(1..=most).contains(&order) {
            return Err(self.file.unsupported("solver_order", self.sampler));
        }
        let forms = ["midpoint", "heun", "bh1", "bh2", "logrho"];
        let form = self.choice("solver_type", forms, "midpoint, heun, bh1, bh2 or logrho")?;
        let second = if self.sampler == Sampler::UniPc { "bh1" } else { "heun" };
        let uncorrected = match self.known("disable_corrector") {
            None => Vec::new(),
            Some(steps) => serde_json::from_value(steps.clone())
                .map_err(|_| self.file.bad("disable_corrector", "a list of steps"))?,
        };
        Ok(Solver {
            order,
            second_form: forms[form] == second,
            lower_order_final: self.flag("lower_order_final", self.sampler != Sampler::DpmPpSde)?,
            euler_at_final: self.flag("euler_at_final", false)?,
            uncorrected,
        })
    }

    fn original_steps(&self, train_timesteps: usize) -> Result<usize, ScheduleError> {
        let key = "original_inference_steps";
        match self.known(key).map_or(Ok(50), |_| self.file.count(key, 50))? {
            steps if self.sampler != Sampler::Lcm || (1..=train_timesteps).contains(&steps) => Ok(steps),
            _ => Err(self.file.bad(key, "1 to `num_train_timesteps`")),
        }
    }

    fn notes(&self, requested: Option<SigmaSpacing>) -> Vec<String> {
        let spaced = SPACED
            .iter()
            .map(|(key, _)| *key)
            .filter(|_| requested.is_none() && (!self.sampler.takes_sigmas() || self.sampler == Sampler::EulerA));
        let switches = SWITCHES.iter().copied().filter(|key| !known_values(self.sampler).contains(key));
        switches
            .chain(spaced)
            .filter(|key| self.file.value(key).and_then(Value::as_bool) == Some(true))
            .map(|key| format!("`{key}` of the model's scheduler has no effect on {}", self.sampler))
            .collect()
    }
}
