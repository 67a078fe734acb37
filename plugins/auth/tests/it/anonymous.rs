//! Clients without credentials, and development on one's own machine.

use plugin_api::{Access, Login, Transport};
use plugin_auth::ANONYMOUS;

use crate::support::{
    House, by_password, from_afar, from_here, may, publish, secret, subscribe, who, write_twin,
};

fn http(mut login: Login) -> Login {
    login.transport = Transport::Http;
    login.client_id.clear();
    login
}

#[tokio::test]
async fn by_default_nobody_comes_in_without_credentials() {
    let gates = House::closed().gates();
    for login in [from_afar(), from_here(), http(from_here())] {
        let why = who(&gates, login).await.unwrap_err();
        assert_eq!(
            why,
            "no credentials, and auth.anonymous = \"never\" does not let it in"
        );
    }
}

#[tokio::test]
async fn loopback_means_both_ends() {
    let gates = House::closed()
        .with(|auth| auth.anonymous = Some("loopback".into()))
        .gates();
    let mut through_a_public_listener = from_here();
    through_a_public_listener.loopback = false;
    let mut behind_a_proxy = from_afar();
    behind_a_proxy.loopback = true;
    for login in [
        from_afar(),
        http(from_afar()),
        through_a_public_listener,
        behind_a_proxy,
    ] {
        assert!(who(&gates, login.clone()).await.is_err(), "{login:?}");
    }
    let mut over_ipv6 = from_here();
    over_ipv6.peer = "[::1]:50000".parse().unwrap();
    let mut mapped = from_here();
    mapped.peer = "[::ffff:127.0.0.1]:50000".parse().unwrap();
    for login in [from_here(), http(from_here()), over_ipv6, mapped] {
        assert_eq!(&*who(&gates, login).await.unwrap().name, ANONYMOUS);
    }
}

#[tokio::test]
async fn even_with_the_frightening_setting_http_stays_on_this_machine() {
    let gates = House::closed()
        .with(|auth| auth.anonymous = Some("allow_anonymous_on_public_address".into()))
        .gates();
    assert!(who(&gates, http(from_afar())).await.is_err());
    assert!(who(&gates, http(from_here())).await.is_ok());
    assert!(who(&gates, from_afar()).await.is_ok());
}

/// A name or a password that nothing checks must not come in as nobody: its owner believes it was checked.
#[tokio::test]
async fn credentials_that_nothing_can_check_do_not_come_in_as_anonymous() {
    let gates = House::closed()
        .with(|auth| auth.anonymous = Some("loopback".into()))
        .gates();
    let mut with_both = from_here();
    with_both.username = Some("ada".into());
    with_both.password = Some(secret("x"));
    let mut with_empty_name = from_here();
    with_empty_name.username = Some(String::new());
    let mut with_password = from_here();
    with_password.password = Some(secret(""));
    for login in [with_both, with_empty_name, with_password] {
        let why = who(&gates, login).await.unwrap_err();
        assert_eq!(why, "credentials that no gate of [auth] can check");
    }
}

/// AWS device SDKs send `?SDK=...` as user name on every connection.
#[tokio::test]
async fn the_telemetry_of_an_sdk_is_no_user_name_unless_a_password_comes_with_it() {
    let house = House::closed()
        .with_users(&["ada"])
        .with(|auth| auth.anonymous = Some("loopback".into()));
    let gates = house.gates();
    let mut login = from_here();
    login.username = Some("?SDK=PythonV2&Version=1.2".into());
    assert_eq!(&*who(&gates, login.clone()).await.unwrap().name, ANONYMOUS);
    login.password = Some(secret("x"));
    assert_eq!(
        who(&gates, login).await.unwrap_err(),
        "a user name that is not in the password file"
    );
}

#[tokio::test]
async fn allowing_all_on_loopback_allows_nothing_to_others() {
    let house = House::closed().with_users(&["ada"]).with(|auth| {
        auth.anonymous = Some("allow_anonymous_on_public_address".into());
        auth.authorize = Some("allow_all_on_loopback".into());
    });
    let gates = house.gates();
    let everything = || {
        [
            publish("a"),
            subscribe("#"),
            publish("$twin/x/update"),
            write_twin("x"),
            Access::ReadFleet,
            Access::Operate,
        ]
    };
    for login in [from_afar(), by_password("ada", "ada-password")] {
        let principal = who(&gates, login).await.unwrap();
        for access in everything() {
            assert!(!may(&gates, &principal, access.clone()).await, "{access:?}");
        }
    }
    for login in [from_here(), http(from_here())] {
        let principal = who(&gates, login).await.unwrap();
        for access in everything() {
            assert!(may(&gates, &principal, access.clone()).await, "{access:?}");
        }
    }
}

#[tokio::test]
async fn a_rule_that_denies_counts_on_loopback_too() {
    let house = House::closed().with_rules("topic deny secret/#\n").with(|auth| {
        auth.anonymous = Some("loopback".into());
        auth.authorize = Some("allow_all_on_loopback".into());
    });
    let gates = house.gates();
    let principal = who(&gates, from_here()).await.unwrap();
    assert!(!may(&gates, &principal, publish("secret/x")).await);
    assert!(may(&gates, &principal, publish("open/x")).await);
}
