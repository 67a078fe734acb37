//! Stories about twins through the service's own doors: the link, HTTP, and the store underneath.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a story that goes wrong fails where it stands"
)]

mod change_feed;
mod deltas;
mod http_api;
mod mqtt_api;
mod presence;
mod restart;
mod shadow_data_plane;
mod support;
mod trouble;
