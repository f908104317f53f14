//! ISC dhcpd 4.4 as a DHCPv6 server. It tells nobody that it is there: a [`crate::Radvd`] does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::isc::run;
use crate::log::Log;
use crate::{
    DhcpServer6, Lease6, Machine, Message6, Namespace, Process, Result, Roots, ServerOptions6,
};

const CONFIG: &str = "/run/dhcpd6.conf";
const LEASES: &str = "/run/dhcpd6.leases";
const ARGS: [&str; 7] = ["-6", "-cf", CONFIG, "-lf", LEASES, "-pf", "/run/dhcpd6.pid"];

/// A running ISC dhcpd for IPv6.
#[derive(Debug)]
pub struct Isc6 {
    process: Process,
    machine: Machine,
    interface: String,
    log: Arc<Log>,
}

impl Isc6 {
    /// Starts it on `interface` of `net`, which must have its address, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: &ServerOptions6) -> Result<Self> {
        net.link_local(interface)?;
        let machine = Machine::start("isc6", &Roots::lan()?, net)?;
        machine.write(CONFIG, &config(options))?;
        machine.write(LEASES, "")?;
        let log = Log::new("dhcpd -6");
        let process = run(&machine, ARGS, interface, &log)?;
        Ok(Self { process, machine, interface: interface.to_owned(), log })
    }

    /// Its process id, to freeze it (`SIGSTOP`) or kill it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl DhcpServer6 for Isc6 {
    fn kind(&self) -> &'static str {
        "isc"
    }

    fn log(&self) -> &Arc<Log> {
        &self.log
    }

    fn leases6(&self) -> Result<Vec<Lease6>> {
        Ok(parse(&self.machine.read(LEASES)?))
    }

    fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.process = run(&self.machine, ARGS, &self.interface, &self.log)?;
        Ok(())
    }

    fn words6(&self, message: Message6) -> &'static str {
        match message {
            Message6::Solicit => "Solicit message from",
            Message6::Advertise => "Sending Advertise to",
            Message6::Request => "Request message from",
            Message6::Confirm => "Confirm message from",
            Message6::Renew => "Renew message from",
            Message6::Rebind => "Rebind message from",
            Message6::Reply => "Sending Reply to",
            Message6::Release => "Release message from",
            Message6::Decline => "Decline message from",
            Message6::InformationRequest => "Information-request message from",
        }
    }
}

fn config(options: &ServerOptions6) -> String {
    let ((first, last), prefix) = (options.pool, options.prefix());
    let mut text = format!(
        "authoritative;\nddns-update-style none;\ndb-time-format local;\n\
         default-lease-time {};\npreferred-lifetime {};\n",
        options.valid, options.preferred
    );
    // Writing to a String cannot fail.
    let timers = [("renewal", options.renew), ("rebinding", options.rebind)];
    for (name, at) in timers {
        let _ = at.map(|at| writeln!(text, "option dhcp-{name}-time {at};"));
    }
    if options.rapid_commit {
        text += "option dhcp6.rapid-commit;\n";
    }
    if !options.dns.is_empty() {
        let _ = writeln!(text, "option dhcp6.name-servers {};", options.dns_list(", "));
    }
    if !options.search.is_empty() {
        let list = options.search.join("\", \"");
        let _ = writeln!(text, "option dhcp6.domain-search \"{list}\";");
    }
    let _ = write!(text, "subnet6 {prefix}/64 {{\nrange6 {first} {last};\n");
    if let Some(delegation) = options.delegation {
        let all = u128::MAX.checked_shr(delegation.length.into()).unwrap_or(0);
        let one = u128::MAX.checked_shr(delegation.delegated.into()).unwrap_or(0);
        let last = Ipv6Addr::from_bits(delegation.prefix.to_bits() | (all & !one));
        let _ = writeln!(text, "prefix6 {} {last} /{};", delegation.prefix, delegation.delegated);
    }
    text += "}\n";
    for (number, kept) in options.reservations.iter().enumerate() {
        let name = kept.name.as_ref().map(|n| format!("option host-name \"{n}\"; "));
        let _ = writeln!(
            text,
            "host kept{number} {{ host-identifier option dhcp6.client-id {}; fixed-address6 {}; {}}}",
            kept.duid,
            kept.ip,
            name.unwrap_or_default()
        );
    }
    text
}

/// The lease file is a journal of identity associations, the last one of its kind and name counts:
///
/// ```text
/// ia-na "B\000\000\000\000\003\000\001\002\000\000\000\000B" {
///   cltt epoch 1790000000; # …
///   iaaddr 2001:db8:77::1:5 {
///     binding state active;
///     ends epoch 1790000000; # …
/// ```
///
/// Fixed addresses are not in it.
fn parse(journal: &str) -> Vec<Lease6> {
    let mut associations: BTreeMap<(&str, Vec<u8>), Vec<Lease6>> = BTreeMap::new();
    let mut key = ("", Vec::new());
    let mut reading: Option<(Ipv6Addr, u8, bool)> = None;
    for line in journal.lines().map(str::trim) {
        let words: Vec<&str> = line.split([' ', ';']).collect();
        match words.as_slice() {
            [kind @ ("ia-na" | "ia-pd"), ..] => {
                key = (kind, unescape(line.split_once('"').map_or("", |(_, name)| name)));
                associations.insert(key.clone(), Vec::new());
            }
            ["iaaddr", ip, ..] => reading = ip.parse().ok().map(|ip| (ip, 128, false)),
            ["iaprefix", prefix, ..] => {
                let parts = prefix.split_once('/');
                reading =
                    parts.and_then(|(ip, n)| Some((ip.parse().ok()?, n.parse().ok()?, false)));
            }
            ["binding", "state", state, ..] => {
                reading = reading.map(|(ip, length, _)| (ip, length, *state == "active"));
            }
            ["ends", "epoch", at, ..] => {
                let (Some((ip, length, true)), Ok(at)) = (reading, at.parse()) else { continue };
                // Four bytes of IAID in this machine's order, and the DUID.
                let Some((iaid, duid)) = key.1.split_first_chunk::<4>() else { continue };
                let duid: Vec<String> = duid.iter().map(|byte| format!("{byte:02x}")).collect();
                let lease = Lease6 {
                    duid: duid.join(":"),
                    iaid: u32::from_ne_bytes(*iaid),
                    ip,
                    length,
                    name: None,
                    expiry: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
                };
                associations.entry(key.clone()).or_default().push(lease);
            }
            _ => {}
        }
    }
    associations.into_values().flatten().collect()
}

/// The bytes of a quoted name, up to its closing quote: `\"`, `\\`, or three octal digits behind a backslash.
fn unescape(quoted: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = quoted.bytes().peekable();
    while let Some(byte) = rest.next().filter(|byte| *byte != b'"') {
        if byte != b'\\' {
            bytes.push(byte);
        } else if rest.peek().is_some_and(u8::is_ascii_digit) {
            let digits = rest.by_ref().take(3);
            bytes.push(digits.fold(0, |sum: u8, d| sum.wrapping_mul(8).wrapping_add(d & 7)));
        } else {
            bytes.extend(rest.next());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_an_association_counts() {
        let record = |ip: &str, state: &str| {
            format!(
                "ia-na \"B\\000\\000\\000\\000\\003\\000\\001\\002\\000\\000\\000\\000\\\"\" {{\n  \
                 cltt epoch 1700000000; # Tue\n  iaaddr {ip} {{\n    binding state {state};\n    \
                 preferred-life 1800;\n    max-life 3600;\n    ends epoch 1790000000; # Fri\n  }}\n}}\n\n"
            )
        };
        let active = parse(&(record("2001:db8:77::1:5", "active") + "\n"));
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].duid, "00:03:00:01:02:00:00:00:00:22");
        assert_eq!((active[0].iaid, active[0].length), (u32::from_ne_bytes([66, 0, 0, 0]), 128));
        let released =
            record("2001:db8:77::1:5", "active") + &record("2001:db8:77::1:5", "expired");
        assert_eq!(parse(&released), []);
    }
}
