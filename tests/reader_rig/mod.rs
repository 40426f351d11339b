//! The reader's side of an engine without a socket, and frames for it.

use std::sync::Arc;

use atrarium::clock::{Clock, Now};
use atrarium::filter::{Possible, prefilter};
use atrarium::ingest::lanes::{self, Lanes};
use atrarium::ingest::reader::{Pressure, Sink};
use atrarium::ingest::sieve::Sieve;
use atrarium::limits::FRAME_RING_SLOTS;
use atrarium::ring::{self, Signal};
use atrarium::telemetry::Telemetry;
use atrarium::wire::endpoint::{Ask, Endpoint, Start};
use atrarium::wire::session::{Event, Session};
use atrarium::wire::zstd::Decoder;
use simnet::{Dialect, Options};
use tungstenite::handshake::derive_accept_key;

/// The reader's side of an engine, without a socket.
pub struct Rig {
    session: Session,
    lanes: Lanes,
    endpoint: Endpoint,
    pub telemetry: Arc<Telemetry>,
    out: ring::Consumer<lanes::Parcel>,
}

impl Rig {
    pub fn new(dialect: Dialect) -> Self {
        let (clock, telemetry, signal) = (Clock::real(), Arc::new(Telemetry::default()), Signal::new());
        let (frames, out) = ring::channel(FRAME_RING_SLOTS, &signal);
        let mut lanes = Lanes::new(lanes::Parts {
            sieve: Sieve::new(1, Arc::clone(&telemetry), false),
            rings: vec![frames],
            clock: clock.clone(),
            now: Arc::new(Now::new(clock)),
            telemetry: Arc::clone(&telemetry),
            resume: None,
            hooks: Box::new(()),
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

    pub fn receive(&mut self, bytes: &[u8]) {
        let space = self.session.space();
        space[..bytes.len()].copy_from_slice(bytes);
        self.session.received(bytes.len());
    }

    /// Takes what was received, as the reader does; how many frames that were.
    pub fn take(&mut self, decoder: Option<&mut Decoder>) -> u64 {
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
        self.lanes.idle();
        self.out.drain(usize::MAX, drop);
        self.telemetry.frames.get() - before
    }

    /// Takes what was received, all together or message by message, and says what came out of the lanes.
    pub fn told(&mut self, together: bool) -> Vec<String> {
        let mut told = Vec::new();
        if together && let Some(mut run) = self.session.run() {
            told.push(format!("{:?}", self.lanes.frames(&mut run, &self.endpoint)));
        }
        while let Some(event) = self.session.next().expect("a sound stream") {
            let Event::Text(text) = event else { panic!("{event:?}") };
            assert_eq!(self.lanes.frame(&text, &self.endpoint), Pressure::Go);
        }
        told.retain(|pressure| pressure != "Go");
        self.lanes.pause(None);
        self.lanes.idle();
        self.out.drain(usize::MAX, |parcel| told.push(format!("{parcel:?}")));
        told
    }
}

/// A frame of a websocket, as a server sends it.
pub fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let opcode = 0x80 | opcode;
    match u16::try_from(payload.len()).expect("no frame of these is longer") {
        length @ 0..126 => [&[opcode, length as u8], payload].concat(),
        length => [&[opcode, 126][..], &length.to_be_bytes(), payload].concat(),
    }
}

/// Frames that cannot matter: no hit and no talk of one, no change of a post, no account.
pub fn misses(dialect: Dialect) -> Vec<String> {
    let options = Options { events: 3000, hit_rate: 0.0, ..Options::default() };
    let mut lines = Vec::new();
    simnet::Network::write(&options, dialect, &mut lines).expect("memory");
    let text = String::from_utf8(lines).expect("UTF-8");
    let is_miss = |line: &&str| prefilter(line.as_bytes()) == Possible::Nothing;
    text.lines().filter(is_miss).map(str::to_owned).collect()
}
