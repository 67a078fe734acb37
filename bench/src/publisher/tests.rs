//! Small truths about windows, rings and prebuilt frames.

use super::*;
use crate::scanner::{Frame, Scanner};

fn plan(qos: QoS, window: u32, receivers: u32) -> PublisherPlan {
    PublisherPlan {
        number: 3,
        topics: vec!["p/03".into()],
        version: Version::V311,
        qos,
        payload_bytes: 64,
        window,
        receivers,
        properties: Vec::new(),
    }
}

/// Sends and writes this many.
fn send(publisher: &mut Publisher, count: u64) {
    publisher.send(count, 0);
    drain(publisher, usize::MAX);
}

/// Takes all unwritten bytes, `step` bytes per write, and returns id and stamp of each frame.
fn drain(publisher: &mut Publisher, step: usize) -> Vec<(u16, Stamp)> {
    let mut scanner = Scanner::new(Version::V311);
    let mut seen = Vec::new();
    loop {
        let bytes = publisher.unwritten().concat();
        if bytes.is_empty() {
            return seen;
        }
        let taken = step.min(bytes.len());
        publisher.wrote(taken);
        let (taken, _) = bytes.split_at(taken);
        scanner
            .feed(taken, &mut |frame| {
                if let Frame::Publish(publish) = frame {
                    seen.push((publish.packet_id, Stamp::read(publish.payload).unwrap()));
                }
                Ok(())
            })
            .unwrap();
    }
}

fn numbers(frames: &[(u16, Stamp)]) -> Vec<u64> {
    frames.iter().map(|(_, stamp)| stamp.number).collect()
}

#[test]
fn frames_carry_their_numbers_across_the_end_of_the_ring() {
    let mut publisher = Publisher::new(&plan(QoS::AtMostOnce, 4, 1)).unwrap();
    publisher.send(3, 9);
    assert_eq!(numbers(&drain(&mut publisher, usize::MAX)), [0, 1, 2]);
    publisher.arrived(2);
    publisher.send(4, 9);
    let frames = drain(&mut publisher, 7);
    assert_eq!(numbers(&frames), [3, 4, 5, 6]);
    assert!(
        frames
            .iter()
            .all(|(id, stamp)| *id == 0 && stamp.publisher == 3 && stamp.sent_at == 9)
    );
}

#[test]
fn a_half_written_frame_is_known() {
    let mut publisher = Publisher::new(&plan(QoS::AtMostOnce, 4, 1)).unwrap();
    publisher.send(1, 0);
    publisher.wrote(5);
    assert!(publisher.is_mid_frame());
    drain(&mut publisher, usize::MAX);
    assert!(!publisher.is_mid_frame());
}

#[test]
fn the_window_is_refilled_at_half() {
    let mut publisher = Publisher::new(&plan(QoS::AtMostOnce, 10, 1)).unwrap();
    send(&mut publisher, 10);
    publisher.arrived(3);
    assert!(!publisher.wants_refill());
    publisher.arrived(4);
    assert!(publisher.wants_refill());
    assert_eq!(publisher.room(), 5);
}

#[test]
fn at_qos_1_a_message_counts_until_delivered_and_acknowledged() {
    let mut publisher = Publisher::new(&plan(QoS::AtLeastOnce, 2, 1)).unwrap();
    send(&mut publisher, 2);
    publisher.arrived(1);
    assert_eq!(publisher.room(), 0);
    let ack = Answer {
        kind: AnswerKind::PubAck,
        packet_id: 1,
    };
    assert_eq!(publisher.answered(ack).unwrap(), None);
    assert_eq!(publisher.room(), 1);
    assert_eq!(publisher.answers_out_of_order(), 0);
}

#[test]
fn at_qos_2_pubrec_is_answered_and_pubcomp_ends_it() {
    let mut publisher = Publisher::new(&plan(QoS::ExactlyOnce, 2, 1)).unwrap();
    publisher.send(1, 0);
    publisher.arrived(0);
    let rec = Answer {
        kind: AnswerKind::PubRec,
        packet_id: 1,
    };
    let rel = Answer {
        kind: AnswerKind::PubRel,
        packet_id: 1,
    };
    assert_eq!(publisher.answered(rec).unwrap(), Some(rel));
    assert_eq!(publisher.outstanding(), 1);
    let comp = Answer {
        kind: AnswerKind::PubComp,
        packet_id: 1,
    };
    assert_eq!(publisher.answered(comp).unwrap(), None);
    assert_eq!(publisher.outstanding(), 0);
}

#[test]
fn answers_out_of_order_are_counted_and_surplus_ones_refused() {
    let mut publisher = Publisher::new(&plan(QoS::AtLeastOnce, 2, 1)).unwrap();
    publisher.send(2, 0);
    for packet_id in [2, 1] {
        publisher
            .answered(Answer {
                kind: AnswerKind::PubAck,
                packet_id,
            })
            .unwrap();
    }
    assert_eq!(publisher.answers_out_of_order(), 2);
    assert!(
        publisher
            .answered(Answer {
                kind: AnswerKind::PubAck,
                packet_id: 3
            })
            .is_err()
    );
    assert!(
        publisher
            .answered(Answer {
                kind: AnswerKind::PubComp,
                packet_id: 3
            })
            .is_err()
    );
}

#[test]
fn with_many_receivers_the_slowest_holds_the_window() {
    let mut publisher = Publisher::new(&plan(QoS::AtMostOnce, 2, 3)).unwrap();
    send(&mut publisher, 2);
    for number in [0, 1, 0, 1, 1] {
        publisher.arrived(number);
    }
    assert_eq!(publisher.room(), 0, "message 0 has reached two of three");
    publisher.arrived(0);
    assert_eq!(publisher.room(), 2);
}

#[test]
fn ids_and_properties_stand_where_the_standard_says() {
    let properties = vec![0x26, 0, 1, b'k', 0, 1, b'v'];
    let plan = PublisherPlan {
        version: Version::V5,
        properties,
        payload_bytes: 200,
        ..plan(QoS::AtLeastOnce, 3, 1)
    };
    let mut publisher = Publisher::new(&plan).unwrap();
    publisher.send(3, 0);
    let bytes = publisher.unwritten().concat();
    let mut ids = Vec::new();
    let mut scanner = Scanner::new(Version::V5);
    scanner
        .feed(&bytes, &mut |frame| {
            if let Frame::Publish(publish) = frame {
                ids.push((publish.packet_id, Stamp::read(publish.payload).unwrap().number));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(ids, [(1, 0), (2, 1), (3, 2)]);
}

#[test]
fn packet_ids_are_never_zero() {
    let ids: Vec<u16> = [0, 65_533, 65_534, 65_535, 65_536].map(packet_id).to_vec();
    assert_eq!(ids, [1, 65_534, 65_535, 1, 2]);
}

#[test]
fn impossible_plans_are_refused() {
    assert!(Publisher::new(&plan(QoS::AtMostOnce, 0, 1)).is_err());
    assert!(Publisher::new(&plan(QoS::AtMostOnce, 60_000, 1)).is_err());
    assert!(
        Publisher::new(&PublisherPlan {
            payload_bytes: 19,
            ..plan(QoS::AtMostOnce, 1, 1)
        })
        .is_err()
    );
    assert!(
        Publisher::new(&PublisherPlan {
            topics: vec!["a".into(), "bb".into()],
            ..plan(QoS::AtMostOnce, 1, 1)
        })
        .is_err()
    );
    assert!(
        Publisher::new(&PublisherPlan {
            topics: Vec::new(),
            ..plan(QoS::AtMostOnce, 1, 1)
        })
        .is_err()
    );
}

#[test]
fn a_wide_window_does_not_overwrite_frames_that_wait_to_be_written() {
    let mut publisher = Publisher::new(&plan(QoS::AtMostOnce, 30_000, 1)).unwrap();
    let room = publisher.room();
    publisher.send(room, 0);
    assert_eq!((room, publisher.room()), (RING_FRAMES_MAX as u64, 0));
    assert_eq!(drain(&mut publisher, usize::MAX).len() as u64, room);
    assert_eq!(publisher.room(), RING_FRAMES_MAX as u64);
}
