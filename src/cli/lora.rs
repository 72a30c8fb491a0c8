//! What changes the model's weights.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::request::Lora;
use crate::weights::lora::BlockWeights;
use crate::{Error, Result};

/// The options of LoRAs, under the heading "Model".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct LoraArgs {
    /// Change the model by a LoRA; may be given several times.
    ///
    /// LoRA, LoCon, LoHa, LoKr, DoRA, IA3, GLoRA, OFT and whole differences, in the names of kohya's scripts, diffusers, PEFT, ComfyUI,
    /// OneTrainer and LyCORIS; what was applied is told. SCALE is 1 unless said otherwise and may be negative; TEXT is the scale
    /// for the text encoders where it is another. Weights are changed while they are read. Computing in f32, the changed ones stay in
    /// f32, which takes twice the memory of those that are stored in half of it; with `--dtype f16` or `bf16` they keep their size.
    #[arg(short, long = "lora", value_name = "FILE[:SCALE[:TEXT]]", value_parser = Lora::from_str)]
    pub loras: Vec<Lora>,
    /// Look here for LoRAs that are named, as `-l NAME` or `<lora:NAME:SCALE>` in the prompt; may be given several times.
    ///
    /// Folders within are looked into, and so are `loras` and `Lora` in the model's folder and in the two above. A name is that of a
    /// file, with or without its ending, or what its trainer called it; short names (`sdgen download --list`) and repositories are
    /// found in the cache of downloaded models.
    #[arg(long = "lora-dir", value_name = "DIR")]
    pub lora_dirs: Vec<PathBuf>,
    /// What a LoRA is multiplied with in each block of the UNet; may be given several times.
    ///
    /// Either NAME=WEIGHT pairs, later ones before earlier ones: `MID=0.5,OUT=0`. Or a number for each block, as
    /// sd-webui-lora-block-weight has them: 17 for SD 1.x and 2.x (BASE, IN01, IN02, IN04, IN05, IN07, IN08, MID, OUT03 to OUT11), 12
    /// for SDXL (BASE, IN04, IN05, IN07, IN08, MID, OUT00 to OUT05), or 26 and 20 for all blocks. BASE is the text encoders and what
    /// lies outside of the blocks. LORA is the name of one LoRA's file without its ending; otherwise all are meant.
    #[arg(long, value_name = "[LORA:]WEIGHTS", value_parser = parse_blocks)]
    pub lora_blocks: Vec<LoraBlocks>,
    /// Refuse LoRAs that fit the model only in part.
    #[arg(long)]
    pub strict: bool,
}

/// A value of `--lora-blocks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraBlocks {
    /// The LoRA that is meant; all without it.
    pub name: Option<String>,
    /// Its weights, as typed.
    pub weights: String,
}

impl LoraArgs {
    /// The LoRAs with their weights by blocks.
    ///
    /// # Errors
    /// [`Error::Usage`] when weights are for a LoRA that is not given.
    pub fn loras(&self) -> Result<Vec<Lora>> {
        let mut loras = self.loras.clone();
        for LoraBlocks { name, weights } in &self.lora_blocks {
            let mut meant =
                loras.iter_mut().filter(|lora| name.as_ref().is_none_or(|name| is_called(lora, name))).peekable();
            if meant.peek().is_none() {
                let which = name.as_ref().map_or("one".into(), |name| format!("`{name}`"));
                let message = format!("`--lora-blocks` is for a LoRA, and {which} is not given");
                return Err(Error::usage(message, "give the LoRA with `--lora`, or leave out the name to mean all"));
            }
            meant.for_each(|lora| lora.blocks = Some(weights.clone()));
        }
        Ok(loras)
    }
}

/// Whether it is the name of a LoRA's file, with or without its ending.
fn is_called(lora: &Lora, name: &str) -> bool {
    let file = lora.file.rsplit(['/', '\\']).next().unwrap_or(&lora.file);
    file == name || file.rsplit_once('.').is_some_and(|(stem, _)| stem == name)
}

/// `[LORA:]WEIGHTS`.
///
/// # Errors
/// [`Error::Usage`] when the weights are not understood.
pub fn parse_blocks(text: &str) -> Result<LoraBlocks> {
    // Weights have no colons.
    let (name, weights) = match text.rsplit_once(':') {
        Some((name, weights)) => (Some(name.to_string()), weights),
        None => (None, text),
    };
    match weights.parse::<BlockWeights>() {
        Ok(_) => Ok(LoraBlocks { name, weights: weights.into() }),
        Err(e) => Err(Error::Usage { hint: e.hint(), message: e.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{parse, Command, Parsed};

    fn loras(line: &[&str]) -> crate::Result<Vec<crate::request::Lora>> {
        match parse(["sdgen", "generate", "x"].iter().chain(line))? {
            Parsed::Command(Command::Generate(args)) => Ok(args.paint.request()?.loras),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blocks_are_of_the_lora_that_is_named_or_of_all() {
        let both = ["-l", "a/style.safetensors:0.8", "--lora", "face.pt"];
        let blocks = |more: &[&str]| {
            let loras = loras(&[&both, more].concat()).unwrap();
            [0, 1].map(|index| loras[index].blocks.clone().unwrap_or_default())
        };
        assert_eq!(blocks(&["--lora-blocks", "MID=0.5"]), ["MID=0.5", "MID=0.5"]);
        assert_eq!(blocks(&["--lora-blocks", "style:IN=0"]), ["IN=0", ""]);
        assert_eq!(blocks(&["--lora-blocks", "all=0.5", "--lora-blocks", "face.pt:OUT=1"]), ["all=0.5", "OUT=1"]);
        let refused = |more: &[&str]| loras(&[&both, more].concat()).unwrap_err().to_string();
        assert!(refused(&["--lora-blocks", "other:IN=0"]).contains("`other`"));
        assert!(refused(&["--lora-blocks", "1,2,3"]).contains("3 numbers"));
    }

    #[test]
    fn weights_of_blocks_need_a_lora() {
        assert!(loras(&["--lora-blocks", "MID=0"]).unwrap_err().to_string().contains("not given"));
    }
}
