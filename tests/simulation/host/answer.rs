//! The first words of a connection: HTTP.

use simnet::Dialect;
use tungstenite::handshake::derive_accept_key;

use super::conn::{Around, Phase, Stream};
use super::{Conn, DICTIONARIES, Ending, Host, LOSS_EVENTS, LOSS_MICROS};
use crate::faults::Fault;
use crate::sim::SEAM_MICROS;

const EVENTS: &str = "/xrpc/network.bsky.jetstream.subscribeEvents";
const DICTIONARY: &str = "/xrpc/network.bsky.jetstream.getZstdDictionary";
/// From here on a cursor is a moment.
const TIME_FROM: u64 = 1_000_000_000_000_000;

/// What a client asks for.
struct Request {
    dialect: Dialect,
    cursor: Option<u64>,
    /// v1: the shared dictionary, 0. v2: the one of this id.
    zstd: Option<u32>,
    key: String,
}

impl Conn {
    /// Answers the request, once it is there; whether a session has begun.
    pub(super) fn answer(&mut self, around: &mut Around<'_>) -> bool {
        let Some(end) = self.inbox.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head: Vec<u8> = self.inbox.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a request is text");
        let target = head.split(' ').nth(1).expect("a request line").to_owned();
        let fault = around.plan.while_connecting(around.rng);
        if target == DICTIONARY {
            self.give_dictionary(fault, around);
            return false;
        }
        let request = Request::parse(&target, &head);
        let host = &mut around.hosts[self.host];
        assert_eq!(request.dialect, host.dialect, "each host is asked in its own dialect");
        if fault == Some(Fault::Unavailable) {
            self.refuse(503, "ServiceUnavailable", "bootstrapping", Fault::Unavailable);
            return false;
        }
        if fault == Some(Fault::RetiredDictionary) {
            host.dictionary = 3 - host.dictionary;
        }
        if self.is_refused(&request, fault, around) {
            return false;
        }
        self.begin(&request, fault, around);
        true
    }

    fn give_dictionary(&mut self, fault: Option<Fault>, around: &mut Around<'_>) {
        if let Some(Fault::NoDictionary | Fault::Unavailable) = fault {
            return self.refuse(503, "ServiceUnavailable", "no dictionary yet", Fault::NoDictionary);
        }
        let dictionary = &DICTIONARIES[around.hosts[self.host].dictionary].0;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", dictionary.bytes().len());
        self.send_raw(&[head.as_bytes(), dictionary.bytes()].concat(), None);
        self.end(Ending::Closed, None);
    }

    /// Refuses a dictionary or a number that this host does not have, or says that it has not.
    fn is_refused(&mut self, request: &Request, fault: Option<Fault>, around: &mut Around<'_>) -> bool {
        if request.dialect == Dialect::V1 {
            return false;
        }
        let host = &around.hosts[self.host];
        let current = DICTIONARIES[host.dictionary].0.id();
        if let Some(id) = request.zstd.filter(|&id| id != current) {
            let message = format!("unknown zstd dictionary id {id}; current dictionary id is {current}");
            self.refuse(400, "UnknownZstdDictionary", &message, Fault::RetiredDictionary);
            return true;
        }
        let Some(number) = request.cursor.filter(|&cursor| cursor < TIME_FROM) else { return false };
        let old = |floor: u64| format!("cursor {number} below lookback floor {floor}; reconnect with a later one");
        let asked = host.at_number(number);
        match fault {
            Some(Fault::TooOld) => self.refuse(400, "CursorTooOld", &old(number.max(1)), Fault::TooOld),
            Some(Fault::TooOldUnnamed) => self.refuse(400, "CursorTooOld", "too old", Fault::TooOldUnnamed),
            _ => {
                let floor = host.floor_for(asked, around);
                if floor <= asked {
                    return false;
                }
                let message = if around.rng.bool() { old(host.number(floor)) } else { "too old".to_owned() };
                self.refuse(400, "CursorTooOld", &message, Fault::Floor);
            }
        }
        true
    }

    fn begin(&mut self, request: &Request, fault: Option<Fault>, around: &mut Around<'_>) {
        let head = around.world.head(around.wall);
        let (asked, is_moment) = match request.cursor {
            None => (head, false),
            Some(cursor) if cursor >= TIME_FROM => (around.world.before(cursor as i64), true),
            Some(number) => (around.hosts[self.host].at_number(number), false),
        };
        let mut next = around.hosts[self.host].floor_for(asked, around);
        let mut happened = (next > asked).then_some(Fault::Floor);
        match fault {
            Some(Fault::Clamp) if request.cursor.is_some() => {
                if let Some(later) = beyond(around).filter(|&later| later > next) {
                    (next, happened) = (later, fault);
                }
            }
            Some(Fault::EarlierThanAsked) if is_moment && next == asked => {
                (next, happened) = (around.rng.u64(0..=next), fault);
            }
            // For the next client: this one has begun.
            Some(Fault::Floor) => {
                let host = &mut around.hosts[self.host];
                host.floor = host.floor.max(around.rng.u64(0..=head.min(around.world.len())));
            }
            Some(Fault::Silence) => self.quiet = Some((Fault::Silence, around.now)),
            _ => {}
        }
        // A cursor from the future waits for nothing: it is now.
        let next = next.min(head);
        let accept = derive_accept_key(request.key.as_bytes());
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket";
        self.send_raw(format!("{answer}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes(), happened);
        let zstd =
            request.zstd.map(|_| if request.dialect == Dialect::V1 { 0 } else { around.hosts[self.host].dictionary });
        self.began_at = Some(next);
        self.phase = Phase::Stream(Stream { dialect: request.dialect, first: Default::default(), next, zstd });
    }

    fn refuse(&mut self, status: u16, error: &str, message: &str, fault: Fault) {
        let body = format!(r#"{{"error":"{error}","message":"{message}"}}"#);
        let head = format!("HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
        self.send_raw(format!("{head}\r\n\r\n{body}").as_bytes(), Some(fault));
        self.end(Ending::Closed, None);
    }
}

impl Host {
    /// The first position that is left here of those from `asked` on. Where only a little would be missing of what the client
    /// has not read, the host still has it: so little is not told from single events that were erased.
    fn floor_for(&self, asked: u64, around: &Around<'_>) -> u64 {
        let Some(newest) = around.newest else { return asked.max(self.floor) };
        // Of v1 a little before the newest position may not have come yet.
        let is_read = around.world.time(self.floor) <= around.world.time(newest) - SEAM_MICROS;
        let is_noticed = is_read || beyond(around).is_some_and(|least| self.floor >= least);
        if is_noticed { asked.max(self.floor) } else { asked }
    }
}

/// The first position that is so far behind the newest one of the client that the loss of all between must be noticed.
fn beyond(around: &Around<'_>) -> Option<u64> {
    let newest = around.newest?;
    let world = around.world;
    let later = world.before(world.time(newest) + LOSS_MICROS).max(newest + LOSS_EVENTS);
    (later < world.head(around.wall)).then_some(later)
}

impl Request {
    fn parse(target: &str, head: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let dialect = match path {
            "/subscribe" => Dialect::V1,
            EVENTS => Dialect::V2,
            other => panic!("nothing is at {other}"),
        };
        let mut request = Self { dialect, cursor: None, zstd: None, key: String::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').expect("a pair") {
                ("cursor", value) => request.cursor = Some(value.parse().expect("a number")),
                ("compress", "true") => request.zstd = Some(0),
                ("zstdDictionary", id) => request.zstd = Some(id.parse().expect("a number")),
                other => panic!("nobody asks for {other:?}"),
            }
        }
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
        });
        request.key = key.expect("a websocket handshake has a key");
        request
    }
}
