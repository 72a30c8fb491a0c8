//! [`Annotators`]: the weights of the networks that make control maps, where they are on this machine.

use std::sync::Arc;

use crate::control::{Network, Networks};
use crate::nn::ParamSource;
use crate::Result;

/// Weights of annotators on this machine.
pub struct Annotators;

impl Networks for Annotators {
    fn open(&self, network: Network) -> Result<Arc<dyn ParamSource>> {
        match network {}
    }
}
