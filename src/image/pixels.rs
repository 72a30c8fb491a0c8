//! From the decoder's values to 8-bit pixels, and from pixels to the encoder's, as diffusers' `VaeImageProcessor` does.

use ::image::RgbImage;
use candle_core::{DType, Device, Tensor};

use crate::Result;

/// The pictures in a tensor of shape `[3, height, width]` or `[batch, 3, height, width]`, any float dtype, any device,
/// values nominally in -1..1: `(x / 2 + 0.5)` clamped to 0..1, times 255, rounded half to even, all in f32.
///
/// Not-a-number becomes 0: [`check_decoded`](super::check_decoded) is there to refuse it before.
///
/// # Errors
/// When the shape is another one, or the device fails.
pub fn to_pictures(decoded: &Tensor) -> Result<Vec<RgbImage>> {
    let decoded = if decoded.rank() == 3 { decoded.unsqueeze(0)? } else { decoded.clone() };
    let (_, channels, height, width) = decoded.dims4()?;
    if channels != 3 {
        return Err(wrong_shape(&decoded));
    }
    let rows = decoded.permute((0, 2, 3, 1))?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.contiguous()?;
    let values = rows.flatten_all()?.to_vec1::<f32>()?;
    let pixels_per_picture = height * width * 3;
    if pixels_per_picture == 0 {
        return Err(wrong_shape(&decoded));
    }
    values
        .chunks_exact(pixels_per_picture)
        .map(|values| {
            let bytes = values.iter().map(|&v| to_byte(v)).collect();
            let size = u32::try_from(width).ok().zip(u32::try_from(height).ok());
            size.and_then(|(w, h)| RgbImage::from_raw(w, h, bytes)).ok_or_else(|| wrong_shape(&decoded))
        })
        .collect()
}

/// A picture as the encoder takes it, `[1, 3, height, width]` f32: of 0..255 to -1..1, in f32 as in the reference.
///
/// # Errors
/// When the device fails.
pub fn to_tensor(picture: &RgbImage, device: &Device) -> Result<Tensor> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let values: Vec<f32> = picture.as_raw().iter().map(|byte| 2.0 * (f32::from(*byte) / 255.0) - 1.0).collect();
    let rows = Tensor::from_vec(values, (1, height, width, 3), &Device::Cpu)?;
    Ok(rows.permute((0, 3, 1, 2))?.contiguous()?.to_device(device)?)
}

fn to_byte(value: f32) -> u8 {
    let scaled = (value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0;
    scaled.round_ties_even() as u8
}

fn wrong_shape(tensor: &Tensor) -> crate::Error {
    candle_core::Error::Msg(format!("a picture has 3 channels and some pixels, not {:?}", tensor.dims())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_bytes_as_in_numpy() {
        // numpy: ((x * np.float32(.5) + np.float32(.5)).clip(0, 1) * 255).round().astype("uint8")
        let cases =
            [(-1.0, 0), (-2.0, 0), (1.0, 255), (7.0, 255), (0.0, 128), (-0.5, 64), (0.5, 191), (-0.996, 1), (0.3, 166)];
        for (value, byte) in cases {
            assert_eq!(to_byte(value), byte, "{value}");
        }
    }

    #[test]
    fn ties_go_to_even() {
        // 0.0 scales to 127.5 exactly: the even neighbour is 128. -1 + 1/255 is near 0.5, whose even neighbour is 0.
        assert_eq!(to_byte(0.0), 128);
        assert_eq!(127.5_f32.round_ties_even() as u8, 128);
        assert_eq!(126.5_f32.round_ties_even() as u8, 126);
    }

    #[test]
    fn channels_become_pixels_in_order() -> Result<()> {
        let data: Vec<f32> = (0..12).map(|i| i as f32 / 255.0 * 2.0 - 1.0).collect();
        let one = Tensor::from_vec(data.clone(), (3, 2, 2), &Device::Cpu)?;
        let picture = &to_pictures(&one)?[0];
        assert_eq!(picture.dimensions(), (2, 2));
        assert_eq!(picture.as_raw(), &[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);

        let batch = Tensor::stack(&[&one, &one.affine(0.0, 1.0)?], 0)?;
        let pictures = to_pictures(&batch)?;
        assert_eq!(pictures.len(), 2);
        assert_eq!(&pictures[0], picture);
        assert!(pictures[1].as_raw().iter().all(|&b| b == 255));
        Ok(())
    }

    #[test]
    fn pixels_become_values_and_back() -> Result<()> {
        let picture = RgbImage::from_fn(16, 16, |x, y| ::image::Rgb([(16 * y + x) as u8, 255, 0]));
        let values = to_tensor(&picture, &Device::Cpu)?;
        assert_eq!(values.dims(), [1, 3, 16, 16]);
        assert_eq!(values.get(0)?.get(0)?.get(3)?.get(7)?.to_scalar::<f32>()?, 2.0 * (55.0f32 / 255.0) - 1.0);
        assert_eq!(to_pictures(&values)?[0], picture);
        Ok(())
    }

    #[test]
    fn width_and_height_are_not_swapped() -> Result<()> {
        let picture = &to_pictures(&Tensor::zeros((3, 2, 5), DType::BF16, &Device::Cpu)?)?[0];
        assert_eq!(picture.dimensions(), (5, 2));
        Ok(())
    }

    #[test]
    fn other_shapes_are_refused() -> Result<()> {
        for shape in [&[4, 2, 2][..], &[1, 1, 2, 2], &[2, 2], &[3, 0, 2], &[1, 1, 3, 2, 2]] {
            assert!(to_pictures(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?).is_err(), "{shape:?}");
        }
        Ok(())
    }
}
