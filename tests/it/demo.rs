//! The demo: simulated devices bring twins, changes and metrics to life.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{PATIENCE, Running, eventually, run, twinmq};

fn demo(arguments: [&str; 2]) -> Command {
    let mut command = twinmq(["demo", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(arguments);
    command
}

fn spawn(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_fleet_comes_to_life_and_leaves_in_order() {
    let house = Running::when_ready(spawn(demo(["--seed", "7"]))).unwrap();
    let http = house.http();
    eventually("a device is online and in sync", || {
        let devices = http.get("/v1/devices").json();
        let is_well = |device: &Value| {
            device["presence"]["connected"] == true && device["twins"][0]["sync"]["status"] == "in_sync"
        };
        devices["devices"].as_array().unwrap().iter().any(is_well)
    });
    eventually("a thermostat is tagged and reports", || {
        let twin = http.get("/v1/devices/thermostat-1/twin").json();
        twin["tags"]["kind"] == "thermostat" && twin["reported"]["temperature"].is_number()
    });
    let folder = house.line.trim_end().rsplit_once("data=").unwrap().1.to_owned();
    assert!(house.stop().success());
    assert!(!std::path::Path::new(&folder).exists(), "{folder} is left behind");
}

#[test]
fn a_device_of_the_fleet_does_what_it_is_told_and_refuses_what_it_cannot() {
    let house = Running::when_ready(spawn(demo(["--devices", "1"]))).unwrap();
    let http = house.http();
    // The app of the demo changes its mind too, so the wish is made again until the device got to see it.
    for (wish, answer) in [("28", "reported"), ("29", "rejected")] {
        eventually(answer, || {
            let patched = http
                .desire("thermostat-1", &format!("{{\"target\": {wish}}}"))
                .unwrap();
            assert_eq!(patched.status, 200);
            let twin = http.get("/v1/devices/thermostat-1/twin").json();
            match answer {
                "reported" => twin["reported"]["target"] == 28,
                _ => twin["rejected"][0]["path"] == "/target" && twin["sync"]["status"] == "rejected",
            }
        });
    }
}

#[test]
fn the_change_feed_tells_of_the_fleet() {
    let house = Running::when_ready(spawn(demo(["--devices", "4"]))).unwrap();
    let mut stream = TcpStream::connect(house.address("http")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /v1/changes?since=0 HTTP/1.1\r\nhost: localhost\r\n\r\n"
    )
    .unwrap();
    let changes = BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .filter_map(|line| {
            let change: Value = serde_json::from_str(line.strip_prefix("data: ")?).unwrap();
            Some(change)
        });
    let mut kinds: Vec<String> = changes
        .take(12)
        .map(|change| change["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["changed", "presence"]);
}

#[test]
fn the_demo_ends_by_itself() {
    let (code, said, _) = run(demo(["--seconds", "1"]));
    assert_eq!(code, 0);
    for part in [
        "twinmq ready",
        "/v1/changes",
        "mosquitto_sub",
        "24 simulated devices",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn the_demo_lets_nobody_in_from_elsewhere() {
    let (code, _, told) = run(twinmq(["demo", "--mqtt", "0.0.0.0:0", "--http", "192.0.2.1:0"]));
    assert_eq!(code, 2);
    assert!(told.contains("--mqtt") && told.contains("--http"), "{told}");
}
