//! LoRAs for the tiny models, made up: small files with the names of kohya's scripts.

use std::fs;
use std::path::Path;

use crate::single_file::{file, fixtures, read, Stored};

/// Ends of the layers that are changed: projections of attention, a convolution of 3x3, and one that is 1x1 in SD 1.x.
const LAYERS: [&str; 6] = [".to_q", ".to_v", ".to_out.0", ".conv1", ".proj_in", ".q_proj"];

/// The LoRA of a seed for a tiny model: of its UNet, and of its text encoder.
pub fn lora(model: &str, rank: usize, seed: u64) -> Vec<Stored> {
    let mut random = Random(seed);
    let mut tensors = Vec::new();
    for (part, prefix, weights) in [
        ("unet", "lora_unet", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", if model == "sdxl" { "lora_te1" } else { "lora_te" }, "model.safetensors"),
    ] {
        let mut layers = read(&fixtures().join("models").join(model).join(part).join(weights));
        layers.sort_by(|a, b| a.name.cmp(&b.name));
        for layer in layers {
            let Some(module) = layer.name.strip_suffix(".weight") else { continue };
            if !LAYERS.iter().any(|end| module.ends_with(end)) {
                continue;
            }
            let name = format!("{prefix}_{}", module.replace('.', "_"));
            let down = [&[rank], &layer.shape[1..]].concat();
            let up: Vec<usize> = [layer.shape[0], rank].into_iter().chain(layer.shape[2..].iter().map(|_| 1)).collect();
            tensors.push(random.tensor(&format!("{name}.lora_down.weight"), &down));
            tensors.push(random.tensor(&format!("{name}.lora_up.weight"), &up));
            let alpha = (rank as f32 / 2.0).to_le_bytes().to_vec();
            tensors.push(Stored { name: format!("{name}.alpha"), dtype: "F32".into(), shape: vec![], bytes: alpha });
        }
    }
    assert!(tensors.len() > 60, "{}", tensors.len());
    tensors
}

/// Writes such a LoRA.
pub fn write(path: &Path, model: &str, rank: usize, seed: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file(&lora(model, rank, seed), &[])).unwrap();
}

/// Numbers that look like chance: Knuth's generator of 64 bits.
struct Random(u64);

impl Random {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Stored {
        let bytes = (0..shape.iter().product::<usize>()).flat_map(|_| self.next().to_le_bytes()).collect();
        Stored { name: name.into(), dtype: "F32".into(), shape: shape.into(), bytes }
    }

    /// From -0.2 to 0.2.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.4
    }
}
