//! Schedules against stored values, and what they refuse.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

/// Sampler, timestep spacing, sigma spacing, steps, sigmas, timesteps.
type Planned = (String, String, String, usize, Vec<f64>, Vec<f64>);

#[derive(Deserialize)]
struct Tables {
    sigma_min: f64,
    sigma_max: f64,
    alphas_cumprod: HashMap<usize, f64>,
    zero_terminal_snr_alphas_cumprod: HashMap<usize, f64>,
    spaced: Vec<(String, usize, Vec<f64>)>,
    diffusers: Vec<Planned>,
}

fn tables() -> Tables {
    crate::testing::json("sigmas.json")
}

fn config(class: &str, extra: serde_json::Value) -> SchedulerConfig {
    let mut file = json!({
        "_class_name": class,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    });
    file.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    SchedulerConfig::from_value(file).unwrap()
}

fn relative_difference(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| if a == b { 0.0 } else { ((a - b) / b).abs() }).fold(0.0, f64::max)
}

#[test]
fn spaced_sigmas_are_those_of_k_diffusion() {
    let tables = tables();
    let mut worst = 0f64;
    for (kind, steps, expected) in &tables.spaced {
        let spaced = match kind.as_str() {
            "karras" => sigmas::karras,
            "exponential" => sigmas::exponential,
            _ => sigmas::beta,
        };
        let ours = spaced(tables.sigma_min, tables.sigma_max, *steps);
        worst = worst.max(relative_difference(&ours, &expected[..*steps]));
    }
    assert!(worst <= 1e-13, "{worst:e}");
}

#[test]
fn schedules_are_those_of_diffusers() {
    let (mut worst_sigma, mut worst_timestep) = (0f64, 0f64);
    for (sampler, spacing, sigmas, steps, expected_sigmas, expected_timesteps) in &tables().diffusers {
        let offset = usize::from(spacing == "leading");
        let config = config("PNDMScheduler", json!({"timestep_spacing": spacing, "steps_offset": offset}));
        let sigmas = sigmas.parse().unwrap();
        let schedule = Schedule::plan(&config, Some(sampler.parse().unwrap()), Some(sigmas), *steps, 0.0).unwrap();
        worst_sigma = worst_sigma.max(relative_difference(schedule.sigmas(), expected_sigmas));
        if matches!(schedule.sampler(), Sampler::DpmPp2m | Sampler::UniPc) {
            assert_eq!(schedule.timesteps(), expected_timesteps, "{sampler} {spacing} {sigmas} {steps}");
        }
        worst_timestep = expected_timesteps
            .iter()
            .zip(schedule.timesteps())
            .map(|(a, b)| (a - b).abs())
            .fold(worst_timestep, f64::max);
    }
    assert!(worst_sigma <= 2e-7, "{worst_sigma:e}");
    assert!(worst_timestep <= 1e-4, "{worst_timestep:e}");
}

#[test]
fn model_tables() {
    let tables = tables();
    let betas = &crate::sampling::settings::Betas::ScaledLinear { start: 0.00085, end: 0.012 };
    let plain = ModelTable::new(betas, 1000, false, false);
    let rescaled = ModelTable::new(betas, 1000, true, false);
    let mut worst = 0f64;
    for (table, expected) in [(plain, &tables.alphas_cumprod), (rescaled, &tables.zero_terminal_snr_alphas_cumprod)] {
        for (timestep, alpha) in expected {
            worst = worst.max((table.alphas_cumprod[*timestep] - alpha).abs());
        }
    }
    assert!(worst <= 3e-7, "{worst:e}");
}

fn plan(config: &SchedulerConfig, sampler: Option<Sampler>, steps: usize) -> Result<Schedule, ScheduleError> {
    Schedule::plan(config, sampler, None, steps, 0.0)
}

fn refused(class: &str, extra: serde_json::Value, sampler: Option<Sampler>) -> ScheduleError {
    let error = plan(&config(class, extra), sampler, 10).unwrap_err();
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn published_files_run_as_published() {
    let sd15 = config("PNDMScheduler", json!({"skip_prk_steps": true, "steps_offset": 1, "clip_sample": false}));
    let plms = plan(&sd15, None, 10).unwrap();
    assert_eq!((plms.sampler(), plms.model_calls()), (Sampler::Pndm, 11));
    assert_eq!(plms.timesteps()[..4], [901.0, 801.0, 801.0, 701.0]);
    // What the file does not say is the default of the class that runs.
    assert_eq!(plan(&sd15, Some(Sampler::Euler), 10).unwrap().timesteps()[1], 888.0);
    assert_eq!(plan(&sd15, Some(Sampler::DpmPp2m), 10).unwrap().timesteps()[5], 500.0);

    let turbo = json!({"prediction_type": "epsilon", "timestep_spacing": "trailing", "clip_sample": false});
    let turbo = plan(&config("EulerAncestralDiscreteScheduler", turbo), None, 1).unwrap();
    assert_eq!((turbo.sampler(), turbo.timesteps()), (Sampler::EulerA, &[999.0][..]));

    let v = plan(&config("DDIMScheduler", json!({"prediction_type": "v_prediction"})), None, 10).unwrap();
    assert_eq!((v.sampler(), v.prediction()), (Sampler::Ddim, Prediction::Velocity));

    let lcm = json!({"original_inference_steps": 50, "timestep_scaling": 10.0, "thresholding": false});
    let lcm = plan(&config("LCMScheduler", lcm), None, 4).unwrap();
    assert_eq!(lcm.timesteps(), [999.0, 759.0, 499.0, 259.0]);

    let karras = json!({"algorithm_type": "dpmsolver++", "use_karras_sigmas": true, "solver_p": null});
    let karras = plan(&config("DPMSolverMultistepScheduler", karras), None, 20).unwrap();
    assert_eq!((karras.sampler(), karras.sigma_spacing()), (Sampler::DpmPp2m, SigmaSpacing::Karras));
    assert_eq!(plan(&config("UniPCMultistepScheduler", json!({})), None, 4).unwrap().sampler(), Sampler::UniPc);
    let sde = config("DPMSolverSinglestepScheduler", json!({"algorithm_type": "sde-dpmsolver++"}));
    assert_eq!(plan(&sde, None, 4).unwrap().sampler(), Sampler::DpmPpSde);
}

#[test]
fn python_s_infinity_is_read() {
    let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "note": "Infinity"}"#;
    let config = SchedulerConfig::parse(text).unwrap();
    assert_eq!(config.sampler(), Ok(Sampler::DpmPp2m));
    for broken in ["", "[]", "{}", r#"{"_class_name": 3}"#, "{\"_class_name\": \"DDIM"] {
        assert!(matches!(SchedulerConfig::parse(broken), Err(ScheduleError::NotAConfig(_))), "{broken}");
    }
}

#[test]
fn unknown_classes() {
    for (class, known_model) in
        [("DEISMultistepScheduler", true), ("DPMSolverSDEScheduler", true), ("EDMEulerScheduler", false)]
    {
        let error = refused(class, json!({}), None);
        assert_eq!(error, ScheduleError::UnknownClass { class: class.into(), replaceable: known_model });
        assert_eq!(plan(&config(class, json!({})), Some(Sampler::Euler), 10).is_ok(), known_model, "{class}");
    }
    assert!(refused("FlowMatchHeunDiscreteScheduler", json!({}), Some(Sampler::Euler))
        .to_string()
        .contains("FlowMatch"));
    let old = config("DPMSolverMultistepScheduler", json!({"algorithm_type": "dpmsolver"}));
    assert!(plan(&old, None, 10).is_err());
    assert!(plan(&old, Some(Sampler::DpmPp2m), 10).is_ok());
}

#[test]
fn values_that_change_the_picture_are_refused_or_told() {
    let unsupported = |class: &str, key: &str, value: serde_json::Value| {
        let error = refused(class, json!({ key: value }), None);
        assert!(matches!(error, ScheduleError::Unsupported { .. }), "{error}");
    };
    unsupported("DDIMScheduler", "thresholding", json!(true));
    unsupported("DPMSolverMultistepScheduler", "use_lu_lambdas", json!(true));
    unsupported("DPMSolverMultistepScheduler", "solver_order", json!(4));
    unsupported("UniPCMultistepScheduler", "predict_x0", json!(false));
    unsupported("UniPCMultistepScheduler", "use_flow_sigmas", json!(true));
    unsupported("DDPMScheduler", "variance_type", json!("learned_range"));
    unsupported("EulerDiscreteScheduler", "beta_schedule", json!("sigmoid"));
    unsupported("PNDMScheduler", "prediction_type", json!("sample"));

    for (key, value) in [
        ("prediction_type", json!("flow_prediction")),
        ("timestep_spacing", json!("sideways")),
        ("num_train_timesteps", json!(0)),
        ("num_train_timesteps", json!("1000")),
        ("beta_end", json!(3.0)),
        ("steps_offset", json!(200)),
        ("trained_betas", json!([0.1])),
        ("sigma_min", json!(-1.0)),
    ] {
        let mut extra = json!({"timestep_spacing": "leading"});
        extra[key] = value;
        let error = refused("EulerDiscreteScheduler", extra, None);
        assert!(matches!(error, ScheduleError::BadValue { .. }), "{error}");
    }

    // Heun's class does not know the rescaling, Euler's does.
    let rescaled = config("EulerDiscreteScheduler", json!({"rescale_betas_zero_snr": true}));
    assert_eq!(plan(&rescaled, None, 10).unwrap().notes().len(), 0);
    let notes = plan(&rescaled, Some(Sampler::Heun), 10).unwrap().notes().to_vec();
    assert_eq!(notes, ["`rescale_betas_zero_snr` of the model's scheduler has no effect on heun"]);
    let karras = config("EulerDiscreteScheduler", json!({"use_karras_sigmas": true}));
    assert_eq!(plan(&karras, Some(Sampler::EulerA), 10).unwrap().notes().len(), 1);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let config = |class| config(class, json!({"skip_prk_steps": true}));
    for sampler in Sampler::ALL {
        let flow = *sampler == Sampler::FlowEuler;
        let config = config(if flow { "FlowMatchEulerDiscreteScheduler" } else { "PNDMScheduler" });
        let planned = |sigmas, steps, eta| Schedule::plan(&config, Some(*sampler), sigmas, steps, eta);
        assert_eq!(planned(None, 10, 0.5).is_ok(), *sampler == Sampler::Ddim, "{sampler}");
        assert_eq!(planned(Some(SigmaSpacing::Karras), 10, 0.0).is_ok(), sampler.takes_sigmas(), "{sampler}");
        assert!(planned(Some(SigmaSpacing::Normal), 10, 0.0).is_ok());
        assert!(matches!(planned(None, 0, 0.0), Err(ScheduleError::StepsOutOfRange { .. })));
        for steps in [1, 2, 3, 50, 61, 103, 150] {
            let schedule = planned(None, steps, 0.0);
            let fits = *sampler != Sampler::Lcm || steps <= 50;
            assert_eq!(schedule.map(|s| s.steps()).ok(), fits.then_some(steps), "{sampler} {steps}");
        }
    }
    let config = config("PNDMScheduler");
    let error = Schedule::plan(&config, Some(Sampler::Ddim), Some(SigmaSpacing::Beta), 10, 0.0).unwrap_err();
    assert!(error.hint().contains("euler, euler-a, heun, dpm++2m"));
    assert!(Schedule::plan(&config, Some(Sampler::Ddim), None, 10, 1.5).is_err());
    assert_eq!(crate::Error::from(error).exit_code(), crate::error::exit_code::USAGE);
}

#[test]
fn no_signal_and_predicted_noise_do_not_go_together() {
    let rescaled = json!({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"});
    let config = config("DDIMScheduler", rescaled);
    assert_eq!(plan(&config, None, 4).unwrap_err(), ScheduleError::NoSignal { sampler: Sampler::Ddim });
    assert!(plan(&config, Some(Sampler::Euler), 4).is_ok());
}

#[test]
fn trailing_never_ends_below_zero() {
    let config = config("DDIMScheduler", json!({"timestep_spacing": "trailing"}));
    for steps in 1..=150 {
        for sampler in [Sampler::Ddim, Sampler::Euler, Sampler::UniPc] {
            let schedule = plan(&config, Some(sampler), steps).unwrap();
            assert_eq!(schedule.timesteps().len(), steps);
            assert!(schedule.timesteps().windows(2).all(|w| w[0] > w[1]));
            assert!(schedule.timesteps()[steps - 1] >= 0.0);
        }
    }
}

#[test]
fn strength_rounds_steps_down() {
    let config = config("EulerDiscreteScheduler", json!({}));
    let steps = |strength| plan(&config, None, 10).unwrap().with_strength(strength).map(|s| s.steps());
    assert_eq!(steps(1.0), Ok(10));
    assert_eq!(steps(0.75), Ok(7));
    assert_eq!(steps(0.7), Ok(7));
    for strength in [0.0, 0.05, -1.0, 1.2, f64::NAN] {
        assert!(steps(strength).is_err(), "{strength}");
    }
    let heun = plan(&config, Some(Sampler::Heun), 10).unwrap().with_strength(0.5).unwrap();
    assert_eq!((heun.steps(), heun.model_calls()), (5, 9));
}
