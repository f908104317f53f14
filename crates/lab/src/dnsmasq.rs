//! dnsmasq 2.90: as a DHCP server, and for IPv6 as the options say (see `dnsmasq6`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::dhcp_server::{DhcpServer, Lease, Message, START, ServerOptions};
use crate::log::Log;
use crate::{Machine, Namespace, Process, Result, Roots, dnsmasq6};

const LEASES: &str = "/run/dnsmasq.leases";

/// A running dnsmasq.
#[derive(Debug)]
pub struct Dnsmasq {
    process: Process,
    machine: Machine,
    argv: Vec<String>,
    log: Arc<Log>,
}

impl Dnsmasq {
    /// Starts it on `interface` of `net`, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: ServerOptions) -> Result<Self> {
        let machine = Machine::start("dnsmasq", &Roots::lan()?, net)?;
        machine.write(LEASES, "")?;
        let argv = command_line(interface, &options);
        let log = Log::new("dnsmasq");
        let process = run(&machine, &argv, &log)?;
        Ok(Self { process, machine, argv, log })
    }

    /// Starts it again with other options; its table stays.
    pub fn reconfigure(&mut self, interface: &str, options: ServerOptions) -> Result<()> {
        self.argv = command_line(interface, &options);
        self.restart()
    }

    /// Its process id, to freeze it (`SIGSTOP`) or kill it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its lease table, as its file has it.
    pub fn table(&self) -> Result<String> {
        self.machine.read(LEASES)
    }
}

/// What is the same for [`DhcpServer`] and [`crate::DhcpServer6`]: here, so that it is no question which of them is meant.
impl Dnsmasq {
    /// `dnsmasq`.
    pub fn kind(&self) -> &'static str {
        "dnsmasq"
    }

    /// What it writes, over all its runs.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Stops it; its table stays.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    /// Starts it again (after stopping it, if it runs) with the table it had, and waits until it serves.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.process = run(&self.machine, &self.argv, &self.log)?;
        Ok(())
    }
}

impl DhcpServer for Dnsmasq {
    fn kind(&self) -> &'static str {
        self.kind()
    }

    fn log(&self) -> &Arc<Log> {
        self.log()
    }

    fn leases(&self) -> Result<Vec<Lease>> {
        Ok(self.table()?.lines().filter_map(parse).collect())
    }

    fn stop(&mut self) -> Result<()> {
        self.stop()
    }

    fn restart(&mut self) -> Result<()> {
        self.restart()
    }

    fn reconfigure(&mut self, interface: &str, options: ServerOptions) -> Result<()> {
        self.reconfigure(interface, options)
    }

    fn words(&self, message: Message) -> &'static str {
        match message {
            Message::Discover => "DHCPDISCOVER(",
            Message::Request => "DHCPREQUEST(",
            Message::Ack => "DHCPACK(",
            Message::Nak => "DHCPNAK(",
            Message::Decline => "DHCPDECLINE(",
            Message::Release => "DHCPRELEASE(",
        }
    }
}

fn run(machine: &Machine, argv: &[String], log: &Arc<Log>) -> Result<Process> {
    let mark = log.mark();
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let process = machine.spawn("dnsmasq", &[], &argv, log)?;
    // Written when its sockets are bound.
    process.wait_ready(mark, "DHCP, IP range", START)?;
    Ok(process)
}

fn command_line(interface: &str, options: &ServerOptions) -> Vec<String> {
    let (first, last) = options.pool;
    let mask = options.mask();
    let mut argv: Vec<String> = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--user=root",
        "--log-facility=-",
        "--log-dhcp",
        "--bind-interfaces",
        "--except-interface=lo",
        "--dhcp-authoritative",
        "--dhcp-lease-max=100000",
    ]
    .map(String::from)
    .into();
    if !options.extra.iter().any(|word| word.starts_with("--port=")) {
        // No DNS.
        argv.push("--port=0".into());
    }
    argv.push(format!("--interface={interface}"));
    argv.push(format!("--dhcp-leasefile={LEASES}"));
    argv.push(format!("--dhcp-range={first},{last},{mask},{}", options.lease));
    // An option without a value is not sent.
    let router = options.router.map(|ip| format!(",{ip}")).unwrap_or_default();
    argv.push(format!("--dhcp-option=option:router{router}"));
    if let Some(seconds) = options.renew {
        argv.push(format!("--dhcp-option=option:T1,{seconds}"));
    }
    if let Some(seconds) = options.rebind {
        argv.push(format!("--dhcp-option=option:T2,{seconds}"));
    }
    if let Some(domain) = &options.domain {
        argv.push(format!("--domain={domain}"));
    }
    if !options.ping_check {
        argv.push("--no-ping".into());
    }
    for kept in &options.reservations {
        let name = kept.name.as_ref().map(|n| format!(",{n}")).unwrap_or_default();
        argv.push(format!("--dhcp-host={},{}{name}", kept.mac, kept.ip));
    }
    argv.extend(dnsmasq6::words(interface, options));
    argv.extend(options.extra.iter().cloned());
    argv
}

/// `EXPIRY MAC IP NAME CLIENT-ID`, expiry in seconds since 1970, name `*` when unknown.
fn parse(line: &str) -> Option<Lease> {
    let mut words = line.split(' ');
    let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(words.next()?.parse().ok()?);
    let mac = words.next()?.to_lowercase();
    let ip = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| *name != "*").map(String::from);
    Some(Lease { mac, ip, name, expiry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_lines() {
        let lease =
            parse("1790000000 02:00:00:00:00:42 10.77.1.5 web 01:02:00:00:00:00:42").unwrap();
        assert_eq!((lease.mac.as_str(), lease.name.as_deref()), ("02:00:00:00:00:42", Some("web")));
        assert_eq!(parse("1790000000 02:00:00:00:00:42 10.77.1.5 * *").unwrap().name, None);
        assert_eq!(parse("duid 00:01"), None);
    }
}
