//! A snapshot of the fold from any bytes: an error, or a fold that is sound, goes on, and saves as itself.
//!
//! Input: a seed of what is folded after it (1 byte), then chunks: section, version (1 byte each), length (2), payload; the
//! last may be cut.
#![no_main]

#[path = "../../tests/fold_support/mod.rs"]
mod fold_support;

use atrarium::community::{Fold, Restoring};
use atrarium_fuzz::{take_u8, take_u16};
use fold_support::history::history;
use fold_support::oracle::Oracle;
use libfuzzer_sys::fuzz_target;

type Chunk = (u8, u8, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let seed = take_u8(&mut data);
    let mut chunks: Vec<Chunk> = Vec::new();
    while !data.is_empty() {
        let (section, version, length) = (take_u8(&mut data), take_u8(&mut data), usize::from(take_u16(&mut data)));
        let (payload, rest) = data.split_at(length.min(data.len()));
        data = rest;
        chunks.push((section, version, payload.to_vec()));
    }
    let Ok((mut fold, mut oracle)) = restored(&chunks) else { return };
    oracle.assert_shared();
    let saved = saved(&fold);
    let (again, _) = restored(&saved).expect("what is saved is restored");
    assert_eq!(self::saved(&again), saved, "the same state gives the same bytes");
    // Each fact is a difference to what readers were told, which the oracle holds it to.
    let mut changes = Vec::new();
    for fact in history(u64::from(seed), 40) {
        fold.apply(&fact, &mut changes);
        changes.drain(..).for_each(|change| oracle.apply(&change));
    }
    oracle.assert_shared();
    restored(&self::saved(&fold)).expect("what is saved is restored");
});

fn restored(chunks: &[Chunk]) -> Result<(Fold, Oracle), String> {
    let (mut restoring, mut oracle) = (Restoring::new(), Oracle::default());
    for (section, version, payload) in chunks {
        restoring.take(*section, *version, payload)?;
    }
    let mut changes = Vec::new();
    let fold = restoring.finish(&mut |change| changes.push(change))?;
    changes.iter().for_each(|change| oracle.apply(change));
    Ok((fold, oracle))
}

fn saved(fold: &Fold) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let saved: Result<(), ()> = fold.save(&mut |section, version, payload| {
        chunks.push((section, version, payload.to_vec()));
        Ok(())
    });
    saved.expect("nothing fails here");
    chunks
}
