//! Writes a byte stream, seeks in it and reads it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::io::SeekFrom;

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let film = pravega.create_stream("films/first", 1).await?;
    let client = pravega.client();

    let mut writer = client.byte_writer(&film).await?;
    writer.write_all(&[7; 100_000]).await?;
    writer.write_all(b"the end").await?;
    writer.flush().await?;
    writer.seal().await?;

    let mut reader = client.byte_reader(&film).await?;
    reader.seek(SeekFrom::Start(100_000)).await?;
    let mut end = String::new();
    reader.read_to_string(&mut end).await?;
    println!("{end}");
    assert_eq!(end, "the end");
    Ok(())
}
