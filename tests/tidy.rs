//! The rules of the house that no compiler holds: arrows between crates, names, headers, dead files, true documents.

/// The checks. Each takes the tree and returns its complaints, one line each.
mod tidy {
    pub(crate) mod arrows;
    pub(crate) mod code;
    pub(crate) mod conformance;
    pub(crate) mod docs;
    pub(crate) mod files;
    pub(crate) mod lessons;
    pub(crate) mod lex;
    pub(crate) mod modules;
    pub(crate) mod text;
    pub(crate) mod tree;
}

use std::io::Write as _;

use tidy::tree::Tree;
use tidy::{arrows, code, conformance, docs, files, lessons, modules, text};

/// Fails with the complaints as a list, so that all are mended in one go.
#[track_caller]
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

fn house() -> Tree {
    Tree::read(env!("CARGO_MANIFEST_DIR").as_ref()).expect("the checkout can be read")
}

#[test]
fn crates_use_only_what_the_table_of_arrows_allows() {
    expect_none(arrows::check_manifests(&house()));
}

#[test]
fn the_architecture_page_repeats_the_table_of_arrows() {
    expect_none(arrows::check_page(&house()));
}

#[test]
fn every_crate_opts_into_the_workspace_lints() {
    expect_none(arrows::check_lints(&house()));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    expect_none(files::check_headers(&house()));
}

#[test]
fn file_names_are_nouns_of_the_domain() {
    expect_none(files::check_names(&house()));
}

#[test]
fn no_rust_file_is_dead() {
    expect_none(modules::check(&house()));
}

#[test]
fn no_code_is_commented_out() {
    expect_none(code::check_comments(&house()));
}

#[test]
fn nothing_is_unfinished_switched_off_or_unsafe() {
    expect_none(code::check_words(&house()));
}

#[test]
fn pure_crates_touch_no_clock_socket_disk_or_thread() {
    expect_none(code::check_purity(&house()));
    expect_none(code::check_bans(&house()));
}

#[test]
fn no_file_names_one_machine_or_a_registry_host() {
    expect_none(text::check(&house()));
}

#[test]
fn links_between_documents_resolve() {
    expect_none(docs::check_links(&house()));
}

#[test]
fn places_named_in_documents_exist() {
    expect_none(docs::check_paths(&house()));
    expect_none(docs::check_places(&house()));
}

#[test]
fn every_clause_of_mqtt_has_a_test_or_a_reason() {
    expect_none(conformance::check(&house()));
}

/// With `TWINMQ_WRITE=1` the page is written instead.
#[test]
fn the_conformance_page_says_what_the_tests_say() {
    if std::env::var_os("TWINMQ_WRITE").is_some_and(|write| write == "1") {
        conformance::write_page(&house(), env!("CARGO_MANIFEST_DIR").as_ref())
            .expect("the page can be written");
    }
    expect_none(conformance::check_page(&house()));
}

#[test]
fn every_lesson_has_its_test() {
    expect_none(lessons::check(&house()));
}

/// Nothing fails because of a number; the list is there to be noticed.
#[test]
fn the_ten_largest_files_are_printed() {
    let mut out = std::io::stdout().lock();
    for (lines, path) in files::largest(&house(), 10) {
        writeln!(out, "{lines:>6} lines  {path}").expect("the output can be written");
    }
}
