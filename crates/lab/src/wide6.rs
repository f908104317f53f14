//! WIDE's dhcp6s (2008) as a DHCPv6 server. It tells nobody that it is there: a [`crate::Radvd`] does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::dhcp_server::START;
use crate::log::{Line, Log};
use crate::{
    DhcpServer6, Lease6, Machine, Message6, Namespace, Process, Result, Roots, ServerOptions6,
};

const CONFIG: &str = "/run/dhcp6s.conf";

/// A running dhcp6s. Its table is in memory: a restart forgets it, and it is read from its log.
#[derive(Debug)]
pub struct Wide6 {
    process: Process,
    machine: Machine,
    interface: String,
    log: Arc<Log>,
    /// Where its present run begins in the log.
    run: usize,
}

impl Wide6 {
    /// Starts it on `interface` of `net`, which must have its address, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: &ServerOptions6) -> Result<Self> {
        net.link_local(interface)?;
        let machine = Machine::start("wide6", &Roots::lan()?, net)?;
        machine.write(CONFIG, &config(interface, options))?;
        let log = Log::new("dhcp6s");
        let process = run(&machine, interface, &log)?;
        Ok(Self { process, machine, interface: interface.to_owned(), log, run: 0 })
    }

    /// Its process id, to freeze it (`SIGSTOP`) or kill it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl DhcpServer6 for Wide6 {
    fn kind(&self) -> &'static str {
        "wide"
    }

    fn log(&self) -> &Arc<Log> {
        &self.log
    }

    fn leases6(&self) -> Result<Vec<Lease6>> {
        Ok(parse(self.log.lines().get(self.run..).unwrap_or_default()))
    }

    fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.run = self.log.mark();
        self.process = run(&self.machine, &self.interface, &self.log)?;
        Ok(())
    }

    fn words6(&self, message: Message6) -> &'static str {
        match message {
            Message6::Solicit => "received solicit from",
            Message6::Advertise => "transmit advertise to",
            Message6::Request => "received request from",
            Message6::Confirm => "received confirm from",
            Message6::Renew => "received renew from",
            Message6::Rebind => "received rebind from",
            Message6::Reply => "transmit reply to",
            Message6::Release => "received release from",
            Message6::Decline => "received decline from",
            Message6::InformationRequest => "received information request from",
        }
    }
}

fn run(machine: &Machine, interface: &str, log: &Arc<Log>) -> Result<Process> {
    let mark = log.mark();
    let argv = ["dhcp6s", "-f", "-D", "-c", CONFIG, "-P", "/run/dhcp6s.pid", interface];
    let process = machine.spawn("dhcp6s", &[], &argv, log)?;
    // Its last words before it serves.
    process.wait_ready(mark, "skip opening control port", START)?;
    Ok(process)
}

fn config(interface: &str, options: &ServerOptions6) -> String {
    let ((first, last), pref, valid) = (options.pool, options.preferred, options.valid);
    let rapid = if options.rapid_commit { "allow rapid-commit; " } else { "" };
    let mut text = format!(
        "interface {interface} {{ {rapid}address-pool all {pref} {valid}; }};\n\
         pool all {{ range {first} to {last}; }};\n"
    );
    // Writing to a String cannot fail.
    if !options.dns.is_empty() {
        let _ = writeln!(text, "option domain-name-servers {};", options.dns_list(" "));
    }
    for domain in &options.search {
        let _ = writeln!(text, "option domain-name \"{domain}\";");
    }
    for (number, kept) in options.reservations.iter().enumerate() {
        let _ = writeln!(
            text,
            "host kept{number} {{ duid {}; address {} {pref} {valid}; }};",
            kept.duid, kept.ip
        );
    }
    text
}

/// ```text
/// …: lease_address: addr=2001:db8:77::1:0
/// …: add_binding: add a new binding [IA: duid=00:03:…, type=NA, iaid=7, duration=3600]
/// …: remove_binding: removing a binding [IA: duid=00:03:…, type=NA, iaid=7, duration=3600]
/// ```
fn parse(log: &[Line]) -> Vec<Lease6> {
    let mut leases = BTreeMap::new();
    let mut ip = Ipv6Addr::UNSPECIFIED;
    for line in log {
        if let Some((_, leased)) = line.text.split_once(" lease_address: addr=") {
            ip = leased.parse().unwrap_or(ip);
        }
        let Some((before, binding)) = line.text.split_once("[IA: ") else { continue };
        let word = |name| {
            let rest = binding.split_once(name)?.1;
            rest.split([',', ']']).next()
        };
        let (Some(duid), Some(iaid)) = (word("duid="), word("iaid=").and_then(|n| n.parse().ok()))
        else {
            continue;
        };
        let key = (duid.to_lowercase(), iaid);
        if before.contains(" remove_binding:") {
            leases.remove(&key);
        } else if let Some(seconds) = word("duration=").and_then(|n| n.parse().ok()) {
            let expiry = line.at + Duration::from_secs(seconds);
            let ip = leases.get(&key).map_or(ip, |lease: &Lease6| lease.ip);
            let lease = Lease6 { duid: key.0.clone(), iaid, ip, length: 128, name: None, expiry };
            leases.insert(key, lease);
        }
    }
    leases.into_values().collect()
}
