//! [`Plan`]: the request made complete, and the schedule it leads to, before any weights are read.

use std::sync::Arc;

use image::RgbImage;

use crate::hub::{self, ModelFiles};
use crate::pipeline::canvas::Canvas;
use crate::pipeline::control::{self, MapLora, PlannedControl};
use crate::pipeline::given::Given;
use crate::pipeline::planned_loras::Loras;
use crate::pipeline::redux::{self, PlannedRedux};
use crate::pipeline::turbo::{self, Guessed};
use crate::pipeline::{distilled, effects, skipped_layers, Defaults, DenoiserConfig, Family, PlannedLora};
use crate::request::{limits, Task};
use crate::sampling::Schedule;
use crate::{Error, Request, Result};

/// Strengths where none is said: diffusers'. The help of `--strength` names them.
const IMAGE_STRENGTH: f64 = 0.8;
const INPAINT_STRENGTH: f64 = 1.0;

/// Places of T5 where nothing is said: diffusers'. The help of `--max-tokens` names them.
const FLUX_TOKENS: usize = 512;
const SD3_TOKENS: usize = 256;

/// What will be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The request with nothing left to the model.
    pub request: Request,
    /// Where the model lies.
    pub files: ModelFiles,
    /// What the model is.
    pub family: Family,
    /// What changes the model's weights.
    pub loras: Vec<PlannedLora>,
    /// The one of them that makes the model take a control map.
    pub map_lora: Option<MapLora>,
    /// Timesteps and sigmas.
    pub schedule: Schedule,
    /// The picture to begin with, if there is one.
    pub canvas: Option<Arc<Canvas>>,
    /// The picture that is seen beside what is painted, at the size at which it is.
    pub reference: Option<Arc<RgbImage>>,
    /// What makes words of pictures.
    pub redux: Option<PlannedRedux>,
    /// The ControlNets, in the request's order.
    pub controls: Vec<PlannedControl>,
    /// What was chosen for the user.
    pub notes: Vec<String>,
    /// Inputs that will have no effect, and why.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Finds the model, reads its configs and fills in what the request leaves open.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for values outside their range, [`crate::Error::Model`] for a model that is not there or not
    /// understood.
    pub fn new(request: &Request) -> Result<Self> {
        Self::of(hub::resolve(&request.model, &request.parts)?, request)
    }

    /// As [`Plan::new`], with a model that was found already, whatever the request says.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of(files: ModelFiles, request: &Request) -> Result<Self> {
        let mut request = request.clone();
        let (mut family, mut name) = (Family::detect(&files)?, files.name());
        request.validate()?;
        let loras = Loras::find(&request, &files)?;
        let map_lora = MapLora::apply(&loras.all, &mut family, &mut name)?;
        family.check_task(&request, &name)?;
        // What is known of a model is known of its own denoiser.
        let known = hub::known_defaults(&request.model).filter(|_| request.parts.unet.is_none() && map_lora.is_none());
        let guessed = Guessed::by_name(&files, &request.parts, &family).filter(|_| known.is_none());
        if guessed.is_some() {
            turbo::correct(&mut family);
        }
        let known = known.or(guessed.as_ref().map(Guessed::defaults));
        let defaults = control::defaults(&request, &family, family.defaults(files.is_built_in())).or_known(known);
        let is_sized = request.image.width.or(request.image.height).is_some();
        let Given { canvas, reference, mut notes, mut warnings } = Given::read(&mut request, &defaults, &family)?;
        notes.extend(guessed.map(|guessed| guessed.to_string()));
        let (redux, said) = redux::plan(&mut request, &family)?;
        notes.extend(said);
        notes.extend(loras.notes.iter().cloned());
        notes.extend(map_lora.as_ref().map(MapLora::note));
        if let Some((name, recipe)) = distilled::recipe(&loras.all)? {
            if recipe.trailing {
                family.scheduler = family.scheduler.with_trailing_timesteps();
            }
            notes.extend(recipe.fill_in(name, &mut request.sampling));
        }
        let (shown, read) = control::read(&mut request)?;
        notes.extend(read);
        if canvas.is_none() {
            notes.extend(control::size(&mut request, &shown, family.side_step())?);
        }
        fill_in(&mut request, &defaults, &family);
        request.validate()?;
        let size = (request.image.width.unwrap_or_default(), request.image.height.unwrap_or_default());
        family.check_size(size)?;
        warnings.extend(effects::of_size(size, defaults.size, family.side_step()).filter(|_| !is_sized));
        check_guidance(&request, &family)?;
        skipped_layers::check(&request, &family, is_guided(&request, &family))?;
        let (controls, said) = control::plan(&mut request, shown, canvas.as_deref(), (&family, &files, &name))?;
        notes.extend(said);
        let schedule = plan_schedule(&request, &family, size, &mut notes)?;
        request.sampling.scheduler = Some(schedule.sampler());
        request.sampling.sigmas = Some(schedule.sigma_spacing());
        notes.extend(effects::clip_skip_note(&request, &family));
        warnings.extend(loras.without_effect(map_lora.as_ref()));
        warnings.extend(loras.warnings);
        warnings.extend(without_effect(&request, &family));
        warnings.extend(control::without_effect(&request, &controls, schedule.model_calls()));
        warnings.extend(skipped_layers::without_effect(&request, schedule.steps()));
        warnings.extend(schedule.notes().iter().cloned());
        let loras = loras.all;
        Ok(Plan {
            request,
            files,
            family,
            loras,
            map_lora,
            schedule,
            canvas,
            reference,
            redux,
            controls,
            notes,
            warnings,
        })
    }

    /// Finds the LoRAs again, for prompts that have changed.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn find_loras(&mut self) -> Result<()> {
        let loras = Loras::find(&self.request, &self.files)?.all;
        if loras != self.loras {
            MapLora::check_still(self.map_lora.as_ref(), &loras, &self.family)?;
        }
        self.loras = loras;
        Ok(())
    }

    /// This plan, which is of `asked`, for a request that differs from that in prompt and seed alone: pictures are not read and
    /// control maps not made again. `None` when anything else of the plan could depend on that.
    #[must_use]
    pub fn repeated(&self, asked: &Request, request: &Request) -> Option<Self> {
        let mut expected = asked.clone();
        let mut plan = self.clone();
        for repeated in [&mut expected, &mut plan.request] {
            repeated.prompt.text.clone_from(&request.prompt.text);
            repeated.prompt.text_2.clone_from(&request.prompt.text_2);
            repeated.sampling.seed = request.sampling.seed;
        }
        // Tags name LoRAs, which may bring settings.
        let texts = [asked, request].into_iter().flat_map(|r| std::iter::once(&r.prompt.text).chain(&r.prompt.text_2));
        let tagged = texts.into_iter().any(|text| text.contains('<'));
        (expected == *request && request.sampling.seed.is_some() && !tagged).then_some(plan)
    }

    /// The same without ControlNets.
    #[must_use]
    pub fn without_controls(&self) -> Self {
        let request = Request { controls: Vec::new(), ..self.request.clone() };
        Plan { request, controls: Vec::new(), ..self.clone() }
    }

    /// Whether the unconditional prediction takes part: as in diffusers, above a guidance scale of 1.
    #[must_use]
    pub fn guided(&self) -> bool {
        is_guided(&self.request, &self.family)
    }

    /// Width and height of the picture in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let image = &self.request.image;
        (image.width.unwrap_or_default(), image.height.unwrap_or_default())
    }

    /// The same of the picture that is seen beside it.
    #[must_use]
    pub fn reference_size(&self) -> Option<(usize, usize)> {
        self.reference.as_ref().map(|picture| (picture.width() as usize, picture.height() as usize))
    }

    /// How much of the way from noise to the picture is gone: all of it without a picture to begin with.
    #[must_use]
    pub fn strength(&self) -> f64 {
        strength(&self.request)
    }

    /// The control map that the denoiser itself is shown.
    #[must_use]
    pub fn own_map(&self) -> Option<&RgbImage> {
        self.controls.iter().find(|control| control.net.is_none()).map(|control| &control.picture)
    }

    /// The whole picture, where only a part of it was painted.
    #[must_use]
    pub fn finish(&self, painted: RgbImage) -> RgbImage {
        match &self.canvas {
            Some(canvas) => canvas.finish(painted),
            None => painted,
        }
    }

    /// Pictures made from one draw.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.request.image.batch.unwrap_or(1)
    }
}

/// A seed that nobody chose. Torch's generator reads 32 bits of one; more would suggest a difference that is not there.
#[must_use]
pub fn random_seed() -> u64 {
    fastrand::u32(..).into()
}

fn strength(request: &Request) -> f64 {
    request.input.as_ref().and_then(|input| input.strength).unwrap_or(1.0)
}

/// The steps of a picture of this size; how many a strength leaves of them is noted.
fn plan_schedule(
    request: &Request,
    family: &Family,
    size: (usize, usize),
    notes: &mut Vec<String>,
) -> Result<Schedule> {
    let sampling = &request.sampling;
    let schedule = Schedule::plan(
        &family.scheduler.clone().with_image_tokens(family.tokens(size)),
        sampling.scheduler,
        sampling.sigmas,
        sampling.steps.unwrap_or_default(),
        sampling.eta.unwrap_or_default(),
    )?;
    let all = schedule.steps();
    let schedule = match request.input.as_ref().and_then(|input| input.strength) {
        Some(strength) => schedule.with_strength(strength)?,
        None => schedule,
    };
    if schedule.steps() < all {
        notes.push(format!("{} of {all} steps are made at strength {}", schedule.steps(), strength(request)));
    }
    Ok(schedule)
}

fn fill_in(request: &mut Request, defaults: &Defaults, family: &Family) {
    let task = request.task();
    if let Some(input) = request.input.as_mut().filter(|_| !family.appends_picture) {
        input.strength.get_or_insert(if task == Task::Inpaint { INPAINT_STRENGTH } else { IMAGE_STRENGTH });
    }
    let sampling = &mut request.sampling;
    sampling.steps.get_or_insert(defaults.steps);
    sampling.guidance.get_or_insert(defaults.guidance);
    sampling.guidance_rescale.get_or_insert(0.0);
    sampling.eta.get_or_insert(0.0);
    sampling.seed.get_or_insert_with(random_seed);
    let image = &mut request.image;
    image.width.get_or_insert(defaults.size.0);
    image.height.get_or_insert(defaults.size.1);
    image.batch.get_or_insert(1);
    request.prompt.clip_skip.get_or_insert(1);
    match family.denoiser {
        DenoiserConfig::Unet(_) => {}
        DenoiserConfig::Flux(_) => {
            request.prompt.max_tokens.get_or_insert(FLUX_TOKENS);
            request.sampling.true_cfg.get_or_insert(1.0);
        }
        DenoiserConfig::Mmdit(_) => {
            request.prompt.max_tokens.get_or_insert(SD3_TOKENS);
        }
    }
}

/// Models distilled to take the guidance scale as an input are not guided by a second prediction, but for FLUX where that is asked
/// for and there is something to lead away from.
fn is_guided(request: &Request, family: &Family) -> bool {
    let (sampling, prompt) = (&request.sampling, &request.prompt);
    match family.denoiser {
        DenoiserConfig::Flux(_) => sampling.true_cfg.is_some_and(|scale| scale > 1.0) && prompt.negative.is_some(),
        DenoiserConfig::Unet(_) | DenoiserConfig::Mmdit(_) => {
            sampling.guidance.is_some_and(|g| g > 1.0) && !family.denoiser.takes_guidance()
        }
    }
}

/// Guidance by another prediction leaves nothing of the picture long before scales that models take which were trained on them.
fn check_guidance(request: &Request, family: &Family) -> Result<()> {
    let most = *limits::LED_AWAY.end();
    match request.sampling.guidance {
        Some(guidance) if guidance > most && !family.denoiser.takes_guidance() => Err(Error::usage(
            format!("`--guidance`: {guidance} is above {most}"),
            format!("the nearest is {most}; more is for models that take the scale as an input, such as FLUX.1 Fill"),
        )),
        _ => Ok(()),
    }
}

fn without_effect(request: &Request, family: &Family) -> Vec<String> {
    let mut warnings = effects::of_mask(request.inpaint.as_ref(), strength(request));
    if !family.appends_picture && request.input.as_ref().is_some_and(|input| input.no_auto_resize) {
        warnings.push("`--no-auto-resize` has no effect: it is for FLUX.1 Kontext".to_string());
    }
    warnings.extend(effects::of_guidance(request, family, is_guided(request, family)));
    warnings.extend(effects::of_family(request, family));
    warnings
}
