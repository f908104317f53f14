//! dnsmasq as an IPv6 router that advertises itself, and as a DHCPv6 server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::dhcp_server::ServerOptions;
use crate::log::Log;
use crate::{DhcpServer6, Dnsmasq, Lease6, Message6, Mode6, Result};

/// Between two advertisements that nobody asked for; the first minute has more of them.
const INTERVAL: u32 = 10;

impl DhcpServer6 for Dnsmasq {
    fn kind(&self) -> &'static str {
        self.kind()
    }

    fn log(&self) -> &Arc<Log> {
        self.log()
    }

    fn leases6(&self) -> Result<Vec<Lease6>> {
        Ok(parse(&self.table()?))
    }

    fn stop(&mut self) -> Result<()> {
        self.stop()
    }

    fn restart(&mut self) -> Result<()> {
        self.restart()
    }

    // Some are the words of DHCPv4 too: the client's DUID tells which it is.
    fn words6(&self, message: Message6) -> &'static str {
        match message {
            Message6::Solicit => "DHCPSOLICIT(",
            Message6::Advertise => "DHCPADVERTISE(",
            Message6::Request => "DHCPREQUEST(",
            Message6::Confirm => "DHCPCONFIRM(",
            Message6::Renew => "DHCPRENEW(",
            Message6::Rebind => "DHCPREBIND(",
            Message6::Reply => "DHCPREPLY(",
            Message6::Release => "DHCPRELEASE(",
            Message6::Decline => "DHCPDECLINE(",
            Message6::InformationRequest => "DHCPINFORMATION-REQUEST(",
        }
    }
}

/// What its command line says of IPv6.
pub(crate) fn words(interface: &str, options: &ServerOptions) -> Vec<String> {
    let Some(mode) = options.ipv6 else { return Vec::new() };
    let server = &options.server6;
    let ((first, last), prefix, valid) = (server.pool, server.prefix(), server.valid);
    let range = match mode {
        Mode6::Slaac => format!("{prefix},ra-only,64,{valid}"),
        Mode6::Stateless => format!("{prefix},ra-stateless,64,{valid}"),
        Mode6::Both => format!("{first},{last},slaac,64,{valid}"),
        Mode6::Stateful | Mode6::Unadvertised => format!("{first},{last},64,{valid}"),
    };
    let mut words = vec![format!("--dhcp-range={range}")];
    if mode != Mode6::Unadvertised {
        words.push("--enable-ra".into());
        words.push(format!("--ra-param={interface},{INTERVAL},{}", server.router_lifetime));
    }
    if !server.dns.is_empty() {
        words.push(format!("--dhcp-option=option6:dns-server,[{}]", server.dns_list("],[")));
    }
    if !server.search.is_empty() {
        words.push(format!("--dhcp-option=option6:domain-search,{}", server.search.join(",")));
    }
    for kept in &server.reservations {
        let name = kept.name.as_ref().map(|n| format!(",{n}")).unwrap_or_default();
        words.push(format!("--dhcp-host=id:{},[{}]{name}", kept.duid, kept.ip));
    }
    words
}

/// Behind the leases of DHCPv4 comes the server's own `duid …`, and then `EXPIRY IAID IP NAME DUID`.
fn parse(table: &str) -> Vec<Lease6> {
    let lines = table.lines().skip_while(|line| !line.starts_with("duid "));
    lines.skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Lease6> {
    let words: Vec<&str> = line.split(' ').collect();
    let [expiry, iaid, ip, name, duid] = words.as_slice() else { return None };
    Some(Lease6 {
        duid: duid.to_lowercase(),
        iaid: iaid.parse().ok()?, // temporary addresses have a T before it
        ip: ip.parse().ok()?,
        length: 128,
        name: Some((*name).to_owned()).filter(|name| name != "*"),
        expiry: SystemTime::UNIX_EPOCH + Duration::from_secs(expiry.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_those_behind_the_duid() {
        let table = "1790000000 02:00:00:00:00:42 10.77.1.5 web 01:02:00:00:00:00:42\n\
            duid 00:01:00:01:31:0a:2a:15:02:00:00:00:00:01\n\
            1790000000 66 2001:db8:77::1:5 web 00:03:00:01:02:00:00:00:00:42\n\
            1790000000 7 2001:db8:77::1:6 * 00:03:00:01:02:00:00:00:00:07\n";
        let leases = parse(table);
        assert_eq!(leases.len(), 2);
        assert_eq!(leases[0].duid, "00:03:00:01:02:00:00:00:00:42");
        assert_eq!((leases[0].iaid, leases[0].name.as_deref()), (66, Some("web")));
        assert_eq!(leases[1].name, None);
    }
}
