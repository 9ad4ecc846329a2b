//! `postrider doctor` in the small internet: there all is as it should be; then one record after the other is gone, and it
//! names each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod local_system;

use std::path::Path;
use std::process::Command;

use local_system::{Local, PROGRAM};
use serde_json::Value;
use smallnet::dns::{DnsServer, Zones};
use smallnet::plan::Plan;

/// What depends on the machine that the test runs on, not on us.
const OF_THE_MACHINE: [&str; 3] = ["disk-space", "disk-sync", "file-limit"];

fn doctor(config: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).arg("doctor").args(arguments).arg("--config").arg(config).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &errors)
}

/// Findings by name and state, of what is not as it should be.
fn wrong(config: &Path) -> Vec<(String, String)> {
    let (_, text) = doctor(config, &["--json"]);
    let found: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(found.len() > 15, "{text}");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = found.iter().map(|finding| (text(finding, "name"), text(finding, "state")));
    all.filter(|(name, state)| !OF_THE_MACHINE.contains(&name.as_str()) && ["warn", "fail"].contains(&state.as_str()))
        .collect()
}

#[test]
fn in_the_small_internet_all_is_well_and_what_is_gone_is_named() {
    let mut local = Local::start(&[]);
    let plan = Plan::new(&local.dir, local.base).unwrap();
    for system in plan.systems {
        assert_eq!(wrong(&plan.config_file(system)), [], "{}", system.domain);
    }
    let [red, _] = plan.systems;
    let config = plan.config_file(red);
    // People read a line for each, and what DNS should have.
    let (_, text) = doctor(&config, &[]);
    assert!(text.contains("ok    mx            red.example: its mail goes to mail.red.example"), "{text}");
    let (code, zone) = doctor(&config, &["--zone", "red.example"]);
    assert_eq!(code, Some(0));
    assert!(zone.contains("red.example. IN MX 10 mail.red.example.\n"), "{zone}");
    assert!(zone.contains("_25._tcp.mail.red.example. IN TLSA 3 1 1 "), "{zone}");
    assert!(local.stop().0);

    // Its listeners are gone, and DNS comes from here.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = |zones: Zones| runtime.block_on(DnsServer::start("127.0.0.1:0".parse().unwrap(), zones)).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    for (gone, finding) in [
        ("mail.red.example", ("address", "fail")),
        ("red.example", ("mx", "fail")),
        ("red.example", ("spf", "fail")),
        ("_dmarc.red.example", ("dmarc", "warn")),
        ("_smtp._tls.red.example", ("tls-reports", "warn")),
        ("_imaps._tcp.red.example", ("services", "warn")),
        ("autoconfig.red.example", ("autoconfig", "warn")),
        ("autodiscover.red.example", ("autodiscover", "warn")),
        ("nothing.red.example", ("tls", "fail")),
    ] {
        let dns = started(plan.zones([&[1; 32], &[2; 32]]).without(gone));
        let here = text.replace(&plan.dns().to_string(), &dns.address().to_string());
        std::fs::write(&config, here).unwrap();
        let found = wrong(&config);
        let finding = (finding.0.to_owned(), finding.1.to_owned());
        assert!(found.contains(&finding), "without {gone}: {found:?}");
        // The record of another key, in all of them.
        assert!(found.contains(&("dane".to_owned(), "fail".to_owned())), "{found:?}");
        assert_eq!(doctor(&config, &[]).0, Some(1));
        runtime.block_on(dns.stop());
    }
}
