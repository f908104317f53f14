//! All that the DHCP servers of an endpoint said last, for whoever asks for it by a name.

use std::fmt::Display;
use std::time::Duration;

use wire::{dhcp4, dhcp6};

use super::Engine;
use super::api::{EndpointStatus, LeaseDetails, ReplyOption};

/// Fewer digits of an identifier stand for nothing.
const SHORTEST_PREFIX: usize = 4;

impl Engine {
    /// The endpoints that are meant by `who`: a container's name, identifier or host name, the endpoint's identifier, MAC or
    /// one of its addresses. If none is meant so, those whose identifier, or that of whose container, begins with it.
    pub(crate) fn lease_details(&self, who: &str) -> Vec<LeaseDetails> {
        let state = self.lock();
        let mut found: Vec<LeaseDetails> = Vec::new();
        for is_meant in [is_named, is_begun] {
            if found.is_empty() {
                let all = state.shown().map(|(id, endpoint)| (endpoint, endpoint.status(id)));
                found = all
                    .filter(|(endpoint, status)| is_meant(who, endpoint.name.as_deref(), status))
                    .map(|(endpoint, status)| endpoint.details(status))
                    .collect();
            }
        }
        found.sort_by_key(|details| details.endpoint.id.clone());
        found
    }
}

fn is_named(who: &str, name: Option<&str>, status: &EndpointStatus) -> bool {
    let same = |text: &dyn Display| text.to_string().eq_ignore_ascii_case(who);
    let in_ipv6 = status.ipv6.iter().flat_map(|ipv6| {
        ipv6.addresses.iter().map(|address| address.address).chain(ipv6.link_local)
    });
    [name, status.container.as_deref(), status.host_name.as_deref()].contains(&Some(who))
        || status.id.as_str() == who
        || same(&status.mac)
        || status.address.is_some_and(|address| same(&address.addr()))
        || in_ipv6.into_iter().any(|address| who.parse() == Ok(address))
}

fn is_begun(who: &str, _: Option<&str>, status: &EndpointStatus) -> bool {
    let ids = [Some(status.id.as_str()), status.container.as_deref()];
    who.len() >= SHORTEST_PREFIX && ids.iter().flatten().any(|id| id.starts_with(who))
}

impl super::Endpoint {
    fn details(&self, status: EndpointStatus) -> LeaseDetails {
        let lease = self.lease();
        let lifetime = lease.as_ref().map(dhcp::v4::Lease::lifetime);
        let options = lease.iter().flat_map(|lease| lease.options.iter());
        let options = options.map(|(code, data)| ReplyOption {
            name: dhcp4::option_name(code).map(Into::into),
            value: dhcp4::option_value(code, data),
            ..ReplyOption::unread(code.into(), data)
        });
        let ipv6 = self.segment.as_ref().and_then(|segment| segment.ipv6());
        let kept = ipv6.and_then(|ipv6| ipv6.server_options(self.mac)).unwrap_or_default();
        let ipv6_options = kept.options().iter().map(|(code, data)| ReplyOption {
            name: dhcp6::option_name(code).map(Into::into),
            value: dhcp6::option_value(code, data),
            ..ReplyOption::unread(code, data)
        });
        LeaseDetails {
            name: self.name.as_deref().map(Into::into),
            endpoint: status,
            lease_seconds: lifetime
                .filter(|time| *time != Duration::MAX)
                .map(|time| time.as_secs()),
            options: options.collect(),
            ipv6_options: ipv6_options.collect(),
        }
    }
}

impl ReplyOption {
    fn unread(code: u16, data: &[u8]) -> ReplyOption {
        let data = data.iter().map(|byte| format!("{byte:02x}")).collect();
        ReplyOption { code, name: None, value: None, data }
    }
}
