//! A broker with less memory than it needs says so, and does not let anybody in.

use mqtt_wire::{Connect, ReasonCode, Version};

use crate::support::{House, Mqtt, OPEN, eventually};

#[test]
fn a_ceiling_below_what_the_broker_needs_is_told_everywhere() {
    let house = House::new(&format!("{OPEN}[broker]\nmemory_max = \"16MiB\"\n"));
    let broker = house.serve();
    let http = broker.http();
    eventually("nobody is let in", || http.get("/readyz").status == 503);
    let page = http.get("/readyz").json();
    assert_eq!(page["status"], "degraded");
    assert!(
        page["memory"].as_str().unwrap().contains("broker.memory_max"),
        "{page}"
    );
    assert_eq!(http.get("/healthz").status, 200);
    let (_, connack) = Mqtt::connect(broker.mqtt(), Connect::new(Version::V5, "newcomer")).unwrap();
    assert_eq!(connack.reason, ReasonCode::ServerBusy);
    let metrics = http.get("/metrics").body;
    for line in [
        "twinmq_overload_stage 3",
        "twinmq_memory_max_bytes 16777216",
        "twinmq_connections_refused_total{reason=\"overload\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is missing in {metrics}"
        );
    }
    let log = house.log();
    assert_eq!(log.matches("memory runs short").count(), 1, "{log}");
}
