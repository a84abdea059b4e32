//! Base64 in its two alphabets: Google's JSON takes both, most other APIs only the standard one.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::hub::Json;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent).with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const OF_URLS: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// `bytes` in the standard alphabet, padded.
pub(super) fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that `text` stands for, in either alphabet, padded or not. `None` if it is no base64.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    PLAIN.decode(text).or_else(|_| OF_URLS.decode(text)).ok()
}

/// `text` in the standard alphabet and padded, without looking at more of it than its letters.
///
/// Google's SDK for Python writes the alphabet of URLs, which other APIs do not take.
pub(super) fn standard(text: String) -> String {
    if text.len().is_multiple_of(4) && !text.bytes().any(|byte| matches!(byte, b'-' | b'_')) {
        return text;
    }
    let mut text = text.replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// A list of numbers in place of `text`, base64 of little-endian 32-bit floats. `None` if it is not that.
pub(super) fn floats(text: &str) -> Option<Json> {
    let bytes = decoded(text)?;
    let (floats, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = floats.iter().map(|float| f32::from_le_bytes(*float)).collect();
    rest.is_empty().then(|| Json::of(&numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(encoded(bytes), text);
            assert_eq!(decoded(text).as_deref(), Some(bytes));
        }
        assert_eq!(decoded("_-8"), Some(vec![0xff, 0xef]));
        assert_eq!((decoded("Z"), decoded("Zg#=")), (None, None));
    }

    #[test]
    fn the_alphabet_of_urls_becomes_the_standard_one() {
        assert_eq!(standard("_-8".to_owned()), "/+8=");
        assert_eq!(standard("Zm9v".to_owned()), "Zm9v");
    }

    #[test]
    fn floats_become_numbers() {
        let bytes: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|float| float.to_le_bytes()).collect();
        assert_eq!(floats(&encoded(&bytes)), Json::parse("[0.5,-2.0]"));
        assert_eq!(floats("Zm9v"), None);
    }
}
