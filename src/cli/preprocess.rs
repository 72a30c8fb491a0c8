//! `sdgen preprocess`: control maps of pictures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::general::GeneralArgs;
use super::{checks, values};
use crate::control::{limits, Preprocessor, Settings};
use crate::image::is_stdout;
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen preprocess canny -i photo.jpg -o edges.png
  sdgen preprocess canny -i photo.jpg --low 50 --high 150 --resolution 512
  sdgen preprocess openpose-full -i people.jpg -o pose.png
  sdgen preprocess scribble -i drawing.png -o - | sdgen preprocess invert -i - -o paper.png";

/// Make the map that a ControlNet is shown of a picture: edges, lines, depth, people.
///
/// As controlnet_aux and the ControlNet extension of A1111 make them. The result is a PNG. What has a star below needs a network,
/// which `sdgen download` fetches: annotator-hed, annotator-lineart, annotator-openpose, depth-anything-v2-small.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = after_help())]
pub struct PreprocessArgs {
    /// What to make: a name of the list below.
    #[arg(value_name = "NAME", value_parser = Preprocessor::parse)]
    pub preprocessor: Preprocessor,

    /// The picture; `-` is standard input.
    ///
    /// PNG, JPEG, WebP, TIFF or BMP, told by its content, turned upright as its camera says; what is transparent becomes white.
    #[arg(short, long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// A file or a folder; `-` is stdout [default: the picture's name with -NAME.png].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,

    /// The network's weights: a file, or a folder with files of the published names [default: what was downloaded].
    #[arg(short, long, value_name = "PATH")]
    pub weights: Option<PathBuf>,

    /// Replace a file that is there [default: take the next free name].
    #[arg(long)]
    pub overwrite: bool,

    /// What the preprocessor does.
    #[command(flatten)]
    settings: SettingArgs,

    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

/// The options of the heading "Map". Each is refused where it has no effect.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Map")]
struct SettingArgs {
    /// The map's shorter side, 64 to 4096 [default: the picture's].
    ///
    /// It is also how large the networks for edges, lines and people see the picture, 512 when nothing is said; that for depth
    /// always sees 518.
    #[arg(short, long, value_name = "PX", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, limits::RESOLUTION))]
    resolution: Option<usize>,

    /// canny: the strength above which an edge goes on, 0 to 2040 [default: 100].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::EDGE))]
    low: Option<f64>,

    /// canny: the strength above which an edge begins [default: 200].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::EDGE))]
    high: Option<f64>,

    /// threshold, scribble [default: 127], scribble-xdog [default: 32]: 0 to 255.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::THRESHOLD))]
    threshold: Option<f64>,

    /// blur: its width in pixels [default: 9].
    #[arg(long, value_name = "PX", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::SIGMA))]
    sigma: Option<f64>,

    /// tile: what the sides are divided by [default: 1].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::RATE))]
    rate: Option<f64>,

    /// recolor: the exponent of brightness [default: 1].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::GAMMA))]
    gamma: Option<f64>,

    /// normals: how flat surfaces look [default: 6.28].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::FLATNESS))]
    flatness: Option<f64>,

    /// normals: the part of the depth that is background, 0 to 1 [default: 0.1].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::BACKGROUND))]
    background: Option<f64>,

    /// shuffle: another seed, another map [default: 0].
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, 0..=u32::MAX as usize))]
    seed: Option<usize>,

    /// softedge: in steps, through which less of the picture is seen [default: off].
    #[arg(long)]
    safe: bool,
}

fn after_help() -> String {
    let lines = Preprocessor::value_variants().iter().filter_map(ValueEnum::to_possible_value).map(|value| {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        format!("  {:<18} {help}\n", value.get_name())
    });
    format!("Names:\n{}\n{EXAMPLES}", lines.collect::<String>())
}

impl PreprocessArgs {
    /// The picture's path, `-` for standard input.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, and when standard output was given two things to hold.
    pub fn image(&self) -> Result<&PathBuf> {
        if self.output.as_deref().is_some_and(is_stdout) {
            checks::one_on_stdout(&self.general)?;
        }
        self.image.as_ref().ok_or_else(|| Error::usage("no picture is given", "say which one: `--image photo.jpg`"))
    }

    /// Refuses weights for what has no network, and several networks in one file.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<()> {
        let Some(path) = &self.weights else { return Ok(()) };
        let name = self.preprocessor;
        match name.networks() {
            [] => Err(Error::usage(
                format!("`--weights` has no effect on `{name}`, which needs no network"),
                "leave it out",
            )),
            [_] => Ok(()),
            several if path.is_file() => Err(Error::usage(
                format!("`{name}` needs {} networks, and `{}` is one file", several.len(), path.display()),
                "give the folder that they are in",
            )),
            _ => Ok(()),
        }
    }

    /// What is said about the map.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let SettingArgs { resolution, low, high, threshold, sigma, rate, gamma, flatness, background, seed, safe } =
            self.settings;
        Settings {
            resolution: resolution.map(|side| side as u32),
            low,
            high,
            threshold,
            sigma,
            rate,
            gamma,
            flatness,
            background,
            seed: seed.map(|seed| seed as u32),
            safe,
        }
    }
}
