/// Names of nodes and namespaces.
///
/// Source: a DNS label without dots (RFC 1123): `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`.
module k3s_daas::names;

use std::string::String;

const MAX_LENGTH: u64 = 63;

const HYPHEN: u8 = 45;
const DIGIT_0: u8 = 48;
const DIGIT_9: u8 = 57;
const LOWER_A: u8 = 97;
const LOWER_Z: u8 = 122;

public(package) fun is_label(name: &String): bool {
    let bytes = name.as_bytes();
    let length = bytes.length();
    if (length == 0 || length > MAX_LENGTH) return false;
    if (bytes[0] == HYPHEN || bytes[length - 1] == HYPHEN) return false;
    bytes.all!(|byte| is_allowed(*byte))
}

fun is_allowed(byte: u8): bool {
    (byte >= LOWER_A && byte <= LOWER_Z) || (byte >= DIGIT_0 && byte <= DIGIT_9) || byte == HYPHEN
}
