//! How a model's weights fit its configs, without reading them.

use crate::hub::ModelFiles;
use crate::models::clip::ClipTextModel;
use crate::models::unet::UNet2DConditionModel;
use crate::models::vae::AutoencoderKl;
use crate::nn::{Params, Survey};
use crate::pipeline::Family;
use crate::Result;

/// The tensors that each component wants and has, by diffusers' names of the components: `text_encoder`, `unet`, `vae`, ... The networks
/// are built without their numbers, so this takes no time and no memory to speak of.
///
/// # Errors
/// [`crate::Error::Weights`] or [`crate::Error::Model`] when a component has no weights that can be opened, or a config contradicts
/// itself. Tensors that are missing or misshapen are no error here.
pub fn survey(files: &ModelFiles, family: &Family) -> Result<Vec<(&'static str, Survey)>> {
    let mut surveys = Vec::new();
    for (component, config) in ["text_encoder", "text_encoder_2"].into_iter().zip(&family.text_encoders) {
        let params = Params::for_survey(files.weights(component)?);
        ClipTextModel::new(config, &params)?;
        surveys.push((component, params.surveyed()));
    }
    let params = Params::for_survey(files.weights("unet")?);
    UNet2DConditionModel::new(&family.unet, &params)?;
    surveys.push(("unet", params.surveyed()));
    let params = Params::for_survey(files.weights("vae")?);
    AutoencoderKl::new(&family.vae, &params)?;
    surveys.push(("vae", params.surveyed()));
    Ok(surveys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Parts;
    use crate::weights::testing::{checkpoint, file, fixtures};

    fn of(model: &str, parts: &Parts) -> Vec<(&'static str, Survey)> {
        let files = crate::hub::resolve(model, parts).unwrap();
        survey(&files, &Family::detect(&files).unwrap()).unwrap()
    }

    #[test]
    fn sound_models_fit() {
        for model in ["sd15", "sd21", "sdxl"] {
            let folder = fixtures().join("models").join(model);
            let surveys = of(folder.to_str().unwrap(), &Parts::default());
            assert_eq!(surveys.len(), if model == "sdxl" { 4 } else { 3 });
            for (component, survey) in surveys {
                assert!(survey.fits() && survey.surplus.is_empty(), "{model} {component}: {survey:?}");
                assert!(survey.asked.len() > 20, "{model} {component}");
            }
        }
        let built_in = of(crate::request::BUILT_IN_MODEL, &Parts::default());
        assert!(built_in.iter().all(|(_, survey)| survey.fits()));
    }

    #[test]
    fn a_renamed_tensor_is_missing_and_left_over() {
        let mut tensors = checkpoint("sd15");
        for tensor in &mut tensors {
            if tensor.name == "model.diffusion_model.middle_block.0.in_layers.0.bias" {
                tensor.name = "model.diffusion_model.middle.bias".into();
            }
            if tensor.name.ends_with("first_stage_model.decoder.conv_in.bias") {
                tensor.shape = vec![1, tensor.shape[0]];
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, file(&tensors, &[])).unwrap();
        let config = fixtures().join("models/sd15").to_str().map(String::from);
        let surveys = of(path.to_str().unwrap(), &Parts { config, ..Parts::default() });
        let of = |wanted: &str| surveys.iter().find(|(component, _)| *component == wanted).unwrap().1.clone();
        assert_eq!(of("unet").missing, ["mid_block.resnets.0.norm1.bias"]);
        assert_eq!(of("unet").surplus, ["model.diffusion_model.middle.bias"]);
        assert_eq!(of("vae").misshapen[0].name, "decoder.conv_in.bias");
        assert!(of("text_encoder").fits());
    }
}
