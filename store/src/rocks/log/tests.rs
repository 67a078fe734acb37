//! Logs that are whole, torn and damaged.

use super::*;

/// Records of all sizes around the edges of a block, with bytes that differ.
fn records() -> Vec<Vec<u8>> {
    let sizes = [1, 100, BLOCK - 300, 150, 12, BLOCK * 2, 0, 40, 900, 33];
    sizes
        .iter()
        .enumerate()
        .map(|(index, size)| (0..*size).map(|at| (at * 7 + index + 1) as u8 | 1).collect())
        .collect()
}

fn log(records: &[Vec<u8>]) -> Vec<u8> {
    let mut log = Vec::new();
    records.iter().for_each(|record| append(&mut log, record));
    log
}

fn sound(bytes: &[u8]) -> (Vec<Vec<u8>>, usize, End) {
    let (mut found, mut damage) = (Vec::new(), 0);
    let end = read(bytes, &mut |piece| match piece {
        Piece::Record(record) => found.push(record.to_vec()),
        Piece::Damage { .. } => damage += 1,
    });
    (found, damage, end)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(sound(&log(&records())), (records(), 0, End::Clean));
}

#[test]
fn zeros_behind_the_last_record_are_not_damage() {
    let mut bytes = log(&records());
    bytes.resize(bytes.len() + 3 * BLOCK, 0);
    assert_eq!(sound(&bytes), (records(), 0, End::Clean));
}

#[test]
fn a_cut_log_is_torn_and_never_damaged() {
    let bytes = log(&records());
    for cut in (0..bytes.len()).step_by(13) {
        let (found, damage, _) = sound(&bytes[..cut]);
        assert_eq!(damage, 0, "cut at {cut}");
        assert_eq!(found, records()[..found.len()], "cut at {cut}");
    }
}

#[test]
fn a_flipped_byte_costs_at_most_its_record_and_is_always_told() {
    let (all, bytes) = (records(), log(&records()));
    for at in (0..bytes.len())
        .step_by(11)
        .chain(0..40)
        .chain(bytes.len() - 60..bytes.len())
    {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let (found, damage, end) = sound(&flipped);
        if found == all && damage == 0 {
            assert!(
                (at % BLOCK) > BLOCK - HEADER,
                "flipped at {at} and nobody noticed"
            );
            continue;
        }
        assert!(
            damage > 0 && end == End::Clean,
            "flipped at {at}: {damage} {end:?}"
        );
        let lost = all.iter().filter(|record| !found.contains(record)).count();
        assert!(
            lost <= 1 && found.len() + lost == all.len(),
            "flipped at {at}: {lost} lost"
        );
    }
}

#[test]
fn a_last_record_with_an_empty_sector_is_torn() {
    let mut bytes = log(&[vec![1; 100], vec![2; 4000]]);
    let end = bytes.len();
    bytes[end - 1500..].fill(0);
    assert_eq!(sound(&bytes), (vec![vec![1; 100]], 0, End::Torn));
}

#[test]
fn an_empty_sector_before_a_sound_record_is_damage() {
    let mut bytes = log(&[vec![1; 100], vec![2; 4000], vec![3; 10]]);
    bytes[1024..2048].fill(0);
    assert_eq!(sound(&bytes), (vec![vec![1; 100], vec![3; 10]], 1, End::Clean));
}

#[test]
fn a_record_in_the_bytes_of_another_is_not_taken_for_one() {
    let mut payload = vec![9; 50];
    append(&mut payload, b"chosen by somebody");
    let mut bytes = log(&[payload, vec![1; 20]]);
    // The length now points to the chosen bytes, and a byte behind them is damaged too.
    bytes[4] = 50;
    bytes[70] ^= 1;
    let (found, damage, _) = sound(&bytes);
    assert!(damage > 0);
    assert!(
        !found.contains(&b"chosen by somebody".to_vec()) || found.is_empty(),
        "{found:?}"
    );
}
