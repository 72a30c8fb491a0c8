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

/// With less than half a gigabyte the text encoder makes room, and comes back for the prompt of another seed.
#[test]
fn text_encoders_make_room_where_memory_is_short() {
    let sandbox = Sandbox::new();
    let choice = &["--prompt", "{rocket|sunflower|blue heart}", "--count", "3", "--metadata", "none"];
    let line = |name| ["generate", "--steps", "1", "--seed", "7", "-d", "cpu", "--dtype", "f32", "-o", name];
    sandbox.run(line("plenty-{seed}.png").iter().chain(choice)).succeeds();
    let short = sandbox.run_in_memory(400_000, line("short-{seed}.png").iter().chain(choice)).succeeds();
    short.says(&["memory is short", "text encoder"]);
    for seed in 7..10 {
        let read = |kind: &str| std::fs::read(sandbox.path(&format!("{kind}-{seed}.png"))).unwrap();
        assert!(read("short") == read("plenty"), "{seed}");
    }
}
