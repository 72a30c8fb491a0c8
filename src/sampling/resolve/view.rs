//! [`View`]: a model's file as the class behind one sampler sees it. What that class does not know counts as absent; what it knows and
//! no sampler here does is refused.

use serde_json::Value;

use crate::sampling::config::SchedulerConfig;
use crate::sampling::error::ScheduleError;
use crate::sampling::{Sampler, SigmaSpacing};

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
pub(super) const SPACED: [(&str, SigmaSpacing); 3] = [
    ("use_karras_sigmas", SigmaSpacing::Karras),
    ("use_exponential_sigmas", SigmaSpacing::Exponential),
    ("use_beta_sigmas", SigmaSpacing::Beta),
];

/// Switches that change the picture where they are known.
const SWITCHES: [&str; 3] = ["rescale_betas_zero_snr", "clip_sample", "thresholding"];

/// A file as one class sees it.
pub(super) struct View<'a> {
    pub(super) file: &'a SchedulerConfig,
    pub(super) sampler: Sampler,
}

impl View<'_> {
    /// The value, when this class knows it.
    pub(super) fn known(&self, key: &str) -> Option<&Value> {
        self.file.value(key).filter(|_| knows(self.sampler, key))
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, ScheduleError> {
        self.known(key).map_or(Ok(default), |_| self.file.flag(key, default))
    }

    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64, ScheduleError> {
        self.known(key).map_or(Ok(default), |_| self.file.number(key, default))
    }

    pub(super) fn count(&self, key: &str, default: usize) -> Result<usize, ScheduleError> {
        self.known(key).map_or(Ok(default), |_| self.file.count(key, default))
    }

    /// The index of the value among the choices, the first being the default.
    pub(super) fn choice<const N: usize>(
        &self,
        key: &str,
        choices: [&str; N],
        expected: &'static str,
    ) -> Result<usize, ScheduleError> {
        let Some(value) = self.known(key) else { return Ok(0) };
        choices.iter().position(|c| value.as_str() == Some(c)).ok_or_else(|| self.file.bad(key, expected))
    }

    pub(super) fn refuse_what_is_not_supported(&self) -> Result<(), ScheduleError> {
        for key in ["thresholding", "use_flow_sigmas", "use_lu_lambdas", "invert_sigmas", "stochastic_sampling"] {
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

    /// Switches that are on and have no effect.
    pub(super) fn notes(&self, requested: Option<SigmaSpacing>) -> Vec<String> {
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
