//! `sdgen convert`: a model in another layout, type of numbers or container.
//!
//! How it is written is in [`super::save`].

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::save::file::{self, Numbers, Report};
use super::save::output::Output;
use super::save::{folder, single, Model};
use crate::cli::save::{FloatType, Layout};
use crate::cli::ConvertArgs;
use crate::commands::inspect::text;
use crate::hub;
use crate::image::Unfinished;
use crate::request::QuantizedType;
use crate::ui::{install_interrupt, Ui};
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
    let layout = args.save.layout.unwrap_or(own);
    let numbers =
        Numbers { dtype: args.dtype.map(FloatType::dtype), quantize: args.quantize.map(QuantizedType::dtype) };
    let output = Output { path: &args.output, layout, overwrite: args.save.overwrite };
    check_numbers(args, &output, numbers)?;
    let format = output.check()?;
    let place = Unfinished::beside(&args.output);
    let report = match (is_file, layout, format) {
        (true, Layout::Single, Some(format)) => {
            let input = weights::open_file(Path::new(&name))?;
            install_interrupt(ui);
            let history = file::history(&input.source, numbers, None);
            file::write(place.path(), format, &input.source, input.metadata, &history, numbers, ui)?
        }
        (_, _, format) => {
            let files = hub::resolve(&name, &args.bare.parts()?)?;
            install_interrupt(ui);
            let model = Model { files: &files, change: &|_, source| source, tell: &|_, _| {} };
            match format {
                Some(format) => single::write(place.path(), format, &model, numbers, ui)?,
                None => folder::write(place.path(), &model, numbers, ui)?,
            }
        }
    };
    place.finish()?;
    tell(args, &report, numbers, start, ui);
    Ok(())
}

/// Folders hold plain numbers, and files in safetensors format too.
fn check_numbers(args: &ConvertArgs, output: &Output<'_>, numbers: Numbers) -> Result<()> {
    if numbers.quantize.is_none() {
        return Ok(());
    }
    if output.layout == Layout::Diffusers {
        let message = "folders in diffusers' layout hold no quantised numbers";
        return Err(Error::usage(message, "add `--layout single`, and name a .gguf file"));
    }
    if args.output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
        let name = args.output.with_extension("gguf");
        return Err(Error::usage(
            "quantised numbers are written into GGUF files",
            format!("name the result `{}`", name.display()),
        ));
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
    report.notes().for_each(|note| ui.note(&note));
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
