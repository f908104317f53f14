//! `make demo`, on a machine with an engine of its own and on one without, told to the end and interrupted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::{Engine, EngineOptions, EngineVersion, Lan, LanOptions, Log, Roots, landfall_binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEMO: &str = env!("CARGO_BIN_EXE_demo");
/// The demo is to be told in three minutes.
const PATIENCE: Duration = Duration::from_secs(180);

/// A folder with `dist/plugin` in it, as `make plugin` makes it.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/make-plugin");
    let plugin = folder.path().join("dist/plugin");
    fs::create_dir(folder.path().join("dist")).unwrap();
    let made = Command::new(script).arg(landfall_binary().unwrap()).arg(&plugin).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

/// A pretended machine with an engine, whose firewall sees bridged frames, and all that the demo needs.
fn machine_with_engine(lan: &Lan) -> Engine {
    let roots = Roots::lan().unwrap().parent().unwrap().to_owned();
    let folders: Vec<(PathBuf, String)> = vec![(roots.clone(), roots.display().to_string())];
    let options = EngineOptions { folders, ..EngineOptions::default() };
    let engine = Engine::start(EngineVersion::from_env().unwrap(), lan, options).unwrap();
    let machine = engine.machine();
    machine.copy_in(Path::new(DEMO), "/usr/local/bin/demo").unwrap();
    let workspace = workspace();
    let copied = Command::new("cp")
        .arg("-a")
        .args([workspace.path().join("dist"), machine.path("/dist")])
        .status()
        .unwrap();
    assert!(copied.success());
    engine
}

/// All that a demo on the machine's own engine could leave behind.
fn traces(engine: &Engine) -> Vec<String> {
    let docker = |args: &[&str]| engine.docker_ok(args).unwrap();
    let run = |argv: &[&str]| engine.machine().ok(argv).unwrap();
    let links = run(&["ip", "-o", "link"]);
    let names = links.lines().map(|line| line.split(':').nth(1).unwrap().to_owned());
    vec![
        docker(&["ps", "-aq"]),
        docker(&["network", "ls", "-q"]),
        docker(&["plugin", "ls", "-q"]),
        docker(&["images", "-q"]),
        run(&["iptables", "-S", "FORWARD"]),
        names.collect(),
    ]
}

#[test]
fn on_the_machines_own_engine() {
    let lan = Lan::new(LanOptions { bridge_netfilter: true, ..LanOptions::default() }).unwrap();
    let engine = machine_with_engine(&lan);
    let before = traces(&engine);
    let told = engine.machine().ok(&["demo"]).unwrap();
    assert!(told.contains(": this machine's own"), "{told}");
    assert!(told.contains("iptables -w -I FORWARD -i lfdemo0"), "{told}");
    assert!(told.contains("[11/11]"), "{told}");
    assert!(!told.contains('\x1b'), "coloured, and no terminal: {told}");
    assert_eq!(traces(&engine), before, "{told}");
}

#[test]
fn interrupted_on_the_machines_own_engine() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let engine = machine_with_engine(&lan);
    let before = traces(&engine);
    let log = Log::new("the demo");
    let demo = engine.machine().spawn("demo", &[], &["demo"], &log).unwrap();
    log.wait_for("[6/11]", PATIENCE).unwrap();
    assert_ne!(traces(&engine), before);
    demo.signal(Signal::SIGINT).unwrap();
    let status = demo.wait(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(130), "{}", log.tail(20));
    assert_eq!(traces(&engine), before, "{}", log.tail(20));
}

#[test]
fn interrupted_in_the_lab() {
    let workspace = workspace();
    let mut demo = Command::new(DEMO)
        .current_dir(workspace.path())
        // Whatever engine this machine has is not the test's.
        .env("DOCKER_HOST", "tcp://127.0.0.1:1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[5/11]") {
        line.clear();
        assert_ne!(told.read_line(&mut line).unwrap(), 0, "it ended before it was interrupted");
    }
    let steps = fs::read_to_string(format!("/proc/{0}/task/{0}/children", demo.id())).unwrap();
    kill(Pid::from_raw(demo.id().cast_signed()), Signal::SIGINT).unwrap();
    // To the end of all that could write.
    told.read_to_string(&mut line).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));

    let prefix = format!("landfall-lab-{}-", steps.trim());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let hierarchies = mounts.lines().filter(|line| line.contains(" cgroup"));
    for hierarchy in hierarchies.map(|line| line.split(' ').nth(1).unwrap()) {
        for entry in fs::read_dir(hierarchy).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with(&prefix), "{hierarchy}/{name:?}");
        }
    }
}
