//! Pairs that speak TLS 1.3.

use super::Uses;

/// Otherwise as `p2p`.
pub(super) const USES: Uses = Uses {
    tls: Some(true),
    ..Uses::MESSAGES
};
