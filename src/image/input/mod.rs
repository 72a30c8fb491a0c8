//! Pictures in: from a file or standard input to the pixels and the mask that image-to-image and inpainting start from. Pure
//! functions over pixels, with the arithmetic of Pillow and diffusers; they know no models and print nothing: what was
//! changed, ignored or guessed comes back as notes.

mod blur;
mod container;
mod decode;
mod extend;
mod fill;
mod fit;
mod grow;
mod load;
mod mask;
mod region;
mod resample;
mod size;
mod source;
#[cfg(test)]
mod tests;

pub use extend::{extend, Extended, Margins, SEAM_OVERLAP};
pub use fill::{fill_from_around, Fill};
pub use fit::{fit, fit_note, Resize};
pub use load::{load, load_mask, Alpha, Loaded, LoadedMask};
pub use mask::Mask;
pub use region::{paste_back, Region};
pub use resample::{resize, Filter};
pub use size::{picture_size, PictureSize};
pub use source::{InputRecord, Source};
