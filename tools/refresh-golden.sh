#!/usr/bin/env bash
# Paints the picture that `tests/it/golden.rs` compares with. Run it after a change of the built-in weights, and look at the result.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --release --locked -- generate "a red apple" --seed 7 --device cpu --dtype f32 --metadata none --overwrite \
    --output tests/fixtures/golden/a-red-apple-7.png
