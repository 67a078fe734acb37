//! Admission: whether a client that has sent its CONNECT may come in, and as whom.

use std::sync::Arc;

use broker_core::{EntranceId, Overload};
use mqtt_wire::{ClientId, Connect, ReasonCode, Version};
use plugin_api::{Access, Login, Peer, Principal, Secret, Transport};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{
    Greeting, Newcomer, exchange,
    flapping::{Entry, Flapping},
    proxied::Origin,
    turned::Turned,
};
use crate::{
    gate::LoginRefused,
    house::House,
    listener::{Door, Place, Seat},
    mailbox::Letter,
    settings::FlappingLimits,
    stream::Stream,
};

/// A client that may come in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) connect: Box<Connect>,
    /// Whether its client id was made here.
    pub(crate) assigned: bool,
    pub(crate) principal: Arc<Principal>,
    /// How it came in, without the password, if that was by an exchange: it may say anew who it is.
    pub(crate) login: Option<Box<Login>>,
    pub(crate) peer: Peer,
    /// What came after CONNECT.
    pub(crate) rest: Vec<u8>,
    pub(crate) seat: Seat,
    pub(crate) entrance: EntranceId,
}

/// A connection that wants to come in.
pub(super) struct WayIn<'a> {
    pub(super) stream: &'a mut Stream,
    pub(super) origin: Origin,
    pub(super) place: &'a Place,
    pub(super) stop: &'a mut watch::Receiver<bool>,
}

impl WayIn<'_> {
    /// Asks who it is and whether it may come in.
    pub(super) async fn admit(
        self,
        greeting: Greeting,
        door: &Door,
        house: &House,
    ) -> Result<Admitted, Turned> {
        let Greeting {
            mut connect,
            mut rest,
            local,
        } = greeting;
        let version = connect.version;
        let refuse = |reason, why: String| Turned::Down { version, reason, why };
        if *self.stop.borrow() {
            return Err(refuse(
                ReasonCode::ServerUnavailable,
                "the broker is shutting down".into(),
            ));
        }
        if !door.versions.contains(&version) {
            let why = "this version of MQTT is not spoken at this listener (listener.versions)".into();
            return Err(refuse(ReasonCode::UnsupportedProtocolVersion, why));
        }
        if house.memory.overload() == Overload::Refusing {
            return Err(Turned::Overloaded { version });
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
        let peer = self.origin.peer;
        let mut login = login(&mut connect, self.stream, &self.origin, door);
        login.loopback &= local;
        let (principal, login) = self.identify(&mut connect, &mut rest, login, house).await?;
        check_will(&connect, &principal, door, house).await?;
        // A name that was made here comes once only.
        if let Some(flapping) = house.flapping.as_ref().filter(|_| !assigned) {
            check_flapping(flapping, &connect, &principal, door, house)?;
        }
        Ok(Admitted {
            connect,
            assigned,
            principal,
            login,
            peer,
            rest,
            seat,
            entrance: door.entrance,
        })
    }

    /// Who it is; and how it came in, if that was by an exchange.
    async fn identify(
        self,
        connect: &mut Connect,
        rest: &mut Vec<u8>,
        mut login: Login,
        house: &House,
    ) -> Result<(Arc<Principal>, Option<Box<Login>>), Turned> {
        let Some(method) = login.method.clone() else {
            let principal = identify_at_once(login, connect.version, house).await?;
            return Ok((principal, None));
        };
        let mut line = exchange::Line {
            stream: self.stream,
            rest,
            place: self.place,
            stop: self.stop,
        };
        // Few come by an exchange: those that do not need no memory for it.
        let exchange = exchange::exchange(&mut line, connect, &method, login.clone(), house);
        let principal = Box::pin(exchange).await?;
        login.password = None;
        Ok((principal, Some(Box::new(login))))
    }
}

async fn identify_at_once(login: Login, version: Version, house: &House) -> Result<Arc<Principal>, Turned> {
    let refuse = |reason, why| Turned::Down { version, reason, why };
    let named = login.username.is_some();
    house.gates.log_in(login).await.map_err(|refused| match refused {
        LoginRefused::Refused(why) if named => refuse(ReasonCode::BadUserNameOrPassword, why),
        LoginRefused::Refused(why) => refuse(ReasonCode::NotAuthorized, why),
        LoginRefused::Undecided(why) => refuse(ReasonCode::ServerUnavailable, why),
    })
}

async fn check_will(
    connect: &Connect,
    principal: &Arc<Principal>,
    door: &Door,
    house: &House,
) -> Result<(), Turned> {
    let Some(will) = &connect.will else {
        return Ok(());
    };
    let topic = match &house.rules.entrance(door.entrance).mount_point {
        None => will.topic.clone(),
        Some(mount_point) => mount_point.below(&will.topic).to_string(),
    };
    let access = Access::Publish {
        topic: topic.clone(),
        qos: will.qos,
        retain: will.retain,
    };
    if house.gates.may(principal, &access).await {
        return Ok(());
    }
    Err(Turned::Down {
        version: connect.version,
        reason: ReasonCode::NotAuthorized,
        why: format!("`{}` may not publish its will to `{topic}`", principal.name),
    })
}

fn check_flapping(
    flapping: &Flapping,
    connect: &Connect,
    principal: &Principal,
    door: &Door,
    house: &House,
) -> Result<(), Turned> {
    let (client_id, principal) = (&*connect.client_id, &*principal.name);
    match flapping.enter(principal, client_id, house.clock.now()) {
        Entry::Welcome => return Ok(()),
        Entry::Banned => {}
        Entry::TooOften => {
            metrics::counter!("twinmq_clients_banned_total").increment(1);
            let FlappingLimits {
                connects_max,
                window,
                ban,
            } = flapping.limits();
            warn!(
                listener = door.name,
                client_id,
                principal,
                connects_max,
                ?window,
                ?ban,
                "a client is banned: it connects too often (broker.flapping_connects_max)"
            );
        }
    }
    Err(Turned::Down {
        version: connect.version,
        reason: ReasonCode::Banned,
        why: "it has connected too often, and has to wait".into(),
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
fn login(connect: &mut Connect, stream: &Stream, origin: &Origin, door: &Door) -> Login {
    let mut login = Login::from_peer(Transport::Mqtt, origin.peer);
    login.client_id.clone_from(&connect.client_id);
    login.username.clone_from(&connect.username);
    login.password = connect.password.take().map(Secret::new);
    login.method.clone_from(&connect.authentication_method);
    login.certificate = stream.certificate().map(|certificate| certificate.to_vec());
    login.common_name.clone_from(&origin.common_name);
    login.loopback = door.loopback && origin.local;
    login.authenticators.clone_from(&door.authenticators);
    login
}

impl Admitted {
    /// Moves to the shard of its client id.
    pub(super) fn go_home(self, stream: Stream, house: &House, door: &Door) {
        match stream.pack() {
            Ok(parcel) => {
                let mailbox = house.home(&self.connect.client_id);
                let admitted = self;
                mailbox.post(Letter::Newcomer(Box::new(Newcomer { parcel, admitted })));
            }
            Err(error) => {
                let peer = self.peer;
                debug!(listener = door.name, %peer, %error, "connection lost on its way to its shard")
            }
        }
    }
}
