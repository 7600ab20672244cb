//! The K3s-DaaS command line.
fn main() {}
