//! Peers that begin and do not go on, or do not listen: they keep nobody else out.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::support::{House, OPEN, PATIENCE, eventually};

/// What a request for changes begins to say.
const WATCHING: &str = ": watching";

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A request whose body the broker has begun to wait for, and which goes on no further.
fn half_sent(address: SocketAddr, device: &str) -> TcpStream {
    let mut stream = dial(address);
    let head = format!(
        "PATCH /v1/devices/{device}/twin/desired HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\n\
         content-type: application/merge-patch+json\r\ncontent-length: 8\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 "), "{go_on:?}");
    stream.write_all(br#"{"n""#).unwrap();
    stream
}

#[test]
fn half_sent_bodies_take_no_place_from_other_requests() {
    let house = House::new(&format!("{OPEN}[twin.http]\nrequests = 1\n"));
    let broker = house.serve();
    let address = broker.address("http");
    let halves: Vec<TcpStream> = (0..5)
        .map(|number| half_sent(address, &format!("half-{number}")))
        .collect();
    assert_eq!(broker.http().desire("pump", r#"{"n":1}"#).unwrap().status, 200);
    assert_eq!(broker.http().get("/v1/devices/pump/twin").status, 200);
    // Those that go on after all are served as well.
    for (number, mut half) in halves.into_iter().enumerate() {
        half.write_all(b":42}").unwrap();
        let mut status = [0; "HTTP/1.1 200".len()];
        half.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        let shown = broker
            .http()
            .get(&format!("/v1/devices/half-{number}/twin"))
            .json();
        assert_eq!(shown["desired"]["n"], 42);
    }
}

/// A watcher of the change feed, and the first line of what it was answered.
fn watch(address: SocketAddr) -> (BufReader<TcpStream>, String) {
    let mut stream = dial(address);
    let head = format!("GET /v1/changes HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut status = String::new();
    stream.read_line(&mut status).unwrap();
    (stream, status)
}

/// Reads up to a line that holds this text.
fn read_to(stream: &mut BufReader<TcpStream>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "ended before `{text}`");
    }
}

#[test]
fn a_watcher_that_does_not_read_loses_its_place_and_one_that_reads_keeps_it() {
    let house = House::new(&format!(
        "{OPEN}[store]\ndurability = \"memory\"\n[broker]\nsend_timeout = \"1s\"\n\
         [twin.changes]\nwatchers = 2\nheartbeat = \"1s\"\n"
    ));
    let broker = house.serve();
    let address = broker.address("http");
    let (mut reader, status) = watch(address);
    assert!(status.contains(" 200 "), "{status}");
    read_to(&mut reader, WATCHING);
    let (mut sleeper, _) = watch(address);
    read_to(&mut sleeper, WATCHING);
    assert!(watch(address).1.contains(" 429 "), "both places are taken");

    // More than what the system keeps for a connection that is not read; the reader takes every bit of it.
    let long = "x".repeat(30_000);
    for number in 0..400 {
        let patch = format!(r#"{{"number":{number},"text":"{number}{long}"}}"#);
        assert_eq!(broker.http().desire("pump", &patch).unwrap().status, 200);
        read_to(&mut reader, &format!("\"value\":\"{number}x"));
    }
    let mut newcomer = None;
    eventually("the sleeper's place is free", || {
        let (stream, status) = watch(address);
        newcomer = status.contains(" 200 ").then_some(stream);
        newcomer.is_some()
    });

    // Nothing happens for longer than the limit, and both are still there.
    let mut newcomer = newcomer.unwrap();
    for _ in 0..3 {
        read_to(&mut reader, ": still here");
        read_to(&mut newcomer, ": still here");
    }
    assert_eq!(
        broker.http().desire("pump", r#"{"last":true}"#).unwrap().status,
        200
    );
    read_to(&mut reader, "/desired/last");
    read_to(&mut newcomer, "/desired/last");
    drop(sleeper);
}

#[test]
fn connections_that_give_way_are_counted_and_told_in_few_lines() {
    let house = House::new(&format!(
        "{OPEN}[broker]\nhandshakes_max = 10\nconnect_timeout = \"5min\"\nsys_interval = \"1s\"\n"
    ));
    let broker = house.serve();
    let halves: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut half = dial(broker.mqtt());
            half.write_all(b"\x10\x0d\x00\x04MQTT").unwrap();
            half
        })
        .collect();
    let counted = || {
        let page = broker.http().get("/metrics").body;
        let line = page
            .lines()
            .find(|line| line.starts_with("twinmq_connections_refused_total{reason=\"gave way\"}"))?
            .to_owned();
        line.rsplit(' ').next()?.parse::<u32>().ok()
    };
    eventually("twenty have given way", || counted() == Some(20));
    let log = house.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("dropped for a newer one"))
        .count();
    assert!((1..=10).contains(&lines), "{lines} lines in: {log}");
    drop(halves);
}
