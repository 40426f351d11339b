//! Recovery: what is done with what the disk has kept, as one total table.
//!
//! | case | found in a segment | it has a successor | it is the last one |
//! |---|---|---|---|
//! | R0 | the disk cannot read it | refuse | refuse |
//! | R1 | clean | go on | go on |
//! | R2 | header of an unknown version, or a record of an unknown kind | refuse | refuse |
//! | R3 | no header, no record in it | corrupt | remove it: its creation was never finished |
//! | R4 | no header, but records | corrupt | corrupt: the header was synced before any of them |
//! | R5 | header of another first LSN (a gap, or a wrong name) | corrupt | corrupt |
//! | R6 | damage at LSN n, a record behind it says n was on disk | corrupt | corrupt |
//! | R7 | damage at LSN n, nothing says n was on disk | corrupt | torn: keep the tail aside, cut it off |
//! | R8 | a whole record out of sequence | corrupt | corrupt: no torn write makes one |
//!
//! A segment that has a successor was synced whole before that was created; so nothing in it may be wrong. R0 is a
//! [`LogError::Disk`] at the place of reading: nothing is ever cut off because of it.

use super::segment::Ending;

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    GoOn,
    /// Refuse: written by a later program.
    RefuseVersion,
    /// Refuse: what was certain is damaged.
    RefuseCorrupt,
    /// Keep the file aside, and go on as if it had not been there.
    Remove,
    /// Keep what follows the last valid record aside, and cut it off.
    CutTail,
}

/// The table.
pub const fn decide(ending: &Ending, has_successor: bool) -> Decision {
    match (ending, has_successor) {
        /* R1 */ (Ending::Clean, _) => Decision::GoOn,
        /* R2 */ (Ending::UnknownVersion(_) | Ending::UnknownKind(_), _) => Decision::RefuseVersion,
        /* R3 */ (Ending::BadHeader { holds_records: false }, false) => Decision::Remove,
        /* R3 */ (Ending::BadHeader { holds_records: false }, true) => Decision::RefuseCorrupt,
        /* R4 */ (Ending::BadHeader { holds_records: true }, _) => Decision::RefuseCorrupt,
        /* R5 */ (Ending::WrongFirstLsn(_), _) => Decision::RefuseCorrupt,
        /* R6 */ (Ending::Damage { was_durable: true, .. }, _) => Decision::RefuseCorrupt,
        /* R7 */ (Ending::Damage { was_durable: false, .. }, false) => Decision::CutTail,
        /* R7 */ (Ending::Damage { was_durable: false, .. }, true) => Decision::RefuseCorrupt,
        /* R8 */ (Ending::BrokenSequence { .. }, _) => Decision::RefuseCorrupt,
    }
}

/// What is wrong, in words.
pub fn describe(ending: &Ending, expected_lsn: u64) -> String {
    match ending {
        Ending::Clean => "nothing is wrong".to_owned(),
        Ending::BadHeader { holds_records: false } => "the segment has no whole header".to_owned(),
        Ending::BadHeader { holds_records: true } => "the segment's header is damaged".to_owned(),
        Ending::UnknownVersion(version) => format!("the segment has version {version}, which this program cannot read"),
        Ending::WrongFirstLsn(lsn) => format!("the segment begins at LSN {lsn}, expected was {expected_lsn}"),
        Ending::Damage { what, was_durable: true } => format!("{what}, though a later mark says it was on disk"),
        Ending::Damage { what, was_durable: false } => (*what).to_owned(),
        Ending::BrokenSequence { lsn } => format!("a record has LSN {lsn}, expected was {expected_lsn}"),
        Ending::UnknownKind(kind) => format!("a record is of kind {kind}, which this program cannot read"),
    }
}
