//! From a model's file to [`Settings`]: the file's values, and for those that are not in it the defaults of the diffusers
//! class behind the sampler. Values that this class does not know count as absent.

mod view;

use serde_json::Value;

use super::config::SchedulerConfig;
use super::error::ScheduleError;
use super::settings::{Betas, Flow, Prediction, Settings, Shift, Solver, TimestepSpacing, Variance};
use super::{Sampler, SigmaSpacing};
use view::{View, SPACED};

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
        if !(2..=100_000).contains(&train_timesteps) {
            return Err(file.bad("num_train_timesteps", "2 to 100000"));
        }
        let clip = view.flag("clip_sample", default_clip)?;
        let settings = Settings {
            train_timesteps,
            betas: view.betas(train_timesteps)?,
            zero_terminal_snr: view.flag("rescale_betas_zero_snr", false)?,
            prediction: view.prediction()?,
            spacing: view.spacing()?,
            steps_offset: view.steps_offset(train_timesteps)?,
            sigmas: view.sigma_spacing(requested)?,
            sigma_ends: (view.sigma_end("sigma_min")?, view.sigma_end("sigma_max")?),
            ends_at_sigma_min: view.choice("final_sigmas_type", ["zero", "sigma_min"], "zero or sigma_min")? == 1,
            log_linear: view.choice("interpolation_type", ["linear", "log_linear"], "linear or log_linear")? == 1,
            continuous_timesteps: view.continuous_timesteps()?,
            clip: if clip { Some(view.number("clip_sample_range", 1.0)?) } else { None },
            final_alpha_one: view.flag("set_alpha_to_one", sampler != Sampler::Pndm)?,
            skip_runge_kutta: view.flag("skip_prk_steps", false)?,
            variance: view.variance()?,
            solver: view.solver()?,
            lambda_min: view.number("lambda_min_clipped", f64::NEG_INFINITY)?,
            original_steps: view.original_steps(train_timesteps)?,
            timestep_scaling: view.number("timestep_scaling", 10.0)?,
            flow: if sampler == Sampler::FlowEuler { Some(view.flow()?) } else { None },
        };
        Ok((settings, view.notes(requested)))
    }
}

impl View<'_> {
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

    fn steps_offset(&self, train_timesteps: usize) -> Result<usize, ScheduleError> {
        let key = "steps_offset";
        match self.count(key, 0)? {
            offset if offset < train_timesteps => Ok(offset),
            _ => Err(self.file.bad(key, "less than `num_train_timesteps`")),
        }
    }

    /// As in the reference, only models that predict velocity have them.
    fn continuous_timesteps(&self) -> Result<bool, ScheduleError> {
        let kind = self.choice("timestep_type", ["discrete", "continuous"], "discrete or continuous")?;
        Ok(kind == 1 && self.file.prediction()? == Prediction::Velocity)
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

    /// The shift of the class, or that of the picture's size: a straight line through two sizes, as in FLUX's pipeline.
    fn flow(&self) -> Result<Flow, ScheduleError> {
        let file = self.file;
        let (grid, tokens) = file.flow();
        if !file.flag("use_dynamic_shifting", false)? {
            return match file.number("shift", 1.0)? {
                shift if shift > 0.0 => Ok(Flow { grid, shift: Shift::Factor(shift) }),
                _ => Err(file.bad("shift", "a number above zero")),
            };
        }
        let sizes = (file.number("base_image_seq_len", 256.0)?, file.number("max_image_seq_len", 4096.0)?);
        let shifts = (file.number("base_shift", 0.5)?, file.number("max_shift", 1.15)?);
        if sizes.1 <= sizes.0 {
            return Err(file.bad("max_image_seq_len", "more than `base_image_seq_len`"));
        }
        let slope = (shifts.1 - shifts.0) / (sizes.1 - sizes.0);
        Ok(Flow { grid, shift: Shift::Exponential(tokens as f64 * slope + (shifts.0 - slope * sizes.0)) })
    }

    fn variance(&self) -> Result<Variance, ScheduleError> {
        match self.known("variance_type").map(Value::as_str) {
            None | Some(Some("fixed_small" | "fixed_small_log")) => Ok(Variance::FixedSmall),
            Some(Some("fixed_large")) => Ok(Variance::FixedLarge),
            Some(_) => Err(self.file.unsupported("variance_type", self.sampler)),
        }
    }

    fn solver(&self) -> Result<Solver, ScheduleError> {
        let order = self.count("solver_order", 2)?;
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
        match self.count(key, 50)? {
            steps if self.sampler != Sampler::Lcm || (1..=train_timesteps).contains(&steps) => Ok(steps),
            _ => Err(self.file.bad(key, "1 to `num_train_timesteps`")),
        }
    }
}
