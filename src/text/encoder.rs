//! One CLIP text encoder with its tokenizer and the words that bring vectors of their own.

use candle_core::{DType, Device, Tensor};

use super::chunks::{Chunk, Chunker, Trigger};
use super::emphasis::emphasize;
use super::tokenizer::ClipTokenizer;
use crate::error::{Error, Result};
use crate::models::clip::ClipTextModel;

/// A CLIP text encoder with its tokenizer.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    tokenizer: ClipTokenizer,
    model: ClipTextModel,
    device: Device,
    triggers: Vec<Trigger>,
    /// The vectors of each trigger, `[vectors, width]` f32.
    vectors: Vec<Tensor>,
}

/// Which of an encoder's states a family takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Layers that are left out at the end.
    pub skip: usize,
    /// Whether the final norm is applied.
    pub normed: bool,
    /// Whether the pooled vector is wanted.
    pub pooled: bool,
}

/// Texts that are encoded together, all of as many chunks.
pub struct Batch<'a> {
    /// The chunks of each text.
    pub texts: &'a [Vec<Chunk>],
    /// How often each text occurs in the schedule; see [`emphasize`].
    pub counts: &'a [usize],
}

/// The states of texts that were encoded together.
#[derive(Debug)]
pub struct States {
    /// `[texts, places * chunks, width]` f32.
    pub hidden: Tensor,
    /// `[texts, pooled width]` f32, of the first chunk and without weights, as A1111.
    pub pooled: Option<Tensor>,
}

impl TextEncoder {
    /// `device` is the model's.
    ///
    /// # Errors
    /// [`Error::Model`] when tokenizer and model do not belong together.
    pub fn new(tokenizer: ClipTokenizer, model: ClipTextModel, device: &Device) -> Result<Self> {
        let special = [tokenizer.bos(), tokenizer.eos(), tokenizer.pad()];
        let fits = model.embed_tokens(&Tensor::new(&[special], device)?).is_ok();
        if !fits || model.max_positions() < special.len() {
            let message = "the tokenizer knows tokens that the text encoder does not";
            return Err(Error::model(message, "take tokenizer and text encoder of one model"));
        }
        Ok(TextEncoder { tokenizer, model, device: device.clone(), triggers: Vec::new(), vectors: Vec::new() })
    }

    /// The same with the pooled vector as it is, whatever projection the file has.
    #[must_use]
    pub fn without_projection(self) -> Self {
        TextEncoder { model: self.model.without_projection(), ..self }
    }

    /// Width of a token's vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.model.width()
    }

    /// Number of layers.
    #[must_use]
    pub fn num_layers(&self) -> usize {
        self.model.num_layers()
    }

    /// Makes `word` stand for `vectors` (`[n, width]`) in every prompt. The word is found by its tokens, so whatever its case.
    ///
    /// # Errors
    /// [`Error::Usage`] when the word has no token, [`Error::Model`] when the vectors are of another width, or more than a
    /// chunk holds.
    pub fn add_word(&mut self, word: &str, vectors: &Tensor) -> Result<()> {
        let (count, width) = vectors.dims2()?;
        let capacity = self.places() - 2;
        if width != self.width() {
            let message = format!("`{word}` is of width {width}, the text encoder of width {}", self.width());
            return Err(Error::model(message, "take an embedding that was made for this kind of model"));
        }
        if count == 0 || count > capacity {
            let message = format!("`{word}` has {count} vectors; a prompt's chunk holds 1 to {capacity}");
            return Err(Error::model(message, "take an embedding of fewer vectors"));
        }
        let ids = self.tokenizer.encode(word)?;
        if ids.is_empty() {
            return Err(Error::usage("the embedding's word is empty", "name the file as the word you want to write"));
        }
        self.triggers.push(Trigger { ids, vectors: count });
        self.vectors.push(vectors.to_dtype(DType::F32)?.to_device(&self.device)?);
        Ok(())
    }

    /// Puts texts into chunks for this encoder.
    #[must_use]
    pub fn chunker(&self) -> Chunker<'_> {
        Chunker { tokenizer: &self.tokenizer, triggers: &self.triggers, places: self.places() }
    }

    /// Encodes texts of equal numbers of chunks, weights applied.
    ///
    /// # Errors
    /// When the tensor library fails, or the tokenizer's ids are not in the model's table.
    pub fn states(&self, batch: &Batch, layer: Layer) -> Result<States> {
        let chunks = batch.texts.first().map_or(0, Vec::len);
        let mut hidden = Vec::with_capacity(chunks);
        let mut pooled = None;
        for index in 0..chunks {
            let row: Vec<&Chunk> = batch.texts.iter().map(|text| &text[index]).collect();
            let ids = self.ids(&row)?;
            let embeds = self.embed(&ids, &row)?;
            let raw = self.model.forward(&embeds, layer.skip)?;
            let states = if layer.normed { self.model.final_layer_norm(&raw)? } else { raw.clone() };
            if layer.pooled && index == 0 {
                let last = self.model.final_layer_norm(&self.model.skipped_layers(&raw, layer.skip)?)?;
                pooled = Some(self.model.pooled(&last, &ids)?);
            }
            let weights: Vec<Vec<f64>> = row.iter().map(|chunk| chunk.weights.clone()).collect();
            hidden.push(emphasize(&states, &weights, batch.counts)?);
        }
        Ok(States { hidden: Tensor::cat(&hidden, 1)?, pooled })
    }

    /// Places of a chunk: the model's, unless the tokenizer's files ask for fewer.
    fn places(&self) -> usize {
        self.tokenizer.max_length().min(self.model.max_positions())
    }

    fn ids(&self, row: &[&Chunk]) -> Result<Tensor> {
        let flat: Vec<u32> = row.iter().flat_map(|chunk| chunk.ids.iter().copied()).collect();
        Ok(Tensor::from_vec(flat, (row.len(), self.places()), &self.device)?)
    }

    fn embed(&self, ids: &Tensor, row: &[&Chunk]) -> Result<Tensor> {
        let mut embeds = self.model.embed_tokens(ids)?;
        for (text, chunk) in row.iter().enumerate() {
            for injected in &chunk.injected {
                let vector = self.vectors[injected.trigger].narrow(0, injected.vector, 1)?.unsqueeze(0)?;
                let place = injected.place;
                embeds = embeds.slice_assign(&[text..text + 1, place..place + 1, 0..self.width()], &vector)?;
            }
        }
        Ok(embeds)
    }
}
