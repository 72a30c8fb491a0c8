//! Weights of tokens applied to the states of a text encoder: A1111's "Original" emphasis.
//!
//! `z' = z * weight` for each place, then `z' * mean(z) / mean(z')`, the means over all places, channels and texts of the
//! call. Reference: `EmphasisOriginal` of A1111.

use candle_core::{DType, Result, Tensor};

/// Weights the states of texts that are encoded together.
///
/// `states` is `[b, n, d]`, `weights` holds `b` rows of `n`, `counts` how many times each text occurs in the call (a text
/// that serves several spans of a schedule is encoded once, but counts in the mean as often as in A1111). When all weights
/// are 1 the states come back untouched, bit for bit.
///
/// # Errors
/// When the shapes do not fit.
pub fn emphasize(states: &Tensor, weights: &[Vec<f64>], counts: &[usize]) -> Result<Tensor> {
    if weights.iter().flatten().all(|weight| *weight == 1.0) {
        return Ok(states.clone());
    }
    let (texts, places, _) = states.dims3()?;
    let flat: Vec<f32> = weights.iter().flatten().map(|weight| *weight as f32).collect();
    let factors = Tensor::from_vec(flat, (texts, places, 1), states.device())?;
    let before = states.to_dtype(DType::F32)?;
    let after = before.broadcast_mul(&factors)?;
    let ratio = sum(&before, counts)? / sum(&after, counts)?;
    // Weights that cancel out exactly leave no mean to restore.
    let restored = if ratio.is_finite() { (after * ratio)? } else { after };
    restored.to_dtype(states.dtype())
}

fn sum(states: &Tensor, counts: &[usize]) -> Result<f64> {
    let mut total = 0.0;
    for (index, count) in counts.iter().enumerate() {
        let values: Vec<f32> = states.get(index)?.flatten_all()?.to_vec1()?;
        total += *count as f64 * values.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn states() -> Tensor {
        Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &Device::Cpu).unwrap()
    }

    #[test]
    fn the_mean_of_the_call_is_restored() {
        // Sums: 10 and 26; weighted 2*3+7 = 13 and 26; ratio 36/39.
        let out = emphasize(&states(), &[vec![2.0, 1.0], vec![1.0, 1.0]], &[1, 1]).unwrap();
        let ratio = 36.0 / 39.0;
        let expected = [2.0, 4.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0].map(|v: f64| (v * ratio) as f32);
        let found: Vec<f32> = out.flatten_all().unwrap().to_vec1().unwrap();
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-6, "{found:?}");
        }
    }

    #[test]
    fn a_text_counts_as_often_as_it_occurs() {
        let out = emphasize(&states(), &[vec![2.0, 1.0], vec![1.0, 1.0]], &[3, 1]).unwrap();
        let first: f32 = out.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((f64::from(first) - 2.0 * 56.0 / 65.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_touched_without_weights() {
        let ones = vec![vec![1.0; 2]; 2];
        let out = emphasize(&states(), &ones, &[1, 1]).unwrap();
        assert_eq!(out.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [1., 2., 3., 4., 5., 6., 7., 8.]);
    }

    #[test]
    fn weights_that_cancel_out_give_numbers() {
        let out = emphasize(&states(), &[vec![7.0, -3.0], vec![0.0, 0.0]], &[1, 1]).unwrap();
        assert!(out.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|v| v.is_finite()));
    }
}
