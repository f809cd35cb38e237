//! Random choices that a seed repeats, and the environment variables that set the seed and the length of a run.

use proptest::test_runner::{RngAlgorithm, TestRng};

/// The number in an environment variable; `None` if it is not set.
pub fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// A random number generator with the interface that proptest uses.
pub fn seeded(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// The random number generator xorshift64*, for tests that need many numbers fast. The state must not be 0.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `count`, which is at most 2^31; 0 if `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % count.max(1)
    }
}
