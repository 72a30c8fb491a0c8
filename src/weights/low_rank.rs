//! The best approximation of a matrix by one of lower rank (Eckart and Young 1936): what a LoRA of a given rank can keep of a change.
//!
//! A product of two thin matrices is made smaller exactly: QR of both, then one-sided Jacobi rotations (Hestenes 1958) of the small
//! matrix between them. A full matrix is first brought into such a form by random projections with power iterations (Halko,
//! Martinsson, Tropp 2011, algorithm 4.4). All in f64.

use candle_core::{DType, Device, Result, Tensor};

/// Columns beyond the rank that the random projections have.
const OVERSAMPLING: usize = 16;
/// Times that the projections are multiplied by the matrix and its transpose: weights of networks fall off slowly.
const POWER_ITERATIONS: usize = 4;
/// Sweeps of rotations at most; matrices of some hundred columns take about ten.
const MOST_SWEEPS: usize = 60;
/// The cosine of two columns that are perpendicular.
const PERPENDICULAR: f64 = 1e-15;
/// What is left of a column after its projection, if that is nothing but rounding.
const NOTHING: f64 = 1e-13;

/// A matrix as the product of two thin ones.
#[derive(Debug, Clone)]
pub struct Factors {
    /// `[rows, rank]`, f64.
    pub up: Tensor,
    /// `[rank, columns]`, f64.
    pub down: Tensor,
    /// The share of the matrix's squared norm that is kept, 0 to 1.
    pub kept: f64,
}

/// The best approximation of `up` (`[rows, n]`) times `down` (`[n, columns]`) by a product of `rank`; of any float type.
///
/// # Errors
/// When the shapes do not fit each other.
pub fn of_product(up: &Tensor, down: &Tensor, rank: usize) -> Result<Factors> {
    let (rows, inner) = up.dims2()?;
    if inner > rows.min(down.dim(1)?) {
        return of_matrix(&up.to_dtype(DType::F64)?.matmul(&down.to_dtype(DType::F64)?)?, rank);
    }
    let (left, left_core) = qr(&Columns::of(up)?);
    let (right, right_core) = qr(&Columns::of(&down.t()?)?);
    let core = left_core.tensor()?.matmul(&right_core.tensor()?.t()?.contiguous()?)?;
    let (scaled, rotations) = jacobi(Columns::of(&core)?);
    // The columns of `scaled` are the left vectors times their singular values.
    let mut order: Vec<(f64, usize)> = scaled.columns().map(norm).enumerate().map(|(i, sigma)| (sigma, i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let whole: f64 = order.iter().map(|(sigma, _)| sigma * sigma).sum();
    order.truncate(rank);
    let kept: f64 = order.iter().map(|(sigma, _)| sigma * sigma).sum();
    // The root of a singular value on each side, so that neither overflows a small type.
    let pick = |columns: &Columns, power: f64| {
        let scale = |sigma: f64| if sigma > 0.0 { sigma.powf(power) } else { 0.0 };
        let picked = order.iter().flat_map(|(sigma, i)| columns.column(*i).iter().map(move |x| x * scale(*sigma)));
        Columns { rows: columns.rows, data: picked.collect() }
    };
    let up = left.tensor()?.matmul(&pick(&scaled, -0.5).tensor()?)?;
    let down = right.tensor()?.matmul(&pick(&rotations, 0.5).tensor()?)?.t()?.contiguous()?;
    Ok(Factors { up, down, kept: if whole > 0.0 { kept / whole } else { 1.0 } })
}

/// The best approximation of a matrix by a product of `rank`, within what random projections find; exact where `rank` and 16 more
/// reach the shorter side.
///
/// # Errors
/// When it is no matrix.
pub fn of_matrix(matrix: &Tensor, rank: usize) -> Result<Factors> {
    let matrix = matrix.to_dtype(DType::F64)?.contiguous()?;
    let (rows, columns) = matrix.dims2()?;
    let width = (rank + OVERSAMPLING).min(rows).min(columns);
    let transposed = matrix.t()?.contiguous()?;
    let mut random = fastrand::Rng::with_seed(0);
    let start: Vec<f64> = (0..columns * width).map(|_| random.f64() - 0.5).collect();
    let mut range = orthonormal(&matrix.matmul(&Tensor::from_vec(start, (columns, width), &Device::Cpu)?)?)?;
    for _ in 0..POWER_ITERATIONS {
        range = orthonormal(&matrix.matmul(&orthonormal(&transposed.matmul(&range)?)?)?)?;
    }
    let rest = range.t()?.contiguous()?.matmul(&matrix)?;
    let found = of_product(&range, &rest, rank)?;
    // The share is one of the whole matrix, not of what the projections found.
    let squares = |tensor: &Tensor| tensor.sqr()?.sum_all()?.to_scalar::<f64>();
    let (whole, part) = (squares(&matrix)?, squares(&rest)?);
    Ok(Factors { kept: if whole > 0.0 { found.kept * part / whole } else { 1.0 }, ..found })
}

fn orthonormal(matrix: &Tensor) -> Result<Tensor> {
    qr(&Columns::of(matrix)?).0.tensor()
}

/// A matrix, column after column.
struct Columns {
    rows: usize,
    data: Vec<f64>,
}

impl Columns {
    fn of(matrix: &Tensor) -> Result<Self> {
        let (rows, _) = matrix.dims2()?;
        let data = matrix.to_dtype(DType::F64)?.t()?.contiguous()?.flatten_all()?.to_vec1()?;
        Ok(Columns { rows, data })
    }

    fn tensor(&self) -> Result<Tensor> {
        let columns = self.data.len() / self.rows.max(1);
        Tensor::from_slice(&self.data, (columns, self.rows), &Device::Cpu)?.t()?.contiguous()
    }

    fn column(&self, index: usize) -> &[f64] {
        &self.data[index * self.rows..(index + 1) * self.rows]
    }

    fn columns(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.rows.max(1))
    }
}

/// Gram and Schmidt's method, each column projected twice: perpendicular columns and the triangle that gives back the matrix. A
/// column that depends on those before it becomes zeros.
fn qr(matrix: &Columns) -> (Columns, Columns) {
    let rows = matrix.rows;
    let count = matrix.columns().count();
    let mut q = Columns { rows, data: matrix.data.clone() };
    let mut r = Columns { rows: count, data: vec![0.0; count * count] };
    for index in 0..count {
        let (done, rest) = q.data.split_at_mut(index * rows);
        let column = &mut rest[..rows];
        let before = norm(column);
        for _ in 0..2 {
            for (other, unit) in done.chunks_exact(rows.max(1)).enumerate() {
                let along = dot(unit, column);
                column.iter_mut().zip(unit).for_each(|(x, u)| *x -= along * u);
                r.data[index * count + other] += along;
            }
        }
        let length = norm(column);
        let is_new = length > before * NOTHING && length > 0.0;
        r.data[index * count + index] = if is_new { length } else { 0.0 };
        column.iter_mut().for_each(|x| *x = if is_new { *x / length } else { 0.0 });
    }
    (q, r)
}

/// Turns the columns in pairs until all are perpendicular to each other: those columns, and the rotations' product.
fn jacobi(mut matrix: Columns) -> (Columns, Columns) {
    let count = matrix.columns().count();
    let mut rotations = Columns { rows: count, data: vec![0.0; count * count] };
    (0..count).for_each(|i| rotations.data[i * count + i] = 1.0);
    for _ in 0..MOST_SWEEPS {
        let mut turned = false;
        for i in 0..count {
            for j in i + 1..count {
                let (x, y) = (matrix.column(i), matrix.column(j));
                let (a, b, c) = (dot(x, x), dot(y, y), dot(x, y));
                if c.abs() <= PERPENDICULAR * (a * b).sqrt() || c == 0.0 {
                    continue;
                }
                turned = true;
                let zeta = (b - a) / (2.0 * c);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                turn(&mut matrix, i, j, cosine, cosine * tangent);
                turn(&mut rotations, i, j, cosine, cosine * tangent);
            }
        }
        if !turned {
            break;
        }
    }
    (matrix, rotations)
}

fn turn(matrix: &mut Columns, i: usize, j: usize, cosine: f64, sine: f64) {
    let rows = matrix.rows;
    let (before, from_j) = matrix.data.split_at_mut(j * rows);
    let (x, y) = (&mut before[i * rows..(i + 1) * rows], &mut from_j[..rows]);
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sin(1 + 3 i + i j) / (1 + i + j)`, 12 by 9.
    fn matrix() -> Tensor {
        let value = |i: usize, j: usize| (1.0 + 3.0 * i as f64 + (i * j) as f64).sin() / (1.0 + (i + j) as f64);
        let values: Vec<f64> = (0..12).flat_map(|i| (0..9).map(move |j| value(i, j))).collect();
        Tensor::from_vec(values, (12, 9), &Device::Cpu).unwrap()
    }

    /// `numpy.linalg.svd` of [`matrix`], numpy 2.4.6.
    const SINGULAR: [f64; 9] = [
        1.1565890975547386,
        0.4103593966712455,
        0.3761692724603883,
        0.280958724890091,
        0.2186951798518083,
        0.1905572786182004,
        0.17903553142369927,
        0.06456321598931317,
        0.050303355213208396,
    ];

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
    }

    fn product(factors: &Factors) -> Tensor {
        factors.up.matmul(&factors.down).unwrap()
    }

    #[test]
    fn what_is_lost_is_what_numpy_says() {
        let squares: f64 = SINGULAR.iter().map(|sigma| sigma * sigma).sum();
        for rank in 1..=9 {
            let lost: f64 = SINGULAR[rank..].iter().map(|sigma| sigma * sigma).sum();
            for factors in [of_matrix(&matrix(), rank), of_product(&matrix(), &eye(9), rank)] {
                let factors = factors.unwrap();
                assert_eq!((factors.up.dims(), factors.down.dims()), (&[12, rank][..], &[rank, 9][..]));
                let distance = distance(&product(&factors), &matrix());
                assert!((distance - lost.sqrt()).abs() < 1e-13, "{rank}: {distance} and {}", lost.sqrt());
                assert!((factors.kept - (1.0 - lost / squares)).abs() < 1e-13, "{rank}: {}", factors.kept);
            }
        }
    }

    fn eye(n: usize) -> Tensor {
        Tensor::eye(n, DType::F64, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_product_is_made_smaller_without_loss() {
        // Rank 3, written with 8: columns that depend on each other and columns of zeros.
        let thin = of_matrix(&matrix(), 3).unwrap();
        let zeros = Tensor::zeros((12, 2), DType::F64, &Device::Cpu).unwrap();
        let up = Tensor::cat(&[&thin.up, &zeros, &thin.up], 1).unwrap();
        let down = Tensor::cat(&[&thin.down, &zeros.narrow(0, 0, 9).unwrap().t().unwrap(), &thin.down], 0).unwrap();
        let smaller = of_product(&up, &down, 3).unwrap();
        assert!(distance(&product(&smaller), &up.matmul(&down).unwrap()) < 1e-14);
        assert!((smaller.kept - 1.0).abs() < 1e-15);
        // As much on one side as on the other.
        let squares = |t: &Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((squares(&smaller.up) / squares(&smaller.down) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn more_rank_than_there_is_and_nothing_at_all() {
        let factors = of_product(&matrix(), &matrix().t().unwrap(), 40).unwrap();
        assert!(distance(&product(&factors), &matrix().matmul(&matrix().t().unwrap()).unwrap()) < 1e-13);
        let nothing = of_matrix(&matrix().zeros_like().unwrap(), 2).unwrap();
        assert_eq!((distance(&product(&nothing), &matrix().zeros_like().unwrap()), nothing.kept), (0.0, 1.0));
    }

    #[test]
    fn projections_find_what_falls_off_slowly() {
        // Singular values 1, 1/2, 1/3, ...: the best of rank 8 loses the root of the sum of 1/k² from 9 to 150.
        let mut random = fastrand::Rng::with_seed(1);
        let mut basis = |rows: usize| {
            let values: Vec<f64> = (0..rows * 150).map(|_| random.f64() - 0.5).collect();
            orthonormal(&Tensor::from_vec(values, (rows, 150), &Device::Cpu).unwrap()).unwrap()
        };
        let (left, right) = (basis(200), basis(150));
        let sigma: Vec<f64> = (1..=150).map(|k| 1.0 / f64::from(k)).collect();
        let scaled = left.broadcast_mul(&Tensor::new(sigma, &Device::Cpu).unwrap()).unwrap();
        let matrix = scaled.matmul(&right.t().unwrap().contiguous().unwrap()).unwrap();
        let best: f64 = (9..=150).map(|k| 1.0 / f64::from(k * k)).sum::<f64>().sqrt();
        let found = distance(&product(&of_matrix(&matrix, 8).unwrap()), &matrix);
        assert!(found >= best * (1.0 - 1e-12) && found < best * 1.00001, "{found} and {best}");
    }
}
