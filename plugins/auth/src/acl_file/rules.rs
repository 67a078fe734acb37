//! What the rules of an ACL file say about an access.

use std::collections::HashMap;

use plugin_api::{Access, Decision, Principal, TopicFilter, TopicName};

use super::pattern::{DevicePattern, Filled, FilterPattern};
use crate::ANONYMOUS;

/// The rules of a file, by whom they are for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// For anonymous clients.
    pub(crate) anonymous: Vec<Rule>,
    /// For one user each.
    pub(crate) users: HashMap<String, Vec<Rule>>,
    /// For everybody.
    pub(crate) everybody: Vec<Rule>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    Topic(Reach, FilterPattern),
    Twin(Reach, DevicePattern),
    FleetRead,
    Operate,
}

/// How far a rule reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Read,
    Write,
    ReadWrite,
    Deny,
}

/// What somebody wants, as far as a rule can tell.
enum Wish<'a> {
    Publish(TopicName<'a>),
    Subscribe(&'a TopicFilter),
    ReadTwin(&'a str),
    WriteTwin(&'a str),
    ReadFleet,
    Operate,
}

impl<'a> Wish<'a> {
    /// `None` for what no rule can allow: a topic that is none, or a kind of access this file knows no line for.
    fn of(access: &'a Access) -> Option<Self> {
        match access {
            Access::Publish { topic, .. } => TopicName::parse(topic).ok().map(Self::Publish),
            Access::Subscribe { filter } => Some(Self::Subscribe(filter)),
            Access::ReadTwin { device, .. } => Some(Self::ReadTwin(device)),
            Access::WriteTwin { device, .. } => Some(Self::WriteTwin(device)),
            Access::ReadFleet => Some(Self::ReadFleet),
            Access::Operate => Some(Self::Operate),
            _ => None,
        }
    }
}

impl Rules {
    /// Deny if any rule denies, else allow if any rule allows, else silent.
    pub(crate) fn decide(&self, principal: &Principal, access: &Access) -> Decision {
        Wish::of(access).map_or(Decision::Silent, |wish| self.grant(principal, &wish))
    }

    /// The same for a message on this topic.
    pub(crate) fn decide_publish(&self, principal: &Principal, topic: &str) -> Decision {
        let wish = TopicName::parse(topic).map(Wish::Publish);
        wish.map_or(Decision::Silent, |wish| self.grant(principal, &wish))
    }

    fn grant(&self, principal: &Principal, wish: &Wish<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for rule in self.of(principal) {
            match rule.decide(principal, wish) {
                Decision::Deny => return Decision::Deny,
                Decision::Allow => decision = Decision::Allow,
                Decision::Silent => {}
            }
        }
        decision
    }

    fn of(&self, principal: &Principal) -> impl Iterator<Item = &Rule> {
        let own = if &*principal.name == ANONYMOUS {
            Some(&self.anonymous)
        } else {
            self.users.get(&*principal.name)
        };
        self.everybody.iter().chain(own.into_iter().flatten())
    }
}

impl Rule {
    fn decide(&self, principal: &Principal, wish: &Wish<'_>) -> Decision {
        match (self, wish) {
            (Self::Topic(Reach::Deny, filter), wish) => denied_if(touches(&filter.fill(principal), wish)),
            (Self::Topic(reach, filter), wish) => allowed_if(match filter.fill(principal) {
                Filled::With(filter) => reach.covers(&filter, wish),
                Filled::Lacking | Filled::Hostile(_) => false,
            }),
            (Self::Twin(Reach::Deny, whose), Wish::ReadTwin(device) | Wish::WriteTwin(device)) => {
                denied_if(whose.means(device, principal))
            }
            (Self::Twin(reach, whose), Wish::ReadTwin(device)) => {
                allowed_if(reach.reads() && whose.means(device, principal))
            }
            (Self::Twin(reach, whose), Wish::WriteTwin(device)) => {
                allowed_if(reach.writes() && whose.means(device, principal))
            }
            (Self::FleetRead, Wish::ReadFleet) | (Self::Operate, Wish::Operate) => Decision::Allow,
            (Self::Twin(..) | Self::FleetRead | Self::Operate, _) => Decision::Silent,
        }
    }
}

/// Whether a filter that denies has anything to do with the wish.
fn touches(denied: &Filled<impl AsRef<TopicFilter>>, wish: &Wish<'_>) -> bool {
    let (Filled::With(denied) | Filled::Hostile(denied)) = denied else {
        return false;
    };
    match wish {
        Wish::Publish(topic) => denied.as_ref().matches(*topic),
        Wish::Subscribe(filter) => denied.as_ref().overlaps(filter),
        Wish::ReadTwin(_) | Wish::WriteTwin(_) | Wish::ReadFleet | Wish::Operate => false,
    }
}

impl Reach {
    const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }

    /// Whether everything that is wished for lies within the filter.
    fn covers(self, allowed: &TopicFilter, wish: &Wish<'_>) -> bool {
        match wish {
            Wish::Publish(topic) => self.writes() && allowed.matches(*topic),
            Wish::Subscribe(filter) => self.reads() && allowed.contains(filter),
            Wish::ReadTwin(_) | Wish::WriteTwin(_) | Wish::ReadFleet | Wish::Operate => false,
        }
    }
}

const fn allowed_if(yes: bool) -> Decision {
    if yes { Decision::Allow } else { Decision::Silent }
}

const fn denied_if(yes: bool) -> Decision {
    if yes { Decision::Deny } else { Decision::Silent }
}
