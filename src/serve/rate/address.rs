//! Where a request comes from: the address of the socket, or the one that a proxy forwards.
//!
//! In: the peer, the headers, the proxies that are believed. Out: one address.
//!
//! A proxy appends the address of its own client to `X-Forwarded-For`, whatever stood there before, so the list is read
//! from the right: each proxy that is believed is passed by, and the first address that is none is the client's. What
//! stands left of it was said by the client, and is not read. `Forwarded` (RFC 7239) is not read either: of two headers a
//! proxy sets one and lets the other pass as the client wrote it.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::HeaderName;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A block of addresses, such as `10.0.0.0/8`, `fd00::/8` or one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The first address, as a number; of an IPv4 block in the low 32 bits.
    base: u128,
    /// How many bits of an address lie within the block, and are not compared.
    free_bits: u32,
    is_v4: bool,
}

/// Text that is no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not of the form ADDRESS or ADDRESS/BITS, such as 10.0.0.0/8 or fd00::/8: write it so")]
pub struct CidrError;

impl FromStr for Cidr {
    type Err = CidrError;

    /// Bits behind the prefix do not count, whatever they are.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        let (number, width) = number(address);
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().map_err(|_| CidrError)?,
            Some(_) => return Err(CidrError),
        };
        let free_bits = width.checked_sub(bits).ok_or(CidrError)?;
        Ok(Self { base: cut(number, free_bits), free_bits, is_v4: width == 32 })
    }
}

impl Cidr {
    fn contains(&self, address: IpAddr) -> bool {
        let (number, width) = number(address);
        (width == 32) == self.is_v4 && cut(number, self.free_bits) == self.base
    }
}

/// An address as a number, and its width in bits.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(four) => (four.to_bits().into(), 32),
        IpAddr::V6(six) => (six.to_bits(), 128),
    }
}

fn cut(number: u128, free_bits: u32) -> u128 {
    number.checked_shr(free_bits).unwrap_or(0)
}

/// The client's address; `peer` is that of the socket. An IPv4 address that is written as an IPv6 one is taken as what it
/// is.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|block| block.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    for list in headers.get_all(FORWARDED_FOR).iter().rev() {
        for hop in list.to_str().unwrap_or_default().rsplit(',') {
            // What no proxy would write: the last one that is believed stands for whoever wrote it.
            let Some(hop) = parse(hop.trim()) else { return client };
            client = hop;
            if !is_trusted(client) {
                return client;
            }
        }
    }
    client
}

/// An address, maybe with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let alone = hop.parse::<IpAddr>();
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    alone.ok().or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn blocks_hold_what_they_say() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.6"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "fe80::1", "10.0.0.1"),
            ("fd00::/8", "fdff::1", "fc00::1"),
            ("::1", "::1", "::2"),
        ] {
            let block: Cidr = block.parse().expect(block);
            assert!(block.contains(ip(inside)) && !block.contains(ip(outside)), "{block:?}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "a/8", "10.0.0.0/8/8"] {
            assert_eq!(wrong.parse::<Cidr>(), Err(CidrError), "{wrong}");
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_who_is_no_proxy() {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a block"));
        let asked = |peer, lists: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(FORWARDED_FOR, HeaderValue::from_str(list).expect("text"));
            }
            client(ip(peer), &headers, &trusted)
        };
        for (peer, lists, client) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1", "198.51.100.1,10.0.0.7"], "198.51.100.1"),
            ("127.0.0.1", &["127.0.0.1, 198.51.100.1:4711 , 10.0.0.7"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("127.0.0.1", &["1.1.1.1, nobody, 10.0.0.2"], "10.0.0.2"),
            ("127.0.0.1", &[""], "127.0.0.1"),
        ] {
            assert_eq!(asked(peer, lists), ip(client), "{peer} {lists:?}");
        }
    }
}
