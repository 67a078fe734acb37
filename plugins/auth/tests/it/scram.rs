//! Logins by SCRAM, with a client's side of its own.

use std::{fs, num::NonZeroU32};

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};
use plugin_api::{Authenticate, Exchange, Login, Principal, Step};
use plugin_auth::{AuthError, Gates, password_file};

use crate::support::{House, by_password, from_afar, may, publish, secret, who};

const METHODS: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// A house whose users can log in by SCRAM; the password of each is `NAME-password`.
fn house(names: &[&str]) -> House {
    let house = House::closed().with_users(&[]);
    for name in names {
        set_scram(&house, name, &format!("{name}-password"));
    }
    house
}

fn set_scram(house: &House, name: &str, password: &str) -> bool {
    password_file::set_scram_user(&house.password_file(), name, &secret(password)).unwrap()
}

/// A client's side of one exchange.
struct Client {
    method: &'static str,
    password: String,
    said: String,
}

impl Client {
    fn new(method: &'static str, name: &str, password: &str) -> Self {
        Self {
            method,
            password: password.to_owned(),
            said: format!("n={name},r=client-nonce"),
        }
    }

    fn first(&self) -> String {
        format!("n,,{}", self.said)
    }

    fn sign(&self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self.method {
            "SCRAM-SHA-256" => hmac::HMAC_SHA256,
            _ => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), bytes)
            .as_ref()
            .to_vec()
    }

    /// Its last message, and what the server has to answer.
    fn last(&self, asked: &str) -> (String, String) {
        let field = |name| {
            asked
                .split(',')
                .find_map(|field| field.strip_prefix(name))
                .unwrap()
        };
        let salt = STANDARD.decode(field("s=")).unwrap();
        let iterations: NonZeroU32 = field("i=").parse().unwrap();
        let (derive, hash) = match self.method {
            "SCRAM-SHA-256" => (pbkdf2::PBKDF2_HMAC_SHA256, &digest::SHA256),
            _ => (pbkdf2::PBKDF2_HMAC_SHA512, &digest::SHA512),
        };
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(derive, iterations, &salt, self.password.as_bytes(), &mut salted);
        let client_key = self.sign(&salted, b"Client Key");
        let without_proof = format!("c=biws,r={}", field("r="));
        let said = format!("{},{asked},{without_proof}", self.said);
        let stored_key = digest::digest(hash, &client_key);
        let signature = self.sign(stored_key.as_ref(), said.as_bytes());
        let proof: Vec<u8> = signature.iter().zip(&client_key).map(|(a, b)| a ^ b).collect();
        let server = self.sign(&self.sign(&salted, b"Server Key"), said.as_bytes());
        (
            format!("{without_proof},p={}", STANDARD.encode(proof)),
            format!("v={}", STANDARD.encode(server)),
        )
    }
}

fn by_method(method: &str) -> Login {
    let mut login = from_afar();
    login.method = Some(method.into());
    login
}

/// What the gates ask after a first message.
async fn asked(gates: &Gates, login: Login, first: &str) -> Result<(String, Box<dyn Exchange>), String> {
    let exchange = gates.exchange(login).ok_or("not offered")?;
    match exchange.step(Some(secret(first))).await.unwrap() {
        Step::Continue { data, next } => {
            let asked = String::from_utf8(data.unwrap().expose().to_vec()).unwrap();
            Ok((asked, next))
        }
        Step::Refused(why) => Err(why),
        Step::Known { .. } => panic!("nothing is proven yet"),
    }
}

/// Who the gates say it is at the end, or why it is not let in.
async fn ended(exchange: Box<dyn Exchange>, last: &str) -> Result<(Principal, String), String> {
    match exchange.step(Some(secret(last))).await.unwrap() {
        Step::Known { principal, data } => {
            let told = String::from_utf8(data.unwrap().expose().to_vec()).unwrap();
            Ok((Principal::clone(&principal), told))
        }
        Step::Refused(why) => Err(why),
        Step::Continue { .. } => panic!("there is nothing more to say"),
    }
}

async fn log_in(gates: &Gates, login: Login, name: &str, password: &str) -> Result<Principal, String> {
    let method = METHODS
        .into_iter()
        .find(|method| login.method.as_deref() == Some(method));
    let client = Client::new(method.unwrap(), name, password);
    let (asked, exchange) = asked(gates, login, &client.first()).await?;
    let (last, expected) = client.last(&asked);
    let (principal, told) = ended(exchange, &last).await?;
    assert_eq!(told, expected, "the server has proven itself");
    Ok(principal)
}

#[tokio::test]
async fn whoever_knows_the_password_comes_in_by_either_kind_and_by_password() {
    let gates = house(&["ada"]).gates();
    for method in METHODS {
        let principal = log_in(&gates, by_method(method), "ada", "ada-password")
            .await
            .unwrap();
        assert_eq!(&*principal.name, "ada");
        assert_eq!(principal.device.as_deref(), Some("ada"));
        assert_eq!(principal.client_id.as_deref(), Some("lamp-1"));
        let wrong = log_in(&gates, by_method(method), "ada", "guess").await;
        assert_eq!(wrong.unwrap_err(), "a wrong password");
    }
    who(&gates, by_password("ada", "ada-password")).await.unwrap();
}

#[tokio::test]
async fn only_what_the_file_has_verifiers_for_is_offered() {
    let house = House::closed().with_users(&["ada"]);
    let gates = house.gates();
    for method in METHODS {
        assert!(gates.exchange(by_method(method)).is_none());
    }
    set_scram(&house, "bob", "bob-password");
    assert!(gates.refresh());
    for method in METHODS {
        assert!(gates.exchange(by_method(method)).is_some());
    }
    let text = fs::read_to_string(house.password_file()).unwrap();
    let short: Vec<&str> = text.lines().filter(|line| !line.contains("sha-512")).collect();
    fs::write(house.password_file(), short.join("\n")).unwrap();
    assert!(gates.refresh());
    assert!(gates.exchange(by_method("SCRAM-SHA-256")).is_some());
    for method in [
        "SCRAM-SHA-512",
        "SCRAM-SHA-1",
        "scram-sha-256",
        "SCRAM-SHA-256-PLUS",
        "PLAIN",
    ] {
        assert!(gates.exchange(by_method(method)).is_none(), "{method}");
    }
    assert!(
        House::closed()
            .gates()
            .exchange(by_method("SCRAM-SHA-256"))
            .is_none()
    );
}

/// [MQTT5-4.12.0-2] A CONNECT without data is asked for it.
#[tokio::test]
async fn a_client_may_begin_after_connect() {
    let gates = house(&["ada"]).gates();
    let exchange = gates.exchange(by_method("SCRAM-SHA-256")).unwrap();
    let Step::Continue { data: None, next } = exchange.step(None).await.unwrap() else {
        panic!("it is asked to begin");
    };
    let client = Client::new("SCRAM-SHA-256", "ada", "ada-password");
    let Step::Continue { data, next } = next.step(Some(secret(&client.first()))).await.unwrap() else {
        panic!("it is asked for a proof");
    };
    let asked = String::from_utf8(data.unwrap().expose().to_vec()).unwrap();
    ended(next, &client.last(&asked).0).await.unwrap();
}

/// Salt and iterations of an unknown user look like those of a known one, and are the same each time, also after a
/// restart.
#[tokio::test]
async fn an_unknown_user_is_asked_like_a_known_one_and_refused_in_the_end() {
    let house = house(&["ada"]);
    let shown = async |gates: &Gates, name: &str| {
        let client = Client::new("SCRAM-SHA-256", name, "x");
        let (asked, _) = asked(gates, by_method("SCRAM-SHA-256"), &client.first())
            .await
            .unwrap();
        let (_, shown) = asked.split_once(',').unwrap();
        shown.to_owned()
    };
    let (gates, restarted) = (house.gates(), house.gates());
    let (known, unknown) = (shown(&gates, "ada").await, shown(&gates, "eve").await);
    assert_eq!(known.len(), unknown.len());
    assert_eq!(
        known.split_once(",i=").unwrap().1,
        unknown.split_once(",i=").unwrap().1
    );
    assert_eq!(unknown, shown(&gates, "eve").await);
    assert_eq!(unknown, shown(&restarted, "eve").await);
    assert_ne!(unknown, shown(&gates, "mallory").await);
    let refused = log_in(&gates, by_method("SCRAM-SHA-256"), "eve", "x").await;
    assert!(refused.unwrap_err().contains("without a verifier"));
}

#[tokio::test]
async fn what_belongs_to_another_exchange_proves_nothing() {
    let gates = house(&["ada"]).gates();
    let client = Client::new("SCRAM-SHA-256", "ada", "ada-password");
    let (first, right) = asked(&gates, by_method(client.method), &client.first())
        .await
        .unwrap();
    let last = client.last(&first).0;
    ended(right, &last).await.unwrap();
    let (_, again) = asked(&gates, by_method(client.method), &client.first())
        .await
        .unwrap();
    let replayed = ended(again, &last).await;
    assert_eq!(replayed.unwrap_err(), "its nonce is not that of this exchange");
}

/// `y` says that the client could bind channels and knows that we do not, `p=` insists on it.
#[tokio::test]
async fn channel_binding_is_not_offered() {
    let gates = house(&["ada"]).gates();
    let asked_for = async |first: &str| asked(&gates, by_method("SCRAM-SHA-256"), first).await.map(|_| ());
    assert_eq!(asked_for("y,,n=ada,r=x").await, Ok(()));
    let wants = asked_for("p=tls-exporter,,n=ada,r=x").await.unwrap_err();
    assert_eq!(wants, "it wants channel binding, which is not offered");
}

/// One connection is one user, whatever says so.
#[tokio::test]
async fn another_name_or_a_password_beside_scram_is_refused() {
    let gates = house(&["ada", "bob"]).gates();
    let mut same = by_method("SCRAM-SHA-256");
    same.username = Some("ada".into());
    log_in(&gates, same.clone(), "ada", "ada-password").await.unwrap();
    let mut with_password = same.clone();
    with_password.password = Some(secret("ada-password"));
    for (login, name) in [(same, "bob"), (with_password, "ada")] {
        let refused = log_in(&gates, login, name, &format!("{name}-password")).await;
        assert!(refused.is_err(), "{name}");
    }
    let acting = asked(&gates, by_method("SCRAM-SHA-256"), "n,a=bob,n=ada,r=x").await;
    assert!(acting.is_err());
}

/// A name with what SCRAM escapes, and a device that is found as after a login by password.
#[tokio::test]
async fn a_user_is_the_device_that_it_would_be_by_password() {
    let house = house(&["a,b=c"]).with(|auth| auth.device_from = Some("username".into()));
    let gates = house.gates();
    let client = Client::new("SCRAM-SHA-512", "a=2Cb=3Dc", "a,b=c-password");
    let (first, exchange) = asked(&gates, by_method(client.method), &client.first())
        .await
        .unwrap();
    let (principal, _) = ended(exchange, &client.last(&first).0).await.unwrap();
    let by_password = who(&gates, by_password("a,b=c", "a,b=c-password")).await.unwrap();
    assert_eq!(
        (&principal.name, &principal.device),
        (&by_password.name, &by_password.device)
    );
    assert_eq!(principal.device.as_deref(), Some("a,b=c"));
}

/// A revoked credential takes effect on those who are in already.
#[tokio::test]
async fn whoever_loses_the_password_they_came_in_with_may_do_nothing_any_more() {
    let house = house(&["ada", "bob"]).with_rules("pattern readwrite all/#\n");
    let gates = house.gates();
    let method = || by_method("SCRAM-SHA-256");
    let ada = log_in(&gates, method(), "ada", "ada-password").await.unwrap();
    let bob = log_in(&gates, method(), "bob", "bob-password").await.unwrap();
    assert!(may(&gates, &ada, publish("all/x")).await);
    // Without being told so, the new password is one for SCRAM as well.
    house.set_password("ada", "another");
    assert!(gates.refresh());
    assert!(!may(&gates, &ada, publish("all/x")).await);
    assert!(may(&gates, &bob, publish("all/x")).await);
    assert!(log_in(&gates, method(), "ada", "ada-password").await.is_err());
    let again = log_in(&gates, method(), "ada", "another").await.unwrap();
    assert!(may(&gates, &again, publish("all/x")).await);
    password_file::remove_user(&house.password_file(), "ada").unwrap();
    assert!(gates.refresh());
    assert!(!may(&gates, &again, publish("all/x")).await);
    assert!(log_in(&gates, method(), "ada", "another").await.is_err());
}

#[test]
fn a_user_has_all_its_lines_in_one_place() {
    let house = House::closed().with_users(&["ada", "bob"]);
    let names = || {
        let text = fs::read_to_string(house.password_file()).unwrap();
        let line = |line: &str| {
            line.split_once(":$").map(|(name, rest)| {
                let (tag, _) = rest.split_once('$').unwrap();
                format!("{name} {tag}")
            })
        };
        text.lines()
            .map(|text| line(text).unwrap_or_else(|| text.into()))
            .collect::<Vec<_>>()
    };
    assert!(!set_scram(&house, "ada", "one"));
    let all = [
        "ada argon2id",
        "ada scram-sha-256",
        "ada scram-sha-512",
        "bob argon2id",
    ];
    assert_eq!(names(), all);
    assert!(!house.set_password("ada", "two"));
    assert_eq!(names(), all);
    assert!(password_file::verify_user(&house.password_file(), "ada", &secret("two")).unwrap());
    assert!(set_scram(&house, "cy", "three"));
    assert_eq!(names().len(), 7);
    assert!(password_file::remove_user(&house.password_file(), "ada").unwrap());
    assert_eq!(names().first().map(String::as_str), Some("bob argon2id"));
    assert_eq!(names().len(), 4);
}

#[test]
fn a_password_that_clients_could_write_in_two_ways_is_refused_for_scram() {
    let house = house(&["ada"]);
    for password in ["stra\u{df}e", "tab\t", ""] {
        let refused = password_file::set_scram_user(&house.password_file(), "bob", &secret(password));
        assert!(matches!(refused, Err(AuthError::Password(_))), "{password:?}");
        let refused = password_file::set_user(&house.password_file(), "ada", &secret(password));
        assert!(matches!(refused, Err(AuthError::Password(_))), "{password:?}");
    }
    house.set_password("bob", "stra\u{df}e");
}

#[test]
fn a_broken_verifier_is_told_with_its_line_and_without_what_it_holds() {
    let house = house(&["ada"]);
    let text = fs::read_to_string(house.password_file()).unwrap();
    let broken = text.replace("i=15000", "i=12") + &text;
    fs::write(house.password_file(), broken).unwrap();
    let told = house.try_gates().unwrap_err().to_string();
    assert!(
        told.contains("passwords:2: found user \"ada\" with a SCRAM verifier without 4096"),
        "{told}"
    );
    assert!(
        told.contains("passwords:4: found user \"ada\" a second time"),
        "{told}"
    );
    assert!(!told.contains("$scram"), "{told}");
}

/// Guessing is no cheaper by SCRAM.
#[tokio::test]
async fn whoever_guesses_by_scram_is_not_listened_to_for_a_while() {
    let house = house(&["ada"]).with(|settings| settings.login_failures_max = Some(3));
    let gates = house.gates();
    for _ in 0..3 {
        let refused = log_in(&gates, by_method("SCRAM-SHA-256"), "ada", "guess").await;
        assert!(!refused.unwrap_err().contains("too many"));
    }
    let refused = log_in(&gates, by_method("SCRAM-SHA-256"), "ada", "ada-password").await;
    assert!(refused.unwrap_err().contains("too many failed logins"));
}
