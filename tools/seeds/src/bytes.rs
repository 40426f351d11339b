//! Seeds that are more than a frame: streams, answers, logs, cursors.

use std::path::Path;
use std::sync::Arc;

use atrarium::disk::{Disk, SimulatedDisk};
use atrarium::fact::PostKey;
use atrarium::log::{Log, LogError, Options};
use atrarium::syntax::{Did, RecordKey, Tid, Time};
use atrarium::view::PageCursor;
use data_encoding::BASE64URL_NOPAD;
use fastrand::Rng;

use crate::Seeds;
use crate::frames::Frames;

/// A whole websocket frame as a host sends it.
fn websocket(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut out = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => vec![first, short],
        (_, Ok(medium)) => [&[first, 126], &medium.to_be_bytes()[..]].concat(),
        _ => [&[first, 127], &(length as u64).to_be_bytes()[..]].concat(),
    };
    out.extend_from_slice(payload);
    out
}

/// What a host sends: mode, seed of the cuts, bytes.
pub fn sessions(frames: &Frames) -> Seeds {
    const FIN: u8 = 0x80;
    let mut seeds: Seeds = frames
        .all()
        .chunks(3)
        .enumerate()
        .map(|(at, frames)| {
            let messages: Vec<u8> = frames.iter().flat_map(|frame| websocket(FIN | 1, frame)).collect();
            [&[1, at.to_le_bytes()[0], 7], &messages[..]].concat()
        })
        .collect();
    let parts = [
        websocket(1, "a\u{3042}".as_bytes()),
        websocket(FIN | 9, b"ping"),
        websocket(0, b"\xe3\x81"),
        websocket(FIN, b"\x82z"),
        websocket(FIN | 2, b"\x28\xb5\x2f\xfd"),
        websocket(FIN | 1, b"\xff"),
        websocket(FIN | 10, b""),
        vec![FIN | 1, 127, 0, 0, 0, 0, 0, 0x50, 0, 0],
        websocket(FIN | 8, b"\x03\xe8bye"),
    ];
    seeds.push([&[1, 0, 0], &parts.concat()[..]].concat());
    seeds.extend(parts.iter().map(|part| [&[1, 0, 1], &part[..], &websocket(FIN | 1, b"{}")].concat()));
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 47\r\n\r\n{\"error\":\"CursorTooOld\",\"message\":\"below floor\"}",
        "HTTP/1.1 503 Service Unavailable\r\n\r\nservice not ready",
        "HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{\"error\":\"Other\"}\r\n0\r\n\r\n",
    ] {
        seeds.push([&[0, 1, 2], answer.as_bytes()].concat());
    }
    seeds
}

/// Answers to a GET, and URLs of upstreams.
pub fn answers() -> Seeds {
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nto the end",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 33\r\n\r\n{\"error\":\"UnknownZstdDictionary\"}",
        "ws://h.example:6008/subscribe?wantedCollections=a.b.*",
        "wss://jetstream.us-east.bsky.network",
        "wss://[::1]:8443/xrpc/network.bsky.jetstream.subscribeEvents?kinds=commit",
    ]
    .map(|text| [&[0, 1], text.as_bytes()].concat())
    .into()
}

/// Contents of compressed messages, and where they are damaged.
pub fn contents(frames: &Frames) -> Seeds {
    let places = [5_u16, 900, 11, 40, 77];
    let seeds = frames.all().iter().step_by(3).zip(places.iter().cycle());
    seeds.map(|(frame, place)| [&[2], &place.to_be_bytes()[..], &frame[..]].concat()).collect()
}

/// Logs: flags, then up to three snapshots and one to four segments, before each but the last its length.
pub fn logs(frames: &Frames, seed: u64) -> Seeds {
    let batches = frames.batches();
    let mut seeds = Seeds::new();
    for nth in 0..24_u64 {
        let mut rng = Rng::with_seed(seed << 8 | nth);
        let disk = SimulatedDisk::new(nth);
        // A log that breaks off half-way is a seed, too.
        let _ended = write_log(&disk, &batches, &mut rng);
        let (snapshots, segments) = (files(&disk, ".snap", 3), files(&disk, ".seg", 4));
        let counts = [segments.len().saturating_sub(1) << 3, snapshots.len() << 5];
        for flags in [0, 1, 3, 5] {
            let mut bytes = vec![flags | counts.map(|count| u8::try_from(count).expect("few")).iter().sum::<u8>()];
            let files: Vec<&Vec<u8>> = snapshots.iter().chain(&segments).collect();
            for (at, file) in files.iter().enumerate() {
                if at + 1 < files.len() {
                    bytes.extend(u16::try_from(file.len()).unwrap_or(u16::MAX).to_be_bytes());
                }
                bytes.extend_from_slice(file);
            }
            seeds.push(bytes);
        }
    }
    seeds
}

/// The last few files of a sort.
fn files(disk: &SimulatedDisk, extension: &str, most: usize) -> Seeds {
    let dir = Path::new("/data/log");
    let mut names = disk.list(dir).unwrap_or_default();
    names.retain(|name| name.ends_with(extension));
    names.sort();
    let last = names.split_off(names.len().saturating_sub(most));
    last.iter().filter_map(|name| disk.contents(&dir.join(name))).collect()
}

/// Writes a small log, which a stop, a crash or a cut of the power ends.
fn write_log(disk: &SimulatedDisk, batches: &[Vec<u8>], rng: &mut Rng) -> Result<(), LogError> {
    let options = Options::new(1_786_000_000, Rng::with_seed(rng.u64(..)));
    let options = Options { segment_bytes: rng.u64(300..2000), ..options };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), Path::new("/data"), options, &mut |_| Ok(()))?;
    for _ in 0..rng.usize(0..8) {
        let payload = rng.choice(batches).map_or(&[][..], |batch| &batch[..batch.len().min(200)]);
        log.append(1, payload)?;
        if rng.bool() {
            let durable = log.sync()?;
            if rng.u8(..3) == 0 {
                let mut snapshot = log.begin_snapshot(durable)?;
                (0..rng.u8(..4)).try_for_each(|section| snapshot.put(section, 1, payload))?;
                log.finish_snapshot(snapshot.finish()?.run())?;
            }
        }
    }
    match rng.u8(..3) {
        0 => log.close()?,
        1 => drop(log),
        _ => {
            drop(log);
            disk.power_cut(rng);
        }
    }
    Ok(())
}

/// Page cursors as text and as bytes, of one source and of three.
pub fn cursors() -> Seeds {
    let key = |did: &str, rkey: &str| PostKey {
        time_millis: 1_786_000_000_000,
        did: Did::parse(did).expect("a DID"),
        rkey: RecordKey::parse(rkey).expect("a record key"),
    };
    let mut seeds = Seeds::new();
    for (did, rkey) in [("did:plc:wq4aajammjtxdomz3e23667t", "3mptbyplj5d2a"), ("did:web:localhost%3A3000", "self.x~y")]
    {
        let text = PageCursor::behind(key(did, rkey)).to_string();
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("what was just written");
        seeds.push([b"\0", text.as_bytes()].concat());
        seeds.push([b"\x01", &bytes[..]].concat());
    }
    // Version 1, mixed, with a parent; own and parent have keys, global is at its top.
    let mut mixed = vec![1, 6, 0b01_10_10];
    mixed.extend(30_i16.to_be_bytes());
    mixed.extend((-50_i16).to_be_bytes());
    mixed.extend(0xa1b2_c3d4_u32.to_be_bytes());
    for (did, rkey) in [("did:web:a", None), ("did:web:b", Some("self"))] {
        mixed.extend(1_786_000_000_000_i64.to_be_bytes());
        mixed.extend(u16::try_from(did.len()).expect("short").to_be_bytes());
        mixed.extend_from_slice(did.as_bytes());
        mixed.extend(u16::try_from(rkey.map_or(0, str::len)).expect("short").to_be_bytes());
        match rkey {
            Some(text) => mixed.extend_from_slice(text.as_bytes()),
            None => mixed.extend(Tid::from_time(Time::from_micros(1_786_000_000_000_000), 5).to_u64().to_be_bytes()),
        }
    }
    seeds.push([b"\x01", &mixed[..]].concat());
    seeds
}

/// Words of the protocol: all texts of the frames, and some that are hard.
pub fn words(frames: &Frames) -> Seeds {
    let mut seeds: Seeds = [
        "did:web:b\0did:web:b.c",
        "at://did:plc:wq4aajammjtxdomz3e23667t/app.bsky.feed.post/3mptbyplj5d2a",
        "at://example.com/net.atrarium.community.config/self",
        "2026-08-11T12:50:55.801900Z",
        "0000-01-01T00:00:00+23:59",
        "9999-12-31T23:59:60-00:00",
        "(#atrarium_a1b2c3d4). #atrarium_a1b2c3d4e x#atrarium_a1b2c3d4 ##atrarium_a1b2c3d4",
        "en-Latn-GB-x-a",
        "bafyreia2y5rzr7gmnhmk3p5wsxqzw3bxdwjghcwnzomqvlcx4bxcdcdcdu",
        "did:web:localhost%3A3000",
        "https://example.com/a?b#c",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    for frame in frames.all().iter().step_by(4) {
        let texts = frame.split(|&byte| byte == b'"').filter(|text| text.len() > 6 && !text.contains(&b'{'));
        seeds.extend(texts.map(<[u8]>::to_vec));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Bytes that decide everything by chance.
pub fn noise(seed: u64) -> Seeds {
    let mut rng = Rng::with_seed(seed);
    (0..64).map(|_| (0..rng.usize(100..1200)).map(|_| rng.u8(..)).collect()).collect()
}

/// Tokens as header fields and in parts, and documents, as the directory and the AppView send them. Nothing is signed: what is
/// fuzzed lies before that.
pub fn identities() -> Seeds {
    const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const KEY: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";
    let claims = format!(
        r#"{{"iat":1800000000,"iss":"{DID}","aud":"did:web:feeds.atrarium.net#bsky_fg","exp":1800000060,"lxm":"app.bsky.feed.getFeedSkeleton","jti":"0123456789abcdef"}}"#
    );
    let header = r#"{"typ":"JWT","alg":"ES256K"}"#;
    let signature = "r".repeat(32) + &"s".repeat(32);
    let base64 = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let key = |kind: &str, key: &str| {
        format!(
            r##"{{"id":"{DID}","alsoKnownAs":["at://Alice.example"],"verificationMethod":[{{"id":"{DID}#atproto","type":"{kind}","controller":"{DID}","publicKeyMultibase":"{key}"}}],"service":[{{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":"https://pds.example"}}]}}"##
        )
    };
    [
        format!("\0Bearer {}.{}.{}", base64(header), base64(&claims), base64(&signature)),
        "\0DPoP a.b.c".to_owned(),
        format!("\u{1}{header}\n{claims}\n{signature}"),
        format!("\u{1}{{\"alg\":\"ES256\",\"kid\":\"#atproto\"}}\n{claims}\n{signature}"),
        format!("\u{2}{DID}\n{}", key("Multikey", KEY)),
        format!("\u{2}{DID}\n{}", key("EcdsaSecp256k1VerificationKey2019", KEY)),
    ]
    .map(String::into_bytes)
    .into()
}

/// Requests of readers: method, target, body.
pub fn requests() -> Seeds {
    [
        "\0/xrpc/app.bsky.feed.getFeedSkeleton?feed=at%3A%2F%2Fdid%3Aweb%3Afeeds.example%2Fapp.bsky.feed.generator%2Fa1b2c3d4&limit=30",
        "\0/xrpc/app.bsky.feed.getFeedSkeleton?feed=at://did:web:o/app.bsky.feed.generator/self&cursor=AQAAAA",
        "\0/xrpc/app.bsky.feed.describeFeedGenerator",
        "\0/xrpc/_health",
        "\0/xrpc/app.bsky.unknown",
        "\0/.well-known/did.json",
        "\0/",
        "\0/api/explain?uri=at://did:web:a/app.bsky.feed.post/x&community=a1b2c3d4",
        "\x02/xrpc/app.bsky.feed.sendInteractions\n{\"interactions\":[{\"item\":\"at://did:web:a/app.bsky.feed.post/x\",\"event\":\"app.bsky.feed.defs#requestLess\"}]}",
        "\x03/xrpc/app.bsky.feed.getFeedSkeleton",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
