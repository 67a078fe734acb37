//! Reading a settings file so that one mistake does not hide the next.

use plugin_api::Problem;
use toml::Table;

use super::Raw;

/// Mistakes told of one file.
const MISTAKES_MAX: usize = 50;

/// Reads a file's text. Each line with a mistake is told, left out, and the rest read again.
pub(super) fn read(name: &str, text: &str, problems: &mut Vec<Problem>) -> Table {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..MISTAKES_MAX {
        let text = lines.join("\n");
        let Err(mistake) = toml::from_str::<Raw>(&text) else {
            return toml::from_str(&text).unwrap_or_default();
        };
        let at = mistake.span().map_or(0, |span| {
            text.get(..span.start).unwrap_or_default().matches('\n').count()
        });
        let Some(line) = lines.get_mut(at).filter(|line| !line.is_empty()) else {
            problems.push(problem(name, at, "the file", &mistake));
            break;
        };
        problems.push(problem(name, at, line.trim(), &mistake));
        line.clear();
    }
    Table::new()
}

fn problem(name: &str, line: usize, found: &str, mistake: &toml::de::Error) -> Problem {
    Problem::new(
        format!("{name}:{}", line + 1),
        format!("`{found}`"),
        mistake.message().replace('\n', " "),
    )
}
