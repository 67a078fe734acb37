//! Identity from a client certificate.

use plugin_api::Login;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use crate::support::{House, by_password, from_afar, who};

/// A certificate with these names, as TLS hands it over.
fn certificate(common_names: &[&str], alternatives: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let [name] = common_names {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params.subject_alt_names = alternatives;
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

fn presenting(der: Vec<u8>) -> Login {
    let mut login = from_afar();
    login.certificate = Some(der);
    login
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

#[tokio::test]
async fn a_certificate_that_does_not_say_who_it_is_for_is_refused() {
    let gates = House::closed()
        .with(|auth| auth.anonymous = Some("allow_anonymous_on_public_address".into()))
        .gates();
    for der in [
        certificate(&[], vec![dns("lamp.example")]),
        certificate(&[""], vec![]),
        certificate(&["anonymous"], vec![]),
        certificate(&[" lamp"], vec![]),
        certificate(&["lamp\n"], vec![]),
        certificate(&[&"x".repeat(300)], vec![]),
        vec![],
        vec![0x30, 0x80],
        b"no certificate".to_vec(),
    ] {
        let why = who(&gates, presenting(der)).await.unwrap_err();
        assert!(
            why.starts_with("the certificate does not say who it is for: "),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_certificate_cut_off_anywhere_is_refused() {
    let gates = House::closed().gates();
    let whole = certificate(&["lamp-7"], vec![uri("urn:lamp:7")]);
    for length in 0..whole.len() {
        assert!(
            who(&gates, presenting(whole[..length].to_vec())).await.is_err(),
            "{length} bytes"
        );
    }
}

#[tokio::test]
async fn the_configured_name_counts_and_no_other() {
    let der = certificate(&["lamp-7"], vec![uri("urn:lamp:7"), dns("lamp-7.example")]);
    for (kind, name) in [
        ("common_name", "lamp-7"),
        ("uri", "urn:lamp:7"),
        ("dns", "lamp-7.example"),
    ] {
        let gates = House::closed()
            .with(|auth| auth.certificate_name = Some(kind.into()))
            .gates();
        let principal = who(&gates, presenting(der.clone())).await.unwrap();
        assert_eq!(&*principal.name, name);
        assert_eq!(principal.device.as_deref(), Some(name));
    }
    let gates = House::closed()
        .with(|auth| auth.certificate_name = Some("none".into()))
        .gates();
    assert_eq!(
        who(&gates, presenting(der)).await.unwrap_err(),
        "credentials that no gate of [auth] can check"
    );
}

#[tokio::test]
async fn several_names_of_the_configured_kind_are_refused() {
    let gates = House::closed()
        .with(|auth| auth.certificate_name = Some("dns".into()))
        .gates();
    let der = certificate(&["lamp-7"], vec![dns("lamp-7.example"), dns("admin.example")]);
    let why = who(&gates, presenting(der)).await.unwrap_err();
    assert!(why.contains("several names"), "{why}");
}

/// AWS device SDKs send telemetry as user name; Azure's send a user name without a password.
#[tokio::test]
async fn a_user_name_without_a_password_does_not_stand_in_the_way_of_a_certificate() {
    let gates = House::closed().with_users(&["ada"]).gates();
    for username in [
        "?SDK=PythonV2&Version=1.2",
        "hub.example/lamp-7/?api-version=1",
        "ada",
    ] {
        let mut login = presenting(certificate(&["lamp-7"], vec![]));
        login.username = Some(username.into());
        assert_eq!(&*who(&gates, login).await.unwrap().name, "lamp-7");
    }
}

#[tokio::test]
async fn a_password_that_is_presented_must_be_right_even_beside_a_certificate() {
    let gates = House::closed().with_users(&["ada"]).gates();
    let mut login = by_password("ada", "guess");
    login.certificate = Some(certificate(&["lamp-7"], vec![]));
    assert!(who(&gates, login.clone()).await.is_err());
    login.password = by_password("ada", "ada-password").password;
    let principal = who(&gates, login).await.unwrap();
    assert_eq!(&*principal.name, "ada");
    assert_eq!(principal.device.as_deref(), Some("lamp-7"));
}

/// A proxy that is believed tells the common name and nothing else of a certificate.
#[tokio::test]
async fn a_name_from_a_proxy_counts_as_the_common_name_of_a_certificate() {
    let told = |name: &str| {
        let mut login = from_afar();
        login.common_name = Some(name.into());
        login
    };
    let gates = House::closed().gates();
    assert_eq!(&*who(&gates, told("lamp-7")).await.unwrap().name, "lamp-7");
    for name in ["", "anonymous", " lamp", "lamp\n"] {
        assert!(who(&gates, told(name)).await.is_err(), "{name:?}");
    }
    let mut with_own = presenting(certificate(&["own"], vec![]));
    with_own.common_name = Some("told".into());
    assert_eq!(&*who(&gates, with_own).await.unwrap().name, "own");
    let by_uri = House::closed()
        .with(|auth| auth.certificate_name = Some("uri".into()))
        .gates();
    assert!(who(&by_uri, told("lamp-7")).await.is_err());
}
