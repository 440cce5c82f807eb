//! File systems that are small, or break: mounted for a story, which needs root for it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Whether this user may mount; if not, that is said loudly, for a test that does nothing passes.
pub fn may_mount(story: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    let has_tools = ["mount", "umount", "mkfs.ext4", "fstrim"].iter().all(|tool| {
        let found = Command::new(tool)
            .arg("--version")
            .output()
            .or_else(|_| Command::new(Path::new("/sbin").join(tool)).arg("-V").output());
        found.is_ok()
    });
    let may = is_root && has_tools && Mount::tmpfs(1 << 20).is_ok();
    if !may {
        eprintln!("SKIPPED: {story}: needs root, mount, mkfs.ext4 and fstrim");
    }
    may
}

/// A mounted file system, unmounted with it.
#[derive(Debug)]
pub struct Mount {
    home: TempDir,
}

impl Mount {
    /// One in memory, of so many bytes.
    ///
    /// # Errors
    /// What the tools say.
    pub fn tmpfs(size: u64) -> Result<Mount, String> {
        let mount = Mount { home: tempfile::tempdir().map_err(|error| error.to_string())? };
        let options = format!("size={size}");
        command("mount", &["-t", "tmpfs", "-o", &options, "none"], mount.path())?;
        Ok(mount)
    }

    /// An ext4 in the file `image`, which is made with so many bytes, sparse.
    ///
    /// # Errors
    /// What the tools say.
    pub fn ext4(image: &Path, size: u64) -> Result<Mount, String> {
        let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
        file.set_len(size).map_err(|error| error.to_string())?;
        // No reserved blocks, and none initialized later behind our back.
        let options = ["-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        command("mkfs.ext4", &options, image)?;
        Mount::image(image)
    }

    /// An ext4 likewise, whose image has space for all that the file system has of its own, its
    /// journal too, and for nothing of what is free in it. So what fails for want of space is
    /// writing back the contents of files.
    ///
    /// # Errors
    /// What the tools say.
    pub fn ext4_without_data(image: &Path, size: u64) -> Result<Mount, String> {
        drop(Mount::ext4(image, size)?);
        let bytes = std::fs::read(image).map_err(|error| error.to_string())?;
        let file = OpenOptions::new().write(true).open(image);
        let filled = file.and_then(|mut file| file.write_all(&bytes)); // holes are filled, too
        filled.map_err(|error| error.to_string())?;
        let mount = Mount::image(image)?;
        command("fstrim", &[], mount.path())?;
        Ok(mount)
    }

    /// The file system in an image.
    ///
    /// # Errors
    /// What the tools say.
    pub fn image(image: &Path) -> Result<Mount, String> {
        Mount::loop_of(image, "loop")
    }

    /// The same, not to be written.
    ///
    /// # Errors
    /// What the tools say.
    pub fn image_read_only(image: &Path) -> Result<Mount, String> {
        Mount::loop_of(image, "loop,ro")
    }

    fn loop_of(image: &Path, options: &str) -> Result<Mount, String> {
        let mount = Mount { home: tempfile::tempdir().map_err(|error| error.to_string())? };
        let image = image.to_str().expect("a path of ours is UTF-8");
        command("mount", &["-o", options, image], mount.path())?;
        Ok(mount)
    }

    /// Gives a file system in memory another size.
    ///
    /// # Errors
    /// What the tools say.
    pub fn resize(&self, size: u64) -> Result<(), String> {
        command("mount", &["-o", &format!("remount,size={size}")], self.path())
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// A path within it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A child that is being killed may hold it for a moment.
        for _ in 0..100 {
            if command("umount", &[], self.path()).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = command("umount", &["--lazy"], self.path());
    }
}

fn command(tool: &str, arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(tool).args(arguments).arg(path).output();
    let output = output.map_err(|error| format!("{tool}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
