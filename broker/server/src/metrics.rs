//! How things stand: counters of all shards added up, for Prometheus and for `$SYS` topics.

use std::{sync::Arc, time::Duration};

use broker_core::Counters;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    house::House,
    mailbox::{Letter, Tally},
    sys::SysTopics,
};

/// How things stand in the whole broker.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// The rules' counters.
    pub counters: Counters,
    /// Sockets at home, with or without a client that was let in.
    pub connections: u64,
    /// Bytes read from clients.
    pub bytes_received: u64,
    /// Bytes written to clients.
    pub bytes_sent: u64,
    /// Bytes that sockets have not taken yet.
    pub unsent_bytes: u64,
    /// Packets of any kind sent to clients.
    pub packets_sent: u64,
    /// Time since the start.
    pub uptime: Duration,
}

/// How long a shard may take to say how things stand. It answers within one round.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Asks all shards. One that does not answer in time counts for nothing.
pub(crate) async fn tallies(house: &House) -> Vec<Tally> {
    let mut answers = Vec::new();
    for mailbox in &house.mailboxes {
        let (asker, answer) = oneshot::channel();
        mailbox.post(Letter::Count(asker));
        answers.push(answer);
    }
    let mut tallies = Vec::new();
    for answer in answers {
        tallies.push(
            timeout(ANSWER_MAX, answer)
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default(),
        );
    }
    tallies
}

/// Asks all shards, adds up, and brings the metrics up to date.
pub(crate) async fn take_stock(house: &House) -> Stats {
    let mut stats = Stats {
        uptime: house.clock.uptime(),
        ..Stats::default()
    };
    for tally in tallies(house).await {
        stats.connections += tally.connections;
        stats.bytes_received += tally.bytes_received;
        stats.bytes_sent += tally.bytes_sent;
        stats.unsent_bytes += tally.unsent_bytes;
        stats.packets_sent += tally.packets_sent;
        add(&mut stats.counters, &tally.counters);
    }
    record(&stats);
    stats
}

/// Keeps metrics and `$SYS` topics up to date for as long as it is polled.
pub(crate) async fn keep_up(house: Arc<House>, interval: Duration) {
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut topics = SysTopics::default();
    loop {
        interval.tick().await;
        let messages = topics.tell(&take_stock(&house).await);
        let mailbox = house.home("$SYS");
        // Taking the letter gives back as many permits as there are messages.
        if let Ok(permits) = mailbox
            .link_room
            .acquire_many(u32::try_from(messages.len()).unwrap_or(u32::MAX))
            .await
        {
            permits.forget();
            mailbox.post(Letter::LinkPublished(messages));
        }
    }
}

fn add(sum: &mut Counters, other: &Counters) {
    // By name and complete, so that the compiler asks for counters that are new.
    let Counters {
        clients_connected,
        connects,
        sessions,
        subscriptions,
        retained_messages,
        queued_messages,
        queued_bytes,
        packets_received,
        messages_received,
        payload_bytes_received,
        messages_sent,
        payload_bytes_sent,
        dropped_queue_full,
        dropped_slow_reader,
        dropped_overload,
        dropped_expired,
        dropped_too_large,
        dropped_unnamed,
        denied,
        protocol_errors,
        slowed_publishers,
        slowed_by_overload,
        takeovers,
        sessions_expired,
        refused_no_room,
        batches_refused,
        link_timeouts,
        shared_returned,
        damaged_messages,
    } = other;
    sum.clients_connected += clients_connected;
    sum.connects += connects;
    sum.sessions += sessions;
    sum.subscriptions += subscriptions;
    sum.retained_messages += retained_messages;
    sum.queued_messages += queued_messages;
    sum.queued_bytes += queued_bytes;
    sum.packets_received += packets_received;
    sum.messages_received += messages_received;
    sum.payload_bytes_received += payload_bytes_received;
    sum.messages_sent += messages_sent;
    sum.payload_bytes_sent += payload_bytes_sent;
    sum.dropped_queue_full += dropped_queue_full;
    sum.dropped_slow_reader += dropped_slow_reader;
    sum.dropped_overload += dropped_overload;
    sum.dropped_expired += dropped_expired;
    sum.dropped_too_large += dropped_too_large;
    sum.dropped_unnamed += dropped_unnamed;
    sum.denied += denied;
    sum.protocol_errors += protocol_errors;
    sum.slowed_publishers += slowed_publishers;
    sum.slowed_by_overload += slowed_by_overload;
    sum.takeovers += takeovers;
    sum.sessions_expired += sessions_expired;
    sum.refused_no_room += refused_no_room;
    sum.batches_refused += batches_refused;
    sum.link_timeouts += link_timeouts;
    sum.shared_returned += shared_returned;
    sum.damaged_messages += damaged_messages;
}

/// Tells the recorder of metrics what each is. Harmless without a recorder.
pub(crate) fn describe() {
    describe_gauge!("twinmq_connections", "Sockets at home in a shard.");
    describe_gauge!("twinmq_clients_connected", "Clients that are connected.");
    describe_gauge!("twinmq_sessions", "Sessions, connected or not.");
    describe_gauge!("twinmq_subscriptions", "Subscriptions of all sessions.");
    describe_gauge!("twinmq_retained_messages", "Retained messages.");
    describe_gauge!("twinmq_queued_messages", "Messages that wait for sessions.");
    describe_gauge!(
        "twinmq_queued_bytes",
        Unit::Bytes,
        "Bytes of messages that wait for sessions."
    );
    describe_counter!("twinmq_connects_total", "Clients that were let in.");
    describe_counter!(
        "twinmq_packets_received_total",
        "Packets of any kind taken from clients."
    );
    describe_counter!(
        "twinmq_packets_sent_total",
        "Packets of any kind sent to clients."
    );
    describe_gauge!(
        "twinmq_unsent_bytes",
        Unit::Bytes,
        "Bytes that sockets have not taken yet."
    );
    describe_gauge!(
        "twinmq_overload_stage",
        "What is done because memory is short: 0 nothing, 1 publishers are slowed, 2 and QoS 0 is dropped for receivers that \
         lag, 3 and no connections are let in."
    );
    describe_gauge!(
        "twinmq_memory_bytes",
        Unit::Bytes,
        "Resident memory of the process, where there is a ceiling."
    );
    describe_gauge!(
        "twinmq_memory_max_bytes",
        Unit::Bytes,
        "The ceiling of it (broker.memory_max)."
    );
    describe_gauge!("twinmq_uptime_seconds", Unit::Seconds, "Time since the start.");
    describe_counter!(
        "twinmq_messages_received_total",
        "PUBLISH packets taken from clients."
    );
    describe_counter!("twinmq_messages_sent_total", "PUBLISH packets sent to clients.");
    describe_counter!(
        "twinmq_messages_dropped_total",
        "Messages not delivered to a receiver, by reason."
    );
    describe_counter!(
        "twinmq_received_bytes_total",
        Unit::Bytes,
        "Bytes read from clients."
    );
    describe_counter!(
        "twinmq_sent_bytes_total",
        Unit::Bytes,
        "Bytes written to clients."
    );
    describe_counter!(
        "twinmq_connections_refused_total",
        "Connections turned away before they had a home, by reason; `gave way` are those whose place was needed."
    );
    describe_counter!(
        "twinmq_connections_delayed_total",
        "Connections that waited because too many came in a second at their listener."
    );
    describe_counter!(
        "twinmq_clients_banned_total",
        "Times a client was banned because it connected too often."
    );
    describe_counter!(
        "twinmq_flapping_forgotten_total",
        "Counts and bans of clients that made room for others before they were over."
    );
    describe_counter!(
        "twinmq_denied_total",
        "Publishes, subscriptions and wills that were not authorized."
    );
    describe_counter!(
        "twinmq_protocol_errors_total",
        "Connections closed for malformed packets or broken rules."
    );
    describe_counter!(
        "twinmq_publishers_slowed_total",
        "Times a client was read more slowly because it published too much, by reason."
    );
    describe_counter!(
        "twinmq_receivers_given_up_total",
        "Connections closed because their peer took nothing of what waited for it for too long."
    );
    describe_counter!(
        "twinmq_takeovers_total",
        "Sessions taken over by another connection."
    );
    describe_counter!("twinmq_sessions_expired_total", "Sessions that expired.");
    describe_counter!(
        "twinmq_messages_refused_total",
        "Messages that were not taken from their publisher, by reason."
    );
    describe_counter!("twinmq_batches_refused_total", "Batches the store refused.");
    describe_counter!(
        "twinmq_link_timeouts_total",
        "Deliveries that a link did not answer in time."
    );
    describe_counter!(
        "twinmq_shared_returned_total",
        "Messages of shared subscriptions that a member gave back, to be handed to another."
    );
    describe_counter!(
        "twinmq_damaged_messages_total",
        "Stored messages that could not be read back."
    );
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn record(stats: &Stats) {
    let counters = &stats.counters;
    gauge!("twinmq_connections").set(stats.connections as f64);
    gauge!("twinmq_clients_connected").set(counters.clients_connected as f64);
    counter!("twinmq_connects_total").absolute(counters.connects);
    gauge!("twinmq_sessions").set(counters.sessions as f64);
    gauge!("twinmq_subscriptions").set(counters.subscriptions as f64);
    gauge!("twinmq_retained_messages").set(counters.retained_messages as f64);
    gauge!("twinmq_queued_messages").set(counters.queued_messages as f64);
    gauge!("twinmq_queued_bytes").set(counters.queued_bytes as f64);
    gauge!("twinmq_unsent_bytes").set(stats.unsent_bytes as f64);
    gauge!("twinmq_uptime_seconds").set(stats.uptime.as_secs_f64());
    counter!("twinmq_packets_received_total").absolute(counters.packets_received);
    counter!("twinmq_packets_sent_total").absolute(stats.packets_sent);
    counter!("twinmq_messages_received_total").absolute(counters.messages_received);
    counter!("twinmq_messages_sent_total").absolute(counters.messages_sent);
    for (reason, dropped) in dropped(counters) {
        counter!("twinmq_messages_dropped_total", "reason" => reason).absolute(dropped);
    }
    counter!("twinmq_received_bytes_total").absolute(stats.bytes_received);
    counter!("twinmq_sent_bytes_total").absolute(stats.bytes_sent);
    counter!("twinmq_denied_total").absolute(counters.denied);
    counter!("twinmq_protocol_errors_total").absolute(counters.protocol_errors);
    for (reason, slowed) in [
        ("limit", counters.slowed_publishers),
        ("overload", counters.slowed_by_overload),
    ] {
        counter!("twinmq_publishers_slowed_total", "reason" => reason).absolute(slowed);
    }
    counter!("twinmq_takeovers_total").absolute(counters.takeovers);
    counter!("twinmq_sessions_expired_total").absolute(counters.sessions_expired);
    counter!("twinmq_messages_refused_total", "reason" => "no_room").absolute(counters.refused_no_room);
    counter!("twinmq_batches_refused_total").absolute(counters.batches_refused);
    counter!("twinmq_link_timeouts_total").absolute(counters.link_timeouts);
    counter!("twinmq_shared_returned_total").absolute(counters.shared_returned);
    counter!("twinmq_damaged_messages_total").absolute(counters.damaged_messages);
}

/// Messages that were dropped, for whatever reason.
pub(crate) fn dropped_messages(counters: &Counters) -> u64 {
    dropped(counters).iter().map(|(_, count)| count).sum()
}

const fn dropped(counters: &Counters) -> [(&'static str, u64); 6] {
    [
        ("queue_full", counters.dropped_queue_full),
        ("slow_reader", counters.dropped_slow_reader),
        ("overload", counters.dropped_overload),
        ("expired", counters.dropped_expired),
        ("too_large", counters.dropped_too_large),
        ("unnamed", counters.dropped_unnamed),
    ]
}
