//! `[[listener]]`: an address to listen on, with or without TLS and WebSocket.

use std::{collections::HashSet, num::NonZeroU32, sync::Arc};

use broker_core::{Entrance, EntranceId, MountPoint};
use mqtt_wire::Version;
use plugin_api::{Check, Problem};
use serde::Deserialize;

use super::{Address, Proxy, RawTls, Tls, entrance::RawEntrance};

/// One `[[listener]]` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// Its name, for logs.
    pub name: String,
    /// Address and port, as in `127.0.0.1:1883`; port 0 takes any free one. Or `unix:` and the path of a socket.
    pub bind: String,
    /// What the file of a Unix socket permits, in octal as in `0660`. By default `0600`.
    pub unix_mode: Option<String>,
    /// Whether every connection begins with a PROXY header of version 1 or 2: `off`, the default, or `required`.
    pub proxy_protocol: Option<String>,
    /// Where proxies connect from, as in `10.0.0.0/8`. Nobody else is served then.
    pub proxy_networks: Option<Vec<String>>,
    /// Whether the common name of a certificate that a proxy says it has verified counts as one shown here.
    pub proxy_common_names: Option<bool>,
    /// Connections at a time at this listener. By default there is no limit besides that of the broker.
    pub connections_max: Option<i64>,
    /// Connections a second that are taken, after a burst of as many; others wait. By default there is no limit.
    pub connections_per_second_max: Option<i64>,
    /// Versions of MQTT that are spoken: `3.1.1` and `5.0`. By default both.
    pub versions: Option<Vec<String>>,
    /// Which authenticators judge who comes in here. By default all of them.
    pub authenticators: Option<Vec<String>>,
    /// Levels that lie above all topics of its clients, as in `site-a/`. By default none.
    pub mount_point: Option<String>,
    /// In place of what `[mqtt]` says.
    pub packet_bytes_max: Option<String>,
    /// In place of what `[mqtt]` says.
    pub qos_max: Option<i64>,
    /// In place of what `[mqtt]` says.
    pub retain_available: Option<bool>,
    /// In place of what `[mqtt]` says.
    pub receive_maximum: Option<i64>,
    /// In place of what `[mqtt]` says.
    pub messages_per_second_max: Option<i64>,
    /// In place of what `[mqtt]` says.
    pub bytes_per_second_max: Option<String>,
    /// In place of what `[mqtt]` says.
    pub session_expiry_max: Option<String>,
    /// In place of what `[mqtt]` says.
    pub keep_alive_max: Option<String>,
    /// In place of what `[mqtt]` says.
    pub topic_alias_max: Option<i64>,
    /// In place of what `[mqtt]` says.
    pub subscriptions_max: Option<i64>,
    /// TLS, if it is to be spoken.
    pub tls: Option<RawTls>,
    /// WebSocket, if MQTT is to be spoken inside it.
    pub websocket: Option<RawWebSocket>,
}

/// `[listener.websocket]` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawWebSocket {
    /// The path that clients ask for. By default `/mqtt`.
    pub path: Option<String>,
    /// Sites whose pages may connect, as in `https://app.example.org`. By default those of any.
    pub origins: Option<Vec<String>>,
}

/// One listener, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The address.
    pub bind: Address,
    /// What the file of a Unix socket permits.
    pub unix_mode: u32,
    /// Whose word counts for where connections come from, if every one begins with a PROXY header.
    pub proxy: Option<Proxy>,
    /// Connections at a time.
    pub connections_max: u32,
    /// Connections a second, if limited.
    pub connections_per_second_max: Option<NonZeroU32>,
    /// Versions of MQTT that are spoken.
    pub versions: Vec<Version>,
    /// Which authenticators judge who comes in here, by names that only they themselves know; without it all.
    pub authenticators: Option<Arc<[String]>>,
    /// What holds for who comes in here.
    pub entrance: Entrance,
    /// TLS, if spoken.
    pub tls: Option<Tls>,
    /// WebSocket, if spoken.
    pub websocket: Option<WebSocket>,
}

/// WebSocket of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocket {
    /// The path that clients ask for.
    pub path: String,
    /// Sites whose pages may connect; without it those of any.
    pub origins: Option<Vec<String>>,
}

/// Checks all listeners; what one does not say of its entrance is as it is for others.
pub(super) fn check(
    listeners: Vec<RawListener>,
    rules: &broker_core::Settings,
    problems: &mut Vec<Problem>,
) -> Vec<Listener> {
    let others = rules.entrance(EntranceId::default());
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    let mut checked = Vec::new();
    for (place, raw) in listeners.into_iter().enumerate() {
        let path = format!("listener[{place}]");
        let mut check = Check::of(&path, problems);
        if raw.name.is_empty() {
            check.problem("name", "nothing", "a name, for example \"mqtt\"");
        }
        if !names.insert(raw.name.clone()) {
            check.problem(
                "name",
                format!("\"{}\" again", raw.name),
                "a name that no other listener has",
            );
        }
        let connections_max = check.number(
            "connections_max",
            raw.connections_max,
            u32::MAX,
            1..=u32::MAX.into(),
        );
        let connections_per_second_max = NonZeroU32::new(check.number(
            "connections_per_second_max",
            raw.connections_per_second_max,
            0,
            1..=1_000_000,
        ));
        let versions = versions(raw.versions, &mut check);
        let entrance = RawEntrance {
            packet_bytes_max: raw.packet_bytes_max,
            qos_max: raw.qos_max,
            retain_available: raw.retain_available,
            receive_maximum: raw.receive_maximum,
            messages_per_second_max: raw.messages_per_second_max,
            bytes_per_second_max: raw.bytes_per_second_max,
            session_expiry_max: raw.session_expiry_max,
            keep_alive_max: raw.keep_alive_max,
            topic_alias_max: raw.topic_alias_max,
            subscriptions_max: raw.subscriptions_max,
        };
        let entrance = Entrance {
            mount_point: mount_point(raw.mount_point, rules, &mut check),
            ..entrance.check(others, &mut check)
        };
        let tls = raw.tls.map(|tls| tls.check(&mut check));
        let websocket = raw.websocket.map(|websocket| websocket.check(&mut check));
        let Some(bind) = Address::check(&raw.bind, &mut check) else {
            continue;
        };
        let unix_mode = unix_mode(raw.unix_mode, &bind, &mut check);
        let proxy = Proxy::check(
            raw.proxy_protocol,
            raw.proxy_networks,
            raw.proxy_common_names,
            &bind,
            &mut check,
        );
        if !bind.is_open() && !addresses.insert(bind.clone()) {
            check.problem(
                "bind",
                format!("\"{bind}\" again"),
                "an address that no other listener has",
            );
        }
        checked.push(Listener {
            name: raw.name,
            bind,
            unix_mode,
            proxy,
            connections_max,
            connections_per_second_max,
            versions,
            authenticators: raw.authenticators.map(Into::into),
            entrance,
            tls,
            websocket,
        });
    }
    checked
}

const VERSIONS: [(&str, Version); 2] = [("3.1.1", Version::V311), ("5.0", Version::V5)];

fn versions(typed: Option<Vec<String>>, check: &mut Check<'_>) -> Vec<Version> {
    let Some(typed) = typed else {
        return VERSIONS.map(|(_, version)| version).to_vec();
    };
    if typed.is_empty() {
        check.problem("versions", "none", "\"3.1.1\", \"5.0\", or both");
    }
    typed
        .into_iter()
        .map(|word| check.choice("versions", Some(word), Version::V5, &VERSIONS))
        .collect()
}

fn mount_point(
    typed: Option<String>,
    rules: &broker_core::Settings,
    check: &mut Check<'_>,
) -> Option<MountPoint> {
    let typed = typed?;
    let (bytes_max, levels_max) = (rules.topic_bytes_max, rules.topic_levels_max);
    let has_room = typed.len() < bytes_max && typed.split('/').nth(levels_max).is_none();
    let why = match MountPoint::parse(&typed) {
        Ok(mount_point) if has_room => return Some(mount_point),
        Ok(_) => "it leaves no room for topics (mqtt.topic_bytes_max, mqtt.topic_levels_max)",
        Err(why) => why,
    };
    check.problem(
        "mount_point",
        format!("{typed:?}: {why}"),
        "whole levels of a topic with / at the end, for example \"site-a/\"",
    );
    None
}

fn unix_mode(typed: Option<String>, bind: &Address, check: &mut Check<'_>) -> u32 {
    const OWNER_ONLY: u32 = 0o600;
    let Some(typed) = typed else {
        return OWNER_ONLY;
    };
    let mode = u32::from_str_radix(&typed, 8).ok().filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        check.problem(
            "unix_mode",
            format!("{typed:?}"),
            "octal digits, for example \"0660\"",
        );
    }
    if bind.ip().is_some() {
        check.problem(
            "unix_mode",
            format!("{typed:?} with an IP address"),
            "none, or a `bind` to \"unix:\" and a path",
        );
    }
    mode.unwrap_or(OWNER_ONLY)
}

impl RawWebSocket {
    fn check(self, check: &mut Check<'_>) -> WebSocket {
        let path = self.path.unwrap_or_else(|| "/mqtt".to_owned());
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(plain) {
            let allowed = "a path that begins with /, without a query, for example \"/mqtt\"";
            check.problem("websocket.path", format!("{path:?}"), allowed);
        }
        for origin in self.origins.iter().flatten() {
            let host = origin.split_once("://").map(|(_, host)| host);
            if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
                let allowed =
                    "scheme, host and port as a browser sends them, for example \"https://app.example.org\"";
                check.problem("websocket.origins", format!("{origin:?}"), allowed);
            }
        }
        WebSocket {
            path,
            origins: self.origins,
        }
    }
}
