//! bench-dcap-qvl QUOTE COLLATERAL TIME SECONDS [ROOT.der]: CPU microseconds of one verification, the mean of as many as fit
//! into that time; without a root Intel's. Reading the collateral from its JSON is not counted.

use std::fs::read;

use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::QuoteCollateralV3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [quote, collateral, time, seconds, root @ ..] = arguments.as_slice() else {
        panic!("usage: bench-dcap-qvl QUOTE COLLATERAL TIME SECONDS [ROOT.der]");
    };
    let quote = read(quote).expect("a quote");
    let collateral: QuoteCollateralV3 =
        serde_json::from_slice(&read(collateral).expect("collateral")).expect("collateral");
    let time: u64 = time.parse().expect("seconds since 1970");
    let seconds: f64 = seconds.parse().expect("seconds");
    let verifier = match root {
        [] => QuoteVerifier::new_prod(),
        [root, ..] => QuoteVerifier::new(read(root).expect("a root")),
    };
    let verify = || verifier.verify(&quote, &collateral, time).expect("a verdict");

    verify();
    let begin = cpu_seconds();
    let mut count = 0;
    while cpu_seconds() - begin < seconds {
        verify();
        count += 1;
    }
    println!("{}", (cpu_seconds() - begin) * 1e6 / f64::from(count));
}

fn cpu_seconds() -> f64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is there for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}
