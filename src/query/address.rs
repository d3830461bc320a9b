//! Where calls come from: addresses, networks, and the names that `sourceIPAddress` holds instead.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::condition::{Condition, Member};
use super::ids::InvalidId;

/// What `sourceIPAddress` may be asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceAddress {
    /// An address of this network.
    Network(Network),
    /// A DNS name or `AWS Internal`, exactly as recorded.
    Name(String),
}

/// An IP network, version 4 or 6; a single address is one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl SourceAddress {
    /// As a condition on the record.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self {
            Self::Network(network) => Condition::From(*network),
            Self::Name(name) => Condition::is(Member::SourceIpAddress, name.as_str()),
        }
    }
}

impl Network {
    /// The network of `address` with so many leading bits; none if an address has fewer.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let first = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from((v4.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from((v6.to_bits() & mask).to_be_bytes())
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }

    /// The first address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// How many leading bits all of its addresses share.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether it is a single address.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.prefix == if self.first.is_ipv4() { 32 } else { 128 }
    }

    /// Whether `address` lies in it. Versions 4 and 6 are apart.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        Self::new(address, self.prefix) == Some(self)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            self.first.fmt(f)
        } else {
            write!(f, "{}/{}", self.first, self.prefix)
        }
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for SourceAddress {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const EXPECTED: InvalidId = InvalidId {
            expected: "a source address is an IP address, a network such as 198.51.100.0/24 or \
                       2001:db8::/32, a DNS name, or AWS Internal",
        };
        let network = match text.split_once('/') {
            Some((address, prefix)) => {
                let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
                let prefix = prefix.parse().ok().filter(|_| digits);
                let address = address.parse().ok();
                let network = address.zip(prefix);
                network.and_then(|(address, prefix)| Network::new(address, prefix))
            }
            None => (text.parse::<IpAddr>().ok()).and_then(|address| {
                Network::new(address, if address.is_ipv4() { 32 } else { 128 })
            }),
        };
        if let Some(network) = network {
            return Ok(Self::Network(network));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_ ".contains(&byte);
        let is_name = (1..=255).contains(&text.len())
            && text.bytes().all(allowed)
            && text.bytes().any(|byte| byte.is_ascii_alphabetic());
        is_name.then(|| Self::Name(text.to_owned())).ok_or(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_names_are_told_apart() {
        for text in [
            "203.0.113.77",
            "198.51.100.0/24",
            "0.0.0.0/0",
            "2001:db8::/32",
            "2001:db8::1",
            "AWS Internal",
            "cloudformation.amazonaws.com",
        ] {
            assert_eq!(text.parse::<SourceAddress>().unwrap().to_string(), text);
        }
        let host_bits: SourceAddress = "198.51.100.7/24".parse().unwrap();
        assert_eq!(host_bits.to_string(), "198.51.100.0/24");
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "300.1.1.1",
            "2001:db8::/129",
            "::1/",
            "10.0.0.0/+8",
            "a'b",
            "1.2.3.*",
            "10.0.0.0/8/8",
        ] {
            assert!(wrong.parse::<SourceAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_alone() {
        let holds = |network: &str, address: &str| {
            let Ok(SourceAddress::Network(network)) = network.parse() else {
                panic!("{network}");
            };
            network.contains(address.parse().unwrap())
        };
        assert!(holds("172.16.0.0/12", "172.31.255.255"));
        assert!(!holds("172.16.0.0/12", "172.32.0.0"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::"));
        assert!(holds("2001:DB8:0:0::1", "2001:db8::1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
    }
}
