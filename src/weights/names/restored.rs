//! [`Restored`]: a file of weights of which some tensors were changed under the names of the models, under its own names again.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::{swapped, Piece, Renamed};
use crate::nn::ParamSource;
use crate::weights::WeightsError;

/// A view on a file: tensors that were changed are put together again from their pieces, all others are those of the file.
pub struct Restored {
    file: Arc<dyn ParamSource>,
    changed: HashMap<String, Place>,
}

/// What a stored tensor is put together from.
struct Place {
    source: Arc<dyn ParamSource>,
    pieces: Vec<(Piece, String)>,
}

impl Restored {
    /// The file itself: nothing is changed.
    #[must_use]
    pub fn new(file: Arc<dyn ParamSource>) -> Self {
        Restored { file, changed: HashMap::new() }
    }

    /// Takes changed tensors in: `view` is a component of the file under the names of the models, `source` has it changed, and
    /// `is_changed` tells of which names.
    pub fn add(&mut self, view: &Renamed, source: &Arc<dyn ParamSource>, is_changed: impl Fn(&str) -> bool) {
        let mut pieces: HashMap<&str, Vec<(Piece, String)>> = HashMap::new();
        for (name, stored, piece) in view.stored() {
            pieces.entry(stored).or_default().push((piece, name.into()));
        }
        for (stored, mut pieces) in pieces {
            if pieces.iter().any(|(_, name)| is_changed(name)) {
                // Queries, keys and values in the order in which they lie.
                pieces.sort_by_key(|(piece, _)| if let Piece::Rows { first, .. } = piece { *first } else { 0 });
                self.changed.insert(stored.into(), Place { source: source.clone(), pieces });
            }
        }
    }
}

impl Place {
    fn read(&self, stored: &Shape) -> Result<Tensor, WeightsError> {
        let read = |(_, name): &(Piece, String)| self.source.read(name);
        let pieces = self.pieces.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let together = || match (self.pieces.first(), pieces.as_slice()) {
            (Some((Piece::Rows { .. }, _)), [_, _, ..]) => Tensor::cat(&pieces, 0),
            (Some((Piece::Swapped, _)), [one]) => swapped(one),
            (Some((Piece::Transposed, _)), [one]) => one.t()?.contiguous(),
            (Some((Piece::Whole | Piece::Matrix, _)), [one, ..]) => one.reshape(stored),
            _ => candle_core::bail!("{} pieces of it are known", pieces.len()),
        };
        together().map_err(|e| WeightsError::BadTensor {
            file: self.source.label(),
            tensor: self.pieces.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", "),
            reason: e.to_string(),
        })
    }
}

impl ParamSource for Restored {
    fn label(&self) -> String {
        self.file.label()
    }

    fn names(&self) -> Vec<String> {
        self.file.names()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        self.file.info(name)
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.file.stored_type(name)
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        match (self.changed.get(name), self.file.info(name)) {
            (Some(place), Some((shape, _))) => place.read(&shape),
            _ => self.file.read(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::names::{clip, vae};
    use crate::weights::testing::{of_tensors, Stored};

    /// Adds 1 to all that it hands out.
    struct Raised(Arc<dyn ParamSource>);

    impl ParamSource for Raised {
        fn label(&self) -> String {
            self.0.label()
        }
        fn names(&self) -> Vec<String> {
            self.0.names()
        }
        fn info(&self, name: &str) -> Option<(Shape, DType)> {
            self.0.info(name)
        }
        fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
            Ok((self.0.read(name)? + 1.0).unwrap())
        }
    }

    fn tensor(name: &str, shape: &[usize]) -> Stored {
        let values = 0..shape.iter().product::<usize>();
        let bytes = values.flat_map(|value| (value as f32).to_le_bytes()).collect();
        Stored { name: name.into(), dtype: "F32".into(), shape: shape.into(), bytes }
    }

    /// The difference of each stored tensor to what it was, all of whose numbers are the same; `None` where they are not.
    fn raised(
        tensors: &[Stored],
        rename: impl Fn(&str) -> Vec<super::super::Target>,
        changed: &str,
    ) -> Vec<Option<f32>> {
        let file = of_tensors(tensors, &[]).source;
        let view = Renamed::new(file.clone(), "", &rename);
        let source: Arc<dyn ParamSource> = Arc::new(Raised(Arc::new(Renamed::new(file.clone(), "", &rename))));
        let mut restored = Restored::new(file.clone());
        restored.add(&view, &source, |name| name.contains(changed));
        let difference = |stored: &Stored| {
            let (before, after) = (file.read(&stored.name).unwrap(), restored.read(&stored.name).unwrap());
            assert_eq!(after.dims(), stored.shape, "{}", stored.name);
            let values = (after - before).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            values.iter().all(|value| *value == values[0]).then_some(values[0])
        };
        tensors.iter().map(difference).collect()
    }

    #[test]
    fn changed_tensors_are_stored_as_they_were() {
        let of_clip = [
            tensor("transformer.resblocks.0.attn.in_proj_weight", &[6, 2]),
            tensor("transformer.resblocks.0.attn.in_proj_bias", &[6]),
            tensor("text_projection", &[2, 3]),
            tensor("ln_final.weight", &[2]),
        ];
        let all = raised(&of_clip, clip::rename, "");
        assert_eq!(all, [Some(1.0); 4]);
        let some = raised(&of_clip, clip::rename, "self_attn.k_proj.weight");
        // All three are put together again when one is changed, and the change is that of the source.
        assert_eq!(some, [Some(1.0), Some(0.0), Some(0.0), Some(0.0)]);
        let of_vae = [tensor("decoder.mid.attn_1.q.weight", &[2, 2, 1, 1]), tensor("decoder.conv_in.bias", &[2])];
        let rename = |name: &str| vae::rename(name, 4);
        assert_eq!(raised(&of_vae, rename, "mid_block"), [Some(1.0), Some(0.0)]);
    }
}
