//! `atrarium doctor`: what a server needs to be read by the network, checked in order.
//!
//! Each check says what it saw, and where it fails, what to do. One that needs an earlier one is skipped, plainly, where that
//! failed.

mod checks;
mod upstream;

use std::path::PathBuf;

use atrarium::clock::Clock;
use clap::Args;
use serde::Serialize;

use super::config::File;
use super::outside::{OutsideArgs, block_on};
use super::{DataDir, Failure, print_bytes, print_json};
use checks::Examination;

#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    outside: OutsideArgs,
    /// A Jetstream host; several are tried in turn [default: the public v2 hosts]
    #[arg(long, env = "ATRARIUM_UPSTREAM", value_name = "URL", value_delimiter = ',')]
    upstream: Vec<String>,
    /// Certificates (PEM) of an authority of your own that wss:// hosts may be certified by [default: the public ones]
    #[arg(long, env = "ATRARIUM_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What came of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    check: &'static str,
    /// `None` where it could not be tried.
    ok: Option<bool>,
    says: String,
    /// What to do, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// What a check saw, or why it failed and what to do.
pub type Seen = Result<String, (String, &'static str)>;

impl Finding {
    fn new(check: &'static str, seen: Seen) -> Self {
        match seen {
            Ok(says) => Self { check, ok: Some(true), says, remedy: None },
            Err((says, remedy)) => Self { check, ok: Some(false), says, remedy: Some(remedy) },
        }
    }

    fn skipped(check: &'static str, needs: &str) -> Self {
        Self { check, ok: None, says: format!("skipped: it needs {needs}"), remedy: None }
    }

    fn line(&self) -> String {
        let word = match self.ok {
            Some(true) => "ok  ",
            Some(false) => "FAIL",
            None => "--  ",
        };
        let remedy = self.remedy.map_or(String::new(), |remedy| format!("\n       what to do: {remedy}"));
        format!("{word} {}: {}{remedy}\n", self.check, self.says)
    }
}

/// Runs the command.
pub fn run(args: DoctorArgs, file: &File) -> Result<(), Failure> {
    let clock = Clock::real();
    let identity = args.outside.identity(file)?;
    let http = args.outside.http(file, &clock)?;
    let identities = args.outside.identities(file, std::sync::Arc::clone(&http), &clock)?;
    let data_dir = args.data_dir.or_default(file);
    let upstream = upstream::Upstream::new(&args.upstream, args.upstream_ca.as_deref(), file)?;
    let directory = args.outside.directory(file);
    let mut examination =
        Examination { identity, http, identities, directory, data_dir, clock: clock.clone(), wanted: Vec::new() };
    let json = args.json;
    let mut findings = Vec::new();
    let mut tell = |finding: Finding| {
        if !json {
            print_bytes(finding.line().as_bytes())?;
        }
        findings.push(finding);
        Ok::<(), Failure>(())
    };
    tell(Finding::new("clock", block_on(examination.clock())?))?;
    tell(Finding::new("data directory", examination.data_directory()))?;
    tell(Finding::new("upstream", upstream.moves(&clock)))?;
    block_on(async {
        let reached = examination.public_url().await;
        let is_reached = reached.is_ok();
        tell(Finding::new("public URL", reached))?;
        tell(match is_reached {
            true => Finding::new("did.json", examination.did_document().await),
            false => Finding::skipped("did.json", "the public URL"),
        })?;
        tell(Finding::new("service DID", examination.service_did().await))?;
        tell(Finding::new("publisher's records", examination.records().await))?;
        tell(match is_reached {
            true => Finding::new("skeleton", examination.skeleton().await),
            false => Finding::skipped("skeleton", "the public URL"),
        })
    })??;
    let count = |ok: Option<bool>| findings.iter().filter(|finding| finding.ok == ok).count();
    let (failed, skipped) = (count(Some(false)), count(None));
    let is_well = failed + skipped == 0;
    if json {
        print_json(&serde_json::json!({ "ok": is_well, "checks": findings }))?;
    }
    match is_well {
        true => Ok(()),
        false if json => Err(Failure::silent(1)),
        false => {
            let all = findings.len();
            Err(Failure::failed(format!(
                "of {all} checks {failed} failed and {skipped} were skipped: see what to do for each"
            )))
        }
    }
}
