//! What the picture is computed on: device, precision, threads. None of it is part of the request.

use candle_core::quantized::GgmlDType;
use candle_core::Device;

use crate::kernels::{InstructionSet, Isa};
use crate::nn::{AttentionMethod, Handling, Precision};
use crate::{Error, Result};

/// A device as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA, then Metal, then the CPU, among what is compiled in and present.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device by number.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

/// Whether the autoencoder works on large pictures in strips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VaeTiling {
    /// Where the memory would not do otherwise.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// What the user said about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ComputeOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Arithmetic; `None` lets the device decide.
    pub precision: Option<Precision>,
    /// Worker threads; `None` is one for each core.
    pub threads: Option<usize>,
    /// Whether the autoencoder works in strips.
    pub vae_tiling: VaeTiling,
    /// How attention is computed.
    pub attention: AttentionMethod,
    /// Whether memory matters more than time.
    pub low_memory: bool,
}

/// A device that is there, and the arithmetic used on it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The device.
    pub device: Device,
    /// The arithmetic.
    pub precision: Precision,
    /// The device's name: "cpu", "cuda:0", "metal".
    pub device_name: String,
    /// Whether the autoencoder works in strips.
    pub vae_tiling: VaeTiling,
    /// How attention is computed.
    pub attention: AttentionMethod,
    /// Whether weights stay in their files, at the price of time: only on the CPU.
    pub low_memory: bool,
    /// What there is to say of that to who asked for it.
    memory_note: Option<String>,
}

impl Machine {
    /// Opens the device and starts the threads.
    ///
    /// # Errors
    /// [`Error::Usage`] for a device that is not compiled in, not present, or does not open.
    pub fn new(options: ComputeOptions) -> Result<Self> {
        if let Some(threads) = options.threads {
            // Fails only when the pool already runs, which keeps its number of threads.
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| {
                Error::usage(format!("cannot start {threads} threads: {e}"), "give a smaller `--threads`")
            })?;
        }
        let (device, device_name) = open(options.device)?;
        let automatic = if device.is_cpu() { cpu_precision()? } else { Precision::F16 };
        let precision = options.precision.unwrap_or(automatic);
        let ComputeOptions { attention, .. } = options;
        let low_memory = options.low_memory && device.is_cpu();
        let memory_note = options.low_memory.then(|| {
            if low_memory {
                "`--low-memory` is slower: weights stay in their files and are packed in every step".into()
            } else {
                format!("`--low-memory` does nothing on {device_name}: it is for the CPU")
            }
        });
        let vae_tiling = match options.vae_tiling {
            VaeTiling::Auto if low_memory => VaeTiling::On,
            said => said,
        };
        if attention == AttentionMethod::Flash {
            check_flash(&device, &device_name, precision)?;
        }
        Ok(Machine { device, precision, device_name, vae_tiling, attention, low_memory, memory_note })
    }

    /// What the user should know of it.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let computing = format!("computing on {} in {}", self.device_name, self.precision);
        std::iter::once(computing).chain(self.memory_note.clone())
    }

    /// How models on it handle their weights, whose linear layers are quantised to `quantize`.
    #[must_use]
    pub fn handling(&self, quantize: Option<GgmlDType>) -> Handling {
        Handling { attention: self.attention, quantize, low_memory: self.low_memory }
    }
}

/// Whether the flash kernels can be had.
fn check_flash(device: &Device, name: &str, precision: Precision) -> Result<()> {
    if !cfg!(feature = "flash-attn") {
        return Err(Error::usage(
            "this build has no flash attention",
            "build with `--features cuda,flash-attn` for a CUDA device, or leave `--attention` out",
        ));
    }
    if !device.is_cuda() {
        return Err(Error::usage(format!("flash attention is for CUDA, not for {name}"), "leave `--attention` out"));
    }
    if precision == Precision::F32 {
        return Err(Error::usage("flash attention computes in half precision", "add `--dtype f16` or `--dtype bf16`"));
    }
    Ok(())
}

/// bf16 where the processor multiplies it faster than f32, which is where the kernels take it by themselves.
fn cpu_precision() -> Result<Precision> {
    let isa = Isa::current()
        .map_err(|e| Error::usage(e.to_string(), "unset it: the fastest instructions are found by themselves"))?;
    Ok(if isa.set() == InstructionSet::Avx512Bf16 { Precision::Bf16 } else { Precision::F32 })
}

fn open(choice: DeviceChoice) -> Result<(Device, String)> {
    match choice {
        DeviceChoice::Cpu => Ok((Device::Cpu, "cpu".into())),
        DeviceChoice::Cuda(n) => cuda(n),
        DeviceChoice::Metal => metal(),
        DeviceChoice::Auto => Ok(cuda(0).or_else(|_| metal()).unwrap_or((Device::Cpu, "cpu".into()))),
    }
}

fn cuda(n: usize) -> Result<(Device, String)> {
    if !candle_core::utils::cuda_is_available() {
        return Err(not_compiled("CUDA", "cuda"));
    }
    let device = Device::new_cuda(n)
        .map_err(|e| Error::usage(format!("cannot open CUDA device {n}: {e}"), "try `--device cpu`"))?;
    Ok((device, format!("cuda:{n}")))
}

fn metal() -> Result<(Device, String)> {
    if !candle_core::utils::metal_is_available() {
        return Err(not_compiled("Metal", "metal"));
    }
    let device =
        Device::new_metal(0).map_err(|e| Error::usage(format!("cannot open Metal: {e}"), "try `--device cpu`"))?;
    Ok((device, "metal".into()))
}

fn not_compiled(name: &str, feature: &str) -> Error {
    Error::usage(
        format!("this build has no {name}"),
        format!("build with `cargo build --release --features {feature}`, or use `--device cpu`"),
    )
}
