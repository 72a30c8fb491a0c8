//! T2I-Adapters of the original code, whose residual blocks stand in one row. Followed: TencentARC/T2I-Adapter's `adapter.py`.

use super::{number, Target};

/// The tensor of diffusers for a name in an adapter whose blocks have so many residual blocks each.
pub fn rename(name: &str, depth: usize) -> Vec<Target> {
    own_name(name, depth).map(Target::whole).into_iter().collect()
}

fn own_name(name: &str, depth: usize) -> Option<String> {
    let Some((i, rest)) = name.strip_prefix("body.").and_then(number) else {
        return name.starts_with("conv_in.").then(|| format!("adapter.{name}"));
    };
    // Light ones have blocks with a row of their own.
    if let Some((j, layer)) = rest.strip_prefix("body.").and_then(number) {
        return Some(format!("adapter.body.{i}.resnets.{j}.{layer}"));
    }
    if rest.starts_with("out_conv.") || depth == 0 {
        return Some(format!("adapter.body.{i}.{rest}"));
    }
    let (block, j) = (i / depth, i % depth);
    match rest.strip_prefix("in_conv.") {
        Some(_) => Some(format!("adapter.body.{block}.{rest}")),
        None => Some(format!("adapter.body.{block}.resnets.{j}.{rest}")),
    }
}

/// How many residual blocks each block of an adapter with these names has; 0 for light ones, whose blocks say so themselves. Published
/// adapters have blocks of two.
pub fn depth<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    if names.any(|name| name.ends_with(".out_conv.weight")) {
        0
    } else {
        2
    }
}
