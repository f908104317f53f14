//! Why something that came in was refused.

/// Why bytes are not what they claim to be. It costs nothing to make: no allocation, no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a header or inside what a header announces.
    #[error("{what} cut short: {have} of at least {need} bytes")]
    Truncated {
        /// The structure that does not fit.
        what: &'static str,
        /// Bytes it needs.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// An 802.1Q or 802.1ad tag. A bridge port strips the tag of its own VLAN (PVID), so a frame
    /// that still has one is of another VLAN.
    #[error("frame of another VLAN (tag type {0:#06x})")]
    Vlan(u16),
    /// Neither ARP nor IP; below 0x0600 it is the length field of an 802.3 frame.
    #[error("EtherType {0:#06x} is neither ARP nor IP")]
    EtherType(u16),
    /// ARP, but not for IPv4 over Ethernet (RFC 826).
    #[error("ARP packet is not for IPv4 over Ethernet")]
    ArpKind,
    /// An ARP operation other than request and reply (reverse or inverse ARP).
    #[error("ARP operation {0} is neither request nor reply")]
    ArpOperation(u16),
    /// The version field of an IP packet is not what the frame's type says.
    #[error("IP version {0} in a frame of the other's type")]
    IpVersion(u8),
    /// Header length below 20 bytes, beyond the total length, or total length beyond the frame.
    #[error("IPv4 lengths disagree: header {header}, total {total}, received {received} bytes")]
    IpLength {
        /// Header length in bytes (four times IHL).
        header: u8,
        /// Total length field.
        total: u16,
        /// Bytes behind the Ethernet header.
        received: usize,
    },
    /// The IPv4 header checksum is wrong.
    #[error("IPv4 header checksum is wrong")]
    IpChecksum,
    /// A fragment. DHCP messages fit one packet, and reassembly would keep a stranger's bytes.
    #[error("IP fragment")]
    Fragment,
    /// The payload length of an IPv6 header beyond the frame.
    #[error("IPv6 payload length {length} in {received} bytes behind the Ethernet header")]
    Ip6Length {
        /// The payload length field.
        length: u16,
        /// Bytes behind the Ethernet header.
        received: usize,
    },
    /// An IPv6 packet with neither UDP nor ICMPv6 directly behind its header.
    #[error("IPv6 next header {0} is neither UDP nor ICMPv6")]
    NextHeader(u8),
    /// The ICMPv6 checksum is wrong.
    #[error("ICMPv6 checksum is wrong")]
    IcmpChecksum,
    /// An ICMPv6 message that is none of neighbour discovery's four.
    #[error("ICMPv6 type {0} is not neighbour discovery")]
    IcmpType(u8),
    /// Not valid by RFC 4861 (§6.1.1, §6.1.2, §7.1.1, §7.1.2).
    #[error("neighbour discovery: {0}")]
    NdInvalid(&'static str),
    /// An IPv4 protocol other than UDP.
    #[error("IP protocol {0} is not UDP")]
    NotUdp(u8),
    /// UDP length below 8 bytes or beyond the packet.
    #[error("UDP length {length} in an IP payload of {received} bytes")]
    UdpLength {
        /// The length field.
        length: u16,
        /// Bytes behind the IP header.
        received: usize,
    },
    /// The UDP checksum is wrong.
    #[error("UDP checksum is wrong")]
    UdpChecksum,
    /// More bytes than a UDP datagram can carry.
    #[error("DHCP message of {0} bytes is longer than any datagram")]
    DhcpLength(usize),
    /// `op` is neither BOOTREQUEST nor BOOTREPLY (RFC 2131 §2).
    #[error("DHCP op {0} is neither BOOTREQUEST nor BOOTREPLY")]
    DhcpOp(u8),
    /// The client hardware address is not an Ethernet address.
    #[error("DHCP htype {htype} with hlen {hlen} is not Ethernet")]
    DhcpHardware {
        /// Hardware type; 1 is Ethernet.
        htype: u8,
        /// Length of the hardware address; 6 is Ethernet's.
        hlen: u8,
    },
    /// Without the magic cookie it is plain BOOTP (RFC 2131 §3).
    #[error("DHCP magic cookie missing: {0:#010x}")]
    DhcpCookie(u32),
    /// A DHCP message type (option 53) of no message of RFC 2131.
    #[error("unknown DHCP message type {0}")]
    DhcpMessageType(u8),
    /// A DHCPv6 message type of no message between a client and a server (RFC 8415 §7.3).
    #[error("DHCPv6 message type {0} is none of a client or a server")]
    Dhcp6MessageType(u8),
}

impl Error {
    /// A short label, the same for all values of a variant: for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Truncated { .. } => "truncated",
            Error::Vlan(_) => "vlan",
            Error::EtherType(_) => "ethertype",
            Error::ArpKind => "arp_kind",
            Error::ArpOperation(_) => "arp_operation",
            Error::IpVersion(_) => "ip_version",
            Error::IpLength { .. } => "ip_length",
            Error::IpChecksum => "ip_checksum",
            Error::Fragment => "fragment",
            Error::Ip6Length { .. } => "ip6_length",
            Error::NextHeader(_) => "next_header",
            Error::IcmpChecksum => "icmp_checksum",
            Error::IcmpType(_) => "icmp_type",
            Error::NdInvalid(_) => "nd_invalid",
            Error::NotUdp(_) => "not_udp",
            Error::UdpLength { .. } => "udp_length",
            Error::UdpChecksum => "udp_checksum",
            Error::DhcpLength(_) => "dhcp_length",
            Error::DhcpOp(_) => "dhcp_op",
            Error::DhcpHardware { .. } => "dhcp_hardware",
            Error::DhcpCookie(_) => "dhcp_cookie",
            Error::DhcpMessageType(_) => "dhcp_message_type",
            Error::Dhcp6MessageType(_) => "dhcp6_message_type",
        }
    }
}
