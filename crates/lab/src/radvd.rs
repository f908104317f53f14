//! radvd 2.19: a router that advertises what it is told to.

use std::fmt::Write;
use std::net::Ipv6Addr;
use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::dhcp_server::START;
use crate::log::Log;
use crate::{Lan, Machine, Namespace, Process, Result, Roots};

const CONFIG: &str = "/run/radvd.conf";

/// Which of several routers, or routes, to take first (RFC 4191 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// After all others.
    Low,
    /// As one that says nothing about it.
    #[default]
    Medium,
    /// Before all others.
    High,
}

impl Preference {
    fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A prefix that a router advertises.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    /// The prefix.
    pub prefix: Ipv6Addr,
    /// Its length.
    pub length: u8,
    /// Whether its addresses are neighbours (L).
    pub on_link: bool,
    /// Whether hosts make addresses of it (A).
    pub autonomous: bool,
    /// Preferred lifetime in seconds; `u32::MAX` has no end.
    pub preferred: u32,
    /// Valid lifetime in seconds; `u32::MAX` has no end.
    pub valid: u32,
    /// Whether the router's last words deprecate it.
    pub deprecated_at_end: bool,
}

impl Default for Prefix {
    /// The LAN's, on the link and for addresses.
    fn default() -> Self {
        Self {
            prefix: Lan::PREFIX6,
            length: 64,
            on_link: true,
            autonomous: true,
            preferred: 1800,
            valid: 3600,
            deprecated_at_end: false,
        }
    }
}

/// A route of its own that a router advertises (RFC 4191 §2.3).
#[derive(Clone, Copy, Debug)]
pub struct AdvertisedRoute {
    /// Where to.
    pub prefix: Ipv6Addr,
    /// Its length.
    pub length: u8,
    /// Which of several to take first.
    pub preference: Preference,
    /// In seconds; `u32::MAX` has no end.
    pub lifetime: u32,
}

/// What a router says of itself.
#[derive(Clone, Debug)]
pub struct RouterOptions {
    /// Addresses are leased by DHCPv6 (M).
    pub managed: bool,
    /// DHCPv6 has the rest (O).
    pub other: bool,
    /// For how many seconds it is a default router; 0: it is none.
    pub lifetime: u16,
    /// Which of several routers to take first.
    pub preference: Preference,
    /// The hop limit to use; 0 says nothing about it.
    pub hop_limit: u8,
    /// The MTU of the link.
    pub mtu: Option<u32>,
    /// The prefixes. Default the LAN's.
    pub prefixes: Vec<Prefix>,
    /// Routes to more than the default.
    pub routes: Vec<AdvertisedRoute>,
    /// DNS servers. Default the router.
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search. Default `lan.test`.
    pub search: Vec<String>,
    /// For how many seconds both are right. radvd's own choice is `interval`, so that one lost advertisement is missed.
    pub dns_lifetime: u32,
    /// Seconds between two advertisements that nobody asked for, at most; at least 4. A quarter less at least.
    pub interval: u16,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            managed: false,
            other: false,
            lifetime: 1800,
            preference: Preference::default(),
            hop_limit: 64,
            mtu: None,
            prefixes: vec![Prefix::default()],
            routes: Vec::new(),
            dns: vec![Lan::ROUTER6],
            search: vec!["lan.test".into()],
            dns_lifetime: 1800,
            interval: 10,
        }
    }
}

/// A running radvd. Dropped, it is gone without a word, as a router that lost its power; [`Radvd::stop`] says farewell.
#[derive(Debug)]
pub struct Radvd {
    process: Process,
    machine: Machine,
    interface: String,
    log: Arc<Log>,
}

impl Radvd {
    /// Starts it on `interface` of `net`, and waits until it serves.
    pub fn start(net: &Namespace, interface: &str, options: &RouterOptions) -> Result<Self> {
        net.link_local(interface)?; // what it speaks from
        let machine = Machine::start("radvd", &Roots::lan()?, net)?;
        machine.write(CONFIG, &config(interface, options))?;
        let log = Log::new("radvd");
        let process = run(&machine, &log)?;
        Ok(Self { process, machine, interface: interface.to_owned(), log })
    }

    /// What it writes, over all its runs.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Its process id, to freeze it (`SIGSTOP`) or kill it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Has it say something else from now on; it says so at once. What it does not mention any more it does not take back.
    pub fn reconfigure(&mut self, options: &RouterOptions) -> Result<()> {
        let mark = self.log.mark();
        self.machine.write(CONFIG, &config(&self.interface, options))?;
        self.process.signal(Signal::SIGHUP)?;
        self.process.wait_ready(mark, "resuming normal operation", START)
    }

    /// Stops it: its last advertisement says that it is no router any more.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    /// Kills it: it is gone without a word.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// Starts it again (after stopping it, if it runs).
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.process = run(&self.machine, &self.log)?;
        Ok(())
    }
}

fn run(machine: &Machine, log: &Arc<Log>) -> Result<Process> {
    let mark = log.mark();
    let argv = ["radvd", "-n", "-d", "2", "-m", "stderr", "-C", CONFIG, "-p", "/run/radvd.pid"];
    let process = machine.spawn("radvd", &[], &argv, log)?;
    process.wait_ready(mark, "polling for", START)?;
    Ok(process)
}

fn config(interface: &str, options: &RouterOptions) -> String {
    let flag = |on| if on { "on" } else { "off" };
    let time = |seconds| match seconds {
        u32::MAX => "infinity".to_owned(),
        _ => seconds.to_string(),
    };
    let most = options.interval.max(4);
    let mut text = format!(
        "interface {interface} {{\n\
         AdvSendAdvert on;\n\
         MinRtrAdvInterval {};\n\
         MaxRtrAdvInterval {most};\n\
         AdvManagedFlag {};\n\
         AdvOtherConfigFlag {};\n\
         AdvDefaultLifetime {};\n\
         AdvDefaultPreference {};\n\
         AdvCurHopLimit {};\n",
        most * 3 / 4,
        flag(options.managed),
        flag(options.other),
        options.lifetime,
        options.preference.word(),
        options.hop_limit,
    );
    // Writing to a String cannot fail.
    if let Some(mtu) = options.mtu {
        let _ = writeln!(text, "AdvLinkMTU {mtu};");
    }
    for p in &options.prefixes {
        let _ = writeln!(
            text,
            "prefix {}/{} {{ AdvOnLink {}; AdvAutonomous {}; AdvValidLifetime {}; \
             AdvPreferredLifetime {}; DeprecatePrefix {}; }};",
            p.prefix,
            p.length,
            flag(p.on_link),
            flag(p.autonomous),
            time(p.valid),
            time(p.preferred),
            flag(p.deprecated_at_end),
        );
    }
    for r in &options.routes {
        let _ = writeln!(
            text,
            "route {}/{} {{ AdvRoutePreference {}; AdvRouteLifetime {}; }};",
            r.prefix,
            r.length,
            r.preference.word(),
            time(r.lifetime),
        );
    }
    let dns = time(options.dns_lifetime);
    if !options.dns.is_empty() {
        let list: Vec<String> = options.dns.iter().map(Ipv6Addr::to_string).collect();
        let _ = writeln!(text, "RDNSS {} {{ AdvRDNSSLifetime {dns}; }};", list.join(" "));
    }
    if !options.search.is_empty() {
        let _ = writeln!(text, "DNSSL {} {{ AdvDNSSLLifetime {dns}; }};", options.search.join(" "));
    }
    text + "};\n"
}
