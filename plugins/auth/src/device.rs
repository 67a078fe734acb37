//! Which device somebody is.

use plugin_api::{Login, Principal};

use crate::{
    ANONYMOUS, CertificateName, DeviceFrom, certificate::CertificateGate, login, name,
    password_file::PasswordFile,
};

/// How the device of a principal is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Devices {
    pub(crate) from: DeviceFrom,
    pub(crate) certificate_name: Option<CertificateName>,
}

/// What the settings say if they say nothing.
impl Default for Devices {
    fn default() -> Self {
        Self {
            from: DeviceFrom::default(),
            certificate_name: Some(CertificateName::CommonName),
        }
    }
}

impl Devices {
    /// A principal with what the chain knows of it.
    pub(crate) fn complete(self, principal: &Principal, login: &Login) -> Principal {
        let mut principal = principal.clone();
        principal.loopback = login::is_loopback(login);
        principal.client_id = Some(&*login.client_id)
            .filter(|id| !id.is_empty())
            .map(Into::into);
        if principal.device.is_none() {
            principal.device = self.of(&principal, login).map(Into::into);
        }
        principal
    }

    /// The device that came in with this login as this principal. A name that could not be a level of a topic is no
    /// device's: it could reach other twins.
    fn of(self, principal: &Principal, login: &Login) -> Option<String> {
        let device = match self.from {
            DeviceFrom::Auto => self.in_certificate(login).or_else(|| {
                let anonymous = &*principal.name == ANONYMOUS;
                Some(if anonymous {
                    login.client_id.clone()
                } else {
                    principal.name.to_string()
                })
            }),
            DeviceFrom::ClientId => Some(login.client_id.clone()),
            DeviceFrom::Username => {
                // An exchange names its user by itself.
                // Where no gate looks at passwords, one that was presented says nothing.
                let by_password = login.password.is_some()
                    && login.is_for(PasswordFile::NAME)
                    && login::user_name(login) == Some(&*principal.name);
                let checked = by_password || login.method.is_some();
                checked.then(|| principal.name.to_string())
            }
            DeviceFrom::Certificate => self.in_certificate(login),
            DeviceFrom::Nothing => None,
        };
        device.filter(|device| name::is_one_level(device))
    }

    /// Where no gate looks at certificates, one that was shown says nothing.
    fn in_certificate(self, login: &Login) -> Option<String> {
        if !login.is_for(CertificateGate::NAME) {
            return None;
        }
        login::certificate_name(login, self.certificate_name?)?.ok()
    }
}
