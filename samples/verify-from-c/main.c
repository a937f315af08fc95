/* SPDX-License-Identifier: Apache-2.0
 * verify-from-c EVIDENCE COLLATERAL POLICY TIME [NONCE]: is it to be trusted, at that time (seconds since 1970), by this
 * policy, and does its report data begin with that nonce (64 hexadecimal digits)? EVIDENCE is a quote of SGX or TDX in any form, or the
 * RA-TLS certificate of a TLS peer. A service would keep verifier and collateral, and ask enclayer_check() for each quote. */
#include <enclayer/enclayer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 1 << 20, NONCE_SIZE = 32 };

typedef struct {
  char* bytes;
  size_t size;
} content;

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static content read_file(const char* path) {
  content out = {malloc(MAX_SIZE), 0};
  FILE* file = fopen(path, "rb");
  if (file == NULL || out.bytes == NULL) fail(path, "it cannot be read");
  out.size = fread(out.bytes, 1, MAX_SIZE, file);
  fclose(file);
  return out;
}

static void print_bytes(const enclayer_verdict* verdict, const char* name, int field) {
  size_t i, size;
  const uint8_t* bytes = enclayer_verdict_bytes(verdict, field, &size);
  if (bytes == NULL) return;
  printf("%s ", name);
  for (i = 0; i < size; ++i) printf("%02x", bytes[i]);
  printf("\n");
}

int main(int argc, char** argv) {
  if (argc < 5 || argc > 6) return 1;
  content evidence = read_file(argv[1]), json = read_file(argv[2]), policy = read_file(argv[3]);
  uint8_t wanted[64] = {0}, mask[64] = {0};
  if (argc == 6) {
    if (strlen(argv[5]) != 2 * NONCE_SIZE) fail(argv[5], "a nonce has 64 hexadecimal digits");
    for (size_t i = 0; i < NONCE_SIZE; ++i)
      if (sscanf(argv[5] + 2 * i, "%2hhx", &wanted[i]) != 1) fail(argv[5], "a nonce has 64 hexadecimal digits");
    memset(mask, 0xff, NONCE_SIZE);
  }

  char why[256];
  enclayer_verifier* verifier = NULL;
  enclayer_collateral* collateral = NULL;
  enclayer_verdict* verdict = NULL;
  if (enclayer_verifier_new(NULL, 0, policy.bytes, policy.size, &verifier, why, sizeof why) != ENCLAYER_OK)
    fail(argv[3], why);
  if (enclayer_collateral_new(NULL, 0, json.bytes, json.size, &collateral, why, sizeof why) != ENCLAYER_OK)
    fail(argv[2], why);
  int result = enclayer_check(verifier, ENCLAYER_EVIDENCE, (const uint8_t*)evidence.bytes, evidence.size, collateral,
                              argc == 6 ? wanted : NULL, argc == 6 ? mask : NULL, strtoll(argv[4], NULL, 10), &verdict);

  printf("%s: %s\n", result == ENCLAYER_OK ? "trusted" : "untrusted", enclayer_verdict_reason(verdict));
  const char* tee = enclayer_verdict_text(verdict, ENCLAYER_TEE);
  if (tee != NULL) printf("%s, TCB status %s\n", tee, enclayer_verdict_tcb_status(verdict));
  print_bytes(verdict, "MRENCLAVE", ENCLAYER_MR_ENCLAVE);
  print_bytes(verdict, "MRTD", ENCLAYER_MR_TD);
  print_bytes(verdict, "key", ENCLAYER_ATTESTED_KEY);

  enclayer_verdict_free(verdict);
  enclayer_collateral_free(collateral);
  enclayer_verifier_free(verifier);
  free(evidence.bytes);
  free(json.bytes);
  free(policy.bytes);
  return result;
}
