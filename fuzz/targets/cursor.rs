//! Page cursors: what a client sends back.
//!
//! Input: mode (1 byte); then the text, or (odd mode) the bytes that it stands for.
#![no_main]

use atrarium::limits::PAGE_CURSOR_BYTES_MAX;
use atrarium::view::PageCursor;
use atrarium_fuzz::take_u8;
use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let text = if take_u8(&mut data) % 2 == 0 {
        let Ok(text) = std::str::from_utf8(data) else { return };
        text.to_owned()
    } else {
        BASE64URL_NOPAD.encode(data)
    };
    let Ok(cursor) = PageCursor::parse(&text) else { return };
    assert!(text.len() <= PAGE_CURSOR_BYTES_MAX);
    assert_eq!(cursor.to_string(), text, "there is one text for each cursor");
    assert_eq!(PageCursor::parse(&cursor.to_string()).as_ref(), Ok(&cursor));
    let behind = PageCursor::behind(cursor.oldest().clone());
    assert_eq!(PageCursor::parse(&behind.to_string()), Ok(behind), "what is given is taken back");
});
