//! Admission: whether a client that has sent its CONNECT may come in, and as whom.

use std::sync::Arc;

use mqtt_wire::{ClientId, Connect, ReasonCode};
use plugin_api::{Access, Login, Peer, Principal, Secret, Transport};
use tracing::debug;

use super::{Greeting, Newcomer, proxied::Origin, turned::Turned};
use crate::{
    gate::LoginRefused,
    house::House,
    listener::{Door, Seat},
    mailbox::Letter,
    stream::Stream,
};

/// A client that may come in.
#[derive(Debug)]
pub(super) struct Admitted {
    connect: Box<Connect>,
    assigned: bool,
    principal: Arc<Principal>,
    peer: Peer,
    rest: Vec<u8>,
    seat: Seat,
}

/// Asks who it is and whether it may come in.
pub(super) async fn admit(
    stream: &Stream,
    greeting: Greeting,
    origin: Origin,
    door: &Door,
    house: &House,
    shutting_down: bool,
) -> Result<Admitted, Turned> {
    let Greeting {
        mut connect,
        rest,
        local,
    } = greeting;
    let version = connect.version;
    let refuse = |reason, why: String| Turned::Down { version, reason, why };
    if shutting_down {
        return Err(refuse(
            ReasonCode::ServerUnavailable,
            "the broker is shutting down".into(),
        ));
    }
    if connect.authentication_method.is_some() {
        let why = "enhanced authentication is not offered".into();
        return Err(refuse(ReasonCode::BadAuthenticationMethod, why));
    }
    let Some(seat) = door.seats.take() else {
        return Err(refuse(ReasonCode::ServerBusy, "all connections are taken".into()));
    };
    let assigned = connect.client_id.is_empty();
    if assigned {
        connect.client_id = house.new_client_id();
    } else if let Err(why) = check_client_id(&connect.client_id, house.rules.client_id_bytes_max) {
        return Err(refuse(ReasonCode::ClientIdentifierNotValid, why));
    }
    let peer = origin.peer;
    let mut login = login(&mut connect, stream, origin, door);
    login.loopback &= local;
    let named = login.username.is_some();
    let principal = house.gates.log_in(login).await.map_err(|refused| match refused {
        LoginRefused::Refused(why) if named => refuse(ReasonCode::BadUserNameOrPassword, why),
        LoginRefused::Refused(why) => refuse(ReasonCode::NotAuthorized, why),
        LoginRefused::Undecided(why) => refuse(ReasonCode::ServerUnavailable, why),
    })?;
    if let Some(will) = &connect.will {
        let access = Access::Publish {
            topic: will.topic.clone(),
            qos: will.qos,
            retain: will.retain,
        };
        if !house.gates.may(&principal, &access).await {
            let why = format!(
                "`{}` may not publish its will to `{}`",
                principal.name, will.topic
            );
            return Err(refuse(ReasonCode::NotAuthorized, why));
        }
    }
    Ok(Admitted {
        connect,
        assigned,
        principal,
        peer,
        rest,
        seat,
    })
}

fn check_client_id(client_id: &str, bytes_max: usize) -> Result<(), String> {
    ClientId::parse(client_id).map_err(|why| why.to_string())?;
    if broker_core::is_group_id(client_id) {
        return Err("client identifiers that begin with `$share/` stand for shared subscriptions".into());
    }
    if client_id.len() > bytes_max {
        return Err(format!(
            "the client identifier has {} bytes, at most {bytes_max} are allowed",
            client_id.len()
        ));
    }
    Ok(())
}

/// Takes the password out of the CONNECT: nobody else needs it.
fn login(connect: &mut Connect, stream: &Stream, origin: Origin, door: &Door) -> Login {
    let mut login = Login::from_peer(Transport::Mqtt, origin.peer);
    login.client_id.clone_from(&connect.client_id);
    login.username.clone_from(&connect.username);
    login.password = connect.password.take().map(Secret::new);
    login.certificate = stream.certificate().map(|certificate| certificate.to_vec());
    login.common_name = origin.common_name;
    login.loopback = door.loopback && origin.local;
    login
}

impl Admitted {
    /// Moves to the shard of its client id.
    pub(super) fn go_home(self, stream: Stream, house: &House, door: &Door) {
        let Self {
            connect,
            assigned,
            principal,
            peer,
            rest,
            seat,
        } = self;
        match stream.pack() {
            Ok(parcel) => {
                let mailbox = house.home(&connect.client_id);
                let newcomer = Newcomer {
                    parcel,
                    connect,
                    assigned,
                    principal,
                    peer,
                    rest,
                    seat,
                };
                mailbox.post(Letter::Newcomer(Box::new(newcomer)));
            }
            Err(error) => {
                debug!(listener = door.name, %peer, %error, "connection lost on its way to its shard")
            }
        }
    }
}
