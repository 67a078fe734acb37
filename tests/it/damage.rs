//! A flipped byte in any file: the broker starts, says what was set aside, and serves what was not damaged.

use mqtt_wire::QoS;

use crate::support::{Dice, House, Mqtt, Running, files_below, say, seed};

const DEVICES: usize = 40;
const SESSIONS: usize = 20;

/// A data folder with twins, sessions, waiting and retained messages, in table files as well as in the log.
fn filled() -> House {
    let house = House::open();
    for _ in 0..2 {
        // A stop writes everything to table files; what comes after the second start stands in the log.
        let broker = house.serve();
        fill(&broker);
        assert!(broker.stop().success());
    }
    let broker = house.serve();
    fill(&broker);
    broker.kill();
    house
}

fn fill(broker: &Running) {
    let http = broker.http();
    for number in 0..DEVICES {
        let patch = format!(r#"{{"number": {number}, "text": "{}"}}"#, "x".repeat(200));
        assert_eq!(
            http.desire(&format!("device-{number}"), &patch).unwrap().status,
            200
        );
    }
    for number in 0..SESSIONS {
        let (mut client, _) = Mqtt::kept(broker.mqtt(), &format!("session-{number}"));
        client.subscribe(&format!("for/{number}"), QoS::AtLeastOnce);
    }
    let mut publisher = Mqtt::clean(broker.mqtt(), "publisher");
    for number in 0..SESSIONS {
        publisher.publish_acked(&format!("for/{number}"), b"waiting", false);
        publisher.publish_acked(&format!("kept/{number}"), b"retained", true);
    }
}

/// How many twins, and sessions, are there.
fn found(broker: &Running) -> (usize, usize) {
    let http = broker.http();
    let twins = (0..DEVICES)
        .filter(|number| http.get(&format!("/v1/devices/device-{number}/twin")).status == 200)
        .count();
    let is_present = |number: &usize| Mqtt::kept(broker.mqtt(), &format!("session-{number}")).1;
    (twins, (0..SESSIONS).filter(is_present).count())
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

/// `TWINMQ_DAMAGE_SEED` repeats a run.
#[test]
fn a_flipped_byte_in_any_kind_of_file_is_set_aside_and_the_rest_served() {
    let mut dice = Dice(seed("TWINMQ_DAMAGE_SEED"));
    let house = filled();
    let pristine = tempfile::tempdir().unwrap();
    copy(&house.data(), pristine.path());
    let files = files_below(pristine.path());
    let newest = |kind: &dyn Fn(&str) -> bool| {
        let named =
            |path: &&std::path::PathBuf| path.file_name().is_some_and(|name| kind(&name.to_string_lossy()));
        files
            .iter()
            .rfind(named)
            .unwrap_or_else(|| panic!("no such file in {files:?}"))
            .clone()
    };
    let table = newest(&|name| name.ends_with(".sst"));
    let log = newest(&|name| name.ends_with(".log") && name != "LOG");
    let kinds = [
        ("table", table, 0.1..0.6),
        ("middle of the log", log.clone(), 0.3..0.6),
        ("tail of the log", log, 0.98..1.0),
        ("MANIFEST", newest(&|name| name.starts_with("MANIFEST")), 0.1..0.9),
        ("CURRENT", newest(&|name| name == "CURRENT"), 0.0..0.9),
        ("OPTIONS", newest(&|name| name.starts_with("OPTIONS")), 0.1..0.9),
    ];
    for (kind, file, part) in kinds {
        std::fs::remove_dir_all(house.data()).unwrap();
        copy(pristine.path(), &house.data());
        let relative = file.strip_prefix(pristine.path()).unwrap();
        let damaged = house.data().join(relative);
        let mut bytes = std::fs::read(&damaged).unwrap();
        let share = part.start + (part.end - part.start) * (dice.below(1000) as f64 / 1000.0);
        let at = ((bytes.len() as f64 * share) as usize).min(bytes.len() - 1);
        bytes[at] ^= 1 << dice.below(8);
        std::fs::write(&damaged, bytes).unwrap();
        say(&format!("{kind}: byte {at} of {}", relative.display()));

        let broker = house.serve();
        let ready = broker.http().get("/readyz").json();
        let (twins, sessions) = found(&broker);
        say(&format!(
            "  {} with {twins} of {DEVICES} twins and {sessions} of {SESSIONS} sessions; {}",
            ready["status"], ready["set_aside"]
        ));
        // One flipped byte damages at most a block of a table, or a group of the log that an older state stands behind.
        assert!(
            twins >= DEVICES / 2 && sessions >= SESSIONS / 2,
            "{kind}: too much is gone\n{}",
            house.log()
        );
        let name = relative.file_name().unwrap().to_string_lossy();
        let told = ready["set_aside"].to_string();
        assert!(
            ready["status"] == "degraded" && told.contains(&*name),
            "{kind}: {ready}\n{}",
            house.log()
        );
        assert!(broker.stop().success());
    }
}
