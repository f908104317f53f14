//! The daemon in the lab without an engine: started, called, stopped, killed, started again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use lab::{Answer, Lan, LanOptions, Landfall, landfall_binary};

fn activate(landfall: &Landfall) -> Answer {
    landfall.call("Plugin.Activate", "").unwrap()
}

#[test]
fn it_answers_after_start_stop_and_kill() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let binary = landfall_binary().unwrap();
    let mut landfall =
        Landfall::spawn_in(lan.host_ns(), &binary, &[], &["LOG_LEVEL=debug"]).unwrap();
    let answer = activate(&landfall);
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("NetworkDriver"), "{}", answer.body);
    let first = landfall.pid();
    let command = std::fs::read_to_string(format!("/proc/{first}/cmdline")).unwrap();
    assert_eq!(command, "/usr/local/bin/landfall\0serve\0");

    assert!(landfall.stop().unwrap().success());
    landfall.call("Plugin.Activate", "").unwrap_err();
    landfall.restart().unwrap();
    assert_eq!(activate(&landfall), answer);
    assert_ne!(landfall.pid(), first);

    landfall.kill9().unwrap();
    landfall.restart().unwrap();
    assert_eq!(activate(&landfall), answer);
    assert!(landfall.admin_socket().exists());
    assert!(landfall.machine().unwrap().path("/var/lib/landfall").is_dir());
}

#[test]
fn what_it_says_when_it_cannot_start_is_in_the_error() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let binary = landfall_binary().unwrap();
    let error = Landfall::spawn_in(lan.host_ns(), &binary, &["--no-such-option"], &[]).unwrap_err();
    assert!(error.to_string().contains("--no-such-option"), "{error}");
}
