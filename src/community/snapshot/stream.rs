//! The stream and what is counted; orphans, in the order in which they came.
//!
//! ```text
//! row of the stream   0 cursor: host | dialect | value | time        1 gap: witnessed | host | reason | DID (optional)
//!                     2 gaps seen | latest witnessed | clock          3 late | sweep at      4 a bound's name | reached
//!                     5 the latest stream time of any orphan
//! orphan              fingerprint | queued at | 0 stale, 1 updated, 2 deleted | rev | witnessed
//! ```

use super::bytes::{Fault, In, Out};
use super::{Chunks, Section};
use crate::community::Fold;
use crate::community::bounds::Reached;
use crate::community::stream::Stream;
use crate::community::summary::Counts;
use crate::fact::{Cursor, Dialect, Gap, GapReason, Host};
use crate::filter::{Orphans, Queued};
use crate::limits::{GAPS_KEPT_MAX, ORPHANS_MAX};
use crate::syntax::{Fingerprint, Orphan, OrphanKind};
use crate::telemetry::Bound;

pub(super) fn save<E>(
    stream: &Stream,
    counts: &Counts,
    reached: &Reached,
    sweep_at: usize,
    orphans: &Orphans,
    chunks: &mut Chunks<'_, E>,
) -> Result<(), E> {
    let Stream { cursors, gaps, gaps_seen, latest_witnessed, clock } = stream;
    for cursor in cursors.values() {
        chunks.row(Section::Stream, |out| put_cursor(out, cursor))?;
    }
    for gap in gaps {
        chunks.row(Section::Stream, |out| put_gap(out, gap))?;
    }
    chunks.row(Section::Stream, |out| {
        out.byte(2);
        out.number(*gaps_seen);
        out.optional_time(*latest_witnessed);
        out.optional_time(*clock);
    })?;
    // The others are counted again as what they count is restored.
    let Counts { communities: _, places: _, in_rings: _, late } = counts;
    chunks.row(Section::Stream, |out| {
        out.byte(3);
        out.number(*late);
        out.number(sweep_at as u64);
    })?;
    chunks.row(Section::Stream, |out| {
        out.byte(5);
        out.time(orphans.latest());
    })?;
    for &bound in Bound::ALL {
        chunks.row(Section::Stream, |out| {
            out.byte(4);
            out.text(bound.as_str());
            out.number(reached.of(bound));
        })?;
    }
    Ok(())
}

pub(super) fn take(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    match row.byte()? {
        0 => {
            let cursor = take_cursor(row)?;
            let of = (cursor.host.clone(), cursor.dialect);
            let before = fold.stream.cursors.insert(of, cursor);
            before.map_or(Ok(()), |_| Err("a host has two cursors of one dialect"))
        }
        1 => {
            let gap = take_gap(row)?;
            if fold.stream.gaps.len() == GAPS_KEPT_MAX {
                return Err("there are more gaps than are kept");
            }
            fold.stream.gaps.push_back(gap);
            Ok(())
        }
        2 => {
            fold.stream.gaps_seen = row.counter()?;
            fold.stream.latest_witnessed = row.optional_time()?;
            fold.stream.clock = row.optional_time()?;
            Ok(())
        }
        3 => {
            fold.counts.late = row.counter()?;
            fold.sweep_at = usize::try_from(row.counter()?).map_err(|_| "a counter is out of range")?;
            Ok(())
        }
        4 => {
            let name = row.text()?;
            let bound = Bound::ALL.iter().find(|bound| bound.as_str() == name).ok_or("a bound is unknown")?;
            fold.reached.restore(*bound, row.counter()?);
            Ok(())
        }
        5 => {
            fold.orphans.restore_latest(row.time()?);
            Ok(())
        }
        _ => Err("a row is of an unknown kind"),
    }
}

fn put_cursor(out: &mut Out<'_>, Cursor { host, dialect, value, time }: &Cursor) {
    out.byte(0);
    out.text(host.as_str());
    out.flag(*dialect == Dialect::V2);
    out.number(*value);
    out.time(*time);
}

fn take_cursor(row: &mut In<'_>) -> Result<Cursor, Fault> {
    let host = Host::new(row.text()?);
    let dialect = if row.flag()? { Dialect::V2 } else { Dialect::V1 };
    Ok(Cursor { host, dialect, value: row.number()?, time: row.time()? })
}

fn put_gap(out: &mut Out<'_>, Gap { witnessed, host, did, reason }: &Gap) {
    out.byte(1);
    out.time(*witnessed);
    out.text(host.as_str());
    out.text(reason.as_str());
    out.optional(did.as_ref(), |out, did| out.text(did.as_str()));
}

fn take_gap(row: &mut In<'_>) -> Result<Gap, Fault> {
    let witnessed = row.time()?;
    let host = Host::new(row.text()?);
    let name = row.text()?;
    let reason =
        GapReason::ALL.into_iter().find(|reason| reason.as_str() == name).ok_or("a gap's reason is unknown")?;
    let did = row.optional(|row| row.parsed("a DID breaks its syntax"))?;
    Ok(Gap { witnessed, host, did, reason })
}

pub(super) fn save_orphans<E>(orphans: &Orphans, chunks: &mut Chunks<'_, E>) -> Result<(), E> {
    for Queued { fingerprint, queued, orphan } in orphans.queue() {
        chunks.row(Section::Orphans, |out| {
            out.word(fingerprint.number());
            out.time(queued);
            let Some(Orphan { rev, kind, witnessed }) = orphan else { return out.byte(0) };
            out.byte(if kind == OrphanKind::Deleted { 2 } else { 1 });
            out.tid(rev);
            out.time_near(witnessed, queued);
        })?;
    }
    Ok(())
}

pub(super) fn take_orphan(orphans: &mut Orphans, row: &mut In<'_>) -> Result<(), Fault> {
    let fingerprint = Fingerprint::from_number(row.word()?);
    let queued = row.time()?;
    let kind = match row.byte()? {
        0 => None,
        1 => Some(OrphanKind::Updated),
        2 => Some(OrphanKind::Deleted),
        _ => return Err("an orphan is of an unknown kind"),
    };
    let mut orphan =
        |kind| -> Result<Orphan, Fault> { Ok(Orphan { rev: row.tid()?, kind, witnessed: row.time_near(queued)? }) };
    let orphan = kind.map(&mut orphan).transpose()?;
    orphans.restore(Queued { fingerprint, queued, orphan });
    if orphans.queued() > ORPHANS_MAX { Err("there are more orphans than are kept") } else { Ok(()) }
}
