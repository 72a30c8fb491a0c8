//! The way back: the names of diffusers and transformers -> those of the original code, from the same tables. [`Original`] shows a
//! component's tensors as an original file has them: queries, keys and values of OpenCLIP joined, attention of the VAE as convolutions.

mod ldm;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use self::ldm::{open_clip_name, unet_name, vae_name, UNetLayout};
use super::{flux, mmdit, number, swapped};
use crate::nn::ParamSource;
use crate::weights::WeightsError;

/// A view on a component with diffusers' names: its tensors under the original names, joined, transposed or unflattened when they are
/// read.
pub struct Original {
    source: Arc<dyn ParamSource>,
    places: HashMap<String, Place>,
}

/// What an original tensor is made of.
struct Place {
    sources: Vec<String>,
    form: Form,
}

/// What is done to the tensors of diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Whole,
    /// The rows of so many tensors below each other: queries, keys and values.
    Joined(usize),
    /// The second half of the rows comes first.
    Swapped,
    /// The matrix is transposed.
    Transposed,
    /// The matrix becomes a convolution with a 1x1 kernel.
    Convolution,
}

/// An original name, the place among those that are joined there, and what is done to the tensor.
type Target = (String, usize, Form);

impl Original {
    /// A UNet, with the names of LDM.
    ///
    /// # Errors
    /// The names that have no place there.
    pub fn unet(source: Arc<dyn ParamSource>) -> Result<Self, Vec<String>> {
        let UNetLayout { layers, attends } = UNetLayout::of(&source.names());
        Self::new(source, |name| unet_name(name, layers, &attends).map(|name| (name, 0, Form::Whole)))
    }

    /// An autoencoder, with the names of LDM.
    ///
    /// # Errors
    /// The names that have no place there.
    pub fn vae(source: Arc<dyn ParamSource>) -> Result<Self, Vec<String>> {
        let of = |name: &String| Some(number(name.strip_prefix("decoder.up_blocks.")?)?.0 + 1);
        let levels = source.names().iter().filter_map(of).max().unwrap_or(0);
        Self::new(source, |name| vae_name(name, levels))
    }

    /// A text encoder, with the names of OpenCLIP.
    ///
    /// # Errors
    /// The names that have no place there.
    pub fn open_clip(source: Arc<dyn ParamSource>) -> Result<Self, Vec<String>> {
        Self::new(source, open_clip_name)
    }

    /// The transformer of FLUX.1, with the names of Black Forest Labs.
    ///
    /// # Errors
    /// The names that have no place there.
    pub fn flux(source: Arc<dyn ParamSource>) -> Result<Self, Vec<String>> {
        Self::new(source, flux::original)
    }

    /// The transformer of Stable Diffusion 3, with the names of Stability AI.
    ///
    /// # Errors
    /// The names that have no place there.
    pub fn mmdit(source: Arc<dyn ParamSource>) -> Result<Self, Vec<String>> {
        let blocks = mmdit::blocks(source.names().iter().map(String::as_str));
        Self::new(source, |name| mmdit::original(name, blocks))
    }

    fn new(source: Arc<dyn ParamSource>, rename: impl Fn(&str) -> Option<Target>) -> Result<Self, Vec<String>> {
        let mut pieces: HashMap<String, (BTreeMap<usize, String>, Form)> = HashMap::new();
        let mut unknown = Vec::new();
        for name in source.names() {
            match rename(&name) {
                Some((original, index, form)) => {
                    pieces.entry(original).or_insert((BTreeMap::new(), form)).0.insert(index, name);
                }
                None => unknown.push(name),
            }
        }
        // Of what is joined there must be all.
        let is_part = |(_, (sources, form)): &(&String, &(BTreeMap<usize, String>, Form))| matches!(form, Form::Joined(count) if sources.len() != *count);
        unknown.extend(pieces.iter().filter(is_part).flat_map(|(_, (sources, _))| sources.values().cloned()));
        if !unknown.is_empty() {
            unknown.sort_unstable();
            return Err(unknown);
        }
        let place =
            |(sources, form): (BTreeMap<usize, String>, Form)| Place { sources: sources.into_values().collect(), form };
        Ok(Original { source, places: pieces.into_iter().map(|(name, pieces)| (name, place(pieces))).collect() })
    }

    fn bad(&self, name: &str, reason: impl ToString) -> WeightsError {
        WeightsError::BadTensor { file: self.label(), tensor: name.into(), reason: reason.to_string() }
    }
}

/// The tensors of a UNet that have a name in LDM: diffusers' name, and that one.
pub fn unet_originals(names: &[String]) -> impl Iterator<Item = (&str, String)> {
    let UNetLayout { layers, attends } = UNetLayout::of(names);
    names.iter().filter_map(move |name| Some((name.as_str(), unet_name(name, layers, &attends)?)))
}

/// The tensors of a text encoder that have a name in OpenCLIP: transformers' name, that one, and the place among those that are
/// joined there.
pub fn open_clip_originals(names: &[String]) -> impl Iterator<Item = (&str, String, usize)> {
    names.iter().filter_map(|name| {
        let (original, place, _) = open_clip_name(name)?;
        Some((name.as_str(), original, place))
    })
}

/// A layer of a transformer that has an original name, or a part of one.
pub struct TransformerOriginal<'a> {
    /// The tensor, as diffusers names it.
    pub name: &'a str,
    /// The original name.
    pub original: String,
    /// The place among those that are joined there; none of what is not joined.
    pub place: Option<usize>,
    /// Whether the halves of its rows stand the other way round there.
    pub swapped: bool,
}

/// The tensors of a transformer of FLUX.1 or Stable Diffusion 3 that have an original name.
pub fn transformer_originals(names: &[String]) -> impl Iterator<Item = TransformerOriginal<'_>> {
    let is_flux = names.iter().any(|name| name.starts_with("single_transformer_blocks."));
    let blocks = mmdit::blocks(names.iter().map(String::as_str));
    names.iter().filter_map(move |name| {
        let (original, place, form) = if is_flux { flux::original(name) } else { mmdit::original(name, blocks) }?;
        let place = matches!(form, Form::Joined(_)).then_some(place);
        Some(TransformerOriginal { name, original, place, swapped: form == Form::Swapped })
    })
}

impl Form {
    /// The shape of what is made of tensors of these shapes.
    fn shape(self, all: &[Vec<usize>]) -> Option<Vec<usize>> {
        let dims = all.first()?.as_slice();
        match (self, dims) {
            (Form::Whole | Form::Swapped, dims) => Some(dims.to_vec()),
            (Form::Joined(_), [_, rest @ ..]) => {
                let rows = all.iter().try_fold(0usize, |rows, dims| rows.checked_add(*dims.first()?))?;
                Some([&[rows], rest].concat())
            }
            (Form::Transposed, [rows, columns]) => Some(vec![*columns, *rows]),
            (Form::Convolution, [rows, columns]) => Some(vec![*rows, *columns, 1, 1]),
            // Some files of diffusers keep the kernel.
            (Form::Convolution, [_, _, 1, 1]) => Some(dims.to_vec()),
            _ => None,
        }
    }

    fn of(self, tensors: &[Tensor]) -> candle_core::Result<Tensor> {
        match (self, tensors) {
            (Form::Joined(_), tensors) => Tensor::cat(tensors, 0),
            (Form::Swapped, [tensor]) => swapped(tensor),
            (Form::Transposed, [tensor]) => tensor.t()?.contiguous(),
            (Form::Convolution, [tensor]) => {
                let shape = self.shape(&[tensor.dims().to_vec()]).unwrap_or_else(|| tensor.dims().to_vec());
                tensor.reshape(shape)
            }
            (_, [tensor]) => Ok(tensor.clone()),
            _ => candle_core::bail!("{} tensors where one is expected", tensors.len()),
        }
    }
}

impl ParamSource for Original {
    fn label(&self) -> String {
        self.source.label()
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let place = self.places.get(name)?;
        let all: Option<Vec<_>> = place.sources.iter().map(|source| self.source.info(source)).collect();
        let (shapes, dtypes): (Vec<_>, Vec<_>) =
            all?.into_iter().map(|(shape, dtype)| (shape.into_dims(), dtype)).unzip();
        Some((Shape::from(place.form.shape(&shapes)?), *dtypes.first()?))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.source.stored_type(self.places.get(name)?.sources.first()?)
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let place = self.places.get(name).ok_or_else(|| self.bad(name, "it is not there"))?;
        let tensors = place.sources.iter().map(|source| self.source.read(source)).collect::<Result<Vec<_>, _>>()?;
        place.form.of(&tensors).map_err(|e| self.bad(&place.sources[0], e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing::source;
    use crate::weights::names::{clip, unet, vae, Renamed, Target};

    const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

    /// The original names lead back to the same tensors, number for number.
    fn round(from: Arc<dyn ParamSource>, original: Original, rename: impl Fn(&str) -> Vec<Target>) {
        let names = from.names();
        let back = Renamed::new(Arc::new(original), "", rename);
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(back.names()), sorted(names.clone()));
        for name in names {
            let (a, b) = (from.read(&name).unwrap(), back.read(&name).unwrap());
            assert_eq!(a.dims(), b.dims(), "{name}");
            let bits = |t: &Tensor| t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(bits(&a), bits(&b), "{name}");
        }
    }

    #[test]
    fn unets_come_back_from_their_original_names() {
        for model in ["sd15", "sd21", "sdxl", "sdxl-turbo", "sd15-inpaint"] {
            let from = source(&format!("{model}/unet"), WEIGHTS);
            let original = Original::unet(Arc::clone(&from)).ok().unwrap();
            let layers = unet::layers_per_block(original.names().iter().map(String::as_str));
            round(from, original, |name| unet::rename(name, layers));
        }
    }

    #[test]
    fn autoencoders_and_text_encoders_come_back_too() {
        for model in ["sd15", "sd21", "sdxl"] {
            let from = source(&format!("{model}/vae"), WEIGHTS);
            let original = Original::vae(Arc::clone(&from)).ok().unwrap();
            assert_eq!(original.info("encoder.mid.attn_1.q.weight").unwrap().0.rank(), 4);
            let levels = vae::levels(original.names().iter().map(String::as_str));
            round(from, original, |name| vae::rename(name, levels));
        }
        for part in ["sd21/text_encoder", "sdxl/text_encoder_2"] {
            let from = source(part, "model.safetensors");
            let original = Original::open_clip(Arc::clone(&from)).ok().unwrap();
            round(from, original, clip::rename);
        }
    }

    #[test]
    fn transformers_come_back_too() {
        let from = source("flux-dev/transformer", "diffusion_pytorch_model.safetensors.index.json");
        let original = Original::flux(Arc::clone(&from)).ok().unwrap();
        assert_eq!(original.info("single_blocks.0.linear1.weight").unwrap().0.dims(), [336, 48]);
        round(from, original, flux::rename);
        let from = source("sd35/transformer", WEIGHTS);
        let original = Original::mmdit(Arc::clone(&from)).ok().unwrap();
        let blocks = mmdit::blocks(original.names().iter().map(String::as_str));
        assert_eq!((blocks, original.info("pos_embed").unwrap().0.rank()), (3, 3));
        round(from, original, |name| mmdit::rename(name, blocks));
    }

    #[test]
    fn what_has_no_original_name_is_said() {
        let unknown = Original::open_clip(source("sd15/unet", WEIGHTS)).err().unwrap();
        assert!(unknown.contains(&"conv_in.bias".to_string()), "{unknown:?}");
    }
}
