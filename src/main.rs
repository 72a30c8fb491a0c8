//! The program: reads the command line, runs the command, turns its result into an exit code.

use std::process::ExitCode;

use sdgen::cli::{self, Invocation, Parsed};
use sdgen::config::Surroundings;
use sdgen::error::exit_code;
use sdgen::ui::Ui;
use sdgen::{commands, Error};

fn main() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    let surroundings = Surroundings::of_process();
    match cli::reference::complete(&typed) {
        Ok(true) => return ExitCode::from(exit_code::OK),
        Ok(false) => {}
        Err(e) => return report(&mut Ui::new(cli::message_options(&typed, &surroundings)), &e),
    }
    let invocation = match cli::parse_within(typed.clone(), &surroundings) {
        Ok(invocation) => invocation,
        Err(e) => return report(&mut Ui::new(cli::message_options(&typed, &surroundings)), &e),
    };
    let Invocation { parsed, args, notes, warnings } = invocation;
    let command = match parsed {
        Parsed::Command(command) => command,
        Parsed::Text(text) => return show(&text),
    };
    let mut ui = Ui::new(command.ui_options());
    notes.iter().for_each(|note| ui.note(note));
    warnings.iter().for_each(|warning| ui.warning(warning));
    match commands::run(&command, &mut ui).and_then(|()| ui.close()) {
        Ok(()) => ExitCode::from(exit_code::OK),
        Err(e) => {
            ui.bar_handle().clear();
            report(&mut Ui::new(cli::message_options(&args, &surroundings)), &e)
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
