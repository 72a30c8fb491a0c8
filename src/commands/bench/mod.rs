//! `sdgen bench`: how fast a model runs here. [`report`] is the result and its JSON, [`table`] the result for people.

mod report;
mod table;

use self::report::Report;
use crate::cli::BenchArgs;
use crate::hub;
use crate::pipeline::{self, Machine, Plan};
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Result};

/// Measures what the arguments ask for, and prints it.
///
/// # Errors
/// [`Error::Usage`] before any work when something asked for is not possible; otherwise what ended the work.
pub fn bench(args: &BenchArgs, ui: &mut Ui) -> Result<()> {
    let request = args.request()?;
    let plan = match args.random()? {
        Some(published) => Plan::of(hub::random(published), &request)?,
        None => Plan::new(&request)?,
    };
    install_interrupt(ui);
    let machine = Machine::new(args.compute.options())?;
    machine.notes().for_each(|note| ui.note(&note));
    if !machine.device.is_cpu() {
        ui.note(
            "each layer is waited for, so that it can be timed: steps are a little slower than those of `generate`",
        );
    }
    if cfg!(debug_assertions) {
        ui.warning("this program was built without optimisation: all figures are too slow; build it with `--release`");
    }
    let measured = pipeline::bench(&plan, &machine, args.stages(), args.steps, ui)?;
    if measured.peak_memory.is_none() {
        ui.note("this system does not tell how much memory was used at most");
    }
    let report = Report::new(&plan, &machine, args, &measured);
    if report.outruns_peak() {
        ui.warning(
            "linear layers were faster than the processor's peak: other programs took the processor while it was measured",
        );
    }
    if args.general.json {
        let json = serde_json::to_string(&report);
        ui.text(&json.map_err(|e| Error::usage(format!("the result is no JSON: {e}"), "report this"))?);
    } else {
        table::lines(&report).iter().for_each(|line| ui.data(line));
    }
    Ok(())
}
