//! A flipped byte anywhere in the folder: the store opens, names the file, and has everything that was not hit.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;

use store::{Batch, Durability, KeyspaceId, ReadError, SetAside, Store};
use tempfile::TempDir;

use crate::support::{
    ALL, Dice, Entries, FEED, TWINS, copy, entries, files, folder, get, open, open_damaged, options, put,
};

/// What should be in the store, by keyspace and key; and for each key the state before.
type Content = BTreeMap<(KeyspaceId, Vec<u8>), Vec<u8>>;

/// A store with several tables per keyspace, deletions that hide what older tables have, and many groups in the log.
struct House {
    folder: TempDir,
    content: Content,
    /// Every value a key has ever had.
    history: Vec<(KeyspaceId, Vec<u8>, Vec<u8>)>,
}

impl House {
    fn build() -> Self {
        let mut house = Self {
            folder: folder(),
            content: Content::new(),
            history: Vec::new(),
        };
        let mut dice = Dice::seeded(7);
        for generation in 0..4 {
            // Each start writes the log of the last one out to tables; the log of the last generation stays.
            let store = open(house.folder.path());
            for group in 0..60 {
                house.commit(&store, generation, group, &mut dice);
            }
        }
        house
    }

    fn commit(&mut self, store: &Store, generation: u32, group: u32, dice: &mut Dice) {
        let mut batch = Batch::new();
        for keyspace in ALL {
            for number in 0..5 {
                let key = format!("key-{:06}", group * 7 + number * 1000).into_bytes();
                let noise: Vec<u8> = (0..100).map(|_| dice.below(256) as u8).collect();
                let value = [format!("{generation}/{group}/").as_bytes(), &noise].concat();
                batch.put(keyspace, &key, &value);
                self.history.push((keyspace, key.clone(), value.clone()));
                self.content.insert((keyspace, key), value);
            }
            let own = format!("own-{group:04}-{generation}").into_bytes();
            batch.put(keyspace, &own, b"written once");
            self.history
                .push((keyspace, own.clone(), b"written once".to_vec()));
            self.content.insert((keyspace, own), b"written once".to_vec());
            if generation > 0 && group.is_multiple_of(4) {
                let older = format!("own-{:04}-{}", group + 1, generation - 1).into_bytes();
                batch.delete(keyspace, &older);
                self.content.remove(&(keyspace, older));
            }
        }
        if generation == 3 && group == 30 {
            let (from, to) = (b"key-000100".to_vec(), b"key-000200".to_vec());
            batch.delete_range(TWINS, &from, &to);
            self.content
                .retain(|(keyspace, key), _| *keyspace != TWINS || *key < from || *key >= to);
        }
        store.commit_blocking(batch, Durability::Os).unwrap();
    }

    fn copy(&self) -> TempDir {
        let folder = folder();
        copy(self.folder.path(), folder.path()).unwrap();
        folder
    }
}

fn content(store: &Store) -> Content {
    let all = ALL.iter().flat_map(|keyspace| {
        let entries: Entries = entries(store, *keyspace);
        entries.into_iter().map(|(key, value)| ((*keyspace, key), value))
    });
    all.collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// How many keys are not as they should be: missing, or with a value they had before.
fn differences(house: &House, found: &Content) -> usize {
    for ((keyspace, key), value) in found {
        let once = house
            .history
            .iter()
            .any(|(k, known, v)| k == keyspace && known == key && v == value);
        assert!(once, "a value that was never written");
    }
    let missing = house
        .content
        .iter()
        .filter(|(key, value)| found.get(*key) != Some(*value))
        .count();
    missing
        + found
            .keys()
            .filter(|key| !house.content.contains_key(*key))
            .count()
}

/// Flips a byte at several places of every file of a kind; each time no more keys than `lost_max` may be touched.
fn survives(house: &House, start: &str, end: &str, lost_max: usize) {
    let whole = house.content.len();
    assert!(whole > 500);
    let names = files(house.folder.path(), start, end);
    assert!(!names.is_empty(), "no {start}*{end}");
    let mut dice = Dice::seeded(11);
    let mut told = 0;
    for file in names {
        let length = fs::metadata(&file).unwrap().len() as usize;
        let mut places: Vec<usize> = (0..4).map(|_| dice.below(length)).collect();
        places.extend([0, length / 2, length - 1]);
        for at in places {
            let copy = house.copy();
            let name = file.file_name().unwrap().to_str().unwrap();
            flip(&copy.path().join("db").join(name), at);
            let what = format!("db/{name} of {length} bytes flipped at {at}");
            let (store, set_aside) = open_damaged(copy.path());
            let found = content(&store);
            let lost = differences(house, &found);
            println!("{what}: {lost} of {whole} keys touched, {}", summary(&set_aside));
            assert!(lost <= lost_max, "{what}: {lost} keys touched");
            if set_aside.is_empty() {
                assert_eq!(lost, 0, "{what}: not told");
            } else {
                told += 1;
                assert!(
                    set_aside.iter().any(|aside| aside.file == format!("db/{name}")),
                    "{what}: {set_aside:?}"
                );
            }
            put(&store, FEED, "afterwards", "it works");
            drop(store);
            stays_well(copy.path(), &found, &set_aside);
        }
    }
    assert!(told > 0);
}

/// The repaired store opens again with the same content, and still tells what is in quarantine.
fn stays_well(path: &Path, found: &Content, set_aside: &[SetAside]) {
    let (store, again) = open_damaged(path);
    assert_eq!(again, set_aside);
    let mut content = content(&store);
    assert_eq!(
        content.remove(&(FEED, b"afterwards".to_vec())),
        Some(b"it works".to_vec())
    );
    assert_eq!(&content, found);
}

fn summary(set_aside: &[SetAside]) -> String {
    let lines = set_aside
        .iter()
        .map(|aside| format!("[{} | {} | {}]", aside.file, aside.reason, aside.may_have_held));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_flipped_byte_in_a_table_costs_at_most_its_block() {
    survives(&House::build(), "", ".sst", 300);
}

#[test]
fn a_flipped_byte_in_the_log_costs_at_most_its_group() {
    survives(&House::build(), "", ".log", 40);
}

#[test]
fn a_flipped_byte_in_the_manifest_costs_nothing() {
    survives(&House::build(), "MANIFEST", "", 0);
}

#[test]
fn a_flipped_byte_in_current_costs_nothing() {
    survives(&House::build(), "CURRENT", "", 0);
}

#[test]
fn a_flipped_byte_in_the_options_costs_nothing() {
    survives(&House::build(), "OPTIONS", "", 0);
}

#[test]
fn a_flipped_byte_in_the_format_file_costs_nothing() {
    let house = House::build();
    let length = fs::metadata(house.folder.path().join("FORMAT")).unwrap().len() as usize;
    for at in 0..length {
        let copy = house.copy();
        flip(&copy.path().join("FORMAT"), at);
        let (store, set_aside) = open_damaged(copy.path());
        assert_eq!(content(&store), house.content, "flipped at {at}");
        assert_eq!(set_aside.len(), 1, "flipped at {at}");
        assert_eq!(set_aside[0].file, "FORMAT");
    }
}

/// Anything else in the folder: locks, identity, the engine's own log, the seal.
#[test]
fn a_flipped_byte_in_any_other_file_costs_nothing() {
    let house = House::build();
    for name in ["LOCK", "SEAL", "db/LOCK", "db/IDENTITY", "db/LOG"] {
        let length = fs::metadata(house.folder.path().join(name)).unwrap().len() as usize;
        for at in [0, length / 2, length.saturating_sub(1)]
            .into_iter()
            .filter(|at| *at < length)
        {
            // A copy for each: the engine writes a new log at each start.
            let copy = house.copy();
            flip(&copy.path().join(name), at);
            let (store, _) = open_damaged(copy.path());
            assert_eq!(content(&store), house.content, "{name} flipped at {at}");
        }
    }
}

#[test]
fn several_damaged_files_are_all_named() {
    let house = House::build();
    let copy = house.copy();
    let mut damaged = files(copy.path(), "", ".sst");
    damaged.truncate(3);
    damaged.extend(files(copy.path(), "", ".log"));
    damaged.extend(files(copy.path(), "CURRENT", ""));
    for path in &damaged {
        flip(path, fs::metadata(path).unwrap().len() as usize / 3);
    }
    let (store, set_aside) = open_damaged(copy.path());
    println!("{}", summary(&set_aside));
    for path in &damaged {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(set_aside.iter().any(|aside| aside.file.ends_with(name)), "{name}");
    }
    assert!(differences(&house, &content(&store)) < 400);
}

/// One to three files, each with a flipped byte, an emptied sector or a lost end. `STORE_DAMAGE_SEEDS=1000` for more.
#[test]
fn any_damage_is_survived_and_the_second_start_finds_what_the_first_did() {
    let seeds = env::var("STORE_DAMAGE_SEEDS").map_or(20, |seeds| seeds.parse().unwrap());
    let house = House::build();
    for seed in 1..=seeds {
        println!("seed {seed}");
        let mut dice = Dice::seeded(seed);
        let copy = house.copy();
        let all = files(copy.path(), "", "");
        for _ in 0..=dice.below(3) {
            let path = &all[dice.below(all.len())];
            let mut bytes = fs::read(path).unwrap();
            if bytes.is_empty() {
                continue;
            }
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes.truncate(at),
                1 => bytes
                    .iter_mut()
                    .skip(at / 512 * 512)
                    .take(512)
                    .for_each(|byte| *byte = 0),
                _ => bytes[at] ^= 1 << dice.below(8),
            }
            println!("{} at {at}", path.display());
            fs::write(path, bytes).unwrap();
        }
        let (store, set_aside) = open_damaged(copy.path());
        let found = content(&store);
        let lost = differences(&house, &found);
        println!("{lost} keys touched, {}", summary(&set_aside));
        put(&store, FEED, "afterwards", "it works");
        drop(store);
        stays_well(copy.path(), &found, &set_aside);
    }
}

#[test]
fn a_missing_file_of_each_kind_does_not_keep_the_store_from_opening() {
    let house = House::build();
    for (start, end) in [("", ".sst"), ("MANIFEST", ""), ("CURRENT", ""), ("OPTIONS", "")] {
        for file in files(house.folder.path(), start, end) {
            let copy = house.copy();
            fs::remove_file(copy.path().join("db").join(file.file_name().unwrap())).unwrap();
            let (store, set_aside) = open_damaged(copy.path());
            println!("without {}: {}", file.display(), summary(&set_aside));
            assert_eq!(set_aside.is_empty(), start == "OPTIONS");
            differences(&house, &content(&store));
        }
    }
}

/// The end of a write that was interrupted was never acknowledged, so nothing is missing and nothing is told.
#[test]
fn a_torn_end_of_the_log_is_not_damage() {
    let house = House::build();
    let log = files(house.folder.path(), "", ".log").pop().unwrap();
    let length = fs::metadata(&log).unwrap().len();
    for cut in [1, 2, 9, 500, 1500, 1999, 3000] {
        let copy = house.copy();
        let path = copy.path().join("db").join(log.file_name().unwrap());
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - cut)
            .unwrap();
        let store = open(copy.path());
        assert!(
            differences(&house, &content(&store)) <= 40 * (1 + cut as usize / 1500),
            "cut by {cut}"
        );
    }
}

#[test]
fn the_report_stays_until_a_person_removes_it() {
    let house = House::build();
    let path = house.folder.path();
    flip(&path.join("db/CURRENT"), 3);
    assert_eq!(open_damaged(path).1.len(), 1);
    assert_eq!(open_damaged(path).1.len(), 1);
    fs::remove_dir_all(path.join("quarantine")).unwrap();
    open(path);
}

/// Larger stores are verified after they were opened. Damage found then is told, and cured by the next start.
#[test]
fn damage_met_while_serving_is_told_and_set_aside_at_the_next_start() {
    let house = House::build();
    let path = house.folder.path();
    drop(open(path));
    let table = files(path, "", ".sst").into_iter().next().unwrap();
    flip(&table, 600);
    let opened = Store::open(
        path,
        &store::Options {
            verify_at_open_bytes_max: 0,
            ..options()
        },
        &crate::support::KEYSPACES,
    );
    let store = opened.unwrap().store;
    let mut failed = None;
    for keyspace in ALL {
        let visit = &mut |_: &[u8], _: &[u8]| std::ops::ControlFlow::Continue(());
        let all = std::ops::Bound::Unbounded;
        failed = failed.or(store.scan(keyspace, all, all, visit).err());
    }
    assert!(matches!(failed, Some(ReadError::Damaged { .. })), "{failed:?}");
    let name = format!("db/{}", table.file_name().unwrap().to_str().unwrap());
    assert!(store.set_aside().iter().all(|aside| aside.file == name) && !store.set_aside().is_empty());
    drop(store);
    let (store, set_aside) = open_damaged(path);
    assert!(set_aside.iter().any(|aside| aside.file == name));
    assert!(differences(&house, &content(&store)) < 300);
    assert_eq!(get(&store, TWINS, "never was"), None);
}
