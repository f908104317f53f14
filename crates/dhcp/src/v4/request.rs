//! Which option goes into which message (RFC 2131 §4.4.1, §4.3.2 and table 5).

use std::borrow::Cow;
use std::net::Ipv4Addr;

use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, Op, Options, code, fqdn_wish};

use super::Config;
use crate::Classes;

/// What is asked for (option 55). RFC 3442: the classless routes before the routers. From the NTP servers on, what containers may want to
/// know: nothing is done about it.
const PARAMETERS: [u8; 23] = [
    code::SUBNET_MASK,
    code::CLASSLESS_ROUTES,
    code::CLASSLESS_ROUTES_MICROSOFT,
    code::ROUTER,
    code::DNS_SERVER,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::INTERFACE_MTU,
    code::BROADCAST_ADDRESS,
    code::LEASE_TIME,
    code::SERVER_ID,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::DOMAIN_SEARCH,
    code::NTP_SERVER,
    code::LOG_SERVER,
    code::VENDOR_OPTIONS,
    code::TFTP_SERVER_NAME,
    code::BOOT_FILE,
    code::TIME_ZONE_POSIX,
    code::TIME_ZONE_NAME,
    code::TFTP_SERVERS,
    code::WPAD,
];
/// Option 57: the longest datagram, headers included, that an Ethernet frame holds (RFC 3442,
/// "Requirements to Avoid Sizing Constraints").
const MAX_MESSAGE_SIZE: u16 = 1500;

/// What a message of the client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Who has an address? If possible this one.
    /// `rapid`: I take it at once (RFC 4039).
    Discover { wanted: Option<Ipv4Addr>, rapid: bool },
    /// SELECTING: I take this server's offer.
    Select { server: Ipv4Addr, address: Ipv4Addr },
    /// INIT-REBOOT: is this address still right for me?
    Reboot { address: Ipv4Addr },
    /// RENEWING and REBINDING: prolong the lease of this address.
    Extend { address: Ipv4Addr },
    /// I do not need this address any more.
    Release { server: Ipv4Addr, address: Ipv4Addr },
    /// I cannot use this address: another machine has it.
    Decline { server: Ipv4Addr, address: Ipv4Addr, holder: MacAddr },
}

/// The content of option 61: a type and at least one byte (RFC 2132 §9.14).
pub(crate) fn client_id(config: &Config) -> Cow<'_, [u8]> {
    const ETHERNET: u8 = 1;
    match &config.client_id {
        Some(id) if id.len() >= 2 => Cow::Borrowed(id),
        _ => {
            let [a, b, c, d, e, f] = config.mac.0;
            Cow::Owned(vec![ETHERNET, a, b, c, d, e, f])
        }
    }
}

impl Intent {
    /// The UDP payload.
    pub(crate) fn encode(self, config: &Config, xid: u32, secs: u16) -> Vec<u8> {
        let mut message =
            Message::new(Op::BootRequest, xid, config.link_mac(), self.options(config));
        match self {
            Intent::Discover { .. } | Intent::Select { .. } | Intent::Reboot { .. } => {
                message.secs = secs;
                message.broadcast = config.broadcast;
            }
            // From here on there is an address to send the answer to.
            Intent::Extend { address } => {
                message.secs = secs;
                message.ciaddr = address;
            }
            Intent::Release { address, .. } => message.ciaddr = address,
            Intent::Decline { .. } => {}
        }
        message.emit()
    }

    fn options(self, config: &Config) -> Options {
        let mut options = Options::default();
        let (kind, server, address) = match self {
            Intent::Discover { wanted, .. } => (MessageType::Discover, None, wanted),
            Intent::Select { server, address } => {
                (MessageType::Request, Some(server), Some(address))
            }
            Intent::Reboot { address } => (MessageType::Request, None, Some(address)),
            Intent::Extend { .. } => (MessageType::Request, None, None),
            Intent::Release { server, .. } => (MessageType::Release, Some(server), None),
            Intent::Decline { server, address, .. } => {
                (MessageType::Decline, Some(server), Some(address))
            }
        };
        options.set(code::MESSAGE_TYPE, &[kind.into()]);
        options.set(code::CLIENT_ID, &client_id(config));
        if let Some(address) = address {
            options.set(code::REQUESTED_ADDRESS, &address.octets());
        }
        if let Some(server) = server {
            options.set(code::SERVER_ID, &server.octets());
        }
        if let Intent::Discover { rapid: true, .. } = self {
            options.set(code::RAPID_COMMIT, &[]);
        }
        if let Intent::Decline { holder, .. } = self {
            let message = format!("address in use by {holder}");
            options.set(code::MESSAGE, message.as_bytes());
        }
        if !matches!(kind, MessageType::Release | MessageType::Decline) {
            if let Some(name) = config.host_name.as_deref().filter(|name| !name.is_empty()) {
                match fqdn_wish(name).filter(|_| config.register_dns) {
                    // One of the two, never both (RFC 4702 §3.1).
                    Some(wish) => options.set(code::CLIENT_FQDN, &wish),
                    None => options.set(code::HOST_NAME, name.as_bytes()),
                }
            }
            let Classes { vendor, user } = &*config.classes;
            if let Ok(1..) = u8::try_from(vendor.len()) {
                options.set(code::VENDOR_CLASS, vendor.as_bytes());
            }
            if let Ok(length @ 1..) = u8::try_from(user.len()) {
                options.set(code::USER_CLASS, &[&[length], user.as_bytes()].concat());
            }
            options.set(code::MAX_MESSAGE_SIZE, &MAX_MESSAGE_SIZE.to_be_bytes());
            let wanted = PARAMETERS.into_iter();
            let wanted = wanted.chain(config.ipv6_only.then_some(code::IPV6_ONLY_PREFERRED));
            options.set(code::PARAMETER_REQUEST_LIST, &wanted.collect::<Vec<u8>>());
        }
        options
    }
}
