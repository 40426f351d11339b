//! What is known of identities, how old it is, and who reads it anew: the rules, without any socket.
//!
//! ```text
//!              ask(name, now) ──► Have(value)                     younger than an hour
//!                                 Refresh(value)                  up to a day: use it, and read it anew
//!                                 Absent | Failed                 known to be so a moment ago
//!                                 Fetch                           you read it, and say what came: told(…)
//!                                 Wait                            somebody reads it already
//! identity event ──► forget(name)                                 the next one reads it anew
//! ```
//!
//! In: questions, what was read, events of the stream, and now. Out: what to do. One [`Cache`] holds documents by DID, another
//! holds DIDs by handle.
//!
//! What always holds: at most one flight is up for a name; what was asked before an event is never kept after it; no more
//! than [`Cache::new`]'s bound is held, and what was asked for last goes last.

use std::collections::HashMap;
use std::hash::Hash;

use crate::limits::{
    IDENTITY_ABSENT_MICROS, IDENTITY_AGE_MAX_MICROS, IDENTITY_FAILED_MICROS, IDENTITY_FLIGHT_MICROS,
    IDENTITY_FORCED_MAX, IDENTITY_FORCED_MICROS, IDENTITY_NEW_MICROS, IDENTITY_STALE_MICROS, ROOM_PART,
};

/// What is kept about names, and what is to be done about them. Moments are microseconds since the epoch.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    max: usize,
    /// When the minute of forced refreshes began, and how many there were in it.
    forced_since: i64,
    forced: u32,
}

#[derive(Debug)]
struct Entry<V> {
    value: Option<(V, i64)>,
    /// Why there is none, or no newer one, and until when that is not asked again.
    missing: Option<(Missing, i64)>,
    flight: Option<Flight>,
    forced_at: Option<i64>,
    asked_at: i64,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    since: i64,
    /// An event came after it had begun: what it brings may be older than the event.
    is_overtaken: bool,
}

/// Why nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It does not exist, or is not valid.
    Absent,
    /// It could not be read.
    Failed,
}

/// What to do about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask<V> {
    /// Use this.
    Have(V),
    /// Use this, read it anew, and say what came with [`Cache::told`].
    Refresh(V),
    /// There is nothing, as was seen a moment ago.
    Missing(Missing),
    /// Read it, and say what came with [`Cache::told`], or [`Cache::lost`] where nobody will.
    Fetch,
    /// Somebody reads it. Ask again when they have said what came.
    Wait,
}

/// What became of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is kept.
    Kept,
    /// An event came meanwhile: read it again.
    Again,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Holds `max` names at most.
    pub fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), max, forced_since: i64::MIN, forced: 0 }
    }

    /// What to do about a name.
    pub fn ask(&mut self, name: &K, now: i64) -> Ask<V> {
        let entry = self.entry(name, now);
        let is_flying = entry.is_flying(now);
        let waits = entry.missing.filter(|&(_, until)| now < until);
        match &entry.value {
            Some((value, read_at)) if now - read_at < IDENTITY_AGE_MAX_MICROS => {
                let value = value.clone();
                if now - read_at < IDENTITY_STALE_MICROS || is_flying || waits.is_some() {
                    return Ask::Have(value);
                }
                entry.take_off(now);
                Ask::Refresh(value)
            }
            _ => match waits {
                Some((missing, _)) => Ask::Missing(missing),
                None if is_flying => Ask::Wait,
                None => {
                    entry.take_off(now);
                    Ask::Fetch
                }
            },
        }
    }

    /// What to do about a name of which what is known seems to be wrong. It is read anew once a minute for each name, and
    /// not more often for all names together than [`IDENTITY_FORCED_MAX`]; beyond that, and where it was read a moment ago, the
    /// answer is that of [`Cache::ask`].
    pub fn ask_anew(&mut self, name: &K, now: i64) -> Ask<V> {
        let entry = self.entry(name, now);
        if entry.is_flying(now) {
            return Ask::Wait;
        }
        let is_new = entry.value.as_ref().is_some_and(|&(_, read_at)| now - read_at < IDENTITY_NEW_MICROS);
        if is_new || entry.forced_at.is_some_and(|at| now - at < IDENTITY_FORCED_MICROS) {
            return self.ask(name, now);
        }
        if now.saturating_sub(self.forced_since) >= IDENTITY_FORCED_MICROS {
            (self.forced_since, self.forced) = (now, 0);
        }
        if self.forced >= IDENTITY_FORCED_MAX {
            return self.ask(name, now);
        }
        self.forced += 1;
        let entry = self.entry(name, now);
        entry.forced_at = Some(now);
        entry.take_off(now);
        Ask::Fetch
    }

    /// Says what came of a flight.
    pub fn told(&mut self, name: &K, result: Result<V, Missing>, now: i64) -> Told {
        let Some(entry) = self.entries.get_mut(name) else { return Told::Kept };
        if let Some(flight) = entry.flight
            && flight.is_overtaken
        {
            entry.take_off(now);
            return Told::Again;
        }
        entry.flight = None;
        match result {
            Ok(value) => (entry.value, entry.missing) = (Some((value, now)), None),
            Err(Missing::Absent) => {
                // What is not there any more must not be used any more.
                (entry.value, entry.missing) = (None, Some((Missing::Absent, now + IDENTITY_ABSENT_MICROS)));
            }
            Err(Missing::Failed) => entry.missing = Some((Missing::Failed, now + IDENTITY_FAILED_MICROS)),
        }
        Told::Kept
    }

    /// A flight ended without a result. Whoever asks next flies.
    pub fn lost(&mut self, name: &K) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.flight = None;
        }
    }

    /// Something has changed there. Whether anything was known, or being read, which is now out of date.
    pub fn forget(&mut self, name: &K) -> bool {
        let Some(entry) = self.entries.get_mut(name) else { return false };
        let known = entry.value.take().is_some();
        entry.missing = None;
        match &mut entry.flight {
            Some(flight) => flight.is_overtaken = true,
            None => {
                self.entries.remove(name);
            }
        }
        known
    }

    /// What is kept of a name, however old, without asking for it.
    pub fn peek(&self, name: &K) -> Option<&V> {
        self.entries.get(name)?.value.as_ref().map(|(value, _)| value)
    }

    /// How many names are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, name: &K, now: i64) -> &mut Entry<V> {
        if !self.entries.contains_key(name) && self.entries.len() >= self.max {
            self.make_room(now);
        }
        let new = || Entry { value: None, missing: None, flight: None, forced_at: None, asked_at: now };
        let entry = self.entries.entry(name.clone()).or_insert_with(new);
        entry.asked_at = now;
        entry
    }

    /// Gives up the part that was not asked for for the longest time.
    fn make_room(&mut self, now: i64) {
        let mut asked: Vec<i64> = self.entries.values().map(|entry| entry.asked_at).collect();
        let part = (asked.len() / ROOM_PART).max(1);
        let (_, &mut last, _) = asked.select_nth_unstable(part - 1);
        let mut rest = part;
        self.entries.retain(|_, entry| {
            let goes = rest > 0 && entry.asked_at <= last && !entry.is_flying(now);
            rest -= usize::from(goes);
            !goes
        });
    }
}

impl<V> Entry<V> {
    fn is_flying(&self, now: i64) -> bool {
        self.flight.is_some_and(|flight| now - flight.since < IDENTITY_FLIGHT_MICROS)
    }

    fn take_off(&mut self, now: i64) {
        self.flight = Some(Flight { since: now, is_overtaken: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MINUTE_MICROS, SECOND_MICROS};

    const START: i64 = 1_800_000_000 * SECOND_MICROS;

    /// A cache in which `a` was read at [`START`].
    fn read() -> Cache<&'static str, u32> {
        let mut cache = Cache::new(100);
        assert_eq!(cache.ask(&"a", START), Ask::Fetch);
        assert_eq!(cache.told(&"a", Ok(1), START), Told::Kept);
        cache
    }

    #[test]
    fn what_was_read_is_used_then_refreshed_then_read_anew() {
        let mut cache = read();
        assert_eq!(cache.ask(&"a", START + IDENTITY_STALE_MICROS - 1), Ask::Have(1));
        let stale = START + IDENTITY_STALE_MICROS;
        assert_eq!(cache.ask(&"a", stale), Ask::Refresh(1));
        assert_eq!(cache.ask(&"a", stale + 1), Ask::Have(1), "one flight is enough");
        assert_eq!(cache.told(&"a", Err(Missing::Failed), stale + 2), Told::Kept);
        assert_eq!(cache.ask(&"a", stale + 3), Ask::Have(1), "the old one is used, and not asked for at once again");
        let again = stale + 2 + IDENTITY_FAILED_MICROS;
        assert_eq!(cache.ask(&"a", again), Ask::Refresh(1));
        assert_eq!(cache.told(&"a", Ok(2), again), Told::Kept);
        assert_eq!(cache.ask(&"a", again + 1), Ask::Have(2));
        assert_eq!(cache.ask(&"a", again + IDENTITY_AGE_MAX_MICROS), Ask::Fetch, "too old to be used");
        assert_eq!(cache.ask(&"a", again + IDENTITY_AGE_MAX_MICROS + 1), Ask::Wait);
    }

    #[test]
    fn what_is_missing_is_not_asked_for_again_for_a_while() {
        for (missing, time) in [(Missing::Absent, IDENTITY_ABSENT_MICROS), (Missing::Failed, IDENTITY_FAILED_MICROS)] {
            let mut cache: Cache<&str, u32> = Cache::new(100);
            assert_eq!(cache.ask(&"a", START), Ask::Fetch);
            assert_eq!(cache.told(&"a", Err(missing), START), Told::Kept);
            assert_eq!(cache.ask(&"a", START + time - 1), Ask::Missing(missing));
            assert_eq!(cache.ask(&"a", START + time), Ask::Fetch);
        }
        let mut cache = read();
        assert_eq!(cache.ask(&"a", START + IDENTITY_STALE_MICROS), Ask::Refresh(1));
        cache.told(&"a", Err(Missing::Absent), START + IDENTITY_STALE_MICROS);
        assert_eq!(cache.ask(&"a", START + IDENTITY_STALE_MICROS), Ask::Missing(Missing::Absent), "it was deleted");
    }

    #[test]
    fn one_flight_is_up_for_a_name_and_a_lost_one_is_replaced() {
        let mut cache: Cache<&str, u32> = Cache::new(100);
        assert_eq!(cache.ask(&"a", START), Ask::Fetch);
        assert_eq!(cache.ask(&"a", START), Ask::Wait);
        assert_eq!(cache.ask(&"b", START), Ask::Fetch);
        cache.lost(&"a");
        assert_eq!(cache.ask(&"a", START), Ask::Fetch);
        assert_eq!(cache.ask(&"a", START + IDENTITY_FLIGHT_MICROS - 1), Ask::Wait);
        assert_eq!(cache.ask(&"a", START + IDENTITY_FLIGHT_MICROS), Ask::Fetch);
    }

    #[test]
    fn an_event_ends_what_is_known_and_what_is_being_read() {
        let mut cache = read();
        assert!(cache.forget(&"a"));
        assert!(!cache.forget(&"a") && !cache.forget(&"never"));
        assert!(cache.is_empty());
        assert_eq!(cache.ask(&"a", START), Ask::Fetch);
        assert!(!cache.forget(&"a"));
        assert_eq!(cache.ask(&"a", START), Ask::Wait);
        assert_eq!(cache.told(&"a", Ok(1), START), Told::Again, "it may be older than the event");
        assert_eq!(cache.told(&"a", Ok(2), START), Told::Kept);
        assert_eq!(cache.ask(&"a", START), Ask::Have(2));
        // What was missing is asked for again.
        assert_eq!(cache.ask(&"b", START), Ask::Fetch);
        cache.told(&"b", Err(Missing::Absent), START);
        cache.forget(&"b");
        assert_eq!(cache.ask(&"b", START), Ask::Fetch);
    }

    #[test]
    fn a_forced_refresh_is_granted_once_a_minute() {
        let mut cache = read();
        assert_eq!(cache.ask_anew(&"a", START + 1), Ask::Have(1), "it was read a moment ago");
        let now = START + IDENTITY_NEW_MICROS;
        assert_eq!(cache.ask_anew(&"a", now), Ask::Fetch);
        assert_eq!(cache.ask_anew(&"a", now), Ask::Wait);
        assert_eq!(cache.ask(&"a", now), Ask::Have(1), "whoever has no doubt does not wait");
        cache.told(&"a", Ok(2), now);
        assert_eq!(cache.ask_anew(&"a", now + MINUTE_MICROS - 1), Ask::Have(2));
        assert_eq!(cache.ask_anew(&"a", now + MINUTE_MICROS), Ask::Fetch);
    }

    #[test]
    fn forced_refreshes_of_all_names_are_bounded() {
        let mut cache: Cache<u32, u32> = Cache::new(10_000);
        let all = IDENTITY_FORCED_MAX + 50;
        for name in 0..all {
            cache.ask(&name, START);
            cache.told(&name, Ok(name), START);
        }
        let forced = |cache: &mut Cache<u32, u32>, now| {
            (0..all).filter(|name| cache.ask_anew(name, now) == Ask::Fetch).count() as u32
        };
        let now = START + IDENTITY_NEW_MICROS;
        assert_eq!(forced(&mut cache, now), IDENTITY_FORCED_MAX);
        (0..all).for_each(|name| cache.lost(&name));
        assert_eq!(forced(&mut cache, now + 1), 0);
        assert_eq!(forced(&mut cache, now + IDENTITY_FORCED_MICROS), IDENTITY_FORCED_MAX);
    }

    #[test]
    fn at_the_bound_what_was_asked_for_last_stays() {
        let mut cache: Cache<u32, u32> = Cache::new(800);
        for name in 0..10_000 {
            let now = START + i64::from(name);
            assert_eq!(cache.ask(&name, now), Ask::Fetch);
            cache.told(&name, Ok(name), now);
            assert_eq!(cache.ask(&0, now), Ask::Have(0), "it is always in use");
            assert!(cache.len() <= 800);
        }
        assert!(cache.len() > 600);
        assert_eq!(cache.ask(&9_999, START + 10_000), Ask::Have(9_999));
        // All asked at the same moment: still only a part goes.
        let mut cache: Cache<u32, u32> = Cache::new(800);
        for name in 0..801 {
            cache.ask(&name, START);
            cache.told(&name, Ok(name), START);
        }
        assert_eq!(cache.len(), 701);
    }
}
