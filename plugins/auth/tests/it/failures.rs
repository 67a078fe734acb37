//! Guessing passwords, on a virtual clock.

use std::time::Duration;

use plugin_api::Login;
use plugin_auth::RawAuth;
use tokio::time::advance;

use crate::support::{House, by_password, who};

fn house(failures_max: i64) -> House {
    House::closed()
        .with_users(&["ada", "bob"])
        .with(|settings: &mut RawAuth| settings.login_failures_max = Some(failures_max))
}

fn from(address: &str, name: &str, password: &str) -> Login {
    let mut login = by_password(name, password);
    login.peer = format!("{address}:50000").parse().unwrap();
    login
}

async fn is_banned(gates: &plugin_auth::Gates, login: Login) -> bool {
    who(gates, login)
        .await
        .is_err_and(|why| why.contains("too many failed logins"))
}

#[tokio::test(start_paused = true)]
async fn after_some_failures_even_the_right_password_is_refused_for_a_while() {
    let gates = house(3).gates();
    for _ in 0..3 {
        assert!(!is_banned(&gates, from("192.0.2.1", "ada", "guess")).await);
    }
    assert!(is_banned(&gates, from("192.0.2.1", "ada", "ada-password")).await);
    assert!(
        who(&gates, from("192.0.2.1", "bob", "bob-password"))
            .await
            .is_ok(),
        "another name"
    );
    assert!(
        who(&gates, from("192.0.2.2", "ada", "ada-password"))
            .await
            .is_ok(),
        "another place"
    );
    let gates = house(3).gates();
    for _ in 0..3 {
        who(&gates, from("192.0.2.1", "ada", "guess")).await.unwrap_err();
    }
    advance(Duration::from_secs(299)).await;
    assert!(is_banned(&gates, from("192.0.2.1", "ada", "ada-password")).await);
    advance(Duration::from_secs(2)).await;
    assert!(
        who(&gates, from("192.0.2.1", "ada", "ada-password"))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_came_in_before_cannot_be_kept_out_by_guessing_in_their_name() {
    let gates = house(3).gates();
    who(&gates, from("192.0.2.1", "ada", "ada-password"))
        .await
        .unwrap();
    for _ in 0..10 {
        who(&gates, from("192.0.2.1", "ada", "guess")).await.unwrap_err();
    }
    assert!(
        who(&gates, from("192.0.2.1", "ada", "ada-password"))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_success_and_time_forget_failures() {
    let gates = house(3).gates();
    for _ in 0..5 {
        for _ in 0..2 {
            assert!(!is_banned(&gates, from("192.0.2.1", "ada", "guess")).await);
        }
        advance(Duration::from_secs(301)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_guesses_many_names_is_not_listened_to() {
    let gates = house(2).gates();
    for at in 0..20 {
        let login = from(&format!("[2001:db8::{at:x}]"), &format!("name-{at}"), "guess");
        assert!(!is_banned(&gates, login).await, "{at}");
    }
    assert!(is_banned(&gates, from("[2001:db8::99]", "ada", "ada-password")).await);
    assert!(
        who(&gates, from("[2001:db8:0:1::1]", "ada", "ada-password"))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn on_this_machine_one_guesser_does_not_keep_the_others_out() {
    let gates = house(1).gates();
    for at in 0..30 {
        who(&gates, from("127.0.0.1", &format!("name-{at}"), "guess"))
            .await
            .unwrap_err();
    }
    assert!(
        who(&gates, from("127.0.0.1", "ada", "ada-password"))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_ban_there_is_none() {
    let house = house(1).with(|settings| settings.login_ban = Some("never".into()));
    let gates = house.gates();
    for _ in 0..20 {
        assert!(!is_banned(&gates, from("192.0.2.1", "ada", "guess")).await);
    }
    assert!(
        who(&gates, from("192.0.2.1", "ada", "ada-password"))
            .await
            .is_ok()
    );
}
