//! Stories of one device on a clock that passes when told so.

use super::*;
use crate::demo::kind::KINDS;

const STEADY: u32 = 0;
const DROPS_OUT: u32 = 3;
const SLOW_ONE: u32 = 5;

fn thermostat(number: u32) -> Device {
    let [kind, ..] = &KINDS;
    Device::new("thermostat-1", kind, number, Dice::new(7), Duration::ZERO)
}

/// A device that is connected and whose first report is acknowledged.
fn settled(number: u32) -> Device {
    let mut device = thermostat(number);
    assert_eq!(device.step(Duration::ZERO, Input::Tick), Some(Duty::Connect));
    assert!(device.step(Duration::ZERO, Input::Connected).is_some());
    assert_eq!(device.step(Duration::ZERO, Input::Acknowledged), None);
    device
}

fn delta(state: &Value) -> Input {
    Input::Delta(json!({ "version": 3, "state": state }).to_string().into_bytes())
}

/// What a duty reports.
fn reported(duty: Option<Duty>) -> Value {
    match duty {
        Some(Duty::Report { document, .. }) => {
            let mut document: Value = serde_json::from_str(&document).expect("JSON");
            document.pointer_mut("/state/reported").expect("a report").take()
        }
        other => panic!("{other:?} instead of a report"),
    }
}

/// Ticks when the device wants it, acknowledges at once, and returns the first report with this key, and when it came.
fn until_it_reports(device: &mut Device, key: &str) -> (Moment, Value) {
    loop {
        let now = device.next().expect("it is connected");
        assert!(
            now < Duration::from_secs(60),
            "{key} was not reported within a minute"
        );
        if let duty @ Some(Duty::Report { .. }) = device.step(now, Input::Tick) {
            assert_eq!(device.step(now, Input::Acknowledged), None);
            let report = reported(duty);
            if report.get(key).is_some() {
                return (now, report);
            }
        }
    }
}

#[test]
fn a_device_that_arrives_tells_everything_it_is() {
    let mut device = thermostat(STEADY);
    assert_eq!(device.step(Duration::ZERO, Input::Tick), Some(Duty::Connect));
    let first = reported(device.step(Duration::ZERO, Input::Connected));
    for key in ["temperature", "target", "mode", "connection"] {
        assert!(first.get(key).is_some(), "{key} is missing in {first}");
    }
}

#[test]
fn it_does_what_it_should_after_a_while_and_reports_it() {
    for (number, earliest) in [(STEADY, QUICK.0), (SLOW_ONE, SLOW.0)] {
        let mut device = settled(number);
        assert_eq!(device.step(Duration::ZERO, delta(&json!({ "target": 21 }))), None);
        let (when, report) = until_it_reports(&mut device, "target");
        assert_eq!(report.get("target"), Some(&json!(21)));
        assert!(when >= earliest, "{when:?}");
    }
}

#[test]
fn it_refuses_what_it_cannot_do_and_does_the_rest() {
    let mut device = settled(STEADY);
    device.step(
        Duration::ZERO,
        delta(&json!({ "target": 99, "mode": "eco", "a/b~c": 1 })),
    );
    let (_, report) = until_it_reports(&mut device, "$rejected");
    assert_eq!(report.get("mode"), Some(&json!("eco")));
    assert_eq!(report.get("target"), None);
    let refused = report
        .get("$rejected")
        .and_then(Value::as_object)
        .expect("refusals");
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["/target", "/a~1b~0c"]);
}

#[test]
fn a_newer_delta_takes_the_place_of_an_older_one() {
    let mut device = settled(STEADY);
    device.step(Duration::ZERO, delta(&json!({ "target": 20, "mode": "eco" })));
    device.step(Duration::ZERO, delta(&json!({ "target": 22 })));
    let (_, report) = until_it_reports(&mut device, "target");
    assert_eq!(
        (report.get("target"), report.get("mode")),
        (Some(&json!(22)), None)
    );
}

#[test]
fn one_report_is_under_way_at_a_time_and_the_next_tells_the_latest() {
    let mut device = thermostat(STEADY);
    device.step(Duration::ZERO, Input::Tick);
    assert!(device.step(Duration::ZERO, Input::Connected).is_some());
    for seconds in 1..60 {
        assert_eq!(device.step(Duration::from_secs(seconds), Input::Tick), None);
    }
    let next = reported(device.step(Duration::from_secs(60), Input::Acknowledged));
    assert_eq!(next.get("temperature"), Some(&Gauge::shown(device.reading)));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_before_anything_else() {
    let mut device = thermostat(STEADY);
    device.step(Duration::ZERO, Input::Tick);
    let Some(Duty::Report {
        document,
        again: false,
    }) = device.step(Duration::ZERO, Input::Connected)
    else {
        panic!("a report")
    };
    assert_eq!(device.step(Duration::ZERO, Input::Lost), None);
    let back = device.next().expect("it calls again");
    assert_eq!(device.step(back, Input::Tick), Some(Duty::Connect));
    assert_eq!(
        device.step(back, Input::Connected),
        Some(Duty::Report {
            document,
            again: true
        })
    );
    assert!(
        reported(device.step(back, Input::Acknowledged))
            .get("mode")
            .is_some(),
        "then it tells everything"
    );
}

#[test]
fn a_steady_device_stays_and_another_drops_out_and_comes_back() {
    let lives = |number| {
        let mut device = settled(number);
        let mut duties = Vec::new();
        while let Some(now) = device.next().filter(|now| *now < Duration::from_secs(120)) {
            match device.step(now, Input::Tick) {
                Some(Duty::Report { .. }) => drop(device.step(now, Input::Acknowledged)),
                Some(Duty::Connect) => {
                    duties.push(Duty::Connect);
                    device.step(now, Input::Connected);
                    device.step(now, Input::Acknowledged);
                }
                other => duties.extend(other),
            }
        }
        duties
    };
    assert_eq!(lives(STEADY), []);
    assert!(lives(DROPS_OUT).starts_with(&[Duty::Drop, Duty::Connect]));
}

#[test]
fn what_is_no_delta_is_passed_over() {
    let mut device = settled(STEADY);
    for document in ["", "7", "{\"state\":3}", "{}"] {
        device.step(Duration::ZERO, Input::Delta(document.into()));
        assert!(device.wish.is_none(), "{document}");
    }
}
