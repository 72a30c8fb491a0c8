//! `sdgen inpaint`: a part of a picture anew.

use clap::Args;

use super::checks;
use super::control::ControlArgs;
use super::input::InputArgs;
use super::mask::MaskArgs;
use super::paint::PaintArgs;
use crate::{Request, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen inpaint -i room.png --mask sofa.png \"a red sofa\" -m ./stable-diffusion-inpainting
  sdgen inpaint -i room.png --mask sofa.png \"a red sofa\" --only-masked --mask-blur 8 -m ./sd15
  sdgen inpaint -i cut-out.png --alpha mask \"a meadow\" -m ./sd15
  sdgen inpaint -i photo.jpg --extend 128,0,128,0 \"a wide beach\" -m flux-fill";

/// Paint a part of a picture anew.
///
/// What is white in the mask is painted, the rest stays as it is, pixel for pixel. Any model will do; one that was made for
/// inpainting is told by its config and also sees what it has to fit to.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct InpaintArgs {
    /// What all commands that make pictures know.
    #[command(flatten)]
    pub paint: PaintArgs,
    /// The picture to begin with.
    #[command(flatten)]
    pub input: InputArgs,
    /// What of it is painted anew.
    #[command(flatten)]
    pub mask: MaskArgs,
    /// ControlNets.
    #[command(flatten)]
    pub control: ControlArgs,
}

impl InpaintArgs {
    /// Everything among the options that decides the picture.
    ///
    /// # Errors
    /// As [`PaintArgs::request`], and when there is no picture to begin with or nothing says what of it is painted anew.
    pub fn request(&self) -> Result<Request> {
        let request = self.paint.request()?;
        checks::mask(&self.input, &self.mask)?;
        // Maps come to lie where the picture does.
        let controls = self.control.controls(None, Some(&self.input), Some(&self.mask))?;
        Ok(Request { input: Some(self.input.input()?), inpaint: Some(self.mask.inpaint()?), controls, ..request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{parse, Command, Parsed};
    use crate::image::input::{Alpha, Fill, Margins, Resize};
    use crate::request::{Inpaint, Input, PictureFile, Task};

    fn request(line: &str) -> Result<Request> {
        match parse(["sdgen", "inpaint"].into_iter().chain(line.split_whitespace()))? {
            Parsed::Command(Command::Inpaint(args)) => args.request(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_reaches_the_request() {
        let line = "x -i a.png --mask b.png --strength 0.5 --resize fill --alpha drop --invert-mask --mask-grow -3 \
                    --mask-blur 2.5 --soft-mask --extend 1,2,3,4 --fill blur --no-paste-back";
        let request = request(line).unwrap();
        assert_eq!(request.task(), Task::Inpaint);
        let file = |name: &str| PictureFile { file: name.into(), sha256: None };
        let (strength, resize, alpha) = (Some(0.5), Resize::Fill, Alpha::Drop);
        let input = Input { picture: file("a.png"), strength, resize, alpha, ..Input::default() };
        assert_eq!(request.input, Some(input));
        let inpaint = Inpaint {
            mask: Some(file("b.png")),
            invert: true,
            grow: -3,
            blur: 2.5,
            soft: true,
            only_masked: None,
            extend: Some(Margins { left: 1, top: 2, right: 3, bottom: 4 }),
            fill: Fill::Blur,
            paste_back: false,
        };
        assert_eq!(request.inpaint, Some(inpaint));
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    }

    #[test]
    fn resizing_the_picture_does_not_take_its_map_elsewhere() {
        let request = request("x -i a.png --extend 64,0,0,0 --resize crop --control canny=a.png").unwrap();
        assert_eq!((request.input.unwrap().resize, request.controls[0].resize), (Resize::Crop, None));
    }

    #[test]
    fn what_is_not_said_is_left_as_it_is() {
        let given = request("x -i a.png --mask b.png").unwrap();
        let inpaint = given.inpaint.unwrap();
        assert_eq!(inpaint, Inpaint { mask: inpaint.mask.clone(), ..Inpaint::default() });
        assert_eq!(given.input.unwrap().strength, None);
    }

    #[test]
    fn the_pad_of_the_masked_part_may_be_left_out() {
        let pad = |option: &str| {
            request(&format!("x -i a.png --mask b.png {option}")).map(|r| r.inpaint.unwrap().only_masked)
        };
        assert_eq!(pad("").unwrap(), None);
        assert_eq!(pad("--only-masked").unwrap(), Some(32));
        assert_eq!(pad("--only-masked=0").unwrap(), Some(0));
        assert!(pad("--only-masked=-1").is_err() && pad("--only-masked=x").is_err());
    }
}
