//! Everything that can go wrong, by its name, and how often it has.

use fastrand::Rng;

macro_rules! faults {
    ($($(#[$group:meta])* $variant:ident = $name:literal, $when:ident;)+) => {
        /// What the network and the disk do to the engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fault { $($variant,)+ }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            const fn when(self) -> When {
                match self { $(Self::$variant => When::$when,)+ }
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// When a connection is made.
    Connecting,
    /// Between two events.
    Streaming,
    /// When the seed's life says so.
    Disk,
}

faults! {
    Refused = "refused", Connecting;
    NeverUp = "never-up", Connecting;
    NoAnswer = "no-answer", Connecting;
    Unavailable = "http-503", Connecting;
    TooOld = "cursor-too-old", Connecting;
    TooOldUnnamed = "cursor-too-old-unnamed", Connecting;
    Floor = "floor-raised", Connecting;
    Clamp = "clamped", Connecting;
    EarlierThanAsked = "earlier-than-asked", Connecting;
    RetiredDictionary = "retired-dictionary", Connecting;
    NoDictionary = "no-dictionary", Connecting;
    Silence = "silence", Connecting;
    Disconnect = "disconnect", Streaming;
    Reset = "reset", Streaming;
    Stall = "stall", Streaming;
    Duplicate = "duplicate", Streaming;
    Reorder = "reorder-at-seam", Streaming;
    Garbage = "garbage", Streaming;
    Binary = "binary", Streaming;
    Oversized = "oversized", Streaming;
    Length1Gib = "length-1gib", Streaming;
    Violation = "violation", Streaming;
    ErrorFrame = "error-frame", Streaming;
    CloseFrame = "close-frame", Streaming;
    UnknownKind = "unknown-kind", Streaming;
    Info = "info", Streaming;
    Fragmented = "fragmented", Streaming;
    Pings = "pings", Streaming;
    ClockAhead = "clock-ahead", Streaming;
    ClockBack = "clock-back", Streaming;
    TruncatedZstd = "truncated-zstd", Streaming;
    WrongDictionary = "wrong-dictionary", Streaming;
    NumbersAnew = "numbers-anew", Streaming;
    PowerCut = "power-cut", Disk;
    Kill = "kill", Disk;
    KillForgotten = "kill-and-cache-forgotten", Disk;
    CleanStop = "clean-stop", Disk;
    CrashWhileStopping = "crash-while-stopping", Disk;
    CallIo = "eio", Disk;
    CallNoSpace = "enospc", Disk;
    FullDisk = "full-disk", Disk;
    RecoveryIo = "eio-in-recovery", Disk;
    RecoveryNoSpace = "enospc-in-recovery", Disk;
    RecoveryCut = "crash-in-recovery", Disk;
    TornTail = "torn-tail", Disk;
    NoSnapshot = "no-snapshot", Disk;
}

impl Fault {
    /// Whether a host leaves something out that it has told nobody.
    pub const fn loses(self) -> bool {
        matches!(self, Self::Floor | Self::Clamp)
    }

    /// Whether a gap may be told though nothing is lost: the host has said so, or can only be understood so (one whose last
    /// words are ten years old and who then goes on with today's), or has ended connection after connection before the stream
    /// was where it had been.
    pub const fn may_tell_gap(self) -> bool {
        use Fault::{
            ClockBack, CloseFrame, Disconnect, ErrorFrame, Info, Length1Gib, NumbersAnew, Reset, Stall, TooOld,
            TooOldUnnamed, Violation,
        };
        let ends = matches!(self, CloseFrame | Disconnect | ErrorFrame | Length1Gib | Reset | Stall | Violation);
        self.loses() || ends || matches!(self, TooOld | TooOldUnnamed | NumbersAnew | Info | ClockBack)
    }
}

/// How often each fault has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally([u64; Fault::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Tally {
    pub fn fire(&mut self, fault: Fault) {
        tracing::debug!(fault = fault.name(), "happened");
        self.0[fault as usize] += 1;
    }

    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, other)| *mine += other);
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Which faults one seed may meet from the network, and how many.
pub struct Plan {
    connecting: Vec<Fault>,
    streaming: Vec<Fault>,
    left: u32,
    /// Of a thousand events or connections, how many meet one.
    per_mille: u32,
}

impl Plan {
    pub fn new(rng: &mut Rng) -> Self {
        // Few kinds at once, so that each seed tells its own story; some seeds have them all.
        let wanted = if rng.u8(..4) == 0 { u8::MAX } else { rng.u8(30..160) };
        let mut pick = |when: When| -> Vec<Fault> {
            let of_kind = Fault::ALL.iter().copied().filter(|fault| fault.when() == when);
            of_kind.filter(|_| rng.u8(..) <= wanted).collect()
        };
        let (connecting, streaming) = (pick(When::Connecting), pick(When::Streaming));
        Self { connecting, streaming, left: rng.u32(0..30), per_mille: [10, 30, 100][rng.usize(..3)] }
    }

    /// Nothing goes wrong any more.
    pub fn end(&mut self) {
        self.left = 0;
    }

    pub fn while_connecting(&mut self, rng: &mut Rng) -> Option<Fault> {
        Self::pick(&self.connecting, &mut self.left, 400, rng)
    }

    pub fn while_streaming(&mut self, rng: &mut Rng) -> Option<Fault> {
        Self::pick(&self.streaming, &mut self.left, self.per_mille, rng)
    }

    fn pick(from: &[Fault], left: &mut u32, per_mille: u32, rng: &mut Rng) -> Option<Fault> {
        if *left == 0 || from.is_empty() || rng.u32(..1000) >= per_mille {
            return None;
        }
        *left -= 1;
        // Losses are only possible now and then: they come first where they are wanted at all.
        let loss = from.iter().copied().find(|fault| fault.loses() && rng.u8(..4) == 0);
        Some(loss.unwrap_or(from[rng.usize(..from.len())]))
    }
}
