//! The secret from which stable IPv6 addresses (RFC 7217 §5) and the MACs of names are made: without it nobody can tell from
//! an address in one network what it will be in another.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

/// The file in the state folder.
const FILE: &str = "landfall.secret";

/// The secret, which is made when it is first needed.
#[derive(Debug)]
pub(crate) struct Secret {
    path: Box<Path>,
    known: OnceLock<[u8; 16]>,
}

impl Secret {
    /// That of the state folder.
    pub(crate) fn in_folder(dir: &Path) -> Secret {
        Secret { path: dir.join(FILE).into(), known: OnceLock::new() }
    }

    /// The secret. Where it cannot be kept, addresses are others after the next start.
    pub(crate) fn get(&self) -> [u8; 16] {
        *self.known.get_or_init(|| match fs::read(&self.path).map(TryInto::try_into) {
            Ok(Ok(kept)) => kept,
            Err(error) if error.kind() != ErrorKind::NotFound => {
                // It is there, and the next start may be able to read it.
                tracing::error!(
                    path = %self.path.display(), %error,
                    "the secret of stable IPv6 addresses and MACs cannot be read: new ones are others until the next start"
                );
                random()
            }
            Ok(Err(_)) | Err(_) => self.make(),
        })
    }

    fn make(&self) -> [u8; 16] {
        let secret = random();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let kept = options.open(&self.path).and_then(|mut file| {
            file.write_all(&secret)?;
            file.sync_all()
        });
        if let Err(error) = kept {
            tracing::warn!(
                path = %self.path.display(), %error,
                "the secret of stable IPv6 addresses and MACs is not kept: they change with the next start"
            );
        }
        secret
    }
}

fn random() -> [u8; 16] {
    let mut secret = [0; 16];
    if let Err(error) = getrandom::fill(&mut secret) {
        tracing::error!(%error, "stable IPv6 addresses and MACs are made from a secret that is none");
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_found_again_and_one_that_is_damaged_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = Secret::in_folder(dir.path()).get();
        assert_eq!(Secret::in_folder(dir.path()).get(), first);
        fs::write(dir.path().join(FILE), b"short").unwrap();
        let second = Secret::in_folder(dir.path()).get();
        assert_ne!(second, first);
        assert_eq!(Secret::in_folder(dir.path()).get(), second);
    }

    #[test]
    fn one_that_cannot_be_read_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        // As good as a disk that fails: root may read any file.
        fs::create_dir(dir.path().join(FILE)).unwrap();
        let secret = Secret::in_folder(dir.path());
        assert_eq!(secret.get(), secret.get());
        fs::remove_dir(dir.path().join(FILE)).unwrap();
        assert_ne!(Secret::in_folder(dir.path()).get(), secret.get());
    }
}
