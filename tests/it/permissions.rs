//! Who gets in, and what they may do then: over MQTT, TLS and HTTP, with files as an operator writes them.

mod certificates;
mod credentials;
mod listeners;
mod nobody;
mod passwords;
mod rules;
mod scram;

use std::{fs, io::Write, net::SocketAddr, process::Stdio};

use mqtt_wire::{Connect, Packet, QoS, ReasonCode, Version};

use crate::support::{House, Mqtt, twinmq};

/// Users in `users`, rules in `acl`; everything that can be logged is.
const GUARDED: &str = "[auth]\npassword_file = \"users\"\nacl_file = \"acl\"\n[log]\nlevel = \"trace\"\n";

/// A house with these rules and users; the password of each is `<name>-opensesame`.
fn guarded(rules: &str, users: &[&str]) -> House {
    let house = House::new(GUARDED);
    write_rules(&house, rules);
    for user in users {
        set_password(&house, user, &password(user));
    }
    house
}

fn password(user: &str) -> String {
    format!("{user}-opensesame")
}

fn write_rules(house: &House, rules: &str) {
    fs::write(house.folder.path().join("acl"), rules).unwrap();
}

/// What an operator does: `twinmq passwd users NAME < password`; and what it says.
fn set_password(house: &House, user: &str, password: &str) -> String {
    passwd(house, &["users", user], password)
}

/// `twinmq passwd` with these arguments.
fn passwd(house: &House, arguments: &[&str], password: &str) -> String {
    let mut command = twinmq(["passwd"]);
    command.args(arguments);
    command.current_dir(house.folder.path());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn hello(version: Version, client_id: &str, credentials: Option<(&str, &str)>) -> Connect {
    let mut connect = Connect::new(version, client_id);
    if let Some((user, password)) = credentials {
        connect.username = Some(user.into());
        connect.password = Some(password.into());
    }
    connect
}

/// What CONNACK says to these credentials.
fn knock(to: SocketAddr, version: Version, credentials: Option<(&str, &str)>) -> ReasonCode {
    Mqtt::connect(to, hello(version, "", credentials))
        .unwrap()
        .1
        .reason
}

/// A client that came in with the user's first password.
fn enter(to: SocketAddr, version: Version, client_id: &str, user: &str) -> Mqtt {
    let (client, connack) =
        Mqtt::connect(to, hello(version, client_id, Some((user, &password(user))))).unwrap();
    assert_eq!(connack.reason, ReasonCode::Success);
    client
}

/// Whether a QoS 1 publish is let through. MQTT 3.1.1 does not tell: there it always seems so.
fn may_publish(client: &mut Mqtt, topic: &str) -> bool {
    client
        .publish(topic, b"x", QoS::AtLeastOnce, 7, false, false)
        .unwrap();
    match client.await_packet(|packet| matches!(packet, Packet::PubAck(_))) {
        Packet::PubAck(ack) if ack.reason == ReasonCode::NotAuthorized => false,
        Packet::PubAck(ack) if !ack.reason.is_error() => true,
        other => panic!("{other:?} is neither a yes nor a no"),
    }
}

/// What SUBACK says to a subscribe with QoS 1.
fn subscribe(client: &mut Mqtt, filter: &str) -> ReasonCode {
    client.subscribe_and_keep(filter);
    match client.await_packet(|packet| matches!(packet, Packet::SubAck(_))) {
        Packet::SubAck(suback) => suback.reasons[0],
        _ => unreachable!("it was waited for"),
    }
}

/// No password, no header that holds one, and no hash stands in the log of a house that has ended.
fn assert_log_keeps_secrets(house: &House, users: &[&str]) {
    let log = house.log();
    assert!(log.contains("SIGTERM"), "the log is whole");
    let stored = fs::read_to_string(house.folder.path().join("users")).unwrap();
    let hashes = stored
        .lines()
        .filter_map(|line| line.rsplit_once('$'))
        .map(|(_, hash)| hash.to_owned());
    let passwords = users
        .iter()
        .flat_map(|user| [password(user), basic(user, &password(user))]);
    for secret in hashes.chain(passwords).chain(["opensesame".into()]) {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}

/// The credentials of a Basic header.
fn basic(user: &str, password: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(format!("{user}:{password}"))
}
