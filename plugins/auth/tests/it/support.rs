//! A gatehouse to try: settings with files of its own, logins, and questions.

use std::{
    cell::RefCell,
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Once},
};

use plugin_api::{
    Access, Authenticate, Authorize, Decision, Login, Principal, QoS, Secret, Section, TopicFilter,
    Transport, Verdict,
};
use plugin_auth::{AuthError, Gates, RawAuth, password_file};
use tracing::Level;

/// Settings and the folder of their files.
pub(crate) struct House {
    folder: tempfile::TempDir,
    pub(crate) settings: RawAuth,
}

impl House {
    /// With the default settings: nobody comes in.
    pub(crate) fn closed() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            settings: RawAuth::default(),
        }
    }

    /// With these users, whose passwords are `NAME-password`.
    pub(crate) fn with_users(mut self, names: &[&str]) -> Self {
        let path = self.password_file();
        fs::write(&path, "").unwrap();
        for name in names {
            self.set_password(name, &format!("{name}-password"));
        }
        self.settings.password_file = Some(path);
        self
    }

    /// With these rules.
    pub(crate) fn with_rules(mut self, rules: &str) -> Self {
        fs::write(self.acl_file(), rules).unwrap();
        self.settings.acl_file = Some(self.acl_file());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut RawAuth)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.path().join("passwords")
    }

    pub(crate) fn acl_file(&self) -> PathBuf {
        self.folder.path().join("rules.acl")
    }

    pub(crate) fn set_password(&self, name: &str, password: &str) -> bool {
        password_file::set_user(&self.password_file(), name, &secret(password)).unwrap()
    }

    pub(crate) fn gates(&self) -> Gates {
        self.try_gates().unwrap()
    }

    pub(crate) fn try_gates(&self) -> Result<Gates, AuthError> {
        self.gates_after(Vec::new())
    }

    /// The gates, with others that are asked before the rules.
    pub(crate) fn gates_after(&self, extra: Vec<Arc<dyn Authorize>>) -> Result<Gates, AuthError> {
        let mut problems = Vec::new();
        let settings = self.settings.clone().check(&mut problems);
        assert_eq!(problems, []);
        Gates::build(&settings, extra)
    }
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// A login over MQTT from elsewhere, with nothing but a client id.
pub(crate) fn from_afar() -> Login {
    let peer: SocketAddr = "192.0.2.7:50000".parse().unwrap();
    let mut login = Login::from_peer(Transport::Mqtt, peer);
    login.client_id = "lamp-1".into();
    login
}

/// A login over MQTT from this machine, with nothing but a client id.
pub(crate) fn from_here() -> Login {
    let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
    let mut login = Login::from_peer(Transport::Mqtt, peer);
    login.client_id = "lamp-1".into();
    login
}

/// A login from elsewhere by password.
pub(crate) fn by_password(name: &str, password: &str) -> Login {
    let mut login = from_afar();
    login.username = Some(name.into());
    login.password = Some(secret(password));
    login
}

/// Who the gates say it is, or why it is not let in.
pub(crate) async fn who(gates: &Gates, login: Login) -> Result<Arc<Principal>, String> {
    match gates.authenticate(login).await {
        Ok(Verdict::Known(principal)) => Ok(principal),
        Ok(Verdict::Refused(why)) => Err(why),
        Ok(Verdict::Silent) => panic!("the chain must not be silent"),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the gates allow it.
pub(crate) async fn may(gates: &Gates, principal: &Principal, access: Access) -> bool {
    let decision = gates.authorize(&Arc::new(principal.clone()), &access).await;
    if let Access::Publish { topic, qos, retain } = &access
        && let Some(at_once) = gates.publish_at_once(principal, topic, *qos, *retain)
    {
        assert_eq!(decision.as_ref().ok(), Some(&at_once), "{access:?}");
    }
    matches!(decision, Ok(Decision::Allow))
}

/// A principal as the chain makes it: with a client id.
pub(crate) fn principal(name: &str, client_id: &str) -> Principal {
    let mut principal = Principal::named(name);
    principal.client_id = Some(client_id.into());
    principal
}

pub(crate) fn publish(topic: &str) -> Access {
    Access::Publish {
        topic: topic.into(),
        qos: QoS::AtLeastOnce,
        retain: false,
    }
}

pub(crate) fn subscribe(filter: &str) -> Access {
    Access::Subscribe {
        filter: TopicFilter::parse(filter).unwrap(),
    }
}

pub(crate) fn read_twin(device: &str) -> Access {
    Access::ReadTwin {
        device: device.into(),
        section: Section::Whole,
    }
}

pub(crate) fn write_twin(device: &str) -> Access {
    Access::WriteTwin {
        device: device.into(),
        section: Section::Desired,
    }
}

thread_local! {
    /// What was logged on this thread since it was last asked for.
    static LOGGED: RefCell<Vec<u8>> = RefCell::default();
}

/// Begins to keep what is logged: on the thread of each story apart. One listener serves all, because what is listened
/// to only on some threads is not surely heard.
pub(crate) fn keep_log() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let listener = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false);
        listener.with_writer(|| ThisThread).init();
    });
}

/// What was logged on this thread since it was last asked for.
pub(crate) fn logged() -> String {
    String::from_utf8(LOGGED.take()).unwrap()
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
