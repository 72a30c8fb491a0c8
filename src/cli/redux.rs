//! Pictures in the place of words.

use std::path::{Path, PathBuf};

use clap::Args;

use super::checks;
use crate::request::{PictureFile, Redux, ReduxPicture};
use crate::{Error, Result};

/// What is said by pictures.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Prompt")]
pub struct ReduxArgs {
    /// With FLUX.1, a picture to paint something like, as PICTURE[:SCALE[:POOLED]]; repeatable [default: none].
    ///
    /// FLUX.1 Redux reads the picture, and what it makes of it stands behind the prompt, which may be empty. SCALE (0 to 5) multiplies
    /// both, POOLED what CLIP makes of the prompt [default: 1 and 1]. Several pictures are summed: give them parts of 1.
    #[arg(long = "redux", value_name = "PICTURE", value_parser = parse)]
    pub redux: Vec<ReduxPicture>,

    /// The model that reads the pictures of `--redux` [default: flux-redux].
    ///
    /// A folder in diffusers' layout with `image_encoder` and `image_embedder`, a short name or a repository.
    #[arg(long, value_name = "MODEL")]
    pub redux_model: Option<PathBuf>,
}

impl ReduxArgs {
    /// The pictures' part of the request.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is a model and nothing for it to read.
    pub fn redux(&self) -> Result<Option<Redux>> {
        match (&self.redux_model, self.redux.is_empty()) {
            (None, true) => Ok(None),
            (Some(_), true) => {
                let message = "`--redux-model` has no picture to read";
                Err(Error::usage(message, "add `--redux PICTURE`, or leave it out"))
            }
            (model, false) => {
                let model = model.as_ref().map(|model| checks::path("Redux model", model)).transpose()?;
                let model = model.unwrap_or_else(|| Redux::MODEL.into());
                Ok(Some(Redux { model, pictures: self.redux.clone() }))
            }
        }
    }
}

/// `PICTURE[:SCALE[:POOLED]]`.
fn parse(text: &str) -> Result<ReduxPicture> {
    let (file, numbers) = checks::numbers_behind(text, 2);
    if file.is_empty() {
        let hint = "give PICTURE[:SCALE[:POOLED]], as in `photo.jpg` or `photo.jpg:0.7`";
        return Err(Error::usage(format!("`{text}` names no picture"), hint));
    }
    let number = |i: usize| numbers.get(i).copied().unwrap_or(1.0);
    let file = checks::path("picture", Path::new(file))?;
    let picture =
        ReduxPicture { picture: PictureFile { file, sha256: None }, scale: number(0), pooled_scale: number(1) };
    picture.validate()?;
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_the_picture() {
        let parts = |text: &str| parse(text).map(|p| (p.picture.file, p.scale, p.pooled_scale)).unwrap();
        assert_eq!(parts("a.png"), ("a.png".into(), 1.0, 1.0));
        assert_eq!(parts("x/a:b.png:0.5"), ("x/a:b.png".into(), 0.5, 1.0));
        assert_eq!(parts("a.png:0.5:0"), ("a.png".into(), 0.5, 0.0));
        for (text, word) in
            [("", "no picture"), (":1", "no picture"), ("a.png:-1", "scale -1"), ("a.png:1:9", "pooled")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(word) && error.exit_code() == 2, "{text}: {error}");
        }
    }
}
