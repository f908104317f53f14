//! Kea 2.2 as a DHCP server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::dhcp_server::{DhcpServer, Lease, Message, START, ServerOptions};
use crate::log::Log;
use crate::{Error, Machine, Namespace, Process, Result, Roots};

const CONFIG: &str = "/run/kea/kea-dhcp4.conf";
const LEASES: &str = "/run/kea/leases4.csv";

/// A running Kea DHCPv4 server.
#[derive(Debug)]
pub struct Kea {
    process: Process,
    machine: Machine,
    log: Arc<Log>,
}

impl Kea {
    /// Starts it on `interface` of `net`, which must have its address, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: ServerOptions) -> Result<Self> {
        let machine = Machine::start("kea", &Roots::lan()?, net)?;
        machine.write(CONFIG, &config(interface, &options)?.to_string())?;
        let log = Log::new("kea-dhcp4");
        let process = run(&machine, &log)?;
        Ok(Self { process, machine, log })
    }

    /// Its process id, to freeze it (`SIGSTOP`) or kill it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl DhcpServer for Kea {
    fn kind(&self) -> &'static str {
        "kea"
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
        self.process = run(&self.machine, &self.log)?;
        Ok(())
    }

    fn reconfigure(&mut self, interface: &str, options: ServerOptions) -> Result<()> {
        self.machine.write(CONFIG, &config(interface, &options)?.to_string())?;
        self.restart()
    }

    fn words(&self, message: Message) -> &'static str {
        match message {
            Message::Discover => "DHCPDISCOVER (type 1) received",
            Message::Request => "DHCPREQUEST (type 3) received",
            Message::Ack => "send packet DHCPACK",
            Message::Nak => "send packet DHCPNAK",
            Message::Decline => "DHCPDECLINE (type 4) received",
            Message::Release => "DHCPRELEASE (type 7) received",
        }
    }
}

fn run(machine: &Machine, log: &Arc<Log>) -> Result<Process> {
    let mark = log.mark();
    let process = machine.spawn("kea-dhcp4", &[], &["kea-dhcp4", "-c", CONFIG], log)?;
    process.wait_ready(mark, "DHCP4_STARTED", START)?;
    Ok(process)
}

fn config(interface: &str, options: &ServerOptions) -> Result<Value> {
    let (first, last) = options.pool;
    let subnet = format!("{}/{}", first & options.mask(), options.prefix);
    let mut data = Vec::new();
    if let Some(router) = options.router {
        data.push(json!({"name": "routers", "data": router.to_string()}));
    }
    if let Some(domain) = &options.domain {
        data.push(json!({"name": "domain-name", "data": domain}));
    }
    let reservations = options.reservations.iter().map(|kept| {
        let mut entry = json!({"hw-address": kept.mac, "ip-address": kept.ip.to_string()});
        if let (Some(name), Some(entry)) = (&kept.name, entry.as_object_mut()) {
            entry.insert("hostname".into(), json!(name));
        }
        entry
    });
    let mut dhcp4 = json!({
        "interfaces-config": {"interfaces": [interface]},
        "valid-lifetime": options.lease,
        "authoritative": true,
        "lease-database": {"type": "memfile", "persist": true, "name": LEASES, "lfc-interval": 0},
        "subnet4": [{
            "id": 1,
            "subnet": subnet,
            "interface": interface,
            "pools": [{"pool": format!("{first} - {last}")}],
            "option-data": data,
            "reservations": reservations.collect::<Vec<_>>(),
        }],
        // Every packet, but not what the server thinks about it.
        "loggers": [logger("kea-dhcp4", "INFO"), logger("kea-dhcp4.packets", "DEBUG")],
    });
    if let Some(top) = dhcp4.as_object_mut() {
        let timers = [("renew-timer", options.renew), ("rebind-timer", options.rebind)];
        top.extend(timers.into_iter().filter_map(|(name, at)| Some((name.into(), json!(at?)))));
        for text in &options.extra {
            let members = serde_json::from_str::<serde_json::Map<_, _>>(text);
            top.extend(members.map_err(|error| Error::Unfit(format!("{error}: {text}")))?);
        }
    }
    Ok(json!({"Dhcp4": dhcp4}))
}

fn logger(name: &str, severity: &str) -> Value {
    let output = json!([{"output": "stdout"}]);
    json!({"name": name, "severity": severity, "debuglevel": 55, "output_options": output})
}

/// The lease file is a journal: `address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,…`.
/// The last line of an address counts; a lifetime of 0 or a state other than 0 is a lease no more.
fn parse(journal: &str) -> Vec<Lease> {
    let mut leases: BTreeMap<Ipv4Addr, Option<Lease>> = BTreeMap::new();
    for line in journal.lines() {
        let words: Vec<&str> = line.split(',').collect();
        let [ip, mac, _, lifetime, expire, _, _, _, name, state, ..] = words.as_slice() else {
            continue;
        };
        let (Ok(ip), Ok(expire)) = (ip.parse(), expire.parse()) else { continue };
        let live = *lifetime != "0" && *state == "0";
        let lease = live.then(|| Lease {
            mac: mac.to_lowercase(),
            ip,
            name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
            expiry: SystemTime::UNIX_EPOCH + Duration::from_secs(expire),
        });
        leases.insert(ip, lease);
    }
    leases.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_an_address_counts() {
        let journal = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n\
            10.77.1.1,02:00:00:00:00:AA,,3600,1790000000,1,0,0,web,0,\n\
            10.77.1.2,02:00:00:00:00:bb,,3600,1790000000,1,0,0,,0,\n\
            10.77.1.1,02:00:00:00:00:aa,,0,1790000000,1,0,0,web,0,\n";
        let leases = parse(journal);
        assert_eq!(leases.len(), 1);
        assert_eq!((leases[0].mac.as_str(), &leases[0].name), ("02:00:00:00:00:bb", &None));
    }
}
