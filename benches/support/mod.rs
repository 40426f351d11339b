//! What benches share: sides that take turns, lines of ratios, and frames.
//!
//! A bench first asserts that its sides compute the same, then measures them turn by turn in one process, because the
//! speed of a machine drifts and ratios do not. Behind everything criterion has to say it prints one line for each ratio:
//!
//! ```text
//! WHAT vs REFERENCE: N.Nx      above 1: WHAT is that many times faster
//! ```
//! `tools/peers` collects these lines. `-- --quick` measures once around: whether it works, not how fast it is.
#![allow(dead_code, reason = "each bench uses another part")]

use std::sync::OnceLock;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::wire::session::{Event, Session};
use criterion::{Criterion, Throughput};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use simnet::{Dialect, Line, Network, Options};
use tungstenite::handshake::derive_accept_key;

/// One way to do the work: its name, and one pass over all of it.
pub type Side<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// How long one turn of a side is at least.
const TURN: Duration = Duration::from_millis(5);
/// How often each side has its turn.
const TURNS: usize = 15;

/// What is measured of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Time on a processor of the thread that measures: another program on the machine changes little of it.
    Processor,
    /// Time that passes, where several threads work together: it needs a machine on which nothing else runs. (The least turn
    /// would not help: where one thread has no processor for a while, the other meets nobody, and is fast.)
    Passing,
}

impl Time {
    fn read(self, clock: &Clock) -> Duration {
        match self {
            Self::Passing => clock.monotonic(),
            Self::Processor => {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
            }
        }
    }
}

/// Nanoseconds for one call of each body, medians of turns. Each turn calls a body at least once, and for about [`TURN`].
pub fn turns<const N: usize>(time: Time, count: usize, mut bodies: [Box<dyn FnMut() + '_>; N]) -> [f64; N] {
    let clock = Clock::real();
    let mut times = [const { Vec::new() }; N];
    // The first turn finds buffers their size and says how many calls fill a turn; it is not counted.
    let calls = bodies.each_mut().map(|body| {
        let before = time.read(&clock);
        body();
        let once = (time.read(&clock) - before).max(Duration::from_nanos(1));
        TURN.as_nanos().div_ceil(once.as_nanos()).clamp(1, 1_000_000) as u32
    });
    for _ in 0..count {
        for ((body, calls), times) in bodies.iter_mut().zip(calls).zip(&mut times) {
            let before = time.read(&clock);
            (0..calls).for_each(|_| body());
            times.push((time.read(&clock) - before).as_nanos() as f64 / f64::from(calls));
        }
    }
    times.map(median)
}

/// The median of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Whether only the working is to be shown.
pub fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}

/// One bench: what it measures by criterion, and the lines that it prints at its end.
pub struct Bench {
    criterion: Criterion,
    turns: usize,
    lines: Vec<String>,
}

impl Bench {
    pub fn new() -> Self {
        let criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(500))
            .without_plots()
            .configure_from_args();
        Self { criterion, turns: if is_quick() { 3 } else { TURNS }, lines: Vec::new() }
    }

    /// For what has no reference.
    pub fn criterion(&mut self) -> &mut Criterion {
        &mut self.criterion
    }

    /// Measures each side alone, then all turn by turn: nanoseconds for each of the `elements` that one pass works on.
    pub fn sides<const N: usize>(
        &mut self,
        what: &str,
        elements: usize,
        time: Time,
        mut sides: [Side<'_>; N],
    ) -> [f64; N] {
        let mut group = self.criterion.benchmark_group(what);
        group.throughput(Throughput::Elements(elements as u64));
        for (name, pass) in &mut sides {
            group.bench_function(*name, |bencher| bencher.iter(&mut *pass));
        }
        group.finish();
        let names = sides.each_ref().map(|(name, _)| *name);
        let passes = sides.map(|(_, pass)| pass);
        let times = turns(time, self.turns, passes).map(|nanos| nanos / elements as f64);
        let each: Vec<String> = names.iter().zip(times).map(|(name, nanos)| format!("{name} {nanos:.1}")).collect();
        self.lines.push(format!("ns, {what}: {}", each.join(", ")));
        times
    }

    /// Says how many times faster one is than the other.
    pub fn ratio(&mut self, what: &str, reference: &str, nanos: f64, reference_nanos: f64) {
        self.lines.push(ratio(what, reference, nanos, reference_nanos));
    }

    /// Says something else.
    pub fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Prints what was said, behind everything that criterion prints.
    pub fn finish(self) {
        self.criterion.final_summary();
        println!();
        self.lines.iter().for_each(|line| println!("{line}"));
    }
}

/// The line of a ratio.
pub fn ratio(what: &str, reference: &str, nanos: f64, reference_nanos: f64) -> String {
    format!("{what} vs {reference}: {:.1}x", reference_nanos / nanos)
}

/// Puts this thread on one of the processors that this program may use, `0` or `1`, where there are two: two threads that share
/// one hand nothing from cache to cache, and take turns instead of working together. The main thread must have called it
/// before others do, which would inherit its place else.
pub fn pin(place: usize) {
    static PROCESSORS: OnceLock<Vec<usize>> = OnceLock::new();
    let processors = PROCESSORS.get_or_init(|| {
        let allowed = sched_getaffinity(None).expect("a thread may ask where it runs");
        (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor)).collect()
    });
    if let [first, .., last] = processors[..] {
        let mut only = CpuSet::new();
        only.set([first, last][place]);
        sched_setaffinity(None, &only).expect("a thread may choose among its processors");
    }
}

/// A form in which a host writes frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    V1,
    V2,
    /// v1, as hosts of v2 write it.
    V1OnV2,
}

impl Wire {
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V1OnV2];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V1OnV2 => "v1 on a v2 host",
        }
    }

    /// All frames of a network.
    pub fn frames(self, options: &Options) -> Vec<Vec<u8>> {
        let mut line = Line::default();
        let frame = |event: simnet::Event| {
            line.clear();
            match self {
                Self::V1 => event.write_v1(false, &mut line),
                Self::V2 => event.write_v2(&mut line),
                Self::V1OnV2 => event.write_v1(true, &mut line),
            }
            line.bytes.clone()
        };
        Network::new(options).map(frame).collect()
    }

    pub const fn dialect(self) -> Dialect {
        match self {
            Self::V1 | Self::V1OnV2 => Dialect::V1,
            Self::V2 => Dialect::V2,
        }
    }
}

/// Frames as a host sends them all day: three of a thousand concern Atrarium.
pub fn stream(wire: Wire, events: u64) -> Vec<Vec<u8>> {
    wire.frames(&Options { events, communities: 50, hit_rate: 0.003, ..Options::default() })
}

/// Frames that all concern Atrarium, posts most of them.
pub fn hits(wire: Wire, events: u64) -> Vec<Vec<u8>> {
    wire.frames(&Options { events, communities: 50, hit_rate: 1.0, ..Options::default() })
}

/// A session whose handshake is done.
pub fn session() -> Session {
    let mut session = Session::connect("ws://host/subscribe").expect("a sound URL");
    let request = String::from_utf8(session.output().to_vec()).expect("a request is text");
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    receive(&mut session, answer.as_bytes());
    assert_eq!(session.next(), Ok(Some(Event::Open)));
    session
}

/// Puts bytes into a session's buffer, as `recv` would. They must have room there.
pub fn receive(session: &mut Session, bytes: &[u8]) {
    session.space()[..bytes.len()].copy_from_slice(bytes);
    session.received(bytes.len());
}

/// Frames as messages of a websocket, in pieces of one receive buffer at most, none of which ends within a message.
pub fn pieces(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    for frame in frames {
        if pieces.last().is_none_or(|piece| piece.len() + frame.len() + 10 > atrarium::limits::RECEIVE_BUFFER_BYTES) {
            pieces.push(Vec::new());
        }
        simnet::websocket::frame(TEXT, frame, pieces.last_mut().expect("one at least"));
    }
    pieces
}

/// The opcode of a text message.
const TEXT: u8 = 1;
