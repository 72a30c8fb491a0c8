//! The program: reads the command line, runs the command, turns its result into an exit code.

use std::process::ExitCode;

use sdgen::cli::{self, Parsed};
use sdgen::error::exit_code;
use sdgen::ui::Ui;
use sdgen::{commands, Error};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    match cli::reference::complete(&args) {
        Ok(true) => return ExitCode::from(exit_code::OK),
        Ok(false) => {}
        Err(e) => return report(&mut Ui::new(cli::message_options(&args)), &e),
    }
    let command = match cli::parse(&args) {
        Ok(Parsed::Command(command)) => command,
        Ok(Parsed::Text(text)) => return show(&text),
        Err(e) => return report(&mut Ui::new(cli::message_options(&args)), &e),
    };
    let mut ui = Ui::new(command.ui_options());
    match commands::run(&command, &mut ui).and_then(|()| ui.close()) {
        Ok(()) => ExitCode::from(exit_code::OK),
        Err(e) => {
            ui.bar_handle().clear();
            report(&mut Ui::new(cli::message_options(&args)), &e)
        }
    }
}

/// Help or the version. Whoever stops reading it has seen enough.
fn show(text: &clap::Error) -> ExitCode {
    let _ = text.print();
    ExitCode::from(u8::try_from(text.exit_code()).unwrap_or(exit_code::USAGE))
}

fn report(ui: &mut Ui, error: &Error) -> ExitCode {
    ui.error(error);
    ExitCode::from(error.exit_code())
}
