//! From a connection to a session: greeting, TLS, and the login methods of MySQL and MariaDB.

use mysql_common::constants::CapabilityFlags;
use mysql_common::crypto;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;

use super::packets::Packets;
use super::{Failure, Login, refusal};

/// What we can do; the server takes from it what it can do too. Neither local files nor several statements in one.
const OURS: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_SSL);

/// What a client says its longest packet is; servers do not hold it to that.
const MAX_PACKET: u32 = 1 << 30;
const UTF8MB4_GENERAL_CI: u8 = 45;

/// How long the server's random bytes are, which a login answers.
const NONCE: usize = 20;
const ED25519_NONCE: usize = 32;

/// What the server's greeting says.
struct Greeting {
    capabilities: CapabilityFlags,
    version: (u16, u16, u16),
    nonce: Vec<u8>,
    plugin: AuthPlugin<'static>,
}

/// Logs in. Returns what both sides can do.
pub async fn log_in(packets: &mut Packets, login: Login<'_>) -> Result<CapabilityFlags, Failure> {
    let mut greeting = greeting(packets.next().await?, login.tls.is_some())?;
    let mut is_private = login.is_private;
    if let Some((config, name)) = login.tls {
        let request = SslRequest::new(greeting.capabilities, MAX_PACKET, UTF8MB4_GENERAL_CI);
        packets.send(|out| request.serialize(out)).await?;
        packets.encrypt(config, name).await?;
        is_private = true;
    }
    let proof = greeting.plugin.gen_data(Some(login.password), &greeting.nonce);
    let response = HandshakeResponse::new(
        proof.as_deref(),
        greeting.version,
        Some(login.username.as_bytes()),
        Some(login.database.as_bytes()),
        Some(greeting.plugin.borrow()),
        greeting.capabilities,
        None,
        MAX_PACKET,
    );
    packets.send(|out| response.serialize(out)).await?;
    let mut switched = false;
    loop {
        let payload = packets.next().await?;
        match payload {
            [0x00, ..] => return Ok(greeting.capabilities),
            [0xff, ..] => return Err(refusal(payload, greeting.capabilities)),
            [0xfe, _, ..] if !switched => {
                switched = true;
                switch(payload, login.username, &mut greeting)?;
                let proof = greeting.plugin.gen_data(Some(login.password), &greeting.nonce);
                let proof = proof.as_deref().unwrap_or_default();
                packets.send(|out| out.extend_from_slice(proof)).await?;
            }
            // MySQL's oldest method, without a name.
            [0xfe] => return Err(Failure::Cleartext),
            [0x01, 0x03] if greeting.plugin == AuthPlugin::CachingSha2Password => {}
            [0x01, 0x04] if greeting.plugin == AuthPlugin::CachingSha2Password => {
                send_password(packets, login.password, &greeting.nonce, is_private).await?;
            }
            _ => return Err(Failure::Protocol("an answer to the login")),
        }
    }
}

fn greeting(payload: &[u8], wants_tls: bool) -> Result<Greeting, Failure> {
    if payload.first() == Some(&0xff) {
        // Before anything has been agreed on, an error comes without its SQLSTATE.
        return Err(refusal(payload, CapabilityFlags::empty()));
    }
    let packet = ParseBuf(payload).parse::<HandshakePacket<'_>>(()).map_err(|_| Failure::Protocol("a greeting"))?;
    let mut capabilities = packet.capabilities() & OURS;
    match wants_tls {
        true if !capabilities.contains(CapabilityFlags::CLIENT_SSL) => return Err(Failure::NoTls),
        true => {}
        false => capabilities.remove(CapabilityFlags::CLIENT_SSL),
    }
    if !capabilities.contains(CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_PLUGIN_AUTH) {
        return Err(Failure::Protocol("the greeting of MySQL 5.6 or later"));
    }
    let version = packet.maria_db_server_version_parsed().or_else(|| packet.server_version_parsed());
    let mut nonce = [packet.scramble_1_ref(), packet.scramble_2_ref().unwrap_or_default()].concat();
    // A zero ends it.
    nonce.resize(NONCE, 0);
    let plugin = match packet.auth_plugin() {
        Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
        // For any other the server asks when it knows who logs in.
        _ => AuthPlugin::MysqlNativePassword,
    };
    Ok(Greeting { capabilities, version: version.unwrap_or_default(), nonce, plugin })
}

/// Takes the method that the server asks for.
fn switch(payload: &[u8], user: &str, greeting: &mut Greeting) -> Result<(), Failure> {
    let request = ParseBuf(payload).parse::<AuthSwitchRequest<'_>>(());
    let request = request.map_err(|_| Failure::Protocol("a login method"))?;
    greeting.plugin = match request.auth_plugin() {
        plugin @ (AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword | AuthPlugin::Ed25519) => {
            plugin.into_owned()
        }
        AuthPlugin::MysqlClearPassword | AuthPlugin::MysqlOldPassword => return Err(Failure::Cleartext),
        other => {
            let method = String::from_utf8_lossy(other.as_bytes()).into_owned();
            return Err(Failure::Login { user: user.to_owned(), method });
        }
    };
    // A nonce ends with a zero, except Ed25519's, of which the last byte may be one: the parser takes either away.
    greeting.nonce = payload.splitn(2, |&byte| byte == 0).nth(1).unwrap_or_default().to_vec();
    greeting.nonce.truncate(if greeting.plugin == AuthPlugin::Ed25519 { ED25519_NONCE } else { NONCE });
    Ok(())
}

/// `caching_sha2_password`, where the server does not have the password in its cache: the password itself, over a way
/// that nobody else can read, or else under the server's public key.
async fn send_password(packets: &mut Packets, password: &str, nonce: &[u8], is_private: bool) -> Result<(), Failure> {
    let mut password = [password.as_bytes(), &[0]].concat();
    if is_private {
        return packets.send(|out| out.extend_from_slice(&password)).await;
    }
    packets.send(|out| out.push(0x02)).await?;
    let key = match packets.next().await? {
        [0x01, key @ ..] => key.to_vec(),
        _ => return Err(Failure::Protocol("a public key")),
    };
    for (byte, mask) in password.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    // The parser of keys panics where one is malformed.
    let encrypted = std::panic::catch_unwind(|| crypto::encrypt(&password, &key));
    let encrypted = encrypted.map_err(|_| Failure::Protocol("a public key"))?;
    packets.send(|out| out.extend_from_slice(&encrypted)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce_of(method: &str, data: &[u8]) -> Vec<u8> {
        let plugin = AuthPlugin::MysqlNativePassword;
        let mut greeting =
            Greeting { capabilities: CapabilityFlags::empty(), version: (0, 0, 0), nonce: Vec::new(), plugin };
        let payload = [&[0xfe], method.as_bytes(), &[0], data].concat();
        switch(&payload, "user", &mut greeting).unwrap();
        greeting.nonce
    }

    #[test]
    fn a_nonce_may_have_a_zero_as_its_last_byte() {
        let nonce = [&[7; 31][..], &[0]].concat();
        assert_eq!(nonce_of("client_ed25519", &nonce), nonce, "one login in 256 is refused otherwise");
        for method in ["mysql_native_password", "caching_sha2_password"] {
            let ended = [&[7; 20][..], &[0]].concat();
            assert_eq!(nonce_of(method, &ended), [7; 20], "{method}");
            assert_eq!(nonce_of(method, &ended[..20]), [7; 20], "{method}");
        }
    }
}
