//! Again: a client that says anew who it is, in a conversation beside its shard.

use std::sync::Arc;

use broker_core::{Authentication, ConnectionId, Input};
use plugin_api::{Login, Principal};
use tokio::{sync::mpsc, time::timeout};
use tracing::info;

use super::{Worker, mailbox};
use crate::{
    gate::{LoginRefused, Said},
    house::House,
    mailbox::Letter,
};

/// How a client came in that may say anew who it is.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Without the password.
    login: Login,
    under_way: Option<UnderWay>,
}

/// The worker's end of a conversation; the conversation is over when it is dropped.
#[derive(Debug)]
struct UnderWay {
    ticket: u64,
    sayings: mpsc::Sender<Option<Vec<u8>>>,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The client has to say more; it is told this.
    More(Option<Vec<u8>>),
    /// It is this principal, with the name and the device it had; it is told this last.
    Known(Arc<Principal>, Option<Vec<u8>>),
    /// It is not.
    Refused,
}

impl Entry {
    pub(super) const fn by(login: Login) -> Self {
        Self {
            login,
            under_way: None,
        }
    }
}

impl Worker {
    /// Hands the gate what a client said.
    pub(super) fn authenticate(
        &mut self,
        ticket: u64,
        id: ConnectionId,
        begins: bool,
        data: Option<Vec<u8>>,
    ) {
        let connection = self.connections.get_mut(id);
        let entered =
            connection.and_then(|connection| Some((connection.entry.as_deref_mut()?, &connection.principal)));
        if !begins {
            // The rules let a client say one thing at a time. If its conversation is over, the answer is on its way.
            if let Some(under_way) = entered.and_then(|(entry, _)| entry.under_way.as_ref()) {
                let _over = under_way.sayings.try_send(data);
            }
            return;
        }
        let Some((entry, principal)) = entered else {
            // Whoever has left is nobody.
            let said = Authentication::Refused;
            return self.step(Input::Authenticated { ticket, said });
        };
        let (sayings, heard) = mpsc::channel(1);
        entry.under_way = Some(UnderWay { ticket, sayings });
        self.under_way.questions += 1;
        let (house, shard) = (Arc::clone(&self.house), self.id);
        let post = move |outcome| {
            mailbox(&house, shard).post(Letter::Authenticated {
                connection: id,
                ticket,
                outcome,
            });
        };
        let conversation = Conversation {
            house: Arc::clone(&self.house),
            was: Arc::clone(principal),
            heard,
            post: post.clone(),
        };
        let conversation = conversation.hold(entry.login.clone(), data);
        self.house
            .gates
            .beside(conversation, move |ended| post(ended.unwrap_or(Outcome::Refused)));
    }

    /// What came of a step of a conversation.
    pub(super) fn take_outcome(&mut self, id: ConnectionId, ticket: u64, outcome: Outcome) {
        if !matches!(outcome, Outcome::More(_)) {
            self.under_way.questions -= 1;
        }
        let said = match outcome {
            Outcome::More(data) => Authentication::Continue(data),
            Outcome::Refused => Authentication::Refused,
            Outcome::Known(principal, data) => {
                self.replace_principal(id, ticket, principal);
                Authentication::Known(data)
            }
        };
        self.step(Input::Authenticated { ticket, said });
    }

    /// The slot may be another client's by now.
    fn replace_principal(&mut self, id: ConnectionId, ticket: u64, principal: Arc<Principal>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let Some(entry) = connection.entry.as_mut() else {
            return;
        };
        if entry
            .under_way
            .as_ref()
            .is_some_and(|under_way| under_way.ticket == ticket)
        {
            entry.under_way = None;
            connection.principal = principal;
        }
    }
}

/// A re-authentication, held on the runtime for what may be slow.
struct Conversation<P> {
    house: Arc<House>,
    /// Who the client was so far.
    was: Arc<Principal>,
    heard: mpsc::Receiver<Option<Vec<u8>>>,
    /// Tells the worker what came of a step.
    post: P,
}

impl<P: Fn(Outcome) + Send + Sync> Conversation<P> {
    /// Holds it, and answers how it ended: in time at any rate.
    async fn hold(mut self, login: Login, data: Option<Vec<u8>>) -> Outcome {
        let client_id = login.client_id.clone();
        let talk = timeout(self.house.settings.connect_timeout, self.talk(login, data));
        let refused = match talk.await {
            Ok(Ok(known)) => return known,
            Ok(Err(LoginRefused::Refused(why) | LoginRefused::Undecided(why))) => why,
            Err(_) => "its exchange took too long".into(),
        };
        info!(client_id, why = refused, "a client has not said anew who it is");
        Outcome::Refused
    }

    async fn talk(&mut self, login: Login, mut data: Option<Vec<u8>>) -> Result<Outcome, LoginRefused> {
        let refused = |why: &str| LoginRefused::Refused(why.to_owned());
        let begun = self.house.gates.begin(login);
        let mut talk = begun.ok_or_else(|| refused("its authentication method is not offered any more"))?;
        loop {
            match self.house.gates.tell(talk, data).await? {
                Said::Known(principal, last) => {
                    // A session does not change hands.
                    let same = principal.name == self.was.name && principal.device == self.was.device;
                    return if same {
                        Ok(Outcome::Known(principal, last))
                    } else {
                        Err(refused("it is another than it was"))
                    };
                }
                Said::More(next, answer) => {
                    talk = next;
                    (self.post)(Outcome::More(answer));
                }
            }
            data = self.heard.recv().await.ok_or_else(|| refused("it has left"))?;
        }
    }
}
