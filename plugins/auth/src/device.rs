//! Which device somebody is.

use plugin_api::{Login, Principal};

use crate::{ANONYMOUS, CertificateName, DeviceFrom, login, name};

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
    /// The device that came in with this login as this principal. A name that could not be a level of a topic is no
    /// device's: it could reach other twins.
    pub(crate) fn of(self, principal: &Principal, login: &Login) -> Option<String> {
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
                let checked = login.password.is_some() && login::user_name(login) == Some(&*principal.name);
                checked.then(|| principal.name.to_string())
            }
            DeviceFrom::Certificate => self.in_certificate(login),
            DeviceFrom::Nothing => None,
        };
        device.filter(|device| name::is_one_level(device))
    }

    fn in_certificate(self, login: &Login) -> Option<String> {
        login::certificate_name(login, self.certificate_name?)?.ok()
    }
}
