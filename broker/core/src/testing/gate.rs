//! The gate of a `World`: what a story lets it decide, asked or at hand.

use std::{cell::RefCell, fmt, rc::Rc};

use mqtt_wire::QoS;

use crate::{Judge, Question};

type Decide = Box<dyn FnMut(&str, &Question) -> bool>;

/// Decides what a connection may do: principal name and question to verdict. Without a story's word all is allowed.
#[derive(Default, Clone)]
pub(super) struct Gate(Option<Rc<RefCell<Decide>>>);

impl Gate {
    pub(super) fn of(decide: impl FnMut(&str, &Question) -> bool + 'static) -> Self {
        Self(Some(Rc::new(RefCell::new(Box::new(decide)))))
    }

    pub(super) fn may(&self, name: &str, question: &Question) -> bool {
        self.0
            .as_ref()
            .is_none_or(|decide| (decide.borrow_mut())(name, question))
    }

    /// The gate for one client's packet, which `answers` at once or has to be asked.
    pub(super) fn judge(&self, name: String, answers: bool) -> AtHand {
        let gate = self.clone();
        AtHand { gate, name, answers }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.0.is_some()).finish()
    }
}

#[derive(Debug)]
pub(super) struct AtHand {
    gate: Gate,
    name: String,
    answers: bool,
}

impl Judge for AtHand {
    fn may_publish(&self, topic: &str, qos: QoS, retain: bool) -> Option<bool> {
        let topic = topic.into();
        let question = Question::Publish { topic, qos, retain };
        self.answers.then(|| self.gate.may(&self.name, &question))
    }
}
