//! The samplers, one file each: plain functions over a [`Run`](super::run::Run), whose state are their locals. Each follows
//! the diffusers class that its first lines name, formula for formula.

pub(super) mod ddim;
pub(super) mod ddpm;
pub(super) mod dpmpp_2m;
pub(super) mod dpmpp_sde;
pub(super) mod euler;
pub(super) mod euler_a;
pub(super) mod flow_euler;
pub(super) mod heun;
pub(super) mod lcm;
pub(super) mod lms;
pub(super) mod pndm;
#[cfg(test)]
mod tests;
pub(super) mod unipc;
