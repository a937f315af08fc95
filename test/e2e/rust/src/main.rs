//! Asks a running enclayer-quote-helper for a quote, through Fortanix's unmodified `aesm-client` crate.
//!
//! The enclave is simulated: its report carries the MAC that EREPORT makes in the simulation mode of Intel's SDK.
//! Prints one line a check; the first check that does not hold ends the program with exit code 1.

mod load;
mod report;

use std::fs::File;
use std::io::Read;

use aesm_client::unix::AesmClientExt;
use aesm_client::{AesmClient, AesmError, Error};
use sha2::{Digest, Sha256};

use report::{Enclave, Report, REPORT_SIZE, TARGET_INFO_SIZE};

const ALGORITHM_ECDSA_P256: u32 = 2;

// Quote v3, offsets in bytes.
const QUOTE_BODY: std::ops::Range<usize> = 48..432;
const QUOTE_SIGNATURE_LENGTH: usize = 432;
const QUOTE_SIGNATURE: usize = 436;
const QUOTE_QE_REPORT: usize = QUOTE_SIGNATURE + 64 + 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [option, socket, at_least] if option == "--load" => at_least
            .parse()
            .map_err(|_| format!("\"{at_least}\" is not a number of requests"))
            .and_then(|at_least| load::run(socket, at_least)),
        [socket, quote_file] => run(socket, quote_file),
        _ => Err("usage: e2e-aesm-client AESM_SOCKET QUOTE_FILE\n       \
                  e2e-aesm-client --load AESM_SOCKET AT_LEAST_REQUESTS < until-it-ends"
            .to_string()),
    };
    if let Err(why) = done {
        eprintln!("{why}");
        std::process::exit(1);
    }
}

fn run(socket: &str, quote_file: &str) -> Result<(), String> {
    let client = AesmClient::with_path(socket);

    let key_ids = client
        .get_supported_att_key_ids()
        .map_err(failed("get_supported_att_key_ids"))?;
    let key_id = key_ids
        .iter()
        .find(|id| le32(&id[154..]) == ALGORITHM_ECDSA_P256)
        .ok_or("the helper offers no ECDSA P-256 attestation key")?;
    println!(
        "{} attestation key id(s), one of them ECDSA P-256",
        key_ids.len()
    );

    let info = client
        .init_quote_ex(key_id.clone())
        .map_err(failed("init_quote_ex"))?;
    check(
        info.target_info().len() == TARGET_INFO_SIZE,
        "target_info has 512 bytes",
    )?;
    check(info.pub_key_id().len() == 32, "pub_key_id has 32 bytes")?;

    let enclave = Enclave {
        mr_enclave: [0xA1; 32],
        mr_signer: [0xB2; 32],
    };
    let report = enclave.ereport(info.target_info(), &[0xC3; 64]);
    let nonce = random_nonce()?;
    // Without a target_info the crate derives one from our report: the QE report is then made for our own enclave.
    let result = client
        .get_quote_ex(key_id.clone(), report.bytes.to_vec(), None, nonce.to_vec())
        .map_err(failed("get_quote_ex"))?;
    let quote = result.quote();
    println!("a quote of {} bytes", quote.len());

    check(
        quote.len() > QUOTE_QE_REPORT + 384,
        "the quote is long enough for its QE report",
    )?;
    check(quote[..2] == [3, 0], "the quote has version 3")?;
    check(
        quote[QUOTE_BODY] == report.bytes[..384],
        "the quote carries the enclave's report body",
    )?;
    let signed = QUOTE_SIGNATURE + le32(&quote[QUOTE_SIGNATURE_LENGTH..]) as usize;
    check(
        signed <= quote.len(),
        "the signature data lies within the quote",
    )?;
    let quoted_qe_report_data = &quote[QUOTE_QE_REPORT + 320..QUOTE_QE_REPORT + 384];
    check(
        info.pub_key_id() == &quoted_qe_report_data[..32],
        "pub_key_id is what the QE report in the quote binds",
    )?;

    check(
        result.qe_report().len() == REPORT_SIZE,
        "qe_report has 432 bytes",
    )?;
    let qe_report = Report::copied_from(result.qe_report());
    let bound = Sha256::new()
        .chain_update(nonce)
        .chain_update(&quote[..signed])
        .finalize();
    check(
        qe_report.report_data()[..32] == bound[..] && qe_report.report_data()[32..] == [0; 32],
        "qe_report.report_data is SHA-256(nonce || quote), then zeros",
    )?;
    check(
        qe_report.mr_enclave() == &info.target_info()[..32],
        "qe_report comes from the enclave that target_info names",
    )?;
    check(
        qe_report.mac_is_for(&enclave.target_info()),
        "the MAC of qe_report verifies inside our enclave",
    )?;

    let mut forged = report.bytes.to_vec();
    forged[REPORT_SIZE - 1] ^= 1;
    match client.get_quote_ex(key_id.clone(), forged, None, nonce.to_vec()) {
        Err(Error::AesmCode(AesmError::AttKeyNotInitialized_42)) => {
            println!("ok: a report with a wrong MAC is refused: AttKeyNotInitialized_42")
        }
        other => {
            return Err(format!(
                "a report with a wrong MAC: expected AttKeyNotInitialized_42, got {other:?}"
            ))
        }
    }
    match client.init_quote() {
        Err(Error::AesmCode(AesmError::ServiceUnavailable_30)) => {
            println!("ok: the EPID-era init_quote is refused: ServiceUnavailable_30")
        }
        other => {
            return Err(format!(
                "the EPID-era init_quote: expected ServiceUnavailable_30, got {other:?}"
            ))
        }
    }

    std::fs::write(quote_file, quote).map_err(|why| format!("cannot write {quote_file}: {why}"))
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if !holds {
        return Err(format!("does not hold: {what}"));
    }
    println!("ok: {what}");
    Ok(())
}

fn failed(call: &'static str) -> impl Fn(Error) -> String {
    move |why| format!("{call}: {why:?}")
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
}

fn random_nonce() -> Result<[u8; 16], String> {
    let mut nonce = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut nonce))
        .map_err(|why| format!("cannot read /dev/urandom: {why}"))?;
    Ok(nonce)
}
