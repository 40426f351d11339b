//! Every bound of the program, with its unit and its reason, and the relations between them.
//!
//! Architecture Invariant: no other file states a bound of its own; a number that two modules must agree on stands here.
#![forbid(unsafe_code)]

/// Microseconds in a second.
pub const SECOND_MICROS: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE_MICROS: i64 = 60 * SECOND_MICROS;
/// Microseconds in an hour.
pub const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;
/// Microseconds in a day.
pub const DAY_MICROS: i64 = 24 * HOUR_MICROS;

// --- rules (DESIGN §3)

/// How long a post stays in a feed, in microseconds.
pub const RETENTION_MICROS: i64 = 7 * DAY_MICROS;
/// A rev may be this much older than its witnessed time before it stops counting as the time it was made.
pub const MADE_SLACK_MICROS: i64 = 5 * MINUTE_MICROS;
/// A live frame may be this far ahead of the wall clock; now may be this far ahead of the latest witnessed time.
pub const CLOCK_AHEAD_MICROS: i64 = 10 * MINUTE_MICROS;
/// Arrival may be displaced by this much stream time without changing a feed.
pub const DISPLACEMENT_MICROS: i64 = 2 * HOUR_MICROS;
/// On another host only the time of a cursor is used, less this.
pub const HOST_REWIND_MICROS: i64 = 2 * MINUTE_MICROS;
/// At most this many moderators in a config.
pub const MODERATORS_MAX: usize = 50;
/// The fractions of an older `feedMix` sum to 1 within this. The second term lets 0.999999 in, which as a binary number
/// lies a hair lower.
pub const FEED_MIX_SUM_SLACK: f64 = 1e-6 + 1e-9;

// --- wire

/// The largest frame that is accepted, in bytes. Seen in production: 12 kB; the protocol's records end at 1 MiB.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// A larger frame than [`FRAME_BYTES_MAX`] is skipped in place up to this length, in bytes; beyond it the length itself is
/// taken for garbage and the connection is given up.
pub const FRAME_SKIP_BYTES_MAX: u64 = 256 << 20;
/// The head of the answer to the websocket request, and the body of a refusal, end here, in bytes.
pub const UPGRADE_BYTES_MAX: usize = 16 << 10;
/// The reader's receive buffer in bytes. At most 256 KiB stays in cache (DESIGN §7).
pub const RECEIVE_BUFFER_BYTES: usize = 256 << 10;
/// On the same v1 host a position is asked for less this, in microseconds: events can be out of order where its replay
/// passes into the live stream.
pub const V1_REWIND_MICROS: u64 = 5_000_000;
/// A v2 host that sends first a number this much greater than the one it was asked for has left something out. The number
/// itself is the first to come, but a host may have erased single events since; a second of the network has hundreds.
pub const CLAMP_NUMBERS: u64 = 64;
/// A v1 host whose first event is this much later than the newest one taken from it has left something out, in
/// microseconds: that event itself, at least.
pub const CLAMP_SAME_MICROS: u64 = 1_000_000;
/// Another host has, when its first event is this much later than the newest one taken, in microseconds: it dates the same
/// event by its own clock, and is asked for two minutes more.
pub const CLAMP_MICROS: i64 = 10 * SECOND_MICROS;
/// A stream that begins less than this before the wall clock, in microseconds, may be one whose host did not understand
/// the position and sends what is live.
pub const CLAMP_LIVE_MICROS: i64 = MINUTE_MICROS;
/// The longest zstd dictionary that is taken, in bytes. Those of Jetstream have 64 and 110 KiB.
pub const DICTIONARY_BYTES_MAX: usize = 1 << 20;
/// The largest window of a compressed message, as a power of two in bytes: no message is longer than
/// [`FRAME_BYTES_MAX`]. Jetstream uses 17.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 22;
/// After this many compressed messages in a row that cannot be decoded the dictionary is taken for a wrong one.
pub const ZSTD_FAILURES_MAX: u32 = 8;
/// What was received of a TLS stream and is not decrypted yet, in bytes: several records (16 KiB each), and the longest
/// handshake message (64 KiB).
pub const TLS_BUFFER_BYTES: usize = 128 << 10;
/// A position token goes into every ring after this many frames.
pub const TOKEN_FRAMES: u64 = 4096;
/// …and after this time, in milliseconds, idle or not.
pub const TOKEN_INTERVAL_MILLIS: u64 = 1000;
/// A connection must be up, with its handshake done, within this time, in milliseconds.
pub const CONNECT_TIMEOUT_MILLIS: u64 = 10_000;
/// A host must send its first frame within this time after the handshake, in milliseconds.
pub const FIRST_DATA_TIMEOUT_MILLIS: u64 = 30_000;
/// A host that was sending may stay silent for this long, in milliseconds; a ping goes out at half of it.
pub const IDLE_TIMEOUT_MILLIS: u64 = 60_000;
/// The first wait before another try, in milliseconds; it doubles.
pub const BACKOFF_FIRST_MILLIS: u64 = 250;
/// The longest wait before another try, in milliseconds.
pub const BACKOFF_MAX_MILLIS: u64 = 30_000;
/// While the rings are full the reader looks again after this time, in milliseconds, unless it is woken.
pub const FULL_WAIT_MILLIS: u64 = 1;
/// A stream that breaks the websocket protocol at the same position this often is taken up again behind it.
pub const STUCK_TRIES: u32 = 3;
/// …and no further behind it than this: sequence numbers on v2, milliseconds of stream time on v1.
pub const STUCK_STEP_MAX: u64 = 1024;

/// From this number on a cursor of either dialect is a moment in microseconds; below it a v2 host takes it for a sequence
/// number. In microseconds 10¹⁵ is the year 2001.
pub const TIME_CURSOR_MIN: u64 = 1_000_000_000_000_000;

// --- filter

/// Unmatched deletes and updates that are remembered for a create that comes late. 2 hours at 100 a second are 720,000.
pub const ORPHANS_MAX: usize = 1 << 20;
/// Fingerprints of posts that were let pass, over all days: 24 posts a second for 8 days, in 128 to 384 MiB. Beyond it no
/// delete of a post is sorted out any more.
pub const SEEN_MAX: usize = 1 << 24;

// --- fold

/// The last gaps that are kept for `/status`; all are counted.
pub const GAPS_KEPT_MAX: usize = 256;
/// Posts of one author in one community within the 7 days, shown or waiting; the newest are kept. Six an hour, day and
/// night: only a machine writes more.
pub const POSTS_PER_AUTHOR_MAX: usize = 1000;
/// Places of posts that wait, over all hashtags; one with two hashtags counts twice. About 270 bytes each, 135 MB.
pub const WAITING_MAX: usize = 500_000;
/// Posts that are kept for their rev alone. About 200 bytes each, 100 MB.
pub const TOMBSTONES_MAX: usize = 500_000;
/// Where waiting posts or tombstones go beyond their bound, this part of it is made free at once, so that the cost of
/// looking for what to give up is shared by many posts.
pub const ROOM_PART: usize = 8;
/// Membership records of one DID, deleted ones included; at the bound the oldest deleted one makes room. About 300 bytes
/// each, 600 kB. Also the communities that a DID has ever joined, as statistics know them.
pub const MEMBERSHIPS_PER_DID_MAX: usize = 2000;
/// Config records of one DID. About 1 kB for each version.
pub const CONFIGS_PER_DID_MAX: usize = 100;
/// Versions of one config, of which tenures are told: twice a week for ten years.
pub const CONFIG_VERSIONS_MAX: usize = 1000;
/// Hashtags that all configs of one DID have ever claimed. A claim is never released, so a config that changes its
/// hashtag with every version would take a new one each time.
pub const CLAIMS_PER_DID_MAX: usize = 500;
/// Claims that are kept of one hashtag: the earliest, so that its owner is always among them.
pub const CLAIMS_PER_HASHTAG_MAX: usize = 1000;
/// Actions and acceptances of one DID without effect: their author had no authority when they were made, or they are
/// deleted, or they mean nothing. At the bound the oldest deleted one makes room. About 300 bytes each, 600 kB.
pub const IDLE_RULINGS_PER_DID_MAX: usize = 2000;
/// From this number of DIDs and configs on the fold looks for names that nothing needs any more, each time that there are
/// twice as many as it then kept.
pub const NAMES_SWEEP_MIN: usize = 1 << 14;
/// A chunk of a snapshot is closed at this size, in bytes: the rows of one are checked and read together.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 << 10;
/// Posts that the view is told of at once when it is built from a state: whole chunks of it.
pub const FILL_POSTS: usize = 16 * CHUNK_ENTRIES;
/// Days of which a community's posts and joins are counted one by one.
pub const DAILY_COUNTS_DAYS: i64 = 400;
/// Numbers of members whose first reaching is dated.
pub const MEMBER_THRESHOLDS: [usize; 10] = [1, 10, 50, 100, 500, 1000, 5000, 10_000, 50_000, 100_000];

// --- explaining, where an answer is made by the thread that folds

/// The communities that one explanation goes into; the others are counted, and can be asked for one by one.
pub const EXPLAIN_COMMUNITIES_MAX: usize = 16;
/// Actions or acceptances without authority among which the last is looked for: anybody may write any number of them.
pub const EXPLAIN_RULINGS_MAX: usize = 64;
/// Memberships of one account among which the one that says most is looked for.
pub const EXPLAIN_MEMBERSHIPS_MAX: usize = 64;
/// Characters of an action's reason that are repeated.
pub const EXPLAIN_REASON_CHARS_MAX: usize = 200;
/// Questions that wait in the box of the folding thread; one more is refused. A power of two.
pub const INQUIRIES_MAX: usize = 32;
/// Questions that are answered after one batch…
pub const INQUIRIES_PER_BATCH_MAX: usize = 4;
/// …and for how long, in microseconds, until no other is begun: a batch takes some milliseconds.
pub const INQUIRY_TURN_MICROS: u64 = 500;

// --- rings, batches, log

/// While the stream is caught up, workers are woken when so many frames wait for one of them…
pub const STAGED_PARCELS_MAX: usize = 32;
/// …or after so many readings of the socket, 1 ms or so; and always when nothing more comes. A worker that is woken for each
/// frame costs more than the frame (of a stream with 0.3 % hits, some 20 ns for each of its frames).
pub const STAGED_READINGS_MAX: usize = 16;
/// Frames in the ring from the reader to one worker. A power of two.
pub const FRAME_RING_SLOTS: usize = 4096;
/// Facts in the ring from one worker to the committer. A power of two.
pub const FACT_RING_SLOTS: usize = 4096;
/// A batch is closed when its oldest fact is this old, in milliseconds.
pub const BATCH_DELAY_MILLIS: u64 = 2;
/// A batch is closed when it holds this many facts.
pub const BATCH_FACTS_MAX: usize = 4096;
/// A batch that holds nothing but a cursor or a clock is written at most once in this time, in milliseconds.
pub const IDLE_BATCH_INTERVAL_MILLIS: u64 = 1000;
/// The largest payload of one log record, in bytes.
pub const LOG_RECORD_BYTES_MAX: usize = 64 << 20;
/// A segment is closed at this size, in bytes.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// A segment is closed at this age, in seconds: six hours. Segments are dropped whole, so it is also by how much the log may
/// outlive retention.
pub const SEGMENT_AGE_SECONDS: u32 = 6 * 3600;
/// A snapshot is taken when so many bytes of batches stand behind the last one…
pub const SNAPSHOT_LOG_BYTES: u64 = 64 << 20;
/// …or when it is so old, in seconds, and anything stands behind it: an hour of idle batches is read in milliseconds.
pub const SNAPSHOT_AGE_SECONDS: u64 = 3600;
/// …but not sooner than this after the last try, in seconds: while the fold is written out, nothing is folded.
pub const SNAPSHOT_PAUSE_SECONDS: u64 = 60;
/// The log is read in pieces of this size, in bytes; a larger record is read whole. Under the fuzzer logs are small, and are
/// to have several pieces all the same.
pub const LOG_READ_BYTES: usize = if cfg!(fuzzing) { 1 << 10 } else { 256 << 10 };
/// A lock is tried this many times, without a wait: who only asks whether it is held has it for microseconds.
pub const LOCK_TRIES: usize = 64;

// --- reading

/// The most items in one page: `limit` of `getFeedSkeleton`.
pub const PAGE_ITEMS_MAX: usize = 100;
/// The items in one page where `limit` is not given.
pub const PAGE_ITEMS_DEFAULT: usize = 50;
/// The longest page cursor that is read, in bytes of text: a mixed page's holds three keys, of a DID (2,048 bytes) and a
/// rkey (512 bytes) each. With a did:plc one key makes 72 bytes, three make 223.
pub const PAGE_CURSOR_BYTES_MAX: usize = 10_400;
/// Entries in a full chunk of the view. Under loom chunks are full sooner.
pub const CHUNK_ENTRIES: usize = if cfg!(loom) { 4 } else { 256 };
/// Entries in the first chunk of a community, before it grows: thousands of communities have few posts. A power of two.
pub const CHUNK_ENTRIES_FIRST: usize = if cfg!(loom) { 2 } else { 16 };
/// First pages that are kept as they were rendered: those that are read most. With their usual size 4 to 8 MB in all.
/// Under loom there is one.
pub const HEADS: usize = if cfg!(loom) { 1 } else { 1024 };
/// The longest first page that is kept, in bytes: [`PAGE_ITEMS_MAX`] usual items take half of it. So all of them are at most
/// 16 MiB.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Authors that a community has had since it was opened: their numbers have 24 bits.
pub const SEATS_MAX: usize = 1 << 24;

// --- HTTP

/// The longest request target, in bytes; beyond it 414.
pub const HTTP_TARGET_BYTES_MAX: usize = 16 << 10;
const _: () =
    assert!(PAGE_CURSOR_BYTES_MAX + 4096 < HTTP_TARGET_BYTES_MAX, "a cursor and a feed's name fit into a query");
/// The most bytes of request headers; beyond it 431.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 << 10;
/// The most bytes of a request body; beyond it 413.
pub const HTTP_BODY_BYTES_MAX: usize = 256 << 10;
/// A client must send its whole request head within this time, in milliseconds.
pub const HTTP_HEAD_TIMEOUT_MILLIS: u64 = 10_000;
/// …and take its whole response, once started, within this one.
pub const HTTP_EXCHANGE_TIMEOUT_MILLIS: u64 = 30_000;
/// A connection may stay open between two requests for this long, in milliseconds. Longer than the 60 s for which common
/// proxies keep theirs, so that the proxy closes first and no request is lost in between.
pub const HTTP_IDLE_TIMEOUT_MILLIS: u64 = 75_000;
/// After an answer to a request that was not read to its end, what still comes is discarded for this long, in
/// milliseconds: closing at once would reset the connection before the client has read the answer.
pub const HTTP_LINGER_MILLIS: u64 = 1_000;
/// The most header fields of a request; beyond it 431.
pub const HTTP_HEADERS_MAX: usize = 100;
/// The most bytes of a request head that are buffered: target and headers, and a kilobyte for the words around them.
pub const HTTP_HEAD_BYTES_MAX: usize = HTTP_TARGET_BYTES_MAX + HTTP_HEADER_BYTES_MAX + (1 << 10);
/// Connections that one listener thread holds at the same time.
pub const HTTP_CONNECTIONS_MAX: usize = 8192;
/// Connections that the admin listener holds at the same time.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Connections that the kernel holds until they are accepted, for each socket.
pub const HTTP_BACKLOG: i32 = 1024;
/// When a connection could not be accepted (no file descriptor is left), the next try waits for this long, in milliseconds.
pub const HTTP_ACCEPT_PAUSE_MILLIS: u64 = 50;
/// An explanation is waited for this long, in milliseconds: many times the quarter of a second after which the folding
/// thread looks into its box even when nothing happens.
pub const EXPLAIN_TIMEOUT_MILLIS: u64 = 2_000;
/// Whoever waits for an explanation looks for it this often, in milliseconds.
pub const EXPLAIN_POLL_MILLIS: u64 = 10;
/// A quota of requests is made good in this time, in seconds.
pub const RATE_WINDOW_SECONDS: u64 = 3600;
/// The largest quota: one request in each microsecond.
pub const RATE_QUOTA_MAX: u32 = 3_600_000_000;
/// Requests an hour of one caller, in the order of [`Limited`](crate::telemetry::Limited). An account: a page of a feed each
/// 36 s, or the dashboard each 4 s. An address that asks for feeds: 10,000 a second day and night, which is all readers of
/// the AppView, and an hour of them at once, which is six minutes of a benchmark at 100,000 a second. An address that asks
/// the dashboard: ten people behind one router.
pub const RATE_QUOTAS_DEFAULT: [u32; 4] = [100, 36_000_000, 1000, 10_000];
/// Callers whose buckets are kept while they are not full; 8 bytes each, 4 MiB from the start on. An account whose bucket
/// lacks one request is full again after 36 s, so this is room for 14,000 new accounts a second.
pub const RATE_CALLERS: usize = 1 << 19;
/// Interactions that are taken of one `sendInteractions`; the rest are counted and left. The app sends a few dozen at once.
pub const INTERACTIONS_PER_REQUEST_MAX: usize = 500;
/// The longest item of an interaction that is counted by itself, in bytes: an AT-URI of a post by a did:plc has 70.
pub const INTERACTION_ITEM_BYTES_MAX: usize = 300;
/// Communities whose interactions are counted. About 120 bytes each, 2 MB.
pub const INTERACTION_COMMUNITIES_MAX: usize = 1 << 14;
/// Posts whose interactions are counted, a post in two communities twice. About 250 bytes each, 8 MB.
pub const INTERACTION_POSTS_MAX: usize = 1 << 15;
/// Parts of both tables, each behind a lock of its own.
pub const INTERACTION_SHARDS: usize = 16;
/// Communities that `/status` lists with their interactions, those with most first…
pub const INTERACTION_COMMUNITIES_LISTED: usize = 20;
/// …and posts of each.
pub const INTERACTION_POSTS_LISTED: usize = 10;
/// What may be cached, may be so for this long, in seconds: the list of feeds, and the service's DID document.
pub const HTTP_CACHE_SECONDS: u64 = 300;
/// A clean stop ends within this time, in milliseconds (INTERFACES: 5 s).
pub const STOP_TIMEOUT_MILLIS: u64 = 4_000;

// --- publishing

/// Points of writes that a PDS gives an account in an hour: a create takes 3, an update 2, a delete 1.
pub const PUBLISH_POINTS_PER_HOUR: u64 = 5_000;
/// The same in a day.
pub const PUBLISH_POINTS_PER_DAY: u64 = 35_000;
/// Writes of one call: few enough that a PDS has done them within [`DIAL_TIMEOUT_MILLIS`].
pub const PUBLISH_WRITES_PER_CALL: usize = 20;
/// Generator records of one repository: more are taken for a mistake.
pub const PUBLISH_RECORDS_MAX: usize = 200_000;
/// The largest picture of feeds, in bytes (the lexicon's bound).
pub const AVATAR_BYTES_MAX: usize = 1_000_000;

// --- identity

/// A request to the outside world is answered whole within this time, in milliseconds: name, connection, TLS, head and body.
pub const DIAL_TIMEOUT_MILLIS: u64 = 3_000;
/// One of several addresses of a host is given this time to take the connection, in milliseconds, before the next is tried.
pub const DIAL_ATTEMPT_MILLIS: u64 = 1_000;
/// Addresses of a host that are tried; all that it has are judged.
pub const DIAL_ADDRESSES_TRIED_MAX: usize = 4;
/// The longest body that any answer may have, in bytes: a page of listed records.
pub const DIAL_BODY_BYTES_MAX: usize = 2 << 20;
/// The longest head of an answer, in bytes.
pub const DIAL_HEAD_BYTES_MAX: usize = 32 << 10;
/// The most header fields of an answer.
pub const DIAL_HEADERS_MAX: usize = 100;
/// The longest public key, in bytes of text: an uncompressed point has 90.
pub const KEY_TEXT_BYTES_MAX: usize = 128;
/// The longest DID document, in bytes. Those of the directory have 1 kB.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// The longest answer of `/.well-known/atproto-did`, in bytes: a DID alone, at most 2,048 bytes.
pub const WELL_KNOWN_BYTES_MAX: usize = 2 << 10;
/// A document or a handle that was read less than this ago is taken as it is, in microseconds; after that it is read again
/// while the old one is used…
pub const IDENTITY_STALE_MICROS: i64 = HOUR_MICROS;
/// …and from this age on it is not used any more.
pub const IDENTITY_AGE_MAX_MICROS: i64 = DAY_MICROS;
/// What is not there is not asked for again within this time, in microseconds.
pub const IDENTITY_ABSENT_MICROS: i64 = 5 * MINUTE_MICROS;
/// …and what could not be asked for, within this one.
pub const IDENTITY_FAILED_MICROS: i64 = 30 * SECOND_MICROS;
/// A document is read again for a signature that does not hold once in this time, in microseconds, for each issuer.
pub const IDENTITY_FORCED_MICROS: i64 = MINUTE_MICROS;
/// …and for all issuers together this often within it: forged tokens of many issuers must not become a flood elsewhere.
pub const IDENTITY_FORCED_MAX: u32 = 120;
/// A document that was read less than this ago is not read again for a signature, in microseconds.
pub const IDENTITY_NEW_MICROS: i64 = 2 * SECOND_MICROS;
/// Whoever reads a document for all who wait has this time, in microseconds; then another takes over. A handle takes a look-up
/// in DNS and a request.
pub const IDENTITY_FLIGHT_MICROS: i64 = 10 * SECOND_MICROS;
/// Documents that are kept, about 600 bytes each, 40 MB; as many handles, about 300 bytes each.
pub const IDENTITIES_MAX: usize = 1 << 16;
/// The longest service token, in bytes. That of the AppView has 400; two DIDs of 2,048 bytes do not fit.
pub const TOKEN_BYTES_MAX: usize = 4 << 10;
/// A token may be made, or begin to hold, this much later than now, in seconds: the clock of its maker.
pub const TOKEN_SKEW_SECONDS: i64 = 30;
/// A token may hold for at most this long from now, in seconds. Those of the AppView hold for 60.
pub const TOKEN_LIFE_SECONDS_MAX: i64 = 5 * 60;
/// The longest `jti`, in bytes.
pub const TOKEN_ID_BYTES_MAX: usize = 256;
/// Places for tokens that have been judged, about 250 bytes each, 8 MB. A power of two.
pub const TOKENS_MAX: usize = 1 << 15;
/// A refusal is remembered for this long, in microseconds.
pub const TOKEN_REFUSED_MICROS: i64 = 10 * SECOND_MICROS;
/// A token that is being judged is not offered again within this time, in microseconds.
pub const TOKEN_PENDING_MICROS: i64 = 10 * SECOND_MICROS;
/// Tokens that wait to be judged; beyond it the request is answered as anybody's and the token counted. 4 MB at most.
pub const TOKENS_WAITING_MAX: usize = 1 << 10;
/// Tokens that are judged at the same time: each may wait for a host.
pub const TOKENS_JUDGED_AT_ONCE_MAX: usize = 16;
/// How often it is looked whether identities have changed, in milliseconds: so long a key that was replaced may still count.
pub const IDENTITY_CHANGES_POLL_MILLIS: u64 = 50;
/// Identities that have changed and wait to be forgotten. Beyond it, at some 80,000 a second, the thread that reads the stream
/// forgets them itself. 100 kB. A power of two.
pub const IDENTITY_CHANGES_WAITING_MAX: usize = 1 << 12;
/// Used `jti` that are remembered until their tokens end; beyond it writes are refused. About 60 bytes each, 4 MB: 200 writes
/// a second whose tokens hold for 5 minutes.
pub const TOKEN_IDS_USED_MAX: usize = 1 << 16;

const _: () = {
    assert!(FRAME_RING_SLOTS.is_power_of_two() && FACT_RING_SLOTS.is_power_of_two());
    assert!(PAGE_ITEMS_DEFAULT <= PAGE_ITEMS_MAX);
    assert!(RECEIVE_BUFFER_BYTES <= 256 << 10);
    assert!(TLS_BUFFER_BYTES + UPGRADE_BYTES_MAX < RECEIVE_BUFFER_BYTES, "what is decrypted at once must fit");
    assert!(UPGRADE_BYTES_MAX < RECEIVE_BUFFER_BYTES, "the answer to the request must fit into the receive buffer");
    assert!(FRAME_BYTES_MAX == 1 << ZSTD_WINDOW_LOG_MAX);
    assert!(FRAME_SKIP_BYTES_MAX > FRAME_BYTES_MAX as u64);
    assert!(BACKOFF_FIRST_MILLIS <= BACKOFF_MAX_MILLIS);
    assert!(CHUNK_ENTRIES_FIRST.is_power_of_two() && CHUNK_ENTRIES_FIRST <= CHUNK_ENTRIES);
    assert!(FRAME_BYTES_MAX >= 1 << 20, "a record of 1 MiB must fit");
    assert!(LOG_RECORD_BYTES_MAX > FRAME_BYTES_MAX, "the facts of any frame must fit into one record");
    assert!(SEGMENT_BYTES as usize >= LOG_RECORD_BYTES_MAX);
    assert!(HOST_REWIND_MICROS < DISPLACEMENT_MICROS);
    assert!(POSTS_PER_AUTHOR_MAX < WAITING_MAX / ROOM_PART, "one author must not fill what is made free at once");
    assert!(CONFIG_VERSIONS_MAX >= 2, "a version in force and the one before it");
    assert!(CONFIGS_PER_DID_MAX <= CLAIMS_PER_DID_MAX, "each config needs a claim to be served");
    assert!(CLAMP_MICROS < HOST_REWIND_MICROS && CLAMP_SAME_MICROS < V1_REWIND_MICROS);
    assert!(HTTP_HEAD_BYTES_MAX >= 8192, "hyper's least buffer");
    assert!(HTTP_LINGER_MILLIS < STOP_TIMEOUT_MILLIS);
    assert!(INQUIRIES_MAX.is_power_of_two() && INQUIRIES_PER_BATCH_MAX <= INQUIRIES_MAX);
    assert!(
        EXPLAIN_TIMEOUT_MILLIS > 4 * IDLE_BATCH_INTERVAL_MILLIS / 4 && EXPLAIN_TIMEOUT_MILLIS < STOP_TIMEOUT_MILLIS
    );
    assert!(DIAL_ATTEMPT_MILLIS < DIAL_TIMEOUT_MILLIS && DIAL_TIMEOUT_MILLIS < STOP_TIMEOUT_MILLIS);
    assert!(DIAL_HEAD_BYTES_MAX >= 8192, "hyper's least buffer");
    assert!(IDENTITY_STALE_MICROS < IDENTITY_AGE_MAX_MICROS);
    assert!(IDENTITY_FLIGHT_MICROS > 2 * DIAL_TIMEOUT_MILLIS as i64 * 1000, "a look-up and a request");
    assert!(DOCUMENT_BYTES_MAX <= DIAL_BODY_BYTES_MAX && TOKENS_MAX.is_power_of_two());
    assert!(BATCH_DELAY_MILLIS < IDLE_BATCH_INTERVAL_MILLIS);
    assert!(RATE_CALLERS.is_power_of_two() && RATE_WINDOW_SECONDS * 1_000_000 == RATE_QUOTA_MAX as u64);
    assert!(INTERACTION_POSTS_MAX / INTERACTION_SHARDS >= 2 * ROOM_PART);
    assert!(INTERACTION_COMMUNITIES_MAX / INTERACTION_SHARDS >= 2 * ROOM_PART);
};
