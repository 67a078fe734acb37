//! Stories at the desk: what a broker may do to messages, and what is then counted.

use mqtt_wire::Version;

use super::*;
use crate::publisher::PublisherPlan;

const SENT_AT: u64 = 1_000;

fn desk(qos: QoS) -> Desk {
    desk_with(qos, Order::AsSent)
}

fn desk_with(qos: QoS, order: Order) -> Desk {
    let plan = PublisherPlan {
        number: 0,
        topics: vec!["t".into()],
        version: Version::V311,
        qos,
        payload_bytes: 64,
        window: 10,
        receivers: 1,
        properties: Vec::new(),
    };
    let mut desk = Desk::new(
        Codec::Wire,
        vec![Publisher::new(&plan).unwrap()],
        vec![Receiver::new(0..1, qos, order)],
    )
    .unwrap();
    desk.publisher(0).unwrap().send(4, SENT_AT);
    desk
}

fn deliver(desk: &mut Desk, qos: u8, number: u64, dup: bool) -> Result<Vec<u8>> {
    let payload = Stamp {
        publisher: 0,
        number,
        sent_at: SENT_AT,
    }
    .bytes();
    let publish = Publish {
        qos,
        dup,
        packet_id: u16::from(qos > 0) * 9,
        payload: &payload,
        whole: &[],
    };
    let mut out = Vec::new();
    desk.take(
        Role::Receiver(0),
        Frame::Publish(publish),
        SENT_AT + 500,
        &mut out,
    )?;
    Ok(out)
}

#[test]
fn what_arrives_in_order_is_no_fault() {
    let mut desk = desk(QoS::AtMostOnce);
    for number in 0..4 {
        deliver(&mut desk, 0, number, false).unwrap();
    }
    assert_eq!((desk.delivered(), desk.faults()), (4, Faults::default()));
    assert!(desk.is_settled());
    assert_eq!(desk.latency().max(), 500);
}

#[test]
fn lost_repeated_and_reordered_messages_are_told_apart() {
    let mut desk = desk(QoS::AtMostOnce);
    for number in [0, 2, 1, 1] {
        deliver(&mut desk, 0, number, false).unwrap();
    }
    let expected = Faults {
        lost: 1,
        repeated: 1,
        reordered: 1,
        ..Faults::default()
    };
    assert_eq!(desk.faults(), expected);
}

#[test]
fn members_of_a_group_may_overtake_each_other_but_lose_and_repeat_nothing() {
    let mut desk = desk_with(QoS::AtMostOnce, Order::Any);
    for number in [2, 0, 0] {
        deliver(&mut desk, 0, number, false).unwrap();
    }
    let expected = Faults {
        lost: 2,
        repeated: 1,
        ..Faults::default()
    };
    assert_eq!(desk.faults(), expected);
}

#[test]
fn a_repetition_with_dup_is_allowed_at_qos_1_only() {
    let mut at_1 = desk(QoS::AtLeastOnce);
    let mut at_2 = desk(QoS::ExactlyOnce);
    for number in [0, 1, 2, 3, 3] {
        deliver(&mut at_1, 1, number, true).unwrap();
        deliver(&mut at_2, 2, number, true).unwrap();
    }
    assert_eq!((at_1.faults().redelivered, at_1.faults().repeated), (1, 0));
    assert_eq!((at_2.faults().redelivered, at_2.faults().repeated), (0, 1));
}

#[test]
fn receivers_answer_as_the_qos_wants() {
    assert!(
        deliver(&mut desk(QoS::AtMostOnce), 0, 0, false)
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        deliver(&mut desk(QoS::AtLeastOnce), 1, 0, false).unwrap(),
        [0x40, 2, 0, 9]
    );
    let mut desk = desk(QoS::ExactlyOnce);
    assert_eq!(deliver(&mut desk, 2, 0, false).unwrap(), [0x50, 2, 0, 9]);
    let (mut out, rel) = (
        Vec::new(),
        Answer {
            kind: AnswerKind::PubRel,
            packet_id: 9,
        },
    );
    desk.take(Role::Receiver(0), Frame::Answer(rel), 0, &mut out)
        .unwrap();
    assert_eq!(out, [0x70, 2, 0, 9]);
}

#[test]
fn a_publisher_is_due_once_when_half_its_window_is_empty() {
    let mut desk = desk(QoS::AtMostOnce);
    desk.set_refills(true);
    assert_eq!(desk.take_due(), [0]);
    desk.publisher(0).unwrap().is_due = false;
    desk.publisher(0).unwrap().send(6, 0);
    for number in 0..4 {
        deliver(&mut desk, 0, number, false).unwrap();
    }
    assert!(desk.take_due().is_empty());
    deliver(&mut desk, 0, 4, false).unwrap();
    deliver(&mut desk, 0, 5, false).unwrap();
    assert_eq!(desk.take_due(), [0]);
}

#[test]
fn messages_that_cannot_be_ours_end_the_run() {
    let mut desk = desk(QoS::AtMostOnce);
    assert!(deliver(&mut desk, 0, 4, false).is_err(), "not sent yet");
    assert!(
        deliver(&mut desk, 1, 0, false).is_err(),
        "another QoS than asked for"
    );
    let mut out = Vec::new();
    let other = Frame::Other(&[0xe0, 0]);
    assert!(desk.take(Role::Receiver(0), other, 0, &mut out).is_err());
}

#[test]
fn what_the_broker_never_answers_is_a_fault() {
    let mut desk = desk(QoS::ExactlyOnce);
    for number in 0..4 {
        deliver(&mut desk, 2, number, false).unwrap();
    }
    assert_eq!(
        desk.faults(),
        Faults {
            unanswered: 8,
            ..Faults::default()
        },
        "four PUBLISH and four PUBREC"
    );
    assert!(!desk.is_settled());
}
