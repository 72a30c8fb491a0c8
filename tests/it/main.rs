//! The whole command, run as a user runs it: exit code, standard output, standard error, files.
//!
//! One file a topic. Wording is not tested beyond the words a user would look for.

// Helpers outside `#[test]` functions stop the test by panicking, as assertions do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapters;
mod attention;
mod bad_models;
mod bench;
mod config;
mod control_example;
mod control_kinds;
mod controlnet;
mod convert;
mod determinism;
mod download;
mod download_models;
mod download_refused;
mod download_web;
mod events;
mod flux;
mod generated;
mod golden;
mod help;
mod hub;
mod img2img;
mod info;
mod inpaint;
mod interrupt;
mod kontext;
mod lora;
mod lora_merge;
mod lora_merge_only;
mod lora_tags;
mod low_memory;
mod map_lora;
mod memory;
mod metadata;
mod output;
mod parity;
mod pictures_in;
mod precision;
mod preprocess;
mod presets;
mod prompts;
mod quantize;
mod recipes;
mod redux;
mod sheet;
mod single;
mod single_file;
mod stream;
mod support;
mod terminal;
mod tiling;
mod transformer_files;
mod usage_errors;
mod verify;
mod verify_cache;
mod wide_flux;
