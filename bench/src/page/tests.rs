//! Pages from lines as the tool writes them.

use super::*;

fn line(target: &str, count: u32, value: f64, more: &str) -> String {
    format!(
        "{{\"scenario\":\"filters\",\"label\":\"filters qos 0 × {count}\",\"target\":\"{target}\",\"round\":1,\
         \"parameters\":{{\"qos\":0,\"count\":{count}}},\"unix_seconds\":1790000000,\"commit\":\"abc\",\"cores\":2,\
         \"load_average\":[0.5,null,1],\"kernel\":\"6.1\",\"figure\":{{\"name\":\"broker CPU µs per message\",\"value\":{value}}},\
         \"void\":null,\"missed\":null,\"lost\":0,\"repeated\":0,\"redelivered\":0,\"reordered\":0,\
         \"answers_out_of_order\":0,\"unanswered\":0,\"throughput_per_second\":1000.5,\"broker_cpu_share\":0.5{more}}}"
    )
}

fn page_of(lines: &[String]) -> String {
    let (mut runs, problems) = run::read(&lines.join("\n"));
    assert_eq!(problems, []);
    run::tell_apart(&mut runs);
    page(&runs, &[]).into_string()
}

#[test]
fn broken_and_strange_lines_are_named_by_their_numbers_and_the_others_kept() {
    let good = line("ours", 10, 0.5, "");
    let text = [
        &*good,
        "{\"scenario\":",
        "{\"minute\":1}",
        "",
        &good.replace("0.5,", "-0.5,"),
    ]
    .join("\n");
    let (runs, problems) = run::read(&text);
    assert_eq!(runs.len(), 1);
    let numbers: Vec<usize> = problems.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 3, 4, 5], "{problems:?}");
    let says = |index: usize, part: &str| {
        let (_, problem) = problems.get(index).unwrap();
        assert!(problem.contains(part), "{problem}");
    };
    says(0, "no JSON");
    says(1, "missing field `scenario`");
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    let page = page_of(&[line("ours", 10, 0.5, ""), line("mosquitto", 10, 5.0, "")]);
    for part in [
        "<script", "http://", "https://", "src=", "href=", "url(", "@import",
    ] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("<title>median of 1 rounds"), "a bar says its facts");
}

/// Inside a drawing HTML has no element that ends by itself; what follows would be part of it and not be shown.
#[test]
fn every_element_of_a_drawing_is_ended() {
    let page = page_of(&[line("ours", 10, 0.5, ""), line("ours", 1000, 0.75, "")]);
    for element in ["line", "rect", "circle", "polyline", "text", "g", "svg"] {
        let begun = page.matches(&format!("<{element} ")).count();
        assert!(begun > 0, "{element}");
        assert_eq!(begun, page.matches(&format!("</{element}>")).count(), "{element}");
    }
}

#[test]
fn what_a_line_says_is_text_and_never_markup() {
    let page = page_of(&[line("<script>alert(1)</script>", 10, 0.5, "")]);
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn several_counts_make_a_curve_and_one_count_makes_none() {
    let one = page_of(&[line("ours", 10, 0.5, "")]);
    assert!(!one.contains("Figure against count"));
    let several = page_of(&[line("ours", 10, 0.5, ""), line("ours", 1000, 0.75, "")]);
    assert!(several.contains("Figure against count") && several.contains("<polyline"));
}

#[test]
fn runs_of_different_days_are_told_apart() {
    let today = line("ours", 10, 0.5, "");
    let tomorrow = today.replace("1790000000", "1790090000");
    let page = page_of(&[today, tomorrow]);
    assert!(page.contains("2 occasions") && page.contains("ours (2)"));
    assert!(page.contains("2026-09-21") && page.contains("2026-09-22"));
}

#[test]
fn runs_that_differ_in_a_parameter_outside_their_label_are_no_rounds() {
    let few = line("ours", 10, 0.5, "").replace("\"qos\":0", "\"qos\":0,\"pairs\":5");
    let many = few.replace("\"pairs\":5", "\"pairs\":50");
    let alike = page_of(&[few.clone(), few.clone()]);
    assert!(alike.contains("median of 2 rounds") && !alike.contains("× 10, pairs"));
    let different = page_of(&[few, many]);
    assert!(!different.contains("median of 2 rounds"));
    assert!(different.contains("× 10, pairs 5<") && different.contains("× 10, pairs 50<"));
}

#[test]
fn a_run_that_does_not_count_is_named_and_not_drawn() {
    let void = line("mosquitto", 10, 7777.0, "").replace("\"void\":null", "\"void\":\"too slow\"");
    let page = page_of(&[line("ours", 10, 0.5, ""), void]);
    assert!(page.contains("void: too slow"));
    assert!(!page.contains("7777") && !page.contains("7.78 k"));
}

#[test]
fn latency_is_drawn_where_a_line_holds_its_course() {
    let latency = ",\"latency_us\":{\"p50\":20,\"p90\":30,\"p99\":50,\"p999\":90,\"max\":400.5,\"course\":[[0.5,20],[0.99,50],[0.9999,400.5]]}";
    let page = page_of(&[line("ours", 10, 0.5, latency)]);
    assert!(page.contains("99.99 %") && page.contains("p99.9 90"), "{page}");
}
