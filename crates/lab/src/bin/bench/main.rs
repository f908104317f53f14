//! `make bench`: Landfall beside `--network none`, Docker's own bridge and per-container DHCP clients, in one run on the
//! lab's LAN, and each figure that Landfall must reach.
//!
//! | file | is |
//! |---|---|
//! | `main` | which measurements, in which order |
//! | `figure` | samples, figures and sections |
//! | `report` | Markdown and JSON |
//! | `facts` | the machine it ran on |
//! | `disk` | what a durable write costs, whoever makes it |
//! | `usage` | what a process uses, from `/proc` |
//! | `site` | one LAN with dnsmasq, an engine, and Landfall with its state on a disk |
//! | `driver` | the calls of an engine, without one |
//! | `field` | many bridges with thousands of endpoints, and no engine |
//! | `server` | the DHCP server of the field |
//! | all others | a measurement each |

mod clients;
mod crowd;
mod discovers;
mod disk;
mod driver;
mod dual;
mod facts;
mod field;
mod figure;
mod idle;
mod renewal;
mod report;
mod run;
mod server;
mod share;
mod site;
mod usage;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use std::{error, fs};

use clap::{Parser, ValueEnum};

use crate::facts::Facts;
use crate::figure::{Effort, Section};
use crate::site::Site;

type Result<T> = std::result::Result<T, Box<dyn error::Error + Send + Sync>>;

/// Measure Landfall beside the others, on a LAN of the lab
///
/// Prints a table as Markdown, and writes it and the samples to the output folder. A figure that misses its target is
/// reported, and no failure; a figure that cannot be measured is one.
#[derive(Parser)]
struct Args {
    /// Measure these only
    #[arg(long, value_enum)]
    only: Vec<Measurement>,

    /// Fewer repetitions: for work on the benchmark, not for its figures
    #[arg(long)]
    quick: bool,

    /// Where bench.md and bench.json go, and the daemon's state while it runs: a disk
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// `docker run` beside none and Docker's bridge
    Run,
    /// The same as macvlan children, beside Docker's own driver
    Macvlan,
    /// The same with Landfall as IPAM driver, beside the null one
    Ipam,
    /// An address in a namespace, beside per-container clients
    Clients,
    /// CreateEndpoint and Join without the server's time
    Share,
    /// What IPv6 costs: `docker run` and memory
    Dual,
    /// 50 containers at once
    Start,
    /// 20 containers at once where the server pings each address first, with leases taken in advance and without
    Warm,
    /// 200 containers removed at once
    Remove,
    /// DISCOVERs and leases of containers that end at once
    Discovers,
    /// CPU per renewal
    Renewal,
    /// What idle leases cost
    Idle,
    /// The binary's size, and how soon it serves
    Binary,
}

impl Measurement {
    fn needs_site(self) -> bool {
        !matches!(self, Self::Dual | Self::Warm | Self::Renewal | Self::Idle | Self::Binary)
    }
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err("makes network namespaces and so needs root: run `make bench` with sudo".into());
    }
    let effort = Effort { quick: args.quick };
    let state = args.out.join("state");
    fs::create_dir_all(&args.out)?;
    let mut facts = Facts::gather(&args.out)?;
    let chosen = |what| args.only.is_empty() || args.only.contains(&what);
    let mut sections = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    let add = |facts: &Facts, sections: &mut Vec<Section>, section| {
        sections.push(section);
        // A run that is interrupted leaves what it has.
        write(args, facts, sections)
    };

    use Measurement::{
        Binary, Clients, Discovers, Dual, Idle, Ipam, Macvlan, Remove, Renewal, Run, Share, Start,
        Warm,
    };
    let all = [Run, Macvlan, Ipam, Clients, Share, Start, Remove, Discovers];
    if all.into_iter().any(|what| what.needs_site() && chosen(what)) {
        let site = progress("a LAN, dnsmasq, an engine and Landfall", || Site::new(&state))?;
        facts.engine = Some(site.engine_version()?);
        let mut section = |what, title, measure: &dyn Fn(&Site) -> Result<Section>| -> Result<()> {
            if !chosen(what) {
                return Ok(());
            }
            match progress(title, || measure(&site)) {
                Ok(section) => add(&facts, &mut sections, section),
                // It costs nobody else his figures.
                Err(error) => {
                    eprintln!("bench: {error}");
                    failed.push(error.to_string());
                    Ok(())
                }
            }
        };
        section(Run, "docker run", &|site| run::measure(site, effort))?;
        section(Share, "CreateEndpoint and Join", &|site| share::measure(site, effort))?;
        section(Discovers, "containers that end at once", &|site| {
            discovers::measure(site, effort)
        })?;
        section(Macvlan, "docker run with macvlan", &|site| run::macvlan(site, effort))?;
        section(Ipam, "docker run with IPAM", &|site| run::ipam(site, effort))?;
        section(Clients, "per-container clients", &|site| clients::measure(site, effort))?;
        section(Start, "50 containers at once", &|site| crowd::start(site, effort))?;
        section(Remove, "200 containers removed at once", &|site| crowd::remove(site, effort))?;
    }
    if chosen(Dual) {
        let section = progress("docker run with IPv6", || dual::measure(&state, effort))?;
        add(&facts, &mut sections, section)?;
        let section = progress("idle leases with IPv6", || idle::dual(&state, effort))?;
        add(&facts, &mut sections, section)?;
    }
    if chosen(Warm) {
        let section = progress("containers and a slow server", || warm::measure(&state, effort))?;
        add(&facts, &mut sections, section)?;
    }
    if chosen(Renewal) {
        let section = progress("renewals", || renewal::measure(&state, effort))?;
        add(&facts, &mut sections, section)?;
    }
    // Last: the kernel is busy with thousands of dead links for a while afterwards.
    if chosen(Idle) {
        let section = progress("idle leases", || idle::measure(&state, effort))?;
        add(&facts, &mut sections, section)?;
    }
    if chosen(Binary) {
        let section = progress("the binary", || facts::binary(&state, effort))?;
        add(&facts, &mut sections, section)?;
    }
    fs::remove_dir_all(&state).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;

    facts.finish();
    write(args, &facts, &sections)?;
    print!("{}", report::markdown(&facts, &sections, effort));
    eprintln!("bench: written to {0}/bench.md and {0}/bench.json", args.out.display());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

fn write(args: &Args, facts: &Facts, sections: &[Section]) -> Result<()> {
    let effort = Effort { quick: args.quick };
    fs::write(args.out.join("bench.md"), report::markdown(facts, sections, effort))?;
    Ok(fs::write(args.out.join("bench.json"), report::json(facts, sections, effort)?)?)
}

/// Says on stderr what is being done, and how long it took.
fn progress<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("bench: {what} …");
    let began = Instant::now();
    let done = work().map_err(|error| format!("{what}: {error}"))?;
    eprintln!("bench: {what}: {:.0} s", began.elapsed().as_secs_f64());
    Ok(done)
}
