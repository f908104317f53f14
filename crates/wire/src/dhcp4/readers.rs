//! What the options mean.
//!
//! A reader takes a malformed option for a missing one; the raw bytes stay within reach through
//! [`Options::get`].

use std::net::Ipv4Addr;

use super::routes::{ClasslessRoute, classless_routes};
use super::{MessageType, Options, code};
use crate::names::{name, search_list, without_trailing_nuls};

/// The smallest MTU option 26 may say (RFC 2132 §5.1).
const SMALLEST_MTU: u16 = 68;
/// The smallest message size option 57 may say (RFC 2132 §9.10).
const SMALLEST_MESSAGE_SIZE: u16 = 576;
/// Longest server's message that goes into a log.
const LONGEST_MESSAGE: usize = 255;

impl Options {
    /// What message this is (option 53).
    pub fn message_type(&self) -> Option<MessageType> {
        let [value] = self.array(code::MESSAGE_TYPE)?;
        value.try_into().ok()
    }

    /// The server identifier (option 54), if it can be a host's address.
    pub fn server_id(&self) -> Option<Ipv4Addr> {
        self.address(code::SERVER_ID).filter(is_host)
    }

    /// The address asked for (option 50).
    pub fn requested_address(&self) -> Option<Ipv4Addr> {
        self.address(code::REQUESTED_ADDRESS)
    }

    /// Lease time in seconds (option 51); 0xffffffff is infinity (RFC 2131 §3.3).
    pub fn lease_time(&self) -> Option<u32> {
        self.u32(code::LEASE_TIME)
    }

    /// T1 in seconds (option 58).
    pub fn renewal_time(&self) -> Option<u32> {
        self.u32(code::RENEWAL_TIME)
    }

    /// T2 in seconds (option 59).
    pub fn rebinding_time(&self) -> Option<u32> {
        self.u32(code::REBINDING_TIME)
    }

    /// The subnet mask as it came (option 1); [`prefix_len`](Options::prefix_len) checks it.
    pub fn subnet_mask(&self) -> Option<Ipv4Addr> {
        self.address(code::SUBNET_MASK)
    }

    /// Length of the subnet's prefix (option 1), 1 to 32. A mask with holes says nothing, and /0
    /// would put the whole Internet on the link.
    pub fn prefix_len(&self) -> Option<u8> {
        let mask = self.subnet_mask()?.to_bits();
        let ones = mask.leading_ones();
        (ones > 0 && ones + mask.trailing_zeros() == u32::BITS).then_some(ones as u8)
    }

    /// Routers, best first (option 3). Clients must ignore them when there are
    /// [`classless_routes`](Options::classless_routes) (RFC 3442).
    pub fn routers(&self) -> Vec<Ipv4Addr> {
        self.hosts(code::ROUTER)
    }

    /// Domain name servers, best first (option 6).
    pub fn dns_servers(&self) -> Vec<Ipv4Addr> {
        self.hosts(code::DNS_SERVER)
    }

    /// NTP servers, best first (option 42).
    pub fn ntp_servers(&self) -> Vec<Ipv4Addr> {
        self.hosts(code::NTP_SERVER)
    }

    /// The broadcast address (option 28).
    pub fn broadcast_address(&self) -> Option<Ipv4Addr> {
        self.address(code::BROADCAST_ADDRESS)
    }

    /// The domain (option 15) without final dot; letters, digits, hyphens, underscores and dots.
    pub fn domain_name(&self) -> Option<String> {
        name(self.get(code::DOMAIN_NAME)?)
    }

    /// The host name (option 12), qualified or not, in the characters of
    /// [`domain_name`](Options::domain_name).
    pub fn host_name(&self) -> Option<String> {
        name(self.get(code::HOST_NAME)?)
    }

    /// Domains to search, in order (option 119): at most 32, each like
    /// [`domain_name`](Options::domain_name).
    pub fn search_list(&self) -> Vec<String> {
        self.get(code::DOMAIN_SEARCH).and_then(search_list).unwrap_or_default()
    }

    /// MTU of the interface in bytes (option 26), at least 68.
    pub fn mtu(&self) -> Option<u16> {
        self.u16(code::INTERFACE_MTU).filter(|mtu| *mtu >= SMALLEST_MTU)
    }

    /// The longest DHCP message the sender takes, IP header included (option 57), at least 576.
    pub fn max_message_size(&self) -> Option<u16> {
        self.u16(code::MAX_MESSAGE_SIZE).filter(|size| *size >= SMALLEST_MESSAGE_SIZE)
    }

    /// The codes a client wants answered, in its order (option 55); empty when there is none.
    pub fn parameter_request_list(&self) -> &[u8] {
        self.get(code::PARAMETER_REQUEST_LIST).unwrap_or_default()
    }

    /// The sender's words (option 56), fit for a log: at most 255 characters, with `?` for all that
    /// is not printable ASCII.
    pub fn message(&self) -> Option<String> {
        let data = without_trailing_nuls(self.get(code::MESSAGE)?);
        let printable =
            |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
        (!data.is_empty()).then(|| data.iter().take(LONGEST_MESSAGE).map(printable).collect())
    }

    /// The client identifier (option 61): a type and at least one byte (RFC 2132 §9.14).
    pub fn client_id(&self) -> Option<&[u8]> {
        self.get(code::CLIENT_ID).filter(|id| id.len() >= 2)
    }

    /// Static routes (option 121, else 249), the default route among them if the server sent it.
    pub fn classless_routes(&self) -> Option<Vec<ClasslessRoute>> {
        [code::CLASSLESS_ROUTES, code::CLASSLESS_ROUTES_MICROSOFT]
            .into_iter()
            .find_map(|code| classless_routes(self.get(code)?))
    }

    /// V6ONLY_WAIT in seconds (option 108): how long a client that can do without IPv4 is to do
    /// without (RFC 8925 §3.1).
    pub fn ipv6_only_preferred(&self) -> Option<u32> {
        self.u32(code::IPV6_ONLY_PREFERRED)
    }

    /// The value of an option whose length is fixed. Some servers send such an option twice, and
    /// joining the pieces as RFC 3396 §7 demands makes it twice as long: the first one counts.
    fn array<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        match self.get(code)?.as_chunks::<N>() {
            ([first, ..], []) => Some(*first),
            _ => None,
        }
    }

    fn u16(&self, code: u8) -> Option<u16> {
        self.array(code).map(u16::from_be_bytes)
    }

    fn u32(&self, code: u8) -> Option<u32> {
        self.array(code).map(u32::from_be_bytes)
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.array::<4>(code).map(Ipv4Addr::from)
    }

    /// A list of addresses; those that are no host's are left out (home routers are known to fill
    /// the place of a second DNS server with `0.0.0.0`).
    fn hosts(&self, code: u8) -> Vec<Ipv4Addr> {
        match self.get(code).unwrap_or_default().as_chunks::<4>() {
            (addresses, []) => {
                addresses.iter().map(|octets| Ipv4Addr::from(*octets)).filter(is_host).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Whether it can be the address of another host on the network (RFC 1122 §3.2.1.3).
fn is_host(address: &Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast())
}
