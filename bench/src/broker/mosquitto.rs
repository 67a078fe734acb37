//! Starts mosquitto with the settings that the comparison demands.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{Certificate, Launch, Wishes, free_address};

pub(super) fn launch(
    program: &Path,
    folder: &TempDir,
    wishes: Wishes,
    certificate: Option<&Certificate>,
) -> Result<Launch> {
    ensure!(
        program.exists(),
        "{} does not exist: install mosquitto (without starting its daemon) or name it with --mosquitto",
        program.display()
    );
    let address = free_address()?;
    let file = folder.path().join("mosquitto.conf");
    fs::write(
        &file,
        configuration(address.port(), folder.path(), wishes.durable, certificate),
    )?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    Ok(Launch {
        command,
        address,
        http: None,
    })
}

/// Mosquitto knows no `fsync` before an acknowledgement; when durability is asked for it saves on changes.
fn configuration(port: u16, folder: &Path, durable: bool, certificate: Option<&Certificate>) -> String {
    let persistence = if durable {
        format!(
            "persistence true\npersistence_location {}/\nautosave_interval 1\n",
            folder.display()
        )
    } else {
        "persistence false\n".to_owned()
    };
    let tls = certificate.map_or_else(String::new, |certificate| {
        let (file, key_file) = (certificate.file.display(), certificate.key_file.display());
        format!("certfile {file}\nkeyfile {key_file}\ntls_version tlsv1.3\n")
    });
    format!(
        "listener {port} 127.0.0.1\n\
         {tls}\
         allow_anonymous true\n\
         user root\n\
         log_type none\n\
         connection_messages false\n\
         sys_interval 0\n\
         set_tcp_nodelay true\n\
         max_inflight_messages 0\n\
         max_queued_messages 0\n\
         {persistence}"
    )
}
