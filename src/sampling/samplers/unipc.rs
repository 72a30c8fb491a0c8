//! Unified predictor-corrector (Zhao et al. 2023), predicting pictures; diffusers' `UniPCMultistepScheduler` with `bh2` or
//! `bh1`. Second order, unless the model's file says first or third.

use candle_core::Tensor;

use crate::sampling::run::{weighted_sum, Run};
use crate::sampling::schedule::{Level, Schedule};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    let solver = &schedule.settings.solver;
    // Predicted pictures before this call, newest first.
    let mut history: Vec<Tensor> = Vec::new();
    // The latents of the last call, after correction, and the order of its prediction.
    let mut last: Option<(Tensor, usize)> = None;
    for call in schedule.calls() {
        let level = Level::of_sigma(schedule.sigma(call));
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise(&output, &latents, level.alpha, level.sigma)?;
        if let Some((before, order)) = last.take() {
            if !solver.uncorrected.contains(&(call - 1)) {
                latents = correct(schedule, call, order, &before, &history, &denoised)?;
            }
        }
        history.insert(0, denoised.clone());
        history.truncate(solver.order);

        let order = order_of_step(schedule, call).min(history.len());
        let next = predict(schedule, call, order, &latents, &history)?;
        last = Some((latents, order));
        latents = run.finish(call, next, &denoised)?;
    }
    Ok(latents)
}

fn order_of_step(schedule: &Schedule, call: usize) -> usize {
    let (solver, left) = (&schedule.settings.solver, schedule.calls().end - call);
    // A step to zero noise is infinitely long in the logarithm: only first order is defined.
    if schedule.sigma(call + 1) == 0.0 {
        return 1;
    }
    if solver.lower_order_final {
        solver.order.min(left)
    } else {
        solver.order
    }
}

/// From call `call` to the next level.
fn predict(schedule: &Schedule, call: usize, order: usize, latents: &Tensor, history: &[Tensor]) -> Result<Tensor> {
    let step = Step::new(schedule, call, order);
    let weights = match order {
        1 => Vec::new(),
        2 => vec![0.5],
        _ => solve(step.equations(order - 1)),
    };
    let mut terms = step.base(latents, &history[0]);
    step.add_differences(&mut terms, &weights, history);
    weighted_sum(&terms)
}

/// The latents of call `call` again, now that the picture is predicted there.
fn correct(
    schedule: &Schedule,
    call: usize,
    order: usize,
    before: &Tensor,
    history: &[Tensor],
    denoised: &Tensor,
) -> Result<Tensor> {
    let step = Step::new(schedule, call - 1, order);
    let weights = if order == 1 { vec![0.5] } else { solve(step.equations(order)) };
    let mut terms = step.base(before, &history[0]);
    let (of_new, of_old) = (weights[order - 1], &weights[..order - 1]);
    step.add_differences(&mut terms, of_old, history);
    let factor = -step.to.alpha * step.scale * of_new;
    terms.extend([(factor, denoised), (-factor, &history[0])]);
    weighted_sum(&terms)
}

/// The step from one level to the next, in the paper's terms.
struct Step {
    from: Level,
    to: Level,
    /// -h: the step in the logarithm of signal over noise.
    hh: f64,
    /// B(h).
    scale: f64,
    /// Where the older pictures lie, in steps; the last is 1, the end of the step.
    ratios: Vec<f64>,
}

impl Step {
    fn new(schedule: &Schedule, call: usize, order: usize) -> Self {
        let level = |i: usize| Level::of_sigma(schedule.sigma(i));
        let (from, to) = (level(call), level(call + 1));
        let h = to.lambda - from.lambda;
        let mut ratios: Vec<f64> = (1..order).map(|back| (level(call - back).lambda - from.lambda) / h).collect();
        ratios.push(1.0);
        let scale = if schedule.settings.solver.second_form { -h } else { (-h).exp_m1() };
        Step { from, to, hh: -h, scale, ratios }
    }

    /// The step while the predicted picture stays the same.
    fn base<'a>(&self, latents: &'a Tensor, picture: &'a Tensor) -> Vec<(f64, &'a Tensor)> {
        vec![(self.to.sigma / self.from.sigma, latents), (-self.to.alpha * self.hh.exp_m1(), picture)]
    }

    /// Adds the older pictures' differences to the newest, `history[0]`.
    fn add_differences<'a>(&self, terms: &mut Vec<(f64, &'a Tensor)>, weights: &[f64], history: &'a [Tensor]) {
        for ((weight, ratio), picture) in weights.iter().zip(&self.ratios).zip(&history[1..]) {
            let factor = -self.to.alpha * self.scale * weight / ratio;
            terms.extend([(factor, picture), (-factor, &history[0])]);
        }
    }

    /// The first `n` equations for the weights of the first `n` ratios (equation 10 of the paper): rows of powers, then the
    /// right side.
    fn equations(&self, n: usize) -> Vec<Vec<f64>> {
        let mut phi = self.hh.exp_m1() / self.hh - 1.0;
        let mut factorial = 1.0;
        (0..n)
            .map(|power| {
                let mut row: Vec<f64> = self.ratios[..n].iter().map(|r| r.powi(power as i32)).collect();
                row.push(phi * factorial / self.scale);
                factorial *= (power + 2) as f64;
                phi = phi / self.hh - 1.0 / factorial;
                row
            })
            .collect()
    }
}

/// Solves linear equations by elimination. The rows are Vandermonde's: with distinct ratios there is one solution.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let best = (column..n).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        rows.swap(column, best.unwrap_or(column));
        let pivot = rows[column].clone();
        for (i, row) in rows.iter_mut().enumerate() {
            if i != column {
                let factor = row[column] / pivot[column];
                row.iter_mut().zip(&pivot).for_each(|(value, p)| *value -= factor * p);
            }
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}
