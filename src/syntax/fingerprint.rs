//! A post as one number.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// 64 bits for (DID, record key); never 0.
///
/// They stand in the log, so they are the same in every process, on every machine and in every version: XXH3
/// (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>) of the record key, seeded with that of the DID. Whoever
/// wants to can make posts that share one: that costs them a post each, and gains them a few steps of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of one post.
    pub fn of(did: &str, rkey: &str) -> Self {
        Self::from_number(xxh3_64_with_seed(rkey.as_bytes(), xxh3_64_with_seed(did.as_bytes(), 0)))
    }

    /// From its number; 0 counts as 1.
    pub const fn from_number(number: u64) -> Self {
        Self(if number == 0 { 1 } else { number })
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fixed_and_tells_the_parts_apart() {
        // Logs hold it: a change of this number would be a change of their format.
        assert_eq!(
            Fingerprint::of("did:plc:wq4aajammjtxdomz3e23667t", "3mptbypluud2a").number(),
            5_207_301_176_722_995_110
        );
        assert_ne!(Fingerprint::of("did:plc:a", "b"), Fingerprint::of("did:plc:", "ab"));
        assert_ne!(Fingerprint::from_number(0).number(), 0);
    }
}
