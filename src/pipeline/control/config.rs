//! [`ControlConfig`]: what a ControlNet or one of its kin is, before its weights are read.

use crate::hub::ControlFiles;
use crate::models::controlnet::ControlNetConfig;
use crate::models::t2i_adapter::T2iAdapterConfig;
use crate::Result;

/// The config of what tells a UNet about a picture.
#[derive(Debug, Clone)]
pub enum ControlConfig {
    /// A ControlNet.
    Net(Box<ControlNetConfig>),
    /// A T2I-Adapter.
    Adapter(T2iAdapterConfig),
}

impl ControlConfig {
    /// Reads the config of `files`; `unet` is that of the model's UNet, half of which a ControlNet without a config is.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when it is missing or not understood.
    pub(super) fn read(files: &ControlFiles, unet: &str) -> Result<Self> {
        if files.is_adapter()? {
            return files.config(unet, T2iAdapterConfig::from_json).map(ControlConfig::Adapter);
        }
        let weights = files.weights()?;
        let config = files.config(unet, |json| ControlNetConfig::from_json(json)?.of_tensors(weights.as_ref()))?;
        Ok(ControlConfig::Net(Box::new(config)))
    }

    /// What messages call it.
    pub(super) fn what(&self) -> &'static str {
        match self {
            ControlConfig::Net(_) => "ControlNet",
            ControlConfig::Adapter(_) => "T2I-Adapter",
        }
    }

    /// Whether what it says is one value a channel.
    pub(super) fn pools(&self) -> bool {
        matches!(self, ControlConfig::Net(config) if config.pools())
    }

    /// For how many kinds of maps it is, when it wants to be told which.
    pub(super) fn control_types(&self) -> Option<usize> {
        match self {
            ControlConfig::Net(config) => config.control_types(),
            ControlConfig::Adapter(_) => None,
        }
    }
}
