//! The header with which a proxy says whose connection it passes on: PROXY protocol, versions 1 and 2, from bytes.
//!
//! Nothing here reads a socket: [`need`] says how many bytes are to be read next, none of them of what comes after the
//! header, and [`parse`] reads a whole header.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

mod fields;

use fields::Fields;

/// Longest header of version 1, with its line end.
const V1_BYTES_MAX: usize = 107;
/// Longest header of version 2 that is taken, with everything in it.
const V2_BYTES_MAX: usize = 4096;
const V2_FIXED_BYTES: usize = 16;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where the connection comes from.
    pub source: Source,
    /// The common name of the certificate that the client has shown to the proxy, if the proxy has verified it.
    pub common_name: Option<String>,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The proxy does not say, or speaks for itself.
    Unsaid,
    /// An address and a port.
    Ip(SocketAddr),
    /// A Unix socket of the proxy's machine.
    Unix,
}

/// What is to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// So many bytes more, at least one.
    More(usize),
    /// The header is whole.
    Nothing,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What to read after these bytes, which begin a connection. Never more than the header has.
///
/// # Errors
/// When they cannot begin a header, or one that is too long.
pub fn need(bytes: &[u8]) -> Result<Need, Malformed> {
    if bytes.len() < V2_START.len() {
        return Ok(Need::More(V2_START.len() - bytes.len()));
    }
    if bytes.starts_with(V2_START) {
        return need_v2(bytes);
    }
    if !bytes.starts_with(V1_START) {
        return Err(Malformed("it does not begin with a PROXY header"));
    }
    match bytes {
        [.., b'\r', b'\n'] => Ok(Need::Nothing),
        _ if bytes.len() >= V1_BYTES_MAX => Err(Malformed("its PROXY header is too long")),
        // Two bytes are missing at least, a line end.
        [.., b'\r'] => Ok(Need::More(1)),
        _ => Ok(Need::More((V1_BYTES_MAX - bytes.len()).min(2))),
    }
}

fn need_v2(bytes: &[u8]) -> Result<Need, Malformed> {
    let Some(len) = v2_len(bytes) else {
        return Ok(Need::More(V2_FIXED_BYTES - bytes.len()));
    };
    if len > V2_BYTES_MAX {
        return Err(Malformed("its PROXY header is too long"));
    }
    match len.saturating_sub(bytes.len()) {
        0 => Ok(Need::Nothing),
        more => Ok(Need::More(more)),
    }
}

fn v2_len(bytes: &[u8]) -> Option<usize> {
    let (_, len) = bytes.get(..V2_FIXED_BYTES)?.split_last_chunk()?;
    Some(V2_FIXED_BYTES + usize::from(u16::from_be_bytes(*len)))
}

/// Reads a whole header, and nothing but a header.
///
/// # Errors
/// When it is cut short, or does not say what it should.
pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
    if need(bytes)? != Need::Nothing {
        return Err(Malformed("its PROXY header is cut short"));
    }
    if bytes.starts_with(V2_START) {
        parse_v2(bytes)
    } else {
        let source = parse_v1(bytes)?;
        Ok(Header {
            source,
            common_name: None,
        })
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Source, Malformed> {
    let wrong = Malformed("its PROXY header does not have protocol, addresses and ports");
    let line = bytes
        .strip_prefix(V1_START)
        .and_then(|line| line.strip_suffix(b"\r\n"))
        .ok_or(wrong)?;
    let line = std::str::from_utf8(line).map_err(|_| wrong)?;
    if line.contains(['\r', '\n']) {
        return Err(wrong);
    }
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Source::Unsaid);
    }
    let (Some(source), Some(target), Some(port), Some(target_port), None) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) else {
        return Err(wrong);
    };
    let ip = match family {
        Some("TCP4") => address::<Ipv4Addr>(source, target),
        Some("TCP6") => address::<Ipv6Addr>(source, target),
        _ => None,
    };
    let (ip, port, _) = (
        ip.ok_or(wrong)?,
        self::port(port).ok_or(wrong)?,
        self::port(target_port).ok_or(wrong)?,
    );
    Ok(Source::Ip(SocketAddr::new(ip, port)))
}

/// The source, if source and target are addresses of this family.
fn address<A: FromStr + Into<IpAddr>>(source: &str, target: &str) -> Option<IpAddr> {
    target.parse::<A>().ok()?;
    Some(source.parse::<A>().ok()?.into())
}

fn port(text: &str) -> Option<u16> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn parse_v2(bytes: &[u8]) -> Result<Header, Malformed> {
    let cut = Malformed("its PROXY header is shorter than its addresses");
    let whole = bytes.get(..v2_len(bytes).ok_or(cut)?).ok_or(cut)?;
    if whole.len() != bytes.len() {
        return Err(Malformed("something follows its PROXY header"));
    }
    let (fixed, rest) = whole.split_first_chunk::<V2_FIXED_BYTES>().ok_or(cut)?;
    let [.., command, family, _, _] = *fixed;
    match command {
        0x20 => {
            return Ok(Header {
                source: Source::Unsaid,
                common_name: None,
            });
        }
        0x21 => {}
        _ => return Err(Malformed("its PROXY header has an unknown version or command")),
    }
    let (source, rest) = match family {
        0x00 => (Source::Unsaid, rest),
        0x11 => {
            let ([a, b, c, d, _, _, _, _, p, q, _, _], rest) = rest.split_first_chunk::<12>().ok_or(cut)?;
            let ip = Ipv4Addr::new(*a, *b, *c, *d);
            let port = u16::from_be_bytes([*p, *q]);
            (Source::Ip(SocketAddr::new(ip.into(), port)), rest)
        }
        0x21 => {
            let (ip, rest) = rest.split_first_chunk::<16>().ok_or(cut)?;
            let (_target, rest) = rest.split_first_chunk::<16>().ok_or(cut)?;
            let ([p, q, _, _], rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
            let port = u16::from_be_bytes([*p, *q]);
            (
                Source::Ip(SocketAddr::new(Ipv6Addr::from(*ip).into(), port)),
                rest,
            )
        }
        0x31 => {
            let (_paths, rest) = rest.split_first_chunk::<216>().ok_or(cut)?;
            (Source::Unix, rest)
        }
        _ => return Err(Malformed("its PROXY header is not for a stream over IP or Unix")),
    };
    let common_name = Fields::of(rest).common_name(whole)?;
    Ok(Header { source, common_name })
}

#[cfg(test)]
mod tests;
