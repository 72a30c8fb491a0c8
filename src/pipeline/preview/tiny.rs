//! The weights of a tiny autoencoder, TAESD, under the names of whoever wrote them.

use std::path::Path;
use std::sync::Arc;

use crate::models::taesd::TinyDecoder;
use crate::nn::{ParamSource, Params, Precision};
use crate::pipeline::finish::finish;
use crate::pipeline::{Events, Family, Machine};
use crate::weights;
use crate::weights::names::{Piece, Renamed, Target};
use crate::{Error, Result};

/// In a folder of diffusers.
const FILE: &str = "diffusion_pytorch_model.safetensors";

/// Opens the decoder of a tiny autoencoder for latents of this family: a file, or a folder of diffusers.
///
/// # Errors
/// [`Error::Model`] or [`Error::Weights`] when there is none, it is something else, or it is for other latents.
pub(super) fn open(path: &Path, family: &Family, machine: &Machine, events: &mut dyn Events) -> Result<TinyDecoder> {
    let file = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
    if !file.is_file() {
        return Err(Error::model(
            format!("there is no tiny autoencoder at `{}`", file.display()),
            "give a file such as `taesd_decoder.safetensors`, or a folder with diffusers' `AutoencoderTiny`",
        ));
    }
    // As the CPU's kernels compute fastest; on a GPU as the model does.
    let precision = if machine.device.is_cpu() { Precision::F32 } else { machine.precision };
    let source = renamed(weights::open(&file)?);
    let params = Params::with_attention(source, precision, &machine.device, machine.attention);
    let Some((width, latents)) = TinyDecoder::shape(&params) else {
        return Err(Error::model(
            format!("`{}` holds no decoder of TAESD", file.display()),
            "give the decoder's file (`taesd_decoder.safetensors`), or diffusers' `AutoencoderTiny`",
        ));
    };
    let wanted = family.vae.latent_channels;
    if latents != wanted {
        return Err(Error::model(
            format!("`{}` is for latents of {latents} channels, and the model's have {wanted}", file.display()),
            "TAESD is for Stable Diffusion 1 and 2, TAESDXL for SDXL, TAESD3 for Stable Diffusion 3, TAEF1 for FLUX.1",
        ));
    }
    finish(TinyDecoder::new(latents, width, &params).map_err(Error::from), &params, events)
}

/// The decoder's tensors under the names of diffusers. The original code counts layers from one that has no weights, with or without
/// `decoder.` before them.
fn renamed(source: Arc<dyn ParamSource>) -> Arc<dyn ParamSource> {
    let original = !source.names().iter().any(|name| name.starts_with("decoder.layers."));
    let mut renamed = Renamed::from_names(source, |stored| {
        let bare = stored.strip_prefix("decoder.").unwrap_or(stored);
        let layer =
            bare.split_once('.').and_then(|(layer, rest)| Some((layer.parse::<usize>().ok()?.checked_sub(1)?, rest)));
        let name = match layer.filter(|_| original) {
            Some((layer, rest)) => format!("decoder.layers.{layer}.{rest}"),
            None => stored.into(),
        };
        vec![Target { name, piece: Piece::Whole }]
    });
    // What diffusers keeps in the same file.
    renamed.retain(|name| name.starts_with("decoder."));
    Arc::new(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_original_names_are_those_of_diffusers() {
        let fixture = || weights::open(&testing::fixture("taesd.safetensors")).unwrap();
        let ours: Vec<String> = sorted(&*renamed(fixture()));
        assert!(ours.len() == 67 && ours.iter().all(|name| name.starts_with("decoder.layers.")), "{ours:?}");
        for prefix in ["", "decoder."] {
            let original = Renamed::from_names(fixture(), |stored| {
                let rest = stored.strip_prefix("decoder.layers.").and_then(|rest| rest.split_once('.'));
                let name = rest.map(|(layer, rest)| format!("{prefix}{}.{rest}", layer.parse::<usize>().unwrap() + 1));
                name.map(|name| Target { name, piece: Piece::Whole }).into_iter().collect()
            });
            assert!(original.names().contains(&format!("{prefix}1.weight")));
            assert_eq!(sorted(&*renamed(Arc::new(original))), ours);
        }
    }

    fn sorted(source: &dyn ParamSource) -> Vec<String> {
        let mut names = source.names();
        names.sort();
        names
    }
}
