//! A measurement, not a test: requests a second, and how long they take, over loopback and in a closed loop.
//!
//! `cargo test --release --test serve_load -- --ignored --nocapture`
//!
//! Clients and server share the machine, so the figures are those of both together. The page is 50 ready-made items:
//! what is measured is everything around the view.
#![cfg(feature = "server")]

mod serve_support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::{Clock, Now};
use atrarium::fact::{CommunityId, CommunityInfo};
use atrarium::serve::{Feeds, Listeners, ServeConfig, Site, SkeletonError, Stop, run_http};
use atrarium::syntax::{Did, Time};
use atrarium::telemetry::Telemetry;
use bytes::Bytes;
use serve_support::NOW_MICROS;

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(2);

/// One page for everybody.
#[derive(Clone)]
struct Ready(Bytes);

impl Ready {
    fn new() -> Self {
        let item = r#"{"post":"at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3lbtqzxv2pc2a"}"#;
        let items = [item; 50].join(",");
        Self(format!(r#"{{"cursor":"c0","feed":[{items}]}}"#).into_bytes().into())
    }
}

impl Feeds for Ready {
    fn skeleton(&self, _: &str, _: Option<&Did>, _: Time, _: usize, _: Option<&str>) -> Result<Bytes, SkeletonError> {
        Ok(self.0.clone())
    }

    fn serves(&self, _: CommunityId) -> bool {
        false
    }

    fn feeds(&self) -> Vec<(CommunityId, Arc<CommunityInfo>)> {
        Vec::new()
    }

    fn feeds_version(&self) -> u64 {
        0
    }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "the engine's part is played by the test")]
fn skeletons_over_loopback() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    println!("HTTP threads  clients  requests/s  p50 us  p99 us  in the handler: mean us");
    for (threads, clients) in [(1, 1), (1, 8), (2, 16), (2, 64)] {
        let listeners = Listeners::bind(any, threads, any).expect("port 0 is free");
        let http = listeners.http_addr();
        let telemetry = Arc::new(Telemetry::default());
        let identity = ServeConfig::default().resolve(http.port()).expect("nothing was said");
        let now = Arc::new(Now::new(Clock::manual(NOW_MICROS)));
        let site = Arc::new(Site::new(Ready::new(), identity, now, Clock::real(), Arc::clone(&telemetry)));
        let stop = Stop::new();
        let serving: Vec<_> = listeners
            .http
            .into_iter()
            .map(|socket| {
                let (site, stop) = (Arc::clone(&site), stop.clone());
                std::thread::spawn(move || run_http(socket, site, &stop).expect("a runtime"))
            })
            .collect();
        let asking: Vec<_> = (0..clients).map(|_| std::thread::spawn(move || ask_for(http, SPAN))).collect();
        let mut micros: Vec<u32> = asking.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        stop.stop();
        for thread in serving {
            thread.join().expect("a listener has panicked");
        }
        micros.sort_unstable();
        let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
        let handled = telemetry.skeleton.snapshot();
        let mean = handled.sum_micros as f64 / micros.len() as f64;
        let rate = micros.len() as f64 / SPAN.as_secs_f64();
        println!("{threads:12}  {clients:7}  {rate:10.0}  {:6}  {:6}  {mean:.2}", at(0.50), at(0.99));
    }
}

/// Asks again as soon as the answer is there; how long each took, in microseconds.
fn ask_for(server: SocketAddr, span: Duration) -> Vec<u32> {
    let clock = Clock::real();
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.set_nodelay(true).expect("an option");
    let request = format!(
        "GET /xrpc/app.bsky.feed.getFeedSkeleton?feed=at%3A%2F%2Fdid%3Aweb%3Alocalhost%253A{}%2Fapp.bsky.feed.generator\
         %2Fa1b2c3d4&limit=50 HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nuser-agent: serve_load\r\n\r\n",
        server.port()
    );
    let (mut micros, mut answer) = (Vec::new(), [0; 16 << 10]);
    while clock.monotonic() < span {
        let started = clock.monotonic();
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut have = 0;
        // Every answer ends with the page's last bytes, and nothing else does.
        while !answer[..have].ends_with(b"]}") {
            let more = stream.read(&mut answer[have..]).expect("the server answers");
            assert_ne!(more, 0, "the server has closed");
            have += more;
        }
        micros.push(u32::try_from((clock.monotonic() - started).as_micros()).unwrap_or(u32::MAX));
    }
    micros
}
