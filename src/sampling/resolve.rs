//! From a model's file to [`Settings`]: the file's values, and for those that are not in it the defaults of the diffusers
//! class behind the sampler. Values that this class does not know count as absent.

use serde_json::Value;

use super::config::SchedulerConfig;
use super::error::ScheduleError;
use super::settings::{Betas, Flow, Prediction, Settings, Shift, Solver, TimestepSpacing, Variance};
use super::{Sampler, SigmaSpacing};

/// The values that each class knows, beside those of all classes and the flags in [`SPACED`].
fn knows(sampler: Sampler, key: &str) -> bool {
    const CLIPPING: &str = "clip_sample clip_sample_range";
    const RESCALING: &str = "rescale_betas_zero_snr";
    const TIMESTEPS: &str = "timestep_spacing steps_offset";
    const SOLVER: &str = "solver_order solver_type lower_order_final final_sigmas_type thresholding use_flow_sigmas";
    let (shared, own): (&[&str], &str) = match sampler {
        Sampler::Ddim => (&[TIMESTEPS, CLIPPING, RESCALING], "set_alpha_to_one thresholding"),
        Sampler::Ddpm => (&[TIMESTEPS, CLIPPING, RESCALING], "variance_type thresholding"),
        Sampler::Pndm => (&[TIMESTEPS], "set_alpha_to_one skip_prk_steps"),
        Sampler::Euler => (&[TIMESTEPS, RESCALING], "final_sigmas_type interpolation_type timestep_type"),
        Sampler::EulerA => (&[TIMESTEPS, RESCALING], ""),
        Sampler::Heun => (&[TIMESTEPS, CLIPPING], ""),
        Sampler::DpmPp2m | Sampler::DpmPp2mSde => {
            (&[TIMESTEPS, SOLVER, RESCALING], "euler_at_final lambda_min_clipped use_lu_lambdas variance_type")
        }
        Sampler::DpmPpSde => (&[SOLVER], "lambda_min_clipped variance_type"),
        Sampler::UniPc => (&[TIMESTEPS, SOLVER, RESCALING], "disable_corrector predict_x0 solver_p"),
        Sampler::Lms => (&[TIMESTEPS], ""),
        Sampler::FlowEuler => (&[], "invert_sigmas shift_terminal stochastic_sampling time_shift_type"),
        Sampler::Lcm => (&[CLIPPING, RESCALING], "original_inference_steps timestep_scaling thresholding"),
    };
    shared.iter().flat_map(|keys| keys.split(' ')).chain(own.split(' ')).any(|known| known == key)
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
    /// The value, when this class knows it.
    fn known(&self, key: &str) -> Option<&Value> {
        self.file.value(key).filter(|_| knows(self.sampler, key))
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
        for key in ["invert_sigmas", "stochastic_sampling"] {
            if self.flag(key, false)? {
                return Err(self.file.unsupported(key, self.sampler));
            }
        }
        if self.known("shift_terminal").is_some_and(|value| value.as_f64() != Some(0.0)) {
            return Err(self.file.unsupported("shift_terminal", self.sampler));
        }
        if self.choice("time_shift_type", ["exponential", "linear"], "exponential or linear")? == 1 {
            return Err(self.file.unsupported("time_shift_type", self.sampler));
        }
        for (key, _) in SPACED {
            if self.sampler == Sampler::FlowEuler && self.file.flag(key, false)? {
                return Err(self.file.unsupported(key, self.sampler));
            }
        }
        if !self.flag("predict_x0", true)? {
            return Err(self.file.unsupported("predict_x0", self.sampler));
        }
        // Solvers take no variance but a learned one; `fixed_...` in a file is for DDPM.
        let variance = self.known("variance_type").and_then(Value::as_str).unwrap_or_default();
        if self.sampler != Sampler::Ddpm && variance.starts_with("learned") {
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

    fn steps_offset(&self, train_timesteps: usize) -> Result<usize, ScheduleError> {
        let key = "steps_offset";
        match self.known(key).map_or(Ok(0), |_| self.file.count(key, 0))? {
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
        let switches = SWITCHES.iter().copied().filter(|key| !knows(self.sampler, key));
        switches
            .chain(spaced)
            .filter(|key| self.file.value(key).and_then(Value::as_bool) == Some(true))
            .map(|key| format!("`{key}` of the model's scheduler has no effect on {}", self.sampler))
            .collect()
    }
}
