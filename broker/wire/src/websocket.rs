//! The frames in which MQTT travels through a WebSocket, from bytes and to bytes: RFC 6455, a server's side.
//!
//! [MQTT-6.0.0-2] Where a frame ends means nothing, so that nothing is put together: [`Frames`] gives out what is in them as
//! it comes, and holds nothing but the head of a frame and what a ping says. So a message may be of any size.

/// The longest head of a frame: two bytes, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;
/// The most that a ping, a pong or a close may say.
const CONTROL_BYTES_MAX: u64 = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LEN: u8 = 0x7f;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = Kind::Binary as u8;

/// What a frame that is sent is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes of MQTT.
    Binary = 0x2,
    /// A good-bye.
    Close = 0x8,
    /// A question whether the peer is there.
    Ping = 0x9,
    /// The answer, which repeats what was asked.
    Pong = 0xa,
}

/// What a client's frames say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Bytes of MQTT: from this place up to what was read.
    Bytes {
        /// The first of them.
        from: usize,
    },
    /// A question, to be answered by what it says.
    Ping(Vec<u8>),
    /// An answer.
    Pong,
    /// Good-bye, with a code if it says one.
    Close(Option<u16>),
}

/// Why bytes are no frames that are taken. The connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// The code of the close frame that says so.
    pub code: u16,
    /// In words for the log.
    pub what: &'static str,
}

/// The codes of the faults.
const PROTOCOL: u16 = 1002;
const UNSUPPORTED: u16 = 1003;

/// Reads the frames of one client.
#[derive(Debug)]
pub struct Frames {
    /// Whether a message has begun and not ended.
    in_message: bool,
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// The frame whose head was read.
    frame: Option<Frame>,
    /// What a frame that is no message has said so far.
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    /// What it is for, if it is no part of a message.
    control: Option<Kind>,
    mask: u32,
    /// Bytes that have not come.
    left: u64,
}

impl Frames {
    /// Of a client that has sent none.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            in_message: false,
            head: [0; HEAD_BYTES_MAX],
            head_len: 0,
            frame: None,
            control: Vec::new(),
        }
    }

    /// Reads from the front of these bytes and unmasks them where they are. Says how many were read, at least one if there
    /// is any, and what they say, if they do.
    ///
    /// # Errors
    /// When they are no frames of a client that MQTT may have. After that nothing more can be read.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<(usize, Option<Said>), Fault> {
        let (used, mut frame) = match self.frame {
            Some(frame) => (0, frame),
            None => {
                let (used, frame) = self.read_head(bytes)?;
                let Some(frame) = frame else {
                    return Ok((used, None));
                };
                (used, frame)
            }
        };
        let here = bytes.len() - used;
        let here = usize::try_from(frame.left).map_or(here, |left| left.min(here));
        let end = used + here;
        let payload = bytes.get_mut(used..end).unwrap_or_default();
        frame.unmask(payload);
        let is_over = frame.left == 0;
        self.frame = (!is_over).then_some(frame);
        let Some(control) = frame.control else {
            return Ok((end, (here > 0).then_some(Said::Bytes { from: used })));
        };
        self.control.extend_from_slice(payload);
        if !is_over {
            return Ok((end, None));
        }
        let said = std::mem::take(&mut self.control);
        let said = match control {
            Kind::Ping => Said::Ping(said),
            Kind::Close => Said::Close(close_code(&said)?),
            Kind::Pong | Kind::Binary => Said::Pong,
        };
        Ok((end, Some(said)))
    }

    /// Gathers a head. Says how many bytes it took, and the frame if the head is whole.
    fn read_head(&mut self, bytes: &[u8]) -> Result<(usize, Option<Frame>), Fault> {
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(place) = self.head.get_mut(self.head_len) {
                *place = *byte;
            }
            self.head_len += 1;
            if let Some(frame) = self.frame_of_head()? {
                self.head_len = 0;
                return Ok((at + 1, Some(frame)));
            }
        }
        Ok((bytes.len(), None))
    }

    fn frame_of_head(&mut self) -> Result<Option<Frame>, Fault> {
        let head = self.head.get(..self.head_len).unwrap_or_default();
        let [first, second, rest @ ..] = head else {
            return Ok(None);
        };
        if second & MASKED == 0 {
            return Err(fault("its frame is not masked"));
        }
        let (len, mask) = match second & LEN {
            126 => match rest.split_first_chunk() {
                Some((len, mask)) => (u64::from(u16::from_be_bytes(*len)), mask),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, mask)) => (u64::from_be_bytes(*len), mask),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        let Some(mask) = mask.first_chunk() else {
            return Ok(None);
        };
        let (first, mask) = (*first, u32::from_be_bytes(*mask));
        let control = self.begin(first, len)?;
        Ok(Some(Frame {
            control,
            mask,
            left: len,
        }))
    }

    /// Whether a frame may come now, and what it is for if it is no part of a message.
    fn begin(&mut self, first: u8, len: u64) -> Result<Option<Kind>, Fault> {
        if first & RESERVED != 0 {
            return Err(fault("its frame has reserved bits"));
        }
        if len > i64::MAX as u64 {
            return Err(fault("the length of its frame is none"));
        }
        let is_last = first & FIN != 0;
        let control = match (first & OPCODE, self.in_message) {
            (0x8, _) => Kind::Close,
            (0x9, _) => Kind::Ping,
            (0xa, _) => Kind::Pong,
            (CONTINUATION, true) | (BINARY, false) => {
                self.in_message = !is_last;
                return Ok(None);
            }
            (TEXT, false) => {
                let what = "a text frame [MQTT-6.0.0-1]";
                return Err(Fault {
                    code: UNSUPPORTED,
                    what,
                });
            }
            (CONTINUATION, false) => return Err(fault("its frame goes on with nothing")),
            (TEXT | BINARY, true) => return Err(fault("its message begins inside another")),
            _ => return Err(fault("its frame is of an unknown kind")),
        };
        if !is_last || len > CONTROL_BYTES_MAX {
            return Err(fault("its ping, pong or close is too long or in parts"));
        }
        Ok(Some(control))
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    fn unmask(&mut self, payload: &mut [u8]) {
        for part in payload.chunks_mut(4) {
            let mask = self.mask.to_be_bytes();
            for (byte, mask) in part.iter_mut().zip(mask) {
                *byte ^= mask;
            }
            if part.len() < 4 {
                self.mask = self.mask.rotate_left(8 * part.len() as u32);
            }
        }
        self.left -= payload.len() as u64;
    }
}

const fn fault(what: &'static str) -> Fault {
    Fault { code: PROTOCOL, what }
}

/// The code of a close frame, if it has one; what follows is for people.
fn close_code(said: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, why)) = said.split_first_chunk() else {
        return match said {
            [] => Ok(None),
            _ => Err(fault("its close has half a code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    // 1004 to 1006 and 1015 are never sent, and what is below 3000 otherwise is not for applications.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) || std::str::from_utf8(why).is_err() {
        return Err(fault("its close has a code or a reason that is none"));
    }
    Ok(Some(code))
}

/// Appends the head of a frame of so many bytes, which follow. A server does not mask them.
pub fn put_head(out: &mut Vec<u8>, kind: Kind, len: usize) {
    out.push(FIN | kind as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(len)) => {
            out.push(126);
            out.extend(len.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
}

/// Appends a whole frame.
pub fn put_frame(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    put_head(out, kind, payload.len());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
