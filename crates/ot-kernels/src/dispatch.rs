//! Which instruction set the kernels use: found once at run time, so that one portable build is fast everywhere.

use std::sync::OnceLock;

/// An instruction set that every kernel of this crate has a path for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust that the compiler may vectorize for the baseline target.
    Portable,
    /// AVX2 and FMA, 256 bits.
    Avx2,
    /// AVX-512 F, DQ, VL and BW, 512 bits.
    Avx512,
}

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this machine can run the path.
    #[must_use]
    pub fn is_available(self) -> bool {
        self <= detected()
    }

    /// The path itself where this machine can run it, otherwise the widest below it that it can.
    #[must_use]
    pub fn or_available(self) -> Self {
        self.min(detected())
    }

    /// All paths this machine can run, the slowest first. Tests check them against each other.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|p| p.is_available()).collect()
    }

    /// The name as written in `KANTOROVICH_SIMD` and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

fn detected() -> Isa {
    static DETECTED: OnceLock<Isa> = OnceLock::new();
    *DETECTED.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw");
            if avx2 && avx512 {
                return Isa::Avx512;
            }
            if avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Portable
    })
}

/// The environment variable that narrows the choice.
pub const VARIABLE: &str = "KANTOROVICH_SIMD";

/// What [`VARIABLE`] asks for: nothing where it is unset or empty, an error with its value where it names no
/// instruction set. [`isa`] passes over such a value; a program should tell its user.
pub fn asked() -> Result<Option<Isa>, String> {
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let named = |isa: &Isa| value == isa.name();
    match Isa::ALL.iter().find(|isa| named(isa)) {
        Some(&isa) => Ok(Some(isa)),
        None => Err(value.to_string_lossy().into_owned()),
    }
}

/// The instruction set in use: the widest available, unless the environment variable `KANTOROVICH_SIMD`
/// (`portable`, `avx2`, `avx512`) asks for a narrower one.
#[must_use]
pub fn isa() -> Isa {
    static IN_USE: OnceLock<Isa> = OnceLock::new();
    *IN_USE.get_or_init(|| match asked() {
        Ok(Some(isa)) => isa.or_available(),
        Ok(None) | Err(_) => detected(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_available() {
        let available = Isa::available();
        assert_eq!(available[0], Isa::Portable);
        assert!(available.is_sorted());
        for asked in Isa::ALL {
            let got = asked.or_available();
            assert!(got.is_available() && got <= asked);
            assert_eq!(got == asked, available.contains(&asked));
        }
        assert!(isa().is_available());
    }
}
