//! Users in a file.

use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

use plugin_api::Authenticate;
use plugin_auth::{AuthError, password_file};

use crate::support::{House, by_password, from_afar, may, publish, secret, who};

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_half_a_login_are_refused() {
    let gates = House::closed().with_users(&["ada"]).gates();
    let wrong = who(&gates, by_password("ada", "guess")).await;
    assert_eq!(wrong.unwrap_err(), "a wrong password");
    let unknown = who(&gates, by_password("eve", "ada-password")).await;
    assert_eq!(
        unknown.unwrap_err(),
        "a user name that is not in the password file"
    );
    let empty = who(&gates, by_password("ada", "")).await;
    assert_eq!(empty.unwrap_err(), "a wrong password");
    let nameless = who(&gates, by_password("", "ada-password")).await;
    assert_eq!(
        nameless.unwrap_err(),
        "a user name that is not in the password file"
    );

    let mut only_name = by_password("ada", "");
    only_name.password = None;
    assert_eq!(
        who(&gates, only_name).await.unwrap_err(),
        "a user name without a password"
    );
    let mut only_password = by_password("", "ada-password");
    only_password.username = None;
    assert!(who(&gates, only_password).await.is_err());
    assert!(who(&gates, from_afar()).await.is_err());
}

#[tokio::test]
async fn the_right_password_is_let_in_again_and_again() {
    let gates = House::closed().with_users(&["ada", "bob"]).gates();
    for _ in 0..3 {
        let principal = who(&gates, by_password("ada", "ada-password")).await.unwrap();
        assert_eq!(&*principal.name, "ada");
        assert!(who(&gates, by_password("ada", "bob-password")).await.is_err());
        assert!(who(&gates, by_password("bob", "ada-password")).await.is_err());
    }
}

#[tokio::test]
async fn a_remembered_login_is_dropped_when_its_password_changes() {
    let house = House::closed().with_users(&["ada"]);
    let gates = house.gates();
    who(&gates, by_password("ada", "ada-password")).await.unwrap();
    house.set_password("ada", "another");
    assert!(gates.refresh());
    assert!(who(&gates, by_password("ada", "ada-password")).await.is_err());
    who(&gates, by_password("ada", "another")).await.unwrap();
}

/// A revoked credential takes effect on those who are in already.
#[tokio::test]
async fn whoever_loses_the_password_they_came_in_with_may_do_nothing_any_more() {
    let house = House::closed()
        .with_users(&["ada", "bob", "cy"])
        .with_rules("pattern readwrite all/#\nuser ada\ntopic readwrite #\n");
    let gates = house.gates();
    let mut inside = Vec::new();
    for name in ["ada", "bob", "cy"] {
        let principal = who(&gates, by_password(name, &format!("{name}-password")))
            .await
            .unwrap();
        assert!(may(&gates, &principal, publish("all/x")).await);
        inside.push(principal);
    }
    password_file::remove_user(&house.password_file(), "ada").unwrap();
    house.set_password("bob", "another");
    assert!(gates.refresh());
    assert!(!may(&gates, &inside[0], publish("all/x")).await);
    assert!(!may(&gates, &inside[1], publish("all/x")).await);
    assert!(may(&gates, &inside[2], publish("all/x")).await);
}

/// Hashing costs tens of milliseconds. Only the order of magnitude is claimed.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are worth a look")]
async fn a_reconnect_costs_no_hashing() {
    let gates = House::closed().with_users(&["ada"]).gates();
    let first = Instant::now();
    who(&gates, by_password("ada", "ada-password")).await.unwrap();
    let first = first.elapsed();
    let again = Instant::now();
    for _ in 0..100 {
        who(&gates, by_password("ada", "ada-password")).await.unwrap();
    }
    let again = again.elapsed() / 100;
    println!("first login {first:?}, each of 100 reconnects {again:?}");
    assert!(again < first / 10, "first {first:?}, again {again:?}");
}

#[tokio::test]
async fn with_nothing_remembered_every_login_is_hashed_and_right_ones_come_in() {
    let house = House::closed()
        .with_users(&["ada"])
        .with(|auth| auth.remembered_logins_max = Some(0));
    let gates = house.gates();
    for _ in 0..2 {
        who(&gates, by_password("ada", "ada-password")).await.unwrap();
    }
}

#[tokio::test]
async fn more_users_than_are_remembered_still_come_in() {
    let house = House::closed()
        .with_users(&["ada", "bob", "cy"])
        .with(|auth| auth.remembered_logins_max = Some(2));
    let gates = house.gates();
    for _ in 0..2 {
        for name in ["ada", "bob", "cy"] {
            who(&gates, by_password(name, &format!("{name}-password")))
                .await
                .unwrap();
            assert!(who(&gates, by_password(name, "guess")).await.is_err());
        }
    }
}

/// A flood of guesses fills the queue; whoever is known walks past it, others are told to come later.
#[tokio::test(start_paused = true)]
async fn a_flood_of_guesses_is_refused_and_does_not_delay_the_known() {
    let house = House::closed().with_users(&["ada", "bob"]).with(|auth| {
        auth.hashing_at_once = Some(1);
        auth.hashing_waiting_max = Some(2);
    });
    let gates = house.gates();
    who(&gates, by_password("ada", "ada-password")).await.unwrap();

    // Polled once each: three hold a place in the queue, and on this one thread nothing moves on before an await.
    let mut guesses: Vec<_> = (0..5)
        .map(|n| gates.authenticate(by_password("bob", &format!("{n}"))))
        .collect();
    let polled: Vec<_> = guesses.iter_mut().map(poll_once).collect();
    assert_eq!(
        polled.iter().filter(|answer| answer.is_none()).count(),
        3,
        "{polled:?}"
    );
    for refused in polled.iter().flatten() {
        let why = refused.as_ref().unwrap_err().to_string();
        assert!(why.contains("too many logins at once"), "{why}");
    }

    let mut known = gates.authenticate(by_password("ada", "ada-password"));
    assert!(matches!(
        poll_once(&mut known),
        Some(Ok(plugin_api::Verdict::Known(_)))
    ));
    drop(guesses);
}

fn poll_once<T>(pending: &mut plugin_api::Pending<'_, T>) -> Option<T> {
    use std::task::{Context, Poll, Waker};

    match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[test]
fn every_mistake_in_a_password_file_is_told_with_its_line_and_no_hash_is_shown() {
    let house = House::closed().with_users(&["ada"]);
    let good = fs::read_to_string(house.password_file()).unwrap();
    let hash = good.trim().strip_prefix("ada:").unwrap();
    let text = format!(
        "# staff\n\n{good}no colon here\n:{hash}\nanonymous:{hash}\nada:{hash}\n\
         bob:$7$101$c2FsdA$c2VjcmV0c2VjcmV0\ncy:$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$c2VjcmV0c2VjcmV0\n\
         dan:plain-secret\neve:$argon2id$v=19$m=8,t=1,p=1\n"
    );
    fs::write(house.password_file(), text).unwrap();
    let AuthError::Problems(problems) = house.try_gates().unwrap_err() else {
        panic!("problems")
    };
    let shown: Vec<String> = problems
        .iter()
        .map(|problem| {
            problem
                .to_string()
                .replace(house.password_file().to_str().unwrap(), "FILE")
        })
        .collect();
    let starts = [
        "FILE:4: found a line without a colon, allowed: name:hash",
        "FILE:5: found the name \"\": it is empty",
        "FILE:6: found the name \"anonymous\": it is the name of those who have none",
        "FILE:7: found user \"ada\" a second time",
        "FILE:8: found user \"bob\" with a hash of another kind",
        "FILE:9: found user \"cy\" with a hash that costs more than",
        "FILE:10: found user \"dan\" with a hash of another kind",
        "FILE:11: found user \"eve\" with a hash without its salt or its result",
    ];
    assert_eq!(shown.len(), starts.len(), "{shown:#?}");
    for (line, start) in shown.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
        assert!(!line.contains("secret") && !line.contains("c2Vj"), "{line}");
    }
}

#[test]
fn a_missing_file_is_told_with_what_to_do() {
    let mut house = House::closed();
    house.settings.password_file = Some(house.password_file());
    house.settings.acl_file = Some(house.acl_file());
    let error = house.try_gates().unwrap_err().to_string();
    let [passwords, rules] = *error.lines().collect::<Vec<_>>() else {
        panic!("{error}")
    };
    assert!(passwords.starts_with("auth.password_file: found /"), "{error}");
    assert!(passwords.contains("`twinmq passwd` makes one"), "{error}");
    assert!(rules.starts_with("auth.acl_file: found /"), "{error}");
}

#[test]
fn editing_keeps_comments_and_other_users_and_makes_the_file_private() {
    let house = House::closed();
    let path = house.password_file();
    assert!(house.set_password("ada", "one"));
    assert!(house.set_password("bob", "two"));
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("# staff\n{before}# end")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    assert!(!house.set_password("ada", "three"));
    let after = fs::read_to_string(&path).unwrap();
    let [comment, ada, bob, end] = *after.lines().collect::<Vec<_>>() else {
        panic!("{after}")
    };
    assert_eq!((comment, end), ("# staff", "# end"));
    assert!(ada.starts_with("ada:$argon2id$") && !before.contains(ada));
    assert!(before.contains(bob));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    assert!(password_file::verify_user(&path, "ada", &secret("three")).unwrap());
    assert!(!password_file::verify_user(&path, "ada", &secret("one")).unwrap());
    assert!(password_file::remove_user(&path, "ada").unwrap());
    assert!(!password_file::remove_user(&path, "ada").unwrap());
    assert!(!password_file::verify_user(&path, "ada", &secret("three")).unwrap());
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no leftovers"
    );
}

#[test]
fn names_and_passwords_that_cannot_be_used_are_refused_before_anything_is_written() {
    let house = House::closed();
    let path = house.password_file();
    for name in ["", "a:b", "#a", " a", "a\n", "anonymous", &"x".repeat(257)] {
        let error = password_file::set_user(&path, name, &secret("p")).unwrap_err();
        assert!(matches!(error, AuthError::Name { .. }), "{name:?}: {error}");
    }
    for password in [String::new(), "x".repeat(65_536)] {
        let error = password_file::set_user(&path, "ada", &secret(&password)).unwrap_err();
        assert!(matches!(error, AuthError::Password(_)), "{error}");
    }
    assert!(!path.exists());
}

/// Killed between writing the new file and putting it in place.
#[test]
fn what_an_edit_left_that_was_cut_short_does_not_stop_the_next_one() {
    let house = House::closed();
    house.set_password("ada", "one");
    let leftover = house.password_file().with_file_name(".passwords.new");
    fs::write(&leftover, "half a li").unwrap();
    house.set_password("bob", "two");
    assert!(!leftover.exists());
    assert_eq!(
        fs::read_to_string(house.password_file()).unwrap().lines().count(),
        2
    );
}

#[test]
fn a_broken_file_is_not_edited() {
    let house = House::closed();
    let path = house.password_file();
    fs::write(&path, "ada\n").unwrap();
    let error = password_file::set_user(&path, "bob", &secret("p")).unwrap_err();
    assert!(matches!(error, AuthError::Problems(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "ada\n");
}

#[test]
fn behind_a_symbolic_link_the_file_is_changed_and_not_the_link() {
    let house = House::closed();
    house.set_password("ada", "one");
    let link = house.acl_file();
    std::os::unix::fs::symlink(house.password_file(), &link).unwrap();
    password_file::set_user(&link, "bob", &secret("two")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(password_file::verify_user(&house.password_file(), "bob", &secret("two")).unwrap());
}

/// Several `twinmq passwd` at once: none undoes another's change.
#[test]
fn edits_at_the_same_time_are_all_kept() {
    let house = House::closed();
    let path = house.password_file();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let path = &path;
            scope.spawn(move || password_file::set_user(path, &format!("user{n}"), &secret("p")).unwrap());
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
}
