//! Variable byte integers: one to four bytes, seven bits each, the lowest first.

/// The largest value four bytes can hold.
pub const MAX_VARINT: u32 = 268_435_455;

/// What stands at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Varint {
    /// A value, and how many bytes it took.
    Value(u32, usize),
    /// The bytes end before the value does.
    Incomplete,
    /// A fifth byte, or more bytes than the value needs.
    Malformed,
}

/// Reads the integer at the front of `bytes`.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Varint {
    match bytes {
        [a, ..] if *a < 0x80 => Varint::Value(u32::from(*a), 1),
        _ => read_long(bytes),
    }
}

fn read_long(bytes: &[u8]) -> Varint {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let padded = *byte == 0 && at > 0;
            return if padded {
                Varint::Malformed
            } else {
                Varint::Value(value, at + 1)
            };
        }
    }
    if bytes.len() < 4 {
        Varint::Incomplete
    } else {
        Varint::Malformed
    }
}

/// How many bytes `value` takes; meaningful up to [`MAX_VARINT`].
#[inline]
pub(crate) const fn len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Gives the bytes of `value` to `put`, the lowest seven bits first.
#[inline]
pub(crate) fn write(mut value: u32, mut put: impl FnMut(u8)) {
    while value >= 0x80 {
        put((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    put(value as u8);
}
