//! The chain: gates are asked in order, the first clear verdict wins, and silence means no.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use plugin_api::{
    Access, Authenticate, Authorize, Decision, Exchange, GateError, Login, Pending, Principal, QoS, Verdict,
};

use crate::{
    AclFile, Auth, AuthError, Authorization,
    anonymous::AnonymousGate,
    certificate::CertificateGate,
    device::Devices,
    guarded::{Chain, Guarded},
    judged::{judged, unharmed},
    loopback::AllowAllOnLoopback,
    password_file::PasswordFile,
    policy::Policy,
    watched_file::Refresh,
};

/// The assembled chain.
///
/// The first gate that knows or refuses, allows or denies, decides. Where a login names those that may judge it, no other
/// authenticator is asked. A gate that fails, panics or does not answer in time
/// decides as well: the answer is no, and it is logged with the gate's name. If all are silent the answer is no.
///
/// To every principal it adds its client id, whether it is on this machine, and the device, unless a gate named one.
/// Needs a tokio runtime with time; where every gate has its answer at hand, authorizing needs none.
#[derive(Debug)]
pub struct Gates {
    authenticators: Vec<Named<dyn Authenticate>>,
    authorizers: Arc<[Named<dyn Authorize>]>,
    deadline: Duration,
    devices: Devices,
    policy: Arc<Policy>,
}

/// A gate and what the log calls it.
#[derive(Debug)]
struct Named<G: ?Sized> {
    name: String,
    gate: Arc<G>,
}

impl<G: ?Sized> From<(String, Arc<G>)> for Named<G> {
    fn from((name, gate): (String, Arc<G>)) -> Self {
        Self { name, gate }
    }
}

impl Gates {
    /// Builds the gates that the settings ask for. The `extra` authorizers are asked, in their order, before the ACL
    /// file: what they decide no file can change. Reads the files: blocks on the disk.
    ///
    /// # Errors
    /// When a file cannot be read or has mistakes: all mistakes of all files.
    pub fn build(settings: &Auth, extra: Vec<Arc<dyn Authorize>>) -> Result<Self, AuthError> {
        let files = Files::open(settings)?;
        let mut gates = Self::of(
            files.authenticators(settings),
            files.authorizers(settings, extra),
            settings.gate_deadline,
        );
        gates.devices = Devices {
            from: settings.device_from,
            certificate_name: settings.certificate_name,
        };
        gates.policy = Arc::new(Policy::new(files.watched()));
        Ok(gates)
    }

    /// A chain of these gates, each with the name that stands in the log.
    #[must_use]
    pub fn of(
        authenticators: Vec<(String, Arc<dyn Authenticate>)>,
        authorizers: Vec<(String, Arc<dyn Authorize>)>,
        deadline: Duration,
    ) -> Self {
        Self {
            authenticators: authenticators.into_iter().map(Named::from).collect(),
            authorizers: authorizers.into_iter().map(Named::from).collect(),
            deadline,
            devices: Devices::default(),
            policy: Arc::new(Policy::new(Vec::new())),
        }
    }

    /// A number that grows whenever a file of `[auth]` changed. A verdict that is kept must be dropped when the number is
    /// not the one that was read before it was asked for.
    #[must_use]
    pub fn policy_epoch(&self) -> Arc<AtomicU64> {
        self.policy.epoch()
    }

    /// Looks at the files of `[auth]` now, and says whether anything changed. Blocks on the disk.
    pub fn refresh(&self) -> bool {
        self.policy.refresh()
    }

    /// Looks at the files of `[auth]` every second; never ends. Without it they are looked at when somebody logs in.
    pub fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.policy).watch()
    }

    async fn who(&self, login: Login) -> Result<Verdict, GateError> {
        self.policy.refresh_if_due().await;
        for named in self.asked(&login) {
            let verdict = judged(self.deadline, || named.gate.authenticate(login.clone())).await;
            match verdict.map_err(|fault| fault.told_of(&named.name))? {
                Verdict::Known(principal) => {
                    return Ok(Verdict::Known(Arc::new(
                        self.devices.complete(&principal, &login),
                    )));
                }
                Verdict::Refused(why) => return Ok(Verdict::Refused(why)),
                Verdict::Silent => {}
            }
        }
        let why = match &login.authenticators {
            None => "credentials that no gate of [auth] can check".into(),
            Some(named) => format!("credentials that none of these can check: {}", named.join(", ")),
        };
        Ok(Verdict::Refused(why))
    }

    /// Those that may judge a login, in their order.
    fn asked<'a>(&'a self, login: &'a Login) -> impl Iterator<Item = &'a Named<dyn Authenticate>> {
        self.authenticators
            .iter()
            .filter(|named| login.is_for(&named.name))
    }

    fn guarded(&self, exchange: Box<dyn Exchange>, gate: &str, login: Login) -> Guarded {
        let chain = Chain {
            gate: gate.to_owned(),
            login,
            deadline: self.deadline,
            devices: self.devices,
            policy: Arc::clone(&self.policy),
        };
        Guarded { exchange, chain }
    }
}

impl Authenticate for Gates {
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>> {
        Box::pin(self.who(login))
    }

    /// The first gate that offers the method has the whole exchange. One that panics offers it to nobody.
    fn exchange(&self, login: Login) -> Option<Box<dyn Exchange>> {
        for named in self.asked(&login) {
            match unharmed(|| named.gate.exchange(login.clone())) {
                Ok(None) => {}
                Ok(Some(exchange)) => {
                    return Some(Box::new(self.guarded(exchange, &named.name, login.clone())));
                }
                Err(fault) => {
                    let _no = fault.told_of(&named.name);
                    return None;
                }
            }
        }
        None
    }
}

impl Authorize for Gates {
    fn authorize(
        &self,
        principal: &Arc<Principal>,
        access: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        let (gates, deadline) = (Arc::clone(&self.authorizers), self.deadline);
        let (principal, access) = (Arc::clone(principal), access.clone());
        Box::pin(async move {
            for named in &*gates {
                let decision = judged(deadline, || named.gate.authorize(&principal, &access)).await;
                match decision.map_err(|fault| fault.told_of(&named.name))? {
                    Decision::Silent => {}
                    clear => return Ok(clear),
                }
            }
            Ok(Decision::Deny)
        })
    }

    /// Where every gate that is asked has its verdict at hand.
    fn publish_at_once(
        &self,
        principal: &Principal,
        topic: &str,
        qos: QoS,
        retain: bool,
    ) -> Option<Decision> {
        for named in &*self.authorizers {
            // One that panics is asked again where its fault is told of.
            let decision = unharmed(|| named.gate.publish_at_once(principal, topic, qos, retain)).ok()??;
            if decision != Decision::Silent {
                return Some(decision);
            }
        }
        Some(Decision::Deny)
    }
}

/// The files the settings name, read.
struct Files {
    passwords: Option<Arc<PasswordFile>>,
    rules: Option<Arc<AclFile>>,
}

impl Files {
    fn open(settings: &Auth) -> Result<Self, AuthError> {
        let mut problems = Vec::new();
        let passwords = settings.password_file.as_deref().map(|path| {
            let remembered_max = settings.remembered_logins_max;
            PasswordFile::open(path, settings.hashing, remembered_max, settings.failures)
        });
        let passwords = passwords.and_then(|opened| opened.map_err(|found| problems.extend(found)).ok());
        let rules = settings.acl_file.as_deref().map(AclFile::open);
        let rules = rules.and_then(|opened| opened.map_err(|found| problems.extend(found)).ok());
        if problems.is_empty() {
            Ok(Self {
                passwords: passwords.map(Arc::new),
                rules: rules.map(Arc::new),
            })
        } else {
            Err(AuthError::Problems(problems))
        }
    }

    fn watched(&self) -> Vec<Arc<dyn Refresh>> {
        let passwords = self.passwords.iter().map(|passwords| passwords.watched());
        passwords
            .chain(self.rules.iter().map(|rules| rules.watched()))
            .collect()
    }

    /// A password that was presented must be right, whatever else was presented; so it is looked at first.
    fn authenticators(&self, settings: &Auth) -> Vec<(String, Arc<dyn Authenticate>)> {
        let mut gates: Vec<(String, Arc<dyn Authenticate>)> = Vec::new();
        if let Some(passwords) = &self.passwords {
            gates.push((
                PasswordFile::NAME.into(),
                Arc::clone(passwords) as Arc<dyn Authenticate>,
            ));
        }
        if let Some(name) = settings.certificate_name {
            gates.push((CertificateGate::NAME.into(), Arc::new(CertificateGate::new(name))));
        }
        gates.push((
            AnonymousGate::NAME.into(),
            Arc::new(AnonymousGate::new(settings.anonymous)),
        ));
        gates
    }

    /// Who was turned out is denied first; who is let in on loopback comes last, so that every rule counts there too.
    fn authorizers(
        &self,
        settings: &Auth,
        extra: Vec<Arc<dyn Authorize>>,
    ) -> Vec<(String, Arc<dyn Authorize>)> {
        let mut gates: Vec<(String, Arc<dyn Authorize>)> = Vec::new();
        if let Some(passwords) = &self.passwords {
            gates.push((
                PasswordFile::NAME.into(),
                Arc::clone(passwords) as Arc<dyn Authorize>,
            ));
        }
        gates.extend(
            (1..)
                .zip(extra)
                .map(|(number, gate)| (format!("extra authorizer {number}"), gate)),
        );
        if let Some(rules) = &self.rules {
            gates.push(("acl_file".into(), Arc::clone(rules) as Arc<dyn Authorize>));
        }
        if settings.authorize == Authorization::AllowAllOnLoopback {
            gates.push(("allow_all_on_loopback".into(), Arc::new(AllowAllOnLoopback)));
        }
        gates
    }
}
