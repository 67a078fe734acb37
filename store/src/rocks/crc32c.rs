//! The checksum of RocksDB's logs: CRC-32C, eight bytes at a time.

const POLYNOMIAL: u32 = 0x82f6_3b78;

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
};

/// A checksum that grows with its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a byte is always an index of a table of 256"
    )]
    pub(crate) fn extend(self, bytes: &[u8]) -> Self {
        let mut crc = self.0;
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let [a, b, c, d, e, f, g, h] = word else {
                unreachable!("chunks of eight")
            };
            let low = crc ^ u32::from_le_bytes([*a, *b, *c, *d]);
            crc = TABLES[7][(low & 0xff) as usize]
                ^ TABLES[6][(low >> 8 & 0xff) as usize]
                ^ TABLES[5][(low >> 16 & 0xff) as usize]
                ^ TABLES[4][(low >> 24) as usize]
                ^ TABLES[3][*e as usize]
                ^ TABLES[2][*f as usize]
                ^ TABLES[1][*g as usize]
                ^ TABLES[0][*h as usize];
        }
        for byte in words.remainder() {
            crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(*byte)) & 0xff) as usize];
        }
        Self(crc)
    }

    pub(crate) fn value(self) -> u32 {
        !self.0
    }

    /// As it stands in a log: rotated and shifted, so that a checksum of bytes with checksums in them is sound.
    pub(crate) fn masked(self) -> u32 {
        self.value().rotate_right(15).wrapping_add(0xa282_ead8)
    }
}

/// The checksum of these bytes.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().extend(bytes).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 3720, appendix B.4.
    #[test]
    fn known_checksums() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn parts_give_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..100).collect();
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(Crc32c::new().extend(head).extend(tail).value(), crc32c(&bytes));
        }
    }
}
