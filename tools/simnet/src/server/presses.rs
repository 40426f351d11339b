//! The dictionaries of a host, and the frames made with them.
//!
//! In: the dictionaries that were given. Out: a [`Press`] for each subscription that asks for compression, and the
//! dictionary that `getZstdDictionary` answers with.
//!
//! Always: v2 has one current dictionary; an id that is not its own is refused, never served.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::query::{Refusal, Zstd};
use crate::dictionary::Dictionary;
use crate::event::Dialect;
use crate::press::Press;

pub(super) struct Presses {
    given: [Option<Dictionary>; 2],
    v1: OnceLock<Press>,
    /// The first dictionary of v2, and its successor.
    v2: [OnceLock<Press>; 2],
    current: AtomicUsize,
}

impl Presses {
    /// Of the dictionaries that were given for v1 and v2; where there is none, simnet's own is trained when it is asked for.
    pub fn new(v1: Option<Dictionary>, v2: Option<Dictionary>) -> Self {
        Self { given: [v1, v2], v1: OnceLock::new(), v2: [const { OnceLock::new() }; 2], current: AtomicUsize::new(0) }
    }

    fn first(&self, dialect: Dialect) -> Dictionary {
        let given = match dialect {
            Dialect::V1 => &self.given[0],
            Dialect::V2 => &self.given[1],
        };
        given.clone().unwrap_or_else(|| Dictionary::of_simnet(dialect))
    }

    /// The press of a dialect, with its current dictionary.
    pub fn current(&self, dialect: Dialect) -> &Press {
        match dialect {
            Dialect::V1 => self.v1.get_or_init(|| Press::new(dialect, self.first(dialect))),
            Dialect::V2 => {
                let number = self.current.load(Ordering::Acquire) % 2;
                self.v2[number].get_or_init(|| {
                    let first = self.first(dialect);
                    Press::new(dialect, if number == 0 { first } else { first.successor() })
                })
            }
        }
    }

    /// Retires the current dictionary of v2. There are two, which take turns.
    pub fn retire(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
    }

    /// The press that a subscription asks for.
    pub fn asked(&self, zstd: Zstd) -> Result<&Press, Refusal> {
        let Zstd::Named(id) = zstd else { return Ok(self.current(Dialect::V1)) };
        let press = self.current(Dialect::V2);
        let current = press.dictionary().id();
        if id == current {
            return Ok(press);
        }
        Err(Refusal::new(
            400,
            "UnknownZstdDictionary",
            format!(
                "unknown zstd dictionary id {id}; current dictionary id is {current} (fetch it via getZstdDictionary and \
                 reconnect)"
            ),
        ))
    }

    /// What `getZstdDictionary` answers with.
    pub fn dictionary(&self, id: Option<u32>) -> Result<&Dictionary, Refusal> {
        let dictionary = self.current(Dialect::V2).dictionary();
        match id {
            Some(id) if id != dictionary.id() => Err(Refusal::new(
                404,
                "DictionaryNotFound",
                format!("no dictionary with id {id}; current dictionary id is {}", dictionary.id()),
            )),
            _ => Ok(dictionary),
        }
    }
}
