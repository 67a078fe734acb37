//! Listeners whose logins only some of the gates judge.

use mqtt_wire::{ReasonCode, Version};

use super::{GUARDED, basic, knock, passwd, password, scram, write_rules};
use crate::support::{House, Http, Mqtt};

/// Beside `mqtt` and `http`, where every gate judges, one of each where only certificates count.
fn house() -> House {
    let locked = "authenticators = [\"certificate\"]\n";
    let listeners = format!(
        "[[listener]]\nname = \"locked\"\nbind = \"127.0.0.1:0\"\n{locked}\
         [[http]]\nname = \"locked-http\"\nbind = \"127.0.0.1:0\"\n{locked}"
    );
    let house = House::new(&format!("{listeners}{GUARDED}"));
    write_rules(&house, "user app\nfleet read\n");
    passwd(&house, &["users", "app"], &password("app"));
    passwd(&house, &["--scram", "users", "app"], &password("app"));
    house
}

#[test]
fn a_right_password_is_refused_where_only_certificates_count() {
    let house = house();
    let broker = house.serve();
    let (open, locked) = (broker.mqtt(), broker.address("locked"));
    let right = password("app");
    for version in [Version::V311, Version::V5] {
        let credentials = Some(("app", &*right));
        assert_eq!(knock(open, version, credentials), ReasonCode::Success);
        assert_eq!(
            knock(locked, version, credentials),
            ReasonCode::BadUserNameOrPassword
        );
        assert_eq!(knock(locked, version, None), ReasonCode::NotAuthorized);
    }

    scram::enter(open, "app-1", "app");
    let (_, connack) = Mqtt::connect(locked, scram::by_scram("app-1", "app")).unwrap();
    assert_eq!(connack.reason, ReasonCode::BadAuthenticationMethod);

    let header = format!("Basic {}", basic("app", &right));
    let ask = |http: Http| {
        let answer = http.ask("GET", "/v1/devices", &[("authorization", &header)], "");
        answer.unwrap().status
    };
    assert_eq!(ask(broker.http()), 200);
    assert_eq!(ask(Http::to(broker.address("locked-http"))), 401);
    assert!(broker.stop().success());
}
