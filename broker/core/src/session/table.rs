//! The sessions of a shard, found by client id, by number, or by their place in the table.

use ahash::{HashMap, RandomState};
use mqtt_wire::ClientId;

use super::Session;

/// A session's place in its shard's table, and which of the sessions that stood there it is: an id never names a later
/// session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId {
    place: u32,
    generation: u32,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    session: Option<Box<Session>>,
}

/// The sessions of a shard.
#[derive(Debug)]
pub(crate) struct Sessions {
    places: Vec<Place>,
    free: Vec<u32>,
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

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        let place = self.places.get(id.place as usize)?;
        place
            .session
            .as_deref()
            .filter(|_| place.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let place = self.places.get_mut(id.place as usize)?;
        place
            .session
            .as_deref_mut()
            .filter(|_| place.generation == id.generation)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.places.iter().filter_map(|place| place.session.as_deref())
    }

    pub(crate) fn of_client(&self, client_id: &ClientId) -> Option<SessionId> {
        self.by_client.get(client_id).copied()
    }

    pub(crate) fn numbered(&self, number: u64) -> Option<SessionId> {
        self.by_number.get(&number).copied()
    }

    /// Of several sessions of one client, the last is found by its client id.
    pub(crate) fn insert(&mut self, session: Session) -> SessionId {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(place) = self.places.get_mut(at as usize) else {
            unreachable!("there are fewer than 2^32 sessions")
        };
        let id = SessionId {
            place: at,
            generation: place.generation,
        };
        self.by_client.insert(session.client_id.clone(), id);
        self.by_number.insert(session.number, id);
        place.session = Some(Box::new(session));
        id
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let place = self.places.get_mut(id.place as usize)?;
        let session = place.session.take_if(|_| place.generation == id.generation)?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.place);
        if self.of_client(&session.client_id) == Some(id) {
            self.by_client.remove(&session.client_id);
        }
        self.by_number.remove(&session.number);
        Some(*session)
    }
}
