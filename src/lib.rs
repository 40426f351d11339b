//! Atrarium: an in-memory feed engine with a write-ahead log, for communities on AT Protocol.
//!
//! This page is the map. It says which room holds what, who may import whom, and what always holds.
//!
//! ```text
//! Jetstream ──► reader ──► sieve ──► lanes ──► worker ──► committer ──► view ◄── HTTP readers
//!               sockets    which     SPSC      parse,     log, fold     lock-     hyper
//!               sessions   matter    rings     validate                 free
//! ```
//!
//! # The floors
//!
//! A file imports lower floors or its own folder; `tests/floors.rs` holds this.
//!
//! | floor | rooms |
//! |---|---|
//! | 0 | [`limits`] every bound · [`clock`] the only time · [`syntax`] the protocol's words, and steps over JSON for what is read of every frame · [`telemetry`] what is counted · `sync` atomics, or loom's |
//! | 1 | [`ring`] SPSC, the only unsafe code · [`disk`] the only file system · `trust` whom TLS trusts |
//! | 2 | [`wire`] sessions and events · [`filter`] which frames matter · [`fact`] what is kept · [`log`] bytes and LSNs · [`lexicon`] records held against `lexicons/` · [`identity`] who somebody is: DIDs, keys, tokens, and the only dialer |
//! | 3 | [`community`] the fold: the rules · [`view`] what readers see · [`publish`] the generator records of all communities |
//! | 4 | [`ingest`] reader, sieve, lanes, worker, committer · `serve` HTTP and the admin listener |
//! | 5 | [`engine`] puts it together; the only place that starts threads |
//! | 6 | the `atrarium` command |
//!
//! # What always holds
//!
//! - **The log is all there is.** State is `fold(log)`, and the fold reads no clock, does no I/O and draws no random number.
//! - **Durable before visible.** A fact is folded and published after its batch is on disk ([`ingest::committer`]).
//! - **The cursor never leads the data.** It is the least of the last position tokens of all rings ([`ingest::lanes`]).
//! - **No order of arrival changes a feed** ([`community`]), within 2 hours of stream time.
//! - **A reader never waits for the writer, nor the writer for a reader** ([`view`]).
//! - **Nothing is dropped uncounted.** A full ring, or a full disk, stops the reading of the socket; every refusal has a
//!   [`Reason`](telemetry::Reason).
//!
//! # Words
//!
//! **frame** one message of the stream · **event** what it tells · **fact** what is kept of it · **batch** facts that become
//! durable together · **log**, **segment**, **mark**, **LSN**, **snapshot**, **chunk**, **retention**, **salvage**, **hole** see [`log`] · **errand** what
//! takes the disk its time ([`ingest::committer`]) · **fold** the function from log to state ·
//! **view** what readers see · **page**, **skeleton** what they are answered · **cursor** of the stream or of a page: say
//! which · **community**, **config**, **member**, **action** DESIGN §3, and [`community`] · **witnessed** stream time ·
//! **token** of the stream's position ([`ingest::lanes`]) or of a caller ([`identity`]): say which · **gate**, **judges** where a
//! caller's token is looked up, and who finds out whether it holds ([`identity`]) · **prefilter** may be wrong one way · **match** is right · **orphan** a delete or untagged update that came before its
//! create · **run** messages that lie one behind the other, taken together ([`wire::session`]) · **source**, **share** what a page is mixed of ([`view`]) · **bound** what is given up there is counted ([`limits`]) · **claim**, **tenure**, **made**, **tombstone** see [`community`].
//!
//! # Without the server
//!
//! With `--no-default-features` everything but `serve` and the running engine builds, without hyper, tokio or clap: loom,
//! sanitizers and fuzzing stay cheap.
#![deny(unsafe_code)]

pub mod clock;
pub mod community;
pub mod disk;
pub mod engine;
pub mod fact;
pub mod filter;
pub mod identity;
pub mod ingest;
pub mod lexicon;
pub mod limits;
pub mod log;
pub mod publish;
pub mod ring;
#[cfg(feature = "server")]
pub mod serve;
mod sync;
pub mod syntax;
pub mod telemetry;
#[cfg(feature = "server")]
pub mod trust;
pub mod view;
pub mod wire;
