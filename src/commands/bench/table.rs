//! The result of `sdgen bench` for people.

use super::report::{Report, Row, Stage};

/// The lines of a report.
pub fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![what(report)];
    lines.extend(peak(report));
    lines.push(String::new());
    lines.push(format!("{:<10}{:>10}", "load", seconds(report.load_s)));
    let stages = [
        ("encode", &report.encode),
        ("step", &report.step),
        ("controlled", &report.control_step),
        ("decode", &report.decode),
    ];
    let stages = stages.iter().filter_map(|(name, stage)| Some((*name, stage.as_ref()?)));
    for (name, stage) in stages.clone() {
        let spread = format!("{} to {}", seconds(stage.min_s).trim(), seconds(stage.max_s).trim());
        lines.push(format!("{name:<11}{:>9}   {spread}", seconds(stage.median_s)));
    }
    if let Some(factor) = report.control_factor {
        lines.push(format!("ControlNets multiply the time of a step by {factor:.2}"));
    }
    if let Some(mib) = report.peak_rss_mib {
        lines.push(format!("{:<10}{mib:>6.0} MiB   at most", "memory"));
    }
    for (name, stage) in stages {
        lines.push(String::new());
        lines.extend(layers(name, stage));
    }
    lines
}

/// What was measured on what.
fn what(report: &Report) -> String {
    let samples = if report.batch == 1 { "one sample".into() } else { format!("batch of {}", report.batch) };
    let isa = report.isa.as_ref().map(|isa| format!(" with {isa}")).unwrap_or_default();
    let threads = match report.threads {
        Some(1) => ", 1 thread".into(),
        Some(threads) => format!(", {threads} threads"),
        None => String::new(),
    };
    let Report { model, width, height, device, dtype, .. } = report;
    let weights = if report.random_weights { " with random weights" } else { "" };
    format!("{model}{weights}, {width}x{height}, {samples}, {dtype} on {device}{isa}{threads}")
}

fn peak(report: &Report) -> Option<String> {
    let bf16 = report.peak_gflops_bf16.map(|rate| format!(", {rate:.0} GFLOP/s in bf16")).unwrap_or_default();
    report.peak_gflops_f32.map(|rate| format!("the processor's peak: {rate:.0} GFLOP/s in f32{bf16}"))
}

fn layers(name: &str, stage: &Stage) -> Vec<String> {
    let mut lines =
        vec![format!("{name:<17}{:>6}{:>11}{:>8}{:>10}{:>9}", "calls", "time", "share", "GFLOP/s", "of peak")];
    lines.extend(stage.layers.iter().map(line));
    if stage.products.gflop.is_some() {
        lines.push(line(&stage.products));
    }
    lines
}

fn line(row: &Row) -> String {
    let calls = row.calls.map(|calls| calls.to_string()).unwrap_or_default();
    let share = format!("{:.1} %", 100.0 * row.share);
    let reached = row.gflops.map(|rate| format!("{rate:.0}")).unwrap_or_default();
    let of_peak = row.of_peak.map(|part| format!("{:.0} %", 100.0 * part)).unwrap_or_default();
    let line =
        format!("{:<17}{calls:>6}{:>11}{share:>8}{reached:>10}{of_peak:>9}", label(row.kind), seconds(row.seconds));
    line.trim_end().into()
}

/// A row's name as people say it.
fn label(kind: &str) -> &str {
    match kind {
        "conv_3x3" => "3x3 convolution",
        "conv_1x1" => "1x1 convolution",
        "conv_other" => "other convolution",
        "self_attention" => "self-attention",
        "cross_attention" => "cross-attention",
        "products" => "all products",
        other => other,
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{:.2} ms", 1000.0 * seconds)
    } else {
        format!("{seconds:.2} s ")
    }
}
