//! A broker for one pair at QoS 0 that mistreats one message on purpose.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use mqtt_wire::{ConnAck, Packet, ReasonCode, SubAck, Version, decode};

/// What happens to the message with this number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Crime {
    None,
    Lose(u64),
    Repeat(u64),
    /// It is sent after the one that follows it.
    Delay(u64),
}

/// Serves on a free port until the test program ends.
pub(crate) fn start(crime: Crime) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let subscriber = Arc::new(Mutex::new(None));
    thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = Connection {
                socket: socket.unwrap(),
                subscriber: Arc::clone(&subscriber),
            };
            thread::spawn(move || connection.serve(crime));
        }
    });
    address
}

struct Connection {
    socket: TcpStream,
    subscriber: Arc<Mutex<Option<TcpStream>>>,
}

impl Connection {
    /// Until the client leaves.
    fn serve(mut self, crime: Crime) {
        let (mut unread, mut buffer) = (Vec::new(), [0; 65536]);
        let (mut number, mut held) = (0, Vec::new());
        while let Ok(count @ 1..) = self.socket.read(&mut buffer) {
            unread.extend_from_slice(&buffer[..count]);
            while let Some((packet, len)) = decode(&unread, Version::V311, 1 << 20).unwrap() {
                let frame = unread[..len].to_vec();
                match packet {
                    Packet::Connect(_) => self.answer(&Packet::ConnAck(ConnAck::default())),
                    Packet::Subscribe(subscribe) => {
                        *self.subscriber.lock().unwrap() = Some(self.socket.try_clone().unwrap());
                        let reasons = vec![ReasonCode::Success; subscribe.filters.len()];
                        self.answer(&Packet::SubAck(SubAck::new(subscribe.packet_id, reasons)));
                    }
                    Packet::Publish(_) => {
                        self.pass_on(crime, number, frame, &mut held);
                        number += 1;
                    }
                    _ => return,
                }
                unread.drain(..len);
            }
        }
    }

    fn pass_on(&self, crime: Crime, number: u64, frame: Vec<u8>, held: &mut Vec<u8>) {
        let bytes = match crime {
            Crime::Lose(victim) if victim == number => Vec::new(),
            Crime::Repeat(victim) if victim == number => frame.repeat(2),
            Crime::Delay(victim) if victim == number => {
                *held = frame;
                Vec::new()
            }
            _ => [frame, std::mem::take(held)].concat(),
        };
        if let Some(subscriber) = self.subscriber.lock().unwrap().as_mut() {
            // A tool that has seen enough may have hung up.
            let _ = subscriber.write_all(&bytes);
        }
    }

    fn answer(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(Version::V311, &mut bytes).unwrap();
        self.socket.write_all(&bytes).unwrap();
    }
}
