//! What of a URL may be dialled at all, before any name is looked up.
//!
//! In: a [`Request`](super::http::Request)'s URL and whether loopback is allowed. Out: host, port and path, and the rule that
//! its addresses must keep ([`Target::admit`]), which is asked of exactly the address that is then dialled.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::{Scope, scope};
use super::http::{DialError, Whose};

/// The port of https.
const HTTPS: u16 = 443;
/// As much of a stranger's text is told in an error, in characters.
const TOLD_MAX: usize = 200;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name, or an address (IPv6 without brackets).
    pub host: String,
    /// The address, where the URL names one instead of a name.
    pub literal: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// The `host` header field.
    pub authority: String,
    /// Path and query.
    pub path: String,
    allow_loopback: bool,
    only_loopback: bool,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is not https (http where `allow_loopback` says so), holds a user name or password, or names a port that is not 443
    /// though a stranger gave it (any where `allow_loopback` says so: its addresses must then be loopback).
    pub fn parse(url: &str, whose: Whose, allow_loopback: bool) -> Result<Self, DialError> {
        let told = || short(url);
        let fail = |why: &str| DialError::Url { url: told(), why: why.to_owned() };
        let parsed = Url::parse(url).map_err(|error| fail(&error.to_string()))?;
        let is_tls = match parsed.scheme() {
            "https" => true,
            "http" if allow_loopback => false,
            _ => return Err(DialError::Scheme { url: told() }),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(DialError::Userinfo { url: told() });
        }
        let (host, literal) = match parsed.host() {
            Some(Host::Domain(name)) => (name.to_owned(), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
            None => return Err(fail("it names no host")),
        };
        if host.ends_with('.') {
            return Err(fail("its host ends with a dot"));
        }
        let port = parsed.port_or_known_default().ok_or_else(|| fail("it names no port"))?;
        let is_odd = is_tls && port != HTTPS && whose == Whose::Stranger;
        if is_odd && !allow_loopback {
            return Err(DialError::Port { url: told(), port });
        }
        let authority = match parsed.port() {
            Some(port) => format!("{}:{port}", parsed.host_str().unwrap_or_default()),
            None => parsed.host_str().unwrap_or_default().to_owned(),
        };
        let path = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        Ok(Self { host, literal, port, is_tls, authority, path, allow_loopback, only_loopback: !is_tls || is_odd })
    }

    /// Judges an address that the host leads to. Only one that was let pass here may be dialled.
    ///
    /// # Errors
    /// It is neither public nor, where allowed, loopback; or it must be loopback and is not.
    pub fn admit(&self, address: IpAddr) -> Result<(), DialError> {
        let not_public = |what| DialError::NotPublic { host: self.host.clone(), address, what };
        match scope(address) {
            Scope::Loopback if self.allow_loopback => Ok(()),
            Scope::Loopback => Err(not_public("loopback")),
            Scope::NotPublic(what) => Err(not_public(what)),
            Scope::Public if self.only_loopback => Err(DialError::NotLoopback { host: self.host.clone(), address }),
            Scope::Public => Ok(()),
        }
    }
}

/// A stranger's text, short enough to be told.
pub(super) fn short(text: &str) -> String {
    text.chars().take(TOLD_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str, whose: Whose, allow_loopback: bool) -> &'static str {
        Target::parse(url, whose, allow_loopback).map_or_else(|error| error.as_str(), |_| "ok")
    }

    #[test]
    fn what_may_be_dialled_at_all() {
        use Whose::{Operator, Stranger};
        for (url, strangers, operators, with_loopback) in [
            ("https://a.example/x?y#z", "ok", "ok", "ok"),
            ("https://a.example:443/", "ok", "ok", "ok"),
            ("https://a.example:8443/", "port", "ok", "ok"),
            ("http://a.example/", "scheme", "scheme", "ok"),
            ("http://127.0.0.1:2582/", "scheme", "scheme", "ok"),
            ("ftp://a.example/", "scheme", "scheme", "scheme"),
            ("file:///x", "scheme", "scheme", "scheme"),
            ("https://u@a.example/", "userinfo", "userinfo", "userinfo"),
            ("https://:p@a.example/", "userinfo", "userinfo", "userinfo"),
            ("https://a.example./", "url", "url", "url"),
            ("https:///x", "ok", "ok", "ok"), // the URL standard reads "x" as the host
            ("https://[fe80::1%25eth0]/", "url", "url", "url"),
            ("https://a b/", "url", "url", "url"),
            ("", "url", "url", "url"),
            ("a.example", "url", "url", "url"),
        ] {
            let are = [reason(url, Stranger, false), reason(url, Operator, false), reason(url, Stranger, true)];
            assert_eq!(are, [strangers, operators, with_loopback], "{url}");
        }
    }

    #[test]
    fn addresses_are_admitted_by_the_rule_of_their_url() {
        let public: IpAddr = "1.1.1.1".parse().expect("an address");
        let loopback: IpAddr = "::1".parse().expect("an address");
        let private: IpAddr = "10.0.0.1".parse().expect("an address");
        for (url, allow_loopback, expected) in [
            ("https://a.example/", false, ["ok", "not_public", "not_public"]),
            ("https://a.example/", true, ["ok", "ok", "not_public"]),
            ("https://a.example:8443/", true, ["not_loopback", "ok", "not_public"]),
            ("http://a.example/", true, ["not_loopback", "ok", "not_public"]),
        ] {
            let target = Target::parse(url, Whose::Stranger, allow_loopback).expect("a target");
            let are = [public, loopback, private]
                .map(|address| target.admit(address).map_or_else(|error| error.as_str(), |()| "ok"));
            assert_eq!(are, expected, "{url} {allow_loopback}");
        }
    }

    #[test]
    fn odd_spellings_of_addresses_are_addresses() {
        for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "①②⑦.0.0.1", "[::1]", "[::ffff:7f00:1]"] {
            let target = Target::parse(&format!("https://{host}/"), Whose::Stranger, false).expect("a target");
            let address = target.literal.unwrap_or_else(|| panic!("{host} is an address"));
            assert!(target.admit(address).is_err(), "{host}");
        }
    }

    #[test]
    fn the_parts_are_those_of_the_url() {
        let target = Target::parse("https://A.example:8443/x/y?z=1", Whose::Operator, false).expect("a target");
        assert_eq!((target.host.as_str(), target.port, target.is_tls), ("a.example", 8443, true));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("a.example:8443", "/x/y?z=1"));
        let target = Target::parse("http://[::1]:80/", Whose::Stranger, true).expect("a target");
        assert_eq!((target.host.as_str(), target.authority.as_str()), ("::1", "[::1]"));
    }
}
