//! What the environment asks is checked before any command.

use std::process::Command;

#[test]
fn an_instruction_set_that_is_none_is_an_error() {
    let run = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["compare", "--problems", "palettes"])
        .env("KANTOROVICH_SIMD", "sse2")
        .output()
        .expect("the binary starts");
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stdout.is_empty());
    assert_eq!(
        String::from_utf8_lossy(&run.stderr),
        "xtask: `KANTOROVICH_SIMD` = sse2: must be one of portable, avx2, avx512, or unset\n"
    );
}
