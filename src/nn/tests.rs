//! What holds for all layers together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

use candle_core::{Device, Tensor};

use super::{conv_cpu, scaled_dot_product_attention, Conv2dConfig};

/// Where the child process of the test below puts its checksum.
const CHECKSUM_FILE: &str = "SDGEN_TEST_CHECKSUM_FILE";

fn wave(shape: &[usize], speed: f32) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| (i as f32 * speed).sin()).collect(), shape, &Device::Cpu).unwrap()
}

/// A checksum of products large enough to be divided among threads.
fn checksum() -> u64 {
    let picture = wave(&[2, 48, 33, 37], 0.11);
    let results = [
        conv_cpu::conv2d(&picture, &wave(&[40, 48, 3, 3], 0.37), &wave(&[40], 0.2), Conv2dConfig::SAME_3X3),
        wave(&[77, 768], 0.11).matmul(&wave(&[1024, 768], 0.23).t().unwrap()),
        scaled_dot_product_attention(
            &wave(&[1, 2, 300, 40], 0.3),
            &wave(&[1, 2, 500, 40], 0.2),
            &wave(&[1, 2, 500, 40], 0.7),
            None,
            false,
        ),
    ];
    let mut hasher = DefaultHasher::new();
    for result in results {
        let values = result.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    }
    hasher.finish()
}

/// The pool of threads is made once a process, so each number of threads takes a process: this test again, as a child.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    if let Some(file) = std::env::var_os(CHECKSUM_FILE) {
        return std::fs::write(Path::new(&file), checksum().to_string()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let sums = ["1", "2", "5"].map(|threads| {
        let file = folder.path().join(threads);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nn::tests::results_do_not_depend_on_the_number_of_threads", "--quiet"])
            .env("RAYON_NUM_THREADS", threads)
            .env(CHECKSUM_FILE, &file)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        std::fs::read_to_string(file).unwrap()
    });
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
}
