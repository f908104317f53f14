//! The Debian roots that machines stand on.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::success;
use crate::{Error, Result};

/// Where the roots are made and kept, and what is in them: the script has both, so that `scripts/prepare` can have them
/// made while cargo still compiles.
const SCRIPT: &str = include_str!("root.sh");

/// Debian roots. They stand in `$LANDFALL_LAB_DIR` (`/var/tmp/landfall-lab`), are made once with mmdebstrap, under a lock,
/// and kept for the next run.
#[derive(Debug)]
pub struct Roots;

impl Roots {
    /// The root with what the LAN needs: dnsmasq, Kea, ISC's and WIDE's DHCPv6 servers, radvd, udhcpc, tcpdump; and Docker
    /// Engine 20.10.
    pub fn lan() -> Result<PathBuf> {
        Self::of("bookworm")
    }

    /// The root of a Debian suite, `bookworm`, `trixie` or `forky`, the first two also with `-systemd`; or `vm`, for virtual machines. Made if missing, which takes about a minute and is
    /// said on stderr.
    pub fn of(suite: &str) -> Result<PathBuf> {
        let argv = ["bash", "-c", SCRIPT, "root.sh", suite];
        let output = Command::new("bash")
            .args(argv.iter().skip(1))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(Error::io("running bash to find or make a Debian root"))?;
        let path = success(&["root.sh", suite], output)?;
        Ok(PathBuf::from(path.trim_end()))
    }
}
