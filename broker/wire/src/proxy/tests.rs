//! Headers as proxies send them, cut at every byte, and broken in every way that matters.

use super::*;

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).expect("short");
    [&V2_START[..], &[command, family], &len.to_be_bytes(), rest].concat()
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("short");
    [&[kind][..], &len.to_be_bytes(), value].concat()
}

/// 192.0.2.7:50000 to 198.51.100.1:1883.
const OVER_IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0x07, 0x5b];

fn with_fields(fields: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&OVER_IPV4, fields].concat())
}

fn tls(flags: u8, verdict: u32, fields: &[u8]) -> Vec<u8> {
    field(TLS, &[&[flags][..], &verdict.to_be_bytes(), fields].concat())
}

const TLS: u8 = 0x20;
const NAME: u8 = 0x22;

fn source(bytes: &[u8]) -> Result<Source, Malformed> {
    parse(bytes).map(|header| header.source)
}

fn from(address: &str) -> Result<Source, Malformed> {
    Ok(Source::Ip(address.parse().expect("an address")))
}

fn vectors() -> Vec<(Vec<u8>, Source)> {
    let over_ipv6 = [
        &Ipv6Addr::LOCALHOST.octets()[..],
        &[0x20; 16],
        &[0xc3, 0x50, 0x07, 0x5b],
    ]
    .concat();
    let ipv4 = from("192.0.2.7:50000").expect("fine");
    let ipv6 = from("[::1]:50000").expect("fine");
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), V1_BYTES_MAX);
    vec![
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 1883\r\n".to_vec(), ipv4),
        (b"PROXY TCP6 ::1 2001:db8::1 50000 1883\r\n".to_vec(), ipv6),
        (b"PROXY UNKNOWN\r\n".to_vec(), Source::Unsaid),
        (longest.into(), Source::Unsaid),
        (v2(0x20, 0x00, &[]), Source::Unsaid),
        (v2(0x20, 0x11, &OVER_IPV4), Source::Unsaid),
        (v2(0x21, 0x00, &[]), Source::Unsaid),
        (v2(0x21, 0x11, &OVER_IPV4), ipv4),
        (v2(0x21, 0x21, &over_ipv6), ipv6),
        (v2(0x21, 0x31, &[0; 216]), Source::Unix),
        (with_fields(&field(0x04, &[0; 30])), ipv4),
        (with_fields(&field(0x04, &vec![0; 4096 - 16 - 12 - 3])), ipv4),
    ]
}

#[test]
fn a_header_says_where_a_connection_comes_from() {
    for (bytes, expected) in vectors() {
        assert_eq!(source(&bytes), Ok(expected), "{bytes:x?}");
    }
}

/// Reading goes on until the header is whole, and takes nothing of what comes after it.
#[test]
fn a_header_may_come_in_any_pieces() {
    for (bytes, _) in vectors() {
        for cut in 0..bytes.len() {
            let begun = bytes.get(..cut).expect("within");
            let Ok(Need::More(more)) = need(begun) else {
                panic!("{cut} of {bytes:x?}")
            };
            assert!((1..=bytes.len() - cut).contains(&more), "{cut} of {bytes:x?}");
            assert!(parse(begun).is_err());
        }
        assert_eq!(need(&bytes), Ok(Need::Nothing));
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let too_long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 93]].concat();
    let mut longer = with_fields(&field(0x04, &vec![0; 5000]));
    let wrong: Vec<Vec<u8>> = vec![
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"proxy TCP4 192.0.2.7 198.51.100.1 50000 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 1883 1\r\n".to_vec(),
        b"PROXY TCP4  192.0.2.7 198.51.100.1 50000 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 1883 \r\n".to_vec(),
        b"PROXY TCP4 ::1 2001:db8::1 50000 1883\r\n".to_vec(),
        b"PROXY TCP6 ::1 198.51.100.1 50000 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +5000 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 05000 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 \r\n".to_vec(),
        b"PROXY UDP4 192.0.2.7 198.51.100.1 50000 1883\r\n".to_vec(),
        b"PROXY UNKNOWNS\r\n".to_vec(),
        b"PROXY UNKNOWN \xff\r\n".to_vec(),
        b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n".to_vec(),
        b"PROXY TCP4\n192.0.2.7 198.51.100.1 50000 1883\r\n".to_vec(),
        too_long,
        v2(0x22, 0x11, &OVER_IPV4),
        v2(0x11, 0x11, &OVER_IPV4),
        v2(0x21, 0x12, &OVER_IPV4),
        v2(0x21, 0x41, &OVER_IPV4),
        v2(0x21, 0x11, OVER_IPV4.get(..11).expect("within")),
        v2(0x21, 0x21, &OVER_IPV4),
        v2(0x21, 0x31, &OVER_IPV4),
        with_fields(&[0x04]),
        with_fields(&[0x04, 0, 2, 0]),
        with_fields(&tls(7, 0, &[0x22, 0, 9])),
        with_fields(&field(TLS, &[0; 4])),
        with_fields(&tls(7, 0, &field(NAME, b"\xff"))),
        with_fields(&tls(7, 0, &[field(NAME, b"a"), field(NAME, b"b")].concat())),
        with_fields(&[tls(7, 0, &[]), tls(7, 0, &[])].concat()),
        with_fields(&field(0x03, &[1, 2, 3, 4])),
        with_fields(&field(0x03, &[0; 3])),
    ];
    for bytes in wrong {
        assert!(parse(&bytes).is_err(), "{bytes:x?}");
    }
    longer.truncate(V2_FIXED_BYTES);
    assert!(need(&longer).is_err(), "its length alone is too much");
    let (mut two, _) = vectors().swap_remove(7);
    two.push(0);
    assert!(parse(&two).is_err(), "something follows");
}

#[test]
fn a_name_counts_if_the_proxy_has_verified_the_certificate_it_stands_in() {
    let name = [field(0x21, b"TLSv1.3"), field(NAME, b"lamp-7")].concat();
    for (flags, verdict, counts) in [
        (0x01 | 0x02, 0, true),
        (0x01 | 0x04, 0, true),
        (0x01, 0, false),
        (0x01 | 0x02, 1, false),
        (0x01 | 0x02, 0x0100_0000, false),
    ] {
        let header = parse(&with_fields(&tls(flags, verdict, &name))).expect("a header");
        assert_eq!(
            header.common_name.as_deref(),
            counts.then_some("lamp-7"),
            "{flags:x}"
        );
    }
    let local = v2(0x20, 0x11, &[&OVER_IPV4[..], &tls(3, 0, &name)].concat());
    assert_eq!(parse(&local).expect("a header").common_name, None);
}

/// From the reference in the protocol's own words: the value counts as zeros while it is computed.
#[test]
fn a_checksum_is_checked() {
    let mut header = with_fields(&[field(0x03, &[0; 4]), field(0x04, b"pad")].concat());
    let crc = !header.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            }
        })
    });
    let value = V2_FIXED_BYTES + OVER_IPV4.len() + 3;
    for (byte, right) in (value..).zip(crc.to_be_bytes()) {
        *header.get_mut(byte).expect("within") = right;
    }
    assert_eq!(source(&header), from("192.0.2.7:50000"));
    let kind = value - 3;
    for at in (V2_FIXED_BYTES..header.len()).filter(|at| *at != kind) {
        let mut damaged = header.clone();
        *damaged.get_mut(at).expect("within") ^= 0x40;
        assert!(parse(&damaged).is_err(), "byte {at} may be damaged");
    }
}
