//! Tells code from comments and literals, line by line; just enough of Rust's grammar for the checks.

/// One source line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The code, without comments and with the insides of literals left out.
    pub(crate) code: String,
    /// The text after `//`, when the line has such a comment.
    pub(crate) comment: Option<String>,
    /// Whether the line has a part of a `/* */` comment.
    pub(crate) block_comment: bool,
}

/// Takes a source file apart. A file that does not parse gives some lines, not an error.
pub(crate) fn lines(source: &str) -> Vec<Line> {
    let mut lexer = Lexer {
        rest: source,
        lines: vec![Line::default()],
    };
    while lexer.step() {}
    lexer.lines
}

struct Lexer<'a> {
    rest: &'a str,
    lines: Vec<Line>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) -> bool {
        if self.rest.starts_with("//") {
            let comment = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            self.line().comment = Some(comment.trim_start_matches("//").to_owned());
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if let Some(hashes) = self.raw_string() {
            let open = self.rest.find('"').map_or(self.rest.len(), |at| at + 1);
            self.take(open);
            let close = format!("\"{}", "#".repeat(hashes));
            self.literal(
                self.rest
                    .find(&close)
                    .map_or(self.rest.len(), |at| at + close.len()),
            );
        } else if self.rest.starts_with('"') {
            self.take(1);
            self.literal(closing(self.rest, '"'));
        } else if let Some(length) = char_literal(self.rest) {
            self.literal(length);
        } else {
            let Some(char) = self.rest.chars().next() else {
                return false;
            };
            self.take(char.len_utf8());
            match char {
                '\n' => self.lines.push(Line::default()),
                _ => self.line().code.push(char),
            }
        }
        true
    }

    /// The number of hashes when a raw string starts here.
    fn raw_string(&self) -> Option<usize> {
        let before = self.lines.last().and_then(|line| line.code.chars().last());
        if before.is_some_and(|char| char.is_alphanumeric() || char == '_') {
            return None;
        }
        let text = self
            .rest
            .strip_prefix('b')
            .or_else(|| self.rest.strip_prefix('c'))
            .unwrap_or(self.rest);
        let text = text.strip_prefix('r')?;
        let after = text.trim_start_matches('#');
        after.starts_with('"').then_some(text.len() - after.len())
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
            } else if self.take(self.rest.chars().next().map_or(0, char::len_utf8)) == "\n" {
                self.lines.push(Line::default());
            }
            self.line().block_comment = true;
            if depth == 0 || self.rest.is_empty() {
                return;
            }
        }
    }

    /// Skips a literal of `length` bytes; its line breaks still count.
    fn literal(&mut self, length: usize) {
        self.line().code.push_str("\"\"");
        let text = self.take(length);
        self.lines.extend(text.matches('\n').map(|_| Line::default()));
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn line(&mut self) -> &mut Line {
        self.lines.last_mut().expect("there is always a last line")
    }
}

/// The bytes up to and with the next unescaped `quote`.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character literal that starts here; a lifetime is none.
fn char_literal(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return Some(1 + closing(inside, '\''));
    }
    let first = inside.chars().next()?.len_utf8();
    inside.get(first..)?.starts_with('\'').then_some(first + 2)
}

/// The words and the punctuation marks of a piece of code.
pub(crate) fn tokens(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = if is_word(first) {
            rest.find(|char| !is_word(char)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let source =
        "let a = \"// no\"; // yes\nlet b = r#\"\" /* \"#; /* x\n y */ c('\"', 'd', '\\'', &'static e)\n";
    let lines = lines(source);
    let code: Vec<&str> = lines.iter().map(|line| line.code.as_str()).collect();
    assert_eq!(
        code,
        [
            "let a = \"\"; ",
            "let b = \"\"; ",
            " c(\"\", \"\", \"\", &'static e)",
            ""
        ]
    );
    let comments: Vec<Option<&str>> = lines.iter().map(|line| line.comment.as_deref()).collect();
    assert_eq!(comments, [Some(" yes"), None, None, None]);
    let blocks: Vec<bool> = lines.iter().map(|line| line.block_comment).collect();
    assert_eq!(blocks, [false, true, true, false]);
}

#[test]
fn a_literal_over_lines_keeps_the_count() {
    assert_eq!(lines("\"a\nb\"\nc\n").len(), 4);
}
