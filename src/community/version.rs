//! Versions of one record, and which of two counts.
//!
//! In: what a commit says of a record. Out: the version that the record has from now on.
//!
//! What always holds: [`Version::merge`] takes the greatest of a total order and the least of the witnessed times, so
//! any set of deliveries ends in the same version, in every order.

use std::cmp::Ordering;

use crate::fact::{Body, Record};
use crate::limits::MADE_SLACK_MICROS;
use crate::syntax::{Cid, Tid, Time};

/// The first bytes of a CID's text, zeros after its end (and for no CID).
///
/// It decides between two contents of one rev, which honest repositories never have. Beyond the prefix that all CIDs
/// share it holds 45 bits; where they are equal, the content itself decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CidPrefix(pub(super) [u8; 16]);

/// How the CIDs of records begin: version 1, dag-cbor, sha2-256, in base32. Nine characters follow in a prefix.
const CID_HEAD: &[u8; 7] = b"bafyrei";
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl CidPrefix {
    /// That of no CID.
    pub const NONE: Self = Self([0; 16]);

    /// The nine characters behind the head as 45 bits, of the CID of a record.
    pub fn to_bits(self) -> Option<u64> {
        let tail = self.0.strip_prefix(CID_HEAD)?;
        tail.iter().try_fold(0, |bits, byte| {
            let value = match byte {
                b'a'..=b'z' => byte - b'a',
                b'2'..=b'7' => byte - b'2' + 26,
                _ => return None,
            };
            Some(bits << 5 | u64::from(value))
        })
    }

    /// The prefix of such bits.
    pub fn from_bits(bits: u64) -> Self {
        let mut prefix = [0; 16];
        let (head, tail) = prefix.split_at_mut(CID_HEAD.len());
        head.copy_from_slice(CID_HEAD);
        for (at, letter) in tail.iter_mut().rev().enumerate() {
            *letter = BASE32[(bits >> (5 * at)) as usize & 31];
        }
        Self(prefix)
    }

    fn new(cid: Option<&Cid>) -> Self {
        let mut prefix = [0; 16];
        let text = cid.map_or("", Cid::as_str).as_bytes();
        let length = text.len().min(prefix.len());
        prefix[..length].copy_from_slice(&text[..length]);
        Self(prefix)
    }
}

/// One version of a record.
#[derive(Clone, Debug)]
pub(super) struct Version<B> {
    /// Its place in the order of its repository: the greater one counts.
    pub rev: Tid,
    /// Stream time: the least of all deliveries of this rev.
    pub witnessed: Time,
    pub cid: CidPrefix,
    /// What the record says; `None` where it was deleted.
    pub body: Option<B>,
}

impl<B> Version<B> {
    /// The version that a commit tells of.
    pub fn new(record: &Record, body: Option<B>) -> Self {
        let cid = if body.is_some() { record.cid.as_ref() } else { None };
        Self { rev: record.rev.tid(), witnessed: record.witnessed, cid: CidPrefix::new(cid), body }
    }

    /// When the version was made, for comparing across repositories: its rev's time, which can be forged, within
    /// bounds that cannot.
    pub fn made(&self) -> Time {
        let earliest = self.witnessed.plus_micros(-MADE_SLACK_MICROS);
        self.rev.time().clamp(earliest, self.witnessed)
    }

    /// Whether a commit is this very version again, and not witnessed earlier. Two puts are held to be the same where
    /// their CIDs are.
    pub fn is_redelivered_by(&self, record: &Record) -> bool {
        let is_put = !matches!(record.body, Body::Deleted(_));
        let is_same = match (&self.body, is_put) {
            (None, _) => true,
            (Some(_), true) => record.cid.is_some() && self.cid == CidPrefix::new(record.cid.as_ref()),
            (Some(_), false) => false,
        };
        self.rev == record.rev.tid() && self.witnessed <= record.witnessed && is_same
    }

    /// Whether the deletion of its repository's account has ended it.
    pub fn is_ended(&self, deleted_at: Option<Time>) -> bool {
        deleted_at.is_some_and(|deleted_at| self.rev.time() <= deleted_at)
    }

    /// What the record says, while it is neither deleted nor ended.
    pub fn live(&self, deleted_at: Option<Time>) -> Option<&B> {
        self.body.as_ref().filter(|_| !self.is_ended(deleted_at))
    }
}

impl<B: Clone + PartialEq> Version<B> {
    /// What the record is after `new` has come, where that differs from what it is.
    ///
    /// The greater rev counts. Of one rev the least witnessed time counts, a delete before a put, then the greater
    /// CID, then the greater text that `form` gives.
    pub fn merge(&self, new: Self, form: impl Fn(&B) -> String) -> Option<Self> {
        match new.rev.cmp(&self.rev) {
            Ordering::Less => None,
            Ordering::Greater => Some(new),
            Ordering::Equal => {
                let witnessed = self.witnessed.min(new.witnessed);
                let wins = self.compare_content(&new, form).is_lt();
                let changes = wins || witnessed < self.witnessed;
                changes.then(|| Self { witnessed, ..if wins { new } else { self.clone() } })
            }
        }
    }

    fn compare_content(&self, other: &Self, form: impl Fn(&B) -> String) -> Ordering {
        match (&self.body, &other.body) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                self.cid.cmp(&other.cid).then_with(|| if a == b { Ordering::Equal } else { form(a).cmp(&form(b)) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(rev: u64, witnessed: i64, cid: u8, body: Option<&'static str>) -> Version<&'static str> {
        let cid = CidPrefix([cid; 16]);
        Version { rev: Tid::from_u64(rev), witnessed: Time::from_micros(witnessed), cid, body }
    }

    #[test]
    fn every_order_of_deliveries_ends_in_the_same_version() {
        let deliveries = [
            version(1, 50, 9, Some("old")),
            version(2, 40, 1, Some("b")),
            version(2, 30, 1, Some("a")),
            version(2, 60, 0, Some("z")),
            version(2, 35, 1, Some("b")),
        ];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let mut order = deliveries.clone();
            rng.shuffle(&mut order);
            let end = order.iter().cloned().reduce(|a, b| a.merge(b, |text| (*text).to_owned()).unwrap_or(a));
            let end = end.expect("not empty");
            assert_eq!((end.rev.to_u64(), end.witnessed.micros(), end.body), (2, 30, Some("b")));
        }
    }

    #[test]
    fn a_delete_wins_over_a_put_of_its_rev_and_a_duplicate_changes_nothing() {
        let put = version(2, 40, 1, Some("a"));
        let delete = version(2, 40, 0, None);
        let form = |text: &&str| (*text).to_owned();
        assert!(put.merge(put.clone(), form).is_none());
        assert!(put.merge(delete.clone(), form).is_some_and(|end| end.body.is_none()));
        assert!(delete.merge(put, form).is_none());
    }

    #[test]
    fn made_lies_within_five_minutes_before_witnessed() {
        let minute = 60_000_000;
        let made = |rev_minute: i64| {
            let rev = Tid::from_time(Time::from_micros(rev_minute * minute), 0);
            let version = Version { rev, ..version(0, 100 * minute, 0, None) };
            version.made().micros() / minute
        };
        assert_eq!([made(2), made(95), made(97), made(100), made(101)], [95, 95, 97, 100, 100]);
    }
}
