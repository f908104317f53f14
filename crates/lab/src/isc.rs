//! ISC dhcpd 4.4 as a DHCP server.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::dhcp_server::{DhcpServer, Lease, Message, START, ServerOptions};
use crate::log::Log;
use crate::{Machine, Namespace, Process, Result, Roots};

const CONFIG: &str = "/run/dhcpd.conf";
const LEASES: &str = "/run/dhcpd.leases";
const ARGS: [&str; 7] = ["-4", "-cf", CONFIG, "-lf", LEASES, "-pf", "/run/dhcpd.pid"];

/// A running ISC dhcpd for IPv4.
#[derive(Debug)]
pub struct Isc {
    process: Process,
    machine: Machine,
    interface: String,
    log: Arc<Log>,
}

impl Isc {
    /// Starts it on `interface` of `net`, which must have its address, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: ServerOptions) -> Result<Self> {
        let machine = Machine::start("isc", &Roots::lan()?, net)?;
        machine.write(CONFIG, &config(&options))?;
        machine.write(LEASES, "")?;
        let log = Log::new("dhcpd");
        let process = run(&machine, ARGS, interface, &log)?;
        Ok(Self { process, machine, interface: interface.to_owned(), log })
    }
}

impl DhcpServer for Isc {
    fn kind(&self) -> &'static str {
        "isc"
    }

    fn log(&self) -> &Arc<Log> {
        &self.log
    }

    fn leases(&self) -> Result<Vec<Lease>> {
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

    fn reconfigure(&mut self, _: &str, options: ServerOptions) -> Result<()> {
        self.machine.write(CONFIG, &config(&options))?;
        self.restart()
    }

    fn words(&self, message: Message) -> &'static str {
        match message {
            Message::Discover => "DHCPDISCOVER from",
            Message::Request => "DHCPREQUEST for",
            Message::Ack => "DHCPACK on",
            Message::Nak => "DHCPNAK on",
            Message::Decline => "DHCPDECLINE of",
            Message::Release => "DHCPRELEASE of",
        }
    }
}

/// Starts dhcpd for one family, which `args` say with the files of its own, and waits until it serves.
pub(crate) fn run(
    machine: &Machine,
    args: [&str; 7],
    interface: &str,
    log: &Arc<Log>,
) -> Result<Process> {
    let mark = log.mark();
    let mut argv = vec!["dhcpd", "-f", "-d", "-user", "root", "-group", "root"];
    argv.extend(args);
    argv.push(interface);
    let process = machine.spawn("dhcpd", &[], &argv, log)?;
    process.wait_ready(mark, "Server starting service", START)?;
    Ok(process)
}

fn config(options: &ServerOptions) -> String {
    let ((first, last), mask) = (options.pool, options.mask());
    let mut text = format!(
        "authoritative;\nddns-update-style none;\ndb-time-format local;\nping-check {};\n\
         default-lease-time {1};\nmax-lease-time {1};\n",
        options.ping_check, options.lease
    );
    // Writing to a String cannot fail.
    let timers = [("renewal", options.renew), ("rebinding", options.rebind)];
    for (name, at) in timers {
        let _ = at.map(|at| writeln!(text, "option dhcp-{name}-time {at};"));
    }
    let _ = options.router.map(|router| writeln!(text, "option routers {router};"));
    if let Some(domain) = &options.domain {
        let _ = writeln!(text, "option domain-name \"{domain}\";");
    }
    for statement in &options.extra {
        let _ = writeln!(text, "{statement}");
    }
    let subnet = first & mask;
    let _ = writeln!(text, "subnet {subnet} netmask {mask} {{ range {first} {last}; }}");
    for (number, kept) in options.reservations.iter().enumerate() {
        let name = kept.name.as_ref().map(|name| format!("option host-name \"{name}\"; "));
        let _ = writeln!(
            text,
            "host kept{number} {{ hardware ethernet {}; fixed-address {}; {}}}",
            kept.mac,
            kept.ip,
            name.unwrap_or_default()
        );
    }
    text
}

/// The lease file is a journal, the last record of an address counts:
///
/// ```text
/// lease 10.77.1.5 {
///   ends epoch 1790000000; # …
///   binding state active;
///   hardware ethernet 02:00:00:00:00:42;
///   client-hostname "web";
/// }
/// ```
///
/// Fixed addresses are not in it.
fn parse(journal: &str) -> Vec<Lease> {
    let mut leases: BTreeMap<Ipv4Addr, Option<Lease>> = BTreeMap::new();
    let mut reading = None;
    for line in journal.lines().map(str::trim) {
        let words: Vec<&str> = line.split([' ', ';']).collect();
        match words.as_slice() {
            ["lease", ip, ..] => {
                reading = ip.parse().ok().map(|ip| Lease {
                    mac: String::new(),
                    ip,
                    name: None,
                    expiry: SystemTime::UNIX_EPOCH,
                });
                if let Some(lease) = &reading {
                    leases.insert(lease.ip, None);
                }
            }
            _ => {
                let Some(lease) = &mut reading else { continue };
                match words.as_slice() {
                    ["ends", "epoch", at, ..] => {
                        lease.expiry += Duration::from_secs(at.parse().unwrap_or(0));
                    }
                    ["hardware", "ethernet", mac, ..] => lease.mac = mac.to_lowercase(),
                    ["client-hostname", name, ..] => {
                        lease.name = Some(name.trim_matches('"').to_owned());
                    }
                    ["binding", "state", "active", ..] => {
                        leases.insert(lease.ip, Some(lease.clone()));
                    }
                    ["}", ..] => {
                        // What comes behind the state as well.
                        if let Some(Some(active)) = leases.get_mut(&lease.ip) {
                            active.clone_from(lease);
                        }
                        reading = None;
                    }
                    _ => {}
                }
            }
        }
    }
    leases.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_an_address_counts() {
        let record = |ip: &str, state: &str| {
            format!(
                "lease {ip} {{\n  starts epoch 1700000000; # Tue\n  ends epoch 1790000000; # Fri\n  \
                 cltt epoch 1700000000; # Tue\n  binding state {state};\n  next binding state free;\n  \
                 hardware ethernet 02:00:00:00:00:42;\n  client-hostname \"web\";\n}}\n"
            )
        };
        let leases = parse(&format!(
            "authoring-byte-order little-endian;\n\n{}",
            record("10.77.1.5", "active")
        ));
        assert_eq!(leases.len(), 1);
        assert_eq!(
            (leases[0].mac.as_str(), leases[0].name.as_deref()),
            ("02:00:00:00:00:42", Some("web"))
        );
        assert_eq!(leases[0].expiry, SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000));
        let released = record("10.77.1.5", "active") + &record("10.77.1.5", "free");
        assert_eq!(parse(&released), []);
    }
}
