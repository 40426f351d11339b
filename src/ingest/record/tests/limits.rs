//! Every bound of the lexicons: below, at, and above.

use super::*;

/// One grapheme of exactly `bytes` bytes (an even number of them, or odd: the letter has one or two).
fn one_grapheme(bytes: usize) -> String {
    let letter = if bytes.is_multiple_of(2) { "é" } else { "e" };
    format!("{letter}{}", "\u{301}".repeat((bytes - letter.len()) / 2))
}

#[test]
fn texts_are_bounded_in_graphemes_and_in_bytes() {
    let fields = [
        (Collection::Config, "name", 100),
        (Collection::Config, "description", 500),
        (Collection::Action, "reason", 500),
    ];
    for (collection, field, most) in fields {
        let refused = |text: String| read(collection, &with(collection, field, text.into())).err();
        for grapheme in ["a", "é", "は", "🐝", FAMILY, "👩🏽‍❤️‍💋‍👨🏻", "🇩🇪", "e\u{301}", "\r\n"]
        {
            assert_eq!(refused(grapheme.repeat(most - 1)), None, "{grapheme} below");
            assert_eq!(refused(grapheme.repeat(most)), None, "{grapheme} at");
            let above = refused(grapheme.repeat(most + 1)).expect("above");
            assert_eq!(above.reason, Reason::Lexicon);
            assert_eq!(above.detail, format!("{field}: has more graphemes than the maximum {most}"), "{grapheme}");
        }
        let bytes = most * 64;
        assert_eq!(refused(one_grapheme(bytes - 1)), None);
        assert_eq!(refused(one_grapheme(bytes)), None);
        let above = refused(one_grapheme(bytes + 1)).expect("above");
        assert_eq!(above.detail, format!("{field}: has {} bytes, more than the maximum {bytes}", bytes + 1));
        assert_eq!(refused(String::new()), None, "an empty text breaks no rule");
    }
}

#[test]
fn at_most_fifty_moderators() {
    let moderators = |count: usize| (0..count).map(|at| format!("did:plc:m{at}")).collect::<Vec<_>>();
    for count in [0, 1, 49, 50] {
        assert_eq!(config_with("moderators", moderators(count).into()).moderators.len(), count);
    }
    let above = with(Collection::Config, "moderators", moderators(51).into());
    let expected = "moderators: has 51 elements, more than the maximum 50";
    assert_eq!(refusal(Collection::Config, &above), (Reason::Lexicon, expected.into()));
    let same = with(Collection::Config, "moderators", vec!["did:plc:same"; 51].into());
    assert_eq!(refusal(Collection::Config, &same).0, Reason::Lexicon, "they are counted as written");
}

#[test]
fn shares_lie_between_0_and_100() {
    let mix = |own: i64, parent: i64, global: i64| {
        with(Collection::Config, "feedMix", json!({"own": own, "parent": parent, "global": global}))
    };
    for (own, parent, global) in [(0, 0, 100), (100, 0, 0), (1, 98, 1), (34, 33, 33)] {
        assert!(read(Collection::Config, &mix(own, parent, global)).is_ok());
    }
    let refused = |record: &Value| refusal(Collection::Config, record);
    let detail = |text: &str| (Reason::Lexicon, text.to_owned());
    assert_eq!(refused(&mix(101, 0, -1)), detail("feedMix.global: is -1, less than the minimum 0"));
    assert_eq!(refused(&mix(101, -1, 0)), detail("feedMix.own: is 101, more than the maximum 100"));
    for (own, parent, global) in [(50, 50, 1), (50, 49, 0), (0, 0, 0), (100, 100, 100), (i64::MAX, i64::MAX, i64::MAX)]
    {
        assert_eq!(refused(&mix(own, parent, global)).0, Reason::Normalise);
    }
}

#[test]
fn identifiers_are_bounded_by_their_own_syntax() {
    let did = |length: usize| format!("did:plc:{}", "a".repeat(length - 8));
    for (length, fits) in [(2048, true), (2049, false)] {
        assert_eq!(
            read(Collection::Acceptance, &with(Collection::Acceptance, "subject", did(length).into())).is_ok(),
            fits
        );
        let community = format!("at://{}/net.atrarium.community.config/3k", did(length));
        let record = with(Collection::Membership, "community", community.into());
        assert_eq!(read(Collection::Membership, &record).is_ok(), fits);
    }
    for (length, fits) in [(512, true), (513, false)] {
        let community = format!("at://{OWNER}/net.atrarium.community.config/{}", "k".repeat(length));
        let record = with(Collection::Membership, "community", community.into());
        assert_eq!(read(Collection::Membership, &record).is_ok(), fits);
    }
}
