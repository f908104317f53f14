//! Classless static routes (RFC 3442).

use std::net::Ipv4Addr;

/// A route that the server wants its clients to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClasslessRoute {
    /// The network, host bits zero; `0.0.0.0` with length 0 is the default route.
    pub destination: Ipv4Addr,
    /// Length of the network's prefix: 0 to 32.
    pub prefix_len: u8,
    /// The router; `0.0.0.0` means that the destination is on the link itself.
    pub gateway: Ipv4Addr,
}

/// The routes of option 121 or 249 in the server's order; `None` when one is cut off, a prefix is
/// longer than 32 bits, or there is none.
pub(super) fn classless_routes(mut data: &[u8]) -> Option<Vec<ClasslessRoute>> {
    // At least five bytes each.
    let mut routes = Vec::with_capacity(data.len().min(5 * 8) / 5);
    while let [prefix_len, rest @ ..] = data {
        let prefix_len = Some(*prefix_len).filter(|length| *length <= 32)?;
        let (significant, rest) = rest.split_at_checked(usize::from(prefix_len.div_ceil(8)))?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;

        let mut octets = [0; 4];
        octets.iter_mut().zip(significant).for_each(|(octet, byte)| *octet = *byte);
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0);
        routes.push(ClasslessRoute {
            // Servers send host bits too; the client is to zero them (RFC 3442, "Local Subnet
            // Routes" and before).
            destination: Ipv4Addr::from_bits(u32::from_be_bytes(octets) & mask),
            prefix_len,
            gateway: Ipv4Addr::from(*gateway),
        });
        data = rest;
    }
    (!routes.is_empty()).then_some(routes)
}
