//! Retained messages and twin updates: what was acknowledged is never older afterwards.

use std::{io, sync::atomic::Ordering, time::Duration};

use mqtt_wire::{Connect, Packet, QoS, Version};

use super::Load;
use crate::support::{Heard, Http, Mqtt};

/// Publishes growing retained numbers, and looks on each new connection that none went back. Answers the last.
pub(super) fn keep_retained(load: &Load) -> u64 {
    let (mut next, mut acked) = (1, 0);
    while !load.enough.load(Ordering::SeqCst) {
        let _broken = retain(load, &mut next, &mut acked);
    }
    let mut found = Mqtt::clean(load.mqtt, "reader");
    found.subscribe_and_keep("kept/number");
    let kept: u64 = found.message().text().parse().unwrap();
    assert!(kept >= acked, "retained {kept} after {acked} was acknowledged");
    acked
}

fn retain(load: &Load, next: &mut u64, acked: &mut u64) -> io::Result<()> {
    let (mut client, _) = Mqtt::connect(load.mqtt, Connect::new(Version::V5, "retainer"))?;
    if *acked > 0 {
        client.subscribe_and_keep("kept/number");
        if let Some(message) = client.message_or_lost()? {
            let kept: u64 = message.text().parse().unwrap();
            assert!(kept >= *acked, "retained {kept} after {acked} was acknowledged");
        }
    }
    while !load.enough.load(Ordering::SeqCst) {
        client.publish(
            "kept/number",
            next.to_string().as_bytes(),
            QoS::AtLeastOnce,
            7,
            true,
            false,
        )?;
        *next += 1;
        loop {
            match client.hear(Duration::from_secs(5))? {
                Some(Heard::Packet(Packet::PubAck(_))) => break,
                Some(Heard::Message(message)) => {
                    if let Some(id) = message.id {
                        client.send(&Packet::PubAck(mqtt_wire::Ack::new(id)))?;
                    }
                }
                Some(_) => {}
                None => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        *acked = *next - 1;
    }
    Ok(())
}

/// Changes a twin over HTTP, and looks that neither its version nor its state goes back. Answers the last version.
pub(super) fn change_twin(load: &Load) -> u64 {
    let http = Http::to(load.http);
    let (mut next, mut version, mut number) = (1_u64, 0, 0);
    while !load.enough.load(Ordering::SeqCst) {
        let Ok(answer) = http.desire("crash-test", &format!(r#"{{"number": {next}}}"#)) else {
            continue;
        };
        next += 1;
        if answer.status != 200 {
            continue;
        }
        let twin = answer.json();
        let (is_version, is_number) = (
            twin["version"].as_u64().unwrap(),
            twin["desired"]["number"].as_u64().unwrap(),
        );
        assert!(
            is_version > version,
            "version {is_version} after {version} was answered"
        );
        assert!(
            is_number > number,
            "desired {is_number} after {number} was answered"
        );
        (version, number) = (is_version, is_number);
    }
    let twin = http.get("/v1/devices/crash-test/twin").json();
    assert!(twin["version"].as_u64().unwrap() >= version);
    assert!(twin["desired"]["number"].as_u64().unwrap() >= number);
    version
}
