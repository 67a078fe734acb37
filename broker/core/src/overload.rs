//! Overload: how near the process is to its memory ceiling, and what is done about it.

use std::time::Duration;

use crate::Moment;

/// A stage. Each does what those before it do, and more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overload {
    /// There is memory.
    #[default]
    Calm,
    /// Who publishes above `QoS` 0 is read more slowly.
    Slowing,
    /// `QoS` 0 messages to receivers that lag behind are dropped.
    Dropping,
    /// Nobody new is let in.
    Refusing,
}

impl Overload {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Slowing => "slowing",
            Self::Dropping => "dropping",
            Self::Refusing => "refusing",
        }
    }

    /// From how many percent of the ceiling on.
    const fn begins_at(self) -> u64 {
        match self {
            Self::Calm => 0,
            Self::Slowing => 80,
            Self::Dropping => 90,
            Self::Refusing => 100,
        }
    }

    const fn eased(self) -> Self {
        match self {
            Self::Calm | Self::Slowing => Self::Calm,
            Self::Dropping => Self::Slowing,
            Self::Refusing => Self::Dropping,
        }
    }
}

/// A stage ends so many percent of the ceiling below where it begins, and memory has grown if it is so many above where it
/// stood: a load that comes a second time makes it 2 to 4 percent larger.
const MARGIN: u64 = 5;
/// How long memory has to stand still until a stage is eased for the first time.
const PATIENCE: Duration = Duration::from_secs(60);
/// If memory grows after it has stood still for so long, that is another load.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Turns readings of the process's memory into stages.
///
/// What is freed stays with the allocator for the most part, and is used again before memory grows: a high reading after
/// a load means little by itself. So while memory stands still the stage is eased step by step, as if the reading were
/// lower; as soon as memory has grown the stage is what the reading calls for, and memory has to stand still for twice as
/// long next time: a load that lasts passes the ceiling by a little more each time, and rarer each time.
#[derive(Debug, Clone)]
pub struct Ceiling {
    bytes: u64,
    stage: Overload,
    /// The stage that the last reading calls for by itself.
    called_for: Overload,
    /// The reading that growth is measured from.
    mark: u64,
    /// When memory last grew.
    grown: Moment,
    /// When the stage last changed, or was called for anew.
    since: Moment,
    patience: Duration,
}

impl Ceiling {
    /// A ceiling of so many bytes, with memory far below.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self {
            bytes,
            stage: Overload::Calm,
            called_for: Overload::Calm,
            mark: 0,
            grown: Moment::START,
            since: Moment::START,
            patience: PATIENCE,
        }
    }

    /// The stage from now on.
    pub fn look(&mut self, resident: u64, now: Moment) -> Overload {
        let called_for = self.calls_for(resident);
        if called_for == Overload::Calm {
            *self = Self::of(self.bytes);
            return Overload::Calm;
        }
        if resident + self.percent(MARGIN) < self.mark {
            self.mark = resident; // Some was given back to the system.
        }
        let has_grown = resident > self.mark + self.percent(MARGIN);
        let was_eased = self.stage < self.called_for;
        self.called_for = called_for;
        if has_grown || (called_for > self.stage && !was_eased) {
            if was_eased {
                let soon = now.since(self.grown) < FORGOTTEN;
                self.patience = if soon {
                    self.patience.saturating_mul(2)
                } else {
                    PATIENCE
                };
            }
            (self.mark, self.grown) = (resident, now);
            self.goes_to(called_for, now);
        } else if called_for < self.stage {
            self.goes_to(called_for, now);
        } else if self.stage > Overload::Calm && now.since(self.since) >= self.patience {
            if self.stage == called_for {
                self.mark = resident; // What it has grown by until now was no fault of the easing.
            }
            self.goes_to(self.stage.eased(), now);
        }
        self.stage
    }

    const fn goes_to(&mut self, stage: Overload, now: Moment) {
        self.stage = stage;
        self.since = now;
    }

    fn calls_for(&self, resident: u64) -> Overload {
        let stages = [Overload::Refusing, Overload::Dropping, Overload::Slowing];
        let holds = |stage: &Overload| {
            let lower = if *stage <= self.called_for { MARGIN } else { 0 };
            resident >= self.percent(stage.begins_at() - lower)
        };
        stages.into_iter().find(holds).unwrap_or_default()
    }

    const fn percent(&self, percent: u64) -> u64 {
        self.bytes / 100 * percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ceiling of 1000, and readings a second apart.
    struct Story {
        ceiling: Ceiling,
        now: Moment,
    }

    impl Story {
        fn new() -> Self {
            Self {
                ceiling: Ceiling::of(1000),
                now: Moment::START,
            }
        }

        fn reads(&mut self, resident: u64) -> Overload {
            self.now = self.now + Duration::from_secs(1);
            self.ceiling.look(resident, self.now)
        }

        /// How many seconds it takes at this reading until the stage is this.
        fn secs_until(&mut self, stage: Overload, resident: u64) -> u64 {
            let secs = (1..100_000).find(|_| self.reads(resident) == stage);
            secs.unwrap_or_else(|| panic!("never {stage:?} at {resident}"))
        }
    }

    use Overload::{Calm, Dropping, Refusing, Slowing};

    #[test]
    fn stages_begin_in_order_and_end_a_little_lower() {
        let mut story = Story::new();
        let up = [700, 799, 800, 899, 900, 999, 1000, 5000].map(|resident| story.reads(resident));
        assert_eq!(
            up,
            [
                Calm, Calm, Slowing, Slowing, Dropping, Dropping, Refusing, Refusing
            ]
        );
        let down = [1000, 950, 949, 850, 849, 750, 749].map(|resident| story.reads(resident));
        assert_eq!(
            down,
            [Refusing, Refusing, Dropping, Dropping, Slowing, Slowing, Calm]
        );
        assert_eq!(story.reads(799), Calm);
    }

    #[test]
    fn a_leap_reaches_the_last_stage_at_once_and_a_fall_the_first() {
        let mut story = Story::new();
        assert_eq!(story.reads(u64::MAX / 2), Refusing);
        assert_eq!(story.reads(0), Calm);
    }

    /// What stands between two thresholds does not come and go.
    #[test]
    fn a_reading_that_trembles_changes_the_stage_once() {
        let mut story = Story::new();
        let stages: Vec<Overload> = (0..50).map(|turn| story.reads(899 + turn % 2 * 2)).collect();
        let changes = stages
            .iter()
            .zip(stages.iter().skip(1))
            .filter(|(one, next)| one != next);
        assert_eq!(changes.count(), 1);
    }

    /// Memory that the allocator keeps after a load leaves nobody refused.
    #[test]
    fn memory_that_stands_still_eases_step_by_step() {
        let mut story = Story::new();
        assert_eq!(story.reads(1100), Refusing);
        assert_eq!(story.secs_until(Dropping, 1100), 60);
        assert_eq!(story.secs_until(Slowing, 1095), 60);
        assert_eq!(story.secs_until(Calm, 1105), 60);
        assert_eq!(story.reads(1150), Calm);
        assert_eq!(story.reads(1151), Refusing);
    }

    /// What comes while a stage holds does not count against the load that comes when it is over.
    #[test]
    fn growth_is_measured_from_where_memory_stood_when_the_stage_was_eased() {
        let mut story = Story::new();
        assert_eq!(story.reads(1000), Refusing);
        story.secs_until(Dropping, 1040);
        story.secs_until(Calm, 1050);
        assert_eq!(story.reads(1090), Calm);
        assert_eq!(story.reads(1091), Refusing);
    }

    #[test]
    fn memory_that_grows_again_has_to_stand_still_for_twice_as_long() {
        let mut story = Story::new();
        let mut resident = 1000;
        for patience in [60, 120, 240, 480] {
            assert_eq!(story.reads(resident), Refusing);
            assert_eq!(story.secs_until(Dropping, resident), patience);
            resident += 51;
        }
        assert_eq!(story.reads(700), Calm);
        assert_eq!(story.reads(1000), Refusing);
        assert_eq!(story.secs_until(Dropping, 1000), 60);
    }

    /// A peak that is higher each day is no load that lasts.
    #[test]
    fn memory_that_grows_again_after_a_day_has_to_stand_still_for_as_long_as_before() {
        let mut story = Story::new();
        for peak in 0..5 {
            let resident = 1000 + peak * 60;
            assert_eq!(story.reads(resident), Refusing);
            assert_eq!(story.secs_until(Calm, resident), 180);
            assert!((0..24 * 3600).all(|_| story.reads(resident) == Calm));
        }
    }

    #[test]
    fn memory_that_keeps_growing_eases_nothing() {
        let mut story = Story::new();
        for second in 0..3600 {
            assert_eq!(story.reads(1000 + second), Refusing);
        }
    }

    /// However slowly it grows, it is eased more rarely each time, and soon not at all.
    #[test]
    fn memory_that_grows_slowly_is_not_taken_for_still() {
        let mut story = Story::new();
        let mut hour = |hour: u64| {
            let secs = hour * 3600..(hour + 1) * 3600;
            let stages = secs.map(|second| story.reads(1000 + second / 6));
            stages.filter(|stage| *stage == Refusing).count()
        };
        assert!(hour(0) < 3600);
        assert_eq!(hour(1), 3600);
    }

    /// However high it was once: what was given back and is taken again is growth.
    #[test]
    fn growth_is_measured_from_what_was_given_back() {
        let mut story = Story::new();
        assert_eq!(story.reads(2000), Refusing);
        story.secs_until(Calm, 2000);
        assert_eq!(story.reads(1010), Calm);
        assert_eq!(story.reads(1060), Calm);
        assert_eq!(story.reads(1061), Refusing);
    }

    /// While a stage is eased, a threshold that is crossed by less than growth changes nothing.
    #[test]
    fn an_eased_stage_does_not_tremble() {
        let mut story = Story::new();
        assert_eq!(story.reads(995), Dropping);
        story.secs_until(Calm, 995);
        assert!((0..50).all(|turn| story.reads(995 + turn % 2 * 10) == Calm));
    }
}
