//! A frame that misses allocates nothing, from the receive buffer through websocket, UTF-8, prefilter and sieve to the lanes.

use std::sync::Arc;

use atrarium::clock::{Clock, Now};
use atrarium::ingest::lanes::{self, Hooks, Lanes};
use atrarium::ingest::reader::{Pressure, Sink};
use atrarium::ingest::sieve::Sieve;
use atrarium::limits::FRAME_RING_SLOTS;
use atrarium::ring::{self, Signal};
use atrarium::telemetry::Telemetry;
use atrarium::wire::endpoint::{Ask, Endpoint, Start};
use atrarium::wire::session::{Event, Session};
use atrarium::wire::zstd::{Decoder, Dictionary};
use simnet::{Dialect, Options};
use tungstenite::handshake::derive_accept_key;

struct Deaf;

impl Hooks for Deaf {
    fn connected(&mut self, _endpoint: &Endpoint) {}
    fn disconnected(&mut self, _endpoint: &Endpoint, _why: &str) {}
}

/// The reader's side of an engine, without a socket.
struct Rig {
    session: Session,
    lanes: Lanes,
    endpoint: Endpoint,
    telemetry: Arc<Telemetry>,
    out: ring::Consumer<lanes::Parcel>,
}

impl Rig {
    fn new(dialect: Dialect) -> Self {
        let (clock, telemetry, signal) = (Clock::real(), Arc::new(Telemetry::default()), Signal::new());
        let (frames, out) = ring::channel(FRAME_RING_SLOTS, &signal);
        let mut lanes = Lanes::new(lanes::Parts {
            sieve: Sieve::new(1, Arc::clone(&telemetry), false),
            rings: vec![frames],
            clock: clock.clone(),
            now: Arc::new(Now::new(clock)),
            telemetry: Arc::clone(&telemetry),
            resume: None,
            hooks: Box::new(Deaf),
        });
        let path = if dialect == Dialect::V1 { "/subscribe" } else { "" };
        let endpoint = Endpoint::parse(&format!("ws://h.example{path}")).expect("a URL");
        lanes.connected(&endpoint, &Ask { start: Start::Live, zstd: None });
        let mut session = Session::connect("ws://h.example/subscribe").expect("a URL");
        let request = String::from_utf8(session.output().to_vec()).expect("text");
        session.sent(request.len());
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let answer = format!(
            "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        let mut rig = Self { session, lanes, endpoint, telemetry, out };
        rig.receive(answer.as_bytes());
        assert_eq!(rig.session.next(), Ok(Some(Event::Open)));
        rig
    }

    fn receive(&mut self, bytes: &[u8]) {
        let space = self.session.space();
        space[..bytes.len()].copy_from_slice(bytes);
        self.session.received(bytes.len());
    }

    /// Takes what was received, as the reader does; how many frames that were.
    fn take(&mut self, decoder: Option<&mut Decoder>) -> u64 {
        let before = self.telemetry.frames.get();
        if let Some(mut run) = self.session.run() {
            assert_eq!(self.lanes.frames(&mut run, &self.endpoint), Pressure::Go);
        }
        if let Some(decoder) = decoder {
            while let Some(event) = self.session.next().expect("a sound stream") {
                let Event::Binary(message) = event else { panic!("{event:?}") };
                let text = decoder.decode(&message).expect("a sound message");
                assert_eq!(self.lanes.frame(text, &self.endpoint), Pressure::Go);
            }
        }
        self.lanes.pause(Some(self.session.last()));
        self.out.drain(usize::MAX, drop);
        self.telemetry.frames.get() - before
    }
}

/// A frame of a websocket, as a server sends it.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("no frame of these is longer").to_be_bytes();
    let head = [0x80 | opcode, 126, length[0], length[1]];
    assert!(payload.len() > 125, "none is shorter either");
    [&head[..], payload].concat()
}

/// Frames that cannot matter: no hit and no talk of one, no change of a post, no account.
fn misses(dialect: Dialect) -> Vec<String> {
    let options = Options { events: 3000, hit_rate: 0.0, ..Options::default() };
    let mut lines = Vec::new();
    simnet::Network::write(&options, dialect, &mut lines).expect("memory");
    let text = String::from_utf8(lines).expect("UTF-8");
    let is_miss = |line: &&str| atrarium::filter::prefilter(line.as_bytes()) == atrarium::filter::Possible::Nothing;
    text.lines().filter(is_miss).map(str::to_owned).collect()
}

#[test]
fn a_frame_that_misses_allocates_nothing() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let frames = misses(dialect);
        assert!(frames.len() > 2000, "{}", frames.len());
        let dictionary = simnet::Dictionary::of_simnet(dialect);
        let mut decoder = Decoder::new(&Dictionary::parse(dictionary.bytes()).expect("a dictionary")).expect("zstd");
        let mut press = zstd::bulk::Compressor::with_dictionary(3, dictionary.bytes()).expect("zstd");
        for is_compressed in [false, true] {
            let pieces: Vec<Vec<u8>> = frames
                .chunks(200)
                .map(|frames| {
                    let one = |frame: &String| match is_compressed {
                        false => message(1, frame.as_bytes()),
                        true => short_or_long(&press.compress(frame.as_bytes()).expect("zstd")),
                    };
                    frames.iter().map(one).collect::<Vec<_>>().concat()
                })
                .collect();
            let mut rig = Rig::new(dialect);
            let mut counted = (0, 0);
            // Three times: buffers find their size with the first.
            for round in 0..3 {
                for piece in &pieces {
                    rig.receive(piece);
                    let mut taken = 0;
                    let work = || taken = rig.take(is_compressed.then_some(&mut decoder));
                    let allocated = allocation_counter::measure(work).count_total;
                    if round > 0 {
                        counted.0 += taken;
                        counted.1 += allocated;
                    }
                }
            }
            let (taken, allocations) = counted;
            assert_eq!(taken, 2 * frames.len() as u64, "{dialect:?}, compressed: {is_compressed}");
            assert_eq!(rig.telemetry.hits.get(), 0, "these are misses");
            // A token after every 4,096 frames is what allocates: the position, for all workers to share.
            let tokens = taken / 4096 + 1;
            assert!(
                allocations <= 2 * tokens,
                "{dialect:?}, compressed: {is_compressed}: {allocations} in {taken} frames"
            );
        }
    }
}

fn short_or_long(payload: &[u8]) -> Vec<u8> {
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => [&[0x82, length], payload].concat(),
        _ => message(2, payload),
    }
}
