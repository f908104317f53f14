//! The engine that `$LANDFALL_ENGINE` names starts, runs a container, restarts, stops and leaves nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{
    Dnsmasq, Engine, EngineOptions, EngineVersion, Lan, LanOptions, Namespace, Place, ServerOptions,
};

/// One process: its id, its name and its start time, which together no other process ever has.
type Program = (u32, String, String);

/// The programs that descend from process `ancestor`: a machine's first process, dockerd, shims, containers.
fn descendants(ancestor: u32) -> Vec<Program> {
    let read = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let parent: u32 = fields[1].parse().ok()?;
        Some((parent, (pid, name.to_owned(), fields[19].to_owned())))
    };
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let all: Vec<(u32, Program)> = pids.filter_map(read).collect();
    let mut family = vec![ancestor];
    let mut programs = Vec::new();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        for (_, program) in all.iter().filter(|(of, _)| *of == parent) {
            family.push(program.0);
            programs.push(program.clone());
        }
        next += 1;
    }
    programs
}

fn my_descendants() -> Vec<Program> {
    descendants(std::process::id())
}

fn lives((pid, _, start): &Program) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
    fields.is_some_and(|fields| fields[0] != "Z" && fields[19] == start)
}

/// The cgroups that the lab of process `owner` made.
fn cgroups(owner: u32) -> Vec<String> {
    let find = Command::new("find").args(["/sys/fs/cgroup", "-type", "d"]).output().unwrap();
    let mine = format!("/landfall-lab-{owner}-");
    let paths = String::from_utf8(find.stdout).unwrap();
    paths.lines().filter(|path| path.contains(&mine)).map(String::from).collect()
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn start(lan: &Lan, dockerd: &[&str]) -> Engine {
    let dockerd = dockerd.iter().map(|&word| word.to_owned()).collect();
    Engine::start(
        EngineVersion::from_env().unwrap(),
        lan,
        EngineOptions { dockerd, ..EngineOptions::default() },
    )
    .unwrap()
}

#[test]
fn it_runs_containers_and_leaves_nothing() {
    let mounts_before = mounts();
    let lan = Lan::new(LanOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(
        EngineVersion::from_env().unwrap(),
        &lan,
        EngineOptions {
            folders: vec![(folder.path().into(), "/srv/shared".into())],
            ..EngineOptions::default()
        },
    )
    .unwrap();
    engine.machine().write("/srv/shared/note", "seen").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("note")).unwrap(), "seen");

    let version = engine.docker_ok(&["version", "-f", "{{.Server.Version}}"]).unwrap();
    let expected = match EngineVersion::from_env().unwrap() {
        EngineVersion::V20 => "20.10.",
        EngineVersion::V26 => "26.1.",
        EngineVersion::V28 => "28.5.",
    };
    assert!(version.starts_with(expected), "{version}");

    let said = engine
        .docker_ok(&[
            "run",
            "--rm",
            "--network",
            "none",
            "--memory",
            "64m",
            "busybox",
            "echo",
            "hello",
        ])
        .unwrap();
    assert_eq!(said, "hello");
    engine.docker_ok(&["network", "create", "-d", "bridge", "inner"]).unwrap();
    engine
        .docker_ok(&[
            "run",
            "-d",
            "--network",
            "inner",
            "--name",
            "web",
            "busybox",
            "sleep",
            "infinity",
        ])
        .unwrap();
    let ip: Ipv4Addr = engine.addresses("web").unwrap()["inner"].parse().unwrap();
    assert!(lan.ping(Place::Host, ip).unwrap(), "the Lan's host is the engine's network");
    let error = engine.docker_ok(&["run", "no such image"]).unwrap_err().to_string();
    assert!(error.contains("invalid reference format"), "{error}");

    let during = my_descendants();
    for program in ["dockerd", "containerd"] {
        assert!(during.iter().any(|(_, name, _)| name == program), "{during:?} lacks {program}");
    }
    assert!(
        during.iter().filter(|(_, name, _)| name == "sleep").count() >= 2,
        "the container: {during:?}"
    );
    let sandbox = engine.docker_ok(&["inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "web"]);
    let sandbox = engine.run(sandbox.unwrap().strip_prefix("/var/run/").unwrap());
    let container = Namespace::open("web", &sandbox).unwrap();
    assert!(container.ok(&["ip", "addr"]).unwrap().contains(&ip.to_string()));
    drop(container);
    assert_ne!(cgroups(std::process::id()), Vec::<String>::new());
    assert_eq!(mounts(), mounts_before, "a machine's mounts are its own");

    drop(engine);
    assert_eq!(my_descendants(), []);
    assert_eq!(cgroups(std::process::id()), Vec::<String>::new());
    assert_eq!(mounts(), mounts_before);
}

#[test]
fn containers_go_on_while_dockerd_restarts() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let mut engine = start(&lan, &["--live-restore"]);
    engine
        .docker_ok(&[
            "run",
            "-d",
            "--name",
            "web",
            "--network",
            "none",
            "busybox",
            "sleep",
            "infinity",
        ])
        .unwrap();
    let started = |engine: &Engine| {
        engine.docker_ok(&["inspect", "-f", "{{.State.Pid}} {{.State.StartedAt}}", "web"]).unwrap()
    };
    let before = started(&engine);
    engine.restart_dockerd(&["--live-restore"]).unwrap();
    assert_eq!(started(&engine), before);
}

#[test]
fn what_dockerd_says_when_it_cannot_start_is_in_the_error() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let options = EngineOptions {
        dockerd: vec!["--config-file=/no/such/file".into()],
        ..EngineOptions::default()
    };
    let version = EngineVersion::from_env().unwrap();
    let error = Engine::start(version, &lan, options).unwrap_err().to_string();
    assert!(error.contains("open /no/such/file: no such file"), "{error}");
}

#[test]
#[ignore = "not a test: what a_killed_lab_leaves_nothing kills"]
fn a_lab_that_waits_to_be_killed() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let _server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let engine = start(&lan, &[]);
    engine.docker_ok(&["run", "-d", "--network", "none", "busybox", "sleep", "infinity"]).unwrap();
    println!("the lab is up");
    std::thread::park();
}

#[test]
fn a_killed_lab_leaves_nothing() {
    let mut lab = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_lab_that_waits_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(lab.stdout.take().unwrap()).lines().map(Result::unwrap);
    let up = said.take_while(|line| line != "the lab is up").last();
    let programs = descendants(lab.id());
    for expected in ["dnsmasq", "dockerd", "containerd", "sleep"] {
        assert!(programs.iter().any(|(_, name, _)| name == expected), "{programs:?}, {up:?}");
    }
    assert_ne!(cgroups(lab.id()), Vec::<String>::new());
    lab.kill().unwrap();
    lab.wait().unwrap();
    // The kernel kills them one after the other, and tells nobody when it is done.
    let until = Instant::now() + Duration::from_secs(20);
    while programs.iter().any(lives) {
        assert!(
            Instant::now() < until,
            "{:?}",
            programs.iter().filter(|p| lives(p)).collect::<Vec<_>>()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    lab::cleanup_stale();
    assert_eq!(cgroups(lab.id()), Vec::<String>::new());
}
