//! The gate of the twins: what everybody may and nobody may do with twin topics, before other rules are asked.

use std::future::ready;
use std::sync::Arc;

use plugin_api::{Access, Authorize, Decision, GateError, Pending, Principal, QoS, Section};

use crate::topics::{ME, Tail, Topic, filter_of_me, filter_of_own, is_reserved};

/// Stands first in the chain of authorizers:
///
/// * clients publish requests only; the broker's own words are denied to them whatever other rules say;
/// * a device may use the topics of its own twins, and read and report its own twin over HTTP;
/// * a device never sees its tags;
/// * about everything else it is silent.
#[derive(Debug, Default)]
pub struct TwinGate;

impl Authorize for TwinGate {
    fn authorize(
        &self,
        principal: &Arc<Principal>,
        access: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        Box::pin(ready(Ok(decide(principal.device.as_deref(), access))))
    }

    fn publish_at_once(&self, principal: &Principal, topic: &str, _: QoS, _: bool) -> Option<Decision> {
        Some(publish(principal.device.as_deref(), topic))
    }
}

fn decide(own: Option<&str>, access: &Access) -> Decision {
    match access {
        Access::Publish { topic, .. } => publish(own, topic),
        Access::Subscribe { filter } => {
            let own = own.filter(|own| is_plain(own));
            let allowed = own.is_some_and(|own| filter_of_me(filter) || filter_of_own(filter, own));
            if allowed {
                Decision::Allow
            } else {
                Decision::Silent
            }
        }
        Access::ReadTwin { device, section } if own == Some(device) => match section {
            Section::Desired | Section::Reported => Decision::Allow,
            Section::Tags | Section::Whole => Decision::Deny,
            _ => Decision::Silent,
        },
        Access::WriteTwin {
            device,
            section: Section::Reported,
        } if own == Some(device) => Decision::Allow,
        _ => Decision::Silent,
    }
}

fn publish(own: Option<&str>, topic: &str) -> Decision {
    if !is_reserved(topic) {
        return Decision::Silent;
    }
    match (Topic::parse(topic), own) {
        (
            Some(Topic {
                tail: Tail::Request(_),
                device,
                ..
            }),
            Some(own),
        ) if device == ME || device == own => Decision::Allow,
        (
            Some(Topic {
                tail: Tail::Request(_),
                device,
                ..
            }),
            None,
        ) if device == ME => Decision::Deny,
        (
            Some(Topic {
                tail: Tail::Request(_),
                ..
            }),
            _,
        ) => Decision::Silent,
        _ => Decision::Deny,
    }
}

/// Whether a device's name can stand in a filter without meaning more than itself.
fn is_plain(device: &str) -> bool {
    !device.is_empty() && !device.contains(['/', '+', '#'])
}

#[cfg(test)]
mod tests {
    use plugin_api::{QoS, TopicFilter};

    use super::*;

    fn publishing(own: Option<&str>, topic: &str) -> Decision {
        let decision = decide(
            own,
            &Access::Publish {
                topic: topic.to_owned(),
                qos: QoS::AtLeastOnce,
                retain: false,
            },
        );
        let mut principal = Principal::named("somebody");
        principal.device = own.map(Into::into);
        let at_once = TwinGate.publish_at_once(&principal, topic, QoS::AtLeastOnce, false);
        assert_eq!(at_once, Some(decision), "{topic}");
        decision
    }

    fn subscribing(own: Option<&str>, filter: &str) -> Decision {
        decide(
            own,
            &Access::Subscribe {
                filter: TopicFilter::parse(filter).expect("a filter"),
            },
        )
    }

    #[test]
    fn nobody_speaks_for_the_broker() {
        for topic in [
            "$aws/things/pump/shadow/update/accepted",
            "$aws/things/pump/shadow/update/delta",
            "$aws/things/pump/shadow/name/motor/update/documents",
            "$aws/things/pump/shadow/get/rejected",
            "$aws/things/pump/shadow/something",
            "$twin/pump/update/delta",
            "$twin/me/update/delta",
            "$twin/pump",
        ] {
            assert_eq!(publishing(Some("pump"), topic), Decision::Deny, "{topic}");
            assert_eq!(publishing(None, topic), Decision::Deny, "{topic}");
        }
    }

    #[test]
    fn a_device_publishes_requests_about_itself() {
        for topic in [
            "$aws/things/pump/shadow/update",
            "$aws/things/pump/shadow/name/motor/get",
            "$twin/pump/delete",
            "$twin/me/get",
            "$twin/me/name/motor/update",
        ] {
            assert_eq!(publishing(Some("pump"), topic), Decision::Allow, "{topic}");
        }
        assert_eq!(publishing(Some("lamp"), "$twin/pump/get"), Decision::Silent);
        assert_eq!(publishing(None, "$twin/pump/get"), Decision::Silent);
        assert_eq!(publishing(None, "$twin/me/get"), Decision::Deny);
        assert_eq!(publishing(Some("pump"), "plant/pump"), Decision::Silent);
    }

    #[test]
    fn a_device_subscribes_to_itself_and_not_beyond() {
        for filter in [
            "$aws/things/pump/shadow/get/+",
            "$aws/things/pump/shadow/#",
            "$aws/things/pump/shadow/name/+/update/delta",
            "$twin/pump/#",
            "$twin/me/update/delta",
        ] {
            assert_eq!(subscribing(Some("pump"), filter), Decision::Allow, "{filter}");
        }
        for filter in [
            "$aws/things/+/shadow/get/+",
            "$aws/things/pump/#",
            "$twin/+/update/delta",
            "$twin/#",
            "#",
        ] {
            assert_eq!(subscribing(Some("pump"), filter), Decision::Silent, "{filter}");
        }
        assert_eq!(subscribing(None, "$twin/me/#"), Decision::Silent);
    }

    /// A certificate may name anything; a name with wildcards must not open other devices' topics.
    #[test]
    fn a_device_named_like_a_wildcard_gets_nothing() {
        for device in ["+", "#", "a/b", ""] {
            assert_eq!(
                subscribing(Some(device), "$twin/pump/#"),
                Decision::Silent,
                "{device}"
            );
        }
    }

    #[test]
    fn a_device_reads_and_reports_itself_but_never_sees_its_tags() {
        let device = || "pump".to_owned();
        let read = |section| {
            decide(
                Some("pump"),
                &Access::ReadTwin {
                    device: device(),
                    section,
                },
            )
        };
        let write = |section| {
            decide(
                Some("pump"),
                &Access::WriteTwin {
                    device: device(),
                    section,
                },
            )
        };
        assert_eq!(read(Section::Desired), Decision::Allow);
        assert_eq!(read(Section::Reported), Decision::Allow);
        assert_eq!(read(Section::Tags), Decision::Deny);
        assert_eq!(read(Section::Whole), Decision::Deny);
        assert_eq!(write(Section::Reported), Decision::Allow);
        assert_eq!(write(Section::Desired), Decision::Silent);
        assert_eq!(
            decide(
                Some("lamp"),
                &Access::ReadTwin {
                    device: device(),
                    section: Section::Desired
                }
            ),
            Decision::Silent
        );
    }
}
