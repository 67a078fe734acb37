//! What the sections take, and what they say to what they do not take.

use std::{num::NonZeroU32, path::PathBuf};

use broker_core::{Entrance, MountPoint};
use mqtt_wire::QoS;

use super::*;

fn listener(name: &str, bind: &str) -> RawListener {
    RawListener {
        name: name.into(),
        bind: bind.into(),
        ..RawListener::default()
    }
}

fn checked(listeners: Vec<RawListener>, problems: &mut Vec<Problem>) -> Vec<Listener> {
    listener::check(listeners, &broker_core::Settings::default(), problems)
}

#[test]
fn what_ships_is_without_problems() {
    let mut problems = Vec::new();
    let listeners = vec![listener("mqtt", "127.0.0.1:1883")];
    let settings = Settings::check(RawBroker::default(), listeners, RawMqtt::default(), &mut problems);
    assert_eq!(problems, []);
    assert_eq!(settings.rules, broker_core::Settings::default());
    assert!(settings.broker.shards >= 1);
    assert!(settings.broker.connections_max >= 1);
}

#[test]
fn all_problems_are_told_at_once_with_their_keys() {
    let mut problems = Vec::new();
    let broker = RawBroker {
        shards: Some(999),
        gate_timeout: Some("0s".into()),
        flapping_connects_max: Some(0),
        flapping_window: Some("1d".into()),
        flapping_ban: Some("0s".into()),
        memory_max: Some("1MiB".into()),
        ..RawBroker::default()
    };
    let mqtt = RawMqtt {
        qos_max: Some(3),
        receive_maximum: Some(0),
        keep_alive_max: Some("1d".into()),
        shared_strategy: Some("fair".into()),
        ..RawMqtt::default()
    };
    let mut with_tls = listener("mqtt", "localhost:1883");
    with_tls.tls = Some(RawTls {
        certificate: "server.pem".into(),
        key: "server.key".into(),
        client_ca: None,
        client_certificate: Some("required".into()),
        named: vec![RawNamed {
            certificate: "a.pem".into(),
            key: PathBuf::new(),
            names: Some(vec!["*.Example.org".into(), "a..b".into()]),
        }],
    });
    with_tls.websocket = Some(RawWebSocket {
        path: Some("mqtt".into()),
        origins: Some(vec!["https://app.example.org".into(), "app.example.org".into()]),
    });
    let mut other = with_tls.clone();
    other.websocket = None;
    other.bind = "[::1]:8883".into();
    Settings::check(broker, vec![with_tls, other], mqtt, &mut problems);
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "broker.shards",
            "broker.gate_timeout",
            "broker.memory_max",
            "broker.flapping_connects_max",
            "broker.flapping_window",
            "broker.flapping_ban",
            "mqtt.qos_max",
            "mqtt.receive_maximum",
            "mqtt.keep_alive_max",
            "mqtt.shared_strategy",
            "listener[0].tls.client_ca",
            "listener[0].tls.named.key",
            "listener[0].tls.named.names",
            "listener[0].websocket.path",
            "listener[0].websocket.origins",
            "listener[0].bind",
            "listener[1].name",
            "listener[1].tls.client_ca",
            "listener[1].tls.named.key",
            "listener[1].tls.named.names",
        ]
    );
}

#[test]
fn nobody_is_banned_for_connecting_unless_a_ban_is_set() {
    let mut problems = Vec::new();
    assert_eq!(RawBroker::default().check(&mut problems).flapping, None);
    let with = RawBroker {
        flapping_ban: Some("5min".into()),
        ..RawBroker::default()
    };
    let minute = Duration::from_secs(60);
    let limits = FlappingLimits {
        connects_max: 15,
        window: minute,
        ban: 5 * minute,
    };
    assert_eq!(with.check(&mut problems).flapping, Some(limits));
    assert_eq!(problems, []);
}

#[test]
fn two_listeners_cannot_share_an_address_unless_any_port_will_do() {
    let mut problems = Vec::new();
    let twice = |bind| vec![listener("a", bind), listener("b", bind)];
    checked(twice("127.0.0.1:0"), &mut problems);
    assert_eq!(problems, []);
    checked(twice("127.0.0.1:1883"), &mut problems);
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_unix_socket_is_named_by_its_path() {
    let mut problems = Vec::new();
    let mut open_to_a_group = listener("a", "unix:/run/a.sock");
    open_to_a_group.unix_mode = Some("0660".into());
    let all = checked(vec![open_to_a_group, listener("b", "unix:b.sock")], &mut problems);
    assert_eq!(problems, []);
    let modes: Vec<_> = all.iter().map(|listener| listener.unix_mode).collect();
    assert_eq!(modes, [0o660, 0o600]);
    assert_eq!(all[0].bind.to_string(), "unix:/run/a.sock");
}

#[test]
fn what_is_no_unix_socket_is_told() {
    let mut problems = Vec::new();
    let mut wrong_mode = listener("b", "unix:/run/a.sock");
    wrong_mode.unix_mode = Some("rw-rw----".into());
    let mut mode_of_nothing = listener("c", "127.0.0.1:1");
    mode_of_nothing.unix_mode = Some("0660".into());
    let all = vec![
        listener("a", "unix:/run/a.sock"),
        wrong_mode,
        mode_of_nothing,
        listener("d", "unix:"),
    ];
    checked(all, &mut problems);
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "listener[1].unix_mode",
            "listener[1].bind",
            "listener[2].unix_mode",
            "listener[3].bind"
        ]
    );
}

#[test]
fn a_listener_behind_proxies_says_which() {
    let mut problems = Vec::new();
    let with = |name, bind, mode: &str, networks: Option<&str>| RawListener {
        proxy_protocol: Some(mode.into()),
        proxy_networks: networks.map(|network| vec![network.into()]),
        ..listener(name, bind)
    };
    let right = vec![
        with("a", "127.0.0.1:1", "required", Some("10.0.0.0/8")),
        with("b", "unix:b.sock", "required", None),
        with("c", "127.0.0.1:2", "off", None),
    ];
    let proxies = checked(right, &mut problems);
    assert_eq!(problems, []);
    let required: Vec<_> = proxies.iter().map(|listener| listener.proxy.is_some()).collect();
    assert_eq!(required, [true, true, false]);
    let wrong = vec![
        with("a", "127.0.0.1:1", "required", None),
        with("b", "unix:b.sock", "required", Some("10.0.0.0/8")),
        with("c", "127.0.0.1:2", "off", Some("10.0.0.0/8")),
        with("d", "127.0.0.1:3", "required", Some("10.0.0.1/8")),
        with("e", "127.0.0.1:4", "optional", None),
    ];
    checked(wrong, &mut problems);
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "listener[0].proxy_networks",
            "listener[1].proxy_networks",
            "listener[2].proxy_networks",
            "listener[3].proxy_networks",
            "listener[4].proxy_protocol"
        ]
    );
}

#[test]
fn a_listener_speaks_the_versions_it_names() {
    let mut problems = Vec::new();
    let with = |name, bind, versions: &[&str]| RawListener {
        versions: Some(versions.iter().map(|version| (*version).into()).collect()),
        ..listener(name, bind)
    };
    let all = checked(
        vec![
            listener("a", "127.0.0.1:1"),
            with("b", "127.0.0.1:2", &["5.0"]),
            with("c", "127.0.0.1:3", &[]),
            with("d", "127.0.0.1:4", &["3.1.1", "5"]),
        ],
        &mut problems,
    );
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["listener[2].versions", "listener[3].versions"]);
    let counts: Vec<_> = all.iter().map(|listener| listener.versions.len()).collect();
    assert_eq!(counts, [2, 1, 0, 2]);
}

#[test]
fn connections_a_second_are_a_number_or_not_limited() {
    let mut problems = Vec::new();
    let with = |name, bind, number| RawListener {
        connections_per_second_max: number,
        ..listener(name, bind)
    };
    let checked = checked(
        vec![
            with("a", "127.0.0.1:1", None),
            with("b", "127.0.0.1:2", Some(50)),
            with("c", "127.0.0.1:3", Some(0)),
            with("d", "127.0.0.1:4", Some(1_000_001)),
        ],
        &mut problems,
    );
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    let key = "connections_per_second_max";
    assert_eq!(keys, [format!("listener[2].{key}"), format!("listener[3].{key}")]);
    let limits: Vec<_> = checked
        .iter()
        .map(|listener| listener.connections_per_second_max.map(NonZeroU32::get))
        .collect();
    assert_eq!(limits, [None, Some(50), None, None]);
}

#[test]
fn the_protocols_seconds_come_from_any_unit() {
    let mut problems = Vec::new();
    let mqtt = RawMqtt {
        keep_alive_max: Some("5min".into()),
        session_expiry_max: Some("36500d".into()),
        ..RawMqtt::default()
    };
    let rules = mqtt.check(&mut problems);
    assert_eq!(problems, []);
    assert_eq!(rules.entrances[0].keep_alive_max_secs, 300);
    assert!(u32::try_from(rules.entrances[0].session_expiry_max.as_secs()).is_ok());
}

#[test]
fn a_listener_has_its_own_limits_and_else_those_of_mqtt() {
    let mut problems = Vec::new();
    let mqtt = RawMqtt {
        subscriptions_max: Some(20),
        messages_per_second_max: Some(7),
        qos_max: Some(1),
        ..RawMqtt::default()
    };
    let other = RawListener {
        packet_bytes_max: Some("64KiB".into()),
        qos_max: Some(0),
        retain_available: Some(false),
        receive_maximum: Some(8),
        messages_per_second_max: Some(100),
        bytes_per_second_max: Some("1MiB".into()),
        session_expiry_max: Some("1h".into()),
        keep_alive_max: Some("5min".into()),
        topic_alias_max: Some(0),
        subscriptions_max: Some(10),
        ..listener("b", "127.0.0.1:2")
    };
    let listeners = vec![listener("a", "127.0.0.1:1"), other];
    let settings = Settings::check(RawBroker::default(), listeners, mqtt, &mut problems);
    assert_eq!(problems, []);
    let as_mqtt_says = Entrance {
        subscriptions_max: 20,
        messages_per_second_max: NonZeroU32::new(7),
        qos_max: QoS::AtLeastOnce,
        ..Entrance::default()
    };
    let as_it_says = Entrance {
        packet_bytes_max: 65_536,
        qos_max: QoS::AtMostOnce,
        retain_available: false,
        receive_maximum: 8,
        messages_per_second_max: NonZeroU32::new(100),
        bytes_per_second_max: NonZeroU32::new(1 << 20),
        session_expiry_max: Duration::from_secs(3600),
        keep_alive_max_secs: 300,
        topic_alias_max: 0,
        subscriptions_max: 10,
        mount_point: None,
    };
    assert_eq!(settings.rules.entrances, [as_mqtt_says, as_it_says]);
}

#[test]
fn a_mount_point_is_whole_levels_and_leaves_room() {
    let mut problems = Vec::new();
    let with = |mount_point: &str| {
        let listener = RawListener {
            mount_point: Some(mount_point.into()),
            ..listener("a", "127.0.0.1:1")
        };
        vec![listener]
    };
    let right = checked(with("site-a/hall/"), &mut problems);
    assert_eq!(problems, []);
    let mount_point = right[0].entrance.mount_point.as_ref();
    assert_eq!(mount_point.map(MountPoint::as_str), Some("site-a/hall/"));
    let long = format!("{}/", "x".repeat(4095));
    let deep = "x/".repeat(128);
    for (wrong, why) in [
        ("", "empty"),
        ("site-a", "end with"),
        ("+/", "wildcard"),
        ("a/#/", "wildcard"),
        ("$SYS/", "belong to the broker"),
        (&long, "no room"),
        (&deep, "no room"),
    ] {
        problems.clear();
        checked(with(wrong), &mut problems);
        assert_eq!(problems.len(), 1, "{wrong}");
        assert_eq!(problems[0].key, "listener[0].mount_point");
        assert!(problems[0].found.contains(why), "{}", problems[0]);
    }
}

#[test]
fn limits_of_a_listener_are_checked_as_those_of_mqtt() {
    let mut problems = Vec::new();
    let wrong = RawListener {
        packet_bytes_max: Some("1B".into()),
        qos_max: Some(3),
        receive_maximum: Some(0),
        messages_per_second_max: Some(0),
        bytes_per_second_max: Some("1".into()),
        session_expiry_max: Some("for ever".into()),
        keep_alive_max: Some("1d".into()),
        topic_alias_max: Some(65_536),
        subscriptions_max: Some(-1),
        ..listener("a", "127.0.0.1:1")
    };
    checked(vec![wrong], &mut problems);
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "listener[0].packet_bytes_max",
            "listener[0].qos_max",
            "listener[0].receive_maximum",
            "listener[0].messages_per_second_max",
            "listener[0].bytes_per_second_max",
            "listener[0].session_expiry_max",
            "listener[0].keep_alive_max",
            "listener[0].topic_alias_max",
            "listener[0].subscriptions_max",
        ]
    );
}

#[test]
fn the_ceiling_of_memory_is_a_share_of_what_there_is_or_what_was_typed_or_none() {
    let mut problems = Vec::new();
    let mut ceiling = |typed: Option<&str>| {
        let raw = RawBroker {
            memory_max: typed.map(Into::into),
            ..RawBroker::default()
        };
        raw.check(&mut problems).memory_max
    };
    let available = memory::available().expect("on Linux");
    assert_eq!(ceiling(None), Some(available / 5 * 4));
    assert_eq!(ceiling(Some("1GiB")), Some(1 << 30));
    assert_eq!(ceiling(Some("none")), None);
    assert_eq!(problems, []);
}
