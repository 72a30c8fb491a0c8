#![cfg(target_os = "linux")]

use sdgen::error::exit_code;

use crate::support::Sandbox;

/// Such a picture once ended in an abort of the process.
#[test]
fn a_picture_larger_than_memory_is_refused() {
    let sandbox = Sandbox::new();
    for more in [&["-W", "4096", "-H", "4096"][..], &["-W", "2048", "-H", "2048", "--batch", "64"]] {
        sandbox.quick_in_little_memory(more).fails(exit_code::OUT_OF_MEMORY).says(&["memory", "GiB", "smaller"]);
    }
    assert!(sandbox.files().is_empty());
}
