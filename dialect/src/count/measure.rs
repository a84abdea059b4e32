//! Counts tokens: text with the tokenizer, everything else by fixed measures.

use tiktoken_rs::o200k_base_singleton;

/// So much text is given to the tokenizer at once, in bytes: its patterns give up on very long runs of white space.
const PIECE: usize = 8 * 1024;

/// So much text of a request is counted exactly, in bytes. What is over it is taken to be like what was counted, so
/// that no request can hold a processor for long.
const COUNTED: usize = 1024 * 1024;

/// Tokens of a picture. Providers say 85 to 1600, by its size; this is one of a megapixel.
const PICTURE: u64 = 1_300;

/// What Gemini counts for a picture that fits one tile, which is how it sees most.
const TILE: u64 = 258;

/// What has been counted.
#[derive(Default)]
pub(super) struct Measure {
    tokens: u64,
    /// Bytes of text counted, and the tokens they had.
    counted: usize,
    counted_tokens: u64,
    /// Bytes of text beyond what is counted.
    uncounted: usize,
}

impl Measure {
    /// The sum.
    pub(super) fn tokens(&self) -> u64 {
        let beyond = match self.counted {
            0 => 0,
            counted => (self.uncounted as u64).saturating_mul(self.counted_tokens) / counted as u64,
        };
        self.tokens + self.counted_tokens + beyond
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.counted >= COUNTED {
                self.uncounted += rest.len();
                return;
            }
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
            self.counted_tokens += o200k_base_singleton().encode_ordinary(piece).len() as u64;
            self.counted += piece.len();
            rest = after;
        }
    }

    /// Adds what frames a message or a tool.
    pub(super) fn frame(&mut self) {
        self.tokens += 4;
    }

    /// Adds a picture, as Anthropic counts.
    pub(super) fn picture(&mut self) {
        self.tokens += PICTURE;
    }

    /// Adds a file of `bytes` of the type `mime`, as Gemini counts. An unknown size is 0.
    pub(super) fn file(&mut self, mime: &str, bytes: u64) {
        let (kind, _) = mime.split_once('/').unwrap_or((mime, ""));
        self.tokens += match kind {
            "image" => TILE,
            // 32 tokens a second, of sound in 16 kB a second.
            "audio" => (bytes / 500).max(32),
            // 263 tokens a second, of pictures in 250 kB a second.
            "video" => (bytes / 950).max(263),
            "text" => (bytes / 4).max(1),
            _ => document(bytes),
        };
    }

    /// Adds a document of `bytes`, as Anthropic counts.
    pub(super) fn document(&mut self, bytes: u64) {
        self.tokens += document(bytes);
    }
}

/// A page of some 50 kB has some 2000 tokens; no document has less than one page.
fn document(bytes: u64) -> u64 {
    (bytes / 25).max(2_000)
}

/// How many bytes `base64` stands for.
pub(super) fn decoded_len(base64: &str) -> u64 {
    base64.trim_end_matches('=').len() as u64 * 3 / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> u64 {
        let mut measure = Measure::default();
        measure.text(text);
        measure.tokens()
    }

    #[test]
    fn text_is_counted_with_the_real_table() {
        for (text, expected) in
            [("", 0), ("hello world", 2), ("The quick brown fox jumps over the lazy dog.", 10)]
        {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn the_longest_texts_cost_no_more_than_a_megabyte_and_nothing_fails() {
        let words = "some words ";
        let short = tokens(&words.repeat(10_000));
        let long = tokens(&words.repeat(1_000_000));
        assert!(long.abs_diff(short * 100) < short, "{short} {long}");
        for run in [" ", "a", "\n \n", "é", "\u{1F600}"] {
            assert!(tokens(&run.repeat(600_000)) > 100, "{run:?}");
        }
    }
}
