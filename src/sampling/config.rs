//! A model's `scheduler_config.json`: which sampler it names, what its model predicts, and corrections of what early files have wrong.

mod values;

use serde_json::{Map, Value};

use super::error::ScheduleError;
use super::settings::{FlowGrid, Prediction, Settings};
use super::{Sampler, SigmaSpacing};

/// A scheduler's configuration as its file has it.
///
/// Only values that stand in the file are kept: for the rest the defaults of the class that *runs* hold, as with
/// `from_config` of diffusers. Values that this class does not know have no effect on it; [`super::Schedule::notes`] says
/// which those are.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    class: String,
    values: Map<String, Value>,
    /// Values that are absent from the file, and that hold for its own class only.
    own: Map<String, Value>,
    /// What the pipeline of a model trained by flow matching tells its scheduler: where noise levels begin and end, and the tokens of
    /// the picture.
    flow: (FlowGrid, usize),
}

/// Tokens of a picture of 1024x1024 pixels.
const USUAL_TOKENS: usize = 4096;

/// The class of models trained by flow matching.
const FLOW: &str = "FlowMatchEulerDiscreteScheduler";

/// Classes whose models work with other samplers as well.
const REPLACEABLE: &[&str] = &[
    "DEISMultistepScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "IPNDMScheduler",
    "TCDScheduler",
];

impl SchedulerConfig {
    /// From the parsed file.
    ///
    /// # Errors
    /// When it is no object, or names no class.
    pub fn from_value(value: Value) -> Result<Self, ScheduleError> {
        let Value::Object(values) = value else {
            return Err(ScheduleError::NotAConfig("it is no JSON object".into()));
        };
        let Some(class) = values.get("_class_name").and_then(Value::as_str) else {
            return Err(ScheduleError::NotAConfig("it has no `_class_name`".into()));
        };
        let flow = (FlowGrid::default(), USUAL_TOKENS);
        Ok(SchedulerConfig { class: class.into(), values, own: Map::new(), flow })
    }

    /// From the text of the file. Python writes infinite numbers as `-Infinity`, which is no JSON: they are taken for absent
    /// (the one that occurs is the default of `lambda_min_clipped`).
    ///
    /// # Errors
    /// When it is no JSON, no object, or names no class.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let value = serde_json::from_str(&without_infinities(text));
        Self::from_value(value.map_err(|e| ScheduleError::NotAConfig(e.to_string()))?)
    }

    /// The same values for another class: diffusers takes the class from `model_index.json`, whatever the scheduler's own file
    /// says.
    #[must_use]
    pub fn with_class(self, class: &str) -> Self {
        SchedulerConfig { class: class.into(), ..self }
    }

    /// The same for a model trained by flow matching whose noise levels lie so.
    #[must_use]
    pub fn with_flow_grid(self, grid: FlowGrid) -> Self {
        SchedulerConfig { flow: (grid, self.flow.1), ..self }
    }

    /// The same for a picture of so many tokens: schedulers with `use_dynamic_shifting` go by its size.
    #[must_use]
    pub fn with_image_tokens(self, tokens: usize) -> Self {
        SchedulerConfig { flow: (self.flow.0, tokens), ..self }
    }

    /// Where noise levels begin and end, and the tokens of the picture.
    pub(super) fn flow(&self) -> (FlowGrid, usize) {
        self.flow
    }

    /// The same for a model that predicts something else.
    #[must_use]
    pub fn with_prediction(mut self, prediction: Prediction) -> Self {
        let name = match prediction {
            Prediction::Epsilon => "epsilon",
            Prediction::Velocity => "v_prediction",
            Prediction::Sample => "sample",
        };
        self.values.insert("prediction_type".into(), name.into());
        self
    }

    /// The same with timesteps counted back from the last one, whatever the file says.
    #[must_use]
    pub fn with_trailing_timesteps(mut self) -> Self {
        self.values.insert("timestep_spacing".into(), "trailing".into());
        self
    }

    /// Corrects the two values that early files of Stable Diffusion 1.x and 2.x have wrong, as diffusers' pipelines for these
    /// models do: timesteps are offset by 1, and the predicted picture is not clipped. What stands in the file is replaced for
    /// all samplers, what is missing only for the file's own.
    #[must_use]
    pub fn for_stable_diffusion(mut self) -> Self {
        for (key, right) in [("steps_offset", Value::from(1)), ("clip_sample", Value::from(false))] {
            match self.values.get_mut(key) {
                Some(value) => *value = right,
                None => {
                    self.own.insert(key.into(), right);
                }
            }
        }
        self
    }

    /// The class in the file, such as `PNDMScheduler`.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The sampler that the model brings.
    ///
    /// # Errors
    /// When it is not among the samplers.
    pub fn sampler(&self) -> Result<Sampler, ScheduleError> {
        let algorithm = self.values.get("algorithm_type").and_then(Value::as_str).unwrap_or("dpmsolver++");
        match (self.class.as_str(), algorithm) {
            ("DDIMScheduler", _) => Ok(Sampler::Ddim),
            ("DDPMScheduler", _) => Ok(Sampler::Ddpm),
            ("PNDMScheduler", _) => Ok(Sampler::Pndm),
            ("EulerDiscreteScheduler", _) => Ok(Sampler::Euler),
            ("EulerAncestralDiscreteScheduler", _) => Ok(Sampler::EulerA),
            ("HeunDiscreteScheduler", _) => Ok(Sampler::Heun),
            ("DPMSolverMultistepScheduler", "dpmsolver++" | "deis") => Ok(Sampler::DpmPp2m),
            ("DPMSolverMultistepScheduler", "sde-dpmsolver++") => Ok(Sampler::DpmPp2mSde),
            ("DPMSolverSinglestepScheduler", "sde-dpmsolver++") => Ok(Sampler::DpmPpSde),
            ("UniPCMultistepScheduler", _) => Ok(Sampler::UniPc),
            ("LMSDiscreteScheduler", _) => Ok(Sampler::Lms),
            ("LCMScheduler", _) => Ok(Sampler::Lcm),
            (FLOW, _) => Ok(Sampler::FlowEuler),
            ("DPMSolverMultistepScheduler" | "DPMSolverSinglestepScheduler", algorithm) => {
                Err(Self::unknown(format!("{} ({algorithm})", self.class), true))
            }
            (class, _) => Err(Self::unknown(class.into(), self.is_replaceable())),
        }
    }

    /// What the model predicts.
    ///
    /// # Errors
    /// When it is neither noise, nor velocity, nor the picture.
    pub fn prediction(&self) -> Result<Prediction, ScheduleError> {
        match self.text("prediction_type", "epsilon")? {
            "epsilon" => Ok(Prediction::Epsilon),
            "v_prediction" => Ok(Prediction::Velocity),
            "sample" | "original_sample" => Ok(Prediction::Sample),
            _ => Err(self.bad("prediction_type", "epsilon, v_prediction or sample")),
        }
    }

    /// Whether timesteps are counted back from the last one, so that the first step works on pure noise.
    #[must_use]
    pub fn is_trailing(&self) -> bool {
        self.text("timestep_spacing", "") == Ok("trailing")
    }

    /// Whether the noise levels are rescaled so that nothing of the picture is left at the last timestep (Lin et al. 2023).
    #[must_use]
    pub fn has_zero_terminal_snr(&self) -> bool {
        self.flag("rescale_betas_zero_snr", false) == Ok(true)
    }

    /// The settings with which this sampler runs; `None` takes the spacing of sigmas that the file asks for.
    pub(super) fn settings(
        &self,
        sampler: Sampler,
        sigmas: Option<SigmaSpacing>,
    ) -> Result<(Settings, Vec<String>), ScheduleError> {
        if self.sampler().is_err() && !self.is_replaceable() {
            return Err(Self::unknown(self.class.clone(), false));
        }
        if (self.class == FLOW) != (sampler == Sampler::FlowEuler) {
            return Err(ScheduleError::OtherTraining { sampler });
        }
        if self.own.is_empty() || self.sampler() != Ok(sampler) {
            return Settings::resolve(self, sampler, sigmas);
        }
        let mut complete = self.clone();
        complete.values.append(&mut complete.own);
        Settings::resolve(&complete, sampler, sigmas)
    }

    fn is_replaceable(&self) -> bool {
        self.class.starts_with("DPMSolver") && !self.class.contains("Inverse")
            || REPLACEABLE.contains(&self.class.as_str())
    }

    fn unknown(class: String, replaceable: bool) -> ScheduleError {
        ScheduleError::UnknownClass { class, replaceable }
    }
}

/// `-Infinity` and `Infinity` outside strings become `null`. A `NaN` stays, and is no JSON: nothing can be computed with it.
fn without_infinities(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            result.push('"');
        }
        // Odd parts are strings; none in these files holds an escaped quote.
        if i % 2 == 1 {
            result.push_str(part);
        } else {
            result.push_str(&part.replace("-Infinity", "null").replace("Infinity", "null"));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use crate::sampling::Schedule;

    use super::*;

    /// The file of the first Stable Diffusion models; timesteps as diffusers' pipeline has them for its own class, and for
    /// another one by `from_config`.
    #[test]
    fn early_files_are_corrected() {
        let file = r#"{"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "clip_sample": true}"#;
        let config = SchedulerConfig::parse(file).unwrap().for_stable_diffusion();
        let timesteps = |sampler| Schedule::plan(&config, sampler, None, 4, 0.0).unwrap().timesteps().to_vec();
        assert_eq!(timesteps(None), [751.0, 501.0, 251.0, 1.0]);
        assert_eq!(timesteps(Some(Sampler::Ddpm)), [750.0, 500.0, 250.0, 0.0]);
        assert_eq!(config.settings(Sampler::Ddim, None).unwrap().0.clip, None);
        assert_eq!(config.settings(Sampler::Ddpm, None).unwrap().0.clip, None);
        let named = file.replace("true", "true, \"steps_offset\": 0");
        let config = SchedulerConfig::parse(&named).unwrap().for_stable_diffusion();
        let schedule = Schedule::plan(&config, Some(Sampler::Ddpm), None, 4, 0.0).unwrap();
        assert_eq!(schedule.timesteps(), [751.0, 501.0, 251.0, 1.0]);
    }

    #[test]
    fn infinity_is_absent_and_not_a_number_refused() {
        let file = r#"{"_class_name": "DDIMScheduler", "lambda_min_clipped": -Infinity}"#;
        assert!(SchedulerConfig::parse(file).is_ok());
        let error = SchedulerConfig::parse(&file.replace("-Infinity", "NaN")).unwrap_err();
        assert!(matches!(error, ScheduleError::NotAConfig(_)), "{error}");
    }

    #[test]
    fn the_index_of_the_model_names_the_class() {
        let file = r#"{"_class_name": "PNDMScheduler"}"#;
        let config = SchedulerConfig::parse(file).unwrap().with_class("EulerDiscreteScheduler");
        assert_eq!(config.sampler(), Ok(Sampler::Euler));
    }
}
