//! Between latents and tokens, with the places of tokens: diffusers' `PatchEmbed`.

use candle_core::{Result, Tensor};

use super::MmditConfig;
use crate::nn::{Linear, Params};

/// Patches of latents become tokens that know their place.
#[derive(Debug, Clone)]
pub(super) struct PatchEmbed {
    /// A convolution whose stride is its kernel: a product for each patch.
    proj: Linear,
    /// [side, side, width].
    places: Tensor,
    patch: usize,
}

impl PatchEmbed {
    pub(super) fn new(config: &MmditConfig, params: &Params) -> Result<Self> {
        let (width, patch, side) = (config.width(), config.patch_size, config.pos_embed_max_size);
        let places = params.get((1, side * side, width), "pos_embed")?;
        Ok(PatchEmbed {
            proj: Linear::from_patch_conv(config.in_channels, width, patch, &params.pp("proj"))?,
            places: places.reshape((side, side, width))?,
            patch,
        })
    }

    /// Latents [b, channels, h, w] as tokens [b, h / patch w / patch, width]. Their places are those in the middle of the table.
    pub(super) fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = latents.dims4()?;
        let (rows, columns) = (height / self.patch, width / self.patch);
        let side = self.places.dim(0)?;
        if rows > side || columns > side {
            candle_core::bail!("{rows}x{columns} tokens are more than the {side}x{side} places of the transformer");
        }
        let places = self.places.narrow(0, (side - rows) / 2, rows)?.narrow(1, (side - columns) / 2, columns)?;
        let tokens = self.proj.forward(&patches(latents, self.patch)?)?;
        tokens.broadcast_add(&places.contiguous()?.reshape((1, rows * columns, ()))?)
    }
}

/// Latents [b, c, h, w] as rows [b, h / patch w / patch, c patch patch], in the order of a convolution's kernel.
fn patches(latents: &Tensor, patch: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = latents.dims4()?;
    if height % patch + width % patch > 0 {
        candle_core::bail!("latents of {height}x{width} are not whole patches of {patch}");
    }
    latents
        .reshape(&[batch, channels, height / patch, patch, width / patch, patch][..])?
        .permute(vec![0, 2, 4, 1, 3, 5])?
        .reshape((batch, height / patch * (width / patch), channels * patch * patch))
}

/// Tokens [b, rows columns, patch patch c] as latents [b, c, rows patch, columns patch].
pub(super) fn to_latents(tokens: &Tensor, patch: usize, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let (batch, _, values) = tokens.dims3()?;
    let channels = values / (patch * patch);
    tokens.reshape(&[batch, rows, columns, patch, patch, channels][..])?.permute(vec![0, 5, 1, 3, 2, 4])?.reshape((
        batch,
        channels,
        rows * patch,
        columns * patch,
    ))
}
