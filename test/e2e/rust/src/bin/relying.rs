//! What an attestation service gives out, read by crates that nobody here wrote. Exit 0: taken, and what is in it; 2: refused.
//!
//!     e2e-relying ear JWK.json AUDIENCE TOKEN               Veraison's `ear`: an attestation result, signed by that key
//!     e2e-relying pcs tcb|tdx-tcb|qe BODY.json CHAIN.pem    Fortanix's `pcs`: an answer of Intel's provisioning service

use std::fs;

use ear::{Algorithm, Ear};
use jsonwebtoken::{jwk::Jwk, DecodingKey, Validation};
use pcs::{platform, PlatformTypeForTcbInfo, QeIdentity, QeIdentitySigned, TcbInfo, Unverified};
use serde_json::{json, Value};

enum Refusal {
    Misuse(String),
    Refused(String),
}

fn refused(why: impl std::fmt::Display) -> Refusal {
    Refusal::Refused(why.to_string())
}

fn read(path: &str) -> Result<String, Refusal> {
    fs::read_to_string(path).map_err(|why| Refusal::Misuse(format!("{path}: {why}")))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["ear", key, audience, token] => attestation_result(key, audience, token),
        ["pcs", "tcb", body, chain] => tcb_info::<platform::SGX>(body, chain),
        ["pcs", "tdx-tcb", body, chain] => tcb_info::<platform::TDX>(body, chain),
        ["pcs", "qe", body, chain] => qe_identity(body, chain),
        _ => Err(Refusal::Misuse(
            "usage: e2e-relying ear JWK.json AUDIENCE TOKEN | pcs tcb|tdx-tcb|qe BODY.json CHAIN.pem"
                .to_string(),
        )),
    };
    match done {
        Ok(found) => println!("{found}"),
        Err(Refusal::Refused(why)) => {
            println!("refused: {why}");
            std::process::exit(2);
        }
        Err(Refusal::Misuse(why)) => {
            eprintln!("{why}");
            std::process::exit(1);
        }
    }
}

/// By the JWT crate that `ear` is made with: its own functions ask for no audience, and so take no token that has one.
fn attestation_result(key: &str, audience: &str, token: &str) -> Result<Value, Refusal> {
    let key = read(key)?;
    let own = Ear::from_jwt_jwk(token, Algorithm::ES256, key.as_bytes());
    let jwk: Jwk = serde_json::from_str(&key).map_err(refused)?;
    let mut validation = Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "aud"]);
    let key = DecodingKey::from_jwk(&jwk).map_err(refused)?;
    let ear = jsonwebtoken::decode::<Ear>(token, &key, &validation)
        .map_err(refused)?
        .claims;
    let submods: serde_json::Map<String, Value> = ear
        .submods
        .iter()
        .map(|(name, appraisal)| {
            let claims = ["hardware", "executables", "configuration"].map(|claim| (claim, appraisal.trust_vector.by_name(claim).map(|it| it.get())));
            let vector: serde_json::Map<String, Value> = claims
                .into_iter()
                .filter_map(|(claim, value)| value.ok().map(|value| (claim.to_string(), json!(value))))
                .collect();
            (name.clone(), json!({"status": appraisal.status, "vector": vector, "policy": appraisal.policy_id}))
        })
        .collect();
    Ok(
        json!({"profile": ear.profile, "developer": ear.vid.developer, "submods": submods, "own": own.err().map(|why| why.to_string())}),
    )
}

/// The chain as PEM, one certificate after the other.
fn certificates(path: &str) -> Result<Vec<String>, Refusal> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = read(path)?;
    Ok(text
        .split_inclusive(END)
        .filter(|part| part.contains(END))
        .map(str::to_string)
        .collect())
}

fn tcb_info<T: PlatformTypeForTcbInfo>(body: &str, chain: &str) -> Result<Value, Refusal> {
    let info = TcbInfo::<T>::parse(&read(body)?, certificates(chain)?).map_err(refused)?;
    let data = info.data().map_err(refused)?;
    Ok(json!({
        "number": data.tcb_evaluation_data_number(), "levels": data.iter_tcb_components().count(),
        "certificates": info.certificate_chain().len(),
    }))
}

fn qe_identity(body: &str, chain: &str) -> Result<Value, Refusal> {
    let signed = QeIdentitySigned::parse(&read(body)?, certificates(chain)?).map_err(refused)?;
    let identity = QeIdentity::<Unverified>::try_from(&signed).map_err(refused)?;
    Ok(
        json!({"number": identity.tcb_evaluation_data_number(), "certificates": signed.certificate_chain().len()}),
    )
}
