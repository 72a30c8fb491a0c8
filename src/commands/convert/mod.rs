//! `sdgen convert`: a model in another layout, type of numbers or container.
//!
//! [`single`] puts the parts of a model together into one source with the original names, [`folder`] writes a folder in diffusers'
//! layout, [`file`] writes one file of any source: it decides the type of each tensor and streams the numbers.

mod file;
mod folder;
mod single;

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use self::file::{Numbers, Report};
use crate::cli::convert::{FloatType, Layout, QuantizedType};
use crate::cli::ConvertArgs;
use crate::commands::inspect::text;
use crate::hub;
use crate::image::{check_writable, folder_of, Unfinished};
use crate::ui::{install_interrupt, Ui};
use crate::weights::write::Format;
use crate::{weights, Error, Result};

/// Writes the model that the arguments name as they say.
///
/// # Errors
/// [`Error::Usage`] before any work for what does not go together, [`Error::Model`] for a model that is not there or not understood,
/// [`Error::Io`] when the result cannot be written. Nothing is left behind then.
pub fn convert(args: &ConvertArgs, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    let name = args.model()?;
    let is_file = Path::new(&name).is_file();
    let own = if is_file { Layout::Single } else { Layout::Diffusers };
    let layout = args.layout.unwrap_or(own);
    let numbers =
        Numbers { dtype: args.dtype.map(FloatType::dtype), quantize: args.quantize.map(QuantizedType::dtype) };
    let format = check_output(args, layout, numbers)?;
    let place = Unfinished::beside(&args.output);
    let report = match (is_file, layout, format) {
        (true, Layout::Single, Some(format)) => {
            let input = weights::open_file(Path::new(&name))?;
            install_interrupt(ui.bar_handle());
            let history = file::history(&input.source, numbers, None);
            file::write(place.path(), format, &input.source, input.metadata, &history, numbers)?
        }
        (_, _, format) => {
            let files = hub::resolve(&name, &args.parts()?)?;
            install_interrupt(ui.bar_handle());
            match format {
                Some(format) => single::write(place.path(), format, &files, numbers)?,
                None => folder::write(place.path(), &files, numbers, ui)?,
            }
        }
    };
    place.finish()?;
    tell(args, &report, numbers, start, ui);
    Ok(())
}

/// Refuses what does not go together, and what is in the way. The format of a single file; none for a folder.
fn check_output(args: &ConvertArgs, layout: Layout, numbers: Numbers) -> Result<Option<Format>> {
    let path = &args.output;
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let shown = path.display();
    let format = match (layout, ending.as_str()) {
        (Layout::Diffusers, "safetensors" | "gguf") => {
            let message = format!("`{shown}` is the name of a file, and a folder is to be written");
            return Err(Error::usage(message, "add `--layout single`, or name a folder"));
        }
        (Layout::Diffusers, _) if numbers.quantize.is_some() => {
            let message = "folders in diffusers' layout hold no quantised numbers";
            return Err(Error::usage(message, "add `--layout single`, and name a .gguf file"));
        }
        (Layout::Diffusers, _) => None,
        (Layout::Single, "gguf") => Some(Format::Gguf),
        (Layout::Single, "safetensors") if numbers.quantize.is_some() => {
            let message = "quantised numbers are written into GGUF files";
            return Err(Error::usage(message, format!("name the result `{}`", path.with_extension("gguf").display())));
        }
        (Layout::Single, "safetensors") => Some(Format::Safetensors),
        (Layout::Single, _) => {
            let message = format!("`{shown}` does not say which kind of file is to be written");
            return Err(Error::usage(message, "end it with .safetensors or .gguf"));
        }
    };
    check_free(args, format.is_some())?;
    check_writable(folder_of(path))?;
    Ok(format)
}

/// What has the name already must be of the same kind, and be given up.
fn check_free(args: &ConvertArgs, is_file: bool) -> Result<()> {
    let path = &args.output;
    let shown = path.display();
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    if path.is_dir() == is_file {
        let what = if is_file { "a folder" } else { "a file" };
        return Err(Error::usage(format!("`{shown}` is {what}"), "give another name"));
    }
    if !args.overwrite {
        return Err(Error::usage(format!("`{shown}` exists"), "give another name, or `--overwrite`"));
    }
    if !is_file && !path.join("model_index.json").is_file() && path.read_dir().is_ok_and(|mut all| all.next().is_some())
    {
        let message = format!("`{shown}` is a folder with other things in it, which `--overwrite` would remove");
        return Err(Error::usage(message, "give another name"));
    }
    Ok(())
}

fn tell(args: &ConvertArgs, report: &Report, numbers: Numbers, start: Instant, ui: &mut Ui) {
    if let Some(quantize) = numbers.quantize.filter(|_| report.plain > 0) {
        let rest = text::count(report.plain, "tensor");
        let quantize = weights::Kind::Quantized(quantize);
        ui.note(&format!(
            "{} in {quantize}; {rest} as numbers: convolutions, norms, tables of words",
            report.quantized
        ));
    }
    for key in &report.dropped {
        ui.note(&format!("`{key}` is left out: it is the hash of the file before"));
    }
    let path = args.output.to_string_lossy();
    if args.general.json {
        ui.event(
            "converted",
            json!({
                "path": path,
                "bytes": report.bytes,
                "tensors": report.plain + report.quantized,
                "types": report.types,
                "seconds": (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            }),
        );
    } else {
        ui.data(&path);
        let size = text::size(report.bytes);
        let seconds = start.elapsed().as_secs_f64();
        ui.detail(&format!("{}, {size}, {seconds:.2} s", text::count(report.plain + report.quantized, "tensor")));
    }
}
