//! `sdgen config`: the settings that count.

use serde_json::{json, Value};

use crate::cli::ConfigArgs;
use crate::config::{to_toml, value, Given, Origin};
use crate::ui::Ui;
use crate::Result;

/// Prints the settings that count, each with where it comes from where that is asked for.
///
/// # Errors
/// [`crate::Error::Usage`] for options that have no meaning here.
pub fn config(args: &ConfigArgs, ui: &mut Ui) -> Result<()> {
    args.options.check()?;
    let settings = &args.options.given;
    if args.options.paint.general.json {
        let settings = settings.iter().map(|given| in_json(given, args.show_origin));
        ui.data(&json!({ "schema": 1, "settings": settings.collect::<Vec<_>>() }).to_string());
    } else {
        to_toml(settings, args.show_origin).lines().for_each(|line| ui.data(line));
    }
    Ok(())
}

fn in_json(given: &Given, with_origin: bool) -> Value {
    let setting = given.setting;
    let value = serde_json::to_value(value(given)).unwrap_or_default();
    let mut all = json!({ "name": setting.name(), "option": format!("--{}", setting.option), "value": value });
    if with_origin {
        all["origin"] = match &given.origin {
            Origin::CommandLine => json!({ "kind": "command line" }),
            Origin::Variable(name) => json!({ "kind": "variable", "name": name }),
            Origin::Recipe(picture) => json!({ "kind": "recipe", "name": picture.to_string_lossy() }),
            Origin::File { name, line } => json!({ "kind": "file", "name": name, "line": line }),
        };
    }
    all
}
