#!/usr/bin/env bash
# Type-checks the CUDA build on a machine without a GPU and without a CUDA toolkit: nvcc and its headers come from PyPI.
#
#     tools/check-cuda.sh [FEATURES]        default: cuda,cudnn
#
# candle's kernels are really compiled, for compute capability 8.0; nothing is linked and nothing is run. It needs Python 3 with
# venv, a C++ compiler and the network, and keeps what it makes in target/cuda-check/.
set -euo pipefail
cd "$(dirname "$0")/.."

features=${1:-cuda,cudnn}
work=$PWD/target/cuda-check
# One release of the toolkit: cudarc knows up to CUDA 13.4.
packages=(nvidia-cuda-nvcc==13.4.92 nvidia-cuda-crt==13.4.92 nvidia-nvvm==13.4.92 nvidia-cuda-runtime==13.4.92
    nvidia-cuda-cccl==13.3.5.0.6)

mkdir -p "$work"
if [[ ! -x $work/venv/bin/pip ]]; then
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
toolkit=$("$work/venv/bin/python" -c 'import nvidia.cu13 as t; print(t.__path__[0])')

export CUDA_HOME=$toolkit CUDA_ROOT=$toolkit CUDA_PATH=$toolkit PATH=$toolkit/bin:$PATH
export CUDA_COMPUTE_CAP=80
nvcc --version | tail -n 2

cargo check --locked --features "$features" --target-dir "$work/target"
echo "type-checked with --features $features"
