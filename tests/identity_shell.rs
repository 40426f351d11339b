//! Callers and identities as the server asks for them, over a network that is a table.
#![cfg(feature = "server")]

mod identity_support;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::identity::http::{DialError, Http, Response};
use atrarium::identity::resolver::Missing;
use atrarium::identity::shell::Use;
use atrarium::identity::{Gate, Identities, Known, Refusal};
use atrarium::limits::TOKENS_WAITING_MAX;
use identity_support::{
    ALICE, BOB, DIRECTORY, METHOD, NOW, Network, Rig, did, document, handle, rig, token, token_until,
};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// A gate, and judges behind it.
fn judged(rig: &Rig) -> Gate {
    let (gate, judges, _) = rig.gate();
    tokio::spawn(judges.run(|_, _| ()));
    gate
}

/// Asks until somebody has judged.
async fn settled(gate: &Gate, header: &str) -> Known {
    for _ in 0..1000 {
        match gate.known(header, METHOD) {
            Known::Unknown { .. } => tokio::time::sleep(Duration::from_millis(2)).await,
            known => return known,
        }
    }
    panic!("nobody judges");
}

#[test]
fn an_unknown_token_is_judged_beside_and_known_from_then_on() {
    run(async {
        let rig = rig();
        rig.publish(ALICE, 1, "alice.dev");
        rig.publish(BOB, 2, "bob.dev");
        let gate = judged(&rig);
        for (of, seed) in [(ALICE, 1), (BOB, 2)] {
            let header = token(of, seed, "1");
            assert_eq!(gate.known(&header, METHOD), Known::Unknown { offer: true }, "it does not wait");
            assert_eq!(settled(&gate, &header).await, Known::Known(Arc::new(did(of))));
            let other = gate.known(&header, "app.bsky.feed.sendInteractions");
            assert_eq!(other, Known::Refused(Refusal::Method));
        }
        assert_eq!(settled(&gate, &token(ALICE, 1, "2")).await, Known::Known(Arc::new(did(ALICE))));
        assert_eq!(rig.network.total(), 2, "a document is read once");
        assert_eq!(gate.callers().tally().verified.get(), 3);
        rig.clock.advance(Duration::from_secs(60));
        let ended = settled(&gate, &token(ALICE, 1, "2")).await;
        assert_eq!(ended, Known::Refused(Refusal::Expired));
    });
}

#[test]
fn what_is_refused_anyhow_costs_no_request() {
    run(async {
        let rig = rig();
        let gate = judged(&rig);
        for (header, why) in [
            ("Bearer x".to_owned(), Refusal::Parts),
            (token_until(ALICE, 1, "1", NOW - 1), Refusal::Expired),
            (token("did:key:zQ3sh", 1, "1"), Refusal::IssuerMethod),
            (token("did:web:a.dev:path", 1, "1"), Refusal::IssuerMethod),
            (token("did:web:127.0.0.1", 1, "1"), Refusal::IssuerMethod),
            (token("did:plc:short", 1, "1"), Refusal::IssuerMethod),
        ] {
            assert_eq!(settled(&gate, &header).await, Known::Refused(why));
        }
        assert_eq!(rig.network.total(), 0);
        let counted: u64 = gate.callers().tally().refused().map(|(_, count)| count).sum();
        assert_eq!(counted, 6, "each token once");
    });
}

#[test]
fn issuers_without_a_document_are_refused_and_not_asked_for_again() {
    run(async {
        let rig = rig();
        let gate = judged(&rig);
        assert_eq!(settled(&gate, &token(ALICE, 1, "1")).await, Known::Refused(Refusal::UnknownIssuer));
        assert_eq!(settled(&gate, &token(ALICE, 1, "2")).await, Known::Refused(Refusal::UnknownIssuer));
        let url = format!("{DIRECTORY}/{BOB}");
        assert_eq!(rig.network.count(&url), 0);
        let failed = DialError::Timeout { host: "bob.dev".to_owned(), millis: 3000 };
        rig.network.set("https://bob.dev/.well-known/did.json", Err(failed));
        assert_eq!(settled(&gate, &token(BOB, 1, "1")).await, Known::Refused(Refusal::Unresolved));
        assert_eq!(settled(&gate, &token(BOB, 1, "2")).await, Known::Refused(Refusal::Unresolved));
        assert_eq!(rig.network.total(), 2);
        // Half a minute later it is there.
        rig.publish(BOB, 1, "bob.dev");
        rig.clock.advance(Duration::from_secs(31));
        assert_eq!(settled(&gate, &token(BOB, 1, "3")).await, Known::Known(Arc::new(did(BOB))));
    });
}

#[test]
fn a_signature_that_does_not_hold_has_the_document_read_again_once_a_minute() {
    run(async {
        let rig = rig();
        let url = format!("{DIRECTORY}/{ALICE}");
        rig.publish(ALICE, 1, "alice.dev");
        let gate = judged(&rig);
        assert!(matches!(settled(&gate, &token(ALICE, 1, "1")).await, Known::Known(_)));
        rig.clock.advance(Duration::from_secs(5));
        // Forged: the document is read again, and says the same.
        for id in ["2", "3", "4"] {
            assert_eq!(settled(&gate, &token(ALICE, 9, id)).await, Known::Refused(Refusal::Signature));
        }
        assert_eq!(rig.network.count(&url), 2);
        // The key has changed, and the event was missed.
        rig.publish(ALICE, 2, "alice.dev");
        assert_eq!(settled(&gate, &token(ALICE, 2, "5")).await, Known::Refused(Refusal::Signature), "not yet again");
        rig.clock.advance(Duration::from_secs(60));
        let header = token_until(ALICE, 2, "6", NOW + 120);
        assert_eq!(settled(&gate, &header).await, Known::Known(Arc::new(did(ALICE))));
        assert_eq!(rig.network.count(&url), 3);
        let old = token_until(ALICE, 1, "7", NOW + 120);
        assert_eq!(settled(&gate, &old).await, Known::Refused(Refusal::Signature), "the old key is gone");
    });
}

#[test]
fn an_identity_event_ends_documents_and_tokens() {
    run(async {
        let rig = rig();
        rig.publish(ALICE, 1, "alice.dev");
        let (gate, judges, mut changes) = rig.gate();
        tokio::spawn(judges.run(|_, _| ()));
        let old = token(ALICE, 1, "1");
        assert!(matches!(settled(&gate, &old).await, Known::Known(_)));
        rig.publish(ALICE, 2, "alice.dev");
        changes.tell(did(ALICE));
        while gate.callers().tally().changed.get() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(gate.known(&old, METHOD), Known::Unknown { offer: true });
        assert_eq!(settled(&gate, &old).await, Known::Refused(Refusal::Signature));
        assert!(matches!(settled(&gate, &token(ALICE, 2, "2")).await, Known::Known(_)));
    });
}

#[test]
fn a_write_is_verified_at_once_and_done_once() {
    run(async {
        let rig = rig();
        rig.publish(ALICE, 1, "alice.dev");
        let gate = judged(&rig);
        let header = token(ALICE, 1, "1");
        assert_eq!(gate.verify_now(&header, METHOD, Use::Write).await, Ok(did(ALICE)));
        assert_eq!(gate.verify_now(&header, METHOD, Use::Write).await, Err(Refusal::Replay));
        assert_eq!(gate.verify_now(&header, METHOD, Use::Read).await, Ok(did(ALICE)), "reading is no writing");
        assert_eq!(gate.verify_now(&token(ALICE, 9, "2"), METHOD, Use::Write).await, Err(Refusal::Signature));
        assert_eq!(gate.verify_now("Basic x", METHOD, Use::Read).await, Err(Refusal::Scheme));
        // A forged token does not use up a number.
        assert_eq!(gate.verify_now(&token(ALICE, 1, "2"), METHOD, Use::Write).await, Ok(did(ALICE)));
        let together = token(ALICE, 1, "3");
        let (one, two) = tokio::join!(
            gate.verify_now(&together, METHOD, Use::Write),
            gate.verify_now(&together, METHOD, Use::Write)
        );
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|&&is_ok| is_ok).count(), 1, "{one:?} {two:?}");
    });
}

/// Without anybody who judges, the queue fills: what comes then is answered at once all the same, and counted.
#[test]
fn too_many_unknown_tokens_are_dropped_and_counted() {
    let rig = rig();
    let (gate, _judges, _) = rig.gate();
    for number in 0..TOKENS_WAITING_MAX + 10 {
        assert_eq!(gate.known(&format!("Bearer a.b.{number}"), METHOD), Known::Unknown { offer: true });
    }
    assert_eq!(gate.callers().tally().dropped.get(), 10);
}

#[test]
fn many_who_ask_at_once_cost_one_request() {
    run(async {
        let rig = rig();
        rig.publish(ALICE, 1, "alice.dev");
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let identities = rig.identities.clone();
            all.spawn(async move { identities.document(&did(ALICE)).await });
        }
        while let Some(found) = all.join_next().await {
            assert_eq!(found.expect("it ran").expect("a document").did, did(ALICE));
        }
        assert_eq!(rig.network.total(), 1);
        // Whoever flew is given up half-way: another takes over.
        let first = tokio::time::timeout(Duration::from_millis(1), rig.identities.document(&did(BOB))).await;
        assert!(first.is_err(), "it had no time");
        rig.publish(BOB, 1, "bob.dev");
        assert!(rig.identities.document(&did(BOB)).await.is_ok());
    });
}

#[test]
fn an_old_document_is_used_while_it_is_read_anew() {
    run(async {
        let rig = rig();
        let url = format!("{DIRECTORY}/{ALICE}");
        rig.publish(ALICE, 1, "alice.dev");
        let first = rig.identities.document(&did(ALICE)).await.expect("a document");
        rig.publish(ALICE, 2, "alice.dev");
        rig.clock.advance(Duration::from_secs(3_601));
        assert_eq!(rig.identities.document(&did(ALICE)).await, Ok(Arc::clone(&first)));
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let second = rig.identities.document(&did(ALICE)).await.expect("a document");
        assert!(second.key != first.key && rig.network.count(&url) == 2);
        // A day without the directory: then it is not used any more.
        rig.network.set(&url, Err(DialError::Timeout { host: "plc.dev".to_owned(), millis: 3000 }));
        rig.clock.advance(Duration::from_secs(23 * 3_600));
        assert_eq!(rig.identities.document(&did(ALICE)).await, Ok(second));
        rig.clock.advance(Duration::from_secs(2 * 3_600));
        assert_eq!(rig.identities.document(&did(ALICE)).await, Err(Missing::Failed));
    });
}

#[test]
fn handles_count_in_both_directions_only() {
    run(async {
        let rig = rig();
        rig.publish(ALICE, 1, "alice.dev");
        rig.publish(BOB, 1, "alice.dev"); // he claims hers
        rig.network.record("_atproto.alice.dev", &format!("did={ALICE}"));
        rig.network.body("https://bob.dev/.well-known/atproto-did", &format!("{BOB}\n"));
        rig.network.record("_atproto.mallory.dev", &format!("did={ALICE}"));
        assert_eq!(rig.identities.did_of(&handle("Alice.Dev")).await, Ok(did(ALICE)));
        assert_eq!(rig.identities.handle_of(&did(ALICE)).await, Ok(Some(handle("alice.dev"))));
        assert_eq!(rig.identities.handle_of(&did(BOB)).await, Ok(None), "hers does not lead to him");
        assert_eq!(rig.identities.did_of(&handle("bob.dev")).await, Err(Missing::Absent), "he does not claim it");
        assert_eq!(rig.identities.did_of(&handle("mallory.dev")).await, Err(Missing::Absent), "nor does she");
        assert_eq!(rig.network.count("https://alice.dev/.well-known/atproto-did"), 0, "the record is enough");
        // He takes his own. The stream says so.
        rig.publish(BOB, 1, "bob.dev");
        rig.identities.identity_event(&did(BOB), Some(&handle("bob.dev")));
        assert_eq!(rig.identities.did_of(&handle("bob.dev")).await, Ok(did(BOB)));
        assert_eq!(rig.identities.handle_of(&did(BOB)).await, Ok(Some(handle("bob.dev"))));
        // Her handle moves; the event of her DID ends what is kept of it, too.
        rig.network.record("_atproto.alice.dev", &format!("did={BOB}"));
        rig.identities.identity_event(&did(ALICE), None);
        assert_eq!(rig.identities.handle_of(&did(ALICE)).await, Ok(None));
    });
}

#[test]
fn what_cannot_be_looked_up_is_not_taken_for_absent() {
    run(async {
        let rig = rig();
        rig.network.record("_atproto.alice.dev", "broken");
        assert_eq!(rig.identities.did_of(&handle("alice.dev")).await, Err(Missing::Failed));
        assert_eq!(rig.identities.did_of(&handle("alice.local")).await, Err(Missing::Absent));
        assert_eq!(rig.network.count("dns:_atproto.alice.local"), 0, "it is never asked for");
        for (url, status, expected) in
            [("a", 404, Missing::Absent), ("b", 410, Missing::Absent), ("c", 503, Missing::Failed)]
        {
            let of = format!("did:web:{url}.dev");
            let answer = Response { status, ..Response::default() };
            rig.network.set(&format!("https://{url}.dev/.well-known/did.json"), Ok(answer));
            assert_eq!(rig.identities.document(&did(&of)).await, Err(expected), "{status}");
        }
        for (url, body) in [("d", "<html>"), ("e", &document(ALICE, 1, "a.dev"))] {
            rig.network.body(&format!("https://{url}.dev/.well-known/did.json"), body);
            let found = rig.identities.document(&did(&format!("did:web:{url}.dev"))).await;
            assert_eq!(found, Err(Missing::Absent), "{body}");
        }
    });
}

#[test]
fn a_directory_is_a_url() {
    for text in ["", "plc.directory", "ftp://plc.directory", "https://plc.directory?x", "https://plc.directory/#x"] {
        let network = Arc::new(Network::default());
        let made = Identities::new(text, Arc::clone(&network) as Arc<dyn Http>, network, Clock::manual(0));
        assert!(made.is_err_and(|error| error.to_string().contains("https://plc.directory")), "{text}");
    }
}
