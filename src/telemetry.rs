//! What is counted, as plain atomics: every refusal by its reason, and the figures behind `/metrics` and `/status`.
//!
//! In: one relaxed addition from whichever thread sees the thing. Out: `serve` renders them. Nothing here knows the
//! exposition format, so the core builds without it.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds `count`, where one thread alone ever adds: without the locked instruction that [`Counter::add`] needs.
    pub fn add_alone(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The last value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of every histogram, in microseconds; one more bucket holds the rest.
pub const BUCKET_BOUNDS_MICROS: [u64; 18] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// Durations in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKET_BOUNDS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

/// A [`Histogram`] at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Counts of each bucket alone (not cumulative); the last is past every bound.
    pub buckets: [u64; BUCKET_BOUNDS_MICROS.len() + 1],
    /// Sum of all durations in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKET_BOUNDS_MICROS.partition_point(|&bound| bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The counts now. Buckets are read one by one, so a concurrent record may be in the sum and not yet in a bucket.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

/// Declares an enum of labels with their names and the list of all of them.
macro_rules! labels {
    ($(#[$of:meta])* $label:ident: $($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $label { $($(#[$doc])* $variant,)+ }

        impl $label {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label in metrics, `/status` and `replay --json`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}
pub(crate) use labels;

labels! {
    /// Why a frame, or the record in it, was refused.
    Reason:
    /// Not JSON, or not an object.
    Garbage = "garbage",
    /// Larger than [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX).
    TooLarge = "too_large",
    /// A binary message where text was expected, or compressed data that nobody asked for.
    Binary = "binary",
    /// A compressed message that cannot be decoded.
    Zstd = "zstd",
    /// An event of a kind that this program does not know.
    UnknownKind = "unknown_kind",
    /// A commit with an operation that is not create, update or delete.
    UnknownOperation = "unknown_operation",
    /// JSON of a known kind that lacks a field, or holds one of the wrong type.
    Malformed = "malformed",
    /// A DID that breaks its syntax.
    BadDid = "bad_did",
    /// A record key that breaks its syntax.
    BadRecordKey = "bad_record_key",
    /// A rev that is no TID.
    BadRev = "bad_rev",
    /// A `net.atrarium.*` record that breaks its lexicon.
    Lexicon = "lexicon",
    /// An older form (`feedMix`, `target`) that cannot be normalised.
    Normalise = "normalise",
    /// A moderation action whose target does not fit its verb, or whose record is in no repository.
    Target = "target",
    /// The host sent an error frame.
    ErrorFrame = "error_frame",
}

labels! {
    /// Which bound of the fold was reached, so that something was given up or not taken. Each is a figure of
    /// [`limits`](crate::limits), section fold.
    Bound:
    /// Posts of one author in one community.
    PostsPerAuthor = "posts_per_author",
    /// Places of posts that wait, where no config has claimed the hashtag.
    WaitingUnclaimed = "waiting_unclaimed",
    /// Places of posts that wait, in a community.
    WaitingClaimed = "waiting_claimed",
    /// Posts that are kept for their rev alone.
    Tombstones = "tombstones",
    /// Membership records of one DID.
    Memberships = "memberships",
    /// Communities that one DID has ever joined, as statistics know them.
    Joins = "joins",
    /// Configs of one DID.
    Configs = "configs",
    /// Versions of one config.
    ConfigVersions = "config_versions",
    /// Hashtags claimed by one DID.
    Claims = "claims",
    /// Configs that claim one hashtag.
    Contested = "contested",
    /// Actions and acceptances of one DID that have no effect.
    IdleRulings = "idle_rulings",
}

labels! {
    /// Which quota of requests a caller has.
    Limited:
    /// For feeds, of a DID that the request proves.
    FeedsDid = "feeds_did",
    /// For feeds, of an address.
    FeedsAddress = "feeds_address",
    /// For the dashboard, of a DID that the request proves.
    DashboardDid = "dashboard_did",
    /// For the dashboard, of an address.
    DashboardAddress = "dashboard_address",
}

labels! {
    /// What a reader did with an item of a feed: the events of `app.bsky.feed.defs#interaction`.
    Event:
    /// Asked for less like it.
    RequestLess = "requestLess",
    /// Asked for more like it.
    RequestMore = "requestMore",
    /// Opened it.
    ClickthroughItem = "clickthroughItem",
    /// Opened its author's profile.
    ClickthroughAuthor = "clickthroughAuthor",
    /// Opened the profile of who reposted it.
    ClickthroughReposter = "clickthroughReposter",
    /// Opened what it embeds.
    ClickthroughEmbed = "clickthroughEmbed",
    /// Saw it.
    Seen = "interactionSeen",
    /// Liked it.
    Like = "interactionLike",
    /// Reposted it.
    Repost = "interactionRepost",
    /// Replied to it.
    Reply = "interactionReply",
    /// Quoted it.
    Quote = "interactionQuote",
    /// Shared it.
    Share = "interactionShare",
    /// Something that this program does not know, or nothing.
    Other = "other",
}

labels! {
    /// What of the interactions is not told with the others.
    LeftOut:
    /// No interaction: not an object, or of the wrong types.
    Malformed = "malformed",
    /// Beyond [`INTERACTIONS_PER_REQUEST_MAX`](crate::limits::INTERACTIONS_PER_REQUEST_MAX) of one request.
    Excess = "excess",
    /// Of no community that is served: counted by event alone.
    NoCommunity = "no_community",
    /// Of a community that made room for others.
    CommunityForgotten = "community_forgotten",
    /// Of a post that made room for others: counted by community and event.
    PostForgotten = "post_forgotten",
}

/// All counters of the process.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Frames received.
    pub frames: Counter,
    /// Bytes of frames received.
    pub frame_bytes: Counter,
    /// Frames that the sieve let pass.
    pub hits: Counter,
    /// Frames and records refused, by [`Reason`] in its order.
    refused: [Counter; Reason::ALL.len()],
    /// Facts made durable, by the index of their kind in [`FACT_KINDS`].
    facts: [Counter; FACT_KINDS.len()],
    /// Connections tried and lost.
    pub connects: Counter,
    /// Connections lost or refused.
    pub disconnects: Counter,
    /// Gap facts.
    pub gaps: Counter,
    /// Live frames that were more than 10 minutes ahead of the wall clock.
    pub clock_ahead: Counter,
    /// Unmatched deletes and updates that were forgotten because [`ORPHANS_MAX`](crate::limits::ORPHANS_MAX) was reached.
    pub orphans_dropped: Counter,
    /// Posts whose fingerprint was not kept because [`SEEN_MAX`](crate::limits::SEEN_MAX) was reached: deletes are no longer
    /// sorted out.
    pub fingerprints_dropped: Counter,
    /// Latest witnessed time, in microseconds since the epoch; 0 before the first frame.
    pub witnessed_micros: Gauge,
    /// When the last frame came, in microseconds on the engine's monotonic clock; -1 before the first one.
    pub last_frame_monotonic_micros: Gauge,
    /// Posts in the view.
    pub posts: Gauge,
    /// Communities served.
    pub communities: Gauge,
    /// Places of posts that wait outside the view.
    pub posts_waiting: Gauge,
    /// Posts that are kept for their rev alone.
    pub post_tombstones: Gauge,
    /// How often each [`Bound`] was reached since the log began, as the fold counts it.
    bounds_reached: [Gauge; Bound::ALL.len()],
    /// The last LSN written.
    pub last_lsn: Gauge,
    /// The last LSN known to be on disk.
    pub durable_lsn: Gauge,
    /// The last LSN that the newest snapshot holds.
    pub snapshot_lsn: Gauge,
    /// Snapshots taken, read back whole.
    pub snapshots: Counter,
    /// Snapshots that could not be taken. The log goes on without.
    pub snapshots_failed: Counter,
    /// How long the fold stood still while it was written out.
    pub snapshot_pause: Histogram,
    /// Segments of the log.
    pub segments: Gauge,
    /// Bytes of the log.
    pub log_bytes: Gauge,
    /// Witnessed to visible, live only.
    pub visible_latency: Histogram,
    /// One sync of the log.
    pub log_sync: Histogram,
    /// One skeleton, server side.
    pub skeleton: Histogram,
    /// Answers of the HTTP listener, by the class of their status in [`ANSWER_CLASSES`].
    answers: [Counter; ANSWER_CLASSES.len()],
    /// Connections refused because a bound was reached: of connections, or of file descriptors.
    pub connections_refused: Counter,
    /// Connections cut because a client, or the end of the program, kept them waiting too long.
    pub connections_timed_out: Counter,
    /// Interactions that readers' apps have sent, by [`Event`] in its order.
    interactions: [Counter; Event::ALL.len()],
    /// Interactions that are not told with the others, by [`LeftOut`] in its order.
    interactions_left_out: [Counter; LeftOut::ALL.len()],
    /// Requests that were refused because their caller had used up a quota, by [`Limited`] in its order.
    limited: [Counter; Limited::ALL.len()],
    /// Callers whose use of their quota was forgotten too early, for others.
    pub callers_forgotten: Counter,
    /// Explanations that were not given because too many were asked for.
    pub explanations_refused: Counter,
}

/// Classes of HTTP statuses, in the order of the counters.
pub const ANSWER_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Every kind of [`Fact`](crate::fact::Fact::kind), in the order of the counters.
pub const FACT_KINDS: [&str; 11] =
    ["post", "config", "membership", "acceptance", "action", "delete", "account", "cursor", "clock", "gap", "orphans"];

impl Telemetry {
    /// Counts a refusal.
    pub fn refuse(&self, reason: Reason) {
        self.refused[reason as usize].increment();
    }

    /// How often that reason was met.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].get()
    }

    /// Every reason that was met, with its count.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|&reason| (reason, self.refused(reason))).filter(|&(_, count)| count > 0)
    }

    /// Says how often a bound was reached since the log began.
    pub fn set_bound_reached(&self, bound: Bound, count: u64) {
        self.bounds_reached[bound as usize].set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Every bound, with how often it was reached.
    pub fn bounds_reached(&self) -> impl Iterator<Item = (Bound, u64)> + '_ {
        Bound::ALL.iter().map(|&bound| (bound, self.bounds_reached[bound as usize].get().unsigned_abs()))
    }

    /// Counts a durable fact of a kind that [`FACT_KINDS`] lists.
    pub fn fact(&self, kind: &'static str) {
        if let Some(at) = FACT_KINDS.iter().position(|&known| known == kind) {
            self.facts[at].increment();
        }
    }

    /// Durable facts of each kind.
    pub fn facts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        FACT_KINDS.iter().zip(&self.facts).map(|(&kind, counter)| (kind, counter.get()))
    }

    /// Counts an interaction.
    pub fn interaction(&self, event: Event) {
        self.interactions[event as usize].increment();
    }

    /// Interactions of each event.
    pub fn interactions(&self) -> impl Iterator<Item = (Event, u64)> + '_ {
        Event::ALL.iter().map(|&event| (event, self.interactions[event as usize].get()))
    }

    /// Counts interactions that are not told with the others.
    pub fn leave_out(&self, why: LeftOut, count: u64) {
        self.interactions_left_out[why as usize].add(count);
    }

    /// What was not told with the others.
    pub fn left_out(&self) -> impl Iterator<Item = (LeftOut, u64)> + '_ {
        LeftOut::ALL.iter().map(|&why| (why, self.interactions_left_out[why as usize].get()))
    }

    /// Counts a request beyond a quota.
    pub fn limit(&self, limited: Limited) {
        self.limited[limited as usize].increment();
    }

    /// Requests beyond each quota.
    pub fn limited(&self) -> impl Iterator<Item = (Limited, u64)> + '_ {
        Limited::ALL.iter().map(|&limited| (limited, self.limited[limited as usize].get()))
    }

    /// Counts an answer by its HTTP status.
    pub fn answer(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(2).min(ANSWER_CLASSES.len() - 1);
        self.answers[class].increment();
    }

    /// Answers of each class of status.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ANSWER_CLASSES.iter().zip(&self.answers).map(|(&class, counter)| (class, counter.get()))
    }
}
