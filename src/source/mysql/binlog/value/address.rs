//! MariaDB's types for addresses of networks: as it stores them, to what it sends of them.

use std::io::Write;

pub fn write_inet4(address: [u8; 4], out: &mut Vec<u8>) {
    let [a, b, c, d] = address;
    // Writing to a vector does not fail.
    let _ = write!(out, "{a}.{b}.{c}.{d}");
}

/// The longest run of zeros becomes `::`; what is an IPv4 address inside is written as one.
pub fn write_inet6(address: [u8; 16], out: &mut Vec<u8>) {
    let (words, _) = address.as_chunks::<2>();
    let words = words.iter().map(|word| u16::from_be_bytes(*word));
    let (mut gap, mut run) = (0..0, 0..0);
    for (at, word) in words.clone().enumerate() {
        run = if word == 0 {
            if run.end == at && !run.is_empty() { run.start..at + 1 } else { at..at + 1 }
        } else {
            0..0
        };
        if run.len() > gap.len() {
            gap = run.clone();
        }
    }
    let is_mapped = gap == (0..5) && address[10..12] == [0xff; 2];
    let is_compatible = gap == (0..6);
    for (at, word) in words.enumerate() {
        if gap.contains(&at) {
            if at == gap.start {
                out.extend_from_slice(if at == 0 { b"::" } else { b":" });
            }
            continue;
        }
        if at == 6 && (is_mapped || is_compatible) {
            let [.., a, b, c, d] = address;
            return write_inet4([a, b, c, d], out);
        }
        let _ = write!(out, "{word:x}");
        if at < 7 {
            out.push(b':');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn addresses_are_written() {
        for text in ["::", "::1", "fe80::", "1:2:3:4:5:6:7:8", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4", "::1.2.3.4"]
        {
            let mut out = Vec::new();
            write_inet6(text.parse::<Ipv6Addr>().unwrap().octets(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
