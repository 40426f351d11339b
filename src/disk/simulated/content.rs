//! The bytes of one simulated file: what is stored, what is seen, and what stands between them.

use std::collections::BTreeSet;
use std::ops::Range;

use fastrand::Rng;

/// The unit in which a disk stores, in bytes.
const SECTOR_BYTES: usize = 512;

/// One file's bytes.
#[derive(Debug, Default)]
pub(super) struct Content {
    stored: Vec<u8>,
    seen: Vec<u8>,
    /// What was written since the last sync.
    pending: Vec<Write>,
    /// How many writes were pending once, and are no more.
    settled: u64,
}

#[derive(Debug)]
pub(super) enum Write {
    Bytes(usize, Vec<u8>),
    Size(usize),
}

impl Write {
    /// Does to `bytes`, which stand at `start` of the file, what this does to the whole file.
    fn apply(&self, start: usize, bytes: &mut [u8]) {
        match self {
            Self::Bytes(offset, new) => {
                let from = (*offset).max(start);
                let to = (offset + new.len()).min(start + bytes.len());
                if from < to {
                    bytes[from - start..to - start].copy_from_slice(&new[from - offset..to - offset]);
                }
            }
            Self::Size(size) => {
                let from = size.saturating_sub(start).min(bytes.len());
                bytes[from..].fill(0);
            }
        }
    }

    fn size(&self, before: usize) -> usize {
        match self {
            Self::Bytes(offset, new) => before.max(offset + new.len()),
            Self::Size(size) => *size,
        }
    }

    fn range(&self, end: usize) -> Range<usize> {
        match self {
            Self::Bytes(offset, new) => *offset..offset + new.len(),
            Self::Size(size) => *size..end.max(*size),
        }
    }
}

impl Content {
    /// A file that is on the disk already.
    pub(super) fn stored(bytes: Vec<u8>) -> Self {
        Self { stored: bytes.clone(), seen: bytes, ..Self::default() }
    }

    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn forget_cache(&mut self) {
        self.seen = self.after(self.pending.len());
    }

    pub(super) fn push(&mut self, write: Write) {
        let size = write.size(self.seen.len());
        self.seen.resize(size, 0);
        write.apply(0, &mut self.seen);
        self.pending.push(write);
    }

    /// The content after the first `count` pending writes.
    fn after(&self, count: usize) -> Vec<u8> {
        let mut bytes = self.stored.clone();
        for write in &self.pending[..count] {
            bytes.resize(write.size(bytes.len()), 0);
            write.apply(0, &mut bytes);
        }
        bytes
    }

    /// The number of the next write: a sync that begins now is about all before it.
    pub(super) fn written(&self) -> u64 {
        self.settled + self.pending.len() as u64
    }

    /// Makes certain what was written before the write of number `upto`.
    pub(super) fn sync(&mut self, upto: u64) {
        let count = self.pending_before(upto);
        self.stored = self.after(count);
        self.settle(count);
    }

    /// A part of it reaches the disk, the rest never will, and the page cache goes on showing all of it.
    pub(super) fn fail_sync(&mut self, upto: u64, rng: &mut Rng) {
        let count = self.pending_before(upto);
        self.stored = self.survivors(&self.pending[..count], rng);
        self.settle(count);
    }

    pub(super) fn power_cut(&mut self, rng: &mut Rng) {
        self.stored = self.survivors(&self.pending, rng);
        self.settle(self.pending.len());
        self.seen = self.stored.clone();
    }

    fn pending_before(&self, upto: u64) -> usize {
        (upto.saturating_sub(self.settled) as usize).min(self.pending.len())
    }

    fn settle(&mut self, count: usize) {
        self.pending.drain(..count);
        self.settled += count as u64;
    }

    /// The content of which some of `pending` are part.
    fn survivors(&self, pending: &[Write], rng: &mut Rng) -> Vec<u8> {
        let count = pending.len();
        if count == 0 || rng.u8(0..4) == 0 {
            return self.after(rng.usize(0..=count)); // now and then a disk is orderly
        }
        let size_after = rng.usize(0..=count);
        let size = pending[..size_after].iter().fold(self.stored.len(), |size, write| write.size(size));
        let end = pending.iter().fold(self.stored.len(), |end, write| end.max(write.size(end)));
        let mut bytes = self.stored.clone();
        bytes.resize(end, 0);
        let touched: BTreeSet<usize> = pending.iter().flat_map(|write| sectors(write.range(end))).collect();
        for sector in touched {
            let start = sector * SECTOR_BYTES;
            let stop = (start + SECTOR_BYTES).min(end);
            survive_sector(pending, start, &mut bytes[start..stop], rng);
        }
        bytes.resize(size, 0);
        bytes
    }
}

/// One sector of what survives: old, new, something between, torn, or garbage where it was written.
fn survive_sector(pending: &[Write], start: usize, old: &mut [u8], rng: &mut Rng) {
    let mut new = old.to_vec();
    let luck = rng.u8(0..10);
    let count = if luck == 0 { rng.usize(0..=pending.len()) } else { pending.len() };
    for write in &pending[..count] {
        write.apply(start, &mut new);
    }
    match luck {
        1 | 2 => {}
        3 => {
            let torn = rng.usize(0..=old.len());
            old[..torn].copy_from_slice(&new[..torn]);
        }
        4 => spoil(pending, start, old, rng),
        _ => old.copy_from_slice(&new),
    }
}

/// Garbage in those bytes of a sector that were written.
fn spoil(pending: &[Write], start: usize, sector: &mut [u8], rng: &mut Rng) {
    let stop = start + sector.len();
    for write in pending {
        if let Write::Bytes(offset, bytes) = write {
            let range = (*offset).clamp(start, stop)..(offset + bytes.len()).clamp(start, stop);
            sector[range.start - start..range.end - start].fill_with(|| rng.u8(..));
        }
    }
}

fn sectors(range: Range<usize>) -> Range<usize> {
    if range.is_empty() { 0..0 } else { range.start / SECTOR_BYTES..(range.end - 1) / SECTOR_BYTES + 1 }
}
