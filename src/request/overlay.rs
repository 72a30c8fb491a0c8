//! JSON laid over a [`Request`]: what it names replaces what the request says, all else stays.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Image, Parts, Prompt, Request, Sampling, SCHEMA};
use crate::{suggest, Error, Result};

impl Request {
    /// This request with the fields of a JSON object laid over it. Objects are merged field by field, lists and all else are
    /// replaced; `null` leaves a field to the model. A text for `prompt` is short for `{"text": ...}`.
    ///
    /// # Errors
    /// [`Error::Usage`] for what is no JSON object, for names that a request does not have and for values that cannot be.
    pub fn overlaid(&self, json: &str) -> Result<Request> {
        let laid: Value = serde_json::from_str(json).map_err(|e| no_json(&e))?;
        let Value::Object(mut laid) = laid else {
            return Err(Error::usage("this is no JSON object", r#"give one, such as `{"prompt":"a red apple"}`"#));
        };
        if laid.get("schema").and_then(Value::as_u64).is_some_and(|schema| schema > u64::from(SCHEMA)) {
            return Err(Error::usage("it is a request of a newer sdgen, which this one does not know", "update sdgen"));
        }
        if let Some(Value::String(text)) = laid.get_mut("prompt") {
            let text = std::mem::take(text);
            laid["prompt"] = Value::Object(Map::from_iter([("text".to_owned(), text.into())]));
        }
        let mut whole = serde_json::to_value(self).map_err(|e| wrong(&e.to_string()))?;
        merge(&mut whole, Value::Object(laid));
        let request: Request = serde_json::from_value(whole).map_err(|e| wrong(&e.to_string()))?;
        Ok(Request { lora_dirs: self.lora_dirs.clone(), ..request })
    }
}

fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

fn no_json(e: &serde_json::Error) -> Error {
    let text = e.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let hint = r#"write a JSON object, such as `{"prompt":"a red apple","sampling":{"seed":7}}`"#;
    Error::usage(format!("this is no JSON: {what} at column {}", e.column()), hint)
}

/// What serde says of a name or value that a request does not have.
fn wrong(said: &str) -> Error {
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let hint = match quoted.as_slice() {
        [given, known @ ..] if said.starts_with("unknown field") => of_section(given)
            .or_else(|| suggest::nearest(given, known).map(|name| format!("did you mean `{name}`?")))
            .unwrap_or_else(|| format!("one of: {}", known.join(", "))),
        [given, known @ ..] if said.starts_with("unknown variant") => match suggest::nearest(given, known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of: {}", known.join(", ")),
        },
        _ => "`--dry-run` prints a complete request".into(),
    };
    Error::usage(said, hint)
}

/// The place of a field that is no field of the request itself, but of one of its sections.
fn of_section(name: &str) -> Option<String> {
    let sections = [
        ("prompt", fields::<Prompt>()),
        ("sampling", fields::<Sampling>()),
        ("image", fields::<Image>()),
        ("parts", fields::<Parts>()),
    ];
    let found = sections.iter().find(|(_, fields)| fields.iter().any(|field| field == name));
    found.map(|(section, _)| format!(r#"it is a part of `{section}`: `{{"{section}":{{"{name}":...}}}}`"#))
}

/// The names of a struct's fields, as serde lists them when there is one that it does not know.
fn fields<T: DeserializeOwned>() -> Vec<String> {
    let unknown = Value::Object(Map::from_iter([(String::new(), Value::Null)]));
    let said = serde_json::from_value::<T>(unknown).err().map(|e| e.to_string()).unwrap_or_default();
    said.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::Sampler;

    fn base() -> Request {
        let mut base = Request { lora_dirs: vec!["loras".into()], ..Request::default() };
        base.prompt.text = "a cat".into();
        base.prompt.negative = Some("blurry".into());
        base.sampling.steps = Some(20);
        base.sampling.seed = Some(7);
        base
    }

    #[test]
    fn what_is_named_replaces_and_all_else_stays() {
        assert_eq!(base().overlaid("{}").unwrap(), base());
        let mut expected = base();
        expected.prompt.text = "a dog".into();
        expected.prompt.negative = None;
        expected.sampling.guidance = Some(7.1);
        expected.sampling.scheduler = Some(Sampler::Euler);
        expected.model = "sd15".into();
        expected.loras = vec![crate::request::Lora::new("style")];
        let laid = r#"{"prompt":{"text":"a dog","negative":null},"model":"sd15","loras":[{"file":"style","scale":1}],
                       "sampling":{"guidance":7.1,"scheduler":"euler"}}"#;
        assert_eq!(base().overlaid(laid).unwrap(), expected);
        assert_eq!(base().overlaid(r#"{"prompt":"a fox"}"#).unwrap().prompt.text, "a fox");
        assert_eq!(base().overlaid(r#"{"sampling":{"seed":null}}"#).unwrap().sampling.seed, None);
        let input = base().overlaid(r#"{"input":{"picture":{"file":"a.png"}}}"#).unwrap().input.unwrap();
        assert_eq!(input.picture.file, "a.png");
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        for (json, message, hint) in [
            (r#"{"sampling":{"stepz":3}}"#, "unknown field `stepz`", "did you mean `steps`?"),
            (r#"{"promt":"x"}"#, "unknown field `promt`", "did you mean `prompt`?"),
            (r#"{"seed":3}"#, "unknown field `seed`", "it is a part of `sampling`"),
            (r#"{"width":64}"#, "unknown field `width`", r#"{"image":{"width":...}}"#),
            (r#"{"zzzzz":3}"#, "unknown field `zzzzz`", "one of: schema, model"),
            (r#"{"sampling":{"scheduler":"eulr"}}"#, "eulr", "did you mean `euler`?"),
            (r#"{"sampling":{"steps":"ten"}}"#, "invalid type", "--dry-run"),
            (r#"{"sampling":{"steps":-3}}"#, "invalid value", "--dry-run"),
            (r#"{"prompt":null}"#, "null", "--dry-run"),
            (r#"{"schema":2}"#, "newer", "update"),
            ("{\"prompt\":}", "no JSON: expected value at column 11", "{\"prompt\":\"a red apple\""),
            ("[1]", "no JSON object", "such as"),
        ] {
            let error = base().overlaid(json).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.to_string().contains(message), "{json}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{json}: {:?}", error.hint());
        }
    }
}
