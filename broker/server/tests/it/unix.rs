//! Unix sockets: who can connect, what is left behind, and what may be removed.

use std::{
    fs,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use broker::settings::RawWebSocket;
use mqtt_wire::{QoS, ReasonCode, Version};
use plugin_api::Peer;
use tempfile::TempDir;

use crate::{
    client::{Client, SOON, connect},
    frames::Frames,
    house::{Gate, Plan},
};

fn plan(path: &Path) -> Plan {
    Plan {
        bind: format!("unix:{}", path.display()),
        ..Plan::shards(2)
    }
}

fn socket(path: &Path) -> Box<UnixStream> {
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    Box::new(socket)
}

fn enter(mut client: Client, client_id: &str) -> Client {
    let connack = client.introduce(&connect(Version::V5, client_id));
    assert_eq!(connack.reason, ReasonCode::Success);
    client
}

#[test]
fn messages_pass_through_a_unix_socket_and_its_clients_are_of_this_machine() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mqtt.sock");
    let gate = Gate::default();
    let house = Plan {
        gate: gate.clone(),
        ..plan(&path)
    }
    .open();
    assert_eq!(
        house.handle().addresses()[0].1.to_string(),
        format!("unix:{}", path.display())
    );
    let mut lamp = enter(Client::over(socket(&path)), "lamp");
    lamp.subscribe("t", QoS::AtMostOnce);
    let mut switch = enter(Client::over(socket(&path)), "switch");
    let large = "x".repeat(500_000);
    for payload in ["on", &large, "off"] {
        switch.publish("t", payload, QoS::AtMostOnce, 0);
        assert_eq!(lamp.message().payload, payload);
    }
    let logins = gate.logins.lock().unwrap();
    assert!(
        logins
            .iter()
            .all(|login| login.loopback && login.peer == Peer::Unix)
    );
}

#[test]
fn websocket_works_through_a_unix_socket_too() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mqtt.sock");
    let _house = Plan {
        websocket: Some(RawWebSocket::default()),
        ..plan(&path)
    }
    .open();
    let mut lamp = enter(Frames::over(socket(&path)).client(), "lamp");
    lamp.hears_nothing();
}

#[test]
fn its_file_permits_what_the_settings_say_and_goes_with_the_broker() {
    let folder = TempDir::new().unwrap();
    for (mode, permitted) in [(None, 0o600), (Some("0660"), 0o660)] {
        let path = folder.path().join("mqtt.sock");
        let house = Plan {
            unix_mode: mode.map(str::to_owned),
            ..plan(&path)
        }
        .open();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            permitted
        );
        house.drain().unwrap();
        assert!(!path.exists());
    }
}

/// Whoever is killed leaves its socket behind.
#[test]
fn a_socket_that_nobody_answers_on_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mqtt.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _house = plan(&path).open();
    enter(Client::over(socket(&path)), "lamp").hears_nothing();
}

#[test]
fn a_socket_that_somebody_answers_on_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mqtt.sock");
    let first = plan(&path).open();
    let error = plan(&path).try_open().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "listener `test`: cannot listen on unix:{}: another process answers there; stop it or choose another `bind`",
            path.display()
        )
    );
    enter(Client::over(socket(&path)), "lamp").hears_nothing();
    drop(first);
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("letters");
    fs::write(&path, "dear").unwrap();
    let error = plan(&path).try_open().unwrap_err().to_string();
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear");

    let path = folder.path().join("mqtt.sock");
    let house = plan(&path).open();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "dear").unwrap();
    house.drain().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
}

#[test]
fn a_path_that_cannot_be_is_one_clear_line() {
    let folder = TempDir::new().unwrap();
    for (path, why) in [
        (folder.path().join("no/folder/here"), "No such file"),
        (folder.path().join("x".repeat(200)), "path must be shorter"),
    ] {
        let error = plan(&path).try_open().unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
    }
}
