//! A world of three devices that lose messages, leave, come back and restart, on a clock of its own.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::json;
use twin_model::*;

use crate::support::{Desk, law, patch};

const DEVICES: usize = 3;

/// One thing that happens; `device` says to whom.
#[derive(Debug, Clone)]
enum Happening {
    /// An app wishes something, unheard by the device if `lost`.
    Wish {
        device: usize,
        level: u8,
        lost: bool,
    },
    /// The device works through what it received; its report is lost if `lost`.
    Act {
        device: usize,
        lost: bool,
    },
    Leave {
        device: usize,
    },
    /// It comes back, and what it is sent then is lost if `lost`.
    Return {
        device: usize,
        lost: bool,
    },
    /// The service starts again and knows only who is connected.
    Restart,
    /// Time passes; what is sent meanwhile is lost if `lost`.
    Pass {
        secs: u16,
        lost: bool,
    },
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let device = || 0..DEVICES;
    let one = prop_oneof![
        4 => (device(), 0_u8..5, any::<bool>()).prop_map(|(device, level, lost)| Happening::Wish { device, level, lost }),
        4 => (device(), any::<bool>()).prop_map(|(device, lost)| Happening::Act { device, lost }),
        2 => device().prop_map(|device| Happening::Leave { device }),
        3 => (device(), any::<bool>()).prop_map(|(device, lost)| Happening::Return { device, lost }),
        1 => Just(Happening::Restart),
        4 => (0_u16..2000, any::<bool>()).prop_map(|(secs, lost)| Happening::Pass { secs, lost }),
    ];
    prop::collection::vec(one, 1..60)
}

struct Device {
    desk: Desk,
    online: bool,
    /// Acknowledges what it gets, so that the reconciler hears of it; else it listens without acknowledgement.
    acknowledges: bool,
    inbox: Vec<Delta>,
    /// When it was last told, and why another telling may follow at once.
    last_told: Option<Moment>,
    may_be_told_now: bool,
}

struct World {
    reconciler: Reconciler,
    now: Moment,
    devices: Vec<Device>,
    out: Vec<Output>,
    restarts: u64,
}

impl World {
    fn new() -> Self {
        let device = |n: usize| Device {
            desk: Desk::with(&format!("device-{n}")),
            online: false,
            acknowledges: n.is_multiple_of(2),
            inbox: Vec::new(),
            last_told: None,
            may_be_told_now: false,
        };
        Self {
            reconciler: Reconciler::new(RetryPolicy::default(), crate::support::seed()),
            now: Moment::from_millis(0),
            devices: (0..DEVICES).map(device).collect(),
            out: Vec::new(),
            restarts: 0,
        }
    }

    fn happen(&mut self, happening: Happening) -> TestCaseResult {
        match happening {
            Happening::Wish { device, level, lost } => self.write(
                device,
                Command::SetDesired(patch(json!({"level": level, "lamp": {"on": level > 2}}))),
                lost,
            ),
            Happening::Act { device, lost } => self.act(device, lost),
            Happening::Leave { device } => self.leave(device),
            Happening::Return { device, lost } => self.arrive(device, lost),
            Happening::Restart => self.restart(),
            Happening::Pass { secs, lost } => self.pass(Duration::from_secs(secs.into()), lost),
        }
    }

    fn step(&mut self, input: Input, lost: bool) -> TestCaseResult {
        self.reconciler.step(self.now, input, &mut self.out);
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::SendDelta(twin) => self.send(&twin, lost)?,
                Output::Stalled(twin) => {
                    let device = self.index_of(&twin);
                    let desk = &mut self.devices[device].desk;
                    desk.twin.settle(desk.now, Reach::Exhausted);
                    prop_assert_eq!(desk.twin.sync().status, SyncStatus::Stalled);
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, twin: &TwinId, lost: bool) -> TestCaseResult {
        let index = self.index_of(twin);
        let device = &self.devices[index];
        prop_assert!(device.online, "{} is told while it is away", twin);
        prop_assert!(
            !device.desk.twin.open_delta().is_empty(),
            "{} is told though nothing differs",
            twin
        );
        prop_assert!(
            !device.acknowledges || device.inbox.is_empty(),
            "{} is told while being told",
            twin
        );
        let waited = device
            .last_told
            .is_none_or(|told| self.now >= told + RetryPolicy::default().first);
        prop_assert!(
            waited || device.may_be_told_now,
            "{} is told again without a reason",
            twin
        );
        self.deliver(index, lost)
    }

    /// The current delta goes out to the device. What it acknowledges cannot be lost while it is connected.
    fn deliver(&mut self, index: usize, lost: bool) -> TestCaseResult {
        let now = self.now;
        let device = &mut self.devices[index];
        device.last_told = Some(now);
        device.may_be_told_now = false;
        let twin = device.desk.twin.id().clone();
        if device.acknowledges {
            device.inbox = vec![device.desk.twin.open_delta()];
            return self.step(Input::InFlight(twin), lost);
        }
        if !lost {
            device.inbox.push(device.desk.twin.open_delta());
        }
        Ok(())
    }

    fn write(&mut self, index: usize, command: Command, lost: bool) -> TestCaseResult {
        let device = &mut self.devices[index];
        device.desk.reach = if device.online {
            Reach::Online
        } else {
            Reach::Offline
        };
        let applied = device.desk.carry_out(command);
        let twin = applied.twin.id().clone();
        let open = applied
            .events
            .iter()
            .any(|event| matches!(event, Event::DeltaPending { .. }));
        let online = device.online;
        self.step(Input::Changed { twin, open }, lost)?;
        if open && online {
            self.deliver(index, lost)
        } else {
            Ok(())
        }
    }

    fn act(&mut self, index: usize, lost: bool) -> TestCaseResult {
        let device = &mut self.devices[index];
        if !device.online || device.inbox.is_empty() {
            return Ok(());
        }
        let inbox = std::mem::take(&mut device.inbox);
        if device.acknowledges {
            let twin = device.desk.twin.id().clone();
            self.step(Input::Finished(twin), lost)?;
        }
        match inbox.last() {
            Some(delta) if !lost => self.write(index, Command::Report(patch(delta.to_value())), false),
            _ => Ok(()),
        }
    }

    fn leave(&mut self, index: usize) -> TestCaseResult {
        let device = &mut self.devices[index];
        device.online = false;
        device.inbox.clear();
        device.desk.twin.settle(device.desk.now, Reach::Offline);
        let name = device.desk.twin.id().device.clone();
        self.step(Input::Offline(name), false)
    }

    fn arrive(&mut self, index: usize, lost: bool) -> TestCaseResult {
        let device = &mut self.devices[index];
        device.online = true;
        device.may_be_told_now = true;
        device.desk.twin.settle(device.desk.now, Reach::Online);
        let open = !device.desk.twin.open_delta().is_empty();
        let twin = device.desk.twin.id().clone();
        self.step(
            Input::Listens {
                twin,
                open,
                on_its_way: false,
            },
            lost,
        )?;
        self.devices[index].may_be_told_now = false;
        Ok(())
    }

    fn restart(&mut self) -> TestCaseResult {
        self.restarts += 1;
        self.reconciler = Reconciler::new(RetryPolicy::default(), self.restarts);
        for index in 0..DEVICES {
            self.devices[index].inbox.clear();
            if self.devices[index].online {
                self.arrive(index, false)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, duration: Duration, lost: bool) -> TestCaseResult {
        let end = self.now + duration;
        while let Some(deadline) = self
            .reconciler
            .next_deadline()
            .filter(|deadline| *deadline <= end)
        {
            self.now = self.now.max(deadline);
            self.step(Input::Tick, lost)?;
        }
        self.now = end;
        Ok(())
    }

    /// Everyone comes back, nothing is lost any more, and each acts on what it hears.
    fn calm_down(&mut self) -> TestCaseResult {
        for index in 0..DEVICES {
            self.leave(index)?;
            self.arrive(index, false)?;
            self.act(index, false)?;
        }
        Ok(())
    }

    fn index_of(&self, twin: &TwinId) -> usize {
        self.devices
            .iter()
            .position(|device| device.desk.twin.id() == twin)
            .unwrap()
    }
}

#[test]
fn whatever_happens_every_device_converges_once_it_is_calm_and_none_is_told_without_reason() {
    law(happenings(), |happenings| {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening)?;
            let online = world.devices.iter().filter(|device| device.online).count();
            prop_assert_eq!(world.reconciler.watched(), online, "only who is there is watched");
        }
        world.calm_down()?;
        for device in &world.devices {
            prop_assert!(device.desk.twin.delta().is_empty());
            prop_assert_eq!(device.desk.twin.sync().status, SyncStatus::InSync);
        }
        prop_assert_eq!(world.reconciler.next_deadline(), None, "nothing is left to do");
        Ok(())
    });
}

#[test]
fn a_device_that_missed_what_it_was_sent_converges_by_a_retry_alone() {
    let mut world = World::new();
    world.arrive(1, false).unwrap();
    world
        .write(1, Command::SetDesired(patch(json!({"level": 4}))), true)
        .unwrap();
    world.pass(Duration::from_secs(100), true).unwrap();
    assert!(world.devices[1].inbox.is_empty(), "everything was lost");
    world.pass(Duration::from_secs(700), false).unwrap();
    world.act(1, false).unwrap();
    assert!(world.devices[1].desk.twin.delta().is_empty());
}
