//! Mixed pages by example: sources given as plain numbers, a source's posts named after it.

use super::*;

/// Posts `o0, o1, …` of own, `p…`, `g…`, so many of each, all sources interleaved in time.
fn mixed(shares: Each<i64>, counts: Each<usize>) -> Mixed {
    let source = |source: usize| {
        let place = |at: usize| (1000 - (3 * at + source) as i64, format!("{}{at}", ["o", "p", "g"][source]));
        (0..counts[source]).map(place).collect()
    };
    Mixed { shares, parent: Some("0000000a".into()), sources: [source(0), source(1), source(2)] }
}

fn counts(page: &[String]) -> Each<usize> {
    ["o", "p", "g"].map(|name| page.iter().filter(|uri| uri.starts_with(name)).count())
}

#[test]
fn a_page_is_its_shares_merged_by_time() {
    let (page, _) = mixed([6000, 2000, 2000], [9, 9, 9]).page(5, None);
    assert_eq!(page, ["o0", "p0", "g0", "o1", "o2"]);
}

#[test]
fn what_is_owed_is_carried() {
    let pages = mixed([5000, 2500, 2500], [9, 9, 9]).pages(&[1]);
    let first: Vec<&str> = pages.iter().take(8).map(|page| page[0].as_str()).collect();
    assert_eq!(first, ["o0", "p0", "g0", "o1", "o2", "p1", "g1", "o3"]);
}

#[test]
fn a_short_source_gives_its_share_away_and_is_owed_nothing() {
    let mixed = mixed([8000, 1000, 1000], [30, 0, 9]);
    let pages = mixed.pages(&[10]);
    let all: Vec<_> = pages.iter().map(|page| counts(page)).collect();
    assert_eq!(all, [[9, 0, 1], [9, 0, 1], [9, 0, 1], [3, 0, 6]]);
}

#[test]
fn a_source_without_a_share_never_appears() {
    assert_eq!(mixed([10_000, 0, 0], [3, 9, 9]).pages(&[50]), [["o0", "o1", "o2"]]);
    assert!(mixed([0, 10_000, 0], [3, 0, 9]).page(50, None).0.is_empty());
}

#[test]
fn a_source_that_gets_a_share_later_starts_behind_all_that_was_read() {
    let before = mixed([10_000, 0, 0], [9, 9, 9]);
    let (_, reader) = before.page(3, None);
    let (page, _) = Mixed { shares: [5000, 5000, 0], ..before }.page(4, reader.as_ref());
    assert_eq!(page, ["p2", "o3", "p3", "o4"], "o2 was the last: p2 is older, p0 and p1 are newer");
}

#[test]
fn another_parent_lets_neither_source_go_back() {
    let before = mixed([0, 2500, 7500], [0, 9, 9]);
    let (page, reader) = before.page(4, None);
    assert_eq!(page, ["p0", "g0", "g1", "g2"]);
    let (page, _) = Mixed { parent: None, ..before }.page(4, reader.as_ref());
    assert_eq!(page, ["p3", "g3", "g4", "g5"], "p1 and p2 are newer than g2, and may have been read as global");
}
