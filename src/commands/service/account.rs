//! Who runs a service, and what that user may do with files, as far as their owner and mode say it.

use std::path::Path;

use crate::report::{FAILED, Failure};

/// A user of this system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    groups: Vec<u32>,
}

impl Account {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may do everything.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether it can read the file at `path`.
    pub(crate) fn may_read(&self, path: &Path) -> bool {
        self.may(path, 0o4)
    }

    /// Whether it can start the program at `path`.
    pub(crate) fn may_run(&self, path: &Path) -> bool {
        self.may(path, 0o1)
    }

    /// Whether `path` is a folder in which it can make files.
    pub(crate) fn may_write_in(&self, path: &Path) -> bool {
        path.is_dir() && self.may(path, 0o3)
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::MetadataExt;

    use nix::unistd::{Group, Uid, User, getegid, geteuid, getgroups};

    use super::{Account, FAILED, Failure, Path};

    impl Account {
        /// Whoever runs this program.
        #[expect(clippy::unnecessary_wraps, reason = "the same on every system")]
        pub(crate) fn own() -> Result<Self, Failure> {
            let uid = geteuid();
            let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
            let mut groups = vec![getegid().as_raw()];
            #[cfg(not(target_os = "macos"))]
            groups.extend(getgroups().unwrap_or_default().iter().map(|group| group.as_raw()));
            Ok(Self { name, uid: uid.as_raw(), groups })
        }

        /// The user called `name`, else the owner of the file at `config`: nobody else could read its keys.
        pub(crate) fn for_system(name: Option<&str>, config: &Path) -> Result<Option<Self>, Failure> {
            let owner = || std::fs::metadata(config).ok().map(|found| Uid::from_raw(found.uid()));
            let found = match name {
                Some(name) => User::from_name(name),
                None => owner().map_or(Ok(None), User::from_uid),
            };
            let Some(user) = found.ok().flatten() else {
                let who = name.map_or_else(|| "who owns the configuration".to_owned(), ToOwned::to_owned);
                let failure = Failure::new(format!("there is no user {who}"), FAILED);
                return Err(failure.with_hint("name one with --account".to_owned()));
            };
            Ok(Some(Self { groups: vec![user.gid.as_raw()], uid: user.uid.as_raw(), name: user.name }))
        }

        /// Whether `path` allows all of `bits`, and each folder above it lets us through.
        pub(super) fn may(&self, path: &Path, bits: u32) -> bool {
            if self.is_root() {
                return path.exists();
            }
            let Ok(path) = path.canonicalize() else { return false };
            self.allows(&path, bits) && path.ancestors().skip(1).all(|folder| self.allows(folder, 0o1))
        }

        fn allows(&self, path: &Path, bits: u32) -> bool {
            let Ok(found) = std::fs::metadata(path) else { return false };
            let shift = if found.uid() == self.uid {
                6
            } else if self.is_member_of(found.gid()) {
                3
            } else {
                0
            };
            (found.mode() >> shift) & bits == bits
        }

        fn is_member_of(&self, group: u32) -> bool {
            let listed = || {
                let group = Group::from_gid(group.into()).ok().flatten();
                group.is_some_and(|group| group.mem.contains(&self.name))
            };
            self.groups.contains(&group) || listed()
        }
    }
}

#[cfg(not(unix))]
impl Account {
    /// Whoever runs this program.
    pub(crate) fn own() -> Result<Self, Failure> {
        let name = std::env::var("USERNAME").unwrap_or_else(|_| "this user".to_owned());
        Ok(Self { name, uid: u32::MAX, groups: Vec::new() })
    }

    /// Services run as the system's own account here, unless the system is told otherwise.
    pub(crate) fn for_system(name: Option<&str>, _config: &Path) -> Result<Option<Self>, Failure> {
        match name {
            None => Ok(None),
            Some(_) => Err(Failure::new("--account is not available on this system", FAILED)
                .with_hint("choose the account in the system's list of services".to_owned())),
        }
    }

    /// Whether `path` is there: who may do what is not a matter of modes here.
    fn may(&self, path: &Path, _bits: u32) -> bool {
        path.exists()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_account_may_what_owner_group_and_others_may() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "x").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let own = Account::own().unwrap();
        let stranger = Account { name: "nobody-of-ours".to_owned(), uid: 4_000_000, groups: Vec::new() };
        mode(folder.path(), 0o755);
        mode(&file, 0o600);
        assert!(own.may_read(&file) && !stranger.may_read(&file));
        assert!(own.may_write_in(folder.path()) && !stranger.may_write_in(folder.path()));
        assert!(!own.may_write_in(&file), "a file is no folder");
        mode(&file, 0o644);
        assert!(stranger.may_read(&file) && !stranger.may_run(&file));
        mode(folder.path(), 0o700);
        assert!(!stranger.may_read(&file), "the way to it is barred");
        assert!(!own.may_read(&folder.path().join("none")));
    }

    #[test]
    fn a_system_service_runs_as_the_owner_of_its_configuration_or_as_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let owner = Account::for_system(None, file.path()).unwrap().unwrap();
        assert_eq!(owner.name(), Account::own().unwrap().name());
        assert!(Account::for_system(Some("root"), file.path()).unwrap().unwrap().is_root());
        assert!(Account::for_system(Some("no-such-user-here"), file.path()).is_err());
    }
}
