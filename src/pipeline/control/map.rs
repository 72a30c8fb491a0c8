//! [`Place`]: control pictures brought to where the picture is made, and made maps of.

use image::RgbImage;

use crate::control::{control_map, Preprocessor, Settings};
use crate::hub::Annotators;
use crate::image::input::{fit, Resize};
use crate::image::model_label;
use crate::pipeline::canvas::Canvas;
use crate::request::{Control, Preprocessing};
use crate::{Error, Result};

/// The kind of ControlNets that are shown the picture to be painted on, with its mask.
pub const INPAINT: &str = "inpaint";
/// Kinds of ControlNets that are shown pictures, and no maps.
const TAKEN_AS_IT_IS: [&str; 3] = [INPAINT, "ip2p", "tile"];

/// Where maps go.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Width and height of the picture that is made.
    pub size: (u32, u32),
    /// The picture that it begins with, if there is one.
    pub canvas: Option<&'a Canvas>,
}

impl Place<'_> {
    /// The map of `picture` for what is shown maps of this kind. What makes it is filled in where that was left open, and what to say
    /// of it added to `notes`.
    ///
    /// # Errors
    /// When the preprocessor's network is not here, or fails.
    pub fn map(
        &self,
        control: &mut Control,
        kind: Option<&str>,
        picture: &RgbImage,
        notes: &mut Vec<String>,
    ) -> Result<RgbImage> {
        let placed = match self.canvas {
            Some(canvas) => canvas.placed(picture, control.resize),
            None => fit(picture, self.size, control.resize.unwrap_or(Resize::Stretch)),
        };
        let (preprocessing, note) = chosen(control, kind, picture);
        notes.extend(note);
        let was_chosen = control.preprocessor == Preprocessing::Auto;
        control.preprocessor = preprocessing;
        match preprocessing {
            Preprocessing::By(preprocessor) => {
                let made = control_map(preprocessor, &placed, &Settings::default(), &Annotators);
                let made = if was_chosen { made.map_err(or_as_it_is)? } else { made? };
                notes.extend(made.notes);
                Ok(made.map)
            }
            Preprocessing::Auto | Preprocessing::None => Ok(placed),
        }
    }
}

/// Of a preprocessor that was chosen for the user and whose network is not here: there is another way.
fn or_as_it_is(error: Error) -> Error {
    match error {
        Error::Model { message, hint: Some(hint) } => {
            Error::model(message, format!("{hint}; `--preprocessor none` takes the picture as the map that it is"))
        }
        other => other,
    }
}

/// What makes the map of `picture` for a ControlNet of this kind, and what to say about that where it was chosen for the user.
fn chosen(control: &Control, kind: Option<&str>, picture: &RgbImage) -> (Preprocessing, Option<String>) {
    let Preprocessing::Auto = control.preprocessor else { return (control.preprocessor, None) };
    let file = model_label(&control.picture.file);
    let Some(kind) = kind.filter(|kind| !TAKEN_AS_IT_IS.contains(kind)) else { return (Preprocessing::None, None) };
    match Preprocessor::parse(kind) {
        Ok(Preprocessor::Canny) if is_line_map(picture) => {
            let note = format!(
                "`{file}` is black and white: it is taken as a map of edges; `--preprocessor canny` makes one of it"
            );
            (Preprocessing::None, Some(note))
        }
        Ok(preprocessor) => {
            let note = format!(
                "{preprocessor} makes the map of `{file}`; `--preprocessor none` takes it as the map that it is"
            );
            (Preprocessing::By(preprocessor), Some(note))
        }
        Err(_) => {
            let note = format!("there is no preprocessor for {kind}: `{file}` is taken as the map that it is");
            (Preprocessing::None, Some(note))
        }
    }
}

/// Whether a picture has nothing but black and white.
fn is_line_map(picture: &RgbImage) -> bool {
    picture.pixels().all(|pixel| matches!(pixel.0, [0, 0, 0] | [255, 255, 255]))
}
