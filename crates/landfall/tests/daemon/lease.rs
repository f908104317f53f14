//! `landfall lease show`: every option of the last replies, by any name, and after a restart too.

use lab::{Dnsmasq, Mode6, ServerOptions};
use serde_json::{Value, json};

use crate::ipv6::site_with_ipv6;
use crate::site::{SOON, Site, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";

/// What `landfall lease show` says, and whether it found anything.
fn show(site: &Site, args: &[&str]) -> (bool, String) {
    let argv = [&["/usr/local/bin/landfall", "lease", "show"], args].concat();
    let output = site.machine().run(&argv).unwrap();
    let text = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.success(), String::from_utf8_lossy(text).into_owned())
}

/// What the option of that code says.
fn value(options: &Value, code: u16) -> Value {
    let found = options.as_array().unwrap().iter().find(|option| option["code"] == code);
    found.unwrap_or_else(|| panic!("no option {code} in {options:#}"))["value"].clone()
}

#[test]
fn all_that_servers_said_is_shown_and_remembered() {
    let mut site = site_with_ipv6();
    let words = [
        "7,10.77.0.7",
        "43,01:02:ff",
        "option:ntp-server,10.77.0.4",
        "66,tftp.lan",
        "100,CET-1CEST",
        "101,Europe/Berlin",
        "252,http://wpad.lan/wpad.dat",
        "option6:42,Europe/Berlin",
        "option6:31,[2001:db8:77::4]",
    ];
    let extra = words.map(|word| format!("--dhcp-option={word}")).to_vec();
    let options = ServerOptions { ipv6: Some(Mode6::Stateful), extra, ..ServerOptions::default() };
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    let shown = |site: &Site, who: &str| -> Value {
        let (found, text) = show(site, &[who, "--json"]);
        assert!(found, "{who}: {text}");
        serde_json::from_str(&text).unwrap()
    };
    let all = |site: &Site| {
        let lease = shown(site, MAC)[0].clone();
        (lease["options"].clone(), lease["ipv6_options"].clone())
    };
    let (ipv4, ipv6) = all(&site);
    for (code, says) in [
        (3, json!(["10.77.0.1"])),
        (7, json!(["10.77.0.7"])),
        (42, json!(["10.77.0.4"])),
        (66, json!("tftp.lan")),
        (100, json!("CET-1CEST")),
        (101, json!("Europe/Berlin")),
        (252, json!("http://wpad.lan/wpad.dat")),
    ] {
        assert_eq!(value(&ipv4, code), says, "option {code}");
    }
    assert_eq!(value(&ipv4, 43), Value::Null);
    assert!(ipv4.to_string().contains("0102ff"), "{ipv4:#}");
    assert_eq!(value(&ipv6, 42), json!("Europe/Berlin"));
    assert_eq!(value(&ipv6, 31), json!(["2001:db8:77::4"]));

    // By each of its names.
    let lease = shown(&site, MAC);
    let [address, address6] = [&container.endpoint.address, &container.endpoint.address6]
        .map(|cidr| cidr.split('/').next().unwrap());
    for who in [&id("web"), &id("web")[..6], address, address6] {
        assert_eq!(shown(&site, who)[0]["endpoint"]["mac"], MAC, "{who}");
    }
    assert_eq!(lease[0]["endpoint"]["id"], id("web"));
    let (found, text) = show(&site, &["nobody"]);
    assert!(!found && text.contains("no endpoint is meant by \"nobody\""), "{text}");
    let (found, text) = show(&site, &[MAC]);
    assert!(found && text.contains("NTP servers (42)") && text.contains("10.77.0.4"), "{text}");

    // Nobody says it again before the next renewal.
    drop(server);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    eventually("the same options", SOON, || same(all(&site), &(ipv4.clone(), ipv6.clone())));
}
