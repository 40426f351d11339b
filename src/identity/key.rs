//! Public keys, and whether they have signed.
//!
//! In: a key as a DID document or a `did:key` writes it. Out: a point on one of the two curves of the protocol, which judges
//! signatures: <https://atproto.com/specs/cryptography>. A signature is 64 bytes, `r` and `s`, with `s` in the lower half of
//! its range, so that nobody can make a second one of it; the form with ASN.1 around it (DER) is refused.

use k256::ecdsa::signature::Verifier as _;

use crate::limits::KEY_TEXT_BYTES_MAX;

/// What goes before a compressed point of secp256k1 in a Multikey: 0xe7 as a varint.
const SECP256K1: [u8; 2] = [0xe7, 0x01];
/// …and of P-256: 0x1200.
const P256: [u8; 2] = [0x80, 0x24];

/// A curve of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256k1.
    K256,
    /// P-256, also called secp256r1.
    P256,
}

impl Curve {
    /// The algorithm of its signatures, as tokens name it.
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::K256 => "ES256K",
            Self::P256 => "ES256",
        }
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Point);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Point {
    K256(k256::ecdsa::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

/// A text that is no public key of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Beyond [`KEY_TEXT_BYTES_MAX`].
    #[error("the key is longer than {KEY_TEXT_BYTES_MAX} bytes of text")]
    TooLong,
    /// Not `z` and base58btc.
    #[error("the key is not \"z\" and base58btc")]
    Base58,
    /// Another prefix than those of the two curves.
    #[error("the key is of another kind than secp256k1 and P-256")]
    Kind,
    /// A point of another form or length, or none of the curve.
    #[error("the key is no point of its curve, or not in the form that its kind has")]
    Point,
    /// Not `did:key:`.
    #[error("the key does not start with \"did:key:\"")]
    NotDidKey,
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 64 bytes: DER, cut off, or something else.
    #[error("the signature is not 64 bytes of r and s")]
    Length,
    /// `r` or `s` is zero, or not below the order of the curve.
    #[error("the signature holds a number that its curve does not have")]
    Range,
    /// `s` in the upper half.
    #[error("the signature has the greater of its two forms (high S)")]
    HighS,
    /// Of another message, or by another key.
    #[error("the signature is not of this key and this message")]
    Wrong,
}

impl PublicKey {
    /// Reads a Multikey: `z`, then base58btc of a kind and a compressed point.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_multikey(text: &str) -> Result<Self, KeyError> {
        let bytes = multibase(text)?;
        let Some((kind, point)) = bytes.split_first_chunk::<2>() else { return Err(KeyError::Kind) };
        let curve = match *kind {
            SECP256K1 => Curve::K256,
            P256 => Curve::P256,
            _ => return Err(KeyError::Kind),
        };
        if point.len() != COMPRESSED_BYTES {
            return Err(KeyError::Point);
        }
        Self::from_point(curve, point)
    }

    /// Reads `did:key:` and a Multikey.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_did_key(text: &str) -> Result<Self, KeyError> {
        Self::from_multikey(text.strip_prefix("did:key:").ok_or(KeyError::NotDidKey)?)
    }

    /// Reads the `publicKeyMultibase` of the older verification methods, whose type says the curve: `z`, then base58btc of a
    /// point, compressed or not.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_legacy(curve: Curve, text: &str) -> Result<Self, KeyError> {
        Self::from_point(curve, &multibase(text)?)
    }

    /// Reads a point as SEC 1 writes it, compressed (33 bytes) or not (65 bytes).
    ///
    /// # Errors
    /// It is another form, or not on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let is_known_form = match point {
            [2 | 3, rest @ ..] => rest.len() == 32,
            [4, rest @ ..] => rest.len() == 64,
            _ => false,
        };
        if !is_known_form {
            return Err(KeyError::Point);
        }
        let point = match curve {
            Curve::K256 => k256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Point::K256),
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Point::P256),
        };
        point.map(Self).map_err(|_| KeyError::Point)
    }

    /// Its curve.
    pub const fn curve(&self) -> Curve {
        match &self.0 {
            Point::K256(_) => Curve::K256,
            Point::P256(_) => Curve::P256,
        }
    }

    /// The key as a Multikey.
    pub fn to_multikey(&self) -> String {
        let mut bytes = Vec::with_capacity(2 + COMPRESSED_BYTES);
        match &self.0 {
            Point::K256(key) => {
                bytes.extend_from_slice(&SECP256K1);
                bytes.extend_from_slice(key.to_sec1_point(true).as_bytes());
            }
            Point::P256(key) => {
                bytes.extend_from_slice(&P256);
                bytes.extend_from_slice(key.to_sec1_point(true).as_bytes());
            }
        }
        format!("z{}", bs58::encode(bytes).into_string())
    }

    /// Whether this key has signed the SHA-256 of `message`.
    ///
    /// # Errors
    /// The signature does not hold, or has a form that the protocol refuses.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if signature.len() != SIGNATURE_BYTES {
            return Err(SignatureError::Length);
        }
        // One of the two libraries would take the upper half, so both are asked.
        match &self.0 {
            Point::K256(key) => {
                let signature = k256::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError::Range)?;
                if signature.normalize_s() != signature {
                    return Err(SignatureError::HighS);
                }
                key.verify(message, &signature).map_err(|_| SignatureError::Wrong)
            }
            Point::P256(key) => {
                let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError::Range)?;
                if signature.normalize_s() != signature {
                    return Err(SignatureError::HighS);
                }
                key.verify(message, &signature).map_err(|_| SignatureError::Wrong)
            }
        }
    }
}

/// Bytes of a compressed point.
const COMPRESSED_BYTES: usize = 33;
/// Bytes of a signature.
pub(super) const SIGNATURE_BYTES: usize = 64;

fn multibase(text: &str) -> Result<Vec<u8>, KeyError> {
    // Decoding takes the square of the length.
    if text.len() > KEY_TEXT_BYTES_MAX {
        return Err(KeyError::TooLong);
    }
    let base58 = text.strip_prefix('z').ok_or(KeyError::Base58)?;
    bs58::decode(base58).into_vec().map_err(|_| KeyError::Base58)
}

#[cfg(test)]
mod tests {
    use super::*;

    const K256: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";
    const P256: &str = "zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo";

    /// Base58 of a kind and a point, as Multikeys have it.
    fn written(bytes: &[&[u8]]) -> String {
        format!("z{}", bs58::encode(bytes.concat()).into_string())
    }

    fn point(multikey: &str) -> Vec<u8> {
        multibase(multikey).expect("base58")[2..].to_vec()
    }

    #[test]
    fn every_form_of_a_key_is_the_same_key() {
        for (curve, multikey) in [(Curve::K256, K256), (Curve::P256, P256)] {
            let key = PublicKey::from_multikey(multikey).expect("a key");
            assert_eq!((key.curve(), key.to_multikey().as_str()), (curve, multikey));
            assert_eq!(PublicKey::from_did_key(&format!("did:key:{multikey}")), Ok(key.clone()));
            assert_eq!(PublicKey::from_legacy(curve, &written(&[&point(multikey)])), Ok(key.clone()));
            let long = match &key.0 {
                Point::K256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
                Point::P256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
            };
            assert_eq!(long.len(), 65);
            assert_eq!(PublicKey::from_legacy(curve, &written(&[&long])), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = point(K256);
        let long = match PublicKey::from_multikey(K256).expect("a key").0 {
            Point::K256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
            Point::P256(_) => unreachable!("of the other curve"),
        };
        let off_curve = [&[2][..], &[0xff; 32]].concat();
        for (text, expected) in [
            (String::new(), KeyError::Base58),
            ("z".to_owned(), KeyError::Kind),
            (K256[1..].to_owned(), KeyError::Base58),
            (K256.replace('s', "0"), KeyError::Base58),
            (format!("{K256}l"), KeyError::Base58),
            (format!("z{}", "2".repeat(KEY_TEXT_BYTES_MAX)), KeyError::TooLong),
            (written(&[&[0xed, 0x01], &good]), KeyError::Kind), // Ed25519
            (written(&[&[0xe7], &good]), KeyError::Kind),
            (written(&[&[0xe7, 0x01], &long]), KeyError::Point), // not compressed
            (written(&[&[0xe7, 0x01], &good[..32]]), KeyError::Point),
            (written(&[&[0xe7, 0x01], &good, &[0]]), KeyError::Point),
            (written(&[&[0xe7, 0x01], &off_curve]), KeyError::Point),
            (written(&[&[0x80, 0x24], &off_curve]), KeyError::Point),
            (written(&[&[0xe7, 0x01], &[5], &good[1..]]), KeyError::Point), // "compact"
            (written(&[&[0xe7, 0x01], &[0; 33]]), KeyError::Point),         // infinity
        ] {
            assert_eq!(PublicKey::from_multikey(&text), Err(expected), "{text}");
        }
        assert_eq!(PublicKey::from_did_key(K256), Err(KeyError::NotDidKey));
        assert_eq!(PublicKey::from_legacy(Curve::K256, K256), Err(KeyError::Point), "a kind where none belongs");
        assert_eq!(PublicKey::from_legacy(Curve::K256, &written(&[&[6], &long[1..]])), Err(KeyError::Point), "hybrid");
    }

    #[test]
    fn numbers_out_of_range_are_no_signature() {
        for multikey in [K256, P256] {
            let key = PublicKey::from_multikey(multikey).expect("a key");
            for (bytes, expected) in [
                (vec![0; 64], SignatureError::Range),
                (vec![0xff; 64], SignatureError::Range),
                (vec![1; 63], SignatureError::Length),
                (vec![1; 65], SignatureError::Length),
                (vec![1; 72], SignatureError::Length),
                (Vec::new(), SignatureError::Length),
                (vec![1; 64], SignatureError::Wrong),
            ] {
                assert_eq!(key.verify(b"x", &bytes), Err(expected), "{} bytes", bytes.len());
            }
        }
    }
}
