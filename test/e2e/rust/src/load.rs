//! Clients that ask all the time, each in a thread of its own, through the unmodified crate.
//!
//! Every call of the crate is one or two requests, each on a connection of its own.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::thread;

use aesm_client::unix::AesmClientExt;
use aesm_client::AesmClient;

use crate::report::{Enclave, Report};

const CLIENTS: usize = 4;

#[derive(Default)]
struct Tally {
    requests: AtomicU64,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Until standard input ends, and `at_least` requests in any case. Prints how many there were; an error when any failed.
pub fn run(socket: &str, at_least: u64) -> Result<(), String> {
    let tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !tally.stop.load(Ordering::Relaxed)
                    || tally.requests.load(Ordering::Relaxed) < at_least
                {
                    if let Err(why) = attest(socket, &tally.requests) {
                        // A failed call is counted as one request, so that this ends also when all of them fail.
                        tally.requests.fetch_add(1, Ordering::Relaxed);
                        tally.failures.lock().expect("no panics").push(why);
                    }
                }
            });
        }
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        tally.stop.store(true, Ordering::Relaxed);
    });
    let failures = tally.failures.into_inner().expect("no panics");
    println!(
        "{} requests, {} failures",
        tally.requests.into_inner(),
        failures.len()
    );
    match failures.first() {
        None => Ok(()),
        Some(why) => Err(format!("the first failure: {why}")),
    }
}

/// What an enclave's host does for a quote: key ids, init, quote.
fn attest(socket: &str, requests: &AtomicU64) -> Result<(), String> {
    let client = AesmClient::with_path(socket);
    let made = |number| requests.fetch_add(number, Ordering::Relaxed);

    let key_ids = client
        .get_supported_att_key_ids()
        .map_err(crate::failed("get_supported_att_key_ids"))?;
    made(2); // number, ids
    let key_id = key_ids.first().ok_or("no attestation key is offered")?;
    let info = client
        .init_quote_ex(key_id.clone())
        .map_err(crate::failed("init_quote_ex"))?;
    made(2); // size of the key id, target info
    let enclave = Enclave {
        mr_enclave: [0xA1; 32],
        mr_signer: [0xB2; 32],
    };
    let report = enclave.ereport(info.target_info(), &[0xC3; 64]);
    let result = client
        .get_quote_ex(key_id.clone(), report.bytes.to_vec(), None, vec![7; 16])
        .map_err(crate::failed("get_quote_ex"))?;
    made(2); // size, quote
    if result.quote().get(crate::QUOTE_BODY) != Some(&report.bytes[..384]) {
        return Err("the quote does not carry the enclave's report".to_string());
    }
    if result.qe_report().len() != crate::REPORT_SIZE
        || !Report::copied_from(result.qe_report()).mac_is_for(&enclave.target_info())
    {
        return Err("the MAC of qe_report does not verify".to_string());
    }
    Ok(())
}
