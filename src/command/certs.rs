//! `twinmq certs`: certificates for development.

use std::path::PathBuf;

use clap::Args;

use crate::{
    Failure,
    certs::{Order, make},
};

#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// The folder the files go to. An authority that is there already is used again.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// A name or address the server is reached by; may be given several times.
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    host: Vec<String>,
    /// A device to make a certificate for; may be given several times.
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
}

pub(super) fn run(args: &CertsArgs) -> Result<(), Failure> {
    let order = Order {
        folder: &args.out,
        hosts: &args.host,
        devices: &args.device,
    };
    let made = make(&order).map_err(|error| Failure::Place(error.to_string()))?;
    for name in made {
        super::say(&format!("{0}/{name}.pem {0}/{name}.key", args.out.display()))?;
    }
    Ok(())
}
