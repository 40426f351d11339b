//! Faults: what real hosts and networks do to a client, on purpose.
//!
//! In: the names that were asked for. Out: for each connection, which faults it meets; and how often each has happened.
//!
//! Always: a fault happens on [`TIMES`] connections at most, and no fault but `v1-clamp` loses an event for good: a client
//! that resumes from its cursor gets everything in the end. What is broken comes in addition to the events: a client that
//! skips it and one that connects anew both get the whole event afterwards.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::query::{Request, Zstd};
use crate::event::Dialect;

/// On how many connections each fault happens.
pub(super) const TIMES: u32 = 3;

macro_rules! faults {
    ($($variant:ident = $name:literal, $ends:literal, $doc:literal;)+) => {
        /// A fault by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $(#[doc = $doc] $variant,)+ }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in `--faults`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What happens.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }

            /// Whether it ends its connection, or never lets it begin.
            const fn ends(self) -> bool {
                match self { $(Self::$variant => $ends,)+ }
            }
        }
    };
}

faults! {
    Disconnect = "disconnect", true, "the TCP connection is closed in the middle of the stream";
    Silence = "silence-after-accept", true, "the handshake is answered and no event ever comes; pings are answered";
    SlowDrip = "slow-drip", false, "some frames come 16 bytes at a time";
    Garbage = "garbage", false, "text messages that are no JSON, no object, or empty come between the events";
    Truncated = "truncated-frame", true, "a frame breaks off half way, and the connection with it";
    Oversized = "oversized-frame", false, "a valid event of 5 MiB comes between the others";
    ErrorFrame = "error-frame-then-close", true, "v2: an error frame `ConsumerTooSlow`, then a close frame; v1: the close frame";
    Http503 = "http-503", true, "the handshake is refused with status 503";
    CursorTooOld = "cursor-too-old", true, "v2, if a cursor is given: the handshake is refused with 400 `CursorTooOld`";
    Duplicate = "duplicate", false, "the last 64 events come once more";
    Reorder = "reorder-at-seam", false, "two blocks of 64 events change places";
    UnknownKind = "unknown-kind", false, "events of a kind that nobody knows come between the others";
    Info = "info", false, "v2: an `#info` message, which has no sequence number, comes between the events";
    Binary = "binary-frame", false, "a binary message comes between the events";
    Fragmented = "fragmented", false, "an event comes in three fragments, with a ping between them";
    PingFlood = "ping-flood", false, "2,000 pings of all sizes come at once";
    Length1Gib = "length-1gib", true, "the header of a websocket frame announces 1 GiB; 64 KiB of it come, then nothing for 10 s";
    TruncatedZstd = "truncated-zstd", false, "zstd: the first half of an event's zstd frame comes before the whole one";
    ZstdBomb = "zstd-bomb", false, "zstd: a message of a few KiB that decodes to a valid event of 72 MiB, and does not announce it";
    ZstdLength1Gib = "zstd-length-1gib", false, "zstd: a message whose zstd header announces 1 GiB in one window";
    WrongDictionary = "wrong-dictionary", false, "zstd: an event comes made with another dictionary (its id says so), then as it should";
    RetiredDictionary = "retired-dictionary", true, "zstd, v2: the dictionary gets another id; the handshake is refused with 400 \
        `UnknownZstdDictionary`, never twice in a row";
    ClockAhead = "clock-jump-ahead", false, "likes among 64 events, and nothing else, come with a stream time 10 years ahead: \
        the feeds stay as they are, if stream time is about wall time (`--epoch now`)";
    ClockBack = "clock-jump-back", false, "likes among 64 events, and nothing else, come with a stream time 10 years ago";
    ClockCut = "clock-jump-cut", true, "as clock-jump-ahead, and the connection is cut right behind such a like: a client that \
        resumes by its time gets nothing more";
    V1Clamp = "v1-clamp", false, "v1, if a cursor is given: the stream silently begins 500 events later. LOSES these events";
}

impl Fault {
    /// Parses a name.
    ///
    /// # Errors
    /// Another name; the error lists all.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("unknown fault {name:?}; known are {}", names.join(", "))
        })
    }

    const fn lets_nothing_through(self) -> bool {
        matches!(self, Self::Silence | Self::Http503 | Self::CursorTooOld | Self::RetiredDictionary)
    }

    fn applies(self, client: Client) -> bool {
        match self {
            Self::CursorTooOld => client.dialect == Dialect::V2 && client.has_cursor,
            Self::V1Clamp => client.dialect == Dialect::V1 && client.has_cursor,
            Self::Info => client.dialect == Dialect::V2,
            Self::TruncatedZstd | Self::ZstdBomb | Self::ZstdLength1Gib | Self::WrongDictionary => client.has_zstd,
            Self::RetiredDictionary => client.dialect == Dialect::V2 && client.has_zstd,
            _ => true,
        }
    }
}

/// What decides which faults a client can meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub dialect: Dialect,
    pub has_cursor: bool,
    pub has_zstd: bool,
}

impl From<&Request> for Client {
    fn from(request: &Request) -> Self {
        let has_zstd = matches!(request.zstd, Some(Zstd::Shared | Zstd::Named(_)));
        Self { dialect: request.dialect, has_cursor: request.cursor.is_some(), has_zstd }
    }
}

/// How often each fault is still to happen, and how often it has.
pub(super) struct FaultBook(Mutex<Book>);

struct Book {
    left: Vec<(Fault, u32)>,
    fired: BTreeMap<&'static str, u64>,
    /// The last connection was told that its dictionary is retired.
    just_retired: bool,
}

impl FaultBook {
    pub fn new(faults: &[Fault]) -> Self {
        let left = faults.iter().map(|&fault| (fault, TIMES)).collect();
        let fired = faults.iter().map(|fault| (fault.name(), 0)).collect();
        Self(Mutex::new(Book { left, fired, just_retired: false }))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a fault has happened.
    pub fn fire(&self, fault: Fault) {
        *self.book().fired.entry(fault.name()).or_default() += 1;
    }

    /// Takes back a fault that was planned and has not happened: a later connection meets it.
    pub fn give_back(&self, fault: Fault) {
        if let Some(entry) = self.book().left.iter_mut().find(|entry| entry.0 == fault) {
            entry.1 += 1;
        }
    }

    /// How often each of the faults that were asked for has happened.
    pub fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.book().fired.clone()
    }

    /// The faults of one connection: all that leave it alive, and last, at most one that ends it. Those that end
    /// connections take turns; one that lets no event through comes alone.
    pub fn plan(&self, client: Client) -> Vec<Fault> {
        let mut book = self.book();
        let may_retire = !std::mem::take(&mut book.just_retired);
        let mut open: Vec<&mut (Fault, u32)> = book
            .left
            .iter_mut()
            .filter(|(fault, left)| *left > 0 && fault.applies(client))
            .filter(|(fault, _)| may_retire || *fault != Fault::RetiredDictionary)
            .collect();
        // The one that has happened least; of those, the first of the list.
        let ending = open.iter_mut().filter(|entry| entry.0.ends()).rev().max_by_key(|entry| entry.1).map(|entry| {
            entry.1 -= 1;
            entry.0
        });
        let mut plan = Vec::new();
        if !ending.is_some_and(Fault::lets_nothing_through) {
            for entry in open.into_iter().filter(|entry| !entry.0.ends()) {
                entry.1 -= 1;
                plan.push(entry.0);
            }
        }
        plan.extend(ending);
        book.just_retired = ending == Some(Fault::RetiredDictionary);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_happens_a_few_times_and_then_peace() {
        let client = Client { dialect: Dialect::V2, has_cursor: true, has_zstd: true };
        let book = FaultBook::new(Fault::ALL);
        let plans: Vec<Vec<Fault>> = (0..100).map(|_| book.plan(client)).collect();
        assert!(plans.iter().all(|plan| plan.iter().filter(|fault| fault.ends()).count() <= 1));
        assert_eq!(plans.last(), Some(&Vec::new()));
        for &fault in Fault::ALL {
            let times = plans.iter().flatten().filter(|&&it| it == fault).count() as u32;
            assert_eq!(times, if fault == Fault::V1Clamp { 0 } else { TIMES }, "{}", fault.name());
            assert_eq!(Fault::parse(fault.name()), Ok(fault));
        }
        assert!(Fault::parse("earthquake").is_err_and(|message| message.contains("slow-drip")));
    }

    #[test]
    fn a_new_dictionary_serves_at_least_one_connection() {
        let book = FaultBook::new(&[Fault::RetiredDictionary]);
        let client = Client { dialect: Dialect::V2, has_cursor: false, has_zstd: true };
        let plans: Vec<bool> = (0..8).map(|_| !book.plan(client).is_empty()).collect();
        assert_eq!(plans, [true, false, true, false, true, false, false, false]);
        let plain = Client { has_zstd: false, ..client };
        assert_eq!(FaultBook::new(&[Fault::RetiredDictionary, Fault::ZstdBomb]).plan(plain), []);
    }
}
