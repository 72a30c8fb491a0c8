//! The configuration that PEFT and diffusers store beside an adapter: it has the alpha that their tensors lack.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::files;

/// The name that diffusers gives to it in the metadata of a safetensors file.
const IN_METADATA: &str = "lora_adapter_metadata";
/// The names that PEFT gives to its file, and to that of the adapter.
const BESIDE: &str = "adapter_config.json";
const ADAPTER: &str = "adapter_model";
/// Bytes of such a file, at most.
const LARGEST: u64 = 1 << 20;

/// Alphas of an adapter's modules.
#[derive(Debug, Default)]
pub struct PeftConfig {
    /// In the metadata each key has its component in front.
    fields: Map<String, Value>,
}

impl PeftConfig {
    /// From the metadata of the file, or from PEFT's file beside it if the file is PEFT's too.
    pub fn find(metadata: &BTreeMap<String, String>, file: Option<&Path>) -> Self {
        let inside = metadata.get(IN_METADATA).and_then(|text| serde_json::from_str(text).ok());
        let beside = || {
            let file = file.filter(|file| file.file_stem().is_some_and(|stem| stem == ADAPTER))?;
            let bytes = files::read_up_to(&file.with_file_name(BESIDE), LARGEST).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        PeftConfig { fields: inside.or_else(beside).unwrap_or_default() }
    }

    /// The alpha of a module of this rank, as the file names it.
    pub fn alpha(&self, module: &str, rank: usize) -> Option<f64> {
        let component = module.split('.').next().unwrap_or_default();
        let field = |name: &str| self.fields.get(&format!("{component}.{name}")).or_else(|| self.fields.get(name));
        let pattern = field("alpha_pattern").and_then(Value::as_object);
        let own = pattern.and_then(|pattern| {
            let of_module = |key: &str| module == key || module.ends_with(&format!(".{key}"));
            pattern.iter().find_map(|(key, alpha)| of_module(key).then(|| alpha.as_f64())?)
        });
        let alpha = own.or_else(|| field("lora_alpha")?.as_f64())?;
        // Rank-stabilised LoRA (Kalajdzievski 2023) divides by the root of the rank.
        let stabilised = field("use_rslora").and_then(Value::as_bool).unwrap_or(false);
        Some(if stabilised { alpha * (rank as f64).sqrt() } else { alpha })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> PeftConfig {
        PeftConfig::find(&BTreeMap::from([(IN_METADATA.to_string(), json.to_string())]), None)
    }

    #[test]
    fn alphas_come_from_the_component_and_its_patterns() {
        let json = r#"{"unet.lora_alpha": 8, "unet.r": 4, "unet.alpha_pattern": {"attn1.to_q": 2.5}, "text_encoder.lora_alpha": 3}"#;
        let config = config(json);
        assert_eq!(config.alpha("unet.mid_block.attn1.to_k", 4), Some(8.0));
        assert_eq!(config.alpha("unet.mid_block.attn1.to_q", 4), Some(2.5));
        assert_eq!(config.alpha("text_encoder.layers.0.q_proj", 4), Some(3.0));
        assert_eq!(config.alpha("text_encoder_2.layers.0.q_proj", 4), None);
        assert_eq!(PeftConfig::default().alpha("unet.x", 4), None);
    }

    #[test]
    fn a_stabilised_rank_counts_by_its_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(BESIDE), r#"{"lora_alpha": 8, "use_rslora": true}"#).unwrap();
        let config = PeftConfig::find(&BTreeMap::new(), Some(&folder.path().join("adapter_model.safetensors")));
        assert_eq!(config.alpha("base_model.model.x", 16), Some(32.0));
        let other = PeftConfig::find(&BTreeMap::new(), Some(&folder.path().join("style.safetensors")));
        assert_eq!(other.alpha("base_model.model.x", 16), None);
    }
}
