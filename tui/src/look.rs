//! What things look like: glyphs with a fallback to ASCII, and tones with or without colours.
//!
//! Text is never white or black: it keeps the terminal's own colour, so that it can be read on any background.

use jiff::tz::TimeZone;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// Everything that does not depend on the instance.
#[derive(Clone, Debug)]
pub struct Look {
    /// The signs.
    pub(crate) glyphs: &'static Glyphs,
    palette: Palette,
    /// Where the reader's clock is.
    pub(crate) zone: TimeZone,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Palette {
    /// `NO_COLOR`.
    None,
    /// Bright colours.
    Dark,
    /// Deep ones, for light backgrounds.
    Light,
}

/// What the environment says about looks. Values as they are; `None`: not set.
#[derive(Clone, Copy, Default, Debug)]
pub struct Environment<'a> {
    /// `PROXYLM_NO_UNICODE`: `1` means ASCII only.
    pub no_unicode: Option<&'a str>,
    /// `NO_COLOR`: anything but nothing means no colours.
    pub no_color: Option<&'a str>,
    /// `PROXYLM_THEME`: `light` or `dark`.
    pub theme: Option<&'a str>,
    /// `COLORFGBG`, as some terminals set it: `15;0` is light on dark.
    pub color_fg_bg: Option<&'a str>,
}

impl Look {
    /// The look that the environment asks for, with times in `zone`.
    pub fn new(environment: Environment<'_>, zone: TimeZone) -> Self {
        let glyphs = if environment.no_unicode == Some("1") { &Glyphs::ASCII } else { &Glyphs::UNICODE };
        let background = environment.color_fg_bg.and_then(|colours| colours.rsplit(';').next());
        let light = match environment.theme {
            Some(theme) => theme == "light",
            None => matches!(background, Some("7" | "15")),
        };
        let palette = match environment.no_color {
            Some(value) if !value.is_empty() => Palette::None,
            _ if light => Palette::Light,
            _ => Palette::Dark,
        };
        Self { glyphs, palette, zone }
    }

    /// Whether there are colours.
    pub(crate) fn has_colours(&self) -> bool {
        self.palette != Palette::None
    }

    /// The style of `tone`.
    pub(crate) fn style(&self, tone: Tone) -> Style {
        let plain = Style::new();
        let style = match tone {
            Tone::Plain => return plain,
            Tone::Strong => return plain.bold(),
            Tone::Title | Tone::Running | Tone::Failed | Tone::Warning | Tone::Flash | Tone::Backend(_) => {
                plain.bold()
            }
            Tone::Selected if self.palette == Palette::None => return plain.reversed(),
            Tone::Selected => return plain.fg(Color::Indexed(15)).bg(Color::Indexed(4)),
            Tone::Badge if self.palette == Palette::None => return plain.reversed().bold(),
            Tone::Badge => return plain.fg(Color::Indexed(9)).bg(Color::Indexed(11)).bold(),
            Tone::Dim if self.palette == Palette::None => return plain.add_modifier(Modifier::DIM),
            _ => plain,
        };
        match self.palette {
            Palette::None => style,
            Palette::Dark => style.fg(Color::Indexed(tone.dark())),
            Palette::Light => style.fg(Color::Indexed(tone.light())),
        }
    }

    /// The style of a bar in a chart of models: the `index`-th model's.
    pub(crate) fn bar(&self, index: usize) -> Style {
        match self.palette {
            Palette::None => Style::new(),
            _ => Style::new().fg(Color::Indexed(0)).bg(Color::Indexed(BARS[index % BARS.len()])),
        }
    }

    /// The lines around a pane.
    pub(crate) fn border(&self) -> border::Set<'static> {
        if self.glyphs.is_ascii { ASCII_BORDER } else { border::ROUNDED }
    }
}

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Colours of backends, by their place in the sorted list. Red is for what is wrong.
pub(crate) const BACKENDS: [u8; 12] = [10, 12, 11, 13, 14, 208, 45, 207, 156, 99, 214, 51];
/// The same for light backgrounds.
const BACKENDS_LIGHT: [u8; 12] = [28, 25, 94, 90, 30, 130, 24, 126, 64, 55, 136, 23];
/// Backgrounds of bars; black text can be read on each.
const BARS: [u8; 8] = [114, 117, 222, 182, 116, 216, 150, 147];

/// What a piece of text means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    /// Nothing in particular.
    Plain,
    /// Plain, but to be seen first.
    Strong,
    /// Of less interest.
    Dim,
    /// The program's name, and the border of the active pane.
    Title,
    /// Well.
    Good,
    /// In the next step of a pulse.
    GoodDeep,
    /// Not well.
    Bad,
    /// To be looked at.
    Warning,
    /// Has just changed.
    Flash,
    /// A request that runs.
    Running,
    /// A request that failed.
    Failed,
    /// Happened before, on the way.
    Retry,
    /// A margin of error.
    Margin,
    /// The line that keys act on.
    Selected,
    /// A warning that must be seen.
    Badge,
    /// A backend's own colour.
    Backend(usize),
}

impl Tone {
    fn dark(self) -> u8 {
        match self {
            Self::Dim => 8,
            Self::Title => 12,
            Self::Good => 10,
            Self::GoodDeep => 2,
            Self::Bad | Self::Failed => 9,
            Self::Warning | Self::Flash => 11,
            Self::Running => 14,
            Self::Retry => 5,
            Self::Margin => 6,
            Self::Backend(index) => BACKENDS[index % BACKENDS.len()],
            Self::Plain | Self::Strong | Self::Selected | Self::Badge => 7,
        }
    }

    fn light(self) -> u8 {
        match self {
            Self::Dim => 242,
            Self::Title => 25,
            Self::Good => 28,
            Self::GoodDeep => 22,
            Self::Bad | Self::Failed => 160,
            Self::Warning | Self::Flash => 94,
            Self::Running => 30,
            Self::Retry => 90,
            Self::Margin => 23,
            Self::Backend(index) => BACKENDS_LIGHT[index % BACKENDS_LIGHT.len()],
            Self::Plain | Self::Strong | Self::Selected | Self::Badge => 0,
        }
    }
}

/// The signs on the screen.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Glyphs {
    /// A healthy backend.
    pub(crate) healthy: &'static str,
    /// An unhealthy backend, a failed request.
    pub(crate) failed: &'static str,
    /// Before the name of a backend on which something failed.
    pub(crate) failed_backend: &'static str,
    /// A running request.
    pub(crate) running: &'static str,
    /// A waiting request.
    pub(crate) queued: &'static str,
    /// A complete answer; a model that was loaded for it.
    pub(crate) done: &'static str,
    /// From one thing to another.
    pub(crate) arrow: &'static str,
    /// Tokens read.
    pub(crate) input: &'static str,
    /// Tokens written.
    pub(crate) output: &'static str,
    /// A model that is not in memory.
    pub(crate) unloaded: &'static str,
    /// Text goes on.
    pub(crate) cut: &'static str,
    /// No value.
    pub(crate) none: &'static str,
    /// Between two things on a line.
    pub(crate) dot: &'static str,
    /// Before a margin of error.
    pub(crate) margin: &'static str,
    /// Squared.
    pub(crate) squared: &'static str,
    /// Something goes on.
    pub(crate) going_on: &'static str,
    /// Heights of a sparkline, from nothing to full.
    pub(crate) heights: [&'static str; 9],
    is_ascii: bool,
}

impl Glyphs {
    /// For terminals that can.
    pub(crate) const UNICODE: Self = Self {
        healthy: "●",
        failed: "✗",
        failed_backend: "✗",
        running: "▶",
        queued: "…",
        done: "✓",
        arrow: "→",
        input: "↓",
        output: "↑",
        unloaded: "⏏",
        cut: "…",
        none: "—",
        dot: "·",
        margin: "±",
        squared: "R²",
        going_on: "…",
        heights: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
        is_ascii: false,
    };
    /// For those that cannot.
    pub(crate) const ASCII: Self = Self {
        healthy: "*",
        failed: "!",
        failed_backend: "X",
        running: ">",
        queued: ".",
        done: "+",
        arrow: "->",
        input: "in:",
        output: "out:",
        unloaded: "^",
        cut: ">",
        none: "-",
        dot: "|",
        margin: "+/-",
        squared: "R2",
        going_on: "...",
        heights: [" ", ".", ":", "-", "=", "+", "*", "#", "@"],
        is_ascii: true,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(environment: Environment<'_>) -> Look {
        Look::new(environment, TimeZone::UTC)
    }

    #[test]
    fn tui_05_only_a_one_asks_for_ascii() {
        for (value, glyphs) in
            [(Some("1"), &Glyphs::ASCII), (Some("0"), &Glyphs::UNICODE), (None, &Glyphs::UNICODE)]
        {
            assert_eq!(look(Environment { no_unicode: value, ..Environment::default() }).glyphs, glyphs);
        }
        let ascii = &Glyphs::ASCII;
        let signs =
            [ascii.healthy, ascii.failed, ascii.failed_backend, ascii.running, ascii.queued, ascii.done];
        assert_eq!(signs, ["*", "!", "X", ">", ".", "+"]);
        assert_eq!([ascii.arrow, ascii.input, ascii.output, ascii.unloaded], ["->", "in:", "out:", "^"]);
    }

    #[test]
    fn tui_07_twelve_backends_differ_the_thirteenth_wraps_and_none_is_red() {
        let look = look(Environment::default());
        let mut colours: Vec<_> = (0..12).filter_map(|index| look.style(Tone::Backend(index)).fg).collect();
        assert_eq!(look.style(Tone::Backend(12)), look.style(Tone::Backend(0)));
        colours.sort_unstable_by_key(|colour| format!("{colour:?}"));
        colours.dedup();
        assert_eq!(colours.len(), 12);
        for list in [BACKENDS, BACKENDS_LIGHT] {
            assert!(list.iter().all(|colour| ![1, 9, 160, 196].contains(colour)));
        }
    }

    #[test]
    fn without_colours_the_selection_is_reversed_and_nothing_is_coloured() {
        let look = look(Environment { no_color: Some("1"), ..Environment::default() });
        assert_eq!(look.style(Tone::Selected), Style::new().reversed());
        for tone in [Tone::Good, Tone::Bad, Tone::Badge, Tone::Backend(3), Tone::Dim, Tone::Running] {
            let style = look.style(tone);
            assert_eq!((style.fg, style.bg), (None, None), "{tone:?}");
        }
        assert!(self::look(Environment { no_color: Some(""), ..Environment::default() }).has_colours());
    }

    #[test]
    fn a_light_background_gets_deep_colours() {
        let dark = look(Environment::default()).style(Tone::Good);
        for environment in [
            Environment { color_fg_bg: Some("0;15"), ..Environment::default() },
            Environment { theme: Some("light"), color_fg_bg: Some("15;0"), ..Environment::default() },
        ] {
            assert_ne!(look(environment).style(Tone::Good), dark);
        }
        let told = Environment { theme: Some("dark"), color_fg_bg: Some("0;15"), ..Environment::default() };
        assert_eq!(look(told).style(Tone::Good), dark);
    }
}
