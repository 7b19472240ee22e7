//! `inet` and `cidr`: addresses of hosts and networks (network.c).

use std::cmp::Ordering;

use crate::{SqlState, ValueError};

/// An address with the length of its network's prefix. A `cidr` has no bits set after the prefix, and
/// always shows its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inet {
    pub(crate) is_cidr: bool,
    pub(crate) is_v6: bool,
    pub(crate) bits: u8,
    /// The first four bytes for IPv4, the others zero.
    pub(crate) address: [u8; 16],
}

impl Inet {
    /// The bytes that count.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.address[..self.size()]
    }

    /// How many bytes an address of the family has.
    pub(crate) fn size(&self) -> usize {
        if self.is_v6 { 16 } else { 4 }
    }

    /// How many bits an address of the family has.
    pub(crate) fn max_bits(&self) -> u8 {
        if self.is_v6 { 128 } else { 32 }
    }

    /// The address as a number.
    pub(crate) fn number(&self) -> u128 {
        self.bytes().iter().fold(0, |v, byte| v << 8 | u128::from(*byte))
    }

    /// The same with another address; bits beyond the family's are lost.
    #[must_use]
    pub(crate) fn with_number(mut self, v: u128) -> Self {
        let size = self.size();
        self.address[..size].copy_from_slice(&v.to_be_bytes()[16 - size..]);
        self
    }

    /// The number whose first so many of the family's bits are set.
    pub(crate) fn mask(&self, bits: u8) -> u128 {
        let all = if self.is_v6 { u128::MAX } else { u128::from(u32::MAX) };
        let host = u32::from(self.max_bits() - bits);
        all & !(if host == 128 { u128::MAX } else { (1 << host) - 1 })
    }

    /// The network: no bits set after the prefix.
    #[must_use]
    pub(crate) fn network(self) -> Self {
        self.with_number(self.number() & self.mask(self.bits))
    }

    /// Whether the first so many bits are those of another of the same family.
    pub(crate) fn agrees(&self, other: &Self, bits: u8) -> bool {
        let mask = self.mask(bits);
        self.number() & mask == other.number() & mask
    }

    /// IPv4 before IPv6; then by the common part of the prefixes, their lengths, and the addresses.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.is_v6.cmp(&other.is_v6).then_with(|| {
            let mask = self.mask(self.bits.min(other.bits));
            (self.number() & mask)
                .cmp(&(other.number() & mask))
                .then_with(|| self.bits.cmp(&other.bits))
                .then_with(|| self.number().cmp(&other.number()))
        })
    }

    /// Appends what [`Self::compare`] orders by: the prefix in symbols of two bits, each bit plus one
    /// and a zero at the end, then the address.
    pub(crate) fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_v6));
        let bit = |at: u8| self.address[usize::from(at / 8)] >> (7 - at % 8) & 1;
        let symbol = |at: u8| if at < self.bits { bit(at) + 1 } else { 0 };
        for start in (0..=self.max_bits()).step_by(4) {
            let byte = (start..start.saturating_add(4)).fold(0, |byte, at| byte << 2 | symbol(at));
            out.push(byte);
            if byte & 3 == 0 {
                break;
            }
        }
        out.extend(self.bytes());
    }

    /// How many bits of prefix the symbols in a byte are.
    pub(crate) fn symbols(byte: u8) -> u8 {
        (0..4).take_while(|at| byte >> (6 - at * 2) & 3 != 0).count() as u8
    }

    /// What was stored; `None` if it cannot have been.
    pub(crate) fn from_parts(is_cidr: bool, is_v6: bool, bits: u8, bytes: &[u8]) -> Option<Self> {
        let mut address = [0; 16];
        let size = if is_v6 { 16 } else { 4 };
        address[..size].copy_from_slice(bytes.get(..size).filter(|_| bytes.len() == size)?);
        let v = Self { is_cidr, is_v6, bits, address };
        let is_sound = bits <= v.max_bits() && (!is_cidr || v.network() == v);
        is_sound.then_some(v)
    }
}

/// Reads an address.
///
/// # Errors
/// 22P02.
pub(crate) fn parse_inet(text: &str, is_cidr: bool) -> Result<Inet, ValueError> {
    let name = if is_cidr { "cidr" } else { "inet" };
    let invalid = || ValueError::invalid_syntax(name, text);
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let prefix = match prefix {
        None => None,
        Some(digits) => {
            let is_number = !digits.is_empty()
                && digits.len() <= 3
                && digits.bytes().all(|c| c.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'));
            Some(digits.parse::<u16>().ok().filter(|_| is_number).ok_or_else(invalid)?)
        }
    };
    let v = if text.contains(':') {
        let address = parse_v6(address).ok_or_else(invalid)?;
        let bits = prefix.unwrap_or(128);
        let bits = u8::try_from(bits).ok().filter(|bits| *bits <= 128).ok_or_else(invalid)?;
        Inet { is_cidr, is_v6: true, bits, address }
    } else {
        let octets = octets(address).ok_or_else(invalid)?;
        let bits = match prefix {
            Some(bits) => u8::try_from(bits).ok().filter(|bits| *bits <= 32).ok_or_else(invalid)?,
            None if is_cidr => class_bits(&octets),
            None if octets.len() == 4 => 32,
            None => return Err(invalid()),
        };
        let mut address = [0; 16];
        address[..octets.len()].copy_from_slice(&octets);
        Inet { is_cidr, is_v6: false, bits, address }
    };
    if is_cidr && v.network() != v {
        let message = format!("invalid cidr value: \"{text}\"");
        return Err(ValueError::new(SqlState::InvalidTextRepresentation, message)
            .with_detail("Value has bits set to right of mask."));
    }
    Ok(v)
}

/// One to four decimal octets.
fn octets(text: &str) -> Option<Vec<u8>> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    let octet = |part: &&str| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
        part.parse::<u8>().ok().filter(|_| is_number)
    };
    parts.iter().map(octet).collect()
}

/// The length of the prefix that an address without one has by its class.
fn class_bits(octets: &[u8]) -> u8 {
    let by_class = match octets[0] {
        240.. => 32,
        224.. => 8,
        192.. => 24,
        128.. => 16,
        _ => 8,
    };
    let given = octets.len() as u8 * 8;
    if by_class == 8 && octets[0] == 224 && given <= 8 { 4 } else { by_class.max(given) }
}

/// An IPv6 address, of which the last two groups may be an IPv4 address.
fn parse_v6(text: &str) -> Option<[u8; 16]> {
    text.parse::<std::net::Ipv6Addr>().ok().map(|address| address.octets())
}

/// Appends the address without its prefix.
pub(crate) fn write_host(v: &Inet, out: &mut Vec<u8>) {
    if !v.is_v6 {
        let [a, b, c, d, ..] = v.address;
        return out.extend(format!("{a}.{b}.{c}.{d}").as_bytes());
    }
    let words: Vec<u16> =
        v.address.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let (mut best_start, mut best_length) = (0, 0);
    let mut at = 0;
    while at < 8 {
        let length = words[at..].iter().take_while(|word| **word == 0).count();
        if length > best_length {
            (best_start, best_length) = (at, length);
        }
        at += length.max(1);
    }
    if best_length < 2 {
        best_length = 0;
    }
    let best = best_start..best_start + best_length;
    let mut at = 0;
    while at < 8 {
        if best.contains(&at) {
            if at == best_start {
                out.push(b':');
            }
            at += 1;
            continue;
        }
        if at > 0 {
            out.push(b':');
        }
        let holds_v4 = at == 6
            && best_length > 0
            && best_start == 0
            && (best_length == 6
                || (best_length == 7 && words[7] != 1)
                || (best_length == 5 && words[5] == 0xffff));
        if holds_v4 {
            let [.., a, b, c, d] = v.address;
            return out.extend(format!("{a}.{b}.{c}.{d}").as_bytes());
        }
        out.extend(format!("{:x}", words[at]).as_bytes());
        at += 1;
    }
    if best_length > 0 && best.end == 8 {
        out.push(b':');
    }
}

/// Appends an address: the length of the prefix where it is not all, or of a `cidr`.
pub(crate) fn write_inet(v: &Inet, out: &mut Vec<u8>) {
    write_host(v, out);
    if v.is_cidr || v.bits != v.max_bits() {
        out.extend(format!("/{}", v.bits).as_bytes());
    }
}

/// Reads the binary form: family, prefix, whether `cidr`, and the address after its length.
pub(crate) fn read_wire(bytes: &[u8], is_cidr: bool) -> Result<Inet, ValueError> {
    let invalid = || {
        let name = if is_cidr { "cidr" } else { "inet" };
        let message = format!("invalid address in external \"{name}\" value");
        ValueError::new(SqlState::InvalidBinaryRepresentation, message)
    };
    let [family @ (2 | 3), bits, _, length, address @ ..] = bytes else { return Err(invalid()) };
    if usize::from(*length) != address.len() {
        return Err(invalid());
    }
    Inet::from_parts(is_cidr, *family == 3, *bits, address).ok_or_else(invalid)
}

/// Appends the binary form.
pub(crate) fn write_wire(v: &Inet, out: &mut Vec<u8>) {
    out.extend([2 + u8::from(v.is_v6), v.bits, u8::from(v.is_cidr), v.size() as u8]);
    out.extend(v.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str, is_cidr: bool) -> String {
        let mut out = Vec::new();
        write_inet(&parse_inet(text, is_cidr).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_are_read_and_written() {
        assert_eq!(round("192.168.1.5", false), "192.168.1.5");
        assert_eq!(round("10.1/16", false), "10.1.0.0/16");
        assert_eq!(round("10", true), "10.0.0.0/8");
        assert_eq!(round("192.168", true), "192.168.0.0/24");
        assert_eq!(round("10.1.2", true), "10.1.2.0/24");
        assert_eq!(round("::ffff:1.2.3.4", true), "::ffff:1.2.3.4/128");
        assert_eq!(round("10:23::8000/113", true), "10:23::8000/113");
        assert_eq!(round("::/0", false), "::/0");
        assert_eq!(round("1:0:0:2::", false), "1:0:0:2::");
        for text in ["10.1", "1.2.3.256", "1.2.3.4.5", "192.168.1.2/33", "", "1::2::3"] {
            parse_inet(text, false).unwrap_err();
        }
        parse_inet("192.168.1.2/30", true).unwrap_err();
    }

    #[test]
    fn keys_keep_the_order() {
        let texts = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.1/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "10.2.0.0/16",
            "255.255.255.255",
            "::/0",
            "::1",
            "ffff::/16",
        ];
        let keys: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| {
                let mut key = Vec::new();
                parse_inet(text, false).unwrap().encode_key(&mut key);
                key
            })
            .collect();
        for (a, x) in texts.iter().zip(&keys) {
            for (b, y) in texts.iter().zip(&keys) {
                let order = parse_inet(a, false).unwrap().compare(&parse_inet(b, false).unwrap());
                assert_eq!(order, x.cmp(y), "{a} {b}");
            }
        }
    }
}
