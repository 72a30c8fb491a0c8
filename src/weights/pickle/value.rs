//! What a pickle's opcodes make: plain values, which name each other by index.

use candle_core::DType;

use super::globals::Global;

/// The index of a value.
pub(super) type Id = usize;

/// A value of a pickle.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// A whole number of at most 64 bits.
    Int(i64),
    Str(&'a str),
    /// A tuple or list.
    Seq(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(StoredTensor<'a>),
    /// An instance of an inert class, with its state once it is set.
    Object(Option<Id>),
    /// What no tensor needs: nothing, floats, bytes, sets.
    Other,
}

/// A run of numbers in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    /// `None` where the type cannot be computed with.
    pub dtype: Option<DType>,
}

/// A view on a storage, in elements.
#[derive(Debug, Clone)]
pub(super) struct StoredTensor<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// All values of a pickle, and which one is its result.
pub(super) struct Values<'a> {
    pub values: Vec<Value<'a>>,
    pub root: Id,
    /// What follows the pickle.
    pub rest: &'a [u8],
}
