#!/bin/sh
# A workload that opts in to out-of-process attestation, as it looks from inside its container:
#   attest.sh OUT    opens the enclave device it was given and has a quote written to OUT
# ENCLAYER names the enclayer program, AESM_SOCKET another socket than the usual one.
set -eu

for device in /dev/sgx_enclave /dev/sgx/enclave; do
  : <>"$device" # opens it for reading and writing, or ends here
  echo "opened $device"
done

if [ -z "${SGX_AESM_ADDR+set}" ]; then
  echo "SGX_AESM_ADDR is not set: this pod did not opt in to the quote helper" >&2
  exit 1
fi
exec "${ENCLAYER:-enclayer}" quote --socket "${AESM_SOCKET:-/var/run/aesmd/aesm.socket}" --report-data 656e636c61796572 --out "$1"
