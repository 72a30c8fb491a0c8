//! What the configs of all models share: reading, and refusing what a network cannot do.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::Deserialize;

use crate::{Error, Result};

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
pub(crate) fn parse<T: DeserializeOwned>(what: &str, json: &str) -> Result<T> {
    // An object first: of a list, serde would take the fields one after the other.
    let object = serde_json::from_str::<serde_json::Map<_, _>>(json);
    object.and_then(|fields| serde_json::from_value(fields.into())).map_err(|e| {
        Error::model(format!("the config of the {what} is damaged: {e}"), "fetch the model's config.json again")
    })
}

/// The most layers one behind the other that a config may ask for; the deepest published models have a few dozen. Without a
/// limit, one number in a file would fill the memory before the first missing tensor is noticed.
const MOST_LAYERS: usize = 1000;

/// Refuses a number of layers that no model has.
pub(crate) fn check_layers(what: &str, field: &str, layers: usize) -> Result<()> {
    if layers <= MOST_LAYERS {
        return Ok(());
    }
    let message = format!("the config of the {what} asks for `{field}` = {layers}; no model has more than {MOST_LAYERS}");
    Err(Error::model(message, "fetch the model's config.json again"))
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
