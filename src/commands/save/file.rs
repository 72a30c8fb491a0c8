//! One file of weights from any source of tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::quantized::GgmlDType;
use candle_core::DType;

use crate::image::write_guard;
use crate::nn::ParamSource;
use crate::pipeline::{Event, Events, Phase};
use crate::weights::write::{self, encode, Format, Planned};
use crate::weights::{self, Kind};
use crate::{Error, Result};

/// How numbers are to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// The type of all floats; as they are stored when absent.
    pub dtype: Option<DType>,
    /// The type of the matrices.
    pub quantize: Option<GgmlDType>,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Report {
    /// Bytes of all files.
    pub bytes: u64,
    /// Tensors that were quantised.
    pub quantized: usize,
    /// Other tensors.
    pub plain: usize,
    /// Tensors of each type.
    pub types: BTreeMap<String, usize>,
    /// Words about the file that do not hold for the new one.
    dropped: BTreeSet<String>,
}

impl Report {
    /// What the user should know of it.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        self.dropped.iter().map(|key| format!("`{key}` is left out: it is the hash of the file before"))
    }

    /// Takes in what was written into another file of the same result.
    pub fn add(&mut self, other: Report) {
        self.bytes += other.bytes;
        self.quantized += other.quantized;
        self.plain += other.plain;
        self.dropped.extend(other.dropped);
        for (kind, count) in other.types {
            *self.types.entry(kind).or_insert(0) += count;
        }
    }
}

/// Words that hold for the bytes of one file only.
const HASHES: [&str; 3] = ["modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash"];

/// Where a file tells how it came about.
const HISTORY: &str = "sdgen.conversion";

/// Names of tables, whose rows are looked up by words and places.
const TABLES: [&str; 4] = ["token_embedding.", "position_embedding.", "positional_embedding", "shared."];

impl Numbers {
    fn kind(self, name: &str, shape: &[usize], stored: DType) -> Kind {
        if !is_float(stored) {
            return Kind::Plain(stored);
        }
        if let (Some(quantize), [_, columns]) = (self.quantize, shape) {
            let is_table = TABLES.iter().any(|table| name.contains(table));
            if !is_table && *columns > 0 && columns.is_multiple_of(quantize.block_size()) {
                return Kind::Quantized(quantize);
            }
        }
        Kind::Plain(self.dtype.unwrap_or(stored))
    }
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16 | DType::F8E4M3)
}

/// Writes the tensors of `source`. The words stay, but for those that hold no more, and `history` is added to them. `events` are told
/// of each tensor.
///
/// # Errors
/// [`Error::Weights`] when a tensor cannot be read, [`Error::Model`] when its numbers do not fit the type, [`Error::Io`] when the file
/// cannot be written.
pub fn write(
    path: &Path,
    format: Format,
    source: &Arc<dyn ParamSource>,
    mut words: BTreeMap<String, String>,
    history: &str,
    numbers: Numbers,
    events: &mut dyn Events,
) -> Result<Report> {
    let start = Instant::now();
    let planned = plan(source.as_ref(), numbers);
    let mut report = Report::default();
    for tensor in &planned {
        *report.types.entry(tensor.kind.to_string()).or_insert(0) += 1;
        match tensor.kind {
            Kind::Quantized(_) => report.quantized += 1,
            Kind::Plain(_) => report.plain += 1,
        }
    }
    if let Some(quantize) = numbers.quantize.filter(|_| report.quantized == 0) {
        let message =
            format!("`{}` has no matrix with rows of a multiple of {} numbers", source.label(), quantize.block_size());
        return Err(Error::model(message, "take another type: `--quantize q8_0`"));
    }
    report.dropped = HASHES.iter().filter(|key| words.remove(**key).is_some()).map(|key| (*key).into()).collect();
    words
        .entry(HISTORY.into())
        .and_modify(|before| *before = format!("{before}; {history}"))
        .or_insert_with(|| history.into());
    if format == Format::Safetensors {
        // transformers takes no file without it.
        words.entry("format".into()).or_insert_with(|| "pt".into());
    }
    let file = {
        let _guard = write_guard();
        File::options().write(true).create_new(true).open(path).map_err(Error::io("write", path))?
    };
    let mut out = BufWriter::with_capacity(1 << 20, file);
    events.on(Event::Begin { phase: Phase::Write, total: planned.len() })?;
    let mut done = 0;
    let mut numbers = |planned: &Planned| {
        let bytes = bytes(source.as_ref(), planned)?;
        done += 1;
        events.on(Event::Progress { phase: Phase::Write, done })?;
        Ok(bytes)
    };
    write::write(&mut out, path, format, planned, &words, &mut numbers)?;
    let file = out.into_inner().map_err(|e| Error::io("write", path)(e.into_error()))?;
    let mut file = file;
    file.flush().map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("write", path))?;
    events.on(Event::End { phase: Phase::Write, seconds: start.elapsed().as_secs_f64() })?;
    report.bytes = file.metadata().map_err(Error::io("read", path))?.len();
    // What cannot be read again is no result.
    weights::open_file(path)?;
    Ok(report)
}

fn plan(source: &dyn ParamSource, numbers: Numbers) -> Vec<Planned> {
    let planned = |name: String| {
        let (shape, stored) = source.info(&name)?;
        let shape = shape.into_dims();
        let kind = numbers.kind(&name, &shape, stored);
        Some(Planned { name, shape, kind })
    };
    source.names().into_iter().filter_map(planned).collect()
}

fn bytes(source: &dyn ParamSource, planned: &Planned) -> Result<Vec<u8>> {
    let tensor = source.read(&planned.name)?;
    encode(&tensor, planned.kind).map_err(|e| match e {
        write::EncodeError::Tensor(e) => e.into(),
        e @ write::EncodeError::Overflow { .. } => {
            let message = format!("tensor `{}` of `{}`: {e}", planned.name, source.label());
            Error::model(message, "give `--dtype bf16`, which has the range of f32")
        }
    })
}

/// What is done, in words: "sdgen 0.1.0: diffusers f32 to single f16". `layouts` are from and to.
pub fn history(source: &Arc<dyn ParamSource>, numbers: Numbers, layouts: Option<[&str; 2]>) -> String {
    let mut from: BTreeMap<String, usize> = BTreeMap::new();
    for name in source.names() {
        let Some((shape, _)) = source.info(&name).filter(|(_, dtype)| is_float(*dtype)) else { continue };
        let size = shape.elem_count();
        *from.entry(source.stored_type(&name).unwrap_or_default()).or_insert(0) += size;
    }
    let from = from.into_iter().max_by_key(|(_, size)| *size).map(|(kind, _)| kind).unwrap_or_default();
    let quantized = numbers.quantize.map(|kind| Kind::Quantized(kind).to_string());
    let to = quantized.or_else(|| numbers.dtype.map(|dtype| dtype.as_str().into())).unwrap_or_else(|| from.clone());
    let [before, after] = layouts.map_or([String::new(), String::new()], |layouts| layouts.map(|l| format!("{l} ")));
    format!("sdgen {}: {before}{from} to {after}{to}", env!("CARGO_PKG_VERSION"))
}
