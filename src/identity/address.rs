//! Which addresses belong to the public internet.
//!
//! In: an address that a name led to, just before it is dialled. Out: whether a stranger may send this program there. A
//! stranger chooses the names (a DID, a handle, the place of a repository), so without this rule anybody could have this
//! machine knock at the doors of its own network.
//!
//! The rule for IPv4 is a list of what is special (the registry of RFC 6890 and its updates). For IPv6 it is the other way
//! round: only 2000::/3 has been handed out, so everything else is refused, and within it what is special. Forms that hold an
//! IPv4 address are refused too, whatever it is, because nobody's honest host is published so. The one exception is the
//! well-known prefix of NAT64, by which machines without IPv4 reach it: there the address within is judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, as far as dialling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Public unicast.
    Public,
    /// This machine, as 127.0.0.0/8 or ::1.
    Loopback,
    /// Anything else, in words.
    NotPublic(&'static str),
}

/// What is special in IPv4, as network, length of its prefix and name.
const SPECIAL_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's own service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay of 6to4"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// What is special in IPv6, as far as a name is worth having or it lies within 2000::/3.
const SPECIAL_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 128, "unspecified"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "an IPv4 address in IPv6"),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, "an IPv4 address in IPv6"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, "an IPv4 address in IPv6"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "a translation of the own network"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discarded"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "for benchmarks"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "for protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// The well-known prefix of NAT64, 64:ff9b::/96.
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// Judges an address.
pub fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

fn scope_v4(address: Ipv4Addr) -> Scope {
    if address.is_loopback() {
        return Scope::Loopback;
    }
    let bits = address.to_bits();
    let within = |network: &Ipv4Addr, length: u32| (bits ^ network.to_bits()) >> (32 - length) == 0;
    match SPECIAL_V4.iter().find(|(network, length, _)| within(network, *length)) {
        Some(&(_, _, what)) => Scope::NotPublic(what),
        None => Scope::Public,
    }
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    if address.is_loopback() {
        return Scope::Loopback;
    }
    let bits = address.to_bits();
    let within = |network: &Ipv6Addr, length: u32| (bits ^ network.to_bits()) >> (128 - length) == 0;
    if within(&NAT64, 96) {
        return match scope_v4(Ipv4Addr::from_bits(bits as u32)) {
            Scope::Public => Scope::Public,
            // Through a translator this machine's own address is somebody else's.
            Scope::Loopback => Scope::NotPublic("loopback, translated"),
            special => special,
        };
    }
    match SPECIAL_V6.iter().find(|(network, length, _)| within(network, *length)) {
        Some(&(_, _, what)) => Scope::NotPublic(what),
        None if bits >> 125 == 0b001 => Scope::Public,
        None => Scope::NotPublic("not handed out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last of each range, and its neighbours outside, where those are public.
    const V4: &[(&str, Scope)] = &[
        ("0.0.0.0", Scope::NotPublic("this network")),
        ("0.255.255.255", Scope::NotPublic("this network")),
        ("1.0.0.0", Scope::Public),
        ("1.1.1.1", Scope::Public),
        ("9.255.255.255", Scope::Public),
        ("10.0.0.0", Scope::NotPublic("private")),
        ("10.255.255.255", Scope::NotPublic("private")),
        ("11.0.0.0", Scope::Public),
        ("100.63.255.255", Scope::Public),
        ("100.64.0.0", Scope::NotPublic("shared by a provider")),
        ("100.127.255.255", Scope::NotPublic("shared by a provider")),
        ("100.128.0.0", Scope::Public),
        ("126.255.255.255", Scope::Public),
        ("127.0.0.0", Scope::Loopback),
        ("127.0.0.1", Scope::Loopback),
        ("127.255.255.255", Scope::Loopback),
        ("128.0.0.0", Scope::Public),
        ("168.63.129.16", Scope::NotPublic("a cloud's own service")),
        ("168.63.129.17", Scope::Public),
        ("169.253.255.255", Scope::Public),
        ("169.254.0.0", Scope::NotPublic("link-local")),
        ("169.254.169.254", Scope::NotPublic("link-local")),
        ("169.255.0.0", Scope::Public),
        ("172.15.255.255", Scope::Public),
        ("172.16.0.0", Scope::NotPublic("private")),
        ("172.31.255.255", Scope::NotPublic("private")),
        ("172.32.0.0", Scope::Public),
        ("192.0.0.0", Scope::NotPublic("for protocols")),
        ("192.0.0.255", Scope::NotPublic("for protocols")),
        ("192.0.1.0", Scope::Public),
        ("192.0.2.1", Scope::NotPublic("for documentation")),
        ("192.0.3.0", Scope::Public),
        ("192.88.99.1", Scope::NotPublic("a relay of 6to4")),
        ("192.167.255.255", Scope::Public),
        ("192.168.0.0", Scope::NotPublic("private")),
        ("192.168.255.255", Scope::NotPublic("private")),
        ("192.169.0.0", Scope::Public),
        ("198.17.255.255", Scope::Public),
        ("198.18.0.0", Scope::NotPublic("for benchmarks")),
        ("198.19.255.255", Scope::NotPublic("for benchmarks")),
        ("198.20.0.0", Scope::Public),
        ("198.51.100.7", Scope::NotPublic("for documentation")),
        ("203.0.113.7", Scope::NotPublic("for documentation")),
        ("223.255.255.255", Scope::Public),
        ("224.0.0.0", Scope::NotPublic("multicast")),
        ("239.255.255.255", Scope::NotPublic("multicast")),
        ("240.0.0.0", Scope::NotPublic("reserved")),
        ("255.255.255.255", Scope::NotPublic("reserved")),
    ];

    const V6: &[(&str, Scope)] = &[
        ("::", Scope::NotPublic("unspecified")),
        ("::1", Scope::Loopback),
        ("::2", Scope::NotPublic("an IPv4 address in IPv6")),
        ("::127.0.0.1", Scope::NotPublic("an IPv4 address in IPv6")),
        ("::8.8.8.8", Scope::NotPublic("an IPv4 address in IPv6")),
        ("::ffff:127.0.0.1", Scope::NotPublic("an IPv4 address in IPv6")),
        ("::ffff:10.0.0.1", Scope::NotPublic("an IPv4 address in IPv6")),
        ("::ffff:8.8.8.8", Scope::NotPublic("an IPv4 address in IPv6")),
        ("::ffff:0:127.0.0.1", Scope::NotPublic("an IPv4 address in IPv6")),
        ("64:ff9b::8.8.8.8", Scope::Public),
        ("64:ff9b::10.0.0.1", Scope::NotPublic("private")),
        ("64:ff9b::127.0.0.1", Scope::NotPublic("loopback, translated")),
        ("64:ff9b::169.254.169.254", Scope::NotPublic("link-local")),
        ("64:ff9b::1:0:0", Scope::NotPublic("not handed out")),
        ("64:ff9b:1::8.8.8.8", Scope::NotPublic("a translation of the own network")),
        ("100::1", Scope::NotPublic("discarded")),
        ("1fff:ffff::1", Scope::NotPublic("not handed out")),
        ("2000::1", Scope::Public),
        ("2001::1", Scope::NotPublic("Teredo")),
        ("2001:0:7f00:1::", Scope::NotPublic("Teredo")),
        ("2001:2::1", Scope::NotPublic("for benchmarks")),
        ("2001:10::1", Scope::NotPublic("for protocols")),
        ("2001:1ff:ffff::", Scope::NotPublic("for protocols")),
        ("2001:200::1", Scope::Public),
        ("2001:4860:4860::8888", Scope::Public),
        ("2001:db8::1", Scope::NotPublic("for documentation")),
        ("2001:db9::1", Scope::Public),
        ("2002:7f00:1::", Scope::NotPublic("6to4")),
        ("2002:808:808::1", Scope::NotPublic("6to4")),
        ("2606:4700:4700::1111", Scope::Public),
        ("3ffe::1", Scope::Public),
        ("3fff::1", Scope::NotPublic("for documentation")),
        ("3fff:1000::1", Scope::Public),
        ("4000::1", Scope::NotPublic("not handed out")),
        ("5f00::1", Scope::NotPublic("segment routing")),
        ("fbff::1", Scope::NotPublic("not handed out")),
        ("fc00::1", Scope::NotPublic("private")),
        ("fd00:ec2::254", Scope::NotPublic("private")),
        ("fe00::1", Scope::NotPublic("not handed out")),
        ("fe80::1", Scope::NotPublic("link-local")),
        ("febf::1", Scope::NotPublic("link-local")),
        ("fec0::1", Scope::NotPublic("site-local")),
        ("ff02::1", Scope::NotPublic("multicast")),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::NotPublic("multicast")),
    ];

    #[test]
    fn every_row_of_the_table() {
        for (text, expected) in V4.iter().chain(V6) {
            let address: IpAddr = text.parse().unwrap_or_else(|_| panic!("{text} is an address"));
            assert_eq!(scope(address), *expected, "{text}");
        }
    }

    /// Held against what the standard library knows of the same.
    #[test]
    fn nothing_public_is_special_to_the_standard_library() {
        for high in 0..=u16::MAX {
            let address = Ipv4Addr::from_bits(u32::from(high) << 16 | 0x0101);
            let is_special = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified();
            assert!(!(is_special && scope_v4(address) == Scope::Public), "{address}");
            let address = Ipv6Addr::new(high, 1, 0, 0, 0, 0, 0, 1);
            let is_special = address.is_multicast() || address.is_unique_local() || address.is_unicast_link_local();
            assert!(!(is_special && scope_v6(address) == Scope::Public), "{address}");
        }
    }
}
