//! Base64 in its two alphabets: Google's JSON takes both, most other APIs only the standard one.

use crate::hub::Json;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in the standard alphabet, padded.
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_u32 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            let is_padding = place as usize > chunk.len();
            text.push(if is_padding { '=' } else { char::from(digit) });
        }
    }
    text
}

/// The bytes that `text` stands for, in either alphabet, padded or not. `None` if it is no base64.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in chunk {
            bits = bits << 6 | value(*digit)?;
        }
        let [_, high, middle, low] = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        match chunk.len() {
            4 => bytes.extend([high, middle, low]),
            3 => bytes.extend([high, middle]),
            2 => bytes.push(high),
            _ => return None,
        }
    }
    Some(bytes)
}

/// `text` in the standard alphabet and padded, without looking at more of it than its letters. Google's SDK for Python writes
/// the alphabet of URLs.
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

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
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
