//! `/metrics`: the counters of [`Telemetry`] as OpenMetrics text.
//!
//! In: the telemetry and the engine's figures, read at each scrape. Out: text. The names are those of INTERFACES. The
//! encoder appends `_total` to counters and the unit to everything that has one, so the names below lack both.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::AdminSource;
use super::status::{lag_seconds, silence_seconds};
use crate::clock::Clock;
use crate::identity::Gate;
use crate::telemetry::{BUCKET_BOUNDS_MICROS, Histogram, Reason, Telemetry};

/// The content type of OpenMetrics text.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that reads `telemetry` and `source` at each scrape.
pub(super) fn registry(telemetry: Arc<Telemetry>, clock: Clock, source: Arc<dyn AdminSource>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures { telemetry, clock, source }));
    registry
}

/// What is counted of tokens and of who brings them.
#[derive(Debug)]
pub(super) struct CallerFigures(pub Gate);

impl Collector for CallerFigures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let told = self.0.callers().tally();
        let outcomes = [
            ("known", &told.known),
            ("unknown", &told.unknown),
            ("dropped", &told.dropped),
            ("verified", &told.verified),
            ("refused_again", &told.refused_again),
        ];
        let outcomes = outcomes.into_iter().map(|(outcome, count)| (outcome, count.get()));
        page.counters("atrarium_tokens", "Tokens of callers: looked up, and judged.", "outcome", outcomes)?;
        let refused = told.refused().map(|(why, count)| (why.as_str(), count));
        page.counters("atrarium_tokens_refused", "Tokens that were found not to count.", "reason", refused)?;
        let (reads, failed) = self.0.identities().reads();
        page.counter("atrarium_identity_reads", "DID documents and handles that were asked for.", reads)?;
        page.counter("atrarium_identity_reads_failed", "Those that did not come.", failed)?;
        page.counter("atrarium_identity_reads_forced", "Documents read again for a signature.", told.forced.get())?;
        page.counter("atrarium_identity_changes", "Identities that have changed, by the stream.", told.changed.get())
    }
}

struct Figures {
    telemetry: Arc<Telemetry>,
    clock: Clock,
    source: Arc<dyn AdminSource>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("telemetry", &self.telemetry).finish_non_exhaustive()
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.stream(&mut page)?;
        self.log_and_view(&mut page)?;
        self.http(&mut page)?;
        self.process(&mut page)
    }
}

impl Figures {
    fn stream(&self, page: &mut Page<'_>) -> fmt::Result {
        let told = &self.telemetry;
        let refused = Reason::ALL.iter().map(|&reason| (reason.as_str(), told.refused(reason)));
        page.counter("atrarium_frames", "Frames received.", told.frames.get())?;
        page.counter_with("atrarium_frame", "Bytes of frames received.", Some(Unit::Bytes), told.frame_bytes.get())?;
        page.counters("atrarium_frames_refused", "Frames and records refused.", "reason", refused)?;
        page.counter("atrarium_hits", "Frames that the sieve let pass.", told.hits.get())?;
        page.counters("atrarium_facts", "Facts made durable.", "kind", told.facts())?;
        // Before the first frame there is no lag to speak of: NaN, so that no alert compares with it.
        let lag = lag_seconds(told, &self.clock).unwrap_or(f64::NAN);
        page.gauge("atrarium_stream_lag", "Wall clock past the latest witnessed time.", Some(Unit::Seconds), lag)?;
        let silence = silence_seconds(told, &self.clock);
        page.gauge("atrarium_stream_silence", "Time since the last frame.", Some(Unit::Seconds), silence)?;
        page.counter("atrarium_gap", "Gaps of the stream that were noticed.", told.gaps.get())?;
        page.counter("atrarium_connects", "Connections to the stream that were made.", told.connects.get())?;
        page.counter("atrarium_disconnects", "Connections to the stream lost or refused.", told.disconnects.get())?;
        page.counter("atrarium_clock_ahead", "Frames too far ahead of the wall clock.", told.clock_ahead.get())?;
        let orphans = told.orphans_dropped.get();
        page.counter("atrarium_orphans_dropped", "Unmatched deletes and updates forgotten early.", orphans)?;
        let fingerprints = told.fingerprints_dropped.get();
        page.counter("atrarium_fingerprints_dropped", "Posts whose deletes are no longer sorted out.", fingerprints)
    }

    fn log_and_view(&self, page: &mut Page<'_>) -> fmt::Result {
        let told = &self.telemetry;
        let (visible, sync) = (&told.visible_latency, &told.log_sync);
        page.histogram("atrarium_visible_latency", "From witnessed to visible, live only.", visible)?;
        page.histogram("atrarium_log_sync", "One sync of the log.", sync)?;
        page.integer("atrarium_log_last_lsn", "The last LSN written.", None, told.last_lsn.get())?;
        page.integer("atrarium_log_durable_lsn", "The last LSN known to be on disk.", None, told.durable_lsn.get())?;
        let lsn = told.snapshot_lsn.get();
        page.integer("atrarium_log_snapshot_lsn", "The last LSN in the newest snapshot.", None, lsn)?;
        page.counter("atrarium_snapshots", "Snapshots taken, and read back whole.", told.snapshots.get())?;
        let failed = told.snapshots_failed.get();
        page.counter("atrarium_snapshots_failed", "Snapshots that could not be taken.", failed)?;
        page.histogram("atrarium_snapshot_pause", "Folding stood still for a snapshot.", &told.snapshot_pause)?;
        page.integer("atrarium_log_segments", "Segments of the log.", None, told.segments.get())?;
        page.integer("atrarium_log", "Size of the log.", Some(Unit::Bytes), told.log_bytes.get())?;
        page.integer("atrarium_posts", "Posts in the view.", None, told.posts.get())?;
        let waiting = told.posts_waiting.get();
        page.integer("atrarium_posts_waiting", "Posts that wait outside the view, for each hashtag.", None, waiting)?;
        let tombstones = told.post_tombstones.get();
        page.integer("atrarium_post_tombstones", "Posts that are kept for their rev alone.", None, tombstones)?;
        let reached = told.bounds_reached().map(|(bound, count)| (bound.as_str(), count));
        page.counters("atrarium_bound_reached", "Given up or not taken at a bound of the fold.", "bound", reached)?;
        page.integer("atrarium_communities", "Communities served.", None, told.communities.get())
    }

    fn http(&self, page: &mut Page<'_>) -> fmt::Result {
        let told = &self.telemetry;
        page.histogram("atrarium_skeleton", "One skeleton, server side.", &told.skeleton)?;
        page.counters("atrarium_http_answers", "Answers by class of status.", "class", told.answers())?;
        let refused = told.connections_refused.get();
        page.counter("atrarium_http_connections_refused", "Connections refused at a bound.", refused)?;
        let cut = told.connections_timed_out.get();
        page.counter("atrarium_http_connections_timed_out", "Connections cut because they took too long.", cut)?;
        let limited = told.limited().map(|(limited, count)| (limited.as_str(), count));
        page.counters("atrarium_rate_limited", "Requests beyond their caller's quota.", "quota", limited)?;
        let forgotten = told.callers_forgotten.get();
        page.counter("atrarium_rate_limit_forgotten", "Callers whose use was forgotten early.", forgotten)?;
        let events = told.interactions().map(|(event, count)| (event.as_str(), count));
        page.counters("atrarium_interactions", "Interactions sent by readers' apps.", "event", events)?;
        let left_out = told.left_out().map(|(why, count)| (why.as_str(), count));
        page.counters("atrarium_interactions_left_out", "Interactions that are not told apart.", "reason", left_out)?;
        let refused = told.explanations_refused.get();
        page.counter("atrarium_explanations_refused", "Explanations not given: too many were asked for.", refused)
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let memory = self.source.memory_bytes().and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(0);
        page.integer("atrarium_memory", "Resident memory of the process; 0 if unknown.", Some(Unit::Bytes), memory)?;
        let unit = Unit::Other("ratio".to_owned());
        let mut metric = page.0.encode_descriptor(
            "atrarium_ring_occupancy",
            "How full the ring of a worker is, from 0 to 1.",
            Some(&unit),
            MetricType::Gauge,
        )?;
        for ring in self.source.ring_occupancy() {
            let labels = [("worker", ring.worker.as_str())];
            ConstGauge::new(ring.ratio).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A page of metrics that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counter_with(name, help, None, value)
    }

    fn counter_with(&mut self, name: &str, help: &str, unit: Option<Unit>, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?)
    }

    /// One counter for each value of a label.
    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, value)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?)
    }

    fn integer(&mut self, name: &str, help: &str, unit: Option<Unit>, value: i64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?)
    }

    /// Durations, with bounds in seconds.
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let counted = histogram.snapshot();
        let bounds = BUCKET_BOUNDS_MICROS.iter().map(|&micros| micros as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counted.buckets).collect();
        let (sum, count) = (counted.sum_micros as f64 / 1e6, counted.buckets.iter().sum());
        self.0
            .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
