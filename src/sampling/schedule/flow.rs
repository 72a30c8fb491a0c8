//! Noise levels of models trained by flow matching: the share of noise, from 1 to nearly 0, shifted towards noise.

use crate::sampling::settings::{Flow, FlowGrid, Settings, Shift};

/// Timesteps and sigmas for so many steps, with the last sigma of 0.
pub(super) fn levels(settings: &Settings, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let train = settings.train_timesteps as f64;
    let Flow { grid, shift } = settings.flow.unwrap_or(Flow { grid: FlowGrid::Model, shift: Shift::Factor(1.0) });
    let last = match grid {
        FlowGrid::Share => 1.0 / steps as f64,
        // The model's own levels are shifted already, and will be once more: so does the reference.
        FlowGrid::Model => match shift {
            Shift::Factor(_) => f64::from(shifted(1.0 / train, shift) as f32),
            Shift::Exponential(_) => f64::from((1.0 / train) as f32),
        },
    };
    let gap = if steps > 1 { (1.0 - last) / (steps - 1) as f64 } else { 0.0 };
    let even = (0..steps).map(|i| if i > 0 && i + 1 == steps { last } else { 1.0 - i as f64 * gap });
    let mut sigmas: Vec<f64> = even.map(|t| f64::from(shifted(t, shift) as f32)).collect();
    // Rounded as the reference has them: the product of two numbers in single precision.
    let timesteps = sigmas.iter().map(|sigma| f64::from(*sigma as f32 * train as f32)).collect();
    sigmas.push(0.0);
    (timesteps, sigmas)
}

/// The shift of Esser et al. 2024, section 5.3.2, in its two forms.
fn shifted(t: f64, shift: Shift) -> f64 {
    match shift {
        Shift::Factor(shift) => shift * t / (1.0 + (shift - 1.0) * t),
        Shift::Exponential(mu) => mu.exp() / (mu.exp() + (1.0 / t - 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sampling::{FlowGrid, Sampler, Schedule, SchedulerConfig, SigmaSpacing};

    fn config(extra: &serde_json::Value) -> SchedulerConfig {
        let mut file = json!({ "_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000 });
        file.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        SchedulerConfig::from_value(file).unwrap()
    }

    fn plan(config: &SchedulerConfig, steps: usize) -> Schedule {
        Schedule::plan(config, None, None, steps, 0.0).unwrap()
    }

    fn close(ours: &[f64], theirs: &[f64]) -> bool {
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= 1e-7 * b)
    }

    /// Sigmas by the formulas of diffusers' schedulers and pipelines, in double precision.
    #[test]
    fn sigmas_are_those_of_diffusers() {
        let sd3 = plan(&config(&json!({ "shift": 3.0 })), 4);
        assert_eq!((sd3.sampler(), sd3.sigma_spacing()), (Sampler::FlowEuler, SigmaSpacing::Normal));
        assert!(close(sd3.sigmas(), &SD3_4), "{:?}", sd3.sigmas());
        assert!(close(sd3.timesteps(), &SD3_4[..4].iter().map(|s| s * 1000.0).collect::<Vec<_>>()));
        let schnell = config(&json!({ "shift": 1.0 })).with_flow_grid(FlowGrid::Share);
        assert!(close(plan(&schnell, 4).sigmas(), &[1.0, 0.75, 0.5, 0.25, 0.0]));
        assert!(close(plan(&schnell, 1).sigmas(), &[1.0, 0.0]));
        let dev = config(&json!({ "shift": 3.0, "use_dynamic_shifting": true })).with_flow_grid(FlowGrid::Share);
        for (tokens, expected) in DEV_4 {
            let schedule = plan(&dev.clone().with_image_tokens(tokens), 4);
            assert!(close(schedule.sigmas(), &expected), "{tokens}: {:?}", schedule.sigmas());
        }
    }

    #[test]
    fn the_steps_that_are_left_out_are_rounded_down() {
        let kept = |strength| plan(&config(&json!({})), 10).with_strength(strength).map(|s| s.steps());
        assert_eq!([kept(0.75), kept(0.7), kept(1.0), kept(0.05)].map(Result::unwrap), [8, 7, 10, 1]);
        assert!(kept(0.0).is_err());
    }

    #[test]
    fn what_is_not_flow_matching_is_refused() {
        let other = SchedulerConfig::from_value(json!({ "_class_name": "PNDMScheduler" })).unwrap();
        let refused =
            |config: &SchedulerConfig, sampler| Schedule::plan(config, Some(sampler), None, 4, 0.0).unwrap_err();
        let error = refused(&other, Sampler::FlowEuler);
        assert!(
            error.to_string().contains("that are not trained by flow matching") && error.hint().contains("euler-a")
        );
        let error = refused(&config(&json!({})), Sampler::Euler);
        assert!(error.to_string().contains("that are trained by") && error.hint().contains("flow-euler"));
        for (key, value) in [
            ("invert_sigmas", json!(true)),
            ("stochastic_sampling", json!(true)),
            ("shift_terminal", json!(0.1)),
            ("time_shift_type", json!("linear")),
            ("use_karras_sigmas", json!(true)),
            ("shift", json!(0.0)),
        ] {
            let error = refused(&config(&json!({ key: value })), Sampler::FlowEuler);
            assert!(error.to_string().contains(key), "{error}");
        }
        let sizes = json!({ "use_dynamic_shifting": true, "max_image_seq_len": 256 });
        assert!(refused(&config(&sizes), Sampler::FlowEuler).to_string().contains("max_image_seq_len"));
    }

    const SD3_4: [f64; 5] = [1.0, 0.85769230769231, 0.60215053763441, 0.0089285714285714, 0.0];
    /// Tokens, and sigmas of four steps.
    const DEV_4: [(usize, [f64; 5]); 3] = [
        (1024, [1.0, 0.84923483068293, 0.65248946219274, 0.38494474881747, 0.0]),
        (4096, [1.0, 0.90453076673864, 0.75951091694911, 0.51284410150913, 0.0]),
        (256, [1.0, 0.83182434396358, 0.62245933120185, 0.35466124439244, 0.0]),
    ];
}
