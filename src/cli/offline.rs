//! Commands that read a data directory without a lock, beside a running writer: `feed`, `communities`, `explain`.

use atrarium::community::{Explanation, Fold};
use atrarium::disk::RealDisk;
use atrarium::engine::recover;
use atrarium::fact::CommunityId;
use atrarium::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use atrarium::syntax::{RecordUri, Time};
use atrarium::view::{PageCursor, View};
use clap::Args;

use super::config::File;
use super::{DataDir, Failure, print_bytes, print_json, progress};

#[derive(Args)]
pub struct FeedArgs {
    /// The community's id (8 hex digits), or the rkey of its config
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    data_dir: DataDir,
    /// Items in the page, 1 to 100
    #[arg(long, default_value_t = PAGE_ITEMS_DEFAULT, value_parser = limit)]
    limit: usize,
    /// The cursor that the page before gave
    #[arg(long, value_name = "CURSOR", value_parser = page_cursor)]
    cursor: Option<PageCursor>,
    /// The moment at which the feed is read [default: the latest witnessed time in the log]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<Time>,
}

#[derive(Args)]
pub struct CommunitiesArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The moment at which posts are counted [default: the latest witnessed time in the log]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<Time>,
}

#[derive(Args)]
pub struct ExplainArgs {
    /// The post: at://DID/app.bsky.feed.post/RKEY
    #[arg(value_name = "AT-URI", value_parser = record_uri)]
    uri: RecordUri,
    /// Only this community
    #[arg(long, value_name = "ID", value_parser = community_id)]
    community: Option<CommunityId>,
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The moment at which the rules are judged [default: the latest witnessed time in the log]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<Time>,
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit) if (1..=PAGE_ITEMS_MAX).contains(&limit) => Ok(limit),
        _ => Err(format!("give a number from 1 to {PAGE_ITEMS_MAX}")),
    }
}

fn moment(text: &str) -> Result<Time, String> {
    text.parse().map_err(|error| format!("{error}; give RFC 3339, such as 2026-08-11T12:50:55Z"))
}

fn page_cursor(text: &str) -> Result<PageCursor, String> {
    PageCursor::parse(text).map_err(|error| error.to_string())
}

fn record_uri(text: &str) -> Result<RecordUri, String> {
    RecordUri::parse(text).map_err(|error| error.to_string())
}

fn community_id(text: &str) -> Result<CommunityId, String> {
    CommunityId::parse(text).map_err(|error| error.to_string())
}

/// Folds the log, with a progress bar where a terminal watches.
pub fn load(data_dir: &DataDir, file: &File) -> Result<(Fold, View), Failure> {
    let bar = progress::bytes("reading the log", 0);
    let result = recover::read(&RealDisk, &data_dir.or_default(file), &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let (folded, view) = result.map_err(Failure::failed)?;
    Ok((folded.fold, view))
}

fn now_of(fold: &Fold, now: Option<Time>) -> Time {
    now.or_else(|| fold.latest_witnessed()).unwrap_or(Time::EPOCH)
}

/// `atrarium feed`: always JSON.
pub fn feed(args: &FeedArgs, file: &File) -> Result<(), Failure> {
    let (fold, view) = load(&args.data_dir, file)?;
    let community = view.find_feed(&args.id, None).ok_or_else(|| {
        Failure::failed(format!("UnknownFeed: no community {} here; `atrarium communities` lists them", args.id))
    })?;
    let page = view.page(&community, now_of(&fold, args.now), args.limit, args.cursor.as_ref());
    let mut out = Vec::new();
    page.write_json(&mut out);
    out.push(b'\n');
    print_bytes(&out)
}

/// `atrarium communities`
pub fn communities(args: &CommunitiesArgs, file: &File) -> Result<(), Failure> {
    let (fold, _) = load(&args.data_dir, file)?;
    let communities = fold.communities(now_of(&fold, args.now));
    if args.json {
        return print_json(&serde_json::json!({ "communities": communities }));
    }
    let mut out = String::new();
    for community in &communities {
        let contested = match community.contested.len() {
            0 => String::new(),
            count => format!(", {count} contested claims"),
        };
        out += &format!(
            "{}  {} members, {} posts{contested}  {}  {}\n",
            community.id, community.members, community.posts, community.name, community.uri
        );
    }
    print_bytes(out.as_bytes())
}

/// `atrarium explain`
pub fn explain(args: &ExplainArgs, file: &File) -> Result<(), Failure> {
    let (fold, _) = load(&args.data_dir, file)?;
    let explanation = fold
        .explain(&args.uri, args.community, now_of(&fold, args.now))
        .map_err(|why| Failure::failed(format!("{}: {why}", why.name())))?;
    if args.json {
        return print_json(&explanation);
    }
    print_bytes(explained(&explanation).as_bytes())
}

/// An explanation for people: what fails is marked; the sentences name their records.
fn explained(explanation: &Explanation) -> String {
    let mut out = format!("{}, at {}\n", explanation.uri, explanation.now);
    for gap in &explanation.gaps {
        out += &format!("note: {gap}\n");
    }
    if explanation.communities.is_empty() {
        out += &format!("in no feed: it carries no hashtag, and no community has judged it. {}\n", explanation.because);
    }
    for community in &explanation.communities {
        out += &format!("{}: {}\n", community.id, if community.visible { "visible" } else { "not visible" });
        for rule in &community.rules {
            out += &format!("  {} {}: {}\n", if rule.holds { "yes" } else { " NO" }, rule.rule, rule.because);
        }
    }
    if explanation.left_out > 0 {
        out += &format!("{} more communities: ask for one with --community ID\n", explanation.left_out);
    }
    out
}
