//! All names that a module of the model goes by, flattened.

use std::collections::{BTreeSet, HashMap};

use crate::weights::names;

/// Names of attention layers in adapters that diffusers trained before 0.17: theirs, and the layer's of CLIP.
const OLD_TEXT: [(&str, &str); 4] =
    [("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out", "out_proj")];

/// Ends of tensors' names behind the module.
const TENSORS: [&str; 4] = [".weight", ".bias", "_weight", "_bias"];

/// Flattened names of a component's modules, and the modules that each stands for, in the order of their rows.
pub fn of(component: &str, tensors: &[String]) -> HashMap<String, Vec<String>> {
    let modules: BTreeSet<&str> = tensors.iter().map(|name| module(name)).collect();
    let mut aliases = HashMap::new();
    let mut add = |alias: &str, module: &str| {
        aliases.entry(alias.replace('.', "_")).or_insert_with(|| vec![module.to_string()]);
    };
    for module in &modules {
        add(module, module);
    }
    if component == "unet" {
        for module in &modules {
            // Attention processors had no list there.
            if let Some(short) = module.strip_suffix(".to_out.0") {
                add(&format!("{short}.to_out"), module);
            }
        }
        for (name, original) in names::unet_originals(tensors) {
            add(self::module(&original), self::module(name));
        }
        return aliases;
    }
    for module in &modules {
        // Files of later versions of transformers do not have it, and adapters do all the same.
        let short = module.strip_prefix("text_model.").unwrap_or(module);
        add(short, module);
        add(&format!("text_model.{short}"), module);
        for (old, new) in OLD_TEXT {
            if let Some(front) = module.strip_suffix(new) {
                add(&format!("{front}{old}"), module);
            }
        }
    }
    add_open_clip(&mut aliases, tensors);
    aliases
}

/// The names of OpenCLIP, where queries, keys and values are one.
fn add_open_clip(aliases: &mut HashMap<String, Vec<String>>, tensors: &[String]) {
    let mut fused: Vec<(String, usize, &str)> =
        names::open_clip_originals(tensors).map(|(name, original, row)| (original, row, name)).collect();
    fused.sort_unstable();
    for (original, row, name) in fused {
        let (alias, module) = (module(&original).replace('.', "_"), module(name).to_string());
        let modules = aliases.entry(alias).or_default();
        if modules.len() == row {
            modules.push(module);
        }
    }
}

/// The module that a tensor belongs to.
fn module(tensor: &str) -> &str {
    TENSORS.iter().find_map(|end| tensor.strip_suffix(end)).unwrap_or(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_encoders_are_known_with_and_without_their_prefix() {
        for prefix in ["text_model.", ""] {
            let module = format!("{prefix}encoder.layers.0.self_attn.q_proj");
            let aliases = of("text_encoder", &[format!("{module}.weight")]);
            for name in ["text_model_encoder_layers_0_self_attn_q_proj", "encoder_layers_0_self_attn_q_proj"] {
                assert_eq!(aliases.get(name), Some(&vec![module.clone()]), "{prefix} {name}");
            }
        }
    }
}
