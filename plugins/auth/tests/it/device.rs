//! Which device somebody is, by setting and by what was presented.

use plugin_api::Login;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::support::{House, by_password, from_here, secret, who};

fn by_certificate() -> Login {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "lamp-7");
    let mut login = from_here();
    login.certificate = Some(
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec(),
    );
    login
}

#[tokio::test]
async fn the_setting_says_which_name_is_the_devices() {
    let password_and_certificate = || {
        let mut login = by_password("ada", "ada-password");
        login.certificate = by_certificate().certificate;
        login
    };
    for (setting, anonymous, password, certificate, both) in [
        (
            "auto",
            Some("lamp-1"),
            Some("ada"),
            Some("lamp-7"),
            Some("lamp-7"),
        ),
        (
            "client_id",
            Some("lamp-1"),
            Some("lamp-1"),
            Some("lamp-1"),
            Some("lamp-1"),
        ),
        ("username", None, Some("ada"), None, Some("ada")),
        ("certificate", None, None, Some("lamp-7"), Some("lamp-7")),
        ("none", None, None, None, None),
    ] {
        let house = House::closed().with_users(&["ada"]).with(|auth| {
            auth.anonymous = Some("loopback".into());
            auth.device_from = Some(setting.into());
        });
        let gates = house.gates();
        for (login, device) in [
            (from_here(), anonymous),
            (by_password("ada", "ada-password"), password),
            (by_certificate(), certificate),
            (password_and_certificate(), both),
        ] {
            let principal = who(&gates, login).await.unwrap();
            assert_eq!(
                principal.device.as_deref(),
                device,
                "{setting} for {}",
                principal.name
            );
        }
    }
}

/// Its holder could say any password beside it.
#[tokio::test]
async fn a_password_that_nobody_looks_at_makes_no_device() {
    let house = House::closed()
        .with_users(&["lamp-7"])
        .with(|auth| auth.device_from = Some("username".into()));
    let mut login = by_certificate();
    login.username = Some("lamp-7".into());
    login.password = Some(secret("guess"));
    assert!(who(&house.gates(), login.clone()).await.is_err());
    login.authenticators = Some(["certificate".to_owned()].into());
    assert_eq!(who(&house.gates(), login).await.unwrap().device, None);
}

/// What a listener takes a certificate for is then TLS alone.
#[tokio::test]
async fn a_certificate_that_nobody_looks_at_makes_no_device() {
    for (setting, device) in [("auto", Some("ada")), ("certificate", None)] {
        let house = House::closed()
            .with_users(&["ada"])
            .with(|auth| auth.device_from = Some(setting.into()));
        let mut login = by_password("ada", "ada-password");
        login.certificate = by_certificate().certificate;
        login.authenticators = Some(["password_file".to_owned()].into());
        let principal = who(&house.gates(), login).await.unwrap();
        assert_eq!(principal.device.as_deref(), device, "{setting}");
    }
}

/// Such a name would reach other twins once it stands in a topic.
#[tokio::test]
async fn a_name_that_is_more_than_one_level_of_a_topic_is_no_device() {
    let gates = House::closed()
        .with(|auth| auth.anonymous = Some("loopback".into()))
        .gates();
    for client_id in ["", "+", "#", "a/b", "$twin"] {
        let mut login = from_here();
        login.client_id = client_id.into();
        assert_eq!(who(&gates, login).await.unwrap().device, None, "{client_id:?}");
    }
}
