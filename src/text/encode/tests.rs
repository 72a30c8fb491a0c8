//! States against diffusers and A1111, and the words of embeddings.

use candle_core::{Device, Tensor};

use super::*;
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::testing::{max_difference, Expected};
use crate::nn::{Params, Precision};
use crate::testing::fixture;
use crate::text::{ClipTokenizer, Inversion};
use crate::weights;
use crate::weights::testing::{of_tensors, zeros};

/// Measured: 3.4e-6 at most. A weight ignored moves states by 0.7 at least, a layer by 1.6, a mean not restored by 4e-3, one
/// restored text by text by 2e-3.
const BOUND: f32 = 1e-5;

fn encoder(model: &str, tokenizer: &str) -> TextEncoder {
    let folder = fixture(model);
    let config = ClipTextConfig::from_json(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let source = weights::open(&folder.join("model.safetensors")).unwrap();
    let params = Params::new(source, Precision::F32, &Device::Cpu);
    let model = ClipTextModel::new(&config, &params).unwrap();
    params.finish().unwrap();
    let tokenizer = ClipTokenizer::from_folder(&fixture(tokenizer)).unwrap();
    TextEncoder::new(tokenizer, model, &Device::Cpu).unwrap()
}

fn sd(name: &str) -> ClipStack {
    ClipStack::sd(encoder(&format!("models/{name}/text_encoder"), &format!("models/{name}/tokenizer")))
}

fn sdxl() -> ClipStack {
    ClipStack::sdxl(
        encoder("models/sdxl/text_encoder", "models/sdxl/tokenizer"),
        encoder("models/sdxl/text_encoder_2", "models/sdxl/tokenizer_2"),
    )
}

/// The encoder that the emphasis table was made with; `padding` names a model whose tokenizer pads as wanted.
fn emphasis_stack(padding: &str) -> ClipStack {
    ClipStack::sd(encoder("prompts/text_encoder", &format!("models/{padding}/tokenizer")))
}

fn options(clip_skip: usize, weighting: Weighting) -> EncodeOptions {
    EncodeOptions { clip_skip: Some(clip_skip), weighting, long_prompt: LongPrompt::Chunk, max_tokens: None }
}

fn encode(stack: &ClipStack, text: &str) -> Encoded {
    stack.encode(text, None, 10, &EncodeOptions::default()).unwrap()
}

fn hidden(encoded: &Encoded) -> &Tensor {
    &encoded.at_step(1).hidden
}

fn check(name: &str, found: &Tensor, expected: &Tensor) {
    let difference = max_difference(found, expected);
    eprintln!("{name}: {difference:e}");
    assert!(difference < BOUND, "{name}: {difference}");
}

#[test]
fn prompts_to_states_equal_the_reference() {
    let expected = Expected::open("text_encoders.safetensors");
    let text = "a photo of a red cat";
    for name in ["sd15", "sd21"] {
        let encoded = encode(&sd(name), text);
        check(name, hidden(&encoded), &expected.get(&format!("{name}.text_encoder.last")));
        assert!(encoded.at_step(1).pooled.is_none());
    }
    let encoded = encode(&sdxl(), text);
    let both = ["sdxl.text_encoder.penultimate", "sdxl.text_encoder_2.penultimate"].map(|name| expected.get(name));
    check("sdxl", hidden(&encoded), &Tensor::cat(&both, 2).unwrap());
    check("sdxl pooled", encoded.at_step(1).pooled.as_ref().unwrap(), &expected.get("sdxl.text_encoder_2.pooled"));
}

#[test]
fn weights_equal_those_of_a1111() {
    let expected = Expected::open("prompts/emphasis.safetensors");
    let table = include_str!("../../../tests/fixtures/prompts/emphasis.json");
    let table: serde_json::Value = serde_json::from_str(table).unwrap();
    let (end, zero) = (emphasis_stack("sd15"), emphasis_stack("sd21"));
    for case in table["cases"].as_array().unwrap() {
        let (index, prompt) = (&case["index"], case["prompt"].as_str().unwrap());
        let cases = [(&end, 1, "skip1.original"), (&end, 2, "skip2.original"), (&zero, 1, "pad0.skip1.original")];
        for (stack, skip, name) in cases {
            let encoded = stack.encode(prompt, None, 10, &options(skip, Weighting::A1111)).unwrap();
            let name = format!("{index}.{name}");
            check(&name, hidden(&encoded), &expected.get(&name).unsqueeze(0).unwrap());
        }
        let encoder = encoder("prompts/text_encoder", "models/sd15/tokenizer");
        let chunks = encoder.chunker().chunks(&parse_attention(prompt)).unwrap();
        let batch = Batch { texts: &[chunks], counts: &[1] };
        let states = encoder.states(&batch, Layer { skip: 1, normed: false, pooled: false }).unwrap();
        let name = format!("{index}.skip2.nonorm.original");
        check(&name, &states.hidden, &expected.get(&name).unsqueeze(0).unwrap());
    }
}

#[test]
fn the_mean_is_that_of_all_texts_of_a_schedule() {
    let expected = Expected::open("prompts/emphasis.safetensors").get("batch_0_1.skip1.original");
    let prompt = "a [red apple:(red:1.4) apple on the [table]:0.5]";
    let encoded = emphasis_stack("sd15").encode(prompt, None, 10, &options(1, Weighting::A1111)).unwrap();
    assert_eq!(encoded.schedule.iter().map(|(last, _)| *last).collect::<Vec<_>>(), [5, 10]);
    for (index, step) in [(0, 5), (1, 6)] {
        check("batch", &encoded.at_step(step).hidden, &expected.narrow(0, index, 1).unwrap());
    }
}

#[test]
fn weight_one_is_the_plain_prompt_bit_for_bit() {
    let stack = sd("sd15");
    let plain = stack.encode("a red apple", None, 10, &options(1, Weighting::None)).unwrap();
    for text in ["a red apple", "(a red apple:1.0)", "([a red apple])", "a red [apple:pear:1.0]"] {
        let encoded = stack.encode(text, None, 10, &options(1, Weighting::A1111)).unwrap();
        let values = |e: &Encoded| hidden(e).flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&encoded), values(&plain), "{text}");
    }
}

#[test]
fn without_weighting_brackets_are_text() {
    let stack = sd("sd15");
    let text = "(a) [b:c:0.5] AND BREAK | d";
    let encoded = stack.encode(text, None, 10, &options(1, Weighting::None)).unwrap();
    assert_eq!((encoded.schedule.len(), encoded.notes.len(), hidden(&encoded).dims()[1]), (1, 0, 77));
    let weighted = stack.encode(text, None, 10, &options(1, Weighting::A1111)).unwrap();
    assert_eq!((weighted.notes.len(), hidden(&weighted).dims()[1]), (2, 154));
}

#[test]
fn truncation_is_told() {
    let stack = sdxl();
    let options = EncodeOptions { long_prompt: LongPrompt::Truncate, ..EncodeOptions::default() };
    let text = format!("{}, the end", ["apple"; 74].join(" "));
    let encoded = stack.encode(&text, None, 1, &options).unwrap();
    assert_eq!(hidden(&encoded).dims(), [1, 77, 88]);
    assert_eq!(encoded.warnings.len(), 1);
    assert!(encoded.warnings[0].ends_with("the end`"), "{:?}", encoded.warnings);
    assert_eq!(encode(&stack, &text).warnings, Vec::<String>::new());
}

#[test]
fn two_prompts_change_at_the_steps_of_both() {
    let stack = sdxl();
    let options = EncodeOptions::default();
    let encoded = stack.encode("[red:blue:4] cat", Some("[dog:tree BREAK car:0.6]"), 10, &options).unwrap();
    assert_eq!(encoded.schedule.iter().map(|(last, _)| *last).collect::<Vec<_>>(), [4, 6, 10]);
    let expected = stack.encode("blue cat", Some("dog"), 10, &options).unwrap();
    let at_five = encoded.at_step(5);
    check("first chunk", &at_five.hidden.narrow(1, 0, 77).unwrap(), hidden(&expected));
    check("pooled", at_five.pooled.as_ref().unwrap(), expected.at_step(1).pooled.as_ref().unwrap());
    let empty = encode(&stack, "");
    check("padding", &at_five.hidden.narrow(1, 77, 77).unwrap(), hidden(&empty));
}

#[test]
fn clip_skip_has_an_end() {
    let largest = |stack: &ClipStack| {
        let works = |skip: &usize| stack.encode("a", None, 1, &options(*skip, Weighting::A1111)).is_ok();
        assert!(!works(&0));
        (1..20).take_while(works).last().unwrap()
    };
    let (sd, sdxl) = (sd("sd15"), sdxl());
    assert_eq!((largest(&sd), largest(&sdxl)), (3, 2));
    let error = sd.encode("a", None, 1, &options(4, Weighting::A1111)).unwrap_err();
    assert_eq!((error.exit_code(), error.hint().unwrap().as_str()), (2, "give 1 (nothing is skipped) to 3"));
}

#[test]
fn words_bring_their_vectors() {
    let mut stack = sd("sd15");
    let plain = encode(&stack, "a cat apple");
    let encoder = &mut stack.encoders_mut()[0];
    let width = encoder.width();
    let vectors = Tensor::arange(0f32, 2.0 * width as f32, &Device::Cpu).unwrap();
    let vectors = (vectors.reshape((2, width)).unwrap() * 0.01).unwrap();
    let error = encoder.add_word("cat", &vectors.narrow(1, 0, width - 1).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`cat` is of width 47, the text encoder of width 48");
    encoder.add_word("cat", &vectors).unwrap();
    let changed = encode(&stack, "a Cat apple");
    let prefix = |encoded: &Encoded| hidden(encoded).narrow(1, 0, 2).unwrap();
    check("before the word", &prefix(&changed), &prefix(&plain));
    assert!(max_difference(hidden(&changed), hidden(&plain)) > 1e-2);

    let twice = (&vectors * 2.0).unwrap();
    let mut other = sd("sd15");
    other.encoders_mut()[0].add_word("cat", &twice).unwrap();
    assert!(max_difference(hidden(&encode(&other, "a cat apple")), hidden(&changed)) > 1e-3);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let encoder_of = |tokenizer: ClipTokenizer| {
        let folder = fixture("models/sd15/text_encoder");
        let config = ClipTextConfig::from_json(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
        let params =
            Params::new(weights::open(&folder.join("model.safetensors")).unwrap(), Precision::F32, &Device::Cpu);
        TextEncoder::new(tokenizer, ClipTextModel::new(&config, &params).unwrap(), &Device::Cpu)
    };
    let error = encoder_of(ClipTokenizer::embedded(crate::text::Padding::End).unwrap()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

fn inversion(name: &str) -> Inversion {
    Inversion::open(&fixture("embeddings").join(name)).unwrap()
}

#[test]
fn all_layouts_of_an_embedding_give_the_same_states() {
    let states = |name: &str, prompt: &str| {
        let mut stack = sd("sd15");
        stack.add_inversion(&inversion(name)).unwrap();
        hidden(&encode(&stack, prompt)).clone()
    };
    let expected = states("a1111.safetensors", "a photo of a1111, red");
    assert!(max_difference(&expected, hidden(&encode(&sd("sd15"), "a photo of a1111, red"))) > 1e-2);
    check("a1111.pt", &states("a1111.pt", "a photo of A1111, red"), &expected);
    check("older.pt", &states("older.pt", "a photo of older, red"), &expected);

    let expected = states("learned_embeds.safetensors", "a <cat-toy> apple");
    check("bin", &states("learned_embeds.bin", "a <cat-toy> apple"), &expected);
    check("by the file's name", &states("learned_embeds.bin", "a learned_embeds apple"), &expected);
    assert_eq!(inversion("learned_embeds.bin").words(), ["learned_embeds", "<cat-toy>"]);
    assert_eq!(inversion("a1111.pt").words(), ["a1111"]);
}

#[test]
fn names_of_encoders_are_no_words() {
    let file = of_tensors(&[zeros("clip_l", &[1, 48])], &[]);
    assert_eq!(Inversion::from_source(file.source.as_ref(), "style").unwrap().words(), ["style"]);
}

#[test]
fn an_embedding_of_sdxl_goes_to_both_encoders() {
    let mut stack = sdxl();
    let plain = encode(&stack, "a sdxl apple");
    stack.add_inversion(&inversion("sdxl.safetensors")).unwrap();
    let changed = encode(&stack, "a sdxl apple");
    for (start, width) in [(0, 40), (40, 48)] {
        let part = |encoded: &Encoded| hidden(encoded).narrow(2, start, width).unwrap();
        assert!(max_difference(&part(&plain), &part(&changed)) > 1e-2);
    }
}

#[test]
fn embeddings_of_other_widths_are_refused_with_both() {
    let error = |stack: &mut ClipStack, name: &str| stack.add_inversion(&inversion(name)).unwrap_err().to_string();
    let widths = "is of width 48, the model's text encoders of width 40 and 48";
    assert!(error(&mut sdxl(), "a1111.pt").ends_with(widths));
    let widths = "is of width 40 and 48, the model's text encoder of width 48";
    assert!(error(&mut sd("sd15"), "sdxl.safetensors").ends_with(widths));
}

#[test]
fn other_files_are_no_embeddings() {
    let error = |name: &str| Inversion::open(&fixture(name)).unwrap_err().to_string();
    assert!(error("text_encoders.safetensors").contains("is no textual inversion: it holds"));
    assert!(error("pickle/harmful.pt").contains("`harmful.run_me`"));
    assert!(error("embeddings/none.pt").contains("there is no file"));
}
