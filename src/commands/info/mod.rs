//! `sdgen info`: what files say about themselves, whole or not.

mod model;
mod picture;
mod tensors;

use serde::Serialize;

use self::model::ModelInfo;
use self::picture::PictureInfo;
use self::tensors::TensorsInfo;
use crate::cli::InfoArgs;
use crate::commands::inspect::Target;
use crate::ui::Ui;
use crate::{Error, Result};

/// What is known of a file, in the shape that `--json` prints.
#[derive(Serialize)]
#[serde(untagged)]
enum Info {
    Model(ModelInfo),
    Tensors(Box<TensorsInfo>),
    Picture(Box<PictureInfo>),
}

/// Prints what each file says about itself.
///
/// # Errors
/// [`Error::Model`] when a file is not there, or cannot be read; the others are shown first.
pub fn info(args: &InfoArgs, ui: &mut Ui) -> Result<()> {
    let names = args.files.iter().map(|file| name(file)).collect::<Result<Vec<_>>>()?;
    let targets = names.iter().map(|name| Target::find(name)).collect::<Result<Vec<_>>>()?;
    let mut failed = 0;
    for (index, (name, target)) in names.iter().zip(&targets).enumerate() {
        match of(name, target) {
            Ok(info) => show(&info, index > 0, args, ui),
            Err(e) if names.len() == 1 => return Err(e),
            Err(e) => {
                failed += 1;
                ui.failure(&e);
            }
        }
    }
    if failed > 0 {
        return Err(Error::model(format!("{failed} of {} files cannot be read", names.len()), "see above"));
    }
    Ok(())
}

fn name(path: &std::path::Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::path_is_no_text("file", path))
}

fn of(name: &str, target: &Target) -> Result<Info> {
    Ok(match target {
        Target::Model(files) => Info::Model(ModelInfo::of(name, files)?),
        Target::Part(folder) => Info::Model(ModelInfo::of_part(name, folder)?),
        Target::File(path) => Info::Tensors(Box::new(TensorsInfo::of(name, path)?)),
        Target::Picture(path) => Info::Picture(Box::new(PictureInfo::of(name, path)?)),
    })
}

fn show(info: &Info, is_next: bool, args: &InfoArgs, ui: &mut Ui) {
    if args.general.json {
        ui.event("info", info);
        return;
    }
    if is_next {
        ui.data("");
    }
    let lines = match info {
        Info::Model(info) => info.lines(),
        Info::Tensors(info) => info.lines(args.general.verbose),
        Info::Picture(info) => info.lines(),
    };
    lines.iter().for_each(|line| ui.data(line));
}

/// A line of a name and a value; further lines of the value are indented below it.
fn line(name: &str, value: &str) -> Vec<String> {
    let mut lines = value.lines();
    let first = format!("  {name}: {}", lines.next().unwrap_or_default());
    std::iter::once(first).chain(lines.map(|line| format!("    {line}"))).collect()
}
