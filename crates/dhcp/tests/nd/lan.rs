//! Others on the LAN: what routers and neighbours say.

use std::net::Ipv6Addr;

use wire::MacAddr;
use wire::nd::{
    self, DnsServers, Message, NdOption, NeighbourAdvertisement, Preference, PrefixInformation,
    RouteInformation, RouterAdvertisement, SearchDomains,
};

pub(crate) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);
/// The link-local address that [`MAC`] makes.
pub(crate) const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x42);
pub(crate) const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const ROUTER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
/// The address that [`MAC`] makes of [`PREFIX`].
pub(crate) const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0xff, 0xfe00, 0x42);
/// Another machine on the LAN.
pub(crate) const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
pub(crate) const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x99]);

pub(crate) fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// What a router says.
#[derive(Debug, Clone)]
pub(crate) struct Advertisement {
    pub(crate) mac: MacAddr,
    pub(crate) source: Ipv6Addr,
    pub(crate) header: RouterAdvertisement,
    pub(crate) options: Vec<NdOption>,
}

/// A default router for half an hour that says nothing else.
pub(crate) fn router() -> Advertisement {
    Advertisement {
        mac: ROUTER_MAC,
        source: ROUTER,
        header: RouterAdvertisement { hop_limit: 64, lifetime: 1800, ..Default::default() },
        options: vec![NdOption::SourceMac(ROUTER_MAC)],
    }
}

impl Advertisement {
    /// From router number `number`.
    pub(crate) fn number(mut self, number: u8) -> Self {
        self.source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number.into());
        self.mac = MacAddr([2, 0, 0, 0, 1, number]);
        self.options.retain(|option| !matches!(option, NdOption::SourceMac(_)));
        self
    }

    pub(crate) fn lifetime(mut self, seconds: u16) -> Self {
        self.header.lifetime = seconds;
        self
    }

    pub(crate) fn managed(mut self) -> Self {
        self.header.managed = true;
        self
    }

    pub(crate) fn other(mut self) -> Self {
        self.header.other = true;
        self
    }

    pub(crate) fn hop_limit(mut self, hops: u8) -> Self {
        self.header.hop_limit = hops;
        self
    }

    pub(crate) fn preference(mut self, preference: Preference) -> Self {
        self.header.preference = preference;
        self
    }

    pub(crate) fn option(mut self, option: NdOption) -> Self {
        self.options.push(option);
        self
    }

    /// [`PREFIX`], on the link and autonomous, with these lifetimes.
    pub(crate) fn prefix(self, valid: u32, preferred: u32) -> Self {
        self.option(autonomous(PREFIX, valid, preferred))
    }

    pub(crate) fn mtu(self, mtu: u32) -> Self {
        self.option(NdOption::Mtu(mtu))
    }

    pub(crate) fn route(self, destination: &str, length: u8, lifetime: u32) -> Self {
        let preference = Preference::Medium;
        self.option(NdOption::Route(RouteInformation {
            prefix: ip(destination),
            length,
            preference,
            lifetime,
        }))
    }

    pub(crate) fn dns(self, server: &str, lifetime: u32) -> Self {
        self.option(NdOption::DnsServers(DnsServers { lifetime, servers: vec![ip(server)] }))
    }

    pub(crate) fn search(self, domain: &str, lifetime: u32) -> Self {
        let domains = vec![domain.to_owned()];
        self.option(NdOption::SearchDomains(SearchDomains { lifetime, domains }))
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let message = Message::RouterAdvertisement(self.header);
        nd::emit(self.mac, self.source, nd::ALL_NODES, &message, &self.options)
    }
}

/// A prefix of 64 bits, on the link and autonomous.
pub(crate) fn autonomous(prefix: Ipv6Addr, valid: u32, preferred: u32) -> NdOption {
    NdOption::Prefix(PrefixInformation {
        prefix,
        length: 64,
        on_link: true,
        autonomous: true,
        valid,
        preferred,
    })
}

/// `mac` asks from `source` who has `target`.
pub(crate) fn solicitation(mac: MacAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let options = [NdOption::SourceMac(mac)];
    let message = Message::NeighbourSolicitation { target };
    nd::emit(mac, source, nd::solicited_node(target), &message, &options)
}

/// `mac` asks from `::` whether anybody has `target`.
pub(crate) fn probe(mac: MacAddr, target: Ipv6Addr, nonce: Option<[u8; 6]>) -> Vec<u8> {
    let message = Message::NeighbourSolicitation { target };
    let options: Vec<_> = nonce.into_iter().map(|nonce| NdOption::Nonce(nonce.into())).collect();
    nd::emit(mac, Ipv6Addr::UNSPECIFIED, nd::solicited_node(target), &message, &options)
}

/// `mac` tells all that it has `target`.
pub(crate) fn claim(mac: MacAddr, target: Ipv6Addr) -> Vec<u8> {
    let message = Message::NeighbourAdvertisement(NeighbourAdvertisement {
        target,
        router: false,
        solicited: false,
        replaces: true,
    });
    nd::emit(mac, target, nd::ALL_NODES, &message, &[NdOption::TargetMac(mac)])
}
