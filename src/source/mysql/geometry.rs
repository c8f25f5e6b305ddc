//! Geometries: from the server's own form to the one that programs read.

/// The server's own form is the number of the reference system, then WKB. WKB has no room for that number: EWKB, which
/// says so in its type, has, and is WKB where the number is 0.
pub fn well_known_binary(value: &[u8]) -> Option<Vec<u8>> {
    const HAS_REFERENCE_SYSTEM: u32 = 0x2000_0000;
    let (system, wkb) = value.split_first_chunk::<4>()?;
    let (order, rest) = wkb.split_first()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let mut out = Vec::with_capacity(value.len());
    let system = u32::from_le_bytes(*system);
    if system == 0 {
        out.extend_from_slice(wkb);
        return Some(out);
    }
    out.push(*order);
    match order {
        0 => {
            out.extend_from_slice(&(u32::from_be_bytes(*kind) | HAS_REFERENCE_SYSTEM).to_be_bytes());
            out.extend_from_slice(&system.to_be_bytes());
        }
        1 => {
            out.extend_from_slice(&(u32::from_le_bytes(*kind) | HAS_REFERENCE_SYSTEM).to_le_bytes());
            out.extend_from_slice(&system.to_le_bytes());
        }
        _ => return None,
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_system_makes_wkb_extended() {
        let point = hex::decode("0101000000000000000000f03f0000000000000040").unwrap();
        let stored = |system: u32| [&system.to_le_bytes()[..], &point].concat();
        assert_eq!(well_known_binary(&stored(0)), Some(point.clone()));
        let extended = hex::decode("0101000020e6100000000000000000f03f0000000000000040").unwrap();
        assert_eq!(well_known_binary(&stored(4326)), Some(extended));
        assert_eq!(well_known_binary(b"\0\0\0\0\x01"), None);
    }
}
