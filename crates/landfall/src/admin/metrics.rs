//! `GET /metrics`: counters and gauges in Prometheus's text format; `docs/metrics.md` has each of them.
//!
//! No label has values that come from outside: their number is fixed. Which endpoint something happened to is told by
//! the log, by `landfall events` and by `landfall status`.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use dhcp::{ipv6, v4};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::engine::api::{
    Counters, EndpointStatus, HELD, Ipv4Counters, Ipv6Counters, NONE, OFF, Status, WARM,
};

/// What the daemon answers with.
pub(super) fn page(status: Status) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(status)));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    let kind = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
    ([(CONTENT_TYPE, kind)], text).into_response()
}

#[derive(Debug)]
struct Page(Status);

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Page(status) = self;
        let mut out = Out(encoder);
        out.general(status)?;
        out.leases(&status.leases)?;
        out.ipv4(&status.ipv4_counters)?;
        out.ipv6(&status.ipv6_counters)
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn general(&mut self, status: &Status) -> fmt::Result {
        let Status { version, networks, endpoints, state, .. } = status;
        let version = [(version.as_str(), 1)];
        self.gauges("landfall_build_info", "1, with the daemon's version", "version", version)?;
        let uptime = status.uptime_seconds;
        self.gauge("landfall_uptime_seconds", "Seconds since the daemon began to serve", uptime)?;
        self.gauge("landfall_networks", "Networks of this driver", networks.len() as u64)?;
        let known = v4::State::ALL.map(|state| state.to_string());
        let known = known.iter().map(String::as_str).chain([OFF, NONE, HELD, WARM]);
        let of = |endpoint: &EndpointStatus| match endpoint.held_until {
            Some(_) => HELD.to_owned(),
            None if endpoint.spare => WARM.to_owned(),
            None => endpoint.state.clone(),
        };
        let help = "Endpoints by the state of their DHCPv4 client";
        self.states("landfall_endpoints", help, known, endpoints.iter().map(of))?;
        let known = ipv6::State::ALL.map(|state| state.to_string());
        let known = known.iter().map(String::as_str).chain([NONE]);
        let of =
            endpoints.iter().filter_map(|endpoint| Some(endpoint.ipv6.as_ref()?.state.clone()));
        let help = "Endpoints of networks with IPv6 by its state";
        self.states("landfall_ipv6_endpoints", help, known, of)?;
        let help = "1 while what changes cannot be written to the state folder";
        self.gauge("landfall_state_fault", help, u64::from(state.fault.is_some()))?;
        let help = "Networks and endpoints with changes that are in memory only";
        self.gauge("landfall_state_waiting", help, state.waiting as u64)?;
        let help = "Records that cannot be read";
        self.gauge("landfall_state_unreadable", help, state.unreadable as u64)
    }

    fn leases(&mut self, leases: &Counters) -> fmt::Result {
        let Counters { granted, handed_over, renewed, changed, expired, .. } = *leases;
        let Counters { overdue, refused, in_conflict, released, .. } = *leases;
        let outcomes = [
            ("granted", granted),
            ("handed_over", handed_over),
            ("renewed", renewed),
            ("changed", changed),
            ("expired", expired),
            ("overdue", overdue),
            ("refused", refused),
            ("in_conflict", in_conflict),
            ("released", released),
        ];
        self.counters("landfall_leases", "What became of DHCPv4 leases", "outcome", outcomes)
    }

    fn ipv4(&mut self, counters: &Ipv4Counters) -> fmt::Result {
        let Ipv4Counters { discovers, offers, requests, acks, .. } = *counters;
        let Ipv4Counters { naks, declines, releases, ignored, .. } = *counters;
        let types = [
            ("discover", discovers),
            ("offer", offers),
            ("request", requests),
            ("ack", acks),
            ("nak", naks),
            ("decline", declines),
            ("release", releases),
        ];
        self.counters("landfall_dhcp4_messages", "DHCPv4 messages", "type", types)?;
        let help = "What of DHCPv4 was of no use, by reason";
        let reasons = ignored.by_reason().map(|(reason, count)| (reason, u64::from(count)));
        self.counters("landfall_dhcp4_ignored", help, "reason", reasons)
    }

    fn ipv6(&mut self, counters: &Ipv6Counters) -> fmt::Result {
        let Ipv6Counters { solicits, advertises, requests, confirms, renews, .. } = *counters;
        let Ipv6Counters { rebinds, replies, releases, declines, .. } = *counters;
        let Ipv6Counters { information_requests, registrations, ignored, .. } = *counters;
        let types = [
            ("solicit", solicits),
            ("advertise", advertises),
            ("request", requests),
            ("confirm", confirms),
            ("renew", renews),
            ("rebind", rebinds),
            ("reply", replies),
            ("release", releases),
            ("decline", declines),
            ("information_request", information_requests),
            ("registration", registrations),
        ];
        self.counters("landfall_dhcp6_messages", "DHCPv6 messages", "type", types)?;
        let help = "What of DHCPv6 was of no use, by reason";
        let reasons = ignored.by_reason().map(|(reason, count)| (reason, u64::from(count)));
        self.counters("landfall_dhcp6_ignored", help, "reason", reasons)?;
        let messages = [
            ("solicitation", counters.router_solicitations),
            ("advertisement", counters.router_advertisements),
            ("ignored_advertisement", counters.router_advertisements_ignored),
        ];
        let help = "Messages of router discovery";
        self.counters("landfall_router_messages", help, "type", messages)?;
        let changes =
            [("changed", counters.configurations_changed), ("duplicate", counters.duplicates)];
        self.counters(
            "landfall_ipv6_configurations",
            "What became of IPv6 configurations",
            "outcome",
            changes,
        )
    }

    /// How many are in each state that there is, those in none included.
    fn states<'a>(
        &mut self,
        name: &str,
        help: &str,
        known: impl Iterator<Item = &'a str>,
        seen: impl Iterator<Item = String>,
    ) -> fmt::Result {
        let mut states: BTreeMap<String, u64> = known.map(|state| (state.to_owned(), 0)).collect();
        seen.for_each(|state| *states.entry(state).or_default() += 1);
        let states = states.iter().map(|(state, count)| (state.as_str(), *count));
        self.gauges(name, help, "state", states)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(value, number)| {
            ConstGauge::new(number).encode(metric.encode_family(&[(label, value)])?)
        })
    }

    /// Their name ends with `_total`.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(value, count)| {
            ConstCounter::new(count).encode(metric.encode_family(&[(label, value)])?)
        })
    }
}
