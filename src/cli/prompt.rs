//! What to paint.

use std::path::PathBuf;

use clap::Args;

use super::shard::ShardArg;
use super::values;
use crate::request::{limits, LongPrompt, Weighting};

/// The options of the heading "Prompt".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Prompt")]
pub struct PromptArgs {
    /// What to paint.
    ///
    /// Put it in quotes. An empty text is a prompt too.
    #[arg(value_name = "PROMPT", help_heading = None::<&str>)]
    pub positional: Option<String>,

    /// What to paint, as an option.
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Option<String>,

    /// A file with a prompt a line; `-` is standard input.
    ///
    /// The model is loaded once, and each picture is written as soon as it is made; lines are read as they come. Empty lines and
    /// those that begin with `#` are skipped; `\#` begins a prompt that begins with `#`. A line that begins with `{"`, and each line
    /// of a `.jsonl` file, is a part of a request as `--dry-run` prints it, which is laid over the options:
    /// `{"prompt":"a cat","sampling":{"seed":7}}`. All lines have the same seed, and with --count the same seeds, unless they
    /// bring their own; a random one is drawn for each. A line that is wrong is told with its number, and the others go on.
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,

    /// With --prompt-file, every N-th line only, as I/N or `auto` [default: all].
    ///
    /// `2/4` is the second, sixth, tenth, ... of the lines that are prompts. `auto` takes I and N from the environment: a task of a
    /// Slurm array knows both; an indexed job of Kubernetes and a job of GNU parallel know I, and SDGEN_SHARDS says N.
    #[arg(long, value_name = "I/N", value_parser = super::shard::parse)]
    pub shard: Option<ShardArg>,

    /// A text before each prompt [default: none].
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prompt_prefix: String,

    /// A text behind each prompt, as in `--prompt-suffix ", watercolor"` [default: none].
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prompt_suffix: String,

    /// What not to paint [default: none].
    ///
    /// It has no effect at a guidance of 1 and below. For SDXL, none differs from an empty text: none is zeros.
    #[arg(short, long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,

    /// The second text encoder's prompt [default: the prompt].
    ///
    /// For SDXL and Stable Diffusion 3 that is OpenCLIP, for FLUX T5.
    #[arg(long = "prompt-2", value_name = "TEXT")]
    pub prompt_2: Option<String>,

    /// The same of the negative prompt [default: the negative prompt].
    #[arg(long = "negative-prompt-2", value_name = "TEXT")]
    pub negative_prompt_2: Option<String>,

    /// The text encoder's layer, from the end [default: the model's].
    ///
    /// Counts as in A1111: 1 skips nothing, 2 skips the last layer. SDXL and Stable Diffusion 3 read their text at the last layer but
    /// one, and it counts from there, as in diffusers: 1 is what ComfyUI calls 2.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, 1..=32))]
    pub clip_skip: Option<usize>,

    /// Whether brackets in the prompt are weights.
    #[arg(long, value_name = "KIND", value_enum, default_value = "a1111")]
    pub weighting: Weighting,

    /// What happens to a prompt of more than 75 tokens.
    #[arg(long, value_name = "HOW", value_enum, default_value = "chunk")]
    pub long_prompt: LongPrompt,

    /// A textual inversion; repeatable [default: none].
    ///
    /// Its word in the prompt is the file's name without extension, or the word stored in the file.
    #[arg(long = "embedding", value_name = "FILE")]
    pub embeddings: Vec<PathBuf>,

    /// How much of the prompt T5 reads, 1 to 512 [default: 512 for FLUX, 256 for Stable Diffusion 3].
    ///
    /// Fewer are faster; what is not text is padding, which the model sees too, so the picture is another one.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, limits::MAX_TOKENS))]
    pub max_tokens: Option<usize>,

    /// Word lists for `__name__` in the prompt [default: none].
    ///
    /// `__name__` is replaced by a line of DIR/name.txt, drawn from the seed.
    #[arg(long, value_name = "DIR")]
    pub wildcards: Option<PathBuf>,
}

impl PromptArgs {
    /// A prompt with what stands before and behind each.
    #[must_use]
    pub fn dressed(&self, prompt: &str) -> String {
        [&self.prompt_prefix, prompt, &self.prompt_suffix].concat()
    }
}
