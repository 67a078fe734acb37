//! Plain numbers a shard keeps; the outside adds them up and turns them into metrics.

/// Totals since the start, and present counts where the name says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clients connected at present.
    pub clients_connected: u64,
    /// Clients that were let in.
    pub connects: u64,
    /// Sessions of clients at present, connected or not.
    pub sessions: u64,
    /// Subscriptions at present.
    pub subscriptions: u64,
    /// Retained messages at present.
    pub retained_messages: u64,
    /// Messages waiting for sessions at present.
    pub queued_messages: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// Packets of any kind taken from clients.
    pub packets_received: u64,
    /// PUBLISH packets taken from clients.
    pub messages_received: u64,
    /// Bytes of their payloads.
    pub payload_bytes_received: u64,
    /// PUBLISH packets sent to clients.
    pub messages_sent: u64,
    /// Bytes of their payloads.
    pub payload_bytes_sent: u64,
    /// Messages not queued because the session's queue was full.
    pub dropped_queue_full: u64,
    /// `QoS` 0 messages not sent because the client reads too slowly.
    pub dropped_slow_reader: u64,
    /// `QoS` 0 messages not sent because memory is short and the client lags behind.
    pub dropped_overload: u64,
    /// Messages that expired before they could be sent.
    pub dropped_expired: u64,
    /// Messages larger than their receiver takes.
    pub dropped_too_large: u64,
    /// Messages that their receiver, which has a mount point, has no name for.
    pub dropped_unnamed: u64,
    /// Publishes, subscriptions and wills that were not authorized.
    pub denied: u64,
    /// Times a client was read more slowly because it published too much.
    pub slowed_publishers: u64,
    /// Times a client was read more slowly because it published above `QoS` 0 while memory was short.
    pub slowed_by_overload: u64,
    /// Connections closed for malformed packets or broken rules.
    pub protocol_errors: u64,
    /// Sessions taken over by another connection.
    pub takeovers: u64,
    /// Sessions that expired.
    pub sessions_expired: u64,
    /// Messages refused because the store had no room for what makes it grow.
    pub refused_no_room: u64,
    /// Batches the store refused.
    pub batches_refused: u64,
    /// Deliveries that a link did not answer in time.
    pub link_timeouts: u64,
    /// Messages of shared subscriptions that a member gave back, to be handed to another.
    pub shared_returned: u64,
    /// Stored messages that could not be read back.
    pub damaged_messages: u64,
}

impl Counters {
    /// Notes that a `QoS` 0 message is dropped for a client that reads too slowly by itself, or only while memory is short.
    pub(crate) const fn drop_for_lag(&mut self, by_itself: bool) {
        if by_itself {
            self.dropped_slow_reader += 1;
        } else {
            self.dropped_overload += 1;
        }
    }
}
