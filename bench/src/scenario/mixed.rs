//! Pairs at a fixed rate as in `rate`, and durable traffic on other connections meanwhile: what a message waits that has
//! nothing to do with the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use super::{Bout, Uses, p2p, rate};
use crate::broker::{Shards, Target};
use crate::load::{Load, Pace, TrafficPlan};
use crate::report::{Figure, LATE_SHARE_MAX, Outcome};
use crate::settings::Settings;
use crate::traffic::{self, Carried, Traffic};

pub(super) const USES: Uses = Uses {
    qos: false,
    ..rate::USES
};

/// Our broker carries both. Beside any other target a second broker, one of ours, carries the durable traffic, so that
/// machine and disk have the same to do.
pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let carries_both = matches!(bout.target, Target::Ours(_));
    let settings = Settings {
        qos: 1,
        ..bout.settings.clone()
    };
    let durable = Bout {
        target: &Target::Ours(Shards::AsMeasured),
        programs: bout.programs,
        settings: &settings,
    };
    let broker = bout.start_with(carries_both)?;
    let second = (!carries_both).then(|| durable.start_with(true)).transpose()?;
    let carrier = second.as_ref().unwrap_or(&broker);
    let durable = Traffic::open(&carrier.door, carrier.process, &durable_plan(&durable))?;
    let plan = rate::plan(bout);
    let stop = AtomicBool::new(false);
    let (measured, carried) = thread::scope(|scope| {
        let durable = scope.spawn(|| durable.run_until(&stop));
        let measured = traffic::run(&broker.door, broker.process, None, &plan);
        stop.store(true, Ordering::Relaxed);
        let carried = durable
            .join()
            .map_err(|_| anyhow!("a thread of the load tool panicked"));
        (measured, carried)
    });
    Ok(judge(Outcome::of_traffic(&plan, measured?), &carried??))
}

fn durable_plan(bout: &Bout<'_>) -> TrafficPlan {
    let mut load = Load::new(bout);
    load.name = "bench-durable";
    load.clean_receivers = false;
    p2p::add_pairs(&mut load, bout.settings.pairs);
    TrafficPlan {
        pace: Pace::InLumps(bout.settings.durable_rate),
        ..load.plan()
    }
}

/// The run counts only when the durable traffic was what it should be.
fn judge(outcome: Outcome, carried: &Carried) -> Outcome {
    let mut outcome = outcome;
    outcome.figure = Figure {
        name: "p99 µs beside durable traffic",
        value: outcome.beside.latency_us.as_ref().map(|latency| latency.p99),
    };
    outcome.faults += carried.faults;
    outcome
        .beside
        .more
        .insert("durable_per_second", carried.per_second);
    if outcome.void_because.is_none() && carried.left_out_share > LATE_SHARE_MAX {
        outcome.void_because = Some(format!(
            "{:.1} % of the durable messages were left out",
            carried.left_out_share * 100.0
        ));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::Faults;

    fn carried(left_out_share: f64, lost: u64) -> Carried {
        let faults = Faults {
            lost,
            ..Faults::default()
        };
        Carried {
            per_second: 20_000.0,
            left_out_share,
            faults,
        }
    }

    #[test]
    fn a_run_without_the_whole_durable_traffic_is_void() {
        let sound = judge(Outcome::new("", None), &carried(0.01, 0));
        assert!(sound.is_sound());
        let void = judge(Outcome::new("", None), &carried(0.03, 0));
        assert_eq!(
            void.void_because.as_deref(),
            Some("3.0 % of the durable messages were left out")
        );
    }

    #[test]
    fn a_durable_message_that_is_lost_is_a_fault_of_the_run() {
        let outcome = judge(Outcome::new("", None), &carried(0.0, 1));
        assert_eq!(outcome.faults.lost, 1);
        assert!(!outcome.is_sound());
    }
}
