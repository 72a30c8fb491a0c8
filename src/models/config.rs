//! What the configs of all models share: reading, and refusing what a network cannot do.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// Far above the widths, vocabularies and counts of real models.
const LARGEST_SIZE: u64 = 1 << 20;
/// Far above the depths of real models.
const MOST_LAYERS: u64 = 1000;

/// A value for all blocks, or one for each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// The same everywhere.
    One(T),
    /// One a block.
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    /// One value for each of `count` blocks; nothing when the list has another length.
    pub(crate) fn expand(&self, count: usize) -> Option<Vec<T>> {
        match self {
            OneOrMany::One(value) => Some(vec![value.clone(); count]),
            OneOrMany::Many(values) => (values.len() == count).then(|| values.clone()),
        }
    }
}

/// Reads the config of `what` ("UNet") from the text of its `config.json`.
///
/// Sizes that no model has are refused here, before anything is built from them.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, json: &str) -> Result<T> {
    let damaged = |e: serde_json::Error| {
        Error::model(format!("the config of the {what} is damaged: {e}"), "fetch the model's config.json again")
    };
    // An object first: of a list, serde would take the fields one after the other.
    let fields: serde_json::Map<String, Value> = serde_json::from_str(json).map_err(damaged)?;
    for (field, value) in &fields {
        let most = if field.contains("layers") { MOST_LAYERS } else { LARGEST_SIZE };
        if numbers(value).any(|n| n > most) {
            return Err(contradictory(what, format!("`{field}` = {value}")));
        }
    }
    serde_json::from_value(fields.into()).map_err(damaged)
}

/// The whole numbers in a field: itself, or those of its lists.
fn numbers(value: &Value) -> Box<dyn Iterator<Item = u64> + '_> {
    match value {
        Value::Array(values) => Box::new(values.iter().flat_map(numbers)),
        value => Box::new(value.as_u64().into_iter()),
    }
}

/// The error for a field whose value the network does not know.
pub(crate) fn unsupported(what: &str, field: &str, value: impl Display) -> Error {
    Error::model(
        format!("the config of the {what} asks for `{field}` = {value}, which this version does not support"),
        "take another model; an approximation would give another picture",
    )
}

/// The error for values that contradict each other.
pub(crate) fn contradictory(what: &str, reason: impl Display) -> Error {
    Error::model(
        format!("the config of the {what} contradicts itself: {reason}"),
        "fetch the model's config.json again",
    )
}
