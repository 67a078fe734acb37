//! `twinmq passwd`: users of a password file.

use std::{io::IsTerminal, path::PathBuf};

use anyhow::Context;
use clap::Args;
use plugin_api::Secret;
use plugin_auth::password_file::{remove_user, set_scram_user, set_user};

use crate::Failure;

#[derive(Debug, Args)]
pub(super) struct PasswdArgs {
    /// The password file; made if it is not there.
    file: PathBuf,
    /// The user.
    name: String,
    /// Let the user log in by SCRAM-SHA-256 and SCRAM-SHA-512 as well. One that can keeps it when its password changes.
    #[arg(long)]
    scram: bool,
    /// Remove the user instead.
    #[arg(long, conflicts_with = "scram")]
    delete: bool,
}

pub(super) fn run(args: &PasswdArgs) -> Result<(), Failure> {
    let refused = |error: plugin_auth::AuthError| Failure::Place(error.to_string());
    if args.delete {
        let line = match remove_user(&args.file, &args.name).map_err(refused)? {
            true => "removed",
            false => {
                return Err(Failure::Place(format!(
                    "{} has no user {}",
                    args.file.display(),
                    args.name
                )));
            }
        };
        return super::say(line);
    }
    let password = read_password()?;
    let set = if args.scram { set_scram_user } else { set_user };
    let is_new = set(&args.file, &args.name, &password).map_err(refused)?;
    super::say(if is_new { "added" } else { "changed" })
}

/// The first line of standard input.
fn read_password() -> Result<Secret, Failure> {
    if std::io::stdin().is_terminal() {
        super::say("password (it is shown as you type; pipe it in to hide it):")?;
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\n', '\r']);
    Ok(Secret::new(password.as_bytes().to_vec()))
}
