//! Samplers and schedules by the names that other programs have for them.

use super::Recipe;
use crate::sampling::Sampler;

/// Which program's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// A1111's labels.
    A1111,
    /// ComfyUI's, which Fooocus shares.
    Comfy,
    /// InvokeAI's, of which only those that differ from ComfyUI's are listed.
    Invoke,
}

/// A sampler, its label in A1111, its name in ComfyUI and in InvokeAI.
const SAMPLERS: [(Sampler, &str, &str, &str); 12] = [
    (Sampler::Ddim, "DDIM", "ddim", "ddim"),
    (Sampler::Ddpm, "DDPM", "ddpm", "ddpm"),
    (Sampler::Pndm, "PLMS", "", "pndm"),
    (Sampler::Euler, "Euler", "euler", "euler"),
    (Sampler::EulerA, "Euler a", "euler_ancestral", "euler_a"),
    (Sampler::Heun, "Heun", "heun", "heun"),
    (Sampler::Lms, "LMS", "lms", "lms"),
    (Sampler::DpmPp2m, "DPM++ 2M", "dpmpp_2m", "dpmpp_2m"),
    (Sampler::DpmPp2mSde, "DPM++ 2M SDE", "dpmpp_2m_sde", "dpmpp_2m_sde"),
    (Sampler::DpmPpSde, "DPM++ SDE", "dpmpp_sde", "dpmpp_sde"),
    (Sampler::UniPc, "UniPC", "uni_pc", "unipc"),
    (Sampler::Lcm, "LCM", "lcm", "lcm"),
];

/// What A1111 means by the schedule "Automatic": its label and the samplers.
const AUTOMATIC: [(&str, &[&str]); 2] = [
    ("karras", &["DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"]),
    ("exponential", &["DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"]),
];

/// Takes a sampler over, and how its noise levels are spaced; what there is not is listed. `flow` is whether the model is one of flow
/// matching, where Euler's method has another name here.
pub fn take(recipe: &mut Recipe, names: Names, sampler: &str, schedule: Option<&str>, flow: bool) {
    let (base, schedule) = split(names, sampler, schedule);
    let name = |row: &&(Sampler, &str, &str, &str)| match names {
        Names::A1111 => row.1 == base,
        Names::Comfy => row.2 == base.trim_end_matches("_gpu"),
        Names::Invoke => row.3 == base,
    };
    let Some((sampler, ..)) = SAMPLERS.iter().find(name) else {
        recipe.not_taken.push(format!("sampler {sampler}"));
        return;
    };
    if flow && *sampler == Sampler::Euler {
        recipe.set("scheduler", Sampler::FlowEuler);
        return;
    }
    recipe.set("scheduler", sampler);
    if !sampler.takes_sigmas() {
        return;
    }
    match schedule.as_str() {
        "karras" | "exponential" | "beta" => recipe.set("sigmas", schedule),
        "normal" | "uniform" | "automatic" => recipe.set("sigmas", "normal"),
        other => recipe.not_taken.push(format!("schedule {other}")),
    }
}

/// The sampler without the schedule that its name may hold, and the schedule in lower case.
fn split(names: Names, sampler: &str, schedule: Option<&str>) -> (String, String) {
    if names == Names::Invoke {
        return match sampler.strip_suffix("_k") {
            Some(base) => (base.into(), "karras".into()),
            None => (sampler.into(), "normal".into()),
        };
    }
    if let Some(schedule) = schedule.filter(|schedule| !schedule.eq_ignore_ascii_case("automatic")) {
        return (sampler.into(), schedule.to_lowercase());
    }
    // Before 1.9 the label held the schedule.
    let in_label = ["Karras", "Exponential"].iter().find_map(|s| Some((sampler.strip_suffix(s)?.trim_end(), s)));
    if let (Some((base, suffix)), None) = (in_label, schedule) {
        return (base.into(), suffix.to_lowercase());
    }
    let automatic = AUTOMATIC.iter().filter(|_| schedule.is_some()).find(|(_, samplers)| samplers.contains(&sampler));
    (sampler.into(), automatic.map_or("normal", |(schedule, _)| *schedule).into())
}
