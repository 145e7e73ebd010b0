//! Networks and lists of hosts: the hosts that a configuration from the platform may connect to,
//! and those that its file may be downloaded from.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::Serialize;

/// An IP network: an address and how many of its leading bits count (RFC 4632
/// §3.1, RFC 4291 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Private networks: RFC 1918 §3 and RFC 4193 §3.1.
pub const PRIVATE: [Network; 4] = [
    Network::v4([10, 0, 0, 0], 8),
    Network::v4([172, 16, 0, 0], 12),
    Network::v4([192, 168, 0, 0], 16),
    Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
];

/// IPv4 that is not reached over the internet (IANA IPv4 Special-Purpose Address
/// Registry), besides [`PRIVATE`]: this network, shared, loopback, link-local,
/// protocol assignments, documentation, benchmarks, multicast and reserved.
const NOT_PUBLIC: [Network; 10] = [
    Network::v4([0, 0, 0, 0], 8),
    Network::v4([100, 64, 0, 0], 10),
    Network::v4([127, 0, 0, 0], 8),
    Network::v4([169, 254, 0, 0], 16),
    Network::v4([192, 0, 0, 0], 24),
    Network::v4([192, 0, 2, 0], 24),
    Network::v4([198, 18, 0, 0], 15),
    Network::v4([198, 51, 100, 0], 24),
    Network::v4([203, 0, 113, 0], 24),
    Network::v4([224, 0, 0, 0], 3),
];

/// The part of IPv6 that is allocated (RFC 4291 §2.4, IANA IPv6 Address Space).
const GLOBAL: Network = Network::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Parts of [`GLOBAL`] that lead elsewhere: Teredo and other protocol assignments,
/// documentation, and 6to4, which wraps any IPv4 address (RFC 3056).
const NOT_GLOBAL: [Network; 4] = [
    Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    Network::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    Network::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    Network::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// IPv4 behind a translator (RFC 6052 §2.1).
const TRANSLATED: Network = Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

impl Network {
    const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Self {
        Network {
            address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            prefix,
        }
    }

    const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Self {
        Network {
            address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
            prefix,
        }
    }

    /// Returns the network of a single address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Network { address, prefix }
    }

    /// Returns the addresses of the hosts in a network of IPv4, without those of the network and of
    /// all its hosts where there are such (RFC 3021); `None` if it is of IPv6, or has more than
    /// `most`.
    #[must_use]
    pub fn hosts(&self, most: usize) -> Option<Vec<Ipv4Addr>> {
        let IpAddr::V4(address) = self.address else {
            return None;
        };
        let bits = 32u32.checked_sub(u32::from(self.prefix))?;
        let all = 1u64 << bits;
        let ends = u64::from(bits > 1);
        if usize::try_from(all - 2 * ends).ok()? > most {
            return None;
        }
        let first = u64::from(u32::from(address));
        let hosts = first + ends..first + all - ends;
        hosts
            .map(|host| u32::try_from(host).ok().map(Ipv4Addr::from))
            .collect()
    }

    /// Parses `10.0.0.0/8`, `fd00::/8`, or an address alone; bits behind the prefix must be zero.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().ok().map(Network::of);
        };
        let address: IpAddr = address.parse().ok()?;
        let whole = Network {
            address,
            prefix: Network::of(address).prefix,
        };
        // The prefix of an IPv4 address in IPv6 form would belong to neither family.
        if address != address.to_canonical() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= whole.prefix)?;
        let network = Network { address, prefix };
        // No bit of the address may be left behind the prefix.
        let leading = network.bits();
        let behind = whole.prefix - prefix;
        let kept = leading.checked_shl(behind.into()).unwrap_or_default();
        (kept == whole.bits()).then_some(network)
    }

    /// Returns whether `address` is in the network. IPv4 in IPv6 form counts as IPv4 (RFC 4291
    /// §2.5.5.2).
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.bits()
    }

    /// Returns whether all of `other` is in the network.
    fn holds(&self, other: &Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    fn bits(&self) -> u128 {
        self.masked(self.address)
    }

    /// Returns the leading bits of `address`, the others zero.
    fn masked(&self, address: IpAddr) -> u128 {
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32u32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let behind = width.saturating_sub(self.prefix.into());
        // Shifting by all bits leaves none.
        bits.checked_shr(behind).unwrap_or_default()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Network::of(self.address) {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Returns whether `address` is reached over the internet, and on no nearer network.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    let within = |all: &[Network], ip| all.iter().any(|network| network.contains(ip));
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => !within(&PRIVATE, v4) && !within(&NOT_PUBLIC, v4),
        v6 @ IpAddr::V6(_) if TRANSLATED.contains(v6) => {
            let [.., a, b, c, d] = match v6 {
                IpAddr::V6(v6) => v6.octets(),
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            };
            is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        v6 @ IpAddr::V6(_) => GLOBAL.contains(v6) && !within(&NOT_GLOBAL, v6),
    }
}

/// Addresses of this machine, of its links, of more than one host, and those that wrap others: a
/// network that merely contains them never means them.
const SPECIAL: [Network; 8] = [
    Network::v4([0, 0, 0, 0], 8),
    Network::v4([127, 0, 0, 0], 8),
    Network::v4([169, 254, 0, 0], 16),
    // Multicast, and the limited broadcast behind it.
    Network::v4([224, 0, 0, 0], 3),
    // Unspecified, loopback, and IPv4 in the obsolete compatible form.
    Network::v6([0; 8], 96),
    TRANSLATED,
    Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

fn is_special(address: IpAddr) -> bool {
    SPECIAL.iter().any(|network| network.contains(address))
}

/// The hosts that may be connected to.
///
/// A network allows the addresses in it. Loopback, link-local, multicast and unspecified
/// addresses are allowed only by an entry that contains no other addresses: `127.0.0.0/8` or
/// `127.0.0.1`, but not `0.0.0.0/0`. A name allows all addresses that it resolves to, except
/// these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostList {
    networks: Vec<Network>,
    /// In small letters and without a dot at the end.
    names: Vec<String>,
}

impl Default for HostList {
    /// Allows all private networks.
    fn default() -> Self {
        HostList {
            networks: PRIVATE.to_vec(),
            names: Vec::new(),
        }
    }
}

impl HostList {
    /// Returns a list that allows no host.
    #[must_use]
    pub const fn none() -> Self {
        HostList {
            networks: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Adds one entry, as it was written.
    pub fn allow(&mut self, entry: &str) {
        match Network::parse(entry) {
            Some(network) => self.networks.push(network),
            None => self.names.push(plain_name(entry)),
        }
    }

    /// Returns whether `address` may be connected to as an address of the host that was written
    /// as `host`.
    #[must_use]
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let named = self.names.contains(&plain_name(host));
        if is_special(address) {
            // `localhost` itself names the loopback address.
            let own = named && plain_name(host) == "localhost" && address.is_loopback();
            let meant = |n: &Network| SPECIAL.iter().any(|special| special.holds(n));
            let listed = |n: &Network| meant(n) && n.contains(address);
            return own || self.networks.iter().any(listed);
        }
        named || self.networks.iter().any(|n| n.contains(address))
    }

    /// Returns whether `address` has an entry for itself alone: this machine's own address must
    /// be listed so, even in a network that is allowed.
    #[must_use]
    pub fn lists(&self, address: IpAddr) -> bool {
        self.networks.contains(&Network::of(address))
    }

    /// Returns whether a name could resolve to an address that is allowed; its addresses are
    /// checked when the name is resolved.
    #[must_use]
    pub fn allows_name(&self, name: &str) -> bool {
        !self.networks.is_empty() || self.names.contains(&plain_name(name))
    }
}

fn plain_name(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn list(entries: &[&str]) -> HostList {
        let mut list = HostList::none();
        entries.iter().for_each(|entry| list.allow(entry));
        list
    }

    #[test]
    fn a_network_is_read_as_it_is_written() {
        for text in [
            "10.0.0.0/8",
            "192.168.1.7",
            "fd00::/8",
            "::1",
            "0.0.0.0/0",
            "::/0",
        ] {
            assert_eq!(Network::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::ffff:10.0.0.0/104",
            "plc-3",
            "",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        assert_eq!(
            Network::parse("::ffff:10.0.0.1"),
            Network::parse("10.0.0.1")
        );
    }

    #[test]
    fn private_networks_are_allowed_and_nothing_else_unless_it_is_said() {
        let usual = HostList::default();
        for inside in [
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(usual.allows("plc", ip(inside)), "{inside}");
        }
        let others = [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "172.32.0.1",
            "192.169.0.1",
            "8.8.8.8",
            "2001:4860::1",
            "100.64.0.1",
        ];
        for other in others {
            assert!(!usual.allows("plc", ip(other)), "{other}");
        }
        // An entry for all of IP does not allow this machine and its links.
        let all = list(&["0.0.0.0/0", "::/0", "0.0.0.0/1", "::/1", "plc"]);
        for special in &others[..12] {
            assert!(!all.allows("plc", ip(special)), "{special}");
        }
        assert!(all.allows("other", ip("8.8.8.8")));
        // Entries of their own allow them.
        let own = list(&["127.0.0.0/8", "fe80::/10", "localhost"]);
        assert!(own.allows("x", ip("127.9.9.9")) && own.allows("x", ip("fe80::1")));
        assert!(!own.allows("x", ip("::1")) && !own.allows("x", ip("10.0.0.1")));
        assert!(own.allows("LocalHost.", ip("::1")));
    }

    #[test]
    fn one_address_is_listed_by_itself_alone() {
        let all = list(&["192.168.1.0/24", "192.168.2.7"]);
        assert!(all.lists(ip("192.168.2.7")) && all.lists(ip("::ffff:192.168.2.7")));
        assert!(!all.lists(ip("192.168.1.7")));
    }

    #[test]
    fn a_name_is_allowed_wherever_it_leads_but_not_onto_this_machine() {
        let named = list(&["PLC-3.example."]);
        assert!(named.allows("plc-3.example", ip("8.8.8.8")));
        assert!(!named.allows("plc-3.example", ip("127.0.0.1")));
        assert!(!named.allows("other.example", ip("8.8.8.8")));
        assert!(named.allows_name("plc-3.example.") && !named.allows_name("plc-4"));
        assert!(HostList::default().allows_name("plc-4"));
    }

    #[test]
    fn public_is_what_the_registries_say() {
        for public in [
            "8.8.8.8",
            "2400:3200::1",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(ip(public)), "{public}");
        }
        for not in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.2.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2001::1",
            "64:ff9b::7f00:1",
            "::ffff:10.0.0.1",
            "::8.8.8.8",
        ] {
            assert!(!is_public(ip(not)), "{not}");
        }
    }

    proptest! {
        #[test]
        fn what_is_private_is_not_public_and_what_is_special_is_neither(bits in any::<u128>(), v4 in any::<bool>()) {
            let address = match v4 {
                true => IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32)),
                false => IpAddr::V6(Ipv6Addr::from_bits(bits)),
            };
            let private = HostList::default().allows("x", address);
            prop_assert!(!(private && is_public(address)));
            prop_assert!(!(private && is_special(address)));
        }

        #[test]
        fn an_address_is_in_its_own_network_and_in_every_shorter_one(bits in any::<u32>(), prefix in 0u8..=32) {
            let address = Ipv4Addr::from(bits);
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let network = format!("{}/{prefix}", Ipv4Addr::from(bits & mask));
            let network = Network::parse(&network).unwrap();
            prop_assert!(network.contains(IpAddr::V4(address)));
            prop_assert!(network.contains(IpAddr::V6(address.to_ipv6_mapped())));
        }
    }
}
