//! Who an endpoint is to the DHCP servers of its LAN, as its clients are told.

use std::sync::Arc;

use dhcp::Classes;
use dhcp::v4::{Config, Defence, OnLoss};
use wire::MacAddr;

use super::endpoint_options::EndpointOptions;
use super::identity::{HostName, Identity};
use super::mode::Mode;
use super::{Endpoint, Engine};
use crate::store::NetworkRecord;

/// The type of a client identifier that is no hardware address (RFC 2132 §9.14).
const OPAQUE: u8 = 0;
/// That of one that is made of IAID and DUID (RFC 4361 §6.1).
const NODE_SPECIFIC: u8 = 255;

impl Endpoint {
    /// The host name that its clients tell.
    pub(super) fn name_to_tell(&self) -> Option<&str> {
        match (&self.options.hostname, self.network.options.identity.hostname) {
            (Some(own), _) => Some(own),
            (None, HostName::Container) => self.host_name.as_deref(),
            (None, HostName::None) => None,
        }
    }

    /// The text of its client identifier; none: its MAC.
    pub(super) fn client_id(&self) -> Option<&str> {
        client_id(&self.network, &self.options)
    }
}

/// A client identifier for one whose `chaddr` is not its own (RFC 4361 §6.1): an IAID, and a DUID-LL (RFC 8415 §11.4), both made
/// of the MAC that it would have.
fn node_specific(mac: MacAddr) -> Box<[u8]> {
    const DUID_LL: [u8; 4] = [0, 3, 0, 1];
    let MacAddr([_, _, iaid @ ..]) = mac;
    [&[NODE_SPECIFIC], &iaid[..], &DUID_LL, &mac.0].concat().into()
}

/// The text of the client identifier of an endpoint with these options; none: its MAC.
pub(super) fn client_id<'a>(
    network: &'a NetworkRecord,
    options: &'a EndpointOptions,
) -> Option<&'a str> {
    options.client_id.as_deref().or(network.options.identity.client_id.as_deref())
}

impl Engine {
    /// Who the DHCP client of an endpoint is and how it behaves.
    pub(super) fn client_config(&self, endpoint: &Endpoint) -> Config {
        let options = &endpoint.network.options;
        Config {
            host_name: endpoint.name_to_tell().map(Into::into),
            client_id: match endpoint.client_id() {
                Some(id) => Some([&[OPAQUE], id.as_bytes()].concat().into()),
                None if options.mode == Mode::Ipvlan => Some(node_specific(endpoint.mac)),
                None => None,
            },
            classes: self.classes(&options.identity),
            register_dns: options.identity.register_dns,
            requested_address: endpoint.options.ip,
            broadcast: endpoint.network.apart,
            apart: endpoint.network.apart,
            conflict_check: options.conflict_check,
            defence: match options.on_lease_loss {
                OnLoss::Drop => Defence::Once,
                OnLoss::Keep => Defence::Always,
            },
            on_loss: options.on_lease_loss,
            ipv6_only: options.ipv6.is_some(),
            rapid_commit: options.rapid_commit,
            ..Config::new(endpoint.mac)
        }
    }

    /// The classes of a network's endpoints: of most networks the same, and so the same memory.
    pub(super) fn classes(&self, identity: &Identity) -> Arc<Classes> {
        let Identity { vendor_class: vendor, user_class: user, .. } = identity;
        if (&self.0.classes.vendor, &self.0.classes.user) == (vendor, user) {
            return self.0.classes.clone();
        }
        Arc::new(Classes { vendor: vendor.clone(), user: user.clone() })
    }
}
