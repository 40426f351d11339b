//! Service tokens: a JWT by which an account, or the AppView for it, says who asks, whom, and for what
//! (<https://atproto.com/specs/xrpc#inter-service-authentication-jwt>).
//!
//! ```text
//! text ──► Token::parse (form) ──► judge (claims, before anything is fetched) ──► verify (the key of its issuer)
//! ```
//!
//! In: the text, and what it must say. Out: [`Verified`], or the one [`Refusal`] that says why not. Nothing here reads a
//! clock or asks anybody. No key is ever taken from the token itself.

use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::document::Document;
use super::key::{PublicKey, SIGNATURE_BYTES, SignatureError};
use crate::limits::{SECOND_MICROS, TOKEN_BYTES_MAX, TOKEN_ID_BYTES_MAX, TOKEN_LIFE_SECONDS_MAX, TOKEN_SKEW_SECONDS};
use crate::syntax::Did;
use crate::telemetry::labels;

labels! {
    /// Why a token does not count.
    Refusal:
    /// Another scheme than `Bearer`, or no token behind it.
    Scheme = "scheme",
    /// Beyond [`TOKEN_BYTES_MAX`].
    TooLong = "too_long",
    /// Not three parts.
    Parts = "parts",
    /// A part that is not base64url, strictly and without padding.
    Base64 = "base64",
    /// Header or claims are no JSON object.
    Json = "json",
    /// A name occurs twice in header or claims.
    DuplicateName = "duplicate_name",
    /// A `typ` that is not `JWT`: another kind of token.
    Type = "typ",
    /// `crit` or `b64`: extensions that change what is signed.
    Critical = "crit",
    /// An `alg` that is neither `ES256K` nor `ES256`.
    Algorithm = "alg",
    /// A `kid` that is not the key `#atproto` of the issuer.
    KeyId = "kid",
    /// An `iss` that is no DID, or that speaks for another key than `#atproto`.
    Issuer = "iss",
    /// A DID of a method, or of a form, that atproto does not have.
    IssuerMethod = "iss_method",
    /// An `aud` that is not this service.
    Audience = "aud",
    /// No `exp`, or none that is a whole number.
    Expiry = "exp",
    /// `exp` is over.
    Expired = "expired",
    /// `exp` is more than [`TOKEN_LIFE_SECONDS_MAX`] ahead.
    ExpiryFar = "exp_far",
    /// An `iat` that is no whole number, or not before `exp`.
    Issued = "iat",
    /// `iat` is ahead of now by more than [`TOKEN_SKEW_SECONDS`].
    IssuedAhead = "iat_ahead",
    /// An `nbf` that is no whole number, or ahead of now by more than the skew.
    NotBefore = "nbf",
    /// No `lxm`.
    NoMethod = "no_lxm",
    /// `lxm` is not the method that is called.
    Method = "lxm",
    /// No `jti`, where one is needed.
    NoId = "no_jti",
    /// A `jti` that is no text, empty, or too long.
    Id = "jti",
    /// The `jti` was used before.
    Replay = "replay",
    /// Too many used `jti` are remembered to take another.
    ReplayFull = "replay_full",
    /// A signature that is not 64 bytes: DER, cut off, or none.
    SignatureLength = "signature_length",
    /// A signature with numbers that its curve does not have.
    SignatureRange = "signature_range",
    /// A signature in the greater of its two forms.
    HighS = "high_s",
    /// Not signed by the issuer's key.
    Signature = "signature",
    /// The issuer's key is of another curve than `alg` says.
    Curve = "alg_key",
    /// The issuer's document has no key that can be used.
    NoKey = "no_key",
    /// The issuer has no document.
    UnknownIssuer = "unknown_issuer",
    /// The issuer's document could not be read now.
    Unresolved = "unresolved",
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What is wrong and what to do, for whoever sent the token.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Scheme => "send \"Authorization: Bearer TOKEN\" with a service token",
            Self::TooLong => "the token is too long",
            Self::Parts => "the token is no JWT: it must have three parts",
            Self::Base64 => "the token is no JWT: its parts must be base64url without padding",
            Self::Json => "the token is no JWT: header and claims must be JSON objects",
            Self::DuplicateName => "the token says something twice",
            Self::Type => "the token is of another kind: get one from com.atproto.server.getServiceAuth",
            Self::Critical => "the token asks for an extension that is not known here",
            Self::Algorithm => "the token must be signed by ES256K or ES256",
            Self::KeyId => "kid must name the key #atproto of the issuer",
            Self::Issuer => "iss must be a DID",
            Self::IssuerMethod => "iss must be a did:plc, or a did:web without a path",
            Self::Audience => "aud must be the DID of this service",
            Self::Expiry => "exp must be there, in whole seconds",
            Self::Expired => "the token has expired: get a new one, and check the clock",
            Self::ExpiryFar => "exp is too far ahead: five minutes are the most",
            Self::Issued => "iat must be in whole seconds, before exp",
            Self::IssuedAhead => "iat is in the future: check the clock",
            Self::NotBefore => "nbf must be in whole seconds, and over",
            Self::NoMethod => "lxm must name the method that is called",
            Self::Method => "lxm names another method",
            Self::NoId => "jti must be there",
            Self::Id => "jti must be a text, and not too long",
            Self::Replay => "the token was used before: get a new one",
            Self::ReplayFull => "too much is being written: try again in some minutes",
            Self::SignatureLength => "the signature must be 64 bytes of r and s, not DER",
            Self::SignatureRange => "the signature holds a number that its curve does not have",
            Self::HighS => "the signature must have the lesser of its two forms (low S)",
            Self::Signature => "the signature is not of the issuer's key #atproto",
            Self::Curve => "alg does not fit the issuer's key #atproto",
            Self::NoKey => "the issuer's DID document has no key #atproto that can be used",
            Self::UnknownIssuer => "the issuer has no DID document",
            Self::Unresolved => "the issuer's DID document cannot be read now: try again",
        }
    }

    /// Whether a newer document of the issuer could make it good.
    pub const fn may_heal(self) -> bool {
        matches!(self, Self::Signature | Self::Curve | Self::NoKey)
    }
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The DID of this service.
    pub service: &'a Did,
    /// The method that is called.
    pub method: &'a str,
    /// Whether a `jti` is needed, as for everything that writes.
    pub needs_id: bool,
    /// Now, in microseconds since the epoch.
    pub now_micros: i64,
}

/// A token of the right form that nobody has judged yet.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// Header, dot, claims: what is signed.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    issuer: Did,
    claims: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Es256K,
    Es256,
}

/// Who has proved to ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The account.
    pub issuer: Did,
    /// When the token ends, in microseconds since the epoch.
    pub expires_micros: i64,
    /// Its number, where it has one.
    pub id: Option<Box<str>>,
    /// The method that it is for.
    pub method: Box<str>,
}

/// The token in an `Authorization` header field.
///
/// # Errors
/// Another scheme, or a token that is too long.
pub fn bearer(header: &str) -> Result<&str, Refusal> {
    let (scheme, token) = header.trim_matches(' ').split_once(' ').ok_or(Refusal::Scheme)?;
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Refusal::Scheme);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(token)
}

/// Whom a token says to be of. Nothing of it is judged, and nothing proved; who needs more reads a [`Token`].
pub fn claimed_issuer(token: &str) -> Option<Did> {
    #[derive(serde::Deserialize)]
    struct Claims<'a> {
        #[serde(borrow)]
        iss: Cow<'a, str>,
    }
    let mut parts = token.split('.').skip(1);
    let claims = BASE64URL_NOPAD.decode(parts.next()?.as_bytes()).ok()?;
    did_of_issuer(&serde_json::from_slice::<Claims<'_>>(&claims).ok()?.iss)
}

impl<'a> Token<'a> {
    /// Reads a token: its form, its header, and who has issued it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Parts)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Parts)?;
        if claims.contains('.') {
            return Err(Refusal::Parts);
        }
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Refusal::Base64);
        let header = object(&decode(header)?)?;
        let claims = object(&decode(claims)?)?;
        let signature = decode(signature)?;
        let algorithm = algorithm(&header)?;
        if signature.len() != SIGNATURE_BYTES {
            return Err(Refusal::SignatureLength);
        }
        let issuer = issuer(&claims)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Refusal::KeyId),
        };
        Ok(Self { signed, signature, algorithm, key_id, issuer, claims })
    }

    /// Who says to have issued it. Nothing is proved yet.
    pub const fn issuer(&self) -> &Did {
        &self.issuer
    }

    /// Judges what it says, which needs no key.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn judge(&self, expected: &Expectations<'_>) -> Result<(), Refusal> {
        if let Some(id) = &self.key_id
            && id.strip_prefix(self.issuer.as_str()).unwrap_or(id) != "#atproto"
        {
            return Err(Refusal::KeyId);
        }
        let audience = self.text("aud").ok_or(Refusal::Audience)?;
        if audience.strip_suffix("#bsky_fg").unwrap_or(audience) != expected.service.as_str() {
            return Err(Refusal::Audience);
        }
        // Whole seconds that have begun: a token that ends in this second has ended.
        let now = expected.now_micros.div_euclid(SECOND_MICROS);
        let expires = self.number("exp", Refusal::Expiry)?.ok_or(Refusal::Expiry)?;
        if expires <= now {
            return Err(Refusal::Expired);
        }
        if expires - now > TOKEN_LIFE_SECONDS_MAX {
            return Err(Refusal::ExpiryFar);
        }
        if let Some(issued) = self.number("iat", Refusal::Issued)? {
            if issued > now + TOKEN_SKEW_SECONDS {
                return Err(Refusal::IssuedAhead);
            }
            if issued >= expires {
                return Err(Refusal::Issued);
            }
        }
        if self.number("nbf", Refusal::NotBefore)?.is_some_and(|begins| begins > now + TOKEN_SKEW_SECONDS) {
            return Err(Refusal::NotBefore);
        }
        match self.claims.get("lxm") {
            None => return Err(Refusal::NoMethod),
            Some(Value::String(method)) if method == expected.method => {}
            Some(_) => return Err(Refusal::Method),
        }
        match self.claims.get("jti") {
            None if expected.needs_id => Err(Refusal::NoId),
            None => Ok(()),
            Some(Value::String(id)) if !id.is_empty() && id.len() <= TOKEN_ID_BYTES_MAX => Ok(()),
            Some(_) => Err(Refusal::Id),
        }
    }

    /// Whether its issuer has signed it. It must have been judged before.
    ///
    /// # Errors
    /// The document is not the issuer's or has no key, or the signature does not hold.
    pub fn verify(&self, document: &Document) -> Result<Verified, Refusal> {
        if document.did != self.issuer {
            return Err(Refusal::UnknownIssuer);
        }
        self.verify_with(document.key.as_ref().map_err(|_| Refusal::NoKey)?)?;
        Ok(Verified {
            issuer: self.issuer.clone(),
            expires_micros: self
                .number("exp", Refusal::Expiry)?
                .and_then(|seconds| seconds.checked_mul(SECOND_MICROS))
                .ok_or(Refusal::Expiry)?,
            id: self.text("jti").map(Into::into),
            method: self.text("lxm").ok_or(Refusal::NoMethod)?.into(),
        })
    }

    fn verify_with(&self, key: &PublicKey) -> Result<(), Refusal> {
        if self.algorithm.as_str() != key.curve().algorithm() {
            return Err(Refusal::Curve);
        }
        key.verify(self.signed.as_bytes(), &self.signature).map_err(|error| match error {
            SignatureError::Length => Refusal::SignatureLength,
            SignatureError::Range => Refusal::SignatureRange,
            SignatureError::HighS => Refusal::HighS,
            SignatureError::Wrong => Refusal::Signature,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    fn number(&self, name: &str, refusal: Refusal) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        value.as_i64().filter(|&seconds| seconds >= 0).map(Some).ok_or(refusal)
    }
}

impl Algorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Es256K => "ES256K",
            Self::Es256 => "ES256",
        }
    }
}

/// Judges a header, and finds by what was signed.
fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Refusal> {
    match header.get("typ") {
        None => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT") => {}
        Some(_) => return Err(Refusal::Type),
    }
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Refusal::Critical);
    }
    match header.get("alg").and_then(Value::as_str) {
        Some("ES256K") => Ok(Algorithm::Es256K),
        Some("ES256") => Ok(Algorithm::Es256),
        _ => Err(Refusal::Algorithm),
    }
}

/// A DID, alone or with the fragment of the key that signs for accounts. Other fragments are other parts of an identity.
fn issuer(claims: &Map<String, Value>) -> Result<Did, Refusal> {
    claims.get("iss").and_then(Value::as_str).and_then(did_of_issuer).ok_or(Refusal::Issuer)
}

fn did_of_issuer(text: &str) -> Option<Did> {
    Did::parse(text.strip_suffix("#atproto").unwrap_or(text)).ok()
}

/// A JSON object in which no name occurs twice: two readers could each take another of them.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    struct Once(Option<Map<String, Value>>);
    impl<'de> Deserialize<'de> for Once {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Names;
            impl<'de> Visitor<'de> for Names {
                type Value = Once;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Once, A::Error> {
                    let (mut map, mut is_once) = (Map::new(), true);
                    while let Some((name, value)) = access.next_entry::<String, Value>()? {
                        if name.is_empty() {
                            return Err(A::Error::custom("a name is empty"));
                        }
                        is_once &= map.insert(name, value).is_none();
                    }
                    Ok(Once(is_once.then_some(map)))
                }
            }
            deserializer.deserialize_map(Names)
        }
    }
    let Once(map) = serde_json::from_slice(bytes).map_err(|_| Refusal::Json)?;
    map.ok_or(Refusal::DuplicateName)
}
