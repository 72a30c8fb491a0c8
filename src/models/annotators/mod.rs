//! The networks of ControlNet's annotators: soft edges ([`hed`]), line art ([`lineart`]), people ([`openpose`]) and depth
//! ([`depth_anything`]). Their tensors have the names of the published files; the channels are those of the file, so that narrower
//! networks run too. What is done with what they return is in [`crate::control`].

pub mod depth_anything;
pub mod hed;
pub mod lineart;
pub mod openpose;

use candle_core::Result;

use crate::nn::{Conv2d, Conv2dConfig, Params};

/// A convolution with as many outputs as the file has, and their number. Where the file lacks it, `published` outputs are missed.
fn conv(inputs: usize, published: usize, config: Conv2dConfig, params: &Params) -> Result<(Conv2d, usize)> {
    let outputs = params.shape_of("weight").and_then(|shape| shape.first().copied()).unwrap_or(published);
    Ok((Conv2d::new(inputs, outputs, config, params)?, outputs))
}
