//! Where fuzzing begins: what a network of `simnet` sends, in the form that each target of `fuzz/` reads.
//!
//! ```text
//! cargo run -p seeds -- DIR [SEED]      DIR/event/…, DIR/session/…, one file for each seed
//! ```
//! Other seeds of the network give other files. The forms are those that the first lines of each target name.
#![forbid(unsafe_code)]

mod bytes;
mod frames;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use frames::Frames;

/// The seeds of one target.
type Seeds = Vec<Vec<u8>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (dir, seed) = match arguments.as_slice() {
        [dir] => (dir, Some(1)),
        [dir, seed] => (dir, seed.parse().ok()),
        _ => return usage(),
    };
    let Some(seed) = seed else { return usage() };
    match write_all(Path::new(dir), seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write seeds to {dir}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: seeds DIR [SEED]");
    ExitCode::from(2)
}

fn write_all(dir: &Path, seed: u64) -> io::Result<()> {
    let frames = Frames::of_network(seed);
    for (target, seeds) in [
        ("event", frames.single()),
        ("sieve", frames.lines()),
        ("session", bytes::sessions(&frames)),
        ("fetch", bytes::answers()),
        ("zstd", bytes::contents(&frames)),
        ("record", frames.records()),
        ("batch", frames.batches()),
        ("snapshot", frames.snapshots()),
        ("log", bytes::logs(&frames, seed)),
        ("cursor", bytes::cursors()),
        ("syntax", bytes::words(&frames)),
        ("fold", bytes::noise(seed)),
        ("identity", bytes::identities()),
        ("http", bytes::requests()),
    ] {
        let folder = dir.join(target);
        fs::create_dir_all(&folder)?;
        for (at, bytes) in seeds.iter().enumerate() {
            fs::write(path(&folder, seed, at), bytes)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}

fn path(folder: &Path, seed: u64, at: usize) -> PathBuf {
    folder.join(format!("seed-{seed}-{at:04}"))
}
