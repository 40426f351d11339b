//! Faults: what real hosts and networks do to a client, on purpose.
//!
//! In: the names that were asked for. Out: for each connection, which faults it meets.
//!
//! Always: a fault happens on [`TIMES`] connections at most, and no fault but `v1-clamp` loses an event for good: a client
//! that resumes from its cursor gets everything in the end.

use std::sync::{Mutex, PoisonError};

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
        matches!(self, Self::Silence | Self::Http503 | Self::CursorTooOld)
    }

    fn applies(self, dialect: Dialect, has_cursor: bool) -> bool {
        match self {
            Self::CursorTooOld => dialect == Dialect::V2 && has_cursor,
            Self::V1Clamp => dialect == Dialect::V1 && has_cursor,
            Self::Info => dialect == Dialect::V2,
            _ => true,
        }
    }
}

/// How often each fault is still to happen.
pub(super) struct FaultBook(Mutex<Vec<(Fault, u32)>>);

impl FaultBook {
    pub fn new(faults: &[Fault]) -> Self {
        Self(Mutex::new(faults.iter().map(|&fault| (fault, TIMES)).collect()))
    }

    /// The faults of one connection: all that leave it alive, and last, at most one that ends it. Those that end
    /// connections take turns; one that lets no event through comes alone.
    pub fn plan(&self, dialect: Dialect, has_cursor: bool) -> Vec<Fault> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open: Vec<&mut (Fault, u32)> =
            book.iter_mut().filter(|(fault, left)| *left > 0 && fault.applies(dialect, has_cursor)).collect();
        // The one that has happened least; of those, the first of the list.
        let ending = open.iter_mut().filter(|entry| entry.0.ends()).rev().max_by_key(|entry| entry.1).map(|entry| {
            entry.1 -= 1;
            entry.0
        });
        if ending.is_some_and(Fault::lets_nothing_through) {
            return ending.into_iter().collect();
        }
        let mut plan = Vec::new();
        for entry in open.into_iter().filter(|entry| !entry.0.ends()) {
            entry.1 -= 1;
            plan.push(entry.0);
        }
        plan.extend(ending);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_happens_a_few_times_and_then_peace() {
        let book = FaultBook::new(Fault::ALL);
        let mut met = Vec::new();
        loop {
            let plan = book.plan(Dialect::V2, true);
            assert!(plan.iter().filter(|fault| fault.ends()).count() <= 1);
            if plan.is_empty() {
                break;
            }
            met.extend(plan);
        }
        for &fault in Fault::ALL {
            let times = met.iter().filter(|&&it| it == fault).count() as u32;
            assert_eq!(times, if fault == Fault::V1Clamp { 0 } else { TIMES }, "{}", fault.name());
            assert_eq!(Fault::parse(fault.name()), Ok(fault));
        }
        assert!(Fault::parse("earthquake").is_err_and(|message| message.contains("slow-drip")));
    }
}
