//! The classes and functions that a pickle of tensors may name. Everything else is refused.

use candle_core::DType;

use super::error::PickleError;

/// What a name stands for here. None of them is run: tensors and dicts become values, the rest is recorded as present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    /// An ordered dict.
    Dict,
    /// `_rebuild_tensor_v2`: storage, offset, shape, strides.
    Tensor,
    /// `_rebuild_parameter`: a tensor, and what training needs.
    Parameter,
    /// `_rebuild_from_type_v2`: a function, a class, the function's arguments.
    FromType,
    /// A kind of storage with its numbers' type; `None` where that type cannot be computed with.
    Storage(Option<DType>),
    /// A thing that checkpoints carry along and nothing here needs.
    Inert,
}

/// Storage classes of `torch`.
const STORAGES: [(&str, Option<DType>); 12] = [
    ("FloatStorage", Some(DType::F32)),
    ("DoubleStorage", Some(DType::F64)),
    ("HalfStorage", Some(DType::F16)),
    ("BFloat16Storage", Some(DType::BF16)),
    ("LongStorage", Some(DType::I64)),
    ("IntStorage", Some(DType::I32)),
    ("ShortStorage", Some(DType::I16)),
    ("ByteStorage", Some(DType::U8)),
    ("BoolStorage", Some(DType::U8)),
    ("CharStorage", None),
    ("ComplexFloatStorage", None),
    ("ComplexDoubleStorage", None),
];

/// Seen in published checkpoints beside the tensors: counters of numpy, settings of the trainer.
const INERT: [(&str, &str); 20] = [
    ("torch", "Tensor"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch", "float32"),
    ("torch", "float16"),
    ("torch", "bfloat16"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.nn.modules.container", "ParameterDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
    ("__builtin__", "set"),
    ("builtins", "set"),
    ("pytorch_lightning.callbacks", "ModelCheckpoint"),
    ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
];

impl Global {
    /// The meaning of `module.name`.
    ///
    /// # Errors
    /// [`PickleError::Forbidden`] with the name, for all names outside of the table.
    pub fn find(module: &str, name: &str) -> Result<Self, PickleError> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Some(Global::Dict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Global::Tensor),
            ("torch._utils", "_rebuild_parameter") => Some(Global::Parameter),
            ("torch._tensor", "_rebuild_from_type_v2") => Some(Global::FromType),
            ("torch", _) => {
                STORAGES.iter().find(|(storage, _)| *storage == name).map(|(_, dtype)| Global::Storage(*dtype))
            }
            _ => None,
        };
        let inert = || INERT.contains(&(module, name)).then_some(Global::Inert);
        global.or_else(inert).ok_or_else(|| PickleError::Forbidden(format!("{module}.{name}")))
    }
}
