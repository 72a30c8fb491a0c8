//! [`Renamed`]: a file's tensors under other names.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::{swapped, Piece, Target};
use crate::nn::{ParamSource, Quantized, Values};
use crate::weights::WeightsError;

/// A view on a source: tensors under other names, cut, transposed or flattened when they are read.
pub struct Renamed {
    source: Arc<dyn ParamSource>,
    places: HashMap<String, (String, Piece)>,
    /// Stored tensors that are a second time what another one is.
    doubles: Vec<String>,
}

impl Renamed {
    /// The tensors whose names begin with `prefix`, under the names that `rename` has for the rest. What it has no name for keeps its
    /// own, so that it is seen: no model asks for it. Of two stored tensors for one name, the one that sorts first is taken.
    pub fn new(source: Arc<dyn ParamSource>, prefix: &str, rename: impl Fn(&str) -> Vec<Target>) -> Self {
        Self::from_names(source, |stored| match stored.strip_prefix(prefix).map(&rename) {
            Some(targets) if targets.is_empty() => vec![Target { name: stored.into(), piece: Piece::Whole }],
            targets => targets.unwrap_or_default(),
        })
    }

    /// As [`Self::new`], by whole names.
    pub fn from_names(source: Arc<dyn ParamSource>, rename: impl Fn(&str) -> Vec<Target>) -> Self {
        let mut names = source.names();
        names.sort_unstable();
        let mut places = HashMap::with_capacity(names.len());
        let mut doubles = Vec::new();
        for stored in names {
            for Target { name, piece } in rename(&stored) {
                match places.entry(name) {
                    Entry::Vacant(place) => drop(place.insert((stored.clone(), piece))),
                    Entry::Occupied(_) => doubles.push(stored.clone()),
                }
            }
        }
        Renamed { source, places, doubles }
    }

    /// Stored tensors that were passed over, as another one has their name here already.
    #[must_use]
    pub fn doubles(&self) -> &[String] {
        &self.doubles
    }

    /// Leaves out the tensors whose names, those of the view, `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.places.retain(|name, _| keep(name));
    }

    /// What the tensor `name` of the view is called in the file.
    #[must_use]
    pub fn stored_name(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|(stored, _)| stored.as_str())
    }

    /// All tensors: their names, those in the file, and what of it they are.
    pub fn stored(&self) -> impl Iterator<Item = (&str, &str, Piece)> {
        self.places.iter().map(|(name, (stored, piece))| (name.as_str(), stored.as_str(), *piece))
    }

    fn bad(&self, name: &str, reason: impl ToString) -> WeightsError {
        WeightsError::BadTensor { file: self.label(), tensor: name.into(), reason: reason.to_string() }
    }
}

impl Piece {
    /// The shape of the piece; nothing when the stored tensor has no such piece.
    fn shape(self, dims: &[usize]) -> Option<Vec<usize>> {
        match (self, dims) {
            (Piece::Whole, dims) => Some(dims.to_vec()),
            (Piece::Rows { .. }, [rows, rest @ ..]) => Some([&[self.rows(*rows)?.len()], rest].concat()),
            (Piece::Swapped, [rows, ..]) if rows.is_multiple_of(2) => Some(dims.to_vec()),
            (Piece::Transposed, [rows, columns]) => Some(vec![*columns, *rows]),
            (Piece::Matrix, [rows, columns, rest @ ..]) if rest.iter().all(|side| *side == 1) => {
                Some(vec![*rows, *columns])
            }
            _ => None,
        }
    }

    fn of(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        let Some(shape) = self.shape(tensor.dims()) else {
            candle_core::bail!("its shape {:?} cannot be split up", tensor.dims())
        };
        match self {
            Piece::Whole => Ok(tensor.clone()),
            // Copied, so that the piece does not keep the others in memory.
            Piece::Rows { first, of, .. } => {
                tensor.narrow(0, first * (tensor.dim(0)? / of), shape[0])?.force_contiguous()
            }
            Piece::Swapped => swapped(tensor),
            Piece::Transposed => tensor.t()?.contiguous(),
            Piece::Matrix => tensor.reshape(shape),
        }
    }
}

impl ParamSource for Renamed {
    fn label(&self) -> String {
        self.source.label()
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let (stored, piece) = self.places.get(name)?;
        let (shape, dtype) = self.source.info(stored)?;
        // What cannot be cut shows its own shape, which no model expects: it is reported with all that does not fit.
        let dims = piece.shape(shape.dims()).unwrap_or_else(|| shape.dims().to_vec());
        Some((Shape::from(dims), dtype))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.source.stored_type(&self.places.get(name)?.0)
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        let Some((stored, piece)) = self.places.get(name) else { return false };
        match piece {
            Piece::Whole | Piece::Matrix => self.source.lend(stored, take),
            Piece::Rows { first, end, of } => self.source.lend(stored, &mut |values| {
                let part = values.len() / of;
                if let Some(part) = values.part(first * part..end * part) {
                    take(part);
                }
            }),
            Piece::Swapped | Piece::Transposed => false,
        }
    }

    fn lends(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|(stored, piece)| {
            !matches!(piece, Piece::Swapped | Piece::Transposed) && self.source.lends(stored)
        })
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        let (stored, piece) = self.places.get(name)?;
        let whole = self.source.quantized(stored)?;
        match piece {
            Piece::Whole | Piece::Matrix => Some(whole),
            Piece::Rows { .. } => whole.slice_rows(piece.rows(whole.dims()[0])?),
            // Joined anew or turned, it is read as numbers.
            Piece::Swapped | Piece::Transposed => None,
        }
    }

    fn release(&self) {
        self.source.release();
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let (stored, piece) = self.places.get(name).ok_or_else(|| self.bad(name, "it is not there"))?;
        piece.of(&self.source.read(stored)?).map_err(|e| self.bad(stored, e))
    }
}
