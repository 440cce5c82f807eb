//! What systemd is told, if it asked: READY, STOPPING, a line of status, and the watchdog's beat.
//!
//! Without systemd (no `NOTIFY_SOCKET`) every call does nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Systemd {
    /// Half of what the watchdog allows, as sd_watchdog_enabled(3) recommends.
    beat_interval: Option<Duration>,
    beaten_at: Option<Instant>,
}

impl Systemd {
    /// Looks whether a beat is asked for.
    pub(crate) fn new() -> Systemd {
        let interval = sd_notify::watchdog_enabled().map(|allowed| allowed / 2);
        Systemd { beat_interval: interval.filter(|interval| !interval.is_zero()), beaten_at: None }
    }

    /// The store is open and takes writes.
    pub(crate) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The coordinator ends, in good order.
    pub(crate) fn stopping(&self, status: &str) {
        tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// Beats if it is time to. Call it from the loop whose hanging is to be noticed, whenever it
    /// turns, and within [`Systemd::until_beat`].
    pub(crate) fn beat(&mut self, now: Instant) {
        if self.until_beat(now).is_some_and(|left| left.is_zero()) {
            tell(&[NotifyState::Watchdog]);
            self.beaten_at = Some(now);
        }
    }

    /// How long the loop may sleep before the next beat; `None` if nobody listens for one.
    pub(crate) fn until_beat(&self, now: Instant) -> Option<Duration> {
        let interval = self.beat_interval?;
        let Some(beaten_at) = self.beaten_at else {
            return Some(Duration::ZERO);
        };
        Some(interval.saturating_sub(now.saturating_duration_since(beaten_at)))
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        // Serving goes on; systemd's own time limits say the rest.
        tracing::warn!("could not tell systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    const CHILD: &str = "SUTRA_TEST_SYSTEMD_CHILD";

    /// The environment belongs to the process, so the service is a process of its own: this test's
    /// program, running the one test below.
    fn run_service(environment: &[(&str, &str)]) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "systemd::tests::the_service", "--test-threads=1"])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .env(CHILD, "1")
            .envs(environment.iter().copied());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    fn the_service() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let mut systemd = Systemd::new();
        let start = Instant::now();
        systemd.ready("serving knowledge");
        systemd.beat(start);
        systemd.beat(start + Duration::from_millis(499));
        systemd.beat(start + Duration::from_millis(500));
        systemd.stopping("checkpoint");
    }

    #[test]
    fn systemd_hears_ready_beats_at_half_its_time_and_stopping() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        run_service(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")]);

        let mut heard = Vec::new();
        let mut message = [0; 256];
        while let Ok(size) = socket.recv(&mut message) {
            heard.push(String::from_utf8(message[..size].to_vec()).unwrap());
        }
        assert_eq!(
            heard,
            [
                "READY=1\nSTATUS=serving knowledge\n",
                "WATCHDOG=1\n",
                "WATCHDOG=1\n",
                "STOPPING=1\nSTATUS=checkpoint\n",
            ]
        );
    }

    #[test]
    fn without_systemd_nothing_happens() {
        run_service(&[]);
        run_service(&[("NOTIFY_SOCKET", "/nonexistent/notify")]);
    }

    #[test]
    fn nobody_waits_for_a_beat_that_nobody_asked_for() {
        let now = Instant::now();
        let silent = Systemd { beat_interval: None, beaten_at: None };
        assert_eq!(silent.until_beat(now), None);

        let beating =
            Systemd { beat_interval: Some(Duration::from_secs(15)), beaten_at: Some(now) };
        assert_eq!(beating.until_beat(now), Some(Duration::from_secs(15)));
        assert_eq!(beating.until_beat(now + Duration::from_secs(5)), Some(Duration::from_secs(10)));
        assert_eq!(beating.until_beat(now + Duration::from_secs(99)), Some(Duration::ZERO));
    }
}
