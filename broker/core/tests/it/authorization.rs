//! What a gate allows, and how it is remembered.

use std::{cell::RefCell, rc::Rc};

use broker_core::{
    Question,
    testing::{World, clean, persistent},
};
use mqtt_wire::{QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere};

/// Counts the questions, and denies everything that has `secret` in it.
fn guard(world: &mut World) -> Rc<RefCell<usize>> {
    let asked = Rc::new(RefCell::new(0));
    let count = Rc::clone(&asked);
    world.set_gate(move |_, question| {
        *count.borrow_mut() += 1;
        match question {
            Question::Publish { topic, .. } => !topic.contains("secret"),
            Question::Subscribe { filter } => !filter.as_str().contains("secret"),
        }
    });
    asked
}

/// A v5 publisher that may not is told so, and its connection stays.
#[test]
fn denied_publish_is_told_to_a_new_client() {
    everywhere(|world| {
        guard(world);
        let client = world.connect(persistent(Version::V5, "client"));
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "#", QoS::ExactlyOnce);
        world.publish(client, "secret", "", QoS::AtMostOnce);
        let one = world.publish(client, "secret", "", QoS::AtLeastOnce);
        let two = world.publish(client, "secret", "", QoS::ExactlyOnce);
        let acks: Vec<_> = world.client(client).acks().collect();
        let denied = ReasonCode::NotAuthorized;
        assert_eq!(acks, [("PUBACK", one, denied), ("PUBREC", two, denied)]);
        assert!(world.client(client).is_connected());
        assert_eq!(world.client(listener).payloads(), [""; 0]);
        assert_eq!(world.count(|counters| counters.denied), 3);
    });
}

/// [MQTT311-3.3.5-2] A 3.1.1 publisher that may not is acknowledged as always, and reaches nobody.
#[test]
fn denied_publish_is_acknowledged_to_an_old_client() {
    everywhere(|world| {
        guard(world);
        let client = world.connect(persistent(Version::V311, "client"));
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "#", QoS::ExactlyOnce);
        world.publish(client, "secret", "", QoS::AtLeastOnce);
        world.publish(client, "secret", "", QoS::ExactlyOnce);
        let names: Vec<_> = world.client(client).acks().map(|(name, ..)| name).collect();
        assert_eq!(names, ["PUBACK", "PUBREC", "PUBCOMP"]);
        assert_eq!(world.client(listener).payloads(), [""; 0]);
    });
}

/// A denied filter is refused in its place; others of the same SUBSCRIBE are granted.
#[test]
fn denied_filter_is_refused() {
    everywhere(|world| {
        guard(world);
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            world.subscribe(client, "secret/#", QoS::AtLeastOnce);
            let told = match version {
                Version::V5 => ReasonCode::NotAuthorized,
                Version::V311 => ReasonCode::UnspecifiedError,
            };
            assert_eq!(world.client(client).granted(), [told]);
            world.subscribe(client, "open/#", QoS::AtLeastOnce);
            assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
        }
    });
}

/// A verdict on a topic is asked for once per connection, unless the gate has it at hand.
#[test]
fn verdict_is_remembered() {
    everywhere(|world| {
        let asked = guard(world);
        world.gate_answers_at_once = false;
        let client = world.connect(clean(Version::V5, "client"));
        for _ in 0..10 {
            for topic in ["a", "b", "secret"] {
                world.publish(client, topic, "", QoS::AtMostOnce);
            }
        }
        assert_eq!(*asked.borrow(), 3);
        world.publish(client, "a", "", QoS::AtLeastOnce);
        assert_eq!(*asked.borrow(), 4, "another level is another question");
    });
}

/// A gate that has its verdicts at hand judges each message on another topic than the last one's as it is now.
#[test]
fn verdict_at_hand_is_the_present_one() {
    everywhere(|world| {
        let denied = Rc::new(RefCell::new("nothing"));
        let verdict = Rc::clone(&denied);
        let publishes = |question: &Question, topic: &str| matches!(question, Question::Publish { topic: asked, .. } if &**asked == topic);
        world.set_gate(move |_, question| !publishes(question, *verdict.borrow()));
        world.gate_answers_at_once = true;
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "+", QoS::AtMostOnce);
        let client = world.connect(clean(Version::V5, "client"));
        for (now_denied, topic) in [("nothing", "a"), ("b", "b"), ("b", "a"), ("a", "b"), ("a", "a")] {
            *denied.borrow_mut() = now_denied;
            world.publish(
                client,
                topic,
                &format!("{topic}, not {now_denied}"),
                QoS::AtMostOnce,
            );
        }
        let heard = ["a, not nothing", "a, not b", "b, not a"];
        assert_eq!(world.client(listener).payloads(), heard);
        assert_eq!(world.count(|counters| counters.denied), 2);
    });
}

/// A changed policy is asked again, also for a topic that was published to just before.
#[test]
fn changed_policy_is_asked_again() {
    everywhere(|world| {
        let allowed = Rc::new(RefCell::new(true));
        let verdict = Rc::clone(&allowed);
        world.set_gate(move |_, _| *verdict.borrow());
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "a", QoS::AtMostOnce);
        let client = world.connect(clean(Version::V5, "client"));
        world.publish(client, "a", "before", QoS::AtMostOnce);
        *allowed.borrow_mut() = false;
        world.publish(client, "a", "remembered", QoS::AtMostOnce);
        world.change_policy();
        world.publish(client, "a", "after", QoS::AtMostOnce);
        assert_eq!(world.client(listener).payloads(), ["before", "remembered"]);
    });
}

/// The gate knows who asks.
#[test]
fn gate_knows_who_asks() {
    everywhere(|world| {
        world.set_gate(|name, _| name == "alice");
        let listener = world.connect(mqtt_wire::Connect {
            username: Some("alice".into()),
            ..clean(Version::V5, "listener")
        });
        world.subscribe(listener, "a", QoS::AtMostOnce);
        for name in ["alice", "bob"] {
            let client = world.connect(mqtt_wire::Connect {
                username: Some(name.into()),
                ..clean(Version::V5, name)
            });
            world.publish(client, "a", name, QoS::AtMostOnce);
        }
        assert_eq!(world.client(listener).payloads(), ["alice"]);
    });
}
