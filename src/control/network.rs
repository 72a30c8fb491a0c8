//! Networks of annotators, built of the weights that [`Networks`] brings.

use candle_core::{Device, Tensor};
use image::RgbImage;

use super::{Network, Networks};
use crate::nn::{Params, Precision};
use crate::Result;

/// Builds networks.
pub(super) struct Loader<'a>(pub &'a dyn Networks);

impl Loader<'_> {
    /// A network of the published weights.
    ///
    /// # Errors
    /// What [`Networks::open`] says; the tensors that are missing or of another shape. Those that are left over are not: files of
    /// annotators carry what only their training needed.
    pub fn build<T>(&self, network: Network, new: impl FnOnce(&Params) -> candle_core::Result<T>) -> Result<T> {
        let params = Params::new(self.0.open(network)?, Precision::F32, &Device::Cpu);
        built(&params, new(&params))
    }
}

/// A network that was built of `params`, if all of its tensors were there.
///
/// # Errors
/// As [`Loader::build`].
pub(super) fn built<T>(params: &Params, network: candle_core::Result<T>) -> Result<T> {
    params.finish()?;
    Ok(network?)
}

/// A picture as networks take it, [1, 3, h, w]: RGB values of 0..255, less `mean`, divided by `deviation`.
pub(super) fn tensor(picture: &RgbImage, mean: [f32; 3], deviation: [f32; 3]) -> Result<Tensor> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let values = (0..3).flat_map(|channel| {
        picture.pixels().map(move |pixel| (f32::from(pixel.0[channel]) - mean[channel]) / deviation[channel])
    });
    Ok(Tensor::from_vec(values.collect(), (1, 3, height, width), &Device::Cpu)?)
}
