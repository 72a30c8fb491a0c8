//! What the tensors of an adapter are: the ends of their names, as each trainer writes them.

/// What a tensor is to the change of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The first of two low-rank factors: `[rank, inputs, ...]`.
    Down,
    /// The second: `[outputs, rank, ...]`.
    Up,
    /// What the second one adds to the output, `[outputs]`.
    UpBias,
    /// The core of a Tucker decomposition: `[rank, rank, height, width]`.
    Mid,
    /// The number that, divided by the rank, scales the change.
    Alpha,
    /// The norms of DoRA, as LyCORIS and kohya store them.
    DoraScale,
    /// The same, as PEFT stores them.
    Magnitude,
    /// LoHa: the four factors and two cores of its two halves.
    Hada(Half, Factor),
    /// LoKr: its two factors, whole or in parts.
    Lokr(Half, Factor),
    /// A whole difference of the weight.
    Diff,
    /// A whole difference of the bias.
    DiffBias,
    /// GLoRA: `a1`, `a2`, `b1`, `b2`.
    Glora(Half, Factor),
    /// OFT: the blocks that rotations are made of.
    Oft,
    /// OFT: the same as LyCORIS 2.0 stored them.
    OftDiag,
    /// OFT: the same as PEFT stores them.
    OftPeft,
    /// OFT: factors of the outputs.
    Rescale,
    /// IA3: what rows or columns are multiplied with.
    Ia3,
    /// IA3: whether it is columns.
    OnInput,
    /// The scale of a norm of queries or keys, which takes the place of the model's.
    Norm,
}

/// Which of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Half {
    /// `w1`, `a`.
    First,
    /// `w2`, `b`.
    Second,
}

/// What of a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Factor {
    /// All of it.
    Whole,
    /// The left factor.
    Left,
    /// The right factor.
    Right,
    /// The core between them.
    Core,
}

use Factor::{Core, Left, Right, Whole};
use Half::{First, Second};

/// Ends of names; of two that fit, the longer stands first.
const ENDINGS: [(&str, Role); 43] = [
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_mid.weight", Role::Mid),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".down.weight", Role::Down),
    (".up.weight", Role::Up),
    (".lora_down", Role::Down),
    (".lora_up", Role::Up),
    (".alpha", Role::Alpha),
    (".dora_scale", Role::DoraScale),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".lora_magnitude_vector", Role::Magnitude),
    (".hada_w1_a", Role::Hada(First, Left)),
    (".hada_w1_b", Role::Hada(First, Right)),
    (".hada_w2_a", Role::Hada(Second, Left)),
    (".hada_w2_b", Role::Hada(Second, Right)),
    (".hada_t1", Role::Hada(First, Core)),
    (".hada_t2", Role::Hada(Second, Core)),
    (".lokr_w1", Role::Lokr(First, Whole)),
    (".lokr_w2", Role::Lokr(Second, Whole)),
    (".lokr_w1_a", Role::Lokr(First, Left)),
    (".lokr_w1_b", Role::Lokr(First, Right)),
    (".lokr_w2_a", Role::Lokr(Second, Left)),
    (".lokr_w2_b", Role::Lokr(Second, Right)),
    (".lokr_t2", Role::Lokr(Second, Core)),
    (".diff", Role::Diff),
    (".diff_b", Role::DiffBias),
    (".w_norm", Role::Diff),
    (".b_norm", Role::DiffBias),
    (".a1.weight", Role::Glora(First, Left)),
    (".a2.weight", Role::Glora(First, Right)),
    (".b1.weight", Role::Glora(Second, Left)),
    (".b2.weight", Role::Glora(Second, Right)),
    (".oft_blocks", Role::Oft),
    (".oft_diag", Role::OftDiag),
    (".rescale", Role::Rescale),
    (".on_input", Role::OnInput),
    (".weight", Role::Ia3),
];

/// The last two parts of the names of such scales, in diffusers' names and in those of the original code.
const NORMS: [&str; 6] = [
    "norm_q.weight",
    "norm_k.weight",
    "norm_added_q.weight",
    "norm_added_k.weight",
    "query_norm.scale",
    "key_norm.scale",
];

/// PEFT's, behind which stands the name of the adapter, if it was kept: `lora_A.default.weight`.
const PEFT: [(&str, Role); 3] = [(".lora_A.", Role::Down), (".lora_B.", Role::Up), (".oft_R.", Role::OftPeft)];

/// The module that a tensor of an adapter belongs to, as its file names it, and what it is there. A name that ends with `.weight`
/// and nothing more belongs to IA3 if the module has an `on_input`, and to no adapter otherwise.
#[must_use]
pub fn split(name: &str) -> Option<(&str, Role)> {
    for (mark, role) in PEFT {
        if let Some((module, rest)) = name.split_once(mark) {
            return match (rest.rsplit('.').next(), role) {
                (Some("weight"), role) => Some((module, role)),
                (Some("bias"), Role::Up) => Some((module, Role::UpBias)),
                _ => None,
            };
        }
    }
    let (module, end) = name.rsplit_once('.').unwrap_or_default();
    let last = module.rsplit('.').next().unwrap_or_default();
    if NORMS.iter().any(|norm| norm.split_once('.') == Some((last, end))) {
        return Some((module, Role::Norm));
    }
    ENDINGS.iter().find_map(|(ending, role)| Some((name.strip_suffix(ending)?, *role)))
}

/// Whether a tensor is the matrix that comes first in a low-rank product, whose first side is the rank.
#[must_use]
pub fn is_down(name: &str) -> bool {
    matches!(split(name), Some((_, Role::Down | Role::Hada(First, Right))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_ends_go_first() {
        for (index, (ending, _)) in ENDINGS.iter().enumerate() {
            let hidden = ENDINGS[..index].iter().find(|(earlier, _)| ending.ends_with(earlier));
            assert!(hidden.is_none(), "{ending} is never found");
        }
    }

    #[test]
    fn names_of_adapters_are_left_out() {
        assert_eq!(split("x.to_q.lora_A.default.weight"), Some(("x.to_q", Role::Down)));
        assert_eq!(split("x.to_q.lora_B.my.style.weight"), Some(("x.to_q", Role::Up)));
        assert_eq!(split("x.to_q.lora_B.bias"), Some(("x.to_q", Role::UpBias)));
        assert_eq!(split("x.to_q.lora_A.bias"), None);
        assert_eq!(split("x.to_q.bias"), None);
    }
}
