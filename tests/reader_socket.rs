//! The reader against hosts that misbehave, over real sockets on 127.0.0.1.
//!
//! Each host is a thread with a script: what it does with its first, second, third connection. Frames are
//! `{"seq":N}`; the sink knows its position by them. What every test holds: all frames arrive in order, each new one
//! once, and nothing but control frames is ever sent to a host.

mod reader_bench;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use atrarium::fact::GapReason;
use atrarium::ingest::reader::{Pressure, Timeouts, WithoutCursor};
use atrarium::limits::FRAME_BYTES_MAX;
use atrarium::telemetry::Reason;
use bytes::Bytes;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};

use reader_bench::{
    PATIENCE, Server, Setup, catch_up, close, closes_after, frame, keep, pause, pings_behind_lumps, script, send,
    sends, setup,
};

#[test]
fn frames_fragments_and_pings_arrive_and_the_ping_is_answered() {
    let (told, pongs) = mpsc::channel();
    let server = Server::new(vec![script(move |guest| {
        let mut socket = guest.accept();
        send(&mut socket, [1]);
        let part = |text: &'static str, code, last| {
            Message::Frame(Frame::message(Bytes::from_static(text.as_bytes()), OpCode::Data(code), last))
        };
        socket.send(part("{\"s", Data::Text, false)).expect("sent");
        socket.send(Message::Ping(Bytes::from_static(b"are you there"))).expect("sent");
        socket.send(part("eq\":2}", Data::Continue, true)).expect("sent");
        send(&mut socket, [3]);
        told.send(keep(socket)).expect("the test waits");
    })]);
    let mut work = setup().read(&[&server.url]);
    assert_eq!(server.asked(), "/xrpc/network.bsky.jetstream.subscribeEvents");
    work.until_seq(3);
    assert_eq!(work.new_seqs(), [1, 2, 3]);
    work.end();
    let got = pongs.recv_timeout(PATIENCE).expect("the host's script ends");
    assert!(got.contains(&Message::Pong(Bytes::from_static(b"are you there"))), "{got:?}");
    assert!(got.iter().any(Message::is_close), "the reader says goodbye: {got:?}");
}

#[test]
fn after_a_close_it_goes_on_from_its_cursor() {
    let server = Server::new(vec![closes_after(1..=5), closes_after(5..=9), sends(9..=12)]);
    let work = setup().read(&[&server.url]);
    work.until_seq(12);
    assert_eq!(work.new_seqs(), (1..=12).collect::<Vec<_>>());
    let asked: Vec<_> = (0..3).map(|_| server.asked()).collect();
    assert!(!asked[0].contains("cursor"), "{asked:?}");
    assert!(asked[1].ends_with("?cursor=5") && asked[2].ends_with("?cursor=9"), "{asked:?}");
    assert!(work.notes().lost[0].contains("1012 \"bye\""));
}

#[test]
fn a_hang_up_in_the_middle_of_a_frame_loses_nothing() {
    let server = Server::new(vec![
        script(|guest| {
            let mut socket = guest.accept();
            send(&mut socket, 1..=3);
            socket.get_mut().write_all(b"\x81\x09{\"se").expect("sent");
        }),
        sends(3..=5),
    ]);
    let work = setup().read(&[&server.url]);
    work.until_idle_after(5);
    assert_eq!(work.new_seqs(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_host_that_closes_and_hangs_up_at_once_is_no_error_of_ours() {
    let hasty = |first: u64| {
        script(move |guest| {
            let mut socket = guest.accept();
            send(&mut socket, first..=first + 1);
            let frame = Frame::close(Some(CloseFrame { code: CloseCode::Away, reason: "".into() }));
            socket.send(Message::Frame(frame)).expect("sent");
        })
    };
    let server = Server::new(vec![hasty(1), hasty(2), sends(3..=4)]);
    let work = setup().read(&[&server.url]);
    work.until_idle_after(4);
    assert_eq!(work.new_seqs(), [1, 2, 3, 4]);
    assert!(work.notes().lost[0].contains("closed with 1001"), "{:?}", work.notes().lost);
}

#[test]
fn refusals_before_the_upgrade_are_read_and_acted_upon() {
    let too_old = r#"{"error":"CursorTooOld","message":"cursor 0 below lookback floor 40; re-backfill"}"#;
    let too_old = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{too_old}", too_old.len());
    let server = Server::new(vec![
        script(|guest| guest.answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nnot ready")),
        script(move |guest| guest.answer(too_old.as_bytes())),
        closes_after(40..=41),
        script(|guest| guest.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":\"CursorTooOld\"}")),
        sends(60..=61),
    ]);
    let work = Setup { without_cursor: WithoutCursor::Oldest, ..setup() }.read(&[&server.url]);
    work.until_seq(61);
    let asked: Vec<_> = (0..5).map(|_| server.asked().split_once('?').expect("a cursor").1.to_owned()).collect();
    assert_eq!(asked[..4], ["cursor=0", "cursor=0", "cursor=40", "cursor=41"]);
    assert_eq!(asked[4].len(), "cursor=1795500000000000".len(), "from seven days ago: {asked:?}");
    let notes = work.notes();
    assert_eq!(notes.gaps, [GapReason::CursorTooOld], "the oldest that there is is no gap, a lost position is one");
    assert!(notes.lost[0].contains("503: not ready"), "{:?}", notes.lost);
    assert!(notes.lost[1].contains("400 CursorTooOld: cursor 0 below lookback floor 40"), "{:?}", notes.lost);
}

#[test]
fn a_silent_host_is_left_for_the_next_one() {
    let silent = Server::new(vec![script(|guest| drop(keep(guest.accept())))]);
    let mute = Server::new(vec![script(|guest| guest.say_nothing())]);
    let good = Server::new(vec![sends(1..=3)]);
    let mut timeouts = setup().timeouts;
    timeouts.first_data = Duration::from_millis(60);
    timeouts.connect = Duration::from_millis(60);
    let work = Setup { timeouts, ..setup() }.read(&[&silent.url, &mute.url, &good.url]);
    work.until_seq(3);
    let notes = work.notes();
    assert!(notes.lost[0].contains("sent nothing"), "{:?}", notes.lost);
    assert!(notes.lost[1].contains("no connection within"), "{:?}", notes.lost);
}

#[test]
fn a_host_that_falls_silent_is_pinged_and_then_left() {
    let (told, got) = mpsc::channel();
    let server = Server::new(vec![
        script(move |guest| {
            let mut socket = guest.accept();
            send(&mut socket, [1]);
            told.send(keep(socket)).expect("the test waits");
        }),
        sends(1..=2),
    ]);
    let mut timeouts = setup().timeouts;
    timeouts.idle = Duration::from_millis(200);
    let work = Setup { timeouts, ..setup() }.read(&[&server.url]);
    let got = got.recv_timeout(PATIENCE).expect("the reader hangs up");
    assert!(got.iter().any(Message::is_ping), "{got:?}");
    work.until_seq(2);
    assert!(work.notes().lost[0].contains("stopped sending"));
    server.asked();
    assert!(server.asked().ends_with("cursor=1"));
}

#[test]
fn what_must_be_refused_is_counted_and_the_connection_goes_on() {
    let server = Server::new(vec![script(|guest| {
        let mut socket = guest.accept();
        send(&mut socket, [1]);
        socket.send(Message::Text("x".repeat(FRAME_BYTES_MAX + 1).into())).expect("sent");
        send(&mut socket, [2]);
        socket.send(Message::binary(vec![0x28, 0xb5, 0x2f, 0xfd])).expect("sent");
        send(&mut socket, [3]);
        let bad = Frame::message(Bytes::from_static(b"\xff\xfe"), OpCode::Data(Data::Text), true);
        socket.send(Message::Frame(bad)).expect("sent");
        send(&mut socket, [4]);
        keep(socket);
    })]);
    let work = setup().read(&[&server.url]);
    work.until_seq(4);
    assert_eq!(work.new_seqs(), [1, 2, 3, 4]);
    let notes = work.notes();
    assert_eq!(notes.refused, [Reason::TooLarge, Reason::Binary, Reason::Garbage]);
    assert_eq!(notes.connected, 1, "{:?}", notes.lost);
}

#[test]
fn what_is_no_websocket_host_is_tried_again() {
    let server = Server::new(vec![
        script(|guest| guest.answer(b"220 mail.example ESMTP\r\n")),
        script(|guest| guest.answer(b"")),
        script(|guest| guest.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")),
        script(|guest| guest.answer(&[0; 5000])),
        sends(1..=1),
    ]);
    let work = setup().read(&[&server.url]);
    work.until_seq(1);
    let notes = work.notes();
    assert_eq!(notes.lost.len(), 4, "{:?}", notes.lost);
    for (lost, says) in notes.lost.iter().zip(["does not speak HTTP", "hung up", "answered 200: hello", "check host"]) {
        assert!(lost.contains(says), "{lost}");
    }
}

/// Whatever breaks the websocket protocol at one position must not hold the stream up for ever.
#[test]
fn a_position_that_cannot_be_read_is_passed() {
    let breaks = |first: u64| {
        script(move |guest| {
            let mut socket = guest.accept();
            send(&mut socket, first..=3);
            socket.get_mut().write_all(b"\xf1\x01x").expect("sent");
            keep(socket);
        })
    };
    // The first time something new came, so it is not yet the position's fault.
    let server = Server::new(vec![breaks(1), breaks(3), breaks(3), breaks(3), sends(5..=6)]);
    let work = setup().read(&[&server.url]);
    work.until_seq(6);
    assert_eq!(work.new_seqs(), [1, 2, 3, 5, 6]);
    let asked: Vec<_> = (0..5).map(|_| server.asked()).collect();
    assert!(asked[1..4].iter().all(|asked| asked.ends_with("cursor=3")), "{asked:?}");
    assert!(asked[4].ends_with("cursor=5"), "{asked:?}");
    assert_eq!(work.notes().gaps, [GapReason::Unreadable]);
}

#[test]
fn a_host_that_drips_byte_by_byte_is_read() {
    let server = Server::new(vec![script(|guest| {
        let (mut stream, accept) = guest.accept_by_hand();
        let mut bytes = accept.into_bytes();
        for seq in 1..=5 {
            bytes.extend([0x81, 9]);
            bytes.extend(frame(seq).as_bytes());
        }
        for byte in bytes {
            stream.write_all(&[byte]).expect("the reader reads");
        }
        let _until_hung_up = stream.read_to_end(&mut Vec::new());
    })]);
    let work = setup().read(&[&server.url]);
    work.until_seq(5);
    assert_eq!(work.new_seqs(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_sink_stops_the_host_and_loses_nothing() {
    const FRAMES: usize = 200_000;
    let sent = Arc::new(AtomicUsize::new(0));
    let sent_by_host = Arc::clone(&sent);
    let server = Server::new(vec![script(move |guest| {
        let mut socket = guest.accept();
        for seq in 1..=FRAMES {
            let padded = format!("{{\"seq\":{seq}{}}}", " ".repeat(200));
            socket.send(Message::text(padded)).expect("the reader reads");
            sent_by_host.fetch_add(1, Ordering::Relaxed);
        }
        keep(socket);
    })]);
    let mut timeouts = setup().timeouts;
    timeouts.idle = Duration::from_millis(300);
    let work = Setup { timeouts, room: 10, ..setup() }.read(&[&server.url]);
    work.until("full", |notes| notes.seqs.len() == 10);
    // The host fills the buffers between us, and then it stands.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) {
        before = sent.load(Ordering::Relaxed);
        pause(400);
    }
    assert!(before < FRAMES, "the host was never stopped");
    assert_eq!(work.notes().seqs.len(), 10, "nothing is pushed onto a full sink");
    let ticks = work.notes().ticks;
    work.until("ticks go on", |notes| notes.ticks > ticks);
    for room in [1_000, 50_000, 150_000, usize::MAX] {
        work.room.store(room, Ordering::Relaxed);
        work.stop.wake();
        work.until("the room is used", |notes| notes.seqs.len() == room.min(FRAMES));
    }
    assert_eq!(work.new_seqs().len(), FRAMES);
    assert_eq!(work.notes().connected, 1, "time under pressure is no silence of the host");
}

#[test]
fn pings_are_answered_while_catching_up() {
    let server = Server::new(vec![pings_behind_lumps()]);
    catch_up(&Setup { room: 1, ..setup() }.read(&[&server.url]));
}

#[test]
fn the_sink_can_ask_for_another_connection() {
    let server = Server::new(vec![sends(1..=2), sends(2..=4)]);
    let work = Setup { special: Some((2, Pressure::Reconnect)), ..setup() }.read(&[&server.url]);
    work.until("a second connection", |notes| notes.connected >= 2);
    server.asked();
    assert!(server.asked().ends_with("cursor=2"));
    drop(work);

    let server = Server::new(vec![sends(2..=2), sends(1..=4)]);
    let work = Setup { special: Some((2, Pressure::Rewind)), ..setup() }.read(&[&server.url]);
    work.until("a second connection", |notes| notes.connected >= 2);
    server.asked();
    assert!(server.asked().ends_with("cursor=0"));
}

#[test]
fn a_host_that_is_not_there_yet_is_found_when_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let work = setup().read(&[&format!("ws://{address}/subscribe")]);
    work.until("it is refused", |notes| notes.lost.len() >= 3);
    assert!(work.notes().lost[0].contains("refused"), "{:?}", work.notes().lost);
    let server = Server::on(TcpListener::bind(address).expect("the port is still free"), vec![sends(1..=2)]);
    work.until_seq(2);
    assert_eq!(server.asked(), "/subscribe");
    // Before the host, which waits for its guest to go.
    drop(work);
}

#[test]
fn another_host_is_asked_for_the_moment_and_the_first_one_for_its_own_position() {
    let second = Server::new(vec![script(|guest| {
        let mut socket = guest.accept();
        send(&mut socket, [4]);
        close(socket);
    })]);
    // The first one hangs up once without anything new, so the second one's turn comes.
    let server = Server::new(vec![closes_after(1..=5), closes_after(5..=5), sends(5..=6)]);
    let work = setup().read(&[&server.url, &second.url]);
    work.until_seq(6);
    let rewound = second.asked();
    assert!(rewound.ends_with("?cursor=1795499880000005"), "the fifth frame's time less two minutes: {rewound}");
    let asked: Vec<_> = (0..3).map(|_| server.asked()).collect();
    assert!(asked[2].ends_with("cursor=5"), "{asked:?}");
}

#[test]
fn it_stops_at_once_whatever_it_does() {
    let prompt = Duration::from_secs(2);
    let patient = Timeouts { backoff_first: PATIENCE, backoff_max: PATIENCE, ..Timeouts::default() };
    let idle = Server::new(vec![sends(1..=1)]);
    let mut work = Setup { timeouts: patient, ..setup() }.read(&[&idle.url]);
    work.until_seq(1);
    assert!(work.end() < prompt, "while idle");

    let full = Server::new(vec![sends(1..=5)]);
    let mut work = Setup { room: 2, ..setup() }.read(&[&full.url]);
    work.until_seq(2);
    assert!(work.end() < prompt, "while full");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("ws://{}", listener.local_addr().expect("it is bound"));
    let mut work = Setup { timeouts: patient, ..setup() }.read(&[&nobody]);
    pause(50);
    assert!(work.end() < prompt, "in the handshake");

    drop(listener);
    let mut work = Setup { timeouts: patient, ..setup() }.read(&[&nobody]);
    work.until("refused", |notes| notes.lost.len() == 1);
    assert!(work.end() < prompt, "while it waits for the next try");
}

#[test]
fn ticks_come_while_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("ws://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let patient = Timeouts { backoff_first: PATIENCE, backoff_max: PATIENCE, ..Timeouts::default() };
    let work = Setup { timeouts: patient, ..setup() }.read(&[&nobody]);
    work.until("ticks", |notes| notes.ticks >= 3);
    assert_eq!(work.notes().lost.len(), 1);
}
