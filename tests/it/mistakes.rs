//! Operators' mistakes: one clear line each, a documented exit code, no panic and no backtrace.

use crate::support::{House, OPEN, run, twinmq};

fn assert_clear(stderr: &str, parts: &[&str]) {
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is missing in: {stderr}");
    }
    assert!(
        !stderr.contains("panicked") && !stderr.contains("backtrace"),
        "{stderr}"
    );
}

/// The checksum at the end of `FORMAT`, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 * (crc & 1))
        })
    })
}

#[test]
fn every_mistake_in_a_settings_file_is_told_at_once() {
    let house = House::new(
        "[broker]\nshards = \"many\"\nfast = true\n[mqtt]\nqos_max = 3\n[[listener]]\nname = \"mqtt\"\nbind = \"here\"\n",
    );
    let (code, _, stderr) = run(house.command());
    assert_eq!(code, 2);
    assert_clear(
        &stderr,
        &[
            "twinmq.toml:2",
            "twinmq.toml:3",
            "fast",
            "mqtt.qos_max",
            "0 to 2",
            "listener[0].bind",
            "here",
        ],
    );
}

#[test]
fn http_is_told_at_which_listeners_it_cannot_be() {
    let listeners = "[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:0\"\n\
         [[listener]]\nname = \"wss\"\nbind = \"127.0.0.1:0\"\n[listener.websocket]\n\
         [listener.tls]\ncertificate = \"a\"\nkey = \"b\"\n\
         [[listener]]\nname = \"mqtts\"\nbind = \"127.0.0.1:0\"\n[listener.tls]\ncertificate = \"a\"\nkey = \"b\"\n";
    let https = [
        "listener = \"gone\"",
        "listener = \"plain\"",
        "listener = \"wss\"",
        "",
        "listener = \"mqtts\"\nbind = \"127.0.0.1:0\"",
        "listener = \"mqtts\"\n[http.tls]\ncertificate = \"a\"\nkey = \"b\"",
        "listener = \"mqtts\"",
    ];
    let https: String = https
        .iter()
        .enumerate()
        .map(|(number, place)| format!("[[http]]\nname = \"{number}\"\n{place}\n"))
        .collect();
    let (code, _, stderr) = run(House::new(&format!("{listeners}{https}")).command());
    assert_eq!(code, 2);
    assert_clear(
        &stderr,
        &[
            "http[0].listener: found \"gone\", which there is none of",
            "http[1].listener: found \"plain\", which speaks no TLS",
            "http[2].listener: found \"wss\", which speaks WebSocket",
            "http[3].bind: found nothing",
            "http[4].listener: found a value beside `bind`",
            "http[5].tls: found a section beside listener = \"mqtts\"",
            "http[6].listener: found \"mqtts\" again",
        ],
    );
}

#[test]
fn authenticators_that_there_are_not_are_told_with_those_that_there_are() {
    let listener = |section: &str, name: &str, list: &str| {
        format!("[[{section}]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nauthenticators = {list}\n")
    };
    let settings = [
        listener("listener", "a", "[\"certificate\"]"),
        listener("listener", "b", "[]"),
        listener("listener", "c", "[\"ldap\", \"anonymous\"]"),
        listener(
            "http",
            "d",
            "[\"password_file\", \"certificate\", \"certificate\"]",
        ),
        "[auth]\npassword_file = \"users\"\n".into(),
    ];
    let (code, _, stderr) = run(House::new(&settings.concat()).command());
    assert_eq!(code, 2);
    let there_are = "allowed: some of those that [auth] has: [\"password_file\", \"certificate\"]";
    assert_clear(
        &stderr,
        &[
            &format!("listener[1].authenticators: found none, {there_are}"),
            &format!("listener[2].authenticators: found \"ldap\", {there_are}"),
            &format!("listener[2].authenticators: found \"anonymous\", {there_are}"),
            "http[0].authenticators: found \"certificate\" again",
        ],
    );
    assert!(!stderr.contains("listener[0]"), "{stderr}");
}

#[test]
fn a_settings_file_that_is_not_there_is_named() {
    let (code, _, stderr) = run(twinmq(["check-config", "--config", "no-such.toml"]));
    assert_eq!(code, 4);
    assert_clear(&stderr, &["no-such.toml"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let house = House::open();
    for flag in ["--mqtt", "--http"] {
        let mut command = house.command();
        command.args([flag, &address]);
        let (code, _, stderr) = run(command);
        assert_eq!(code, 4, "{stderr}");
        assert_clear(&stderr, &[&address, "another process uses this port"]);
    }
}

#[test]
fn an_unreadable_certificate_is_named_with_its_key() {
    let tls = "[[listener]]\nname = \"mqtts\"\nbind = \"127.0.0.1:0\"\n[listener.tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"\n";
    let (code, _, stderr) = run(House::new(tls).command());
    assert_eq!(code, 4);
    assert_clear(&stderr, &["mqtts", "tls.certificate", "none.pem"]);
}

#[test]
fn a_data_folder_in_use_is_named() {
    let house = House::open();
    let _broker = house.serve();
    let (code, _, stderr) = run(house.command());
    assert_eq!(code, 3);
    assert_clear(&stderr, &["data", "in use by another process"]);
}

#[test]
fn a_data_folder_of_a_newer_format_is_refused() {
    let house = House::open();
    assert!(house.serve().stop().success());
    let newer = "twinmq store format 9\n";
    let text = format!("{newer}crc {:08x}\n", crc32c(newer.as_bytes()));
    std::fs::write(house.data().join("FORMAT"), text).unwrap();
    let (code, _, stderr) = run(house.command());
    assert_eq!(code, 3, "{stderr}");
    assert_clear(&stderr, &["format", "9"]);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let house = House::open();
    std::fs::create_dir(house.data()).unwrap();
    std::fs::write(house.data().join("letters.txt"), "dear").unwrap();
    let (code, _, stderr) = run(house.command());
    assert_eq!(code, 3, "{stderr}");
    assert_clear(&stderr, &["not a data folder"]);
    assert_eq!(
        std::fs::read_to_string(house.data().join("letters.txt")).unwrap(),
        "dear"
    );
}

#[test]
fn shipped_settings_pass_their_check() {
    let top = env!("CARGO_MANIFEST_DIR");
    for name in ["default.toml", "dev.toml", "production.toml"] {
        let (code, _, stderr) = run(twinmq([
            "check-config",
            "--config",
            &format!("{top}/config/{name}"),
        ]));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}");
    }
    let (code, defaults, _) = run(twinmq(["config", "--defaults"]));
    assert_eq!(code, 0);
    assert_eq!(
        defaults.trim_end(),
        std::fs::read_to_string(format!("{top}/config/default.toml"))
            .unwrap()
            .trim_end()
    );
}

#[test]
fn hostile_bytes_close_their_connection_and_no_other() {
    let house = House::new(OPEN);
    let broker = house.serve();
    let mut witness = crate::support::Mqtt::clean(broker.mqtt(), "witness");
    witness.subscribe("peace", mqtt_wire::QoS::AtMostOnce);
    for bytes in [
        &[0xff; 64][..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x30, 0x03, 0x00, 0x01],
    ] {
        let mut stream = std::net::TcpStream::connect(broker.mqtt()).unwrap();
        std::io::Write::write_all(&mut stream, bytes).unwrap();
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        let mut rest = Vec::new();
        // Closed in order or reset: closed it is.
        let _reset = std::io::Read::read_to_end(&mut stream, &mut rest);
    }
    witness
        .publish("peace", b"still", mqtt_wire::QoS::AtMostOnce, 0, false, false)
        .unwrap();
    assert_eq!(witness.message().text(), "still");
}
