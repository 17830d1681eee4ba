//! Scripts and libraries made of the input that show which keys they reach: each of their commands names declared ones only.

#![no_main]

use std::cell::RefCell;

use larder_tests::declared::Watcher;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WATCHER: RefCell<Watcher> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let checked = WATCHER.with_borrow_mut(|watcher| watcher.check(data));
    if let Err(why) = checked {
        panic!("{why}");
    }
});
