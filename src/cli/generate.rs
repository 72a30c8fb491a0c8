//! `sdgen generate`: text to image.

use clap::Args;

use super::paint::PaintArgs;
use crate::{Request, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen generate \"a red apple\"
  sdgen generate \"sunflower\" --seed 7 --output sunflower.png --overwrite
  sdgen generate \"cat face, flat\" --count 4 --output 'cat-{seed}.png'
  sdgen generate \"a lighthouse\" -m ./stable-diffusion-v1-5 -n blurry --scheduler dpm++2m-karras
  sdgen generate \"pizza\" --output - | display";

/// Make pictures from a text.
///
/// Writes one PNG file a picture and prints its path on standard output; everything else goes to standard error. When an
/// option with one value is given twice, the last one counts.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct GenerateArgs {
    /// What all commands that make pictures know.
    #[command(flatten)]
    pub paint: PaintArgs,
}

impl GenerateArgs {
    /// Everything among the options that decides the picture.
    ///
    /// # Errors
    /// As [`PaintArgs::request`].
    pub fn request(&self) -> Result<Request> {
        self.paint.request()
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{parse, Command, Parsed};
    use crate::request::{Image, LongPrompt, Prompt, Sampling, Weighting};
    use crate::sampling::{Rng, Sampler, SigmaSpacing};

    use super::*;

    fn args(line: &[&str]) -> Result<GenerateArgs> {
        match parse(["sdgen", "generate"].iter().chain(line))? {
            Parsed::Command(Command::Generate(args)) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn request(line: &[&str]) -> Request {
        args(line).unwrap().request().unwrap()
    }

    fn refused(line: &[&str]) -> (String, String) {
        let error = args(line).and_then(|a| a.request()).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE, "{error}");
        (error.to_string(), error.hint().unwrap_or_default())
    }

    #[test]
    fn a_prompt_alone_leaves_all_to_the_model() {
        let expected = Request {
            prompt: Prompt { text: "a red apple".into(), ..Prompt::default() },
            image: Image { batch: Some(1), ..Image::default() },
            ..Request::default()
        };
        assert_eq!(request(&["a red apple"]), expected);
        assert_eq!(request(&["-p", "a red apple"]), expected);
        assert_eq!(request(&["a red apple", "--prompt", "a red apple", "-s", "random"]), expected);
    }

    #[test]
    fn every_option_reaches_the_request() {
        let line = "cat -m dir --embedding word.pt -n dog --prompt-2 cat2 --negative-prompt-2 dog2 --clip-skip 2 --weighting none \
                    --long-prompt truncate --steps 7 -g 4.5 --guidance-rescale 0.7 --scheduler dpm++2m-karras --eta 0.5 \
                    -s 42 --rng philox -W 96 -H 64 --original-size 1024x768 --crop 8,16 -b 3";
        let expected = Request {
            model: "dir".into(),
            prompt: Prompt {
                text: "cat".into(),
                text_2: Some("cat2".into()),
                negative: Some("dog".into()),
                negative_2: Some("dog2".into()),
                clip_skip: Some(2),
                embeddings: vec!["word.pt".into()],
                weighting: Weighting::None,
                long_prompt: LongPrompt::Truncate,
                max_tokens: None,
            },
            sampling: Sampling {
                steps: Some(7),
                guidance: Some(4.5),
                guidance_rescale: Some(0.7),
                true_cfg: None,
                skip_layers: None,
                scheduler: Some(Sampler::DpmPp2m),
                sigmas: Some(SigmaSpacing::Karras),
                eta: Some(0.5),
                seed: Some(42),
                rng: Rng::Philox,
            },
            image: Image {
                width: Some(96),
                height: Some(64),
                batch: Some(3),
                original_size: Some((1024, 768)),
                crop: Some((8, 16)),
            },
            ..Request::default()
        };
        assert_eq!(request(&line.split_whitespace().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn the_last_of_a_repeated_option_wins() {
        let request =
            request(&["x", "--steps", "5", "-W", "64", "--steps", "9", "--width", "128", "-s", "1", "--seed", "2"]);
        assert_eq!((request.sampling.steps, request.image.width, request.sampling.seed), (Some(9), Some(128), Some(2)));
        let general = args(&["x", "-q", "-v", "--json", "--json"]).unwrap().paint.general;
        assert!(general.verbose && !general.quiet && general.json);
        assert_eq!(args(&["x", "--embedding", "a", "--embedding", "b"]).unwrap().paint.prompt.embeddings.len(), 2);
    }

    #[test]
    fn a_prompt_is_needed_once_and_may_be_empty() {
        assert_eq!(request(&[""]).prompt.text, "");
        assert!(refused(&[]).0.contains("no prompt"));
        assert!(refused(&["cat", "-p", "dog"]).0.contains("two prompts"));
        assert!(refused(&["a", "red", "apple"]).1.contains("quotes"));
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(refused(&["x", "--scheduler", "euler-karras", "--sigmas", "beta"]).0.contains("beta"));
        assert_eq!(
            request(&["x", "--scheduler", "euler-karras", "--sigmas", "karras"]).sampling.sigmas,
            Some(SigmaSpacing::Karras)
        );
        assert!(refused(&["x", "-s", "18446744073709551614", "-c", "3"]).1.ends_with("18446744073709551613"));
        request(&["x", "-s", "18446744073709551614", "-c", "2"]);
        assert!(refused(&["x", "--every", "2"]).1.contains("--intermediates"));
        assert!(refused(&["x", "-o", "-", "--json"]).0.contains("standard output"));
        assert!(refused(&["x", "-o", "-", "--intermediates"]).1.contains("--intermediates=DIR"));
        request(&["x", "-o", "-", "--intermediates=steps", "--every", "2"]);
    }

    #[test]
    fn bad_values_name_their_option_and_what_to_give() {
        for (line, message, hint) in [
            (["x", "--width", "513"], "`--width`", "512"),
            (["x", "-H", "8"], "`--height`", "64"),
            (["x", "--steps", "0"], "`--steps`", "1"),
            (["x", "--steps", "200"], "`--steps`", "150"),
            (["x", "--guidance", "-1"], "`--guidance`", "nearest is 0"),
            (["x", "-g", "101"], "`--guidance`", "100"),
            (["x", "-g", "nan"], "not a number", "0 to 100"),
            (["x", "--eta", "1.5"], "`--eta`", "1"),
            (["x", "--count", "0"], "`--count`", "1"),
            (["x", "--batch", "0"], "`--batch`", "1"),
            (["x", "--clip-skip", "0"], "`--clip-skip`", "1"),
            (["x", "--threads", "0"], "`--threads`", "1"),
            (["x", "--scheduler", "eulr"], "`--scheduler`", "did you mean `euler`?"),
            (["x", "--sigmas", "karas"], "`--sigmas`", "did you mean `karras`?"),
            (["x", "--rng", "mt"], "`--rng`", "torch"),
            (["x", "--seed", "-1"], "`--seed`", "random"),
            (["x", "--device", "rocm"], "`--device`", "cuda:N"),
            (["x", "--dtype", "f64"], "`--dtype`", "f32"),
            (["x", "--weighting", "a111"], "`--weighting`", "did you mean `a1111`?"),
            (["x", "--original-size", "8"], "`--original-size`", "1024x768"),
        ] {
            let (m, h) = refused(&line);
            assert!(m.contains(message) && h.contains(hint), "{line:?}: {m} / {h}");
        }
    }
}
