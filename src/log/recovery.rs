//! What to do with a segment, whatever is found in it: one total table.
//!
//! In: what stopped the reading of a segment, whether the segment has a successor, and whether a surviving mark names
//! the LSN that should stand there, or a later one. Out: one row. Opening, reading and checking a log all ask here,
//! so they cannot disagree.
//!
//! Why a mark decides between a torn tail and damage: it is written after a sync that has made everything up to the LSN
//! it names durable. Bytes that were durable and are wrong now are damage. Bytes that no mark vouches for may never have
//! reached the disk. (The durable LSN in a batch's head is as good as a mark.)

/// Why the reading of a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The disk gave an error.
    ReadError,
    /// The segment, or a record in it, was written by a later program.
    Unknown,
    /// No whole header, and nothing but zeros behind it.
    NoHeader,
    /// A wrong header, and something behind it.
    BadHeader,
    /// A whole header or record that does not follow from the one before: a hole, or one twice.
    Gap,
    /// Bytes that are no record.
    Bad,
    /// Zeros up to the end.
    Zeros,
    /// The file ends where a record ends.
    Whole,
}

/// Whether the segment has a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has: it was synced before that was created.
    Sealed,
    /// It has not.
    Last,
}

/// Whether a mark survives that names the LSN after the last good batch, or a later one; and at the end of a whole
/// segment, whether the last batch is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    Yes,
    No,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Give the disk's error. Never cut off what could not be read.
    RefuseRead,
    /// Say that a later program is needed.
    RefuseVersion,
    /// Name the exact place.
    RefuseCorrupt,
    /// Go on with the successor.
    Next,
    /// Append where the segment ends.
    Append,
    /// Copy the segment into a new file and sync that: nothing says that its end is on the disk.
    Copy,
    /// Keep the tail aside, and copy what is before it.
    CopyWithoutTail,
    /// Copy what is before the zeros.
    CopyWithoutZeros,
    /// Keep the file aside, and create the segment again.
    CreateAgain,
}

/// One row of [`CASES`].
#[derive(Debug)]
pub(super) struct Case {
    pub label: &'static str,
    found: Found,
    /// `None`: wherever.
    place: Option<Place>,
    /// `None`: marked or not.
    marked: Option<Marked>,
    pub action: Action,
}

const fn case(label: &'static str, found: Found, place: Option<Place>, marked: Option<Marked>, action: Action) -> Case {
    Case { label, found, place, marked, action }
}

/// Every case. Each combination meets exactly one row (there is a test).
#[rustfmt::skip]
pub(super) const CASES: [Case; 14] = [
    case("read_error",         Found::ReadError, None,                None,              Action::RefuseRead),
    case("unknown_version",    Found::Unknown,   None,                None,              Action::RefuseVersion),
    case("gap",                Found::Gap,       None,                None,              Action::RefuseCorrupt),
    case("bad_header",         Found::BadHeader, None,                None,              Action::RefuseCorrupt),
    case("sealed_no_header",   Found::NoHeader,  Some(Place::Sealed), None,              Action::RefuseCorrupt),
    case("last_no_header",     Found::NoHeader,  Some(Place::Last),   None,              Action::CreateAgain),
    case("sealed_bad",         Found::Bad,       Some(Place::Sealed), None,              Action::RefuseCorrupt),
    case("last_bad_marked",    Found::Bad,       Some(Place::Last),   Some(Marked::Yes), Action::RefuseCorrupt),
    case("last_torn",          Found::Bad,       Some(Place::Last),   Some(Marked::No),  Action::CopyWithoutTail),
    case("sealed_zeros",       Found::Zeros,     Some(Place::Sealed), None,              Action::RefuseCorrupt),
    case("last_zeros",         Found::Zeros,     Some(Place::Last),   None,              Action::CopyWithoutZeros),
    case("sealed_whole",       Found::Whole,     Some(Place::Sealed), None,              Action::Next),
    case("last_whole_marked",  Found::Whole,     Some(Place::Last),   Some(Marked::Yes), Action::Append),
    case("last_whole",         Found::Whole,     Some(Place::Last),   Some(Marked::No),  Action::Copy),
];

/// The row for what was found.
pub(super) fn decide(found: Found, place: Place, marked: Marked) -> &'static Case {
    CASES.iter().find(|case| case.meets(found, place, marked)).expect("invariant: the table is total")
}

impl Case {
    fn meets(&self, found: Found, place: Place, marked: Marked) -> bool {
        self.found == found
            && self.place.is_none_or(|wanted| wanted == place)
            && self.marked.is_none_or(|wanted| wanted == marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_meets_exactly_one_row() {
        let all = [
            Found::ReadError,
            Found::Unknown,
            Found::NoHeader,
            Found::BadHeader,
            Found::Gap,
            Found::Bad,
            Found::Zeros,
            Found::Whole,
        ];
        let mut met = std::collections::BTreeSet::new();
        for found in all {
            for place in [Place::Sealed, Place::Last] {
                for marked in [Marked::Yes, Marked::No] {
                    let rows: Vec<_> = CASES.iter().filter(|case| case.meets(found, place, marked)).collect();
                    assert_eq!(rows.len(), 1, "{found:?} {place:?} {marked:?}: {rows:?}");
                    met.insert(rows[0].label);
                }
            }
        }
        assert_eq!(met.len(), CASES.len(), "no row is idle, no label is used twice");
    }

    #[test]
    fn only_a_last_segment_without_evidence_is_ever_changed() {
        for case in &CASES {
            let changes = matches!(
                case.action,
                Action::Copy | Action::CopyWithoutTail | Action::CopyWithoutZeros | Action::CreateAgain
            );
            assert!(!changes || case.place == Some(Place::Last), "{}", case.label);
        }
    }
}
