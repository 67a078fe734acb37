//! Files that change while the gates are in use.

use std::{fs, sync::atomic::Ordering, time::Duration};

use crate::support::{House, by_password, keep_log, logged, may, principal, publish, who};

const ALLOW_A: &str = "user ada\ntopic readwrite a\n";
const ALLOW_B: &str = "user ada\ntopic readwrite b\n";

#[tokio::test]
async fn a_broken_file_leaves_the_last_good_one_in_force_until_it_is_mended() {
    let house = House::closed().with_users(&["ada"]).with_rules(ALLOW_A);
    let gates = house.gates();
    let epoch = gates.policy_epoch();
    let ada = principal("ada", "c1");
    let passwords = fs::read_to_string(house.password_file()).unwrap();
    keep_log();

    fs::write(house.acl_file(), "user ada\ntopic readwrit b\n").unwrap();
    fs::write(house.password_file(), "ada\n").unwrap();
    assert!((0..3).all(|_| !gates.refresh()));
    let errors = logged();
    assert_eq!(errors.matches("ERROR").count(), 2, "each once: {errors}");
    assert!(
        errors.contains(":2: found \"readwrit\" where the access stands, allowed: "),
        "{errors}"
    );
    assert!(errors.contains(":1: found a line without a colon"), "{errors}");

    fs::remove_file(house.acl_file()).unwrap();
    fs::remove_file(house.password_file()).unwrap();
    assert!((0..3).all(|_| !gates.refresh()));
    let errors = logged();
    assert_eq!(
        errors.matches("it cannot be read").count(),
        2,
        "each once: {errors}"
    );
    assert_eq!(epoch.load(Ordering::Acquire), 0);
    assert!(may(&gates, &ada, publish("a")).await);
    who(&gates, by_password("ada", "ada-password")).await.unwrap();

    fs::write(house.acl_file(), ALLOW_B).unwrap();
    fs::write(house.password_file(), passwords).unwrap();
    assert!(gates.refresh());
    assert!(!may(&gates, &ada, publish("a")).await);
    assert!(may(&gates, &ada, publish("b")).await);
}

#[tokio::test]
async fn the_epoch_grows_with_each_change_and_not_without_one() {
    let house = House::closed().with_users(&["ada"]).with_rules(ALLOW_A);
    let gates = house.gates();
    let epoch = gates.policy_epoch();
    assert!(!gates.refresh());
    fs::write(house.acl_file(), ALLOW_A).unwrap();
    assert!(!gates.refresh(), "written again, but the same");
    assert_eq!(epoch.load(Ordering::Acquire), 0);
    // As long as the other and within the same tick of the clock: nothing but the content tells them apart.
    let tick = fs::metadata(house.acl_file()).unwrap().modified().unwrap();
    fs::write(house.acl_file(), ALLOW_B).unwrap();
    fs::File::options()
        .append(true)
        .open(house.acl_file())
        .unwrap()
        .set_modified(tick)
        .unwrap();
    assert!(gates.refresh());
    assert_eq!(epoch.load(Ordering::Acquire), 1);
    house.set_password("bob", "x");
    assert!(gates.refresh());
    assert_eq!(epoch.load(Ordering::Acquire), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_user_can_log_in_a_second_after_the_file_changed() {
    let house = House::closed().with_users(&["ada"]);
    let gates = house.gates();
    who(&gates, by_password("ada", "ada-password")).await.unwrap();
    house.set_password("bob", "bob-password");
    assert!(
        who(&gates, by_password("bob", "bob-password")).await.is_err(),
        "not looked at twice in a second"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    who(&gates, by_password("bob", "bob-password")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watched_policy_changes_without_any_login() {
    let house = House::closed().with_rules(ALLOW_A);
    let gates = house.gates();
    let watching = tokio::spawn(gates.watch());
    fs::write(house.acl_file(), ALLOW_B).unwrap();
    let epoch = gates.policy_epoch();
    tokio::time::timeout(Duration::from_secs(3), async {
        while epoch.load(Ordering::Acquire) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    watching.abort();
}
