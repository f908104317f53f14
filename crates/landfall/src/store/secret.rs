//! The secret from which stable IPv6 addresses (RFC 7217 §5) and the MACs of names are made: without it nobody can tell from
//! an address in one network what it will be in another.

use std::fs::{self, OpenOptions};
use std::io::Write;
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
        *self.known.get_or_init(|| {
            let kept = fs::read(&self.path).ok().and_then(|bytes| bytes.try_into().ok());
            kept.unwrap_or_else(|| self.make())
        })
    }

    fn make(&self) -> [u8; 16] {
        let mut secret = [0; 16];
        if let Err(error) = getrandom::fill(&mut secret) {
            tracing::error!(%error, "stable IPv6 addresses and MACs are made from a secret that is none");
        }
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
}
