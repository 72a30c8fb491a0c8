#!/usr/bin/env bash
# Type-checks the CUDA features on a machine without a GPU and without a CUDA toolkit: nvcc and its headers come from PyPI.
#
# 1. `cuda,cudnn`: candle's kernels are compiled by nvcc for compute capability 8.0, and all Rust is checked.
# 2. `flash-attn` on top: the Rust only, against a copy of candle-flash-attn whose kernels are left out, since they take hours.
#
# Nothing is linked and nothing is run. It needs Linux, Python 3 with venv, a C++ compiler and the network, and keeps what it
# makes in target/cuda-check/. The first time takes about half an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/cuda-check
# One release of the toolkit: cudarc knows up to CUDA 13.4.
packages=(nvidia-cuda-nvcc==13.4.92 nvidia-cuda-crt==13.4.92 nvidia-nvvm==13.4.92 nvidia-cuda-runtime==13.4.92
    nvidia-cuda-cccl==13.3.5.0.6)

install_toolkit() {
    mkdir -p "$work"
    [[ -x $work/venv/bin/pip ]] || python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
    local toolkit
    toolkit=$("$work/venv/bin/python" -c 'import nvidia.cu13 as toolkit; print(toolkit.__path__[0])')
    export CUDA_HOME=$toolkit CUDA_ROOT=$toolkit CUDA_PATH=$toolkit PATH=$toolkit/bin:$PATH
    export CUDA_COMPUTE_CAP=80
    nvcc --version | tail -n 2
}

# A copy of the repository, and of candle-flash-attn with a build script that does nothing.
check_flash_attention() {
    local copy=$work/flash-attn crate
    rm -rf "$copy"
    mkdir -p "$copy"
    git ls-files -z --cached --others --exclude-standard -- Cargo.toml Cargo.lock src assets benches tests |
        xargs -0 cp --parents --target-directory "$copy"
    crate=$(cargo metadata --locked --format-version 1 --features flash-attn | "$work/venv/bin/python" -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(*(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "candle-flash-attn"))')
    cp -r "$crate" "$copy/candle-flash-attn"
    echo 'fn main() {}' >"$copy/candle-flash-attn/build.rs"
    cargo check --manifest-path "$copy/Cargo.toml" --features cuda,cudnn,flash-attn --target-dir "$work/target" \
        --config "patch.crates-io.candle-flash-attn.path='$copy/candle-flash-attn'"
}

install_toolkit
cargo check --locked --features cuda,cudnn --target-dir "$work/target"
echo "type-checked with cuda,cudnn"
check_flash_attention
echo "type-checked with cuda,cudnn,flash-attn; the kernels of flash-attn were not compiled"
