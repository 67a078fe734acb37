//! Which topics a filter matches, level by level as the specification says it.

/// Whether a filter matches a topic, the share of a shared one aside.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let filter = topics_of(filter);
    // [MQTT-4.7.2-1] What begins with `$` is not matched by a wildcard there.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    levels_match(&filter, &topic)
}

/// Whether it names a share.
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

fn topics_of(filter: &str) -> &str {
    let shared = filter.strip_prefix("$share/");
    shared
        .and_then(|shared| shared.split_once('/'))
        .map_or(filter, |(_, topics)| topics)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (None, None) => true,
        // `a/#` also matches `a`.
        (Some((&"#", _)), _) => true,
        (Some((first, filter)), Some((level, topic))) => {
            (*first == "+" || first == level) && levels_match(filter, topic)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}
