//! The app of the demo as a rule: it tags every device once, and then keeps changing its mind about one or another.

use std::time::Duration;

use serde_json::{Value, json};

use super::{dice::Dice, kind::Kind};

/// How long it takes to tag all devices.
const TAGGING: Duration = Duration::from_secs(2);
/// How often each device gets a wish, on average.
const WISHES_EVERY: Duration = Duration::from_secs(12);
const ROOMS: [&str; 6] = ["kitchen", "hall", "office", "cellar", "workshop", "garden"];

/// A patch to send.
#[derive(Debug, PartialEq)]
pub(super) struct Patch {
    pub(super) path: String,
    pub(super) body: Value,
}

#[derive(Debug)]
pub(super) struct App {
    devices: Vec<(String, &'static Kind)>,
    tagged: usize,
    dice: Dice,
}

impl App {
    /// An app for these devices.
    pub(super) fn new(devices: Vec<(String, &'static Kind)>, dice: Dice) -> Self {
        Self {
            devices,
            tagged: 0,
            dice,
        }
    }

    /// What it sends next, and how long it waits before; `None` if there is no device.
    pub(super) fn next(&mut self) -> Option<(Duration, Patch)> {
        if let Some((device, kind)) = self.devices.get(self.tagged) {
            self.tagged += 1;
            let tags = json!({
                "kind": kind.name,
                "floor": self.dice.below(3),
                "room": self.dice.pick(&ROOMS),
            });
            return Some((self.share(TAGGING), patch(device, "tags", tags)));
        }
        let (device, kind) = self.dice.pick(&self.devices)?;
        let dial = self.dice.pick(kind.dials)?;
        let wish = json!({ dial.name: dial.wish(&mut self.dice) });
        let pause = self.share(WISHES_EVERY);
        Some((
            self.dice.time(pause / 2, pause * 3 / 2),
            patch(device, "desired", wish),
        ))
    }

    /// One device's share of a time.
    fn share(&self, time: Duration) -> Duration {
        time / u32::try_from(self.devices.len()).unwrap_or(u32::MAX)
    }
}

fn patch(device: &str, section: &str, body: Value) -> Patch {
    Patch {
        path: format!("/v1/devices/{device}/twin/{section}"),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_tagged_once_and_then_wishes_come_for_all_of_them() {
        let devices = crate::demo::names(8);
        let mut app = App::new(devices.clone(), Dice::new(3));
        let mut take = |count: usize| -> Vec<String> {
            (0..count)
                .map(|_| app.next().expect("there are devices").1.path)
                .collect()
        };
        let tags: Vec<String> = devices
            .iter()
            .map(|(name, _)| format!("/v1/devices/{name}/twin/tags"))
            .collect();
        assert_eq!(take(8), tags);
        let wishes = take(500);
        for (name, _) in devices {
            assert!(
                wishes.contains(&format!("/v1/devices/{name}/twin/desired")),
                "{name}"
            );
        }
    }

    #[test]
    fn without_devices_it_has_nothing_to_do() {
        assert_eq!(App::new(Vec::new(), Dice::new(3)).next(), None);
    }
}
