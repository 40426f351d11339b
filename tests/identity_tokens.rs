//! Service tokens: what is good, and every way we know of not to be.
//!
//! Every token here is signed by real keys. Each row of the matrix spoils a good token in one way, and must be refused for
//! exactly that.

use atrarium::identity::document::{Document, KeyFault};
use atrarium::identity::key::{Curve, PublicKey};
use atrarium::identity::token::{Expectations, Refusal, Token, Verified, claimed_issuer};
use atrarium::identity::{Callers, Known};
use atrarium::limits::{SECOND_MICROS, TOKEN_BYTES_MAX};
use atrarium::syntax::Did;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use k256::ecdsa::signature::Signer;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const SERVICE: &str = "did:web:feeds.atrarium.net";
const ISSUER: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const METHOD: &str = "app.bsky.feed.getFeedSkeleton";

fn did(text: &str) -> Did {
    Did::parse(text).expect("a DID")
}

fn k256_key(seed: u8) -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a key")
}

fn p256_key(seed: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a key")
}

fn public_k256(seed: u8) -> PublicKey {
    let point = k256_key(seed).verifying_key().to_sec1_point(true);
    PublicKey::from_point(Curve::K256, point.as_bytes()).expect("a point")
}

fn public_p256(seed: u8) -> PublicKey {
    let point = p256_key(seed).verifying_key().to_sec1_point(true);
    PublicKey::from_point(Curve::P256, point.as_bytes()).expect("a point")
}

fn document(key: Result<PublicKey, KeyFault>) -> Document {
    Document { did: did(ISSUER), key, handle: None, pds: None }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

/// A token before it is signed, and how it is.
struct Made {
    header: String,
    claims: String,
    sign: fn(&str) -> Vec<u8>,
}

fn sign_k256(signed: &str) -> Vec<u8> {
    let signature: k256::ecdsa::Signature = k256_key(1).sign(signed.as_bytes());
    signature.to_bytes().to_vec()
}

fn sign_p256(signed: &str) -> Vec<u8> {
    let signature: p256::ecdsa::Signature = p256_key(1).sign(signed.as_bytes());
    signature.normalize_s().to_bytes().to_vec()
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "ES256K"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": SERVICE, "lxm": METHOD, "iat": NOW, "exp": NOW + 60, "jti": "1f2e3d"})
}

impl Made {
    fn new(header: &Value, claims: &Value) -> Self {
        Self { header: header.to_string(), claims: claims.to_string(), sign: sign_k256 }
    }

    fn text(&self) -> String {
        let signed = format!("{}.{}", b64(&self.header), b64(&self.claims));
        let signature = (self.sign)(&signed);
        format!("{signed}.{}", b64(signature))
    }
}

/// A good token with other claims: `null` takes one away.
fn claiming(changes: &Value) -> String {
    Made::new(&header(), &changed(claims(), changes)).text()
}

fn heading(changes: &Value) -> String {
    Made::new(&changed(header(), changes), &claims()).text()
}

fn changed(mut of: Value, changes: &Value) -> Value {
    let map = of.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(map.remove(name)),
            value => drop(map.insert(name.clone(), value.clone())),
        }
    }
    of
}

fn signed_by(sign: fn(&str) -> Vec<u8>) -> String {
    Made { sign, ..Made::new(&header(), &claims()) }.text()
}

fn good() -> String {
    claiming(&json!({}))
}

/// The parts of a good token, put together anew.
fn reassembled(put: impl Fn(&str, &str, &str) -> String) -> String {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    put(parts[0], parts[1], parts[2])
}

fn judge(text: &str, of: &Document, needs_id: bool, now_micros: i64) -> Result<Verified, Refusal> {
    let token = Token::parse(text)?;
    assert_eq!(claimed_issuer(text).as_ref(), Some(token.issuer()), "the short reading names the same account");
    token.judge(&Expectations { service: &did(SERVICE), method: METHOD, needs_id, now_micros })?;
    token.verify(of)
}

fn judged(text: &str) -> Result<Verified, Refusal> {
    judge(text, &document(Ok(public_k256(1))), true, NOW * SECOND_MICROS)
}

#[test]
fn what_the_network_sends_is_verified() {
    let expected = Verified {
        issuer: did(ISSUER),
        expires_micros: (NOW + 60) * SECOND_MICROS,
        id: Some("1f2e3d".into()),
        method: METHOD.into(),
    };
    for (what, text) in [
        ("the AppView's", good()),
        ("aud with the service's fragment", claiming(&json!({"aud": format!("{SERVICE}#bsky_fg")}))),
        ("iss with the key's fragment", claiming(&json!({"iss": format!("{ISSUER}#atproto")}))),
        ("no typ", heading(&json!({"typ": null}))),
        ("typ in lower case", heading(&json!({"typ": "jwt"}))),
        ("kid by fragment", heading(&json!({"kid": "#atproto"}))),
        ("kid by DID and fragment", heading(&json!({"kid": format!("{ISSUER}#atproto")}))),
        ("no iat", claiming(&json!({"iat": null}))),
        ("iat a little ahead", claiming(&json!({"iat": NOW + 30}))),
        ("nbf over", claiming(&json!({"nbf": NOW - 5}))),
        ("the longest life", claiming(&json!({"exp": NOW + 300}))),
        ("claims that nobody knows", claiming(&json!({"sub": "x", "deep": {"a": [1]}}))),
        ("a key in the header, which is not looked at", heading(&json!({"jwk": {"kty": "EC"}}))),
    ] {
        let verified = judged(&text).unwrap_or_else(|why| panic!("{what}: {why:?}"));
        assert_eq!(Verified { expires_micros: expected.expires_micros, ..verified.clone() }, expected, "{what}");
    }
    let text = Made { sign: sign_p256, ..Made::new(&changed(header(), &json!({"alg": "ES256"})), &claims()) }.text();
    let verified = judge(&text, &document(Ok(public_p256(1))), true, NOW * SECOND_MICROS);
    assert_eq!(verified, Ok(expected), "ES256");
    let without_id = claiming(&json!({"jti": null}));
    let read = judge(&without_id, &document(Ok(public_k256(1))), false, NOW * SECOND_MICROS);
    assert_eq!(read.map(|verified| verified.id), Ok(None), "only writes need a jti");
    let last = judge(&good(), &document(Ok(public_k256(1))), true, (NOW + 60) * SECOND_MICROS - 1);
    assert!(last.is_ok(), "in its last microsecond: {last:?}");
}

/// The matrix: what was forged, and the reason for which it must be refused.
fn forged() -> Vec<(&'static str, String, Refusal)> {
    let raw = |header: &str, claims: &str| {
        Made { header: header.to_owned(), claims: claims.to_owned(), sign: sign_k256 }.text()
    };
    let head = header().to_string();
    let body = claims().to_string();
    vec![
        // the form
        ("nothing", String::new(), Refusal::Parts),
        ("a word", "token".to_owned(), Refusal::Parts),
        ("two parts", reassembled(|h, c, _| format!("{h}.{c}")), Refusal::Parts),
        ("four parts", reassembled(|h, c, s| format!("{h}.{c}.{s}.{s}")), Refusal::Parts),
        ("five parts, as an encrypted one has", "a.b.c.d.e".to_owned(), Refusal::Parts),
        ("an empty header", reassembled(|_, c, s| format!(".{c}.{s}")), Refusal::Json),
        ("empty claims", reassembled(|h, _, s| format!("{h}..{s}")), Refusal::Json),
        ("too long", "a".repeat(TOKEN_BYTES_MAX + 1), Refusal::TooLong),
        ("padded", reassembled(|h, c, s| format!("{h}.{c}.{s}==")), Refusal::Base64),
        (
            "base64 that is not for URLs",
            reassembled(|h, c, _| format!("{h}.{c}.{}", BASE64.encode(&[0xff; 64]))),
            Refusal::Base64,
        ),
        (
            "base64url with padding",
            reassembled(|h, c, _| format!("{h}.{c}.{}", BASE64URL.encode(&[1; 64]))),
            Refusal::Base64,
        ),
        (
            "bits behind the end of base64",
            reassembled(|h, c, s| format!("{h}.{c}.{}B", &s[..s.len() - 1])),
            Refusal::Base64,
        ),
        ("a blank in it", reassembled(|h, c, s| format!("{h}. {c}.{s}")), Refusal::Base64),
        ("a line break behind it", reassembled(|h, c, s| format!("{h}.{c}.{s}\n")), Refusal::Base64),
        ("claims that are an array", raw(&head, "[]"), Refusal::Json),
        (
            "claims that are no UTF-8",
            reassembled(|h, _, s| format!("{h}.{}.{s}", b64(b"{\"iss\":\"\xff\"}"))),
            Refusal::Json,
        ),
        ("claims with something behind", raw(&head, &format!("{body} {{}}")), Refusal::Json),
        ("claims nested beyond measure", raw(&head, &format!("{{\"a\":{}", "[".repeat(1500))), Refusal::Json),
        ("a header that is a text", raw("\"JWT\"", &body), Refusal::Json),
        ("iss twice", raw(&head, &body.replacen('{', "{\"iss\":\"did:web:evil.dev\",", 1)), Refusal::DuplicateName),
        ("exp twice", raw(&head, &body.replacen('{', "{\"exp\":1,", 1)), Refusal::DuplicateName),
        ("alg twice", raw(&head.replacen('{', "{\"alg\":\"none\",", 1), &body), Refusal::DuplicateName),
        (
            "alg twice, once escaped",
            raw(&head.replacen('{', "{\"\\u0061lg\":\"none\",", 1), &body),
            Refusal::DuplicateName,
        ),
        ("an unknown name twice", raw(&head, &body.replacen('{', "{\"x\":1,\"x\":1,", 1)), Refusal::DuplicateName),
        // the header
        ("alg none", heading(&json!({"alg": "none"})), Refusal::Algorithm),
        (
            "alg none, unsigned",
            {
                let (header, claims) = (json!({"typ": "JWT", "alg": "none"}), claims());
                format!("{}.{}.", b64(header.to_string()), b64(claims.to_string()))
            },
            Refusal::Algorithm,
        ),
        ("alg nOnE", heading(&json!({"alg": "nOnE"})), Refusal::Algorithm),
        ("alg HS256, keyed by the public key", heading(&json!({"alg": "HS256"})), Refusal::Algorithm),
        ("alg RS256", heading(&json!({"alg": "RS256"})), Refusal::Algorithm),
        ("alg ES384", heading(&json!({"alg": "ES384"})), Refusal::Algorithm),
        ("alg EdDSA", heading(&json!({"alg": "EdDSA"})), Refusal::Algorithm),
        ("alg in lower case", heading(&json!({"alg": "es256k"})), Refusal::Algorithm),
        ("no alg", heading(&json!({"alg": null})), Refusal::Algorithm),
        ("alg a list", heading(&json!({"alg": ["ES256K"]})), Refusal::Algorithm),
        ("alg of the other curve", heading(&json!({"alg": "ES256"})), Refusal::Curve),
        ("an access token", heading(&json!({"typ": "at+jwt"})), Refusal::Type),
        ("a refresh token", heading(&json!({"typ": "refresh+jwt"})), Refusal::Type),
        ("a proof of possession", heading(&json!({"typ": "dpop+jwt"})), Refusal::Type),
        ("typ a number", heading(&json!({"typ": 1})), Refusal::Type),
        ("crit", heading(&json!({"crit": ["x"], "x": 1})), Refusal::Critical),
        ("crit, empty", heading(&json!({"crit": []})), Refusal::Critical),
        ("claims that are not encoded", heading(&json!({"b64": false})), Refusal::Critical),
        ("kid of another key", heading(&json!({"kid": "#atproto_label"})), Refusal::KeyId),
        ("kid of another DID", heading(&json!({"kid": "did:web:evil.dev#atproto"})), Refusal::KeyId),
        ("kid a path", heading(&json!({"kid": "../../key"})), Refusal::KeyId),
        ("kid a number", heading(&json!({"kid": 0})), Refusal::KeyId),
        ("kid empty", heading(&json!({"kid": ""})), Refusal::KeyId),
        // the claims
        ("no iss", claiming(&json!({"iss": null})), Refusal::Issuer),
        ("iss a handle", claiming(&json!({"iss": "alice.dev"})), Refusal::Issuer),
        ("iss a list", claiming(&json!({"iss": [ISSUER]})), Refusal::Issuer),
        ("iss for a labeler", claiming(&json!({"iss": format!("{ISSUER}#atproto_labeler")})), Refusal::Issuer),
        ("iss with two fragments", claiming(&json!({"iss": format!("{ISSUER}#atproto#atproto")})), Refusal::Issuer),
        ("iss with a blank", claiming(&json!({"iss": format!(" {ISSUER}")})), Refusal::Issuer),
        ("iss another DID than the key's", claiming(&json!({"iss": "did:web:victim.dev"})), Refusal::UnknownIssuer),
        ("no aud", claiming(&json!({"aud": null})), Refusal::Audience),
        ("aud another service", claiming(&json!({"aud": "did:web:other.dev"})), Refusal::Audience),
        (
            "aud another part of this service",
            claiming(&json!({"aud": format!("{SERVICE}#atproto_labeler")})),
            Refusal::Audience,
        ),
        (
            "aud with the fragment twice",
            claiming(&json!({"aud": format!("{SERVICE}#bsky_fg#bsky_fg")})),
            Refusal::Audience,
        ),
        ("aud a list that holds this service", claiming(&json!({"aud": [SERVICE]})), Refusal::Audience),
        (
            "aud that begins with this service",
            claiming(&json!({"aud": format!("{SERVICE}.evil.dev")})),
            Refusal::Audience,
        ),
        ("aud in upper case", claiming(&json!({"aud": SERVICE.to_uppercase()})), Refusal::Audience),
        ("aud empty", claiming(&json!({"aud": ""})), Refusal::Audience),
        ("no exp", claiming(&json!({"exp": null})), Refusal::Expiry),
        ("exp a text", claiming(&json!({"exp": (NOW + 60).to_string()})), Refusal::Expiry),
        ("exp a fraction", claiming(&json!({"exp": NOW as f64 + 60.5})), Refusal::Expiry),
        ("exp negative", claiming(&json!({"exp": -1})), Refusal::Expiry),
        (
            "exp beyond every number",
            raw(&head, &body.replace(&(NOW + 60).to_string(), "99999999999999999999")),
            Refusal::Expiry,
        ),
        ("exp over", claiming(&json!({"exp": NOW - 1, "iat": NOW - 61})), Refusal::Expired),
        ("exp now", claiming(&json!({"exp": NOW, "iat": NOW - 60})), Refusal::Expired),
        ("exp in milliseconds", claiming(&json!({"exp": (NOW + 60) * 1000})), Refusal::ExpiryFar),
        ("exp too far", claiming(&json!({"exp": NOW + 301})), Refusal::ExpiryFar),
        ("exp as far as numbers go", claiming(&json!({"exp": i64::MAX})), Refusal::ExpiryFar),
        ("iat ahead", claiming(&json!({"iat": NOW + 31})), Refusal::IssuedAhead),
        ("iat behind exp", claiming(&json!({"iat": NOW + 20, "exp": NOW + 10})), Refusal::Issued),
        ("iat a text", claiming(&json!({"iat": "now"})), Refusal::Issued),
        ("nbf ahead", claiming(&json!({"nbf": NOW + 31})), Refusal::NotBefore),
        ("nbf a text", claiming(&json!({"nbf": "now"})), Refusal::NotBefore),
        ("no lxm", claiming(&json!({"lxm": null})), Refusal::NoMethod),
        ("lxm another method", claiming(&json!({"lxm": "com.atproto.repo.createRecord"})), Refusal::Method),
        ("lxm a list", claiming(&json!({"lxm": [METHOD]})), Refusal::Method),
        ("lxm a wildcard", claiming(&json!({"lxm": "*"})), Refusal::Method),
        ("lxm in another case", claiming(&json!({"lxm": METHOD.to_uppercase()})), Refusal::Method),
        ("no jti on a write", claiming(&json!({"jti": null})), Refusal::NoId),
        ("jti empty", claiming(&json!({"jti": ""})), Refusal::Id),
        ("jti a number", claiming(&json!({"jti": 1})), Refusal::Id),
        ("jti too long", claiming(&json!({"jti": "x".repeat(257)})), Refusal::Id),
        // the signature
        ("no signature", reassembled(|h, c, _| format!("{h}.{c}.")), Refusal::SignatureLength),
        ("half a signature", reassembled(|h, c, s| format!("{h}.{c}.{}", &s[..40])), Refusal::SignatureLength),
        ("one byte more", signed_by(|it| [sign_k256(it), vec![0]].concat()), Refusal::SignatureLength),
        (
            "DER",
            signed_by(|it| {
                let signature: k256::ecdsa::Signature = k256_key(1).sign(it.as_bytes());
                signature.to_der().as_bytes().to_vec()
            }),
            Refusal::SignatureLength,
        ),
        (
            "high S",
            signed_by(|it| {
                let signature: k256::ecdsa::Signature = k256_key(1).sign(it.as_bytes());
                let (r, s) = signature.split_scalars();
                k256::ecdsa::Signature::from_scalars(r, -s).expect("in range").to_bytes().to_vec()
            }),
            Refusal::HighS,
        ),
        ("zeros", signed_by(|_| vec![0; 64]), Refusal::SignatureRange),
        ("all ones", signed_by(|_| vec![0xff; 64]), Refusal::SignatureRange),
        (
            "r and s changed about",
            signed_by(|it| {
                let signature = sign_k256(it);
                let swapped = [&signature[32..], &signature[..32]].concat();
                // The other half may lie in the upper half of the range: the lesser form of it then.
                let swapped = k256::ecdsa::Signature::from_slice(&swapped).expect("in range");
                swapped.normalize_s().to_bytes().to_vec()
            }),
            Refusal::Signature,
        ),
        (
            "another key",
            signed_by(|it| {
                let signature: k256::ecdsa::Signature = k256_key(2).sign(it.as_bytes());
                signature.to_bytes().to_vec()
            }),
            Refusal::Signature,
        ),
        ("the same number as a key of the other curve", signed_by(sign_p256), Refusal::Signature),
        (
            "a key that the header brings",
            {
                let point = k256_key(2).verifying_key().to_sec1_point(false);
                let (x, y) = (b64(&point.as_bytes()[1..33]), b64(&point.as_bytes()[33..]));
                let jwk = json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": y});
                let made = Made::new(&changed(header(), &json!({"jwk": jwk})), &claims());
                let sign = |it: &str| {
                    let signature: k256::ecdsa::Signature = k256_key(2).sign(it.as_bytes());
                    signature.to_bytes().to_vec()
                };
                Made { sign, ..made }.text()
            },
            Refusal::Signature,
        ),
        (
            "a key that the header points to",
            {
                let made = Made::new(&changed(header(), &json!({"jku": "https://evil.dev/keys"})), &claims());
                Made { sign: |_| vec![1; 64], ..made }.text()
            },
            Refusal::Signature,
        ),
        (
            "claims of another token",
            reassembled(|h, _, s| format!("{h}.{}.{s}", b64(changed(claims(), &json!({"jti": "other"})).to_string()))),
            Refusal::Signature,
        ),
        (
            "header of another token",
            reassembled(|_, c, s| format!("{}.{c}.{s}", b64("{\"alg\":\"ES256K\"}"))),
            Refusal::Signature,
        ),
        (
            "the signature of another token",
            reassembled(|h, c, _| {
                let other = claiming(&json!({"jti": "other"}));
                format!("{h}.{c}.{}", other.rsplit('.').next().unwrap_or_default())
            }),
            Refusal::Signature,
        ),
        (
            "the claims signed without the header",
            reassembled(|h, c, _| format!("{h}.{c}.{}", b64(sign_k256(c)))),
            Refusal::Signature,
        ),
        (
            "the text signed before it was encoded",
            signed_by(|_| sign_k256(&format!("{}.{}", header(), claims()))),
            Refusal::Signature,
        ),
    ]
}

#[test]
fn every_forgery_is_refused_for_its_reason() {
    assert!(judged(&good()).is_ok());
    let forged = forged();
    let mut wrong = Vec::new();
    for (what, text, expected) in &forged {
        let is = judged(text);
        if is != Err(*expected) {
            wrong.push(format!("{what}: {is:?}, must be {expected:?}"));
        }
    }
    println!("{} kinds of bad token, {} judged wrong", forged.len(), wrong.len());
    assert!(forged.len() >= 40 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No bit of a good token can be changed.
#[test]
fn no_byte_of_a_token_can_be_changed() {
    let good = good();
    for at in 0..good.len() {
        for by in [1, 2, 0x20] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= by;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(judged(&text).is_err(), "byte {at} by {by}");
        }
        assert!(judged(&good[..at]).is_err(), "cut off at {at}");
    }
}

/// What a thread that answers readers asks of every request.
#[test]
fn a_known_caller_is_looked_up_without_allocating() {
    let now = NOW * SECOND_MICROS;
    let callers = Callers::new();
    let header = format!("Bearer {}", good());
    callers.keep(&good(), &judged(&good()).expect("good"), 0, now);
    callers.keep_refused("a.b.c", Refusal::Signature, now);
    // The first look-up of a thread makes its part of the table's bookkeeping.
    let _first = callers.known(&header, METHOD, now);
    let mut known = Vec::with_capacity(3);
    let allocated = allocation_counter::measure(|| {
        known.push(callers.known(&header, METHOD, now));
        known.push(callers.known("Bearer a.b.c", METHOD, now));
        known.push(callers.known("Basic a", METHOD, now));
    });
    assert_eq!(allocated.count_total, 0);
    let expected =
        [Known::Known(did(ISSUER).into()), Known::Refused(Refusal::Signature), Known::Refused(Refusal::Scheme)];
    assert_eq!(known, expected);
}

/// What the document says decides, not what the token says.
#[test]
fn the_key_is_that_of_the_issuers_document() {
    let now = NOW * SECOND_MICROS;
    for (key, expected) in [
        (Ok(public_k256(2)), Refusal::Signature),
        (Ok(public_p256(1)), Refusal::Curve),
        (Err(KeyFault::Absent), Refusal::NoKey),
        (Err(KeyFault::Controller), Refusal::NoKey),
        (Err(KeyFault::Type), Refusal::NoKey),
    ] {
        let is = judge(&good(), &document(key.clone()), true, now);
        assert_eq!(is, Err(expected), "{key:?}");
        assert!(expected.may_heal());
    }
    let other = Document { did: did("did:web:evil.dev"), ..document(Ok(public_k256(1))) };
    assert_eq!(judge(&good(), &other, true, now), Err(Refusal::UnknownIssuer));
    // A P-256 signature in its upper half, which its library alone would take.
    let high: fn(&str) -> Vec<u8> = |it| {
        let signature: p256::ecdsa::Signature = p256_key(1).sign(it.as_bytes());
        let (r, s) = signature.normalize_s().split_scalars();
        p256::ecdsa::Signature::from_scalars(r, -s).expect("in range").to_bytes().to_vec()
    };
    let text = Made { sign: high, ..Made::new(&changed(header(), &json!({"alg": "ES256"})), &claims()) }.text();
    assert_eq!(judge(&text, &document(Ok(public_p256(1))), true, now), Err(Refusal::HighS));
}
