//! What a community keeps out of its mixed pages: posts that it hides, accounts that it blocks.
//!
//! In: the writer adds and takes away texts. Out: a reader asks whether a text is there.
//!
//! ```text
//!   Texts:  bucket 0 [did, did …]   bucket 1 [did …]   …        each shared by the writer and all who read an older set
//! ```
//! What always holds: a set that a reader holds never changes. A change copies the list of buckets and one bucket, about
//! 16 texts, not the whole set; so a community of many blocked accounts pays little for one more.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::fact;

/// Of one community.
#[derive(Clone, Debug, Default)]
pub(super) struct Excluded {
    /// `DID/rkey`
    posts: Texts,
    /// `DID`
    accounts: Texts,
}

impl Excluded {
    /// Keeps something out, or no more. Says whether that is news.
    pub(super) fn set(&mut self, what: &fact::Excluded, excluded: bool) -> bool {
        match what {
            fact::Excluded::Post { did, rkey } => self.posts.set(&format!("{did}/{rkey}"), excluded),
            fact::Excluded::Account(did) => self.accounts.set(did.as_str(), excluded),
        }
    }

    /// Whether nothing is kept out.
    pub(super) fn is_empty(&self) -> bool {
        self.posts.count == 0 && self.accounts.count == 0
    }

    /// Whether any post is kept out for itself.
    pub(super) fn has_posts(&self) -> bool {
        self.posts.count > 0
    }

    /// Whether a post is kept out, which is named `DID/rkey`.
    pub(super) fn has_post(&self, name: &str) -> bool {
        self.posts.has(name)
    }

    /// Whether everything of an account is kept out.
    pub(super) fn has_account(&self, did: &str) -> bool {
        self.accounts.has(did)
    }
}

/// A set of texts that is cheap to copy. Others choose the texts, so it is keyed by chance: nobody can make it slow.
#[derive(Clone, Debug, Default)]
struct Texts {
    hasher: RandomState,
    /// None while the set is empty; else a power of two.
    buckets: Vec<Arc<Vec<Box<str>>>>,
    count: usize,
}

/// A bucket holds this many texts on average before there are more buckets.
const BUCKET: usize = 16;

impl Texts {
    fn has(&self, text: &str) -> bool {
        self.count > 0 && self.buckets[self.bucket(text)].iter().any(|known| **known == *text)
    }

    fn set(&mut self, text: &str, present: bool) -> bool {
        if self.has(text) == present {
            return false;
        }
        if present {
            self.grow();
            let at = self.bucket(text);
            Arc::make_mut(&mut self.buckets[at]).push(text.into());
            self.count += 1;
        } else {
            let at = self.bucket(text);
            Arc::make_mut(&mut self.buckets[at]).retain(|known| **known != *text);
            self.count -= 1;
        }
        true
    }

    /// Makes room for one more: twice the buckets where all are full.
    fn grow(&mut self) {
        if self.count < self.buckets.len() * BUCKET {
            return;
        }
        let length = (2 * self.buckets.len()).max(1);
        let old = std::mem::replace(&mut self.buckets, vec![Arc::default(); length]);
        for text in old.iter().flat_map(|bucket| bucket.iter()) {
            let at = self.bucket(text);
            Arc::make_mut(&mut self.buckets[at]).push(text.clone());
        }
    }

    fn bucket(&self, text: &str) -> usize {
        self.hasher.hash_one(text) as usize & (self.buckets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set_whose_older_copies_stay_as_they_were() {
        let (mut texts, mut plain) = (Texts::default(), BTreeSet::new());
        let mut rng = fastrand::Rng::with_seed(5);
        let mut copies = Vec::new();
        for round in 0..20_000 {
            let (text, present) = (format!("did:web:{}", rng.u32(0..3000)), rng.u8(0..3) > 0);
            let news = if present { plain.insert(text.clone()) } else { plain.remove(&text) };
            assert_eq!(texts.set(&text, present), news);
            if round % 4000 == 0 {
                copies.push((texts.clone(), plain.clone()));
            }
        }
        copies.push((texts, plain));
        for (texts, plain) in copies {
            assert_eq!(texts.count, plain.len());
            for number in 0..3001 {
                let text = format!("did:web:{number}");
                assert_eq!(texts.has(&text), plain.contains(&text), "{text}");
            }
        }
    }
}
