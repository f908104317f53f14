//! Identity associations: what a server gives to a client, addresses and prefixes (RFC 8415 §21.4
//! to 21.6, 21.21 and 21.22).

use std::net::Ipv6Addr;

use super::{Options, code};

/// An identity association. One for temporary addresses (IA_TA) has no T1 and T2; they are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ia<'a> {
    /// Which of the client's associations it is; unique among those of its kind.
    pub iaid: u32,
    /// Seconds until the client renews; 0 leaves it to the client.
    pub t1: u32,
    /// Seconds until the client rebinds; 0 leaves it to the client.
    pub t2: u32,
    /// Addresses or prefixes, and a status.
    pub options: Options<'a>,
}

/// An address with its lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IaAddress<'a> {
    /// The address.
    pub address: Ipv6Addr,
    /// Seconds for which it may be used for new connections.
    pub preferred: u32,
    /// Seconds for which it may be used at all.
    pub valid: u32,
    /// A status.
    pub options: Options<'a>,
}

/// A prefix with its lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IaPrefix<'a> {
    /// The prefix, bits behind its length zero.
    pub prefix: Ipv6Addr,
    /// Its length, 0 to 128; 0 where a client has no wish.
    pub length: u8,
    /// Seconds for which it may be used for new connections.
    pub preferred: u32,
    /// Seconds for which it may be used at all.
    pub valid: u32,
    /// A status.
    pub options: Options<'a>,
}

impl<'a> Ia<'a> {
    /// An IA_NA or IA_PD.
    pub(super) fn parse(data: &'a [u8]) -> Option<Ia<'a>> {
        let (iaid, rest) = number(data)?;
        let (t1, rest) = number(rest)?;
        let (t2, rest) = number(rest)?;
        Some(Ia { iaid, t1, t2, options: Options::new(rest) })
    }

    /// An IA_TA.
    pub(super) fn parse_temporary(data: &'a [u8]) -> Option<Ia<'a>> {
        let (iaid, rest) = number(data)?;
        Some(Ia { iaid, t1: 0, t2: 0, options: Options::new(rest) })
    }

    /// What stands before the options of an IA_NA or IA_PD.
    pub fn header(iaid: u32, t1: u32, t2: u32) -> [u8; 12] {
        join([iaid, t1, t2].map(u32::to_be_bytes))
    }
}

impl<'a> IaAddress<'a> {
    fn parse(data: &'a [u8]) -> Option<IaAddress<'a>> {
        let (address, rest) = data.split_first_chunk::<16>()?;
        let (preferred, rest) = number(rest)?;
        let (valid, rest) = number(rest)?;
        let address = Ipv6Addr::from(*address);
        Some(IaAddress { address, preferred, valid, options: Options::new(rest) })
    }

    /// What stands before the options of an address.
    pub fn header(address: Ipv6Addr, preferred: u32, valid: u32) -> [u8; 24] {
        let [a, b, c, d] = words(address);
        join([a, b, c, d, preferred.to_be_bytes(), valid.to_be_bytes()])
    }
}

impl<'a> IaPrefix<'a> {
    fn parse(data: &'a [u8]) -> Option<IaPrefix<'a>> {
        let (preferred, rest) = number(data)?;
        let (valid, rest) = number(rest)?;
        let (length, rest) = rest.split_first()?;
        let (prefix, rest) = rest.split_first_chunk::<16>()?;
        let length = Some(*length).filter(|length| *length <= 128)?;
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let prefix = Ipv6Addr::from_bits(u128::from_be_bytes(*prefix) & mask);
        Some(IaPrefix { prefix, length, preferred, valid, options: Options::new(rest) })
    }

    /// What stands before the options of a prefix.
    pub fn header(prefix: Ipv6Addr, length: u8, preferred: u32, valid: u32) -> [u8; 25] {
        let times: [u8; 8] = join([preferred.to_be_bytes(), valid.to_be_bytes()]);
        let mut out = [0; 25];
        let fields = times.into_iter().chain([length]).chain(prefix.octets());
        out.iter_mut().zip(fields).for_each(|(out, byte)| *out = byte);
        out
    }
}

impl<'a> Options<'a> {
    /// The associations for addresses (option 3).
    pub fn ia_na(self) -> impl Iterator<Item = Ia<'a>> + Clone {
        self.all(code::IA_NA).filter_map(Ia::parse)
    }

    /// The associations for temporary addresses (option 4).
    pub fn ia_ta(self) -> impl Iterator<Item = Ia<'a>> + Clone {
        self.all(code::IA_TA).filter_map(Ia::parse_temporary)
    }

    /// The associations for prefixes (option 25).
    pub fn ia_pd(self) -> impl Iterator<Item = Ia<'a>> + Clone {
        self.all(code::IA_PD).filter_map(Ia::parse)
    }

    /// The addresses (option 5), in an IA_NA or IA_TA, or in a message of RFC 9686.
    pub fn addresses(self) -> impl Iterator<Item = IaAddress<'a>> + Clone {
        self.all(code::IA_ADDRESS).filter_map(IaAddress::parse)
    }

    /// The prefixes (option 26), in an IA_PD.
    pub fn prefixes(self) -> impl Iterator<Item = IaPrefix<'a>> + Clone {
        self.all(code::IA_PREFIX).filter_map(IaPrefix::parse)
    }
}

fn number(data: &[u8]) -> Option<(u32, &[u8])> {
    let (bytes, rest) = data.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*bytes), rest))
}

fn words(address: Ipv6Addr) -> [[u8; 4]; 4] {
    let bits = address.to_bits();
    [96, 64, 32, 0].map(|shift| ((bits >> shift) as u32).to_be_bytes())
}

/// Words one behind the other; `M` is four times `N`.
fn join<const N: usize, const M: usize>(words: [[u8; 4]; N]) -> [u8; M] {
    let mut out = [0; M];
    out.iter_mut().zip(words.as_flattened()).for_each(|(out, byte)| *out = *byte);
    out
}
