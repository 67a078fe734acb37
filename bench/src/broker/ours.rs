//! Starts this project's broker the way an operator would: a configuration file and flags.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{Certificate, Launch, Programs, Shards, Wishes, free_address};

pub(super) fn launch(
    programs: &Programs,
    folder: &TempDir,
    shards: Shards,
    wishes: Wishes,
    certificate: Option<&Certificate>,
) -> Result<Launch> {
    let program = programs.bin.clone().unwrap_or_else(beside_this_program);
    ensure!(
        program.exists(),
        "{} does not exist: build it with `cargo build --release -p twinmq` or name it with --bin",
        program.display()
    );
    let (address, http) = (free_address()?, free_address()?);
    let file = folder.path().join("twinmq.toml");
    let mut settings = configuration(wishes.durable);
    if let Some(certificate) = certificate {
        settings.push_str(&secure_listener(address, certificate));
    }
    fs::write(&file, settings)?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(file);
    command.arg("--data").arg(folder.path().join("data"));
    command.arg("--http").arg(http.to_string());
    if certificate.is_none() {
        command.arg("--mqtt").arg(address.to_string());
    }
    let shards = match shards {
        Shards::Default => None,
        Shards::AsMeasured => Some(wishes.shards),
        Shards::Exactly(count) => Some(count),
    };
    if let Some(count) = shards {
        command.arg("--set").arg(format!("broker.shards={count}"));
    }
    let own = wishes.set.iter().copied();
    for assignment in own.chain(programs.set.iter().map(String::as_str)) {
        command.arg("--set").arg(assignment);
    }
    Ok(Launch {
        command,
        address,
        http: Some(http),
    })
}

fn beside_this_program() -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| own.parent().map(|folder| folder.join("twinmq")));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("target/release/twinmq"))
}

/// Open on loopback, silent, and with as many messages in flight and waiting as mosquitto is allowed here.
fn configuration(durable: bool) -> String {
    let durability = if durable { "fsync" } else { "memory" };
    format!(
        "[log]\n\
         level = \"off\"\n\
         [auth]\n\
         anonymous = \"loopback\"\n\
         authorize = \"allow_all_on_loopback\"\n\
         [broker]\n\
         sys_interval = \"never\"\n\
         [mqtt]\n\
         inflight_max = 65535\n\
         receive_maximum = 65535\n\
         subscriptions_max = 1000000\n\
         queue_messages_max = 1000000\n\
         queue_bytes_max = \"1GiB\"\n\
         [store]\n\
         durability = \"{durability}\"\n"
    )
}

fn secure_listener(address: SocketAddr, certificate: &Certificate) -> String {
    format!(
        "[[listener]]\n\
         name = \"mqtts\"\n\
         bind = \"{address}\"\n\
         [listener.tls]\n\
         certificate = {:?}\n\
         key = {:?}\n",
        certificate.file, certificate.key_file
    )
}
