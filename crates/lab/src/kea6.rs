//! Kea 2.2 as a DHCPv6 server. It tells nobody that it is there: a [`crate::Radvd`] does.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::dhcp_server::START;
use crate::log::Log;
use crate::{
    DhcpServer6, Lease6, Machine, Message6, Namespace, Process, Result, Roots, ServerOptions6,
};

const CONFIG: &str = "/run/kea/kea-dhcp6.conf";
const LEASES: &str = "/run/kea/leases6.csv";

/// A running Kea DHCPv6 server.
#[derive(Debug)]
pub struct Kea6 {
    process: Process,
    machine: Machine,
    log: Arc<Log>,
}

impl Kea6 {
    /// Starts it on `interface` of `net`, which must have its address, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: &ServerOptions6) -> Result<Self> {
        net.link_local(interface)?; // it looks for it once
        let machine = Machine::start("kea6", &Roots::lan()?, net)?;
        machine.write(CONFIG, &config(interface, options).to_string())?;
        machine.ok(&["mkdir", "-p", "/var/lib/kea"])?; // where its DUID goes
        let log = Log::new("kea-dhcp6");
        let process = run(&machine, &log)?;
        Ok(Self { process, machine, log })
    }

    /// Starts it again with other options; its table stays.
    pub fn reconfigure(&mut self, interface: &str, options: &ServerOptions6) -> Result<()> {
        self.machine.write(CONFIG, &config(interface, options).to_string())?;
        self.restart()
    }

    /// Its process id, to freeze it (`SIGSTOP`) or kill it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl DhcpServer6 for Kea6 {
    fn kind(&self) -> &'static str {
        "kea"
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
        self.process = run(&self.machine, &self.log)?;
        Ok(())
    }

    fn words6(&self, message: Message6) -> &'static str {
        match message {
            Message6::Solicit => "SOLICIT (type 1) received",
            Message6::Advertise => "trying to send packet ADVERTISE (type 2)",
            Message6::Request => "REQUEST (type 3) received",
            Message6::Confirm => "CONFIRM (type 4) received",
            Message6::Renew => "RENEW (type 5) received",
            Message6::Rebind => "REBIND (type 6) received",
            Message6::Reply => "trying to send packet REPLY (type 7)",
            Message6::Release => "RELEASE (type 8) received",
            Message6::Decline => "DECLINE (type 9) received",
            Message6::InformationRequest => "INFORMATION_REQUEST (type 11) received",
        }
    }
}

fn run(machine: &Machine, log: &Arc<Log>) -> Result<Process> {
    let mark = log.mark();
    let process = machine.spawn("kea-dhcp6", &[], &["kea-dhcp6", "-c", CONFIG], log)?;
    process.wait_ready(mark, "DHCP6_STARTED", START)?;
    Ok(process)
}

fn config(interface: &str, options: &ServerOptions6) -> Value {
    let (first, last) = options.pool;
    let mut data = Vec::new();
    if !options.dns.is_empty() {
        data.push(json!({"name": "dns-servers", "data": options.dns_list(", ")}));
    }
    if !options.search.is_empty() {
        data.push(json!({"name": "domain-search", "data": options.search.join(", ")}));
    }
    let reservations = options.reservations.iter().map(|kept| {
        let mut entry = Map::new();
        entry.insert("duid".into(), json!(kept.duid));
        entry.insert("ip-addresses".into(), json!([kept.ip.to_string()]));
        entry.extend(kept.name.iter().map(|name| ("hostname".into(), json!(name))));
        Value::Object(entry)
    });
    let delegation = options.delegation.iter().map(|d| {
        json!({
            "prefix": d.prefix.to_string(),
            "prefix-len": d.length,
            "delegated-len": d.delegated,
        })
    });
    let mut dhcp6 = json!({
        "interfaces-config": {"interfaces": [interface]},
        "preferred-lifetime": options.preferred,
        "valid-lifetime": options.valid,
        "lease-database": {"type": "memfile", "persist": true, "name": LEASES, "lfc-interval": 0},
        "subnet6": [{
            "id": 1,
            "subnet": format!("{}/64", options.prefix()),
            "interface": interface,
            "rapid-commit": options.rapid_commit,
            "pools": [{"pool": format!("{first} - {last}")}],
            "pd-pools": delegation.collect::<Vec<_>>(),
            "option-data": data,
            "reservations": reservations.collect::<Vec<_>>(),
        }],
        // Every packet, but not what the server thinks about it.
        "loggers": [logger("kea-dhcp6", "INFO"), logger("kea-dhcp6.packets", "DEBUG")],
    });
    if let Some(top) = dhcp6.as_object_mut() {
        let timers = [("renew-timer", options.renew), ("rebind-timer", options.rebind)];
        top.extend(timers.into_iter().filter_map(|(name, at)| Some((name.into(), json!(at?)))));
    }
    json!({"Dhcp6": dhcp6})
}

fn logger(name: &str, severity: &str) -> Value {
    let output = json!([{"output": "stdout"}]);
    json!({"name": name, "severity": severity, "debuglevel": 55, "output_options": output})
}

/// The lease file is a journal:
/// `address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,…`.
/// The last line of an address counts; a lifetime of 0 or a state other than 0 is a lease no more.
fn parse(journal: &str) -> Vec<Lease6> {
    let mut leases: BTreeMap<Ipv6Addr, Option<Lease6>> = BTreeMap::new();
    for line in journal.lines() {
        let words: Vec<&str> = line.split(',').collect();
        let [ip, duid, lifetime, expire, _, _, _, iaid, length, _, _, name, _, state, ..] =
            words.as_slice()
        else {
            continue;
        };
        let (Ok(ip), Ok(expire), Ok(iaid), Ok(length)) =
            (ip.parse(), expire.parse(), iaid.parse(), length.parse())
        else {
            continue; // the heading
        };
        let live = *lifetime != "0" && *state == "0";
        let lease = live.then(|| Lease6 {
            duid: duid.to_lowercase(),
            iaid,
            ip,
            length,
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
        let journal = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source\n\
            2001:db8:77::1:0,00:03:00:01:02:00:00:00:00:AA,3600,1790000000,1,1800,0,66,128,0,0,web,,0,,,\n\
            2001:db8:7700::,00:03:00:01:02:00:00:00:00:bb,3600,1790000000,1,1800,2,66,56,0,0,,,0,,,\n\
            2001:db8:77::1:0,00:03:00:01:02:00:00:00:00:aa,0,1790000000,1,0,0,66,128,0,0,web,,0,,,\n";
        let leases = parse(journal);
        assert_eq!(leases.len(), 1);
        assert_eq!((leases[0].length, leases[0].iaid, &leases[0].name), (56, 66, &None));
    }
}
