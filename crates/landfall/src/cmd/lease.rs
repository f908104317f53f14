//! `landfall lease show`: one lease, and all that its servers said.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use super::table::{name, plain};
use super::{EXIT_CODES, Failure, humane, print};
use crate::admin::client::{self, Answer, NoAnswer};
use crate::engine::api::{EndpointStatus, Ipv6Status, LeaseDetails, OFF, ReplyOption};

/// Where values begin.
const INDENT: usize = 26;

/// Look into single leases
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(Show),
}

/// Show a container's lease with every option that its DHCP servers sent last
///
/// Among them may be NTP, TFTP and log servers, the time zone, WPAD and a vendor's own options:
/// Landfall does nothing about these, containers may.
///
/// Example: landfall lease show web --json | jq '.[].options'
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
struct Show {
    /// A container's name, id or host name, an endpoint's id, a MAC or an address
    name: String,

    /// Print the daemon's answer as JSON; docs/lease-schema.md has its fields
    #[arg(long)]
    json: bool,

    /// The daemon's admin socket [default: looked for where the service and the plugins have it]
    #[arg(long, env = "LANDFALL_ADMIN_SOCKET", value_name = "PATH")]
    admin_socket: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Command::Show(Show { name, json, admin_socket }) = &args.command;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let named = admin_socket.as_deref().filter(|path| !path.as_os_str().is_empty());
    let path = format!("/v1/leases/{}", client::encoded(name));
    let Answer { socket, document, .. } = runtime
        .block_on(client::get(&path, named, Path::new("/")))
        .map_err(|error| match error {
            NoAnswer::NotReachable(error) => Failure::NotReachable(error.to_string()),
            NoAnswer::NotFound { .. } => Failure::Failed(error.to_string()),
        })?;
    if *json {
        return print(&String::from_utf8_lossy(&document));
    }
    let leases: Vec<LeaseDetails> = serde_json::from_slice(&document).map_err(|error| {
        Failure::Failed(format!(
            "the daemon on {} answers what this version of the command does not understand ({error}); its own \
             `landfall lease show`, or --json, does",
            socket.display()
        ))
    })?;
    let now = Timestamp::now();
    print(&leases.iter().map(|lease| render(lease, now)).collect::<Vec<_>>().join("\n"))
}

/// A lease for people: a line for each thing that is known.
fn render(details: &LeaseDetails, now: Timestamp) -> String {
    let LeaseDetails { endpoint, lease_seconds, options, ipv6_options, .. } = details;
    let mut text = match &details.name {
        Some(known) => format!("{}, {}\n", plain(known), name(endpoint)),
        None => name(endpoint) + "\n",
    };
    line(&mut text, "endpoint", endpoint.id.as_str());
    line(&mut text, "network", &format!("{} on {}", endpoint.network.as_str(), endpoint.bridge));
    line(&mut text, "MAC", &endpoint.mac.to_string());
    if let Some(until) = endpoint.held_until {
        let held = format!("for its container, for {} yet", humane::until(until, now));
        line(&mut text, "held", &held);
    }
    if endpoint.spare {
        line(&mut text, "held", "for a container that is yet to come (warm)");
    }
    if endpoint.state != OFF {
        ipv4(&mut text, endpoint, *lease_seconds, now);
        all(&mut text, options);
    }
    if let Some(of_ipv6) = &endpoint.ipv6 {
        ipv6(&mut text, of_ipv6, now);
        all(&mut text, ipv6_options);
    }
    text
}

fn ipv4(text: &mut String, endpoint: &EndpointStatus, lease: Option<u64>, now: Timestamp) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "DHCPv4 {}", plain(&endpoint.state));
    let Some(address) = endpoint.address else { return };
    line(text, "address", &address.to_string());
    if let Some(server) = endpoint.server {
        line(text, "server (54)", &server.to_string());
    }
    let granted = lease.map_or("for ever".to_owned(), |seconds| format!("{seconds} s"));
    line(text, "lease time (51)", &granted);
    let due = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| humane::until(at, now));
    line(text, "renews in", &due(endpoint.renews_at));
    line(text, "expires in", &due(endpoint.expires_at));
    let gateway = endpoint.gateway.map_or("none".to_owned(), |gateway| gateway.to_string());
    line(text, "default router", &gateway);
}

fn ipv6(text: &mut String, ipv6: &Ipv6Status, now: Timestamp) {
    let _ = writeln!(text, "IPv6 {}", plain(&ipv6.state));
    let mut list = |what: &str, items: Vec<String>| {
        if !items.is_empty() {
            line(text, what, &items.join(", "));
        }
    };
    list("link-local address", ipv6.link_local.iter().map(ToString::to_string).collect());
    for address in &ipv6.addresses {
        let valid = address
            .valid_until
            .map_or("for ever".to_owned(), |until| format!("for {}", humane::until(until, now)));
        let origin = match address.origin {
            dhcp::ipv6::Origin::Slaac => "made of a router's prefix",
            dhcp::ipv6::Origin::Dhcp => "leased",
        };
        list("address", vec![format!("{}, {origin}, valid {valid}", address.address)]);
    }
    list("routers", ipv6.routers.iter().map(ToString::to_string).collect());
    list("delegated prefixes", ipv6.prefixes.iter().map(ToString::to_string).collect());
    list("DNS servers", ipv6.dns.iter().map(ToString::to_string).collect());
    list("search domains", ipv6.search.clone());
    list("server's DUID", ipv6.server.iter().cloned().collect());
}

fn all(text: &mut String, options: &[ReplyOption]) {
    for ReplyOption { code, name, value, data } in options {
        let what =
            name.as_ref().map_or(format!("option {code}"), |name| format!("{name} ({code})"));
        let value = value.as_ref().map_or_else(|| format!("0x{data}"), ToString::to_string);
        line(text, &plain(&what), &plain(&value));
    }
}

fn line(text: &mut String, what: &str, value: &str) {
    let _ = writeln!(text, "  {what:INDENT$} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn a_lease_for_people() {
        let text: String =
            sample::leases().iter().map(|lease| render(lease, sample::now())).collect();
        insta::assert_snapshot!(text, @r"
        web-1, web (1a2b3c4d5e6f)
          endpoint                   9d8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa998877665544
          network                    b3ac5f6d0c4e2a1889b1d3f2c7e6a5948372615049f8e7d6c5b4a39281706f5e on br0
          MAC                        02:00:00:00:00:42
        DHCPv4 BOUND
          address                    192.168.7.20/24
          server (54)                192.168.7.1
          lease time (51)            7200 s
          renews in                  4m 12s
          expires in                 1h 59m
          default router             192.168.7.1
          routers (3)                192.168.7.1
          DNS servers (6)            192.168.7.1, 9.9.9.9
          vendor options (43)        0x0102ff
          time zone (101)            Europe/Berlin
          option 224                 0x07
        IPv6 CONFIGURED
          link-local address         fe80::1f:3aff:fe00:7
          address                    2001:db8:7:0:1f:3aff:fe00:7, made of a router's prefix, valid for 1h 0m
          address                    2001:db8:7::1:21, leased, valid for ever
          routers                    fe80::1
          delegated prefixes         2001:db8:70::/60
          DNS servers                2001:db8:7::53
          search domains             home.example
          server's DUID              0001000131
          time zone (42)             Europe/Berlin
        ");
    }

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        let mut lease = sample::leases().remove(0);
        lease.name = Some("\u{1b}[2J".to_owned());
        lease.options[0].value = Some(wire::Value::Text("\u{1b}[2J".to_owned()));
        assert!(!render(&lease, sample::now()).contains('\u{1b}'));
    }
}
