//! The host's firewall: with br_netfilter it also gets what a bridge forwards, and Docker sets the
//! policy for that to DROP.

use std::process::Stdio;
use std::time::Duration;

use net::{BridgeInfo, Link};
use tokio::process::Command;

use super::probe::Heard;
use super::report::{Finding, check};

/// How long a program that lists rules may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The firewall's rules, as its programs print them; empty where there is no such program.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// `iptables -S FORWARD`
    iptables: String,
    /// `nft list ruleset`
    nft: String,
}

impl Rules {
    /// Reads this host's.
    pub(super) async fn read() -> Rules {
        let (iptables, nft) = tokio::join!(
            output("iptables", &["-w", "2", "-S", "FORWARD"]),
            output("nft", &["list", "ruleset"])
        );
        Rules { iptables, nft }
    }

    /// The chains for forwarded packets that drop what no rule accepts, and in which no rule
    /// accepts all of a bridge's.
    fn dropping(&self, bridge: &str) -> Vec<String> {
        let mut chains = Vec::new();
        let mut lines = self.iptables.lines();
        if lines.clone().any(|line| line.trim() == "-P FORWARD DROP")
            && !lines.any(|rule| accepts_bridge(rule, bridge))
        {
            chains.push("FORWARD of iptables".to_owned());
        }
        chains.extend(self.dropping_nft(bridge));
        chains
    }

    fn dropping_nft(&self, bridge: &str) -> Vec<String> {
        let mut chains = Vec::new();
        let (mut table, mut chain, mut drops) = ("", "", false);
        let quoted = format!("\"{bridge}\"");
        for line in self.nft.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("table ") {
                table = name.trim_end_matches(" {");
            } else if let Some(name) = line.strip_prefix("chain ") {
                (chain, drops) = (name.trim_end_matches(" {"), false);
            } else if line.contains("hook forward") && line.contains("policy drop") {
                drops = table.starts_with("ip ") || table.starts_with("inet ");
                // iptables-nft keeps its rules there, and has told them.
                drops &= table != "ip filter" || self.iptables.is_empty();
            } else if line.contains(&quoted) && line.ends_with("accept") {
                drops = false;
            } else if line == "}" && drops {
                chains.push(format!("{chain} of nft's table {table}"));
                drops = false;
            }
        }
        chains
    }
}

/// Whether a rule of `iptables -S` accepts all that is forwarded on a bridge.
fn accepts_bridge(rule: &str, bridge: &str) -> bool {
    let Some(rest) = rule.strip_prefix("-A FORWARD ") else { return false };
    let Some(conditions) = rest.trim().strip_suffix("-j ACCEPT") else { return false };
    let mut words = conditions.split_whitespace();
    while let Some(word) = words.next() {
        let fits = match word {
            "-i" | "-o" => words.next() == Some(bridge),
            "-m" => words.next() == Some("physdev"),
            "--physdev-is-bridged" => true,
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Whether a bridge hands its IPv4 frames to the firewall: by the sysctl, or by its own setting.
pub(super) fn sees(bridge: &Link) -> bool {
    net::sysctl::bridge_nf_call_iptables().unwrap_or(false) || by_itself(bridge)
}

fn by_itself(bridge: &Link) -> bool {
    bridge.bridge.as_ref().is_some_and(|BridgeInfo { nf_call_iptables, .. }| *nf_call_iptables)
}

/// Judges by what was heard, and by the rules where that does not tell. `rules`: `None` for a
/// bridge whose frames the firewall does not get.
pub(super) fn judge(bridge: &Link, rules: Option<&Rules>, heard: Option<&Heard>) -> Finding {
    let name = bridge.name.as_str();
    let Some(rules) = rules else {
        return Finding::ok(check::FIREWALL, name, "the host's firewall gets no bridged frames");
    };
    let switch = if by_itself(bridge) {
        format!("ip link set {name} type bridge nf_call_iptables 0")
    } else {
        "sysctl net.bridge.bridge-nf-call-iptables=0".to_owned()
    };
    let advice = format!("`iptables -I FORWARD -i {name} -o {name} -j ACCEPT`, or `{switch}`");
    let chains = rules.dropping(name).join(", ");
    match heard {
        Some(heard) if !heard.offers.is_empty() => {
            let seen = "the host's firewall gets bridged frames, and lets DHCP through";
            Finding::ok(check::FIREWALL, name, seen)
        }
        Some(Heard { past_firewall: Some(true), .. }) => {
            let by = if chains.is_empty() { String::new() } else { format!(" ({chains})") };
            let seen = format!(
                "the host's firewall drops bridged frames{by}: a DHCP server answers past it and \
                 not through it"
            );
            Finding::error(check::FIREWALL, name, seen).advise(advice)
        }
        _ if !chains.is_empty() => {
            let seen = format!(
                "the host's firewall gets bridged frames, and {chains} drops what no rule accepts; \
                 none there accepts all of {name}'s"
            );
            Finding::warning(check::FIREWALL, name, seen).advise(advice)
        }
        _ => {
            let seen = "the host's firewall gets bridged frames; no policy of DROP was found";
            Finding::note(check::FIREWALL, name, seen)
        }
    }
}

/// What a program prints; nothing if it is not there, fails or hangs.
async fn output(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bridge::sample;
    use super::super::report::Report;
    use super::*;

    const DROP: &str = "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n\
        -A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n";

    fn iptables(text: &str) -> Rules {
        Rules { iptables: text.to_owned(), nft: String::new() }
    }

    #[test]
    fn rules_of_iptables() {
        let dropping =
            |rules: &str| !iptables(&(DROP.to_owned() + rules)).dropping("br0").is_empty();
        assert!(dropping(""));
        assert!(!dropping("-A FORWARD -i br0 -o br0 -j ACCEPT\n"));
        assert!(!dropping("-A FORWARD -i br0 -j ACCEPT\n"));
        assert!(!dropping("-A FORWARD -m physdev --physdev-is-bridged -j ACCEPT\n"));
        assert!(!dropping("-A FORWARD -j ACCEPT\n"));
        assert!(dropping("-A FORWARD -i br1 -o br1 -j ACCEPT\n"));
        assert!(dropping("-A FORWARD -i br0 -p udp --dport 67 -j ACCEPT\n"));
        assert!(dropping("-A FORWARD ! -i br0 -j ACCEPT\n"));
        assert!(iptables("-P FORWARD ACCEPT\n").dropping("br0").is_empty());
    }

    #[test]
    fn rules_of_nft() {
        let ruleset = "table ip filter {\n\tchain FORWARD {\n\
            \t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n\
            table inet mine {\n\tchain input {\n\
            \t\ttype filter hook input priority filter; policy drop;\n\t}\n\tchain fwd {\n\
            \t\ttype filter hook forward priority filter; policy drop;\n\t\tRULE\n\t}\n}\n\
            table ip6 filter {\n\tchain FORWARD {\n\
            \t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
        let dropping = |rule: &str, iptables: &str| {
            let nft = ruleset.replace("RULE", rule);
            Rules { iptables: iptables.to_owned(), nft }.dropping("br0")
        };
        let (filter, mine) = ("FORWARD of nft's table ip filter", "fwd of nft's table inet mine");
        assert_eq!(dropping("", ""), [filter, mine]);
        assert_eq!(dropping("iifname \"br0\" oifname \"br0\" accept", ""), [filter]);
        assert_eq!(dropping("iifname \"br1\" accept", "-P FORWARD ACCEPT\n"), [mine]);
    }

    #[test]
    fn what_is_said_of_a_firewall() {
        let heard = |past_firewall| Some(Heard { past_firewall, ..Heard::default() });
        let offered = Heard { offers: vec![crate::upstream::sample()], ..Heard::default() };
        let (open, shut) = (iptables("-P FORWARD ACCEPT\n"), iptables(DROP));
        let bridge = sample("br0", Some("bridge"));
        let mut itself = bridge.clone();
        itself.bridge = Some(BridgeInfo { nf_call_iptables: true, ..BridgeInfo::default() });
        let findings = vec![
            judge(&bridge, None, None),
            judge(&bridge, Some(&shut), Some(&offered)),
            judge(&bridge, Some(&shut), heard(Some(true)).as_ref()),
            judge(&itself, Some(&Rules::default()), heard(Some(true)).as_ref()),
            judge(&bridge, Some(&shut), heard(Some(false)).as_ref()),
            judge(&bridge, Some(&shut), None),
            judge(&bridge, Some(&open), None),
        ];
        insta::assert_snapshot!(Report::new(findings).text());
    }
}
