//! The machine that the figures were measured on, and the binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::{Lan, LanOptions, Landfall, Roots, landfall_binary};
use serde::Serialize;

use crate::Result;
use crate::disk::Disk;
use crate::figure::{Effort, Figure, Samples, Section, TIMES, number};
use crate::site::state_folder;

/// What one must know of a machine to compare figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    date: String,
    landfall: String,
    cores: usize,
    processor: String,
    memory_mib: u64,
    kernel: String,
    pub(crate) engine: Option<String>,
    dnsmasq: String,
    /// Where the daemon keeps its state: the file system, and what a write of 4 KiB with `fdatasync` takes there.
    state_filesystem: String,
    fdatasync_ms: f64,
    /// Load averages of a minute.
    load_at_start: f64,
    load_at_end: Option<f64>,
}

impl Facts {
    /// Looks around; `out` is on the file system of the daemon's state.
    pub(crate) fn gather(out: &Path) -> Result<Self> {
        let binary = landfall_binary()?;
        let dpkg = format!("--admindir={}/var/lib/dpkg", Roots::lan()?.display());
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let memory = field(&meminfo, "MemTotal:").unwrap_or_default();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let mut state_filesystem = String::new();
        let path = out.display().to_string();
        state_filesystem += said("stat", &["-f", "-c", "%T", &path])?.trim();
        Ok(Self {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?.trim().to_owned(),
            landfall: said(&binary.display().to_string(), &["version"])?.trim().to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            processor: field(&cpuinfo, "model name\t:").unwrap_or_default(),
            memory_mib: memory.split(' ').next().unwrap_or_default().parse::<u64>()? / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            engine: None,
            dnsmasq: said("dpkg-query", &[&dpkg, "-W", "-f=${Version}", "dnsmasq-base"])?,
            state_filesystem,
            fdatasync_ms: fdatasync(out)?,
            load_at_start: load()?,
            load_at_end: None,
        })
    }

    /// Notes what is known only at the end.
    pub(crate) fn finish(&mut self) {
        self.load_at_end = load().ok();
    }

    /// All of it for people: what, and how.
    pub(crate) fn list(&self) -> Vec<(&'static str, String)> {
        let load_at_end = self.load_at_end.map(number).unwrap_or_default();
        vec![
            ("date", self.date.clone()),
            ("landfall", self.landfall.clone()),
            ("processor", format!("{} × {}", self.cores, self.processor)),
            ("memory", format!("{} MiB", self.memory_mib)),
            ("kernel", self.kernel.clone()),
            ("Docker Engine", self.engine.clone().unwrap_or_else(|| "not used".to_owned())),
            ("dnsmasq", format!("{}, without ping check", self.dnsmasq)),
            (
                "the daemon's state",
                format!("{}, fdatasync {} ms", self.state_filesystem, number(self.fdatasync_ms)),
            ),
            ("load at start, end", format!("{}, {load_at_end}", number(self.load_at_start))),
        ]
    }
}

/// The size of what is shipped, and how soon it serves.
pub(crate) fn binary(state: &Path, effort: Effort) -> Result<Section> {
    let path = landfall_binary()?;
    let bytes = fs::metadata(&path)?.len();
    // Megabytes of 10⁶ bytes.
    let size = Figure::new("stripped binary", "MB", bytes as f64 / 1e6).at_most(8.0);
    let lan = Lan::new(LanOptions::default())?;
    let folders = state_folder(state)?;
    let mut landfall = Landfall::spawn_with_folders(lan.host_ns(), &path, &[], &[], &folders)?;
    let mut starts = Samples::default();
    for _ in 0..effort.of(50, 5) {
        landfall.kill9()?;
        starts.time(|| Ok(landfall.restart()?))?;
    }
    Ok(Section {
        title: "The binary",
        how: "The file that is shipped, as `make build` leaves it. Its start: from the fork to its first answer on Docker's \
              socket, after `kill -9`, its state on a disk and empty; it is asked every 5 ms."
            .to_owned(),
        head: TIMES.to_vec(),
        rows: vec![starts.row("start to first answer")],
        figures: vec![
            size,
            Figure::median("start of the daemon to its first answer", "ms", &starts).at_most(50.0),
        ],
    })
}

/// What follows `name` in the first line that begins with it.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

fn load() -> Result<f64> {
    let loads = fs::read_to_string("/proc/loadavg")?;
    Ok(loads.split(' ').next().unwrap_or_default().parse()?)
}

/// The median time of a durable write.
fn fdatasync(out: &Path) -> Result<f64> {
    let (mut disk, mut samples) = (Disk::new(out)?, Samples::default());
    for _ in 0..50 {
        samples.time(|| disk.write())?;
    }
    Ok(samples.median())
}

fn said(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("running {program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {args:?} failed ({}): {said}", output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
