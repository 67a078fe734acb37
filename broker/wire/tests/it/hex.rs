//! A small notation for packets, so that vectors can be read and their lengths need no counting.

/// Bytes of tokens between spaces: `0a1b` is hex, `s:abc` a string with its length, `t:abc` bare text,
/// `s:` the empty string, `p[`..`]` a property block with its length in front.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut open = vec![Vec::new()];
    for token in text.split_whitespace() {
        match token {
            "p[" => open.push(Vec::new()),
            "]" => {
                let block = open.pop().unwrap();
                let out = open.last_mut().unwrap();
                out.extend(length(block.len()));
                out.extend(block);
            }
            token => open.last_mut().unwrap().extend(one(token)),
        }
    }
    assert_eq!(open.len(), 1, "brackets do not match in {text:?}");
    open.pop().unwrap()
}

/// The same with a fixed header: the first token is the first byte, the length is computed.
pub(crate) fn packet(text: &str) -> Vec<u8> {
    let (first, body) = text.split_at_checked(2).unwrap();
    let body = bytes(body);
    [bytes(first), length(body.len()), body].concat()
}

/// A variable byte integer.
pub(crate) fn length(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn one(token: &str) -> Vec<u8> {
    if let Some(text) = token.strip_prefix("s:") {
        return [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    }
    if let Some(text) = token.strip_prefix("t:") {
        return text.as_bytes().to_vec();
    }
    assert_eq!(token.len() % 2, 0, "{token:?} is half a byte short");
    (0..token.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&token[at..at + 2], 16).unwrap())
        .collect()
}
