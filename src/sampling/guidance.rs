//! Guidance: what is made of the predictions with and without the prompt.

use candle_core::{DType, Tensor};

use crate::Result;

/// Classifier-free guidance (Ho and Salimans 2022): `uncond + scale * (cond - uncond)`.
///
/// Both predictions have the same shape, (batch, channels, height, width), and dtype.
///
/// # Errors
/// When the shapes differ.
pub fn classifier_free(uncond: &Tensor, cond: &Tensor, scale: f64) -> Result<Tensor> {
    Ok((uncond + ((cond - uncond)? * scale)?)?)
}

/// Skip-layer guidance, as in diffusers' `StableDiffusion3Pipeline`: `guided + scale * (cond - skipped)`, where `skipped` is the
/// prediction with the prompt of a network without some of its layers.
///
/// All have the same shape, (batch, channels, height, width), and dtype.
///
/// # Errors
/// When the shapes differ.
pub fn skip_layer(guided: &Tensor, cond: &Tensor, skipped: &Tensor, scale: f64) -> Result<Tensor> {
    Ok((guided + ((cond - skipped)? * scale)?)?)
}

/// Rescales a guided prediction towards the spread of the one with the prompt (Lin et al. 2023, "Common diffusion noise
/// schedules and sample steps are flawed", section 3.4), picture by picture.
///
/// `guided` and `cond` are (batch, ...); `amount` is 0 (nothing) to 1 (wholly). The spreads are taken in f32; the result has
/// the dtype of `guided`.
///
/// # Errors
/// When the shapes differ.
pub fn rescale(guided: &Tensor, cond: &Tensor, amount: f64) -> Result<Tensor> {
    if amount == 0.0 {
        return Ok(guided.clone());
    }
    let ratio = standard_deviation(cond)?.div(&standard_deviation(guided)?)?;
    let factor = ratio.affine(amount, 1.0 - amount)?;
    Ok(guided.to_dtype(DType::F32)?.broadcast_mul(&factor)?.to_dtype(guided.dtype())?)
}

/// The standard deviation (of a sample: n - 1) of each picture, as (batch, 1, 1, ...).
fn standard_deviation(x: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    shape[0] = x.dim(0)?;
    Ok(x.to_dtype(DType::F32)?.flatten_from(1)?.var(1)?.sqrt()?.reshape(shape)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (2, 1, 1, values.len() / 2), &Device::Cpu).unwrap()
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn guidance_leads_away_from_the_unconditional() {
        let guided = classifier_free(&tensor(&[1.0, 2.0]), &tensor(&[2.0, 0.0]), 7.5).unwrap();
        assert_eq!(values(&guided), [8.5, -13.0]);
    }

    #[test]
    fn rescaling_is_done_for_each_picture_with_the_sample_s_deviation() {
        // Deviations with n - 1: guided 2 and 4, with the prompt 1 and 1.
        let guided = tensor(&[0.0, 2.0, 4.0, 0.0, 4.0, 8.0]);
        let cond = tensor(&[5.0, 6.0, 7.0, 1.0, 2.0, 3.0]);
        let half = rescale(&guided, &cond, 0.5).unwrap();
        assert_eq!(values(&half), [0.0, 1.5, 3.0, 0.0, 2.5, 5.0]);
        assert_eq!(values(&rescale(&guided, &cond, 0.0).unwrap()), values(&guided));
    }
}
