//! Compares the TCP endpoints of ports, however their hosts are spelt.
//!
//! No name is looked up: literals of one address are compared by the address, and names that mean
//! the machine itself everywhere count as its loopback address. Two names that DNS resolves to
//! one address are not noticed here.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An endpoint, the same for all spellings of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// This machine, in IPv4 or IPv6.
    Loopback,
    /// An address, with the zone where it needs one (RFC 4007 §11).
    Address(IpAddr, String),
    /// A name, in small letters and without the dot at its end.
    Name(String),
}

impl Endpoint {
    /// Returns the endpoint at this host and port.
    pub(crate) fn of(host: &str, port: u16) -> Self {
        Endpoint {
            host: Host::of(host),
            port,
        }
    }

    /// Returns the address of the host, if the host is written as an address or as this machine.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Loopback => Some(Ipv4Addr::LOCALHOST.into()),
            Host::Address(address, _) => Some(*address),
            Host::Name(_) => None,
        }
    }
}

impl Host {
    fn of(text: &str) -> Host {
        // DNS knows no case (RFC 4343), and a dot at the end says only that the name
        // is complete (RFC 1034 §3.1).
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        let (literal, zone) = lower.split_once('%').unwrap_or((lower, ""));
        let address = literal
            .parse::<Ipv6Addr>()
            .map(|v6| v6.to_canonical())
            .ok()
            .or_else(|| numbers_and_dots(literal).map(IpAddr::V4));
        match address {
            // The unspecified address, as a destination, is the machine itself on
            // Linux.
            Some(ip) if ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST => Host::Loopback,
            Some(ip) if ip.is_unspecified() => Host::Loopback,
            Some(ip) => Host::Address(ip, zone.to_owned()),
            None if means_this_machine(lower) => Host::Loopback,
            None => Host::Name(lower.to_owned()),
        }
    }
}

/// Returns whether a name resolves to the loopback address by rule (RFC 6761 §6.3) or by what
/// Linux distributions write into /etc/hosts.
fn means_this_machine(name: &str) -> bool {
    name.ends_with(".localhost")
        || [
            "localhost",
            "localhost.localdomain",
            "localhost4",
            "localhost4.localdomain4",
            "localhost6",
            "localhost6.localdomain6",
            "ip6-localhost",
            "ip6-loopback",
        ]
        .contains(&name)
}

/// Parses an IPv4 address in any way that resolvers understand: one to four numbers, each
/// decimal, octal (`0…`) or hexadecimal (`0x…`). The last number fills the bytes that are left
/// (inet_aton(3)): `127.1` is 127.0.0.1.
fn numbers_and_dots(text: &str) -> Option<Ipv4Addr> {
    let mut parts = Vec::new();
    for part in text.split('.') {
        parts.push(number(part)?);
    }
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|n| *n > 255) {
        return None;
    }
    let left = 32 - 8 * u32::try_from(first.len()).ok()?;
    if u64::from(*last) >= 1u64 << left {
        return None;
    }
    let high = first.iter().fold(0u64, |sum, n| sum << 8 | u64::from(*n));
    let bits = high << left | u64::from(*last);
    u32::try_from(bits).ok().map(Ipv4Addr::from)
}

fn number(part: &str) -> Option<u32> {
    let (digits, radix) = match part.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if part.len() > 1 && part.starts_with('0') => (part, 8),
        None => (part, 10),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(host: &str) -> Endpoint {
        Endpoint::of(host, 502)
    }

    #[test]
    fn one_endpoint_is_one_however_it_is_spelt() {
        for spellings in [
            &[
                "localhost",
                "LocalHost.",
                "localhost.localdomain",
                "ip6-localhost",
                "gateway.localhost",
                "127.0.0.1",
                "127.1",
                "0x7f.1",
                "0177.0.0.1",
                "2130706433",
                "::1",
                "0:0:0:0:0:0:0:1",
                "::ffff:127.0.0.1",
                "::FFFF:7f00:1",
                "0.0.0.0",
                "::",
            ][..],
            &[
                "192.168.1.10",
                "::ffff:192.168.1.10",
                "192.168.266",
                "0xC0A8010A",
            ],
            &["PLC-3.plant.example", "plc-3.plant.example."],
            &["fd00::12", "FD00:0:0::0012"],
            &["fe80::1%eth0", "FE80::1%ETH0"],
        ] {
            for pair in spellings.windows(2) {
                assert_eq!(of(pair[0]), of(pair[1]), "{pair:?}");
            }
        }
    }

    #[test]
    fn others_are_others() {
        let all = [
            "127.0.0.2",
            "192.168.1.10",
            "192.168.1.1",
            "localhost.example",
            "plc-3",
            "plc-3.plant.example",
            "fe80::1%eth0",
            "fe80::1%eth1",
            "fd00::12",
            "1.2.3.4.5",
            "256.1.1.1",
            "127.16777216",
            "08.1.1.1",
            "::1",
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(of(a), of(b), "{a} {b}");
            }
        }
        assert_ne!(Endpoint::of("plc", 502), Endpoint::of("plc", 503));
    }

    proptest! {
        #[test]
        fn every_way_to_write_an_address_is_that_address(bits in any::<u32>()) {
            let ip = Ipv4Addr::from(bits);
            let [a, b, c, d] = ip.octets();
            let last_two = u32::from(c) << 8 | u32::from(d);
            for text in [
                format!("{a}.{b}.{last_two}"),
                format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
                format!("{bits}"),
                format!("::ffff:{ip}"),
            ] {
                prop_assert_eq!(of(&text), of(&ip.to_string()), "{}", text);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-fx.:%A-Z]{0,30}") {
            let _ = of(&text);
        }
    }
}
