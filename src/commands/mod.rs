//! What each subcommand does: thin layers that turn arguments into a [`Request`](crate::Request), hand it to the pipeline and
//! write what comes back. Only `main` calls this module.

mod bench;
mod completions;
mod config;
mod convert;
mod download;
mod flux;
mod info;
mod inspect;
mod lora_merge;
mod man;
mod models;
mod paint;
mod preprocess;
mod preset;
mod save;
mod studio;
mod verify;

use crate::cli::Command;
use crate::ui::Ui;
use crate::Result;

/// Does what a subcommand says.
///
/// # Errors
/// What ended the work.
pub fn run(command: &Command, ui: &mut Ui) -> Result<()> {
    match command {
        Command::Generate(args) => paint::paint(&args.request()?, &args.paint, None, ui),
        Command::Img2img(args) => paint::paint(&args.request()?, &args.paint, Some(&args.control), ui),
        Command::Inpaint(args) => paint::paint(&args.request()?, &args.paint, Some(&args.control), ui),
        Command::Controlnet(args) => paint::paint(&args.request()?, &args.paint, Some(&args.control), ui),
        Command::Flux(args) => flux::flux(args, ui),
        Command::Sheet(args) => paint::sheet(args, ui),
        Command::Preprocess(args) => preprocess::preprocess(args, ui),
        Command::Bench(args) => bench::bench(args, ui),
        Command::Download(args) => download::download(args, ui),
        Command::Verify(args) => verify::verify(args, ui),
        Command::Info(args) => info::info(args, ui),
        Command::Convert(args) => convert::convert(args, ui),
        Command::LoraMerge(args) => lora_merge::lora_merge(args, ui),
        Command::Completions(args) => completions::completions(args, ui),
        Command::Man(args) => man::man(args, ui),
        Command::Preset(args) => preset::preset(args, ui),
        Command::Config(args) => config::config(args, ui),
    }
}
