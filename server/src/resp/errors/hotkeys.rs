//! Errors of `HOTKEYS`.

use super::ErrorReply;

/// `HOTKEYS START` while keys are measured already.
pub const HOTKEYS_IN_PROGRESS: ErrorReply =
    ErrorReply::fixed("ERR hotkey tracking session already in progress");
/// `HOTKEYS RESET` while they are.
pub const HOTKEYS_NOT_STOPPED: ErrorReply =
    ErrorReply::fixed("ERR hotkey tracking session in progress, stop tracking first");
/// `HOTKEYS START` that does not begin with what is measured.
pub const HOTKEYS_NO_METRICS: ErrorReply = ErrorReply::fixed("ERR METRICS parameter is required");
/// A wrong number of metrics.
pub const HOTKEYS_METRICS_COUNT: ErrorReply =
    ErrorReply::fixed("ERR METRICS count must be > 0 and <= 2");
/// A metric twice.
pub const HOTKEYS_CPU_TWICE: ErrorReply =
    ErrorReply::fixed("ERR METRICS CPU defined more than once!");
/// A metric twice.
pub const HOTKEYS_NET_TWICE: ErrorReply =
    ErrorReply::fixed("ERR METRICS NET defined more than once!");
/// Fewer metrics than were said.
pub const HOTKEYS_FEW_METRICS: ErrorReply =
    ErrorReply::fixed("ERR METRICS count does not match number of metric types provided");
/// No metric that there is.
pub const HOTKEYS_UNKNOWN_METRICS: ErrorReply =
    ErrorReply::fixed("ERR METRICS no valid metrics passed. Supported: CPU|NET");
/// A wrong number of keys to tell of.
pub const HOTKEYS_COUNT: ErrorReply = ErrorReply::fixed("ERR COUNT must be between 1 and 64");
/// A wrong time to measure.
pub const HOTKEYS_DURATION: ErrorReply =
    ErrorReply::fixed("ERR DURATION must be between 1 and 1000000");
/// A wrong ratio of samples.
pub const HOTKEYS_SAMPLE: ErrorReply = ErrorReply::fixed("ERR SAMPLE ratio must be positive");
/// Slots, where cores are no nodes.
pub const HOTKEYS_SLOTS_ALONE: ErrorReply =
    ErrorReply::fixed("ERR SLOTS parameter cannot be used in non-cluster mode");
/// Slots twice.
pub const HOTKEYS_SLOTS_TWICE: ErrorReply =
    ErrorReply::fixed("ERR SLOTS parameter already specified");
/// A wrong number of slots.
pub const HOTKEYS_SLOTS_COUNT: ErrorReply =
    ErrorReply::fixed("ERR SLOTS count must be between 1 and 16384");
/// Fewer slots than were said.
pub const HOTKEYS_FEW_SLOTS: ErrorReply = ErrorReply::fixed("ERR not enough slot numbers provided");
/// A slot twice.
pub const HOTKEYS_SAME_SLOT: ErrorReply = ErrorReply::fixed("ERR duplicate slot number");
