//! The reference server and the embedded one side by side: the same requests, the same replies.

mod both;
mod controller;
mod rest;
mod segment_store;
