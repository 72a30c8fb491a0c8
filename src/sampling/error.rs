//! What can be wrong with a scheduler's configuration or with what is asked of it.

use super::{Sampler, SigmaSpacing};

/// The most steps that a hint names.
const MOST_STEPS: f64 = 150.0;

/// A schedule that cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// The file is no JSON object with a `_class_name`.
    #[error("the scheduler's configuration is not understood: {0}")]
    NotAConfig(String),
    /// A class of scheduler that is not among the samplers.
    #[error("the model's scheduler `{class}` is not among the samplers")]
    UnknownClass {
        /// The class in the file.
        class: String,
        /// Whether another sampler works with the same model.
        replaceable: bool,
    },
    /// A value that no scheduler of this kind takes.
    #[error("the scheduler's configuration has `{key}` = {value}, where {expected} is expected")]
    BadValue {
        /// The name in the file.
        key: String,
        /// The value in the file, as JSON.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// A value that is valid, changes the picture, and is not supported.
    #[error("the scheduler's configuration has `{key}` = {value}, which {sampler} does not support")]
    Unsupported {
        /// The name in the file.
        key: String,
        /// The value in the file, as JSON.
        value: String,
        /// The sampler that was to run.
        sampler: Sampler,
    },
    /// `--eta` with a sampler other than DDIM.
    #[error("eta has no meaning for {sampler}")]
    EtaWithoutDdim {
        /// The sampler that was to run.
        sampler: Sampler,
    },
    /// Eta outside 0 to 1.
    #[error("eta {eta} is not between 0 and 1")]
    EtaOutOfRange {
        /// The value given.
        eta: f64,
    },
    /// A spacing of sigmas that the sampler cannot use.
    #[error("{sampler} has no {spacing} sigmas")]
    SpacingUnknown {
        /// The sampler that was to run.
        sampler: Sampler,
        /// The spacing asked for.
        spacing: SigmaSpacing,
    },
    /// More or fewer steps than the sampler can make.
    #[error("{sampler} takes {least} to {most} steps with this model, not {steps}")]
    StepsOutOfRange {
        /// The sampler that was to run.
        sampler: Sampler,
        /// The steps asked for.
        steps: usize,
        /// The fewest that work.
        least: usize,
        /// The most that work.
        most: usize,
    },
    /// A sampler for models trained by flow matching with another one, or the reverse.
    #[error("{} does not work with models that are {}trained by flow matching", sampler, if *sampler == Sampler::FlowEuler { "not " } else { "" })]
    OtherTraining {
        /// The sampler that was to run.
        sampler: Sampler,
    },
    /// Noise at the first step is so strong that nothing of the picture is left, and the model predicts noise.
    #[error("{sampler} cannot start from a signal of zero with a model that predicts noise")]
    NoSignal {
        /// The sampler that was to run.
        sampler: Sampler,
    },
    /// A strength so low, or out of its range, that no step is left.
    #[error("strength {strength} leaves none of the {steps} steps")]
    NothingToDo {
        /// The strength given.
        strength: f64,
        /// The steps of the whole schedule.
        steps: usize,
    },
}

impl ScheduleError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotAConfig(_) => "fetch the model's `scheduler/scheduler_config.json` again".into(),
            Self::UnknownClass { replaceable: true, .. } => {
                format!("choose one with `--scheduler`: {}", names(|sampler| sampler != Sampler::FlowEuler))
            }
            Self::UnknownClass { replaceable: false, .. } => "models of this kind are not supported".into(),
            Self::BadValue { .. } => "correct the model's `scheduler/scheduler_config.json`".into(),
            Self::Unsupported { .. } => "try another sampler with `--scheduler`, such as euler".into(),
            Self::EtaWithoutDdim { .. } => "leave `--eta` out, or take `--scheduler ddim`".into(),
            Self::EtaOutOfRange { .. } => "0 adds no noise, 1 as much as ddpm".into(),
            Self::SpacingUnknown { spacing, .. } => {
                format!("{spacing} sigmas work with: {}", names(Sampler::takes_sigmas))
            }
            Self::StepsOutOfRange { least, most, steps, .. } => {
                format!("try `--steps {}`", (*steps).clamp(*least, *most))
            }
            Self::OtherTraining { sampler: Sampler::FlowEuler } => {
                format!("choose another one: {}", names(|sampler| sampler != Sampler::FlowEuler))
            }
            Self::OtherTraining { .. } => format!("this model takes `--scheduler {}`, its default", Sampler::FlowEuler),
            Self::NoSignal { .. } => "take `--scheduler euler`".into(),
            Self::NothingToDo { strength, steps } => {
                let least = (1000.0 / *steps as f64).ceil() / 1000.0;
                let enough = (1.0 / strength).ceil();
                if enough <= MOST_STEPS {
                    format!("give a strength of at least {least}, or {enough} steps")
                } else {
                    format!("give a strength of at least {least}")
                }
            }
        }
    }
}

fn names(which: impl Fn(Sampler) -> bool) -> String {
    let names: Vec<_> = Sampler::ALL.iter().filter(|s| which(**s)).map(|s| s.name()).collect();
    names.join(", ")
}

impl From<ScheduleError> for crate::Error {
    fn from(e: ScheduleError) -> Self {
        use ScheduleError as S;
        let (message, hint) = (e.to_string(), e.hint());
        match e {
            S::NotAConfig(_)
            | S::UnknownClass { .. }
            | S::BadValue { .. }
            | S::Unsupported { .. }
            | S::NoSignal { .. } => crate::Error::model(message, hint),
            S::EtaWithoutDdim { .. }
            | S::EtaOutOfRange { .. }
            | S::SpacingUnknown { .. }
            | S::OtherTraining { .. }
            | S::StepsOutOfRange { .. }
            | S::NothingToDo { .. } => crate::Error::usage(message, hint),
        }
    }
}
