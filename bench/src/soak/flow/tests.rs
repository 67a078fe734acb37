//! What each QoS allows to happen to a message, and what it does not.

use super::*;

/// A flow with so many messages sent, all of them owed.
fn sent(qos: QoS, count: u64) -> Flow {
    let mut flow = Flow::new(qos);
    for number in 0..count {
        assert_eq!(flow.send(true), number);
    }
    flow
}

fn arrive(flow: &mut Flow, numbers: &[u64]) -> Vec<Verdict> {
    numbers
        .iter()
        .map(|number| flow.arrive(*number, false, 1))
        .collect()
}

#[test]
fn messages_that_come_once_and_in_order_are_no_fault() {
    let mut flow = sent(QoS::ExactlyOnce, 3);
    assert_eq!(arrive(&mut flow, &[0, 1, 2]), [Verdict::InOrder; 3]);
    flow.settle();
    assert_eq!((flow.lost(), flow.awaited(), flow.forgiven()), (0, 0, 0));
}

#[test]
fn an_owed_message_that_a_later_one_overtakes_is_lost_until_it_comes() {
    let mut flow = sent(QoS::AtLeastOnce, 3);
    assert_eq!(arrive(&mut flow, &[0, 2]), [Verdict::InOrder; 2]);
    assert_eq!(flow.lost(), 1);
    assert_eq!(arrive(&mut flow, &[1]), [Verdict::Reordered]);
    assert_eq!(flow.lost(), 0);
}

#[test]
fn an_excused_message_may_be_missing_and_may_not_be_late() {
    let mut flow = Flow::new(QoS::AtMostOnce);
    flow.send(true);
    flow.send(false);
    flow.send(true);
    assert_eq!(arrive(&mut flow, &[0, 2]), [Verdict::InOrder; 2]);
    assert_eq!((flow.lost(), flow.forgiven()), (0, 1));
    assert_eq!(arrive(&mut flow, &[1]), [Verdict::Reordered]);
    assert_eq!(flow.forgiven(), 0);
}

#[test]
fn what_is_missing_at_the_end_is_lost() {
    let mut flow = sent(QoS::AtLeastOnce, 4);
    arrive(&mut flow, &[0, 1]);
    assert_eq!((flow.lost(), flow.awaited()), (0, 2));
    flow.settle();
    assert_eq!(flow.lost(), 2);
}

#[test]
fn what_is_excused_at_the_end_is_not_lost() {
    let mut flow = sent(QoS::AtLeastOnce, 4);
    arrive(&mut flow, &[0]);
    flow.excuse_all();
    flow.settle();
    assert_eq!((flow.lost(), flow.awaited(), flow.forgiven()), (0, 0, 3));
}

#[test]
fn an_excuse_that_comes_after_the_gap_counts() {
    let mut flow = sent(QoS::AtLeastOnce, 3);
    arrive(&mut flow, &[0, 2]);
    flow.excuse(1);
    assert_eq!((flow.lost(), flow.forgiven()), (0, 1));
}

#[test]
fn an_excuse_for_what_has_arrived_changes_nothing() {
    let mut flow = sent(QoS::AtLeastOnce, 3);
    arrive(&mut flow, &[0]);
    flow.excuse(0);
    assert_eq!(flow.awaited(), 2);
}

#[test]
fn qos_1_repeats_with_dup_on_a_later_connection_only() {
    let mut flow = sent(QoS::AtLeastOnce, 1);
    assert_eq!(flow.arrive(0, false, 1), Verdict::InOrder);
    assert_eq!(flow.arrive(0, true, 1), Verdict::Repeated);
    assert_eq!(flow.arrive(0, false, 2), Verdict::Repeated);
    assert_eq!(flow.arrive(0, true, 2), Verdict::Redelivered);
}

#[test]
fn qos_0_and_qos_2_do_not_repeat() {
    for qos in [QoS::AtMostOnce, QoS::ExactlyOnce] {
        let mut flow = sent(qos, 1);
        assert_eq!(flow.arrive(0, false, 1), Verdict::InOrder);
        assert_eq!(flow.arrive(0, true, 2), Verdict::Repeated);
    }
}

#[test]
fn what_the_publisher_repeats_at_qos_1_comes_as_often_as_it_was_sent() {
    let mut flow = sent(QoS::AtLeastOnce, 1);
    flow.resend(0);
    assert_eq!(
        arrive(&mut flow, &[0, 0, 0]),
        [Verdict::InOrder, Verdict::Redelivered, Verdict::Repeated]
    );
}

#[test]
fn a_message_that_was_never_sent_is_noticed() {
    let mut flow = sent(QoS::AtMostOnce, 1);
    assert_eq!(arrive(&mut flow, &[1]), [Verdict::Unsent]);
}

#[test]
fn a_gap_wider_than_the_memory_is_counted_whole() {
    let count = SKIPPED_MAX as u64 + 100;
    let mut flow = sent(QoS::AtLeastOnce, count + 1);
    arrive(&mut flow, &[count]);
    assert_eq!(flow.lost(), count);
}
