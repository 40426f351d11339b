//! `atrarium publish`: the feeds' records in the publisher's repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use atrarium::clock::Clock;
use atrarium::community::Fold;
use atrarium::identity::Http;
use atrarium::identity::resolver::Missing;
use atrarium::limits::{AVATAR_BYTES_MAX, PUBLISH_WRITES_PER_CALL};
use atrarium::publish::{About, Pds, PdsError, Plan, Points, Step, Wanted, plan};
use atrarium::syntax::{Did, Time};
use clap::Args;
use serde_json::json;

use super::config::File;
use super::outside::{OutsideArgs, block_on};
use super::{DataDir, Failure, offline, print_bytes, print_json, progress};

/// What was spent is kept here, in the data directory.
const POINTS_FILE: &str = "publish-points.json";
const PASSWORD: &str = "ATRARIUM_PUBLISHER_PASSWORD";

#[derive(Args)]
#[command(
    after_help = "The publisher's app password is read from the environment, ATRARIUM_PUBLISHER_PASSWORD, or from \
                        --password-file. A run that was stopped is gone on with by running again."
)]
pub struct PublishArgs {
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    outside: OutsideArgs,
    /// The publisher's PDS [default: as the publisher's DID document says]
    #[arg(long, env = "ATRARIUM_PDS", value_name = "URL")]
    pds: Option<String>,
    /// A file that holds the publisher's app password
    #[arg(long, env = "ATRARIUM_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Show what would be done, and do nothing; no password is needed
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Remove no records, though their communities are not served any more
    #[arg(long)]
    keep: bool,
    /// Where the PDS's points are spent, wait for more instead of stopping
    #[arg(long)]
    wait: bool,
    /// A picture for all feeds: PNG or JPEG, at most 1 MB
    #[arg(long, value_name = "FILE")]
    avatar: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &PublishArgs, file: &File) -> Result<(), Failure> {
    let identity = args.outside.identity(file)?;
    let (fold, _) = offline::load(&args.data_dir, file)?;
    let wanted = wanted(&fold);
    drop(fold);
    let clock = Clock::real();
    let http = args.outside.http(file, &clock)?;
    let points_file = args.data_dir.or_default(file).join(POINTS_FILE);
    let (publisher, service) = (identity.publisher_did, identity.service_did);
    block_on(Publishing { args, file, http, clock, publisher, points_file }.run(service, &wanted))?
}

/// The communities that are served, as their feeds are published.
pub fn wanted(fold: &Fold) -> Vec<Wanted> {
    let served = fold.communities(fold.latest_witnessed().unwrap_or(Time::EPOCH)).into_iter();
    served
        .map(|community| Wanted {
            id: community.id,
            name: community.name.into(),
            description: community.description.map(Into::into),
        })
        .collect()
}

/// A run.
struct Publishing<'a> {
    args: &'a PublishArgs,
    file: &'a File,
    http: Arc<dyn Http>,
    clock: Clock,
    publisher: Did,
    points_file: PathBuf,
}

impl Publishing<'_> {
    async fn run(self, service: Did, wanted: &[Wanted]) -> Result<(), Failure> {
        let args = self.args;
        let (url, is_given) = match &args.pds {
            Some(url) => (url.clone(), true),
            None => (self.find_pds().await?, false),
        };
        let mut pds = Pds::new(Arc::clone(&self.http), &url, is_given);
        let avatar = args.avatar.as_deref().map(picture).transpose()?;
        if !args.dry_run {
            let account = pds.log_in(self.publisher.as_str(), &password(args)?).await.map_err(Failure::failed)?;
            if account != self.publisher {
                return Err(Failure::failed(format!("the PDS let in {account}, not {}", self.publisher)));
            }
        }
        let avatar = match avatar.filter(|_| !args.dry_run) {
            Some((bytes, kind)) => Some(pds.upload(&bytes, kind).await.map_err(Failure::failed)?),
            None => None,
        };
        let known = pds.records(&self.publisher).await.map_err(Failure::failed)?;
        let about = About { service, avatar, now: Time::from_micros(self.clock.wall_micros()) };
        let plan = plan(&known, wanted, &about, !args.keep);
        if args.dry_run {
            return self.tell(&plan, 0, None);
        }
        let (done, result) = self.write(&mut pds, &plan).await;
        let told = self.tell(&plan, done, result.as_ref().err().map(|failure| failure.line.as_str()));
        result.and(told)
    }

    async fn find_pds(&self) -> Result<String, Failure> {
        let identities = self.args.outside.identities(self.file, Arc::clone(&self.http), &self.clock)?;
        let unknown = |why: &dyn std::fmt::Display| {
            let publisher = &self.publisher;
            Failure::failed(format!(
                "the PDS of {publisher} is not known ({why}): give --pds, or mend its DID document"
            ))
        };
        let document = identities.document(&self.publisher).await.map_err(|missing| {
            unknown(&match missing {
                Missing::Absent => "there is no such DID",
                Missing::Failed => "its directory or host does not answer as it should",
            })
        })?;
        document.pds.clone().ok_or_else(|| unknown(&"its DID document names none"))
    }

    /// Writes the steps, call by call. Gives how many were written.
    async fn write(&self, pds: &mut Pds<Arc<dyn Http>>, plan: &Plan) -> (usize, Result<(), Failure>) {
        let bar = progress::things("publishing", plan.steps.len() as u64);
        let mut done = 0;
        let result = async {
            for steps in plan.steps.chunks(PUBLISH_WRITES_PER_CALL) {
                self.take_points(steps, &bar).await?;
                pds.write(&self.publisher, steps).await.map_err(|error| explained(&error))?;
                done += steps.len();
                bar.set_position(done as u64);
            }
            Ok(())
        }
        .await;
        bar.finish_and_clear();
        (done, result)
    }

    /// Takes the points of some steps, before they are spent: a run that ends in between has taken too many, never too few.
    async fn take_points(&self, steps: &[Step], bar: &indicatif::ProgressBar) -> Result<(), Failure> {
        let cost = steps.iter().map(|step| step.change.points()).sum();
        loop {
            let mut points = self.points()?;
            let now = self.clock.wall_micros().div_euclid(1_000_000);
            let at = points.available_at(now, cost);
            if at <= now {
                points.spend(now, cost);
                return self.keep(&points);
            }
            let time = Time::from_millis(at.saturating_mul(1000));
            if !self.args.wait {
                return Err(Failure::failed(format!(
                    "the PDS's points for writes are spent until {time}: run this again then, or with --wait"
                )));
            }
            bar.set_message(format!("waiting until {time} for points"));
            tokio::time::sleep(std::time::Duration::from_secs((at - now).clamp(1, 60).unsigned_abs())).await;
            bar.set_message("publishing");
        }
    }

    fn points(&self) -> Result<Points, Failure> {
        let path = self.points_file.display();
        match std::fs::read(&self.points_file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Failure::failed(format!("{path} is not what publish wrote ({error}): remove it"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Points::default()),
            Err(error) => Err(Failure::failed(format!("cannot read {path}: {error}"))),
        }
    }

    fn keep(&self, points: &Points) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("cannot write {}: {error}", self.points_file.display()))
        };
        let aside = self.points_file.with_extension("new");
        let bytes = serde_json::to_vec(points).map_err(|error| failed(&error))?;
        std::fs::write(&aside, bytes)
            .and_then(|()| std::fs::rename(&aside, &self.points_file))
            .map_err(|error| failed(&error))
    }

    fn tell(&self, plan: &Plan, done: usize, stopped: Option<&str>) -> Result<(), Failure> {
        let counts = |word: &str| plan.steps.iter().filter(|step| step.to_string().starts_with(word)).count();
        let (create, update, delete) = (counts("+"), counts("~"), counts("-"));
        let (unchanged, foreign, points) = (plan.unchanged, plan.foreign, plan.points());
        if self.args.json {
            let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
            return print_json(&json!({
                "dry_run": self.args.dry_run, "create": create, "update": update, "delete": delete, "unchanged": unchanged,
                "foreign": foreign, "points": points, "done": done, "stopped": stopped,
                "steps": if self.args.dry_run { steps } else { Vec::new() },
            }));
        }
        let mut out = String::new();
        if self.args.dry_run {
            plan.steps.iter().for_each(|step| out += &format!("{step}\n"));
        }
        out += &format!(
            "{create} to create, {update} to update, {delete} to remove, {unchanged} as they should be, {foreign} of others; {points} points\n"
        );
        if !self.args.dry_run {
            out += &format!("{done} of {} written\n", plan.steps.len());
        }
        print_bytes(out.as_bytes())
    }
}

/// What to do after a write that failed.
fn explained(error: &PdsError) -> Failure {
    match error {
        PdsError::Dial { .. } => Failure::failed(format!(
            "{error}; whether it was done will show: run this again, it goes on where this ended"
        )),
        _ => Failure::failed(format!("{error}; run this again, it goes on where this ended")),
    }
}

fn password(args: &PublishArgs) -> Result<String, Failure> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        text.map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))
    };
    let password = args.password_file.as_ref().map(read).transpose()?.or_else(|| std::env::var(PASSWORD).ok());
    let password = password.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    password.ok_or_else(|| {
        Failure::usage(format!(
            "no password: set {PASSWORD} or give --password-file (an app password of the publisher)"
        ))
    })
}

/// A picture and its type.
fn picture(path: &Path) -> Result<(Vec<u8>, &'static str), Failure> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| Failure::failed(format!("cannot read {name}: {error}")))?;
    if bytes.len() > AVATAR_BYTES_MAX {
        return Err(Failure::usage(format!("{name} has {} bytes: at most {AVATAR_BYTES_MAX} are taken", bytes.len())));
    }
    match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Ok((bytes, "image/png")),
        [0xff, 0xd8, 0xff, ..] => Ok((bytes, "image/jpeg")),
        _ => Err(Failure::usage(format!("{name} is neither PNG nor JPEG"))),
    }
}
