//! All names that a module of the model goes by, flattened.

use std::collections::{BTreeSet, HashMap};

use crate::weights::names::{self, TransformerOriginal};

/// Names of attention layers in adapters that diffusers trained before 0.17: theirs, and the layer's of CLIP.
const OLD_TEXT: [(&str, &str); 4] =
    [("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out", "out_proj")];

/// Ends of tensors' names behind the module.
const TENSORS: [&str; 5] = [".weight", ".bias", "_weight", "_bias", ".scale"];

/// XLabs' names of the layers that it trains in FLUX: the ends of the original ones, and theirs.
const XLABS: [(&str, &str); 5] = [
    ("_img_attn_qkv", "_qkv_lora1"),
    ("_txt_attn_qkv", "_qkv_lora2"),
    ("_img_attn_proj", "_proj_lora1"),
    ("_txt_attn_proj", "_proj_lora2"),
    ("_linear2", "_proj"),
];
/// Of blocks with one stream they train queries, keys and values, which lie there beside the feed-forward part.
const XLABS_ATTENTION: (&str, &str) = ("_linear1", "_qkv");

/// What a name stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// Modules, in the order of their rows.
    pub modules: Vec<String>,
    /// Whether the second half of the rows comes first in the model.
    pub swapped: bool,
}

impl Alias {
    fn of(module: &str) -> Self {
        Alias { modules: vec![module.into()], swapped: false }
    }
}

/// Flattened names of a component's modules, and what each stands for.
pub fn of(component: &str, tensors: &[String]) -> HashMap<String, Alias> {
    let modules: BTreeSet<&str> = tensors.iter().map(|name| module(name)).collect();
    let mut aliases = HashMap::new();
    let mut add = |alias: &str, module: &str| {
        aliases.entry(alias.replace('.', "_")).or_insert_with(|| Alias::of(module));
    };
    for module in &modules {
        add(module, module);
    }
    if matches!(component, "unet" | "transformer") {
        for module in &modules {
            // Attention processors had no list there.
            if let Some(short) = module.strip_suffix(".to_out.0") {
                add(&format!("{short}.to_out"), module);
            }
        }
    }
    match component {
        "unet" => {
            for (name, original) in names::unet_originals(tensors) {
                add(self::module(&original), self::module(name));
            }
            return aliases;
        }
        "transformer" => {
            add_transformer(&mut aliases, tensors);
            return aliases;
        }
        _ => {}
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
fn add_open_clip(aliases: &mut HashMap<String, Alias>, tensors: &[String]) {
    let originals = names::open_clip_originals(tensors).map(|(name, original, place)| (original, place, name, false));
    add_joined(aliases, originals.collect());
}

/// The original names of a transformer, those of parts of what is joined there (`qkv.0`), and XLabs' names.
fn add_transformer(aliases: &mut HashMap<String, Alias>, tensors: &[String]) {
    let originals: Vec<TransformerOriginal<'_>> = names::transformer_originals(tensors).collect();
    for layer in &originals {
        if let Some(place) = layer.place {
            let part = format!("{}_{place}", module(&layer.original)).replace('.', "_");
            aliases.entry(part).or_insert_with(|| Alias::of(module(layer.name)));
        }
    }
    let joined =
        originals.into_iter().map(|layer| (layer.original, layer.place.unwrap_or(0), layer.name, layer.swapped));
    add_joined(aliases, joined.collect());
    let xlabs: Vec<(String, Alias)> = aliases.iter().filter_map(|(name, alias)| xlabs(name, alias)).collect();
    for (name, alias) in xlabs {
        aliases.entry(name).or_insert(alias);
    }
}

/// XLabs' name for an original one.
fn xlabs(original: &str, alias: &Alias) -> Option<(String, Alias)> {
    let (end, theirs) = XLABS_ATTENTION;
    if let (Some(block), Some(attention)) = (original.strip_suffix(end), alias.modules.get(..3)) {
        return Some((format!("{block}{theirs}"), Alias { modules: attention.to_vec(), swapped: false }));
    }
    let renamed = |(end, theirs): &(&str, &str)| Some(format!("{}{theirs}", original.strip_suffix(end)?));
    Some((XLABS.iter().find_map(renamed)?, Alias { modules: alias.modules.clone(), swapped: false }))
}

/// Adds original names, of which several modules may be one: the name, the place there, the module's tensor, whether it is swapped.
fn add_joined(aliases: &mut HashMap<String, Alias>, mut originals: Vec<(String, usize, &str, bool)>) {
    originals.sort_unstable();
    for (original, place, name, swapped) in originals {
        let alias = aliases.entry(module(&original).replace('.', "_")).or_default();
        if alias.modules.len() == place {
            alias.modules.push(module(name).to_string());
            alias.swapped = swapped;
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
                assert_eq!(aliases.get(name), Some(&Alias::of(&module)), "{prefix} {name}");
            }
        }
    }
}
