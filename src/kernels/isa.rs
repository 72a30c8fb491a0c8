//! The instruction sets that kernels exist for, chosen when the program runs.

use std::fmt;
use std::sync::OnceLock;

/// The variable that forces an instruction set.
pub const VARIABLE: &str = "SDGEN_ISA";

/// An instruction set that kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// AVX-512 with products of bf16 pairs.
    Avx512Bf16,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX2 with fused multiply-add and conversions of f16.
    Avx2,
    /// 128-bit vectors of 64-bit Arm.
    Neon,
    /// What every processor of the target has.
    Plain,
}

impl InstructionSet {
    /// All, the fastest first.
    pub const ALL: [Self; 5] = [Self::Avx512Bf16, Self::Avx512, Self::Avx2, Self::Neon, Self::Plain];

    /// The name that `SDGEN_ISA` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512Bf16 => "avx512bf16",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Plain => "plain",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn is_there(self) -> bool {
        let avx2 =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match self {
            Self::Avx512Bf16 => avx512 && is_x86_feature_detected!("avx512bf16"),
            Self::Avx512 => avx512,
            Self::Avx2 => avx2,
            Self::Neon => false,
            Self::Plain => true,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_there(self) -> bool {
        self == Self::Plain || self == Self::Neon && cfg!(target_arch = "aarch64")
    }
}

/// An instruction set that this processor was found to have: a value of this type is the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa(InstructionSet);

/// `SDGEN_ISA` asks for something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The processor lacks it.
    #[error("{VARIABLE}={0}: this processor does not have it; it has {have}", have = list(true))]
    Lacking(&'static str),
    /// There is no such name.
    #[error("{VARIABLE}={0}: no such instruction set; there are {all}", all = list(false))]
    Unknown(String),
}

fn list(only_present: bool) -> String {
    let names = InstructionSet::ALL.into_iter().filter(|set| !only_present || set.is_there());
    names.map(InstructionSet::name).collect::<Vec<_>>().join(", ")
}

impl Isa {
    /// `set`, if the processor has it.
    ///
    /// # Errors
    /// When it does not.
    pub fn of(set: InstructionSet) -> Result<Self, IsaError> {
        if set.is_there() {
            Ok(Isa(set))
        } else {
            Err(IsaError::Lacking(set.name()))
        }
    }

    /// The one called `name`.
    ///
    /// # Errors
    /// When there is none, or the processor lacks it.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        let set = InstructionSet::ALL.into_iter().find(|set| set.name() == name);
        set.map_or_else(|| Err(IsaError::Unknown(name.to_string())), Self::of)
    }

    /// All that the processor has, the fastest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        InstructionSet::ALL.into_iter().filter_map(|set| Self::of(set).ok()).collect()
    }

    /// The one to compute with: what `SDGEN_ISA` says, else the one that suits the processor: the fastest, but products of bf16
    /// pairs only where they pay (`pairs_pay`). Decided once a process, from what the processor is and never from a timing.
    ///
    /// # Errors
    /// When `SDGEN_ISA` names nothing that is there.
    pub fn current() -> Result<Self, IsaError> {
        static CURRENT: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        let chosen = || match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::from_name(&name),
            _ => Ok(automatic(&Self::all(), pairs_pay(&vendor()))),
        };
        CURRENT.get_or_init(chosen).clone()
    }

    /// Which it is.
    #[must_use]
    pub fn set(self) -> InstructionSet {
        self.0
    }
}

/// The first of `there` that is not passed over.
fn automatic(there: &[Isa], pairs_pay: bool) -> Isa {
    let suits = |isa: &&Isa| pairs_pay || isa.set() != InstructionSet::Avx512Bf16;
    there.iter().find(suits).copied().unwrap_or(Isa(InstructionSet::Plain))
}

/// Whether the maker's processors multiply bf16 pairs faster than they multiply f32. AMD's (Zen 4 and later) do 2.5 times as many
/// products a second with `VDPBF16PS` as with FMA. Intel's do half as many: there the instruction is a microcoded sequence, made for
/// programs that also use the matrix unit, so bf16 weights are widened and multiplied as f32 instead.
fn pairs_pay(vendor: &[u8; 12]) -> bool {
    matches!(vendor, b"AuthenticAMD" | b"HygonGenuine")
}

/// The maker of the processor as CPUID tells it.
#[cfg(target_arch = "x86_64")]
fn vendor() -> [u8; 12] {
    let leaf = std::arch::x86_64::__cpuid(0);
    let mut name = [0; 12];
    let words = [leaf.ebx, leaf.edx, leaf.ecx];
    name.chunks_exact_mut(4).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
    name
}

#[cfg(not(target_arch = "x86_64"))]
fn vendor() -> [u8; 12] {
    [0; 12]
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Compiles a function for each family of instruction sets; the function made takes an [`Isa`] before its arguments and calls the
/// one that fits. The body is plain Rust, which the compiler turns into that set's vectors.
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::inline_always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calls of functions compiled for instructions that were found to be there")]
            {
                use $crate::isa::InstructionSet;
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match isa.set() {
                    InstructionSet::Avx512Bf16 | InstructionSet::Avx512 => {
                        // SAFETY: `isa` is the proof that the processor has these instructions.
                        return unsafe { avx512($($arg),*) };
                    }
                    InstructionSet::Avx2 => {
                        // SAFETY: as above.
                        return unsafe { avx2($($arg),*) };
                    }
                    InstructionSet::Neon | InstructionSet::Plain => {}
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = isa;
            body($($arg),*)
        }
    };
}
pub(super) use per_isa;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_taken_where_they_pay() {
        let there = [InstructionSet::Avx512Bf16, InstructionSet::Avx512, InstructionSet::Plain].map(Isa);
        assert_eq!(automatic(&there, true).set(), InstructionSet::Avx512Bf16);
        assert_eq!(automatic(&there, false).set(), InstructionSet::Avx512);
        assert_eq!(automatic(&[], true).set(), InstructionSet::Plain);
        assert!(pairs_pay(b"AuthenticAMD") && !pairs_pay(b"GenuineIntel"));
        assert!(cfg!(not(target_arch = "x86_64")) || vendor().iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn names_lead_to_sets() {
        assert_eq!(Isa::from_name("plain").unwrap().set(), InstructionSet::Plain);
        let error = Isa::from_name("sse9").unwrap_err().to_string();
        assert!(error.contains("sse9") && error.contains("avx512bf16"), "{error}");
        let lacking = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
        let error = Isa::from_name(lacking).unwrap_err().to_string();
        assert!(error.contains("does not have it; it has") && error.contains("plain"), "{error}");
    }
}
