//! Limits: how large a document, a name or a token may be.

/// The bounds every document, name and token is held to; each is a setting of the caller.
///
/// Lowering a limit never makes what is already stored unreadable: it holds for what comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request as received, before it is parsed.
    pub request_bytes_max: usize,
    /// Bytes of one section (desired, reported or tags) after the change, written as compact JSON.
    pub section_bytes_max: usize,
    /// Levels of keys and array elements below a section; at most [`Limits::DEPTH_CEILING`].
    pub depth_max: usize,
    /// Bytes of one key.
    pub key_bytes_max: usize,
    /// Bytes of one string value.
    pub string_bytes_max: usize,
    /// Bytes of the literal of one number.
    pub number_bytes_max: usize,
    /// Bytes of a device's name.
    pub device_name_bytes_max: usize,
    /// Bytes of a twin's name.
    pub twin_name_bytes_max: usize,
    /// Bytes of a client token.
    pub client_token_bytes_max: usize,
    /// Bytes kept of a device's reason for refusing a leaf; a longer reason is cut.
    pub reason_bytes_max: usize,
}

impl Limits {
    /// The largest `depth_max` that makes sense: the JSON reader itself stops at 128 levels, wrapper included.
    pub const DEPTH_CEILING: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 256 * 1024,
            section_bytes_max: 64 * 1024,
            depth_max: 8,
            key_bytes_max: 1024,
            string_bytes_max: 64 * 1024,
            number_bytes_max: 128,
            device_name_bytes_max: 128,
            twin_name_bytes_max: 64,
            client_token_bytes_max: 64,
            reason_bytes_max: 512,
        }
    }
}
