//! The older forms, each of them, and what looks like one and is none.

use super::*;
use crate::fact::{FeedMix, Target};
use crate::syntax::{Did, RecordUri};

fn mix(own: Value, parent: Value, global: Value) -> Value {
    json!({"own": own, "parent": parent, "global": global})
}

/// The shares in basis points, or the reason of the refusal.
fn shares(own: impl Into<Value>, parent: impl Into<Value>, global: impl Into<Value>) -> Result<[u16; 3], Reason> {
    let record = with(Collection::Config, "feedMix", mix(own.into(), parent.into(), global.into()));
    match read(Collection::Config, &record) {
        Ok(Body::Config(config)) => {
            let FeedMix { own, parent, global } = config.feed_mix;
            assert_eq!(own + parent + global, 10_000);
            Ok([own, parent, global])
        }
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.reason),
    }
}

#[test]
fn the_three_forms_say_the_same() {
    let expected = Ok([6000, 3000, 1000]);
    assert_eq!(shares(60, 30, 10), expected);
    assert_eq!(shares(60.0, 30.0, 10.0), expected, "JSON has one type of number");
    assert_eq!(shares(0.6, 0.3, 0.1), expected);
    assert_eq!(shares(6000, 3000, 1000), expected);
    for whole in [1, 100, 10_000] {
        assert_eq!(shares(whole, 0, 0), Ok([10_000, 0, 0]));
        assert_eq!(shares(0, 0, whole), Ok([0, 0, 10_000]));
    }
    assert_eq!(shares(1.0, 0, 0), Ok([10_000, 0, 0]));
    assert_eq!(shares(0.5, 0.5, 0), Ok([5000, 5000, 0]));
}

#[test]
fn shares_finer_than_a_percent_are_kept() {
    assert_eq!(shares(3333, 3333, 3334), Ok([3333, 3333, 3334]));
    assert_eq!(shares(9999, 1, 0), Ok([9999, 1, 0]));
    assert_eq!(shares(0.3333, 0.3333, 0.3334), Ok([3333, 3333, 3334]));
    assert_eq!(shares(1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0), Ok([3334, 3333, 3333]));
    assert_eq!(shares(0.333333, 0.333333, 0.333333), Ok([3334, 3333, 3333]));
}

#[test]
fn a_sum_of_fractions_is_1_within_a_millionth() {
    for sum in [0.999_999, 0.999_999_5, 1.0, 1.000_000_5, 1.000_001] {
        assert_eq!(shares(sum, 0, 0), Ok([10_000, 0, 0]), "{sum}");
    }
    for sum in [0.999_998, 1.000_002, 0.9, 1.1, 2.0, 0.0] {
        assert_eq!(shares(sum, 0, 0), Err(Reason::Normalise), "{sum}");
    }
}

#[test]
fn the_object_is_judged_as_a_whole() {
    for (own, parent, global) in
        [(0.6, 30.0, 10.0), (33.3, 33.3, 33.4), (60.5, 29.5, 10.0), (6000.5, 2999.5, 1000.0), (0.5, 50.0, 0.0)]
    {
        assert_eq!(shares(own, parent, global), Err(Reason::Normalise), "{own} {parent} {global}");
    }
    assert_eq!(shares(1.5, -0.5, 0), Err(Reason::Normalise), "a negative share");
    assert_eq!(shares(10_001, -1, 0), Err(Reason::Normalise), "a negative share");
    assert_eq!(shares(2, -1, 0), Err(Reason::Normalise), "a negative share");
    assert_eq!(shares(1e300, -1e300, 1), Err(Reason::Normalise));
    assert_eq!(shares(u64::MAX, 0, 0), Err(Reason::Normalise));
    assert_eq!(shares("60", 30, 10), Err(Reason::Lexicon), "no number at all is the lexicon's to refuse");
    assert_eq!(shares(Value::Null, 30, 70), Err(Reason::Lexicon));
}

#[test]
fn a_target_may_be_an_object() {
    let target = |verb: &str, target: Value| {
        let mut record = with(Collection::Action, "action", verb.into());
        record["target"] = target;
        match read(Collection::Action, &record) {
            Ok(Body::Action(action)) => Ok(action.target),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.reason),
        }
    };
    let post = Ok(Target::Record(RecordUri::parse(POST_URI).expect("valid")));
    let account = Ok(Target::Account(Did::parse(OWNER).expect("valid")));
    assert_eq!(target("hide_post", json!(POST_URI)), post);
    assert_eq!(target("hide_post", json!({"uri": POST_URI, "cid": "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5"})), post);
    assert_eq!(target("hide_post", json!({"uri": POST_URI})), post);
    assert_eq!(target("unhide_post", json!({"$type": "com.atproto.repo.strongRef", "uri": POST_URI, "cid": 1})), post);
    assert_eq!(target("block_user", json!(OWNER)), account);
    assert_eq!(target("unblock_user", json!({"did": OWNER})), account);
    assert_eq!(target("block_user", json!({"uri": POST_URI})), Err(Reason::Target));
    assert_eq!(target("hide_post", json!({"did": OWNER})), Err(Reason::Target));
    assert_eq!(target("block_user", json!({"uri": OWNER})), account, "the name of the key decides nothing");
    for no in [
        json!({}),
        json!({"cid": "x"}),
        json!({"uri": 1}),
        json!({"did": null}),
        json!({"uri": POST_URI, "did": OWNER}),
    ] {
        assert_eq!(target("hide_post", no.clone()), Err(Reason::Normalise), "{no}");
    }
    for no in [json!(null), json!(1), json!([POST_URI]), json!("hello")] {
        assert_eq!(target("hide_post", no.clone()), Err(Reason::Lexicon), "{no}");
    }
}

#[test]
fn a_membership_without_active_is_active() {
    let mut record = valid(Collection::Membership);
    record.as_object_mut().expect("an object").remove("active");
    assert_eq!(read(Collection::Membership, &record), read(Collection::Membership, &valid(Collection::Membership)));
}
