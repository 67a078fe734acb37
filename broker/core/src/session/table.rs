//! The sessions of a shard, found by client id, by number, or by their place in the table.

use ahash::{HashMap, RandomState};
use mqtt_wire::ClientId;

use super::Session;

/// A session's place in its shard's table. Used again after the session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(u32);

/// The sessions of a shard.
#[derive(Debug)]
pub(crate) struct Sessions {
    places: Vec<Option<Box<Session>>>,
    free: Vec<SessionId>,
    by_client: HashMap<ClientId, SessionId>,
    by_number: HashMap<u64, SessionId>,
}

impl Sessions {
    pub(crate) fn new(hasher: &RandomState) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_client: HashMap::with_hasher(hasher.clone()),
            by_number: HashMap::with_hasher(hasher.clone()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.places.get(id.0 as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.places.get_mut(id.0 as usize)?.as_deref_mut()
    }

    pub(crate) fn of_client(&self, client_id: &ClientId) -> Option<SessionId> {
        self.by_client.get(client_id).copied()
    }

    pub(crate) fn numbered(&self, number: u64) -> Option<SessionId> {
        self.by_number.get(&number).copied()
    }

    pub(crate) fn insert(&mut self, session: Session) -> SessionId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            SessionId(u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX))
        });
        self.by_client.insert(session.client_id.clone(), id);
        self.by_number.insert(session.number, id);
        if let Some(place) = self.places.get_mut(id.0 as usize) {
            *place = Some(Box::new(session));
        }
        id
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.places.get_mut(id.0 as usize)?.take()?;
        self.free.push(id);
        self.by_client.remove(&session.client_id);
        self.by_number.remove(&session.number);
        Some(*session)
    }
}
