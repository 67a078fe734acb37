//! From nothing to serving, and back to nothing.

use std::process::Stdio;

use mqtt_wire::QoS;

use crate::support::{House, Mqtt, Running, run, twinmq};

#[test]
fn sigterm_tells_clients_keeps_everything_and_exits_with_0() {
    let house = House::open();
    let broker = house.serve();
    let (mut client, _) = Mqtt::kept(broker.mqtt(), "keeper");
    client.subscribe("a/#", QoS::AtLeastOnce);
    let mut publisher = Mqtt::clean(broker.mqtt(), "publisher");
    publisher.publish_acked("a/retained", b"1", true);
    drop(client);
    publisher.publish_acked("a/waiting", b"2", false);
    assert!(broker.stop().success());

    let broker = house.serve();
    let (mut client, present) = Mqtt::kept(broker.mqtt(), "keeper");
    assert!(present);
    // A message kept as retained may have come both as it was published and because of the subscription.
    while client.message().topic != "a/waiting" {}
}

#[test]
fn the_start_line_names_every_listener_with_its_port() {
    let house = House::open();
    let broker = house.serve();
    assert_ne!(broker.mqtt().port(), 0);
    assert_eq!(broker.http().get("/healthz").status, 200);
    assert_eq!(broker.http().get("/readyz").json()["status"], "ready");
    let metrics = broker.http().get("/metrics");
    assert!(metrics.body.contains("twinmq_"), "{metrics:?}");
}

#[test]
fn a_log_that_takes_no_line_stops_nobody() {
    let house = House::open();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = house.command();
    command
        .args(["--mqtt", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(full);
    let broker = Running::when_ready(command.spawn().unwrap()).unwrap();
    Mqtt::clean(broker.mqtt(), "client").publish_acked("a", b"1", false);
    assert!(broker.stop().success());
}

#[test]
fn help_and_version_are_there() {
    let (code, help, _) = run(twinmq(["--help"]));
    assert_eq!(code, 0);
    for command in ["serve", "check-config", "config", "passwd", "certs", "demo"] {
        assert!(help.contains(command), "{command} is missing in {help}");
    }
    assert_eq!(run(twinmq(["--version"])).0, 0);
}
