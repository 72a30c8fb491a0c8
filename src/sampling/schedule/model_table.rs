//! The noise levels a model was trained on, one for each of its timesteps.

use crate::sampling::settings::Betas;

/// What is left of the signal at the last timestep where zero would divide by zero.
const LEAST_SIGNAL: f64 = 1.0 / (1u32 << 24) as f64;

/// The model's noise levels.
///
/// The reference computes them in single precision, and the rounding of a thousand factors is seen in the fifth digit of
/// the picture's latents. So they are computed in f32 here as well (the running product in f64, as torch does), and kept as
/// f64 for everything that follows.
#[derive(Debug, Clone)]
pub(in crate::sampling) struct ModelTable {
    /// The signal's share of the variance at each timestep, falling.
    pub alphas_cumprod: Vec<f64>,
    /// Noise over signal, `sqrt((1 - a) / a)`, rising.
    pub sigmas: Vec<f64>,
    /// Natural logarithms of `sigmas`.
    pub log_sigmas: Vec<f64>,
}

impl ModelTable {
    /// The table of a model with these betas. `zero_terminal_snr` rescales them so that nothing of the signal is left at the
    /// last timestep (Lin et al. 2023, algorithm 1); `keep_signal` leaves 2^-24 of it, for samplers that divide by it.
    pub(super) fn new(betas: &Betas, timesteps: usize, zero_terminal_snr: bool, keep_signal: bool) -> Self {
        let mut betas = betas_f32(betas, timesteps);
        if zero_terminal_snr {
            rescale_to_zero_terminal_snr(&mut betas);
        }
        let mut alphas = running_product(&betas);
        if zero_terminal_snr && keep_signal {
            if let Some(last) = alphas.last_mut() {
                *last = LEAST_SIGNAL as f32;
            }
        }
        let sigmas: Vec<f32> = alphas.iter().map(|a| ((1.0 - a) / a).sqrt()).collect();
        ModelTable {
            alphas_cumprod: alphas.into_iter().map(f64::from).collect(),
            log_sigmas: sigmas.iter().map(|s| f64::from(s.ln())).collect(),
            sigmas: sigmas.into_iter().map(f64::from).collect(),
        }
    }

    /// The sigma at a timestep that need not be whole, between its neighbours in a straight line.
    pub(super) fn sigma_at(&self, timestep: f64) -> f64 {
        let last = self.sigmas.len() - 1;
        let low = (timestep.max(0.0) as usize).min(last);
        let high = (low + 1).min(last);
        self.sigmas[low] + (timestep - low as f64) * (self.sigmas[high] - self.sigmas[low])
    }

    /// The timestep of a sigma, in a straight line between the logarithms of its neighbours; 0 or the last beyond the ends.
    pub(super) fn timestep_of(&self, sigma: f64) -> f64 {
        let log_sigma = sigma.max(1e-10).ln();
        let low = self.log_sigmas.partition_point(|l| *l <= log_sigma).saturating_sub(1).min(self.sigmas.len() - 2);
        let (below, above) = (self.log_sigmas[low], self.log_sigmas[low + 1]);
        let weight = ((below - log_sigma) / (below - above)).clamp(0.0, 1.0);
        (1.0 - weight) * low as f64 + weight * (low + 1) as f64
    }

    /// How many timesteps have a log signal-to-noise ratio (of amplitudes) of at least this.
    pub(super) fn timesteps_above(&self, lambda_min: f64) -> usize {
        self.log_sigmas.iter().filter(|l| -**l >= lambda_min).count()
    }
}

fn betas_f32(betas: &Betas, n: usize) -> Vec<f32> {
    match betas {
        Betas::Linear { start, end } => linspace_f32(*start, *end, n),
        Betas::ScaledLinear { start, end } => {
            linspace_f32(start.sqrt(), end.sqrt(), n).into_iter().map(|b| b * b).collect()
        }
        Betas::SquaredCosine => (0..n).map(|i| squared_cosine_beta(i, n) as f32).collect(),
        Betas::Trained(betas) => betas.iter().map(|b| *b as f32).collect(),
    }
}

/// Evenly spaced numbers as torch rounds them: the first half counted from the start, the second from the end.
fn linspace_f32(start: f64, end: f64, n: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    let step = if n > 1 { (end - start) / (n - 1) as f32 } else { 0.0 };
    (0..n).map(|i| if i < n / 2 { start + step * i as f32 } else { end - step * (n - 1 - i) as f32 }).collect()
}

/// Nichol and Dhariwal 2021, equation 17.
fn squared_cosine_beta(i: usize, n: usize) -> f64 {
    const MOST: f64 = 0.999;
    let signal = |i: usize| {
        let t = i as f64 / n as f64;
        ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2)
    };
    (1.0 - signal(i + 1) / signal(i)).min(MOST)
}

fn running_product(betas: &[f32]) -> Vec<f32> {
    let mut product = 1f64;
    betas
        .iter()
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

fn rescale_to_zero_terminal_snr(betas: &mut [f32]) {
    let roots: Vec<f32> = running_product(betas).into_iter().map(f32::sqrt).collect();
    let (Some(&first), Some(&last)) = (roots.first(), roots.last()) else { return };
    let scale = first / (first - last);
    let mut before = 1f32;
    for (beta, root) in betas.iter_mut().zip(roots) {
        let root = (root - last) * scale;
        let signal = root * root;
        *beta = 1.0 - signal / before;
        before = signal;
    }
}
