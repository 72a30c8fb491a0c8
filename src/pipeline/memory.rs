//! Whether a picture can fit into the machine's memory. An allocation that fails ends the process without a word, and a system
//! that has lent more than it has kills it: so what cannot fit is refused before the work.

use std::path::Path;

use crate::kernels::memory::unused;
use crate::models::unet::UNetConfig;
use crate::pipeline::footprint::Footprint;
use crate::pipeline::redux::PlannedRedux;
use crate::pipeline::{DenoiserConfig, Family, Machine, Plan, PlannedControl, VaeTiling};
use crate::{Error, Result};

/// Bytes of a value: on the CPU activations are f32 in every precision.
const VALUE: u64 = 4;
/// Bytes that a convolution takes at most for what it has rearranged.
const CONVOLUTION: u64 = 512 << 20;

/// Refuses a plan whose activations, with weights that do not lie in files, are larger than the memory. Devices other
/// than the CPU tell by themselves.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn check(plan: &Plan, machine: &Machine) -> Result<()> {
    if !machine.device.is_cpu() {
        return Ok(());
    }
    let need = plan.files.random_bytes() + least_needed(plan, machine.vae_tiling != VaeTiling::Off);
    match available(Path::new("/")) {
        Some(have) if need > have => Err(Error::OutOfMemory { need, have }),
        _ => Ok(()),
    }
}

/// Refuses a plan whose weights are larger than the memory together with its activations. Those that are read where they are mapped
/// do not count: the system takes them out of memory and in again.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(super) fn check_weights(footprint: &Footprint, plan: &Plan, machine: &Machine) -> Result<()> {
    if !machine.device.is_cpu() {
        return Ok(());
    }
    let [encode, paint] = footprint.stages();
    let need = encode.packed.max(paint.packed + least_needed(plan, machine.vae_tiling != VaeTiling::Off));
    match left() {
        Some(have) if need > have => Err(Error::OutOfMemory { need, have }),
        _ => Ok(()),
    }
}

/// Whether weights of so many bytes and the picture of a plan may not fit into memory together.
pub(super) fn is_short_of(weights: u64, plan: &Plan, machine: &Machine) -> bool {
    let need = weights + enough(least_needed(plan, machine.vae_tiling != VaeTiling::Off));
    machine.device.is_cpu() && left().is_some_and(|left| left < need)
}

/// Whether the text encoders fit into the memory that is left. Of devices other than the CPU it is not known.
pub(super) fn has_room_for_text(footprint: &Footprint, machine: &Machine) -> bool {
    machine.device.is_cpu() && left().is_none_or(|left| left > enough(footprint.text.packed))
}

/// What sampling and decoding take beside the weights, by experience.
pub(super) fn of_work(plan: &Plan, machine: &Machine) -> [u64; 2] {
    let of_vae = |size| of_decoder(&plan.family, size, in_strips(&plan.family, size, machine));
    let encoder = plan.reference_size().map_or(0, of_vae);
    [of_sampling(plan).max(encoder), of_vae(plan.size())]
}

/// Whether the picture of a plan may not fit into the memory that is left, so that what has done its work should be freed.
pub fn is_short(plan: &Plan, machine: &Machine) -> bool {
    machine.device.is_cpu()
        && left().is_some_and(|left| left < enough(least_needed(plan, machine.vae_tiling != VaeTiling::Off)))
}

/// What certainly suffices where `least` bytes are needed at least: half as much again for what the bound leaves out.
fn enough(least: u64) -> u64 {
    least + least / 2 + CONVOLUTION
}

/// Memory that this process may still get or has and does not use.
fn left() -> Option<u64> {
    Some(available(Path::new("/"))?.saturating_add(unused() as u64))
}

/// Whether the autoencoder works in strips on a picture of `size`, width and height: as the user says, else where the memory that is
/// left would not do otherwise.
pub fn in_strips(family: &Family, size: (usize, usize), machine: &Machine) -> bool {
    match machine.vae_tiling {
        VaeTiling::On => true,
        VaeTiling::Off => false,
        VaeTiling::Auto => {
            machine.device.is_cpu() && left().is_some_and(|left| left < enough(of_decoder(family, size, false)))
        }
    }
}

/// A lower bound, in bytes, of what a plan takes beside the weights; `strips` says whether the autoencoder may work in strips.
fn least_needed(plan: &Plan, strips: bool) -> u64 {
    // The encoder takes about what the decoder does.
    let pictures = std::iter::once(plan.size()).chain(plan.reference_size());
    let of_vae = pictures.map(|size| of_decoder(&plan.family, size, strips)).max().unwrap_or(0);
    of_sampling(plan).max(of_vae)
}

/// A lower bound of what the denoiser takes for all samples at once.
fn of_sampling(plan: &Plan) -> u64 {
    let (width, height) = plan.size();
    let factor = plan.family.vae_scale_factor();
    // Guidance is a batch of both predictions.
    let samples = plan.batch() * if plan.guided() { 2 } else { 1 };
    samples as u64 * of_denoiser(plan, (width / factor, height / factor))
}

/// What the denoiser holds at least for a picture of so many latents.
fn of_denoiser(plan: &Plan, latents: (usize, usize)) -> u64 {
    let text = plan.request.prompt.max_tokens.unwrap_or(0);
    let seen = plan.reference_size().map_or(0, |size| plan.family.tokens(size));
    let words = plan.redux.as_ref().map_or(0, PlannedRedux::tokens);
    let tokens = (plan.family.tokens(plan.size()) + seen + text + words) as u64;
    match &plan.family.denoiser {
        DenoiserConfig::Unet(config) if !plan.controls.iter().any(PlannedControl::is_net) => of_unet(config, latents),
        DenoiserConfig::Unet(config) => of_unet(config, latents) + of_residuals(config, latents),
        // The stream, its normed copy, and what is four times as wide inside the feed-forward part.
        DenoiserConfig::Flux(config) => tokens * 6 * config.width() as u64 * VALUE,
        DenoiserConfig::Mmdit(config) => tokens * 6 * config.width() as u64 * VALUE,
    }
}

/// At its widest place, the first residual block of the last stage of the way up, the UNet holds the skips that are left, the
/// block's input (the stage before with a skip) and its normed copy, and what the first convolution makes of that.
fn of_unet(unet: &UNetConfig, (width, height): (usize, usize)) -> u64 {
    let channels = &unet.block_out_channels;
    let (Some(last), Some(before)) = (channels.first(), channels.get(1).or(channels.first())) else { return 0 };
    let layers = unet.layers_per_block.expand(channels.len());
    let layers = layers.and_then(|layers| layers.first().copied()).unwrap_or(1);
    (width * height * ((layers + 1) * last + 2 * (before + last) + last)) as u64 * VALUE
}

/// What ControlNets add to each skip connection is held until the way up has taken it.
fn of_residuals(unet: &UNetConfig, (width, height): (usize, usize)) -> u64 {
    let channels = &unet.block_out_channels;
    let layers = unet.layers_per_block.expand(channels.len()).unwrap_or_default();
    let of_level = |(level, (channels, layers)): (usize, (&usize, usize))| {
        (width >> level) * (height >> level) * channels * layers
    };
    let all: usize = channels.iter().zip(layers).enumerate().map(of_level).sum();
    all as u64 * VALUE
}

/// In the decoder's last stage, at full size, a residual, its normed copy and what the first convolution makes of that are held
/// together; in strips only a block's input and output, and not the larger map that the first block reads. Pictures are decoded
/// one after the other.
fn of_decoder(family: &Family, (width, height): (usize, usize), strips: bool) -> u64 {
    let channels = &family.vae.block_out_channels;
    let (Some(last), Some(before)) = (channels.first(), channels.get(1).or(channels.first())) else { return 0 };
    let values = if strips { 2 * last } else { 2 * before + last };
    (width * height * values) as u64 * VALUE
}

/// Memory that a process may still get, in bytes: what is free or can be freed, and no more than its limits. `None` where the
/// system does not tell as Linux does. `root` is `/`, but for tests.
fn available(root: &Path) -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let free = read("proc/meminfo").and_then(|text| {
        let field = |name| number_after(&text, name).map(|kib: u64| kib.saturating_mul(1024));
        Some(field("MemAvailable:")?.saturating_add(field("SwapFree:").unwrap_or(0)))
    });
    let address_space = read("proc/self/limits").and_then(|text| number_after(&text, "Max address space"));
    let group = read("proc/self/cgroup").and_then(|text| limit_of_groups(&text, read));
    [free, address_space, group].into_iter().flatten().min()
}

/// The most memory that this process held at once, in bytes; `None` where the system does not tell as Linux does.
pub fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    number_after(&status, "VmHWM:").map(|kib| kib.saturating_mul(1024))
}

/// The least limit of a control group, version 2, and those around it; `groups` is the text of `/proc/self/cgroup`.
fn limit_of_groups(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let around = Path::new(own).ancestors().map(|group| Path::new("sys/fs/cgroup").join(group).join("memory.max"));
    around.filter_map(|file| read(file.to_str()?)?.trim().parse().ok()).min()
}

/// The number behind a name at the start of a line; none when a word such as `unlimited` stands there.
fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn plan(change: impl FnOnce(&mut Request)) -> Plan {
        let mut request = Request::default();
        change(&mut request);
        Plan::new(&request).unwrap()
    }

    #[test]
    fn the_bound_is_that_of_the_widest_place() {
        // The built-in model: a UNet of 64 and 128 channels with a layer a block, a decoder that ends with 32 and 32 channels.
        let decoder = |pixels: u64| pixels * (32 + 32 + 32) * 4;
        let unet = 256 * 256 * (2 * 64 + 2 * (128 + 64) + 64) * 4;
        let sized = |side, batch, guidance| {
            let plan = plan(|request| {
                (request.image.width, request.image.height) = (Some(side), Some(side));
                (request.image.batch, request.sampling.guidance) = (Some(batch), Some(guidance));
            });
            assert_eq!(of_decoder(&plan.family, (side, side), true), decoder(side as u64 * side as u64) / 3 * 2);
            least_needed(&plan, false)
        };
        assert_eq!(sized(2048, 1, 1.0), decoder(2048 * 2048));
        assert_eq!(sized(2048, 64, 1.0), 64 * unet);
        assert_eq!(sized(2048, 64, 4.0), 128 * unet);
    }

    #[test]
    fn the_smallest_of_memory_and_limits_counts() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(available(root.path()), None);
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    4000 kB\nSwapFree:   1000 kB\n");
        assert_eq!(available(root.path()), Some(5000 * 1024));
        write(
            "proc/self/limits",
            "Limit  Soft\nMax address space         unlimited            unlimited            bytes\n",
        );
        write("proc/self/cgroup", "1:name=x:/y\n0::/user/run\n");
        write("sys/fs/cgroup/user/run/memory.max", "max\n");
        assert_eq!(available(root.path()), Some(5000 * 1024));
        write("sys/fs/cgroup/user/memory.max", "3000000\n");
        assert_eq!(available(root.path()), Some(3_000_000));
        write("proc/self/limits", "Max address space         2000000              unlimited            bytes\n");
        assert_eq!(available(root.path()), Some(2_000_000));
    }
}
