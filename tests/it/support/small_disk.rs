//! A file system of a few hundred megabytes that a test may fill to the last byte. Only in a mount namespace
//! of the test's own.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use uuid::Uuid;

pub struct SmallDisk {
    pub path: PathBuf,
}

impl SmallDisk {
    pub fn mount(megabytes: u32) -> Self {
        let path = std::env::temp_dir().join(format!("lethe-disk-{}", Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        let disk = Self { path };
        let options = format!("size={megabytes}m,mode=755");
        let tmpfs = Some("tmpfs");
        mount(
            tmpfs,
            &disk.path,
            tmpfs,
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .unwrap();
        disk
    }

    /// A new directory on it.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// Leaves no byte free, beside whatever else is writing. Returns how many were.
    pub fn fill(&self) -> u64 {
        let mut file = File::create(self.filling()).unwrap();
        for chunk in [vec![1; 1 << 20], vec![1; 1 << 12]] {
            loop {
                match file.write(&chunk) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        file.metadata().unwrap().len()
    }

    /// Takes away what fills it.
    pub fn make_room(&self) {
        fs::remove_file(self.filling()).unwrap();
    }

    fn filling(&self) -> PathBuf {
        self.path.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is still mounted goes with the namespace.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.path);
    }
}
