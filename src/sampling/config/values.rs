//! Typed access to the values of a model's `scheduler_config.json`.
//! A `null` counts as absent, and what is of another type is an error that names key, value and what was expected.

use serde_json::Value;

use crate::sampling::error::ScheduleError;
use crate::sampling::{Sampler, SchedulerConfig};

impl SchedulerConfig {
    pub(in crate::sampling) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|v| !v.is_null())
    }

    pub(in crate::sampling) fn number(&self, key: &str, default: f64) -> Result<f64, ScheduleError> {
        self.typed(key, default, Value::as_f64, "a number")
    }

    pub(in crate::sampling) fn flag(&self, key: &str, default: bool) -> Result<bool, ScheduleError> {
        self.typed(key, default, Value::as_bool, "true or false")
    }

    pub(in crate::sampling) fn count(&self, key: &str, default: usize) -> Result<usize, ScheduleError> {
        self.typed(key, default, |v| v.as_u64().map(|n| n as usize), "a whole number")
    }

    pub(in crate::sampling) fn text<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str, ScheduleError> {
        self.typed(key, default, Value::as_str, "a word")
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        default: T,
        read: impl Fn(&'a Value) -> Option<T>,
        expected: &'static str,
    ) -> Result<T, ScheduleError> {
        match self.value(key) {
            None => Ok(default),
            Some(value) => read(value).ok_or_else(|| self.bad(key, expected)),
        }
    }

    pub(in crate::sampling) fn bad(&self, key: &str, expected: &'static str) -> ScheduleError {
        ScheduleError::BadValue { key: key.into(), value: self.shown(key), expected }
    }

    pub(in crate::sampling) fn unsupported(&self, key: &str, sampler: Sampler) -> ScheduleError {
        ScheduleError::Unsupported { key: key.into(), value: self.shown(key), sampler }
    }

    fn shown(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| "nothing".into(), Value::to_string)
    }
}
