//! What can be said about a control map beside its preprocessor's name.

use super::Preprocessor;
use crate::{Error, Result};

/// The strength at which an edge goes on, and the one at which it begins.
const EDGES: (f64, f64) = (100.0, 200.0);
/// Pixels of a blur.
pub(super) const SIGMA: f64 = 9.0;
/// What a tile's sides are divided by.
pub(super) const RATE: f64 = 1.0;
/// The exponent of brightness.
pub(super) const GAMMA: f64 = 1.0;

/// The ranges of settings.
pub mod limits {
    use std::ops::RangeInclusive;

    /// Pixels of a map's shorter side.
    pub const RESOLUTION: RangeInclusive<usize> = 64..=4096;
    /// The strength of edges: what a step from black to white has twice over.
    pub const EDGE: RangeInclusive<f64> = 0.0..=2040.0;
    /// Levels of a channel.
    pub const THRESHOLD: RangeInclusive<f64> = 0.0..=255.0;
    /// Pixels of a blur.
    pub const SIGMA: RangeInclusive<f64> = 0.01..=64.0;
    /// What sides are divided by.
    pub const RATE: RangeInclusive<f64> = 1.0..=8.0;
    /// Exponents of brightness.
    pub const GAMMA: RangeInclusive<f64> = 0.1..=10.0;
    /// How flat surfaces look.
    pub const FLATNESS: RangeInclusive<f64> = 0.01..=1000.0;
    /// The part of the depth that is background.
    pub const BACKGROUND: RangeInclusive<f64> = 0.0..=1.0;
}

/// What differs from a preprocessor's defaults. Ranges are in [`limits`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Pixels of the map's shorter side; the picture's own when absent.
    pub resolution: Option<u32>,
    /// Canny: the strength above which an edge goes on.
    pub low: Option<f64>,
    /// Canny: the strength above which an edge begins, 0 to 2040.
    pub high: Option<f64>,
    /// What is a line, or bright.
    pub threshold: Option<f64>,
    /// Blur: the Gaussian's width in pixels.
    pub sigma: Option<f64>,
    /// Tile: what the sides are divided by.
    pub rate: Option<f64>,
    /// Recolouring: the exponent of brightness.
    pub gamma: Option<f64>,
    /// Normals: how flat a surface looks.
    pub flatness: Option<f64>,
    /// Normals: the part of the depth that is background.
    pub background: Option<f64>,
    /// Shuffle: the seed.
    pub seed: Option<u32>,
    /// Soft edges: in steps, which hide the picture behind them.
    pub safe: bool,
}

/// Where a preprocessor's threshold lies when nothing is said.
pub(super) fn default_threshold(preprocessor: Preprocessor) -> f64 {
    match preprocessor {
        Preprocessor::ScribbleXdog => 32.0,
        _ => 127.0,
    }
}

impl Settings {
    /// The option of each setting that is given, and the preprocessors that take it.
    fn given(&self) -> Vec<(&'static str, &'static [Preprocessor])> {
        use Preprocessor as P;
        const THRESHOLDS: &[P] = &[P::Threshold, P::Scribble, P::ScribbleXdog];
        const RECOLOR: &[P] = &[P::RecolorLuminance, P::RecolorIntensity];
        const NORMALS: &[P] = &[P::NormalFromDepth];
        let all = [
            ("--low", self.low.is_some(), &[P::Canny][..]),
            ("--high", self.high.is_some(), &[P::Canny]),
            ("--threshold", self.threshold.is_some(), THRESHOLDS),
            ("--sigma", self.sigma.is_some(), &[P::Blur]),
            ("--rate", self.rate.is_some(), &[P::Tile]),
            ("--gamma", self.gamma.is_some(), RECOLOR),
            ("--flatness", self.flatness.is_some(), NORMALS),
            ("--background", self.background.is_some(), NORMALS),
            ("--seed", self.seed.is_some(), &[P::Shuffle]),
            ("--safe", self.safe, &[P::Softedge]),
        ];
        all.into_iter().filter(|(_, given, _)| *given).map(|(option, _, takers)| (option, takers)).collect()
    }

    /// Refuses settings that this preprocessor does not take, and thresholds in the wrong order.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self, preprocessor: Preprocessor) -> Result<()> {
        if let Some((option, takers)) = self.given().into_iter().find(|(_, takers)| !takers.contains(&preprocessor)) {
            let takers: Vec<String> = takers.iter().map(|taker| format!("`{taker}`")).collect();
            let message = format!("`{option}` has no effect on `{preprocessor}`");
            return Err(Error::usage(message, format!("leave it out; it is for {}", takers.join(", "))));
        }
        let (low, high) = self.edges();
        if low > high {
            let message = format!("the lower threshold of edges, {low}, is above the higher one, {high}");
            return Err(Error::usage(
                message,
                "`--low` is where an edge goes on, `--high` where it begins: swap them, or give both",
            ));
        }
        Ok(())
    }

    /// Canny's thresholds. One that is given alone takes the other with it, at the ratio that Canny advises.
    pub(super) fn edges(&self) -> (f64, f64) {
        match (self.low, self.high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, EDGES.1.max(2.0 * low)),
            (None, Some(high)) => (EDGES.0.min(high / 2.0), high),
            (None, None) => EDGES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_refused() {
        let settings = Settings { sigma: Some(3.0), ..Settings::default() };
        settings.check(Preprocessor::Blur).unwrap();
        let error = settings.check(Preprocessor::Canny).unwrap_err();
        assert!(error.to_string().contains("`--sigma`") && error.hint().unwrap().contains("`blur`"), "{error}");
    }

    #[test]
    fn thresholds_of_edges_have_an_order() {
        let edges = |low, high| Settings { low, high, ..Settings::default() };
        assert!(edges(Some(201.0), Some(200.0)).check(Preprocessor::Canny).is_err());
        edges(Some(200.0), Some(200.0)).check(Preprocessor::Canny).unwrap();
        assert_eq!(edges(None, None).edges(), (100.0, 200.0));
        assert_eq!(edges(Some(300.0), None).edges(), (300.0, 600.0));
        assert_eq!(edges(Some(10.0), None).edges(), (10.0, 200.0));
        assert_eq!(edges(None, Some(60.0)).edges(), (30.0, 60.0));
    }
}
