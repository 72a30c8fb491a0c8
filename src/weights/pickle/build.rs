//! What the classes and functions of the table make of their arguments: storages, tensors, dicts.

use super::error::PickleError;
use super::globals::Global;
use super::machine::{Machine, Result};
use super::value::{Id, Storage, StoredTensor, Value};

/// More dimensions have no model's tensors.
const MAX_RANK: usize = 16;

impl<'a> Machine<'a> {
    /// `('storage', class, key, device, length)`, in the older format with a view on another storage, or none, behind it.
    pub(super) fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let parts: Vec<&Value> = match &self.values[id] {
            Value::Seq(parts) => parts.iter().take(6).map(|part| &self.values[*part]).collect(),
            _ => Vec::new(),
        };
        let storage = match parts[..] {
            [Value::Str("storage"), Value::Global(Global::Storage(dtype)), Value::Str(key), _, _] => {
                Storage { key, dtype: *dtype }
            }
            [Value::Str("storage"), Value::Global(Global::Storage(dtype)), Value::Str(key), _, _, Value::Other] => {
                Storage { key, dtype: *dtype }
            }
            [Value::Str("storage"), _, _, _, _, _] => {
                return Err(PickleError::Unsupported("a view on a storage".into()))
            }
            _ => return Err(PickleError::damaged("a storage that is none")),
        };
        self.push(Value::Storage(storage));
        Ok(())
    }

    /// What a class or function of the table makes of its arguments.
    pub(super) fn reduce(&mut self) -> Result<()> {
        let parts = self.pop_many(2)?;
        let value = match (&self.values[parts[0]], &self.values[parts[1]]) {
            (Value::Global(global), Value::Seq(arguments)) => self.make(*global, arguments)?,
            (Value::Object(_) | Value::Other, _) => Value::Other,
            _ => return Err(PickleError::damaged("a call of something that is no function")),
        };
        self.push(value);
        Ok(())
    }

    fn make(&self, global: Global, arguments: &[Id]) -> Result<Value<'a>> {
        match global {
            Global::Dict if arguments.is_empty() => Ok(Value::Dict(Vec::new())),
            // Python 2 wrote the items here.
            Global::Dict => Err(PickleError::Unsupported("its kind of dict".into())),
            Global::Tensor => self.tensor(arguments).map(Value::Tensor),
            Global::Parameter => match arguments.first().map(|id| &self.values[*id]) {
                Some(tensor @ Value::Tensor(_)) => Ok(tensor.clone()),
                _ => Err(PickleError::damaged("a parameter without a tensor")),
            },
            Global::FromType => match arguments {
                [function, _, inner, ..] => match (&self.values[*function], &self.values[*inner]) {
                    (Value::Global(Global::Tensor), Value::Seq(inner)) => self.tensor(inner).map(Value::Tensor),
                    _ => Err(PickleError::damaged("a tensor class without a tensor")),
                },
                _ => Err(PickleError::damaged("a tensor class without a tensor")),
            },
            Global::Storage(_) => Err(PickleError::damaged("a storage without a place")),
            Global::Inert => Ok(Value::Object(None)),
        }
    }

    fn tensor(&self, arguments: &[Id]) -> Result<StoredTensor<'a>> {
        let bad = || PickleError::damaged("a tensor without storage, shape or strides");
        let [storage, offset, shape, strides, ..] = arguments else { return Err(bad()) };
        let number = |id: &Id| match self.values[*id] {
            Value::Int(number) => usize::try_from(number).map_err(|_| bad()),
            _ => Err(bad()),
        };
        let numbers = |id: &Id| match &self.values[*id] {
            Value::Seq(items) if items.len() <= MAX_RANK => items.iter().map(number).collect::<Result<Vec<usize>>>(),
            _ => Err(bad()),
        };
        let Value::Storage(storage) = self.values[*storage] else { return Err(bad()) };
        Ok(StoredTensor { storage, offset: number(offset)?, shape: numbers(shape)?, strides: numbers(strides)? })
    }
}
