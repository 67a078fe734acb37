//! `matches`, `overlaps` and `contains` against brute force over every small filter and topic.

use mqtt_wire::{TopicFilter, TopicName};

/// All strings of one to `depth` levels of these.
fn strings(levels: &[&str], depth: usize) -> Vec<String> {
    let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
    let mut last = all.clone();
    for _ in 1..depth {
        last = last
            .iter()
            .flat_map(|head| levels.iter().map(move |level| format!("{head}/{level}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn filters() -> Vec<TopicFilter> {
    let plain = strings(&["", "a", "$s", "+"], 3);
    let with_hash = strings(&["", "a", "$s", "+"], 2)
        .into_iter()
        .map(|head| format!("{head}/#"));
    let all = plain.into_iter().chain(with_hash).chain(["#".to_owned()]);
    all.filter_map(|text| TopicFilter::parse(&text).ok()).collect()
}

/// `z` stands for every level that no filter names; one level more than filters have.
fn topics() -> Vec<String> {
    strings(&["", "a", "$s", "z", "$z"], 4)
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect()
}

/// The rules of section 4.7, word by word.
fn naive_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => naive_match(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => level == name && naive_match(filter, topic),
        _ => false,
    }
}

fn expected(filter: &str, topic: &str) -> bool {
    let levels: Vec<_> = filter.split('/').collect();
    let names: Vec<_> = topic.split('/').collect();
    let hidden = topic.starts_with('$') && matches!(levels[0], "#" | "+");
    !hidden && naive_match(&levels, &names)
}

#[test]
fn matches_follows_the_rules_for_every_small_filter_and_topic() {
    for filter in &filters() {
        for topic in &topics() {
            let name = TopicName::parse(topic).unwrap();
            assert_eq!(
                filter.matches(name),
                expected(filter.as_str(), topic),
                "{filter} on {topic}"
            );
        }
    }
}

#[test]
fn overlaps_and_contains_say_what_the_matched_topics_say() {
    let topics = topics();
    let filters = filters();
    let matched: Vec<Vec<bool>> = filters
        .iter()
        .map(|filter| {
            topics
                .iter()
                .map(|topic| expected(filter.as_str(), topic))
                .collect()
        })
        .collect();
    for (one, ours) in filters.iter().zip(&matched) {
        for (other, theirs) in filters.iter().zip(&matched) {
            let both = ours.iter().zip(theirs).any(|(a, b)| *a && *b);
            let all = ours.iter().zip(theirs).all(|(a, b)| *a || !*b);
            assert_eq!(one.overlaps(other), both, "{one} overlaps {other}");
            assert_eq!(one.contains(other), all, "{one} contains {other}");
        }
    }
}

#[test]
fn a_share_relates_to_others_by_the_filter_inside() {
    let parse = |text| TopicFilter::parse(text).unwrap();
    assert!(parse("a/#").contains(&parse("$share/g/a/b")));
    assert!(parse("$share/g/a/#").contains(&parse("a/+")));
    assert!(!parse("#").contains(&parse("$share/g/$SYS/x")));
    assert!(parse("$share/g/+/b").overlaps(&parse("$share/h/a/+")));
    assert!(!parse("#").overlaps(&parse("$share/g/$SYS/x")));
}
