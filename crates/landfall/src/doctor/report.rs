//! What was found: lines for people, JSON for programs, a status for scripts.

use serde::Serialize;

/// Names of the checks; `docs/doctor.md` says what each is about.
pub(super) mod check {
    pub(crate) const DAEMON: &str = "daemon";
    pub(crate) const SOCKET: &str = "socket";
    pub(crate) const DOCKER: &str = "docker";
    pub(crate) const PRIVILEGES: &str = "privileges";
    pub(crate) const STATE: &str = "state";
    pub(crate) const KERNEL: &str = "kernel";
    pub(crate) const CLOCK: &str = "clock";
    pub(crate) const BRIDGE: &str = "bridge";
    pub(crate) const UPLINK: &str = "uplink";
    pub(crate) const SPANNING_TREE: &str = "spanning-tree";
    pub(crate) const VLAN: &str = "vlan";
    pub(crate) const MULTICAST: &str = "multicast";
    pub(crate) const BRIDGE_MAC: &str = "bridge-mac";
    pub(crate) const PORTS: &str = "ports";
    pub(crate) const FIREWALL: &str = "firewall";
    pub(crate) const DHCP_SERVER: &str = "dhcp-server";
    pub(crate) const IPV6: &str = "ipv6";
    pub(crate) const IPV6_ROUTER: &str = "ipv6-router";
    pub(crate) const DHCPV6_SERVER: &str = "dhcpv6-server";
    pub(crate) const ADDRESSES: &str = "addresses";

    /// All of them, in the order of the report.
    #[cfg(test)]
    pub(crate) const ALL: [&str; 20] = [
        DAEMON,
        SOCKET,
        DOCKER,
        PRIVILEGES,
        STATE,
        KERNEL,
        CLOCK,
        IPV6,
        ADDRESSES,
        BRIDGE,
        UPLINK,
        SPANNING_TREE,
        VLAN,
        MULTICAST,
        BRIDGE_MAC,
        PORTS,
        FIREWALL,
        DHCP_SERVER,
        IPV6_ROUTER,
        DHCPV6_SERVER,
    ];
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Works, and is good to know.
    Note,
    /// May be what a fault comes from.
    Warning,
    /// Containers get no address, or not for long.
    Error,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// What one check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    severity: Severity,
    /// The check's name, in kebab case.
    check: &'static str,
    /// What was looked at: a bridge, a file, a process.
    subject: String,
    /// What was seen there.
    seen: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn new(
        severity: Severity,
        check: &'static str,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Finding {
        Finding { severity, check, subject: subject.into(), seen: seen.into(), advice: None }
    }

    /// All is well.
    pub(super) fn ok(
        check: &'static str,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Ok, check, subject, seen)
    }

    /// Good to know.
    pub(super) fn note(
        check: &'static str,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Note, check, subject, seen)
    }

    /// A fault may come from this.
    pub(super) fn warning(
        check: &'static str,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Warning, check, subject, seen)
    }

    /// A fault comes from this.
    pub(super) fn error(
        check: &'static str,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Error, check, subject, seen)
    }

    /// The same with what to do.
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }

    /// `warning  uplink  br0: seen — advice`, on one line whatever the kernel or Docker said.
    fn line(&self, subject_at: usize) -> String {
        let Finding { severity, check, subject, seen, advice } = self;
        let advice = advice.as_ref().map(|advice| format!(" — {advice}")).unwrap_or_default();
        format!("{:7}  {check:subject_at$}  {subject}: {seen}{advice}", severity.word())
            .replace(char::is_control, " ")
    }
}

/// All findings, in the order in which things depend on each other.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Of the format: fields may be added to version 1, none is renamed or given another meaning.
    version: u32,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Report {
        Report { version: 1, findings }
    }

    /// One line for each finding.
    pub(crate) fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        self.findings.iter().map(|finding| finding.line(width) + "\n").collect()
    }

    /// The document of `--json`; `docs/doctor.md` has its fields.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// The exit status: 0 nothing above a note, 1 warnings, 2 errors.
    pub(crate) fn exit_status(&self) -> u8 {
        match self.findings.iter().map(|finding| finding.severity).max() {
            None | Some(Severity::Ok | Severity::Note) => 0,
            Some(Severity::Warning) => 1,
            Some(Severity::Error) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(vec![
            Finding::ok(check::DAEMON, "/run/landfall/admin.sock", "version 0.1.0 answers"),
            Finding::note(check::BRIDGE_MAC, "br0", "the MAC follows\nits ports"),
            Finding::warning(check::UPLINK, "br0", "nothing but containers")
                .advise("`ip link set eth0 master br0`"),
            Finding::error(check::DHCP_SERVER, "br0", "silence").advise("look at the cable"),
        ])
    }

    #[test]
    fn a_line_for_each_finding() {
        insta::assert_snapshot!(report().text(), @r"
        ok       daemon       /run/landfall/admin.sock: version 0.1.0 answers
        note     bridge-mac   br0: the MAC follows its ports
        warning  uplink       br0: nothing but containers — `ip link set eth0 master br0`
        error    dhcp-server  br0: silence — look at the cable
        ");
    }

    #[test]
    fn the_document_of_version_1() {
        let report = Report::new(report().findings.split_off(2));
        insta::assert_snapshot!(report.json().unwrap(), @r#"
        {
          "version": 1,
          "findings": [
            {
              "severity": "warning",
              "check": "uplink",
              "subject": "br0",
              "seen": "nothing but containers",
              "advice": "`ip link set eth0 master br0`"
            },
            {
              "severity": "error",
              "check": "dhcp-server",
              "subject": "br0",
              "seen": "silence",
              "advice": "look at the cable"
            }
          ]
        }
        "#);
    }

    #[test]
    fn the_worst_finding_is_the_status() {
        let mut findings = report().findings;
        for status in [2, 1, 0, 0, 0] {
            assert_eq!(Report::new(findings.clone()).exit_status(), status, "{findings:?}");
            findings.pop();
        }
    }

    /// Every check and every field is described, and nothing else.
    #[test]
    fn the_documentation_tells_all() {
        let text = include_str!("../../../../docs/doctor.md");
        let rows = |heading: &str| -> Vec<&str> {
            let section = text.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
            let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            rows.map(|(name, _)| name).collect()
        };
        assert_eq!(rows("Checks"), check::ALL);
        let document = serde_json::to_value(report()).unwrap();
        let fields = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let mut sent = fields(&document);
        sent.extend(fields(&document["findings"][0]));
        let mut described = rows("JSON");
        sent.sort();
        described.sort_unstable();
        assert_eq!(described, sent);
    }
}
