//! What the tool says without a server: help, the commonest mistakes, the settings.
//!
//! `TRYCMD=overwrite cargo test -p pravega-sdk-cli --test golden` writes them anew.

#[test]
fn the_tool_says_what_the_golden_files_hold() {
    trycmd::TestCases::new()
        .env("PRAVEGA_USER", "somebody")
        .env("PRAVEGA_PASSWORD", "secret")
        .case("tests/cmd/*.trycmd");
}
