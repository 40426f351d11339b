//! Keys and signatures against the protocol's interop files.

mod interop;

use atrarium::identity::key::{Curve, PublicKey, SignatureError};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use interop::Interop;
use serde_json::Value;

fn entries(interop: &Interop, file: &str) -> Vec<Value> {
    let entries: Vec<Value> = serde_json::from_str(&interop.text(file)).expect("an array");
    assert!(!entries.is_empty(), "{file} holds no case");
    println!("{file}: {} cases", entries.len());
    entries
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_else(|| panic!("{name} is a text"))
}

#[test]
fn every_signature_is_judged_right() {
    let Some(interop) = Interop::open("interop_crypto") else { return };
    for entry in entries(&interop, "crypto/signature-fixtures.json") {
        let comment = text(&entry, "comment");
        let by_did = PublicKey::from_did_key(text(&entry, "publicKeyDid")).expect(comment);
        let curve = match text(&entry, "didDocSuite") {
            "EcdsaSecp256k1VerificationKey2019" => Curve::K256,
            "EcdsaSecp256r1VerificationKey2019" => Curve::P256,
            suite => panic!("{comment}: an unknown suite {suite}"),
        };
        let by_suite = PublicKey::from_legacy(curve, text(&entry, "publicKeyMultibase")).expect(comment);
        assert_eq!(by_did, by_suite, "{comment}");
        assert_eq!((by_did.curve(), curve.algorithm()), (curve, text(&entry, "algorithm")), "{comment}");
        let bytes = |name| BASE64_NOPAD.decode(text(&entry, name).as_bytes()).expect("base64");
        let (message, signature) = (bytes("messageBase64"), bytes("signatureBase64"));
        let expected = match entry["tags"][0].as_str() {
            None => Ok(()),
            Some("high-s") => Err(SignatureError::HighS),
            Some("der-encoded") => Err(SignatureError::Length),
            Some(tag) => panic!("{comment}: an unknown tag {tag}"),
        };
        assert_eq!(expected.is_ok(), entry["validSignature"] == true, "{comment}");
        assert_eq!(by_did.verify(&message, &signature), expected, "{comment}");
        let other = [&message[..], b"."].concat();
        assert!(by_did.verify(&other, &signature).is_err(), "{comment}: another message");
    }
}

/// The files give private keys; the public ones that belong to them must be what we read and write.
#[test]
fn every_did_key_is_the_one_of_its_private_key() {
    let Some(interop) = Interop::open("interop_crypto") else { return };
    for entry in entries(&interop, "crypto/w3c_didkey_K256.json") {
        let private = HEXLOWER.decode(text(&entry, "privateKeyBytesHex").as_bytes()).expect("hex");
        let private = k256::ecdsa::SigningKey::from_slice(&private).expect("a key");
        let point = private.verifying_key().to_sec1_point(true);
        assert_is(&entry, Curve::K256, point.as_bytes());
    }
    for entry in entries(&interop, "crypto/w3c_didkey_P256.json") {
        let private = bs58::decode(text(&entry, "privateKeyBytesBase58")).into_vec().expect("base58");
        let private = p256::ecdsa::SigningKey::from_slice(&private).expect("a key");
        let point = private.verifying_key().to_sec1_point(true);
        assert_is(&entry, Curve::P256, point.as_bytes());
    }
    interop.text("crypto/signature-fixtures.json");
    interop.assert_all_read("crypto");
}

fn assert_is(entry: &Value, curve: Curve, point: &[u8]) {
    let did_key = text(entry, "publicDidKey");
    let key = PublicKey::from_did_key(did_key).expect("a key");
    assert_eq!(Ok(&key), PublicKey::from_point(curve, point).as_ref(), "{did_key}");
    assert_eq!(format!("did:key:{}", key.to_multikey()), did_key);
}
