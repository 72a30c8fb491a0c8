//! The tensors among a pickle's values, named by the keys that lead to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::PickleError;
use super::value::{Id, StoredTensor, Value, Values};

/// Deeper values are no model's weights.
const MAX_DEPTH: usize = 16;
/// Longer keys are no tensor's name.
const MAX_KEY: usize = 256;
/// More tensors has no model: one value under very many names would grow without bounds.
const MAX_TENSORS: usize = 100_000;

/// All tensors below the result, by their keys with dots between. A checkpoint's outer `state_dict` is left out of the names.
///
/// # Errors
/// When there are more than any model has.
pub(super) fn named_tensors<'a>(values: &Values<'a>) -> Result<HashMap<String, StoredTensor<'a>>, PickleError> {
    let mut walk = Walk { values: &values.values, seen: HashSet::new(), found: HashMap::new() };
    let root = walk.entry(values.root, "state_dict").unwrap_or(values.root);
    walk.visit(root, "", 0);
    if walk.found.len() > MAX_TENSORS {
        return Err(PickleError::Unsupported(format!("a file of more than {MAX_TENSORS} tensors")));
    }
    Ok(walk.found)
}

/// The whole numbers of the outermost dict, by their keys.
pub(super) fn outer_numbers(values: &Values) -> BTreeMap<String, String> {
    let Value::Dict(entries) = &values.values[values.root] else { return BTreeMap::new() };
    let number = |(key, value): &(Id, Id)| match (&values.values[*key], &values.values[*value]) {
        (Value::Str(key), Value::Int(number)) if key.len() <= MAX_KEY => Some(((*key).to_string(), number.to_string())),
        _ => None,
    };
    entries.iter().filter_map(number).collect()
}

struct Walk<'v, 'a> {
    values: &'v [Value<'a>],
    /// A value that several keys lead to is walked once: pickles can share so much that no walk would end.
    seen: HashSet<Id>,
    found: HashMap<String, StoredTensor<'a>>,
}

impl Walk<'_, '_> {
    fn entry(&self, dict: Id, name: &str) -> Option<Id> {
        let Value::Dict(entries) = &self.values[dict] else { return None };
        let is_dict = |id: Id| matches!(self.values[id], Value::Dict(_));
        let named = |key: Id| matches!(self.values[key], Value::Str(text) if text == name);
        entries.iter().find(|(key, value)| named(*key) && is_dict(*value)).map(|(_, value)| *value)
    }

    fn visit(&mut self, id: Id, path: &str, depth: usize) {
        if self.found.len() > MAX_TENSORS {
            return;
        }
        match &self.values[id] {
            // Tied weights: one tensor may have several names.
            Value::Tensor(tensor) => drop(self.found.insert(path.to_string(), tensor.clone())),
            Value::Object(Some(state)) if depth < MAX_DEPTH && self.seen.insert(id) => {
                self.visit(*state, path, depth + 1);
            }
            Value::Dict(entries) if depth < MAX_DEPTH && self.seen.insert(id) => {
                for (key, value) in entries {
                    let key = match self.values[*key] {
                        Value::Str(text) if text.len() <= MAX_KEY => text.to_string(),
                        Value::Int(number) => number.to_string(),
                        _ => continue,
                    };
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    self.visit(*value, &path, depth + 1);
                }
            }
            _ => {}
        }
    }
}
