//! Progress bars: on stderr, and only when a terminal watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a number of bytes. It is hidden where stderr is no terminal.
pub fn bytes(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// A bar over a number of things. It is hidden where stderr is no terminal.
pub fn things(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} {bar:32} {pos}/{len} {per_sec} {eta}")
}

fn bar(what: &'static str, total: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
