//! What `larder-bench run --help` says below the options: templates and presets.

use super::preset::PRESETS;
use super::template::PLACEHOLDERS;

/// The text.
#[must_use]
pub(super) fn after() -> String {
    let mut text = String::from(
        "Templates: words of a command, quoted where they hold blanks; a lone ; stands between commands that are always sent together. \
         Filled in anew every time:\n",
    );
    for (name, meaning) in PLACEHOLDERS {
        text.push_str(&format!("  {name:22} {meaning}\n"));
    }
    text.push_str("\nPresets (--preload stores what they need first):\n");
    for preset in PRESETS {
        text.push_str(&format!("  {:14} {}\n", preset.name, preset.about));
    }
    text.push_str(
        "\nExit status: 0 the run is good, 1 it failed (one line on standard error says why), 2 the command line is wrong.\n",
    );
    text
}
