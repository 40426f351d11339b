//! Snapshots: the whole state of the fold as bytes, and back.
//!
//! In: a [`Fold`]. Out: *chunks* (section, version, payload), which the log's side frames, checksums and stores; and from
//! these the fold again, with the changes that build its view.
//!
//! ```text
//! section          a row (forms: `bytes`)                                                        file
//!  1 people        DID | account state | deleted at | desynchronized at                          people
//!  2 communities   owner | rkey | founded | first post | posts that left by age, by day          configs
//!  3 versions      community | version | the config                                              configs
//!  4 claims        hashtag | community | date                                                    configs
//!  5 joins         community | member | when they first joined                                   records
//!  6 memberships   member | rkey | version | community | active | joined                         records
//!  7 rulings       author | rkey | version | community | subject | …                             records
//!  8 silent        hashtag | author who is shown, and of whom no post is held                    people
//!  9 posts         author | rkey | version | created | hashtags, and the place in each feed      posts
//! 10 orphans       fingerprint | queued at | the orphan                                          stream
//! 11 stream        a cursor, a gap, the clock, or what is counted                                stream
//! 12 end           how many rows each section has                                                here
//! ```
//! Sections come in this order; one that is empty has no chunk, a long one has several. A chunk holds whole rows, one after
//! the other. A person is named by their place in section 1, a community by its place in section 2.
//!
//! What always holds:
//! - the same state gives the same bytes: rows are in the order of the fold's numbers, less those that are free; what comes
//!   out of a hash map is sorted;
//! - only what was told is in here. What follows from it (dockets, members, owners of hashtags, what is hidden and shared,
//!   tallies) is worked out again when it is restored, by the same rules (`derive`), so it cannot contradict them. Whether
//!   a post stands in a ring or waits is told: it depends on when its author was a member;
//! - what was given up is not in here, and stays given up: a post's place in a feed says so, a claim or a version is gone;
//! - reading is safe whatever the bytes: they give a fold whose invariants hold, or an error.
//!
//! A form that changes gets another version; the reader of the old one stays. [`Fold::save`] takes [`Fold`] apart field by
//! field: one that is added does not compile until it is saved, or is said to be derived.

mod bytes;
mod configs;
mod derive;
mod people;
mod posts;
mod records;
mod stream;
mod version;

use super::names::DidIndex;
use super::{Bounds, Fold};
use crate::fact::Change;
use crate::limits::SNAPSHOT_CHUNK_BYTES;
use bytes::{Fault, In, Out};

/// A kind of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    People = 1,
    Communities,
    Versions,
    Claims,
    Joins,
    Memberships,
    Rulings,
    Silent,
    Posts,
    Orphans,
    Stream,
    End,
}

impl Section {
    const ALL: [Self; 12] = [
        Self::People,
        Self::Communities,
        Self::Versions,
        Self::Claims,
        Self::Joins,
        Self::Memberships,
        Self::Rulings,
        Self::Silent,
        Self::Posts,
        Self::Orphans,
        Self::Stream,
        Self::End,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Communities => "communities",
            Self::Versions => "versions",
            Self::Claims => "claims",
            Self::Joins => "joins",
            Self::Memberships => "memberships",
            Self::Rulings => "rulings",
            Self::Silent => "silent",
            Self::Posts => "posts",
            Self::Orphans => "orphans",
            Self::Stream => "stream",
            Self::End => "end",
        }
    }

    /// The form of its rows.
    const fn version(self) -> u8 {
        1
    }
}

/// Where chunks go: section, version, payload.
type Put<'a, E> = dyn FnMut(u8, u8, &[u8]) -> Result<(), E> + 'a;

/// How many rows of each section were written, or read.
type Rows = [u64; Section::ALL.len()];

impl Fold {
    /// Hands the whole state over as chunks of `(section, version, payload)`, in order. A payload has about
    /// [`SNAPSHOT_CHUNK_BYTES`] at most; a single row that is longer stands alone. The bounds are no part of it: whoever
    /// restores says them.
    ///
    /// # Errors
    /// The first that `put` gives.
    pub fn save<E>(&self, put: &mut Put<'_, E>) -> Result<(), E> {
        let Self {
            people,
            posts,
            communities,
            memberships,
            rulings,
            feeds,
            pins: _,    // from the configs
            filings: _, // from the rulings
            stream,
            orphans,
            counts,
            dead_memberships: _, // from the memberships
            dead_rulings: _,     // from the rulings
            bounds: _,
            reached,
            sweep_at,
        } = self;
        let mut chunks = Chunks { put, section: Section::People, payload: Vec::new(), rows: Rows::default() };
        let ranks = Ranks::new(self);
        people::save(people, &mut chunks)?;
        configs::save(communities, feeds, &ranks, &mut chunks)?;
        records::save_joins(communities, &ranks, &mut chunks)?;
        records::save_memberships(memberships, &ranks, &mut chunks)?;
        records::save_rulings(rulings, &ranks, &mut chunks)?;
        people::save_silent(feeds, &ranks, &mut chunks)?;
        posts::save(posts, feeds, &ranks, &mut chunks)?;
        stream::save_orphans(orphans, &mut chunks)?;
        stream::save(stream, counts, reached, *sweep_at, orphans, &mut chunks)?;
        chunks.end()
    }
}

/// The place of each person and community among those that are left, by number.
struct Ranks {
    people: Vec<u32>,
    communities: Vec<u32>,
}

impl Ranks {
    fn new(fold: &Fold) -> Self {
        let rank = |size: usize, live: &mut dyn Iterator<Item = u32>| {
            let mut ranks = vec![u32::MAX; size];
            (0..).zip(live).for_each(|(rank, number)| ranks[number as usize] = rank);
            ranks
        };
        Self {
            people: rank(fold.people.numbers(), &mut fold.people.iter().map(|(did, _)| did.0)),
            communities: rank(fold.communities.numbers(), &mut fold.communities.iter().map(|(number, _)| number)),
        }
    }

    fn did(&self, did: DidIndex) -> u32 {
        self.people[did.0 as usize]
    }

    fn community(&self, number: u32) -> u32 {
        self.communities[number as usize]
    }
}

/// Rows on their way into chunks.
struct Chunks<'a, E> {
    put: &'a mut Put<'a, E>,
    section: Section,
    payload: Vec<u8>,
    rows: Rows,
}

impl<E> Chunks<'_, E> {
    fn row(&mut self, section: Section, write: impl FnOnce(&mut Out<'_>)) -> Result<(), E> {
        if section != self.section || self.payload.len() >= SNAPSHOT_CHUNK_BYTES {
            self.flush()?;
            self.section = section;
        }
        self.rows[section as usize - 1] += 1;
        write(&mut Out(&mut self.payload));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), E> {
        if !self.payload.is_empty() {
            (self.put)(self.section as u8, self.section.version(), &self.payload)?;
            self.payload.clear();
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), E> {
        let rows = self.rows;
        self.row(Section::End, |out| rows.iter().for_each(|&count| out.number(count)))?;
        self.flush()
    }
}

/// A fold that is being restored from the chunks that [`Fold::save`] gave.
#[derive(Debug)]
pub struct Restoring {
    fold: Fold,
    /// Who is shown in a feed without a post.
    silent: Vec<(crate::fact::CommunityId, DidIndex)>,
    section: Section,
    rows: Rows,
}

impl Default for Restoring {
    fn default() -> Self {
        Self::new()
    }
}

impl Restoring {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::with_bounds(Bounds::default())
    }

    /// Nothing yet, of a fold that is to hold no more than `bounds`.
    pub fn with_bounds(bounds: Bounds) -> Self {
        let fold = Fold::with_bounds(bounds);
        Self { fold, silent: Vec::new(), section: Section::People, rows: Rows::default() }
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// What is wrong with it, for the operator. Nothing can be restored then.
    pub fn take(&mut self, section: u8, version: u8, payload: &[u8]) -> Result<(), String> {
        let Some(section) = Section::ALL.into_iter().find(|known| *known as u8 == section) else {
            return Err(format!("section {section} is unknown: it was written by a later program, use that one"));
        };
        let (name, known) = (section.name(), section.version());
        if version != known {
            return Err(format!(
                "section {name} has version {version}, this program reads version {known}: use the program that wrote it"
            ));
        }
        if section < self.section || self.section == Section::End {
            return Err(format!("section {name} comes after section {}", self.section.name()));
        }
        if payload.is_empty() {
            return Err(format!("a chunk of section {name} is empty"));
        }
        self.section = section;
        let mut row = In(payload);
        while !row.is_empty() {
            let taken = self.take_row(section, &mut row);
            let number = &mut self.rows[section as usize - 1];
            taken.map_err(|fault| format!("section {name}, row {number}: {fault}"))?;
            *number += 1;
        }
        Ok(())
    }

    fn take_row(&mut self, section: Section, row: &mut In<'_>) -> Result<(), Fault> {
        match section {
            Section::People => people::take(&mut self.fold.people, row),
            Section::Communities => configs::take(&mut self.fold, row),
            Section::Versions => configs::take_version(&mut self.fold, row),
            Section::Claims => configs::take_claim(&mut self.fold, row),
            Section::Joins => records::take_join(&mut self.fold, row),
            Section::Memberships => records::take_membership(&mut self.fold, row),
            Section::Rulings => records::take_ruling(&mut self.fold, row),
            Section::Silent => people::take_silent(&self.fold.people, row).map(|silent| self.silent.push(silent)),
            Section::Posts => posts::take(&mut self.fold, row),
            Section::Orphans => stream::take_orphan(&mut self.fold.orphans, row),
            Section::Stream => stream::take(&mut self.fold, row),
            Section::End => self.take_end(row),
        }
    }

    fn take_end(&self, row: &mut In<'_>) -> Result<(), Fault> {
        for read in self.rows {
            if row.number()? != read {
                return Err("it counts other rows than were read: a chunk is missing");
            }
        }
        Ok(())
    }

    /// The fold, once all chunks were taken; `changes` gets what builds its view in an empty one.
    ///
    /// # Errors
    /// A part is missing, or two of them contradict each other.
    pub fn finish(self, changes: &mut dyn FnMut(Change)) -> Result<Fold, String> {
        let fold = self.finish_untold()?;
        fold.show(changes);
        Ok(fold)
    }

    /// The fold, once all chunks were taken, where more is folded before anybody reads: [`Fold::show`] tells the view then.
    ///
    /// # Errors
    /// As [`Restoring::finish`].
    pub fn finish_untold(self) -> Result<Fold, String> {
        if self.section != Section::End {
            return Err("the snapshot has no end: a chunk is missing".to_owned());
        }
        let mut fold = self.fold;
        fold.derive(&self.silent)?;
        Ok(fold)
    }
}
