//! `<lora:name:0.8>` and its kin in a prompt, as A1111 has them: each tag is taken out before anything else is read.
//!
//! `<lora:name:text:unet>` gives the text encoders and the denoiser a scale of their own; `te=` and `unet=` name them. `<lyco:...>`
//! is the same by the name of an extension that A1111 has taken in since. Reference: `extra_networks.parse_prompt` and
//! `extra_networks_lora` of AUTOMATIC1111/stable-diffusion-webui v1.10.1.

use crate::{Error, Result};

/// A prompt whose tags are taken out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tagged {
    /// The rest. Spaces around a tag stay, as in A1111.
    pub text: String,
    /// The LoRAs that are asked for, in their order.
    pub loras: Vec<LoraTag>,
    /// Tags of other kinds, whole.
    pub others: Vec<String>,
}

/// A LoRA that a prompt asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraTag {
    /// Its name.
    pub name: String,
    /// Its strength in the denoiser.
    pub scale: f64,
    /// Its strength in the text encoders.
    pub text_scale: f64,
}

/// Takes the tags out of a prompt.
///
/// # Errors
/// [`Error::Usage`] for a tag without a name, with a strength that is no number, or that asks for a lower rank (`dyn`).
pub fn read_tags(prompt: &str) -> Result<Tagged> {
    let mut tagged = Tagged::default();
    let mut rest = prompt;
    while let Some((start, end)) = find_tag(rest) {
        tagged.text.push_str(&rest[..start]);
        let whole = &rest[start..end];
        let (kind, args) = whole[1..whole.len() - 1].split_once(':').unwrap_or_default();
        match kind {
            "lora" | "lyco" => tagged.loras.push(lora(whole, args)?),
            _ => tagged.others.push(whole.into()),
        }
        rest = &rest[end..];
    }
    tagged.text.push_str(rest);
    Ok(tagged)
}

/// The prompt without its tags, whatever is in them.
#[must_use]
pub fn without_tags(prompt: &str) -> String {
    let mut text = String::with_capacity(prompt.len());
    let mut rest = prompt;
    while let Some((start, end)) = find_tag(rest) {
        text.push_str(&rest[..start]);
        rest = &rest[end..];
    }
    text + rest
}

/// Where the first match of `<\w+:[^>]+>` begins and ends.
fn find_tag(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(start) = text[from..].find('<').map(|at| from + at) {
        let inside = &text[start + 1..];
        let word = inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len());
        if word > 0 && inside[word..].starts_with(':') {
            // Without an end here there is none for any later tag either.
            let length = inside[word + 1..].find('>')?;
            if length > 0 {
                return Some((start, start + 1 + word + 1 + length + 1));
            }
        }
        from = start + 1;
    }
    None
}

fn lora(whole: &str, args: &str) -> Result<LoraTag> {
    let (named, positional): (Vec<&str>, Vec<&str>) = args.split(':').partition(|arg| arg.contains('='));
    let named = |key: &str| {
        let pairs = named.iter().rev().filter_map(|arg| arg.split_once('='));
        pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value).next()
    };
    let name = positional.first().map(|name| name.trim()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| bad(whole, "names no LoRA"))?.to_string();
    if positional.len() > 3 || named("dyn").is_some() {
        let message = format!("`{whole}` asks for a part of the LoRA's rank, which is not supported");
        return Err(Error::usage(message, format!("leave that out: `<lora:{name}:1>`")));
    }
    let number = |text: Option<&str>| text.map(|text| scale(whole, text)).transpose();
    let first = number(positional.get(1).copied())?.unwrap_or(1.0);
    let text_scale = number(named("te"))?.unwrap_or(first);
    // What is not said of the denoiser is what holds for the text encoders.
    let second = number(positional.get(2).copied())?.unwrap_or(text_scale);
    Ok(LoraTag { name, scale: number(named("unet"))?.unwrap_or(second), text_scale })
}

fn scale(whole: &str, text: &str) -> Result<f64> {
    let number = text.trim().parse().ok().filter(|scale: &f64| scale.is_finite());
    number.ok_or_else(|| bad(whole, &format!("has a strength that is no number: `{text}`")))
}

fn bad(whole: &str, what: &str) -> Error {
    Error::usage(
        format!("`{whole}` in the prompt {what}"),
        "write `<lora:name:0.8>`, or `<lora:name:0.4:0.8>` for text encoders and denoiser; `--weighting none` keeps such text",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(args: &str) -> (String, f64, f64) {
        let tag = read_tags(&format!("a <lora:{args}> b")).unwrap().loras.remove(0);
        (tag.name, tag.text_scale, tag.scale)
    }

    #[test]
    fn strengths_stand_where_a1111_has_them() {
        let named = |text: f64, unet: f64| ("x".to_string(), text, unet);
        assert_eq!(tag("x"), named(1.0, 1.0));
        assert_eq!(tag("x:0.8"), named(0.8, 0.8));
        assert_eq!(tag("x:-.5"), named(-0.5, -0.5));
        assert_eq!(tag("x:0.4:0.8"), named(0.4, 0.8));
        assert_eq!(tag("x:te=0.4"), named(0.4, 0.4));
        assert_eq!(tag("x:0.3:unet=0.9"), named(0.3, 0.9));
        assert_eq!(tag("x:0.3:0.5:te=0.1"), named(0.1, 0.5));
        assert_eq!(tag(" a b_v1.0 : 1 "), ("a b_v1.0".into(), 1.0, 1.0));
    }

    #[test]
    fn tags_are_taken_out_and_nothing_else() {
        let tagged = read_tags("<lora:a:0.5>one, <lyco:b> two<hypernet:c:1>, 1 < 2 <3: x <p:q>").unwrap();
        assert_eq!(tagged.text, "one,  two, 1 < 2 ");
        assert_eq!(tagged.loras.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(tagged.others, ["<hypernet:c:1>", "<3: x <p:q>"]);
        for text in ["", "a < b > c", "<lora>", "<lora:>", "<:x>", "<lora:x", "< lora:x>", "<<"] {
            assert_eq!(read_tags(text).unwrap(), Tagged { text: text.into(), ..Tagged::default() });
        }
        assert_eq!(read_tags("<<lora:x>>").unwrap().text, "<>");
        let long = "<a".repeat(100_000);
        assert_eq!(without_tags(&long), long);
    }

    #[test]
    fn wrong_tags_are_refused() {
        for (text, word) in [
            ("<lora:x:abc>", "`abc`"),
            ("<lora:x:1:nan>", "`nan`"),
            ("<lora:x:te=>", "``"),
            ("<lora::1>", "names no LoRA"),
            ("<lora:te=1>", "names no LoRA"),
            ("<lora:x:1:1:8>", "rank"),
            ("<lora:x:1:dyn=8>", "rank"),
        ] {
            let error = read_tags(text).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(word), "{text}: {error}");
            assert_eq!(without_tags(text), "");
        }
    }
}
