//! What the diffusion transformers (Peebles and Xie 2023) of FLUX and Stable Diffusion 3 have in common: the vector of timestep and
//! pooled text ([`TimeTextEmbeddings`]), how it steers a block ([`Modulation`]), the queries, keys and values of one of the streams
//! that attend to each other ([`Stream`], [`attend_jointly`]), and the [`FeedForward`] part.

mod attention;
mod embeddings;
mod feed_forward;
mod modulation;

pub(super) use attention::{attend, attend_jointly, Stream, StreamNames};
pub(super) use embeddings::{Conditions, TimeTextEmbeddings};
pub(super) use feed_forward::FeedForward;
pub(super) use modulation::{Around, Continuous, Modulation};

/// Added to variances and mean squares in all norms.
pub(super) const EPS: f64 = 1e-6;
