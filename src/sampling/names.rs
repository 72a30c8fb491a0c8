//! The names users give: samplers, sigma spacings and random number generators.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::suggest;

/// An unknown name, with the nearest known one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`")]
pub struct UnknownName {
    /// What was expected: "scheduler", ...
    pub kind: &'static str,
    /// What was given.
    pub name: String,
    /// All names that would do.
    pub known: Vec<&'static str>,
    /// The name that was meant, where that is known better than by likeness.
    pub meant: Option<String>,
}

impl UnknownName {
    /// "did you mean `x`?", or the list of all names when none is near.
    #[must_use]
    pub fn hint(&self) -> String {
        match self.meant.as_deref().or_else(|| self.nearest()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of: {}", self.known.join(", ")),
        }
    }

    /// The known name that is most like the given one, when it is near enough for a typing error.
    #[must_use]
    pub fn nearest(&self) -> Option<&'static str> {
        suggest::nearest(&self.name, self.known.iter().copied())
    }
}

impl From<UnknownName> for crate::Error {
    fn from(e: UnknownName) -> Self {
        crate::Error::usage(e.to_string(), e.hint())
    }
}

/// Declares an enum of names: its variants, the name on the command line, in that order.
macro_rules! names {
    ($(#[$doc:meta])* $kind:literal $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $name)] $variant,)+ }

        impl $type {
            /// All of them, in the order of the help.
            pub const ALL: &'static [$type] = &[$($type::$variant,)+];

            /// The name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;
            fn from_str(s: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|x| x.name() == s.to_lowercase()).ok_or_else(|| UnknownName {
                    kind: $kind,
                    name: s.into(),
                    known: Self::ALL.iter().map(|x| x.name()).collect(),
                    meant: None,
                })
            }
        }
    };
}

names! {
    /// A sampler, by the name of the command line. Each follows the diffusers class its file names.
    "scheduler" Sampler {
        /// Denoising diffusion implicit models (Song et al. 2020).
        Ddim = "ddim",
        /// Denoising diffusion probabilistic models (Ho et al. 2020).
        Ddpm = "ddpm",
        /// Pseudo numerical methods (Liu et al. 2022), linear multistep part only, as SD 1.x ships.
        Pndm = "pndm",
        /// Euler's method (Karras et al. 2022, algorithm 2).
        Euler = "euler",
        /// Euler with ancestral noise.
        EulerA = "euler-a",
        /// Heun's second-order method (Karras et al. 2022, algorithm 1).
        Heun = "heun",
        /// DPM-Solver++ multistep, second order (Lu et al. 2022).
        DpmPp2m = "dpm++2m",
        /// The stochastic form of DPM-Solver++ multistep.
        DpmPp2mSde = "dpm++2m-sde",
        /// The stochastic form of DPM-Solver++ single-step.
        DpmPpSde = "dpm++sde",
        /// Unified predictor-corrector (Zhao et al. 2023).
        UniPc = "unipc",
        /// Linear multistep (k-diffusion).
        Lms = "lms",
        /// Latent consistency models (Luo et al. 2023).
        Lcm = "lcm",
        /// Euler's method for models trained by flow matching (Lipman et al. 2022, Esser et al. 2024).
        FlowEuler = "flow-euler",
    }
}

names! {
    /// How noise levels are spaced between the first and the last.
    "sigma spacing" SigmaSpacing {
        /// The model's own levels at its timesteps.
        Normal = "normal",
        /// Karras et al. 2022, rho 7.
        Karras = "karras",
        /// Evenly spaced logarithms.
        Exponential = "exponential",
        /// Quantiles of a beta distribution, alpha = beta = 0.6 (Lee et al. 2024).
        Beta = "beta",
    }
}

names! {
    /// Whose random numbers are reproduced.
    "random number generator" Rng {
        /// `torch.Generator("cpu")`: MT19937 and torch's normal fill.
        Torch = "torch",
        /// torch's CUDA generator: Philox 4x32-10.
        Philox = "philox",
    }
}
