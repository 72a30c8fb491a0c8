//! Line art, as controlnet_aux makes it.

use image::RgbImage;

use super::network::{tensor, Loader};
use super::pixels::Plane;
use super::Network;
use crate::models::annotators::lineart::Lineart;
use crate::Result;

/// White lines on black. `network` is one of those for line art.
pub(super) fn lineart(picture: &RgbImage, network: Network, load: &Loader<'_>) -> Result<RgbImage> {
    let network = load.build(network, Lineart::new)?;
    let lines = network.forward(&tensor(picture, [0.0; 3], [255.0; 3])?)?;
    let (_, _, height, width) = lines.dims4()?;
    // Cut before it is inverted, as in the reference.
    let values = lines.flatten_all()?.to_vec1::<f32>()?.into_iter().map(|paper| 255.0 - (paper * 255.0).floor());
    Ok(Plane::new(width, height, 1, values.collect()).cut_to_picture())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::prepare::for_network;
    use crate::control::testing::{difference, reference, Fixtures};

    #[test]
    fn lines_are_the_references() {
        let picture = for_network(&reference("annotators/photo.png"), 128);
        let lines = lineart(&picture, Network::Lineart, &Loader(&Fixtures)).unwrap();
        assert!(difference(&lines, &reference("lineart/photo_fine.png")) <= 2);
    }
}
