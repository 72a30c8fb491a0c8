use std::fs;
use std::path::Path;

use crate::support::{difference, pixels, Sandbox};

/// The one test that depends on the built-in weights. After a change of the weights: `tools/refresh-golden.sh`.
#[test]
fn the_built_in_model_paints_its_apple() {
    let sandbox = Sandbox::new();
    let line = ["generate", "a red apple", "--seed", "7", "--device", "cpu", "--dtype", "f32", "-o", "-"];
    let picture = pixels(&sandbox.run(line).succeeds().stdout);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/a-red-apple-7.png");
    let (max, mean) = difference(&picture, &pixels(&fs::read(golden).unwrap()));
    // Other processors round otherwise; what a picture may differ by from the reference holds here too.
    assert!(max <= 3 && mean <= 0.5, "max {max}, mean {mean}");
}
