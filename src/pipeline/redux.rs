//! Pictures in the place of words: FLUX.1 Redux, as diffusers' `FluxPriorReduxPipeline`. What it makes of a picture stands behind the
//! states of T5.

use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;
use image::RgbImage;

use crate::hub::ReduxFiles;
use crate::image::input::{load, resize, Alpha, Filter, Source};
use crate::image::to_tensor;
use crate::models::redux::{ReduxConfig, ReduxImageEncoder};
use crate::models::siglip::{SiglipVisionConfig, SiglipVisionModel};
use crate::nn::{ParamSource, Params};
use crate::pipeline::encode::{Encoding, Encodings};
use crate::pipeline::finish::finish;
use crate::pipeline::{DenoiserConfig, Event, Events, Family, Machine, Phase, Plan};
use crate::text::{Conditioning, Encoded};
use crate::{Error, Request, Result};

/// A Redux model and what it is shown.
#[derive(Debug, Clone)]
pub struct PlannedRedux {
    files: ReduxFiles,
    encoder: SiglipVisionConfig,
    embedder: ReduxConfig,
    /// At the encoder's size, each with its scale.
    pictures: Arc<Vec<(RgbImage, f64)>>,
    /// By what the text's states and its pooled vector are multiplied: all pictures' scales together.
    text_scales: [f64; 2],
}

impl PlannedRedux {
    /// States that it adds to those of the text.
    pub(super) fn tokens(&self) -> usize {
        self.encoder.tokens()
    }
}

/// Finds the Redux model of a request and reads its pictures; their hashes are filled in. With it comes what there is to know of them.
///
/// # Errors
/// [`Error::Usage`] for models that are no FLUX.1, [`Error::Model`] when Redux is not there or is for another text encoder, and when a
/// picture cannot be read.
pub(super) fn plan(request: &mut Request, family: &Family) -> Result<(Option<PlannedRedux>, Vec<String>)> {
    let Some(redux) = &mut request.redux else { return Ok((None, Vec::new())) };
    let DenoiserConfig::Flux(flux) = &family.denoiser else {
        let message = format!("Redux is for FLUX.1, the model is {}", family.name());
        return Err(Error::usage(message, "leave out `--redux`, or take a model of FLUX.1"));
    };
    let files = ReduxFiles::find(&redux.model)?;
    let encoder = SiglipVisionConfig::from_json(&files.encoder_config()?)?;
    let embedder = ReduxConfig::from_json(&files.embedder_config()?)?;
    if (embedder.redux_dim, embedder.txt_in_features) != (encoder.hidden_size, flux.joint_attention_dim) {
        return Err(Error::model(
            format!(
                "the Redux model turns vectors of {} into {}, its encoder gives {}, and the transformer takes {}",
                embedder.redux_dim, embedder.txt_in_features, encoder.hidden_size, flux.joint_attention_dim
            ),
            "take a Redux model that was made for this FLUX.1",
        ));
    }
    let (mut pictures, mut text_scales, mut notes) = (Vec::new(), [0.0; 2], Vec::new());
    for shown in &mut redux.pictures {
        let loaded = load(&Source::new(&shown.picture.file), Alpha::White)?;
        shown.picture.sha256 = Some(loaded.record.sha256);
        notes.extend(loaded.notes);
        let side = encoder.image_size as u32;
        pictures.push((resize(&loaded.rgb, side, side, Filter::Bicubic), shown.scale));
        text_scales[0] += shown.scale;
        text_scales[1] += shown.pooled_scale;
    }
    Ok((Some(PlannedRedux { files, encoder, embedder, pictures: Arc::new(pictures), text_scales }), notes))
}

/// The prompt with what Redux makes of the plan's pictures, if it has any. Of the last ones that is kept.
///
/// # Errors
/// [`Error::Weights`] or [`Error::Model`] when Redux is missing or damaged; what a watcher cancels with.
pub(super) fn with_pictures(
    plan: &Plan,
    text: Encoding,
    kept: &mut Encodings,
    machine: &Machine,
    events: &mut dyn Events,
) -> Result<Encoding> {
    let Some((planned, asked)) = plan.redux.as_ref().zip(plan.request.redux.as_ref()) else { return Ok(text) };
    let states = match kept.pictures.take().filter(|(known, _)| known == asked) {
        Some((_, states)) => states,
        None => {
            let begun = Instant::now();
            events.on(Event::Begin { phase: Phase::EncodePicture, total: 1 })?;
            let states = states(planned, machine, events)?;
            events.on(Event::End { phase: Phase::EncodePicture, seconds: begun.elapsed().as_secs_f64() })?;
            states
        }
    };
    let positive = behind(&text.positive, &states, planned.text_scales)?;
    kept.pictures = Some((asked.clone(), states));
    Ok(Encoding { positive, ..text })
}

/// The sum of what Redux makes of the pictures, each by its scale: f32 [1, tokens, width of T5's states].
fn states(planned: &PlannedRedux, machine: &Machine, events: &mut dyn Events) -> Result<Tensor> {
    let params = |source: Arc<dyn ParamSource>| {
        Params::handled(source, machine.precision, &machine.device, machine.handling(None))
    };
    let of_encoder = params(planned.files.encoder()?);
    let encoder = finish(SiglipVisionModel::new(&planned.encoder, &of_encoder), &of_encoder, events)?;
    let of_embedder = params(planned.files.embedder()?);
    let embedder = ReduxImageEncoder::new(&planned.embedder, &of_embedder).map_err(Error::from);
    let embedder = finish(embedder, &of_embedder, events)?;
    let mut sum: Option<Tensor> = None;
    for (picture, scale) in planned.pictures.iter() {
        let states = embedder.forward(&encoder.forward(&to_tensor(picture, &machine.device)?)?)?.affine(*scale, 0.0)?;
        sum = Some(match sum {
            Some(sum) => (sum + states)?,
            None => states,
        });
    }
    sum.ok_or_else(|| Error::usage("Redux has no picture to read", "give it one: `--redux photo.jpg`"))
}

/// Each conditioning of a text by these scales, the states of pictures behind its own.
fn behind(text: &Encoded, pictures: &Tensor, [scale, pooled_scale]: [f64; 2]) -> Result<Encoded> {
    let mut text = text.clone();
    for (_, conditioning) in &mut text.schedule {
        let hidden = conditioning.hidden.affine(scale, 0.0)?;
        let pooled = conditioning.pooled.as_ref().map(|pooled| pooled.affine(pooled_scale, 0.0)).transpose()?;
        *conditioning = Conditioning { hidden: Tensor::cat(&[&hidden, pictures], 1)?, pooled };
    }
    Ok(text)
}
