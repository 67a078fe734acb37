//! What a principal may be called, and when a name can stand for one level of a topic.

/// The name of everybody who came in without credentials. No user and no certificate can carry it.
pub const ANONYMOUS: &str = "anonymous";

/// The longest name in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What is wrong with the name of a principal, if anything.
pub(crate) fn fault_of(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("it is longer than 256 bytes")
    } else if name.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if name.trim() != name {
        Some("it begins or ends with a space")
    } else if name == ANONYMOUS {
        Some("it is the name of those who have none")
    } else {
        None
    }
}

/// Whether `value` can stand for a level of a topic filter without making it match anything else: it has no wildcard
/// and no separator, and does not lead into the topics of the broker.
pub(crate) fn is_one_level(value: &str) -> bool {
    !value.is_empty() && !value.contains(['+', '#', '/', '\0']) && !value.starts_with('$')
}
