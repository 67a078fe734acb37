//! A bound address: from the settings to a socket that accepts.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use plugin_api::Peer;
use socket2::{Domain, SockAddr, Type};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::{settings::Address, stream::Socket};

/// Connections the system keeps for us until we accept them.
const BACKLOG: u32 = 4096;

/// A socket that accepts. Closing it removes its file, if it has one.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket, removed when dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    inode: (u64, u64),
}

impl Bound {
    /// Listens. Must be called inside a runtime; `unix_mode` is what a Unix socket's file permits.
    pub(super) fn bind(address: &Address, unix_mode: u32) -> io::Result<Self> {
        match address {
            Address::Ip(address) => listen(*address).map(Self::Tcp),
            Address::Unix(path) => {
                let (socket, file) = listen_at(path, unix_mode)?;
                Ok(Self::Unix(socket, file))
            }
        }
    }

    /// The address, with the port the system chose if none was asked for.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Address::Ip),
            Self::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (socket, peer) = socket.accept().await?;
                Ok((Socket::Tcp(socket), Peer::Ip(peer)))
            }
            Self::Unix(socket, _) => {
                let (socket, _) = socket.accept().await?;
                Ok((Socket::Unix(socket), Peer::Unix))
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // So that a restart need not wait for the old process's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn listen_at(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        inode: (metadata.dev(), metadata.ino()),
    };
    // Nobody can connect before it listens, so nobody comes in by what it permits until here.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Removes the socket that a process has left which could not clean up. One that answers is somebody's.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => {
            let why = "something that is no socket stands there; move it or choose another `bind`";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let asking = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Whoever is too busy to answer is there all the same.
    asking.set_nonblocking(true)?;
    match asking.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        // What cannot be removed is found stale by the next start.
        let _left = ours.then(|| fs::remove_file(&self.path));
    }
}
