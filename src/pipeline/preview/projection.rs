//! Latents to colours by a matrix: that of the field for published autoencoders, otherwise one that is fitted to what the autoencoder makes
//! of random latents.

use candle_core::{Device, Tensor};

use super::latent_rgb;
use crate::models::vae::AutoencoderKl;
use crate::pipeline::Plan;
use crate::sampling::{self, Rng};
use crate::{Error, Result};

/// Fields of one value along a side of what is decoded.
const FIELDS: usize = 8;
/// Latents along a side of a field.
const FIELD: usize = 2;
/// Added to the diagonal of the normal equations, as a part of it: channels that say nothing of colours get no weight.
const RIDGE: f64 = 1e-3;

/// A linear approximation of a decoder.
#[derive(Debug)]
pub struct Projection {
    /// `[3, channels]`.
    factors: Tensor,
    /// `[3, 1]`.
    bias: Tensor,
}

impl Projection {
    /// That of a plan's latents; where none is known, the autoencoder is asked.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn of(plan: &Plan, vae: &AutoencoderKl, device: &Device) -> Result<Self> {
        let family = &plan.family;
        let built_in = plan.files.is_built_in() && plan.request.parts.vae.is_none();
        let known = if built_in { Some(&latent_rgb::BUILT_IN) } else { latent_rgb::published(family) };
        if let Some(known) = known {
            let rows: Vec<[f64; 3]> = known.factors.iter().map(|row| row.map(f64::from)).collect();
            return Self::new(&rows, known.bias.map(f64::from));
        }
        let factor = family.vae_scale_factor();
        let fields = sampling::noise_source(Rng::Torch, 0).normal(&[1, family.vae.latent_channels, FIELDS, FIELDS])?;
        let latents = fields.upsample_nearest2d(FIELDS * FIELD, FIELDS * FIELD)?;
        let decoded = vae.decode(&family.to_decoder(&latents.to_device(device)?)?)?.to_device(&Device::Cpu)?;
        let colors = decoded.clamp(-1f32, 1f32)?.avg_pool2d(factor)?;
        let (factors, bias) = fit(&points(&latents)?, &points(&colors)?)?;
        Self::new(&factors, bias)
    }

    fn new(rows: &[[f64; 3]], bias: [f64; 3]) -> Result<Self> {
        let factors: Vec<f32> = (0..3).flat_map(|color| rows.iter().map(move |row| row[color] as f32)).collect();
        Ok(Projection {
            factors: Tensor::from_vec(factors, (3, rows.len()), &Device::Cpu)?,
            bias: Tensor::from_vec(bias.map(|value| value as f32).to_vec(), (3, 1), &Device::Cpu)?,
        })
    }

    /// Pixels `[1, 3, h, w]`, about -1..1, of latents `[1, channels, h, w]` f32 as the denoiser has them.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn project(&self, latents: &Tensor) -> Result<Tensor> {
        let (_, channels, height, width) = latents.dims4()?;
        let flat = latents.to_device(&Device::Cpu)?.reshape((channels, height * width))?;
        let pixels = self.factors.matmul(&flat)?.broadcast_add(&self.bias)?;
        Ok(pixels.reshape((1, 3, height, width))?)
    }
}

/// The values of each place of `[1, channels, h, w]`.
fn points(tensor: &Tensor) -> Result<Vec<Vec<f32>>> {
    Ok(tensor.squeeze(0)?.flatten_from(1)?.t()?.contiguous()?.to_vec2()?)
}

/// Least squares: factors and bias that make colours of latents.
fn fit(latents: &[Vec<f32>], colors: &[Vec<f32>]) -> Result<(Vec<[f64; 3]>, [f64; 3])> {
    let channels = latents.first().map_or(0, Vec::len);
    let unknowns = channels + 1;
    // The normal equations, with the three right sides behind.
    let mut rows = vec![vec![0.0; unknowns + 3]; unknowns];
    for (latent, color) in latents.iter().zip(colors) {
        let inputs: Vec<f64> = latent.iter().map(|value| f64::from(*value)).chain([1.0]).collect();
        for (row, input) in rows.iter_mut().zip(&inputs) {
            let outputs = inputs.iter().copied().chain(color.iter().map(|value| f64::from(*value)));
            row.iter_mut().zip(outputs).for_each(|(sum, output)| *sum += input * output);
        }
    }
    (0..unknowns).for_each(|i| rows[i][i] *= 1.0 + RIDGE);
    let solved =
        solve(rows).ok_or_else(|| Error::BrokenPicture { what: "the colours of latents are no numbers".into() })?;
    let (bias, factors) =
        solved.split_last().ok_or_else(|| Error::BrokenPicture { what: "there are no latents".into() })?;
    Ok((factors.to_vec(), *bias))
}

/// Gauss and Jordan's way through a positive definite matrix with three columns behind it.
fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<[f64; 3]>> {
    let count = rows.len();
    for pivot in 0..count {
        let scale = rows[pivot][pivot];
        if !scale.is_normal() {
            return None;
        }
        rows[pivot].iter_mut().for_each(|value| *value /= scale);
        let taken = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != pivot) {
            let factor = row[pivot];
            row.iter_mut().zip(&taken).for_each(|(value, taken)| *value -= factor * taken);
        }
    }
    Some(rows.iter().map(|row| [row[count], row[count + 1], row[count + 2]]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_found_again() {
        let latents: Vec<Vec<f32>> =
            (0..40).map(|i| (0..4).map(|c| ((i * (c + 3)) as f32 * 0.7).sin()).collect()).collect();
        let color = |latent: &Vec<f32>| vec![latent[0] - latent[3] + 0.5, 0.25 * latent[1], -latent[2] - 1.0];
        let (factors, bias) = fit(&latents, &latents.iter().map(color).collect::<Vec<_>>()).unwrap();
        let expected = [[1.0, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]];
        let differs = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(factors.iter().zip(&expected).all(|(a, b)| differs(a, b) < 1e-2), "{factors:?}");
        assert!(differs(&bias, &[0.5, 0.0, -1.0]) < 1e-2, "{bias:?}");
        assert!(fit(&[vec![f32::NAN]], &[vec![0.0; 3]]).is_err());
    }
}
