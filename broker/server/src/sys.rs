//! The `$SYS` topics: how things stand, as retained messages in the names that mosquitto uses.

use std::time::Duration;

use broker_core::{LinkMessage, To};
use mqtt_wire::QoS;

use crate::metrics::{Stats, dropped_messages};

/// What the figures under `load` are averaged over: name and minutes.
const SPANS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

/// What has to be remembered from one telling to the next.
#[derive(Debug, Default)]
pub(crate) struct SysTopics {
    last: Option<Stats>,
    clients_max: u64,
    loads: [Load; LOADS],
}

/// Events a minute, averaged over each span: what is long ago counts exponentially less.
#[derive(Debug, Default, Clone, Copy)]
struct Load([f64; SPANS.len()]);

impl Load {
    fn take(&mut self, events: u64, minutes: f64) {
        if minutes <= 0.0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "an average needs no more than 52 bits")]
        let rate = events as f64 / minutes;
        for (load, (_, span)) in self.0.iter_mut().zip(SPANS) {
            *load = rate + (*load - rate) * (-minutes / span).exp();
        }
    }
}

const LOADS: usize = 8;

/// What grows, by its name under `load`.
fn growing(stats: &Stats) -> [(&'static str, u64); LOADS] {
    let counters = &stats.counters;
    [
        ("messages/received", counters.packets_received),
        ("messages/sent", stats.packets_sent),
        ("publish/received", counters.messages_received),
        ("publish/sent", counters.messages_sent),
        ("publish/dropped", dropped_messages(counters)),
        ("bytes/received", stats.bytes_received),
        ("bytes/sent", stats.bytes_sent),
        ("connections", counters.connects),
    ]
}

impl SysTopics {
    /// Everything there is to tell.
    pub(crate) fn tell(&mut self, stats: &Stats) -> Vec<LinkMessage> {
        self.clients_max = self.clients_max.max(stats.counters.clients_connected);
        self.note_loads(stats);
        let texts = [
            (
                "version".to_owned(),
                concat!("TwinMQ ", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
            ("uptime".to_owned(), format!("{} seconds", stats.uptime.as_secs())),
        ];
        let numbers = self
            .numbers(stats)
            .map(|(name, number)| (name.to_owned(), number.to_string()));
        let told = texts.into_iter().chain(numbers).chain(self.averages(stats));
        told.map(|(name, value)| message(&name, value)).collect()
    }

    fn note_loads(&mut self, stats: &Stats) {
        let last = self.last.replace(*stats).unwrap_or_default();
        let minutes = minutes(stats.uptime.saturating_sub(last.uptime));
        for (load, ((_, now), (_, before))) in self
            .loads
            .iter_mut()
            .zip(growing(stats).into_iter().zip(growing(&last)))
        {
            load.take(now.saturating_sub(before), minutes);
        }
    }

    fn numbers(&self, stats: &Stats) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let counters = &stats.counters;
        let disconnected = counters.sessions.saturating_sub(counters.clients_connected);
        let dropped = dropped_messages(counters);
        [
            ("clients/connected", counters.clients_connected),
            ("clients/active", counters.clients_connected),
            ("clients/disconnected", disconnected),
            ("clients/inactive", disconnected),
            ("clients/expired", counters.sessions_expired),
            ("clients/maximum", self.clients_max),
            ("clients/total", counters.sessions),
            ("messages/received", counters.packets_received),
            ("messages/sent", stats.packets_sent),
            (
                "messages/stored",
                counters.retained_messages + counters.queued_messages,
            ),
            ("publish/messages/received", counters.messages_received),
            ("publish/messages/sent", counters.messages_sent),
            ("publish/messages/dropped", dropped),
            ("publish/bytes/received", counters.payload_bytes_received),
            ("publish/bytes/sent", counters.payload_bytes_sent),
            ("bytes/received", stats.bytes_received),
            ("bytes/sent", stats.bytes_sent),
            ("subscriptions/count", counters.subscriptions),
            ("retained messages/count", counters.retained_messages),
            ("store/messages/count", counters.queued_messages),
            ("store/messages/bytes", counters.queued_bytes),
        ]
        .into_iter()
    }

    fn averages(&self, stats: &Stats) -> impl Iterator<Item = (String, String)> {
        let named = growing(stats).into_iter().zip(&self.loads);
        named.flat_map(|((name, _), load)| {
            let spans = SPANS.iter().zip(load.0);
            spans.map(move |((span, _), value)| (format!("load/{name}/{span}"), format!("{value:.2}")))
        })
    }
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

fn message(name: &str, value: String) -> LinkMessage {
    LinkMessage {
        topic: format!("$SYS/broker/{name}").into(),
        payload: value.into_bytes(),
        properties: Vec::new(),
        qos: QoS::AtMostOnce,
        retain: true,
        to: To::Everyone,
        replace: None,
    }
}

#[cfg(test)]
mod tests {
    use broker_core::Counters;

    use super::*;

    fn value(told: &[LinkMessage], name: &str) -> String {
        let topic = format!("$SYS/broker/{name}");
        let found = told.iter().find(|message| *message.topic == *topic);
        String::from_utf8_lossy(&found.expect("it is told").payload).into_owned()
    }

    fn after(secs: u64, messages_received: u64, clients_connected: u64) -> Stats {
        Stats {
            uptime: Duration::from_secs(secs),
            counters: Counters {
                messages_received,
                clients_connected,
                sessions: 3,
                ..Counters::default()
            },
            ..Stats::default()
        }
    }

    #[test]
    fn steady_load_comes_near_its_rate_sooner_over_a_shorter_span() {
        let mut topics = SysTopics::default();
        let mut told = Vec::new();
        for tick in 0..=30 {
            told = topics.tell(&after(tick * 10, tick * 100, 1));
        }
        let load = |span| value(&told, &format!("load/publish/received/{span}")).parse::<f64>();
        let loads = ["1min", "5min", "15min"].map(|span| load(span).expect("a number"));
        // After five minutes of 600 a minute: 1 - exp(-5), 1 - exp(-1) and 1 - exp(-1/3) of it.
        for (load, expected) in loads.into_iter().zip([595.96, 379.27, 170.08]) {
            assert!((load - expected).abs() < 0.1, "{loads:?}");
        }
    }

    #[test]
    fn most_clients_at_a_time_are_remembered() {
        let mut topics = SysTopics::default();
        topics.tell(&after(0, 0, 3));
        let told = topics.tell(&after(10, 0, 1));
        assert_eq!(value(&told, "clients/maximum"), "3");
        assert_eq!(value(&told, "clients/connected"), "1");
        assert_eq!(value(&told, "clients/disconnected"), "2");
    }

    #[test]
    fn every_topic_is_told_once() {
        let told = SysTopics::default().tell(&after(1, 1, 1));
        let topics: std::collections::BTreeSet<_> = told.iter().map(|message| &message.topic).collect();
        assert_eq!(topics.len(), told.len());
    }
}
