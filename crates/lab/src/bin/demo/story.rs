//! The steps of the demo. Each asserts what it says.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use lab::{Capture, DhcpServer, Dnsmasq, Frame, Lan, Lease, Message, Reservation, ServerOptions};
use serde_json::Value;

use crate::Result;
use crate::host::{Host, Where};
use crate::transcript::Transcript;

const STEPS: usize = 11;
/// What `make plugin` makes.
const PLUGIN_FOLDER: &str = "dist/plugin";
/// The MAC that the router keeps an address for, the address, and the router's name for it.
const NAS_MAC: &str = "02:00:00:00:00:42";
const NAS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 42);
/// How long an event that is due now may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// A lease in seconds, the shortest that dnsmasq gives.
const LEASE: u32 = 120;
/// T1 in seconds: so short that one sees a renewal.
const RENEW: u32 = 10;
/// Option 53 of a REQUEST.
const REQUEST: u8 = 3;

struct Story {
    t: Transcript,
    host: Host,
    server: Dnsmasq,
    /// What the Docker host is called.
    at: &'static str,
}

/// A container of the demo.
struct Container {
    name: String,
    mac: String,
    ip: Ipv4Addr,
}

/// Does all the steps.
pub(crate) fn tell(place: Where) -> Result<()> {
    let mut t = Transcript::new(STEPS);
    t.title("Landfall: containers on the LAN, each with an address from the LAN's own DHCP server");
    let (host, server) = a_lan(&mut t, place)?;
    let mut story = Story { t, host, server, at: Host::name(place) };
    story.an_engine(place)?;
    story.the_plugin()?;
    let ports = story.host.ports()?;
    story.a_network()?;
    let capture = Capture::start(story.host.lan().router_ns(), "eth0")?;
    story.two_containers()?;
    let containers = story.what_docker_and_the_router_know()?;
    story.what_the_containers_have(&containers)?;
    story.the_lan_reaches_them(&containers)?;
    story.a_renewal(&containers, &capture)?;
    story.the_status(&containers)?;
    story.the_end(&containers, &ports)?;
    // The end is not told before it has come.
    let Story { t, host, server, .. } = story;
    drop((server, host));
    t.end();
    Ok(())
}

/// Step 1.
fn a_lan(t: &mut Transcript, place: Where) -> Result<(Host, Dnsmasq)> {
    t.step("A LAN: a router that gives out addresses, a laptop, and a Docker host with a bridge");
    let host = Host::new(place)?;
    let options = ServerOptions {
        lease: LEASE,
        renew: Some(RENEW),
        rebind: Some(105),
        reservations: vec![Reservation {
            mac: NAS_MAC.into(),
            ip: NAS,
            name: Some("nas".to_owned()),
        }],
        ..ServerOptions::default()
    };
    let (first, last) = options.pool;
    let server = Dnsmasq::start(host.lan().router_ns(), "eth0", options)?;
    t.command(
        "router",
        &format!(
            "dnsmasq --dhcp-range={first},{last},{LEASE} --dhcp-option=option:T1,{RENEW} \
             --dhcp-host={NAS_MAC},{NAS},nas …"
        ),
    );
    if let Some(rule) = host.rule() {
        t.command(Host::name(place), &format!("{rule}   # until the demo ends"));
    }
    let bridge = host.lan().bridge();
    t.command(Host::name(place), &format!("ip -br link show master {bridge}"));
    t.output(&host.ports()?);
    host.laptop_reaches(Lan::ROUTER)?;
    t.shows(&format!(
        "router {} and laptop {} reach each other across the bridge {bridge} of the Docker host",
        Lan::ROUTER,
        Lan::LAPTOP
    ));
    Ok((host, server))
}

impl Story {
    fn an_engine(&mut self, place: Where) -> Result<()> {
        self.t.step("A Docker Engine");
        let which = self.host.start_engine(place)?;
        let version = self.docker(&["version", "--format", "{{.Server.Version}}"])?;
        assert_that(!version.is_empty(), "the engine tells no version")?;
        self.t.shows(&format!("Docker Engine {version}: {which}"));
        Ok(())
    }

    fn the_plugin(&mut self) -> Result<()> {
        self.t.step("Landfall as a managed plugin, from dist/plugin");
        let folder = self.host.bring_plugin(Path::new(PLUGIN_FOLDER))?;
        let plugin = self.host.plugin();
        self.docker(&["plugin", "create", plugin, &folder])?;
        self.docker(&["plugin", "enable", plugin])?;
        let format = "enabled: {{.Enabled}}, mounts: {{.Settings.Mounts}}";
        let plugin = self.docker(&["plugin", "inspect", "-f", format, plugin])?;
        assert_that(plugin == "enabled: true, mounts: []", "the plugin is otherwise")?;
        self.t.shows(
            "the driver is installed and runs; it has no folder of the host's and no Docker socket",
        );
        Ok(())
    }

    fn a_network(&mut self) -> Result<()> {
        self.t.step("A network on the bridge");
        let (bridge, network) = (self.bridge_option(), self.host.named("lan"));
        let plugin = self.host.plugin();
        // The default holds a lease for a minute, should its container come back.
        let at_once = ["-o", "release_delay=0"];
        let options = [&["--ipam-driver", "null", "-o", &bridge][..], &at_once, &[&network]];
        let options = options.concat();
        self.docker(&[&["network", "create", "-d", plugin][..], &options[..]].concat())?;
        let driver = self.docker(&["network", "inspect", "-f", "{{.Driver}}", &network])?;
        assert_that(driver == plugin, "the network has another driver")?;
        self.t
            .shows("a Docker network without addresses of its own: those are the router's to give");
        Ok(())
    }

    fn two_containers(&mut self) -> Result<()> {
        self.t.step(
            "Two containers: one whose MAC the router keeps an address for, one with a host name",
        );
        let began = Instant::now();
        self.run_container("nas", &["--mac-address", NAS_MAC])?;
        self.run_container("web", &["--hostname", "web"])?;
        let took = began.elapsed().as_secs_f64();
        self.t.shows(&format!("both run, after {took:.1} s together"));
        Ok(())
    }

    fn run_container(&self, name: &str, options: &[&str]) -> Result<()> {
        let (name, network) = (self.host.named(name), self.host.named("lan"));
        // As process 1 `sleep` does not hear SIGTERM, and Docker would wait ten seconds for it.
        let run = ["run", "-d", "--stop-signal", "KILL", "--name", &name, "--network", &network];
        self.docker(&[&run[..], options, &[self.host.image(), "sleep", "infinity"]].concat())?;
        Ok(())
    }

    fn what_docker_and_the_router_know(&mut self) -> Result<[Container; 2]> {
        self.t.step("Their addresses, and the router's table");
        let containers = [self.container("nas")?, self.container("web")?];
        let [nas, web] = &containers;
        let named = |leases: &[Lease], container: &Container, name: &str| {
            let mut of_it = leases.iter().filter(|lease| lease.mac == container.mac);
            of_it.any(|lease| lease.ip == container.ip && lease.name.as_deref() == Some(name))
        };
        let both = |leases: &[Lease]| named(leases, nas, "nas") && named(leases, web, "web");
        let leases = self.server.wait_leases("both names", SOON, &both)?;
        self.t.command("router", "cut -d ' ' -f 2-4 dnsmasq.leases");
        for lease in &leases {
            let name = lease.name.as_deref().unwrap_or("*");
            self.t.output(&format!("{} {} {name}", lease.mac, lease.ip));
        }
        assert_that(nas.ip == NAS, "the container does not have the address kept for its MAC")?;
        self.t.shows(&format!(
            "Docker and the router agree: {NAS} is the address kept for {NAS_MAC}; the name web \
             came from the container by DHCP (option 12)"
        ));
        Ok(containers)
    }

    fn what_the_containers_have(&mut self, containers: &[Container; 2]) -> Result<()> {
        self.t.step("The same inside the containers");
        for container in containers {
            let shown =
                self.docker(&["exec", &container.name, "ip", "-4", "addr", "show", "eth0"])?;
            let inside = format!("inet {}/16 ", container.ip);
            assert_that(
                shown.contains(&inside),
                "the container has not the address that Docker shows",
            )?;
            let lives = shown.split("valid_lft ").nth(1).and_then(|rest| rest.split("sec").next());
            let lives = lives.and_then(|seconds| seconds.parse().ok());
            let as_long = lives.is_some_and(|seconds: u32| (1..=LEASE).contains(&seconds));
            assert_that(as_long, "the address does not live as long as its lease")?;
        }
        self.t.shows(&format!(
            "the kernel keeps each address for as long as its lease lasts, at most {LEASE} s here"
        ));
        Ok(())
    }

    fn the_lan_reaches_them(&mut self, containers: &[Container; 2]) -> Result<()> {
        self.t.step("The LAN reaches them, and they the LAN");
        for container in containers {
            self.t.command("laptop", &format!("ping -c 1 {}", container.ip));
            self.t.output(&self.host.laptop_reaches(container.ip)?);
        }
        let [_, web] = containers;
        let laptop = Lan::LAPTOP.to_string();
        self.docker(&["exec", &web.name, "ping", "-c", "1", &laptop])?;
        self.t.shows("no port published, no NAT: both are machines of the LAN");
        Ok(())
    }

    fn a_renewal(&mut self, containers: &[Container; 2], capture: &Capture) -> Result<()> {
        self.t.step("A renewal, from the host's side: no DHCP client runs in the container");
        let [_, web] = containers;
        let expiry = self.expiry(web)?;
        let (frames, lines) = (capture.mark(), self.server.log().mark());
        self.t.waiting(&format!("waiting for the renewal of {} (T1 is {RENEW} s)", web.ip));
        let renewal = |frame: &Frame| {
            frame
                .dhcp()
                .is_some_and(|m| m.kind == REQUEST && m.mac == web.mac && m.ciaddr == web.ip)
        };
        let patience = SOON + Duration::from_secs(RENEW.into());
        let frame = capture.wait_after(frames, "a renewal", patience, renewal)?;
        let request = frame.dhcp().ok_or("a frame that was a REQUEST is none")?;
        let unicast =
            request.from == web.ip && request.to == Lan::ROUTER && request.source == web.mac;
        assert_that(unicast, "the renewal is not unicast from the container's address and MAC")?;
        let mut acknowledged = false;
        for (what, words) in [("REQUEST", Message::Request), ("ACK", Message::Ack)] {
            let words = self.server.words(words);
            let of_web = |line: &str| line.contains(words) && line.contains(&web.mac);
            let line = self.server.log().wait_after(lines, what, of_web, SOON)?;
            self.t.output(&format!("router: {}", line.text));
            acknowledged = what == "ACK";
        }
        assert_that(acknowledged, "the router did not acknowledge")?;
        let later = |leases: &[Lease]| leases.iter().any(|l| l.mac == web.mac && l.expiry > expiry);
        self.server.wait_leases("a later expiry", SOON, &later)?;
        self.t.shows(&format!(
            "unicast from {} with the MAC {} to the router, which prolonged the lease",
            web.ip, web.mac
        ));
        Ok(())
    }

    fn the_status(&mut self, containers: &[Container; 2]) -> Result<()> {
        self.t.step("`landfall status`, for someone who has only the plugin");
        for command in self.host.status_commands()? {
            self.t.command(self.at, &command);
            self.t.output(&self.host.run(&["sh", "-c", &command])?);
        }
        let json = self.host.status_commands()?.pop().ok_or("no command")? + " --json";
        let json = self.host.run(&["sh", "-c", &json])?;
        let json: Value = serde_json::from_str(&json)?;
        let endpoints =
            json.get("endpoints").and_then(Value::as_array).cloned().unwrap_or_default();
        for container in containers {
            let text = |e: &Value, key| e.get(key).and_then(Value::as_str).map(str::to_owned);
            let address = format!("{}/16", container.ip);
            let bound = endpoints.iter().any(|e| {
                text(e, "address").as_ref() == Some(&address)
                    && text(e, "mac").as_ref() == Some(&container.mac)
                    && text(e, "state").as_deref() == Some("BOUND")
            });
            assert_that(bound, &format!("{} is not shown as bound: {json}", container.name))?;
        }
        self.t.shows("each container with its lease; `--json` for scripts");
        Ok(())
    }

    fn the_end(&mut self, containers: &[Container; 2], ports: &str) -> Result<()> {
        self.t.step("The end: addresses go back to the router, and nothing stays behind");
        let [nas, web] = containers;
        self.docker(&["stop", &nas.name, &web.name])?;
        self.server.wait_leases("no lease", SOON, &<[Lease]>::is_empty)?;
        for container in containers {
            let words = self.server.words(Message::Release);
            let of_it = |line: &str| line.contains(words) && line.contains(&container.mac);
            let line = self.server.log().wait_after(0, "a RELEASE", of_it, SOON)?;
            self.t.output(&format!("router: {}", line.text));
        }
        self.docker(&["rm", &nas.name, &web.name])?;
        self.docker(&["network", "rm", &self.host.named("lan")])?;
        let left = self.host.ports()?;
        assert_that(left == ports, &format!("the bridge has other ports than before: {left}"))?;
        let plugin = self.host.plugin();
        self.docker(&["plugin", "disable", plugin])?;
        self.docker(&["plugin", "rm", plugin])?;
        self.t
            .shows("the router's table is empty, and the bridge has the ports that it had before");
        Ok(())
    }

    /// Runs `docker ARGS…` for all to see.
    fn docker(&self, args: &[&str]) -> Result<String> {
        let words: Vec<String> = args.iter().map(|word| quoted(word)).collect();
        self.t.command(self.at, &format!("docker {}", words.join(" ")));
        let output = self.host.docker(args)?;
        self.t.output(&output);
        Ok(output)
    }

    fn bridge_option(&self) -> String {
        format!("bridge={}", self.host.lan().bridge())
    }

    /// A container as Docker shows it.
    fn container(&self, name: &str) -> Result<Container> {
        const FORMAT: &str =
            "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}";
        let name = self.host.named(name);
        let shown = self.docker(&["inspect", "-f", FORMAT, &name])?;
        let (ip, mac) = shown.split_once(' ').ok_or("docker inspect shows no address")?;
        Ok(Container { ip: ip.parse()?, mac: mac.to_owned(), name })
    }

    fn expiry(&self, container: &Container) -> Result<SystemTime> {
        let leases = self.server.leases()?;
        let of_it = leases.iter().find(|lease| lease.mac == container.mac);
        Ok(of_it.ok_or("the router has no lease for the container")?.expiry)
    }
}

/// A word as one would type it in a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=:./,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn assert_that(so: bool, otherwise: &str) -> Result<()> {
    if so { Ok(()) } else { Err(format!("this is not what it should show: {otherwise}").into()) }
}
