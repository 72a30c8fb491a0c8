//! A1111's `parameters` text, which A1111 and its forks, ComfyUI and CivitAI read: building it from a request and writing
//! it. Followed: AUTOMATIC1111/stable-diffusion-webui v1.10.1, `create_infotext` and `quote`. Parsing: `infotext_parse`.

use std::fmt::{self, Write};

use super::input::{Fill, Resize};
use super::metadata::{model_label, Provenance};
use crate::request::{Control, ControlMode, Request};
use crate::sampling::Rng;

/// What a `parameters` text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Infotext {
    /// The prompt, with its weights and tags as typed.
    pub prompt: String,
    /// The negative prompt; empty when there is none, which the format cannot tell apart.
    pub negative: String,
    /// The settings in their order, unquoted: ("Steps", "20"), ("Size", "512x512"), ...
    pub fields: Vec<(String, String)>,
}

/// The names that A1111 has for a sampler and its spacing of noise levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplerLabels {
    /// `Sampler`: "Euler a", "DPM++ 2M", ...
    pub sampler: String,
    /// `Schedule type`: "Automatic", "Karras", ...
    pub schedule_type: String,
}

impl Infotext {
    /// The text of a complete request: fields in A1111's order, only those that A1111 has, and `Version` naming sdgen.
    /// Whatever the request leaves open is left out.
    #[must_use]
    pub fn new(request: &Request, labels: &SamplerLabels, provenance: &Provenance) -> Self {
        let sampling = &request.sampling;
        let size = request.image.width.zip(request.image.height).map(|(w, h)| format!("{w}x{h}"));
        let inpaint = request.inpaint.as_ref();
        // A1111 calls Philox "NV": NVIDIA's numbers on any device. Its "GPU" depends on the device at hand.
        let rng = match sampling.rng {
            Rng::Torch => "CPU",
            Rng::Philox => "NV",
        };
        let hashes =
            provenance.loras.iter().filter_map(|lora| Some(format!("{}: {}", lora.name, lora.short_hash.as_ref()?)));
        let hashes = hashes.collect::<Vec<_>>().join(", ");
        let fields = [
            ("Steps", sampling.steps.map(|n| n.to_string())),
            ("Sampler", Some(labels.sampler.clone())),
            ("Schedule type", Some(labels.schedule_type.clone())),
            ("CFG scale", sampling.guidance.map(|x| x.to_string())),
            ("Seed", sampling.seed.map(|n| n.to_string())),
            ("Size", size),
            ("Model hash", provenance.model_hash.clone()),
            ("Model", Some(provenance.model_name.clone())),
            ("Denoising strength", request.input.as_ref().and_then(|i| i.strength).map(|x| x.to_string())),
            ("Clip skip", request.prompt.clip_skip.filter(|n| *n > 1).map(|n| n.to_string())),
            ("RNG", Some(rng.into())),
            ("Eta DDIM", sampling.eta.filter(|eta| *eta > 0.0).map(|eta| eta.to_string())),
            ("Mask blur", inpaint.filter(|i| i.blur > 0.0).map(|i| i.blur.to_string())),
            ("Mask mode", inpaint.filter(|i| i.invert).map(|_| "Inpaint not masked".into())),
            ("Inpaint area", inpaint.and_then(|i| i.only_masked).map(|_| "Only masked".into())),
            ("Masked area padding", inpaint.and_then(|i| i.only_masked).map(|n| n.to_string())),
            ("Masked content", inpaint.and_then(|i| masked_content(i.fill)).map(Into::into)),
            ("Lora hashes", (!hashes.is_empty()).then_some(hashes)),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        let controls = request.controls.iter().enumerate();
        let controls = controls.map(|(i, control)| (format!("ControlNet {i}"), control_unit(control, request)));
        let version = ("Version".to_string(), format!("sdgen {}", provenance.version));
        Infotext {
            prompt: with_tags(&request.prompt.text, provenance),
            negative: request.prompt.negative.clone().unwrap_or_default(),
            fields: fields.chain(controls).chain([version]).collect(),
        }
    }

    /// The value of a field; the last one's when there are several, as A1111 takes it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// The prompt with the LoRAs that it does not name itself, as A1111 reads them.
fn with_tags(prompt: &str, provenance: &Provenance) -> String {
    let tags = provenance.loras.iter().filter_map(|lora| lora.tag.as_deref());
    let pieces = Some(prompt).filter(|prompt| !prompt.is_empty()).into_iter().chain(tags);
    pieces.collect::<Vec<_>>().join(" ")
}

/// A ControlNet as A1111's extension (`sd-webui-controlnet`) writes its units, as far as it has what is asked.
fn control_unit(control: &Control, request: &Request) -> String {
    let module = String::from(control.preprocessor);
    let model = model_label(&control.model);
    let model =
        [".safetensors", ".pth", ".ckpt", ".gguf"].iter().find_map(|end| model.strip_suffix(end)).unwrap_or(&model);
    let resize = match control.resize.or(request.input.as_ref().map(|input| input.resize)).unwrap_or(Resize::Stretch) {
        Resize::Stretch => "Just Resize",
        Resize::Crop => "Crop and Resize",
        Resize::Fill | Resize::Fit => "Resize and Fill",
    };
    let mode = match control.mode {
        ControlMode::Balanced => "Balanced",
        ControlMode::Prompt => "My prompt is more important",
        ControlMode::Control | ControlMode::Guess => "ControlNet is more important",
    };
    format!(
        "Module: {module}, Model: {model}, Weight: {}, Resize Mode: {resize}, Guidance Start: {}, Guidance End: {}, \
         Pixel Perfect: True, Control Mode: {mode}",
        control.scale, control.start, control.end
    )
}

/// A1111's name for what lies under the mask at the start, unless it is the picture.
fn masked_content(fill: Fill) -> Option<&'static str> {
    match fill {
        Fill::Original => None,
        Fill::Noise => Some("latent noise"),
        Fill::Blur => Some("fill"),
    }
}

/// The text as it is stored. There is always a line break before `Steps:`, which ComfyUI looks for. Fields with an empty
/// value are left out: the format has none.
impl fmt::Display for Infotext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prompt)?;
        f.write_char('\n')?;
        if !self.negative.is_empty() {
            writeln!(f, "Negative prompt: {}", self.negative)?;
        }
        let fields = self.fields.iter().filter(|(_, value)| !value.is_empty());
        for (i, (name, value)) in fields.enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{name}: {}", quote(value))?;
        }
        Ok(())
    }
}

/// A value as a JSON string where A1111 quotes (comma, colon, line break), and where its reader would not give back the
/// value otherwise (a leading quote or space).
fn quote(value: &str) -> String {
    let unsafe_start = value.starts_with(|c: char| c == '"' || c.is_whitespace());
    if unsafe_start || value.contains([',', ':', '\n']) {
        serde_json::Value::from(value).to_string()
    } else {
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Preprocessor;
    use crate::image::LoraFacts;
    use crate::request::{Inpaint, Input, Preprocessing};

    fn labels() -> SamplerLabels {
        SamplerLabels { sampler: "DPM++ 2M".into(), schedule_type: "Karras".into() }
    }

    fn request(prompt: &str, negative: Option<&str>) -> Request {
        let mut request = Request::default();
        request.prompt.text = prompt.into();
        request.prompt.negative = negative.map(Into::into);
        request.prompt.clip_skip = Some(1);
        request.sampling.steps = Some(20);
        request.sampling.guidance = Some(7.0);
        request.sampling.seed = Some(4_294_967_295);
        request.image.width = Some(512);
        request.image.height = Some(768);
        request
    }

    fn write(request: &Request) -> String {
        Infotext::new(request, &labels(), &Provenance::for_tests()).to_string()
    }

    #[test]
    fn a_request_becomes_the_text_of_a1111() {
        assert_eq!(
            write(&request("a cat, (fluffy:1.2)", Some("blurry"))),
            "a cat, (fluffy:1.2)\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, \
             CFG scale: 7, Seed: 4294967295, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, RNG: CPU, \
             Version: sdgen 1.2.3"
        );
    }

    #[test]
    fn controlnets_are_written_as_the_extension_does() {
        let mut request = request("x", None);
        request.controls = vec![Control {
            model: "/home/someone/control_v11p_sd15_canny.pth".into(),
            preprocessor: Preprocessing::By(Preprocessor::Canny),
            scale: 0.7,
            end: 0.5,
            mode: ControlMode::Prompt,
            ..Control::default()
        }];
        let expected =
            "ControlNet 0: \"Module: canny, Model: control_v11p_sd15_canny, Weight: 0.7, Resize Mode: Just Resize, \
                        Guidance Start: 0, Guidance End: 0.5, Pixel Perfect: True, Control Mode: My prompt is more \
                        important\", Version: sdgen 1.2.3";
        assert!(write(&request).ends_with(expected), "{}", write(&request));
    }

    #[test]
    fn optional_fields_stand_where_a1111_has_them() {
        let mut request = request("x", None);
        request.prompt.clip_skip = Some(2);
        request.sampling.eta = Some(0.5);
        request.sampling.guidance = Some(7.5);
        request.sampling.rng = Rng::Philox;
        let text = write(&request);
        assert!(text.contains("CFG scale: 7.5, "), "{text}");
        assert!(text.ends_with("Model: v1-5, Clip skip: 2, RNG: NV, Eta DDIM: 0.5, Version: sdgen 1.2.3"), "{text}");
    }

    #[test]
    fn what_a_picture_began_with_is_said_in_a1111s_words() {
        let mut request = request("x", None);
        request.input = Some(Input { strength: Some(0.75), ..Input::default() });
        assert!(write(&request).contains("Model: v1-5, Denoising strength: 0.75, RNG: CPU, Version"));
        request.inpaint =
            Some(Inpaint { blur: 4.0, invert: true, only_masked: Some(32), fill: Fill::Blur, ..Inpaint::default() });
        let text = write(&request);
        assert!(
            text.ends_with(
                "RNG: CPU, Mask blur: 4, Mask mode: Inpaint not masked, Inpaint area: Only masked, Masked area padding: 32, \
                 Masked content: fill, Version: sdgen 1.2.3"
            ),
            "{text}"
        );
    }

    #[test]
    fn loras_are_named_as_a1111_and_civitai_read_them() {
        let lora = |name: &str, tag: Option<&str>, hash: Option<&str>| LoraFacts {
            name: name.into(),
            file: format!("{name}.safetensors"),
            tag: tag.map(Into::into),
            sha256: None,
            short_hash: hash.map(Into::into),
        };
        let loras = vec![
            lora("style_v1", Some("<lora:style_v1:0.8>"), Some("0123456789ab")),
            lora("b-c_2.0", None, Some("ba9876543210")),
            lora("unread", Some("<lora:unread:0.4:1>"), None),
        ];
        let provenance = Provenance { loras, ..Provenance::for_tests() };
        let text = |prompt| Infotext::new(&request(prompt, None), &labels(), &provenance).to_string();
        let written = text("<lora:b-c_2.0:1>two");
        let prompt = "<lora:b-c_2.0:1>two <lora:style_v1:0.8> <lora:unread:0.4:1>\nSteps: 20, ";
        assert!(written.starts_with(prompt), "{written}");
        let hashes = "RNG: CPU, Lora hashes: \"style_v1: 0123456789ab, b-c_2.0: ba9876543210\", Version: sdgen 1.2.3";
        assert!(written.ends_with(hashes), "{written}");
        assert!(text("").starts_with("<lora:style_v1:0.8> <lora:unread:0.4:1>\n"));
    }

    #[test]
    fn there_is_always_a_line_break_before_steps() {
        assert!(write(&request("", None)).starts_with("\nSteps: 20, "));
        assert!(write(&request("", Some("n"))).starts_with("\nNegative prompt: n\nSteps: 20, "));
        assert!(write(&request("p", Some(""))).starts_with("p\nSteps: 20, "));
    }

    #[test]
    fn prompts_survive() {
        for prompt in [
            "",
            "two\nlines",
            "Steps: 5, Sampler: x, Seed: 1",
            "a\n\nb",
            "café 🍎 日本語 \u{200d}",
            "bell \u{7} escape \u{1b}[31m tab\tend",
            "quotes \" and \\ and {braces}",
        ] {
            let text = Infotext::parse(&write(&request(prompt, Some(prompt))));
            assert_eq!((text.prompt.as_str(), text.negative.as_str()), (prompt, prompt));
            assert_eq!(text.fields.len(), 10);
        }
    }

    #[test]
    fn model_names_survive() {
        for name in ["a, b", "a: b", "\"quoted\"", " lead", "line\nbreak", "back\\slash", "C:\\x, \"y\"", "\"", "\\\","]
        {
            let provenance = Provenance { model_name: name.into(), ..Provenance::for_tests() };
            let text = Infotext::new(&request("p", None), &labels(), &provenance).to_string();
            assert_eq!(Infotext::parse(&text).get("Model"), Some(name), "{text}");
            assert_eq!(Infotext::parse(&text).get("Version"), Some("sdgen 1.2.3"));
        }
    }
}
