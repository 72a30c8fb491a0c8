//! SigLIP's vision encoder as published, and as newer versions of transformers name it, which is how the model does.

use super::Target;

/// The tensor of the model for a stored name; none for the head that pools.
pub fn rename(name: &str) -> Vec<Target> {
    let own = name.strip_prefix("vision_model.").unwrap_or(name);
    if own.starts_with("head.") {
        return Vec::new();
    }
    vec![Target::whole(own)]
}
