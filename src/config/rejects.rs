//! How long rejects are kept, and how many are too many.

use std::time::Duration;

use super::{ByteSize, reader::Section};

/// `[rejects]`: what could not become an order.
#[derive(Debug, Clone)]
pub struct Rejects {
    /// Age after which a reject is deleted; zero keeps it until a person prunes it.
    pub keep_for: Duration,
    /// Payload over which the alarm is raised. Nothing is deleted by it.
    pub alarm_bytes: ByteSize,
}

impl Rejects {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let ten_years = Duration::from_hours(87_660);
        Self {
            keep_for: section.duration_or_off("keep_for", Duration::from_mins(1)..=ten_years),
            alarm_bytes: section
                .size("alarm_bytes", ByteSize::new(1 << 10)..=ByteSize::new(1 << 44)),
        }
    }
}
